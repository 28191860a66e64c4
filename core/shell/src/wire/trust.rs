//! Those who have yet to show that they have the keys, and what is told of those who have not.

use pico_core::Instant;
use pico_core::id::ConnId;
use std::collections::VecDeque;
use std::time::Duration;

/// What a driver knows of handshakes.
#[derive(Default, Debug)]
pub struct Trust {
    /// Who was accepted and has not finished its handshake, and until when it may, oldest first.
    /// No machine knows of them.
    waiting: VecDeque<(Instant, ConnId)>,
    /// Nothing is told before this time.
    quiet_until: Option<Instant>,
    suppressed: u64,
}

impl Trust {
    /// Somebody has connected.
    pub fn begin(&mut self, now: Instant, conn: ConnId) {
        self.waiting.push_back((now + HANDSHAKE, conn));
    }

    /// It has finished its handshake, or is gone.
    pub fn forget(&mut self, conn: ConnId) {
        if let Some(at) = self.waiting.iter().position(|(_, waiting)| *waiting == conn) {
            self.waiting.remove(at);
        }
    }

    /// Somebody who has not finished in time, or is the oldest of too many.
    pub fn late(&mut self, now: Instant) -> Option<ConnId> {
        let full = self.waiting.len() > HANDSHAKES;
        let (due, conn) = self.waiting.front()?;
        (full || *due <= now).then_some(*conn)
    }

    /// When somebody will be late.
    pub fn deadline(&self) -> Option<Instant> {
        self.waiting.front().map(|(due, _)| *due)
    }

    /// Whether to tell of somebody who is not trusted now, and of how many it was not told before.
    pub fn tell(&mut self, now: Instant) -> Option<u64> {
        if self.quiet_until.is_some_and(|until| now < until) {
            self.suppressed += 1;
            return None;
        }
        self.quiet_until = Some(now + QUIET);
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes under way; one more is too many for the oldest.
const HANDSHAKES: usize = 256;
/// How long nothing is told after something was.
const QUIET: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use pico_core::id::{ConnIds, Side};

    #[test]
    fn who_takes_too_long_is_late_and_so_is_the_oldest_of_too_many() {
        let (mut trust, mut ids) = (Trust::default(), ConnIds::new(Side::Accepted));
        let all: Vec<ConnId> = (0..=HANDSHAKES).map(|_| ids.issue()).collect();
        let now = Instant::ZERO;
        trust.begin(now, all[0]);
        trust.begin(now, all[1]);
        assert_eq!((trust.late(now), trust.deadline()), (None, Some(now + HANDSHAKE)));
        trust.forget(all[0]);
        assert_eq!(trust.late(now + HANDSHAKE), Some(all[1]));
        trust.forget(all[1]);
        assert_eq!((trust.late(now + HANDSHAKE), trust.deadline()), (None, None));
        for conn in &all {
            trust.begin(now, *conn);
        }
        assert_eq!(trust.late(now), Some(all[0]));
        trust.forget(all[0]);
        assert_eq!(trust.late(now), None);
    }

    #[test]
    fn what_is_not_told_is_counted() {
        let mut trust = Trust::default();
        let at = |second| Instant::ZERO + Duration::from_secs(second);
        let told: Vec<_> = [0, 1, 9, 10, 20].map(|second| trust.tell(at(second))).into();
        assert_eq!(told, [Some(0), None, None, Some(2), Some(0)]);
    }
}
