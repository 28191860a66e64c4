//! The WebSocket machine and handshake do what `spec/websocket.md` says, row by row.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::{Buf as _, BytesMut};
use http::{Method, StatusCode};
use pico_core::head::{Fields, RequestHead, ResponseHead};
use pico_core::ws::{self, Action, Input, Kind, Role, handshake};
use pico_core::{Instant, Limits, Machine as _, Outbox, Reason, Seed};
use pico_sim::table;
use std::sync::Arc;

const NOW: Instant = Instant::from_nanos(1);

/// The rows of the table whose first column is headed `first`.
fn rows<const N: usize>(first: &str) -> Vec<[String; N]> {
    let rows = table::rows(&table::page("websocket.md"), first);
    assert!(!rows.is_empty(), "no table {first}");
    rows.into_iter().map(|row| row.try_into().unwrap()).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
    let byte = |pair: &[u8]| {
        u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).expect("hexadecimal")
    };
    digits.chunks(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// What is heard of `bytes` and a FIN in pieces of `size`, and the bytes sent in answer.
fn run(role: Role, bytes: &[u8], size: usize) -> (String, Vec<u8>) {
    let limits = Arc::new(Limits::default());
    let mut machine = ws::Machine::new(role, &Seed::from_u64(1), limits, Outbox::new());
    let (mut sent, mut actions) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(size) {
        machine.handle(NOW, Input::Received(BytesMut::from(piece)));
        actions.extend(std::iter::from_fn(|| machine.poll()));
        let count = machine.outbox().len();
        machine.outbox().pieces().for_each(|piece| sent.extend_from_slice(piece));
        machine.handle(NOW, Input::Sent(count));
    }
    machine.handle(NOW, Input::Eof);
    assert_eq!(machine.deadline(), None);
    let mut heard: Vec<(String, String)> = Vec::new();
    actions.extend(std::iter::from_fn(|| machine.poll()));
    for action in actions {
        let (what, more) = match action {
            Action::Piece { kind, bytes } => (name(kind).to_owned(), hex(&bytes)),
            Action::MessageEnd { kind } => (format!("end {}", name(kind)), String::new()),
            Action::Pong(payload) => ("pong".to_owned(), hex(&payload)),
            Action::Finish => ("finish".to_owned(), String::new()),
            Action::Closed(reason) => (format!("closed {}", reason.told().code), String::new()),
        };
        match heard.last_mut() {
            Some((last, all)) if *last == what && !more.is_empty() => all.push_str(&more),
            _ => heard.push((what, more)),
        }
    }
    let heard: Vec<_> =
        heard.iter().map(|(what, more)| format!("{what} {more}").trim().to_owned()).collect();
    (heard.join(", "), sent)
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Binary => "binary",
    }
}

/// Short frames, told as the table tells them.
fn told(role: Role, mut bytes: &[u8]) -> String {
    let mut frames = Vec::new();
    while bytes.has_remaining() {
        let (first, second) = (bytes.get_u8(), bytes.get_u8());
        assert_eq!(second & 0x80 != 0, role == Role::Client, "a client masks, a server does not");
        let mut key = [0; 4];
        if role == Role::Client {
            bytes.copy_to_slice(&mut key);
        }
        let mut payload = vec![0; usize::from(second & 0x7f)];
        bytes.copy_to_slice(&mut payload);
        payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
        frames.push(match (first, &payload[..]) {
            (0x8a, payload) => format!("pong {}", hex(payload)).trim().to_owned(),
            (0x88, [high, low, text @ ..]) => {
                let code = u16::from_be_bytes([*high, *low]);
                format!("close {code} {}", str::from_utf8(text).unwrap()).trim().to_owned()
            }
            (0x88, []) => "close".to_owned(),
            _ => panic!("unexpected frame {first:x} {payload:x?}"),
        });
    }
    frames.join(", ")
}

#[test]
fn every_case_of_the_table_has_its_outcome_however_it_is_cut() {
    for [case, to, bytes, heard, sent] in rows("case") {
        let role = match &to[..] {
            "server" => Role::Server,
            "client" => Role::Client,
            _ => panic!("{case}: to whom?"),
        };
        let bytes = unhex(&bytes);
        for size in 1..=bytes.len().max(1) {
            let (was_heard, was_sent) = run(role, &bytes, size);
            assert_eq!(was_heard, heard, "{case}, in pieces of {size}");
            assert_eq!(told(role, &was_sent), sent, "{case}, in pieces of {size}");
        }
    }
}

