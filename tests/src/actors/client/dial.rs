//! How a client finds somebody to talk to.

use super::{CONNECT, CONNECT_MUTE, Client, Exit, Key, MUTE, Visit};
use crate::actors::record::Outcome;
use crate::actors::workload::Target;
use core::net::SocketAddr;
use pico_core::host::{Action, Fault, Wire};
use pico_core::id::{AskId, ConnId};
use std::collections::VecDeque;

impl Client {
    /// Makes a connection for a lane.
    pub(super) fn connect(&mut self, lane: usize) -> ConnId {
        let conn = self.ids.issue();
        self.conns.insert(conn, Visit::new(lane));
        self.lanes[lane].conn = Some(conn);
        match self.orders.to.clone() {
            Target::Addresses(addresses) => self.try_all(conn, addresses),
            Target::Name { host, port } => {
                self.dials += 1;
                let ask = AskId(self.dials);
                self.asks.insert(ask, conn);
                self.timers.set(Key::Connect(conn), self.clock.now() + CONNECT);
                self.actions.push_back(Action::Resolve { ask, host, port });
            }
        }
        conn
    }

    /// A name was looked up.
    pub(super) fn resolved(&mut self, ask: AskId, result: Result<Vec<SocketAddr>, Fault>) {
        let Some(conn) = self.asks.remove(&ask) else { return };
        match result {
            Ok(addresses) => self.try_all(conn, addresses),
            Err(_) => self.unreachable(conn),
        }
    }

    /// Dials the addresses, beginning with another each time. Those that did not answer of late
    /// come last, and only one of them if there are no others: as clients do that are to go on
    /// where most of what they know is gone.
    fn try_all(&mut self, conn: ConnId, addresses: Vec<SocketAddr>) {
        let mut left = VecDeque::from(addresses);
        let first = self.dials % (left.len().max(1) as u64);
        left.rotate_left(usize::try_from(first).expect("below a usize"));
        let (mute, mut left): (VecDeque<_>, VecDeque<_>) =
            left.into_iter().partition(|to| self.is_mute(*to));
        let some = if left.is_empty() { 1 } else { mute.len() };
        left.extend(mute.into_iter().take(some));
        if let Some(visit) = self.conns.get_mut(conn) {
            visit.left = left;
            self.dial(conn);
        }
    }

    fn dial(&mut self, conn: ConnId) {
        let Some(visit) = self.conns.get_mut(conn) else { return };
        let Some(to) = visit.left.pop_front() else { return self.unreachable(conn) };
        visit.place.to = Some(to);
        self.dials += 1;
        let patience = if self.is_mute(to) { CONNECT_MUTE } else { CONNECT };
        self.timers.set(Key::Connect(conn), self.clock.now() + patience);
        self.actions.push_back(Action::Dial { conn, to, wire: Wire::Plain });
    }

    /// Whether this address did not answer a while ago.
    fn is_mute(&self, to: SocketAddr) -> bool {
        self.mute.get(&to).is_some_and(|since| self.clock.now() < *since + MUTE)
    }

    /// The address that is being dialled does not answer.
    pub(super) fn mistrust(&mut self, conn: ConnId) {
        if let Some(to) = self.conns.get(conn).and_then(|visit| visit.place.to) {
            self.mute.insert(to, self.clock.now());
        }
    }

    /// An address does not answer: tries the next one, on a connection of another name.
    pub(super) fn unreachable(&mut self, conn: ConnId) {
        let Some(visit) = self.conns.get(conn) else { return };
        if visit.left.is_empty() {
            return self.over(conn, Outcome::Unreachable, Exit::Gone);
        }
        let lane = visit.lane;
        let [abort, give_up] = [Key::Abort, Key::GiveUp].map(|key| self.timers.get(key(conn)));
        let Some(mut visit) = self.forget(conn) else { return };
        visit.place.tried.push(conn);
        let conn = self.ids.issue();
        self.conns.insert(conn, visit);
        self.lanes[lane].conn = Some(conn);
        for (key, at) in [(Key::Abort(conn), abort), (Key::GiveUp(conn), give_up)] {
            if let Some(at) = at {
                self.timers.set(key, at);
            }
        }
        self.dial(conn);
    }

    pub(super) fn connected(&mut self, conn: ConnId) {
        self.timers.clear(Key::Connect(conn));
        if let Some(visit) = self.conns.get_mut(conn) {
            visit.connected = true;
            visit.place.to.map(|to| self.mute.remove(&to));
        }
        self.pump(conn);
    }
}
