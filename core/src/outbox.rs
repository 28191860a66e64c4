//! Bytes on their way out of a machine.

use alloc::collections::VecDeque;
use bytes::{Buf, BytesMut};

/// What a connection has to send: small writes gathered in one buffer, large ones kept as they
/// were read.
///
/// The driver writes its [`pieces`](Outbox::pieces) in one vectored call and reports how much the
/// socket took; for tests it is a [`Buf`]. An empty
/// outbox holds no memory.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Finished segments, oldest first; none is empty.
    segments: VecDeque<BytesMut>,
    /// Where small writes gather; younger than every segment.
    tail: BytesMut,
    len: usize,
    /// How often the last waiting byte has gone.
    emptied: u32,
}

/// Payloads up to this size are copied: a short slice must not pin the buffer it was read into.
pub const COPY_MAX: usize = 1024;

/// A tail of this size is closed and a new one begun, so that growing it never copies much.
const TAIL_MAX: usize = 16 * 1024;

/// The first allocation of a tail.
const TAIL_MIN: usize = 512;

impl Outbox {
    /// An empty outbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes waiting.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a copy of `bytes`.
    pub fn put(&mut self, bytes: &[u8]) {
        self.grow(bytes.len());
        self.tail.extend_from_slice(bytes);
        self.len = self.len.saturating_add(bytes.len());
    }

    /// Appends `bytes`: by reference if they are many, as a copy if they are few.
    pub fn push(&mut self, bytes: BytesMut) {
        if bytes.len() <= COPY_MAX {
            return self.put(&bytes);
        }
        self.close_tail();
        self.len = self.len.saturating_add(bytes.len());
        self.segments.push_back(bytes);
    }

    /// Moves everything that waits in `other` behind what waits here.
    pub fn append(&mut self, other: &mut Outbox) {
        while let Some(segment) = other.take() {
            self.push(segment);
        }
    }

    /// Takes the oldest segment out, in one piece.
    pub fn take(&mut self) -> Option<BytesMut> {
        let segment = match self.segments.pop_front() {
            Some(segment) => segment,
            None if self.tail.is_empty() => return None,
            None => core::mem::take(&mut self.tail),
        };
        self.len = self.len.saturating_sub(segment.len());
        Some(segment)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        let emptied = self.emptied.wrapping_add(1);
        *self = Self { emptied, ..Self::default() };
    }

    /// How often it has become empty, by which one who looks now and then can tell that it was
    /// in between.
    pub fn emptied(&self) -> u32 {
        self.emptied
    }

    /// Every waiting byte, as the pieces in which it lies.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.segments
            .iter()
            .chain(core::iter::once(&self.tail))
            .map(|p| &p[..])
            .filter(|p| !p.is_empty())
    }

    fn grow(&mut self, more: usize) {
        if self.tail.len().saturating_add(more) > TAIL_MAX {
            self.close_tail();
        }
        if self.tail.capacity() == 0 {
            self.tail.reserve(more.max(TAIL_MIN));
        }
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.segments.push_back(self.tail.split());
        }
    }
}

impl Buf for Outbox {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.segments.front().unwrap_or(&self.tail)
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.len, "a socket took {count} bytes of {} offered", self.len);
        self.len -= count;
        let mut left = count;
        while left > 0 {
            let Some(front) = self.segments.front_mut() else {
                self.tail.advance(left);
                break;
            };
            if left < front.len() {
                front.advance(left);
                break;
            }
            left -= front.len();
            self.segments.pop_front();
        }
        if self.len == 0 && count > 0 {
            self.clear();
        }
    }
}
