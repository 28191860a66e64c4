//! `pico agent`: tunnels from here to a node.

use super::Failure;
use super::voices::voices;
use crate::clock::Clock;
use crate::config::{Agent, Refusal, Server};
use crate::crew::{self, Crew};
use crate::driver::{Driver, Notes, Wiring};
use crate::log;
use crate::mail::Post;
use crate::platform::Platform;
use crate::screen::{Screen, Show};
use crate::wire::Wires;
use pico_core::Seed;
use pico_core::agent::{Agent as Machine, Letter};
use pico_core::host::Address;
use pico_core::id::WorkerId;
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

pub(super) fn run<P: Platform>(agent: Agent, show: Show) -> Result<(), Failure> {
    log::start(agent.logs);
    crew::raise_descriptors();
    let screen = Screen::open(show, &agent.settings.listeners, clients(&agent));
    let notes: Notes = Arc::new(move |note| {
        screen.show(&note);
        log::event(&note);
    });
    let plan = Plan::new(agent, notes)?;
    log::when_nobody_reads(plan.drain());
    match plan.run::<P>(true)? {
        Ended::Drained => Ok(()),
        Ended::Refused => {
            let why = "the server refused every endpoint for good";
            Err(Failure::Runtime(io::Error::other(why)))
        }
    }
}

/// Where clients reach the endpoints, if the node that agents connect to has the ports that nodes
/// have unless told otherwise.
fn clients(agent: &Agent) -> Option<String> {
    let (defaults, server) = (Server::default(), &agent.settings.server);
    let usual = server.port == defaults.upstream.port() && server.prefix.is_empty();
    let host =
        if server.host.contains(':') { format!("[{}]", server.host) } else { server.host.clone() };
    usual.then(|| format!("http://{host}:{}/", defaults.proxy.port()))
}

/// An agent that is ready to run.
pub struct Plan {
    agent: Agent,
    clock: Clock,
    post: Post<Letter>,
    notes: Notes,
    seed: Seed,
}

/// How an agent ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It was asked to.
    Drained,
    /// None of its endpoints may be served.
    Refused,
}

impl Plan {
    /// An agent with these settings.
    pub fn new(agent: Agent, notes: Notes) -> Result<Self, Failure> {
        let (clock, seed) = (Clock::start(), crew::seed()?);
        let post = Post::new(agent.workers);
        Ok(Self { agent, clock, post, notes, seed })
    }

    /// Asks the agent to drain, when it runs.
    pub fn drain(&self) -> impl Fn() + Send + 'static {
        let (post, workers) = (self.post.clone(), self.workers());
        move || {
            for worker in 0..workers {
                post.send(Address::Worker(WorkerId(worker)), Letter::Drain);
            }
        }
    }

    /// Threads: a listener is not shared among several.
    fn workers(&self) -> u16 {
        let listeners = u16::try_from(self.agent.settings.listeners.len()).unwrap_or(u16::MAX);
        self.agent.workers.min(listeners).max(1)
    }

    /// Runs the agent on this thread, and its other workers on threads of their own, until it
    /// ends. With `signals`, the first one drains it and the second one ends the process.
    pub fn run<P: Platform>(self, signals: bool) -> Result<Ended, Failure> {
        let drain = signals.then(|| self.drain());
        let mut shares = self.shares()?.into_iter();
        let Some(first) = shares.next() else { return Ok(Ended::Drained) };
        let mut crew = Crew::new();
        for Share { me, machine, wiring } in shares {
            let name = format!("pico-worker-{}", me.0);
            crew.hire::<P, _>(name, wiring, move || machine, Machine::failed)?;
        }
        let refused = first.run::<P>(&crew, drain)?;
        let all = crew.join()?.into_iter().all(|refused| refused) && refused;
        Ok(if all { Ended::Refused } else { Ended::Drained })
    }

    /// Deals the listeners out to the workers.
    fn shares(&self) -> Result<Vec<Share>, Refusal> {
        let workers = usize::from(self.workers());
        voices(self.workers(), &self.notes)
            .into_iter()
            .zip(0..)
            .map(|(notes, me)| {
                let me = WorkerId(me);
                let mut settings = self.agent.settings.clone();
                let all = settings.listeners.into_iter();
                settings.listeners = all.skip(usize::from(me.0)).step_by(workers).collect();
                let limits = Arc::new(self.agent.limits.clone());
                let seed = self.seed.fork_at("agent", u64::from(me.0));
                let machine = Machine::new(self.clock.now(), settings, seed, limits)
                    .map_err(|why| Refusal(why.to_string()))?;
                let address = Address::Worker(me);
                let (post, clock) = (self.post.clone(), self.clock);
                let ports = Vec::new();
                let wires = Wires::plain();
                let wiring =
                    Wiring { clock, post, me: address, ports, datagrams: None, wires, notes };
                Ok(Share { me, machine, wiring })
            })
            .collect()
    }
}

/// One worker's share of an agent.
struct Share {
    me: WorkerId,
    machine: Machine,
    wiring: Wiring<Letter>,
}

impl Share {
    /// Runs it to its end and the others' to theirs, and says whether all of its own listeners were refused for good.
    fn run<P: Platform>(self, crew: &Crew<bool>, drain: Option<impl Fn()>) -> io::Result<bool> {
        let refused = Rc::new(Cell::new(false));
        let told = Rc::clone(&refused);
        P::block_on(async {
            let mut driver = Driver::<P, _>::new(self.machine, self.wiring)?;
            let task = async move {
                (&mut driver).await;
                told.set(driver.host().failed());
            };
            crew::together::<P>(vec![Box::pin(task), crew.ended()], drain).await
        })
        .flatten()?;
        Ok(refused.get())
    }
}
