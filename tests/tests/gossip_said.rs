//! What one node must make of what it is told, each seen at one node alone.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect fails it"
)]

mod gossip;

use bytes::BytesMut;
use core::time::Duration;
use gossip::{ME, Node, among, dead, named, sent, standing};
use pico_core::Machine as _;
use pico_core::gossip::directory::Op;
use pico_core::gossip::wire::{Envelope, Head, Message, Scope, Standing};
use pico_core::gossip::{Action, Input, Member, State};
use pico_core::id::Boot;

#[test]
fn another_cluster_is_counted_and_not_listened_to() {
    let (mut node, friend) = (Node::new(), named(2));
    let mut bytes = BytesMut::new();
    Envelope { cluster: "other", from: friend.boot }.put(&mut bytes);
    Message::Member(friend.clone()).put(&mut bytes);
    Message::Ping { seq: 1, target: Boot(0) }.put(&mut bytes);
    node.gossip.handle(node.now, Input::Datagram { from: friend.addr, bytes });
    assert_eq!(node.actions(), []);
    assert_eq!((node.state(2), node.gossip.counts().strange), (None, 1));
}

#[test]
fn only_a_member_itself_says_that_it_has_left() {
    let [friend, other] = [named(2), named(3)];
    let mut node = among(&[friend.clone(), other.clone()]);
    let said = Standing { boot: other.boot, incarnation: 0, state: State::Left, by: friend.boot };
    node.hear(&friend, &[Message::Standing(said)]);
    assert_eq!(node.state(3), Some(State::Alive));
    // Whoever passes on what it said itself is believed.
    node.hear(&friend, &[standing(&other, State::Left)]);
    assert_eq!(node.state(3), Some(State::Left));
}

#[test]
fn who_is_held_dead_by_one_whom_it_holds_dead_answers_that_it_lives() {
    let friend = named(2);
    let mut node = among(std::slice::from_ref(&friend));
    node.hear(&named(3), &[dead(&friend)]);
    let dead = |incarnation| {
        let (boot, by) = (ME, friend.boot);
        Message::Standing(Standing { boot, incarnation, state: State::Dead, by })
    };
    let ping = Message::Ping { seq: 1, target: ME };
    // At once, and if what it is told is old: it has told it only to those whom it held alive.
    for _ in 0..2 {
        let actions = node.hear(&friend, &[ping.clone(), dead(0)]);
        let said = sent(&actions, friend.addr);
        let lives = |said: &Message| match said {
            Message::Member(member) => member.boot == ME && member.incarnation == 1,
            _ => false,
        };
        assert!(said.iter().any(lives), "{said:?}");
    }
}

#[test]
fn who_is_held_dead_by_one_whom_it_holds_alive_tells_it_again() {
    let friends = [named(2), named(3)];
    let mut node = among(&friends);
    let stale = Standing { boot: ME, incarnation: 0, state: State::Dead, by: Boot(2) };
    node.hear(&friends[0], &[Message::Standing(stale)]);
    // Everybody has been told, and this one did not hear it.
    node.pass_among(Duration::from_mins(1), &friends);
    node.hear(&friends[0], &[Message::Standing(stale)]);
    let actions = node.pass(Duration::from_secs(5));
    let lives = |said: &Message| match said {
        Message::Member(member) => member.boot == ME && member.incarnation == 1,
        _ => false,
    };
    assert!(sent(&actions, friends[0].addr).iter().any(lives), "{actions:?}");
}

#[test]
fn who_refutes_a_suspicion_does_not_die_of_it() {
    let [friend, one, other] = [named(2), named(3), named(4)];
    let friends = [friend.clone(), one.clone(), other.clone()];
    let mut node = among(&friends);
    for accuser in [&one, &other] {
        let said = Standing { by: accuser.boot, ..accusation(&friend) };
        node.hear(accuser, &[Message::Standing(said)]);
        assert_eq!(node.state(2), Some(State::Suspect));
    }
    let risen = Member { incarnation: 1, ..friend };
    node.hear(&risen, &[Message::Member(risen.clone())]);
    assert_eq!(node.state(2), Some(State::Alive));
    node.pass_among(Duration::from_mins(1), &friends);
    assert_eq!((node.state(2), node.gossip.counts().deaths), (Some(State::Alive), 0));
}

