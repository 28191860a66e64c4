//! How fast the simulator is: simulated seconds and events for each second of one core.

use crate::case::{Case, Load, Shape, Span, Swarm};
use crate::kernel::Trace;
use crate::run::Run;
use core::time::Duration;
use pico_core::Instant;
use pico_shell::clock::Clock;
use std::collections::BTreeSet;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// One node with so many agents, and so many requests a second.
    Load {
        /// Agents, each with a service.
        agents: usize,
        /// Requests a second, of all clients together; 0 is an idle installation.
        rate: u64,
    },
    /// So many swarm seeds from 0 on, each played to its end.
    Swarm {
        /// How many.
        seeds: u64,
    },
}

/// One measurement.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sample {
    /// What it took.
    pub real: Duration,
    /// How much time went by in the world.
    pub simulated: Duration,
    /// How much happened in it.
    pub events: u64,
}

impl Sample {
    /// Simulated seconds for each real one.
    pub fn speed(&self) -> f64 {
        self.simulated.as_secs_f64() / self.real.as_secs_f64()
    }

    /// Events for each real second.
    pub fn events_per_s(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "events that were counted fit")]
        let events = self.events as f64;
        events / self.real.as_secs_f64()
    }
}

/// Measures once.
pub fn measure(subject: Subject, lasts: Duration) -> Sample {
    match subject {
        Subject::Load { agents, rate } => {
            let mut run = Run::new(case(agents, rate, lasts), Trace::default());
            let clock = Clock::start();
            run.disturb();
            let real = clock.now().since(Instant::ZERO);
            sample(&run, real)
        }
        Subject::Swarm { seeds } => {
            let clock = Clock::start();
            let mut all = Sample { real: Duration::ZERO, simulated: Duration::ZERO, events: 0 };
            for seed in 0..seeds {
                let run = Run::play(Case::swarm(seed, &Swarm::rough()), Trace::default());
                let Sample { simulated, events, .. } = sample(&run, Duration::ZERO);
                all.simulated += simulated;
                all.events += events;
            }
            all.real = clock.now().since(Instant::ZERO);
            all
        }
    }
}

/// The one in the middle, by speed.
pub fn median(mut samples: Vec<Sample>) -> Option<Sample> {
    samples.sort_by(|one, two| one.speed().total_cmp(&two.speed()));
    samples.get(samples.len() / 2).copied()
}

fn sample(run: &Run, real: Duration) -> Sample {
    let simulated = run.world.now().since(Instant::ZERO);
    Sample { real, simulated, events: run.world.events() }
}

fn case(agents: usize, rate: u64, lasts: Duration) -> Case {
    let shape = Shape {
        agents,
        endpoints: agents.div_ceil(3),
        clients: CLIENTS,
        lanes: 8,
        ..Shape::default()
    };
    let requests = rate * lasts.as_secs();
    let every = Duration::from_secs(CLIENTS as u64)
        .checked_div(u32::try_from(rate).unwrap_or(u32::MAX))
        .unwrap_or_default();
    let load = Load {
        requests,
        late: 0,
        every: Span(every),
        body_bytes: 10_000,
        kinds: BTreeSet::new(),
        ..Load::default()
    };
    Case { shape, load, heal: Span(lasts), ..Case::default() }
}

/// Each makes its share of the requests.
const CLIENTS: usize = 10;
