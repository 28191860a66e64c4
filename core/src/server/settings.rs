//! What an operator decides about a node.

use super::status::{About, Write};
use crate::id::Boot;
use crate::limits::Limits;
use crate::rpc;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;
use ipnet::IpNet;

/// The settings of a node, the same for all its workers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The node's name, for people, peers and `Via`.
    pub node_id: String,
    /// This run of the node. One whose number is 0 is in no cluster and takes no links.
    pub boot: Boot,
    /// Bounds and time-outs.
    pub limits: Arc<Limits>,
    /// Whose word on the clients behind them is taken: the proxies in front of this node.
    pub trusted_proxies: Vec<IpNet>,
    /// The program that runs.
    pub about: About,
    /// Writes what operators are shown; without it they are shown health and readiness only.
    pub write: Option<Write>,
    /// Whether to note every request.
    pub log_requests: bool,
    /// How long a node that was told to stop goes on taking new requests, because load balancers
    /// retire late.
    pub drain_delay: Duration,
    /// How long a drain may take in all.
    pub grace_period: Duration,
    /// When agents are asked to move to other nodes of the cluster.
    pub rebalance: Rebalance,
}

/// When a node that holds more than its share of the cluster's upstreams asks agents to move, and
/// how gently.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rebalance {
    /// By how many thousandths of its share a node may exceed it; `None` for any number.
    pub threshold_permille: Option<u32>,
    /// How many thousandths of its upstreams it asks to move in a second, and at least one.
    pub rate_permille: u32,
    /// With so many or fewer, it asks none.
    pub least: u64,
}

impl Default for Rebalance {
    fn default() -> Self {
        Self { threshold_permille: Some(200), rate_permille: 5, least: 50 }
    }
}

impl Settings {
    /// Whether what `peer` says of the clients behind it is taken.
    pub(super) fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&peer))
    }

    /// What the node says of itself on a tunnel.
    pub(super) fn identity(&self) -> rpc::Identity {
        let agent = concat!("pico/", env!("CARGO_PKG_VERSION")).into();
        rpc::Identity { id: self.node_id.clone(), agent }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            node_id: "pico".into(),
            boot: Boot(0),
            limits: Arc::default(),
            trusted_proxies: Vec::new(),
            about: About::default(),
            write: None,
            log_requests: true,
            drain_delay: Duration::from_secs(5),
            grace_period: Duration::from_mins(1),
            rebalance: Rebalance::default(),
        }
    }
}
