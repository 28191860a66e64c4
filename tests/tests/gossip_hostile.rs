//! What one hostile, or unlucky, packet can do to a node; and what it cannot.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect fails it"
)]

mod gossip;

use bytes::Bytes;
use core::time::Duration;
use gossip::{ME, Node, TOP, addr, datagrams, dead, member, named, packet, sent, standing};
use pico_core::Machine as _;
use pico_core::gossip::wire::{Head, Message, Scope, Standing};
use pico_core::gossip::{Action, GENERATION_MAX, Held, Input, Member, NodeId, Pace, State};
use pico_core::id::{AskId, Boot};
use std::slice;

#[test]
fn a_stranger_gets_one_datagram_at_most_and_no_ops() {
    let mut node = Node::new();
    for at in 0..400 {
        let endpoint = format!("endpoint-{at:04}").parse().unwrap();
        node.gossip.handle(node.now, Input::Serve { endpoint, upstreams: 1 });
    }
    node.pass(Duration::from_secs(1));
    let want = Message::Want { boot: ME, after: 0 };
    let (friend, ping) = (named(2), Message::Ping { seq: 1, target: Boot(0) });
    let asked = [vec![ping; 50], vec![want.clone(); 20]].concat();
    let actions = node.hear(&friend, &asked);
    assert_eq!(datagrams(&actions), 1);
    assert!(!sent(&actions, friend.addr).iter().any(|said| matches!(said, Message::Ops { .. })));
    // A member gets many, where it is; whoever has its name elsewhere gets one.
    node.hear(&friend, &[Message::Member(friend.clone())]);
    assert!(datagrams(&node.hear(&friend, slice::from_ref(&want))) > 5);
    assert_eq!(datagrams(&node.hear_at(friend.boot, addr(999), &[want])), 1);
}

#[test]
fn what_costs_much_is_answered_twice_in_a_packet_at_most() {
    let mut node = Node::new();
    for boot in 1..50 {
        node.hear(&named(boot), &[Message::Member(named(boot))]);
    }
    let all = Message::Heads { scope: Scope::All, heads: Vec::new() };
    let bytes = packet(Boot(2), &vec![all; 1_000]).freeze();
    node.gossip.handle(node.now, Input::Asked { ask: AskId(1), bytes });
    let answers = node.actions();
    let Some(Action::Answer { bytes, .. }) = answers.last() else { panic!("{answers:?}") };
    assert!(bytes.len() < 20_000, "{} bytes", bytes.len());
    let actions = node.hear(&named(2), &vec![Message::Root(1); 100]);
    assert!(datagrams(&actions) <= 4, "{}", datagrams(&actions));
}

#[test]
fn so_many_are_pinged_for_others_at_once_and_no_more() {
    let mut node = Node::new();
    let friend = named(2);
    node.hear(&friend, &[Message::Member(friend.clone())]);
    let relay = |seq: u64| Message::Relay { seq, target: Boot(9), addr: addr(99) };
    let asked: Vec<Message> = (0..60).map(relay).collect();
    let mut pings = 0;
    for _ in 0..3 {
        pings += sent(&node.hear(&friend, &asked), addr(99)).len();
    }
    assert_eq!(pings, Held::MOST.relays);
    node.pass(Duration::from_millis(100));
    assert_eq!(node.gossip.held().relays, 0);
    assert_eq!(sent(&node.hear(&friend, &asked[..1]), addr(99)).len(), 1);
}

#[test]
fn the_highest_numbers_do_not_make_a_node_unreadable() {
    let mut node = Node::new();
    let friend = named(2);
    node.hear(&friend, &[Message::Member(friend.clone())]);
    let myself = Member { incarnation: TOP, ..named(ME.0) };
    let suspect = Standing { boot: ME, incarnation: TOP, state: State::Suspect, by: friend.boot };
    let highest = GENERATION_MAX;
    let namesake = Member { generation: highest, boot: Boot(101), ..named(ME.0) };
    node.hear(
        &friend,
        &[Message::Standing(suspect), standing(&myself, State::Dead), Message::Member(namesake)],
    );
    node.gossip.handle(node.now, Input::Drain);
    let mut actions = node.pass(Duration::from_secs(10));
    let risen = Member { incarnation: 9, ..friend.clone() };
    node.hear(&friend, &[Message::Member(risen)]);
    node.gossip.handle(node.now, Input::Leave);
    actions.extend(node.pass(Duration::from_secs(2)));
    let said = sent(&actions, friend.addr);
    let last = said.iter().rev().find_map(|said| match said {
        Message::Member(said) if said.boot == ME => Some(said.clone()),
        _ => None,
    });
    let last = last.unwrap();
    let risen = (highest + 1, TOP, State::Left);
    assert_eq!((last.generation, last.incarnation, last.state), risen);
}

