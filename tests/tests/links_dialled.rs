//! What a packet that is lost while a link is dialled costs those who wait for the link.

use pico_core::note::Note;
use pico_core::{Instant, Limits};
use pico_sim::actors::{Client, Outcome, Record};
use pico_sim::case::{Case, Fault, Link, Load, Role, Shape, Span, Traffic};
use pico_sim::kernel::Trace;
use pico_sim::run::Run;
use std::collections::BTreeSet;
use std::time::Duration;

/// Two nodes, of which one has the only agent, and clients that ask both. When they begin, the
/// nodes' streams to each other lose every packet for so long; the judges are not told, and so
/// they want each request answered.
fn played(lasts: Duration) -> Run {
    let shape = Shape { nodes: 2, agents: 1, endpoints: 1, clients: 4, ..Shape::default() };
    let load = Load {
        requests: 40,
        late: 0,
        every: Span::millis(100),
        body_bytes: 1_000,
        kinds: BTreeSet::new(),
        ..Load::default()
    };
    let told =
        Case { shape, load, warm_up: Span::secs(10), heal: Span::secs(30), ..Case::default() };
    let (from, to) = ("node-0".into(), "node-1".into());
    let (only, at) = (Traffic::Streams, told.warm_up);
    let cut = Fault::Cut { from, to, both: true, only, at, lasts: Span(lasts), flaps: None };
    let mut run = Run::new(Case { faults: vec![cut], ..told.clone() }, Trace::default());
    run.case = told;
    run.live();
    run
}

fn records(run: &Run) -> Vec<&Record> {
    let clients = run.cast.of(Role::Client).map(|life| life.seats[0]);
    clients.flat_map(|seat| run.world.host::<Client>(seat).records()).collect()
}

/// How long the slowest one took.
fn slowest(run: &Run) -> Duration {
    let took = |record: &&Record| record.ended.since(record.began);
    records(run).iter().map(took).max().expect("there are requests")
}

#[test]
fn a_lost_syn_costs_a_request_whose_endpoint_one_node_alone_serves_a_second_and_not_its_answer() {
    // TCP would send it again when the link is given up, and not before.
    let limit = Limits::default().link_timeout;
    let run = played(limit * 9 / 10);
    assert!(run.broken().is_none(), "{}", run.broken().expect("it broke"));
    let all = records(&run);
    assert_eq!(all.len(), 40);
    assert!(all.iter().all(|record| matches!(record.outcome, Outcome::Complete { .. })));
    let slowest = slowest(&run);
    assert!(slowest >= limit && slowest < limit * 3 / 2, "{slowest:?}");
}

#[test]
fn a_node_that_cannot_be_dialled_for_long_costs_an_error_after_the_second_try() {
    let limit = Limits::default().link_timeout;
    let run = played(limit * 5);
    let broken = run.broken().expect("the judges were told that nothing goes wrong");
    assert!(broken.detail.contains("got the error 502"), "{broken}");
    // The first of them came at once, and the dials end one behind the other.
    let after = broken.at.since(Instant::ZERO + run.case.warm_up.0);
    assert!(after >= limit * 2 && after < limit * 5 / 2, "{after:?}");
}

#[test]
fn links_under_keys_open_between_nodes_that_are_far_apart() {
    let shape =
        Shape { nodes: 2, agents: 1, endpoints: 1, clients: 4, keys: true, ..Shape::default() };
    let load = Load {
        requests: 20,
        late: 0,
        every: Span::millis(200),
        body_bytes: 1_000,
        kinds: BTreeSet::new(),
        ..Load::default()
    };
    // Of the round trip of 400 ms a link takes three.
    let link = Link { latency: Span::millis(200), ..Link::default() };
    let case = Case {
        shape,
        load,
        link,
        faults: Vec::new(),
        warm_up: Span::secs(20),
        heal: Span::secs(30),
        ..Case::default()
    };
    let mut run = Run::new(case, Trace::default());
    run.live();
    assert!(run.broken().is_none(), "{}", run.broken().expect("it broke"));
    let all = records(&run);
    assert_eq!(all.len(), 20);
    assert!(all.iter().all(|record| matches!(record.outcome, Outcome::Complete { .. })));
    let mut notes = run.world.notes().iter();
    assert!(!notes.any(|(.., note)| matches!(note, Note::LinkDown { why: Some(_), .. })));
}
