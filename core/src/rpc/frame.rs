//! The frame grammar, and cutting a stream of messages into frames.

use crate::id::StreamId;
use crate::outbox::COPY_MAX;
use crate::reason::Reason;
use crate::varint;
use bytes::{Buf as _, BufMut as _, BytesMut};

/// What a frame says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Hello,
    Request,
    Response,
    Data,
    Trailers,
    End,
    Reset,
    Credit,
    Ping,
    Pong,
    Drain,
    DrainAck,
    /// Not known here, and made to be ignored by those who do not know it.
    Skippable,
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// The last frame of its direction of the call.
    pub(super) end: bool,
    /// 0 for frames that concern the connection.
    pub(super) stream: StreamId,
    /// Bytes of payload.
    pub(super) length: usize,
}

/// Set in the flags of the last frame of a direction.
const FLAG_END: u8 = 0x01;

/// Set in the types that a receiver who does not know them ignores.
const SKIPPABLE: u8 = 0x80;

/// No payload is longer, whatever the credit.
const LENGTH_MAX: u64 = 1 << 31;

/// Bytes of the longest hello.
const HELLO_MAX: usize = 4096;

/// Bytes of a ping's payload.
pub(super) const TOKEN_SIZE: usize = 8;

/// Bytes of the longest header.
const HEADER_MAX: usize = 2 + 2 * varint::SIZE_MAX;

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Hello => 0x00,
            Self::Request => 0x01,
            Self::Response => 0x02,
            Self::Data => 0x03,
            Self::Trailers => 0x04,
            Self::End => 0x05,
            Self::Reset => 0x06,
            Self::Credit => 0x07,
            Self::Ping => 0x08,
            Self::Pong => 0x09,
            Self::Drain => 0x0a,
            Self::DrainAck => 0x0b,
            Self::Skippable => SKIPPABLE,
        }
    }

    const fn from_code(code: u8) -> Result<Self, Reason> {
        Ok(match code {
            0x00 => Self::Hello,
            0x01 => Self::Request,
            0x02 => Self::Response,
            0x03 => Self::Data,
            0x04 => Self::Trailers,
            0x05 => Self::End,
            0x06 => Self::Reset,
            0x07 => Self::Credit,
            0x08 => Self::Ping,
            0x09 => Self::Pong,
            0x0a => Self::Drain,
            0x0b => Self::DrainAck,
            SKIPPABLE.. => Self::Skippable,
            0x0c..SKIPPABLE => return Err(Reason::ProtocolError),
        })
    }

    /// Whether the frame belongs to a call.
    const fn on_stream(self) -> bool {
        match self {
            Self::Request
            | Self::Response
            | Self::Data
            | Self::Trailers
            | Self::End
            | Self::Reset
            | Self::Credit => true,
            Self::Hello
            | Self::Ping
            | Self::Pong
            | Self::Drain
            | Self::DrainAck
            | Self::Skippable => false,
        }
    }

    /// Whether the frame may carry the end flag.
    const fn may_end(self) -> bool {
        match self {
            Self::Request | Self::Response | Self::Data => true,
            Self::Hello
            | Self::Trailers
            | Self::End
            | Self::Reset
            | Self::Credit
            | Self::Ping
            | Self::Pong
            | Self::Drain
            | Self::DrainAck
            | Self::Skippable => false,
        }
    }

    /// The shortest and the longest payload.
    const fn lengths(self, block_max: usize) -> (usize, usize) {
        match self {
            Self::Hello => (0, HELLO_MAX),
            Self::Request | Self::Response => (1, block_max),
            Self::Trailers => (0, block_max),
            Self::Data => (1, usize::MAX),
            Self::Skippable => (0, usize::MAX),
            Self::End | Self::Drain | Self::DrainAck => (0, 0),
            Self::Reset => (2, 1 + varint::SIZE_MAX),
            Self::Credit => (1, varint::SIZE_MAX),
            Self::Ping | Self::Pong => (TOKEN_SIZE, TOKEN_SIZE),
        }
    }
}

