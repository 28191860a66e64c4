//! `try`: plays a case in a process of its own, for `shrink`, so that a panic ends only that.

use super::{Context, Refusal, Verdict, summary};
use crate::actors::Client;
use crate::case::{Case, Role};
use crate::kernel::Trace;
use crate::run::Run;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::io::{self, Write as _};
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

/// Plays a case, and says how it fails.
#[derive(Args)]
pub(super) struct Attempt {
    /// The case
    file: PathBuf,
}

/// How a case fails: what fails otherwise is another failure.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Fails {
    /// Not at all.
    Not,
    /// This invariant breaks, and the request in which it does ends so.
    Breaks {
        /// Its number.
        invariant: u8,
        /// How, in words.
        end: Option<String>,
        /// In which nanosecond.
        at: u64,
    },
    /// It panics there.
    Panics {
        /// The file and the line.
        place: String,
        /// The panic's words.
        why: String,
    },
}

impl Fails {
    /// Whether it is the same failure, wherever in time.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Breaks { invariant, end, .. },
                Self::Breaks { invariant: like, end: so, .. },
            ) => invariant == like && end == so,
            (Self::Panics { place, .. }, Self::Panics { place: like, .. }) => place == like,
            (Self::Not, Self::Not) => true,
            (Self::Not | Self::Breaks { .. } | Self::Panics { .. }, _) => false,
        }
    }

    /// How the case fails, seen in another process; it is written to `scratch` for that.
    pub(super) fn of(case: &Case, scratch: &Path) -> Result<Self, Refusal> {
        case.save(scratch)?;
        let mut child = Command::new(std::env::current_exe()?);
        child.arg("try").arg(scratch).stdin(Stdio::null()).stderr(Stdio::null());
        let output = child.output()?;
        serde_json::from_slice(&output.stdout).map_err(|_| {
            let how = output.status;
            Refusal::Usage(format!("a case could not be tried: {how}"))
        })
    }
}

impl Attempt {
    pub(super) fn carry_out(self, _: &Context) -> Result<Verdict, Refusal> {
        panic::set_hook(Box::new(|info| {
            let place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
            let why = info.payload_as_str().unwrap_or_default().to_owned();
            tell(&Fails::Panics { place: place.unwrap_or_default(), why });
            process::exit(1);
        }));
        let run = Run::play(Case::load(&self.file)?, Trace::default());
        tell(&found(&run));
        Ok(if run.broken().is_some() { Verdict::Broken } else { Verdict::Held })
    }
}

fn found(run: &Run) -> Fails {
    let Some(broken) = run.broken() else { return Fails::Not };
    let clients = run.cast.of(Role::Client).flat_map(|life| &life.seats);
    let mut records = clients.flat_map(|seat| run.world.host::<Client>(*seat).records());
    let record = records.find(|record| Some(record.id) == broken.request);
    let end = record.map(|record| summary::end(&record.outcome));
    Fails::Breaks { invariant: broken.invariant.number, end, at: broken.at.as_nanos() }
}

fn tell(fails: &Fails) {
    let text = serde_json::to_string(fails).expect("plain values are JSON");
    // Whoever does not listen does not want to know.
    let _ = writeln!(io::stdout(), "{text}");
}
