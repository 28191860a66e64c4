//! `explain`: how it came to this.

use super::choose::Chosen;
use super::print::Failure;
use super::progress::shown;
use super::{Context, Refusal, Verdict, crash};
use crate::explain::{Explanation, Unexplained};
use crate::kernel::Trace;
use crate::run::Run;
use clap::Args;
use serde_json::json;

/// Tells how it came to a broken invariant, or what happened to one request.
#[derive(Args)]
pub(super) struct Explain {
    #[command(flatten)]
    chosen: Chosen,
    /// The request to tell about
    #[arg(long, value_name = "NUMBER")]
    request: Option<u64>,
}

impl Explain {
    pub(super) fn carry_out(self, context: &Context) -> Result<Verdict, Refusal> {
        crash::watch(context.json);
        let (case, words) = self.chosen.case()?;
        let failure = Failure { seed: case.seed, revision: context.revision, words, verb: "run" };
        let play = || Run::play(case, Trace::recorded());
        let run = shown(|| crash::within(&failure, play));
        let told = match Explanation::of(&run, self.request) {
            Ok(told) => told,
            Err(why @ Unexplained::Held) => {
                context.say(|| why.to_string(), || json!({ "held": true }))?;
                return Ok(Verdict::Held);
            }
            Err(why @ Unexplained::NoRequest(_)) => return Err(Refusal::Usage(why.to_string())),
        };
        context.say(|| told.text(), || told.json())?;
        Ok(if run.broken().is_some() { Verdict::Broken } else { Verdict::Held })
    }
}
