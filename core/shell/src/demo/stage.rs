//! Everything that runs in the demonstration.

use super::customer::Customer;
use super::service::{Service, Stop};
use crate::balancer::{Backend, Stand};
use crate::client::Client;
use crate::command::{Failure, agent, server};
use crate::config;
use crate::crew::Crew;
use crate::driver::{Notes, Wiring};
use crate::platform::Platform;
use crate::wire::Wires;
use crate::{Clock, Post, listen, log};
use pico_core::Limits;
use pico_core::agent::HostHeader;
use pico_core::host::{Address, Port};
use pico_core::id::WorkerId;
use pico_core::note::Note;
use pico_core::server::Letter;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Three nodes, a load balancer before them, three agents and a service.
pub(super) struct Stage {
    nodes: Vec<Node>,
    agents: Vec<Agent>,
    balancer: Stand,
    service: SocketAddr,
    stop: Post<Stop>,
    threads: Vec<Thread>,
    limits: Arc<Limits>,
}

type Thread = JoinHandle<Result<(), Failure>>;

/// A node of the cluster.
pub(super) struct Node {
    pub(super) name: String,
    /// Where clients connect.
    pub(super) proxy: SocketAddr,
    gossip: SocketAddr,
    backend: Backend,
    post: Post<Letter>,
    /// Whether it was not killed.
    pub(super) alive: bool,
}

/// An agent, wherever it is.
pub(super) struct Agent {
    pub(super) name: &'static str,
    endpoint: &'static str,
    /// The node that holds its tunnel, as far as was heard.
    pub(super) node: String,
    online: Receiver<String>,
    drain: Box<dyn Fn()>,
}

impl Stage {
    /// Starts everything, and waits until each node is ready and each agent is online.
    pub(super) fn build<P: Platform>() -> Result<Self, Failure> {
        let limits = Arc::new(Limits::default());
        let mut threads = Vec::new();
        let (service, stop, thread) = serve::<P>(&limits)?;
        threads.push(thread);
        let mut nodes: Vec<Node> = Vec::new();
        for at in 1..=NODES {
            let (node, thread) = Node::start::<P>(at, nodes.first().map(|node| node.gossip))?;
            nodes.push(node);
            threads.push(thread);
        }
        let (proxy, upstream) = (listen::bind(any())?, listen::bind(any())?);
        let backends = nodes.iter().map(|node| node.backend).collect();
        let balancer = Stand::start::<P>(proxy, upstream, backends)?;
        let mut agents = Vec::new();
        for (name, endpoint) in AGENTS {
            let (agent, thread) = Agent::start::<P>(name, endpoint, balancer.upstream, service)?;
            agents.push(agent);
            threads.push(thread);
        }
        Ok(Self { nodes, agents, balancer, service, stop, threads, limits })
    }

    pub(super) fn announce(&self) {
        let Self { nodes, agents, balancer, service, .. } = self;
        log::print(
            "Three nodes, a load balancer before them, three agents, one service; one process.\n",
        );
        for Node { name, proxy, gossip, .. } in nodes {
            log::print(&format!("  {name}     clients at http://{proxy}, nodes at {gossip}"));
        }
        let Stand { proxy, upstream, .. } = balancer;
        log::print(&format!("  balancer   clients at http://{proxy}, agents at http://{upstream}"));
        for Agent { name, endpoint, node, .. } in agents {
            log::print(&format!("  {name}    at {node}: {endpoint}  ->  http://{service}"));
        }
        log::print("");
    }

    /// A client on a thread of its own, which talks to the balancer first.
    pub(super) fn customer<P: Platform>(&self) -> io::Result<Customer> {
        let (sender, events) = channel();
        let post = Post::new(1);
        let client = Client::new(Arc::clone(&self.limits), sender);
        let wiring = wiring(&post, Vec::new());
        Crew::new().hire::<P, _>("demo-client".into(), wiring, move || client, |_| ())?;
        Ok(Customer::new(post, events, self.balancer.proxy))
    }

    /// Where clients connect who do not care by which node they are served.
    pub(super) fn front(&self) -> SocketAddr {
        self.balancer.proxy
    }

    /// The nodes that run.
    pub(super) fn alive(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.alive)
    }

    /// An agent by its number.
    pub(super) fn agent(&mut self, number: usize) -> Option<&mut Agent> {
        self.agents.get_mut(number)
    }

    /// Kills a node: it has no chance to say anything to anybody.
    pub(super) fn kill(&mut self, name: &str) {
        if let Some(node) = self.nodes.iter_mut().find(|node| node.name == name) {
            node.alive = false;
            node.post.cut();
        }
    }

    /// Ends everything in good order.
    pub(super) fn strike(self) -> Result<(), Failure> {
        for agent in &self.agents {
            agent.leave();
        }
        for node in &self.nodes {
            node.post.send(Address::Node, Letter::Drain);
        }
        self.stop.send(Address::Worker(WorkerId(0)), Stop);
        let mut result = Ok(());
        for thread in self.threads {
            let broken = |_| Err(io::Error::other("a thread panicked").into());
            result = result.and(thread.join().unwrap_or_else(broken));
        }
        result.and(Ok(self.balancer.stop()?))
    }
}

