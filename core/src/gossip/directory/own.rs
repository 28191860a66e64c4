//! What a node tells others of its own endpoints.

use super::replica::Replica;
use super::ring::RingLimits;
use super::{Op, weight_of};
use crate::routing::EndpointId;
use alloc::collections::BTreeMap;
use core::ops::Range;

/// A node's own log, and what is to be added to it.
///
/// [`set`](Self::set) notes how many upstreams an endpoint has, and [`commit`](Self::commit)
/// makes ops of what is other than the log says. So whatever comes and goes between two commits
/// costs nothing; how far they are apart is for the caller to say.
#[derive(Clone, Debug)]
pub struct Own {
    log: Replica,
    /// What the log does not say yet: never what it says already.
    pending: BTreeMap<EndpointId, u8>,
}

impl Own {
    /// Serves nothing yet.
    pub fn new(limits: RingLimits) -> Self {
        Self { log: Replica::new(limits), pending: BTreeMap::new() }
    }

    /// Notes how many upstreams serve an endpoint from now on.
    ///
    /// Holds one entry for each endpoint whose weight is other than the log says.
    pub fn set(&mut self, endpoint: &EndpointId, upstreams: u32) {
        let weight = weight_of(upstreams);
        if weight == self.log.get(endpoint) {
            self.pending.remove(endpoint);
        } else if let Some(noted) = self.pending.get_mut(endpoint) {
            *noted = weight;
        } else {
            self.pending.insert(endpoint.clone(), weight);
        }
    }

    /// Writes what is pending to the log, in the order of the keys, and says which numbers it
    /// got. The ops are in the [`log`](Self::log), as far back as its limits allow.
    pub fn commit(&mut self) -> Range<u64> {
        let first = self.log.head() + 1;
        let pending = core::mem::take(&mut self.pending);
        let ops = pending.into_iter().map(|(endpoint, weight)| Op { endpoint, weight });
        let applied = self.log.follow(first, ops, |_| {});
        applied.expect("the first number is the next one");
        first..self.log.head() + 1
    }

    /// How many endpoints have a weight that is not in the log yet.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// What was committed.
    pub fn log(&self) -> &Replica {
        &self.log
    }
}
