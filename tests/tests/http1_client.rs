//! The client side of HTTP/1 connections, rule by rule.

mod http1_kit;

use http1_kit::{Rig, data, fields, lawful, request};
use pico_core::http1::client::{Action, Input, Machine};
use pico_core::{Limits, Machine as _, Reason};

const EMPTY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A connection on which a request without a body has gone out.
fn asked(method: &str) -> Rig<Machine> {
    let mut rig = Rig::client();
    ask(&mut rig, method);
    rig
}

fn ask(rig: &mut Rig<Machine>, method: &str) {
    rig.ask(method, &[("Host", "a")], true);
    rig.out();
    assert!(rig.actions().is_empty());
}

/// A connection that was used before, and on which another request has gone out.
fn reused() -> Rig<Machine> {
    let mut rig = asked("GET");
    rig.feed(EMPTY);
    assert!(matches!(rig.actions()[..], [Action::Response { end: true, .. }, Action::Idle]));
    ask(&mut rig, "GET");
    rig
}

fn failed(actions: &[Action]) -> Option<(Reason, bool)> {
    actions.iter().find_map(|action| {
        if let Action::Failed { reason, started } = action {
            Some((*reason, *started))
        } else {
            None
        }
    })
}

/// The actions, with response heads as their status codes.
fn statuses(actions: &[Action]) -> Vec<u16> {
    let status = |action: &Action| {
        if let Action::Response { head, .. } = action { Some(head.status.as_u16()) } else { None }
    };
    actions.iter().filter_map(status).collect()
}

#[test]
fn requests_are_framed_as_their_heads_say() {
    let mut rig = Rig::client();
    rig.ask("POST", &[("Host", "a"), ("Content-Length", "5")], false);
    rig.body(b"hello", true);
    assert_eq!(rig.out(), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(rig.actions(), [Action::Taken(5)]);

    let mut rig = Rig::client();
    rig.ask("POST", &[("Host", "a"), ("Connection", "x"), ("Transfer-Encoding", "y")], false);
    rig.body(b"hello", false);
    rig.input(Input::Trailers(fields(&[("X", "y")])));
    let expected = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                    5\r\nhello\r\n0\r\nX: y\r\n\r\n";
    assert_eq!(rig.out(), expected);
}

#[test]
fn a_request_that_contradicts_its_length_fails() {
    for lengths in [&["5"][..], &["0", "0"], &["+0"]] {
        let mut rig = Rig::client();
        let list: Vec<_> = lengths.iter().map(|l| ("Content-Length", *l)).collect();
        rig.ask("POST", &list, true);
        assert_eq!(failed(&rig.actions()), Some((Reason::BadFraming, false)), "{lengths:?}");
    }
    for pieces in [&["hello!"][..], &["hello", "!"], &["hel"]] {
        let mut rig = Rig::client();
        rig.ask("POST", &[("Content-Length", "5")], false);
        for piece in pieces {
            rig.body(piece.as_bytes(), false);
        }
        let out = rig.out();
        rig.body(b"", true);
        assert!(out.split_once("\r\n\r\n").is_none_or(|(_, body)| body.len() < 5), "{out}");
        assert_eq!(failed(&rig.actions()).map(|f| f.0), Some(Reason::BadFraming), "{pieces:?}");
    }
}

#[test]
fn exchanges_follow_one_another() {
    let mut rig = reused();
    assert!(!rig.machine.is_idle());
    rig.feed(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    );
    let actions = rig.actions();
    assert!(matches!(actions[..], [Action::Response { end: false, .. }]));
    assert_eq!(rig.machine.room(), 0);
    rig.input(Input::Credit(100));
    let expected = [
        Action::Data { bytes: data("hello"), end: false },
        Action::Trailers(fields(&[("X", "y")])),
        Action::Idle,
    ];
    assert_eq!(rig.actions(), expected);
    assert!(rig.machine.is_idle());
}

#[test]
fn interim_responses_come_before_the_final_one() {
    let mut rig = asked("GET");
    rig.feed(format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nLink: x\r\n\r\n{EMPTY}"));
    let actions = rig.actions();
    assert_eq!(statuses(&actions), [100, 103, 200]);
    assert_eq!(actions.last(), Some(&Action::Idle));
}

#[test]
fn interim_responses_are_bounded() {
    let mut rig = asked("GET");
    rig.feed("HTTP/1.1 100 Continue\r\n\r\n".repeat(1001));
    assert_eq!(failed(&rig.actions()), Some((Reason::BadResponse, true)));
}

#[test]
fn responses_without_bodies_end_with_their_heads() {
    for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304)] {
        let mut rig = asked(method);
        rig.feed(format!("HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\n"));
        let actions = rig.actions();
        assert!(matches!(actions[..], [Action::Response { end: true, .. }, Action::Idle]));
    }
}

