//! WebSocket connections after the handshake (RFC 6455). `spec/websocket.md` says what of it is
//! taken and what is refused.

mod close;
mod codec;
pub mod handshake;
mod machine;
mod reader;
mod utf8;

pub use machine::Machine;

use crate::outbox::Outbox;
use crate::reason::Reason;
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
    /// Send one message, as one frame. Ignored once the close handshake has begun.
    Message {
        /// Text or binary. The caller vouches that text is UTF-8.
        kind: Kind,
        /// The payload.
        payload: Outbox,
    },
    /// Send a ping with at most 125 bytes, which the caller vouches for. Ignored once the close
    /// handshake has begun.
    Ping(BytesMut),
    /// Begin the close handshake with this reason's close code. Data goes on arriving until the
    /// peer closes as well. Ignored once the close handshake has begun.
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
