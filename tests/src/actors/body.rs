//! A body on its way out of an actor.

use super::wire::chunk;
use crate::draw::Draw as _;
use pico_core::Dice;

/// How far a body was written.
#[derive(Debug)]
pub(super) struct Writing {
    at: usize,
    len: usize,
    chunked: bool,
    ended: bool,
    /// Whether it breaks off instead of ending.
    cut: bool,
}

impl Writing {
    pub(super) const fn new(len: usize, chunked: bool) -> Self {
        Self { at: 0, len, chunked, ended: false, cut: false }
    }

    /// Nothing, at all.
    pub(super) const fn empty() -> Self {
        Self { ended: true, ..Self::new(0, false) }
    }

    /// One that breaks off after `len` bytes.
    pub(super) const fn cut(len: usize, chunked: bool) -> Self {
        Self { cut: true, ..Self::new(len, chunked) }
    }

    /// Whether the moment has come to break off.
    pub(super) const fn is_cut(&self) -> bool {
        self.cut && self.at == self.len
    }

    pub(super) const fn is_ended(&self) -> bool {
        self.ended
    }

    /// The next piece as it goes to the wire, of the bytes that `content` gives for a place and
    /// a length.
    pub(super) fn next(
        &mut self,
        dice: &mut Dice,
        content: impl Fn(usize, usize) -> Vec<u8>,
    ) -> Vec<u8> {
        let left = self.len - self.at;
        if left == 0 {
            let end: &[u8] = if self.ended || !self.chunked { b"" } else { b"0\r\n\r\n" };
            self.ended = true;
            return end.to_vec();
        }
        let count = dice.piece(left.min(PIECE_MAX));
        let bytes = content(self.at, count);
        self.at += count;
        self.ended = self.at == self.len && !self.chunked && !self.cut;
        if self.chunked { chunk(&bytes) } else { bytes }
    }
}

const PIECE_MAX: usize = 20_000;
