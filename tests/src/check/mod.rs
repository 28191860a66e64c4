//! What must hold of every run: invariants, each with a name and one sentence, in a file of its
//! own.

mod answered;
mod bytes;
mod once;
mod placed;
mod rest;

use crate::case::Kind;
use crate::scenario::Run;

/// Something that must hold.
pub struct Invariant {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub sentence: &'static str,
    /// Looks whether it holds, and says what does not.
    pub look: fn(&Run) -> Result<(), String>,
}

/// All of them.
pub const ALL: [Invariant; 5] =
    [answered::INVARIANT, bytes::INVARIANT, once::INVARIANT, placed::INVARIANT, rest::INVARIANT];

/// What does not hold of `run`, with the command that replays it.
pub fn broken(run: &Run) -> Option<String> {
    ALL.iter().find_map(|invariant| {
        let detail = (invariant.look)(run).err()?;
        let Invariant { name, sentence, .. } = invariant;
        let faults = if run.storm { " --faults swarm" } else { "" };
        let early = if run.work.load.kinds.contains(&Kind::Early) { "" } else { " --no-early" };
        let patient = if run.patient { " --patient" } else { "" };
        Some(format!(
            "broken: {name} ({sentence})\n  {detail}\n  seed {number}: \
             cargo run -p pico-sim -- run --seed {number}{faults}{early}{patient}",
            number = run.number,
        ))
    })
}
