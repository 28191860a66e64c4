//! Calls between two ends of one tunnel.

mod rpc;

use pico_core::head::ResponseHead;
use pico_core::rpc::{Action, Input, Role, Word};
use pico_core::{Limits, Machine as _, Reason};
use rpc::{Pair, T0, actions, data, fields, get, millis, new, ok, reset, small};
use std::time::Duration;

const D: Role = Role::Dialer;
const A: Role = Role::Acceptor;

#[test]
fn a_call_and_its_answer_arrive_word_by_word() {
    let mut pair = Pair::new(&Limits::default());
    let head = get(&[("Host", "a.example"), ("x-ODD", "1"), ("accept", "*/*")]);
    let stream = pair.open(A, 7, head.clone(), false);
    pair.say(A, stream, data(b"hello", false));
    pair.say(A, stream, Word::Trailers(fields(&[("x-sum", "5")])));
    pair.exchange();
    assert_eq!(
        pair.heard(D),
        [
            Word::Request { head, end: false },
            data(b"hello", false),
            Word::Trailers(fields(&[("x-sum", "5")])),
        ]
    );
    pair.say(D, stream, Word::Response { head: ok(&[]), end: false });
    pair.say(D, stream, data(b"world", true));
    pair.exchange();
    assert_eq!(pair.heard(A), [Word::Response { head: ok(&[]), end: false }, data(b"world", true)]);
    assert_eq!((pair.dialer.calls(), pair.acceptor.calls()), (0, 0));
}

#[test]
fn both_sides_may_call_at_once() {
    let mut pair = Pair::new(&Limits::default());
    let one = pair.open(D, 1, get(&[]), true);
    let two = pair.open(A, 2, get(&[]), true);
    assert_eq!((one.0, two.0), (1, 2));
    pair.exchange();
    pair.say(A, one, Word::Response { head: ok(&[]), end: true });
    pair.say(D, two, Word::Response { head: ok(&[]), end: true });
    pair.exchange();
    let answer = Word::Response { head: ok(&[]), end: true };
    assert_eq!(pair.heard(D), [Word::Request { head: get(&[]), end: true }, answer.clone()]);
    assert_eq!(pair.heard(A), [Word::Request { head: get(&[]), end: true }, answer]);
}

#[test]
fn credit_comes_before_data_and_returns_as_it_is_taken() {
    let mut pair = Pair::new(&small());
    let stream = pair.open(D, 1, get(&[]), false);
    let credit = |n| Action::Said { stream, tag: Some(1), word: Word::Credit(n) };
    assert_eq!(actions(&mut pair.dialer), [credit(128)]);
    pair.say(D, stream, data(&[1; 128], false));
    pair.exchange();
    assert_eq!(actions(&mut pair.dialer), []);
    pair.say(A, stream, Word::Credit(63));
    pair.exchange();
    assert_eq!(actions(&mut pair.dialer), [], "less than half of a window is not worth a frame");
    pair.say(A, stream, Word::Credit(1));
    pair.exchange();
    assert_eq!(actions(&mut pair.dialer), [credit(64)]);
}

#[test]
fn data_waits_for_room_and_streams_take_turns() {
    let mut pair = Pair::new(&Limits { frame_bytes: 2000, ..Limits::default() });
    pair.dialer.handle(T0, Input::Room(0));
    let one = pair.open(D, 1, get(&[]), false);
    let two = pair.open(D, 2, get(&[]), false);
    pair.say(D, one, data(&[1; 4000], true));
    pair.say(D, two, data(&[2; 4000], true));
    pair.exchange();
    assert_eq!(pair.heard(A).len(), 2, "heads need no room");
    for (bytes, end) in [(1, false), (2, false), (1, true), (2, true)] {
        pair.dialer.handle(T0, Input::Room(1));
        pair.exchange();
        assert_eq!(pair.heard(A), [data(&[bytes; 2000], end)]);
    }
    pair.dialer.handle(T0, Input::Room(1));
    assert!(!pair.dialer.has_message());
}

#[test]
fn a_request_that_never_left_has_not_started() {
    let mut pair = Pair::new(&Limits::default());
    pair.open(D, 1, get(&[]), true);
    pair.exchange();
    pair.open(D, 2, get(&[]), true);
    pair.dialer.handle(T0, Input::Lost(Reason::ConnectionLost));
    assert_eq!(
        pair.heard(D),
        [reset(Reason::ConnectionLost, true), reset(Reason::ConnectionLost, false)]
    );
    assert!(!pair.dialer.has_message(), "what had not left does not leave later");
    assert_eq!(pair.dialer.deadline(), None);
}

