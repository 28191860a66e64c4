//! The tunnel protocol: calls, interleaved, both ways, over the messages of one WebSocket.
//!
//! The wire format and the state tables are in `spec/rpc.md`.
//!
//! # Caller errors
//!
//! The machine panics, with a sentence, if its parent
//! - builds it with limits under which the first windows of all calls do not fit into
//!   `tunnel_bytes`, or with a heartbeat of zero;
//! - opens another stream than [`Machine::next_stream`];
//! - says a word that does not come next: a `Request` by `Say`, anything but `Reset` and `Credit`
//!   after its end, data before the final response head, trailers on a raw stream;
//! - says more data than it was given credit for.
//!
//! `Open` at a time when no call may be opened is not an error: the call is reset as not started.

mod block;
mod frame;
mod hello;
mod machine;
mod receive;
mod say;
mod send;
mod stream;
mod table;

mod word;

pub use machine::Machine;
pub use word::{Reset, Word};

use crate::head::RequestHead;
use crate::id::StreamId;
use crate::reason::Reason;
use alloc::string::String;
use bytes::BytesMut;
use core::time::Duration;

/// Which end of the connection this is. The dialler opens odd streams, the acceptor even ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// We dialled: an agent, or a node's outgoing link.
    Dialer,
    /// We accepted.
    Acceptor,
}

/// What each side says of itself before anything else.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    /// Who: an agent's or a node's ID, for people.
    pub id: String,
    /// The software, for people: name and version.
    pub agent: String,
}

/// What the machine is told. `T` is the parent's tag for a call: it comes back with every word.
#[derive(Debug)]
pub enum Input<T> {
    /// A piece of a binary message's payload, unmasked.
    Received(BytesMut),
    /// The message ended. A frame must not straddle messages.
    MessageEnd,
    /// Begin a call.
    Open {
        /// [`Machine::next_stream`].
        stream: StreamId,
        /// The parent's name for it.
        tag: T,
        /// What is asked.
        head: RequestHead,
        /// Whether no body follows.
        end: bool,
    },
    /// Name a call that the peer began. Ignored if the call is over.
    Tag {
        /// Which call.
        stream: StreamId,
        /// The parent's name for it.
        tag: T,
    },
    /// Say the next word of a call. Ignored if the call is over.
    Say {
        /// Which call.
        stream: StreamId,
        /// Any word but `Request`.
        word: Word,
    },
    /// So many bytes would be taken by the connection now: frame what waits.
    Room(usize),
    /// We want no more calls from the peer: say so, and report when its last has ended.
    Drain,
    /// The connection is gone: reset every call with this reason, then `Closed`.
    Lost(Reason),
}

/// What the machine asks for.
#[derive(PartialEq, Eq, Debug)]
pub enum Action<T> {
    /// The peer's hello came and suits: calls may begin.
    Ready(Identity),
    /// The peer calls.
    Opened {
        /// The call.
        stream: StreamId,
        /// What is asked.
        head: RequestHead,
        /// Whether no body follows.
        end: bool,
    },
    /// The peer said the next word of a call. The side that has data to send hears `Credit`
    /// before it may send any: a caller after `Open`, a callee after `Opened`.
    Said {
        /// Which call.
        stream: StreamId,
        /// The parent's name for it, if it gave one.
        tag: Option<T>,
        /// The word. After `Reset`, or when both directions have ended, the call is over.
        word: Word,
    },
    /// A ping came back.
    RoundTrip(Duration),
    /// The peer wants no more calls from us. Acknowledged by the machine itself.
    PeerDrains,
    /// Our drain was acknowledged and the peer's last call has ended.
    Drained,
    /// The peer broke the protocol or went silent: close the connection with this reason. The
    /// last action; each call has had its `Reset` before.
    Closed(Reason),
}
