//! What will happen, in order.

use pico_core::Instant;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Events ordered by time, and those of one time by when they were added.
///
/// The heap holds small keys only; what happens lies beside it and is never moved.
#[derive(Debug)]
pub(super) struct Events<E> {
    heap: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    what: Vec<Option<E>>,
    free: Vec<usize>,
    serial: u64,
}

impl<E> Events<E> {
    /// Nothing will happen.
    pub(super) const fn new() -> Self {
        Self { heap: BinaryHeap::new(), what: Vec::new(), free: Vec::new(), serial: 0 }
    }

    /// Lets `event` happen at `at`.
    pub(super) fn add(&mut self, at: Instant, event: E) {
        self.serial += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.what.push(None);
            self.what.len() - 1
        });
        self.what[place] = Some(event);
        self.heap.push(Reverse((at, self.serial, place)));
    }

    /// When the next event happens.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }

    /// Takes the next event.
    pub(super) fn pop(&mut self) -> Option<(Instant, E)> {
        let Reverse((at, _, place)) = self.heap.pop()?;
        self.free.push(place);
        let event = self.what[place].take().expect("every heap entry has its event");
        Some((at, event))
    }
}

impl<E> Default for Events<E> {
    fn default() -> Self {
        Self::new()
    }
}
