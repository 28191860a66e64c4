//! `pico agent`: tunnels from here to a node.

use super::Failure;
use crate::clock::Clock;
use crate::config::{Agent, Refusal};
use crate::crew;
use crate::driver::{Driver, Notes, Wiring};
use crate::log;
use crate::mail::Post;
use crate::platform::Platform;
use pico_core::Seed;
use pico_core::agent::{Agent as Machine, Letter};
use pico_core::host::Address;
use pico_core::id::WorkerId;
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

pub(super) fn run<P: Platform>(agent: Agent) -> Result<(), Failure> {
    log::start(agent.logs);
    crew::raise_descriptors();
    if agent.settings.listeners.is_empty() {
        return Err(Refusal("the configuration names no listeners".into()).into());
    }
    let plan = Plan::new(agent, log::lines())?;
    plan.announce();
    match plan.run::<P>(true)? {
        Ended::Drained => Ok(()),
        Ended::Refused => {
            let why = "the server refused every endpoint for good";
            Err(Failure::Runtime(io::Error::other(why)))
        }
    }
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
        let (clock, post, seed) = (Clock::start(), Post::new(1), crew::seed()?);
        Ok(Self { agent, clock, post, notes, seed })
    }

    /// The letterboxes, by which the agent, which is worker 0, can be told to drain.
    pub fn post(&self) -> Post<Letter> {
        self.post.clone()
    }

    fn announce(&self) {
        for listener in &self.agent.settings.listeners {
            let service = &listener.service;
            let host = if service.host.contains(':') {
                format!("[{}]", service.host)
            } else {
                service.host.clone()
            };
            let (endpoint, port) = (&listener.endpoint, service.port);
            log::print(&format!("Endpoint   {endpoint}  ->  http://{host}:{port}"));
        }
        log::flush();
    }

    /// Runs the agent on this thread until it ends. With `signals`, the first one drains it and
    /// the second one ends the process.
    pub fn run<P: Platform>(self, signals: bool) -> Result<Ended, Failure> {
        let Self { agent, clock, post, notes, seed } = self;
        let me = Address::Worker(WorkerId(0));
        let machine = Machine::new(clock.now(), agent.settings, seed, Arc::new(agent.limits))
            .map_err(|why| Refusal(why.to_string()))?;
        let wiring = Wiring { clock, post: post.clone(), me, ports: Vec::new(), notes };
        let drain = signals.then_some(move || post.send(me, Letter::Drain));
        let failed = Rc::new(Cell::new(false));
        let told = Rc::clone(&failed);
        P::block_on(async {
            let mut driver = Driver::<P, _>::new(machine, wiring)?;
            let task = async move {
                (&mut driver).await;
                told.set(driver.host().failed());
            };
            crew::together::<P>(vec![Box::pin(task)], drain).await
        })
        .flatten()?;
        Ok(if failed.get() { Ended::Refused } else { Ended::Drained })
    }
}
