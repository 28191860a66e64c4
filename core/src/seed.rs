//! Randomness as a value: a seed given at construction, forked by name.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// Thirty-two bytes from which everything random is derived.
///
/// A machine forks its seed by name for each concern, so that one more draw in one place does
/// not shift another's. In production the shell takes it from the operating system; the
/// unpredictability of WebSocket masks rests on it.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// A seed of these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A seed for tests and simulations.
    pub fn from_u64(number: u64) -> Self {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(number.to_le_bytes()) {
            *to = from;
        }
        Self(bytes)
    }

    /// An independent seed for the concern `name`.
    #[must_use]
    pub fn fork(&self, name: &str) -> Self {
        self.fork_at(name, 0)
    }

    /// An independent seed for the `index`th holder of the concern `name`.
    #[must_use]
    pub fn fork_at(&self, name: &str, index: u64) -> Self {
        let mut rng = ChaCha8Rng::from_seed(self.0);
        rng.set_stream(fnv1a(name.as_bytes()) ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The stream of numbers that this seed stands for.
    pub fn roll(self) -> Dice {
        Dice(ChaCha8Rng::from_seed(self.0))
    }
}

/// Says nothing: a seed is a secret.
impl core::fmt::Debug for Seed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// A deterministic stream of random numbers (`ChaCha8`).
#[derive(Clone, Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The next 32 bits.
    pub fn word(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// The next 64 bits.
    pub fn long(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`; 0 if `bound` is 0. The bias is below `bound / 2^64`.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.long()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("the high half of a 128-bit product fits 64 bits")
    }
}

/// FNV-1a, 64 bits: stable across machines and releases, for names and shards, not for secrets.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
