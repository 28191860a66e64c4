//! Whether anything was left behind.

use super::Invariant;
use crate::scenario::Run;

pub(super) const INVARIANT: Invariant = Invariant {
    name: "rest",
    sentence: "at rest nothing is left over, and a drain comes to its end",
    look,
};

fn look(run: &Run) -> Result<(), String> {
    if let Some(left) = run.left.first() {
        return Err(left.clone());
    }
    for seat in run.workers.iter().chain(&run.agents).chain([&run.node]) {
        let (done, held) = (run.world.is_done(*seat), run.world.connections(*seat));
        if !done || held > 0 {
            return Err(format!("after the drain {seat:?} is done: {done}, and holds {held}"));
        }
    }
    Ok(())
}
