//! Whether everybody was answered.

use super::{Broken, Invariant, Judge as Look, New};
use crate::actors::{Client, Outcome, Plan, Record};
use crate::case::{Chance, Kind, Role};
use crate::explain::words;
use crate::run::{Life, Moment, Run};
use pico_core::Reason;
use std::collections::{BTreeMap, BTreeSet};

/// Looks for requests that were not answered, or not as they may be.
#[derive(Debug, Default)]
pub(super) struct Judge {
    new: New,
    ended: BTreeMap<u64, u32>,
    /// Those whose own ends, or those of a request before them on their connection, keep them
    /// from their responses.
    excused: BTreeSet<u64>,
}

impl Look for Judge {
    fn invariant(&self) -> Invariant {
        Invariant {
            number: 6,
            name: "answered",
            sentence: "each request gets exactly one complete response or exactly one clean \
                       error, never silence past its deadline; and once all is healed, a response",
        }
    }

    fn look(&mut self, run: &Run) -> Result<(), Broken> {
        for life in run.cast.of(Role::Client) {
            let seat = life.seats[0];
            for record in self.new.of(seat, run.world.host::<Client>(seat).records()) {
                *self.ended.entry(record.id).or_default() += 1;
                let before = record.behind.is_some_and(|id| self.excused.contains(&id));
                if before || fails(&run.work.plan(record.id)) {
                    self.excused.insert(record.id);
                }
                self.fair(run, life, record)?;
                // Whatever kept it from its response may have ended the connection.
                if !matches!(record.outcome, Outcome::Complete { .. }) {
                    self.excused.insert(record.id);
                }
            }
        }
        // Where nodes do nothing but gossip nobody asks for anything.
        if !matches!(run.moment, Moment::Rest | Moment::Over) || run.case.shape.gossip_only {
            return Ok(());
        }
        let load = &run.case.load;
        match load.ids(false).chain(load.ids(true)).find(|id| self.ended.get(id) != Some(&1)) {
            Some(id) => {
                let times = self.ended.get(&id).copied().unwrap_or_default();
                Err(self.broken(run, format!("it ended {times} times")).of_request(id))
            }
            None => Ok(()),
        }
    }
}

impl Judge {
    /// Whether this end was one that may be.
    fn fair(&self, run: &Run, life: &Life, record: &Record) -> Result<(), Broken> {
        let plan = run.work.plan(record.id);
        let seat = life.seats[0];
        let hit = run.world.net().was_hit(seat, record.conn)
            || record.tried.iter().any(|conn| run.world.net().was_hit(seat, *conn));
        let late = record.id >= run.case.load.requests;
        let excused = self.excused.contains(&record.id);
        let wild = (!run.is_calm() || run.is_cold()) && (!late || !reachable(run, &plan));
        let may_fail = wild || excused;
        let fair = match &record.outcome {
            Outcome::Complete { .. } => true,
            Outcome::Error { status, code } => known(*status, code) && may_fail,
            // Without a head on its client's side a response may still have begun at the node.
            Outcome::Broken { begun, .. } => {
                wild || (excused && (*begun || saw(run, record.id) || record.behind.is_some()))
            }
            Outcome::Unreachable => !run.is_calm() && (!late || !reachable(run, &plan)),
            // A balancer knows no time-outs, and a machine without power says nothing.
            Outcome::Silence => {
                let gone = |life: &Life| life.ended.is_some_and(|ended| ended >= record.began);
                let silent = run.case.shape.balancer || run.cast.of(Role::Node).any(gone);
                (hit || silent) && wild
            }
            Outcome::Aborted => plan.is(Kind::ClientAborts),
            Outcome::Wrong(_) => false,
        };
        if fair {
            return Ok(());
        }
        let broken = self.broken(run, words::verdict(record, &plan)).of_request(record.id);
        let broken = broken.seen(format_args!("{record:?}, though {plan:?}"));
        Err(broken.at(record.ended).by(seat))
    }
}

/// Whether its ends keep it from its response. Where a response may be late, a client that has
/// sent FIN may be let go.
fn fails(plan: &Plan) -> bool {
    plan.is_failed() || plan.is_half_closed()
}

/// Whether anybody is there who can answer it, and surely reached.
fn reachable(run: &Run, plan: &Plan) -> bool {
    let any = |role| run.cast.alive().any(|life| life.member.role == role);
    let front = !run.case.shape.balancer || any(Role::Balancer);
    let endpoints = run.case.shape.endpoints;
    let serves = |life: &Life| {
        let service = crate::case::Member { role: Role::Service, at: life.member.at };
        life.member.role == Role::Agent
            && life.member.at % endpoints == plan.endpoint
            && run.cast.now(service).is_some()
    };
    let surely = run.case.link.loss == Chance::NEVER;
    surely && front && any(Role::Node) && run.cast.alive().any(serves)
}

/// Whether any service saw the request.
fn saw(run: &Run, id: u64) -> bool {
    super::services(run).any(|(_, service)| service.arrivals().iter().any(|a| a.id == id))
}

/// Whether the table of reasons has this status with this code.
fn known(status: u16, code: &str) -> bool {
    let fits = |reason: &Reason| {
        let told = reason.told();
        told.status == status && (told.code == code || code.is_empty())
    };
    Reason::ALL.iter().any(fits)
}
