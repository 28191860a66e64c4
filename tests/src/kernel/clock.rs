//! The clock of a process: it began some time, and runs fast or slow, in whole nanoseconds.

use pico_core::Instant;

/// What a process takes for the time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// What it showed when the world began.
    offset: u64,
    /// Millionths of a second that it shows for each second.
    pace: u32,
}

impl Clock {
    /// A clock that is `ppm` millionths fast. Clocks that stand still or run backwards are held
    /// to be a thousandth of the time fast.
    pub(super) fn new(offset: u64, ppm: i64) -> Self {
        let pace = (i64::from(MILLION) + ppm).clamp(1_000, i64::from(u32::MAX));
        Self { offset, pace: u32::try_from(pace).expect("it was just clamped") }
    }

    /// What it shows.
    pub(super) fn local(self, world: Instant) -> Instant {
        let shown = if self.pace == MILLION {
            world.as_nanos()
        } else {
            let scaled = u128::from(world.as_nanos()) * u128::from(self.pace);
            narrow(scaled / u128::from(MILLION))
        };
        Instant::from_nanos(shown.saturating_add(self.offset))
    }

    /// The first moment at which it shows `local` or later.
    pub(super) fn world(self, local: Instant) -> Instant {
        let shown = local.as_nanos().saturating_sub(self.offset);
        if self.pace == MILLION {
            return Instant::from_nanos(shown);
        }
        let scaled = u128::from(shown) * u128::from(MILLION);
        Instant::from_nanos(narrow(scaled.div_ceil(u128::from(self.pace))))
    }
}

fn narrow(wide: u128) -> u64 {
    u64::try_from(wide).unwrap_or(u64::MAX)
}

const MILLION: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_set_by_a_clock_that_drifts_is_never_early_nor_a_nanosecond_late() {
        for ppm in [-200_000, -101, -1, 0, 1, 99, 5_000, 1_000_000] {
            let clock = Clock::new(12_345, ppm);
            for world in [0, 1, 999_999, 1_000_003, 3_600_000_000_017] {
                let now = Instant::from_nanos(world);
                for ahead in [0, 1, 2, 7, 1_000_001] {
                    let goal = Instant::from_nanos(clock.local(now).as_nanos() + ahead);
                    let at = clock.world(goal);
                    assert!(clock.local(at) >= goal, "{ppm} {world} {ahead}");
                    let before = Instant::from_nanos(at.as_nanos().saturating_sub(1));
                    assert!(at == before || clock.local(before) < goal, "{ppm} {world} {ahead}");
                }
            }
        }
    }
}
