//! The processor of a process: when it may run, and what its turns cost.

use pico_core::Instant;

/// When a process runs, and how fast.
#[derive(Clone, Debug, Default)]
pub(super) struct Cpu {
    /// When it gets no processor: in order, apart from each other, without the end.
    pauses: Vec<(Instant, Instant)>,
    /// When it is so many times slower.
    slow: Vec<(Instant, Instant, u32)>,
}

impl Cpu {
    pub(super) fn new(
        mut pauses: Vec<(Instant, Instant)>,
        slow: Vec<(Instant, Instant, u32)>,
    ) -> Self {
        pauses.retain(|(from, to)| from < to);
        pauses.sort_unstable();
        pauses.dedup_by(|later, earlier| {
            let touch = later.0 <= earlier.1;
            if touch {
                earlier.1 = earlier.1.max(later.1);
            }
            touch
        });
        Self { pauses, slow }
    }

    /// The first moment from `at` on at which it may run.
    pub(super) fn awake(&self, at: Instant) -> Instant {
        let pause = self.pauses.iter().find(|(from, to)| (*from..*to).contains(&at));
        pause.map_or(at, |(_, end)| *end)
    }

    /// How many nanoseconds a turn takes that begins at `at`.
    pub(super) fn cost(&self, at: Instant, inputs: u64, bytes: u64) -> u64 {
        let times = self.slow.iter().filter(|(from, to, _)| (*from..*to).contains(&at));
        let times = times.map(|(_, _, times)| u64::from(*times)).max().unwrap_or(1);
        let nanos = TURN_NANOS + inputs * INPUT_NANOS + bytes / BYTES_A_NANO;
        nanos.saturating_mul(times.max(1))
    }
}

/// To be woken and to look around.
const TURN_NANOS: u64 = 2_000;
/// A call to the system and what the machine thinks of it.
const INPUT_NANOS: u64 = 1_000;
/// Copies and masks.
const BYTES_A_NANO: u64 = 4;