#[test]
fn a_log_does_not_come_to_where_numbers_end() {
    let mut node = Node::new();
    let friend = named(2);
    let head = Head { boot: Boot(2), incarnation: 0, head: TOP };
    let heads = Message::Heads { scope: Scope::Some, heads: vec![head] };
    node.hear(&friend, &[Message::Member(friend.clone()), heads]);
    let behind = Message::Behind { boot: Boot(2), head: TOP };
    let actions = node.hear(&friend, &[behind]);
    let Some(Action::Consult { ask, .. }) = actions.last() else { panic!("{actions:?}") };
    let page = Message::Page { boot: Boot(2), head: TOP, last: true, entries: Vec::new() };
    let answer = Some(packet(Boot(2), &[page]).freeze());
    node.gossip.handle(node.now, Input::Answered { ask: *ask, answer });
    assert_eq!(node.gossip.directory(Boot(2)).unwrap().head(), TOP);
    let op = pico_core::gossip::directory::Op { endpoint: "a".parse().unwrap(), weight: 1 };
    for first in [TOP, TOP - 1] {
        let ops = vec![op.clone(); 3];
        node.hear(&friend, &[Message::Ops { boot: Boot(2), first, ops }]);
    }
    assert_eq!(node.gossip.directory(Boot(2)).unwrap().head(), TOP);
    sent(&node.pass(Duration::from_secs(5)), friend.addr);
}

#[test]
fn that_a_node_left_is_its_last_word() {
    let mut node = Node::new();
    let friend = named(2);
    node.hear(&friend, &[Message::Member(friend.clone())]);
    node.gossip.handle(node.now, Input::Leave);
    let said = sent(&node.actions(), friend.addr);
    let seq = said.iter().find_map(|said| match said {
        Message::Ping { seq, .. } => Some(*seq),
        _ => None,
    });
    let mut messages = vec![Message::Ack { seq: seq.unwrap() }];
    messages.extend((3..10).map(|boot| Message::Member(named(boot))));
    messages.push(Message::Ping { seq: 1, target: ME });
    let actions = node.hear(&friend, &messages);
    assert_eq!(actions, [Action::Left]);
    assert_eq!(node.gossip.deadline(), None);
}

#[test]
fn members_who_come_and_go_do_not_lengthen_the_order_of_probes_for_ever() {
    let mut node = Node::new();
    let friend = named(2);
    node.hear(&friend, &[Message::Member(friend.clone())]);
    for incarnation in 0..2_000 {
        let alive = Member { incarnation, ..named(3) };
        node.hear(&friend, &[Message::Member(alive.clone()), dead(&alive)]);
    }
    assert!(node.gossip.held().order < 10);
    for generation in 0..40_000 {
        let run = Member { boot: Boot(1_000 + generation), generation, ..member(4, "runs") };
        node.hear(&friend, &[Message::Member(run)]);
    }
    assert_eq!(node.gossip.held().beyond(&Held::MOST), None);
}

#[test]
fn what_nobody_can_be_told_is_bounded() {
    let mut node = Node::new();
    for part in 0..1_500 {
        let strangers = (0..12).map(|at| named(1_000 + part * 12 + at));
        let said = |who: Member| [Message::Member(who.clone()), standing(&who, State::Left)];
        let messages: Vec<Message> = strangers.flat_map(said).collect();
        node.hear_at(Boot(9), addr(9), &messages);
    }
    let held = node.gossip.held();
    assert_eq!(held.beyond(&Held::MOST), None);
    assert_eq!((held.rumours, held.floors), (Held::MOST.rumours, Held::MOST.floors));
}

#[test]
fn the_name_of_another_does_not_bury_it() {
    let mut node = Node::new();
    let (two, three) = (named(2), named(3));
    node.hear(&two, &[Message::Member(two.clone()), Message::Member(three.clone())]);
    // A boot that has a name already claims that of another.
    let claim = Member { generation: 99, id: two.id.clone(), ..three };
    assert_eq!(node.hear(&two, &[Message::Member(claim)]), []);
    assert_eq!((node.state(2), node.state(3)), (Some(State::Alive), Some(State::Alive)));
}

