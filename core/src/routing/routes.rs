//! Who serves which endpoint: a value that workers share and the node replaces.

use super::endpoint::EndpointId;
use crate::id::{Boot, ConnId, WorkerId};
use crate::seed::fnv1a;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;

/// Where a call for an endpoint is sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Place {
    /// A tunnel that this node holds.
    Tunnel {
        /// The worker that owns the connection.
        worker: WorkerId,
        /// The connection.
        conn: ConnId,
    },
    /// Another node, which holds the tunnel. Each worker has a link of its own to it.
    Node(Boot),
}

impl Place {
    /// Whether it is another node that holds the upstream.
    pub const fn is_remote(self) -> bool {
        match self {
            Self::Tunnel { .. } => false,
            Self::Node(_) => true,
        }
    }
}

/// One way to reach an endpoint.
///
/// Whether a node is well is not said here but in [`Peers`](super::Peers): it is a fact of the
/// node and not of each of its endpoints.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Upstream {
    /// Where calls go.
    pub place: Place,
    /// How many upstreams stand behind it, at least 1.
    pub weight: u32,
}

/// A change to the routes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// An upstream begins to serve an endpoint, or serves it otherwise than before.
    Put(EndpointId, Upstream),
    /// An upstream no longer serves an endpoint.
    Remove(EndpointId, Place),
}

type Shard = BTreeMap<EndpointId, Arc<[Upstream]>>;

/// Parts that are replaced one by one, so that a change costs what it touches.
const SHARDS: usize = 256;

/// Who serves which endpoint.
///
/// Cloning shares everything; [`apply`](Self::apply) copies the shards that change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Routes {
    shards: Vec<Arc<Shard>>,
}

impl Routes {
    /// Nobody serves anything.
    pub fn new() -> Self {
        Self { shards: alloc::vec![Arc::default(); SHARDS] }
    }

    /// Who serves `endpoint`.
    pub fn get(&self, endpoint: &EndpointId) -> &[Upstream] {
        let shard = self.shards.get(shard_of(endpoint)).expect("a hash below the number of shards");
        shard.get(endpoint).map_or(&[], |upstreams| upstreams)
    }

    /// Every endpoint with its upstreams.
    pub fn iter(&self) -> impl Iterator<Item = (&EndpointId, &[Upstream])> {
        self.shards.iter().flat_map(|shard| shard.iter()).map(|(id, ups)| (id, &ups[..]))
    }

    /// Every endpoint behind `after` with its upstreams, in the order of their names.
    pub fn after<'a>(
        &'a self,
        after: Option<&EndpointId>,
    ) -> impl Iterator<Item = (&'a EndpointId, &'a [Upstream])> + use<'a> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut heads = BTreeMap::new();
        for shard in &self.shards {
            let mut rest = shard.range::<EndpointId, _>((from, Bound::Unbounded));
            if let Some((endpoint, upstreams)) = rest.next() {
                heads.insert(endpoint, (upstreams, rest));
            }
        }
        core::iter::from_fn(move || {
            let (endpoint, (upstreams, mut rest)) = heads.pop_first()?;
            if let Some((next, others)) = rest.next() {
                heads.insert(next, (others, rest));
            }
            Some((endpoint, &upstreams[..]))
        })
    }

    /// How many endpoints are served.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.len()).sum()
    }

    /// Whether nothing is served.
    pub fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.is_empty())
    }

    /// Makes one change.
    pub fn apply(&mut self, change: &Change) {
        let (endpoint, place) = match change {
            Change::Put(endpoint, upstream) => (endpoint, upstream.place),
            Change::Remove(endpoint, place) => (endpoint, *place),
        };
        let shard = self.shards.get_mut(shard_of(endpoint)).expect("a hash below the number");
        let held = shard.get(endpoint).map_or(&[][..], |upstreams| upstreams);
        let others = held.iter().copied().filter(|held| held.place != place);
        let upstreams: Arc<[Upstream]> = match change {
            Change::Put(_, upstream) => others.chain([*upstream]).collect(),
            Change::Remove(..) => others.collect(),
        };
        let shard = Arc::make_mut(shard);
        if upstreams.is_empty() {
            shard.remove(endpoint);
        } else {
            shard.insert(endpoint.clone(), upstreams);
        }
    }
}

impl Default for Routes {
    fn default() -> Self {
        Self::new()
    }
}

fn shard_of(endpoint: &EndpointId) -> usize {
    let shards = u64::try_from(SHARDS).expect("a small number");
    usize::try_from(fnv1a(endpoint.as_str().as_bytes()) % shards).expect("below a small number")
}
