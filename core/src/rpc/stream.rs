//! One call: where each of its directions stands, and what may be received and sent.

use super::hello::CREDIT_MAX;
use crate::head::Fields;
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::time::Instant;
use crate::varint;
use alloc::boxed::Box;
use core::time::Duration;

/// How far one direction of a call has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// A response whose final head is still to come.
    Head,
    /// A body, which trailers may end.
    Body,
    /// Raw bytes after a 101.
    Raw,
    /// Nothing more comes.
    Ended,
}

/// What stands behind the data that is queued.
#[derive(Debug)]
pub(super) enum Tail {
    /// Nothing so far, or nothing any more.
    None,
    /// The end of the direction.
    End,
    /// Trailers, which end the direction.
    Trailers(Box<Fields>),
}

/// One call, from either side.
#[derive(Debug)]
pub(super) struct Stream<T> {
    pub(super) tag: Option<T>,
    /// What the peer says.
    pub(super) inbound: Stage,
    /// What our parent has said, of which some may still be queued.
    pub(super) outbound: Stage,
    pub(super) window: Window,
    /// Bytes that the parent may still say.
    pub(super) credit: usize,
    /// Data that waits for room.
    pub(super) queue: Outbox,
    pub(super) tail: Tail,
    /// The message that holds its request, if we opened it.
    pub(super) message: u64,
    /// Interim responses that came.
    pub(super) interims: usize,
    /// Whether the parent, having said all, wants no more from the peer: a reset that says so
    /// stands behind what waits.
    pub(super) sated: bool,
}

impl<T> Stream<T> {
    /// Whether data waits for room. The tail waits behind data only.
    pub(super) fn waits(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether the parent hears nothing more of it: because all is said, or at its own wish.
    pub(super) fn is_left(&self) -> bool {
        self.is_over() || self.sated
    }

    /// Whether each side has said its last.
    pub(super) fn is_over(&self) -> bool {
        self.inbound == Stage::Ended && self.outbound == Stage::Ended
    }

    /// Whether nothing of it is left to do.
    pub(super) fn is_done(&self) -> bool {
        self.is_over() && !self.waits()
    }

    /// Adds the peer's credit, unless it could overflow what a peer may grant.
    pub(super) fn granted(&mut self, count: u64) -> Result<usize, Reason> {
        let open = varint::wide(self.credit.saturating_add(self.queue.len()));
        if open.saturating_add(count) > CREDIT_MAX {
            return Err(Reason::FlowControl);
        }
        let count = varint::narrow(count);
        self.credit += count;
        Ok(count)
    }
}

/// What one stream's peer may send: `left` is granted and did not come, `unread` came and was
/// not taken, and both together never exceed `size`.
#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    left: usize,
    unread: usize,
    /// Bytes taken since `since`.
    taken: usize,
    since: Instant,
}

impl Window {
    pub(super) fn new(size: usize, now: Instant) -> Self {
        Self { size, left: size, unread: 0, taken: 0, since: now }
    }

    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// Whether `count` more bytes are granted.
    pub(super) const fn allows(&self, count: usize) -> bool {
        count <= self.left
    }

    /// Notes bytes that came, after [`allows`](Self::allows) said yes to all of their frame.
    pub(super) fn received(&mut self, count: usize) {
        self.left = self.left.saturating_sub(count);
        self.unread += count;
    }

    /// Notes that bytes were taken. Returns whether the consumer keeps up so well that the window
    /// may be what holds the peer back: a whole one was taken within two round trips.
    pub(super) fn taken(&mut self, count: usize, now: Instant, rtt: Option<Duration>) -> bool {
        let count = count.min(self.unread);
        self.unread -= count;
        self.taken += count;
        if self.taken < self.size {
            return false;
        }
        let fast = rtt.is_some_and(|rtt| now.since(self.since) <= rtt.saturating_mul(2));
        self.taken = 0;
        self.since = now;
        fast
    }

    pub(super) fn grow(&mut self, count: usize) {
        self.size += count;
    }

    /// What to grant now: nothing until it is half of the window or [`GRANT`], so that credit
    /// frames are few, and that a peer far away is not kept waiting for what is long free.
    pub(super) fn grant(&mut self) -> Option<usize> {
        let owed = self.size.saturating_sub(self.left).saturating_sub(self.unread);
        if owed == 0 || owed < GRANT.min(self.size / 2) {
            return None;
        }
        self.left += owed;
        Some(owed)
    }
}

/// What is granted at once, however large a window is. A sender has spent half of a large window
/// before it hears of the half that was taken: a way that holds a large part of the window would
/// run dry.
const GRANT: usize = 256 * 1024;
