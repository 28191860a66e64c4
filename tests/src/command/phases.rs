//! How requests fared before, during and after what goes wrong.

use crate::actors::{Outcome, Record};
use crate::case::{Fault, Member, Role, Span};
use crate::run::Run;
use core::time::Duration;
use pico_core::Instant;
use pico_core::note::Note;
use pico_core::routing::Place;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Requests by the phase in which they were due, and by the zone of their client.
pub(super) struct Phases {
    rows: BTreeMap<(Phase, usize), Row>,
    /// Whether clients are in several zones.
    zoned: bool,
    /// From when to when anything was wrong, all faults together.
    span: Option<(Instant, Instant)>,
    /// In which zones the agents or nodes were to which the failed requests had been sent to last.
    lost: BTreeMap<Option<usize>, u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// No fault has a time.
    Whole,
    Before,
    During,
    Between,
    After,
}

/// What became of requests.
#[derive(Default)]
struct Row {
    all: u64,
    /// Those that failed though neither end meant them to.
    failed: u64,
    /// How long plain ones took to their end, whatever it was, in order.
    took: Vec<Duration>,
}

impl Phases {
    /// Sorts the requests of a run.
    pub(super) fn of(run: &Run, records: &[(usize, &Record)]) -> Self {
        let windows = windows(run);
        let ups = upstreams(run);
        let clients = run.case.shape.count(Role::Client).min(run.case.shape.zones);
        let span = windows.first().zip(windows.iter().map(|(_, to)| *to).max());
        let mut phases = Self {
            rows: BTreeMap::new(),
            zoned: clients > 1,
            span: span.map(|((from, _), to)| (*from, to)),
            lost: BTreeMap::new(),
        };
        for (zone, record) in records {
            let zone = if phases.zoned { *zone } else { 0 };
            let row = phases.rows.entry((phase(&windows, record.due), zone)).or_default();
            row.all += 1;
            if failed(run, record) {
                row.failed += 1;
                let zone = ups.get(&record.id).map(|agent| run.case.shape.zone(*agent));
                *phases.lost.entry(zone).or_default() += 1;
            }
            if is_plain(run, record) {
                row.took.push(record.ended.since(record.due));
            }
        }
        phases.rows.values_mut().for_each(|row| row.took.sort_unstable());
        if run.case.shape.zones == 1 {
            phases.lost.clear();
        }
        phases
    }

    /// For people; nothing if there were no requests.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        if self.rows.is_empty() {
            return text;
        }
        put(
            &mut text,
            format_args!(
                "{:32} {:>7} {:>7} {:>7} {:>11} {:>11} {:>11} {:>8}\n",
                "requests due", "all", "failed", "plain", "median", "99 %", "longest", "over 1 s"
            ),
        );
        for ((phase, zone), row) in &self.rows {
            let from = if self.zoned { format!(", from zone-{zone}") } else { String::new() };
            let name = format!("{}{from}", phase.name());
            let [half, most, longest] = row.quantiles().map(|took| took.map_or("-".into(), millis));
            let (all, failed, plain, slow) = (row.all, row.failed, row.took.len(), row.slow());
            put(
                &mut text,
                format_args!(
                    "  {name:30} {all:7} {failed:7} {plain:7} {half:>11} {most:>11} \
                     {longest:>11} {slow:8}\n"
                ),
            );
        }
        if let Some((from, to)) = self.span {
            let [from, to] = [from, to].map(super::print::seconds);
            put(&mut text, format_args!("faults from {from:.1} s to {to:.1} s; "));
        }
        text += "times are those of plain requests, to their answer or failure\n";
        if !self.lost.is_empty() {
            let name = |zone: &Option<usize>| match zone {
                Some(zone) => format!("zone-{zone}"),
                None => "nowhere".into(),
            };
            let parts = self.lost.iter().map(|(zone, count)| format!("{} {count}", name(zone)));
            let parts: Vec<String> = parts.collect();
            put(
                &mut text,
                format_args!(
                    "the failed had been sent to agents or nodes in: {}\n",
                    parts.join(", ")
                ),
            );
        }
        text
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let rows = self.rows.iter().map(|((phase, zone), row)| {
            let [half, most, longest] =
                row.quantiles().map(|took| took.map(|took| took.as_secs_f64()));
            json!({
                "phase": phase.name(),
                "zone": self.zoned.then(|| format!("zone-{zone}")),
                "requests": row.all,
                "failed": row.failed,
                "plain": row.took.len(),
                "over_1s": row.slow(),
                "took_s": { "median": half, "p99": most, "longest": longest },
            })
        });
        rows.collect()
    }
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Self::Whole => "at any time",
            Self::Before => "before the faults",
            Self::During => "while they last",
            Self::Between => "between them",
            Self::After => "after them",
        }
    }
}

impl Row {
    fn quantiles(&self) -> [Option<Duration>; 3] {
        let last = self.took.len().saturating_sub(1);
        [50, 99, 100].map(|percent| self.took.get(last * percent / 100).copied())
    }