#[test]
fn however_many_tell_of_a_suspicion_it_is_one() {
    let friends: Vec<Member> = (2..9).map(named).collect();
    let [accused, others @ ..] = &friends[..] else { panic!() };
    let [told, confirmed] = [false, true].map(|accuse| {
        let mut node = among(&friends);
        let suspect = Member { state: State::Suspect, ..accused.clone() };
        for one in others {
            let said = Standing { by: one.boot, ..accusation(accused) };
            let said =
                if accuse { Message::Standing(said) } else { Message::Member(suspect.clone()) };
            node.hear(one, &[said]);
        }
        node.pass_among(Duration::from_secs(3), others);
        node.state(2)
    });
    assert_eq!((told, confirmed), (Some(State::Suspect), Some(State::Dead)));
}

#[test]
fn who_suspects_one_that_is_gone_is_told_so_and_says_no_more() {
    let [friend, other] = [named(2), named(3)];
    let left = standing(&other, State::Left);
    for (gone, state, by) in [(dead(&other), State::Dead, ME), (left, State::Left, other.boot)] {
        let mut node = among(&[friend.clone(), other.clone()]);
        node.hear(&friend, &[gone]);
        let agreed = Standing { boot: other.boot, incarnation: 0, state, by };
        let mut answered = |said: Message| standings(&node.hear(&friend, &[said]), &friend);
        let suspect = Member { state: State::Suspect, ..other.clone() };
        for said in [Message::Standing(accusation(&other)), Message::Member(suspect)] {
            assert_eq!(answered(said), [agreed]);
        }
        // Both hold it so now: that is the end of it.
        assert_eq!(answered(Message::Standing(agreed)), []);
        // Nobody lives again because it has died later.
        let later = Standing { incarnation: 1, state: State::Dead, ..agreed };
        answered(Message::Standing(later));
        assert_eq!(node.state(3), Some(state));
        let mut answered = |said: Message| standings(&node.hear(&friend, &[said]), &friend);
        // It has risen since.
        let risen = Standing { incarnation: 1, ..accusation(&other) };
        assert_eq!(answered(Message::Standing(risen)), []);
    }
}

#[test]
fn a_death_that_others_hold_is_an_accusation_and_may_be_refuted() {
    let friends: Vec<Member> = (2..12).map(named).collect();
    let suspect = named(12);
    let agree = |node: &mut Node, by: &Member| {
        let (boot, state) = (suspect.boot, State::Dead);
        let said = Standing { boot, incarnation: 0, state, by: by.boot };
        node.hear(by, &[Message::Standing(said)]);
    };
    for refuted in [false, true] {
        let mut node = among(&friends);
        node.hear(&suspect, &[Message::Member(suspect.clone())]);
        agree(&mut node, &friends[0]);
        node.pass_among(Duration::from_millis(1_900), &friends);
        for by in &friends[1..4] {
            assert_eq!(node.state(12), Some(State::Suspect));
            agree(&mut node, by);
        }
        if refuted {
            let risen = Member { incarnation: 1, ..suspect.clone() };
            node.hear(&suspect, &[Message::Member(risen)]);
        }
        node.pass_among(Duration::from_millis(300), &friends);
        let now = if refuted { State::Alive } else { State::Dead };
        assert_eq!(node.state(12), Some(now));
    }
}

/// What is said to this one of how others are held.
fn standings(actions: &[Action], to: &Member) -> Vec<Standing> {
    let standing = |one| match one {
        Message::Standing(one) => Some(one),
        _ => None,
    };
    sent(actions, to.addr).into_iter().filter_map(standing).collect()
}

/// Somebody could not reach this one.
fn accusation(of: &Member) -> Standing {
    let Member { boot, incarnation, .. } = *of;
    Standing { boot, incarnation, state: State::Suspect, by: boot }
}

#[test]
fn what_a_member_served_is_served_no_more_once_it_is_dead() {
    let friend = named(2);
    let mut node = among(std::slice::from_ref(&friend));
    let op = |weight| Op { endpoint: "web".parse().unwrap(), weight };
    let ops = Message::Ops { boot: friend.boot, first: 1, ops: vec![op(1)] };
    let serves = |changes| Action::Serves { boot: Boot(2), changes };
    assert!(node.hear(&friend, &[ops]).contains(&serves(vec![op(1)])));
    let told = node.hear(&named(3), &[dead(&friend)]);
    assert!(told.contains(&serves(vec![op(0)])), "{told:?}");
}

#[test]
fn a_node_that_drains_says_so() {
    let friend = named(2);
    let mut node = among(std::slice::from_ref(&friend));
    node.gossip.handle(node.now, Input::Drain);
    let actions = node.pass(Duration::from_secs(1));
    let said = sent(&actions, friend.addr);
    let leaves = |said: &Message| match said {
        Message::Member(member) => member.boot == ME && member.state == State::Leaving,
        _ => false,
    };
    assert!(said.iter().any(leaves), "{said:?}");
}

