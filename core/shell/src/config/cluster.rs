//! The keys of `pico cluster`.

use super::value::{address, count, duration};
use super::{Key, Keys, Refusal};
use clap::ArgMatches;
use std::net::SocketAddr;
use std::time::Duration;

/// How a local cluster is set up.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    /// Nodes.
    pub(crate) nodes: usize,
    /// Where clients connect to the balancer before them.
    pub(crate) proxy: SocketAddr,
    /// Where agents connect to it.
    pub(crate) upstream: SocketAddr,
    /// How long a node that drains serves new requests.
    pub(crate) drain_delay: Duration,
}

impl Cluster {
    /// The defaults, overridden by the file, the environment and the flags.
    pub(crate) fn load(matches: &ArgMatches) -> Result<Self, Refusal> {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut cluster = Self {
            nodes: 3,
            proxy: loopback(8001),
            upstream: loopback(8002),
            drain_delay: Duration::from_secs(3),
        };
        if KEYS.load(&mut cluster, matches)?.into_iter().next().is_some() {
            return Err(Refusal("listeners are for pico agent, not for pico cluster".into()));
        }
        Ok(cluster)
    }
}

/// The keys, in the order of `--help`.
pub(crate) static KEYS: Keys<Cluster> = Keys {
    keys: &[
        Key {
            name: "nodes",
            value: "NUMBER",
            help: "How many nodes, each a process of its own [default: 3]",
            set: |s, text| count(text, NODES_MAX).map(|found| s.nodes = found),
        },
        Key {
            name: "proxy.bind-addr",
            value: "HOST:PORT",
            help: "Where clients connect to the load balancer [default: 127.0.0.1:8001]",
            set: |s, text| address(text).map(|found| s.proxy = found),
        },
        Key {
            name: "upstream.bind-addr",
            value: "HOST:PORT",
            help: "Where agents connect to the load balancer [default: 127.0.0.1:8002]",
            set: |s, text| address(text).map(|found| s.upstream = found),
        },
        Key {
            name: "drain-delay",
            value: "DURATION",
            help: "How long a node that stops serves new requests [default: 3s]",
            set: |s, text| duration(text).map(|found| s.drain_delay = found),
        },
    ],
    missing: &[],
};

/// A node is a process of some megabytes, and this is one machine.
const NODES_MAX: usize = 64;
