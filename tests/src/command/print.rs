//! How commands say what they found.

use super::{Context, Refusal};
use crate::check::Broken;
use serde_json::{Value, json};
use std::io::{self, Write as _};

/// What everybody needs who wants to see a failure again.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) seed: u64,
    pub(super) revision: &'static str,
    /// The command, without the program and the subcommand: `--seed 7 --faults off`.
    pub(super) words: String,
    /// The subcommand that plays it: `run`, or `replay` for a file.
    pub(super) verb: &'static str,
}

impl Failure {
    /// The command that plays it again.
    pub(super) fn again(&self) -> String {
        format!("pico-sim {} {}", self.verb, self.words)
    }

    /// The command that tells how it came to this.
    pub(super) fn closer(&self) -> String {
        format!("pico-sim explain {}", self.words)
    }

    /// What broke, for people.
    pub(super) fn text(&self, broken: &Broken) -> String {
        let Self { seed, revision, .. } = self;
        let (again, closer) = (self.again(), self.closer());
        format!(
            "seed {seed}, revision {revision}: {broken}\n  replay:  {again}\n  explain: {closer}"
        )
    }

    /// That it did not even come to its end, for people.
    pub(super) fn panicked(&self, why: &str) -> String {
        let Self { seed, revision, .. } = self;
        format!("seed {seed}, revision {revision}: {why}\n  replay:  {}", self.again())
    }

    /// What broke, for programs.
    pub(super) fn json(&self, broken: &Broken) -> Value {
        json!({
            "seed": self.seed,
            "revision": self.revision,
            "invariant": {
                "number": broken.invariant.number,
                "name": broken.invariant.name,
                "sentence": broken.invariant.sentence,
            },
            "at_s": seconds(broken.at),
            "request": broken.request,
            "detail": broken.detail,
            "replay": self.again(),
            "explain": self.closer(),
        })
    }
}

impl Context {
    /// Prints an answer: the text for people, or the value for programs.
    pub(super) fn say(
        &self,
        text: impl FnOnce() -> String,
        value: impl FnOnce() -> Value,
    ) -> Result<(), Refusal> {
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", value())?;
        } else {
            writeln!(out, "{}", text())?;
        }
        Ok(out.flush()?)
    }
}

/// Seconds since the world began.
pub(super) fn seconds(at: pico_core::Instant) -> f64 {
    at.since(pico_core::Instant::ZERO).as_secs_f64()
}
