//! Which endpoints each node serves.
//!
//! Each fact has one writer: the node that holds the upstreams. It numbers its changes from 1 on,
//! and a replica takes a change only if it is the next one. So a replica is always a prefix of its
//! writer's log, and the difference between two replicas is one number.
//!
//! What is here knows neither time nor the wire: [`Own`] is the writer's side, [`Replica`] what
//! is known of one writer, and [`Fetch`] how a replica catches up that is too far behind for
//! single changes. Whoever spreads the changes holds them, one set for each run of a node: the
//! log of another run is another log.

mod fetch;
mod own;
mod replica;
mod ring;

pub use fetch::{Fetch, FetchError, FetchLimits, Step};
pub use own::Own;
pub use replica::{Behind, Gap, Page, Replica};
pub use ring::RingLimits;

use crate::routing::EndpointId;

/// One change of a writer's log: from now on the endpoint is served with this weight.
///
/// It says what holds from now on and not what is different, so that to apply it twice, or to a
/// state that is newer than it, does no harm as long as the ones behind it follow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Op {
    /// The endpoint that is served.
    pub endpoint: EndpointId,
    /// As [`weight_of`] has it; 0 if the endpoint is not served any more.
    pub weight: u8,
}

impl Op {
    /// What the change costs on the wire, in bytes: the name, its length, and the weight.
    pub fn wire_bytes(&self) -> usize {
        wire_bytes(&self.endpoint)
    }
}

/// The weight of an endpoint that so many upstreams serve.
///
/// Coarse, so that a service of many upstreams does not tell the cluster of each one that comes
/// or goes: the largest of 1, 2, 3, 4, 6, 8, 12, 16, 24, ... 192 and 255 that is not above the
/// number. 0 only if there are none.
pub fn weight_of(upstreams: u32) -> u8 {
    let below = WEIGHTS.iter().rev().find(|weight| u32::from(**weight) <= upstreams);
    below.copied().unwrap_or(0)
}

fn wire_bytes(endpoint: &EndpointId) -> usize {
    endpoint.as_str().len() + 2
}

const WEIGHTS: [u8; 16] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 255];
