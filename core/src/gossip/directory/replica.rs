//! What one node knows of the endpoints of another, or of its own.

use super::ring::{Ring, RingLimits};
use super::{Op, wire_bytes};
use crate::routing::EndpointId;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;
use core::ops::Bound;
use thiserror::Error;

/// Which endpoints one writer serves, as of some number of its log: always a prefix of that log.
///
/// An endpoint of 20 bytes takes some 70 to 76 bytes in memory, and 84 at worst, when removals
/// have left every node of the tree half empty: 40 of them are its name, which others share.
/// `benches/directory.rs` measures it.
#[derive(Clone, Debug)]
pub struct Replica {
    state: BTreeMap<EndpointId, u8>,
    /// Its head is that of the state too.
    ring: Ring,
}

/// Some entries of a replica, in the order of their keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// What is served, each with a weight that is not 0.
    pub entries: Vec<Op>,
    /// The number of the last op that the replica had applied when the page was taken.
    pub head: u64,
    /// Whether there is nothing behind these entries.
    pub last: bool,
}

/// Ops are missing between those that came and those that were applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("expected op {} at the latest, came {first}", head.saturating_add(1))]
pub struct Gap {
    /// The last op that was applied.
    pub head: u64,
    /// The first op that came.
    pub first: u64,
}

/// Some of the ops that were asked for are not kept any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("expected a number of {floor} at least, came {after}")]
pub struct Behind {
    /// Behind which number ops were asked for.
    pub after: u64,
    /// The lowest number behind which every op is still there.
    pub floor: u64,
}

impl Replica {
    /// Nothing is known yet: the log is at 0.
    pub fn new(limits: RingLimits) -> Self {
        Self::at(0, limits)
    }

    /// Nothing is known of a log that is at `head`: the entries follow by [`put`](Self::put).
    pub(super) fn at(head: u64, limits: RingLimits) -> Self {
        Self { state: BTreeMap::new(), ring: Ring::new(head, limits) }
    }

    /// Applies ops that are numbered from `first` on.
    ///
    /// Those that were applied before are skipped. If one is missing in between, nothing is
    /// changed. What is other than before is appended to `changed`.
    pub fn apply(
        &mut self,
        first: u64,
        ops: impl IntoIterator<Item = Op>,
        changed: &mut Vec<Op>,
    ) -> Result<(), Gap> {
        self.follow(first, ops, |op| changed.push(op.clone()))
    }

    /// As [`apply`](Self::apply), with each change told to `changed`.
    pub(super) fn follow(
        &mut self,
        first: u64,
        ops: impl IntoIterator<Item = Op>,
        mut changed: impl FnMut(&Op),
    ) -> Result<(), Gap> {
        let head = self.head();
        if first > head.saturating_add(1) {
            return Err(Gap { head, first });
        }
        for (seq, op) in (first..=u64::MAX).zip(ops) {
            if seq > head {
                if self.put(&op) {
                    changed(&op);
                }
                self.ring.push(op);
            }
        }
        Ok(())
    }

    /// Sets an entry without counting it as an op; says whether it was another one before.
    pub(super) fn put(&mut self, op: &Op) -> bool {
        if op.weight == 0 {
            return self.state.remove(&op.endpoint).is_some();
        }
        match self.state.entry(op.endpoint.clone()) {
            Entry::Vacant(place) => {
                place.insert(op.weight);
                true
            }
            Entry::Occupied(mut place) => place.insert(op.weight) != op.weight,
        }
    }

    /// Becomes what `newer` is, which is of the same log and not behind, with its own limits.
    ///
    /// Entries that are the same in both stay as they are, names in memory included, because
    /// others share those.
    pub(super) fn catch_up(&mut self, newer: Self, changed: &mut Vec<Op>) {
        debug_assert!(newer.head() >= self.head(), "a replica never goes back");
        let limits = self.ring.limits();
        let start = changed.len();
        differences(&self.state, &newer.state, changed);
        if self.state.is_empty() {
            self.state = newer.state;
        } else {
            for op in changed.iter().skip(start) {
                self.put(op);
            }
        }
        self.ring = newer.ring;
        self.ring.limit(limits);
    }

    /// The ops behind number `seq` with their own numbers; none if the log is not beyond it.
    pub fn after(&self, seq: u64) -> Result<impl Iterator<Item = (u64, &Op)>, Behind> {
        self.ring.after(seq).ok_or_else(|| Behind { after: seq, floor: self.ring.floor() })
    }

    /// The entries behind `after` in the order of their keys: at least one if there is any, and
    /// as many more as cost up to `bytes` on the wire with it ([`Op::wire_bytes`]).
    pub fn page(&self, after: Option<&EndpointId>, bytes: usize) -> Page {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.state.range::<EndpointId, _>((from, Bound::Unbounded));
        let mut rest = behind.peekable();
        let mut entries = Vec::new();
        let mut cost = 0_usize;
        while let Some((endpoint, weight)) = rest.next_if(|(endpoint, _)| {
            cost = cost.saturating_add(wire_bytes(endpoint));
            cost <= bytes || entries.is_empty()
        }) {
            entries.push(Op { endpoint: endpoint.clone(), weight: *weight });
        }
        Page { entries, head: self.head(), last: rest.peek().is_none() }
    }

    /// The weight with which an endpoint is served; 0 if it is not.
    pub fn get(&self, endpoint: &EndpointId) -> u8 {
        self.state.get(endpoint).copied().unwrap_or(0)
    }

    /// What is served, each with its weight, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&EndpointId, u8)> {
        self.state.iter().map(|(endpoint, weight)| (endpoint, *weight))
    }

    /// How many endpoints are served.
    pub fn len(&self) -> usize {
        self.state.len()
    }

    /// Whether none is served.
    pub fn is_empty(&self) -> bool {
        self.state.is_empty()
    }

    /// The number of the last op that was applied; 0 if there was none.
    pub fn head(&self) -> u64 {
        self.ring.head()
    }

    /// What is served, each with its weight.
    pub fn into_state(self) -> BTreeMap<EndpointId, u8> {
        self.state
    }

    /// The last entry.
    pub(super) fn last(&self) -> Option<&EndpointId> {
        self.state.last_key_value().map(|(endpoint, _)| endpoint)
    }
}

/// Appends the ops that lead from one state to another.
fn differences(old: &BTreeMap<EndpointId, u8>, new: &BTreeMap<EndpointId, u8>, out: &mut Vec<Op>) {
    let op = |endpoint: &EndpointId, weight| Op { endpoint: endpoint.clone(), weight };
    let mut fresh = new.iter().map(|(endpoint, weight)| (endpoint, *weight)).peekable();
    for (endpoint, weight) in old {
        while let Some((added, weight)) = fresh.next_if(|(next, _)| *next < endpoint) {
            out.push(op(added, weight));
        }
        let now = fresh.next_if(|(next, _)| *next == endpoint).map_or(0, |(_, weight)| weight);
        if now != *weight {
            out.push(op(endpoint, now));
        }
    }
    out.extend(fresh.map(|(added, weight)| op(added, weight)));
}