#[test]
fn the_dead_are_asked_now_and_then_whether_they_live() {
    let friend = named(2);
    let mut node = among(std::slice::from_ref(&friend));
    node.hear(&named(3), &[dead(&friend)]);
    assert_eq!(node.state(2), Some(State::Dead));
    let actions = node.pass(Duration::from_secs(200));
    let asked = |said: &&Message| matches!(said, Message::Ping { .. });
    let times = sent(&actions, friend.addr).iter().filter(asked).count();
    assert!((13..=40).contains(&times), "{times} times in 200 s, every 5 to 15 s");
}

#[test]
fn what_others_did_not_answer_while_a_node_slept_is_not_held_against_them() {
    let friends = [named(2), named(3)];
    let mut node = among(&friends);
    node.pass_among(Duration::from_secs(5), &friends);
    // A ping is out, and its answer would have come.
    let asked = |actions: &[Action]| {
        let said = friends.iter().flat_map(|friend| sent(actions, friend.addr));
        said.into_iter().any(|said| matches!(said, Message::Ping { .. }))
    };
    while !asked(&node.pass(Duration::from_millis(1))) {}
    node.now = node.now + Duration::from_secs(20);
    node.gossip.tick(node.now);
    assert_eq!(node.gossip.counts().suspicions, 0);
    assert_eq!(node.gossip.health(), 1);
}

/// A node of which most friends are dead, and that nobody has told so yet: the first three answer
/// its pings, and say no when they are asked to help. What was asked of each friend.
fn after_a_mass_death(node: &mut Node, friends: &[Member]) -> Vec<(Boot, Boot)> {
    let mut relays = Vec::new();
    for _ in 0..2_000 {
        let actions = node.pass(Duration::from_millis(5));
        for friend in friends {
            let mut answers = Vec::new();
            for said in sent(&actions, friend.addr) {
                match said {
                    Message::Ping { seq, .. } => answers.push(Message::Ack { seq }),
                    Message::Relay { seq, target, .. } => {
                        relays.push((friend.boot, target));
                        answers.push(Message::Nack { seq });
                    }
                    _ => {}
                }
            }
            if friend.boot.0 < 5 && !answers.is_empty() {
                node.hear(friend, &answers);
            }
        }
    }
    relays
}

#[test]
fn who_was_heard_of_lately_is_asked_to_help() {
    let friends: Vec<Member> = (2..42).map(named).collect();
    let mut node = among(&friends);
    for friend in friends.iter().take(3) {
        node.hear(friend, &[Message::Ping { seq: 1, target: ME }]);
    }
    let relays = after_a_mass_death(&mut node, &friends);
    assert!(relays.len() > 30, "{relays:?}");
    assert!(relays.iter().all(|(helper, _)| helper.0 < 5), "{relays:?}");
}

#[test]
fn a_node_trusts_its_own_ears_as_long_as_a_helper_says_no() {
    let friends: Vec<Member> = (2..42).map(named).collect();
    let mut node = among(&friends);
    for friend in friends.iter().take(3) {
        node.hear(friend, &[Message::Ping { seq: 1, target: ME }]);
    }
    after_a_mass_death(&mut node, &friends);
    assert!(node.gossip.counts().suspicions > 20, "{:?}", node.gossip.counts());
    assert_eq!(node.gossip.health(), 0);
    // And not when nobody says anything.
    node.pass(Duration::from_secs(20));
    assert!(node.gossip.health() > 3, "{}", node.gossip.health());
}

#[test]
fn who_is_dead_as_soon_as_others_agree_is_no_sign_that_the_node_slept() {
    let friends: Vec<Member> = (2..12).map(named).collect();
    let suspect = named(12);
    let mut node = among(&friends);
    node.hear(&suspect, &[Message::Member(suspect.clone())]);
    let accuse = |node: &mut Node, by: &Member| {
        let (boot, incarnation, state) = (suspect.boot, 0, State::Suspect);
        let said = Standing { boot, incarnation, state, by: by.boot };
        node.hear(by, &[Message::Standing(said)]);
    };
    accuse(&mut node, &friends[0]);
    node.pass_among(Duration::from_secs(8), &friends);
    assert_eq!(node.state(12), Some(State::Suspect));
    let health = node.gossip.health();
    // So many agree that it should have been held dead seconds ago.
    for by in &friends[1..4] {
        accuse(&mut node, by);
    }
    node.pass_among(Duration::from_millis(1), &friends);
    assert_eq!(node.state(12), Some(State::Dead));
    assert_eq!(node.gossip.health(), health);
}