#[test]
fn an_upgraded_stream_carries_bytes_both_ways_until_each_ends() {
    let mut pair = Pair::new(&Limits::default());
    let stream = pair.open(A, 1, get(&[("upgrade", "websocket")]), false);
    pair.exchange();
    let status = http::StatusCode::SWITCHING_PROTOCOLS;
    let head = ResponseHead::new(status, b"Switching Protocols", fields(&[]));
    pair.say(D, stream, Word::Response { head, end: false });
    pair.say(D, stream, data(b"raw", true));
    pair.exchange();
    assert_eq!(pair.heard(A).last(), Some(&data(b"raw", true)));
    pair.say(A, stream, data(b"still", false));
    pair.say(A, stream, data(b"", true));
    pair.exchange();
    assert!(pair.heard(D).ends_with(&[data(b"still", false), data(b"", true)]));
    assert_eq!(pair.acceptor.calls(), 0);
}

#[test]
fn a_call_over_the_peers_limit_is_refused_and_nothing_else_suffers() {
    let wide = small();
    let narrow = Limits { streams: 1, ..small() };
    let mut pair = Pair { dialer: new(D, &wide), acceptor: new(A, &narrow), now: T0 };
    pair.exchange();
    assert!(pair.dialer.may_open());
    pair.open(D, 1, get(&[]), true);
    assert!(!pair.dialer.may_open());
    pair.open(D, 2, get(&[]), true);
    assert_eq!(pair.heard(D), [reset(Reason::StreamLimit, false)]);
}

#[test]
fn a_head_that_the_peer_does_not_take_fails_its_call_only() {
    let mut pair = Pair::new(&small());
    let value = "v".repeat(8000);
    pair.open(D, 1, get(&[("a", &value)]), true);
    assert_eq!(pair.heard(D), [reset(Reason::HeadTooLarge, false)]);
    let many = [("a", "b"); 30];
    let stream = pair.open(D, 2, get(&[]), true);
    pair.exchange();
    pair.heard(A);
    pair.say(A, stream, Word::Response { head: ok(&many), end: true });
    assert_eq!(pair.heard(A), [reset(Reason::BadResponse, true)]);
    pair.exchange();
    assert_eq!(pair.heard(D), [reset(Reason::BadResponse, true)]);
}

#[test]
fn a_reset_throws_away_what_waits_and_nothing_of_other_calls() {
    let mut pair = Pair::new(&small());
    pair.dialer.handle(T0, Input::Room(0));
    let one = pair.open(D, 1, get(&[]), false);
    let two = pair.open(D, 2, get(&[]), false);
    pair.say(D, one, data(&[1; 100], true));
    pair.say(D, two, data(&[2; 100], true));
    pair.say(D, one, reset(Reason::Canceled, false));
    pair.exchange();
    pair.dialer.handle(T0, Input::Room(usize::MAX));
    pair.exchange();
    let words = pair.heard(A);
    assert!(words.contains(&reset(Reason::Canceled, false)));
    assert!(words.ends_with(&[data(&[2; 64], false), data(&[2; 36], true)]), "{words:?}");
}

#[test]
fn no_message_is_longer_than_its_limit_while_its_frames_are_shorter() {
    let limits = small();
    let mut pair = Pair::new(&limits);
    let streams: Vec<_> = (0..4).map(|tag| pair.open(D, tag, get(&[]), false)).collect();
    for stream in streams {
        pair.say(D, stream, data(&[7; 128], true));
    }
    let sent = rpc::messages(&mut pair.dialer);
    assert!(sent.len() > 2, "{} messages", sent.len());
    assert!(sent.iter().all(|message| message.len() <= limits.message_bytes));
    for message in sent {
        rpc::deliver(&mut pair.acceptor, T0, &message);
    }
    let bytes = |word: &Word| if let Word::Data { bytes, .. } = word { bytes.len() } else { 0 };
    assert_eq!(pair.heard(A).iter().map(bytes).sum::<usize>(), 4 * 128);
}

#[test]
fn the_same_room_twice_frames_nothing_more() {
    let mut pair = Pair::new(&Limits { frame_bytes: 2000, ..Limits::default() });
    pair.dialer.handle(T0, Input::Room(0));
    let stream = pair.open(D, 1, get(&[]), false);
    pair.say(D, stream, data(&vec![1; 20_000], true));
    rpc::messages(&mut pair.dialer);
    for _ in 0..3 {
        pair.dialer.handle(T0, Input::Room(5000));
    }
    let framed: usize = rpc::messages(&mut pair.dialer).iter().map(bytes::Bytes::len).sum();
    assert!((5000..7100).contains(&framed), "{framed} bytes for 5000");
}

#[test]
fn a_silent_peer_is_lost_after_two_heartbeats() {
    let mut pair = Pair::new(&Limits::default());
    assert_eq!(pair.dialer.deadline(), Some(millis(10_000)));
    pair.dialer.tick(millis(10_000));
    assert_eq!(rpc::messages(&mut pair.dialer).len(), 1, "a ping");
    pair.dialer.tick(millis(19_999));
    assert_eq!(actions(&mut pair.dialer), []);
    pair.dialer.tick(millis(20_000));
    assert_eq!(actions(&mut pair.dialer), [Action::Closed(Reason::HeartbeatTimeout)]);
}

