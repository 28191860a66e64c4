//! Whether what came is what was sent.

use super::{Broken, Invariant, Judge as Look, New};
use crate::actors::{Client, Outcome, Record, Stray};
use crate::case::Role;
use crate::explain::words;
use crate::run::Run;

/// Looks at what both ends found wrong.
#[derive(Debug, Default)]
pub(super) struct Judge {
    records: New,
    strays: New,
    /// Arrivals may be found wrong long after they began.
    open: Vec<(crate::kernel::SeatId, usize)>,
    arrivals: New,
}

impl Look for Judge {
    fn invariant(&self) -> Invariant {
        Invariant {
            number: 9,
            name: "bytes",
            sentence: "every byte and field is right, a truncated body never looks complete, and \
                       nothing that concerns one hop passes it",
        }
    }

    fn look(&mut self, run: &Run) -> Result<(), Broken> {
        for life in run.cast.of(Role::Client) {
            let seat = life.seats[0];
            let client = run.world.host::<Client>(seat);
            for record in self.records.of(seat, client.records()) {
                if !record.leaked.is_empty() || matches!(record.outcome, Outcome::Wrong(_)) {
                    let plan = run.work.plan(record.id);
                    let broken = self.broken(run, words::verdict(record, &plan));
                    let broken = broken.seen(format_args!("{record:?}, though {plan:?}"));
                    let broken = broken.of_request(record.id);
                    return Err(broken.at(record.ended).by(seat));
                }
            }
            // Whoever speaks before an upgrade is agreed to speaks HTTP if it is not; and the
            // refusal of a head that never came whole has a body, for who knows that it was HEAD?
            let excuse = |record: &Record| {
                let plan = run.work.plan(record.id);
                let refused = matches!(record.outcome, Outcome::Error { .. });
                plan.eager || (plan.method == "HEAD" && refused)
            };
            let excused = |stray: &Stray| {
                let mut there = client.records().iter().filter(|record| record.conn == stray.conn);
                there.any(excuse)
            };
            let mut strays = self.strays.of(seat, client.strays()).iter();
            if let Some(stray) = strays.find(|stray| !excused(stray)) {
                let behind = stray.behind.map(|id| format!(", behind the answer to request {id}"));
                let (behind, what) = (behind.unwrap_or_default(), stray.what.escape_debug());
                let detail = format!("a client got what it had not asked for{behind}: \"{what}\"");
                let broken = self.broken(run, detail).seen(format_args!("{stray:?}"));
                return Err(broken.at(stray.at).by(seat));
            }
        }
        for (seat, service) in super::services(run) {
            let all = service.arrivals();
            let before = all.len() - self.arrivals.of(seat, all).len();
            self.open.extend((before..all.len()).map(|at| (seat, at)));
        }
        let open = core::mem::take(&mut self.open);
        for (seat, at) in open {
            let service = run.world.host::<crate::actors::Service>(seat);
            let arrival = &service.arrivals()[at];
            if arrival.wrong.is_some() || !arrival.leaked.is_empty() {
                let plan = run.work.plan(arrival.id);
                let arrived = words::arrived(&service.served().to_string(), arrival);
                let detail = format!("{arrived}; {}", words::meant(&plan));
                let broken = self.broken(run, detail).of_request(arrival.id);
                let broken = broken.seen(format_args!("{arrival:?}, though {plan:?}"));
                return Err(broken.by(seat));
            }
            if arrival.ended.is_none() {
                self.open.push((seat, at));
            }
        }
        Ok(())
    }
}
