//! An operator's connection: health, readiness, and what is known of the node.

use super::answer::{self, Reply};
use super::entry::Event;
use super::settings::Settings;
use super::status::{Format, Page, Query, Route, route};
use crate::head::RequestHead;
use crate::http1::server as http1;
use crate::machine::Machine as _;
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::time::{Instant, Monotonic};
use crate::wall::Wall;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;

/// What an operator's connection is told.
#[derive(Debug)]
pub(super) enum Input {
    /// Something happened on its socket.
    Socket(Event),
    /// Whether the node is ready.
    Ready(bool),
    /// The answer to [`Action::Inquire`].
    Answer(Reply),
    /// What time of day it is.
    Wall(Wall),
    /// Finish and close.
    Drain,
}

/// What an operator's connection asks of its worker.
#[derive(Debug)]
pub(super) enum Action {
    /// Find this out, of another node if one is named, and say it by [`Input::Answer`].
    Inquire(Query, Option<String>, Format),
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
    /// Whether something is being found out.
    waiting: bool,
    closed: bool,
    settings: Arc<Settings>,
}

impl Admin {
    /// A connection that was just accepted.
    pub(super) fn new(now: Instant, ready: bool, settings: Arc<Settings>) -> Self {
        let mut clock = Monotonic::default();
        clock.advance(now);
        Self {
            http: http1::Machine::new(now, Arc::clone(&settings.limits)),
            actions: VecDeque::new(),
            clock,
            ready,
            waiting: false,
            closed: false,
            settings,
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
                http1::Action::Request(request) => self.asked(&request.head),
                http1::Action::Malformed(reason) => self.answer(answer::refusal(reason, "")),
                http1::Action::Data { bytes, .. } => {
                    self.http.handle(now, http1::Input::Credit(bytes.len()));
                }
                http1::Action::Finish => self.actions.push_back(Action::Finish),
                http1::Action::Closed(_) => self.close(),
                http1::Action::Trailers(_) | http1::Action::Taken(_) | http1::Action::Finished => {}
                http1::Action::Canceled(_) => self.waiting = false,
            }
        }
    }

    fn asked(&mut self, head: &RequestHead) {
        let Some(write) = self.settings.write else { return self.asked_plainly(head) };
        let page = match route(head) {
            Ok(Route::Health | Route::Ready) => return self.asked_plainly(head),
            Ok(Route::Metrics(format)) => return self.inquire(Query::Metrics, None, format),
            Ok(Route::Status(query, node)) => {
                return self.inquire(query, node, Format::Prometheus);
            }
            Ok(Route::Home) => Page::Home,
            Ok(Route::Script) => Page::Script,
            Ok(Route::Style) => Page::Style,
            Ok(Route::Description) => Page::Description,
            Err(reason) => return self.answer(refusal(reason)),
        };
        self.answer(answer::page(&write(page)));
    }

    /// What needs nobody to write it.
    fn asked_plainly(&mut self, head: &RequestHead) {
        self.answer(match route(head) {
            Ok(Route::Health) => answer::plain(200, "ok\n"),
            Ok(Route::Ready) if self.ready => answer::plain(200, "ready\n"),
            Ok(Route::Ready) => answer::plain(503, "not ready\n"),
            Ok(
                Route::Home
                | Route::Script
                | Route::Style
                | Route::Description
                | Route::Metrics(_)
                | Route::Status(..),
            ) => refusal(Reason::NotFound),
            Err(reason) => refusal(reason),
        });
    }

    fn inquire(&mut self, query: Query, node: Option<String>, format: Format) {
        self.waiting = true;
        self.actions.push_back(Action::Inquire(query, node, format));
    }

    fn answer(&mut self, (head, bytes): Reply) {
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
            Input::Socket(Event::Lost(_)) => return self.close(),
            Input::Ready(ready) => self.ready = ready,
            Input::Answer(reply) => {
                if core::mem::take(&mut self.waiting) {
                    self.answer(reply);
                }
            }
            Input::Wall(wall) => self.http.handle(now, http1::Input::Wall(wall)),
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

/// Why there is no page, and of which methods all pages know.
fn refusal(reason: Reason) -> Reply {
    let (mut head, bytes) = answer::refusal(reason, "");
    if reason == Reason::MethodNotAllowed {
        head.fields.set(b"allow", b"GET, HEAD");
    }
    (head, bytes)
}
