//! The demonstration: a node, two agents, a service and a customer in one process, over real
//! sockets. Every line that it prints was found out.

mod checks;
mod client;
mod customer;
mod service;

use crate::command::{Failure, agent, server};
use crate::config::{self, Logs, Refusal};
use crate::crew::{self, Crew};
use crate::driver::{Notes, Wiring};
use crate::platform::Platform;
use crate::{Clock, Post, listen, log};
use customer::Customer;
use pico_core::agent::HostHeader;
use pico_core::host::{Address, Port};
use pico_core::id::WorkerId;
use pico_core::note::Note;
use pico_core::server::Letter;
use pico_core::{Instant, Limits};
use service::Stop;
use std::io::{self, IsTerminal as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Runs the demonstration. On a terminal it stays up until a signal, unless `once` is set.
pub(crate) fn run<P: Platform>(once: bool, logs: Logs) -> Result<(), Failure> {
    log::start(logs);
    let stage = Stage::build::<P>()?;
    stage.announce();
    let mut customer = stage.customer::<P>()?;
    let mut wrong = 0;
    for check in &checks::CHECKS {
        let clock = Clock::start();
        let seen = (check.run)(&mut customer, &mut || stage.first_agent_leaves());
        let took = millis(clock.now() - Instant::ZERO);
        match seen {
            Ok(seen) => log::print(&format!("  ok      {:<50}  {seen}  ({took} ms)", check.name)),
            Err(why) => {
                wrong += 1;
                log::print(&format!("  FAILED  {:<50}  {why}  ({took} ms)", check.name));
            }
        }
    }
    drop(customer);
    let count = checks::CHECKS.len();
    log::print(&format!("\n{} of {count} checks held.", count - wrong));
    if wrong == 0 && !once && io::stdout().is_terminal() {
        let proxy = stage.proxy;
        log::print(&format!(
            "\nTry it:  curl -H 'x-pico-endpoint: demo' http://{proxy}/\nCtrl-C ends it."
        ));
        P::block_on(crew::signal::<P>())??;
    }
    stage.strike()?;
    if wrong == 0 { Ok(()) } else { Err(io::Error::other("a check did not hold").into()) }
}

type Thread = JoinHandle<Result<(), Failure>>;

/// Everything that runs.
struct Stage {
    proxy: SocketAddr,
    upstream: SocketAddr,
    service: SocketAddr,
    node: Post<Letter>,
    /// Asks each agent to drain.
    agents: Vec<Box<dyn Fn()>>,
    stop: Post<Stop>,
    threads: Vec<Thread>,
    limits: Arc<Limits>,
}

impl Stage {
    fn build<P: Platform>() -> Result<Self, Failure> {
        let limits = Arc::new(Limits::default());
        let mut threads = Vec::new();
        let (service, stop, thread) = serve::<P>(&limits)?;
        threads.push(thread);

        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut settings = config::Server::default();
        (settings.proxy, settings.upstream) = (any, any);
        (settings.admin, settings.gossip) = (any, any);
        settings.workers = 2;
        settings.node.drain_delay = Duration::ZERO;
        let plan = server::Plan::bind(settings, log::events())?;
        let [(_, proxy), (_, upstream), ..] = plan.ports();
        let (proxy, upstream) = (proxy.local_addr()?, upstream.local_addr()?);
        let node = plan.post();
        threads.push(start("demo-node", move || Ok(plan.run::<P>(false)?))?);

        let mut agents = Vec::new();
        for name in ["agent-1", "agent-2"] {
            let (notes, online) = watch();
            let plan = agent::Plan::new(agent_settings(name, upstream, service)?, notes)?;
            agents.push(Box::new(plan.drain()) as Box<dyn Fn()>);
            threads.push(start(name, move || plan.run::<P>(false).map(|_| ()))?);
            online
                .recv_timeout(Duration::from_secs(20))
                .map_err(|_| io::Error::other(format!("{name} did not come online")))?;
        }
        Ok(Self { proxy, upstream, service, node, agents, stop, threads, limits })
    }

    fn announce(&self) {
        let Self { proxy, upstream, service, .. } = self;
        log::print("One node with two workers, two agents on one endpoint, one service.\n");
        log::print(&format!("  node     clients at http://{proxy}, agents at http://{upstream}"));
        log::print(&format!("  agents   agent-1, agent-2: demo  ->  http://{service}\n"));
    }

    fn customer<P: Platform>(&self) -> io::Result<Customer> {
        let (sender, events) = channel();
        let post = Post::new(1);
        let client = client::Client::new(Arc::clone(&self.limits), sender);
        let wiring = wiring(&post, Vec::new());
        Crew::new().hire::<P, _>("demo-client".into(), wiring, move || client, |_| ())?;
        Ok(Customer::new(post, events, self.proxy))
    }

    fn first_agent_leaves(&self) {
        if let Some(agent) = self.agents.first() {
            agent();
        }
    }

    /// Ends everything in good order.
    fn strike(self) -> Result<(), Failure> {
        for agent in &self.agents {
            agent();
        }
        self.node.send(Address::Node, Letter::Drain);
        self.stop.send(Address::Worker(WorkerId(0)), Stop);
        let mut result = Ok(());
        for thread in self.threads {
            let broken = |_| Err(io::Error::other("a thread panicked").into());
            result = result.and(thread.join().unwrap_or_else(broken));
        }
        result
    }
}

/// Starts the service.
fn serve<P: Platform>(limits: &Arc<Limits>) -> Result<(SocketAddr, Post<Stop>, Thread), Failure> {
    let socket = listen::bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = socket.local_addr()?;
    let post = Post::new(1);
    let service = service::Service::new(Arc::clone(limits));
    let wiring = wiring(&post, vec![(Port::Proxy, socket)]);
    let mut crew = Crew::new();
    crew.hire::<P, _>("demo-service".into(), wiring, move || service, |_| ())?;
    let thread = start("demo-service", move || Ok(crew.join().map(|_| ())?))?;
    Ok((address, post, thread))
}

fn agent_settings(
    name: &str,
    upstream: SocketAddr,
    service: SocketAddr,
) -> Result<config::Agent, Refusal> {
    let mut listener = config::listener("demo", &service.to_string()).map_err(Refusal)?;
    listener.host_header = HostHeader::Value(name.into());
    let mut agent = config::Agent::default();
    agent.settings.server.host = upstream.ip().to_string();
    agent.settings.server.port = upstream.port();
    agent.settings.identity.id = name.into();
    agent.settings.listeners = vec![listener];
    agent.settings.log_requests = false;
    Ok(agent)
}

fn wiring<L>(post: &Post<L>, ports: Vec<(Port, std::net::TcpListener)>) -> Wiring<L> {
    let (post, me) = (post.clone(), Address::Worker(WorkerId(0)));
    Wiring { clock: Clock::start(), post, me, ports, datagrams: None, notes: Arc::new(|_| ()) }
}

/// Notes that say when an agent came online.
fn watch() -> (Notes, Receiver<()>) {
    let (sender, receiver) = channel();
    let notes: Notes = Arc::new(move |note| {
        if matches!(note, Note::Online { .. }) {
            // It may come online again when nobody waits for it any more.
            let _ = sender.send(());
        }
    });
    (notes, receiver)
}

fn start(
    name: &str,
    run: impl FnOnce() -> Result<(), Failure> + Send + 'static,
) -> io::Result<Thread> {
    thread::Builder::new().name(name.into()).spawn(run)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
