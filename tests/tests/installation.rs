//! A node, agents, services and clients in the simulator, under many seeds.

use pico_sim::check;
use pico_sim::kernel::Trace;
use pico_sim::scenario::Scenario;

fn all_hold(scenario: &Scenario, seeds: core::ops::Range<u64>) {
    for seed in seeds {
        let run = scenario.play(seed, Trace::default());
        if let Some(broken) = check::broken(&run) {
            panic!("{broken}");
        }
    }
}

#[test]
fn all_invariants_hold_while_nothing_goes_wrong() {
    all_hold(&Scenario::CALM, 0..200);
}

#[test]
fn all_invariants_hold_while_everything_goes_wrong() {
    all_hold(&Scenario::ROUGH, 0..1_000);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..20 {
        let sum = || Scenario::ROUGH.play(seed, Trace::default()).world.trace().sum();
        assert_eq!(sum(), sum(), "seed {seed}");
    }
}
