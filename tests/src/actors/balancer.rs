//! The load balancer before the nodes, and a list of what it did.

use super::record::Watch;
use core::net::SocketAddr;
use core::time::Duration;
use pico_core::host::{Action, Host, Input, Port};
use pico_core::id::ConnId;
use pico_core::{Instant, Machine, Outbox};
pub use pico_shell::balancer::Backend;
use pico_shell::balancer::Balancer as Inner;
use std::collections::BTreeMap;

/// A load balancer of which all connections are written down.
#[derive(Debug)]
pub struct Balancer {
    inner: Inner,
    watch: Watch,
    backends: Vec<Backend>,
    passages: Vec<Passage>,
    /// Which passage a connection that is there belongs to.
    fronts: BTreeMap<ConnId, usize>,
    now: Instant,
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

impl Balancer {
    /// A balancer before these nodes, of which it knows nothing yet.
    pub fn new(watch: Watch, backends: Vec<Backend>, retires_late: Duration) -> Self {
        let now = watch.local();
        let inner = Inner::new(now, backends.clone(), retires_late);
        let (passages, fronts) = (Vec::new(), BTreeMap::new());
        Self { inner, watch, backends, passages, fronts, now }
    }

    /// All connections that were made to it, in their order.
    pub fn passages(&self) -> &[Passage] {
        &self.passages
    }

    /// Whether it sends connections to this node.
    pub fn uses(&self, node: usize) -> bool {
        self.inner.uses(node)
    }

    fn passage(&mut self, back: ConnId) -> Option<&mut Passage> {
        let front = self.inner.front(back)?;
        self.passages.get_mut(*self.fronts.get(&front)?)
    }

    fn dialled(&mut self, back: ConnId, to: SocketAddr) {
        let port = self.passage(back).map(|passage| passage.port);
        let is = |node: &Backend| match port {
            Some(Port::Proxy) => node.proxy == to,
            Some(Port::Upstream) => node.upstream == to,
            Some(Port::Admin) => node.admin == to,
            Some(Port::Gossip) | None => false,
        };
        let node = self.backends.iter().position(is);
        if let (Some(node), Some(passage)) = (node, self.passage(back)) {
            passage.dials.push((node, back));
        }
    }
}

impl Machine for Balancer {
    type Input = Input<()>;
    type Action = Action<()>;

    fn handle(&mut self, now: Instant, input: Input<()>) {
        self.now = self.now.max(now);
        match &input {
            Input::Accepted { conn, port, peer } => {
                let (front, peer, port) = (*conn, *peer, *port);
                let at = self.watch.read(self.now);
                self.fronts.insert(front, self.passages.len());
                let (dials, made) = (Vec::new(), false);
                self.passages.push(Passage { peer, port, at, front, dials, made });
            }
            Input::Connected { conn, .. } => {
                if let Some(passage) = self.passage(*conn) {
                    passage.made = true;
                }
            }
            Input::Unreachable { .. }
            | Input::Received { .. }
            | Input::Eof { .. }
            | Input::Sent { .. }
            | Input::Lost { .. }
            | Input::Unlistened(_)
            | Input::Resolved { .. }
            | Input::Datagram { .. }
            | Input::Wall(_)
            | Input::Letter(()) => {}
        }
        self.inner.handle(now, input);
    }

    fn tick(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.inner.tick(now);
    }

    fn poll(&mut self) -> Option<Action<()>> {
        let action = self.inner.poll()?;
        if let Action::Dial { conn, to, .. } = &action {
            self.dialled(*conn, *to);
        }
        Some(action)
    }

    fn deadline(&self) -> Option<Instant> {
        self.inner.deadline()
    }
}

impl Host for Balancer {
    type Letter = ();

    fn outbox(&self, conn: ConnId) -> Option<&Outbox> {
        self.inner.outbox(conn)
    }

    fn room(&self, conn: ConnId) -> usize {
        self.inner.room(conn)
    }
}
