//! What became of a run's requests, in a few lines.

use super::phases::{self, Phases};
use crate::actors::{Client, Outcome, Record};
use crate::case::Role;
use crate::run::{Census, Gossip, Return, Run};
use core::time::Duration;
use pico_core::Instant;
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
    /// How they fared before, during and after what goes wrong.
    phases: Phases,
    /// Who was there when the load had ended.
    census: Census,
    /// How soon agents were back whose node had ended.
    returns: Vec<Return>,
}

impl Summary {
    /// What is to be said of this run.
    pub(super) fn of(run: &Run) -> Self {
        let mut records: Vec<(usize, &Record)> = Vec::new();
        for life in run.cast.of(Role::Client) {
            let (seats, zone) = (life.seats.iter(), run.case.shape.zone(life.member));
            let all = seats.flat_map(|seat| run.world.host::<Client>(*seat).records());
            records.extend(all.map(|record| (zone, record)));
        }
        records.sort_unstable_by_key(|(_, record)| (record.ended, record.id));
        let (mut ends, mut failed, mut took) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (_, record) in &records {
            let how = end(&record.outcome);
            *ends.entry(how.clone()).or_default() += 1;
            if matches!(record.outcome, Outcome::Complete { .. }) {
                took.push(record.ended.since(record.due));
            } else if phases::failed(run, record) {
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
            phases: Phases::of(run, &records),
            census: run.census(),
            returns: run.returns(),
        }
    }

    fn quantile(&self, percent: usize) -> Option<Duration> {
        let last = self.took.len().saturating_sub(1);
        self.took.get(last * percent / 100).copied()
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let secs = super::print::seconds(self.until);
        let total: u64 = self.ends.values().sum();
        let mut text = format!("{} within {secs:.0} simulated seconds\n", many(total, "request"));
        for (how, count) in &self.ends {
            put(&mut text, format_args!("  {count:6}  {how}\n"));
        }
        text += &self.phases.text();
        let ((came, went), deaths, hits) = (self.tunnels, self.deaths, self.hits);
        if came + went > 0 {
            let [came, went] = [came, went].map(|count| many(count, "time"));
            put(&mut text, format_args!("tunnels came {came} and went {went}; "));
        }
        let [died, hits] = [many(deaths, "process"), many(hits, "connection")];
        put(&mut text, format_args!("{died} died; faults befell {hits}\n"));
        let (befell, faults) = self.befell;
        if befell < faults {
            let all = many(faults, "fault");
            put(&mut text, format_args!("{befell} of {all} befell anything at all\n"));
        }
        self.put_returns(&mut text);
        self.put_cluster(&mut text);
        self.put_failed(&mut text);
        put(&mut text, format_args!("trace {:016x}", self.sum));
        text
    }

    /// How soon agents were back, death by death.
    fn put_returns(&self, text: &mut String) {
        for of in self.returns.iter().take(SHOWN) {
            let Return { node, at, told, agents, back, last } = of;
            let how = if *told { "was told to stop" } else { "died" };
            let (secs, agents) = (super::print::seconds(*at), many(*agents, "agent"));
            put(text, format_args!("{node} {how} at {secs:.1} s with {agents}: "));
            match last {
                Some(last) if *back == of.agents => {
                    let (took, last) = (last.since(*at), super::print::seconds(*last));
                    let took = took.as_secs_f64();
                    put(
                        text,
                        format_args!("the last was back {took:.1} s later, at {last:.1} s\n"),
                    );
                }
                Some(_) | None => put(text, format_args!("{back} came back\n")),
            }
        }
        if let Some(more) = self.returns.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            let slowest = |of: &Return| of.last.map(|last| last.since(of.at));
            let slowest = self.returns.iter().filter_map(slowest).max().unwrap_or_default();
            put(
                text,
                format_args!(
                    "and {} more like these; the slowest return took {:.1} s\n",
                    many(more, "end"),
                    slowest.as_secs_f64()
                ),
            );
        }
    }

    /// Who was there in the end, and what nodes had made of each other.
    fn put_cluster(&self, text: &mut String) {
        let Census { nodes, agents, gossip, .. } = &self.census;
        if *agents > 0 && nodes.len() > 1 {
            let held: usize = nodes.iter().map(|(_, held)| held).sum();
            let spread = if nodes.len() <= SPREAD_MAX {
                let parts = nodes.iter().map(|(name, held)| format!("{name} {held}"));
                parts.collect::<Vec<_>>().join(", ")
            } else {
                let counts = || nodes.iter().map(|(_, held)| *held);
                let [least, most] = [counts().min(), counts().max()].map(Option::unwrap_or_default);
                format!("{least} to {most} at each of {} nodes", nodes.len())
            };
            put(text, format_args!("{} when the load had ended: {spread}\n", many(held, "tunnel")));
        }
        let Some(Gossip { lives, suspicions, refuted, deaths, strange, bytes_s }) = gossip else {
            return;
        };
        let up = many(nodes.len(), "node");
        put(
            text,
            format_args!(
                "{up} when the load had ended, of {lives} starts; each node counts for itself: \
                 {} raised, {refuted} refuted by the suspected, {} held dead\n\
                 {} not understood; {bytes_s} bytes/s of gossip from each\n",
                many(*suspicions, "suspicion"),
                many(*deaths, "time"),
                many(*strange, "packet"),
            ),
        );
    }

