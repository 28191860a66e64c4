//! `pico server`: a node.

use super::Failure;
use crate::clock::Clock;
use crate::config::{Refusal, Server};
use crate::crew::{self, Crew, Task};
use crate::driver::{Driver, Notes, Wiring};
use crate::listen;
use crate::log;
use crate::mail::Post;
use crate::platform::Platform;
use pico_core::Seed;
use pico_core::host::{Address, Port};
use pico_core::id::{Boot, WorkerId};
use pico_core::server::{Letter, Node, Worker};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

/// A node whose ports are bound and that is ready to run.
pub struct Plan {
    server: Server,
    clock: Clock,
    post: Post<Letter>,
    notes: Notes,
    seed: Seed,
    proxy: TcpListener,
    upstream: TcpListener,
    admin: TcpListener,
    /// For other nodes' links, and for datagrams: those are held so that nobody else takes the
    /// port, and not read yet.
    gossip: (TcpListener, UdpSocket),
}

pub(super) fn run<P: Platform>(server: Server) -> Result<(), Failure> {
    log::start(server.logs);
    crew::raise_descriptors();
    let plan = Plan::bind(server, log::events())?;
    for (port, bound) in plan.ports() {
        tracing::info!(port, address = %bound.local_addr()?, "listening");
    }
    log::flush();
    plan.run::<P>(true)?;
    Ok(())
}

impl Plan {
    /// Binds all ports.
    pub fn bind(mut server: Server, notes: Notes) -> Result<Self, Failure> {
        let refuse = |port: &str, address: SocketAddr, error: io::Error| {
            Refusal(format!("{port}.bind-addr: cannot listen at {address}: {error}"))
        };
        let bind = |port: &str, address: SocketAddr| {
            listen::bind(address).map_err(|error| refuse(port, address, error))
        };
        let proxy = bind("proxy", server.proxy)?;
        let upstream = bind("upstream", server.upstream)?;
        let admin = bind("admin", server.admin)?;
        let gossip = listen::bind_both(server.gossip)
            .map_err(|error| refuse("gossip", server.gossip, error))?;
        let (clock, post) = (Clock::start(), Post::new(server.workers));
        let seed = crew::seed()?;
        server.node.boot = boot(&seed);
        Ok(Self { server, clock, post, notes, seed, proxy, upstream, admin, gossip })
    }

    /// The ports and their sockets.
    pub fn ports(&self) -> [(&'static str, &TcpListener); 4] {
        [
            ("proxy", &self.proxy),
            ("upstream", &self.upstream),
            ("admin", &self.admin),
            ("gossip", &self.gossip.0),
        ]
    }

    /// The letterboxes, by which the node can be told to drain.
    pub fn post(&self) -> Post<Letter> {
        self.post.clone()
    }

    /// Runs the node on this thread, and its other workers on threads of their own, until it has
    /// drained. With `signals`, the first one drains it and the second one ends the process.
    pub fn run<P: Platform>(self, signals: bool) -> io::Result<()> {
        let mut crew = Crew::new();
        for worker in (1..self.server.workers).map(WorkerId) {
            let name = format!("pico-worker-{}", worker.0);
            let wiring = self.wiring(Address::Worker(worker))?;
            crew.hire::<P, _>(name, wiring, self.worker(worker), |_| ())?;
        }
        let settings = Arc::new(self.server.node.clone());
        let node = Node::new(self.clock.now(), self.server.workers, settings);
        let node = (node, self.wiring(Address::Node)?);
        let first = Address::Worker(WorkerId(0));
        let first = (self.worker(WorkerId(0))(), self.wiring(first)?);
        let post = self.post.clone();
        let drain = signals.then_some(move || post.send(Address::Node, Letter::Drain));
        // From here on the workers alone hold their ports, and close them when they drain.
        let Self { gossip: (gossip, datagrams), proxy, upstream, admin, .. } = self;
        drop((proxy, upstream, admin, gossip));
        P::block_on(async {
            let node: Task = Box::pin(Driver::<P, _>::new(node.0, node.1)?);
            let first: Task = Box::pin(Driver::<P, _>::new(first.0, first.1)?);
            crew::together::<P>(vec![node, first, crew.ended()], drain).await
        })??;
        drop(datagrams);
        crew.join().map(|_| ())
    }

    fn worker(&self, id: WorkerId) -> impl FnOnce() -> Worker + Send + 'static {
        let (clock, seed) = (self.clock, self.seed.clone());
        let settings = Arc::new(self.server.node.clone());
        move || Worker::new(clock.now(), id, settings, &seed)
    }

    /// Every worker listens for clients, agents and other nodes; one is enough for operators.
    fn wiring(&self, me: Address) -> io::Result<Wiring<Letter>> {
        let mut ports = Vec::new();
        if let Address::Worker(worker) = me {
            ports.push((Port::Proxy, self.proxy.try_clone()?));
            ports.push((Port::Upstream, self.upstream.try_clone()?));
            ports.push((Port::Gossip, self.gossip.0.try_clone()?));
            if worker == WorkerId(0) {
                ports.push((Port::Admin, self.admin.try_clone()?));
            }
        }
        let (clock, post, notes) = (self.clock, self.post.clone(), Arc::clone(&self.notes));
        Ok(Wiring { clock, post, me, ports, datagrams: None, notes })
    }
}

/// A name for this run of the process. 0 is nobody's.
fn boot(seed: &Seed) -> Boot {
    Boot(seed.fork("boot").roll().long().max(1))
}
