//! How a node finds the others and catches up with them, and how it leaves.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect fails it"
)]

mod gossip;

use core::time::Duration;
use gossip::{ME, Node, addr, dead, member, named, packet, sent, standing};
use pico_core::Machine as _;
use pico_core::gossip::directory::{Op, Replica};
use pico_core::gossip::wire::{self, Head, Message, Scope};
use pico_core::gossip::{Action, Input, Member, Pace, State};
use pico_core::id::{AskId, Boot};
use std::collections::BTreeSet;

const SECOND: Duration = Duration::from_secs(1);

/// Consultations that were asked for.
fn consults(actions: &[Action]) -> Vec<(AskId, Boot)> {
    let ask = |action: &Action| match action {
        Action::Consult { ask, to, .. } => Some((*ask, *to)),
        _ => None,
    };
    actions.iter().filter_map(ask).collect()
}

fn ready(actions: &[Action]) -> Option<bool> {
    actions.iter().find_map(|action| match action {
        Action::Ready { complete } => Some(*complete),
        _ => None,
    })
}

fn heads(of: &Member, head: u64) -> Message {
    let Member { boot, incarnation, .. } = *of;
    Message::Heads { scope: Scope::Some, heads: vec![Head { boot, incarnation, head }] }
}

/// A node that was told of these seeds, of which the first answers and names the others.
fn joining(seeds: &[Member]) -> (Node, Vec<Action>) {
    let mut node = Node::new();
    let first = &seeds[0];
    node.gossip.handle(node.now, Input::Seeds(vec![first.addr]));
    let said = sent(&node.actions(), first.addr);
    let seq = said.iter().find_map(|said| match said {
        Message::Ping { seq, .. } => Some(*seq),
        _ => None,
    });
    let mut messages: Vec<Message> = seeds.iter().cloned().map(Message::Member).collect();
    messages.push(Message::Ack { seq: seq.unwrap() });
    let actions = node.hear(first, &messages);
    (node, actions)
}

fn answer(node: &mut Node, (ask, of): (AskId, Boot), messages: &[Message]) -> Vec<Action> {
    let answer = Some(packet(of, messages).freeze());
    node.gossip.handle(node.now, Input::Answered { ask, answer });
    node.actions()
}

fn fail(node: &mut Node, (ask, _): (AskId, Boot)) -> Vec<Action> {
    node.gossip.handle(node.now, Input::Answered { ask, answer: None });
    node.actions()
}

#[test]
fn whoever_cannot_be_consulted_is_not_the_only_one_who_is_asked() {
    let seeds = [named(2), named(3), named(4)];
    let (mut node, mut actions) = joining(&seeds);
    let mut asked = BTreeSet::new();
    for _ in 0..3 {
        let all = consults(&actions);
        assert_eq!(all.len(), 1, "one at a time");
        assert!(asked.insert(all[0].1), "each once");
        actions = fail(&mut node, all[0]);
    }
    assert_eq!(consults(&actions), [], "there is nobody else, so it waits");
    // A second later it begins anew.
    let actions = node.pass(SECOND);
    let again: Vec<_> = consults(&actions);
    let join = again.iter().find(|(_, to)| asked.contains(to)).unwrap();
    let actions = answer(&mut node, *join, &[heads(&seeds[0], 0)]);
    assert_eq!(ready(&actions), Some(true));
}

#[test]
fn whoever_does_not_answer_a_consultation_is_not_waited_for_alone() {
    let seeds = [named(2), named(3)];
    let (mut node, actions) = joining(&seeds);
    let first = consults(&actions)[0];
    let later = consults(&node.pass(SECOND));
    let second = later.iter().find(|(_, to)| *to != first.1).unwrap();
    assert_eq!(ready(&answer(&mut node, *second, &[])), Some(true));
    assert_eq!(ready(&answer(&mut node, first, &[])), None, "once is enough");
}

