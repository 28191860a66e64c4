//! What an operator, or a test, decides about gossip.

use super::keys::Ring;
use super::member::NodeId;
use crate::id::Boot;
use alloc::string::String;
use alloc::sync::Arc;
use core::net::SocketAddr;
use core::time::Duration;

/// How one node takes part.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cluster's name: 1 to 64 bytes. Whoever says another is not listened to.
    pub cluster: String,
    /// The cluster's keys. Without any, datagrams are not sealed.
    pub keys: Ring,
    /// This run of the node.
    pub boot: Boot,
    /// When it booted, in milliseconds since 1970; more than
    /// [`GENERATION_MAX`](super::GENERATION_MAX) is taken for that.
    pub generation: u64,
    /// The node's name.
    pub id: NodeId,
    /// The gossip port, as others reach it.
    pub addr: SocketAddr,
    /// Small things to say of itself, by key.
    pub notes: alloc::vec::Vec<(u8, Arc<str>)>,
    /// How fast it all goes.
    pub pace: Pace,
}

/// Spans of time. All nodes of a cluster should have the same.
#[derive(Clone, Debug)]
pub struct Pace {
    /// From one probe to the next. Probes take longer than this, and overlap.
    pub period: Duration,
    /// How long a probe takes at least, and the unit of suspicions.
    pub probe: Duration,
    /// From one round of spreading to the next, while there is anything to spread.
    pub round: Duration,
    /// How long new ops are gathered before they are pushed.
    pub push: Duration,
    /// How long own changes are gathered, so that those that cancel out are none.
    pub debounce: Duration,
    /// From one comparison to the next.
    pub compare: Duration,
    /// From one attempt to reach a seed, and one member that is dead, to the next, on average.
    pub contact: Duration,
    /// How long a node may take to catch up before it is ready all the same.
    pub catch_up: Duration,
    /// How long a consultation may take.
    pub consult: Duration,
    /// How long a leaving node waits for its last word to be heard.
    pub leave: Duration,
    /// How long the dead are remembered.
    pub gone: Duration,
    /// Bytes that may be pushed in a second.
    pub push_bytes: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            period: Duration::from_millis(250),
            probe: Duration::from_millis(500),
            round: Duration::from_millis(100),
            push: Duration::from_millis(20),
            debounce: Duration::from_millis(50),
            compare: Duration::from_secs(1),
            contact: Duration::from_secs(10),
            catch_up: Duration::from_secs(10),
            consult: Duration::from_secs(5),
            leave: Duration::from_secs(1),
            gone: Duration::from_hours(24),
            push_bytes: 1_000_000,
        }
    }
}
