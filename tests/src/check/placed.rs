//! Whether requests went where they should.

use super::{Broken, Invariant, Judge as Look, New};
use crate::actors::{Client, Outcome};
use crate::case::Role;
use crate::explain::words;
use crate::kernel::SeatId;
use crate::run::{Life, Moment, Run};
use pico_core::server::Worker;
use std::collections::BTreeSet;

/// Compares where requests were meant to go with where they went.
#[derive(Debug, Default)]
pub(super) struct Judge {
    records: New,
    arrivals: New,
    /// Which services saw which requests.
    saw: BTreeSet<(u64, SeatId)>,
}

impl Look for Judge {
    fn invariant(&self) -> Invariant {
        Invariant {
            number: 8,
            name: "placed",
            sentence: "a request reaches only an upstream that registered its endpoint, by at \
                       most one hop between nodes, and its response comes from a service that \
                       saw it",
        }
    }

    fn look(&mut self, run: &Run) -> Result<(), Broken> {
        for life in run.cast.of(Role::Service) {
            let seat = life.seats[0];
            let endpoint = life.member.at % run.case.shape.endpoints;
            let service = run.world.host::<crate::actors::Service>(seat);
            for arrival in self.arrivals.of(seat, service.arrivals()) {
                self.saw.insert((arrival.id, seat));
                let plan = run.work.plan(arrival.id);
                if plan.endpoint != endpoint {
                    let arrived = words::arrived(&life.name, arrival);
                    let detail = format!("{arrived}; {}", words::meant(&plan));
                    let broken = self.broken(run, detail).of_request(arrival.id);
                    let broken = broken.seen(format_args!("{arrival:?}, though {plan:?}"));
                    return Err(broken.at(arrival.began).by(seat));
                }
            }
        }
        if run.moment == Moment::Rest {
            for seat in run.cast.of(Role::Node).flat_map(Life::workers) {
                // What another node forwarded here would come on top of what clients asked for.
                let tally = run.world.host::<Worker>(*seat).tally();
                let (asked, sent) = (tally.requests.accepted, tally.calls.by_link);
                if sent > asked + tally.calls.retried {
                    let detail = format!("{sent} calls for {asked} requests: {:?}", tally.calls);
                    return Err(self.broken(run, detail).by(*seat));
                }
            }
        }
        for life in run.cast.of(Role::Client) {
            let seat = life.seats[0];
            for record in self.records.of(seat, run.world.host::<Client>(seat).records()) {
                let Outcome::Complete { service } = &record.outcome else { continue };
                let of_it = (record.id, SeatId(0))..=(record.id, SeatId(usize::MAX));
                let named = |seat: SeatId| {
                    run.world.host::<crate::actors::Service>(seat).served() == service
                };
                if !self.saw.range(of_it).any(|(_, seat)| named(*seat)) {
                    let plan = run.work.plan(record.id);
                    let verdict = words::verdict(record, &plan);
                    let detail = format!("{service} never saw it, but it {verdict}");
                    let broken = self.broken(run, detail).of_request(record.id);
                    let broken = broken.seen(format_args!("{record:?}, though {plan:?}"));
                    return Err(broken.at(record.ended).by(seat));
                }
            }
        }
        Ok(())
    }
}