#[test]
fn nobody_waits_for_what_the_dead_served() {
    let seeds = [named(2), named(3)];
    let (mut node, actions) = joining(&seeds);
    let first = consults(&actions)[0];
    let other = if first.1 == Boot(2) { &seeds[1] } else { &seeds[0] };
    let actions = answer(&mut node, first, &[heads(other, 7)]);
    assert_eq!(ready(&actions), None, "its log is missing");
    let actions = node.hear(&named(first.1.0), &[dead(other)]);
    assert_eq!(ready(&actions), Some(true));
}

#[test]
fn nobody_waits_for_what_an_earlier_run_served() {
    let seeds = [named(2), named(3)];
    let (mut node, actions) = joining(&seeds);
    let first = consults(&actions)[0];
    let other = if first.1 == Boot(2) { &seeds[1] } else { &seeds[0] };
    answer(&mut node, first, &[heads(other, 7)]);
    let next = Member { boot: Boot(50), generation: 11, ..other.clone() };
    let actions = node.hear(&next, &[Message::Member(next.clone())]);
    assert_eq!(ready(&actions), Some(true));
}

#[test]
fn whoever_has_yet_to_catch_up_does_not_say_when_others_are_ready() {
    let seeds = [named(2), named(3)];
    let (mut node, actions) = joining(&seeds);
    let first = consults(&actions)[0];
    let actions = answer(&mut node, first, &[Message::Joining]);
    assert_eq!(ready(&actions), None);
    let second = consults(&actions)[0];
    assert_ne!(first.1, second.1, "another may know more");
    let known = named(second.1.0);
    let actions = answer(&mut node, second, &[heads(&known, 1)]);
    assert_eq!(ready(&actions), None, "its log is missing");
    let op = Op { endpoint: "web".parse().unwrap(), weight: 1 };
    let actions = node.hear(&known, &[Message::Ops { boot: known.boot, first: 1, ops: vec![op] }]);
    assert_eq!(ready(&actions), Some(true));
}

#[test]
fn what_an_answer_has_no_room_for_is_wanted_at_once_of_who_gave_it() {
    let seeds = [named(2), named(3), named(4)];
    let (mut node, actions) = joining(&seeds);
    let first = consults(&actions)[0];
    let told: Vec<Message> = seeds.iter().map(|seed| heads(seed, 20)).collect();
    let mut actions = answer(&mut node, first, &told);
    // Each time there is room for five ops, of the first log that is wanted.
    let mut rounds = 0;
    while ready(&actions).is_none() {
        let (open, wants) = wanted(&actions);
        assert_eq!(open.1, first.1);
        let of = node.gossip.directory(wants[0].0).map(Replica::head);
        assert_eq!(of, Some(wants[0].1), "from where it is known on");
        let op = |at| Op { endpoint: format!("e-{at}").parse().unwrap(), weight: 1 };
        let (boot, after) = wants[0];
        let ops = (after + 1..=after + 5).map(op).collect();
        actions = answer(&mut node, open, &[Message::Ops { boot, first: after + 1, ops }]);
        rounds += 1;
    }
    assert_eq!((ready(&actions), rounds), (Some(true), 12));
}

#[test]
fn who_answers_without_bringing_anything_is_not_asked_on_and_on() {
    let seeds = [named(2), named(3)];
    let (mut node, actions) = joining(&seeds);
    let first = consults(&actions)[0];
    let mut actions = answer(&mut node, first, &[heads(&seeds[0], 20), heads(&seeds[1], 20)]);
    let mut rounds = 0;
    while !consults(&actions).is_empty() {
        let (open, _) = wanted(&actions);
        actions = answer(&mut node, open, &[heads(&seeds[0], 20)]);
        rounds += 1;
    }
    assert!(rounds < 5);
}

/// A consultation, and behind which numbers it wants which logs.
type Wanted = ((AskId, Boot), Vec<(Boot, u64)>);

