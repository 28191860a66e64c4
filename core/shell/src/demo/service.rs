//! The demonstration's own service: a small web server on the machines of core.

use bytes::BytesMut;
use http::{Method, StatusCode};
use pico_core::head::{Fields, RequestHead, ResponseHead};
use pico_core::host::{Action, Host, Input, Told};
use pico_core::http1::server as http1;
use pico_core::id::{ConnId, ConnMap};
use pico_core::{Agenda, Instant, Limits, Machine, Monotonic, Outbox};
use std::collections::VecDeque;
use std::sync::Arc;

/// A web server with a page, an echo, a stream of two events and an upgrade.
#[derive(Debug)]
pub(super) struct Service {
    conns: ConnMap<Conn>,
    actions: VecDeque<Action<Stop>>,
    agenda: Agenda<ConnId>,
    clock: Monotonic,
    limits: Arc<Limits>,
}

/// Tells a host of the demonstration to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop;

#[derive(Debug)]
struct Conn {
    http: http1::Machine,
    task: Task,
    told: Told,
}

/// What a connection is in the middle of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Task {
    None,
    /// Sends back what it receives.
    Echo,
    /// Has sent its first event and waits for `/release`.
    Events,
}

impl Service {
    /// A service without visitors.
    pub(super) fn new(limits: Arc<Limits>) -> Self {
        Self {
            conns: ConnMap::new(),
            actions: VecDeque::new(),
            agenda: Agenda::new(),
            clock: Monotonic::default(),
            limits,
        }
    }

    fn tell(&mut self, id: ConnId, input: http1::Input) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.http.handle(self.clock.now(), input);
        }
    }

    fn pump(&mut self, id: ConnId) {
        while let Some(conn) = self.conns.get_mut(id) {
            match conn.http.poll() {
                Some(http1::Action::Request(request)) => self.serve(id, &request),
                Some(http1::Action::Malformed(reason)) => {
                    self.answer(id, reason.told().status, "malformed\n");
                }
                Some(http1::Action::Data { bytes, end }) if conn.task == Task::Echo => {
                    self.tell(id, http1::Input::Data { bytes, end });
                }
                // What is not echoed is thrown away.
                Some(http1::Action::Data { bytes, .. }) => {
                    self.tell(id, http1::Input::Credit(bytes.len()));
                }
                Some(http1::Action::Trailers(fields)) if conn.task == Task::Echo => {
                    self.tell(id, http1::Input::Trailers(fields));
                }
                Some(http1::Action::Taken(count)) => self.tell(id, http1::Input::Credit(count)),
                Some(http1::Action::Finished) => conn.task = Task::None,
                Some(http1::Action::Finish) => self.actions.push_back(Action::Finish(id)),
                Some(http1::Action::Closed(_)) => self.remove(id),
                Some(http1::Action::Trailers(_) | http1::Action::Canceled(_)) => {}
                None => break,
            }
        }
        self.look(id);
    }

    fn serve(&mut self, id: ConnId, request: &http1::Request) {
        let head = &request.head;
        match (head.method.clone(), head.target()) {
            (Method::GET | Method::HEAD, b"/") => {
                // Each agent sends a host name of its own, which tells them apart.
                let host = String::from_utf8_lossy(head.fields.get("host").unwrap_or_default());
                let text = format!("hello, by way of {host}\n");
                self.answer(id, 200, &text);
            }
            (Method::POST, b"/echo") => self.echo(id, head, request.end),
            (Method::GET, b"/events") => {
                self.begin(id, StatusCode::OK, &[("content-type", "text/event-stream")]);
                self.data(id, "data: first\n\n", false);
                self.set(id, Task::Events);
            }
            (Method::POST, b"/release") => {
                self.release();
                self.answer(id, 200, "released\n");
            }
            (Method::GET, b"/upgrade") if request.upgrade => {
                self.begin(id, StatusCode::SWITCHING_PROTOCOLS, &[("upgrade", "echo")]);
                self.set(id, Task::Echo);
                self.tell(id, http1::Input::Credit(self.limits.window_bytes));
            }
            _ => self.answer(id, 404, "no such page\n"),
        }
    }

    fn echo(&mut self, id: ConnId, head: &RequestHead, end: bool) {
        let length = head.fields.get("content-length").map(<[u8]>::to_vec);
        let mut fields = Fields::new();
        if let Some(length) = length {
            fields.push(b"content-length", &length);
        }
        let head = ResponseHead::new(StatusCode::OK, b"OK", fields);
        self.set(id, Task::Echo);
        self.tell(id, http1::Input::Respond { head, end });
        self.tell(id, http1::Input::Credit(self.limits.window_bytes));
    }

    /// Sends the second event to all who wait for it.
    fn release(&mut self) {
        let waiting: Vec<ConnId> =
            self.conns.iter().filter(|(_, c)| c.task == Task::Events).map(|(id, _)| id).collect();
        for id in waiting {
            self.set(id, Task::None);
            self.data(id, "data: second\n\n", true);
            self.pump(id);
        }
    }

    fn answer(&mut self, id: ConnId, status: u16, text: &str) {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let length = text.len().to_string();
        self.begin(id, status, &[("content-type", "text/plain"), ("content-length", &length)]);
        self.data(id, text, true);
    }

    fn begin(&mut self, id: ConnId, status: StatusCode, lines: &[(&str, &str)]) {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        let phrase = status.canonical_reason().unwrap_or_default();
        let head = ResponseHead::new(status, phrase.as_bytes(), fields);
        self.tell(id, http1::Input::Respond { head, end: false });
    }

    fn data(&mut self, id: ConnId, text: &str, end: bool) {
        self.tell(id, http1::Input::Data { bytes: BytesMut::from(text), end });
    }

    fn set(&mut self, id: ConnId, task: Task) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.task = task;
        }
    }

    fn remove(&mut self, id: ConnId) {
        if self.conns.remove(id).is_some() {
            self.agenda.forget(id);
            self.actions.push_back(Action::Close(id));
        }
    }

    fn look(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.told.tell(id, Some(conn.http.outbox()), conn.http.room(), &mut self.actions);
        self.agenda.want(id, conn.http.deadline());
    }
}

