//! Attempts to register that are under way, and listeners that wait for theirs.
//!
//! An agent of many endpoints that dialled for all of them at once would fill the server's queue
//! of connections, and most of its dials would time out. So they take turns, in the order in
//! which they came to want one: a listener whose attempt failed waits behind all others.

use alloc::collections::VecDeque;

/// Turns to dial.
#[derive(Debug, Default)]
pub(super) struct Dials {
    under_way: usize,
    /// Listeners, each at most once.
    waiting: VecDeque<usize>,
}

impl Dials {
    /// Has a listener wait for its turn.
    pub(super) fn queue(&mut self, listener: usize) {
        self.waiting.push_back(listener);
    }

    /// The listener whose turn it is, if fewer than `limit` attempts are under way.
    pub(super) fn next(&mut self, limit: usize) -> Option<usize> {
        if self.under_way < limit { self.waiting.pop_front() } else { None }
    }

    /// An attempt has begun.
    pub(super) fn begin(&mut self) {
        self.under_way += 1;
    }

    /// An attempt counts no more: it succeeded, failed, or has taken its time.
    pub(super) fn over(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Nobody waits any more.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }
}
