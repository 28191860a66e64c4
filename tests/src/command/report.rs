//! `report`: a run as a page.

use super::choose::Chosen;
use super::print::Failure;
use super::progress::shown;
use super::{Context, Refusal, Verdict, crash};
use crate::case::CaseError;
use crate::kernel::Trace;
use crate::report;
use crate::run::Run;
use clap::Args;
use serde_json::json;
use std::fs;
use std::path::PathBuf;

/// Draws a run as a page that any browser shows, without a network.
#[derive(Args)]
pub(super) struct Report {
    #[command(flatten)]
    chosen: Chosen,
    /// Where the page is written to
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl Report {
    pub(super) fn carry_out(self, context: &Context) -> Result<Verdict, Refusal> {
        crash::watch(context.json);
        let (case, words) = self.chosen.case()?;
        let seed = case.seed;
        let failure = Failure { seed, revision: context.revision, words, verb: "run" };
        let play = || Run::play(case, Trace::recorded());
        let run = shown(|| crash::within(&failure, play));
        let page = report::page(&run, context.revision);
        let path = self.output.display().to_string();
        let wrong = |error| CaseError::File { path: path.clone(), error };
        fs::write(&self.output, &page).map_err(wrong)?;
        let broken = run.broken();
        let text = || match broken {
            Some(broken) => format!("{}\n{path} shows it", failure.text(broken)),
            None => format!("seed {seed}: all invariants held; {path} shows the run"),
        };
        let value = || {
            let broken = broken.map(|broken| failure.json(broken));
            json!({ "seed": seed, "output": path, "bytes": page.len(), "broken": broken })
        };
        context.say(text, value)?;
        Ok(if broken.is_some() { Verdict::Broken } else { Verdict::Held })
    }
}
