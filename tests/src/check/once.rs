//! Whether nothing ran twice that must not.

use super::{Broken, Invariant, Judge as Look, New};
use crate::explain::words;
use crate::run::Run;
use std::collections::BTreeMap;

/// Counts how often each request arrives.
#[derive(Debug, Default)]
pub(super) struct Judge {
    new: New,
    arrived: BTreeMap<u64, usize>,
}

impl Look for Judge {
    fn invariant(&self) -> Invariant {
        Invariant {
            number: 7,
            name: "once",
            sentence: "a request that is not idempotent reaches at most one upstream once any of \
                       it may have been delivered, and any other request a few",
        }
    }

    fn look(&mut self, run: &Run) -> Result<(), Broken> {
        for (seat, service) in super::services(run) {
            for arrival in self.new.of(seat, service.arrivals()) {
                let count = self.arrived.entry(arrival.id).or_default();
                *count += 1;
                let (count, plan) = (*count, run.work.plan(arrival.id));
                let most = if plan.is_idempotent() { TRIES_MAX } else { 1 };
                if count > most {
                    let detail = format!("it arrived {count} times; {}", words::meant(&plan));
                    let broken = self.broken(run, detail).of_request(arrival.id);
                    let broken = broken.seen(format_args!("{arrival:?}, though {plan:?}"));
                    return Err(broken.at(arrival.began).by(seat));
                }
            }
        }
        Ok(())
    }
}

/// The node tries at most twice, and so does the agent.
const TRIES_MAX: usize = 4;
