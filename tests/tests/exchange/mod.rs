//! A whole exchange between production machines, over loopback sockets, recorded: a node, an
//! agent, clients and a service, who take turns so strictly that only a driver's own cuts differ
//! from run to run.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

mod peer;
mod script;

use pico_core::agent::{self, Agent, HostHeader, Listener, Service};
use pico_core::host::{Action, Address, Host, Input, Port};
use pico_core::id::WorkerId;
use pico_core::rpc::Identity;
use pico_core::server::{self, Node, Settings, Worker};
use pico_core::{Instant, Limits, Seed};
use pico_shell::wire::Wires;
use pico_shell::{Clock, Driver, Platform, Post, Wiring, listen};
use pico_sim::e2e::PATIENCE;
use pico_sim::laws::Seen;
use pico_sim::record::{Names, Recorder, Step, replay, seen};
use script::Stage;
use std::fmt::Debug;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

/// All that was recorded of one exchange.
pub struct Recording {
    began: Instant,
    seed: u64,
    node: Vec<Step<server::Letter>>,
    pub workers: Vec<Vec<Step<server::Letter>>>,
    pub agent: Vec<Step<agent::Letter>>,
    pub names: Names,
}

/// Which machines there are.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// One worker holds the clients and the tunnel.
    Together,
    /// One holds the tunnel, another the clients: each call is mail.
    Apart,
}

/// What a thread records, as it comes.
pub struct Tape<L> {
    pub steps: Vec<Step<L>>,
    scene: usize,
    coming: Receiver<Step<L>>,
    thread: JoinHandle<()>,
}

impl<L: Debug> Tape<L> {
    /// Waits for a step of this scene.
    pub fn wait(&mut self, what: &str, found: impl Fn(&Step<L>) -> bool) {
        while !self.steps[self.scene..].iter().any(&found) {
            let step = self.coming.recv_timeout(PATIENCE);
            let step = step.unwrap_or_else(|error| panic!("{what}: {error}"));
            self.steps.push(step);
        }
    }

    /// What was waited for so far will not be found again.
    pub fn next_scene(&mut self) {
        self.scene = self.steps.len();
    }

    /// Waits for an action of that kind.
    pub fn acted(&mut self, what: &str, found: impl Fn(&Action<L>) -> bool) {
        self.wait(what, |step| matches!(step, Step::Polled(Some(action)) if found(action)));
    }

    /// Waits for a letter that shows itself like that.
    pub fn heard(&mut self, what: &str) {
        let found = |letter: &L| format!("{letter:?}").contains(what);
        self.wait(what, |step| matches!(step, Step::Input(_, Input::Letter(l)) if found(l)));
    }

    /// Waits for the machine's end, and returns all that it did.
    fn end(mut self) -> Vec<Step<L>> {
        self.acted("the end", |action| matches!(action, Action::Done));
        self.thread.join().unwrap();
        self.steps.extend(self.coming.try_iter());
        self.steps
    }
}

/// Runs a machine on a thread of its own.
fn run<P: Platform, H: Host + Send + 'static>(
    machine: H,
    wiring: Wiring<H::Letter>,
) -> Tape<H::Letter>
where
    H::Letter: Clone + Send,
{
    let (sender, coming) = channel();
    let thread = spawn(move || {
        let machine = Recorder::new(machine, sender);
        P::block_on(async { Driver::<P, _>::new(machine, wiring).unwrap().await }).unwrap();
    });
    Tape { steps: Vec::new(), scene: 0, coming, thread }
}

/// Bounds that no slow machine comes near.
fn limits() -> Arc<Limits> {
    let hour = Duration::from_hours(1);
    Arc::new(Limits {
        head_timeout: hour,
        response_timeout: hour,
        body_timeout: hour,
        stall_timeout: hour,
        write_timeout: hour,
        idle_timeout: hour,
        pool_timeout: hour,
        handshake_timeout: hour,
        dial_timeout: hour,
        linger_timeout: hour,
        half_close_timeout: hour,
        heartbeat: hour,
        ..Limits::default()
    })
}

fn settings() -> Arc<Settings> {
    let hour = Duration::from_hours(1);
    let (drain_delay, grace_period) = (Duration::ZERO, hour);
    let node_id = "n1".into();
    let limits = limits();
    Arc::new(Settings { node_id, limits, drain_delay, grace_period, ..Settings::default() })
}

fn node(began: Instant, workers: u16) -> Node {
    Node::new(began, workers, settings())
}

fn worker(began: Instant, id: u16, seed: u64) -> Worker {
    Worker::new(began, WorkerId(id), settings(), &Seed::from_u64(seed))
}

