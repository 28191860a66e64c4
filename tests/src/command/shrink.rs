//! `shrink`: the smallest case that breaks the same invariant.

use super::choose::Chosen;
use super::print::Failure;
use super::{Context, Refusal, Verdict, crash, summary};
use crate::actors::Client;
use crate::case::{Case, Role};
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
        let Some(found) = broken_by(&case, &failure) else {
            let why = format!("seed {seed}: all invariants held, so there is nothing to shrink");
            context.say(|| why.clone(), || json!({ "held": true, "seed": seed }))?;
            return Ok(Verdict::Held);
        };
        let size = parts(&case);
        let case = cut_short(case, &found, &failure);
        let mut tried = 0;
        let shrunk = shrink(case, self.budget, |case| {
            tried += 1;
            if io::stderr().is_terminal() {
                // Progress that cannot be shown is no matter.
                let _ = write!(io::stderr(), "\r{tried} cases tried, {:40}", parts(case));
            }
            breaks(case, &found, &failure)
        });
        if tried > 0 && io::stderr().is_terminal() {
            let _ = writeln!(io::stderr());
        }
        shrunk.case.save(&self.output)?;
        let words = super::choose::quoted(&self.output.to_string_lossy());
        let failure = Failure { words, verb: "replay", ..failure };
        let (broken, _) = broken_by(&shrunk.case, &failure).unwrap_or(found);
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

/// What broke, and how the request ended in which it did: what ends otherwise is another failure.
type Found = (Broken, Option<String>);

/// What the case breaks.
fn broken_by(case: &Case, failure: &Failure) -> Option<Found> {
    let run = crash::within(failure, || Run::play(case.clone(), Trace::default()));
    let broken = run.broken()?.clone();
    let clients = run.cast.of(Role::Client).flat_map(|life| &life.seats);
    let mut records = clients.flat_map(|seat| run.world.host::<Client>(*seat).records());
    let record = records.find(|record| Some(record.id) == broken.request);
    Some((broken, record.map(|record| summary::end(&record.outcome))))
}

fn breaks(case: &Case, (broken, end): &Found, failure: &Failure) -> bool {
    let found = broken_by(case, failure);
    found.is_some_and(|(other, how)| other.invariant == broken.invariant && how == *end)
}

/// Lets the case heal just behind what broke, if it breaks all the same.
fn cut_short(case: Case, found: &Found, failure: &Failure) -> Case {
    let end = found.0.at.since(Instant::ZERO).as_secs() + 1;
    let mut short = case.clone();
    let faults = short.faults.len();
    short.faults.retain(|fault| fault.at().is_none_or(|at| at.0.as_secs() < end));
    let fits = short.set(&format!("heal={end}s")).is_ok();
    let shorter = short.heal < case.heal || short.faults.len() < faults;
    if fits && shorter && breaks(&short, found, failure) { short } else { case }
}

/// How large a case is, in words.
fn parts(case: &Case) -> String {
    let requests = case.load.ids(false).count() + case.load.ids(true).count();
    let hosts = case.shape.hosts().len();
    format!("{} faults, {requests} requests, {hosts} hosts", case.faults.len())
}
