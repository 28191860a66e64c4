//! An agent under law: its server, its services, and the names it looks up.

use super::tunnel::{Act, Peer, draw_act};
use super::{Event, Seen, Subject};
use crate::choices::Choices;
use crate::fuzz::http1_text;
use bytes::BytesMut;
use core::net::SocketAddr;
use core::time::Duration;
use http::Method;
use pico_core::agent::{Agent as Machine, HostHeader, Letter, Listener, Server, Service, Settings};
use pico_core::head::{Fields, RequestHead};
use pico_core::host::{Action, Fault, Host as _, Input};
use pico_core::id::{AskId, ConnId};
use pico_core::rpc::{Identity, Role};
use pico_core::{Instant, Limits, Machine as _, Outbox, Seed, ws};
use std::collections::VecDeque;
use std::sync::Arc;

/// Whom an agent meets.
#[derive(Debug)]
pub struct Agent {
    limits: Arc<Limits>,
    conns: Vec<Conn>,
    /// Dials that nothing has come of yet.
    dials: VecDeque<(ConnId, SocketAddr)>,
    asks: VecDeque<(AskId, u16)>,
}

#[derive(Debug)]
struct Conn {
    id: ConnId,
    server: bool,
    /// The driver still has it.
    held: bool,
    /// The handshake, and the server's end of the tunnel.
    head: Vec<u8>,
    node: Option<Peer>,
}

/// Something that happens to an agent. The first number says to which connection.
#[derive(Debug)]
pub enum Step {
    /// A name was found, or not.
    Resolved(bool),
    /// Somebody was reached, or not.
    Dialed(bool),
    /// The server answers a handshake.
    Admit(usize),
    /// The server's end of a tunnel does something.
    Node(usize, Act),
    /// Bytes arrive, whatever they mean.
    Bytes(usize, Vec<u8>),
    /// A service answers.
    Answer(usize, Vec<u8>),
    /// A peer sends its FIN.
    Eof(usize),
    /// A socket breaks.
    Lost(usize),
    /// A service takes nothing, or everything again.
    Stall(usize, bool),
    /// A service takes some.
    Take(usize, usize),
    /// The process wants to end.
    Drain,
}

impl Agent {
    fn conn(&mut self, which: usize, kind: impl Fn(&Conn) -> bool) -> Option<&mut Conn> {
        let held = self.conns.iter_mut().filter(|conn| conn.held && kind(conn));
        let mut held: Vec<&mut Conn> = held.collect();
        let at = which.checked_rem(held.len())?;
        Some(held.swap_remove(at))
    }

    fn nodes(&mut self, now: Instant, chosen: Option<(usize, &Act)>) -> Vec<Event<Self>> {
        let tunnels = self.conns.iter().filter(|conn| conn.node.is_some()).count();
        let chosen = chosen.and_then(|(at, act)| Some((at.checked_rem(tunnels)?, act)));
        let nodes = self.conns.iter_mut().filter_map(|c| Some((c.id, c.node.as_mut()?)));
        let turns = nodes.enumerate().map(|(at, (id, node))| {
            let act = chosen.filter(|(chosen, _)| *chosen == at).map(|(_, act)| act);
            Event::Bytes(id, node.turn(now, act))
        });
        turns.collect()
    }

    /// Answers a handshake as a node does, with frames right behind.
    fn admit(&mut self, now: Instant, which: usize) -> Option<Event<Self>> {
        let limits = Arc::clone(&self.limits);
        let conn = self.conn(which, |conn| conn.server && conn.node.is_none())?;
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut asked = httparse::Request::new(&mut fields);
        if !asked.parse(&conn.head).is_ok_and(|status| status.is_complete()) {
            return None;
        }
        let mut copied = Fields::new();
        asked.headers.iter().for_each(|f| copied.push(f.name.as_bytes(), f.value));
        let target = asked.path.unwrap_or_default().as_bytes();
        let head = ws::handshake::respond(&RequestHead::new(Method::GET, target, copied));
        let mut text = b"HTTP/1.1 101 Fine\r\nConnection: upgrade\r\n".to_vec();
        for (name, value) in head.expect("an agent knows how to ask").fields.iter() {
            text.extend([name, b": ", value, b"\r\n"].concat());
        }
        text.extend(b"\r\n");
        let mut node = Peer::new(now, Role::Acceptor, &limits);
        text.extend(node.turn(now, None));
        conn.node = Some(node);
        Some(Event::Bytes(conn.id, text))
    }