fn agent(began: Instant, names: &Names, seed: u64) -> Agent {
    let place = |wanted: &str| names.iter().find(|(_, name)| *name == wanted).unwrap().0;
    let (server, service) = (place("server"), place("service"));
    let server =
        agent::Server { host: server.ip().to_string(), port: server.port(), prefix: String::new() };
    let service = Service { host: service.ip().to_string(), port: service.port() };
    let host_header = HostHeader::Keep;
    let listener = Listener { endpoint: "web".parse().unwrap(), service, host_header };
    let identity = Identity { id: "agent".into(), agent: "test".into() };
    let mut settings = agent::Settings::new(server, identity, vec![listener]);
    settings.log_requests = true;
    settings.grace = Duration::from_hours(1);
    Agent::new(began, settings, Seed::from_u64(seed), limits()).unwrap()
}

/// Runs the exchange with the server's machines on `S` and the agent on `A`.
pub fn record<S: Platform, A: Platform>(shape: Shape, seed: u64) -> Recording {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let [proxy, upstream] = [(); 2].map(|()| listen::bind(any).unwrap());
    let service = TcpListener::bind(any).unwrap();
    socket2::SockRef::from(&service).set_read_timeout(Some(PATIENCE)).unwrap();
    let address = |listener: &TcpListener| listener.local_addr().unwrap();
    let names = vec![
        (address(&upstream), "server"),
        (address(&service), "service"),
        (address(&proxy), "proxy"),
    ];
    let to = address(&proxy);

    let clock = Clock::start();
    let began = clock.now();
    let ports = match shape {
        Shape::Together => vec![vec![(Port::Proxy, proxy), (Port::Upstream, upstream)]],
        Shape::Apart => vec![vec![(Port::Upstream, upstream)], vec![(Port::Proxy, proxy)]],
    };
    let workers = u16::try_from(ports.len()).unwrap();
    let post = Post::new(workers);
    let wiring = |me, ports| {
        let (post, notes) = (post.clone(), Arc::new(|_| {}));
        Wiring { clock, post, me, ports, datagrams: None, wires: Wires::plain(), notes }
    };
    let control = run::<S, _>(node(began, workers), wiring(Address::Node, Vec::new()));
    let workers = (0..workers).zip(ports).map(|(id, ports)| {
        run::<S, _>(worker(began, id, seed), wiring(Address::Worker(WorkerId(id)), ports))
    });
    let workers = workers.collect();
    let me = Address::Worker(WorkerId(0));
    let mail = Post::new(1);
    let (ports, notes) = (Vec::new(), Arc::new(|_| {}));
    let wiring = Wiring {
        clock,
        post: mail.clone(),
        me,
        ports,
        datagrams: None,
        wires: Wires::plain(),
        notes,
    };
    let tunnel = run::<A, _>(agent(began, &names, seed), wiring);
    let mut stage = Stage { to, service, node: control, workers, agent: tunnel, post, mail };
    stage.play();
    let Stage { node, workers, agent, .. } = stage;
    let agent = agent.end();
    let workers = workers.into_iter().map(Tape::end).collect();
    Recording { began, seed, node: node.end(), workers, agent, names }
}

impl Recording {
    /// What of each machine must be the same on every driver.
    pub fn seen(&self) -> Vec<(String, Seen)> {
        let workers = self.workers.iter().enumerate();
        let workers = workers.map(|(at, steps)| (format!("worker {at}"), seen(steps, &self.names)));
        let mut all: Vec<_> = workers.collect();
        all.push(("node".to_owned(), seen(&self.node, &self.names)));
        all.push(("agent".to_owned(), seen(&self.agent, &self.names)));
        all
    }

    /// Plays what was recorded to fresh machines.
    pub fn replay(&self) -> Result<(), String> {
        let Self { began, seed, names, .. } = self;
        let count = u16::try_from(self.workers.len()).unwrap();
        replay(node(*began, count), &self.node).map_err(|why| format!("node: {why}"))?;
        for (id, steps) in (0..count).zip(&self.workers) {
            let fresh = worker(*began, id, *seed);
            replay(fresh, steps).map_err(|why| format!("worker {id}: {why}"))?;
        }
        replay(agent(*began, names, *seed), &self.agent).map_err(|why| format!("agent: {why}"))
    }
}

/// Where two recordings differ, in words.
pub fn difference(left: &Recording, right: &Recording) -> Option<String> {
    left.seen().iter().zip(right.seen()).find_map(|((machine, left), (_, right))| {
        let found = left.difference("left", &right, "right")?;
        Some(format!("{machine}: {found}"))
    })
}
