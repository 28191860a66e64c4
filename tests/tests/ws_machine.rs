//! How a WebSocket connection is held within its bounds, and how it ends.

use bytes::{Buf as _, BytesMut};
use core::time::Duration;
use pico_core::ws::{Action, Input, Kind, Machine, Role};
use pico_core::{Instant, Limits, Machine as _, Outbox, Reason, Seed};
use std::collections::BTreeSet;
use std::sync::Arc;

const START: Instant = Instant::from_nanos(1_000_000);

fn machine(role: Role) -> (Machine, Limits) {
    let limits = Limits::default();
    let seed = Seed::from_u64(5);
    (Machine::new(role, &seed, Arc::new(limits.clone()), Outbox::new()), limits)
}

fn tell(machine: &mut Machine, input: Input) -> Vec<Action> {
    machine.handle(START, input);
    drain(machine)
}

fn drain(machine: &mut Machine) -> Vec<Action> {
    std::iter::from_fn(|| machine.poll()).collect()
}

fn received(bytes: &[u8]) -> Input {
    Input::Received(BytesMut::from(bytes))
}

fn binary(payload: &[u8]) -> Input {
    let mut outbox = Outbox::new();
    outbox.put(payload);
    Input::Message { kind: Kind::Binary, payload: outbox }
}

/// Takes what waits, as a socket would.
fn flush(machine: &mut Machine) -> (Vec<u8>, Vec<Action>) {
    let bytes: Vec<u8> = machine.outbox().pieces().flatten().copied().collect();
    let actions = tell(machine, Input::Sent(bytes.len()));
    (bytes, actions)
}

const PING: [u8; 7] = [0x89, 0x81, 0, 0, 0, 0, b'p'];
const CLOSE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];

#[test]
fn a_peer_that_pings_and_never_reads_fills_no_memory() {
    let (mut us, limits) = machine(Role::Server);
    for number in 0..100_000_u32 {
        let mut ping = vec![0x89, 0xfd, 0, 0, 0, 0];
        ping.extend_from_slice(&number.to_be_bytes());
        ping.resize(6 + 125, 0);
        assert_eq!(tell(&mut us, received(&ping)), []);
        assert!(us.outbox().len() <= limits.outbox_bytes + 127);
    }
    let (_, actions) = flush(&mut us);
    assert_eq!(actions, []);
    let (latest, _) = flush(&mut us);
    assert_eq!(latest.get(..6), Some(&[0x8a, 125, 0x00, 0x01, 0x86, 0x9f][..]), "the latest ping");
    assert!(us.outbox().is_empty());
}

#[test]
fn a_piece_is_the_bytes_that_arrived_and_not_a_copy() {
    let (mut us, _) = machine(Role::Client);
    let mut bytes = BytesMut::from(&[0x82, 126, 0x20, 0x00][..]);
    bytes.resize(4 + 0x2000, 7);
    let address = bytes[4..].as_ptr();
    let actions = tell(&mut us, Input::Received(bytes));
    let [Action::Piece { bytes, .. }, Action::MessageEnd { .. }] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(bytes.as_ptr(), address);
    assert_eq!(bytes.len(), 0x2000);
}

#[test]
fn a_large_segment_is_sent_as_it_lies_and_small_ones_end_in_one_piece() {
    let (mut us, _) = machine(Role::Client);
    let large = BytesMut::from(&[1; 5000][..]);
    let address = large.as_ptr();
    let mut payload = Outbox::new();
    payload.push(large);
    tell(&mut us, Input::Message { kind: Kind::Binary, payload });
    assert_eq!(us.outbox().pieces().nth(1).map(<[u8]>::as_ptr), Some(address));
    flush(&mut us);
    for _ in 0..10 {
        tell(&mut us, binary(b"small"));
    }
    assert_eq!(us.outbox().pieces().count(), 1);
}