    fn dialed(&mut self, reached: bool) -> Option<Event<Self>> {
        let (conn, peer) = self.dials.pop_front()?;
        Some(Event::Input(if reached {
            let server = peer.port() == SERVER;
            self.conns.push(Conn { id: conn, server, held: true, head: Vec::new(), node: None });
            Input::Connected { conn, peer }
        } else {
            Input::Unreachable { conn, fault: Fault::Refused }
        }))
    }

    fn resolved(&mut self, found: bool) -> Option<Event<Self>> {
        let (ask, port) = self.asks.pop_front()?;
        let address = SocketAddr::from(([10, 0, 0, 3], port));
        let result = if found { Ok(vec![address]) } else { Err(Fault::NoSuchHost) };
        Some(Event::Input(Input::Resolved { ask, result }))
    }
}

impl Subject for Agent {
    type Machine = Machine;
    type Wire = ConnId;
    type Step = Step;

    const DEADLINES_HOLD: bool = false;
    const ENDS_SILENT: bool = true;

    fn new(choices: &mut Choices, now: Instant) -> (Self, Machine) {
        let limits = Limits {
            outbox_bytes: *choices.pick(&[256 * 1024, 4096]),
            window_bytes: *choices.pick(&[64 * 1024, 1000]),
            streams: *choices.pick(&[1024, 2]),
            pool_idle: *choices.pick(&[1024, 1]),
            dials: *choices.pick(&[256, 1]),
            slow_dial: Duration::from_secs(*choices.pick(&[1, 3600])),
            ..Limits::default()
        };
        let limits = Arc::new(limits);
        let endpoints = if choices.chance(1, 2) { &["a", "b"][..] } else { &["a"] };
        let listener = |name: &&str| Listener {
            endpoint: name.parse().expect("a name"),
            service: Service { host: (*choices.pick(&["10.0.0.2", "service"])).into(), port: 80 },
            host_header: HostHeader::Keep,
        };
        let listeners = endpoints.iter().map(listener).collect();
        let server = Server { host: "10.0.0.1".into(), port: SERVER, prefix: String::new() };
        let mut settings = Settings::new(server, Identity::default(), listeners);
        settings.log_requests = true;
        let machine = Machine::new(now, settings, Seed::from_u64(5), Arc::clone(&limits));
        let mut machine = machine.expect("settings that work");
        let (conns, dials, asks) = (Vec::new(), VecDeque::new(), VecDeque::new());
        let mut world = Self { limits, conns, dials, asks };
        // It begins at its first poll, which is when its time begins.
        while let Some(action) = machine.poll() {
            world.observe(action, &mut Seen::default());
        }
        (world, machine)
    }

    fn draw(choices: &mut Choices) -> Step {
        let kind = choices.below(32);
        let which = choices.below(8);
        match kind {
            0..=3 => Step::Dialed(!choices.chance(1, 8)),
            4..=5 => Step::Resolved(!choices.chance(1, 8)),
            6..=8 => Step::Admit(which),
            9..=17 => Step::Node(which, draw_act(choices)),
            18..=20 => Step::Answer(which, http1_text::said(choices, true)),
            21..=24 => Step::Answer(which, choices.pick(&ANSWERS).to_vec()),
            25 => Step::Bytes(which, http1_text::said(choices, true)),
            26 => Step::Eof(which),
            27 => Step::Lost(which),
            28 => Step::Stall(which, choices.chance(1, 2)),
            29 => Step::Take(which, choices.size(10_000)),
            30 if choices.chance(1, 4) => Step::Drain,
            _ => Step::Dialed(true),
        }
    }

    fn perform(&mut self, _machine: &mut Machine, now: Instant, step: &Step) -> Vec<Event<Self>> {
        let chosen = if let Step::Node(at, act) = step { Some((*at, act)) } else { None };
        let mut events = self.nodes(now, chosen);
        let event = match step {
            Step::Node(..) => None,
            Step::Resolved(found) => self.resolved(*found),
            Step::Dialed(reached) => self.dialed(*reached),
            Step::Admit(at) => self.admit(now, *at),
            Step::Bytes(at, bytes) => {
                self.conn(*at, |_| true).map(|c| Event::Bytes(c.id, bytes.clone()))
            }
            Step::Answer(at, bytes) => {
                self.conn(*at, |c| !c.server).map(|c| Event::Bytes(c.id, bytes.clone()))
            }
            Step::Eof(at) => self.conn(*at, |_| true).map(|c| Event::Eof(c.id)),
            Step::Lost(at) => self.conn(*at, |_| true).map(|conn| {
                conn.held = false;
                Event::Input(Input::Lost { conn: conn.id, fault: Fault::Reset })
            }),
            Step::Stall(at, on) => self.conn(*at, |c| !c.server).map(|c| Event::Stall(c.id, *on)),
            Step::Take(at, count) => {
                self.conn(*at, |c| !c.server).map(|c| Event::Take(c.id, *count))
            }
            Step::Drain => Some(Event::Input(Input::Letter(Letter::Drain))),
        };
        events.extend(event);
        events
    }

