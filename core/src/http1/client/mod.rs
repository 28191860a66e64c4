//! The client side of one HTTP/1 connection.
//!
//! Exchanges follow one another; the next begins when the machine says [`Action::Idle`]. The
//! state table is in `spec/http.md`. Inputs that do not fit the state are ignored.

mod ending;
mod reading;
mod writing;

use super::body::{Decoder, Encoder};
use super::head::Search;
use super::rules::Named;
use crate::head::{Fields, RequestHead, ResponseHead};
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::time::{Instant, Monotonic};
use crate::timers::Timers;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::{Buf as _, BytesMut};
use http::Method;

/// What the client machine is told.
#[derive(Debug)]
pub enum Input {
    /// Bytes from the server.
    Received(BytesMut),
    /// The server's FIN.
    Eof,
    /// The socket broke.
    Lost,
    /// The socket took so many bytes of the outbox.
    Sent(usize),
    /// Begin an exchange; only when [`Machine::is_idle`]. The machine adds what concerns this
    /// hop: framing fields where `Content-Length` does not say, `Connection` for an upgrade and for
    /// `TE`, an empty `Host` where there is none.
    Request {
        /// The head, without hop-by-hop fields but for `Upgrade`, and `TE` if it says `trailers`
        /// and no more.
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
    limits: Arc<Limits>,
    clock: Monotonic,
    timers: Timers<Timer>,
    /// What has come and is not yet taken.
    input: BytesMut,
    outbox: Outbox,
    /// Bytes that still waited when it was closed.
    lost: usize,
    actions: VecDeque<Action>,
    reading: Reading,
    writing: Writing,
    exchange: Exchange,
    /// Body bytes that the parent still welcomes.
    credit: usize,
    /// Payload bytes that the parent gave and has not heard of again.
    untaken: usize,
    /// Whether the server has sent its FIN.
    eof: bool,
    /// Whether an exchange has ended well on this connection.
    reused: bool,
}

/// What comes from the server.
#[derive(Debug)]
enum Reading {
    /// Nothing is due.
    Idle,
    /// A response's head, interim or final.
    Head(Search),
    /// A response's body.
    Body(Decoder),
    /// The response is complete.
    Done,
    /// Raw bytes after a 101.
    Raw,
    /// FIN after raw bytes.
    RawDone,
    /// The connection is over.
    Closed,
}

/// What goes to the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Writing {
    /// There is no exchange.
    Idle,
    /// A request's body.
    Body(Encoder),
    /// Nothing before we know whether the upgrade is granted.
    Offer,
    /// The request is complete; some of it may wait in the outbox.
    Done,
    /// Raw bytes after a 101.
    Raw,
    /// FIN after raw bytes.
    RawDone,
}

/// What is known about the exchange under way.
#[derive(Debug)]
struct Exchange {
    method: Method,
    progress: Progress,
    /// Interim responses so far.
    interim: usize,
    /// The protocols that were offered.
    offered: Vec<Vec<u8>>,
    /// Whether the connection may carry another.
    persist: bool,
    /// Whether the server was asked if it wants the body, and has not said so: it may answer and
    /// take the body for the next request (RFC 9110, section 10.1.1).
    unasked: bool,
    /// What the response's `Connection` names.
    named: Named,
}

/// How far an exchange has come, as the server may have seen it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Progress {
    /// No byte of the request has left.
    Unsent,
    /// Some have.
    Sent,
    /// Some of a response has come.
    Answered,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    Response,
    Body,
    Write,
}

/// Which way something moved in this step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moved {
    /// The server sent something.
    In,
    /// The server's socket took something.
    Out,
    Neither,
}

impl Machine {
    /// A connection that was just opened.
    pub fn new(now: Instant, limits: Arc<Limits>) -> Self {
        let mut clock = Monotonic::default();
        clock.advance(now);
        Self {
            limits,
            clock,
            timers: Timers::new(),
            input: BytesMut::new(),
            outbox: Outbox::new(),
            lost: 0,
            actions: VecDeque::new(),
            reading: Reading::Idle,
            writing: Writing::Idle,
            exchange: Exchange::default(),
            credit: 0,
            untaken: 0,
            eof: false,
            reused: false,
        }
    }

