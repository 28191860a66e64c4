//! What came back.

use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// What came back.
#[derive(Clone, Debug)]
pub struct Tally {
    /// From when a request was due to the end of its answer, in microseconds; answers of any
    /// status.
    pub latency: Histogram<u64>,
    /// The same from when it was sent.
    pub service: Histogram<u64>,
    /// Answers, by status.
    pub statuses: BTreeMap<u16, u64>,
    /// What went wrong, by code; answers from 400 on without one are named by their status.
    pub errors: BTreeMap<String, u64>,
    /// Bytes of answers' bodies.
    pub bytes_in: u64,
    /// Bytes of requests' bodies that were sent.
    pub bytes_out: u64,
    /// Requests that were due and never sent, because no connection was free.
    pub unsent: u64,
    /// From when the first request was due to the last answer, or for as long as requests were
    /// due.
    pub span: Duration,
}

impl Default for Tally {
    /// Nothing yet.
    fn default() -> Self {
        let histogram = || Histogram::new_with_bounds(1, LONGEST, 3).expect("it has bounds");
        Self {
            latency: histogram(),
            service: histogram(),
            statuses: BTreeMap::new(),
            errors: BTreeMap::new(),
            bytes_in: 0,
            bytes_out: 0,
            unsent: 0,
            span: Duration::ZERO,
        }
    }
}

impl Tally {
    /// Counts an answer.
    pub fn answer(&mut self, status: u16, latency: Duration, service: Duration) {
        *self.statuses.entry(status).or_default() += 1;
        self.latency.saturating_record(micros(latency));
        self.service.saturating_record(micros(service));
    }

    /// Counts something that went wrong.
    pub fn error(&mut self, code: &str) {
        let known = self.errors.len() < CODES_MAX || self.errors.contains_key(code);
        let code = if known { code } else { OTHER };
        *self.errors.entry(code.to_owned()).or_default() += 1;
    }

    /// Adds what another thread, or a later time, has counted.
    pub fn add(&mut self, other: &Self) {
        // All have the same bounds, so that each value of one fits the other.
        let _ = self.latency.add(&other.latency);
        let _ = self.service.add(&other.service);
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (code, count) in &other.errors {
            *self.errors.entry(code.clone()).or_default() += count;
        }
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.unsent += other.unsent;
        self.span = self.span.max(other.span);
    }

    /// Answers of any status.
    pub fn answers(&self) -> u64 {
        self.latency.len()
    }

    /// Whatever went wrong.
    pub fn failures(&self) -> u64 {
        self.errors.values().sum()
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// Microseconds of the longest time that is told from longer ones: an hour.
const LONGEST: u64 = 3_600_000_000;
/// Codes that are told apart: they come from whoever answers.
const CODES_MAX: usize = 64;
const OTHER: &str = "other";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_have_counted_adds_up() {
        let (mut one, mut two) = (Tally::default(), Tally::default());
        one.answer(200, Duration::from_micros(100), Duration::from_micros(90));
        two.answer(502, Duration::from_secs(9), Duration::from_secs(1));
        two.error("no_upstream");
        one.add(&two);
        assert_eq!((one.answers(), one.failures()), (2, 1));
        assert!(one.latency.max() >= 8_990_000);
        assert_eq!(one.statuses[&502], 1);
    }

    #[test]
    fn codes_that_somebody_makes_up_do_not_grow_without_bound() {
        let mut tally = Tally::default();
        for number in 0..1000 {
            tally.error(&number.to_string());
        }
        assert_eq!(tally.errors.len(), CODES_MAX + 1);
        assert_eq!(tally.failures(), 1000);
    }
}