    fn slow(&self) -> usize {
        self.took.len() - self.took.partition_point(|took| *took <= SLOW)
    }
}

/// Whether it failed though neither end meant it to.
pub(super) fn failed(run: &Run, record: &Record) -> bool {
    !matches!(record.outcome, Outcome::Complete { .. } | Outcome::Aborted)
        && !run.work.plan(record.id).is_failed()
}

/// Whether nothing about it takes time by its own will: it is of no kind, and behind no other.
fn is_plain(run: &Run, record: &Record) -> bool {
    run.work.plan(record.id).kinds.is_empty() && record.behind.is_none()
}

/// From when to when something is wrong, in order and without overlaps.
fn windows(run: &Run) -> Vec<(Instant, Instant)> {
    let heal = Instant::ZERO + run.case.heal.0;
    let mut windows: Vec<_> = run.case.faults.iter().flat_map(|fault| spans(run, fault)).collect();
    windows.retain(|(from, to)| from <= to);
    windows.sort_unstable();
    let mut merged: Vec<(Instant, Instant)> = Vec::new();
    for (from, to) in windows {
        let to = to.min(heal);
        match merged.last_mut().filter(|(_, end)| from <= *end) {
            Some((_, end)) => *end = (*end).max(to),
            None => merged.push((from, to)),
        }
    }
    merged
}

/// When a fault is felt: of one that ends processes until they are started again, as it was.
fn spans(run: &Run, fault: &Fault) -> Vec<(Instant, Instant)> {
    let heal = Instant::ZERO + run.case.heal.0;
    let Some(Span(at)) = fault.at() else { return Vec::new() };
    let from = Instant::ZERO + at;
    if let Some(Span(lasts)) = fault.lasts() {
        return vec![(from, from + lasts)];
    }
    match fault {
        Fault::Crash { who, .. } | Fault::PowerLoss { who, .. } | Fault::Stop { who, .. } => {
            let hosts = run.case.shape.hosts();
            let meant: Vec<Member> =
                hosts.into_iter().filter(|host| run.case.shape.means(who, *host)).collect();
            let spans = meant.iter().enumerate().filter_map(|(nth, member)| {
                let from = Instant::ZERO + fault.last_at(nth + 1)?.0;
                let lives = || run.cast.of(member.role).filter(|life| life.member == *member);
                // Whoever was dead already, or is outside of it, has felt nothing.
                lives().find(|life| life.told.or(life.ended) == Some(from))?;
                let born = lives().map(|life| life.born).find(|born| *born > from);
                Some((from, born.unwrap_or(heal)))
            });
            spans.collect()
        }
        Fault::ClockBack { .. } | Fault::Churn { .. } => vec![(from, from)],
        // These have no time, or last.
        Fault::Pause { .. }
        | Fault::Slow { .. }
        | Fault::Drift { .. }
        | Fault::Namesake { .. }
        | Fault::Recycled { .. }
        | Fault::Turnover { .. }
        | Fault::Intruder { .. }
        | Fault::Cut { .. }
        | Fault::Weather { .. }
        | Fault::Reset { .. }
        | Fault::Stall { .. }
        | Fault::Refuse { .. }
        | Fault::Blackhole { .. }
        | Fault::Names { .. } => Vec::new(),
    }
}

fn phase(windows: &[(Instant, Instant)], due: Instant) -> Phase {
    let (Some((first, _)), Some((_, last))) = (windows.first(), windows.last()) else {
        return Phase::Whole;
    };
    if due < *first {
        Phase::Before
    } else if windows.iter().any(|(from, to)| (*from..=*to).contains(&due)) {
        Phase::During
    } else if due > *last {
        Phase::After
    } else {
        Phase::Between
    }
}

/// To which agent, or which other node, requests were sent last, by the log of the nodes.
fn upstreams(run: &Run) -> BTreeMap<u64, Member> {
    let nodes = run.cast.of(Role::Node);
    let boots = nodes.filter_map(|life| Some((run.gossip(life)?.me().boot, life.member)));
    let boots: BTreeMap<_, _> = boots.collect();
    let mut sent = BTreeMap::new();
    for (_, seat, note) in run.world.notes() {
        let Note::Request(request) = note else { continue };
        let id = request.path.strip_prefix("/r/").and_then(|id| id.parse().ok());
        let to = match request.upstream {
            Some(Place::Tunnel { worker, conn }) => {
                let worker = run
                    .cast
                    .whose(*seat)
                    .and_then(|node| node.workers().get(usize::from(worker.0)).copied());
                worker.and_then(|worker| run.peer(worker, conn))
            }
            Some(Place::Node(boot)) => boots.get(&boot).copied(),
            None => None,
        };
        sent.extend(id.zip(to));
    }
    sent
}

pub(super) fn millis(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1e3)
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes any text");
}

/// Longer than that a person notices.
const SLOW: Duration = Duration::from_secs(1);
