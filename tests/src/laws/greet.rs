//! What those who meet a worker say first.

use http::Method;
use pico_core::head::{Fields, RequestHead};
use pico_core::id::Boot;
use pico_core::ws;

/// How `node` agrees to the link that this handshake asks for.
pub(super) fn agreed(head: &[u8], node: Boot) -> Vec<u8> {
    let text = String::from_utf8_lossy(head);
    let mut fields = Fields::new();
    for line in text.lines() {
        if let Some((name, value)) = line.split_once(": ") {
            fields.push(name.as_bytes(), value.as_bytes());
        }
    }
    let asked = RequestHead::new(Method::GET, b"/", fields);
    let answer = ws::handshake::respond(&asked).expect("a handshake");
    let mut text = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n".to_owned();
    for (name, value) in answer.fields.iter() {
        let [name, value] = [name, value].map(String::from_utf8_lossy);
        text.extend([&name, ": ", &value, "\r\n"]);
    }
    let named = format!("X-Pico-Node: {:016x}\r\n\r\n", node.0);
    [text, named].concat().into_bytes()
}

/// How an agent asks for a tunnel.
pub(super) const HANDSHAKE: &[u8] = b"GET /pico/v1/listener/a HTTP/1.1\r\nHost: node\r\n\
    Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: pico.rpc.v1\r\n\r\n";

/// How another node does.
pub(super) const LINK: &[u8] = b"GET /pico/v1/node HTTP/1.1\r\nHost: node\r\n\
    Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: pico.rpc.v1\r\n\
    X-Pico-Node: 0000000000000002\r\n\r\n";

/// What clients and operators ask.
pub(super) const REQUESTS: [&[u8]; 5] = [
    b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello",
    b"PUT /x HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n\
      5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    b"GET /ready HTTP/1.1\r\nHost: node\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nraw",
];
