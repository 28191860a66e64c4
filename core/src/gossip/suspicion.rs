//! How long a suspicion lasts (Lifeguard, section IV-B): the shorter, the more agree.

use super::scale::log10_milli;
use crate::id::Boot;
use crate::time::Instant;
use alloc::vec::Vec;
use core::time::Duration;

/// A suspicion of one member.
#[derive(Clone, Debug)]
pub(super) struct Suspicion {
    since: Instant,
    /// How long it lasts at least and at most.
    min: Duration,
    max: Duration,
    /// Accusers that make it as short as it gets, beside the first.
    enough: usize,
    accusers: Vec<Boot>,
}

impl Suspicion {
    /// A suspicion that `by` has just raised, among so many members; `unit` is how long a
    /// probe takes.
    pub(super) fn new(now: Instant, by: Boot, members: usize, unit: Duration) -> Self {
        let milli = log10_milli(members).max(1_000);
        let milli = u32::try_from(milli).unwrap_or(u32::MAX);
        let min = unit.saturating_mul(4).saturating_mul(milli) / 1_000;
        // Oneself, the suspect and the first accuser cannot confirm.
        let enough = CONFIRMATIONS.min(members.saturating_sub(2));
        let accusers = alloc::vec![by];
        Self { since: now, min, max: min.saturating_mul(MAX_TIMES), enough, accusers }
    }

    /// Another accuses. Whether that is news worth passing on.
    pub(super) fn confirm(&mut self, by: Boot) -> bool {
        let new = self.accusers.len() <= self.enough && !self.accusers.contains(&by);
        if new {
            self.accusers.push(by);
        }
        new
    }

    /// It ends so much later, because nobody could hear of a refutation for so long.
    pub(super) fn put_off(&mut self, by: Duration) {
        self.since = self.since + by;
    }

    /// When it ends.
    pub(super) fn until(&self) -> Instant {
        let confirmed = self.accusers.len().saturating_sub(1);
        let span = self.max.saturating_sub(self.min);
        let full = log10_milli(self.enough.saturating_add(1));
        let part = log10_milli(confirmed.saturating_add(1)).min(full);
        let saved = if full == 0 {
            span
        } else {
            let [part, full] = [part, full].map(|milli| u32::try_from(milli).unwrap_or(u32::MAX));
            span.saturating_mul(part) / full
        };
        self.since + self.max.saturating_sub(saved)
    }
}

/// Accusers beside the first that end a suspicion soonest (Lifeguard's K).
pub(super) const CONFIRMATIONS: usize = 3;
const MAX_TIMES: u32 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_agree_the_sooner_it_ends() {
        let period = Duration::from_millis(500);
        let mut suspicion = Suspicion::new(Instant::ZERO, Boot(1), 100, period);
        let mut before = suspicion.until();
        assert_eq!(before, Instant::ZERO + Duration::from_secs(48));
        for by in 2..=4 {
            assert!(suspicion.confirm(Boot(by)));
            assert!(!suspicion.confirm(Boot(by)), "each counts once");
            assert!(suspicion.until() < before);
            before = suspicion.until();
        }
        assert_eq!(before, Instant::ZERO + Duration::from_secs(4));
        assert!(!suspicion.confirm(Boot(5)), "enough is enough");
    }

    #[test]
    fn of_two_nodes_one_decides_alone() {
        let suspicion = Suspicion::new(Instant::ZERO, Boot(1), 2, Duration::from_millis(500));
        assert_eq!(suspicion.until(), Instant::ZERO + Duration::from_secs(2));
    }
}
