//! `bench`: how fast the simulator is here.

mod gossip;

use super::{Context, Refusal, Verdict};
use crate::bench::{Sample, Subject, measure, median};
use crate::case::{Chance, Span};
use clap::Args;
use serde_json::json;
use std::num::NonZeroUsize;

/// Measures how fast the simulator is on this machine, on one core.
#[derive(Args)]
pub(super) struct Bench {
    /// Agents of the one node
    #[arg(long, value_delimiter = ',', default_value = "3,30,300")]
    agents: Vec<usize>,
    /// Requests a second
    #[arg(long, value_delimiter = ',', default_value = "0,200")]
    rate: Vec<u64>,
    /// Seconds of the world in each run
    #[arg(long = "for", value_name = "SPAN", default_value = "60s")]
    lasts: Span,
    /// Swarm seeds in each run; 0 leaves them out
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// How often each is run; the one in the middle counts
    #[arg(long, default_value = "5")]
    runs: NonZeroUsize,
    /// What is measured: load; or of gossip alone convergence, suspicion, detection, heal,
    /// join, churn, slow-nodes, false-deaths, idle
    #[arg(long, default_value = "load")]
    scenario: String,
    /// Nodes that gossip
    #[arg(long, value_delimiter = ',', default_value = "10,100")]
    nodes: Vec<usize>,
    /// Endpoints of each node that another joins
    #[arg(long, default_value_t = 1_000)]
    endpoints: usize,
    /// Changes of endpoints a second, all over the cluster, of churn
    #[arg(long, default_value_t = 500)]
    changes: u64,
    /// How long slow nodes, idle ones, or those that may hold each other dead are watched
    #[arg(long, value_name = "SPAN", default_value = "5m")]
    watch: Span,
    /// How much of what nodes send each other is lost, as a part of 1
    #[arg(long, value_delimiter = ',', default_value = "0", value_parser = chance)]
    loss: Vec<Chance>,
}

impl Bench {
    pub(super) fn carry_out(self, context: &Context) -> Result<Verdict, Refusal> {
        let (endpoints, changes, watch) = (self.endpoints, self.changes, self.watch.0);
        let sizes = gossip::Sizes { endpoints, changes, watch };
        if let Some(what) = gossip::Scenario::of(&self.scenario, &sizes) {
            return gossip::carry_out(context, what, &self.nodes, &self.loss, self.runs.get());
        }
        if self.scenario != "load" {
            let why = format!("there is no benchmark {}", self.scenario);
            return Err(Refusal::Usage(why));
        }
        if self.agents.contains(&0) || self.lasts.0.is_zero() {
            return Err(Refusal::Usage("expected agents and a span that are not 0".into()));
        }
        if cfg!(debug_assertions) && !context.json {
            eprintln("this is a debug build: a release build is many times faster");
        }
        for agents in &self.agents {
            for rate in &self.rate {
                let subject = Subject::Load { agents: *agents, rate: *rate };
                self.tell(context, subject)?;
            }
        }
        if self.seeds > 0 {
            self.tell(context, Subject::Swarm { seeds: self.seeds })?;
        }
        Ok(Verdict::Held)
    }

    fn tell(&self, context: &Context, subject: Subject) -> Result<(), Refusal> {
        let samples = (0..self.runs.get()).map(|_| measure(subject, self.lasts.0)).collect();
        let Some(sample) = median(samples) else { return Ok(()) };
        let (speed, events) = (sample.speed(), sample.events_per_s());
        let name = match subject {
            Subject::Load { agents, rate } => {
                format!("{agents} agents, {rate} requests/s")
            }
            Subject::Swarm { seeds } => format!("{seeds} swarm seeds"),
        };
        let target = target(subject, &sample);
        let text = || {
            let target = target.as_ref().map(|(what, met)| {
                let met = if *met { "met" } else { "MISSED" };
                format!("  target {what}: {met}")
            });
            let target = target.unwrap_or_default();
            format!("{name:28} {speed:9.1} simulated s/s {events:12.0} events/s{target}")
        };
        let value = || {
            let target = target.as_ref().map(|(what, met)| json!({ "what": what, "met": met }));
            json!({
                "name": name,
                "runs": self.runs.get(),
                "real_s": sample.real.as_secs_f64(),
                "simulated_s": sample.simulated.as_secs_f64(),
                "simulated_s_per_s": speed,
                "events": sample.events,
                "events_per_s": events,
                "target": target,
            })
        };
        context.say(text, value)
    }
}

/// What is promised of it, and whether that is kept.
fn target(subject: Subject, sample: &Sample) -> Option<(String, bool)> {
    match subject {
        Subject::Load { agents: 3, rate: 200 } => {
            Some(("100 simulated s/s".into(), sample.speed() >= 100.0))
        }
        Subject::Load { .. } => None,
        Subject::Swarm { seeds } => {
            let each = sample.real.as_secs_f64() / f64::from(u32::try_from(seeds).ok()?);
            let night = each * NIGHT_SEEDS / NIGHT_CORES / 3_600.0;
            let what = format!("10,000 seeds in 8 h on 2 cores ({night:.2} h)");
            Some((what, night <= NIGHT_HOURS))
        }
    }
}

/// A part of 1, as it is written in a case.
fn chance(text: &str) -> Result<Chance, String> {
    serde_json::from_str(text).map_err(|_| "expected a number between 0 and 1".into())
}

fn eprintln(line: &str) {
    use std::io::Write as _;
    // A hint that cannot be shown is no matter.
    let _ = writeln!(std::io::stderr(), "pico-sim: {line}");
}

const NIGHT_SEEDS: f64 = 10_000.0;
const NIGHT_CORES: f64 = 2.0;
const NIGHT_HOURS: f64 = 8.0;