#[test]
fn ops_that_did_not_come_are_asked_for_again() {
    let friend = named(2);
    let mut node = among(std::slice::from_ref(&friend));
    let heads = vec![Head { boot: friend.boot, incarnation: 0, head: 5 }];
    let mut actions = node.hear(&friend, &[Message::Heads { scope: Scope::Some, heads }]);
    actions.extend(node.pass_among(Duration::from_secs(1), std::slice::from_ref(&friend)));
    let want = Message::Want { boot: friend.boot, after: 0 };
    let times = sent(&actions, friend.addr).iter().filter(|said| **said == want).count();
    assert!(times >= 3, "{times} times in a second");
}

#[test]
fn news_of_a_member_that_comes_when_it_is_quiet_goes_out_at_once_and_then_in_rounds() {
    let friends: Vec<Member> = (2..12).map(named).collect();
    let mut node = among(&friends);
    node.pass_among(Duration::from_secs(30), &friends);
    let gone = standing(&friends[9], State::Left);
    node.hear(&friends[0], &[gone]);
    assert_eq!(node.state(11), Some(State::Left));
    // Beside rounds it goes with pings.
    let mut told = |span| {
        let actions = node.pass_among(Duration::from_millis(span), &friends);
        let round = |friend: &&Member| {
            let said = sent(&actions, friend.addr);
            let tells = |one: &Message| matches!(one, Message::Member(of) if of.boot == Boot(11));
            let pings = |one: &Message| matches!(one, Message::Ping { .. });
            let times = said.iter().filter(|one| tells(one)).count();
            assert!(times < 2, "the same twice, in one datagram: {said:?}");
            times == 1 && !said.iter().any(pings)
        };
        friends.iter().filter(round).count()
    };
    assert_eq!(told(20), 3, "at once");
    assert_eq!(told(79), 0, "but no more often than ever");
    assert_eq!(told(21), 3);
}

#[test]
fn what_was_asked_for_in_vain_is_missing_until_its_writer_says_otherwise() {
    let friends = [named(2), named(3)];
    let [writer, other] = &friends;
    let heads = |head| {
        let heads = vec![Head { boot: writer.boot, incarnation: 0, head }];
        Message::Heads { scope: Scope::Some, heads }
    };
    let lag = |node: &Node| {
        let lag = node.gossip.lag();
        (lag.logs, lag.ops)
    };
    let wants = |actions: &[Action]| {
        let said = friends.iter().flat_map(|friend| sent(actions, friend.addr));
        said.filter(|said| matches!(said, Message::Want { .. })).count()
    };
    let mut node = among(&friends);
    node.hear(other, &[heads(5)]);
    assert!(wants(&node.pass_among(Duration::from_secs(10), &friends)) > 10);
    let later = node.pass_among(Duration::from_secs(10), &friends);
    assert_eq!((wants(&later), lag(&node)), (0, (1, 5)), "it has given up, and says what it lacks");
    // What another says of the log proves nothing; what its writer says does.
    node.hear(other, &[heads(0)]);
    assert_eq!(lag(&node), (1, 5));
    node.hear(writer, &[heads(0)]);
    assert_eq!(lag(&node), (0, 0));
    // So does a writer that knows all that is known here, and nothing else.
    node.hear(other, &[heads(5)]);
    let all = node.pass_among(Duration::from_secs(10), &friends);
    let said = friends.iter().flat_map(|friend| sent(&all, friend.addr));
    let roots = said.filter_map(|said| match said {
        Message::Root(hash) => Some(hash),
        _ => None,
    });
    let root = Message::Root(roots.last().unwrap());
    node.hear(other, std::slice::from_ref(&root));
    assert_eq!(lag(&node), (1, 5));
    node.hear(writer, &[root]);
    assert_eq!(lag(&node), (0, 0));
    // And what comes after all.
    node.hear(other, &[heads(5)]);
    node.pass_among(Duration::from_secs(10), &friends);
    assert_eq!(lag(&node), (1, 5));
    let ops = (0..5).map(|at| Op { endpoint: format!("e{at}").parse().unwrap(), weight: 1 });
    node.hear(writer, &[Message::Ops { boot: writer.boot, first: 1, ops: ops.collect() }]);
    assert_eq!(lag(&node), (0, 0));
}
