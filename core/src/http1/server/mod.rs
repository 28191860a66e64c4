//! The server side of one HTTP/1 connection.
//!
//! One exchange at a time: what a client sends behind a request waits until its response has gone
//! out. The state table is in `spec/http.md`. Inputs that do not fit the state (data without a
//! response, a second response, anything after `Closed`) are ignored.

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
use crate::wall::Wall;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use bytes::{Buf as _, BytesMut};
use http::{Method, Version};

/// What the server machine is told.
#[derive(Debug)]
pub enum Input {
    /// Bytes from the client.
    Received(BytesMut),
    /// The client's FIN.
    Eof,
    /// The socket broke.
    Lost,
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
    /// Break off: what was begun must not look complete. What waits still goes out if its framing
    /// shows that it was cut; else the connection is closed at once.
    Abort,
    /// What time of day it is: a response without `Date` is dated so. Before the first of these
    /// none is.
    Wall(Wall),
    /// So many more bytes of the request's body (or raw bytes) are welcome; none are at first.
    Credit(usize),
    /// The next response that begins is the last: it says `Connection: close`. Who is idle is
    /// left alone.
    Last,
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
    /// The answer's body is best said at once: nothing guards against an answer that never comes.
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
    /// Request and response are complete and sent; the next request may begin. Does not come for
    /// an answer that was complete before its request, nor for an upgraded connection: those end
    /// with `Closed`, and no more of such a request is delivered.
    Finished,
    /// The client is gone ([`Reason::Canceled`]), or too slow, with an exchange under way: reset
    /// the call.
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
    limits: Arc<Limits>,
    clock: Monotonic,
    timers: Timers<Timer>,
    /// What has come and is not yet taken.
    input: BytesMut,
    outbox: Outbox,
    /// Bytes that still waited when it was closed.
    lost: usize,
    actions: VecDeque<Action>,
    life: Life,
    reading: Reading,
    writing: Writing,
    exchange: Exchange,
    /// Body bytes that the parent still welcomes.
    credit: usize,
    /// Payload bytes that the parent gave and has not heard of again.
    untaken: usize,
    /// Whether the client has sent its FIN.
    eof: bool,
    /// Whether this exchange shall be the last.
    draining: bool,
    /// Whether the next response that begins says that it is the last.
    last: bool,
    /// What time of day it is, as far as anybody has said.
    wall: Option<Wall>,
}

/// What the connection as a whole is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    /// No request has come yet.
    Fresh,
    /// It has carried a request.
    Kept,
    /// All is said, FIN is asked for; what still comes is thrown away.
    Closing(Reason),
    Closed,
}

/// What comes from the client.
#[derive(Debug)]
enum Reading {
    /// A request's head.
    Head(Start),
    /// A request's body.
    Body(Decoder),
    /// Nothing before we know whether the upgrade is granted.
    Offer,
    /// The request is complete.
    Done,
    /// Raw bytes after a 101.
    Raw,
    /// FIN after raw bytes.
    RawDone,
    /// Nothing of interest: at most so many more bytes are read and thrown away.
    Discard(usize),
}

/// How far a head has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Start {
    search: Search,
    /// Whether an empty line in front of it was dropped.
    skipped: bool,
    /// Whether any of it is there.
    begun: bool,
}

/// What goes to the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Writing {
    /// There is no exchange.
    Idle,
    /// The final response has not begun.
    Awaiting,
    /// The final response's body.
    Body(Encoder),
    /// The response is complete; some of it may wait in the outbox.
    Done,
    /// Raw bytes after a 101.
    Raw,
    /// FIN after raw bytes.
    RawDone,
}

/// What is known about the request under way.
#[derive(Debug)]
struct Exchange {
    version: Version,
    method: Method,
    /// Whether the connection may carry another.
    persist: bool,
    /// Whether the client may wait to be asked for the body.
    expects: bool,
    /// What the request's `Connection` names.
    named: Named,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    /// For a request's head, or for its first byte.
    Head,
    Body,
    Write,
    HalfClose,
    Linger,
}