#[test]
fn a_client_masks_each_frame_afresh_and_a_server_none() {
    let (mut client, _) = machine(Role::Client);
    let (mut server, _) = machine(Role::Server);
    let mut keys = BTreeSet::new();
    for _ in 0..100 {
        tell(&mut client, binary(b"same"));
        let (bytes, _) = flush(&mut client);
        let [0x82, 0x84, ref key @ .., _, _, _, _] = bytes[..] else { panic!("{bytes:x?}") };
        keys.insert(key.to_vec());
        tell(&mut server, binary(b"same"));
        assert_eq!(flush(&mut server).0, b"\x82\x04same");
    }
    assert_eq!(keys.len(), 100);
}

#[test]
fn what_the_handshake_left_goes_first() {
    let mut left = Outbox::new();
    left.put(b"HTTP/1.1 101\r\n\r\n");
    let limits = Arc::new(Limits::default());
    let mut us = Machine::new(Role::Server, &Seed::from_u64(5), limits, left);
    tell(&mut us, binary(b"hi"));
    assert_eq!(flush(&mut us).0, b"HTTP/1.1 101\r\n\r\n\x82\x02hi");
}

#[test]
fn nothing_is_said_behind_a_close_but_the_peer_is_heard_out() {
    let (mut us, _) = machine(Role::Server);
    assert_eq!(tell(&mut us, Input::Close(Reason::Draining)), []);
    let (close, _) = flush(&mut us);
    assert_eq!(close, b"\x88\x0a\x03\xe9draining");
    for input in [binary(b"late"), Input::Ping(BytesMut::new()), Input::Close(Reason::Internal)] {
        assert_eq!(tell(&mut us, input), []);
        assert!(us.outbox().is_empty());
    }
    assert_eq!(tell(&mut us, received(&PING)), []);
    assert!(us.outbox().is_empty());
    let heard = tell(&mut us, received(&[0x82, 0x81, 0, 0, 0, 0, b'x']));
    let piece = Action::Piece { kind: Kind::Binary, bytes: BytesMut::from(&b"x"[..]) };
    assert_eq!(heard, [piece, Action::MessageEnd { kind: Kind::Binary }]);
    assert_eq!(tell(&mut us, received(&CLOSE)), [Action::Finish]);
    assert_eq!(tell(&mut us, Input::Eof), [Action::Closed(Reason::Closed)]);
}

#[test]
fn a_close_that_is_not_answered_in_time_is_a_lost_connection() {
    let (mut us, limits) = machine(Role::Client);
    tell(&mut us, Input::Close(Reason::Closed));
    let due = START + limits.linger_timeout;
    assert_eq!(us.deadline(), Some(due));
    us.tick(Instant::from_nanos(due.as_nanos() - 1));
    assert_eq!(us.poll(), None);
    us.tick(due);
    assert_eq!(drain(&mut us), [Action::Closed(Reason::ConnectionLost)]);
    assert_eq!(us.deadline(), None);
}

#[test]
fn a_peer_has_time_to_answer_the_close_from_when_it_took_what_was_before_it() {
    let (mut us, limits) = machine(Role::Client);
    tell(&mut us, binary(&[7; 1_000]));
    tell(&mut us, Input::Close(Reason::Closed));
    let mut now = START;
    let patience = limits.linger_timeout;
    while !us.outbox().is_empty() {
        now = now + patience.saturating_sub(Duration::from_nanos(1));
        us.tick(now);
        us.handle(now, Input::Sent(us.outbox().len().min(300)));
        assert_eq!((us.poll(), us.deadline()), (None, Some(now + patience)));
    }
    us.handle(now, Input::Sent(0));
    us.tick(now + patience);
    assert_eq!(drain(&mut us), [Action::Closed(Reason::ConnectionLost)]);
}

