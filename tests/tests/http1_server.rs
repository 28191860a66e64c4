//! The server side of HTTP/1 connections, rule by rule.

mod http1_kit;

use http1_kit::{Rig, data, fields, response};
use pico_core::http1::client;
use pico_core::http1::server::{Action, Input, Machine};
use pico_core::{Limits, Machine as _, Reason};
use std::time::Duration;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
const OLD: &str = "GET / HTTP/1.0\r\n\r\n";

fn malformed(actions: &[Action]) -> Option<Reason> {
    actions.iter().find_map(|a| if let Action::Malformed(r) = a { Some(*r) } else { None })
}

fn closed(actions: &[Action]) -> Option<Reason> {
    actions.iter().find_map(|a| if let Action::Closed(r) = a { Some(*r) } else { None })
}

/// A connection that has just read `text`, whose actions are taken.
fn after(text: &str) -> Rig<Machine> {
    let mut rig = Rig::server();
    rig.feed(text);
    rig.actions();
    rig
}

#[test]
fn a_request_arrives_as_it_was_sent() {
    let mut rig = Rig::server();
    rig.feed(b"GET /a?b HTTP/1.1\r\nHost: x\r\nX-Odd:  v \t\r\nx-odd: \xe4\r\n\r\n");
    let [Action::Request(request)] = &rig.actions()[..] else { panic!("one request") };
    assert_eq!(request.head.target(), b"/a?b");
    assert!(request.end && !request.upgrade);
    let names: Vec<_> = request.head.fields.iter().map(|(n, _)| n.to_vec()).collect();
    assert_eq!(names, [&b"Host"[..], b"X-Odd", b"x-odd"]);
    assert_eq!(request.head.fields.get("x-odd"), Some(&b"v"[..]));
}

