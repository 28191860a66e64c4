//! Whether anything was left behind.

use super::{Broken, Invariant, Judge as Look};
use crate::actors::Client;
use crate::case::Role;
use crate::kernel::SeatId;
use crate::run::{Life, Moment, Run};
use pico_core::agent::Agent;
use pico_core::server::Worker;

/// Looks at what is left when all rests, and when all was stopped.
#[derive(Debug, Default)]
pub(super) struct Judge;

impl Look for Judge {
    fn invariant(&self) -> Invariant {
        Invariant {
            number: 12,
            name: "rest",
            sentence: "at rest nothing is left over: streams, timers, buffers, routes; and a \
                       drain comes to its end",
        }
    }

    fn look(&mut self, run: &Run) -> Result<(), Broken> {
        let found = match run.moment {
            Moment::Chaos | Moment::Healed | Moment::Stopping => None,
            Moment::Rest => run.cast.alive().find_map(|life| left(run, life)),
            Moment::Over => run.cast.of(Role::Node).chain(run.cast.of(Role::Agent)).find_map(over),
        };
        match found {
            Some((seat, detail)) => {
                let request = request_at(run, seat);
                Err(Broken { request, ..self.broken(run, detail).by(seat) })
            }
            None => Ok(()),
        }
    }
}

/// What a life holds at rest that it should not.
fn left(run: &Run, life: &Life) -> Option<(SeatId, String)> {
    match life.member.role {
        Role::Node => life
            .workers()
            .iter()
            .find_map(|seat| {
                let worker = run.world.host::<Worker>(*seat);
                let (calls, knows) = (worker.calls(), worker.connections());
                let holds = run.world.connections(*seat);
                let busy = worker.counts().under_way;
                let fine = calls == 0 && busy == 0 && knows == holds;
                let what = format!("{calls} calls, {busy} requests; it knows {knows} of {holds}");
                (!fine).then_some((*seat, what))
            })
            .or_else(|| {
                let of = |seat: &SeatId| {
                    let links = run.world.host::<Worker>(*seat).links();
                    run.world.connections(*seat).saturating_sub(links)
                };
                let held: usize = life.workers().iter().map(of).sum();
                let agents =
                    run.cast.alive().filter(|life| life.member.role == Role::Agent).count();
                // A balancer asks whether the node is ready.
                let asks = usize::from(run.case.shape.balancer);
                let what = format!("{held} connections, but {agents} agents");
                (held > agents + asks).then_some((life.seats[0], what))
            }),
        Role::Agent => {
            let seat = life.seats[0];
            let (calls, holds) =
                (run.world.host::<Agent>(seat).calls(), run.world.connections(seat));
            let what = format!("{calls} calls, {holds} connections");
            (calls > 0 || holds > 1).then_some((seat, what))
        }
        Role::Service | Role::Client | Role::Balancer | Role::Operator => None,
    }
}

/// The last request on a connection that a machine still holds: what is left is most likely its.
fn request_at(run: &Run, seat: SeatId) -> Option<u64> {
    let ends = run.world.conns(seat).into_iter().filter_map(|c| run.world.net().other_end(seat, c));
    let clients = ends.filter(|(far, _)| {
        run.cast.whose(*far).is_some_and(|life| life.member.role == Role::Client)
    });
    let mut last = clients.filter_map(|(far, conn)| {
        let records = run.world.host::<Client>(far).records().iter();
        records.filter(|record| record.conn == conn).map(|record| record.id).next_back()
    });
    last.next()
}

/// What goes on though it was told to stop.
fn over(life: &Life) -> Option<(SeatId, String)> {
    let seat = life.seats[0];
    life.is_alive().then(|| (seat, format!("{} was told to stop, and goes on", life.name)))
}
