//! Gossip alone: nodes that hold nothing but their gossip, many of them, on the simulated net.
//!
//! [`Peer`] is the host of one, [`Cluster`] a world of them that tests and benchmarks drive.

mod cluster;
pub mod measure;
pub mod memory;
mod peer;
pub mod words;

pub use cluster::{Cluster, GENERATION, door};
pub use peer::{Order, Peer, Told};
