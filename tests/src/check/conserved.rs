//! Whether the numbers add up.

use super::{Broken, Invariant, Judge as Look};
use crate::case::Role;
use crate::run::{Life, Run};
use pico_core::server::Worker;

/// Adds up what workers count.
#[derive(Debug, Default)]
pub(super) struct Judge;

impl Look for Judge {
    fn invariant(&self) -> Invariant {
        Invariant {
            number: 13,
            name: "conserved",
            sentence: "counters conserve: accepted = answered + failed + in flight",
        }
    }

    fn look(&mut self, run: &Run) -> Result<(), Broken> {
        for seat in run.cast.of(Role::Node).flat_map(Life::workers) {
            let worker = run.world.host::<Worker>(*seat);
            // Those of clients, and those of other nodes.
            for counts in [worker.counts(), worker.relayed()] {
                if counts.begun != counts.answered + counts.failed + counts.under_way {
                    return Err(self.broken(run, format!("{counts:?}")).by(*seat));
                }
            }
            let (counts, told) = (worker.counts(), worker.tally().requests);
            let over = told.answered + told.failed.total();
            if told.accepted != over + told.in_flight || told.accepted != counts.begun {
                let said = format!("{counts:?}, of which an operator is told {told:?}");
                return Err(self.broken(run, said).by(*seat));
            }
        }
        Ok(())
    }
}
