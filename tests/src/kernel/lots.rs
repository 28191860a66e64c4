//! Random numbers for what happens often: a word of state, and a multiplication or three a draw.

use crate::draw::Draw;

/// A deterministic stream of random numbers (`SplitMix64`).
///
/// Streams are forked by what they are for, so that no two of them shift each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lots(u64);

impl Lots {
    pub(super) const fn new(key: u64) -> Self {
        Self(key)
    }

    /// An independent stream. Fork from one that nothing was drawn from.
    pub(super) const fn fork(self, name: u64) -> Self {
        Self(mix(self.0 ^ mix(name.wrapping_add(STEP))))
    }

    pub(super) const fn long(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// As many draws as anybody likes, at the price of one: what is drawn for one packet does not
    /// shift what is drawn for the next.
    pub(super) const fn apart(&mut self) -> Self {
        Self(self.long())
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.long()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("the high half of a 128-bit product fits 64 bits")
    }
}

impl Draw for Lots {
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

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

const fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
