//! How fast news travels among nodes, beside what is promised of it.

use super::super::{Context, Refusal, Verdict};
use crate::case::Chance;
use crate::gossip::measure::{Setting, Subject, idle, measure, slow_nodes};
use core::time::Duration;
use serde_json::json;

/// What is measured of gossip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scenario {
    /// As [`measure`] does it.
    Spans(Subject),
    /// Bytes a second in which nothing happens.
    Idle,
    /// Healthy nodes that are held dead while others are slow.
    SlowNodes,
}

impl Scenario {
    /// The one that is called so.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "convergence" => Self::Spans(Subject::Convergence),
            "detection" => Self::Spans(Subject::Detection),
            "heal" => Self::Spans(Subject::Heal(CUT)),
            "join" => Self::Spans(Subject::Join(ENDPOINTS)),
            "churn" => Self::Spans(Subject::Churn(CHANGES)),
            "idle" => Self::Idle,
            "slow-nodes" => Self::SlowNodes,
            _ => return None,
        })
    }

    /// The most that is promised, in milliseconds at 99 %, for so many nodes; nothing is of
    /// other numbers, or of more loss.
    fn target(self, nodes: usize, loss: Chance) -> Option<u64> {
        let Self::Spans(subject) = self else { return None };
        let at = [10, 100, 1_000].iter().position(|of| *of == nodes)?;
        let lossy = loss != Chance::NEVER;
        let row: [u64; 3] = match subject {
            Subject::Convergence if lossy => [600, 1_000, 1_300],
            Subject::Convergence => [300, 500, 750],
            Subject::Detection => [4_500, 6_000, 8_500],
            Subject::Heal(_) => [15_000, 20_000, 45_000],
            Subject::Churn(_) => [2_000; 3],
            Subject::Join(_) => return None,
        };
        row.get(at).copied()
    }
}

pub(super) fn carry_out(
    context: &Context,
    scenario: Scenario,
    nodes: &[usize],
    loss: &[Chance],
    runs: usize,
) -> Result<Verdict, Refusal> {
    if nodes.iter().any(|nodes| *nodes < 2) {
        return Err(Refusal::Usage("expected 2 nodes or more".into()));
    }
    for nodes in nodes {
        for loss in loss {
            let setting = |seed| Setting { nodes: *nodes, loss: *loss, seed };
            let settings: Vec<_> = (0..runs as u64).map(setting).collect();
            match scenario {
                Scenario::Spans(subject) => {
                    let target = scenario.target(*nodes, *loss);
                    tell_spans(context, subject, &settings, target)?;
                }
                Scenario::Idle => {
                    let setting = Setting { nodes: *nodes, loss: *loss, seed: 0 };
                    tell_number(context, "bytes/s of each", &setting, idle(&setting, MINUTE))?;
                }
                Scenario::SlowNodes => {
                    let setting = Setting { nodes: *nodes, loss: *loss, seed: 0 };
                    let wrong = slow_nodes(&setting, *nodes / 8, MINUTE * 5);
                    tell_number(context, "healthy held dead", &setting, wrong as u64)?;
                }
            }
        }
    }
    Ok(Verdict::Held)
}

fn tell_spans(
    context: &Context,
    subject: Subject,
    settings: &[Setting],
    target: Option<u64>,
) -> Result<(), Refusal> {
    let Some(Setting { nodes, loss, .. }) = settings.first().copied() else { return Ok(()) };
    let samples: Vec<_> = settings.iter().filter_map(|setting| measure(subject, setting)).collect();
    let unfinished = settings.len() - samples.len();
    let mut spans: Vec<Duration> = samples.iter().flat_map(|sample| sample.spans.clone()).collect();
    spans.sort();
    let at = |part: usize| spans.get(spans.len() * part / 100).copied().unwrap_or_default();
    let [median, late] = [at(50), at(99)].map(|span| u64::try_from(span.as_millis()).unwrap_or(0));
    let bytes = samples.iter().map(|sample| sample.bytes_s).max().unwrap_or_default();
    let met = target.map(|target| unfinished == 0 && late <= target);
    let text = || {
        let told = match (target, met) {
            (Some(target), Some(true)) => format!("  target {target} ms: met"),
            (Some(target), _) => format!("  target {target} ms: MISSED"),
            (None, _) => String::new(),
        };
        let sent = if bytes > 0 { format!("  {bytes} bytes/s of each") } else { String::new() };
        format!(
            "{nodes} nodes, loss {}: {median} ms (median), {late} ms (99 %), \
             {} spans, {unfinished} without end{sent}{told}",
            percent(loss),
            spans.len()
        )
    };
    let value = || {
        json!({
            "nodes": nodes,
            "loss_millionths": loss.millionths(),
            "spans": spans.len(),
            "without_end": unfinished,
            "median_ms": median,
            "p99_ms": late,
            "bytes_s": bytes,
            "target_ms": target,
            "met": met,
        })
    };
    context.say(text, value)
}

fn tell_number(
    context: &Context,
    what: &str,
    setting: &Setting,
    number: u64,
) -> Result<(), Refusal> {
    let Setting { nodes, loss, .. } = *setting;
    let text = || format!("{nodes} nodes, loss {}: {number} {what}", percent(loss));
    let value = || {
        json!({
            "nodes": nodes,
            "loss_millionths": loss.millionths(),
            "what": what,
            "number": number,
        })
    };
    context.say(text, value)
}

fn percent(loss: Chance) -> String {
    format!("{} %", loss.millionths() / 10_000)
}

const MINUTE: Duration = Duration::from_mins(1);
/// How long a cluster is cut in two before it heals.
const CUT: Duration = Duration::from_mins(2);
/// Endpoints of each node that is there when another joins.
const ENDPOINTS: usize = 1_000;
/// Changes a second.
const CHANGES: u64 = 500;
