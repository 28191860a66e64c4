//! What a proxy understands of an answer, and what the client understands of what the proxy sends
//! on, must be the same: otherwise an answer is taken for another request's, or a cut one for a
//! whole one.

use super::http1_relay::{end_to_end, pairs, wide};
use super::http1_text;
use crate::choices::Choices;
use crate::model::http::Field;
use bytes::BytesMut;
use http::Method;
use pico_core::head::{Fields, RequestHead, ResponseHead, valid_name, valid_value};
use pico_core::http1::{client, rules, server};
use pico_core::{Instant, Limits, Machine as _, Outbox};
use std::sync::Arc;

const NOW: Instant = Instant::from_nanos(1);

/// What a client understood of what came.
#[derive(PartialEq, Eq, Debug, Default)]
struct Understood {
    /// Interim and final.
    heads: Vec<ResponseHead>,
    body: Vec<u8>,
    /// Whether the last one came to its end.
    whole: bool,
    trailers: Vec<Field>,
    failed: bool,
}

/// Relays the answer in `data`, whose first byte says what was asked, and whether the rest is the
/// answer itself or stands for it.
pub(super) fn relay(kind: u8, data: &[u8]) {
    let method = [Method::GET, Method::HEAD][usize::from(kind & 1)].clone();
    let (fin, drawn) = (kind & 2 != 0, kind & 4 != 0);
    if drawn {
        let mut choices = Choices::new(data);
        let mut text = Vec::new();
        while !choices.is_empty() && text.len() < 4096 {
            text.extend(http1_text::said(&mut choices, true));
        }
        relay_text(&method, &text, fin);
    } else {
        relay_text(&method, data, fin);
    }
}

fn relay_text(method: &Method, text: &[u8], fin: bool) {
    let limits = Limits::default();
    let first = understand(method, text, fin, None, limits.clone());
    let half = text.len() / 2;
    assert_eq!(first, understand(method, text, fin, Some(half), limits), "cut at {half}");
    for head in &first.heads {
        for (name, value) in head.fields.iter() {
            assert!(valid_name(name) && valid_value(value), "a field in {head:?}");
        }
    }
    let (bytes, finished) = forward(method, &first);
    let second = understand(method, &bytes, finished, None, wide());
    let shown = || format!("{first:?}\nwas sent as {}, FIN {finished}", bytes.escape_ascii());
    assert_eq!(first.heads.len(), second.heads.len(), "{}", shown());
    for (first, second) in first.heads.iter().zip(&second.heads) {
        assert_eq!((first.status, first.phrase()), (second.status, second.phrase()), "{}", shown());
        let [first, second] = [first, second].map(|head| end_to_end(&head.fields, false));
        assert_eq!(first, second, "{}", shown());
    }
    assert_eq!(first.whole, second.whole, "{}", shown());
    assert_eq!(first.trailers, second.trailers, "{}", shown());
    let begins = first.body.starts_with(&second.body);
    assert!(begins && (!first.whole || first.body == second.body), "{}", shown());
}

/// What a client makes of the answer in `text`, which comes at once or in two pieces.
fn understand(
    method: &Method,
    text: &[u8],
    fin: bool,
    cut: Option<usize>,
    limits: Limits,
) -> Understood {
    let mut machine = client::Machine::new(NOW, Arc::new(limits));
    let mut fields = Fields::new();
    fields.push(b"Host", b"a");
    let head = RequestHead::new(method.clone(), b"/", fields);
    machine.handle(NOW, client::Input::Request { head, end: true, upgrade: false });
    machine.handle(NOW, client::Input::Sent(machine.outbox().len()));
    machine.handle(NOW, client::Input::Credit(usize::MAX));
    let mut found = Understood::default();
    let (left, right) = text.split_at(cut.unwrap_or(text.len()));
    for piece in [left, right] {
        machine.handle(NOW, client::Input::Received(BytesMut::from(piece)));
        hear(&mut machine, &mut found);
    }
    if fin {
        machine.handle(NOW, client::Input::Eof);
        hear(&mut machine, &mut found);
    }
    // How far it came before it failed may depend on the pieces.
    if found.failed {
        found.body.clear();
    }
    found
}

fn hear(machine: &mut client::Machine, found: &mut Understood) {
    while let Some(action) = machine.poll() {
        match action {
            client::Action::Response { head, end } => {
                assert!(!found.whole, "another answer behind the end of one");
                found.whole = end;
                found.heads.push(head);
            }
            client::Action::Data { bytes, end } => {
                found.body.extend_from_slice(&bytes);
                found.whole = end;
            }
            client::Action::Trailers(mut fields) => {
                rules::strip_trailers(&mut fields);
                (found.trailers, found.whole) = (pairs(&fields), true);
            }
            client::Action::Failed { .. } => found.failed = true,
            client::Action::Taken(_)
            | client::Action::Idle
            | client::Action::Finish
            | client::Action::Closed(_) => {}
        }
    }
}

/// What a proxy sends on of an answer, and whether it puts a FIN behind it: it breaks off what was
/// not whole.
fn forward(method: &Method, answer: &Understood) -> (Vec<u8>, bool) {
    let mut machine = server::Machine::new(NOW, Arc::new(Limits::default()));
    let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
    machine.handle(NOW, server::Input::Received(BytesMut::from(request.as_bytes())));
    let asked = machine.poll();
    assert!(matches!(asked, Some(server::Action::Request(_))), "{asked:?}");
    let last = answer.heads.len().saturating_sub(1);
    let bare = answer.body.is_empty() && answer.trailers.is_empty();
    let mut sent = Vec::new();
    for (at, head) in answer.heads.iter().enumerate() {
        let mut head = head.clone();
        rules::strip_hop_by_hop(&mut head.fields, false);
        let end = at == last && answer.whole && bare && !head.status.is_informational();
        machine.handle(NOW, server::Input::Respond { head, end });
    }
    if !answer.body.is_empty() {
        let bytes = BytesMut::from(&answer.body[..]);
        let end = answer.whole && answer.trailers.is_empty();
        machine.handle(NOW, server::Input::Data { bytes, end });
    }
    if !answer.trailers.is_empty() {
        let mut fields = Fields::new();
        for (name, value) in &answer.trailers {
            fields.push(name, value);
        }
        machine.handle(NOW, server::Input::Trailers(fields));
    }
    let mut finished = false;
    if !answer.whole {
        take(&mut machine, &mut sent, &mut finished);
        machine.handle(NOW, server::Input::Abort);
    }
    take(&mut machine, &mut sent, &mut finished);
    (sent, finished)
}

/// Lets the socket take all that waits.
fn take(machine: &mut server::Machine, sent: &mut Vec<u8>, finished: &mut bool) {
    loop {
        while let Some(action) = machine.poll() {
            *finished |= action == server::Action::Finish;
        }
        let waiting: &Outbox = machine.outbox();
        let count = waiting.len();
        sent.extend(waiting.pieces().flatten());
        if count == 0 {
            return;
        }
        machine.handle(NOW, server::Input::Sent(count));
    }
}
