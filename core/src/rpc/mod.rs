//! The tunnel protocol: calls, interleaved, both ways, over the messages of one WebSocket.
//!
//! The wire format and the state tables are in `spec/rpc.md`.

mod word;

pub use word::{Reset, Word};

use crate::head::RequestHead;
use crate::id::StreamId;
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::time::Instant;
use alloc::string::String;
use alloc::sync::Arc;
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

/// One side of one tunnel.
#[derive(Debug)]
pub struct Machine<T> {
    outbox: Outbox,
    tag: core::marker::PhantomData<T>,
}

impl<T: Copy> Machine<T> {
    /// A tunnel whose WebSocket is open. The hello is in the outbox at once.
    pub fn new(_now: Instant, _role: Role, _me: &Identity, _limits: Arc<Limits>) -> Self {
        todo!()
    }

    /// What the next call opened here will be called.
    pub fn next_stream(&self) -> StreamId {
        todo!()
    }

    /// Whether a call may be opened now: the hello came, the peer does not drain, and its limit
    /// on calls is not reached.
    pub fn may_open(&self) -> bool {
        todo!()
    }

    /// Calls under way, in both directions.
    pub fn calls(&self) -> usize {
        todo!()
    }

    /// Whether there are frames to send as the next message.
    pub fn has_message(&self) -> bool {
        todo!()
    }

    /// Takes the frames that make up the next message.
    pub fn take_message(&mut self) -> Outbox {
        todo!()
    }
}

impl<T: Copy> crate::Machine for Machine<T> {
    type Input = Input<T>;
    type Action = Action<T>;

    fn handle(&mut self, _now: Instant, _input: Input<T>) {
        todo!()
    }

    fn tick(&mut self, _now: Instant) {
        todo!()
    }

    fn poll(&mut self) -> Option<Action<T>> {
        todo!()
    }

    fn deadline(&self) -> Option<Instant> {
        todo!()
    }
}
