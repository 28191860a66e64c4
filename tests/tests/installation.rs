//! A node, agents, services and clients in the simulator, under many seeds.

use pico_sim::case::{Case, Swarm};
use pico_sim::kernel::Trace;
use pico_sim::run::Run;

fn all_hold(swarm: &Swarm, seeds: core::ops::Range<u64>) {
    for seed in seeds {
        let run = Run::play(Case::swarm(seed, swarm), Trace::default());
        if let Some(broken) = run.broken() {
            panic!("seed {seed}: {broken}");
        }
    }
}

#[test]
fn all_invariants_hold_while_nothing_goes_wrong() {
    all_hold(&Swarm::calm(), 0..200);
}

#[test]
fn all_invariants_hold_at_one_node_while_everything_goes_wrong() {
    all_hold(&Swarm::rough().of(1), 0..300);
}

/// More seeds are played, and judged, where it is looked what they come to.
#[test]
fn all_invariants_hold_in_clusters_while_everything_goes_wrong() {
    all_hold(&Swarm::rough(), 500..550);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..20 {
        let case = Case::swarm(seed, &Swarm::rough());
        let sum = || Run::play(case.clone(), Trace::default()).world.trace().sum();
        assert_eq!(sum(), sum(), "seed {seed}");
    }
}