#[test]
fn a_peer_that_says_no_hello_in_time_is_lost() {
    let mut lone = new(D, &Limits::default());
    assert_eq!(lone.deadline(), Some(millis(10_000)));
    lone.tick(millis(10_000));
    assert_eq!(actions(&mut lone), [Action::Closed(Reason::HeartbeatTimeout)]);
    assert_eq!(lone.deadline(), None);
}

#[test]
fn a_pong_tells_the_round_trip_time() {
    let mut pair = Pair::new(&Limits::default());
    pair.now = millis(10_000);
    pair.dialer.tick(pair.now);
    let there = rpc::messages(&mut pair.dialer).remove(0);
    rpc::deliver(&mut pair.acceptor, pair.now, &there);
    let back = rpc::messages(&mut pair.acceptor).remove(0);
    rpc::deliver(&mut pair.dialer, millis(10_012), &back);
    assert_eq!(actions(&mut pair.dialer), [Action::RoundTrip(Duration::from_millis(12))]);
}

#[test]
fn windows_grow_for_a_consumer_that_keeps_up_and_never_over_the_cap() {
    let limits = small();
    let mut pair = Pair::new(&limits);
    let streams: Vec<_> = (0..4).map(|tag| pair.open(D, tag, get(&[]), false)).collect();
    let mut granted = [0_usize; 4];
    let mut sent = [0_usize; 4];
    let mut most = 0;
    for _ in 0..200 {
        for action in actions(&mut pair.dialer) {
            if let Action::Said { tag: Some(tag), word: Word::Credit(n), .. } = action {
                granted[usize::try_from(tag).unwrap()] += n;
            }
        }
        let open: usize = granted.iter().zip(&sent).map(|(g, s)| g - s).sum();
        most = most.max(open);
        for (at, stream) in streams.iter().enumerate() {
            let count = granted[at] - sent[at];
            sent[at] = granted[at];
            pair.say(D, *stream, data(&vec![0; count], false));
        }
        pair.exchange();
        actions(&mut pair.acceptor);
        for stream in &streams {
            pair.say(A, *stream, Word::Credit(usize::MAX));
        }
        pair.exchange();
    }
    // The acceptor keeps the first windows of its own four calls free.
    assert!(most > 4 * limits.window_bytes, "grew to {most}");
    assert!(most <= limits.tunnel_bytes - 4 * limits.window_bytes, "grew to {most}");
}

#[test]
fn an_idle_machine_is_small() {
    assert!(size_of::<rpc::Tunnel>() <= 768, "{}", size_of::<rpc::Tunnel>());
}

#[test]
fn a_call_takes_a_thousand_interim_responses_and_no_more() {
    let mut pair = Pair::new(&Limits::default());
    let stream = pair.open(A, 1, get(&[]), true);
    let other = pair.open(A, 2, get(&[]), true);
    pair.exchange();
    let mut head = ok(&[]);
    head.status = http::StatusCode::EARLY_HINTS;
    for _ in 0..1000 {
        pair.say(D, stream, Word::Response { head: head.clone(), end: false });
    }
    pair.exchange();
    assert_eq!(pair.heard(A).len(), 1000);
    actions(&mut pair.dialer);
    pair.say(D, stream, Word::Response { head, end: false });
    pair.exchange();
    assert_eq!(pair.heard(A), [reset(Reason::BadResponse, true)]);
    assert_eq!(pair.heard(D), [reset(Reason::BadResponse, true)]);
    pair.say(D, other, Word::Response { head: ok(&[]), end: true });
    pair.exchange();
    assert_eq!(pair.heard(A).len(), 1, "other calls go on");
}

#[test]
fn a_machine_that_slept_gives_its_peer_one_more_heartbeat_and_only_one() {
    for answered in [true, false] {
        let mut pair = Pair::new(&Limits::default());
        pair.dialer.tick(millis(60_000));
        assert_eq!(actions(&mut pair.dialer), [], "what came meanwhile is yet to be read");
        assert_eq!(rpc::messages(&mut pair.dialer).len(), 1, "a ping");
        pair.dialer.tick(millis(60_000));
        assert!(!pair.dialer.has_message());
        assert_eq!(pair.dialer.deadline(), Some(millis(70_000)));
        if answered {
            let pong = [&[9, 0, 0, 8][..], &[0; 8]].concat();
            rpc::deliver(&mut pair.dialer, millis(60_001), &pong);
            pair.dialer.tick(millis(99_000));
            assert_eq!(actions(&mut pair.dialer), [], "asleep again");
        } else {
            pair.dialer.tick(millis(99_000));
            assert_eq!(actions(&mut pair.dialer), [Action::Closed(Reason::HeartbeatTimeout)]);
        }
    }
}
