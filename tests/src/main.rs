//! `pico-sim`: replays one seed, or sweeps over many.

use clap::{Args, Parser, Subcommand, ValueEnum};
use pico_sim::check;
use pico_sim::kernel::Trace;
use pico_sim::scenario::{Run, Scenario};
use std::io::{self, Write as _};
use std::ops::Range;
use std::process::ExitCode;

/// Runs Pico in a simulated world, driven by a seed.
#[derive(Parser)]
#[command(name = "pico-sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Replay one seed and print what happened
    Run {
        /// The seed
        #[arg(long)]
        seed: u64,
        /// Print every input and action
        #[arg(long)]
        trace: bool,
        #[command(flatten)]
        life: Life,
    },
    /// Play many seeds and look for those that break an invariant
    Swarm {
        /// The first seed
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// How many seeds
        #[arg(long, default_value_t = 1000)]
        seeds: u64,
        /// Go on behind the first seed that breaks an invariant
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        life: Life,
    },
}

#[derive(Args)]
struct Life {
    /// What goes wrong
    #[arg(long, value_enum, default_value_t = Faults::Off)]
    faults: Faults,
    /// How many requests are made
    #[arg(long, default_value_t = Scenario::CALM.requests)]
    requests: u64,
    /// No service answers before the request has ended
    #[arg(long)]
    no_early: bool,
    /// Silent services may keep clients waiting
    #[arg(long)]
    patient: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Faults {
    /// Nothing but what services and clients do
    Off,
    /// Each kind of fault on or off, as the seed says
    Swarm,
}

impl Life {
    fn scenario(&self) -> Scenario {
        let scenario = match self.faults {
            Faults::Off => Scenario::CALM,
            Faults::Swarm => Scenario::ROUGH,
        };
        let early = !self.no_early;
        Scenario { requests: self.requests, early, patient: self.patient, ..scenario }
    }
}

fn main() -> ExitCode {
    let told = match Cli::parse().command {
        Command::Run { seed, trace, life } => run(seed, trace, &life.scenario()),
        Command::Swarm { from, seeds, all, life } => {
            swarm(from..from + seeds, all, &life.scenario())
        }
    };
    told.unwrap_or(ExitCode::FAILURE)
}

fn run(seed: u64, trace: bool, scenario: &Scenario) -> io::Result<ExitCode> {
    let trace = if trace { Trace::recorded() } else { Trace::default() };
    let run = scenario.play(seed, trace);
    let mut out = io::stdout().lock();
    for line in run.world.trace().lines() {
        writeln!(out, "{line}")?;
    }
    for line in run.story() {
        writeln!(out, "{line}")?;
    }
    judge(&run)
}

fn swarm(seeds: Range<u64>, all: bool, scenario: &Scenario) -> io::Result<ExitCode> {
    let (mut broken, mut played) = (0, 0);
    for seed in seeds {
        let run = scenario.play(seed, Trace::default());
        played += 1;
        if let Some(story) = check::broken(&run) {
            broken += 1;
            writeln!(io::stdout(), "{story}")?;
            if !all {
                break;
            }
        }
    }
    writeln!(io::stdout(), "{played} seeds played, {broken} broken")?;
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn judge(run: &Run) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    if let Some(broken) = check::broken(run) {
        writeln!(out, "{broken}")?;
        return Ok(ExitCode::FAILURE);
    }
    writeln!(out, "nothing broken; trace {:016x}", run.world.trace().sum())?;
    Ok(ExitCode::SUCCESS)
}
