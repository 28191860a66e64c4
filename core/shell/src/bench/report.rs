//! What was measured, for people and for programs.

use super::plan::Plan;
use super::tally::Tally;
use super::words::{Late, Report};
use crate::clock::Clock;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// What was measured.
pub(super) struct Result {
    tally: Tally,
}

/// Adds up what all workers tell until they end, and shows on a terminal how it goes. Elsewhere it
/// says only what it waits for, if it has to.
pub(super) fn gather(reports: &Receiver<Report>, clock: Clock, plan: &Plan) -> Result {
    let (mut tally, mut lately) = (Tally::default(), Tally::default());
    let mut late = BTreeMap::new();
    let began = clock.now();
    let mut shown = began;
    let terminal = io::stderr().is_terminal();
    let mut told = false;
    while let Ok(report) = reports.recv() {
        tally.add(&report.tally);
        lately.add(&report.tally);
        late.insert(report.worker, report.late);
        let now = clock.now();
        let waiting = waiting(&late);
        // A closed terminal is no reason to stop measuring.
        if terminal && now.since(shown) >= SECOND {
            let line = waiting
                .unwrap_or_else(|| progress(&lately, now.since(shown), now.since(began), plan));
            let _ = write!(io::stderr(), "\r\u{1b}[K{line}");
            (shown, lately) = (now, Tally::default());
        } else if let Some(line) = waiting.filter(|_| !terminal && !told) {
            let _ = writeln!(io::stderr(), "pico: {line}");
            told = true;
        }
    }
    if terminal {
        let _ = write!(io::stderr(), "\r\u{1b}[K");
    }
    Result { tally }
}

/// What is waited for, if nothing else is left to do.
fn waiting(late: &BTreeMap<u64, Option<Late>>) -> Option<String> {
    let late: Option<Vec<Late>> = late.values().copied().collect();
    let late = late?;
    let answers: usize = late.iter().map(|late| late.answers).sum();
    let patience = late.iter().map(|late| late.patience).max()?.as_secs();
    let word = if answers == 1 { "answer" } else { "answers" };
    (answers > 0).then(|| format!("waiting for {answers} late {word}, {patience} s at most"))
}

fn progress(lately: &Tally, span: Duration, since: Duration, plan: &Plan) -> String {
    let rate = rate(lately.answers(), span);
    let quantile = |q| millis(&lately.latency, lately.latency.value_at_quantile(q));
    let (p50, p99) = (quantile(0.5), quantile(0.99));
    let failed = lately.failures();
    let (at, of) = (since.as_secs(), plan.duration.as_secs());
    format!("{at} of {of} s   {rate} requests/s   p50 {p50}   p99 {p99}   {failed} failed")
}

impl Result {
    /// Answers of any status.
    pub(super) fn answers(&self) -> u64 {
        self.tally.answers()
    }

    /// Answers that came whole, with a status below 400.
    pub(super) fn successes(&self) -> u64 {
        let good = self.tally.statuses.iter().filter(|(status, _)| **status < 400);
        good.map(|(_, count)| count).sum()
    }

    /// The result as it was asked for.
    pub(super) fn text(&self, plan: &Plan) -> String {
        if plan.json { self.json(plan).to_string() } else { self.plain(plan) }
    }

    fn plain(&self, plan: &Plan) -> String {
        let tally = &self.tally;
        let span = tally.span;
        let seconds = span.as_secs_f64();
        let mut text = String::new();
        let answers = tally.answers();
        let rate = rate(answers, span);
        let _ = writeln!(text, "Answers    {answers} in {seconds:.1} s, {rate} a second");
        let statuses = tally.statuses.iter().map(|(status, count)| format!("{status}: {count}"));
        let _ = writeln!(text, "Statuses   {}", listed(statuses));
        let errors = tally.errors.iter().map(|(code, count)| format!("{code}: {count}"));
        let _ = writeln!(text, "Failures   {}", listed(errors));
        if tally.unsent > 0 {
            let unsent = tally.unsent;
            let _ = writeln!(text, "Unsent     {unsent} were due when no connection was free");
        }
        let mib = |bytes: u64| mebibytes(bytes, span);
        let (sent, received) = (mib(tally.bytes_out), mib(tally.bytes_in));
        let _ = writeln!(text, "Bodies     {sent} MiB/s sent, {received} MiB/s received");
        let _ = writeln!(text, "Latency    {}", quantiles(&tally.latency));
        if plan.rate.is_some() {
            let _ = writeln!(text, "  as sent  {}", quantiles(&tally.service));
        }
        text
    }

    fn json(&self, plan: &Plan) -> Value {
        let tally = &self.tally;
        let seconds = tally.span.as_secs_f64().max(0.001);
        json!({
            "seconds": seconds,
            "connections": plan.connections,
            "rate": plan.rate,
            "endpoints": plan.endpoints.len(),
            "answers": tally.answers(),
            "answers_per_second": precise(tally.answers()) / seconds,
            "failures": tally.failures(),
            "unsent": tally.unsent,
            "statuses": tally.statuses,
            "errors": tally.errors,
            "bytes_sent": tally.bytes_out,
            "bytes_received": tally.bytes_in,
            "latency_us": times(&tally.latency),
            "latency_as_sent_us": times(&tally.service),
        })
    }
}

fn listed(parts: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = parts.collect();
    if all.is_empty() { "none".into() } else { all.join("   ") }
}

fn quantiles(histogram: &Histogram<u64>) -> String {
    let parts = QUANTILES.iter().map(|(name, quantile)| {
        format!("{name} {}", millis(histogram, histogram.value_at_quantile(*quantile)))
    });
    format!("{}   max {}", listed(parts), millis(histogram, histogram.max()))
}

fn times(histogram: &Histogram<u64>) -> Value {
    let any = !histogram.is_empty();
    let mut times = json!({
        "max": any.then(|| histogram.max()),
        "mean": any.then(|| histogram.mean()),
    });
    for (name, quantile) in QUANTILES {
        times[name] = any.then(|| histogram.value_at_quantile(quantile)).into();
    }
    times
}

fn rate(count: u64, span: Duration) -> String {
    format!("{:.0}", precise(count) / span.as_secs_f64().max(0.001))
}

fn mebibytes(bytes: u64, span: Duration) -> String {
    format!("{:.1}", precise(bytes) / f64::from(1 << 20) / span.as_secs_f64().max(0.001))
}

/// One of the times of a histogram; of one without any, a dash.
fn millis(histogram: &Histogram<u64>, micros: u64) -> String {
    if histogram.is_empty() {
        return "-".into();
    }
    format!("{}.{:02} ms", micros / 1000, micros % 1000 / 10)
}

#[expect(clippy::cast_precision_loss, reason = "what people read has three digits")]
fn precise(count: u64) -> f64 {
    count as f64
}

const SECOND: Duration = Duration::from_secs(1);
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];
