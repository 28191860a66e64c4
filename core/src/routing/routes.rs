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
type Group = Vec<Arc<Shard>>;

/// Groups, and shards in each. A change copies one pointer for each group, one for each shard of a
/// group, and one shard, which holds a few of many endpoints.
const FAN: usize = 64;

/// Who serves which endpoint.
///
/// Cloning shares everything; [`apply`](Self::apply) copies the parts that change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Routes {
    groups: Vec<Arc<Group>>,
    /// Endpoints in all shards.
    count: usize,
}

impl Routes {
    /// Nobody serves anything.
    pub fn new() -> Self {
        let group = Arc::new(alloc::vec![Arc::default(); FAN]);
        Self { groups: alloc::vec![group; FAN], count: 0 }
    }

    /// Who serves `endpoint`.
    pub fn get(&self, endpoint: &EndpointId) -> &[Upstream] {
        let (group, shard) = place_of(endpoint);
        let shard = self.groups.get(group).and_then(|group| group.get(shard));
        let held = shard.expect("a place below the fan").get(endpoint);
        held.map_or(&[], |upstreams| upstreams)
    }

    /// Every endpoint with its upstreams.
    pub fn iter(&self) -> impl Iterator<Item = (&EndpointId, &[Upstream])> {
        self.shards().flat_map(|shard| shard.iter()).map(|(id, ups)| (id, &ups[..]))
    }

    /// Every endpoint behind `after` with its upstreams, in the order of their names.
    pub fn after<'a>(
        &'a self,
        after: Option<&EndpointId>,
    ) -> impl Iterator<Item = (&'a EndpointId, &'a [Upstream])> + use<'a> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut heads = BTreeMap::new();
        for shard in self.shards() {
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
        self.count
    }

    /// Whether nothing is served.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Makes one change.
    pub fn apply(&mut self, change: &Change) {
        let (endpoint, place) = match change {
            Change::Put(endpoint, upstream) => (endpoint, upstream.place),
            Change::Remove(endpoint, place) => (endpoint, *place),
        };
        let held = self.get(endpoint);
        let others = held.iter().copied().filter(|held| held.place != place);
        let upstreams: Arc<[Upstream]> = match change {
            Change::Put(_, upstream) => others.chain([*upstream]).collect(),
            Change::Remove(..) => others.collect(),
        };
        let (group, shard) = place_of(endpoint);
        let group = self.groups.get_mut(group).map(Arc::make_mut);
        let shard = group.and_then(|group| group.get_mut(shard)).map(Arc::make_mut);
        let shard = shard.expect("a place below the fan");
        self.count -= shard.len();
        if upstreams.is_empty() {
            shard.remove(endpoint);
        } else {
            shard.insert(endpoint.clone(), upstreams);
        }
        self.count += shard.len();
    }

    fn shards(&self) -> impl Iterator<Item = &Arc<Shard>> {
        self.groups.iter().flat_map(|group| group.iter())
    }
}

impl Default for Routes {
    fn default() -> Self {
        Self::new()
    }
}

/// The group of an endpoint, and its shard there.
fn place_of(endpoint: &EndpointId) -> (usize, usize) {
    let fan = u64::try_from(FAN).expect("a small number");
    let hash = fnv1a(endpoint.as_str().as_bytes());
    let below = |number: u64| usize::try_from(number % fan).expect("below a small number");
    (below(hash / fan), below(hash))
}
