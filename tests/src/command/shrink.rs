//! `shrink`: the smallest case that breaks the same invariant.

use super::attempt::Fails;
use super::choose::Chosen;
use super::print::Failure;
use super::summary::many;
use super::{Context, Refusal, Verdict};
use crate::case::{Case, CaseError};
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
        let (case, words) = self.chosen.case()?;
        let (seed, revision) = (case.seed, context.revision);
        let folder = self.output.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(Err(error)) = folder.map(std::fs::metadata) {
            let path = self.output.display().to_string();
            return Err(CaseError::File { path, error }.into());
        }
        let scratch = Scratch(self.output.with_extension("try"));
        let found = Fails::of(&case, &scratch.0)?;
        if found == Fails::Not {
            let why = format!("seed {seed}: all invariants held, so there is nothing to shrink");
            context.say(|| why.clone(), || json!({ "held": true, "seed": seed }))?;
            return Ok(Verdict::Held);
        }
        let size = parts(&case);
        let mut refused = None;
        let mut tried = 0;
        let mut fails = |case: &Case| {
            tried += 1;
            if io::stderr().is_terminal() {
                // Progress that cannot be shown is no matter.
                let _ = write!(io::stderr(), "\r{tried} cases tried, {:40}", parts(case));
            }
            match Fails::of(case, &scratch.0) {
                Ok(fails) => fails.is_like(&found),
                Err(refusal) => {
                    refused.get_or_insert(refusal);
                    false
                }
            }
        };
        let case = cut_short(case, &found, &mut fails);
        let shrunk = shrink(case, self.budget, fails);
        if tried > 0 && io::stderr().is_terminal() {
            let _ = writeln!(io::stderr());
        }
        if let Some(refusal) = refused {
            return Err(refusal);
        }
        shrunk.case.save(&self.output)?;
        let again = super::choose::quoted(&self.output.to_string_lossy());
        let failure = Failure { seed, revision, words: again, verb: "replay" };
        let failed = match &found {
            Fails::Panics { why, place } => Failed::Panic(format!("{why} ({place})")),
            Fails::Not | Fails::Breaks { .. } => {
                let run = Run::play(shrunk.case.clone(), Trace::default());
                let gone = || Refusal::Usage(format!("{words} fails otherwise each time"));
                Failed::Broken(run.broken().cloned().ok_or_else(gone)?)
            }
        };
        let text = || {
            let end = if shrunk.minimal { "nothing smaller was found" } else { "budget used up" };
            let (small, tried) = (parts(&shrunk.case), shrunk.tried);
            let failed = match &failed {
                Failed::Broken(broken) => failure.text(broken),
                Failed::Panic(why) => failure.panicked(why),
            };
            format!("{size} became {small}: {tried} cases tried, {end}\n{failed}")
        };
        let value = || {
            json!({
                "held": false,
                "output": self.output.to_string_lossy(),
                "tried": shrunk.tried,
                "minimal": shrunk.minimal,
                "case": shrunk.case,
                "broken": match &failed {
                    Failed::Broken(broken) => Some(failure.json(broken)),
                    Failed::Panic(_) => None,
                },
                "panic": match &failed {
                    Failed::Broken(_) => None,
                    Failed::Panic(why) => Some(why),
                },
            })
        };
        context.say(text, value)?;
        Ok(Verdict::Broken)
    }
}

/// What the smallest case comes to.
enum Failed {
    Broken(Broken),
    Panic(String),
}

/// Where cases lie that are tried; gone in the end.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may never have been written.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Lets the case heal just behind what broke, if it breaks all the same.
fn cut_short(case: Case, found: &Fails, fails: &mut impl FnMut(&Case) -> bool) -> Case {
    let Fails::Breaks { at, .. } = found else { return case };
    let end = Instant::from_nanos(*at).since(Instant::ZERO).as_secs() + 1;
    let mut short = case.clone();
    let faults = short.faults.len();
    short.faults.retain(|fault| fault.at().is_none_or(|at| at.0.as_secs() < end));
    let fits = short.set(&format!("heal={end}s")).is_ok();
    let shorter = short.heal < case.heal || short.faults.len() < faults;
    if fits && shorter && fails(&short) { short } else { case }
}

/// How large a case is, in words.
fn parts(case: &Case) -> String {
    let requests = case.load.ids(false).count() + case.load.ids(true).count();
    let hosts = case.shape.hosts().len();
    let faults = many(case.faults.len(), "fault");
    format!("{faults}, {}, {}", many(requests, "request"), many(hosts, "host"))
}
