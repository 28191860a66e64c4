//! The server side of one HTTP/1 connection.

use crate::head::{Fields, RequestHead, ResponseHead};
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::time::Instant;
use alloc::sync::Arc;
use bytes::BytesMut;

/// What the server machine is told.
#[derive(Debug)]
pub enum Input {
    /// Bytes from the client.
    Received(BytesMut),
    /// The client's FIN.
    Eof,
    /// The socket took so many bytes of the outbox.
    Sent(usize),
    /// The head of the response, interim (1xx) or final. The machine adds what concerns this hop:
    /// framing fields where `Content-Length` does not say, `Connection`.
    Respond {
        /// The head, without hop-by-hop fields but for `Upgrade` with a 101.
        head: ResponseHead,
        /// Whether no body follows.
        end: bool,
    },
    /// Some of the response's body, or raw bytes after a 101, where `end` is our FIN.
    Data {
        /// The bytes.
        bytes: BytesMut,
        /// Whether these are the last.
        end: bool,
    },
    /// The trailer section, which ends the response.
    Trailers(Fields),
    /// Break off: what was begun must not look complete.
    Abort,
    /// So many more bytes of the request's body (or raw bytes) are welcome; none are at first.
    Credit(usize),
    /// Finish the exchange under way, if any, with `Connection: close`, and close.
    Drain,
}

/// What the server machine asks for.
#[derive(PartialEq, Eq, Debug)]
pub enum Action {
    /// A request's head is complete.
    Request(Request),
    /// What the client sends cannot be taken. Answer with [`Input::Respond`]; then the machine
    /// closes, whatever else arrives. If a request is under way its call must be reset.
    Malformed(Reason),
    /// Some of the request's body, within credit, or raw bytes after a 101, where `end` is FIN.
    Data {
        /// The bytes; empty only with `end`.
        bytes: BytesMut,
        /// Whether these are the last.
        end: bool,
    },
    /// The request's trailer section, which ends it.
    Trailers(Fields),
    /// So many bytes of the response's body have gone to the socket.
    Taken(usize),
    /// Request and response are complete and sent; the next request may begin.
    Finished,
    /// The client is gone, or too slow, with an exchange under way: reset the call.
    Canceled(Reason),
    /// Send FIN when the outbox is empty.
    Finish,
    /// The connection is over: drop it. The last action.
    Closed(Reason),
}

/// A request's head and what the machine found out about it.
#[derive(PartialEq, Eq, Debug)]
pub struct Request {
    /// The head as it was sent.
    pub head: RequestHead,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: http::Version,
    /// Whether no body follows.
    pub end: bool,
    /// Whether the client asks for an upgrade that may be granted.
    pub upgrade: bool,
}

/// The server side of one HTTP/1 connection.
#[derive(Debug)]
pub struct Machine {
    outbox: Outbox,
}

impl Machine {
    /// A connection that was just accepted.
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

    /// Whether no exchange is under way and nothing waits.
    pub fn is_idle(&self) -> bool {
        todo!()
    }

    /// Takes the connection over after a 101: what has arrived beyond the request, and what
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