#[test]
fn a_peer_that_answers_the_close_and_stays_is_left_in_time() {
    let (mut us, limits) = machine(Role::Client);
    tell(&mut us, Input::Close(Reason::Closed));
    assert_eq!(tell(&mut us, received(&[0x88, 0x02, 0x03, 0xe8])), []);
    us.tick(START + limits.linger_timeout);
    assert_eq!(drain(&mut us), [Action::Closed(Reason::Closed)]);
}

#[test]
fn an_answer_to_the_close_does_not_make_the_end_later() {
    let (mut us, limits) = machine(Role::Client);
    tell(&mut us, Input::Close(Reason::Closed));
    let due = us.deadline();
    assert_eq!(due, Some(START + limits.linger_timeout));
    let late = START + limits.linger_timeout / 2;
    us.handle(late, received(&[0x88, 0x02, 0x03, 0xe8]));
    assert_eq!(us.deadline(), due);
}

#[test]
fn our_last_frame_is_sent_even_if_the_peer_has_finished() {
    let (mut us, _) = machine(Role::Server);
    assert_eq!(tell(&mut us, received(&[0x83, 0x80, 0, 0, 0, 0])), [Action::Finish]);
    assert_eq!(tell(&mut us, Input::Eof), []);
    let (bytes, actions) = flush(&mut us);
    assert_eq!(bytes, b"\x88\x10\x03\xeaprotocol_error");
    assert_eq!(actions, [Action::Closed(Reason::ProtocolError)]);
}

#[test]
fn a_peer_that_floods_us_behind_its_mistake_is_heard_no_longer_than_the_limit() {
    let (mut us, limits) = machine(Role::Server);
    tell(&mut us, received(&[0x83, 0x80, 0, 0, 0, 0]));
    flush(&mut us);
    let mut heard = 0;
    let closed = loop {
        let actions = tell(&mut us, received(&[0; 4096]));
        heard += 4096;
        if !actions.is_empty() {
            break actions;
        }
    };
    assert_eq!(closed, [Action::Closed(Reason::ProtocolError)]);
    assert_eq!(heard, limits.linger_bytes + 4096);
}

#[test]
fn a_peer_that_takes_nothing_for_too_long_is_given_up() {
    let (mut us, limits) = machine(Role::Server);
    assert_eq!(us.deadline(), None);
    tell(&mut us, binary(&[0; 100]));
    assert_eq!(us.deadline(), Some(START + limits.write_timeout));
    let later = START + Duration::from_secs(1);
    us.handle(later, Input::Sent(1));
    us.handle(later, received(&PING));
    let due = later + limits.write_timeout;
    assert_eq!(us.deadline(), Some(due), "only what was taken counts");
    us.tick(due);
    assert_eq!(drain(&mut us), [Action::Closed(Reason::WriteTimeout)]);
}

#[test]
fn after_the_end_nothing_moves() {
    let (mut us, _) = machine(Role::Server);
    tell(&mut us, binary(b"never sent"));
    assert_eq!(tell(&mut us, Input::Eof), [Action::Closed(Reason::ConnectionLost)]);
    for input in [
        received(&PING),
        received(&CLOSE),
        binary(b"late"),
        Input::Ping(BytesMut::new()),
        Input::Close(Reason::Internal),
        Input::Sent(3),
        Input::Eof,
    ] {
        assert_eq!(tell(&mut us, input), []);
        assert!(!us.outbox().has_remaining());
        assert_eq!(us.deadline(), None);
    }
    us.tick(START + Duration::from_hours(1));
    assert_eq!(drain(&mut us), []);
}

#[test]
fn a_close_during_a_flood_of_pings_drops_the_pong_that_waits() {
    let (mut us, limits) = machine(Role::Server);
    tell(&mut us, binary(&vec![0; limits.outbox_bytes + 1]));
    tell(&mut us, received(&PING));
    tell(&mut us, Input::Close(Reason::Closed));
    let (bytes, _) = flush(&mut us);
    assert!(bytes.ends_with(b"\x88\x08\x03\xe8closed"));
    assert!(us.outbox().is_empty());
}