impl Machine {
    /// A connection that was just accepted.
    pub fn new(now: Instant, limits: Arc<Limits>) -> Self {
        let mut clock = Monotonic::default();
        let mut timers = Timers::new();
        timers.set(Timer::Head, clock.advance(now) + limits.head_timeout);
        Self {
            limits,
            clock,
            timers,
            input: BytesMut::new(),
            outbox: Outbox::new(),
            lost: 0,
            actions: VecDeque::new(),
            life: Life::Fresh,
            reading: Reading::Head(Start::default()),
            writing: Writing::Idle,
            exchange: Exchange::default(),
            credit: 0,
            untaken: 0,
            eof: false,
            draining: false,
            last: false,
            wall: None,
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
        if self.life == Life::Closed || self.eof {
            return 0;
        }
        let bound = self.limits.head_bytes.max(1);
        match self.reading {
            Reading::Head(_) => bound.saturating_sub(self.input.len()).max(1),
            Reading::Offer | Reading::Done => bound.saturating_sub(self.input.len()),
            Reading::Body(_) | Reading::Raw if self.input.is_empty() => bound,
            Reading::Body(_) | Reading::Raw | Reading::RawDone => 0,
            Reading::Discard(left) => left,
        }
    }

    /// Whether the client is the one that has to go on: with its body, for which it waits for no
    /// permission (`Expect`). It has `body_timeout` for that.
    pub fn owes_body(&self) -> bool {
        self.wants_body() && !self.exchange.expects
    }

    /// Whether no exchange is under way and nothing waits.
    pub fn is_idle(&self) -> bool {
        let waits = matches!(&self.reading, Reading::Head(start) if !start.begun);
        waits && self.writing == Writing::Idle && self.outbox.is_empty()
    }

    /// Takes the connection over after a 101: what has arrived beyond the request, and what
    /// still waits to be sent. For a parent that speaks the new protocol itself.
    pub fn into_raw(self) -> (BytesMut, Outbox) {
        (self.input, self.outbox)
    }

    /// Reads on, tells what became of it, and sets the timers right.
    fn settle(&mut self, moved: Moved) {
        while self.life != Life::Closed {
            self.read();
            self.report_taken();
            if !self.end_exchange() {
                break;
            }
        }
        self.check_closing();
        self.set_timers(moved);
    }
}

/// Which way something moved in this step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moved {
    /// The client sent something.
    In,
    /// The client's socket took something.
    Out,
    /// The parent said something of the response.
    Said,
    Neither,
}

impl crate::Machine for Machine {
    type Input = Input;
    type Action = Action;

    fn handle(&mut self, now: Instant, input: Input) {
        self.clock.advance(now);
        if self.life == Life::Closed {
            return;
        }
        let moved = match input {
            Input::Received(bytes) => {
                self.receive(bytes);
                Moved::In
            }
            Input::Eof => {
                self.eof = true;
                Moved::In
            }
            Input::Lost => {
                self.give_up(Reason::ConnectionLost);
                Moved::Neither
            }
            Input::Sent(count) => {
                self.outbox.advance(count.min(self.outbox.len()));
                if count == 0 { Moved::Neither } else { Moved::Out }
            }
            Input::Respond { head, end } => {
                self.respond(&head, end);
                Moved::Said
            }
            Input::Data { bytes, end } => {
                self.data(bytes, end);
                Moved::Said
            }
            Input::Trailers(fields) => {
                self.end_response(Some(&fields));
                Moved::Said
            }
            Input::Abort => {
                self.abort(Reason::Canceled);
                Moved::Neither
            }
            Input::Credit(count) => {
                self.credit = self.credit.saturating_add(count);
                Moved::Neither
            }
            Input::Last => {
                self.last = true;
                Moved::Neither
            }
            Input::Wall(wall) => {
                self.wall = Some(wall);
                Moved::Neither
            }
            Input::Drain => {
                self.drain();
                Moved::Neither
            }
        };
        self.settle(moved);
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        while let Some(timer) = self.timers.pop(now) {
            self.fire(timer);
            self.settle(Moved::Neither);
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

impl Default for Exchange {
    fn default() -> Self {
        Self {
            version: Version::HTTP_11,
            method: Method::GET,
            persist: false,
            expects: false,
            named: Named::default(),
        }
    }
}

/// A queue of actions that grew beyond this is let go when it is empty.
const ACTIONS_KEPT: usize = 8;
