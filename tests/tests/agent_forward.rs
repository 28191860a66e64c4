//! How an agent forwards calls: the pool, bodies, truncation, aborts, upgrades.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod agent;

use agent::{OK, Rig, SERVICE, answered, data, pooled, settings, up};
use pico_core::agent::HostHeader;
use pico_core::host::{Host as _, Input};
use pico_core::note::Note;
use pico_core::rpc::{Reset, Word};
use pico_core::{Limits, Reason};
use std::time::Duration;

#[test]
fn calls_share_a_connection_one_after_the_other_the_last_used_first() {
    let (mut rig, mut node, first) = pooled();
    let one = node.call(&mut rig, "GET", &[], true);
    let two = node.call(&mut rig, "GET", &[], true);
    let second = rig.dialed(SERVICE);
    rig.connect(second);
    answered(&mut rig, &mut node, first, one);
    answered(&mut rig, &mut node, second, two);
    rig.text(first);
    rig.text(second);
    node.call(&mut rig, "GET", &[], true);
    assert_eq!(rig.text(first), "");
    assert!(rig.text(second).starts_with("GET /path?query HTTP/1.1\r\n"));
}

#[test]
fn of_more_idle_connections_than_are_kept_the_oldest_goes() {
    let limits = Limits { pool_idle: 2, ..Limits::default() };
    let mut rig = Rig::limited(settings(&["a"]), 7, limits);
    let mut node = rig.online();
    let mut open = || {
        let call = node.call(&mut rig, "GET", &[], true);
        let local = rig.dialed(SERVICE);
        rig.connect(local);
        (local, call)
    };
    let all = [open(), open(), open()];
    for (local, call) in all {
        answered(&mut rig, &mut node, local, call);
    }
    let closed = all.map(|(local, _)| rig.closed.contains(&local));
    assert_eq!(closed, [true, false, false]);
}

#[test]
fn idle_connections_close_in_time() {
    for (field, ms) in [
        ("", 1000),
        ("Keep-Alive: timeout=5\r\n", 4000),
        ("Keep-Alive: max=9, timeout=1\r\n", 500),
        ("Keep-Alive: timeout=x\r\n", 1000),
        ("Keep-Alive: timeout=0\r\n", 0),
    ] {
        let (mut rig, mut node) = up();
        node.call(&mut rig, "GET", &[], true);
        let local = rig.dialed(SERVICE);
        rig.connect(local);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{field}\r\n");
        rig.receive(local, head.as_bytes());
        if ms > 0 {
            rig.wait(Duration::from_millis(ms - 1));
            assert!(!rig.closed.contains(&local), "{field}");
            rig.wait(Duration::from_millis(1));
        }
        assert!(rig.closed.contains(&local), "{field}");
        node.call(&mut rig, "GET", &[], true);
        rig.dialed(SERVICE);
    }
}

