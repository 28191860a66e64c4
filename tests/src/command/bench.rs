//! `bench`: how fast the simulator is here.

mod gossip;

use super::progress::shown;
use super::{Context, Refusal, Verdict};
use crate::bench::{Sample, Subject, measure, median};
use crate::case::{Chance, Span};
use crate::gossip::measure::Names;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::num::NonZeroUsize;

/// Measures how fast the simulator is on this machine, on one core.
#[derive(Args)]
pub(super) struct Bench {
    /// What is measured. How fast the simulator is: speed, which is what is promised of it;
    /// gossip, load, swarm. Or how gossip does: convergence, suspicion, detection, heal, join,
    /// memory, churn, slow-nodes, false-deaths, idle
    #[arg(long, default_value = "speed")]
    scenario: String,
    /// Nodes: 1 with a load, 10 and 100 that gossip
    #[arg(long, value_delimiter = ',')]
    nodes: Option<Vec<usize>>,
    /// Agents, of a load
    #[arg(long, value_delimiter = ',', default_value = "3,30,300")]
    agents: Vec<usize>,
    /// Requests a second, of a load
    #[arg(long, value_delimiter = ',', default_value = "0,200")]
    rate: Vec<u64>,
    /// Seeds in each run of a swarm
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// Seconds of the world in each run
    #[arg(long = "for", value_name = "SPAN", default_value = "60s")]
    lasts: Span,
    /// How often each is run; of speeds the one in the middle counts
    #[arg(long, default_value = "5")]
    runs: NonZeroUsize,
    /// The seed of the first run, where nodes gossip; the next ones have the next seeds
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Endpoints of each node before anything is measured: of join, 1,000 unless told otherwise,
    /// of memory 100,000, and of churn none
    #[arg(long)]
    endpoints: Option<usize>,
    /// How these are called, of join and memory
    #[arg(long, value_enum, default_value = "numbered")]
    names: Called,
    /// Changes of endpoints a second, all over the cluster, of churn
    #[arg(long, default_value_t = 500)]
    changes: u64,
    /// How long slow nodes, idle ones, or those that may hold each other dead are watched
    #[arg(long, value_name = "SPAN", default_value = "5m")]
    watch: Span,
    /// How much of what nodes that gossip send each other is lost, as a part of 1
    #[arg(long, value_delimiter = ',', default_value = "0", value_parser = chance)]
    loss: Vec<Chance>,
    /// What a packet takes from node to node, where nodes gossip
    #[arg(long, value_name = "SPAN", default_value = "1ms")]
    latency: Span,
}

/// What endpoints are called, in 20 bytes.
#[derive(Clone, Copy, ValueEnum)]
enum Called {
    /// By numbers, so that a name is much like the one before.
    Numbered,
    /// By chance, so that names have hardly anything in common.
    Drawn,
}

impl Bench {
    pub(super) fn carry_out(self, context: &Context) -> Result<Verdict, Refusal> {
        let nodes = |usual: &[usize]| self.nodes.clone().unwrap_or_else(|| usual.to_vec());
        let (endpoints, changes, watch) = (self.endpoints, self.changes, self.watch.0);
        let names = match self.names {
            Called::Numbered => Names::Numbered,
            Called::Drawn => Names::Drawn,
        };
        let sizes = gossip::Sizes { endpoints, names, changes, watch };
        if let Some(what) = gossip::Scenario::of(&self.scenario, &sizes) {
            let nodes = nodes(&[10, 100]);
            let runs = self.runs.get() as u64;
            let seeds: Vec<u64> = (0..runs).map(|run| self.seed.wrapping_add(run)).collect();
            return gossip::carry_out(context, what, &nodes, &self.loss, self.latency, &seeds);
        }
        let usual: &[usize] = if self.scenario == "gossip" { &[10, 100] } else { &[1] };
        let subjects = self.subjects(&nodes(usual))?;
        if cfg!(debug_assertions) && !context.json {
            eprintln("this is a debug build: a release build is many times faster");
        }
        for subject in subjects {
            self.tell(context, subject)?;
        }
        Ok(Verdict::Held)
    }

