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
        let wrong = service.arrivals().iter().find(|a| a.wrong.is_some() || a.leaked);
        if let Some(arrival) = wrong {
            let plan = run.work.plan(arrival.id);
            return Err(format!("{} got {arrival:?}, though {plan:?}", service.name()));
        }
    }
    for seat in &run.clients {
        let records = run.world.host::<Client>(*seat).records();
        if let Some(record) = records.iter().find(|record| record.leaked) {
            return Err(format!("{record:?}"));
        }
    }
    Ok(())
}
