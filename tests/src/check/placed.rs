//! Whether requests went where they should.

use super::Invariant;
use crate::actors::{Client, Outcome, Service};
use crate::scenario::Run;

pub(super) const INVARIANT: Invariant = Invariant {
    name: "placed",
    sentence: "only an upstream that registered the endpoint is reached, and a response comes \
               from a service that saw the request",
    look,
};

fn look(run: &Run) -> Result<(), String> {
    let services = || run.services.iter().map(|seat| run.world.host::<Service>(*seat));
    for service in services() {
        // The service itself compares the endpoint of each arrival with its own.
        if let Some(a) = service.arrivals().iter().find(|a| a.wrong.is_some()) {
            return Err(format!("{} got {a:?}", service.served()));
        }
    }
    for seat in &run.clients {
        for record in run.world.host::<Client>(*seat).records() {
            let Outcome::Complete { service: served } = &record.outcome else { continue };
            let service = services().find(|service| service.served() == served);
            let saw = |s: &Service| s.arrivals().iter().any(|a| a.id == record.id);
            if !service.is_some_and(saw) {
                return Err(format!("{record:?}, but {served} never saw it"));
            }
        }
    }
    Ok(())
}
