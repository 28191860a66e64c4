//! One connection of a client: how it begins, is written to, and ends.

use super::{Client, GIVE_UP, Key, LEAVE, OUTBOX_MAX};
use crate::actors::body::Step;
use crate::actors::close;
use crate::actors::exchange::{Exchange, Where};
use crate::actors::record::{Outcome, Stray};
use crate::actors::wire::Reader;
use core::net::SocketAddr;
use pico_core::Outbox;
use pico_core::host::{Action, Host as _, Told};
use pico_core::id::ConnId;
use std::collections::VecDeque;

/// One connection.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Visit {
    pub(super) lane: usize,
    /// Addresses that were not tried yet.
    pub(super) left: VecDeque<SocketAddr>,
    pub(super) place: Place,
    pub(super) outbox: Outbox,
    pub(super) told: Told,
    pub(super) reader: Reader,
    /// Requests under way: the first is being answered.
    pub(super) line: VecDeque<Exchange>,
    pub(super) connected: bool,
    pub(super) paused: bool,
    /// Our FIN was sent, or is to be once the outbox is empty.
    pub(super) finished: bool,
    /// The peer's FIN came.
    pub(super) ended: bool,
    /// Nothing is expected any more but the peer's FIN; `Some(true)` if nothing else may come.
    pub(super) leaving: Option<bool>,
    /// Requests so far, and the last of them.
    asked: usize,
    last: Option<u64>,
    /// How many more may go behind the first of the line.
    invites: usize,
}

/// Where a connection leads.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) tried: Vec<ConnId>,
    pub(super) to: Option<SocketAddr>,
}

/// How a client parts from a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Exit {
    /// It does not.
    Keep,
    /// In good order: by FIN. `clean` says that nothing of the peer's is left to come.
    Leave { clean: bool },
    /// At once, so that the peer sees a reset.
    Cut,
    /// The connection is gone already.
    Gone,
}

impl Visit {
    pub(super) fn new(lane: usize) -> Self {
        Self {
            lane,
            left: VecDeque::new(),
            place: Place::default(),
            outbox: Outbox::new(),
            told: Told::default(),
            reader: Reader::responses(),
            line: VecDeque::new(),
            connected: false,
            paused: false,
            finished: false,
            ended: false,
            leaving: None,
            asked: 0,
            last: None,
            invites: 0,
        }
    }

    /// Whether another request may go behind those under way.
    pub(super) fn leads(&self) -> bool {
        self.invites > 0 && !self.line.is_empty()
    }

    /// Says what the reader must know of the response that comes next.
    fn face_front(&mut self) {
        if let Some(front) = self.line.front() {
            self.reader.expect_no_body(front.plan.method == "HEAD");
        }
    }

    /// The request that is being written, or is to be written next.
    fn current(&mut self) -> Option<&mut Exchange> {
        self.line.iter_mut().find(|exchange| !exchange.is_written())
    }
}

impl Client {
    /// Puts a request behind those that are under way on a connection.
    pub(super) fn enqueue(&mut self, conn: ConnId, mut exchange: Exchange) {
        let Some(visit) = self.conns.get_mut(conn) else { return };
        exchange.before = visit.asked;
        exchange.behind = visit.line.back().map(|other| other.plan.id);
        visit.asked += 1;
        visit.invites = match visit.line.len() {
            0 => exchange.plan.follow,
            _ => visit.invites.saturating_sub(1),
        };
        visit.line.push_back(exchange);
        visit.face_front();
    }

    /// Writes more of the requests.
    pub(super) fn pump(&mut self, conn: ConnId) {
        let now = self.clock.now();
        while self.timers.get(Key::Write(conn)).is_none()
            && let Some(visit) = self.conns.get_mut(conn)
            && visit.leaving.is_none()
            && visit.outbox.len() < OUTBOX_MAX
            && let Some(exchange) = visit.current()
        {
            if !exchange.asked {
                let head = exchange.ask(self.orders.work.endpoint(&exchange.plan));
                visit.outbox.put(head.as_bytes());
                continue;
            }
            if exchange.must_wait() {
                break;
            }
            match exchange.step() {
                Step::Bytes(bytes) => visit.outbox.put(&bytes),
                Step::Rest(pause) => self.timers.set(Key::Write(conn), now + pause),
                Step::Cut | Step::Over => break,
            }
        }
        self.finish_if_due(conn);
        self.tell(conn);
    }

    /// Sends FIN behind a request, or at our end of a tunnel.
    fn finish_if_due(&mut self, conn: ConnId) {
        let Some(visit) = self.conns.get(conn) else { return };
        if visit.line.back().is_some_and(Exchange::is_finished) {
            self.finish(conn);
            self.end_talk(conn);
        }
    }

    fn finish(&mut self, conn: ConnId) {
        let Some(visit) = self.conns.get_mut(conn) else { return };
        if visit.connected && !std::mem::replace(&mut visit.finished, true) {
            self.tell(conn);
            self.actions.push_back(Action::Finish(conn));
        }
    }