    fn observe(&mut self, action: Action<Letter>, seen: &mut Seen) {
        seen.exact(&action);
        match action {
            Action::Dial { conn, to, .. } => self.dials.push_back((conn, to)),
            Action::Resolve { ask, port, .. } => self.asks.push_back((ask, port)),
            Action::Close(id) => {
                self.dials.retain(|(conn, _)| *conn != id);
                self.conns.iter_mut().filter(|conn| conn.id == id).for_each(|c| c.held = false);
            }
            Action::Letter { .. } | Action::Unlisten(_) | Action::Datagram { .. } => {
                panic!("{action:?} by an agent")
            }
            Action::Write(_)
            | Action::Read(_)
            | Action::Finish(_)
            | Action::Note(_)
            | Action::Done => {}
        }
    }

    fn wrote(&mut self, wire: ConnId, bytes: &[u8], seen: &mut Seen) {
        seen.exact(&(wire, bytes));
        let Some(conn) = self.conns.iter_mut().find(|conn| conn.id == wire) else { return };
        match &mut conn.node {
            Some(node) => node.heard.extend_from_slice(bytes),
            None => conn.head.extend_from_slice(bytes),
        }
    }

    fn drained(&mut self, _machine: &mut Machine, _now: Instant, _seen: &mut Seen) {
        let nodes = self.conns.iter_mut().filter_map(|conn| conn.node.as_mut());
        nodes.for_each(|node| node.actions.clear());
    }

    fn received(conn: ConnId, bytes: BytesMut) -> Input<Letter> {
        Input::Received { conn, bytes }
    }

    fn eof(conn: ConnId) -> Input<Letter> {
        Input::Eof { conn }
    }

    fn sent(conn: ConnId, count: usize) -> Input<Letter> {
        Input::Sent { conn, count }
    }

    fn wires(&self) -> Vec<ConnId> {
        self.conns.iter().filter(|conn| conn.held).map(|conn| conn.id).collect()
    }

    fn outbox(machine: &Machine, conn: ConnId) -> Option<&Outbox> {
        machine.outbox(conn)
    }

    fn room(machine: &Machine, conn: ConnId) -> usize {
        machine.room(conn)
    }

    fn closes(action: &Action<Letter>) -> bool {
        matches!(action, Action::Done)
    }

    fn check(&self, machine: &Machine) -> Result<(), String> {
        let limits = &self.limits;
        let len_max = limits.outbox_bytes * 4 + limits.message_bytes * 2;
        for conn in &self.conns {
            let len = machine.outbox(conn.id).map_or(0, Outbox::len);
            if len > len_max {
                return Err(format!("{len} bytes of {len_max} wait on {:?}", conn.id));
            }
        }
        let dialled = self.dials.iter().filter(|(_, peer)| peer.port() == SERVER).count();
        let shaking = |conn: &&Conn| conn.server && conn.held && conn.node.is_none();
        let trying = dialled + self.conns.iter().filter(shaking).count();
        if limits.slow_dial > PLAY && trying > limits.dials {
            return Err(format!("{trying} attempts to register of {}", limits.dials));
        }
        let tunnels = self.conns.iter().filter(|conn| conn.node.is_some()).count();
        let (calls, calls_max) = (machine.calls(), limits.streams * tunnels);
        if calls > calls_max {
            return Err(format!("{calls} calls of {calls_max}"));
        }
        Ok(())
    }
}

/// Longer than any attempt may take.
const PLAY: Duration = Duration::from_mins(1);

/// The server's port, by which its connections are known.
const SERVER: u16 = 8002;

const ANSWERS: [&[u8]; 6] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nraw",
    b"HTTP/1.1 503 Later\r\nConnection: close\r\nContent-Length: 9\r\n\r\nbr",
];