/// RFC 9112, section 9.5. A service that is reset logs it as a fault of its client.
#[test]
fn a_connection_to_a_service_that_is_done_with_ends_by_fin() {
    for (field, wait) in
        [("", 1000), ("Keep-Alive: timeout=0\r\n", 0), ("Connection: close\r\n", 0)]
    {
        let (mut rig, mut node) = up();
        node.call(&mut rig, "GET", &[], true);
        let local = rig.dialed(SERVICE);
        rig.connect(local);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{field}\r\n");
        rig.receive(local, head.as_bytes());
        rig.wait(Duration::from_millis(wait));
        assert!(rig.finished.contains(&local) && rig.closed.contains(&local), "{field}");
    }
    let (mut rig, mut node) = up();
    node.call(&mut rig, "GET", &[], true);
    let local = rig.dialed(SERVICE);
    rig.connect(local);
    rig.receive(local, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    rig.input(Input::Eof { conn: local });
    assert!(rig.finished.contains(&local) && rig.closed.contains(&local), "it has finished");
}

#[test]
fn nonsense_and_silence_from_the_service_are_bad_responses() {
    for answer in [&b"SSH-2.0-OpenSSH\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\nContent-", b""] {
        let (mut rig, mut node) = up();
        let call = node.call(&mut rig, "GET", &[], true);
        let local = rig.dialed(SERVICE);
        rig.connect(local);
        if !answer.is_empty() {
            rig.receive(local, answer);
        }
        rig.input(Input::Eof { conn: local });
        node.pump(&mut rig);
        assert_eq!(node.heard(call), ["BadResponse true"], "{}", answer.escape_ascii());
    }
}

#[test]
fn a_truncated_body_never_looks_complete() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let length = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello";
    let close = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello";
    for (answer, reset) in
        [(&chunked[..], false), (&chunked[..], true), (&length[..], false), (&close[..], true)]
    {
        let (mut rig, mut node) = up();
        let call = node.call(&mut rig, "GET", &[], true);
        let local = rig.dialed(SERVICE);
        rig.connect(local);
        rig.receive(local, answer);
        if reset {
            rig.lose(local);
        } else {
            rig.input(Input::Eof { conn: local });
        }
        node.pump(&mut rig);
        let heard = node.heard(call);
        assert_eq!(heard[..2], ["200", "hello"], "{}", answer.escape_ascii());
        assert!(heard[2].ends_with(" true"), "a reset: {heard:?}");
    }
}

#[test]
fn words_that_come_before_the_connection_are_held() {
    let (mut rig, mut node) = up();
    let call = node.call(&mut rig, "POST", &[("Content-Length", "8")], false);
    node.say(&mut rig, call, data(b"abcd", false));
    node.say(&mut rig, call, data(b"efgh", true));
    let local = rig.dialed(SERVICE);
    rig.connect(local);
    assert!(rig.text(local).ends_with("\r\n\r\nabcdefgh"));
    answered(&mut rig, &mut node, local, call);
}

#[test]
fn a_call_that_is_given_up_is_aborted_wherever_it_is() {
    for connected in [false, true] {
        let (mut rig, mut node) = up();
        let call = node.call(&mut rig, "GET", &[], true);
        let local = rig.dialed(SERVICE);
        if connected {
            rig.connect(local);
        }
        let reset = Reset { reason: Reason::Canceled, started: true };
        node.say(&mut rig, call, Word::Reset(reset));
        assert!(rig.closed.contains(&local), "connected: {connected}");
        assert_eq!(rig.agent.calls(), 0);
    }
}

#[test]
fn a_tunnel_that_dies_aborts_its_calls() {
    let (mut rig, mut node) = up();
    node.call(&mut rig, "GET", &[], true);
    let local = rig.dialed(SERVICE);
    rig.connect(local);
    rig.lose(node.conn);
    assert!(rig.closed.contains(&local));
    assert_eq!(rig.agent.calls(), 0);
}

#[test]
fn an_answer_before_the_end_of_the_request_stops_the_request() {
    let (mut rig, mut node) = up();
    let call = node.call(&mut rig, "POST", &[("Content-Length", "99")], false);
    let local = rig.dialed(SERVICE);
    rig.connect(local);
    rig.receive(local, b"HTTP/1.1 413 Too Big\r\nContent-Length: 2\r\n\r\nno");
    rig.input(Input::Eof { conn: local });
    node.pump(&mut rig);
    assert_eq!(node.heard(call)[..2], ["413", "no."]);
    assert_eq!(rig.agent.calls(), 0);
    assert!(rig.closed.contains(&local), "it cannot carry another request");
}