#[test]
fn whoever_is_forgotten_as_dead_learns_of_it_and_comes_back() {
    let mut node = Node::new();
    let friend = named(2);
    node.hear(&friend, &[Message::Member(friend.clone())]);
    node.hear(&named(3), &[dead(&friend)]);
    let day = Pace::default().gone + Duration::from_secs(1);
    node.now = node.now + day;
    node.pass(Duration::from_secs(2));
    assert_eq!(node.state(2), None);
    // Cut off for a day, it is as alive as ever.
    let hello = [Message::Member(friend.clone()), Message::Ping { seq: 1, target: Boot(0) }];
    let said = sent(&node.hear(&friend, &hello), friend.addr);
    let accused = Standing { boot: Boot(2), incarnation: 0, state: State::Dead, by: ME };
    assert!(said.contains(&Message::Standing(accused)), "{said:?}");
    assert_eq!(node.state(2), None);
    let risen = Member { incarnation: 1, ..friend.clone() };
    node.hear(&friend, &[Message::Member(risen)]);
    assert_eq!(node.state(2), Some(State::Alive));
}

#[test]
fn whoever_is_said_to_live_below_a_floor_is_asked_itself() {
    let mut node = Node::new();
    let (two, three) = (named(2), named(3));
    let dead = Member { state: State::Dead, ..three.clone() };
    node.hear(&two, &[Message::Member(two.clone()), Message::Member(dead)]);
    node.hear(&two, &[Message::Member(three.clone())]);
    assert_eq!(node.state(3), None);
    let said = sent(&node.pass(Duration::from_secs(1)), three.addr);
    assert!(said.iter().any(|said| matches!(said, Message::Ping { .. })), "{said:?}");
    let accused = |said: &Message| matches!(said, Message::Standing(s) if s.boot == Boot(3));
    assert!(said.iter().any(accused), "{said:?}");
}

#[test]
fn a_node_whose_clock_went_back_finds_out_though_its_earlier_run_is_dead() {
    // As the others see it: the new run is refused, and told why.
    let mut node = Node::new();
    let old = named(2);
    node.hear(&old, &[Message::Member(old.clone()), dead(&old)]);
    let new = Member { boot: Boot(50), generation: 3, ..old.clone() };
    let said = sent(&node.hear(&new, &[Message::Member(new.clone())]), new.addr);
    let held = Member { state: State::Dead, ..old };
    assert!(said.contains(&Message::Member(held)), "{said:?}");
    // As it sees itself.
    let mut node = Node::new();
    let earlier = Member { boot: Boot(7), generation: 90, state: State::Dead, ..named(ME.0) };
    node.hear(&named(2), &[Message::Member(earlier)]);
    node.pass(Duration::from_secs(5));
    assert_eq!(node.gossip.me().generation, 91);
}

#[test]
fn a_generation_that_no_clock_says_is_not_believed() {
    let (mut node, friend) = (Node::new(), named(2));
    node.hear(&friend, &[Message::Member(friend.clone())]);
    for generation in [GENERATION_MAX + 1, TOP] {
        let forged = Member { generation, ..named(3) };
        let said = [Message::Member(forged), Message::Ping { seq: 7, target: ME }];
        let answer = sent(&node.hear(&friend, &said), friend.addr);
        assert!(answer.contains(&Message::Ack { seq: 7 }), "what follows counts");
    }
    assert_eq!((node.state(3), node.gossip.counts().malformed), (None, 2));
    let highest = Member { generation: GENERATION_MAX, ..named(3) };
    node.hear(&friend, &[Message::Member(highest)]);
    assert_eq!(node.state(3), Some(State::Alive));
    // So far ahead is no clock that is right, and a node that has such a one is believed.
    let settings = pico_core::gossip::Settings {
        cluster: "pico".into(),
        keys: pico_core::gossip::Ring::default(),
        boot: ME,
        generation: TOP,
        id: named(ME.0).id,
        addr: addr(1),
        notes: Vec::new(),
        pace: Pace::default(),
    };
    let seed = pico_core::Seed::from_u64(1);
    let ahead = pico_core::gossip::Machine::new(node.now, settings, &seed);
    assert_eq!(ahead.me().generation, GENERATION_MAX);
}

