//! Logs that are too far behind for single ops, as one node fetches them.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect fails it"
)]

mod gossip;

use gossip::{among, named, packet};
use pico_core::Machine as _;
use pico_core::gossip::directory::{Op, Replica};
use pico_core::gossip::wire::{self, Message};
use pico_core::gossip::{Action, Input, Member};
use pico_core::id::{AskId, Boot};

#[test]
fn an_answer_about_a_snapshot_that_is_no_longer_wanted_is_not_taken_for_the_next_one() {
    let [owner, other] = [named(2), named(3)];
    let mut node = among(&[owner.clone(), other.clone()]);
    // The ring of ops does not reach back far enough: a snapshot is asked for.
    let behind = |head| Message::Behind { boot: owner.boot, head };
    let first = consulted(&node.hear(&other, &[behind(10)]));
    // What the owner says itself is newer than what was asked for, and it is let go.
    let ops = vec![Op { endpoint: "web".parse().unwrap(), weight: 1 }];
    node.hear(&owner, &[Message::Ops { boot: owner.boot, first: 1, ops }]);
    let second = consulted(&node.hear(&other, &[behind(20)]));
    assert_ne!(first, second);
    let mut answer = |ask, head| {
        let entries = vec![Op { endpoint: "late".parse().unwrap(), weight: 1 }];
        let page = Message::Page { boot: owner.boot, head, last: true, entries };
        let answer = Some(packet(other.boot, &[page]).freeze());
        node.gossip.handle(node.now, Input::Answered { ask, answer });
        node.gossip.directory(owner.boot).map(Replica::head)
    };
    assert_eq!(answer(first, 10), Some(1));
    assert_eq!(answer(second, 20), Some(20));
}

#[test]
fn a_snapshot_of_a_log_that_is_being_written_to_is_complete() {
    let [owner, other] = [named(2), named(3)];
    let mut node = among(&[owner.clone(), other.clone()]);
    let boot = owner.boot;
    let op = |at: u64| Op { endpoint: format!("e-{at}").parse().unwrap(), weight: 1 };
    let ask = consulted(&node.hear(&other, &[Message::Behind { boot, head: 10 }]));
    let mut answer = |ask, messages: &[Message]| {
        let answer = Some(packet(other.boot, messages).freeze());
        node.gossip.handle(node.now, Input::Answered { ask, answer });
        node.actions()
    };
    let page = |head, last, entries| Message::Page { boot, head, last, entries };
    let ask = consulted(&answer(ask, &[page(10, false, vec![op(1)])]));
    // Meanwhile it is written to.
    let ask = consulted(&answer(ask, &[page(12, true, vec![op(2)])]));
    // And again: more has come than the snapshot needs.
    let ops = |range: core::ops::RangeInclusive<u64>| Message::Ops {
        boot,
        first: *range.start(),
        ops: range.map(op).collect(),
    };
    answer(ask, &[ops(11..=12), ops(13..=14)]);
    assert!(node.gossip.directory(boot).map(Replica::head) >= Some(12));
}

#[test]
fn snapshots_for_which_there_is_no_room_yet_are_fetched_when_there_is() {
    let friends: Vec<Member> = (2..12).map(named).collect();
    let mut node = among(&friends);
    let other = &friends[0];
    let behind = |one: &Member| Message::Behind { boot: one.boot, head: 10 };
    let all: Vec<Message> = friends[1..].iter().map(behind).collect();
    let mut asked = consultations(&node.hear(other, &all));
    let mut fetched = 0;
    // As answers come, with no time between: each snapshot is fetched when there is room.
    while let Some((ask, to, boot)) = asked.pop() {
        assert_eq!(to, other.boot);
        let entries = vec![Op { endpoint: "web".parse().unwrap(), weight: 1 }];
        let page = Message::Page { boot, head: 10, last: true, entries };
        let answer = Some(packet(to, &[page]).freeze());
        node.gossip.handle(node.now, Input::Answered { ask, answer });
        asked.extend(consultations(&node.actions()));
        fetched += 1;
    }
    assert_eq!(fetched, 9);
    for friend in &friends[1..] {
        assert_eq!(node.gossip.directory(friend.boot).map(Replica::head), Some(10));
    }
}

/// What snapshots are asked for, and of whom.
fn consultations(actions: &[Action]) -> Vec<(AskId, Boot, Boot)> {
    let asked = actions.iter().filter_map(|action| match action {
        Action::Consult { ask, to, bytes, .. } => {
            let (_, mut messages) = wire::open(bytes).unwrap();
            let boot = messages.find_map(|message| match message.unwrap() {
                Message::PageWant { boot, .. } => Some(boot),
                _ => None,
            })?;
            Some((*ask, *to, boot))
        }
        _ => None,
    });
    asked.collect()
}

/// The only consultation among these.
fn consulted(actions: &[Action]) -> AskId {
    let asks = actions.iter().filter_map(|action| match action {
        Action::Consult { ask, .. } => Some(*ask),
        _ => None,
    });
    let [ask] = asks.collect::<Vec<_>>()[..] else { panic!("{actions:?}") };
    ask
}