#[test]
fn upgrades_carry_raw_bytes_and_fins_each_way() {
    let (mut rig, mut node) = up();
    let call = node.call(&mut rig, "GET", &[("Upgrade", "echo")], false);
    node.say(&mut rig, call, data(b"early ", false));
    let local = rig.dialed(SERVICE);
    rig.connect(local);
    let asked = rig.text(local);
    assert!(asked.contains("Upgrade: echo\r\n") && asked.contains("Connection: Upgrade\r\n"));
    assert!(!asked.contains("early"), "not before the service agrees");
    rig.receive(
        local,
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nfirst",
    );
    node.pump(&mut rig);
    assert_eq!(rig.text(local), "early ");
    node.say(&mut rig, call, data(b"more", true));
    assert_eq!(rig.text(local), "more");
    assert!(rig.finished.contains(&local));
    rig.receive(local, b" last");
    rig.input(Input::Eof { conn: local });
    node.pump(&mut rig);
    assert_eq!(node.heard(call).concat(), "101first last.");
    assert_eq!(rig.agent.calls(), 0);
    assert!(rig.closed.contains(&local));
}

#[test]
fn an_upgrade_that_is_refused_is_an_ordinary_answer() {
    let (mut rig, mut node) = up();
    let call = node.call(&mut rig, "GET", &[("Upgrade", "echo")], false);
    let local = rig.dialed(SERVICE);
    rig.connect(local);
    answered(&mut rig, &mut node, local, call);
    node.say(&mut rig, call, data(b"", true));
    assert_eq!(rig.agent.calls(), 0);
    rig.text(local);
    node.call(&mut rig, "GET", &[], true);
    assert!(rig.text(local).starts_with("GET "), "the connection is good for more");
}

#[test]
fn the_service_sees_the_host_that_the_listener_wants() {
    for (header, host) in [
        (HostHeader::Keep, "example.com"),
        (HostHeader::Rewrite, "127.0.0.1:3000"),
        (HostHeader::Value("other.test".into()), "other.test"),
    ] {
        let mut settings = settings(&["a"]);
        settings.listeners[0].host_header = header;
        let mut rig = Rig::new(settings);
        let mut node = rig.online();
        node.call(&mut rig, "GET", &[("X-Pico-Endpoint", "a"), ("Accept", "x")], true);
        let local = rig.dialed(SERVICE);
        rig.connect(local);
        let text = rig.text(local);
        assert_eq!(text, format!("GET /path?query HTTP/1.1\r\nHost: {host}\r\nAccept: x\r\n\r\n"));
    }
}

#[test]
fn where_a_service_listens_is_told_to_nobody_who_names_no_host() {
    for (header, host) in [
        (HostHeader::Keep, ""),
        (HostHeader::Rewrite, " 127.0.0.1:3000"),
        (HostHeader::Value("other.test".into()), " other.test"),
    ] {
        let mut settings = settings(&["a"]);
        settings.listeners[0].host_header = header;
        let mut rig = Rig::new(settings);
        let mut node = rig.online();
        node.call_bare(&mut rig, "GET", &[], true);
        let local = rig.dialed(SERVICE);
        rig.connect(local);
        assert_eq!(rig.text(local), format!("GET /path?query HTTP/1.1\r\nHost:{host}\r\n\r\n"));
    }
}

#[test]
fn each_finished_call_is_logged_if_that_is_asked_for() {
    let mut settings = settings(&["a"]);
    settings.log_requests = true;
    let mut rig = Rig::new(settings);
    let mut node = rig.online();
    let call = node.call(&mut rig, "POST", &[], false);
    node.say(&mut rig, call, data(b"abc", true));
    let local = rig.dialed(SERVICE);
    rig.connect(local);
    rig.wait(Duration::from_millis(8));
    answered(&mut rig, &mut node, local, call);
    let notes = rig.take_notes();
    let [Note::Request(request)] = &notes[..] else { panic!("{notes:?}") };
    assert_eq!((&request.method[..], &request.path[..], request.status), ("POST", "/path", 200));
    assert_eq!((request.bytes_in, request.bytes_out, request.reason), (3, 2, None));
    assert_eq!(request.took, Duration::from_millis(8));
}