impl Machine for Service {
    type Input = Input<Stop>;
    type Action = Action<Stop>;

    fn handle(&mut self, now: Instant, input: Input<Stop>) {
        let now = self.clock.advance(now);
        let (id, input) = match input {
            Input::Accepted { conn, .. } => {
                let http = http1::Machine::new(now, Arc::clone(&self.limits));
                let state = Conn { http, task: Task::None, told: Told::default() };
                self.conns.insert(conn, state);
                return self.look(conn);
            }
            Input::Received { conn, bytes } => (conn, http1::Input::Received(bytes)),
            Input::Eof { conn } => (conn, http1::Input::Eof),
            Input::Sent { conn, count } => (conn, http1::Input::Sent(count)),
            Input::Lost { conn, .. } => return self.remove(conn),
            Input::Letter(Stop) => return self.actions.push_back(Action::Done),
            Input::Connected { .. }
            | Input::Unreachable { .. }
            | Input::Unlistened(_)
            | Input::Resolved { .. }
            | Input::Datagram { .. }
            | Input::Wall(_) => return,
        };
        self.tell(id, input);
        self.pump(id);
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        while let Some(id) = self.agenda.pop(now) {
            if let Some(conn) = self.conns.get_mut(id) {
                conn.http.tick(now);
            }
            self.pump(id);
        }
    }

    fn poll(&mut self) -> Option<Action<Stop>> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        self.agenda.deadline()
    }
}

impl Host for Service {
    type Letter = Stop;

    fn outbox(&self, conn: ConnId) -> Option<&Outbox> {
        self.conns.get(conn).map(|conn| conn.http.outbox())
    }

    fn room(&self, conn: ConnId) -> usize {
        self.conns.get(conn).map_or(0, |conn| conn.http.room())
    }
}