#[test]
fn a_body_without_a_length_ends_with_the_connection() {
    let mut rig = asked("GET");
    rig.input(Input::Credit(100));
    rig.feed("HTTP/1.1 200 OK\r\n\r\nhello");
    rig.actions();
    rig.input(Input::Eof);
    let end = Action::Data { bytes: data(""), end: true };
    assert_eq!(rig.actions(), [end, Action::Finish, Action::Closed(Reason::Closed)]);
}

#[test]
fn a_connection_is_reused_only_if_both_sides_allow() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        let mut rig = asked("GET");
        rig.feed(head);
        let actions = rig.actions();
        assert_eq!(actions.last(), Some(&Action::Closed(Reason::Closed)), "{head}");
        assert!(!actions.contains(&Action::Idle));
        assert_eq!(failed(&actions), None);
    }
    let mut rig = asked("GET");
    rig.feed("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
    assert!(rig.actions().contains(&Action::Idle));
}

#[test]
fn a_response_before_the_end_of_the_request_is_delivered_and_ends_the_connection() {
    let mut rig = Rig::client();
    rig.ask("POST", &[("Host", "a")], false);
    rig.out();
    rig.feed("HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n");
    let actions = rig.actions();
    assert_eq!(statuses(&actions), [413]);
    assert_eq!(actions.last(), Some(&Action::Closed(Reason::Closed)));
    assert_eq!(failed(&actions), None);
}

#[test]
fn a_connection_on_which_a_body_may_be_taken_for_a_request_is_not_used_again() {
    let refused = "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n";
    let [ask, hint] = ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Hint\r\n\r\n"];
    for (before, idle) in [
        (String::new(), false),
        (hint.into(), false),
        (ask.into(), true),
        (ask.to_owned() + hint, true),
    ] {
        for last in [EMPTY, refused] {
            let mut rig = Rig::client();
            let fields = [("Host", "a"), ("Expect", "100-continue"), ("Content-Length", "5")];
            rig.ask("PUT", &fields, false);
            rig.body(b"hello", true);
            rig.out();
            rig.feed(before.clone() + last);
            let actions = rig.actions();
            assert_eq!(actions.contains(&Action::Idle), idle, "{before}{last}");
            assert_eq!(actions.contains(&Action::Closed(Reason::Closed)), !idle, "{before}{last}");
        }
    }
}

#[test]
fn what_comes_on_an_idle_connection_closes_it() {
    let mut rig = asked("GET");
    rig.feed(format!("{EMPTY}x"));
    let actions = rig.actions();
    assert_eq!(actions[1..], [Action::Idle, Action::Closed(Reason::BadResponse)]);
    assert!(!rig.machine.is_idle());
    let mut rig = Rig::client();
    rig.input(Input::Eof);
    assert_eq!(rig.actions(), [Action::Finish, Action::Closed(Reason::Closed)]);
}

#[test]
fn a_failure_says_whether_the_request_may_have_been_seen() {
    // Nothing went out.
    let mut rig = Rig::client();
    rig.ask("GET", &[], true);
    rig.input(Input::Eof);
    assert_eq!(failed(&rig.actions()), Some((Reason::ConnectionLost, false)));
    // Something went out on a new connection.
    for input in [Input::Eof, Input::Lost] {
        let mut rig = asked("GET");
        rig.input(input);
        assert_eq!(failed(&rig.actions()), Some((Reason::ConnectionLost, true)));
    }
    // The server closed while we began to use the connection again.
    for input in [Input::Eof, Input::Lost] {
        let mut rig = reused();
        rig.input(input);
        assert_eq!(failed(&rig.actions()), Some((Reason::ConnectionLost, false)));
    }
    // It had begun to answer.
    let mut rig = reused();
    rig.feed("HTTP/1.1 2");
    rig.input(Input::Eof);
    assert_eq!(failed(&rig.actions()), Some((Reason::BadResponse, true)));
}

