//! The keys of `pico cluster`.

use super::key::{Key, Keys};
use super::value::{address, count, duration};
use super::{Mistakes, Refusal, Setting};
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
    /// The defaults, overridden by the file, the environment and the flags; and what each key
    /// came to be.
    pub(crate) fn load(matches: &ArgMatches) -> Result<(Self, Vec<Setting>), Refusal> {
        let (mut cluster, mut mistakes) = (Self::default(), Mistakes::default());
        let layers = KEYS.load(&mut cluster, matches, &mut mistakes);
        mistakes.end()?;
        Ok((cluster, KEYS.settings(&layers)))
    }
}

impl Default for Cluster {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            nodes: 3,
            proxy: loopback(8001),
            upstream: loopback(8002),
            drain_delay: Duration::from_secs(3),
        }
    }
}

/// The keys, in the order of `--help`.
pub(crate) static KEYS: Keys<Cluster> = Keys {
    rows: &[
        Key {
            name: "nodes",
            value: "NUMBER",
            default: "3",
            help: "How many nodes, each a process of its own",
            set: |s, text| count(text, NODES_MAX).map(|found| s.nodes = found),
        },
        Key {
            name: "proxy.bind-addr",
            value: "HOST:PORT",
            default: "127.0.0.1:8001",
            help: "Where clients connect to the load balancer",
            set: |s, text| address(text).map(|found| s.proxy = found),
        },
        Key {
            name: "upstream.bind-addr",
            value: "HOST:PORT",
            default: "127.0.0.1:8002",
            help: "Where agents connect to the load balancer",
            set: |s, text| address(text).map(|found| s.upstream = found),
        },
        Key {
            name: "drain-delay",
            value: "DURATION",
            default: "3s",
            help: "How long a node that stops serves new requests",
            set: |s, text| duration(text).map(|found| s.drain_delay = found),
        },
    ],
    secret: &[],
    listener: &[],
    missing: &[],
};

/// A node is a process of some megabytes, and this is one machine.
const NODES_MAX: usize = 64;
