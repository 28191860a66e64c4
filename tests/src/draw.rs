//! Random decisions of the kinds that simulations need, from integers only, so that every
//! machine draws the same.

use core::time::Duration;
use pico_core::Dice;

/// What a simulation draws from [`Dice`].
pub trait Draw {
    /// A number below `bound`; 0 if `bound` is 0.
    fn index(&mut self, bound: usize) -> usize;

    /// A number between `low` and `high`, both included.
    fn between(&mut self, low: u64, high: u64) -> u64;

    /// Yes, in `some` of `many` cases.
    fn chance(&mut self, some: u64, many: u64) -> bool;

    /// A size of at least 1 and at most `most`, of any order of magnitude. `most` must not be 0.
    fn piece(&mut self, most: usize) -> usize {
        let scale = [1, 16, 256, 4096, usize::MAX][self.index(5)];
        1 + self.index(scale.min(most))
    }

    /// A span of time between two others.
    fn span(&mut self, low: Duration, high: Duration) -> Duration {
        let [low, high] = [low, high].map(|d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX));
        Duration::from_nanos(self.between(low, high))
    }

    /// One of `options`, of which there must be one.
    fn pick<'o, T>(&mut self, options: &'o [T]) -> &'o T {
        &options[self.index(options.len())]
    }
}

impl Draw for Dice {
    fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).expect("below a usize")
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    fn chance(&mut self, some: u64, many: u64) -> bool {
        self.below(many) < some
    }
}