#[test]
fn an_answer_to_no_request_is_not_taken_for_one() {
    let mut rig = asked("GET");
    rig.feed(EMPTY);
    rig.actions();
    rig.ask("POST", &[], true);
    rig.feed("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
    let lost = Action::Failed { reason: Reason::ConnectionLost, started: false };
    assert_eq!(rig.actions(), [lost, Action::Closed(Reason::ConnectionLost)]);
}

#[test]
fn responses_that_cannot_be_read_fail() {
    for text in [
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n\r\n",
    ] {
        let actions = lawful(text.as_bytes(), |pieces| {
            let mut rig = asked("GET");
            for piece in pieces {
                rig.feed(piece);
            }
            rig.actions()
        });
        let lost = Action::Failed { reason: Reason::BadResponse, started: true };
        assert_eq!(actions, [lost, Action::Closed(Reason::BadResponse)], "{text}");
    }
    let mut rig = asked("GET");
    rig.feed(vec![b'x'; Limits::default().head_bytes + 1]);
    assert_eq!(failed(&rig.actions()), Some((Reason::BadResponse, true)));
}

#[test]
fn an_upgrade_turns_both_directions_raw() {
    let mut rig = Rig::client();
    let head = request("GET", "/", &[("Host", "a"), ("Upgrade", "x")]);
    rig.input(Input::Request { head, end: false, upgrade: true });
    let expected = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n";
    assert_eq!(rig.out(), expected);
    rig.feed("HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nraw");
    assert_eq!(statuses(&rig.actions()), [101]);
    rig.input(Input::Credit(10));
    assert_eq!(rig.actions(), [Action::Data { bytes: data("raw"), end: false }]);
    rig.body(b"bye", true);
    assert_eq!(rig.out(), "bye");
    assert_eq!(rig.actions(), [Action::Finish, Action::Taken(3)]);
    rig.input(Input::Eof);
    let end = Action::Data { bytes: data(""), end: true };
    assert_eq!(rig.actions(), [end, Action::Closed(Reason::Closed)]);
}

#[test]
fn a_switch_to_what_was_not_offered_is_no_response() {
    let offer = [("Host", "a"), ("Upgrade", "x/1, Y"), ("Upgrade", "z")];
    for (granted, switches) in [
        ("Upgrade: x\r\n", true),
        ("Upgrade: X/2, y\r\n", true),
        ("Upgrade: z\r\nUpgrade: y\r\n", true),
        ("Upgrade: w\r\n", false),
        ("Upgrade: x, w\r\n", false),
        ("Upgrade: xy\r\n", false),
        ("Upgrade: x\r\nUpgrade: w\r\n", false),
        ("Upgrade: \r\n", false),
        ("", false),
    ] {
        let text = format!("HTTP/1.1 101 S\r\nConnection: Upgrade\r\n{granted}\r\n");
        let actions = lawful(text.as_bytes(), |pieces| {
            let mut rig = Rig::client();
            let head = request("GET", "/", &offer);
            rig.input(Input::Request { head, end: false, upgrade: true });
            rig.out();
            for piece in pieces {
                rig.feed(piece);
            }
            rig.actions()
        });
        assert_eq!(statuses(&actions) == [101], switches, "{granted}");
        assert_eq!(failed(&actions).is_none(), switches, "{granted}");
    }
}

#[test]
fn an_upgrade_that_is_declined_is_an_ordinary_exchange() {
    let mut rig = Rig::client();
    let head = request("GET", "/", &[("Host", "a"), ("Upgrade", "x")]);
    rig.input(Input::Request { head, end: false, upgrade: true });
    rig.out();
    rig.feed(EMPTY);
    assert!(matches!(rig.actions()[..], [Action::Response { end: true, .. }, Action::Idle]));
}

#[test]
fn a_service_that_does_not_answer_or_read_times_out() {
    let limits = Limits::default();
    let mut rig = asked("GET");
    rig.wait(limits.response_timeout / 2);
    rig.feed("HTTP/1.1 100 Continue\r\n\r\n");
    rig.actions();
    rig.wait(limits.response_timeout / 2);
    assert_eq!(failed(&rig.actions()), Some((Reason::UpstreamTimeout, true)));

    let mut rig = Rig::client();
    rig.ask("GET", &[], true);
    rig.wait(limits.write_timeout);
    assert_eq!(failed(&rig.actions()), Some((Reason::WriteTimeout, false)));

    let mut rig = asked("GET");
    rig.feed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
    assert_eq!(rig.machine.deadline(), None, "a response that has begun may take its time");
}

#[test]
fn an_abort_closes_at_once() {
    let mut rig = asked("GET");
    rig.input(Input::Abort);
    assert_eq!(rig.actions(), [Action::Closed(Reason::Canceled)]);
    rig.feed(EMPTY);
    assert!(rig.actions().is_empty() && rig.machine.room() == 0);
}
