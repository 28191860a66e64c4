//! An agent in hand: its actions are carried out by the test, and the node at the other end of a
//! tunnel is the tunnel machine itself.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(unreachable_pub, reason = "a module of tests has no outside")]

use bytes::BytesMut;
use pico_core::agent::{Agent, HostHeader, Letter, Listener, Server, Service, Settings};
use pico_core::head::{Fields, RequestHead};
use pico_core::host::{Action, Fault, Host as _, Input};
use pico_core::id::{AskId, ConnId, StreamId};
use pico_core::note::Note;
use pico_core::routing::EndpointId;
use pico_core::rpc::{self, Word};
use pico_core::{Instant, Limits, Machine as _, Seed, http1, tunnel, ws};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The port of the server in tests, and of the service.
pub const SERVER: u16 = 8002;
pub const SERVICE: u16 = 3000;

pub struct Rig {
    pub agent: Agent,
    pub now: Instant,
    pub notes: Vec<Note>,
    pub dials: VecDeque<(ConnId, SocketAddr)>,
    pub asks: VecDeque<(AskId, String)>,
    /// What was written on each connection and not looked at.
    pub out: BTreeMap<ConnId, Vec<u8>>,
    pub closed: Vec<ConnId>,
    pub finished: Vec<ConnId>,
    pub done: bool,
    /// Connections whose sockets take nothing.
    pub stuck: Vec<ConnId>,
    /// All that it asked for, and when.
    pub trace: Vec<String>,
}

pub fn settings(endpoints: &[&str]) -> Settings {
    let listener = |name: &&str| Listener {
        endpoint: EndpointId::parse(name.as_bytes()).unwrap(),
        service: Service { host: "127.0.0.1".into(), port: SERVICE },
        host_header: HostHeader::Keep,
    };
    let server = Server { host: "127.0.0.1".into(), port: SERVER, prefix: String::new() };
    let identity = rpc::Identity { id: "agent".into(), agent: "test".into() };
    Settings::new(server, identity, endpoints.iter().map(listener).collect())
}

impl Rig {
    pub fn new(settings: Settings) -> Self {
        Self::seeded(settings, 7)
    }

    pub fn seeded(settings: Settings, seed: u64) -> Self {
        Self::limited(settings, seed, Limits::default())
    }

    pub fn limited(settings: Settings, seed: u64, limits: Limits) -> Self {
        let limits = Arc::new(limits);
        let agent = Agent::new(Instant::ZERO, settings, Seed::from_u64(seed), limits).unwrap();
        let mut rig = Self {
            agent,
            now: Instant::ZERO,
            notes: Vec::new(),
            dials: VecDeque::new(),
            asks: VecDeque::new(),
            out: BTreeMap::new(),
            closed: Vec::new(),
            finished: Vec::new(),
            done: false,
            stuck: Vec::new(),
            trace: Vec::new(),
        };
        rig.settle();
        rig
    }

    /// Carries out what the agent asks for.
    pub fn settle(&mut self) {
        while let Some(action) = self.agent.poll() {
            assert!(!self.done, "{action:?} after the end");
            self.trace.push(format!("{} {action:?}", self.now.as_nanos()));
            match action {
                Action::Dial { conn, to, .. } => self.dials.push_back((conn, to)),
                Action::Resolve { ask, host, .. } => self.asks.push_back((ask, host)),
                Action::Write(conn) => self.write(conn),
                Action::Read(_) => {}
                Action::Finish(conn) => self.finished.push(conn),
                Action::Close(conn) => {
                    self.dials.retain(|(dialed, _)| *dialed != conn);
                    self.closed.push(conn);
                }
                Action::Letter { .. } | Action::Unlisten(_) | Action::Datagram { .. } => {
                    panic!("not an agent's business")
                }
                Action::Note(note) => self.notes.push(note),
                Action::Done => self.done = true,
            }
        }
    }

    /// Lets the socket take all that waits.
    pub fn write(&mut self, conn: ConnId) {
        if self.stuck.contains(&conn) {
            return;
        }
        let Some(outbox) = self.agent.outbox(conn) else { return };
        let count = outbox.len();
        let out = self.out.entry(conn).or_default();
        outbox.pieces().for_each(|piece| out.extend_from_slice(piece));
        if count > 0 {
            self.agent.handle(self.now, Input::Sent { conn, count });
        }
    }

    pub fn input(&mut self, input: Input<Letter>) {
        self.agent.handle(self.now, input);
        self.settle();
    }

    pub fn receive(&mut self, conn: ConnId, bytes: &[u8]) {
        assert!(self.agent.room(conn) > 0, "no room on {conn:?}");
        self.input(Input::Received { conn, bytes: BytesMut::from(bytes) });
    }

    pub fn connect(&mut self, conn: ConnId) {
        self.input(Input::Connected { conn, peer: "127.0.0.1:9".parse().unwrap() });
    }

