//! Decisions: what proptest, libFuzzer, a corpus file and the exhaustive tests have in common.

use crate::exhaust::Odometer;
use core::time::Duration;

/// Decodes bytes into bounded decisions, front to back; or takes them from an [`Odometer`], which
/// goes through all of them.
///
/// Any bytes decode to something, small changes of the bytes to small changes of the decisions,
/// and exhausted choices are zeros: so that a fuzzer can mutate and proptest can shrink.
#[derive(Clone, Debug)]
pub struct Choices<'a> {
    source: Source<'a>,
}

#[derive(Clone, Debug)]
enum Source<'a> {
    Bytes(&'a [u8]),
    /// The wheels of an odometer, of which so many were read.
    Wheels(&'a Odometer, usize),
}

impl<'a> Choices<'a> {
    /// The decisions that `bytes` stand for.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { source: Source::Bytes(bytes) }
    }

    /// The decisions that `odometer` shows at present.
    pub const fn shown_by(odometer: &'a Odometer) -> Self {
        Self { source: Source::Wheels(odometer, 0) }
    }

    /// Whether every further choice is a zero.
    pub fn is_empty(&self) -> bool {
        match &self.source {
            Source::Bytes(rest) => rest.is_empty(),
            Source::Wheels(odometer, at) => odometer.is_beyond(*at),
        }
    }

    /// Whether an odometer has not shown these decisions before, as far as they were taken.
    pub(crate) fn is_new(&self) -> bool {
        match &self.source {
            Source::Bytes(_) => true,
            Source::Wheels(odometer, at) => odometer.is_new(*at),
        }
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        match &mut self.source {
            Source::Bytes(rest) => match rest.split_first() {
                Some((first, others)) => {
                    *rest = others;
                    *first
                }
                None => 0,
            },
            Source::Wheels(..) => u8::try_from(self.below(256)).expect("below 256"),
        }
    }

    /// Eight bytes, as a number.
    pub fn long(&mut self) -> u64 {
        (0..8).fold(0, |sum, _| (sum << 8) | u64::from(self.byte()))
    }

    /// A number below `bound`, which uses as few bytes as hold it; 0 if `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        if let Source::Wheels(odometer, at) = &mut self.source {
            return odometer.digit(at, bound);
        }
        let mut value: usize = 0;
        let mut most: usize = 0;
        while most < bound.saturating_sub(1) {
            value = (value << 8) | usize::from(self.byte());
            most = (most << 8) | 0xff;
        }
        value.checked_rem(bound).unwrap_or(0)
    }

    /// A number between `low` and `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// Yes, in `some` of `many` cases; no once exhausted.
    pub fn chance(&mut self, some: usize, many: usize) -> bool {
        self.below(many) >= many.saturating_sub(some)
    }

    /// One of `options`, the first once exhausted. There must be one.
    pub fn pick<'o, T>(&mut self, options: &'o [T]) -> &'o T {
        assert!(!options.is_empty(), "nothing to pick from");
        &options[self.below(options.len())]
    }

    /// A size up to `max` where small ones, and those near `max`, are as likely as all others.
    pub fn size(&mut self, max: usize) -> usize {
        match self.byte() % 4 {
            0 => self.below(max.min(16) + 1),
            1 => self.below(max.min(1024) + 1),
            2 => max - self.below(max.min(4) + 1),
            _ => self.below(max + 1),
        }
    }

    /// A span of time, from nothing to a minute, spread over the orders of magnitude at which
    /// machines have time-outs.
    pub fn span(&mut self) -> Duration {
        let unit = *self.pick(&[1, 1_000, 1_000_000, 100_000_000, 1_000_000_000, 60_000_000_000]);
        Duration::from_nanos(unit * u64::from(self.byte()) / 255)
    }

    /// Up to `max` bytes, taken as they are. None from an odometer, which would never be through
    /// with them.
    pub fn bytes(&mut self, max: usize) -> &'a [u8] {
        if matches!(self.source, Source::Wheels(..)) {
            return &[];
        }
        let count = self.below(max + 1);
        let Source::Bytes(rest) = &mut self.source else { return &[] };
        let (taken, others) = rest.split_at(count.min(rest.len()));
        *rest = others;
        taken
    }
}

/// `len` bytes that are a function of `key` and their place, so that both ends can check each.
pub fn keyed(key: u64, from: u64, len: usize) -> Vec<u8> {
    let skip = usize::try_from(from % 8).expect("below eight");
    let words = (from / 8..).map(|word| (key ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mixed = words.map(|word| (word ^ (word >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9));
    let mut bytes = Vec::with_capacity(len + 16);
    for word in mixed.take((skip + len).div_ceil(8)) {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.drain(..skip);
    bytes.truncate(len);
    bytes
}
