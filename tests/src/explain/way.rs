//! To whom nodes gave a request: by which tunnel of an agent, or by which link to another node.

use super::road::{Road, through};
use crate::case::Role;
use crate::kernel::{Entry, SeatId, Step};
use crate::run::{Life, Run};
use core::time::Duration;
use pico_core::Instant;
use pico_core::id::ConnId;
use pico_core::note::Note;
use pico_core::routing::Place;
use std::collections::{BTreeMap, BTreeSet};

/// A node gave a request to somebody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Handed {
    /// When.
    pub(super) at: Instant,
    /// The machine that did.
    pub(super) by: String,
    /// To whom.
    pub(super) to: String,
    /// In which turn, if it is known.
    pub(super) turn: Option<u64>,
    /// The node's end of the tunnel or the link.
    pub(super) on: (SeatId, ConnId),
}

/// The call that a letter between workers is about, as it shows itself.
pub(crate) fn call(text: &str) -> Option<&str> {
    let from = text.find("call: CallId {")?;
    let rest = &text[from..];
    rest.split_once(", word:").map(|(call, _)| call)
}

impl Road {
    /// Follows request `id` from the nodes that read it.
    pub(super) fn follow(&mut self, run: &Run, id: u64) {
        let target = format!(" /r/{id}?");
        let mut turns: BTreeSet<u64> = BTreeSet::new();
        // When a worker last read of it, and of nothing else, and wrote nothing yet.
        let mut read: BTreeMap<SeatId, Instant> = BTreeMap::new();
        for step in run.world.trace().steps() {
            if !(self.from..=self.to).contains(&step.at) {
                continue;
            }
            let Some(life) = run.cast.whose(step.seat) else { continue };
            if life.member.role != Role::Node {
                continue;
            }
            self.asked(run, step, life, &target, &mut turns);
            let idle = !step.inputs.iter().any(|entry| is_read(entry) || is_letter(entry));
            let soon = read.get(&step.seat).is_some_and(|at| step.at.since(*at) <= SOON);
            if self.wrote(run, step, &mut turns) {
                read.insert(step.seat, step.at);
            } else if idle && soon {
                self.write(run, step, &mut turns);
            } else {
                read.remove(&step.seat);
            }
        }
        self.logged(run, id);
    }

    /// A worker asks another one that has the tunnel or the link.
    fn asked(
        &mut self,
        run: &Run,
        step: &Step,
        life: &Life,
        target: &str,
        turns: &mut BTreeSet<u64>,
    ) {
        for entry in step.actions.iter().filter(|entry| entry.text.contains(target)) {
            let Some(call) = call(&entry.text) else { continue };
            let asks = entry.text.split_once("letter: Ask { to: ConnId {").map(|(_, rest)| rest);
            let worker = entry.text.split_once("to: Worker(WorkerId(").map(|(_, rest)| rest);
            let worker = worker.and_then(|rest| rest.split(')').next()?.parse().ok());
            let (Some(rest), Some(worker)) = (asks, worker) else { continue };
            let named = rest.split_once('}').map(|(conn, _)| format!("ConnId {{{conn}}}"));
            let seat = life.workers().get::<usize>(worker).copied();
            let on = seat.zip(named).and_then(|(seat, named)| {
                let is = |conn: &ConnId| format!("{conn:?}") == named;
                Some((seat, run.world.net().conns_of(seat).find(is)?))
            });
            let Some(on) = on else { continue };
            self.calls.insert((life.seats[0], call.to_owned()));
            turns.insert(step.serial);
            self.hand(run, step.at, step.seat, Some(step.serial), on);
        }
        // Whoever is asked so writes it in this turn or the next.
        let about = |entry: &Entry| {
            let is = |(node, call): &(SeatId, String)| {
                *node == life.seats[0] && entry.text.contains(call)
            };
            self.calls.iter().any(is)
        };
        let mut letters = step.inputs.iter().filter(|entry| is_letter(entry));
        let own = letters.clone().any(about);
        let all = letters.all(about) && !step.inputs.iter().any(is_read);
        if own {
            turns.insert(step.serial);
        }
        // It was given up elsewhere, and is tried once more.
        if own && all {
            self.write(run, step, turns);
        }
    }

