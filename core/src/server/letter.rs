//! What the machines of one node write to each other.

use super::status::{Inquiry, Part};
use crate::head::RequestHead;
use crate::id::{AskId, Boot, ConnId, WorkerId};
use crate::routing::{Change, EndpointId, Peers, Routes, Tried};
use crate::rpc::Word;
use alloc::boxed::Box;
use alloc::sync::Arc;
use bytes::Bytes;

/// A call as its caller names it: unique for as long as the process lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CallId {
    /// The caller's worker.
    pub worker: WorkerId,
    /// The client's connection, or another node's link to us.
    pub conn: ConnId,
    /// The how-manieth call of that connection, or its number on that link.
    pub serial: u64,
}

/// A call whose upstream is being looked for.
#[derive(Clone, Debug)]
pub struct Sought {
    /// The call.
    pub call: CallId,
    /// Whose upstream.
    pub endpoint: EndpointId,
    /// Where it has failed before.
    pub tried: Option<Tried>,
    /// The request.
    pub head: RequestHead,
    /// Whether no body follows.
    pub end: bool,
}

/// A message between the machines of one node.
#[derive(Clone, Debug)]
pub enum Letter {
    /// A caller's word, for a tunnel.
    Ask {
        /// The tunnel.
        to: ConnId,
        /// The call.
        call: CallId,
        /// The word.
        word: Word,
    },
    /// A callee's word, for the call's worker.
    Answer {
        /// The call.
        call: CallId,
        /// The word.
        word: Word,
    },
    /// A call for which a worker knows no upstream: for the node, which may know more.
    Seek(Box<Sought>),
    /// The same, once the worker has the routes that the node had when it was asked.
    Sought(Box<Sought>),
    /// A worker's upstream came or went: for the node.
    Changed(Change),
    /// Who serves what from now on: for the workers.
    Routes(Arc<Routes>),
    /// Who the other nodes are from now on: for the workers.
    Peers(Arc<Peers>),
    /// A worker could not dial this node, or its link to it broke: for the node, which tells the
    /// workers.
    LinkLost(Boot),
    /// Another node consults this one, on this connection of this worker: for the node.
    Asked {
        /// The worker.
        worker: WorkerId,
        /// The connection.
        conn: ConnId,
        /// What it says.
        bytes: Bytes,
    },
    /// The node's answer to that: for the worker.
    Consulted {
        /// The connection.
        to: ConnId,
        /// What the node says.
        bytes: Bytes,
    },
    /// Have so many agents move to other nodes: for a worker.
    Shed(u64),
    /// An operator asks: for the node, and from it for its other workers.
    Inquire(Box<Inquiry>),
    /// A part of the answer: for the worker that was asked.
    Reported(AskId, Box<Part>),
    /// Be ready, or not: for the workers, whose admin port says so.
    Ready(bool),
    /// Stop, in good order: from the shell to the node, and from the node to its workers.
    Drain,
    /// So many calls were under way when a worker heard of the drain: for the node.
    Draining(u64),
    /// The worker has no client left: for the node, after `Drain`.
    Quiet(WorkerId),
    /// No worker has a client left, or patience has ended: close everything.
    Part,
    /// So many calls were cut off by that: for the node.
    Parted(u64),
    /// The other nodes know that this one is gone, so none of them is answered any more: for the
    /// workers, after `Part`.
    Left,
}
