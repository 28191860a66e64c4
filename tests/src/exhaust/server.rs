//! A node of one worker, whose sockets and letters are at hand: nothing happens to it but what a
//! test lets happen.

use bytes::BytesMut;
use pico_core::host::{Action, Address, Fault, Host as _, Input, Port};
use pico_core::id::{ConnId, ConnIds, Side, WorkerId};
use pico_core::routing::{Change, Place, Upstream};
use pico_core::server::{Letter, Node, Settings, Worker};
use pico_core::{Instant, Limits, Machine as _, Outbox, Seed};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A node of one worker.
#[derive(Debug)]
pub struct Server {
    worker: Worker,
    node: Node,
    ids: ConnIds,
    conns: BTreeMap<ConnId, Conn>,
    /// The connections by which an endpoint is served, as the worker told the node.
    pub serving: Vec<ConnId>,
}

/// What became of a connection, as its peer sees it.
#[derive(Clone, Copy, Default, Debug)]
struct Conn {
    finished: bool,
    closed: bool,
}

impl Server {
    /// A node that is ready.
    pub fn new(now: Instant, limits: &Arc<Limits>) -> Self {
        let limits = Arc::clone(limits);
        let settings = Arc::new(Settings { limits, log_requests: false, ..Settings::default() });
        let worker = Worker::new(now, WorkerId(0), Arc::clone(&settings), &Seed::from_u64(1));
        let node = Node::new(now, 1, settings);
        let ids = ConnIds::new(Side::Accepted);
        let mut server = Self { worker, node, ids, conns: BTreeMap::new(), serving: Vec::new() };
        server.settle(now);
        server
    }

    /// Somebody connects.
    pub fn accept(&mut self, now: Instant, port: Port) -> ConnId {
        let conn = self.ids.issue();
        self.conns.insert(conn, Conn::default());
        let peer = "10.0.0.9:999".parse().expect("an address");
        self.input(now, Input::Accepted { conn, port, peer });
        conn
    }

    /// Bytes arrive.
    pub fn receive(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) {
        if !self.is_closed(conn) && !bytes.is_empty() {
            self.input(now, Input::Received { conn, bytes: BytesMut::from(bytes) });
        }
    }

    /// The peer's FIN arrives.
    pub fn eof(&mut self, now: Instant, conn: ConnId) {
        if !self.is_closed(conn) {
            self.input(now, Input::Eof { conn });
        }
    }

    /// The connection breaks.
    pub fn lose(&mut self, now: Instant, conn: ConnId) {
        if !self.is_closed(conn) {
            self.conns.entry(conn).or_default().closed = true;
            self.input(now, Input::Lost { conn, fault: Fault::Reset });
        }
    }

    /// What it has to write.
    pub fn take(&mut self, now: Instant, conn: ConnId) -> Vec<u8> {
        let mut taken = Vec::new();
        loop {
            let outbox = self.worker.outbox(conn).filter(|_| !self.is_closed(conn));
            let bytes: Vec<u8> =
                outbox.into_iter().flat_map(Outbox::pieces).flatten().copied().collect();
            if bytes.is_empty() {
                return taken;
            }
            self.input(now, Input::Sent { conn, count: bytes.len() });
            taken.extend(bytes);
        }
    }

    /// Lets time come to `now`.
    pub fn tick(&mut self, now: Instant) {
        self.worker.tick(now);
        self.node.tick(now);
        self.settle(now);
    }

    /// When it wants that.
    pub fn deadline(&self) -> Option<Instant> {
        self.worker.deadline().into_iter().chain(self.node.deadline()).min()
    }

    /// The node is told to stop.
    pub fn drain(&mut self, now: Instant) {
        self.node.handle(now, Input::Letter(Letter::Drain));
        self.settle(now);
    }

    /// Whether it, or a break, has closed the connection.
    pub fn is_closed(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_none_or(|conn| conn.closed)
    }

    /// Whether it has sent its FIN.
    pub fn is_finished(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_some_and(|conn| conn.finished)
    }

    /// The worker, to be asked.
    pub const fn worker(&self) -> &Worker {
        &self.worker
    }

    fn input(&mut self, now: Instant, input: Input<Letter>) {
        self.worker.handle(now, input);
        self.settle(now);
    }

    /// Lets worker and node have what they write to each other.
    fn settle(&mut self, now: Instant) {
        loop {
            let worker = std::iter::from_fn(|| self.worker.poll());
            let mut actions: VecDeque<_> = worker.collect();
            actions.extend(std::iter::from_fn(|| self.node.poll()));
            if actions.is_empty() {
                return;
            }
            for action in actions {
                self.act(now, action);
            }
        }
    }

    fn act(&mut self, now: Instant, action: Action<Letter>) {
        match action {
            Action::Letter { to: Address::Node, letter } => {
                match &letter {
                    Letter::Changed(Change::Put(_, Upstream { place, .. })) => {
                        self.serving.extend(tunnel(*place));
                    }
                    Letter::Changed(Change::Remove(_, place)) => {
                        self.serving.retain(|conn| Some(*conn) != tunnel(*place));
                    }
                    Letter::Ask { .. }
                    | Letter::Answer { .. }
                    | Letter::Seek(_)
                    | Letter::Sought(_)
                    | Letter::Routes(_)
                    | Letter::Peers(_)
                    | Letter::LinkLost(_)
                    | Letter::Asked { .. }
                    | Letter::Consulted { .. }
                    | Letter::Inquire(_)
                    | Letter::Reported(..)
                    | Letter::Ready(_)
                    | Letter::Shed(_)
                    | Letter::Drain
                    | Letter::Draining(_)
                    | Letter::Quiet(_)
                    | Letter::Part
                    | Letter::Parted(_)
                    | Letter::Left => {}
                }
                self.node.handle(now, Input::Letter(letter));
            }
            Action::Letter { to: Address::Worker(_), letter } => {
                self.worker.handle(now, Input::Letter(letter));
            }
            Action::Finish(conn) => self.conns.entry(conn).or_default().finished = true,
            Action::Close(conn) => self.conns.entry(conn).or_default().closed = true,
            Action::Dial { .. } | Action::Resolve { .. } | Action::Datagram { .. } => {
                panic!("{action:?} by a worker")
            }
            Action::Write(_)
            | Action::Read(_)
            | Action::Unlisten(_)
            | Action::Note(_)
            | Action::Done => {}
        }
    }
}

/// The connection of a tunnel that one of our workers holds.
const fn tunnel(place: Place) -> Option<ConnId> {
    match place {
        Place::Tunnel { conn, .. } => Some(conn),
        Place::Node(_) => None,
    }
}
