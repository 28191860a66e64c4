//! How an agent registers: dials, refusals, back-off, drains.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod agent;

use agent::{Rig, SERVER, SERVICE, settings};
use pico_core::Instant;
use pico_core::host::{Fault, Input};
use pico_core::note::{Note, Why};
use pico_core::rpc;
use proptest::prelude::*;
use std::time::Duration;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn it_asks_for_its_endpoint_with_its_token_below_the_prefix() {
    let mut settings = settings(&["my-end"]);
    settings.server.prefix = "/below/".into();
    settings.token = Some("secret".into());
    let mut rig = Rig::new(settings);
    let conn = rig.dialed(SERVER);
    rig.connect(conn);
    let asked = rig.text(conn);
    assert!(asked.starts_with("GET /below/pico/v1/listener/my-end HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("Authorization: Bearer secret\r\n"), "{asked}");
    assert!(asked.to_lowercase().contains("host: 127.0.0.1:8002\r\n"), "{asked}");
}

#[test]
fn it_is_online_when_a_ping_has_crossed() {
    let mut rig = Rig::new(settings(&["a"]));
    rig.online();
}

#[test]
fn refusals_that_do_not_heal_end_the_listener_and_others_are_tried_again() {
    let body = "{\"error\":\"no\", \"code\" : \"forbidden\",\"request_id\":\"1\"}";
    for (status, ends) in [
        (400, true),
        (401, true),
        (403, true),
        (404, false),
        (408, false),
        (426, false),
        (429, false),
        (500, false),
        (502, false),
        (503, false),
    ] {
        let mut rig = Rig::new(settings(&["a"]));
        let length = body.len();
        rig.answer(&format!("HTTP/1.1 {status} No\r\nContent-Length: {length}\r\n\r\n{body}"));
        assert_eq!(rig.done, ends, "{status}");
        assert_eq!(rig.agent.failed(), ends, "{status}");
        let notes = rig.take_notes();
        match &notes[..] {
            [Note::Rejected { endpoint, status: told, code, .. }] if ends => {
                assert_eq!((&endpoint[..], *told, &code[..]), ("a", status, "forbidden"));
            }
            [Note::Offline { why, .. }] if !ends => assert_eq!(*why, Why::Status(status)),
            other => panic!("{status}: {other:?}"),
        }
    }
}

#[test]
fn a_refusal_counts_even_if_its_body_never_comes() {
    for how in ["eof", "lost", "silence"] {
        let mut rig = Rig::new(settings(&["a"]));
        let conn = rig.answer("HTTP/1.1 401 No\r\nContent-Length: 99\r\n\r\n{\"code\":\"unau");
        match how {
            "eof" => rig.input(Input::Eof { conn }),
            "lost" => rig.lose(conn),
            _ => rig.wait(Duration::from_secs(10)),
        }
        let (endpoint, code) = ("a".into(), String::new());
        let note = Note::Rejected { endpoint, service: place(SERVICE), status: 401, code };
        assert_eq!(rig.take_notes(), [note], "{how}");
        assert!(rig.done, "{how}");
    }
}

#[test]
fn one_refused_listener_does_not_end_the_others() {
    let mut rig = Rig::new(settings(&["a", "b"]));
    rig.answer("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    assert!(!rig.done);
    rig.take_notes();
    let mut node = rig.online();
    rig.drain();
    node.pump(&mut rig);
    assert!(rig.done);
    assert!(!rig.agent.failed());
}

#[test]
fn addresses_are_tried_in_turn_and_asked_for_again_when_none_works() {
    let mut settings = settings(&["a", "b"]);
    settings.server.host = "pico.test".into();
    let mut rig = Rig::new(settings);
    assert_eq!(rig.asks.len(), 1, "one question serves all");
    let (ask, host) = rig.asks.pop_front().unwrap();
    assert_eq!(host, "pico.test");
    let result = Ok(vec!["10.0.0.1:8002".parse().unwrap(), "10.0.0.2:8002".parse().unwrap()]);
    rig.input(Input::Resolved { ask, result });
    assert_eq!(rig.dials.len(), 2);
    for _ in 0..2 {
        let conn = rig.dialed(SERVER);
        rig.refuse(conn);
    }
    assert_eq!(rig.notes, [], "the second address is still to be tried");
    let (first, second) = (rig.dialed(SERVER), rig.dialed(SERVER));
    rig.refuse(first);
    rig.wait(Duration::from_secs(5));
    assert!(rig.closed.contains(&second), "a dial that takes too long is dropped");
    let why: Vec<_> = rig.take_notes();
    let Note::Offline { server, why: Why::Fault(Fault::Refused), .. } = &why[0] else {
        panic!("{why:?}")
    };
    assert_eq!(server, "10.0.0.2:8002", "the address that was tried last");
    let timed = |n: &Note| matches!(n, Note::Offline { why: Why::Fault(Fault::TimedOut), .. });
    assert!(why.iter().any(timed), "{why:?}");
    rig.wait(Duration::from_secs(1));
    assert!(!rig.asks.is_empty(), "asked again");
}

#[test]
fn a_name_that_is_never_answered_is_a_failed_attempt() {
    let mut settings = settings(&["a"]);
    settings.server.host = "pico.test".into();
    let mut rig = Rig::new(settings);
    let (ask, _) = rig.asks.pop_front().unwrap();
    rig.wait(Duration::from_secs(5));
    let notes = rig.take_notes();
    let [Note::Offline { service, server, .. }] = &notes[..] else { panic!("{notes:?}") };
    assert_eq!((&**service, &**server), (&*place(SERVICE), &*format!("pico.test:{SERVER}")));
    rig.input(Input::Resolved { ask, result: Ok(vec!["10.0.0.1:8002".parse().unwrap()]) });
    assert!(rig.dials.is_empty(), "too late");
    rig.wait(Duration::from_secs(1));
    assert_eq!(rig.asks.len(), 1);
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_given_up() {
    let mut rig = Rig::new(settings(&["a"]));
    let conn = rig.dialed(SERVER);
    rig.connect(conn);
    rig.wait(Duration::from_secs(10));
    assert!(rig.closed.contains(&conn));
    let notes = rig.take_notes();
    let timed = Why::Fault(Fault::TimedOut);
    assert!(matches!(notes[..], [Note::Offline { why, .. }] if why == timed), "{notes:?}");
}

#[test]
fn a_silent_node_is_noticed_by_the_heartbeat() {
    let mut rig = Rig::new(settings(&["a"]));
    rig.online();
    rig.wait(Duration::from_secs(40));
    assert!(rig.notes.iter().any(|note| matches!(note, Note::Offline { .. })), "{:?}", rig.notes);
    assert!(!rig.dials.is_empty());
}

#[test]
fn a_node_that_drains_is_left_only_when_another_is_found() {
    let mut rig = Rig::new(settings(&["a"]));
    let mut old = rig.online();
    let call = old.call(&mut rig, "GET", &[], true);
    let local = rig.dialed(SERVICE);
    rig.connect(local);
    rig.wait(Duration::from_secs(9));
    old.pump(&mut rig);
    rig.wait(Duration::from_secs(5));
    old.pump(&mut rig);
    old.rpc(&mut rig, rpc::Input::Drain);
    assert!(!rig.closed.contains(&old.conn));
    rig.wait(Duration::from_millis(100));
    let mut new = rig.online();
    assert!(!rig.closed.contains(&old.conn), "calls under way finish there");
    rig.receive(local, OK);
    old.pump(&mut rig);
    assert_eq!(old.heard(call), ["200", "hi."]);
    rig.input(Input::Eof { conn: old.conn });
    rig.lose(old.conn);
    assert_eq!(rig.take_notes(), [], "the old one going is no news");
    new.call(&mut rig, "GET", &[], true);
    assert_eq!(rig.text(local).matches("GET ").count(), 2, "one pool serves both");
}

#[test]
fn a_tunnel_that_the_node_asked_to_leave_is_drained_once_the_others_have_heard_of_the_new_one() {
    let mut rig = Rig::new(settings(&["a"]));
    let mut old = rig.online();
    old.rpc(&mut rig, rpc::Input::Drain);
    let asked = rig.now;
    while rig.now - asked < Duration::from_secs(7) {
        rig.redial();
        let conn = rig.dialed(SERVER);
        rig.refuse(conn);
        old.pump(&mut rig);
    }
    assert!(!old.peer_drains, "there is no other yet");
    rig.redial();
    rig.take_notes();
    let mut new = rig.online();
    let call = old.call(&mut rig, "GET", &[], true);
    let local = rig.dialed(SERVICE);
    rig.connect(local);
    for _ in 0..4 {
        rig.wait(Duration::from_secs(1));
        old.pump(&mut rig);
        new.pump(&mut rig);
    }
    assert!(!old.peer_drains, "others have yet to hear of the new one");
    rig.wait(Duration::from_secs(1));
    old.pump(&mut rig);
    assert!(old.peer_drains && !old.closed, "calls under way finish there");
    rig.receive(local, OK);
    old.pump(&mut rig);
    assert_eq!(old.heard(call), ["200", "hi."]);
    assert!(old.closed && !new.peer_drains);
    assert_eq!(rig.take_notes(), [], "the old one going is no news");
}

#[test]
fn a_tunnel_that_the_node_asked_to_leave_is_kept_while_the_new_one_is_down() {
    let mut rig = Rig::new(settings(&["a"]));
    let mut old = rig.online();
    old.rpc(&mut rig, rpc::Input::Drain);
    rig.wait(Duration::from_millis(100));
    let new = rig.online();
    rig.lose(new.conn);
    rig.wait(Duration::from_secs(6));
    old.pump(&mut rig);
    assert!(!old.peer_drains && !rig.closed.contains(&old.conn));
}

fn moving() -> Note {
    Note::Moving { endpoint: "a".into(), service: place(SERVICE), node: "node".into() }
}

/// A port of this machine, as people are told of it.
fn place(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

const DRAINING: &str = "HTTP/1.1 503 No\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";

#[test]
fn a_draining_node_is_not_pestered_and_serving_by_it_is_not_called_an_outage() {
    for seed in 0..64 {
        let mut rig = Rig::seeded(settings(&["a"]), seed);
        let mut node = rig.online();
        node.rpc(&mut rig, rpc::Input::Drain);
        let told = rig.now;
        let (mut asked, mut last) = (0, told);
        loop {
            rig.redial();
            if rig.now - told >= Duration::from_secs(5) {
                break;
            }
            assert!(rig.now - last <= Duration::from_millis(1500), "it has no time to lose");
            last = rig.now;
            rig.answer(DRAINING);
            asked += 1;
        }
        assert!((4..=6).contains(&asked), "{asked} times");
        assert_eq!(rig.take_notes(), [moving()], "the old tunnel serves");
        rig.lose(node.conn);
        assert!(matches!(rig.take_notes()[..], [Note::Offline { .. }]));
    }
}

#[test]
fn who_is_refused_at_one_address_asks_at_the_next_at_once() {
    let mut settings = settings(&["a"]);
    settings.server.host = "pico.test".into();
    let mut rig = Rig::new(settings);
    let (ask, _) = rig.asks.pop_front().unwrap();
    let result = Ok(vec!["10.0.0.1:8002".parse().unwrap(), "10.0.0.2:8002".parse().unwrap()]);
    rig.input(Input::Resolved { ask, result });
    let begun = rig.now;
    rig.answer(DRAINING);
    assert_eq!(rig.dials.front().unwrap().1.ip().to_string(), "10.0.0.2");
    rig.answer(DRAINING);
    assert_eq!((rig.now, rig.dials.len()), (begun, 0));
    let notes = rig.take_notes();
    let [Note::Offline { why: Why::Status(503), retry, .. }] = notes[..] else {
        panic!("{notes:?}")
    };
    assert!(retry >= Duration::from_secs(1));
}

#[test]
fn a_wait_that_one_address_asked_for_is_kept_though_another_cannot_be_dialled() {
    let fails: [fn(&mut Rig); 3] = [
        |rig| {
            let conn = rig.dialed(SERVER);
            rig.refuse(conn);
        },
        |_| {},
        |rig| {
            let conn = rig.dialed(SERVER);
            rig.connect(conn);
            rig.input(Input::Lost { conn, fault: Fault::Reset });
        },
    ];
    for fail in fails {
        let mut settings = settings(&["a"]);
        settings.server.host = "pico.test".into();
        let mut rig = Rig::new(settings);
        let (ask, _) = rig.asks.pop_front().unwrap();
        let result = Ok(vec!["10.0.0.1:8002".parse().unwrap(), "10.0.0.2:8002".parse().unwrap()]);
        rig.input(Input::Resolved { ask, result });
        rig.answer("HTTP/1.1 503 No\r\nRetry-After: 4\r\nContent-Length: 0\r\n\r\n");
        fail(&mut rig);
        // A dial that nobody answers is over by then.
        rig.wait(Duration::from_secs(5));
        let notes = rig.take_notes();
        let [Note::Offline { why: Why::Fault(_), retry, .. }] = notes[..] else {
            panic!("{notes:?}")
        };
        assert!(retry >= Duration::from_secs(4), "{notes:?}");
    }
}

#[test]
fn a_wait_that_is_asked_for_is_kept_and_grows_and_is_bounded() {
    let waits = |said: &str| {
        let mut rig = Rig::new(settings(&["a"]));
        let answer = format!("HTTP/1.1 503 No\r\nRetry-After: {said}\r\nContent-Length: 0\r\n\r\n");
        let wait = |_| {
            rig.redial();
            rig.answer(&answer);
            let notes = rig.take_notes();
            let [Note::Offline { retry, .. }] = notes[..] else { panic!("{notes:?}") };
            retry.as_millis()
        };
        (0..5).map(wait).collect::<Vec<_>>()
    };
    let kept = waits("1");
    for (wait, least) in kept.iter().zip([1000, 2000, 4000, 4000, 4000]) {
        assert!((least..=least * 2).contains(wait), "{kept:?}");
    }
    assert!(waits("3600").iter().all(|wait| *wait == 15_000));
    for nothing in ["", "-1", "1.5", "soon", "Fri, 31 Dec 1999 23:59:59 GMT", "0"] {
        assert!(waits(nothing)[0] <= 100, "{nothing:?}");
    }
    assert!(waits("99999999999999999999999")[0] <= 100, "more than a number holds");
}

#[test]
fn an_old_tunnel_that_ends_early_changes_nothing_but_its_calls() {
    let mut rig = Rig::new(settings(&["a"]));
    let mut old = rig.online();
    old.rpc(&mut rig, rpc::Input::Drain);
    let told = rig.now;
    assert_eq!(rig.take_notes(), [moving()]);
    rig.lose(old.conn);
    let notes = rig.take_notes();
    let [Note::Offline { retry, .. }] = notes[..] else { panic!("{notes:?}") };
    assert!(rig.dials.is_empty());
    rig.redial();
    assert_eq!(rig.now, told + retry, "when it said that it would");
    rig.wait(Duration::from_secs(1));
    rig.online();
}

#[test]
fn a_drain_lets_calls_finish_then_closes_and_ends() {
    let mut rig = Rig::new(settings(&["a"]));
    let mut node = rig.online();
    let call = node.call(&mut rig, "GET", &[], true);
    let local = rig.dialed(SERVICE);
    rig.connect(local);
    rig.drain();
    node.pump(&mut rig);
    assert_eq!(rig.take_notes(), [Note::Draining { calls: 1 }]);
    assert!(node.peer_drains && !rig.done);
    rig.receive(local, OK);
    node.pump(&mut rig);
    assert_eq!(node.heard(call), ["200", "hi."], "its last words are sent before the close");
    assert!(rig.done && node.closed);
    assert_eq!(rig.take_notes(), [Note::Drained { cut: 0 }]);
    assert!(rig.closed.contains(&local));
    assert_eq!(rig.agent_deadline(), None);
}

#[test]
fn a_drain_cuts_what_does_not_end_within_the_grace_period() {
    let mut settings = settings(&["a"]);
    settings.grace = Duration::from_secs(5);
    let mut rig = Rig::new(settings);
    let mut node = rig.online();
    let call = node.call(&mut rig, "GET", &[], true);
    let local = rig.dialed(SERVICE);
    rig.connect(local);
    rig.drain();
    rig.wait(Duration::from_secs(5));
    node.pump(&mut rig);
    assert_eq!(node.heard(call).len(), 1);
    rig.wait(Duration::from_secs(3));
    assert!(rig.done);
    assert_eq!(rig.notes.last(), Some(&Note::Drained { cut: 1 }));
}

#[test]
fn a_drain_at_any_earlier_moment_ends_at_once() {
    let mut rig = Rig::new(settings(&["a"]));
    rig.drain();
    assert!(rig.done, "while dialling");
    let mut rig = Rig::new(settings(&["a"]));
    let conn = rig.dialed(SERVER);
    rig.connect(conn);
    rig.drain();
    assert!(rig.done && rig.closed.contains(&conn), "while shaking hands");
    let mut rig = Rig::new(settings(&["a"]));
    let conn = rig.dialed(SERVER);
    rig.refuse(conn);
    rig.drain();
    assert!(rig.done, "while waiting");
    assert!(Rig::new(settings(&[])).done, "without listeners");
}

proptest! {
    #[test]
    fn waits_are_full_jitter_that_doubles_up_to_its_bound(seed: u64) {
        let mut rig = Rig::seeded(settings(&["a"]), seed);
        let mut cap = Duration::from_millis(100);
        for _ in 0..14 {
            let conn = rig.dialed(SERVER);
            rig.refuse(conn);
            let notes = rig.take_notes();
            let [Note::Offline { retry, .. }] = notes[..] else { panic!("{notes:?}") };
            prop_assert!(retry <= cap, "{retry:?} of at most {cap:?}");
            if let Some(early) = retry.checked_sub(Duration::from_nanos(1)) {
                rig.wait(early);
                prop_assert!(rig.dials.is_empty());
            }
            rig.wait(Duration::from_nanos(1));
            cap = (cap * 2).min(Duration::from_secs(15));
        }
    }

    #[test]
    fn the_wait_starts_over_only_after_a_tunnel_has_held(seed: u64, held_ms in 0_u64..20_000) {
        let mut rig = Rig::seeded(settings(&["a"]), seed);
        for _ in 0..8 {
            let conn = rig.dialed(SERVER);
            rig.refuse(conn);
            rig.redial();
        }
        let mut node = rig.online();
        for _ in 0..held_ms / 1000 {
            rig.wait(Duration::from_secs(1));
            node.pump(&mut rig);
        }
        rig.wait(Duration::from_millis(held_ms % 1000));
        rig.lose(node.conn);
        let notes = rig.take_notes();
        let [.., Note::Offline { retry, .. }] = notes[..] else { panic!("{notes:?}") };
        let cap = if held_ms >= 10_000 { 100 } else { 15_000 };
        prop_assert!(retry <= Duration::from_millis(cap));
    }
}

#[test]
fn long_waits_do_happen() {
    let longest = (0..64).map(|seed| {
        let mut rig = Rig::seeded(settings(&["a"]), seed);
        for _ in 0..9 {
            let conn = rig.dialed(SERVER);
            rig.refuse(conn);
            rig.redial();
        }
        let mut longest = Duration::ZERO;
        for note in rig.take_notes() {
            if let Note::Offline { retry, .. } = note {
                longest = longest.max(retry);
            }
        }
        longest
    });
    assert!(longest.max().unwrap() > Duration::from_secs(12), "jitter reaches its bound");
}

impl Rig {
    fn agent_deadline(&self) -> Option<Instant> {
        use pico_core::Machine as _;
        self.agent.deadline()
    }
}