/// The only one.
fn wanted(actions: &[Action]) -> Wanted {
    let asked = actions.iter().filter_map(|action| match action {
        Action::Consult { ask, to, bytes, .. } => {
            let (_, messages) = wire::open(bytes).unwrap();
            let wants = messages.filter_map(|message| match message.unwrap() {
                Message::Want { boot, after } => Some((boot, after)),
                _ => None,
            });
            Some(((*ask, *to), wants.collect()))
        }
        _ => None,
    });
    let mut all: Vec<Wanted> = asked.collect();
    assert_eq!(all.len(), 1, "{actions:?}");
    let (open, wants) = all.remove(0);
    let logs: BTreeSet<Boot> = wants.iter().map(|(boot, _)| *boot).collect();
    assert_eq!(logs.len(), wants.len(), "each log once");
    (open, wants)
}

#[test]
fn those_who_start_together_do_not_wait_for_each_other() {
    let seeds = [named(2), named(3)];
    let (mut node, mut actions) = joining(&seeds);
    let begun = node.now;
    for _ in 0..1_000 {
        // Both say that they have just started.
        let open = consults(&actions);
        actions = node.pass(Duration::from_millis(10));
        for open in open {
            actions.extend(answer(&mut node, open, &[Message::Joining]));
        }
        if let Some(complete) = ready(&actions) {
            assert!(complete);
            let took = node.now.since(begun);
            assert!((2 * SECOND..4 * SECOND).contains(&took), "{took:?}");
            return;
        }
    }
    panic!("it never was ready");
}

#[test]
fn who_has_yet_to_catch_up_says_so() {
    let ask = |node: &mut Node| {
        let all = Message::Heads { scope: Scope::All, heads: Vec::new() };
        let bytes = packet(Boot(9), &[all]).freeze();
        node.gossip.handle(node.now, Input::Asked { ask: AskId(1), bytes });
        let actions = node.actions();
        let Some(Action::Answer { bytes, .. }) = actions.last() else { panic!("{actions:?}") };
        let (_, messages) = pico_core::gossip::wire::open(bytes).unwrap();
        messages.map(Result::unwrap).any(|said| said == Message::Joining)
    };
    let (mut node, actions) = joining(&[named(2)]);
    assert!(ask(&mut node));
    answer(&mut node, consults(&actions)[0], &[]);
    assert!(!ask(&mut node));
    let mut first = Node::new();
    first.gossip.handle(first.now, Input::Seeds(Vec::new()));
    assert!(!ask(&mut first), "there was nobody to wait for");
}

#[test]
fn seeds_that_become_known_later_are_asked_at_once() {
    let mut node = Node::new();
    node.gossip.handle(node.now, Input::Seeds(vec![addr(70)]));
    assert_eq!(sent(&node.actions(), addr(70)).len(), 2);
    node.gossip.handle(node.now, Input::Seeds(vec![addr(70), addr(71)]));
    let actions = node.actions();
    assert_eq!(sent(&actions, addr(70)), []);
    assert_eq!(sent(&actions, addr(71)).len(), 2);
}

#[test]
fn those_who_have_left_do_not_keep_the_dead_from_being_asked() {
    let mut node = Node::new();
    for boot in 1_000..1_900 {
        let other = named(boot);
        node.hear(&other, &[Message::Member(other.clone()), standing(&other, State::Left)]);
    }
    let gone = named(2);
    node.hear(&gone, &[Message::Member(gone.clone())]);
    node.hear(&named(3), &[dead(&gone)]);
    let actions = node.pass(2 * Pace::default().contact);
    let said = sent(&actions, gone.addr);
    assert!(said.iter().any(|said| matches!(said, Message::Ping { .. })), "{said:?}");
}

