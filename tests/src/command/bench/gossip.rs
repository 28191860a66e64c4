//! How fast news travels among nodes, beside what is promised of it.

use super::super::progress::shown;
use super::super::{Context, Refusal, Verdict};
use crate::case::{Chance, Span};
use crate::gossip::measure::{
    Names, Sample, Setting, Subject, false_deaths, idle, measure, slow_nodes,
};
use crate::gossip::memory::memory;
use core::f64::consts::E;
use core::time::Duration;
use pico_core::gossip;
use serde_json::json;

/// What is measured of gossip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scenario {
    /// As [`measure`] does it.
    Spans(Subject),
    /// Bytes a second in which nothing happens for so long.
    Idle(Duration),
    /// Healthy nodes that are held dead while others are slow for so long.
    SlowNodes(Duration),
    /// Nodes that are held dead in so long and are not.
    FalseDeaths(Duration),
    /// Bytes of memory for each of so many endpoints of each node.
    Memory(usize, Names),
}

/// How much there is of what is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Endpoints of each node before anything is measured.
    pub(super) endpoints: Option<usize>,
    /// What they are called.
    pub(super) names: Names,
    /// Changes a second.
    pub(super) changes: u64,
    /// How long it is watched what happens by itself.
    pub(super) watch: Duration,
}

