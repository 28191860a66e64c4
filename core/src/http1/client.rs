//! The client side of one HTTP/1 connection.

use crate::head::{Fields, RequestHead, ResponseHead};
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::time::Instant;
use alloc::sync::Arc;
use bytes::BytesMut;

/// What the client machine is told.
#[derive(Debug)]
pub enum Input {
    /// Bytes from the server.
    Received(BytesMut),
    /// The server's FIN.
    Eof,
    /// The socket took so many bytes of the outbox.
    Sent(usize),
    /// Begin an exchange; only when [`Machine::is_idle`]. The machine adds what concerns this
    /// hop: framing fields where `Content-Length` does not say, `Connection` for an upgrade.
    Request {
        /// The head, without hop-by-hop fields but for `Upgrade`.
        head: RequestHead,
        /// Whether no body follows. Never with an upgrade.
        end: bool,
        /// Whether `Upgrade` is asked for.
        upgrade: bool,
    },
    /// Some of the request's body, or raw bytes after a 101, where `end` is our FIN.
    Data {
        /// The bytes.
        bytes: BytesMut,
        /// Whether these are the last.
        end: bool,
    },
    /// The trailer section, which ends the request.
    Trailers(Fields),
    /// Break off: what was begun must not look complete. Closes the connection.
    Abort,
    /// So many more bytes of the response's body (or raw bytes) are welcome; none are at first
    /// in each exchange.
    Credit(usize),
}

/// What the client machine asks for.
#[derive(PartialEq, Eq, Debug)]
pub enum Action {
    /// A response head, interim or final.
    Response {
        /// The head as it was sent.
        head: ResponseHead,
        /// Whether no body follows.
        end: bool,
    },
    /// Some of the response's body, within credit, or raw bytes after a 101, where `end` is FIN.
    Data {
        /// The bytes; empty only with `end`.
        bytes: BytesMut,
        /// Whether these are the last.
        end: bool,
    },
    /// The response's trailer section, which ends it.
    Trailers(Fields),
    /// So many bytes of the request's body have gone to the socket.
    Taken(usize),
    /// The exchange is over, both ways, and the connection may carry another.
    Idle,
    /// The exchange failed. `started` is false only if no byte of the request left the outbox or
    /// the connection was reused and closed without any byte of a response.
    Failed {
        /// Why.
        reason: Reason,
        /// Whether the service may have seen any of the request.
        started: bool,
    },
    /// Send FIN when the outbox is empty.
    Finish,
    /// The connection is over: drop it. The last action.
    Closed(Reason),
}

/// The client side of one HTTP/1 connection.
#[derive(Debug)]
pub struct Machine {
    outbox: Outbox,
}

impl Machine {
    /// A connection that was just opened.
    pub fn new(_now: Instant, _limits: Arc<Limits>) -> Self {
        todo!()
    }

    /// What waits to be written.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// How many bytes would be taken now.
    pub fn room(&self) -> usize {
        todo!()
    }

    /// Whether a request may begin.
    pub fn is_idle(&self) -> bool {
        todo!()
    }

    /// Takes the connection over after a 101: what has arrived beyond the response, and what
    /// still waits to be sent. For a parent that speaks the new protocol itself.
    pub fn into_raw(self) -> (BytesMut, Outbox) {
        todo!()
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