#[test]
fn a_namesake_that_answers_is_the_end_of_the_doubt() {
    let mut node = Node::new();
    let namesake = Member { boot: Boot(7), generation: 90, ..member(ME.0, "node-100") };
    let actions = node.hear(&named(2), &[Message::Member(namesake.clone())]);
    let said = sent(&actions, namesake.addr);
    let seq = said.iter().find_map(|said| match said {
        Message::Ping { seq, .. } => Some(*seq),
        _ => None,
    });
    let here = namesake.addr;
    let actions = node.hear(&namesake, &[Message::Ack { seq: seq.unwrap() }]);
    assert!(actions.contains(&Action::Namesake(here)), "{actions:?}");
    // It drains perhaps, and lives on for a while: the other's name is not taken from it.
    let actions = node.pass(10 * SECOND);
    assert!(!actions.iter().any(|action| matches!(action, Action::Namesake(_))));
    assert_eq!(node.gossip.me().generation, 10);
    // Whatever the other says then, it is not asked again: each answer would be one more reason.
    let actions = node.hear(&namesake, &[Message::Member(namesake.clone())]);
    assert_eq!(sent(&actions, here), [], "{actions:?}");
    assert!(!actions.iter().any(|action| matches!(action, Action::Consult { .. })), "{actions:?}");
}

#[test]
fn the_last_word_is_said_by_consultations_where_datagrams_do_not_get_through() {
    let mut node = Node::new();
    node.gossip.handle(node.now, Input::Seeds(Vec::new()));
    let friend = named(2);
    node.hear(&friend, &[Message::Member(friend.clone())]);
    // Twice in a row only a consultation reaches it.
    for _ in 0..40 {
        let actions = node.pass(Duration::from_millis(50));
        for open in consults(&actions) {
            answer(&mut node, open, &[]);
        }
    }
    node.gossip.handle(node.now, Input::Leave);
    let actions = node.actions();
    let last = consults(&actions);
    assert_eq!(last.len(), 1, "{actions:?}");
    let Some(Action::Consult { bytes, .. }) =
        actions.iter().find(|action| matches!(action, Action::Consult { .. }))
    else {
        panic!("{actions:?}")
    };
    let (_, messages) = pico_core::gossip::wire::open(bytes).unwrap();
    let left = messages.map(Result::unwrap).any(|said| {
        matches!(said, Message::Member(said) if said.boot == ME && said.state == State::Left)
    });
    assert!(left);
    assert_eq!(answer(&mut node, last[0], &[]), [Action::Left]);
}

#[test]
fn the_last_word_is_said_otherwise_too_when_nobody_confirms_it() {
    let mut node = Node::new();
    node.gossip.handle(node.now, Input::Seeds(Vec::new()));
    let friend = named(2);
    node.hear(&friend, &[Message::Member(friend.clone())]);
    node.gossip.handle(node.now, Input::Leave);
    assert_eq!(consults(&node.actions()), [], "datagrams first");
    let mut last = Vec::new();
    while last.is_empty() {
        let actions = node.pass(Duration::from_millis(10));
        assert!(!actions.contains(&Action::Left), "it was not even tried");
        let farewell = |(ask, to): (AskId, Boot)| (to == friend.boot).then_some((ask, to));
        last = consults(&actions).into_iter().filter_map(farewell).collect();
    }
    assert_eq!(answer(&mut node, last[0], &[]), [Action::Left]);
}

#[test]
fn a_head_that_is_wrong_is_not_asked_after_for_ever_while_the_log_grows() {
    let mut node = Node::new();
    let (friend, liar) = (named(2), named(3));
    node.hear(&friend, &[Message::Member(friend.clone()), Message::Member(liar.clone())]);
    node.hear(&liar, &[heads(&friend, 1_000_000)]);
    let mut wanted = Vec::new();
    for second in 1..=120 {
        let op = Op { endpoint: format!("e-{second}").parse().unwrap(), weight: 1 };
        let ops = Message::Ops { boot: friend.boot, first: second, ops: vec![op] };
        let mut actions = node.hear(&friend, &[ops]);
        actions.extend(node.pass_among(SECOND, &[friend.clone(), liar.clone()]));
        let said = [sent(&actions, friend.addr), sent(&actions, liar.addr)].concat();
        wanted.push(said.iter().filter(|said| matches!(said, Message::Want { .. })).count());
    }
    assert!(wanted[0] > 0, "it is believed at first");
    assert_eq!(wanted[60..].iter().sum::<usize>(), 0, "{wanted:?}");
}
