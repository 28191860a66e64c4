//! How HTTP/1 connections end on the server side: aborts, FINs and losses, upgrades, which
//! make them another protocol's, and drains.

mod http1_kit;

use http1_kit::{Rig, data, lawful};
use pico_core::Reason;
use pico_core::http1::server::{Action, Input, Machine};
use std::time::Duration;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
const UPGRADE: &str =
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// A connection that has just read `text`, whose actions are taken.
fn after(text: &str) -> Rig<Machine> {
    let mut rig = Rig::server();
    rig.feed(text);
    rig.actions();
    rig
}

#[test]
fn an_abort_sends_what_waits_and_then_fin_where_that_shows_the_cut() {
    let mut rig = after(GET);
    rig.respond(200, &[], false);
    rig.body(b"hello", false);
    rig.input(Input::Abort);
    assert_eq!(rig.actions(), [Action::Finish]);
    let out = rig.out();
    assert!(out.ends_with("5\r\nhello\r\n"), "{out}");
    rig.input(Input::Eof);
    assert_eq!(rig.actions().last(), Some(&Action::Closed(Reason::Canceled)));
}

#[test]
fn an_abort_closes_at_once_where_a_fin_would_look_like_the_end() {
    let mut rig = after("GET / HTTP/1.0\r\n\r\n");
    rig.respond(200, &[], false);
    rig.body(b"hello", false);
    rig.input(Input::Abort);
    assert_eq!(rig.actions(), [Action::Closed(Reason::Canceled)]);
    assert!(rig.machine.outbox().is_empty());
    rig.feed(GET);
    rig.input(Input::Eof);
    assert!(rig.actions().is_empty());
    assert_eq!(rig.machine.room(), 0);
}

#[test]
fn a_fin_that_was_asked_for_is_taken_back_if_what_stood_before_it_is_lost() {
    let mut rig = after(UPGRADE);
    rig.respond(101, &[("Upgrade", "websocket")], false);
    rig.out();
    rig.body(b"hello", true);
    rig.input(Input::Abort);
    assert_eq!(rig.actions(), [Action::Closed(Reason::Canceled)]);
}

#[test]
fn a_fin_in_a_request_cancels_it() {
    let mut rig = after(POST);
    rig.feed("hel");
    rig.input(Input::Eof);
    assert!(rig.actions().is_empty(), "what came is still to be delivered");
    rig.input(Input::Credit(10));
    let expected = [
        Action::Data { bytes: data("hel"), end: false },
        Action::Canceled(Reason::Canceled),
        Action::Finish,
        Action::Closed(Reason::ConnectionLost),
    ];
    assert_eq!(rig.actions(), expected);
}

/// What becomes of a connection on which this comes and then FIN, and whose requests are answered
/// at their heads' end: what was written, and the last actions.
fn until_fin(pieces: &[&[u8]], answer: &dyn Fn(&mut Rig<Machine>)) -> (String, Vec<Action>) {
    let mut rig = Rig::server();
    let (mut out, mut last) = (String::new(), Vec::new());
    let mut serve = |rig: &mut Rig<Machine>| {
        loop {
            rig.input(Input::Credit(100));
            let actions = rig.actions();
            let asked = actions.iter().any(|a| matches!(a, Action::Request(_)));
            let kept = actions.into_iter().filter(|a| match a {
                Action::Canceled(_) | Action::Finish | Action::Closed(_) => true,
                Action::Request(_)
                | Action::Malformed(_)
                | Action::Data { .. }
                | Action::Trailers(_)
                | Action::Taken(_)
                | Action::Finished => false,
            });
            last.extend(kept);
            if asked {
                answer(rig);
            }
            let more = rig.out();
            if more.is_empty() && !asked {
                return;
            }
            out += &more;
        }
    };
    for piece in pieces {
        rig.feed(piece);
        serve(&mut rig);
    }
    rig.input(Input::Eof);
    serve(&mut rig);
    (out, last)
}