#[test]
fn bodies_larger_than_any_window_pass_both_ways() {
    let (mut rig, mut node) = up();
    let call = node.call(&mut rig, "POST", &[], false);
    let local = rig.dialed(SERVICE);
    rig.connect(local);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 40 * 30_000);
    rig.receive(local, head.as_bytes());
    let mut heard = 0;
    let mut sent = 0;
    for round in 0..40 {
        let end = round == 39;
        node.say(&mut rig, call, data(&vec![b'z'; 30_000], end));
        rig.receive(local, &vec![b'x'; 30_000]);
        node.pump(&mut rig);
        heard += node.heard(call).iter().map(|text| text.matches('x').count()).sum::<usize>();
        sent += rig.text(local).matches('z').count();
    }
    assert_eq!((heard, sent), (40 * 30_000, 40 * 30_000));
    assert_eq!(rig.agent.calls(), 0);
}

#[test]
fn interim_responses_that_nobody_takes_are_left_out() {
    let (mut rig, mut node) = up();
    let call = node.call(&mut rig, "GET", &[], true);
    let local = rig.dialed(SERVICE);
    rig.connect(local);
    rig.stuck.push(node.conn);
    let hint = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "x".repeat(8000));
    for _ in 0..200 {
        rig.receive(local, hint.as_bytes());
    }
    let waits = rig.agent.outbox(node.conn).unwrap().len();
    assert!(waits < 300_000, "{waits} bytes wait");
    // Somebody may wait for the first of these.
    for _ in 0..9 {
        rig.receive(local, b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    rig.receive(local, OK);
    rig.stuck.clear();
    rig.write(node.conn);
    rig.settle();
    node.pump(&mut rig);
    let heard = node.heard(call);
    assert!(heard.len() > 10, "the first are passed on");
    assert_eq!(heard[heard.len() - 4..], ["103", "100", "200", "hi."]);
}

#[test]
fn trailers_of_an_upgraded_request_are_its_end() {
    for early in [true, false] {
        let (mut rig, mut node) = up();
        let call = node.call(&mut rig, "POST", &[("Upgrade", "echo")], false);
        let local = rig.dialed(SERVICE);
        rig.connect(local);
        let asked = rig.text(local);
        assert!(asked.contains("Connection: Upgrade\r\n"), "whatever the method: {asked}");
        let trailers = || Word::Trailers(pico_core::head::Fields::new());
        if early {
            node.say(&mut rig, call, trailers());
        }
        let switch =
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
        rig.receive(local, switch);
        node.pump(&mut rig);
        if !early {
            node.say(&mut rig, call, trailers());
        }
        assert!(rig.finished.contains(&local), "early: {early}");
        rig.input(Input::Eof { conn: local });
        node.pump(&mut rig);
        assert_eq!(node.heard(call).concat(), "101.");
        assert_eq!(rig.agent.calls(), 0);
    }
}

#[test]
fn fields_that_are_picos_own_pass_in_no_direction() {
    let (mut rig, mut node) = up();
    let call = node.call(&mut rig, "POST", &[("x-pico-a", "1")], false);
    let mut trailers = pico_core::head::Fields::new();
    trailers.push(b"x-pico-b", b"1");
    trailers.push(b"x-sum", b"1");
    node.say(&mut rig, call, Word::Trailers(trailers));
    let local = rig.dialed(SERVICE);
    rig.connect(local);
    let asked = rig.text(local);
    assert!(asked.contains("x-sum") && !asked.contains("x-pico"), "{asked}");
    let answer = b"HTTP/1.1 200 OK\r\nX-Pico-C: 1\r\nTransfer-Encoding: chunked\r\n\r\n\
        0\r\nX-Pico-D: 1\r\nX-Sum: 2\r\n\r\n";
    rig.receive(local, answer);
    node.pump(&mut rig);
    let said = format!("{:?}", node.said).to_lowercase();
    assert!(said.contains("x-sum") && !said.contains("x-pico"), "{said}");
    assert_eq!(node.heard(call), ["200", "trailers"]);
}
