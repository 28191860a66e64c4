//! What some seeds come to, on every machine and in every build profile.

use pico_sim::case::{Case, Swarm};
use pico_sim::kernel::Trace;
use pico_sim::run::Run;

/// Seeds and the hashes of their traces. Whatever changes what Pico or the simulator does may
/// change them, and is then to put the new ones here; a build for release comes to the same ones
/// as any other.
const PINNED: [(u64, &str); 5] = [
    (1, "2b2bf416452315a6"),
    (7, "af71e078e385a17f"),
    (12, "b2731a5777690102"),
    (500, "9000462f53077f1a"),
    (3133, "7966a393048e0429"),
];

#[test]
fn a_seed_comes_to_the_same_on_every_machine_and_in_every_build() {
    let play = |seed| Run::play(Case::swarm(seed, &Swarm::rough()), Trace::default());
    let found = PINNED.map(|(seed, _)| (seed, format!("{:016x}", play(seed).world.trace().sum())));
    let same = found.iter().zip(PINNED).all(|((_, found), (_, pinned))| found == pinned);
    assert!(same, "the hashes are now {found:#?}");
}
