//! A fast running hash that is the same on every machine and in every release.

use core::fmt;
use core::hash::{BuildHasherDefault, Hasher};
use std::collections::HashMap;

/// A table in which things are found quickly. What lies in it is never gone through, so its order
/// means nothing.
pub type Table<K, V> = HashMap<K, V, BuildHasherDefault<Hash>>;

/// Sums up text and bytes; two different histories have, in all likelihood, different sums.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hash(u64);

impl Hash {
    /// The hash of nothing.
    pub const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    /// Adds bytes, however long, with their length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.number(u64::from_le_bytes(word.try_into().expect("a chunk of eight")));
        }
        for byte in words.remainder() {
            self.number(u64::from(*byte));
        }
    }

    /// Adds what `value` shows of itself.
    pub fn shown(&mut self, value: &dyn fmt::Debug) {
        fmt::write(self, format_args!("{value:?}")).expect("hashing takes any text");
    }

    /// The sum.
    pub const fn sum(self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        mixed ^ (mixed >> 32)
    }
}

impl Default for Hash {
    fn default() -> Self {
        Self::new()
    }
}

impl Hasher for Hash {
    fn write(&mut self, bytes: &[u8]) {
        self.bytes(bytes);
    }

    fn write_u32(&mut self, number: u32) {
        self.number(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.number(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.number(number as u64);
    }

    fn finish(&self) -> u64 {
        self.sum()
    }
}

impl fmt::Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}