/// The first request on a connection is answered, others wait.
fn answer_the_first(rig: &mut Rig<Machine>) {
    rig.respond(200, &[("X-First", "1")], true);
}

#[test]
fn a_fin_in_a_later_request_leaves_the_answers_before_it_whole() {
    let whole = "HTTP/1.1 200 OK\r\nX-First: 1\r\nContent-Length: 0\r\n\r\n";
    let parting = |reason| [Action::Finish, Action::Closed(reason)];
    for rest in ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel", "POST / HT"] {
        let text = GET.to_owned() + rest;
        let told = lawful(text.as_bytes(), |pieces| {
            let first = std::cell::Cell::new(true);
            until_fin(pieces, &|rig| {
                if first.replace(false) {
                    answer_the_first(rig);
                }
            })
        });
        let body = rest.ends_with("hel");
        let canceled = body.then_some(Action::Canceled(Reason::Canceled));
        let end: Vec<_> = canceled.into_iter().chain(parting(Reason::ConnectionLost)).collect();
        assert_eq!(told, (whole.into(), end), "{rest:?}");
    }
    // An interim response that waits is for nobody.
    let mut rig = after(POST);
    rig.input(Input::Credit(10));
    rig.respond(103, &[], false);
    rig.input(Input::Eof);
    let [finish, closed] = parting(Reason::ConnectionLost);
    assert_eq!(rig.actions(), [Action::Canceled(Reason::Canceled), finish, closed]);
    assert!(!rig.machine.was_cut());
}

