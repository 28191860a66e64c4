//! Streams of bytes as what they say, so that two that were cut into chunks, frames or messages
//! in different places compare equal.

use crate::laws::Seen;
use std::io::Cursor;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, OpCode};

/// HTTP as it is, but for the framing of chunked bodies: the chunks' bytes, and then what stands
/// at the end. What is malformed is left as it is.
pub(super) fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    const CODING: &[u8] = b"transfer-encoding: chunked\r\n";
    let mut out = Vec::new();
    while let Some(field) = find(&rest.to_ascii_lowercase(), CODING) {
        let Some(end) = find(rest.get(field..).unwrap_or_default(), b"\r\n\r\n") else { break };
        let (head, body) = rest.split_at(field + end + 4);
        out.extend_from_slice(head);
        rest = body;
        while let Some((chunk, after)) = first_chunk(rest) {
            out.extend_from_slice(chunk);
            rest = after;
            if chunk.is_empty() {
                out.extend_from_slice(b"<the end of the chunks>");
                break;
            }
        }
    }
    out.extend_from_slice(rest);
    out
}

/// The bytes of the first chunk, and what follows it.
fn first_chunk(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = find(bytes, b"\r\n")?;
    let digits = std::str::from_utf8(bytes.get(..line)?).ok()?;
    let size = usize::from_str_radix(digits, 16).ok()?;
    let (chunk, after) = bytes.get(line + 2..)?.split_at_checked(size)?;
    // The trailers follow the last one, and their end is that of the message.
    if size == 0 { Some((chunk, after)) } else { Some((chunk, after.strip_prefix(b"\r\n")?)) }
}

/// A tunnel: the heads of its handshake, and then each stream in a lane of its own. Messages,
/// masks and the ends of frames are not looked at, and neither are credits, of which there are
/// more or fewer as bytes come in more or fewer pieces, nor the tokens of pings.
pub(super) fn tunnel(lane: &str, bytes: &[u8], seen: &mut Seen) {
    let Some(end) = find(bytes, b"\r\n\r\n") else { return seen.bytes(lane, "head", bytes) };
    let (head, mut rest) = bytes.split_at(end + 4);
    seen.bytes(lane, "head", head);
    let mut said = Vec::new();
    while let Some((header, payload, after)) = frame(rest) {
        match header.opcode {
            OpCode::Data(_) => said.extend(payload),
            OpCode::Control(Control::Ping | Control::Pong) => {}
            OpCode::Control(_) => {
                seen.event(lane, &(header.opcode, payload.escape_ascii().to_string()));
            }
        }
        rest = after;
    }
    seen.bytes(lane, "no frame", rest);
    let mut rest = &said[..];
    while let Some(CallFrame { kind, end, stream, payload, after }) = call_frame(rest) {
        let lane = format!("{lane} stream {stream}");
        match kind {
            DATA => seen.bytes(&lane, "data", payload),
            CREDIT | END => {}
            PING | PONG => seen.event(&lane, &kind),
            _ => seen.event(&lane, &(kind, payload.escape_ascii().to_string())),
        }
        if kind == END || end {
            seen.event(&lane, &"the end");
        }
        rest = after;
    }
    seen.bytes(lane, "no call's frame", rest);
}

const DATA: u8 = 3;
const END: u8 = 5;
const CREDIT: u8 = 7;
const PING: u8 = 8;
const PONG: u8 = 9;

/// The first WebSocket frame, its payload without a mask, and what follows it.
fn frame(bytes: &[u8]) -> Option<(FrameHeader, Vec<u8>, &[u8])> {
    let mut cursor = Cursor::new(bytes);
    let (header, len) = FrameHeader::parse(&mut cursor).ok()??;
    let start = usize::try_from(cursor.position()).ok()?;
    let (payload, after) = bytes.get(start..)?.split_at_checked(usize::try_from(len).ok()?)?;
    let mask = header.mask.unwrap_or_default();
    let plain = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    Some((header, plain.collect(), after))
}

/// A frame of the calls' protocol.
struct CallFrame<'a> {
    kind: u8,
    /// Whether it is the last of its direction.
    end: bool,
    stream: u64,
    payload: &'a [u8],
    after: &'a [u8],
}

/// The first frame of the calls' protocol.
fn call_frame(bytes: &[u8]) -> Option<CallFrame<'_>> {
    let (kind, end) = (*bytes.first()?, *bytes.get(1)? & 1 != 0);
    let (stream, rest) = number(bytes.get(2..)?)?;
    let (length, rest) = number(rest)?;
    let (payload, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some(CallFrame { kind, end, stream, payload, after })
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let first = *bytes.first()?;
    let (raw, rest) = bytes.split_at_checked(1 << (first >> 6))?;
    let start = u64::from(first & 0x3f);
    Some((raw.iter().skip(1).fold(start, |all, byte| (all << 8) | u64::from(*byte)), rest))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_other_sizes_read_the_same_and_other_bytes_do_not() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let text = |body: &str| unchunked(format!("{head}{body}{head}1\r\nz\r\n").as_bytes());
        let whole = text("4\r\nabcd\r\n0\r\nx: y\r\n\r\n");
        assert_eq!(whole, text("1\r\na\r\n3\r\nbcd\r\n0\r\nx: y\r\n\r\n"));
        assert_ne!(whole, text("1\r\na\r\n2\r\nbc\r\n0\r\nx: y\r\n\r\n"));
        assert_ne!(whole, text("4\r\nabcd\r\n0\r\nx: z\r\n\r\n"));
        assert_ne!(whole, text("4\r\nabcd\r\n"));
    }
}
