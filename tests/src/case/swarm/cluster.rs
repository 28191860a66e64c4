//! What a swarm draws of clusters: how many nodes there are, and what goes wrong between them.
//!
//! All of it comes from streams of its own, so that a seed with one node stands for the same case
//! whether or not clusters are drawn at all.

use super::When;
use crate::case::{Answer, Case, Fault, Intrusion, Join, Shape, Span, Traffic};
use crate::draw::Draw as _;
use pico_core::{Dice, Seed};

/// How many nodes: small clusters most often.
pub(super) fn nodes(root: &Seed, most: usize) -> usize {
    let mut dice = root.fork("nodes").roll();
    let nodes = match dice.below(16) {
        0..=5 => 1,
        6..=8 => 2,
        9..=11 => 3,
        12..=13 => 4 + dice.index(3),
        _ => 2 + dice.index(most.max(2) - 1),
    };
    nodes.min(most)
}

/// How they find each other, and whether they do anything else.
pub(super) fn shape(root: &Seed, shape: &mut Shape) {
    let mut dice = root.fork("cluster").roll();
    shape.join = if dice.chance(1, 2) { Join::Name } else { Join::First };
    shape.name_bytes = if dice.chance(1, 8) { 64 } else { 0 };
    shape.mixed = dice.chance(1, 8);
    shape.gossip_only |= dice.chance(1, 6);
}

/// The kinds of faults that concern nodes among others, so that each can be on or off.
#[derive(Clone, Copy)]
enum Sort {
    Reborn,
    ClockBack,
    Namesake,
    Recycled,
    Intruder,
    Churn,
    Halves,
    Pair,
    OneWay,
    NoDatagrams,
    NoStreams,
    Flaps,
    Sleep,
    Names,
}

const SORTS: [Sort; 14] = [
    Sort::Reborn,
    Sort::ClockBack,
    Sort::Namesake,
    Sort::Recycled,
    Sort::Intruder,
    Sort::Churn,
    Sort::Halves,
    Sort::Pair,
    Sort::OneWay,
    Sort::NoDatagrams,
    Sort::NoStreams,
    Sort::Flaps,
    Sort::Sleep,
    Sort::Names,
];

/// What goes wrong between nodes.
pub(super) fn faults(case: &Case, most: u64, root: &Seed) -> Vec<Fault> {
    // By itself, stopping in good order must lose nothing.
    if super::is_orderly(root) {
        return Vec::new();
    }
    let mut dice = root.fork("cluster-kinds").roll();
    let on: Vec<Sort> = SORTS.into_iter().filter(|_| dice.chance(1, 4)).collect();
    if on.is_empty() || case.shape.nodes < 2 {
        return Vec::new();
    }
    let count = dice.between(0, most / 2);
    let draw = |at| {
        let dice = &mut root.fork_at("plight", at).roll();
        let when = When::draw(case, dice, &mut root.fork_at("plight-begins", at).roll());
        fault(case, &on, &when, dice)
    };
    (0..count).flat_map(draw).collect()
}

fn fault(case: &Case, on: &[Sort], when: &When, dice: &mut Dice) -> Vec<Fault> {
    let When { at, lasts } = *when;
    let [who, other] = two(case.shape.nodes, dice);
    let cut = |from: String, to: String, both, only, flaps| {
        vec![Fault::Cut { from, to, both, only, at, lasts, flaps }]
    };
    let (all, nodes) = (Traffic::All, || "nodes".to_owned());
    match *dice.pick(on) {
        Sort::Reborn => {
            // So soon that nobody has missed it.
            let back = Some(Span::millis(dice.between(50, 4_000)));
            let who = if dice.chance(1, 8) { nodes() } else { who };
            vec![Fault::Crash { who, at, back, renamed: false }]
        }
        Sort::ClockBack => {
            let by = *dice.pick(&[Span::millis(5), Span::secs(30), Span::secs(86_400 * 365)]);
            let back = Some(Span(lasts.0.min(Span::secs(5).0)));
            let crash = Fault::Crash { who: who.clone(), at, back, renamed: false };
            vec![Fault::ClockBack { who, at, by }, crash]
        }
        Sort::Namesake => vec![Fault::Namesake { who, of: other, at, lasts }],
        Sort::Recycled => vec![Fault::Recycled { who, at, lasts }],
        Sort::Intruder => {
            let who = if dice.chance(1, 2) { nodes() } else { who };
            vec![Fault::Intruder { who, how: *dice.pick(&Intrusion::ALL), at, lasts }]
        }
        Sort::Churn if case.shape.gossip_only => {
            vec![Fault::Churn { who, at, endpoints: *dice.pick(&[10, 1_000, 20_000]) }]
        }
        Sort::Churn => Vec::new(),
        Sort::Halves => {
            let (one, rest) = parts(case.shape.nodes, dice);
            cut(one, rest, true, all, None)
        }
        // Everybody else still reaches both.
        Sort::Pair => cut(who, other, true, all, None),
        Sort::OneWay => {
            let to = if dice.chance(1, 2) { nodes() } else { other };
            cut(who, to, false, all, None)
        }
        Sort::NoDatagrams => {
            let (from, to) = if dice.chance(1, 2) { (nodes(), nodes()) } else { (who, other) };
            cut(from, to, true, Traffic::Datagrams, None)
        }
        Sort::NoStreams => {
            let (from, to) = if dice.chance(1, 2) { (nodes(), nodes()) } else { (who, other) };
            cut(from, to, true, Traffic::Streams, None)
        }
        Sort::Flaps => {
            let flaps = Some(Span::millis(dice.between(50, 8_000)));
            cut(who, other, dice.chance(1, 2), all, flaps)
        }
        Sort::Sleep => {
            let lasts = Span(lasts.0.min(Span::secs(20).0));
            vec![Fault::Pause { who, at, lasts }]
        }
        Sort::Names => {
            let answers =
                [Answer::Fails, Answer::Never, Answer::Partial, Answer::Stale, Answer::Own];
            let who = if dice.chance(1, 2) { nodes() } else { who };
            vec![Fault::Names { who, at, lasts, answer: *dice.pick(&answers) }]
        }
    }
}

/// Two different nodes of at least two.
fn two(nodes: usize, dice: &mut Dice) -> [String; 2] {
    let one = dice.index(nodes);
    let other = (one + 1 + dice.index(nodes - 1)) % nodes;
    [one, other].map(|at| format!("node-{at}"))
}

/// Some nodes, and others; perhaps some more that are in neither part and reach both.
fn parts(nodes: usize, dice: &mut Dice) -> (String, String) {
    let bridged = nodes > 2 && dice.chance(1, 3);
    let cut = 1 + dice.index(nodes - 1 - usize::from(bridged));
    let names = |range: core::ops::Range<usize>| {
        range.map(|at| format!("node-{at}")).collect::<Vec<_>>().join(",")
    };
    (names(0..cut), names(cut + usize::from(bridged)..nodes))
}
