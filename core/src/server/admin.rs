//! An operator's connection: health and readiness.

use super::answer;
use super::entry::Event;
use super::settings::Settings;
use crate::head::{RequestHead, ResponseHead};
use crate::http1::server as http1;
use crate::machine::Machine as _;
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::time::{Instant, Monotonic};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use bytes::BytesMut;
use http::Method;

/// What an operator's connection is told.
#[derive(Debug)]
pub(super) enum Input {
    /// Something happened on its socket.
    Socket(Event),
    /// Whether the node is ready.
    Ready(bool),
    /// Finish and close.
    Drain,
}

/// What an operator's connection asks of its worker.
#[derive(Debug)]
pub(super) enum Action {
    /// Send FIN when the outbox is empty.
    Finish,
    /// Drop the connection.
    Closed,
}

/// An operator's connection.
#[derive(Debug)]
pub(super) struct Admin {
    http: http1::Machine,
    actions: VecDeque<Action>,
    clock: Monotonic,
    ready: bool,
    closed: bool,
}

impl Admin {
    /// A connection that was just accepted.
    pub(super) fn new(now: Instant, ready: bool, settings: &Settings) -> Self {
        let mut clock = Monotonic::default();
        clock.advance(now);
        Self {
            http: http1::Machine::new(now, Arc::clone(&settings.limits)),
            actions: VecDeque::new(),
            clock,
            ready,
            closed: false,
        }
    }

    /// What waits to be written.
    pub(super) fn outbox(&self) -> &Outbox {
        self.http.outbox()
    }

    /// How many bytes would be taken now.
    pub(super) fn room(&self) -> usize {
        self.http.room()
    }

    fn pump(&mut self) {
        let now = self.clock.now();
        while let Some(action) = self.http.poll() {
            match action {
                http1::Action::Request(request) => self.answer(self.page(&request.head)),
                http1::Action::Malformed(reason) => self.answer(answer::refusal(reason, "")),
                http1::Action::Data { bytes, .. } => {
                    self.http.handle(now, http1::Input::Credit(bytes.len()));
                }
                http1::Action::Finish => self.actions.push_back(Action::Finish),
                http1::Action::Closed(_) => self.close(),
                http1::Action::Trailers(_)
                | http1::Action::Taken(_)
                | http1::Action::Finished
                | http1::Action::Canceled(_) => {}
            }
        }
    }

    fn page(&self, head: &RequestHead) -> (ResponseHead, BytesMut) {
        let path = head.target().split(|b| *b == b'?').next().unwrap_or_default();
        let read = head.method == Method::GET || head.method == Method::HEAD;
        match path {
            b"/health" | b"/ready" if !read => answer::refusal(Reason::MethodNotAllowed, ""),
            b"/health" => answer::plain(200, "ok\n"),
            b"/ready" if self.ready => answer::plain(200, "ready\n"),
            b"/ready" => answer::plain(503, "not ready\n"),
            _ => answer::refusal(Reason::NotFound, ""),
        }
    }

    fn answer(&mut self, (head, bytes): (ResponseHead, BytesMut)) {
        let now = self.clock.now();
        self.http.handle(now, http1::Input::Respond { head, end: false });
        self.http.handle(now, http1::Input::Data { bytes, end: true });
    }

    fn close(&mut self) {
        if !self.closed {
            self.closed = true;
            self.actions.push_back(Action::Closed);
        }
    }
}

impl crate::Machine for Admin {
    type Input = Input;
    type Action = Action;

    fn handle(&mut self, now: Instant, input: Input) {
        let now = self.clock.advance(now);
        if self.closed {
            return;
        }
        match input {
            Input::Socket(Event::Received(bytes)) => {
                self.http.handle(now, http1::Input::Received(bytes));
            }
            Input::Socket(Event::Eof) => self.http.handle(now, http1::Input::Eof),
            Input::Socket(Event::Sent(count)) => self.http.handle(now, http1::Input::Sent(count)),
            Input::Socket(Event::Lost) => return self.close(),
            Input::Ready(ready) => self.ready = ready,
            Input::Drain => self.http.handle(now, http1::Input::Drain),
        }
        self.pump();
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        if !self.closed {
            self.http.tick(now);
            self.pump();
        }
    }

    fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        if self.closed { None } else { self.http.deadline() }
    }
}