/// RFC 9112, section 9.5: so a client does that sees the response to a body which it still sends.
#[test]
fn who_stops_sending_at_a_response_gets_the_whole_of_it() {
    let text = POST.to_owned() + "hel";
    let answer = |rig: &mut Rig<Machine>| rig.respond(413, &[], false);
    let (head, last) = lawful(text.as_bytes(), |pieces| until_fin(pieces, &answer));
    assert!(head.starts_with("HTTP/1.1 413 ") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(last.is_empty(), "the response may go on: {last:?}");

    let begun = || {
        let mut rig = after(&text);
        rig.input(Input::Credit(10));
        rig.respond(413, &[], false);
        rig.input(Input::Eof);
        rig.actions();
        rig
    };
    let mut rig = begun();
    rig.body(b"too large", true);
    assert!(rig.out().ends_with("\r\n9\r\ntoo large\r\n0\r\n\r\n"));
    let end = [Action::Taken(9), Action::Finish, Action::Closed(Reason::Closed)];
    let actions = rig.actions();
    assert!(end.iter().all(|action| actions.contains(action)), "{actions:?}");

    let mut rig = begun();
    rig.out();
    rig.wait(Duration::from_secs(1));
    let gone = [
        Action::Canceled(Reason::Canceled),
        Action::Finish,
        Action::Closed(Reason::ConnectionLost),
    ];
    assert_eq!(rig.actions(), gone, "it said no more");
}

#[test]
fn who_has_finished_may_take_a_complete_response_slowly() {
    let mut rig = after(GET);
    rig.input(Input::Eof);
    rig.respond(200, &[("Content-Length", "2")], false);
    rig.body(b"ok", true);
    rig.wait(Duration::from_secs(5));
    assert_eq!(rig.actions(), [Action::Finish]);
    assert!(rig.out().ends_with("ok"));
    assert_eq!(rig.actions().last(), Some(&Action::Closed(Reason::Closed)));
}

/// Otherwise the driver resets the connection, and what the client has not got yet is lost.
#[test]
fn a_fin_behind_the_last_request_is_answered_by_one_as_soon_as_all_is_sent() {
    for (rest, reason) in
        [("", Reason::Closed), ("\r\n", Reason::Closed), ("GET / HT", Reason::ConnectionLost)]
    {
        let parting = [Action::Finish, Action::Closed(reason)];
        let mut rig = after(GET);
        rig.feed(rest);
        rig.respond(200, &[], true);
        rig.input(Input::Eof);
        assert!(rig.actions().is_empty(), "the response waits");
        assert!(!rig.out().is_empty());
        let [finish, closed] = parting;
        assert_eq!(rig.actions(), [Action::Finished, finish, closed], "{rest:?}");
        let parting = [Action::Finish, Action::Closed(reason)];
        let mut rig = after(GET);
        rig.respond(200, &[], true);
        rig.out();
        rig.actions();
        rig.feed(rest);
        rig.input(Input::Eof);
        assert_eq!(rig.actions(), parting, "{rest:?}");
    }
}

#[test]
fn a_fin_in_a_head_closes_silently() {
    for text in ["", "\r\n", "GET / HT"] {
        let mut rig = after(text);
        rig.input(Input::Eof);
        assert!(matches!(rig.actions()[..], [Action::Finish, Action::Closed(_)]));
        assert!(rig.machine.outbox().is_empty());
    }
}

#[test]
fn a_response_that_moves_survives_a_fin_and_a_silent_one_does_not() {
    let mut rig = after(GET);
    rig.input(Input::Eof);
    rig.wait(Duration::from_millis(900));
    rig.respond(200, &[], false);
    for _ in 0..5 {
        rig.wait(Duration::from_millis(900));
        rig.body(b"x", false);
        rig.out();
    }
    let taken = rig.actions().into_iter().all(|a| matches!(a, Action::Taken(1)));
    assert!(taken);
    rig.wait(Duration::from_secs(1));
    let gone = [
        Action::Canceled(Reason::Canceled),
        Action::Finish,
        Action::Closed(Reason::ConnectionLost),
    ];
    assert_eq!(rig.actions(), gone);
}

#[test]
fn a_complete_response_after_a_fin_closes_the_connection() {
    let mut rig = after(GET);
    rig.input(Input::Eof);
    rig.respond(200, &[], true);
    assert!(rig.out().contains("Connection: close"));
    let expected = [Action::Finish, Action::Finished, Action::Closed(Reason::Closed)];
    assert_eq!(rig.actions(), expected);
}

#[test]
fn a_lost_connection_cancels_what_is_under_way() {
    let mut rig = after(GET);
    rig.input(Input::Lost);
    let gone = [Action::Canceled(Reason::Canceled), Action::Closed(Reason::ConnectionLost)];
    assert_eq!(rig.actions(), gone);
    let mut rig = Rig::server();
    rig.input(Input::Lost);
    assert_eq!(rig.actions(), [Action::Closed(Reason::ConnectionLost)]);
}

#[test]
fn an_upgrade_turns_both_directions_raw() {
    let mut rig = Rig::server();
    rig.feed(format!("{UPGRADE}raw"));
    let [Action::Request(request)] = &rig.actions()[..] else { panic!("one request") };
    assert!(request.upgrade && !request.end);
    rig.respond(101, &[("Upgrade", "websocket")], false);
    let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                    Connection: Upgrade\r\n\r\n";
    assert_eq!(rig.out(), expected);
    rig.input(Input::Credit(10));
    assert_eq!(rig.actions(), [Action::Data { bytes: data("raw"), end: false }]);
    rig.body(b"back", false);
    assert_eq!(rig.out(), "back");
    rig.input(Input::Eof);
    let end = Action::Data { bytes: data(""), end: true };
    assert_eq!(rig.actions(), [Action::Taken(4), end]);
    rig.body(b"bye", true);
    assert_eq!(rig.out(), "bye");
    let expected = [Action::Finish, Action::Taken(3), Action::Closed(Reason::Closed)];
    assert_eq!(rig.actions(), expected);
}

#[test]
fn a_fin_that_came_with_the_offer_is_seen_right_behind_the_bytes_before_it() {
    let mut rig = after(UPGRADE);
    rig.feed("raw");
    rig.input(Input::Eof);
    rig.respond(101, &[("Upgrade", "websocket")], false);
    rig.out();
    assert!(rig.actions().is_empty());
    rig.input(Input::Credit(2));
    assert_eq!(rig.actions(), [Action::Data { bytes: data("ra"), end: false }]);
    rig.input(Input::Credit(10));
    assert_eq!(rig.actions(), [Action::Data { bytes: data("w"), end: true }]);
}

#[test]
fn what_came_behind_an_upgrade_goes_to_whoever_takes_over() {
    let mut rig = after(&format!("{UPGRADE}raw"));
    rig.respond(101, &[("Upgrade", "websocket")], false);
    let (input, outbox) = rig.machine.into_raw();
    assert_eq!(&input[..], b"raw");
    assert!(!outbox.is_empty());
}

#[test]
fn an_upgrade_that_is_declined_is_an_ordinary_request() {
    let mut rig = after(&format!("{UPGRADE}{GET}"));
    rig.respond(200, &[], true);
    rig.out();
    assert!(matches!(rig.actions()[..], [Action::Finished, Action::Request(_)]));
}

#[test]
fn an_upgrade_is_offered_only_where_it_can_be_granted() {
    for text in [
        "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x, H2C\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nUpgrade: h2c/\r\n\r\n",
    ] {
        let mut rig = Rig::server();
        rig.feed(text);
        let [Action::Request(request)] = &rig.actions()[..] else { panic!("{text}") };
        assert!(!request.upgrade, "{text}");
    }
}

#[test]
fn a_switch_that_nobody_asked_for_cancels() {
    let mut rig = after(GET);
    rig.respond(101, &[("Upgrade", "x")], false);
    let gone = [Action::Canceled(Reason::BadResponse), Action::Closed(Reason::BadResponse)];
    assert_eq!(rig.actions(), gone);
}

#[test]
fn a_drain_finishes_what_is_under_way() {
    let mut rig = after(GET);
    rig.input(Input::Drain);
    rig.respond(200, &[], true);
    assert!(rig.out().contains("Connection: close"));
    assert_eq!(rig.actions(), [Action::Finish, Action::Finished]);
    rig.input(Input::Eof);
    assert_eq!(rig.actions(), [Action::Closed(Reason::Closed)]);
}

#[test]
fn a_drain_answers_what_was_sent_before_anybody_said_close() {
    for part in [GET, "G", "\r\nG"] {
        let mut rig = after(&format!("{GET}{part}"));
        rig.respond(200, &[], false);
        rig.input(Input::Drain);
        rig.body(b"", true);
        assert!(!rig.out().contains("Connection: close"));
        rig.feed(GET.strip_prefix(part.trim_start()).unwrap());
        let actions = rig.actions();
        assert!(matches!(actions[..], [Action::Finished, Action::Request(_)]), "{actions:?}");
        rig.feed(GET);
        rig.respond(200, &[], true);
        assert!(rig.out().contains("Connection: close"));
        assert_eq!(rig.actions(), [Action::Finish, Action::Finished]);
    }
    let mut rig = after(&format!("{GET}\r\n"));
    rig.respond(200, &[], false);
    rig.input(Input::Drain);
    rig.body(b"", true);
    rig.out();
    assert_eq!(rig.actions(), [Action::Finished, Action::Finish]);
}

#[test]
fn a_drain_closes_an_idle_connection_and_lets_a_new_one_ask() {
    let mut rig = after(GET);
    rig.respond(200, &[], true);
    rig.out();
    rig.actions();
    rig.input(Input::Drain);
    assert_eq!(rig.actions(), [Action::Finish]);
    rig.wait(Duration::from_secs(2));
    assert_eq!(rig.actions(), [Action::Closed(Reason::Closed)]);

    let mut rig = Rig::server();
    rig.input(Input::Drain);
    rig.feed(GET);
    assert!(matches!(rig.actions()[..], [Action::Request(_)]));
    let mut rig = Rig::server();
    rig.input(Input::Drain);
    rig.wait(Duration::from_secs(2));
    assert_eq!(rig.actions(), [Action::Finish, Action::Closed(Reason::Draining)]);
}
