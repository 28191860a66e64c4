//! A client: sends requests and reports what comes back. It is the demonstration's customer, and
//! what `pico status` asks by.

use bytes::BytesMut;
use pico_core::head::{RequestHead, ResponseHead};
use pico_core::host::{Action, Fault, Host, Input, Told, Wire};
use pico_core::http1::client as http1;
use pico_core::id::{ConnId, ConnIds, ConnMap, Side};
use pico_core::{Agenda, Instant, Limits, Machine, Monotonic, Outbox, Reason};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// What the client is told.
#[derive(Debug)]
pub(crate) enum Command {
    /// Send a request on a connection of its own.
    Send {
        /// The caller's name for the exchange.
        exchange: u64,
        /// Where to.
        to: SocketAddr,
        /// The request.
        head: RequestHead,
        /// Its body, if it has one.
        body: Option<BytesMut>,
        /// Whether an upgrade is asked for.
        upgrade: bool,
    },
    /// Send raw bytes on an upgraded connection; `end` is FIN.
    Raw {
        /// The exchange.
        exchange: u64,
        /// The bytes.
        bytes: BytesMut,
        /// Whether they are the last.
        end: bool,
    },
    /// End.
    Stop,
}

/// What came back.
#[derive(Debug)]
pub(crate) enum Event {
    /// A response head.
    Response(ResponseHead),
    /// Some of the body.
    Data(BytesMut),
    /// The response is complete.
    End,
    /// The exchange failed.
    Failed(Reason),
    /// Nobody could be reached.
    Unreachable(Fault),
}

/// A client that keeps one connection for each exchange.
#[derive(Debug)]
pub(crate) struct Client {
    conns: ConnMap<Conn>,
    exchanges: BTreeMap<u64, ConnId>,
    ids: ConnIds,
    actions: VecDeque<Action<Command>>,
    agenda: Agenda<ConnId>,
    clock: Monotonic,
    events: Sender<(u64, Event)>,
    limits: Arc<Limits>,
}

#[derive(Debug)]
struct Conn {
    exchange: u64,
    http: http1::Machine,
    /// What is sent once the connection is open.
    first: Option<(RequestHead, Option<BytesMut>, bool)>,
    told: Told,
}

impl Client {
    /// A client that reports to `events`.
    pub(crate) fn new(limits: Arc<Limits>, events: Sender<(u64, Event)>) -> Self {
        Self {
            conns: ConnMap::new(),
            exchanges: BTreeMap::new(),
            ids: ConnIds::new(Side::Dialed),
            actions: VecDeque::new(),
            agenda: Agenda::new(),
            clock: Monotonic::default(),
            events,
            limits,
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Send { exchange, to, head, body, upgrade } => {
                let conn = self.ids.issue();
                let http = http1::Machine::new(self.clock.now(), Arc::clone(&self.limits));
                let first = Some((head, body, upgrade));
                let state = Conn { exchange, http, first, told: Told::default() };
                self.conns.insert(conn, state);
                self.exchanges.insert(exchange, conn);
                self.actions.push_back(Action::Dial { conn, to, wire: Wire::Plain });
            }
            Command::Raw { exchange, bytes, end } => {
                if let Some(conn) = self.exchanges.get(&exchange).copied() {
                    self.tell(conn, http1::Input::Data { bytes, end });
                    self.pump(conn);
                }
            }
            Command::Stop => self.actions.push_back(Action::Done),
        }
    }

    fn start(&mut self, id: ConnId) {
        let Some(first) = self.conns.get_mut(id).and_then(|conn| conn.first.take()) else { return };
        let (head, body, upgrade) = first;
        let end = body.is_none() && !upgrade;
        self.tell(id, http1::Input::Request { head, end, upgrade });
        self.tell(id, http1::Input::Credit(self.limits.window_bytes));
        if let Some(bytes) = body {
            self.tell(id, http1::Input::Data { bytes, end: true });
        }
        self.pump(id);
    }

    fn tell(&mut self, id: ConnId, input: http1::Input) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.http.handle(self.clock.now(), input);
        }
    }

    fn pump(&mut self, id: ConnId) {
        while let Some(conn) = self.conns.get_mut(id) {
            let exchange = conn.exchange;
            match conn.http.poll() {
                Some(http1::Action::Response { head, end }) => {
                    self.report(exchange, Event::Response(head));
                    self.ended(exchange, end);
                }
                Some(http1::Action::Data { bytes, end }) => {
                    self.tell(id, http1::Input::Credit(bytes.len()));
                    self.report(exchange, Event::Data(bytes));
                    self.ended(exchange, end);
                }
                Some(http1::Action::Trailers(_)) => self.ended(exchange, true),
                Some(http1::Action::Failed { reason, .. }) => {
                    self.report(exchange, Event::Failed(reason));
                }
                Some(http1::Action::Idle | http1::Action::Closed(_)) => self.remove(id),
                Some(http1::Action::Finish) => self.actions.push_back(Action::Finish(id)),
                Some(http1::Action::Taken(_)) => {}
                None => break,
            }
        }
        self.look(id);
    }

    fn ended(&mut self, exchange: u64, end: bool) {
        if end {
            self.report(exchange, Event::End);
        }
    }

    fn report(&mut self, exchange: u64, event: Event) {
        // Whoever asked may have stopped listening, which is fine.
        let _ = self.events.send((exchange, event));
    }

    fn remove(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.remove(id) {
            self.exchanges.remove(&conn.exchange);
            self.agenda.forget(id);
            self.ids.release(id);
            self.actions.push_back(Action::Close(id));
        }
    }

    fn look(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.told.tell(id, Some(conn.http.outbox()), conn.http.room(), &mut self.actions);
        self.agenda.want(id, conn.http.deadline());
    }
}

impl Machine for Client {
    type Input = Input<Command>;
    type Action = Action<Command>;

    fn handle(&mut self, now: Instant, input: Input<Command>) {
        self.clock.advance(now);
        let (id, input) = match input {
            Input::Letter(command) => return self.command(command),
            Input::Connected { conn, .. } => return self.start(conn),
            Input::Unreachable { conn, fault } => {
                if let Some(state) = self.conns.get(conn) {
                    self.report(state.exchange, Event::Unreachable(fault));
                }
                return self.remove(conn);
            }
            Input::Lost { conn, .. } => {
                if let Some(state) = self.conns.get(conn) {
                    self.report(state.exchange, Event::Failed(Reason::ConnectionLost));
                }
                return self.remove(conn);
            }
            Input::Received { conn, bytes } => (conn, http1::Input::Received(bytes)),
            Input::Eof { conn } => (conn, http1::Input::Eof),
            Input::Sent { conn, count } => (conn, http1::Input::Sent(count)),
            Input::Accepted { .. }
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

    fn poll(&mut self) -> Option<Action<Command>> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        self.agenda.deadline()
    }
}

impl Host for Client {
    type Letter = Command;

    fn outbox(&self, conn: ConnId) -> Option<&Outbox> {
        self.conns.get(conn).map(|conn| conn.http.outbox())
    }

    fn room(&self, conn: ConnId) -> usize {
        self.conns.get(conn).map_or(0, |conn| conn.http.room())
    }
}
