//! Judges object to what they are there to object to: each is shown a run in which more goes
//! wrong than its case says.

use core::net::SocketAddr;
use pico_sim::case::{Case, Chance, Fault, Link, Load, Member, Role, Shape, Span, Traffic};
use pico_sim::kernel::Trace;
use pico_sim::run::Run;

/// A run of `real`, of which its judges are told that it is `told`.
fn hushed_up(told: &Case, real: impl FnOnce(&mut Case)) -> Run {
    let mut case = told.clone();
    real(&mut case);
    let mut run = Run::new(case, Trace::default());
    run.case = told.clone();
    run
}

/// Plays it to its end; what the judge with this number has found.
fn objection(mut run: Run, number: u8) -> String {
    run.live();
    let broken = run.broken().expect("somebody objects");
    assert_eq!(broken.invariant.number, number, "{broken}");
    broken.detail.clone()
}

/// Three nodes that do nothing but gossip.
fn gossip() -> Case {
    let shape = Shape { nodes: 3, gossip_only: true, ..Shape::default() };
    Case { shape, heal: Span::secs(30), ..Case::default() }
}

/// The same, in which nobody minds a suspicion.
fn lossy() -> Case {
    let link = Link { loss: Chance::percent(1), ..Link::default() };
    Case { link, ..gossip() }
}

fn cut(from: &str, to: &str, at: Span, lasts: Span) -> Fault {
    let (from, to) = (from.into(), to.into());
    Fault::Cut { from, to, both: true, only: Traffic::All, at, lasts, flaps: None }
}

fn door(at: usize) -> SocketAddr {
    SocketAddr::new(Member { role: Role::Node, at }.ip(), 8004)
}

#[test]
fn a_cluster_that_stays_in_two_after_heal_is_not_the_truth() {
    let run = hushed_up(&lossy(), |case| {
        case.heal = Span::secs(3_600);
        case.faults.push(cut("node-0", "node-1,node-2", Span::secs(20), Span::secs(3_000)));
    });
    let detail = objection(run, 3);
    assert!(detail.contains("misses"), "{detail}");
}

#[test]
fn a_log_that_never_arrives_is_not_the_truth() {
    let churn = Fault::Churn { who: "node-0".into(), at: Span::secs(20), endpoints: 20_000 };
    let run = hushed_up(&Case { faults: vec![churn], ..gossip() }, |case| {
        case.heal = Span::secs(3_600);
        let (from, to) = ("node-0".into(), "node-1,node-2".into());
        let (only, at, lasts) = (Traffic::Streams, Span::secs(19), Span::secs(3_000));
        case.faults.push(Fault::Cut { from, to, both: true, only, at, lasts, flaps: None });
    });
    let detail = objection(run, 3);
    assert!(detail.contains("knows the log of"), "{detail}");
}

#[test]
fn nodes_that_know_each_other_have_to_when_those_that_could_be_joined_are_gone() {
    let gone = |at: usize| Fault::Crash {
        who: format!("node-{at}"),
        at: Span::secs(20),
        back: None,
        renamed: false,
    };
    let shape = Shape { nodes: 5, ..gossip().shape };
    let told = Case { shape, faults: (0..3).map(gone).collect(), ..lossy() };
    let mut whole = hushed_up(&told, |_| {});
    whole.live();
    assert_eq!(whole.broken(), None);
    let run = hushed_up(&told, |case| {
        case.heal = Span::secs(3_600);
        case.faults.push(cut("node-4", "node-3", Span::secs(15), Span::secs(3_000)));
    });
    let detail = objection(run, 3);
    assert!(detail.contains("misses"), "{detail}");
}

#[test]
fn packets_that_nobody_sent_and_nobody_understands_come_from_strangers() {
    let mut run = hushed_up(&gossip(), |_| {});
    run.warm_up();
    run.world.inject(door(98), door(0), b"nonsense");
    let detail = objection(run, 4);
    assert!(detail.contains("by nobody"), "{detail}");
}

#[test]
fn whoever_suspects_somebody_was_moved_to_it_if_there_are_strangers_alone() {
    let run = hushed_up(&gossip(), |case| {
        let (at, lasts) = (Span::secs(10), Span::secs(2));
        case.faults.push(Fault::Pause { who: "node-0".into(), at, lasts });
    });
    let detail = objection(run, 4);
    assert!(detail.contains("strangers alone"), "{detail}");
}

#[test]
fn whoever_suspects_somebody_long_after_heal_is_not_quiet() {
    let told = Case { faults: vec![Fault::Drift { who: "node-0".into(), ppm: 1 }], ..gossip() };
    let run = hushed_up(&told, |case| {
        case.heal = Span::secs(3_600);
        let (at, lasts) = (Span::secs(100), Span::secs(2));
        case.faults.push(Fault::Pause { who: "node-0".into(), at, lasts });
    });
    let detail = objection(run, 5);
    assert!(detail.contains("nothing is wrong"), "{detail}");
}

#[test]
fn a_datagram_that_no_way_carries_is_too_long() {
    let run = hushed_up(&gossip(), |case| case.link.mtu = 60);
    let detail = objection(run, 5);
    assert!(detail.contains("too long"), "{detail}");
}

#[test]
fn agents_that_are_not_back_half_a_minute_after_their_node_died_are_missed() {
    let shape = Shape { nodes: 2, agents: 6, endpoints: 1, clients: 1, ..Shape::default() };
    let crash =
        Fault::Crash { who: "node-1".into(), at: Span::secs(30), back: None, renamed: false };
    let load = Load { requests: 1, late: 1, ..Load::default() };
    let (warm_up, heal) = (Span::secs(15), Span::secs(120));
    let told = Case { shape, load, warm_up, heal, faults: vec![crash], ..Case::default() };
    let run = hushed_up(&told, |case| {
        case.faults.push(cut("agents", "nodes", Span::secs(30), Span::secs(80)));
    });
    let detail = objection(run, 14);
    assert!(detail.contains("no tunnel yet"), "{detail}");
}

/// One node, an operator, and hardly anything else.
fn asked() -> Case {
    let shape = Shape { agents: 1, endpoints: 1, clients: 1, operator: true, ..Shape::default() };
    let load = Load { requests: 1, late: 1, ..Load::default() };
    Case { shape, load, warm_up: Span::secs(5), heal: Span::secs(60), ..Case::default() }
}

#[test]
fn an_operator_who_waits_for_longer_than_any_time_out_is_told_too_late() {
    let run = hushed_up(&asked(), |case| {
        let (at, lasts) = (Span::secs(20), Span::secs(30));
        case.faults.push(Fault::Pause { who: "node-0".into(), at, lasts });
    });
    let detail = objection(run, 15);
    assert!(detail.contains("answered 200") || detail.contains("silence"), "{detail}");
}

#[test]
fn an_operator_whose_questions_never_end_is_not_told() {
    let run = hushed_up(&asked(), |case| {
        case.heal = Span::secs(3_600);
        case.faults.push(cut("operator", "node-0", Span::secs(30), Span::secs(3_000)));
    });
    let detail = objection(run, 15);
    assert!(detail.contains("never ended"), "{detail}");
}
