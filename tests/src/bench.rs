//! How fast the simulator is: simulated seconds and events for each second of one core.

use crate::actors::{Client, Outcome};
use crate::case::{Case, Chance, Load, Role, Shape, Span, Swarm};
use crate::gossip::Cluster;
use crate::gossip::measure::{SETTLE, Setting};
use crate::kernel::{Trace, World};
use crate::run::Run;
use core::time::Duration;
use pico_core::Instant;
use pico_core::gossip::Pace;
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeSet;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// So many nodes that gossip, without keys, and do nothing else; nothing happens.
    Gossip {
        /// How many.
        nodes: usize,
    },
    /// Whole nodes with so many agents, and so many requests a second.
    Load {
        /// Nodes.
        nodes: usize,
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
    /// What it took of a processor. Time in which others had it does not count.
    pub cpu: Duration,
    /// How much time went by in the world.
    pub simulated: Duration,
    /// How much happened in it.
    pub events: u64,
    /// Requests that were answered meanwhile, if there were any to answer.
    pub answered: u64,
}

impl Sample {
    /// Simulated seconds for each second of a core.
    pub fn speed(&self) -> f64 {
        self.simulated.as_secs_f64() / self.cpu.as_secs_f64()
    }

    /// Events for each second of a core.
    pub fn events_per_s(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "events that were counted fit")]
        let events = self.events as f64;
        events / self.cpu.as_secs_f64()
    }
}

/// Why a measurement says nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Void(String);

/// Measures so many times, each time for so long in the world; a swarm lasts as long as it does.
///
/// # Errors
/// An invariant that broke meanwhile: what came after it was not played.
pub fn measure(subject: Subject, lasts: Duration, runs: usize) -> Result<Vec<Sample>, Void> {
    match subject {
        Subject::Gossip { nodes } => Ok(gossip(nodes, lasts, runs)),
        Subject::Load { nodes, agents, rate } => {
            (0..runs).map(|_| load(case(nodes, agents, rate, lasts))).collect()
        }
        Subject::Swarm { seeds } => (0..runs).map(|_| swarm(seeds)).collect(),
    }
}

/// The one in the middle, by speed.
pub fn median(mut samples: Vec<Sample>) -> Option<Sample> {
    samples.sort_by(|one, two| one.speed().total_cmp(&two.speed()));
    samples.get(samples.len() / 2).copied()
}

/// One cluster that has come to rest, and so many spans of its time.
fn gossip(nodes: usize, lasts: Duration, runs: usize) -> Vec<Sample> {
    let latency = Span::millis(1);
    let setting = Setting { nodes, loss: Chance::NEVER, latency, seed: 0 };
    let mut cluster = Cluster::whole(&setting.case(), Pace::default());
    cluster.pass(SETTLE);
    let once = |_| {
        let meter = Meter::start(&cluster.world);
        cluster.pass(lasts);
        meter.stop(&cluster.world)
    };
    (0..runs).map(once).collect()
}

fn load(case: Case) -> Result<Sample, Void> {
    let mut run = Run::new(case, Trace::default());
    run.warm_up();
    let meter = Meter::start(&run.world);
    run.disturb();
    let sample = meter.stop(&run.world);
    sound(&run)?;
    Ok(Sample { answered: answered(&run), ..sample })
}

fn swarm(seeds: u64) -> Result<Sample, Void> {
    let nothing = Duration::ZERO;
    let mut all = Sample { cpu: nothing, simulated: nothing, events: 0, answered: 0 };
    for seed in 0..seeds {
        let begun = cpu();
        let run = Run::play(Case::swarm(seed, &Swarm::rough()), Trace::default());
        all.cpu += cpu().saturating_sub(begun);
        all.simulated += run.world.now().since(Instant::ZERO);
        all.events += run.world.events();
        sound(&run)?;
    }
    Ok(all)
}

/// Requests that got complete responses.
fn answered(run: &Run) -> u64 {
    let seats = run.cast.of(Role::Client).flat_map(|life| &life.seats);
    let records = seats.flat_map(|seat| run.world.host::<Client>(*seat).records());
    records.filter(|record| matches!(record.outcome, Outcome::Complete { .. })).count() as u64
}

/// A run that ends early was not played.
fn sound(run: &Run) -> Result<(), Void> {
    let broken = run.broken().map(|broken| format!("the run broke an invariant: {broken}"));
    broken.map_or(Ok(()), |why| Err(Void(why)))
}

/// Between two looks at a world.
struct Meter {
    cpu: Duration,
    now: Instant,
    events: u64,
}

impl Meter {
    fn start(world: &World) -> Self {
        Self { cpu: cpu(), now: world.now(), events: world.events() }
    }

    fn stop(&self, world: &World) -> Sample {
        Sample {
            cpu: cpu().saturating_sub(self.cpu),
            simulated: world.now().since(self.now),
            events: world.events() - self.events,
            answered: 0,
        }
    }
}

/// What this thread, on which a world is played, has had of a processor.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let secs = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(secs, u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn case(nodes: usize, agents: usize, rate: u64, lasts: Duration) -> Case {
    let shape = Shape {
        nodes,
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
    let usual = Case::default();
    Case { shape, load, heal: Span(usual.warm_up.0 + lasts), ..usual }
}

/// Each makes its share of the requests.
const CLIENTS: usize = 10;