    /// Whether it was closed before all was written that had been said. Whoever has passed on an
    /// [`Action::Finish`] that the driver has not seen yet is to take it back.
    pub fn was_cut(&self) -> bool {
        self.lost > 0
    }

    /// What waits to be written.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// How many bytes would be taken now.
    pub fn room(&self) -> usize {
        let bound = self.limits.head_bytes.max(1);
        match self.reading {
            _ if self.eof => 0,
            Reading::Idle => bound,
            Reading::Head(_) => bound.saturating_sub(self.input.len()).max(1),
            Reading::Body(_) | Reading::Raw if self.input.is_empty() => bound,
            Reading::Done => bound.saturating_sub(self.input.len()),
            Reading::Body(_) | Reading::Raw | Reading::RawDone | Reading::Closed => 0,
        }
    }

    /// Whether a request may begin.
    pub fn is_idle(&self) -> bool {
        matches!(self.reading, Reading::Idle)
    }

    /// Takes the connection over after a 101: what has arrived beyond the response, and what
    /// still waits to be sent. For a parent that speaks the new protocol itself.
    pub fn into_raw(self) -> (BytesMut, Outbox) {
        (self.input, self.outbox)
    }

    fn is_closed(&self) -> bool {
        matches!(self.reading, Reading::Closed)
    }
}

impl crate::Machine for Machine {
    type Input = Input;
    type Action = Action;

    fn handle(&mut self, now: Instant, input: Input) {
        self.clock.advance(now);
        if self.is_closed() {
            return;
        }
        let moved = match input {
            Input::Received(bytes) if bytes.is_empty() => Moved::Neither,
            Input::Received(bytes) => {
                self.receive(bytes);
                Moved::In
            }
            Input::Eof => {
                self.eof = true;
                Moved::Neither
            }
            Input::Lost => {
                self.lose();
                Moved::Neither
            }
            Input::Sent(count) => self.sent(count),
            Input::Request { head, end, upgrade } => {
                self.request(&head, end, upgrade);
                Moved::Neither
            }
            Input::Data { bytes, end } => {
                self.data(bytes, end);
                Moved::Neither
            }
            Input::Trailers(fields) => {
                self.end_request(Some(&fields));
                Moved::Neither
            }
            Input::Abort => {
                self.close(Reason::Canceled);
                Moved::Neither
            }
            Input::Credit(count) => {
                self.credit = self.credit.saturating_add(count);
                Moved::Neither
            }
        };
        self.settle(moved);
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        while let Some(timer) = self.timers.pop(now) {
            self.fire(timer);
        }
    }

    fn poll(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        if action.is_none() && self.actions.capacity() > ACTIONS_KEPT {
            self.actions = VecDeque::new();
        }
        action
    }

    fn deadline(&self) -> Option<Instant> {
        self.timers.deadline()
    }
}

impl Machine {
    /// Reads on, tells what became of it, and sets the timers right.
    fn settle(&mut self, moved: Moved) {
        self.read();
        self.report_taken();
        self.end_exchange();
        self.set_timers(moved);
    }

    fn sent(&mut self, count: usize) -> Moved {
        let count = count.min(self.outbox.len());
        if count == 0 {
            return Moved::Neither;
        }
        self.outbox.advance(count);
        self.exchange.progress = self.exchange.progress.max(Progress::Sent);
        Moved::Out
    }
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            method: Method::GET,
            progress: Progress::Unsent,
            interim: 0,
            offered: Vec::new(),
            persist: true,
            unasked: false,
            named: Named::default(),
        }
    }
}

/// A queue of actions that grew beyond this is let go when it is empty.
const ACTIONS_KEPT: usize = 8;