    /// The first that failed, and how many more did when.
    fn put_failed(&self, text: &mut String) {
        let (Some((first, ..)), Some((last, ..))) = (self.failed.first(), self.failed.last())
        else {
            return;
        };
        let [first, last] = [first, last].map(|at| super::print::seconds(*at));
        let failed = many(self.failed.len(), "request");
        put(
            text,
            format_args!(
                "{failed} failed that neither end meant to fail, from {first:.1} s to {last:.1} s:\n"
            ),
        );
        for (at, id, how) in self.failed.iter().take(SHOWN) {
            let secs = super::print::seconds(*at);
            put(text, format_args!("  {secs:10.3} s  request {id}: {how}\n"));
        }
        // As many as there are lines for, however long it took.
        let more = self.failed.get(SHOWN..).unwrap_or_default();
        let secs = |at: &Instant| at.since(Instant::ZERO).as_secs();
        let all = more.first().zip(more.last()).map(|((a, ..), (b, ..))| secs(b) - secs(a));
        let each = [10, 60, 600, 3_600].into_iter().find(|each| all < Some(each * 20));
        let each = each.unwrap_or(86_400);
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        for (at, ..) in more {
            *counts.entry(secs(at) / each * each).or_default() += 1;
        }
        for (from, count) in counts {
            let to = from + each;
            put(text, format_args!("  {count:10} more from {from} s to {to} s\n"));
        }
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let failed = self.failed.iter().map(|(at, id, how)| {
            json!({ "at_s": super::print::seconds(*at), "request": id, "how": how })
        });
        let seconds = |percent| self.quantile(percent).map(|took| took.as_secs_f64());
        let [half, most, all] = [50, 99, 100].map(seconds);
        let nodes = self
            .census
            .nodes
            .iter()
            .map(|(node, tunnels)| json!({ "node": node, "tunnels": tunnels }));
        let returns = self.returns.iter().map(|of| {
            json!({
                "node": of.node,
                "at_s": super::print::seconds(of.at),
                "told": of.told,
                "agents": of.agents,
                "back": of.back,
                "last_back_s": of.last.map(super::print::seconds),
            })
        });
        let cluster = self.census.gossip.map(|gossip| {
            json!({
                "nodes": self.census.nodes.len(),
                "lives": gossip.lives,
                "suspicions": gossip.suspicions,
                "refuted": gossip.refuted,
                "deaths": gossip.deaths,
                "strange": gossip.strange,
                "bytes_s": gossip.bytes_s,
            })
        });
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
            "phases": self.phases.json(),
            "ended": {
                "at_s": super::print::seconds(self.census.at),
                "nodes": nodes.collect::<Vec<_>>(),
                "agents": self.census.agents,
            },
            "returns": returns.collect::<Vec<_>>(),
            "cluster": cluster,
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

/// So many of them, in words.
pub(super) fn many(count: impl Into<Count>, of: &str) -> String {
    let Count(count) = count.into();
    match (count, of.ends_with('s')) {
        (1, _) => format!("1 {of}"),
        (_, true) => format!("{count} {of}es"),
        (_, false) => format!("{count} {of}s"),
    }
}

/// A number of things.
pub(super) struct Count(u64);

impl From<u64> for Count {
    fn from(count: u64) -> Self {
        Self(count)
    }
}

impl From<usize> for Count {
    fn from(count: usize) -> Self {
        Self(count as u64)
    }
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes any text");
}

/// How many failed requests are named one by one.
const SHOWN: usize = 10;
/// Of so few nodes each is named with its tunnels.
const SPREAD_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::Served;

    #[test]
    fn the_page_defines_every_way_in_which_a_request_ends() {
        let page = include_str!("../../README.md");
        let error = |code: &str| Outcome::Error { status: 502, code: code.into() };
        let served = Served { name: "service-0".into(), life: 0 };
        for outcome in [
            Outcome::Complete { service: served },
            error("upstream_lost"),
            error(""),
            Outcome::Broken { begun: false, reused: false },
            Outcome::Broken { begun: true, reused: false },
            Outcome::Unreachable,
            Outcome::Aborted,
            Outcome::Silence,
            Outcome::Wrong("a byte".into()),
        ] {
            let row = format!("| `{}` | ", end(&outcome));
            assert!(page.contains(&row), "the page does not have: {row}");
        }
    }

    #[test]
    fn one_is_said_as_one() {
        assert_eq!(many(1_u64, "process"), "1 process");
        assert_eq!(many(2_u64, "process"), "2 processes");
        assert_eq!(many(0_usize, "seed"), "0 seeds");
    }
}
