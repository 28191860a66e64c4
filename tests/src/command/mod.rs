//! The command line of `pico-sim`.
//!
//! Every command plays cases, which a seed, a scenario or a file names, and says what happened: to
//! people, or with `--json` to programs, as one object or one to a line. It ends with 0 if all
//! invariants held, with 1 if one was broken, and with 2 and one line if it cannot do what it is
//! asked.

mod attempt;
mod bench;
mod choose;
mod crash;
mod explain;
mod phases;
mod print;
mod progress;
mod report;
mod run;
mod shrink;
mod summary;
mod swarm;

use crate::case::CaseError;
use clap::{Parser, Subcommand};
use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

/// Plays Pico installations in a simulated world, where things go wrong as a seed or a file says.
#[derive(Parser)]
#[command(name = "pico-sim", version, infer_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print JSON: one object, or one to a line
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Play one case, and say what became of its requests
    Run(run::Run),
    /// Play many seeds, and look for those that break an invariant
    Swarm(swarm::Swarm),
    /// Play a saved case again
    Replay(run::Replay),
    /// Make a case that breaks an invariant as small as possible
    Shrink(shrink::Shrink),
    /// Tell how it came to a broken invariant, or what happened to one request
    Explain(explain::Explain),
    /// Draw a run as a page that any browser shows
    Report(report::Report),
    /// Measure how fast the simulator is on this machine
    Bench(bench::Bench),
    /// List the scenarios that have names
    Scenarios,
    /// Play a saved case, and say in one line of JSON how it fails
    #[command(hide = true)]
    Try(attempt::Attempt),
}

/// What all commands know.
struct Context {
    revision: &'static str,
    json: bool,
}

/// How a command ended that could be carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Held,
    Broken,
}

/// Why a command cannot be carried out.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Case(#[from] CaseError),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Output(#[from] io::Error),
}

/// Carries out what the command line asks for. `revision` is named with every failure.
pub fn main(revision: &'static str) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            // What is missing is listed below the first line, and usage behind an empty one.
            let text = error.to_string();
            let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
            let line = lines.collect::<Vec<_>>().join(" ");
            return refuse(line.strip_prefix("error: ").unwrap_or(&line));
        }
        Err(help) => {
            // Whoever asked for help and does not read it has what they want.
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
    };
    let context = Context { revision, json: cli.json };
    let done = match cli.command {
        Command::Run(run) => run.carry_out(&context),
        Command::Swarm(swarm) => swarm.carry_out(&context),
        Command::Replay(replay) => replay.carry_out(&context),
        Command::Shrink(shrink) => shrink.carry_out(&context),
        Command::Explain(explain) => explain.carry_out(&context),
        Command::Report(report) => report.carry_out(&context),
        Command::Bench(bench) => bench.carry_out(&context),
        Command::Try(attempt) => attempt.carry_out(&context),
        Command::Scenarios => run::scenarios(&context),
    };
    match done {
        Ok(Verdict::Held) => ExitCode::SUCCESS,
        Ok(Verdict::Broken) => ExitCode::FAILURE,
        // Whoever reads no more has read enough.
        Err(Refusal::Output(error)) if error.kind() == ErrorKind::BrokenPipe => {
            ExitCode::from(REFUSED)
        }
        Err(refusal) => refuse(&refusal.to_string()),
    }
}

/// Says in one line why not.
fn refuse(why: &str) -> ExitCode {
    let line: Vec<&str> = why.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let _ = writeln!(io::stderr(), "pico-sim: {}", line.join("; "));
    ExitCode::from(REFUSED)
}

/// The exit code of a command that cannot be carried out.
const REFUSED: u8 = 2;
