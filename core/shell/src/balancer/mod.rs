//! A load balancer: what stands before the nodes, and knows of them what they say.
//!
//! It is what an operator would put before a cluster, as small as that can be: the local cluster
//! and the demonstration run it over real sockets, the simulator over invented ones.

mod relay;
mod stand;

use bytes::Buf as _;
use pico_core::host::{Action, Host, Input, Wire};
use pico_core::id::{ConnId, ConnIds, ConnMap, Side};
use pico_core::{Instant, Machine, Monotonic, Outbox, Timers};
use relay::{End, Kind};
pub(crate) use stand::Stand;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// A load balancer that forwards connections, byte by byte, to nodes that it believes ready.
///
/// It asks each node's `/ready` once a second, and goes on sending to one that is not ready any
/// more for as long as it is late to retire. Connections are dealt in turn; one that cannot be
/// made is tried at another node, or at the same one again, a few times, and then cut. A letter
/// ends it.
#[derive(Debug)]
pub struct Balancer {
    nodes: Vec<Node>,
    retires_late: Duration,
    /// Whose turn it is.
    turn: usize,
    conns: ConnMap<End>,
    ids: ConnIds,
    timers: Timers<Key>,
    clock: Monotonic,
    actions: VecDeque<Action<()>>,
}

/// Where a node listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backend {
    /// For clients.
    pub proxy: SocketAddr,
    /// For agents.
    pub upstream: SocketAddr,
    /// For operators, and this balancer.
    pub admin: SocketAddr,
}

/// What is known of a node.
#[derive(Debug)]
struct Node {
    backend: Backend,
    ready: bool,
    /// Until when it gets connections although it is not ready.
    until: Instant,
    probe: Option<ConnId>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Key {
    /// The next question to a node.
    Ask(usize),
    /// A dial that is not answered.
    Connect(ConnId),
}

impl Balancer {
    /// A balancer before these nodes, of which it knows nothing yet.
    pub fn new(now: Instant, backends: Vec<Backend>, retires_late: Duration) -> Self {
        let mut balancer = Self {
            nodes: Vec::new(),
            retires_late,
            turn: 0,
            conns: ConnMap::new(),
            ids: ConnIds::new(Side::Dialed),
            timers: Timers::new(),
            clock: Monotonic::default(),
            actions: VecDeque::new(),
        };
        let now = balancer.clock.advance(now);
        for (at, backend) in backends.into_iter().enumerate() {
            balancer.nodes.push(Node { backend, ready: false, until: now, probe: None });
            balancer.timers.set(Key::Ask(at), now);
        }
        balancer
    }

    /// Whether it sends connections to this node, counted from 0.
    pub fn uses(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(|node| node.is_used(self.clock.now()))
    }

    /// The connection that somebody made, for which a node is, or was last, dialled by `back`.
    pub fn front(&self, back: ConnId) -> Option<ConnId> {
        let end = self.conns.get(back).filter(|end| end.is_dialled())?;
        end.other()
    }

    /// Asks a node whether it is ready.
    fn ask(&mut self, at: usize) {
        let now = self.clock.now();
        // Who has not answered by now is not ready.
        let old = self.nodes.get(at).and_then(|node| node.probe);
        if let Some(end) = old.and_then(|old| self.drop_conn(old, true)) {
            self.asked(at, &end);
        }
        let conn = self.ids.issue();
        let Some(node) = self.nodes.get_mut(at) else { return };
        node.probe = Some(conn);
        let to = node.backend.admin;
        self.conns.insert(conn, End::new(Kind::Probe { node: at, answer: Some(Vec::new()) }));
        self.actions.push_back(Action::Dial { conn, to, wire: Wire::Plain });
        self.timers.set(Key::Ask(at), now + ASK_EVERY);
    }

    /// A node has said that it is ready or not, or nothing.
    fn learn(&mut self, at: usize, ready: bool) {
        let late = self.clock.now() + self.retires_late;
        let Some(node) = self.nodes.get_mut(at) else { return };
        if node.ready && !ready {
            node.until = late;
        }
        node.ready = ready;
    }

    /// The node that is to get a connection next: one that was not tried for it yet, or else one
    /// that was, a few times.
    fn choose(&mut self, tried: &[usize]) -> Option<usize> {
        let count = self.nodes.len();
        let used = |at: &usize| self.uses(*at);
        let mut in_turn = (self.turn..self.turn + count).map(|at| at % count).filter(used);
        let again = in_turn.clone().next().filter(|_| tried.len() < DIALS_MAX);
        let chosen = in_turn.find(|at| !tried.contains(at)).or(again)?;
        self.turn = chosen + 1;
        Some(chosen)
    }

    /// Forgets a connection, and closes it if it is still there.
    fn drop_conn(&mut self, conn: ConnId, there: bool) -> Option<End> {
        let end = self.conns.remove(conn)?;
        self.timers.clear(Key::Connect(conn));
        if end.is_dialled() {
            self.ids.release(conn);
        }
        if there {
            if !end.outbox.is_empty() {
                // What is cut must not look complete.
                self.actions.retain(|action| !matches!(action, Action::Finish(it) if *it == conn));
            }
            self.actions.push_back(Action::Close(conn));
        }
        Some(end)
    }
}

impl Node {
    fn is_used(&self, now: Instant) -> bool {
        self.ready || now < self.until
    }
}

impl Machine for Balancer {
    type Input = Input<()>;
    type Action = Action<()>;

    fn handle(&mut self, now: Instant, input: Input<()>) {
        self.clock.advance(now);
        match input {
            Input::Accepted { conn, port, .. } => self.accepted(conn, port),
            Input::Connected { conn, .. } => self.connected(conn),
            Input::Unreachable { conn, .. } => self.unreachable(conn, false),
            Input::Received { conn, bytes } => self.received(conn, &bytes),
            Input::Sent { conn, count } => {
                if let Some(end) = self.conns.get_mut(conn) {
                    end.outbox.advance(count);
                }
                self.sent(conn);
            }
            Input::Eof { conn } => self.eof(conn),
            Input::Lost { conn, .. } => self.lost(conn),
            Input::Unlistened(_)
            | Input::Resolved { .. }
            | Input::Datagram { .. }
            | Input::Wall(_) => {}
            Input::Letter(()) => self.actions.push_back(Action::Done),
        }
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        while let Some(key) = self.timers.pop(now) {
            match key {
                Key::Ask(node) => self.ask(node),
                Key::Connect(conn) => self.unreachable(conn, true),
            }
        }
    }

    fn poll(&mut self) -> Option<Action<()>> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        self.timers.deadline()
    }
}

impl Host for Balancer {
    type Letter = ();

    fn outbox(&self, conn: ConnId) -> Option<&Outbox> {
        self.conns.get(conn).map(|end| &end.outbox)
    }

    fn room(&self, conn: ConnId) -> usize {
        let Some(end) = self.conns.get(conn) else { return 0 };
        match end.other() {
            // What comes in waits before the other end.
            Some(other) => {
                let waits = self.conns.get(other).map_or(0, |other| other.outbox.len());
                BUFFER_MAX.saturating_sub(waits)
            }
            None => BUFFER_MAX,
        }
    }
}

/// Between two questions to a node, and for its answer.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// For a node to take a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Dials for one connection, beyond which only nodes that were not tried yet are.
const DIALS_MAX: usize = 3;

/// What waits in each direction of a connection.
const BUFFER_MAX: usize = 64 * 1024;

/// Connections that it holds, of both sides and its questions: descriptors end before.
const CONNS_MAX: usize = 1 << 17;
