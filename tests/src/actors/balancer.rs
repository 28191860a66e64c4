//! A load balancer: what stands before the nodes, and knows of them what they say.

mod relay;

use super::close;
use super::record::Watch;
use bytes::Buf as _;
use core::net::SocketAddr;
use core::time::Duration;
use pico_core::host::{Action, Host, Input, Port, Wire};
use pico_core::id::{ConnId, ConnIds, ConnMap, Side};
use pico_core::{Instant, Machine, Monotonic, Outbox, Timers};
use relay::{End, Kind};
use std::collections::VecDeque;

/// A load balancer that forwards connections, byte by byte, to nodes that it believes ready.
///
/// It asks each node's `/ready` once a second, and goes on sending to one that is not ready any
/// more for as long as it is late to retire. Connections are dealt in turn; one that cannot be
/// made is tried at another node, or at the same one again, a few times, and then cut.
#[derive(Debug)]
pub struct Balancer {
    watch: Watch,
    nodes: Vec<Node>,
    retires_late: Duration,
    /// Whose turn it is.
    turn: usize,
    conns: ConnMap<End>,
    ids: ConnIds,
    timers: Timers<Key>,
    clock: Monotonic,
    actions: VecDeque<Action<()>>,
    passages: Vec<Passage>,
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

/// A connection that somebody made to the balancer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Passage {
    /// Who made it.
    pub peer: SocketAddr,
    /// By which port.
    pub port: Port,
    /// When, by the world's time.
    pub at: Instant,
    /// What the balancer calls it.
    pub front: ConnId,
    /// The nodes that were dialled for it, by number, and the connections; the last one may
    /// carry it.
    pub dials: Vec<(usize, ConnId)>,
    /// Whether the last one does, or did.
    pub made: bool,
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
    pub fn new(watch: Watch, backends: Vec<Backend>, retires_late: Duration) -> Self {
        let mut balancer = Self {
            watch,
            nodes: Vec::new(),
            retires_late,
            turn: 0,
            conns: ConnMap::new(),
            ids: ConnIds::new(Side::Dialed),
            timers: Timers::new(),
            clock: Monotonic::default(),
            actions: VecDeque::new(),
            passages: Vec::new(),
        };
        balancer.clock.advance(watch.local());
        for (at, backend) in backends.into_iter().enumerate() {
            let (ready, until, probe) = (false, watch.local(), None);
            balancer.nodes.push(Node { backend, ready, until, probe });
            balancer.timers.set(Key::Ask(at), watch.local());
        }
        balancer
    }

    /// All connections that were made to it, in their order.
    pub fn passages(&self) -> &[Passage] {
        &self.passages
    }

    /// Whether it sends connections to this node.
    pub fn uses(&self, node: usize) -> bool {
        self.nodes[node].is_used(self.clock.now())
    }

    /// Asks a node whether it is ready.
    fn ask(&mut self, at: usize) {
        let now = self.clock.now();
        // Who has not answered by now is not ready.
        if let Some(end) = self.nodes[at].probe.and_then(|old| self.drop_conn(old, true)) {
            self.asked(at, &end);
        }
        let conn = self.ids.issue();
        let node = &mut self.nodes[at];
        node.probe = Some(conn);
        let to = node.backend.admin;
        self.conns.insert(conn, End::new(Kind::Probe { node: at, answer: Some(Vec::new()) }));
        self.actions.push_back(Action::Dial { conn, to, wire: Wire::Plain });
        self.timers.set(Key::Ask(at), now + ASK_EVERY);
    }

    /// A node has said that it is ready or not, or nothing.
    fn learn(&mut self, at: usize, ready: bool) {
        let late = self.clock.now() + self.retires_late;
        let node = &mut self.nodes[at];
        if node.ready && !ready {
            node.until = late;
        }
        node.ready = ready;
    }

    /// The node that is to get a connection next: one that was not tried for it yet, or else one
    /// that was, a few times.
    fn choose(&mut self, tried: &[(usize, ConnId)]) -> Option<usize> {
        let now = self.clock.now();
        let count = self.nodes.len();
        let used = |at: &usize| self.nodes[*at].is_used(now);
        let fresh = |at: &usize| !tried.iter().any(|(node, _)| node == at);
        let mut in_turn = (self.turn..self.turn + count).map(|at| at % count).filter(used);
        let again = in_turn.clone().next().filter(|_| tried.len() < DIALS_MAX);
        let chosen = in_turn.find(fresh).or(again)?;
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
            close(conn, &end.outbox, &mut self.actions);
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
            Input::Accepted { conn, port, peer } => self.accepted(conn, port, peer),
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
            | Input::Letter(()) => {}
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
