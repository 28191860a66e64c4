//! What a tunnel does in a long life: it lives on pongs alone, and what ended calls had is there
//! for others.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not look at is not its matter"
)]

mod rpc;

use pico_core::rpc::{Action, Input, Role, Word};
use pico_core::{Limits, Machine as _, Reason};
use rpc::{Pair, actions, data, deliver, get, messages, millis, ok, reset, small};

const D: Role = Role::Dialer;
const A: Role = Role::Acceptor;

#[test]
fn an_idle_tunnel_lives_as_long_as_its_pings_are_answered() {
    let mut pair = Pair::new(&Limits::default());
    for beat in 1..=20 {
        let now = millis(10_000 * beat);
        pair.dialer.tick(now);
        let pings = messages(&mut pair.dialer);
        assert_eq!(pings.len(), 1, "a ping with each beat");
        // The peer says nothing of its own.
        deliver(&mut pair.acceptor, now, &pings[0]);
        for pong in messages(&mut pair.acceptor) {
            deliver(&mut pair.dialer, now, &pong);
        }
        let told = actions(&mut pair.dialer);
        assert!(matches!(told[..], [Action::RoundTrip(_)]), "beat {beat}: {told:?}");
    }
}

#[test]
fn a_drain_is_over_when_the_last_call_is_and_not_before() {
    let mut pair = Pair::new(&Limits::default());
    let stream = pair.open(D, 1, get(&[]), true);
    pair.exchange();
    pair.acceptor.handle(pair.now, Input::Drain);
    pair.exchange();
    let drained = |pair: &mut Pair| actions(&mut pair.acceptor).contains(&Action::Drained);
    assert!(!drained(&mut pair), "a call is under way");
    pair.say(A, stream, Word::Response { head: ok(&[]), end: false });
    pair.exchange();
    assert!(!drained(&mut pair), "its answer is not complete");
    pair.say(A, stream, data(b"bye", true));
    assert!(drained(&mut pair));
    pair.exchange();
    assert!(!drained(&mut pair), "once");
}

#[test]
fn a_peer_that_drains_is_not_called() {
    let mut pair = Pair::new(&Limits::default());
    pair.acceptor.handle(pair.now, Input::Drain);
    pair.exchange();
    assert_eq!(actions(&mut pair.dialer), [Action::PeerDrains]);
    assert!(!pair.dialer.may_open());
    let stream = pair.open(D, 1, get(&[]), true);
    let word = reset(Reason::Draining, false);
    assert_eq!(actions(&mut pair.dialer), [Action::Said { stream, tag: Some(1), word }]);
    assert_eq!(messages(&mut pair.dialer).len(), 0, "nothing of it leaves");
}

#[test]
fn a_call_that_waits_has_one_turn_however_often_it_spoke() {
    let mut pair = Pair::new(&Limits { frame_bytes: 2000, ..Limits::default() });
    pair.dialer.handle(pair.now, Input::Room(0));
    let calls = [pair.open(D, 1, get(&[]), false), pair.open(D, 2, get(&[]), false)];
    for end in [false, false, true] {
        pair.say(D, calls[0], data(&[1; 2000], end));
    }
    pair.say(D, calls[1], data(&[2; 2000], true));
    pair.exchange();
    assert_eq!(pair.heard(A).len(), 2, "heads need no room");
    for (byte, end) in [(1, false), (2, true), (1, false), (1, true)] {
        pair.dialer.handle(pair.now, Input::Room(1));
        pair.exchange();
        assert_eq!(pair.heard(A), [data(&[byte; 2000], end)]);
    }
}

#[test]
fn each_call_may_grow_as_far_as_the_one_before_it() {
    let mut pair = Pair::new(&small());
    let most: Vec<usize> = (0..20).map(|tag| grown(&mut pair, tag)).collect();
    assert_eq!(most, [small().window_bytes_max; 20]);
}

/// The largest window that one call gets, from its beginning to its end.
fn grown(pair: &mut Pair, tag: u64) -> usize {
    let stream = pair.open(D, tag, get(&[]), false);
    let mut most = 0;
    for _ in 0..50 {
        pair.exchange();
        let credit = |action| match action {
            Action::Said { word: Word::Credit(count), .. } => count,
            _ => 0,
        };
        let granted: usize = actions(&mut pair.dialer).into_iter().map(credit).sum();
        most = most.max(granted);
        pair.say(D, stream, data(&vec![0; granted], false));
        pair.exchange();
        actions(&mut pair.acceptor);
        pair.say(A, stream, Word::Credit(usize::MAX));
    }
    pair.say(D, stream, data(&[], true));
    pair.exchange();
    pair.say(A, stream, Word::Response { head: ok(&[]), end: true });
    pair.exchange();
    actions(&mut pair.dialer);
    actions(&mut pair.acceptor);
    assert_eq!((pair.dialer.calls(), pair.acceptor.calls()), (0, 0));
    pair.acceptor.handle(pair.now, Input::Room(usize::MAX));
    most
}
