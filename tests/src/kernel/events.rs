//! What will happen, in order.

use pico_core::Instant;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Events ordered by time, and those of one time by when they were added.
#[derive(Debug)]
pub struct Events<E> {
    heap: BinaryHeap<Reverse<(Instant, u64)>>,
    what: BTreeMap<u64, E>,
    serial: u64,
}

impl<E> Events<E> {
    /// Nothing will happen.
    pub const fn new() -> Self {
        Self { heap: BinaryHeap::new(), what: BTreeMap::new(), serial: 0 }
    }

    /// Lets `event` happen at `at`.
    pub fn add(&mut self, at: Instant, event: E) {
        self.serial += 1;
        self.heap.push(Reverse((at, self.serial)));
        self.what.insert(self.serial, event);
    }

    /// When the next event happens.
    pub fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the next event.
    pub fn pop(&mut self) -> Option<(Instant, E)> {
        let Reverse((at, serial)) = self.heap.pop()?;
        let event = self.what.remove(&serial).expect("every heap entry has its event");
        Some((at, event))
    }
}

impl<E> Default for Events<E> {
    fn default() -> Self {
        Self::new()
    }
}
