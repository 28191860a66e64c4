//! What some seeds come to, on every machine and in every build profile.

use pico_sim::case::{Case, Swarm};
use pico_sim::kernel::Trace;
use pico_sim::run::Run;

/// Seeds and the hashes of their traces. Whatever changes what Pico or the simulator does may
/// change them, and is then to put the new ones here; a build for release comes to the same ones
/// as any other.
const PINNED: [(u64, &str); 5] = [
    (1, "7bc5d5b02b858bbe"),
    (7, "45a833e06e3960c0"),
    (12, "df7dfb3638c959cc"),
    (500, "eeefe0c7779f1a0d"),
    (3133, "e91ddd4925e9389d"),
];

#[test]
fn a_seed_comes_to_the_same_on_every_machine_and_in_every_build() {
    let play = |seed| Run::play(Case::swarm(seed, &Swarm::rough()), Trace::default());
    let found = PINNED.map(|(seed, _)| (seed, format!("{:016x}", play(seed).world.trace().sum())));
    let same = found.iter().zip(PINNED).all(|((_, found), (_, pinned))| found == pinned);
    assert!(same, "the hashes are now {found:#?}");
}
