//! Whether nothing ran twice that must not.

use super::Invariant;
use crate::actors::Service;
use crate::scenario::Run;
use std::collections::BTreeMap;

pub(super) const INVARIANT: Invariant = Invariant {
    name: "once",
    sentence: "a request that is not idempotent reaches at most one upstream, and any other a few",
    look,
};

/// The node tries at most twice, and so does the agent.
const TRIES_MAX: usize = 4;

fn look(run: &Run) -> Result<(), String> {
    let mut tries: BTreeMap<u64, usize> = BTreeMap::new();
    for seat in &run.services {
        for arrival in run.world.host::<Service>(*seat).arrivals() {
            *tries.entry(arrival.id).or_default() += 1;
        }
    }
    for (id, count) in tries {
        let plan = run.work.plan(id);
        let most = if plan.is_idempotent() { TRIES_MAX } else { 1 };
        if count > most {
            return Err(format!("request {id} arrived {count} times: {plan:?}"));
        }
    }
    Ok(())
}
