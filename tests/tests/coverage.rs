//! What a swarm comes to.

use pico_sim::case::{Case, Swarm};
use pico_sim::kernel::Trace;
use pico_sim::scenario;
use pico_sim::sometimes::{self, Point};
use std::path::Path;

#[test]
fn a_swarm_comes_to_every_coverage_point_and_breaks_nothing() {
    // An upgraded connection between two nodes of which one is told to stop needs both to last:
    // seeds come to it now and then, and the scenario that is about it always does.
    let rolling = scenario::find(Path::new("rolling-nodes")).expect("there is such a scenario");
    let (run, mut all) = sometimes::play(rolling, Trace::default());
    assert!(run.broken().is_none() && all.has(Point::DrainForwarded), "{all:?}");
    for seed in SEEDS {
        let (run, reached) = sometimes::play(Case::swarm(seed, &Swarm::rough()), Trace::default());
        assert!(run.broken().is_none(), "seed {seed}: {}", run.broken().expect("it broke"));
        reached.points().for_each(|point| all.add(point));
    }
    let missed: Vec<_> = Point::ALL.iter().filter(|point| !all.has(**point)).collect();
    assert!(missed.is_empty(), "no run came to {missed:?}");
}

#[test]
fn a_point_is_reached_by_the_run_that_comes_to_it_and_by_no_other() {
    sometimes::note(Point::NotStarted);
    let calm = || Case::swarm(0, &Swarm::calm());
    let (_, one) = sometimes::play(calm(), Trace::default());
    let (_, two) = sometimes::play(calm(), Trace::default());
    assert_eq!(one, two);
    assert!(!one.has(Point::PowerLost) && one.points().count() > 0, "{one:?}");
}

#[test]
fn points_have_names_of_their_own_and_sentences() {
    let mut names: Vec<_> = Point::ALL.iter().map(|point| point.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Point::ALL.len());
    assert!(names.len() >= 20);
    assert!(Point::ALL.iter().all(|point| point.sentence().split(' ').count() > 4));
}

const SEEDS: core::ops::Range<u64> = 0..500;
