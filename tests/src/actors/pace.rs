//! The rhythm in which bytes are sent, as both ends know it.

use core::time::Duration;
use pico_core::Instant;

/// Pauses in a stream of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// There is a pause behind each so many bytes, but not behind the last; at 0 there is none.
    pub every: usize,
    /// How long it is.
    pub pause: Duration,
}

impl Pace {
    /// Without a pause.
    pub const STEADY: Self = Self { every: 0, pause: Duration::ZERO };

    /// Pauses `pause` behind each `every` bytes.
    pub const fn new(every: usize, pause: Duration) -> Self {
        Self { every, pause }
    }

    /// The pause that belongs behind the first `at` bytes.
    pub const fn pause_at(&self, at: usize) -> Duration {
        let due = at > 0 && self.every > 0 && at.is_multiple_of(self.every);
        if due { self.pause } else { Duration::ZERO }
    }

    /// How many bytes there are from `at` to the next pause.
    pub const fn until_pause(&self, at: usize) -> usize {
        if self.every == 0 { usize::MAX } else { self.every - at % self.every }
    }
}

/// How a stream of bytes came in.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Flow {
    /// How many bytes came.
    pub(super) got: usize,
    /// The longest wait between two of them, less the pause that was planned there.
    pub(super) gap: Duration,
    /// Since when more was waited for.
    since: Option<Instant>,
}

impl Flow {
    /// From now on bytes are waited for.
    pub(super) fn wait(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// `count` bytes came, sent in the rhythm of `pace`.
    pub(super) fn moved(&mut self, now: Instant, count: usize, pace: &Pace) {
        if let Some(since) = self.since {
            let planned = pace.pause_at(self.got);
            self.gap = self.gap.max(now.since(since).saturating_sub(planned));
        }
        self.since = Some(now);
        self.got += count;
    }
}