impl Header {
    /// Hands the header's bytes to `write`.
    pub(super) fn write(self, write: impl FnOnce(&[u8])) {
        let mut bytes = [0; HEADER_MAX];
        let mut rest = bytes.as_mut_slice();
        rest.put_u8(self.kind.code());
        rest.put_u8(if self.end { FLAG_END } else { 0 });
        varint::put(&mut rest, self.stream.0);
        varint::put(&mut rest, varint::wide(self.length));
        let used = HEADER_MAX - rest.len();
        write(bytes.get(..used).expect("no header is longer than the longest"));
    }

    /// The header at the front of `bytes` and its size; `None` if more bytes are needed. A byte
    /// that is wrong is refused as soon as it is there.
    fn read(bytes: &[u8], block_max: usize) -> Result<Option<(Self, usize)>, Reason> {
        let Some((&code, rest)) = bytes.split_first() else { return Ok(None) };
        let kind = Kind::from_code(code)?;
        let Some((&flags, rest)) = rest.split_first() else { return Ok(None) };
        let known = if kind.may_end() { FLAG_END } else { 0 };
        if kind != Kind::Skippable && flags & !known != 0 {
            return Err(Reason::BadFrame);
        }
        let Some((stream, stream_size)) = varint::read(rest)? else { return Ok(None) };
        if kind != Kind::Skippable && kind.on_stream() != (stream != 0) {
            return Err(Reason::BadFrame);
        }
        let rest = rest.get(stream_size..).unwrap_or_default();
        let Some((length, length_size)) = varint::read(rest)? else { return Ok(None) };
        let (min, max) = kind.lengths(block_max);
        let fits = usize::try_from(length).ok().filter(|n| (min..=max).contains(n));
        let Some(length) = fits.filter(|_| length <= LENGTH_MAX) else {
            return Err(Reason::BadFrame);
        };
        let end = known != 0 && flags & FLAG_END != 0;
        let size = 2 + stream_size + length_size;
        Ok(Some((Self { kind, end, stream: StreamId(stream), length }, size)))
    }
}

/// What was found in the stream.
#[derive(Debug)]
pub(super) enum Event {
    /// A whole frame of any kind but `Data` and `Skippable`.
    Frame(Header, BytesMut),
    /// The header of a frame whose payload is passed over or follows as `Piece`s.
    Begin(Header),
    /// Some payload of a data frame; `end` with the last of a frame that has the flag.
    Piece { stream: StreamId, bytes: BytesMut, end: bool },
}

/// Cuts messages, which arrive in any pieces, into frames.
#[derive(Debug)]
pub(super) struct Reader {
    state: State,
    /// A header or payload that has begun to arrive. Empty when whole frames arrive.
    held: BytesMut,
    block_max: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Header,
    Payload(Header),
    Data { stream: StreamId, left: usize, end: bool },
    Skip { left: usize },
}

impl Reader {
    pub(super) fn new(block_max: usize) -> Self {
        Self { state: State::Header, held: BytesMut::new(), block_max }
    }