    pub(super) fn tell(&mut self, conn: ConnId) {
        let room = self.room(conn);
        let Some(visit) = self.conns.get_mut(conn) else { return };
        if visit.connected {
            visit.told.tell(conn, Some(&visit.outbox), room, &mut self.actions);
        }
    }

    /// The socket took bytes.
    pub(super) fn sent(&mut self, conn: ConnId, count: usize) {
        let Some(visit) = self.conns.get_mut(conn) else { return };
        visit.line.iter_mut().fold(count, |left, exchange| left - exchange.took(left));
        self.moved(conn);
        self.pump(conn);
    }

    /// Something moves: patience begins anew.
    pub(super) fn moved(&mut self, conn: ConnId) {
        if self.timers.get(Key::GiveUp(conn)).is_some() {
            self.timers.set(Key::GiveUp(conn), self.clock.now() + GIVE_UP);
        }
    }

    /// The client gives up, as planned.
    pub(super) fn abort(&mut self, conn: ConnId) {
        let Some(visit) = self.conns.get(conn) else { return };
        let rude = visit.line.front().is_none_or(|front| front.plan.rude);
        let leave = Exit::Leave { clean: false };
        let parting = if rude || !visit.connected { Exit::Cut } else { leave };
        self.over(conn, Outcome::Aborted, parting);
    }

    /// Notes how the first request of a connection ended, and goes on.
    pub(super) fn over(&mut self, conn: ConnId, outcome: Outcome, parting: Exit) {
        let nobody = outcome == Outcome::Unreachable;
        self.note(conn, Some(outcome));
        let Some(visit) = self.conns.get_mut(conn) else { return };
        let lane = visit.lane;
        if parting == Exit::Keep && !visit.line.is_empty() {
            visit.face_front();
            return self.moved(conn);
        }
        if parting != Exit::Keep {
            // What was sent behind it is not answered any more.
            while self.conns.get(conn).is_some_and(|visit| !visit.line.is_empty()) {
                self.note(conn, nobody.then_some(Outcome::Unreachable));
            }
        }
        for key in [Key::Abort(conn), Key::GiveUp(conn), Key::Write(conn)] {
            self.timers.clear(key);
        }
        self.part(conn, parting);
        self.rest(lane);
    }

    /// Writes down the first request of a connection: that it is broken, without an outcome.
    fn note(&mut self, conn: ConnId, outcome: Option<Outcome>) {
        let (now, watch) = (self.clock.now(), self.watch);
        let Some(visit) = self.conns.get_mut(conn) else { return };
        let Some(exchange) = visit.line.pop_front() else { return };
        visit.last = Some(exchange.plan.id);
        // The vain dials belong to the first request only.
        let tried = std::mem::take(&mut visit.place.tried);
        let place = Where { conn, tried, to: visit.place.to };
        let outcome = outcome.unwrap_or_else(|| exchange.broken());
        self.records.push(exchange.record(place, now, outcome, |at| watch.read(at)));
    }

    /// Parts from a connection that carries no request, and frees its lane.
    pub(super) fn part(&mut self, conn: ConnId, parting: Exit) {
        let Some(visit) = self.conns.get_mut(conn) else { return };
        match parting {
            Exit::Keep => {}
            Exit::Leave { clean } => {
                self.lanes[visit.lane].conn = None;
                visit.leaving = Some(clean);
                visit.paused = false;
                let ended = visit.ended;
                self.finish(conn);
                self.timers.clear(Key::Read(conn));
                self.timers.set(Key::Leave(conn), self.clock.now() + LEAVE);
                self.tell(conn);
                if ended {
                    self.cut(conn);
                }
            }
            Exit::Cut => self.cut(conn),
            Exit::Gone => {
                self.forget(conn);
            }
        }
    }

    /// Closes a connection whatever waits. Behind both sides' FIN this is a good end.
    pub(super) fn cut(&mut self, conn: ConnId) {
        if let Some(visit) = self.forget(conn) {
            close(conn, &visit.outbox, &mut self.actions);
        }
    }

    pub(super) fn forget(&mut self, conn: ConnId) -> Option<Visit> {
        let visit = self.conns.remove(conn)?;
        self.ids.release(conn);
        self.asks.retain(|_, asker| *asker != conn);
        for key in [Key::Connect, Key::Write, Key::Read, Key::Abort, Key::GiveUp, Key::Leave] {
            self.timers.clear(key(conn));
        }
        let lane = &mut self.lanes[visit.lane];
        lane.conn = lane.conn.filter(|held| *held != conn);
        Some(visit)
    }

    /// Something came that nobody asked for.
    pub(super) fn stray(&mut self, conn: ConnId, what: &str) {
        let at = self.watch.read(self.clock.now());
        let behind = self.conns.get(conn).and_then(|visit| visit.last);
        self.strays.push(Stray { conn, behind, at, what: what.to_owned() });
    }
}
