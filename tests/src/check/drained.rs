//! Whether those who stop in good order lose nothing.

use super::{Broken, Invariant, Judge as Look, New};
use crate::actors::{Client, Outcome, Record};
use crate::case::{Fault, Kind, Role};
use crate::explain::words;
use crate::run::{Life, Run};
use core::time::Duration;

/// Looks at the requests of runs in which nothing goes wrong but that processes are told to stop.
#[derive(Debug, Default)]
pub(super) struct Judge {
    new: New,
}

impl Look for Judge {
    fn invariant(&self) -> Invariant {
        Invariant {
            number: 11,
            name: "drained",
            sentence: "a graceful drain, and a rolling restart, lose no request: what had begun \
                       is answered, and where another upstream is there, everything is",
        }
    }

    fn look(&mut self, run: &Run) -> Result<(), Broken> {
        let gentle = |fault: &Fault| {
            matches!(fault, Fault::Stop { who, .. }
                if who.starts_with("agent") || who.starts_with("node"))
        };
        let gentle = run.case.faults.iter().all(gentle) && run.case.link.loss.millionths() == 0;
        if !gentle || run.case.faults.is_empty() {
            return Ok(());
        }
        for life in run.cast.of(Role::Client) {
            let seat = life.seats[0];
            for record in self.new.of(seat, run.world.host::<Client>(seat).records()) {
                if lost(run, record) {
                    let plan = run.work.plan(record.id);
                    let broken = self.broken(run, words::verdict(record, &plan));
                    let broken = broken.seen(format_args!("{record:?}, though {plan:?}"));
                    return Err(broken.of_request(record.id).at(record.ended).by(seat));
                }
            }
        }
        Ok(())
    }
}

/// Whether this request should have been answered.
fn lost(run: &Run, record: &Record) -> bool {
    let plan = run.work.plan(record.id);
    if plan.is_failed() || plan.is_half_closed() || plan.is(Kind::ClientAborts) {
        return false;
    }
    let served = covered(run, record, plan.endpoint);
    match &record.outcome {
        Outcome::Complete { .. } | Outcome::Aborted => false,
        Outcome::Broken { begun: true, .. } | Outcome::Silence | Outcome::Wrong(_) => true,
        // A connection that rests may be closed at any time; whoever uses it just then asks
        // again on another.
        Outcome::Broken { begun: false, reused } => served && !reused,
        Outcome::Error { .. } | Outcome::Unreachable => served,
    }
}

/// Whether a node, and an agent of this endpoint, were there all the time, with nobody telling
/// them to stop; or a node that was told to, but not long enough ago.
fn covered(run: &Run, record: &Record, endpoint: usize) -> bool {
    let throughout = |life: &Life| {
        let settled = life.born + SETTLED <= record.began;
        let stays = life.told.is_none_or(|told| told > record.ended);
        settled && stays && life.ended.is_none_or(|ended| ended > record.ended)
    };
    let node = run.cast.of(Role::Node).any(|life| throughout(life) || lingers(run, life, record));
    let mut agents = run.cast.of(Role::Agent);
    let agent = agents
        .any(|life| life.member.at % run.case.shape.endpoints == endpoint && throughout(life));
    node && agent && !run.is_cold()
}

/// Whether this request began while a node that was told to stop served as before, and was over
/// before its patience was. A balancer sends nobody there.
fn lingers(run: &Run, life: &Life, record: &Record) -> bool {
    let shape = &run.case.shape;
    let settled = life.born + SETTLED <= record.began;
    let meant = life.told.is_some_and(|told| {
        let delay = told + shape.drain_delay.0;
        record.began + REACH <= delay && record.ended < delay + shape.grace_period.0
    });
    settled && meant && !shape.balancer && run.case.shape.nodes == 1
}

/// How long what a client sends is under way at most, if nothing goes wrong.
const REACH: Duration = Duration::from_secs(2);
/// How long after its start an agent may take to be registered: it may wait before it dials
/// again.
const SETTLED: Duration = Duration::from_secs(30);
