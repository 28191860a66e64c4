//! A node that holds more agents than its share has some of them move.

use pico_core::note::Note;
use pico_core::server::Node;
use pico_sim::case::{Case, Role};
use pico_sim::kernel::Trace;
use pico_sim::run::Run;
use pico_sim::scenario;
use std::collections::BTreeSet;
use std::path::Path;

fn returning_node() -> Case {
    scenario::find(Path::new("returning-node")).expect("it is in the table")
}

/// How many tunnels each node holds.
fn held(run: &Run) -> Vec<usize> {
    let nodes = run.cast.alive().filter(|life| life.member.role == Role::Node);
    let mut nodes: Vec<_> = nodes.collect();
    nodes.sort_by_key(|life| life.member);
    let count = |seat| {
        let routes = run.world.host::<Node>(seat).routes();
        let upstreams = routes.iter().flat_map(|(_, upstreams)| upstreams);
        upstreams.filter(|upstream| !upstream.place.is_remote()).count()
    };
    nodes.into_iter().map(|life| count(life.seats[0])).collect()
}

#[test]
fn a_node_that_comes_back_gets_its_share_of_the_agents() {
    let case = returning_node();
    let agents = case.shape.agents;
    let mut run = Run::new(case, Trace::default());
    run.disturb();
    assert!(run.broken().is_none(), "{}", run.broken().expect("it broke"));
    let held = held(&run);
    let all: usize = held.iter().sum();
    assert!((agents..agents + 12).contains(&all), "those that move are at two: {held:?}");
    let share = agents / 3;
    // A fifth above its share is what a node may hold, and the coarseness of weights is small here.
    assert!(held.iter().all(|held| (share / 2..=share * 6 / 5 + 2).contains(held)), "{held:?}");
    let who = |note: &Note| matches!(note, Note::Rebalancing { .. });
    let said: BTreeSet<_> = run
        .world
        .notes()
        .iter()
        .filter(|(_, _, note)| who(note))
        .map(|(_, seat, _)| seat)
        .collect();
    assert_eq!(said.len(), 2, "the two that stayed have asked agents to move");
}

#[test]
fn nobody_moves_in_a_cluster_in_balance() {
    let mut case = returning_node();
    case.faults.clear();
    let mut run = Run::new(case, Trace::default());
    run.disturb();
    let moved =
        run.world.notes().iter().any(|(_, _, note)| matches!(note, Note::Rebalancing { .. }));
    assert!(!moved, "{:?}", held(&run));
}
