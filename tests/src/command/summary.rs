//! What became of a run's requests, in a few lines.

use crate::actors::{Client, Outcome, Record};
use crate::case::Role;
use crate::run::Run;
use core::time::Duration;
use pico_core::Instant;
use pico_core::gossip;
use pico_core::note::Note;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A run in numbers.
pub(super) struct Summary {
    until: Instant,
    events: u64,
    sum: u64,
    ends: BTreeMap<String, u64>,
    /// Those that failed though neither end meant them to: when, which, and how.
    failed: Vec<(Instant, u64, String)>,
    /// How long complete answers took, in order.
    took: Vec<Duration>,
    /// How often tunnels came, and went.
    tunnels: (usize, usize),
    /// Lives that ended without having been told to.
    deaths: usize,
    hits: u64,
    /// Faults of the case that have befallen anything, and all of them.
    befell: (usize, usize),
    /// What nodes made of each other, where there are several.
    cluster: Option<Cluster>,
}

/// What the nodes of a cluster made of each other, all lives together.
struct Cluster {
    /// Nodes that live in the end, and lives of nodes in all.
    nodes: (usize, usize),
    suspicions: u64,
    refuted: u64,
    /// Suspicions that ended in somebody being held dead.
    deaths: u64,
    /// What came from another cluster or could not be read.
    strange: u64,
    /// Bytes of datagrams a second and node, without headers.
    bytes_s: u64,
}

impl Cluster {
    fn of(run: &Run) -> Option<Self> {
        let lives: Vec<_> = run.cast.of(Role::Node).filter(|life| !life.foreign).collect();
        let all: Vec<_> = lives.iter().filter_map(|life| run.gossip(life)).collect();
        if all.is_empty() {
            return None;
        }
        let sum = |part: fn(gossip::Counts) -> u64| all.iter().map(|one| part(one.counts())).sum();
        let bytes: u64 = sum(|counts| counts.sent_bytes);
        let lived = lives.iter().map(|life| life.ended.unwrap_or(run.world.now()).since(life.born));
        let lived: Duration = lived.sum();
        Some(Self {
            nodes: (lives.iter().filter(|life| life.is_alive()).count(), lives.len()),
            suspicions: sum(|counts| counts.suspicions),
            refuted: sum(|counts| counts.refuted),
            deaths: sum(|counts| counts.deaths),
            strange: sum(|counts| counts.strange + counts.malformed),
            bytes_s: bytes / lived.as_secs().max(1),
        })
    }

    fn text(&self) -> String {
        let Self { nodes: (up, lives), suspicions, refuted, deaths, strange, bytes_s } = self;
        format!(
            "{up} nodes in the end, of {lives} that were started; {suspicions} suspicions, \
             {refuted} refuted, {deaths} ended in death; {strange} packets not understood; \
             {bytes_s} bytes/s of gossip each\n"
        )
    }

    fn json(&self) -> Value {
        json!({
            "nodes": self.nodes.0,
            "lives": self.nodes.1,
            "suspicions": self.suspicions,
            "refuted": self.refuted,
            "deaths": self.deaths,
            "strange": self.strange,
            "bytes_s": self.bytes_s,
        })
    }
}

impl Summary {
    /// What is to be said of this run.
    pub(super) fn of(run: &Run) -> Self {
        let mut records: Vec<&Record> = Vec::new();
        for life in run.cast.of(Role::Client) {
            let seats = life.seats.iter();
            records.extend(seats.flat_map(|seat| run.world.host::<Client>(*seat).records()));
        }
        records.sort_unstable_by_key(|record| (record.ended, record.id));
        let (mut ends, mut failed, mut took) = (BTreeMap::new(), Vec::new(), Vec::new());
        for record in records {
            let how = end(&record.outcome);
            *ends.entry(how.clone()).or_default() += 1;
            if matches!(record.outcome, Outcome::Complete { .. }) {
                took.push(record.ended.since(record.due));
            } else if !matches!(record.outcome, Outcome::Aborted)
                && !run.work.plan(record.id).is_failed()
            {
                failed.push((record.ended, record.id, how));
            }
        }
        took.sort_unstable();
        let count = |wanted: fn(&Note) -> bool| {
            run.world.notes().iter().filter(|(_, _, note)| wanted(note)).count()
        };
        let came = count(|note| matches!(note, Note::Registered { .. }));
        let went = count(|note| matches!(note, Note::Unregistered { .. }));
        let alive = run.cast.alive().count();
        let all: usize = Role::ALL.into_iter().map(|role| run.cast.of(role).count()).sum();
        let told = Role::ALL.into_iter().flat_map(|role| run.cast.of(role));
        let told = told.filter(|life| life.ended.is_some() && life.told.is_some()).count();
        let clients = run.cast.of(Role::Client).filter(|life| life.ended.is_some()).count();
        Self {
            until: run.world.now(),
            events: run.world.events(),
            sum: run.world.trace().sum(),
            ends,
            failed,
            took,
            tunnels: (came, went),
            deaths: all.saturating_sub(alive + told + clients),
            hits: run.world.net().counts().hits,
            befell: (run.befell().len(), run.case.faults.len()),
            cluster: Cluster::of(run),
        }
    }

