//! The ops that a replica has seen last.

use super::Op;
use alloc::collections::VecDeque;
use core::iter::Zip;
use core::ops::RangeInclusive;

/// How many of the last ops a replica keeps so that it can hand them on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RingLimits {
    /// Bytes that they cost on the wire together ([`Op::wire_bytes`]): more is not worth sending
    /// where a snapshot would do. In memory an op takes 24 bytes, and its endpoint's name at most
    /// 21 more than on the wire unless the state shares it.
    pub bytes: usize,
    /// How many there are.
    pub ops: usize,
}

impl RingLimits {
    /// Unless told otherwise, bytes on the wire.
    pub const BYTES: usize = 512 * 1024;
    /// Unless told otherwise, ops: three seconds of the busiest writer, at 5,000 a second.
    pub const OPS: usize = 16 * 1024;
}

impl Default for RingLimits {
    fn default() -> Self {
        Self { bytes: Self::BYTES, ops: Self::OPS }
    }
}

/// The last ops of a log, up to its head.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    ops: VecDeque<Op>,
    bytes: usize,
    head: u64,
    limits: RingLimits,
}

/// Ops with their numbers.
pub(super) type Numbered<'a> =
    Zip<RangeInclusive<u64>, alloc::collections::vec_deque::Iter<'a, Op>>;

impl Ring {
    /// Holds nothing of a log that is at `head`.
    pub(super) fn new(head: u64, limits: RingLimits) -> Self {
        Self { ops: VecDeque::new(), bytes: 0, head, limits }
    }

    /// Takes the next op and forgets the oldest ones that are too many.
    pub(super) fn push(&mut self, op: Op) {
        self.head = self.head.checked_add(1).expect("no log has 2^64 ops");
        self.bytes += op.wire_bytes();
        self.ops.push_back(op);
        self.trim();
    }

    /// Keeps to other limits from now on.
    pub(super) fn limit(&mut self, limits: RingLimits) {
        self.limits = limits;
        self.trim();
    }

    /// The number of the last op.
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// How much is kept at most.
    pub(super) fn limits(&self) -> RingLimits {
        self.limits
    }

    /// The number before that of the oldest op that is still held.
    pub(super) fn floor(&self) -> u64 {
        let held = u64::try_from(self.ops.len()).expect("a length fits 64 bits");
        self.head.checked_sub(held).expect("every op that is held was counted")
    }

    /// The ops behind number `seq`, if none of them was forgotten.
    pub(super) fn after(&self, seq: u64) -> Option<Numbered<'_>> {
        let seq = seq.min(self.head);
        let skipped = usize::try_from(seq.checked_sub(self.floor())?);
        let skipped = skipped.expect("not more than are held");
        Some((seq.saturating_add(1)..=u64::MAX).zip(self.ops.range(skipped..)))
    }

    fn trim(&mut self) {
        while self.ops.len() > self.limits.ops || self.bytes > self.limits.bytes {
            let Some(op) = self.ops.pop_front() else { return };
            self.bytes -= op.wire_bytes();
        }
    }
}
