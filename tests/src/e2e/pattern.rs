//! Bodies of any length that need no memory and of which every byte can be checked.

use std::io::{self, Read, Write};

/// The bytes of a body: a block that no power of two divides, over and over.
#[derive(Debug)]
pub struct Pattern {
    at: usize,
    left: u64,
    block: Vec<u8>,
}

/// A prime, so that pieces that are lost, doubled or swapped do not fit in unseen.
const BLOCK: usize = 65_521;

impl Pattern {
    /// A body of `len` bytes.
    pub fn new(len: u64) -> Self {
        Self { at: 0, left: len, block: block() }
    }
}

impl Read for Pattern {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let rest = self.block.get(self.at..).unwrap_or_default();
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let count = rest.len().min(into.len()).min(left);
        for (to, from) in into.iter_mut().zip(rest).take(count) {
            *to = *from;
        }
        self.at = (self.at + count) % BLOCK;
        self.left -= u64::try_from(count).expect("no more than was left");
        Ok(count)
    }
}

/// Takes the bytes of a body and compares them with the [`Pattern`].
#[derive(Debug)]
pub struct Check {
    at: usize,
    count: u64,
    block: Vec<u8>,
}

impl Check {
    /// No byte was taken.
    pub fn new() -> Self {
        Self { at: 0, count: 0, block: block() }
    }

    /// How many bytes came, all of them right.
    pub fn count(&self) -> u64 {
        self.count
    }
}

impl Default for Check {
    fn default() -> Self {
        Self::new()
    }
}

impl Write for Check {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let rest = self.block.get(self.at..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        if bytes.get(..count) != rest.get(..count) {
            let message = format!("a wrong byte within {count} after {}", self.count);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        self.at = (self.at + count) % BLOCK;
        self.count += u64::try_from(count).expect("a length fits 64 bits");
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn block() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..BLOCK).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_passes_its_own_check() {
        let mut check = Check::new();
        assert_eq!(io::copy(&mut Pattern::new(1_000_003), &mut check).unwrap(), 1_000_003);
        assert_eq!(check.count(), 1_000_003);
    }

    #[test]
    fn a_missing_byte_is_found() {
        let mut bytes = Vec::new();
        Pattern::new(200_000).read_to_end(&mut bytes).unwrap();
        bytes.remove(70_000);
        assert!(Check::new().write_all(&bytes).is_err());
    }
}
