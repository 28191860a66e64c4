//! Timers with typed keys inside and one deadline outside.

use crate::time::Instant;
use alloc::collections::{BTreeMap, BinaryHeap};
use alloc::vec::Vec;
use core::cmp::Reverse;

/// The timers of one machine: at most one per key, so that a stale timer cannot exist.
///
/// Made for the handful of keys that one connection has; setting and clearing walk a short list.
/// For many keys see [`Agenda`].
#[derive(Clone, Debug)]
pub struct Timers<K> {
    set: Vec<(K, Instant)>,
}

impl<K: Copy + Ord> Timers<K> {
    /// No timers.
    pub const fn new() -> Self {
        Self { set: Vec::new() }
    }

    /// Sets `key` to fire at `at`, in place of any earlier setting.
    pub fn set(&mut self, key: K, at: Instant) {
        match self.set.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => *old = at,
            None => self.set.push((key, at)),
        }
    }

    /// Forgets `key`.
    pub fn clear(&mut self, key: K) {
        self.set.retain(|(k, _)| *k != key);
    }

    /// Forgets every key.
    pub fn clear_all(&mut self) {
        self.set.clear();
    }

    /// When `key` is set to fire.
    pub fn get(&self, key: K) -> Option<Instant> {
        self.set.iter().find(|(k, _)| *k == key).map(|(_, at)| *at)
    }

    /// The earliest time at which anything fires.
    pub fn deadline(&self) -> Option<Instant> {
        self.set.iter().map(|(_, at)| *at).min()
    }

    /// Takes a key that is due at `now`: the earliest, and of equals the smallest key.
    pub fn pop(&mut self, now: Instant) -> Option<K> {
        let (key, at) = self.set.iter().copied().min_by_key(|(k, at)| (*at, *k))?;
        if at > now {
            return None;
        }
        self.clear(key);
        Some(key)
    }
}

impl<K: Copy + Ord> Default for Timers<K> {
    fn default() -> Self {
        Self::new()
    }
}

/// Who of many children wants to be ticked when.
///
/// A child whose deadline moves later is left where it is and asked again when its old time
/// comes: that costs one early tick, which by law changes nothing, and saves the heap on every
/// request.
#[derive(Clone, Debug)]
pub struct Agenda<K> {
    heap: BinaryHeap<Reverse<(Instant, K)>>,
    earliest: BTreeMap<K, Instant>,
}

impl<K: Copy + Ord> Agenda<K> {
    /// Nobody wants anything.
    pub const fn new() -> Self {
        Self { heap: BinaryHeap::new(), earliest: BTreeMap::new() }
    }

    /// Notes that `key` wants a tick at `at` or, if it is already due earlier, no later.
    pub fn want(&mut self, key: K, at: Option<Instant>) {
        let Some(at) = at else { return };
        if self.earliest.get(&key).is_none_or(|old| at < *old) {
            self.earliest.insert(key, at);
            self.heap.push(Reverse((at, key)));
            self.sweep();
        }
    }

    /// Throws lapsed entries away once they are the most of the heap, so that it never holds
    /// more than about twice what is current.
    fn sweep(&mut self) {
        if self.heap.len() > SWEEP_MIN.max(self.earliest.len().saturating_mul(2)) {
            self.heap = self.earliest.iter().map(|(key, at)| Reverse((*at, *key))).collect();
        }
    }

    /// Forgets `key`. Nobody is woken for entries of the heap that lapse by it.
    pub fn forget(&mut self, key: K) {
        if self.earliest.remove(&key).is_some() {
            self.drop_lapsed();
        }
    }

    /// Takes what has lapsed off the top of the heap.
    fn drop_lapsed(&mut self) {
        while let Some(Reverse((at, key))) = self.heap.peek()
            && self.earliest.get(key) != Some(at)
        {
            self.heap.pop();
        }
    }

    /// How many keys want a tick.
    pub(crate) fn len(&self) -> usize {
        self.earliest.len()
    }

    /// Takes a key that is due at `now`. Ask it for its new deadline and [`want`](Self::want) it.
    pub fn pop(&mut self, now: Instant) -> Option<K> {
        // What is on top has not lapsed: whatever makes it lapse looks to that.
        let Reverse((at, key)) = *self.heap.peek()?;
        if at > now {
            return None;
        }
        self.heap.pop();
        self.earliest.remove(&key);
        self.drop_lapsed();
        Some(key)
    }

    /// The earliest time at which anybody is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }
}

/// A heap up to this size is not worth sweeping.
const SWEEP_MIN: usize = 64;

impl<K: Copy + Ord> Default for Agenda<K> {
    fn default() -> Self {
        Self::new()
    }
}
