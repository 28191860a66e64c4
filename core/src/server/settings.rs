//! What an operator decides about a node.

use crate::limits::Limits;
use alloc::string::String;
use alloc::sync::Arc;
use core::time::Duration;

/// The settings of a node, the same for all its workers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The node's name, for people, peers and `Via`.
    pub node_id: String,
    /// Bounds and time-outs.
    pub limits: Arc<Limits>,
    /// Whether to note every request.
    pub log_requests: bool,
    /// How long a node that was told to stop goes on taking new requests, because load balancers
    /// retire late.
    pub drain_delay: Duration,
    /// How long a drain may take in all.
    pub grace_period: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            node_id: "pico".into(),
            limits: Arc::default(),
            log_requests: true,
            drain_delay: Duration::from_secs(5),
            grace_period: Duration::from_mins(1),
        }
    }
}