#[test]
fn one_empty_line_before_a_request_is_skipped() {
    let mut rig = Rig::server();
    rig.feed(format!("\r\n{GET}"));
    assert!(matches!(rig.actions()[..], [Action::Request(_)]));
    let mut rig = Rig::server();
    rig.feed(format!("\r\n\r\n{GET}"));
    assert_eq!(malformed(&rig.actions()), Some(Reason::BadRequest));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut rig = Rig::server();
    rig.feed(format!("{GET}{POST}hello{GET}"));
    assert!(matches!(rig.actions()[..], [Action::Request(_)]));
    rig.respond(200, &[], true);
    assert_eq!(rig.out(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let actions = rig.actions();
    assert!(matches!(actions[..], [Action::Finished, Action::Request(_)]), "{actions:?}");
    rig.input(Input::Credit(100));
    assert_eq!(rig.actions(), [Action::Data { bytes: data("hello"), end: true }]);
    rig.respond(200, &[("content-length", "2")], false);
    rig.body(b"ok", true);
    rig.out();
    let actions = rig.actions();
    let [Action::Taken(2), Action::Finished, Action::Request(_)] = actions[..] else {
        panic!("{actions:?}")
    };
}

#[test]
fn pipelined_input_is_bounded() {
    let mut rig = after(GET);
    while rig.machine.room() > 0 {
        rig.feed(GET.repeat(100));
    }
    assert!(rig.actions().is_empty());
}

#[test]
fn a_body_is_delivered_only_against_credit() {
    let mut rig = after(&format!("{POST}hello"));
    assert_eq!(rig.machine.room(), 0);
    rig.input(Input::Credit(2));
    assert_eq!(rig.actions(), [Action::Data { bytes: data("he"), end: false }]);
    rig.input(Input::Credit(3));
    assert_eq!(rig.actions(), [Action::Data { bytes: data("llo"), end: true }]);
    assert!(rig.machine.room() > 0, "to notice a FIN");
}

#[test]
fn chunks_and_trailers_are_taken_apart() {
    let mut rig = after("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    rig.input(Input::Credit(100));
    rig.feed("5;a=\"b\"\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\nContent-Length: 3\r\n\r\n");
    let trailers = Action::Trailers(fields(&[("X-Sum", "1")]));
    assert_eq!(rig.actions(), [Action::Data { bytes: data("hello!"), end: false }, trailers]);
}

#[test]
fn trailers_that_connection_names_are_of_this_hop() {
    let hop = "Connection: x-hop, close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut rig = after(&format!("POST / HTTP/1.1\r\nHost: a\r\n{hop}"));
    rig.feed("0\r\nX-Hop: 1\r\nClose: 1\r\nX-T: 1\r\n\r\n");
    let trailers = fields(&[("Close", "1"), ("X-T", "1")]);
    assert_eq!(rig.actions(), [Action::Trailers(trailers)]);
}

#[test]
fn a_response_without_a_length_is_chunked() {
    let mut rig = after(GET);
    rig.respond(200, &[("X-A", "b")], false);
    rig.body(b"hello", false);
    let list = [("X-Sum", "1"), ("Content-Length", "9"), ("Host", "b"), ("X-Pico-A", "b")];
    rig.input(Input::Trailers(fields(&list)));
    let expected = "HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n\
                    5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n";
    assert_eq!(rig.out(), expected);
    assert_eq!(rig.actions(), [Action::Taken(5), Action::Finished]);
    assert!(rig.machine.is_idle());
}

#[test]
fn tiny_pieces_that_wait_together_become_one_chunk() {
    let body: Vec<u8> = (0..10_000).map(|n: u32| b'a' + u8::try_from(n % 26).unwrap()).collect();
    for (size, taken) in [(1, 0), (1, 1), (1, 7), (15, 0), (16, 3), (255, 0), (700, 0), (1025, 0)] {
        let mut rig = after(GET);
        rig.respond(200, &[], false);
        let head = rig.out();
        let mut wire = Vec::new();
        for (at, piece) in body.chunks(size).enumerate() {
            rig.body(piece, false);
            let waits = rig.machine.outbox().len();
            if at % 100 == 99 && taken > 0 {
                let bytes: Vec<u8> =
                    rig.machine.outbox().pieces().flatten().copied().take(taken).collect();
                rig.input(Input::Sent(taken));
                wire.extend(bytes);
                assert_eq!(rig.machine.outbox().len(), waits - taken);
            }
        }
        assert!(wire.len() + rig.machine.outbox().len() < body.len() * 21 / 20, "{size}");
        rig.body(b"", true);
        wire.extend(rig.out().into_bytes());
        assert!(rig.actions().contains(&Action::Finished));

        let mut client = Rig::client();
        client.ask("GET", &[("Host", "a")], true);
        client.out();
        client.feed(head);
        client.input(client::Input::Credit(1 << 20));
        client.feed(wire);
        let read = client.actions().into_iter().filter_map(|action| {
            if let client::Action::Data { bytes, .. } = action { Some(bytes) } else { None }
        });
        assert_eq!(read.flatten().collect::<Vec<u8>>(), body, "{size} {taken}");
    }
}

#[test]
fn an_old_client_gets_no_chunks_and_no_interim_response() {
    let mut rig = after(OLD);
    rig.respond(103, &[], false);
    rig.respond(200, &[], false);
    rig.body(b"hello", true);
    assert_eq!(rig.out(), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello");
    assert_eq!(rig.actions(), [Action::Finish, Action::Taken(5), Action::Finished]);
    rig.input(Input::Eof);
    assert_eq!(rig.actions(), [Action::Closed(Reason::Closed)]);
}

#[test]
fn an_old_client_may_ask_to_stay() {
    let mut rig = after("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    rig.respond(200, &[], true);
    let expected = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n";
    assert_eq!(rig.out(), expected);
    assert_eq!(rig.actions(), [Action::Finished]);
}

#[test]
fn interim_responses_pass_and_do_not_end_the_exchange() {
    let mut rig = after(GET);
    rig.respond(103, &[("Link", "</a>"), ("Content-Length", "4")], false);
    assert_eq!(rig.out(), "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    assert!(rig.actions().is_empty());
    rig.respond(204, &[("Content-Length", "4")], true);
    assert_eq!(rig.out(), "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(rig.actions(), [Action::Finished]);
}

#[test]
fn responses_that_have_no_body_carry_none() {
    for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304)] {
        let mut rig = after(&format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
        rig.respond(status, &[], false);
        rig.body(b"hello", true);
        let out = rig.out();
        assert!(out.ends_with("\r\n\r\n") && !out.contains("hello"), "{out}");
        assert!(!out.contains("Transfer-Encoding"), "{out}");
        assert_eq!(rig.actions(), [Action::Taken(5), Action::Finished]);
    }
}

#[test]
fn a_head_response_keeps_its_length() {
    let mut rig = after("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    rig.respond(200, &[("Content-Length", "12")], true);
    assert_eq!(rig.out(), "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n");
    assert_eq!(rig.actions(), [Action::Finished]);
}

#[test]
fn an_answer_before_the_request_is_complete_closes_with_linger() {
    let mut rig = after(POST);
    rig.respond(413, &[], false);
    rig.body(b"no", true);
    assert!(rig.out().contains("Connection: close\r\n"));
    assert_eq!(rig.actions(), [Action::Finish, Action::Taken(2)]);
    let room = rig.machine.room();
    assert_eq!(room, Limits::default().linger_bytes);
    rig.feed("hel");
    assert_eq!(rig.machine.room(), room - 3);
    assert!(rig.actions().is_empty());
    rig.wait(Duration::from_secs(2));
    assert_eq!(rig.actions(), [Action::Closed(Reason::Closed)]);
    assert_eq!(rig.machine.deadline(), None);
}

#[test]
fn lingering_ends_with_fin_or_too_many_bytes() {
    for flood in [false, true] {
        let mut rig = after(POST);
        rig.respond(413, &[], true);
        rig.out();
        rig.actions();
        if flood {
            rig.feed(vec![b'x'; Limits::default().linger_bytes]);
        } else {
            rig.input(Input::Eof);
        }
        assert_eq!(rig.actions(), [Action::Closed(Reason::Closed)]);
    }
}

#[test]
fn a_malformed_request_is_answered_and_closed() {
    let mut rig = Rig::server();
    rig.feed(format!("GET / HTTP/1.1\nHost: a\n\n{GET}"));
    assert_eq!(rig.actions(), [Action::Malformed(Reason::BadRequest)]);
    rig.feed(GET);
    rig.respond(400, &[("content-length", "3")], false);
    rig.body(b"bad", true);
    let out = rig.out();
    assert!(out.contains("Connection: close\r\n") && out.ends_with("\r\n\r\nbad"), "{out}");
    assert_eq!(rig.actions(), [Action::Finish, Action::Taken(3)]);
    rig.wait(Duration::from_secs(2));
    assert_eq!(rig.actions(), [Action::Closed(Reason::Closed)]);
}

#[test]
fn a_malformed_chunk_is_refused_or_cancels() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut rig = after(head);
    rig.feed("5\nhello");
    assert_eq!(rig.actions(), [Action::Malformed(Reason::BadFraming)]);
    rig.respond(400, &[], true);
    assert!(rig.out().starts_with("HTTP/1.1 400"));

    let mut rig = after(head);
    rig.respond(200, &[], false);
    rig.feed("x");
    rig.feed("\r\n");
    assert_eq!(rig.actions(), [Action::Canceled(Reason::BadFraming), Action::Finish]);
    rig.out();
    rig.input(Input::Eof);
    assert_eq!(rig.actions(), [Action::Closed(Reason::BadFraming)]);
}

#[test]
fn silence_before_a_request_closes_silently() {
    let limits = Limits::default();
    let mut rig = Rig::server();
    assert_eq!(rig.machine.deadline(), Some(rig.now + limits.head_timeout));
    rig.wait(limits.head_timeout);
    assert_eq!(rig.actions(), [Action::Finish, Action::Closed(Reason::HeadTimeout)]);

    let mut rig = after(GET);
    rig.respond(200, &[], true);
    rig.out();
    rig.actions();
    rig.feed("\r\n");
    assert_eq!(rig.machine.deadline(), Some(rig.now + limits.idle_timeout));
    rig.wait(limits.idle_timeout);
    assert_eq!(rig.actions(), [Action::Finish, Action::Closed(Reason::IdleTimeout)]);
}

#[test]
fn part_of_a_head_is_answered_when_time_is_up() {
    let limits = Limits::default();
    let mut rig = Rig::server();
    rig.wait(limits.head_timeout / 2);
    rig.feed("GET /");
    rig.wait(limits.head_timeout / 2);
    assert_eq!(rig.actions(), [Action::Malformed(Reason::HeadTimeout)]);

    let mut rig = after(GET);
    rig.respond(200, &[], true);
    rig.out();
    rig.actions();
    rig.wait(limits.head_timeout * 2);
    rig.feed("G");
    rig.wait(limits.head_timeout / 2);
    rig.feed("E");
    rig.wait(limits.head_timeout / 2);
    assert_eq!(rig.actions(), [Action::Malformed(Reason::HeadTimeout)]);
}

#[test]
fn a_stalled_body_times_out_only_while_there_is_credit() {
    let span = Limits::default().body_timeout;
    let mut rig = after(POST);
    rig.wait(span * 2);
    rig.input(Input::Credit(10));
    rig.wait(span / 2);
    rig.feed("he");
    rig.wait(span / 2);
    assert_eq!(rig.actions(), [Action::Data { bytes: data("he"), end: false }]);
    rig.wait(span / 2);
    assert_eq!(rig.actions(), [Action::Malformed(Reason::BodyTimeout)]);

    let mut rig = after(POST);
    rig.input(Input::Credit(10));
    rig.respond(200, &[], false);
    rig.out();
    rig.wait(span);
    assert_eq!(rig.actions(), [Action::Canceled(Reason::BodyTimeout), Action::Finish]);
    rig.wait(Limits::default().linger_timeout);
    assert_eq!(rig.actions(), [Action::Closed(Reason::BodyTimeout)]);
}

#[test]
fn whoever_waits_to_be_asked_for_a_body_is_not_late_with_it() {
    let span = Limits::default().body_timeout;
    let expecting = POST.replace("\r\n\r\n", "\r\nExpect: 100-Continue\r\n\r\n");
    let waits = |text: &str, before: &dyn Fn(&mut Rig<Machine>)| {
        let mut rig = after(text);
        rig.input(Input::Credit(10));
        before(&mut rig);
        rig.out();
        rig.actions();
        rig.wait(span);
        rig.actions().is_empty()
    };
    assert!(waits(&expecting, &|_| {}));
    assert!(waits(&expecting, &|rig| rig.respond(103, &[], false)));
    assert!(!waits(&expecting, &|rig| rig.respond(100, &[], false)), "now it was asked");
    assert!(!waits(&expecting, &|rig| rig.feed("h")), "it did not wait");
    assert!(!waits(POST, &|_| {}));
    let old = expecting.replace("HTTP/1.1", "HTTP/1.0");
    assert!(!waits(&old, &|_| {}), "it means nothing in HTTP/1.0");
}

#[test]
fn whoever_waits_to_be_asked_for_a_body_does_not_wait_for_ever() {
    let ages = Duration::from_hours(24 * 365 * 100);
    let expecting = POST.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    for (response, patience) in [
        (Limits::default().response_timeout, Limits::default().response_timeout),
        (ages, Limits::default().idle_timeout),
    ] {
        let limits = Limits { response_timeout: response, ..Limits::default() };
        let span = patience + limits.body_timeout;
        let mut rig = Rig::server_with(limits);
        rig.feed(&expecting);
        rig.input(Input::Credit(10));
        rig.actions();
        rig.wait(span / 2);
        assert!(rig.actions().is_empty());
        rig.wait(span / 2);
        assert_eq!(rig.actions(), [Action::Malformed(Reason::BodyTimeout)]);
    }
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    let span = Limits::default().write_timeout;
    let mut rig = after(GET);
    rig.respond(200, &[], false);
    rig.wait(span / 2);
    rig.body(b"more", false);
    rig.wait(span / 2);
    let gone = [Action::Canceled(Reason::WriteTimeout), Action::Closed(Reason::WriteTimeout)];
    assert_eq!(rig.actions(), gone);
}

#[test]
fn a_body_of_another_length_than_announced_never_looks_complete() {
    for pieces in [&["hello!"][..], &["hello", "!"], &["hel", "lo", "!"], &["hel"]] {
        let mut rig = after(GET);
        rig.respond(200, &[("content-length", "5")], false);
        for piece in pieces {
            rig.body(piece.as_bytes(), false);
        }
        rig.body(b"", true);
        let out = rig.out();
        let body = out.split_once("\r\n\r\n").unwrap().1;
        assert!(body.len() < 5, "{pieces:?}: {body}");
        let actions = rig.actions();
        assert!(actions.contains(&Action::Finish), "{actions:?}");
        assert!(!actions.contains(&Action::Finished), "{actions:?}");
        rig.wait(Duration::from_secs(2));
        assert_eq!(closed(&rig.actions()), Some(Reason::BadResponse));
    }
}

#[test]
fn a_length_that_cannot_be_read_is_not_passed_on() {
    for lengths in [&["5", "5"][..], &["+5"], &["5, 5"], &["x"]] {
        let mut rig = after(GET);
        let list: Vec<_> = lengths.iter().map(|l| ("content-length", *l)).collect();
        rig.respond(200, &list, false);
        let out = rig.out();
        assert!(!out.contains("content-length") && out.contains("chunked"), "{out}");
    }
}

#[test]
fn fields_of_another_hop_are_not_written() {
    let mut rig = after(GET);
    let list =
        [("Transfer-Encoding", "gzip"), ("Connection", "x"), ("Keep-Alive", "y"), ("Upgrade", "z")];
    rig.respond(200, &list, true);
    assert_eq!(rig.out(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn taken_bytes_add_up_however_the_socket_takes_them() {
    for piece in 1..40 {
        let mut rig = after(GET);
        rig.respond(200, &[], false);
        rig.body(&[b'x'; 2000], false);
        rig.body(b"hello", true);
        let mut taken = 0;
        while !rig.machine.outbox().is_empty() {
            rig.input(Input::Sent(piece.min(rig.machine.outbox().len())));
            for action in rig.actions() {
                if let Action::Taken(count) = action {
                    taken += count;
                }
            }
        }
        assert_eq!(taken, 2005);
    }
}

#[test]
fn inputs_out_of_place_are_harmless() {
    let mut rig = Rig::server();
    rig.body(b"x", true);
    rig.respond(200, &[], true);
    rig.input(Input::Trailers(fields(&[])));
    rig.input(Input::Credit(usize::MAX));
    rig.input(Input::Sent(10));
    assert!(rig.actions().is_empty() && rig.machine.outbox().is_empty());
    rig.feed(GET);
    rig.respond(200, &[], true);
    let head = response(500, &[]);
    rig.input(Input::Respond { head, end: true });
    rig.body(b"x", true);
    assert_eq!(rig.out(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn an_idle_connection_holds_no_buffers() {
    let mut rig = after(&format!("{POST}hel"));
    rig.input(Input::Credit(5));
    rig.feed("lo");
    rig.respond(200, &[("content-length", "2")], false);
    rig.body(b"ok", true);
    rig.out();
    rig.actions();
    let (input, outbox) = rig.machine.into_raw();
    assert_eq!(input.capacity(), 0);
    assert_eq!(outbox.pieces().count(), 0);
}
