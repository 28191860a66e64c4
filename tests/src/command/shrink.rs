//! `shrink`: the smallest case that breaks the same invariant.

use super::choose::Chosen;
use super::print::Failure;
use super::{Context, Refusal, Verdict, crash};
use crate::case::Case;
use crate::check::Broken;
use crate::kernel::Trace;
use crate::run::Run;
use crate::shrink::shrink;
use clap::Args;
use pico_core::Instant;
use serde_json::json;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

/// Makes a case that breaks an invariant as small as possible.
#[derive(Args)]
pub(super) struct Shrink {
    #[command(flatten)]
    chosen: Chosen,
    /// Where the smaller case is written to
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// How many cases are tried at most
    #[arg(long, default_value_t = 500)]
    budget: usize,
}

impl Shrink {
    pub(super) fn carry_out(self, context: &Context) -> Result<Verdict, Refusal> {
        crash::watch();
        let (case, words) = self.chosen.case()?;
        let (seed, revision) = (case.seed, context.revision);
        let failure = Failure { seed, revision, words, verb: "run" };
        let Some(broken) = broken_by(&case, &failure) else {
            let why = format!("seed {seed}: all invariants held, so there is nothing to shrink");
            context.say(|| why.clone(), || json!({ "held": true, "seed": seed }))?;
            return Ok(Verdict::Held);
        };
        let size = parts(&case);
        let case = cut_short(case, &broken, &failure);
        let mut tried = 0;
        let shrunk = shrink(case, self.budget, |case| {
            tried += 1;
            if io::stderr().is_terminal() {
                // Progress that cannot be shown is no matter.
                let _ = write!(io::stderr(), "\r{tried} cases tried, {:40}", parts(case));
            }
            breaks(case, &broken, &failure)
        });
        if tried > 0 && io::stderr().is_terminal() {
            let _ = writeln!(io::stderr());
        }
        shrunk.case.save(&self.output)?;
        let words = super::choose::quoted(&self.output.to_string_lossy());
        let failure = Failure { words, verb: "replay", ..failure };
        let broken = broken_by(&shrunk.case, &failure).unwrap_or(broken);
        let text = || {
            let end = if shrunk.minimal { "nothing smaller was found" } else { "budget used up" };
            let (small, tried) = (parts(&shrunk.case), shrunk.tried);
            format!("{size} became {small}: {tried} cases tried, {end}\n{}", failure.text(&broken))
        };
        let value = || {
            json!({
                "held": false,
                "output": self.output.to_string_lossy(),
                "tried": shrunk.tried,
                "minimal": shrunk.minimal,
                "case": shrunk.case,
                "broken": failure.json(&broken),
            })
        };
        context.say(text, value)?;
        Ok(Verdict::Broken)
    }
}

/// What the case breaks.
fn broken_by(case: &Case, failure: &Failure) -> Option<Broken> {
    let run = crash::within(failure, || Run::play(case.clone(), Trace::default()));
    run.broken().cloned()
}

fn breaks(case: &Case, broken: &Broken, failure: &Failure) -> bool {
    broken_by(case, failure).is_some_and(|other| other.invariant == broken.invariant)
}

/// Lets the case heal just behind what broke, if it breaks all the same.
fn cut_short(case: Case, broken: &Broken, failure: &Failure) -> Case {
    let end = broken.at.since(Instant::ZERO).as_secs() + 1;
    let mut short = case.clone();
    let faults = short.faults.len();
    short.faults.retain(|fault| fault.at().is_none_or(|at| at.0.as_secs() < end));
    let fits = short.set(&format!("heal={end}s")).is_ok();
    let shorter = short.heal < case.heal || short.faults.len() < faults;
    if fits && shorter && breaks(&short, broken, failure) { short } else { case }
}

/// How large a case is, in words.
fn parts(case: &Case) -> String {
    let requests = case.load.ids(false).count() + case.load.ids(true).count();
    let hosts = case.shape.hosts().len();
    format!("{} faults, {requests} requests, {hosts} hosts", case.faults.len())
}
