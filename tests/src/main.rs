//! `pico-sim`: what happens to a cluster when things go wrong.

use clap::{Args, Parser, Subcommand, ValueEnum};
use pico_sim::case::{Case, Swarm};
use pico_sim::kernel::Trace;
use pico_sim::run::Run;
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
    /// Play one seed and print what happened
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
        /// The seeds: from, and up to but without
        #[arg(long, default_value = "0..1000", value_parser = seeds)]
        seeds: Range<u64>,
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
    #[arg(long, value_enum, default_value_t = Faults::Swarm)]
    faults: Faults,
}

#[derive(Clone, Copy, ValueEnum)]
enum Faults {
    /// Nothing but what services and clients do
    Off,
    /// Each kind of fault on or off, as the seed says
    Swarm,
}

impl Life {
    fn case(&self, seed: u64) -> Case {
        let swarm = match self.faults {
            Faults::Off => Swarm::calm(),
            Faults::Swarm => Swarm::rough(),
        };
        Case::swarm(seed, &swarm)
    }
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let parsed = text.split_once("..").map(|(from, to)| (from.parse(), to.parse()));
    match parsed {
        Some((Ok(from), Ok(to))) if from < to => Ok(from..to),
        Some(_) | None => Err("expected two numbers, as in 0..1000".into()),
    }
}

fn main() -> ExitCode {
    let told = match Cli::parse().command {
        Command::Run { seed, trace, life } => run(life.case(seed), trace),
        Command::Swarm { seeds, all, life } => swarm(seeds, all, &life),
    };
    told.unwrap_or(ExitCode::FAILURE)
}

fn run(case: Case, trace: bool) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", case.text())?;
    let run = Run::play(case, if trace { Trace::recorded() } else { Trace::default() });
    for line in run.world.trace().lines() {
        writeln!(out, "{line}")?;
    }
    if let Some(broken) = run.broken() {
        writeln!(out, "{broken}")?;
        return Ok(ExitCode::FAILURE);
    }
    writeln!(out, "nothing broken; trace {:016x}", run.world.trace().sum())?;
    Ok(ExitCode::SUCCESS)
}

fn swarm(seeds: Range<u64>, all: bool, life: &Life) -> io::Result<ExitCode> {
    let (mut broken, mut played) = (0, 0);
    for seed in seeds {
        let run = Run::play(life.case(seed), Trace::default());
        played += 1;
        if let Some(found) = run.broken() {
            broken += 1;
            writeln!(io::stdout(), "seed {seed}: {found}\n")?;
            if !all {
                break;
            }
        }
    }
    writeln!(io::stdout(), "{played} seeds played, {broken} broken")?;
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