impl Scenario {
    /// The one that is called so.
    pub(super) fn of(name: &str, sizes: &Sizes) -> Option<Self> {
        Some(match name {
            "convergence" => Self::Spans(Subject::Convergence),
            "detection" => Self::Spans(Subject::Detection),
            "suspicion" => Self::Spans(Subject::Suspicion),
            "heal" => Self::Spans(Subject::Heal(CUT)),
            "join" => {
                let endpoints = sizes.endpoints.unwrap_or(JOINED_ENDPOINTS);
                Self::Spans(Subject::Join(endpoints, sizes.names))
            }
            "memory" => Self::Memory(sizes.endpoints.unwrap_or(HELD_ENDPOINTS), sizes.names),
            "churn" => {
                let endpoints = sizes.endpoints.unwrap_or(0);
                Self::Spans(Subject::Churn { rate: sizes.changes, endpoints })
            }
            "idle" => Self::Idle(sizes.watch),
            "slow-nodes" => Self::SlowNodes(sizes.watch),
            "false-deaths" => Self::FalseDeaths(sizes.watch),
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
            Subject::Churn { .. } => [2_000; 3],
            Subject::Suspicion | Subject::Join(..) => return None,
        };
        row.get(at).copied()
    }

    /// What theory says of it, in milliseconds, as a check on the simulator itself: rumours of
    /// push and pull take log2 N + ln N rounds (Karp et al., 2000), here of the 20 ms for which
    /// ops are gathered; somebody probes one that is dead within e / (e - 1) periods (SWIM,
    /// section 3), and suspects it as soon as the probe has failed.
    fn theory(self, nodes: usize) -> Option<u64> {
        let Self::Spans(subject) = self else { return None };
        let pace = gossip::Pace::default();
        let n = f64::from(u32::try_from(nodes).ok()?);
        let span = match subject {
            Subject::Convergence => pace.push.mul_f64(n.log2() + n.ln()),
            Subject::Suspicion => pace.period.mul_f64(E / (E - 1.0)) + pace.probe,
            Subject::Detection | Subject::Heal(_) | Subject::Join(..) | Subject::Churn { .. } => {
                return None;
            }
        };
        u64::try_from(span.as_millis()).ok()
    }
}

pub(super) fn carry_out(
    context: &Context,
    scenario: Scenario,
    nodes: &[usize],
    loss: &[Chance],
    latency: Span,
    seeds: &[u64],
) -> Result<Verdict, Refusal> {
    if nodes.iter().any(|nodes| *nodes < 2) {
        return Err(Refusal::Usage("expected 2 nodes or more".into()));
    }
    if let Scenario::Memory(endpoints, names) = scenario {
        return nodes.iter().try_fold(Verdict::Held, |held, nodes| {
            tell_memory(context, *nodes, endpoints, names).map(|()| held)
        });
    }
    for nodes in nodes {
        for loss in loss {
            let setting = |seed| Setting { nodes: *nodes, loss: *loss, latency, seed };
            let settings: Vec<_> = seeds.iter().copied().map(setting).collect();
            match scenario {
                Scenario::Spans(subject) => {
                    let target = scenario.target(*nodes, *loss);
                    let theory = scenario.theory(*nodes);
                    tell_spans(context, subject, &settings, target, theory)?;
                }
                Scenario::Idle(lasts) => {
                    let most = idle_target(*nodes);
                    let of = |setting: &Setting| idle(setting, lasts);
                    tell_number(context, "bytes/s of each", &settings, of, most)?;
                }
                Scenario::SlowNodes(lasts) => {
                    let of = |setting: &Setting| slow_nodes(setting, *nodes / 8, lasts) as u64;
                    tell_number(context, "healthy held dead", &settings, of, Some(0))?;
                }
                Scenario::FalseDeaths(lasts) => {
                    let of = |setting: &Setting| false_deaths(setting, lasts) as u64;
                    let runs = settings.len() as u64;
                    let hours = lasts.as_secs() * *nodes as u64 * runs / 3_600;
                    let what = format!("held dead in {hours} node-hours");
                    tell_number(context, &what, &settings, of, Some(0))?;
                }
                Scenario::Memory(..) => {}
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
    theory: Option<u64>,
) -> Result<(), Refusal> {
    let Some(Setting { nodes, loss, .. }) = settings.first().copied() else { return Ok(()) };
    let all = || settings.iter().filter_map(|setting| measure(subject, setting)).collect();
    let samples: Vec<_> = shown(all);
    let unfinished = settings.len() - samples.len();
    let mut spans: Vec<Duration> = samples.iter().flat_map(|sample| sample.spans.clone()).collect();
    spans.sort();
    // The least of which so many of 100 are no more (nearest rank).
    let rank = |part: usize| (spans.len() * part).div_ceil(100).saturating_sub(1);
    let at = |part: usize| spans.get(rank(part)).copied().unwrap_or_default();
    let [median, late] = [at(50), at(99)].map(|span| u64::try_from(span.as_millis()).unwrap_or(0));
    let amounts = Amount::all(subject, nodes, &samples);
    let met = target.map(|target| unfinished == 0 && late <= target);
    let text = || {
        let told = told(target.map(|target| format!("{target} ms")), met);
        let amounts: String = amounts.iter().map(Amount::text).collect();
        let theory = theory.map_or(String::new(), |span| format!("  in theory {span} ms"));
        format!(
            "{nodes} nodes, loss {}: {median} ms (median), {late} ms (99 %), \
             {} spans, {unfinished} without end{theory}{told}{amounts}",
            percent(loss),
            spans.len()
        )
    };
    let endpoints = samples.iter().map(|sample| sample.endpoints).max().unwrap_or_default();
    let value = || {
        json!({
            "nodes": nodes,
            "loss_millionths": loss.millionths(),
            "spans": spans.len(),
            "without_end": unfinished,
            "median_ms": median,
            "p99_ms": late,
            "endpoints": endpoints,
            "theory_ms": theory,
            "target_ms": target,
            "met": met,
            "amounts": amounts.iter().map(Amount::value).collect::<Vec<_>>(),
        })
    };
    context.say(text, value)
}

/// What something cost beside the time that it took, at most in all runs.
struct Amount {
    what: &'static str,
    number: u64,
    target: Option<u64>,
}

impl Amount {
    /// What there is to tell of a subject.
    fn all(subject: Subject, nodes: usize, samples: &[Sample]) -> Vec<Self> {
        let most = |of: fn(&Sample) -> u64| samples.iter().map(of).max().unwrap_or_default();
        match subject {
            Subject::Churn { rate, .. } => {
                // So much at so many changes; nothing is promised of fewer.
                let target = (nodes == 1_000 && rate == 5_000).then_some(CHURN_BYTES);
                let number = most(|sample| sample.bytes_s);
                vec![Self { what: "bytes/s of each", number, target }]
            }
            Subject::Join(..) => {
                let endpoints = most(|sample| sample.endpoints as u64);
                let target = (endpoints >= MILLION).then(|| endpoints * JOIN_BYTES);
                let (ready, whole) = (most(|one| one.joined[0]), most(|one| one.joined[1]));
                vec![
                    Self { what: "bytes until it is ready", number: ready, target: None },
                    Self { what: "until all know everything", number: whole, target },
                ]
            }
            Subject::Convergence | Subject::Suspicion | Subject::Detection | Subject::Heal(_) => {
                Vec::new()
            }
        }
    }

    fn met(&self) -> Option<bool> {
        self.target.map(|target| self.number <= target)
    }

    fn text(&self) -> String {
        let told = told(self.target.map(|target| target.to_string()), self.met());
        format!("  {} {}{told}", self.number, self.what)
    }

    fn value(&self) -> serde_json::Value {
        let Self { what, number, target } = self;
        json!({ "what": what, "number": number, "target": target, "met": self.met() })
    }
}

fn tell_memory(
    context: &Context,
    nodes: usize,
    endpoints: usize,
    names: Names,
) -> Result<(), Refusal> {
    let Some(memory) = memory(nodes, endpoints, names) else {
        return Err(Refusal::Usage("expected endpoints, and a system that tells of memory".into()));
    };
    let (what, number, target) = ("bytes for an endpoint", memory.directory, Some(ENDPOINT_BYTES));
    let amount = Amount { what, number, target };
    let text = || {
        let routes = memory.routes;
        let total = nodes * endpoints;
        format!("{total} endpoints of {nodes} nodes:{}  {routes} in routes", amount.text())
    };
    let value = || {
        json!({
            "nodes": nodes,
            "endpoints": nodes * endpoints,
            "amounts": [amount.value()],
            "routes_bytes": memory.routes,
        })
    };
    context.say(text, value)
}

/// The most bytes a second that are promised of a cluster in which nothing happens.
fn idle_target(nodes: usize) -> Option<u64> {
    let rows = [(10, 800), (100, 1_200), (1_000, 1_500)];
    rows.into_iter().find(|(of, _)| *of == nodes).map(|(_, most)| most)
}

/// Tells the highest of what came of all runs.
fn tell_number(
    context: &Context,
    what: &str,
    settings: &[Setting],
    of: impl Fn(&Setting) -> u64,
    target: Option<u64>,
) -> Result<(), Refusal> {
    let Some(Setting { nodes, loss, .. }) = settings.first().copied() else { return Ok(()) };
    let number = settings.iter().map(of).max().unwrap_or_default();
    let met = target.map(|target| number <= target);
    let text = || {
        let told = told(target.map(|target| target.to_string()), met);
        format!("{nodes} nodes, loss {}: {number} {what}{told}", percent(loss))
    };
    let value = || {
        json!({
            "nodes": nodes,
            "loss_millionths": loss.millionths(),
            "runs": settings.len(),
            "what": what,
            "number": number,
            "target": target,
            "met": met,
        })
    };
    context.say(text, value)
}

/// What was promised, and whether that was kept.
fn told(target: Option<String>, met: Option<bool>) -> String {
    match (target, met) {
        (Some(target), Some(true)) => format!("  target {target}: met"),
        (Some(target), _) => format!("  target {target}: MISSED"),
        (None, _) => String::new(),
    }
}

fn percent(loss: Chance) -> String {
    format!("{} %", loss.millionths() / 10_000)
}

/// Endpoints of each node that another joins, or that one holds, unless told otherwise.
const JOINED_ENDPOINTS: usize = 1_000;
const HELD_ENDPOINTS: usize = 100_000;
/// What is promised of endpoints, from so many on: bytes of each on the wire for a node that
/// joins, and bytes in memory.
const MILLION: u64 = 1_000_000;
const JOIN_BYTES: u64 = 20;
const ENDPOINT_BYTES: u64 = 96;
/// Bytes a second of each of 1,000 nodes at 5,000 changes a second.
const CHURN_BYTES: u64 = 1_000_000;
/// How long a cluster is cut in two before it heals.
const CUT: Duration = Duration::from_mins(2);
