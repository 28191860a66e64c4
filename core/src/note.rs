//! What machines tell people: facts, not sentences, so that the shell can write them as text or
//! as JSON.

use crate::gossip;
use crate::host::{Fault, Port};
use crate::reason::Reason;
use crate::routing::Place;
use alloc::string::String;
use core::net::SocketAddr;
use core::time::Duration;

/// Something that an operator or a user may want to know.
#[derive(Clone, PartialEq, Debug)]
pub enum Note {
    /// A request was answered, or ended otherwise.
    Request(Request),
    /// An upstream registered an endpoint with this node.
    Registered {
        /// The endpoint.
        endpoint: String,
        /// Where the tunnel comes from.
        peer: SocketAddr,
    },
    /// An upstream is gone.
    Unregistered {
        /// The endpoint.
        endpoint: String,
        /// Why.
        reason: Reason,
    },
    /// A peer was refused before it became a tunnel or a request.
    Refused {
        /// Where it came.
        port: Port,
        /// Who.
        peer: SocketAddr,
        /// Why.
        reason: Reason,
        /// How often that was done at this port and not told since the last time: to anybody.
        suppressed: u64,
    },
    /// An agent's tunnel is up: a ping has crossed it.
    Online {
        /// The endpoint.
        endpoint: String,
        /// The service behind it: one endpoint may have several.
        service: String,
        /// The node that holds it.
        node: String,
        /// The round-trip time.
        rtt: Duration,
    },
    /// The node at the other end of an agent's tunnel asks it to connect elsewhere. Until it has,
    /// the tunnel serves as before.
    Moving {
        /// The endpoint.
        endpoint: String,
        /// The service behind it.
        service: String,
        /// The node that it is to leave.
        node: String,
    },
    /// An agent's tunnel is down, and will be dialled again.
    Offline {
        /// The endpoint.
        endpoint: String,
        /// The service behind it.
        service: String,
        /// Whom it is about: the address that was dialled, or the name that led to none.
        server: String,
        /// Why, for people.
        why: Why,
        /// The wait before the next attempt.
        retry: Duration,
    },
    /// An agent's endpoint was refused for good.
    Rejected {
        /// The endpoint.
        endpoint: String,
        /// The service behind it.
        service: String,
        /// The answer's status code.
        status: u16,
        /// The answer's stable error code, or empty.
        code: String,
    },
    /// The local service cannot be reached.
    ServiceUnreachable {
        /// The endpoint.
        endpoint: String,
        /// The service's address as configured.
        service: String,
        /// What happened.
        fault: Fault,
    },
    /// Another node takes part in the cluster.
    NodeFound {
        /// What it is called.
        node: String,
        /// Its gossip port.
        addr: SocketAddr,
    },
    /// Another node takes part no more.
    NodeGone {
        /// What it was called.
        node: String,
        /// How it went.
        why: Gone,
    },
    /// The node knows nobody else, though it was told where others may be: said again and again,
    /// once for each such place.
    Alone {
        /// The place, as it was written.
        seed: String,
        /// Why nobody was found there.
        why: Missing,
    },
    /// Nobody was found in time, and the node ends, as it was told to.
    Deserted,
    /// A worker's link to another node is up.
    LinkUp {
        /// What the node is called.
        node: String,
        /// Whether it was said to be lost before.
        again: bool,
    },
    /// A worker's link to another node is no more. Said once of an outage, however often it is
    /// tried in vain.
    LinkDown {
        /// What the node is called.
        node: String,
        /// Why it broke, or did not come up; nothing if one of the two wanted it to end.
        why: Option<Why>,
    },
    /// The node has joined its cluster, or stopped waiting for that.
    Joined {
        /// Nodes that it knows, itself included.
        nodes: usize,
        /// Whether it has learned all that they serve.
        complete: bool,
    },
    /// This node holds more than its share of the cluster's upstreams, and asks some to move.
    Rebalancing {
        /// Upstreams that it holds, roughly.
        held: u64,
        /// Its share.
        share: u64,
    },
    /// Another process has this node's name: this one ends.
    Namesake {
        /// Where the other is.
        peer: SocketAddr,
    },
    /// Somebody does not speak as the nodes of a cluster with these keys do.
    Untrusted {
        /// Who, or who says so.
        peer: SocketAddr,
        /// How that was seen.
        why: Distrust,
        /// How often it was seen and not told since the last time: of anybody.
        suppressed: u64,
    },
    /// A drain has begun, with so many calls under way.
    Draining {
        /// Calls under way.
        calls: usize,
    },
    /// The drain is over; so many calls were cut off.
    Drained {
        /// Calls that did not end in time.
        cut: usize,
    },
}

/// How a node is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gone {
    /// It was found dead.
    Dead,
    /// It has said so.
    Left,
    /// It has begun anew, and is there again.
    Restarted,
}

/// Why no other node was found at a place.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Missing {
    /// The name could not be looked up.
    #[error("the name cannot be looked up: {0}")]
    Name(Fault),
    /// Nobody answers there.
    #[error("nobody answers there: {0}")]
    Silent(Fault),
    /// A node answers there, of the cluster of this name.
    #[error("a node of another cluster answers there: cluster.name {0:?}")]
    Stranger(String),
    /// Something else answers there.
    #[error(
        "what answers there is no node of this cluster: \
         it may have other cluster.keys or another cluster.name"
    )]
    Other,
    /// It is this node.
    #[error("it is this node itself")]
    Oneself,
}

impl From<gossip::Missed> for Missing {
    fn from(missed: gossip::Missed) -> Self {
        match missed {
            gossip::Missed::Oneself => Self::Oneself,
            gossip::Missed::Stranger(cluster) => Self::Stranger(cluster),
        }
    }
}

/// By what it is seen that somebody does not have the keys of the cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Distrust {
    /// A datagram does not open.
    #[error("what it sends does not open: another cluster.keys or cluster.name?")]
    Datagram,
    /// It does not even begin as others do.
    #[error("it speaks in the clear: without cluster.keys?")]
    Clear,
    /// Its first words on a connection do not open.
    #[error("another cluster.keys or cluster.name")]
    Key,
    /// It has not finished its handshake in time.
    #[error("no handshake in time")]
    Late,
    /// It went away instead of finishing the handshake.
    #[error("it ended the handshake: another cluster.keys or cluster.name, or none?")]
    Cut,
    /// What it sent after the handshake does not open.
    #[error("what it sent was changed on its way")]
    Forged,
}

/// Why a tunnel or a link is down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// The socket failed.
    Fault(Fault),
    /// The protocol ended it.
    Reason(Reason),
    /// The other end answered the handshake with this status.
    Status(u16),
}

/// One finished request, for the log.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// The request's ID.
    pub id: String,
    /// The endpoint, or empty if none was named.
    pub endpoint: String,
    /// The method.
    pub method: String,
    /// The target's path, without the query.
    pub path: String,
    /// The status that the client got; 0 if none.
    pub status: u16,
    /// Why it failed, if it did.
    pub reason: Option<Reason>,
    /// Body bytes from the client.
    pub bytes_in: u64,
    /// Body bytes to the client.
    pub bytes_out: u64,
    /// From the end of its head to the head of its response, if there was one; an agent does not
    /// say it.
    pub first: Option<Duration>,
    /// From the end of its head to the end of its response.
    pub took: Duration,
    /// Where it was sent last: a tunnel of this node, or another node. An agent does not say it.
    pub upstream: Option<Place>,
    /// What that other node is called, if it is one that is still known.
    pub node: Option<String>,
}