    /// A worker writes what it has read of the request, and of no other, to its own tunnel or
    /// link; whether it has read of it.
    fn wrote(&mut self, run: &Run, step: &Step, turns: &mut BTreeSet<u64>) -> bool {
        let mut reads = step.inputs.iter().filter(|entry| is_read(entry)).peekable();
        if reads.peek().is_none() {
            return false;
        }
        let own = |entry: &Entry| {
            let Some(conn) = entry.conn else { return false };
            let on = (step.seat, conn);
            let came = entry.cause.is_some_and(|cause| turns.contains(&cause));
            self.conns.contains_key(&on) || (came && self.links.contains(&on))
        };
        let own = reads.all(own);
        if own {
            self.write(run, step, turns);
        }
        own
    }

    /// A worker writes what this turn is about to its own tunnel or link.
    fn write(&mut self, run: &Run, step: &Step, turns: &mut BTreeSet<u64>) {
        turns.insert(step.serial);
        for entry in step.actions.iter().filter(|entry| entry.text.starts_with("Write")) {
            let Some(conn) = entry.conn else { continue };
            if !self.conns.contains_key(&(step.seat, conn)) {
                self.hand(run, step.at, step.seat, Some(step.serial), (step.seat, conn));
            }
        }
    }

    /// A node logs whom it gave the request to last.
    fn logged(&mut self, run: &Run, id: u64) {
        let path = format!("/r/{id}");
        for (at, seat, note) in run.world.notes() {
            let Note::Request(request) = note else { continue };
            let Some(Place::Tunnel { worker, conn }) = request.upstream else { continue };
            let within = (self.from..=self.to).contains(at);
            let life = run.cast.whose(*seat).filter(|_| within && request.path == path);
            let worker = life.and_then(|life| life.workers().get(usize::from(worker.0)));
            if let Some(worker) = worker {
                self.hand(run, self.from, *seat, None, (*worker, conn));
            }
        }
    }

    fn hand(
        &mut self,
        run: &Run,
        at: Instant,
        by: SeatId,
        turn: Option<u64>,
        on: (SeatId, ConnId),
    ) {
        if self.handed.iter().any(|handed| handed.on == on) {
            return;
        }
        let Some(far) = onward(run, on) else { return };
        let Some(to) = run.cast.whose(far.0) else { return };
        match to.member.role {
            Role::Agent => {
                self.tunnels.extend([(far, "its tunnel"), (on, "the agent's tunnel")]);
            }
            Role::Node => {
                self.tunnels.extend([(far, "the other node's link"), (on, "its link")]);
                self.links.insert(far);
            }
            Role::Service | Role::Client | Role::Balancer | Role::Operator => return,
        }
        self.seats.extend([by, on.0, far.0]);
        let by = name(run, by);
        self.handed.push(Handed { at, by, to: to.name.clone(), turn, on });
    }
}

fn is_read(entry: &Entry) -> bool {
    entry.text.starts_with("Received")
}

fn is_letter(entry: &Entry) -> bool {
    entry.text.starts_with("Letter")
}

/// What a machine is called.
pub(super) fn name(run: &Run, seat: SeatId) -> String {
    let Some(life) = run.cast.whose(seat) else { return String::new() };
    match life.workers().iter().position(|worker| *worker == seat) {
        Some(worker) => format!("{}/{worker}", life.name),
        None => life.name.clone(),
    }
}

/// The other end of a node's connection, behind a balancer that stands between.
fn onward(run: &Run, on: (SeatId, ConnId)) -> Option<(SeatId, ConnId)> {
    let (seat, conn) = run.world.net().other_end(on.0, on.1)?;
    if run.cast.whose(seat)?.member.role != Role::Balancer {
        return Some((seat, conn));
    }
    let passages = run.world.host::<crate::actors::Balancer>(seat).passages();
    let mut mine = passages.iter().filter(|passage| {
        let mut ends = through(run, seat, passage.front).into_iter();
        ends.any(|(_, node, front)| (node, front) == on)
    });
    run.world.net().other_end(seat, mine.next()?.front)
}

/// So soon a worker writes what it has read.
const SOON: Duration = Duration::from_micros(500);