    pub fn refuse(&mut self, conn: ConnId) {
        self.input(Input::Unreachable { conn, fault: Fault::Refused });
    }

    pub fn lose(&mut self, conn: ConnId) {
        self.input(Input::Lost { conn, fault: Fault::Reset });
    }

    pub fn drain(&mut self) {
        self.input(Input::Letter(Letter::Drain));
    }

    /// Lets time pass, with a tick whenever the agent wants one.
    pub fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.agent.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.agent.tick(self.now);
            self.settle();
        }
        self.now = end;
    }

    /// Lets time pass until something is dialled.
    pub fn redial(&mut self) {
        while self.dials.is_empty() {
            self.now = self.agent.deadline().expect("an agent that is down waits to dial");
            self.agent.tick(self.now);
            self.settle();
        }
    }

    /// The next connection that is being dialled, to this port.
    pub fn dialed(&mut self, port: u16) -> ConnId {
        let at = self.dials.iter().position(|(_, to)| to.port() == port);
        let at = at.unwrap_or_else(|| panic!("nobody dials {port}: {:?}", self.dials));
        self.dials.remove(at).unwrap().0
    }

    /// The text written on a connection since the last time.
    pub fn text(&mut self, conn: ConnId) -> String {
        String::from_utf8_lossy(&self.out.remove(&conn).unwrap_or_default()).into_owned()
    }

    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Has the next dial to the server come up as a tunnel.
    pub fn online(&mut self) -> Node {
        let conn = self.dialed(SERVER);
        self.connect(conn);
        let mut node = Node::accept(self, conn);
        node.pump(self);
        let online = |note: &Note| matches!(note, Note::Online { .. });
        assert!(self.take_notes().iter().any(online), "online when a ping has crossed");
        node
    }

    /// Has the next dial to the server be answered with this.
    pub fn answer(&mut self, response: &str) -> ConnId {
        let conn = self.dialed(SERVER);
        self.connect(conn);
        self.receive(conn, response.as_bytes());
        conn
    }
}

/// The node's end of one tunnel.
pub struct Node {
    pub conn: ConnId,
    pub tunnel: tunnel::Machine<u64>,
    pub said: Vec<(StreamId, Word)>,
    pub drained: bool,
    pub peer_drains: bool,
    pub closed: bool,
    fin: Fin,
}

/// Which FINs have passed on a tunnel's connection.
#[derive(Default)]
struct Fin {
    wanted: bool,
    sent: bool,
    got: bool,
}

impl Node {
    pub fn accept(rig: &mut Rig, conn: ConnId) -> Self {
        let limits = Arc::new(Limits::default());
        let mut http = http1::server::Machine::new(rig.now, Arc::clone(&limits));
        let asked = rig.out.remove(&conn).expect("a handshake");
        http.handle(rig.now, http1::server::Input::Received(BytesMut::from(&asked[..])));
        let mut head = None;
        while let Some(action) = http.poll() {
            if let http1::server::Action::Request(request) = action {
                head = Some(request.head);
            }
        }
        let head = ws::handshake::respond(&head.expect("a request")).expect("a handshake");
        http.handle(rig.now, http1::server::Input::Respond { head, end: false });
        while http.poll().is_some() {}
        let (early, outbox) = http.into_raw();
        assert!(early.is_empty(), "the agent waits for the 101");
        let me = rpc::Identity { id: "node".into(), agent: "test".into() };
        let seed = Seed::from_u64(1);
        let role = rpc::Role::Acceptor;
        let tunnel = tunnel::Machine::new(rig.now, role, &me, &seed, limits, outbox);
        let (said, fin) = (Vec::new(), Fin::default());
        let (drained, peer_drains, closed) = (false, false, false);
        Self { conn, tunnel, said, drained, peer_drains, closed, fin }
    }

    /// Carries bytes both ways until nothing moves.
    pub fn pump(&mut self, rig: &mut Rig) {
        loop {
            let heard = rig.out.remove(&self.conn).filter(|bytes| !bytes.is_empty());
            let moved = heard.is_some();
            if let Some(bytes) = heard {
                let bytes = BytesMut::from(&bytes[..]);
                self.tunnel.handle(rig.now, tunnel::Input::Received(bytes));
            }
            if !self.turn(rig) && !moved {
                return;
            }
        }
    }

