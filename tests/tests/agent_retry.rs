//! What an agent does when a service cannot be reached or breaks off: second tries, other
//! addresses, and when neither is allowed.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod agent;

use agent::{OK, Rig, SERVICE, answered, data, pooled, settings, up};
use pico_core::host::{Fault, Input};
use pico_core::note::Note;
use std::time::Duration;

#[test]
fn a_dead_service_is_a_reset_and_one_note_until_it_is_back() {
    let (mut rig, mut node) = up();
    for _ in 0..2 {
        let call = node.call(&mut rig, "POST", &[], false);
        node.say(&mut rig, call, data(b"body", true));
        let local = rig.dialed(SERVICE);
        rig.refuse(local);
        node.pump(&mut rig);
        assert_eq!(node.heard(call), ["ServiceUnreachable false"]);
    }
    let note = |endpoint: &str| Note::ServiceUnreachable {
        endpoint: endpoint.into(),
        service: "127.0.0.1:3000".into(),
        fault: Fault::Refused,
    };
    assert_eq!(rig.take_notes(), [note("a")]);
    let call = node.call(&mut rig, "GET", &[], true);
    let local = rig.dialed(SERVICE);
    rig.connect(local);
    answered(&mut rig, &mut node, local, call);
    rig.input(Input::Eof { conn: local });
    let call = node.call(&mut rig, "GET", &[], true);
    let local = rig.dialed(SERVICE);
    rig.wait(Duration::from_secs(5));
    node.pump(&mut rig);
    assert!(rig.closed.contains(&local), "dialling takes only so long");
    assert_eq!(node.heard(call), ["ServiceUnreachable false"]);
    assert_eq!(rig.take_notes().len(), 1, "it was back, and is gone again");
}

#[test]
fn a_service_that_moved_is_found_within_the_call() {
    let mut settings = settings(&["a"]);
    settings.listeners[0].service.host = "service.test".into();
    let mut rig = Rig::new(settings);
    let mut node = rig.online();
    let old = || Ok(vec!["10.0.0.1:3000".parse().unwrap()]);
    let call = node.call(&mut rig, "GET", &[], true);
    let (ask, _) = rig.asks.pop_front().unwrap();
    rig.input(Input::Resolved { ask, result: old() });
    let local = rig.dialed(SERVICE);
    rig.connect(local);
    answered(&mut rig, &mut node, local, call);
    rig.wait(Duration::from_secs(2));
    node.pump(&mut rig);
    let call = node.call(&mut rig, "GET", &[], true);
    assert!(rig.asks.is_empty(), "addresses are kept for a while");
    let local = rig.dialed(SERVICE);
    rig.refuse(local);
    let (ask, _) = rig.asks.pop_front().unwrap();
    let result = Ok(vec!["10.0.0.2:3000".parse().unwrap()]);
    rig.input(Input::Resolved { ask, result });
    let local = rig.dialed(SERVICE);
    rig.connect(local);
    answered(&mut rig, &mut node, local, call);
    rig.lose(local);
    let call = node.call(&mut rig, "GET", &[], true);
    let local = rig.dialed(SERVICE);
    rig.refuse(local);
    let (ask, _) = rig.asks.pop_front().unwrap();
    let result = Ok(vec!["10.0.0.2:3000".parse().unwrap()]);
    rig.input(Input::Resolved { ask, result });
    node.pump(&mut rig);
    assert_eq!(node.heard(call), ["ServiceUnreachable false"], "the same address again");
}

/// What a reused connection has seen of a request when it breaks.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Moment {
    Unsent,
    Sent,
    Interim,
}

#[test]
fn a_call_is_tried_again_only_if_it_cannot_run_twice() {
    use Moment::{Interim, Sent, Unsent};
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "POST", "PATCH", "BREW"] {
        let idempotent = !matches!(method, "POST" | "PATCH" | "BREW");
        for moment in [Unsent, Sent, Interim] {
            for body in [0, 10, 60_000] {
                let again = moment == Unsent || (moment == Sent && idempotent);
                second_try(method, moment, body, again);
            }
        }
    }
}

fn second_try(method: &str, moment: Moment, body: usize, again: bool) {
    let what = format!("{method} {moment:?} {body}");
    let (mut rig, mut node, first) = pooled();
    if moment == Moment::Unsent {
        rig.stuck.push(first);
    }
    let call = node.call(&mut rig, method, &[], body == 0);
    let bytes: Vec<u8> = (0..body).map(|n| b'a' + u8::try_from(n % 26).unwrap()).collect();
    if body > 0 {
        let (early, late) = bytes.split_at(body / 2);
        node.say(&mut rig, call, data(early, false));
        node.say(&mut rig, call, data(late, true));
    }
    if moment == Moment::Interim {
        rig.receive(first, b"HTTP/1.1 103 Early Hints\r\n\r\n");
    }
    rig.lose(first);
    node.pump(&mut rig);
    if !again {
        let heard = node.heard(call);
        assert_eq!(heard.last().map(|last| &last[..]), Some("BadResponse true"), "{what}");
        assert!(rig.dials.is_empty(), "{what}");
        return;
    }
    let second = rig.dialed(SERVICE);
    rig.connect(second);
    let text = rig.text(second);
    assert!(text.starts_with(&format!("{method} /path?query HTTP/1.1\r\n")), "{what}: {text}");
    let sent: Vec<u8> = dechunked(&text);
    assert!(sent == bytes, "{what}: the body is whole");
    let end = if method == "HEAD" { &b"HTTP/1.1 200 OK\r\n\r\n"[..] } else { OK };
    rig.receive(second, end);
    node.pump(&mut rig);
    assert_eq!(node.heard(call).first().map(|head| &head[..3]), Some("200"), "{what}");
    assert_eq!(rig.agent.calls(), 0, "{what}");
}

/// The body of a request that is chunked or has none.
fn dechunked(text: &str) -> Vec<u8> {
    let (_, mut rest) = text.split_once("\r\n\r\n").unwrap();
    let mut body = Vec::new();
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        let (chunk, more) = more.split_at(size);
        body.extend_from_slice(chunk.as_bytes());
        rest = more.strip_prefix("\r\n").unwrap();
    }
    body
}

#[test]
fn a_call_is_tried_at_most_twice() {
    let (mut rig, mut node, first) = pooled();
    let call = node.call(&mut rig, "GET", &[], true);
    rig.lose(first);
    let second = rig.dialed(SERVICE);
    rig.connect(second);
    rig.lose(second);
    node.pump(&mut rig);
    assert_eq!(node.heard(call), ["BadResponse true"]);
    assert!(rig.dials.is_empty());
}

#[test]
fn a_second_try_does_not_hide_that_the_first_had_started() {
    let (mut rig, mut node, first) = pooled();
    let call = node.call(&mut rig, "GET", &[], true);
    rig.lose(first);
    let second = rig.dialed(SERVICE);
    rig.refuse(second);
    node.pump(&mut rig);
    assert_eq!(node.heard(call), ["ServiceUnreachable true"]);
}
