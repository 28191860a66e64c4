//! What a proxy understands of a request, and what the next server understands of what the proxy
//! sends on, must be the same: otherwise requests can be smuggled.

use super::{http1_answer, http1_text};
use crate::choices::Choices;
use crate::model::http::Field;
use bytes::BytesMut;
use http::Method;
use pico_core::head::{Fields, RequestHead, valid_name, valid_target, valid_value};
use pico_core::http1::{client, rules, server};
use pico_core::{Instant, Limits, Machine as _};
use std::sync::Arc;

const NOW: Instant = Instant::from_nanos(1);

/// One request, as a server understood it.
#[derive(PartialEq, Eq, Debug)]
struct Understood {
    head: RequestHead,
    end: bool,
    upgrade: bool,
    body: Vec<u8>,
    /// Whether the body came to its end.
    whole: bool,
    trailers: Vec<Field>,
}

/// Relays the first request in `data`, or in the text that it stands for, or an answer: no request
/// begins with a control byte.
pub(super) fn relay(data: &[u8]) {
    match data.split_first() {
        Some((kind @ 0x18..b' ', rest)) => http1_answer::relay(*kind, rest),
        Some((0..0x18, rest)) => {
            let mut choices = Choices::new(rest);
            let mut text = Vec::new();
            while !choices.is_empty() && text.len() < 4096 {
                text.extend(http1_text::said(&mut choices, false));
            }
            relay_text(&text);
        }
        Some(_) | None => relay_text(data),
    }
}

fn relay_text(data: &[u8]) {
    let limits = Limits::default();
    let Some(first) = understand(data, None, limits.clone()) else { return };
    let half = data.len() / 2;
    assert_eq!(Some(&first), understand(data, Some(half), limits).as_ref(), "cut at {half}");
    assert!(valid_target(first.head.target()), "a target {:?}", first.head);
    for (name, value) in first.head.fields.iter() {
        assert!(valid_name(name), "a field name in {:?}", first.head);
        assert!(valid_value(value), "a field value in {:?}", first.head);
    }
    let bytes = forward(&first);
    let second = understand(&bytes, None, wide());
    let shown = || format!("{first:?}\nwas sent as {}\n", bytes.escape_ascii());
    let Some(second) = second else { panic!("{} and was not understood", shown()) };
    assert_eq!(first.head.method, second.head.method, "{}", shown());
    assert_eq!(first.head.target(), second.head.target(), "{}", shown());
    assert_eq!(first.upgrade, second.upgrade, "{}", shown());
    let [mut old, new] = [&first, &second].map(|one| end_to_end(&one.head.fields, one.upgrade));
    if first.head.fields.get("host").is_none() {
        old.push((b"Host".to_vec(), b"service.example".to_vec()));
    }
    assert_eq!(old, new, "{}", shown());
    assert_eq!(first.body, second.body, "{}", shown());
    assert_eq!(first.whole, second.whole, "{}", shown());
    assert_eq!(first.trailers, second.trailers, "{}", shown());
}

/// The limits of whoever comes next: a proxy adds fields to what may have been at the limit.
pub(super) fn wide() -> Limits {
    let limits = Limits::default();
    Limits { head_fields: 2 * limits.head_fields, head_bytes: 2 * limits.head_bytes, ..limits }
}

/// The fields that are for whoever is at the end, but for the length of the body.
pub(super) fn end_to_end(fields: &Fields, upgrade: bool) -> Vec<Field> {
    let mut fields = fields.clone();
    rules::strip_hop_by_hop(&mut fields, upgrade);
    fields.retain(|name, _| !name.eq_ignore_ascii_case(b"content-length"));
    pairs(&fields)
}

pub(super) fn pairs(fields: &Fields) -> Vec<Field> {
    fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// What a server makes of the first request in `bytes`, which come at once or in two pieces.
fn understand(bytes: &[u8], cut: Option<usize>, limits: Limits) -> Option<Understood> {
    let mut machine = server::Machine::new(NOW, Arc::new(limits));
    let (left, right) = bytes.split_at(cut.unwrap_or(bytes.len()));
    let mut found: Option<Understood> = None;
    for piece in [left, right] {
        if !piece.is_empty() {
            machine.handle(NOW, server::Input::Received(BytesMut::from(piece)));
        }
        while let Some(action) = machine.poll() {
            match (action, &mut found) {
                (server::Action::Request(request), None) => {
                    found = Some(Understood {
                        end: request.end,
                        upgrade: request.upgrade,
                        head: request.head,
                        body: Vec::new(),
                        whole: request.end,
                        trailers: Vec::new(),
                    });
                    machine.handle(NOW, server::Input::Credit(usize::MAX));
                }
                (server::Action::Data { bytes, end }, Some(request)) => {
                    request.body.extend_from_slice(&bytes);
                    request.whole |= end;
                }
                (server::Action::Trailers(mut fields), Some(request)) => {
                    rules::strip_trailers(&mut fields);
                    request.trailers = pairs(&fields);
                    request.whole = true;
                }
                (server::Action::Closed(_) | server::Action::Malformed(_), _) => break,
                (action, _) => panic!("unexpected {action:?}"),
            }
        }
    }
    found
}

/// What a proxy sends on of a request.
fn forward(request: &Understood) -> Vec<u8> {
    let mut machine = client::Machine::new(NOW, Arc::new(Limits::default()));
    let mut head = request.head.clone();
    assert_ne!(head.method, Method::CONNECT, "tunnels of other kinds are not begun");
    let trailers = rules::accepts_trailers(&head.fields);
    rules::strip_hop_by_hop(&mut head.fields, request.upgrade);
    if trailers {
        rules::accept_trailers(&mut head.fields);
    }
    if head.fields.get("host").is_none() {
        // As agents do for HTTP/1.0.
        head.fields.push(b"Host", b"service.example");
    }
    let (end, upgrade) = (request.end, request.upgrade);
    machine.handle(NOW, client::Input::Request { head, end, upgrade });
    if !request.body.is_empty() || (request.whole && !end && request.trailers.is_empty()) {
        let bytes = BytesMut::from(&request.body[..]);
        let last = request.whole && request.trailers.is_empty();
        machine.handle(NOW, client::Input::Data { bytes, end: last });
    }
    if !request.trailers.is_empty() {
        let mut fields = Fields::new();
        for (name, value) in &request.trailers {
            fields.push(name, value);
        }
        machine.handle(NOW, client::Input::Trailers(fields));
    }
    machine.outbox().pieces().flatten().copied().collect()
}
