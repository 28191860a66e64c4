//! What a peer of a tunnel writes, from right to nearly right.

use crate::choices::Choices;
use http::{Method, StatusCode};
use pico_core::head::{Fields, RequestHead, ResponseHead};

/// A hello that every version 1 takes: versions 1 to 1, and a small window.
pub(super) fn hello() -> Vec<u8> {
    frame(0, 0, 0, &[1, 2, 1, 1, 3, 2, 0x43, 0xe8])
}

/// One frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, flags];
    number(&mut bytes, stream);
    number(&mut bytes, payload.len() as u64);
    bytes.extend_from_slice(payload);
    bytes
}

/// A frame that is right in most cases.
pub(super) fn any_frame(choices: &mut Choices) -> Vec<u8> {
    let odd = choices.byte();
    let kind = *choices.pick(&[3, 1, 2, 7, 3, 5, 4, 6, 8, 9, 0x0a, 0x0b, 0x80, 0]);
    let kind = if odd == 255 { choices.byte() } else { kind };
    let stream = if matches!(kind, 1..=7) { 1 + choices.below(8) as u64 } else { 0 };
    let end = matches!(kind, 1..=3) && odd & 1 != 0;
    let flags = if odd == 254 { choices.byte() } else { u8::from(end) };
    let stream = if odd == 253 { choices.long() >> 2 } else { stream };
    let payload = if odd == 252 { choices.bytes(40).to_vec() } else { payload(choices, kind) };
    let mut bytes = frame(kind, flags, stream, &payload);
    if odd == 251 {
        bytes.truncate(choices.below(bytes.len()));
    }
    bytes
}

fn payload(choices: &mut Choices, kind: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    match kind {
        0 => bytes.extend_from_slice(&[1, 2, 1, 1]),
        1 => {
            bytes.push(1 + choices.byte() % 9);
            text(&mut bytes, b"/path");
            fields(choices, &mut bytes);
        }
        2 => {
            number(&mut bytes, *choices.pick(&[200, 100, 101, 404, 999]));
            text(&mut bytes, b"Fine");
            fields(choices, &mut bytes);
        }
        3 => bytes.resize(1 + choices.size(1200), b'd'),
        4 => fields(choices, &mut bytes),
        6 => bytes.extend_from_slice(&[choices.byte() & 1, choices.byte() & 0x3f]),
        7 => number(&mut bytes, choices.long() >> (2 + choices.below(62))),
        8 | 9 => bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, choices.byte()]),
        0x80.. => bytes.extend_from_slice(choices.bytes(20)),
        _ => {}
    }
    bytes
}

fn fields(choices: &mut Choices, bytes: &mut Vec<u8>) {
    for _ in 0..choices.below(4) {
        match choices.byte() {
            0 => {
                bytes.push(0);
                text(bytes, b"x-Name");
            }
            code => number(bytes, u64::from(code)),
        }
        let values = ["value", "", "5", "chunked", " blank", "a\r\nb"];
        text(bytes, values[choices.below(values.len())].as_bytes());
    }
}

fn text(bytes: &mut Vec<u8>, text: &[u8]) {
    number(bytes, text.len() as u64);
    bytes.extend_from_slice(text);
}

/// The shortest form of RFC 9000, section 16.
fn number(bytes: &mut Vec<u8>, number: u64) {
    let (size, mark) = match number {
        0..=0x3f => (1, 0),
        0x40..=0x3fff => (2, 0x40),
        0x4000..=0x3fff_ffff => (4, 0x80),
        0x4000_0000.. => (8, 0xc0),
    };
    let start = bytes.len();
    bytes.extend_from_slice(&number.to_be_bytes()[8 - size..]);
    bytes[start] |= mark;
}

/// A head that a parent passes on.
pub(super) fn request(choices: &mut Choices) -> RequestHead {
    let method = choices.pick(&[Method::GET, Method::POST, Method::CONNECT]).clone();
    RequestHead::new(method, b"/", head_fields(choices))
}

/// A head that a parent passes on.
pub(super) fn response(choices: &mut Choices) -> ResponseHead {
    let code = *choices.pick(&[200, 100, 101, 404, 999]);
    let status = StatusCode::from_u16(code).expect("from 100 to 999");
    ResponseHead::new(status, b"", head_fields(choices))
}

/// Fields that a parent passes on, seldom too many.
pub(super) fn head_fields(choices: &mut Choices) -> Fields {
    let mut fields = Fields::new();
    let value = vec![b'v'; if choices.chance(1, 16) { 6000 } else { 5 }];
    let most = if choices.chance(1, 16) { 60 } else { 4 };
    for _ in 0..choices.below(most) {
        fields.push(choices.pick(&["host", "Content-Length", "X-Own", "x-OWN"]).as_bytes(), &value);
    }
    fields
}
