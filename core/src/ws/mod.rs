//! WebSocket connections after the handshake (RFC 6455).

pub mod handshake;

use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::seed::Seed;
use crate::time::Instant;
use alloc::sync::Arc;
use bytes::BytesMut;

/// Which end this is: a client masks what it sends, a server must not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Opened the connection.
    Client,
    /// Accepted it.
    Server,
}

/// What a data message carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Bytes.
    Binary,
}

/// What the machine is told.
#[derive(Debug)]
pub enum Input {
    /// Bytes from the peer.
    Received(BytesMut),
    /// The peer's FIN.
    Eof,
    /// The socket took so many bytes of the outbox.
    Sent(usize),
    /// Send one message.
    Message {
        /// Text or binary. The caller vouches that text is UTF-8.
        kind: Kind,
        /// The payload.
        payload: Outbox,
    },
    /// Send a ping with at most 125 bytes.
    Ping(BytesMut),
    /// Begin the close handshake with this reason's close code.
    Close(Reason),
}

/// What the machine asks for.
#[derive(PartialEq, Eq, Debug)]
pub enum Action {
    /// A piece of a data message, unmasked, as soon as it arrived: a message may come in any
    /// number of pieces.
    Piece {
        /// Text or binary.
        kind: Kind,
        /// At least one byte.
        bytes: BytesMut,
    },
    /// The message ended. An empty message is an end without a piece.
    MessageEnd {
        /// Text or binary.
        kind: Kind,
    },
    /// A pong arrived.
    Pong(BytesMut),
    /// Send FIN when the outbox is empty.
    Finish,
    /// The connection is over: drop it. The last action. [`Reason::Closed`] if the peer or the
    /// caller closed it in the agreed way.
    Closed(Reason),
}

/// One WebSocket connection after the handshake.
#[derive(Debug)]
pub struct Machine {
    outbox: Outbox,
}

impl Machine {
    /// A connection whose handshake is done. `outbox` is what the handshake has still to send.
    /// Bytes that came behind the handshake are the first [`Input::Received`].
    pub fn new(_role: Role, _seed: &Seed, _limits: Arc<Limits>, _outbox: Outbox) -> Self {
        todo!()
    }

    /// What waits to be written.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }
}

impl crate::Machine for Machine {
    type Input = Input;
    type Action = Action;

    fn handle(&mut self, _now: Instant, _input: Input) {
        todo!()
    }

    fn tick(&mut self, _now: Instant) {
        todo!()
    }

    fn poll(&mut self) -> Option<Action> {
        todo!()
    }

    fn deadline(&self) -> Option<Instant> {
        todo!()
    }
}