    /// What is to be measured, one after the other.
    fn subjects(&self, nodes: &[usize]) -> Result<Vec<Subject>, Refusal> {
        if self.lasts.0.is_zero() {
            return Err(Refusal::Usage("expected a span that is not 0".into()));
        }
        match self.scenario.as_str() {
            "speed" => Ok(PROMISED.iter().map(|(subject, _)| *subject).collect()),
            "gossip" if nodes.iter().any(|nodes| *nodes < 2) => {
                Err(Refusal::Usage("expected 2 nodes or more".into()))
            }
            "gossip" => Ok(nodes.iter().map(|nodes| Subject::Gossip { nodes: *nodes }).collect()),
            "load" if self.agents.contains(&0) || nodes.contains(&0) => {
                Err(Refusal::Usage("expected nodes and agents that are not 0".into()))
            }
            "load" => {
                let mut all = Vec::new();
                for nodes in nodes {
                    for agents in &self.agents {
                        let of = |rate: &u64| (*nodes, *agents, *rate);
                        all.extend(self.rate.iter().map(of));
                    }
                }
                let load = |(nodes, agents, rate)| Subject::Load { nodes, agents, rate };
                Ok(all.into_iter().map(load).collect())
            }
            "swarm" if self.seeds == 0 => Err(Refusal::Usage("expected a seed or more".into())),
            "swarm" => Ok(vec![Subject::Swarm { seeds: self.seeds }]),
            other => Err(Refusal::Usage(format!("there is no benchmark {other}"))),
        }
    }

    fn tell(&self, context: &Context, subject: Subject) -> Result<(), Refusal> {
        let samples = shown(|| measure(subject, self.lasts.0, self.runs.get()));
        let samples = samples.map_err(|void| Refusal::Usage(void.to_string()))?;
        let Some(sample) = median(samples) else { return Ok(()) };
        let (speed, events) = (sample.speed(), sample.events_per_s());
        let name = match subject {
            Subject::Gossip { nodes } => format!("{nodes} nodes that gossip"),
            Subject::Load { nodes, agents, rate } => {
                let nodes = if nodes == 1 { "1 node".into() } else { format!("{nodes} nodes") };
                format!("{nodes}, {agents} agents, {rate} requests/s")
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
            format!("{name:34} {speed:9.1} simulated s/s {events:12.0} events/s{target}")
        };
        let value = || {
            let target = target.as_ref().map(|(what, met)| json!({ "what": what, "met": met }));
            json!({
                "name": name,
                "runs": self.runs.get(),
                "cpu_s": sample.cpu.as_secs_f64(),
                "simulated_s": sample.simulated.as_secs_f64(),
                "simulated_s_per_s": speed,
                "events": sample.events,
                "events_per_s": events,
                "answered": sample.answered,
                "target": target,
            })
        };
        context.say(text, value)
    }
}

/// What is promised of it, and whether that is kept.
fn target(subject: Subject, sample: &Sample) -> Option<(String, bool)> {
    if let Some((_, target)) = PROMISED.iter().find(|(promised, _)| *promised == subject) {
        return Some((format!("{target} simulated s/s"), sample.speed() >= f64::from(*target)));
    }
    let Subject::Swarm { seeds } = subject else { return None };
    let each = sample.cpu.as_secs_f64() / f64::from(u32::try_from(seeds).ok()?);
    let night = each * NIGHT_SEEDS / NIGHT_CORES / 3_600.0;
    let what = format!("10,000 seeds in 8 h on 2 cores ({night:.2} h)");
    Some((what, night <= NIGHT_HOURS))
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

/// What is promised of the simulator: simulated seconds for each second of a core.
const PROMISED: [(Subject, u32); 3] = [
    (Subject::Gossip { nodes: 100 }, 1_000),
    (Subject::Gossip { nodes: 1_000 }, 50),
    (Subject::Load { nodes: 5, agents: 10, rate: 200 }, 100),
];
const NIGHT_SEEDS: f64 = 10_000.0;
const NIGHT_CORES: f64 = 2.0;
const NIGHT_HOURS: f64 = 8.0;

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn what_is_promised_is_what_is_measured_unless_something_else_is_asked_for() {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            bench: Bench,
        }
        let cli: Cli = clap::Parser::parse_from(["bench"]);
        let subjects = cli.bench.subjects(&[1]).expect("the usual can be done");
        assert_eq!(subjects, PROMISED.map(|(subject, _)| subject));
        let slow = |simulated| Sample {
            cpu: Duration::from_secs(1),
            simulated: Duration::from_secs(simulated),
            events: 1,
            answered: 0,
        };
        let met = |at: usize, simulated| target(subjects[at], &slow(simulated));
        assert_eq!(met(0, 1_000), Some(("1000 simulated s/s".into(), true)));
        assert_eq!(met(1, 49), Some(("50 simulated s/s".into(), false)));
        assert_eq!(met(2, 100), Some(("100 simulated s/s".into(), true)));
    }
}
