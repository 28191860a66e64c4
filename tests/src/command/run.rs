//! `run`, `replay` and `scenarios`: one case, once.

use super::choose::Choice;
use super::print::Failure;
use super::progress::shown;
use super::summary::Summary;
use super::{Context, Refusal, Verdict, crash};
use crate::case::Case;
use crate::kernel::Trace;
use crate::scenario;
use clap::Args;
use serde_json::json;
use std::io::{self, Write as _};
use std::path::PathBuf;

/// Plays one case, and says what became of its requests.
#[derive(Args)]
pub(super) struct Run {
    #[command(flatten)]
    choice: Choice,
    /// Print every input and action
    #[arg(long)]
    trace: bool,
    /// Print the case and do not play it
    #[arg(long)]
    show: bool,
    /// Save the case to a file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Plays a saved case again.
#[derive(Args)]
pub(super) struct Replay {
    /// The case
    file: PathBuf,
    /// Print every input and action
    #[arg(long)]
    trace: bool,
}

impl Run {
    pub(super) fn carry_out(self, context: &Context) -> Result<Verdict, Refusal> {
        let choice = self.choice;
        if choice.seed.is_none() && choice.life.scenario.is_none() {
            return Err(Refusal::Usage("expected --seed or --scenario".into()));
        }
        let case = choice.case()?;
        if let Some(output) = &self.output {
            case.save(output)?;
        }
        if self.show {
            let value = || serde_json::to_value(&case).expect("a case is made of plain values");
            context.say(|| case.text().trim_end().to_owned(), value)?;
            return Ok(Verdict::Held);
        }
        let (seed, revision) = (case.seed, context.revision);
        let failure = Failure { seed, revision, words: choice.words(), verb: "run" };
        play(case, self.trace, &failure, context)
    }
}

impl Replay {
    pub(super) fn carry_out(self, context: &Context) -> Result<Verdict, Refusal> {
        let case = Case::load(&self.file)?;
        let words = super::choose::quoted(&self.file.to_string_lossy());
        let failure =
            Failure { seed: case.seed, revision: context.revision, words, verb: "replay" };
        play(case, self.trace, &failure, context)
    }
}

fn play(case: Case, trace: bool, failure: &Failure, context: &Context) -> Result<Verdict, Refusal> {
    crash::watch(context.json);
    let recorder = if trace { Trace::recorded() } else { Trace::default() };
    let play = || crate::run::Run::play(case, recorder);
    let run = shown(|| crash::within(failure, play));
    let mut out = io::stdout().lock();
    for line in run.world.trace().lines() {
        if context.json {
            writeln!(out, "{}", json!({ "trace": line }))?;
        } else {
            writeln!(out, "{line}")?;
        }
    }
    drop(out);
    let summary = Summary::of(&run);
    let text = || {
        let verdict = match run.broken() {
            Some(broken) if trace && !broken.dump.is_empty() => {
                format!("{}\n  seen in: {}", failure.text(broken), broken.dump)
            }
            Some(broken) => failure.text(broken),
            None => format!("seed {}: all invariants held", failure.seed),
        };
        format!("{}\n{verdict}", summary.text())
    };
    let value = || {
        let mut value = summary.json();
        value["seed"] = failure.seed.into();
        value["revision"] = failure.revision.into();
        value["held"] = run.broken().is_none().into();
        value["broken"] = run.broken().map(|broken| failure.json(broken)).into();
        value
    };
    context.say(text, value)?;
    Ok(if run.broken().is_some() { Verdict::Broken } else { Verdict::Held })
}

/// Lists the scenarios.
pub(super) fn scenarios(context: &Context) -> Result<Verdict, Refusal> {
    for scenario in scenario::ALL {
        let text = || format!("{:16} {}", scenario.name, scenario.sentence);
        let value = || json!({ "name": scenario.name, "sentence": scenario.sentence });
        context.say(text, value)?;
    }
    Ok(Verdict::Held)
}