impl Node {
    /// Starts a node of two workers, which joins the one at `join`, and waits until it is ready.
    fn start<P: Platform>(
        number: usize,
        join: Option<SocketAddr>,
    ) -> Result<(Self, Thread), Failure> {
        let name = format!("node-{number}");
        let mut settings = config::Server::default();
        (settings.proxy, settings.upstream) = (any(), any());
        (settings.admin, settings.gossip) = (any(), any());
        settings.workers = 2;
        settings.join = join.iter().map(|at| (at.ip().to_string(), at.port())).collect();
        (settings.named, settings.node.node_id) = (true, name.clone());
        settings.node.drain_delay = Duration::ZERO;
        let (sender, ready) = channel();
        let log = log::events();
        let notes: Notes = Arc::new(move |note| {
            if matches!(note, Note::Joined { .. }) {
                // Nobody waits for it twice.
                let _ = sender.send(());
            }
            log(note);
        });
        let plan = server::Plan::bind(settings, notes)?;
        let [proxy, upstream, admin, gossip] = plan.ports().map(|(_, port)| port.local_addr());
        let (proxy, upstream, admin, gossip) = (proxy?, upstream?, admin?, gossip?);
        let backend = Backend { proxy, upstream, admin };
        let post = plan.post();
        let thread = start(&format!("demo-{name}"), move || Ok(plan.run::<P>(false)?))?;
        ready
            .recv_timeout(PATIENCE)
            .map_err(|_| io::Error::other(format!("{name} did not become ready")))?;
        Ok((Self { name, proxy, gossip, backend, post, alive: true }, thread))
    }
}

impl Agent {
    /// Starts an agent towards the nodes' balancer, and waits until it is online.
    fn start<P: Platform>(
        name: &'static str,
        endpoint: &'static str,
        server: SocketAddr,
        service: SocketAddr,
    ) -> Result<(Self, Thread), Failure> {
        let mut listener = config::listener(endpoint, &service.to_string())?;
        listener.host_header = HostHeader::Value(name.into());
        let mut settings = config::Agent::default();
        settings.settings.server.host = server.ip().to_string();
        settings.settings.server.port = server.port();
        settings.settings.identity.id = name.into();
        settings.settings.listeners = vec![listener];
        settings.settings.log_requests = false;
        let (sender, online) = channel();
        let notes: Notes = Arc::new(move |note| {
            if let Note::Online { node, .. } = note {
                // It may come online again when nobody waits for it any more.
                let _ = sender.send(node);
            }
        });
        let plan = agent::Plan::new(settings, notes)?;
        let drain = Box::new(plan.drain());
        let thread = start(name, move || plan.run::<P>(false).map(|_| ()))?;
        let mut agent = Self { name, endpoint, node: String::new(), online, drain };
        agent.await_online()?;
        Ok((agent, thread))
    }

    /// Waits until it has come online once more, and learns where.
    pub(super) fn await_online(&mut self) -> io::Result<()> {
        let node = self.online.recv_timeout(PATIENCE);
        self.node =
            node.map_err(|_| io::Error::other(format!("{} did not come online", self.name)))?;
        Ok(())
    }

    /// Asks it to drain.
    pub(super) fn leave(&self) {
        (self.drain)();
    }
}

/// Starts the service.
fn serve<P: Platform>(limits: &Arc<Limits>) -> Result<(SocketAddr, Post<Stop>, Thread), Failure> {
    let socket = listen::bind(any())?;
    let address = socket.local_addr()?;
    let post = Post::new(1);
    let service = Service::new(Arc::clone(limits));
    let wiring = wiring(&post, vec![(Port::Proxy, socket)]);
    let mut crew = Crew::new();
    crew.hire::<P, _>("demo-service".into(), wiring, move || service, |_| ())?;
    let thread = start("demo-service", move || Ok(crew.join().map(|_| ())?))?;
    Ok((address, post, thread))
}

fn wiring<L>(post: &Post<L>, ports: Vec<(Port, TcpListener)>) -> Wiring<L> {
    let (post, me) = (post.clone(), Address::Worker(WorkerId(0)));
    let (clock, notes, wires) = (Clock::start(), Arc::new(|_| ()), Wires::plain());
    Wiring { clock, post, me, ports, datagrams: None, wires, notes }
}

fn start(
    name: &str,
    run: impl FnOnce() -> Result<(), Failure> + Send + 'static,
) -> io::Result<Thread> {
    thread::Builder::new().name(name.into()).spawn(run)
}

/// A port of this machine that the system chooses.
fn any() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

const NODES: usize = 3;

/// The agents and what they serve. The balancer sends each to another node.
const AGENTS: [(&str, &str); 3] = [("agent-1", "demo"), ("agent-2", "demo"), ("agent-3", "far")];

/// The longest wait for something to start: far beyond what a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(20);