#[test]
fn nobody_takes_a_name_for_ever() {
    let (mut node, friend) = (Node::new(), named(2));
    let mut other = Node::new();
    for node in [&mut node, &mut other] {
        node.hear(&friend, &[Message::Member(friend.clone())]);
    }
    // Somebody says that the node is another, with all that is believed, again and again.
    for round in 0..3 {
        let ahead = u64::try_from(node.now.since(Node::new().now).as_millis()).unwrap();
        let (boot, generation) = (Boot(u64::MAX - round), GENERATION_MAX + ahead);
        let forged = Member { boot, generation, addr: addr(9), ..named(ME.0) };
        node.hear(&friend, &[Message::Member(forged.clone())]);
        // For another node it is the highest too.
        let mut forged = forged;
        forged.id = NodeId::parse(b"victim").unwrap();
        other.hear(&friend, &[Message::Member(forged.clone())]);
        let known = |node: &Node, boot: Boot| {
            node.gossip.members().any(|member| member.boot == boot && member.state.is_live())
        };
        assert!(known(&other, forged.boot));
        for node in [&mut node, &mut other] {
            node.pass_among(Duration::from_secs(4), slice::from_ref(&friend));
        }
        let me = node.gossip.me().clone();
        assert_eq!(me.generation, generation + 1);
        let victim = Member { boot: Boot(77), id: forged.id.clone(), ..me };
        other.hear(&victim, &[Message::Member(victim.clone())]);
        assert!(known(&other, victim.boot) && !known(&other, forged.boot));
    }
}

#[test]
fn those_who_compare_too_often_are_not_answered() {
    let (mut node, friend) = (Node::new(), named(2));
    node.hear(&friend, &[Message::Member(friend.clone())]);
    let mut answered = || {
        let heads = |said: &Message| matches!(said, Message::Heads { .. });
        let root = Message::Root(7);
        let answers = (0..100).map(|_| node.hear(&friend, slice::from_ref(&root)));
        let answers: Vec<_> = answers.map(|actions| sent(&actions, friend.addr)).collect();
        node.pass_among(Duration::from_secs(1), slice::from_ref(&friend));
        answers.iter().filter(|said| said.iter().any(heads)).count()
    };
    assert_eq!([answered(), answered()], [32, 32], "in a second each");
    // Of one packet only as many count as are answered.
    node.hear(&friend, &vec![Message::Root(7); 100]);
    let said = sent(&node.hear(&friend, &[Message::Root(7)]), friend.addr);
    assert!(said.iter().any(|said| matches!(said, Message::Heads { .. })), "{said:?}");
}

#[test]
fn the_longest_member_is_passed_on_with_other_packets() {
    let mut node = Node::new();
    let friend = named(2);
    let notes = (0..8).map(|key| (key, "x".repeat(64).into())).collect();
    let longest = Member {
        id: NodeId::parse(&[b'n'; 64]).unwrap(),
        generation: GENERATION_MAX,
        incarnation: TOP,
        addr: "[2001:db8::7]:8003".parse().unwrap(),
        notes,
        ..named(3)
    };
    node.hear(&friend, &[Message::Member(friend.clone())]);
    let mut actions = node.hear(&friend, &[Message::Member(longest.clone())]);
    actions.extend(node.pass(Duration::from_secs(2)));
    assert!(sent(&actions, friend.addr).contains(&Message::Member(longest)));
}

#[test]
fn heads_with_the_highest_numbers_fit_into_datagrams() {
    let mut node = Node::new();
    for boot in 1..46 {
        let risen = Member { incarnation: TOP, ..named(boot) };
        node.hear(&named(boot), &[Message::Member(risen)]);
        let behind = Message::Behind { boot: Boot(boot), head: TOP };
        let actions = node.hear(&named(boot), &[behind]);
        let asks = actions.iter().filter_map(|action| match action {
            Action::Consult { ask, .. } => Some(*ask),
            _ => None,
        });
        for ask in asks.collect::<Vec<AskId>>() {
            let page = Message::Page { boot: Boot(boot), head: TOP, last: true, entries: vec![] };
            let answer: Option<Bytes> = Some(packet(Boot(boot), &[page]).freeze());
            node.gossip.handle(node.now, Input::Answered { ask, answer });
        }
        node.actions();
    }
    let said = sent(&node.hear(&named(1), &[Message::Root(1)]), named(1).addr);
    let told: usize = said
        .iter()
        .map(|said| match said {
            Message::Heads { scope: Scope::All, heads } => {
                heads.iter().filter(|head| head.head == TOP).count()
            }
            _ => 0,
        })
        .sum();
    assert_eq!(told, 45, "{said:?}");
}

#[test]
fn the_bounds_are_those_of_the_specification() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../spec/gossip.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, bounds) = text.split_once("## Bounds").unwrap();
    let rows = bounds.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (name, most) = (cells.next()?, cells.next()?);
        Some((name, most.replace(',', "").parse::<usize>().ok()?))
    });
    let rows: Vec<(&str, usize)> = rows.collect();
    assert_eq!(rows, Held::MOST.parts());
}