#[test]
fn every_close_code_of_the_table_has_its_reason() {
    for [code, reason] in rows("peer's code") {
        let body = code.parse().map_or(Vec::new(), |code: u16| code.to_be_bytes().to_vec());
        let frame = [&[0x88, u8::try_from(body.len()).unwrap()], &body[..]].concat();
        let (heard, sent) = run(Role::Client, &frame, frame.len());
        assert_eq!(heard, format!("closed {reason}"), "{code}");
        assert_eq!(told(Role::Client, &sent), format!("close {code}").replace(" none", ""));
    }
}

#[test]
fn every_reason_crosses_the_wire_as_itself_or_as_a_normal_end() {
    for reason in Reason::ALL {
        let limits = Arc::new(Limits::default());
        let mut us = ws::Machine::new(Role::Client, &Seed::from_u64(1), limits, Outbox::new());
        us.handle(NOW, Input::Close(reason));
        let frame: Vec<u8> = us.outbox().pieces().flatten().copied().collect();
        let (heard, _) = run(Role::Server, &frame, frame.len());
        let expected = if reason.told().close == 1000 { Reason::Closed } else { reason };
        assert_eq!(heard, format!("finish, closed {}", expected.told().code));
    }
}

/// Makes the one change that a row of a handshake table names.
fn change(good: &Fields, change: &str) -> Fields {
    let change = change.trim_matches('`').replace("twice `", "twice ");
    let mut fields = Fields::new();
    let field = change.split_once(": ");
    for (name, value) in good.iter() {
        let name_text = str::from_utf8(name).unwrap();
        let value = match field {
            Some((changed, value)) if changed.eq_ignore_ascii_case(name_text) => value.as_bytes(),
            _ => value,
        };
        if change == format!("without `{name_text}") {
            continue;
        }
        fields.push(name, value);
        if change == format!("twice {name_text}") {
            fields.push(name, value);
        }
    }
    if let Some((name, value)) = field
        && good.get(&name.to_ascii_lowercase()).is_none()
    {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    if change != "as above" {
        assert!(&fields != good, "{change} changes nothing");
    }
    fields
}

#[test]
fn every_request_of_the_table_gets_its_answer() {
    let mut dice = Seed::from_u64(7).roll();
    for [what, outcome] in rows("request") {
        let (good, key) = handshake::request(&mut dice, "pico.example", "/pico/v1/listener/a");
        assert_eq!(good.target(), b"/pico/v1/listener/a");
        let request = match what.strip_prefix("method `") {
            Some(method) => {
                let method = Method::from_bytes(method.trim_matches('`').as_bytes()).unwrap();
                RequestHead::new(method, good.target(), good.fields.clone())
            }
            None => RequestHead::new(Method::GET, good.target(), change(&good.fields, &what)),
        };
        match handshake::respond(&request) {
            Ok(response) => {
                assert_eq!("101", outcome, "{what}");
                assert_eq!(handshake::check(&key, &response), Ok(()));
            }
            Err(reason) => assert_eq!(reason.told().code, outcome, "{what}"),
        }
    }
}

#[test]
fn every_response_of_the_table_is_taken_or_refused() {
    let mut dice = Seed::from_u64(8).roll();
    let (request, key) = handshake::request(&mut dice, "pico.example", "/");
    let good = handshake::respond(&request).expect("a good request");
    for [what, outcome] in rows("response") {
        let response = match what.strip_prefix("status ") {
            Some(status) => {
                let status = StatusCode::from_bytes(status.as_bytes()).unwrap();
                ResponseHead::new(status, b"", good.fields.clone())
            }
            None => ResponseHead::new(good.status, b"", change(&good.fields, &what)),
        };
        let was = handshake::check(&key, &response).map_or_else(|r| r.told().code, |()| "taken");
        assert_eq!(was, outcome, "{what}");
    }
}

#[test]
fn the_example_of_the_rfc_is_accepted_as_it_says() {
    let mut fields = Fields::new();
    for (name, value) in [
        ("Host", "server.example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Origin", "http://example.com"),
        ("Sec-WebSocket-Protocol", "chat, pico.rpc.v1"),
        ("Sec-WebSocket-Version", "13"),
    ] {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    let request = RequestHead::new(Method::GET, b"/chat", fields);
    let response = handshake::respond(&request).expect("a good request");
    let accept = response.fields.get("sec-websocket-accept");
    assert_eq!(accept, Some(&b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="[..]));
}

#[test]
fn no_two_requests_have_the_same_key() {
    let mut dice = Seed::from_u64(9).roll();
    let mut keys: Vec<_> = (0..1000).map(|_| handshake::request(&mut dice, "a", "/").1).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 1000);
    assert!(keys.iter().all(|key| key.len() == 24));
}
