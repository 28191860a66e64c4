//! What lies between a machine's bytes and those on its socket: nothing, or the keys of a cluster.
//!
//! A wire is sans-IO, like the machines: a driver tells it what the socket brought
//! ([`hear`](Noise::hear)), takes from it what is meant for the machine ([`poll`](Noise::poll)),
//! has it seal what the machine has to say ([`seal`](Noise::seal)) and offers the result
//! ([`outbox`](Noise::outbox)) to the socket. The simulator drives the same wires over its own
//! sockets. Another kind, such as TLS, is one more variant.

mod noise;
mod trust;

pub use noise::{Heard, Noise};
pub use trust::Trust;

use pico_core::Seed;
use pico_core::gossip::Ring;
use pico_core::host::{self, Port};
use std::sync::Arc;

/// How what is said on one connection is protected.
#[derive(Debug)]
pub enum Wire {
    /// Not at all.
    Plain,
    /// By the keys of a cluster (`spec/link.md`, "Wires").
    Noise(Box<Noise>),
}

/// Makes the wires of one driver.
#[derive(Clone, Debug)]
pub struct Wires {
    cluster: Option<Cluster>,
    seed: Seed,
    made: u64,
}

/// What the nodes of a cluster share, by which they know each other.
#[derive(Clone, Debug)]
struct Cluster {
    keys: Ring,
    /// What both ends of a handshake must agree on beside a key.
    prologue: Arc<[u8]>,
}

impl Wires {
    /// Those of a process that is in no cluster, or in one without keys.
    pub fn plain() -> Self {
        Self { cluster: None, seed: Seed::new([0; 32]), made: 0 }
    }

    /// Those of a node of the cluster of this name. Every driver needs a seed of its own.
    pub fn of(keys: &Ring, name: &str, seed: Seed) -> Self {
        let prologue = [PROLOGUE, name.as_bytes()].concat().into();
        let cluster = (!keys.is_empty()).then(|| Cluster { keys: keys.clone(), prologue });
        Self { cluster, seed, made: 0 }
    }

    /// One for a connection that is dialled.
    pub fn dialled(&mut self, wire: host::Wire) -> Wire {
        match wire {
            host::Wire::Plain => Wire::Plain,
            host::Wire::Cluster => self.noise(Noise::dial),
        }
    }

    /// One for a connection that came in by this port.
    pub fn accepted(&mut self, port: Port) -> Wire {
        match port {
            Port::Proxy | Port::Upstream | Port::Admin => Wire::Plain,
            Port::Gossip => self.noise(Noise::accept),
        }
    }

    fn noise(&mut self, make: fn(&Cluster, Seed) -> Noise) -> Wire {
        let Some(cluster) = &self.cluster else { return Wire::Plain };
        self.made += 1;
        Wire::Noise(Box::new(make(cluster, self.seed.fork_at("wire", self.made))))
    }
}

impl Wire {
    /// Whether the machine may be told of the connection.
    pub fn is_open(&self) -> bool {
        match self {
            Self::Plain => true,
            Self::Noise(noise) => noise.is_open(),
        }
    }
}

/// The first bytes of every prologue; the cluster's name follows.
const PROLOGUE: &[u8] = b"pico.node.v1 ";
