//! Whether what came is what was sent.

use super::Invariant;
use crate::actors::{Client, Service};
use crate::scenario::Run;

pub(super) const INVARIANT: Invariant = Invariant {
    name: "bytes",
    sentence: "every byte and field is right, a truncated body never looks complete, and nothing \
               that concerns one hop passes it",
    look,
};

fn look(run: &Run) -> Result<(), String> {
    for seat in &run.services {
        let service = run.world.host::<Service>(*seat);
        let wrong = service.arrivals().iter().find(|a| a.wrong.is_some() || !a.leaked.is_empty());
        if let Some(arrival) = wrong {
            let plan = run.work.plan(arrival.id);
            return Err(format!("{} got {arrival:?}, though {plan:?}", service.served()));
        }
    }
    for seat in &run.clients {
        let client = run.world.host::<Client>(*seat);
        if let Some(record) = client.records().iter().find(|record| !record.leaked.is_empty()) {
            return Err(format!("{record:?}"));
        }
        if let Some(stray) = client.strays().first() {
            return Err(format!("{stray:?}"));
        }
    }
    Ok(())
}