    fn turn(&mut self, rig: &mut Rig) -> bool {
        self.tunnel.tick(rig.now);
        while let Some(action) = self.tunnel.poll() {
            match action {
                tunnel::Action::Rpc(rpc::Action::Said { stream, word, .. }) => {
                    if let Word::Data { bytes, .. } = &word {
                        let word = Word::Credit(bytes.len());
                        let say = rpc::Input::Say { stream, word };
                        self.tunnel.handle(rig.now, tunnel::Input::Rpc(say));
                    }
                    self.said.push((stream, word));
                }
                tunnel::Action::Rpc(rpc::Action::Drained) => self.drained = true,
                tunnel::Action::Rpc(rpc::Action::PeerDrains) => self.peer_drains = true,
                tunnel::Action::Rpc(_) => {}
                tunnel::Action::Finish => self.fin.wanted = true,
                tunnel::Action::Closed(_) => {
                    self.closed = true;
                    self.fin.wanted = true;
                }
            }
        }
        let mut bytes = Vec::new();
        self.tunnel.outbox().pieces().for_each(|piece| bytes.extend_from_slice(piece));
        if bytes.is_empty() {
            return self.finish(rig);
        }
        self.tunnel.handle(rig.now, tunnel::Input::Sent(bytes.len()));
        if rig.agent.room(self.conn) > 0 {
            rig.receive(self.conn, &bytes);
        }
        true
    }

    fn finish(&mut self, rig: &mut Rig) -> bool {
        if self.fin.wanted && !self.fin.sent {
            self.fin.sent = true;
            rig.input(Input::Eof { conn: self.conn });
            return true;
        }
        let ended = rig.finished.contains(&self.conn) || rig.closed.contains(&self.conn);
        if ended && !self.fin.got && !self.closed {
            self.fin.got = true;
            self.tunnel.handle(rig.now, tunnel::Input::Eof);
            return true;
        }
        false
    }

    pub fn rpc(&mut self, rig: &mut Rig, input: rpc::Input<u64>) {
        self.tunnel.handle(rig.now, tunnel::Input::Rpc(input));
        self.pump(rig);
    }

    /// Calls the agent.
    pub fn call(
        &mut self,
        rig: &mut Rig,
        method: &str,
        fields: &[(&str, &str)],
        end: bool,
    ) -> StreamId {
        let with_host: Vec<_> = [("Host", "example.com")].iter().chain(fields).copied().collect();
        self.call_bare(rig, method, &with_host, end)
    }

    /// The same, without `Host`.
    pub fn call_bare(
        &mut self,
        rig: &mut Rig,
        method: &str,
        fields: &[(&str, &str)],
        end: bool,
    ) -> StreamId {
        let stream = self.tunnel.next_stream();
        let mut head = Fields::new();
        for (name, value) in fields {
            head.push(name.as_bytes(), value.as_bytes());
        }
        let head = RequestHead::new(method.parse().unwrap(), b"/path?query", head);
        self.rpc(rig, rpc::Input::Open { stream, tag: stream.0, head, end });
        stream
    }

    pub fn say(&mut self, rig: &mut Rig, stream: StreamId, word: Word) {
        self.rpc(rig, rpc::Input::Say { stream, word });
    }

    /// Every word of a call but credit since the last time, short.
    pub fn heard(&mut self, stream: StreamId) -> Vec<String> {
        let mine = std::mem::take(&mut self.said);
        let (mine, rest): (Vec<_>, Vec<_>) = mine.into_iter().partition(|(s, _)| *s == stream);
        self.said = rest;
        let told = |word: Word| match word {
            Word::Request { .. } => Some("request".to_string()),
            Word::Response { head, end } => {
                Some(format!("{}{}", head.status.as_u16(), if end { "." } else { "" }))
            }
            Word::Data { bytes, end } => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                Some(format!("{text}{}", if end { "." } else { "" }))
            }
            Word::Trailers(_) => Some("trailers".to_string()),
            Word::Reset(reset) => Some(format!("{:?} {}", reset.reason, reset.started)),
            Word::Credit(_) => None,
        };
        mine.into_iter().filter_map(|(_, word)| told(word)).collect()
    }
}

pub fn data(bytes: &[u8], end: bool) -> Word {
    Word::Data { bytes: BytesMut::from(bytes), end }
}

/// What a service answers.
pub const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// An agent that is online, and its node.
pub fn up() -> (Rig, Node) {
    let mut rig = Rig::new(settings(&["a"]));
    let node = rig.online();
    (rig, node)
}

/// An agent with one idle connection to its service.
pub fn pooled() -> (Rig, Node, ConnId) {
    let (mut rig, mut node) = up();
    let call = node.call(&mut rig, "GET", &[], true);
    let local = rig.dialed(SERVICE);
    rig.connect(local);
    rig.text(local);
    rig.receive(local, OK);
    node.pump(&mut rig);
    assert_eq!(node.heard(call), ["200", "hi."]);
    (rig, node, local)
}

/// Has the service answer `call`.
pub fn answered(rig: &mut Rig, node: &mut Node, local: ConnId, call: StreamId) {
    rig.receive(local, OK);
    node.pump(rig);
    assert_eq!(node.heard(call), ["200", "hi."]);
}
