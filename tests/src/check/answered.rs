//! Whether everybody was answered.

use super::Invariant;
use crate::actors::{Client, Outcome, Plan, Record, Service};
use crate::case::Kind;
use crate::kernel::SeatId;
use crate::scenario::Run;
use pico_core::Reason;
use std::collections::BTreeMap;

pub(super) const INVARIANT: Invariant = Invariant {
    name: "answered",
    sentence: "each request gets exactly one complete response or exactly one clean error, \
               never silence past its deadline",
    look,
};

fn look(run: &Run) -> Result<(), String> {
    let mut ended: BTreeMap<u64, usize> = BTreeMap::new();
    for seat in &run.clients {
        for record in run.world.host::<Client>(*seat).records() {
            *ended.entry(record.id).or_default() += 1;
            fair(run, *seat, record)?;
        }
    }
    match (0..run.requests).find(|id| ended.get(id) != Some(&1)) {
        Some(id) => Err(format!("request {id} ended {:?} times", ended.get(&id))),
        None => Ok(()),
    }
}

/// Whether this end was one that may be.
fn fair(run: &Run, seat: SeatId, record: &Record) -> Result<(), String> {
    let plan = run.work.plan(record.id);
    let hit = run.world.net().was_hit(seat, record.conn);
    let fair = match &record.outcome {
        Outcome::Complete { .. } => true,
        Outcome::Error { status, code } => known(*status, code) && may_fail(run, &plan),
        // Without a head on its client's side a response may still have begun at the node.
        Outcome::Broken { begun, .. } => {
            hit || (may_fail(run, &plan) && (*begun || saw(run, record.id)))
        }
        Outcome::Unreachable => hit,
        Outcome::Silence => hit || (run.patient && saw(run, record.id)),
        Outcome::Aborted => plan.is(Kind::ClientAborts),
        Outcome::Wrong(_) => false,
    };
    if fair { Ok(()) } else { Err(format!("{record:?}, though {plan:?}")) }
}

/// Whether anything was planned that keeps this request from its response.
fn may_fail(run: &Run, plan: &Plan) -> bool {
    // Where the response may be late, a client that has sent FIN may be let go.
    !run.calm || run.cold || plan.is_failed() || plan.is_half_closed()
}

/// Whether any service saw the request.
fn saw(run: &Run, id: u64) -> bool {
    let mut services = run.services.iter().map(|seat| run.world.host::<Service>(*seat));
    services.any(|service| service.arrivals().iter().any(|arrival| arrival.id == id))
}

/// Whether the table of reasons has this status with this code.
fn known(status: u16, code: &str) -> bool {
    let fits = |reason: &Reason| {
        let told = reason.told();
        told.status == status && (told.code == code || code.is_empty())
    };
    Reason::ALL.iter().any(fits)
}
