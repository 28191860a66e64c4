//! The other nodes, as this one sees them.

use crate::id::Boot;
use alloc::collections::BTreeMap;
use alloc::string::String;
use core::net::SocketAddr;

/// Every node to which calls may be forwarded, by its run: a value that workers share and the
/// node replaces. Who is dead or has left is not in it.
pub type Peers = BTreeMap<Boot, Peer>;

/// Another node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Its name, for people.
    pub id: String,
    /// Where links to it are dialled: its gossip port.
    pub addr: SocketAddr,
    /// Whether it should be chosen.
    pub standing: Standing,
}

/// Whether a node should be chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// As well as any.
    Alive,
    /// It may be dead: only if nothing else serves.
    Suspect,
    /// It is shutting down: only if nothing else serves.
    Leaving,
}
