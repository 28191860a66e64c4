//! What clients and servers write, from right to nearly right.

use crate::choices::Choices;
use bytes::BytesMut;
use http::{Method, StatusCode};
use pico_core::head::{Fields, RequestHead, ResponseHead};

const METHODS: [&str; 8] = ["GET", "POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "get", "M-SEARCH"];
const TARGETS: [&str; 6] = ["/", "/a?b=c", "http://b.example/x", "*", "b.example:80", "/a%00\"<>"];
const VERSIONS: [&str; 5] = ["HTTP/1.1", "HTTP/1.0", "HTTP/1.1 ", "HTTP/2.0", "http/1.1"];
const LINE_ENDS: [&str; 4] = ["\r\n", "\n", "\r", " \r\n"];

/// Field lines that decide what a message is.
const LINES: [&str; 36] = [
    "Host: a.example",
    "host:b.example",
    "Content-Length: 5",
    "Content-Length: 0",
    "content-length: 5, 5",
    "Content-Length: +5",
    "Content-Length: 05",
    "Content-Length: 18446744073709551616",
    "Content-Length:",
    "Content-Length : 5",
    "Transfer-Encoding: chunked",
    "transfer-encoding: CHUNKED",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, gzip",
    "Transfer-Encoding: identity",
    "Transfer-Encoding:\x0bchunked",
    "Transfer-Encoding: chunked;q=1",
    "Connection: close",
    "Connection: keep-alive",
    "Connection: Upgrade",
    "Connection: x-hop, content-length, host",
    "Upgrade: websocket",
    "Expect: 100-continue",
    "TE: trailers",
    "Trailer: x-sum",
    "X-Pico-Endpoint: a",
    "X-Hop: 1",
    "X-Empty:",
    "X-Two: a\r\n b",
    " X-Folded: a",
    "X-Null: a\0b",
    "X-High: \u{e9}",
    "X Space: a",
    "NoColon",
    ": empty",
    "Keep-Alive: timeout=5",
];

/// Pieces of bodies in chunks.
const CHUNKS: [&str; 18] = [
    "5\r\nhello\r\n",
    "1\r\nx\r\n",
    "0\r\n\r\n",
    "0\r\nX-Sum: 1\r\n\r\n",
    "0\r\nX-Sum: 1\r\nContent-Length: 3\r\n\r\n",
    "5;name=value\r\nhello\r\n",
    "5;name=\"a;b\\\"c\"\r\nhello\r\n",
    "5 \r\nhello\r\n",
    "0005\r\nhello\r\n",
    "A\r\n0123456789\r\n",
    "5\nhello\n",
    "5\r\nhelloX\r\n",
    "-1\r\n",
    "0x5\r\nhello\r\n",
    "ffffffffffffffff\r\n",
    "10000000000000000\r\n",
    "\r\n",
    "hello",
];

/// Something that one side of a connection writes: a message, or a part of one.
pub(crate) fn said(choices: &mut Choices, server: bool) -> Vec<u8> {
    match choices.below(5) {
        0 | 1 => {
            let mut text = head(choices, server);
            for _ in 0..choices.below(4) {
                text.extend_from_slice(choices.pick(&CHUNKS).as_bytes());
            }
            text
        }
        2 => choices.pick(&CHUNKS).as_bytes().to_vec(),
        3 => vec![b'b'; choices.size(600)],
        _ => choices.bytes(100).to_vec(),
    }
}

/// A head with all that belongs to it.
fn head(choices: &mut Choices, server: bool) -> Vec<u8> {
    let mut text = String::new();
    let odd = choices.byte();
    let line_end = if odd == 255 { choices.pick(&LINE_ENDS) } else { "\r\n" };
    let version = if odd == 254 { choices.pick(&VERSIONS) } else { VERSIONS[usize::from(odd & 1)] };
    if server {
        let code = status(choices);
        text.extend([version, " ", code.as_str(), " Fine", line_end]);
    } else {
        let method = METHODS[choices.below(METHODS.len())];
        let target = TARGETS[choices.below(TARGETS.len())];
        text.extend([method, " ", target, " ", version, line_end]);
        if odd != 253 {
            text.push_str("Host: a.example\r\n");
        }
    }
    for _ in 0..choices.below(6) {
        text.push_str(LINES[choices.below(LINES.len())]);
        text.push_str(line_end);
    }
    text.push_str(line_end);
    text.into_bytes()
}

fn status(choices: &mut Choices) -> StatusCode {
    let code = *choices.pick(&[200, 204, 304, 100, 103, 101, 404, 426, 500, 999]);
    StatusCode::from_u16(code).expect("from 100 to 999")
}

/// Fields that a parent passes on.
pub(crate) fn fields(choices: &mut Choices) -> Fields {
    const FIELDS: [(&str, &str); 8] = [
        ("Content-Length", "5"),
        ("Content-Length", "0"),
        ("X-One", "1"),
        ("Upgrade", "websocket"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Date", "Mon, 23 Nov 2026 18:00:00 GMT"),
        ("Host", "a.example"),
    ];
    let mut fields = Fields::new();
    for _ in 0..choices.below(4) {
        let (name, value) = choices.pick(&FIELDS);
        fields.push(name.as_bytes(), value.as_bytes());
    }
    fields
}

pub(crate) fn request(choices: &mut Choices) -> RequestHead {
    let method = Method::from_bytes(choices.pick(&METHODS).as_bytes()).expect("a token");
    let target = *choices.pick(&TARGETS[..3]);
    RequestHead::new(method, target.as_bytes(), fields(choices))
}

pub(crate) fn response(choices: &mut Choices) -> ResponseHead {
    ResponseHead::new(status(choices), b"Fine", fields(choices))
}

/// Some of a body that a parent passes on.
pub(crate) fn body(choices: &mut Choices) -> BytesMut {
    let size = if choices.chance(1, 2) { 5 } else { choices.size(3000) };
    BytesMut::from(&vec![b'd'; size][..])
}
