//! Frames on the wire (RFC 6455, section 5.2): the one file that meets tungstenite.
//!
//! tungstenite reads and writes frame headers, knows close codes and derives accept keys; what it
//! is lenient about is refused here. Masks are applied in place.

extern crate std;

use super::Kind;
use crate::outbox::Outbox;
use crate::reason::Reason;
use alloc::string::String;
use std::io::Cursor;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{self, CloseCode, Data, OpCode};

/// Bytes of the longest frame header.
pub(super) const HEADER_MAX: usize = 14;

/// Bytes of the longest payload that a control frame may have (section 5.5).
pub(super) const CONTROL_MAX: usize = 125;

/// What a client covers its payloads with.
pub(super) type Key = [u8; 4];

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Opcode {
    /// More of the data message under way.
    Continue,
    /// A data message begins.
    Data(Kind),
    /// A frame about the connection.
    Control(Control),
}

/// A frame about the connection, which may stand between the frames of a data message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Control {
    Close,
    Ping,
    Pong,
}

/// A frame but for its payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) opcode: Opcode,
    /// Whether the message ends with this frame.
    pub(super) fin: bool,
    /// Bytes of the payload, below 2^63; at most [`CONTROL_MAX`] for a control frame.
    pub(super) len: u64,
    /// Set if and only if the payload is masked.
    pub(super) key: Option<Key>,
}

/// Reads the header that `bytes` begin with: how long it is, and what it says or why it is
/// refused. `None` if it is not complete yet; [`HEADER_MAX`] bytes always are.
pub(super) fn parse(bytes: &[u8]) -> Option<(usize, Result<Header, Reason>)> {
    let mut cursor = Cursor::new(bytes);
    let parsed = match FrameHeader::parse(&mut cursor) {
        Ok(None) => return None,
        Ok(Some((header, len))) => Some((header, len)),
        Err(_reserved_opcode) => None,
    };
    let used = usize::try_from(cursor.position()).expect("a header is a few bytes long");
    let header = parsed.and_then(|(header, len)| {
        let minimal = header.len(len) == used;
        let plain = !header.rsv1 && !header.rsv2 && !header.rsv3;
        let header =
            Header { opcode: opcode(header.opcode)?, fin: header.is_final, len, key: header.mask };
        (minimal && plain && header.is_sound()).then_some(header)
    });
    Some((used, header.ok_or(Reason::ProtocolError)))
}

impl Header {
    /// Whether lengths and fragmentation are what sections 5.2, 5.4 and 5.5 allow.
    fn is_sound(&self) -> bool {
        match self.opcode {
            Opcode::Continue | Opcode::Data(_) => i64::try_from(self.len).is_ok(),
            Opcode::Control(_) => {
                self.fin && usize::try_from(self.len).is_ok_and(|len| len <= CONTROL_MAX)
            }
        }
    }

    /// Appends the header to what will be sent.
    pub(super) fn put(&self, outbox: &mut Outbox) {
        let header = FrameHeader {
            is_final: self.fin,
            opcode: match self.opcode {
                Opcode::Continue => OpCode::Data(Data::Continue),
                Opcode::Data(Kind::Text) => OpCode::Data(Data::Text),
                Opcode::Data(Kind::Binary) => OpCode::Data(Data::Binary),
                Opcode::Control(Control::Close) => OpCode::Control(coding::Control::Close),
                Opcode::Control(Control::Ping) => OpCode::Control(coding::Control::Ping),
                Opcode::Control(Control::Pong) => OpCode::Control(coding::Control::Pong),
            },
            mask: self.key,
            ..FrameHeader::default()
        };
        let mut bytes = [0; HEADER_MAX];
        let mut space = &mut bytes[..];
        header.format(self.len, &mut space).expect("no header is longer than HEADER_MAX");
        let used = HEADER_MAX - space.len();
        outbox.put(bytes.get(..used).expect("what was used lies within the whole"));
    }
}

/// Masks or unmasks `bytes`, of which the first meets the first byte of `key`, and returns the
/// key as it meets the byte behind the last (section 5.3).
pub(super) fn mask(bytes: &mut [u8], mut key: Key) -> Key {
    // The pattern repeats after four bytes, so both halves of the word are equal on any machine.
    let word = u64::from(u32::from_ne_bytes(key)) * 0x1_0000_0001;
    let len = bytes.len();
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
    key.rotate_left(len % 4);
    key
}

/// Whether `code` may stand in a close frame (section 7.4, and the registry that it founded).
pub(super) fn may_close_with(code: u16) -> bool {
    /// "Bad gateway", which was registered later.
    const BAD_GATEWAY: u16 = 1014;
    code == BAD_GATEWAY || CloseCode::from(code).is_allowed()
}

/// What a server answers to a client's key (section 4.2.2).
pub(super) fn accept_key(key: &[u8]) -> String {
    tungstenite::handshake::derive_accept_key(key)
}

fn opcode(opcode: OpCode) -> Option<Opcode> {
    match opcode {
        OpCode::Data(Data::Continue) => Some(Opcode::Continue),
        OpCode::Data(Data::Text) => Some(Opcode::Data(Kind::Text)),
        OpCode::Data(Data::Binary) => Some(Opcode::Data(Kind::Binary)),
        OpCode::Control(coding::Control::Close) => Some(Opcode::Control(Control::Close)),
        OpCode::Control(coding::Control::Ping) => Some(Opcode::Control(Control::Ping)),
        OpCode::Control(coding::Control::Pong) => Some(Opcode::Control(Control::Pong)),
        OpCode::Data(Data::Reserved(_)) | OpCode::Control(coding::Control::Reserved(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_mask_is_right_at_any_offset_length_and_cut() {
        let key = [0x6d, 0xb6, 0xb2, 0x80];
        let plain: Vec<u8> = (0..80_u8).map(|at| at.wrapping_mul(37)).collect();
        let byte_by_byte = |at: usize, byte: &u8| byte ^ key[at % 4];
        let masked: Vec<u8> =
            plain.iter().enumerate().map(|(at, byte)| byte_by_byte(at, byte)).collect();
        for len in 0..plain.len() {
            for cut in 0..=len {
                // Pushing the bytes back shifts their address, and with it the alignment.
                for offset in 0..4 {
                    let mut bytes = alloc::vec![0xaa; offset];
                    bytes.extend_from_slice(&plain[..len]);
                    let (_, rest) = bytes.split_at_mut(offset);
                    let (first, second) = rest.split_at_mut(cut);
                    let next = mask(first, key);
                    assert_eq!(next[0], key[cut % 4]);
                    mask(second, next);
                    assert_eq!(&bytes[offset..], &masked[..len], "len {len} cut {cut}");
                }
            }
        }
    }

    #[test]
    fn a_header_that_was_written_reads_the_same_and_every_prefix_is_incomplete() {
        let opcodes = [Opcode::Continue, Opcode::Data(Kind::Text), Opcode::Data(Kind::Binary)];
        for opcode in opcodes {
            for len in [0, 1, 125, 126, 127, 65_535, 65_536, (1 << 63) - 1] {
                for key in [None, Some([1, 2, 3, 4])] {
                    let header = Header { opcode, fin: len % 2 == 0, len, key };
                    let mut outbox = Outbox::new();
                    header.put(&mut outbox);
                    let bytes = outbox.take().unwrap();
                    assert_eq!(parse(&bytes), Some((bytes.len(), Ok(header))));
                    for cut in 0..bytes.len() {
                        assert_eq!(parse(&bytes[..cut]), None);
                    }
                }
            }
        }
    }
}