    /// Takes from the front of `input` until something is found, or nothing is left.
    pub(super) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Event>, Reason> {
        loop {
            match self.state {
                State::Header => {
                    let Some(header) = self.header(input)? else { return Ok(None) };
                    match header.kind {
                        Kind::Skippable => self.skip(header.length),
                        Kind::Data => {
                            let (stream, left, end) = (header.stream, header.length, header.end);
                            self.state = State::Data { stream, left, end };
                        }
                        Kind::Hello
                        | Kind::Request
                        | Kind::Response
                        | Kind::Trailers
                        | Kind::End
                        | Kind::Reset
                        | Kind::Credit
                        | Kind::Ping
                        | Kind::Pong
                        | Kind::Drain
                        | Kind::DrainAck => {
                            self.state = State::Payload(header);
                            continue;
                        }
                    }
                    return Ok(Some(Event::Begin(header)));
                }
                State::Payload(header) => {
                    let payload = self.payload(input, header.length);
                    return Ok(payload.map(|payload| Event::Frame(header, payload)));
                }
                State::Data { stream, left, end } => {
                    return Ok(self.piece(input, stream, left, end));
                }
                State::Skip { left } => {
                    let count = left.min(input.len());
                    input.advance(count);
                    self.skip(left - count);
                    if input.is_empty() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Passes over the payload of the data frame that has just begun.
    pub(super) fn skip_data(&mut self) {
        if let State::Data { left, .. } = self.state {
            self.skip(left);
        }
    }

    /// Whether a message may end here.
    pub(super) fn between_frames(&self) -> bool {
        matches!(self.state, State::Header) && self.held.is_empty()
    }

    /// Gives back memory that is not needed between frames.
    pub(super) fn shrink(&mut self) {
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
    }

    fn skip(&mut self, left: usize) {
        self.state = if left == 0 { State::Header } else { State::Skip { left } };
    }

    fn header(&mut self, input: &mut BytesMut) -> Result<Option<Header>, Reason> {
        if self.held.is_empty() {
            let found = Header::read(input, self.block_max)?;
            match found {
                Some((_, size)) => input.advance(size),
                None => self.hold(input, HEADER_MAX),
            }
            return Ok(found.map(|(header, _)| header));
        }
        let before = self.held.len();
        let fresh = input.get(..input.len().min(HEADER_MAX - before)).unwrap_or_default();
        self.held.extend_from_slice(fresh);
        let added = fresh.len();
        let found = Header::read(&self.held, self.block_max)?;
        let used = found.map_or(added, |(_, size)| size.saturating_sub(before));
        input.advance(used);
        if found.is_some() {
            self.held.clear();
        }
        Ok(found.map(|(header, _)| header))
    }

    /// Moves up to `count` bytes of `input` to what is held.
    fn hold(&mut self, input: &mut BytesMut, count: usize) {
        let count = count.min(input.len());
        self.held.extend_from_slice(input.get(..count).unwrap_or_default());
        input.advance(count);
    }

    fn payload(&mut self, input: &mut BytesMut, length: usize) -> Option<BytesMut> {
        if self.held.is_empty() && input.len() >= length {
            self.state = State::Header;
            return Some(input.split_to(length));
        }
        self.hold(input, length - self.held.len());
        if self.held.len() < length {
            return None;
        }
        self.state = State::Header;
        Some(core::mem::take(&mut self.held))
    }

    fn piece(
        &mut self,
        input: &mut BytesMut,
        stream: StreamId,
        left: usize,
        end: bool,
    ) -> Option<Event> {
        if input.is_empty() {
            return None;
        }
        let count = left.min(input.len());
        let bytes = cut_off(input, count);
        if count < left {
            self.state = State::Data { stream, left: left - count, end };
            return Some(Event::Piece { stream, bytes, end: false });
        }
        self.state = State::Header;
        Some(Event::Piece { stream, bytes, end })
    }
}

/// The first `count` bytes of `input`; as a copy if they are few, so that whoever holds them does
/// not hold all that was read with them.
fn cut_off(input: &mut BytesMut, count: usize) -> BytesMut {
    if count <= COPY_MAX {
        let copy = BytesMut::from(input.get(..count).unwrap_or_default());
        input.advance(count);
        copy
    } else if count == input.len() {
        core::mem::take(input)
    } else {
        input.split_to(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_piece_does_not_hold_what_was_read_with_it() {
        let mut read = BytesMut::with_capacity(64 * 1024);
        Header { kind: Kind::Data, end: false, stream: StreamId(1), length: 3 }
            .write(|bytes| read.extend_from_slice(bytes));
        read.extend_from_slice(b"abc");
        let mut reader = Reader::new(100);
        assert!(matches!(reader.next(&mut read), Ok(Some(Event::Begin(_)))));
        let Ok(Some(Event::Piece { bytes, .. })) = reader.next(&mut read) else { panic!() };
        assert_eq!(&bytes[..], b"abc");
        assert!(bytes.capacity() < 1024, "{} bytes held", bytes.capacity());
    }
}