    fn quantile(&self, percent: usize) -> Duration {
        let last = self.took.len().saturating_sub(1);
        self.took.get(last * percent / 100).copied().unwrap_or_default()
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let secs = super::print::seconds(self.until);
        let total: u64 = self.ends.values().sum();
        let mut text = format!("{total} requests within {secs:.0} simulated seconds\n");
        for (how, count) in &self.ends {
            put(&mut text, format_args!("  {count:6}  {how}\n"));
        }
        let [half, most, all] = [50, 99, 100].map(|percent| millis(self.quantile(percent)));
        put(
            &mut text,
            format_args!("complete answers took {half} (median), {most} (99 %), {all} (longest)\n"),
        );
        let ((came, went), deaths, hits) = (self.tunnels, self.deaths, self.hits);
        put(&mut text, format_args!("tunnels came {came} times and went {went} times; "));
        put(&mut text, format_args!("{deaths} processes died; faults befell {hits} connections\n"));
        let (befell, faults) = self.befell;
        if befell < faults {
            put(&mut text, format_args!("{befell} of {faults} faults befell anything at all\n"));
        }
        if let Some(cluster) = &self.cluster {
            text += &cluster.text();
        }
        if let (Some((first, ..)), Some((last, ..))) = (self.failed.first(), self.failed.last()) {
            let [first, last] = [first, last].map(|at| super::print::seconds(*at));
            put(
                &mut text,
                format_args!(
                    "{} requests failed that neither end meant to fail, from {first:.1} s to \
                     {last:.1} s:\n",
                    self.failed.len()
                ),
            );
            for (at, id, how) in self.failed.iter().take(SHOWN) {
                let secs = super::print::seconds(*at);
                put(&mut text, format_args!("  {secs:10.3} s  request {id}: {how}\n"));
            }
            if self.failed.len() > SHOWN {
                put(&mut text, format_args!("  and {} more\n", self.failed.len() - SHOWN));
            }
        }
        put(&mut text, format_args!("trace {:016x}", self.sum));
        text
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let failed = self.failed.iter().map(|(at, id, how)| {
            json!({ "at_s": super::print::seconds(*at), "request": id, "how": how })
        });
        let [half, most, all] = [50, 99, 100].map(|percent| self.quantile(percent).as_secs_f64());
        json!({
            "simulated_s": super::print::seconds(self.until),
            "events": self.events,
            "trace": format!("{:016x}", self.sum),
            "requests": self.ends,
            "failed": failed.collect::<Vec<_>>(),
            "took_s": { "median": half, "p99": most, "longest": all },
            "tunnels": { "came": self.tunnels.0, "went": self.tunnels.1 },
            "deaths": self.deaths,
            "hits": self.hits,
            "faults": { "drawn": self.befell.1, "befell": self.befell.0 },
            "cluster": self.cluster.as_ref().map(Cluster::json),
        })
    }
}

/// How a request ended, in words that are few and can be counted.
pub(super) fn end(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Complete { .. } => "complete".into(),
        Outcome::Error { status, code } if code.is_empty() => format!("error {status}"),
        Outcome::Error { status, code } => format!("error {status} {code}"),
        Outcome::Broken { begun: true, .. } => "cut within its answer".into(),
        Outcome::Broken { begun: false, .. } => "cut before an answer".into(),
        Outcome::Unreachable => "nobody to connect to".into(),
        Outcome::Aborted => "given up by its client, as planned".into(),
        Outcome::Silence => "silence".into(),
        Outcome::Wrong(_) => "not as it must be".into(),
    }
}

fn millis(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1e3)
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes any text");
}

/// How many failed requests are named one by one.
const SHOWN: usize = 10;
