//! `pico server`: a node.

use super::Failure;
use crate::admin;
use crate::clock::Clock;
use crate::config::{Refusal, Server};
use crate::crew::{self, Crew, Task};
use crate::driver::{Driver, Notes, Wiring};
use crate::listen;
use crate::log;
use crate::mail::{Post, place};
use crate::platform::Platform;
use crate::wire::Wires;
use pico_core::Seed;
use pico_core::gossip::{self, NOTE_PROGRAM, NodeId, Pace};
use pico_core::host::{Address, Port};
use pico_core::id::{Boot, WorkerId};
use pico_core::note::Note;
use pico_core::server::{Letter, Membership, Node, Worker};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, OnceLock};

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
    /// For other nodes' links and consultations, and for datagrams.
    gossip: (TcpListener, UdpSocket),
    membership: Membership,
}

pub(super) fn run<P: Platform>(server: Server) -> Result<(), Failure> {
    log::start(server.logs);
    crew::raise_descriptors();
    let (notes, end) = watch(log::events());
    let within = server.join_timeout;
    let plan = Plan::bind(server, notes)?;
    for (port, bound) in plan.ports() {
        log::listening(port, bound.local_addr()?);
    }
    log::flush();
    plan.run::<P>(true)?;
    let why = match end.get() {
        None => return Ok(()),
        Some(End::Namesake) => {
            "another node of the cluster has the same cluster.node-id, and booted later".into()
        }
        Some(End::Deserted) => {
            format!("cluster.abort-if-join-fails: nobody at cluster.join was found in {within:?}")
        }
    };
    Err(io::Error::other(why).into())
}

/// Why a node ends though nobody has asked it to.
#[derive(Clone, Copy)]
enum End {
    /// Another one has its name.
    Namesake,
    /// It is alone.
    Deserted,
}

/// The same notes, and the first of them that says why the node ends.
fn watch(notes: Notes) -> (Notes, Arc<OnceLock<End>>) {
    let seen = Arc::new(OnceLock::new());
    let first = Arc::clone(&seen);
    let watching: Notes = Arc::new(move |note| {
        if let Note::Namesake { .. } = note {
            first.get_or_init(|| End::Namesake);
        } else if let Note::Deserted = note {
            first.get_or_init(|| End::Deserted);
        }
        notes(note);
    });
    (watching, seen)
}

impl Plan {
    /// Binds all ports.
    pub fn bind(mut server: Server, notes: Notes) -> Result<Self, Failure> {
        let refuse = |port: &str, address: SocketAddr, error: io::Error| {
            format!("{port}.bind-addr: cannot listen at {address}: {error}")
        };
        let bind = |port: &str, address: SocketAddr| {
            listen::bind(address).map_err(|error| refuse(port, address, error))
        };
        let gossip = listen::bind_both(server.gossip)
            .map_err(|error| refuse("gossip", server.gossip, error));
        let all = (
            bind("proxy", server.proxy),
            bind("upstream", server.upstream),
            bind("admin", server.admin),
            gossip,
        );
        let (proxy, upstream, admin, gossip) = match all {
            (Ok(proxy), Ok(upstream), Ok(admin), Ok(gossip)) => (proxy, upstream, admin, gossip),
            (proxy, upstream, admin, gossip) => {
                let mistakes = [proxy.err(), upstream.err(), admin.err(), gossip.err()];
                let lines: Vec<String> = mistakes.into_iter().flatten().collect();
                return Err(Refusal(lines.join("\n")).into());
            }
        };
        let (clock, post) = (Clock::start(), Post::new(server.workers));
        let seed = crew::seed()?;
        let boot = boot(&seed);
        server.node.boot = boot;
        server.node.write = Some(admin::write);
        server.node.about.started_ms = Clock::milliseconds_since_1970();
        if !server.named {
            server.node.node_id = format!("pico-{:08x}", boot.0 >> 32);
        }
        let membership = membership(&server, gossip.0.local_addr()?)?;
        Ok(Self { server, clock, post, notes, seed, proxy, upstream, admin, gossip, membership })
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
    pub fn run<P: Platform>(mut self, signals: bool) -> io::Result<()> {
        self.server.node.about.runtime = P::NAME;
        let mut crew = Crew::new();
        for worker in (1..self.server.workers).map(WorkerId) {
            let name = format!("pico-worker-{}", worker.0);
            let wiring = self.wiring(Address::Worker(worker))?;
            crew.hire::<P, _>(name, wiring, self.worker(worker), |_| ())?;
        }
        let settings = Arc::new(self.server.node.clone());
        let membership = self.membership.clone();
        let (now, workers) = (self.clock.now(), self.server.workers);
        let node = Node::among(now, workers, settings, membership, &self.seed.fork("node"));
        let mut wiring = self.wiring(Address::Node)?;
        wiring.datagrams = Some(self.gossip.1.try_clone()?);
        let node = (node, wiring);
        let first = Address::Worker(WorkerId(0));
        let first = (self.worker(WorkerId(0))(), self.wiring(first)?);
        let post = self.post.clone();
        let drain = signals.then_some(move || post.send(Address::Node, Letter::Drain));
        // From here on the workers alone hold their ports, and close them when they drain.
        let Self { gossip, proxy, upstream, admin, .. } = self;
        drop((proxy, upstream, admin, gossip));
        P::block_on(async {
            let node: Task = Box::pin(Driver::<P, _>::new(node.0, node.1)?);
            let first: Task = Box::pin(Driver::<P, _>::new(first.0, first.1)?);
            crew::together::<P>(vec![node, first, crew.ended()], drain).await
        })??;
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
        let at = u64::try_from(place(me)).unwrap_or(u64::MAX);
        let seed = self.seed.fork_at("wires", at);
        let wires = Wires::of(&self.server.ring, &self.server.cluster, seed);
        Ok(Wiring { clock, post, me, ports, datagrams: None, wires, notes })
    }
}

/// A name for this run of the process. 0 is nobody's.
fn boot(seed: &Seed) -> Boot {
    Boot(seed.fork("boot").roll().long().max(1))
}

/// What the node says of itself to others, which reach its gossip port at `bound` or where the
/// operator says.
fn membership(server: &Server, bound: SocketAddr) -> Result<Membership, Failure> {
    let id = NodeId::parse(server.node.node_id.as_bytes());
    let id = id.map_err(|_| Refusal("cluster.node-id: expected a name".into()))?;
    let addr = match server.gossip_advertised {
        Some(addr) => addr,
        None if bound.ip().is_unspecified() => {
            let ip = listen::private_ip().map_err(|error| {
                let why = "no address that others reach was found; say gossip.advertise-addr";
                Refusal(format!("gossip.bind-addr: {why} ({error})"))
            })?;
            SocketAddr::new(ip, bound.port())
        }
        None => SocketAddr::new(bound.ip().to_canonical(), bound.port()),
    };
    let gossip = gossip::Settings {
        cluster: server.cluster.clone(),
        keys: server.ring.clone(),
        boot: server.node.boot,
        generation: Clock::milliseconds_since_1970(),
        id,
        addr,
        notes: vec![(NOTE_PROGRAM, env!("CARGO_PKG_VERSION").into())],
        pace: Pace { catch_up: server.join_timeout, ..Pace::default() },
    };
    Ok(Membership { gossip, join: server.join.clone(), abort: server.abort })
}
