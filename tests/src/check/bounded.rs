//! Whether what waits keeps its bounds, and what is stalled stalls nothing else.

use super::{Broken, Invariant, Judge as Look, New};
use crate::actors::Client;
use crate::case::{Kind, Link, Role, Span};
use crate::explain::words;
use crate::run::Run;
use core::time::Duration;
use pico_core::Limits;

/// Looks at what waits before sockets, and at the pauses between bytes.
#[derive(Debug, Default)]
pub(super) struct Judge {
    new: New,
}

impl Look for Judge {
    fn invariant(&self) -> Invariant {
        Invariant {
            number: 10,
            name: "bounded",
            sentence: "buffers stay within windows, and one stalled stream never stops another \
                       for a second",
        }
    }

    fn look(&mut self, run: &Run) -> Result<(), Broken> {
        let limits = run.limits();
        let most = waiting_max(&limits);
        for life in run.cast.alive() {
            if !matches!(life.member.role, Role::Node | Role::Agent) {
                continue;
            }
            for seat in &life.seats {
                let waiting = run.world.waiting_max(*seat);
                if waiting > most {
                    let detail = format!("{waiting} bytes wait on one connection, of {most}");
                    return Err(self.broken(run, detail).by(*seat));
                }
            }
        }
        if !run.is_calm() {
            return Ok(());
        }
        for life in run.cast.of(Role::Client) {
            let seat = life.seats[0];
            for record in self.new.of(seat, run.world.host::<Client>(seat).records()) {
                let plan = run.work.plan(record.id);
                // A client that pauses stops its own stream; and on a slow link what waits before
                // the tunnel is a queue for all.
                let own = plan.is(Kind::SlowReader) || plan.is(Kind::ServiceHangs);
                if record.gap > GAP_MAX && !own && is_fast(&run.case.link) {
                    let verdict = words::verdict(record, &plan);
                    let detail = format!("nothing came for {:.1?}: it {verdict}", record.gap);
                    let broken = self.broken(run, detail).of_request(record.id);
                    let broken = broken.seen(format_args!("{record:?}"));
                    return Err(broken.at(record.ended).by(seat));
                }
            }
        }
        Ok(())
    }
}

/// The most that may wait on one connection: what is put there may exceed the bound by a frame
/// and its heads, and control frames are put in any case.
fn waiting_max(limits: &Limits) -> usize {
    limits.outbox_bytes * 4 + limits.message_bytes * 2
}

/// Whether links take what is sent at once.
fn is_fast(link: &Link) -> bool {
    link.rate == 0 && link.latency <= Span::millis(1)
}

const GAP_MAX: Duration = Duration::from_secs(1);
