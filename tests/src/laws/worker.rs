//! A worker under law: clients, agents, operators and another node connect to it, it dials that
//! node, and another worker and its own node write to it.

use super::greet::{HANDSHAKE, LINK, agreed};
use super::operator::{self, QUESTIONS, agree};
use super::tunnel::{self, Act, Call, Out};
use super::{Event, Seen, Subject};
use crate::choices::Choices;
use bytes::BytesMut;
use http::Method;
use pico_core::head::{Fields, RequestHead};
use pico_core::host::{Action, Address, Fault, Host as _, Input, Port};
use pico_core::id::{Boot, ConnId, ConnIds, Side, WorkerId};
use pico_core::routing::{self, Change, Peer, Peers, Place, Routes, Standing};
use pico_core::rpc::{Role, Word};
use pico_core::server::status::{self, Inquiry};
use pico_core::server::{CallId, Letter, Settings, Sought, Worker as Machine};
use pico_core::{Instant, Limits, Outbox, Seed};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

mod step;

pub use step::{Said, Step};

const ME: WorkerId = WorkerId(0);
const OTHER: WorkerId = WorkerId(1);

/// The other node, what it says when it is another run of itself, and where it is.
const NODE: Boot = Boot(2);
const STRANGER: Boot = Boot(3);
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 8)), 8004);

/// Whom a worker meets.
#[derive(Debug)]
pub struct Worker {
    settings: Arc<Settings>,
    ids: ConnIds,
    conns: Vec<Conn>,
    /// Somebody else's connection: the other worker's tunnel.
    elsewhere: ConnId,
    /// Calls of the other worker so far.
    serial: u64,
    /// Calls between the workers, and the tunnel of those that began at the other.
    calls: BTreeMap<CallId, (Option<ConnId>, Call)>,
    routes: Routes,
    sought: Vec<Sought>,
    /// What operators of the worker asked.
    asked: Vec<Inquiry>,
    /// A client has sent its FIN. It is heard of behind the bytes for which there was room, and
    /// so is its half-close: whether a body still comes depends on cuts from then on.
    halved: bool,
    /// The other node can call. Its credit depends on the pieces in which its data came, and so
    /// does when its calls are over, which weighs in the choice of upstreams.
    linked: bool,
    /// What is being dialled.
    dialing: Vec<ConnId>,
}

#[derive(Debug)]
struct Conn {
    id: ConnId,
    port: Port,
    /// Who answers, if the worker dialled.
    dialed: Option<Boot>,
    /// The driver still has it.
    held: bool,
    /// What came before the tunnel, and the agent's end of it.
    head: Vec<u8>,
    agent: Option<tunnel::Peer>,
    /// What that sends before anything else.
    reply: Vec<u8>,
}

impl Worker {
    fn accept(&mut self, port: Port) -> Event<Self> {
        let id = self.ids.issue();
        self.conns.push(Conn::new(id, port, None));
        let peer = "10.0.0.9:999".parse().expect("an address");
        Event::Input(Input::Accepted { conn: id, port, peer })
    }

    fn conn(&mut self, which: usize) -> Option<&mut Conn> {
        let held = self.conns.iter_mut().filter(|conn| conn.held);
        let mut held: Vec<&mut Conn> = held.collect();
        let at = which.checked_rem(held.len())?;
        Some(held.swap_remove(at))
    }

    /// Has all agents answer, and the one chosen act.
    fn agents(&mut self, now: Instant, chosen: Option<(usize, &Act)>) -> Vec<Event<Self>> {
        let tunnels = self.conns.iter().filter(|conn| conn.agent.is_some()).count();
        let chosen = chosen.and_then(|(at, act)| Some((at.checked_rem(tunnels)?, act)));
        let agents = self.conns.iter_mut().filter_map(|c| Some((c.id, c.agent.as_mut()?)));
        let turns = agents.enumerate().map(|(at, (id, agent))| {
            let act = chosen.filter(|(chosen, _)| *chosen == at).map(|(_, act)| act);
            (id, agent.turn(now, act))
        });
        let mut turns: Vec<_> = turns.collect();
        for (id, bytes) in &mut turns {
            let conn = self.conns.iter_mut().find(|conn| conn.id == *id);
            let reply = conn.map(|conn| std::mem::take(&mut conn.reply)).unwrap_or_default();
            bytes.splice(0..0, reply);
        }
        turns.into_iter().map(|(id, bytes)| Event::Bytes(id, bytes)).collect()
    }

    /// Somebody asks, where such is asked.
    fn question(&mut self, which: usize, what: usize) -> Event<Self> {
        let bytes = QUESTIONS[what];
        let port = if what < 8 { Port::Admin } else { Port::Gossip };
        let held = self.conns.iter().filter(|conn| conn.held && conn.port == port);
        let ids: Vec<ConnId> = held.map(|conn| conn.id).collect();
        match which.checked_rem(ids.len()) {
            Some(at) => Event::Bytes(ids[at], bytes.to_vec()),
            None => self.accept(port),
        }
    }

    /// What became of the oldest dial.
    fn dialed(&mut self, node: Option<Boot>) -> Option<Event<Self>> {
        let conn = if self.dialing.is_empty() { None } else { Some(self.dialing.remove(0)) }?;
        let Some(node) = node else {
            return Some(Event::Input(Input::Unreachable { conn, fault: Fault::Refused }));
        };
        self.conns.push(Conn::new(conn, Port::Gossip, Some(node)));
        Some(Event::Input(Input::Connected { conn, peer: ADDRESS }))
    }

    fn letter(letter: Letter) -> Event<Self> {
        Event::Input(Input::Letter(letter))
    }

    fn say(&mut self, which: usize, act: &Act) -> Option<Event<Self>> {
        let at = which.checked_rem(self.calls.len())?;
        let (id, (to, call)) = self.calls.iter_mut().nth(at)?;
        let word = call.word(act, id.serial)?;
        let (id, to) = (*id, *to);
        if matches!(word, Word::Reset(_)) {
            self.calls.remove(&id);
        }
        Some(Self::letter(match to {
            Some(to) => Letter::Ask { to, call: id, word },
            None => Letter::Answer { call: id, word },
        }))
    }

    fn call(&mut self, which: usize, end: bool) -> Option<Event<Self>> {
        let to = self.conn(which).filter(|conn| conn.port == Port::Upstream)?.id;
        self.serial += 1;
        let call = CallId { worker: OTHER, conn: self.elsewhere, serial: self.serial };
        let out = if end { Out::Ended } else { Out::Body };
        self.calls.insert(call, (Some(to), Call { out, credit: 0, owed: 0, sent: 0 }));
        let head = RequestHead::new(Method::POST, b"/call", Fields::new());
        Some(Self::letter(Letter::Ask { to, call, word: Word::Request { head, end } }))
    }

    fn letter_from(&mut self, letter: Letter, seen: &mut Seen) {
        if let Letter::Ask { call, word, .. } | Letter::Answer { call, word } = &letter {
            self.heard(*call, word);
        }
        if let Letter::Ask { call, word: Word::Data { bytes, end }, .. }
        | Letter::Answer { call, word: Word::Data { bytes, end } } = &letter
            && !self.halved
            && !self.linked
        {
            seen.bytes(&format!("call {call:?}"), "data", bytes);
            return seen.exact(end);
        }
        seen.exact(&letter);
        match letter {
            Letter::Seek(sought) => self.sought.push(*sought),
            Letter::Inquire(inquiry) => self.asked.push(*inquiry),
            Letter::Changed(change) => self.routes.apply(&change),
            Letter::Ask { .. }
            | Letter::Answer { .. }
            | Letter::LinkLost(_)
            | Letter::Asked { .. }
            | Letter::Reported(..)
            | Letter::Draining(_)
            | Letter::Quiet(_)
            | Letter::Parted(_) => {}
            Letter::Sought(_)
            | Letter::Routes(_)
            | Letter::Peers(_)
            | Letter::Consulted { .. }
            | Letter::Ready(_)
            | Letter::Shed(_)
            | Letter::Drain
            | Letter::Part
            | Letter::Left => panic!("{letter:?} by a worker"),
        }
    }

    /// Learns of a word that the worker says to the other.
    fn heard(&mut self, id: CallId, word: &Word) {
        if matches!(word, Word::Request { .. }) {
            let call = Call { out: Out::Head, credit: 0, owed: 64 * 1024, sent: 0 };
            self.calls.insert(id, (None, call));
        }
        let Some((_, call)) = self.calls.get_mut(&id) else { return };
        match word {
            Word::Credit(count) => call.credit = call.credit.saturating_add(*count),
            Word::Data { bytes, .. } => call.owed += bytes.len(),
            Word::Reset(_) => drop(self.calls.remove(&id)),
            Word::Request { .. } | Word::Response { .. } | Word::Trailers(_) => {}
        }
    }
}

impl Subject for Worker {
    type Machine = Machine;
    type Wire = ConnId;
    type Step = Step;

    const DEADLINES_HOLD: bool = false;
    const ENDS_SILENT: bool = true;

    fn new(choices: &mut Choices, now: Instant) -> (Self, Machine) {
        let limits = Limits {
            connections: *choices.pick(&[65_536, 2]),
            outbox_bytes: *choices.pick(&[256 * 1024, 4096]),
            window_bytes: *choices.pick(&[64 * 1024, 1000]),
            streams: *choices.pick(&[1024, 2]),
            replay_bytes: *choices.pick(&[64 * 1024, 4]),
            ..Limits::default()
        };
        let settings = Settings { limits: Arc::new(limits), boot: Boot(1), ..Settings::default() };
        let write = Some(pico_shell::admin::write as status::Write);
        let settings = Arc::new(Settings { write, ..settings });
        let machine = Machine::new(now, ME, Arc::clone(&settings), &Seed::from_u64(3));
        let elsewhere = ConnIds::new(Side::Accepted).issue();
        let world = Self {
            settings,
            ids: ConnIds::new(Side::Accepted),
            conns: Vec::new(),
            elsewhere,
            linked: false,
            dialing: Vec::new(),
            serial: 0,
            calls: BTreeMap::new(),
            routes: Routes::new(),
            sought: Vec::new(),
            asked: Vec::new(),
            halved: false,
        };
        (world, machine)
    }

    fn draw(choices: &mut Choices) -> Step {
        Step::draw(choices)
    }

    fn perform(&mut self, _machine: &mut Machine, now: Instant, step: &Step) -> Vec<Event<Self>> {
        let chosen = if let Step::Agent(at, act) = step { Some((*at, act)) } else { None };
        let mut events = self.agents(now, chosen);
        let event = match step {
            Step::Agent(..) => None,
            Step::Accept(port) => Some(self.accept(*port)),
            Step::Shake(at) => self.conn(*at).map(|conn| {
                let linked = conn.port == Port::Gossip;
                Event::Bytes(conn.id, (if linked { LINK } else { HANDSHAKE }).to_vec())
            }),
            Step::Dialed(node) => self.dialed(*node),
            Step::Peers(some) => {
                let peer = Peer { id: "n2".into(), addr: ADDRESS, standing: Standing::Alive };
                let peers: Peers = some.then_some((NODE, peer)).into_iter().collect();
                Some(Self::letter(Letter::Peers(Arc::new(peers))))
            }
            Step::Bytes(at, bytes) => self.conn(*at).map(|c| Event::Bytes(c.id, bytes.clone())),
            Step::Eof(at) => {
                self.halved = true;
                self.conn(*at).map(|c| Event::Eof(c.id))
            }
            Step::Lost(at) => self.conn(*at).map(|conn| {
                conn.held = false;
                Event::Input(Input::Lost { conn: conn.id, fault: Fault::Reset })
            }),
            Step::Stall(at, on) => {
                let client = self.conn(*at).filter(|conn| conn.is_clients());
                client.map(|conn| Event::Stall(conn.id, *on))
            }
            Step::Take(at, count) => {
                let client = self.conn(*at).filter(|conn| conn.is_clients());
                client.map(|conn| Event::Take(conn.id, *count))
            }
            Step::Routes(other, node) => {
                let mut routes = self.routes.clone();
                if *node {
                    let put = Change::Put("a".parse().expect("a name"), serving(Place::Node(NODE)));
                    routes.apply(&put);
                }
                if *other {
                    let place = Place::Tunnel { worker: OTHER, conn: self.elsewhere };
                    routes.apply(&Change::Put("a".parse().expect("a name"), serving(place)));
                }
                Some(Self::letter(Letter::Routes(Arc::new(routes))))
            }
            Step::Sought => {
                self.sought.pop().map(|sought| Self::letter(Letter::Sought(Box::new(sought))))
            }
            Step::Call(at, end) => self.call(*at, *end),
            Step::Say(at, act) => self.say(*at, act),
            Step::Question(at, what) => Some(self.question(*at, *what)),
            Step::Inquire(which) => {
                self.serial += 1;
                Some(Self::letter(operator::asks(*which, self.serial, OTHER)))
            }
            Step::Report(at, said) => at
                .checked_rem(self.asked.len())
                .map(|at| Self::letter(operator::said(&self.asked[at], *said, OTHER, NODE))),
            Step::Node(said) => Some(Self::letter(match said {
                Said::Ready(ready) => Letter::Ready(*ready),
                Said::Shed(count) => Letter::Shed(*count),
                Said::Drain => Letter::Drain,
                Said::Part => Letter::Part,
                Said::Left => Letter::Left,
            })),
        };
        events.extend(event);
        events
    }

    fn observe(&mut self, action: Action<Letter>, seen: &mut Seen) {
        match action {
            Action::Letter { to, letter } => {
                assert_ne!(to, Address::Worker(ME), "a worker does not write to itself");
                self.letter_from(letter, seen);
            }
            Action::Close(id) => {
                seen.exact(&action);
                self.conns.iter_mut().filter(|conn| conn.id == id).for_each(|c| c.held = false);
                self.dialing.retain(|conn| *conn != id);
            }
            Action::Dial { conn, to, .. } => {
                assert_eq!(to, ADDRESS, "a worker dials its peers");
                seen.exact(&action);
                self.dialing.push(conn);
            }
            Action::Resolve { .. } | Action::Datagram { .. } => panic!("{action:?} by a worker"),
            Action::Write(_)
            | Action::Read(_)
            | Action::Finish(_)
            | Action::Unlisten(_)
            | Action::Note(_)
            | Action::Done => seen.exact(&action),
        }
    }

    fn wrote(&mut self, wire: ConnId, bytes: &[u8], seen: &mut Seen) {
        seen.exact(&(wire, bytes));
        let Some(conn) = self.conns.iter_mut().find(|conn| conn.id == wire) else { return };
        if let Some(agent) = &mut conn.agent {
            agent.heard.extend_from_slice(bytes);
        } else if !conn.is_clients() {
            conn.head.extend_from_slice(bytes);
        }
    }

    fn drained(&mut self, _machine: &mut Machine, now: Instant, _seen: &mut Seen) {
        for conn in &mut self.conns {
            let end = conn.head.windows(4).position(|four| four == b"\r\n\r\n");
            let role = if conn.dialed.is_some() { Role::Acceptor } else { Role::Dialer };
            let agrees = conn.dialed.is_some() || conn.head.starts_with(b"HTTP/1.1 101");
            if let Some(end) = end.filter(|_| agrees) {
                self.linked |= conn.port == Port::Gossip && conn.dialed.is_none();
                conn.reply = conn.dialed.map(|node| agreed(&conn.head, node)).unwrap_or_default();
                let mut agent = tunnel::Peer::new(now, role, &self.settings.limits);
                agent.heard = std::mem::take(&mut conn.head).split_off(end + 4);
                conn.agent = Some(agent);
            }
            conn.agent.iter_mut().for_each(|agent| agent.actions.clear());
        }
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
        let limits = &self.settings.limits;
        let len_max = limits.outbox_bytes * 4 + limits.message_bytes * 2;
        for conn in &self.conns {
            let len = machine.outbox(conn.id).map_or(0, Outbox::len);
            if len > len_max {
                return Err(format!("{len} bytes of {len_max} wait on {:?}", conn.id));
            }
        }
        let (calls, clients) = (machine.calls(), self.conns.len() as u64);
        let relayed = machine.relayed();
        if calls > clients + relayed.under_way {
            return Err(format!("{calls} calls of {clients} clients, {relayed:?}"));
        }
        for counts in [machine.counts(), relayed] {
            if counts.begun != counts.answered + counts.failed + counts.under_way {
                return Err(format!("they do not add up: {counts:?}"));
            }
        }
        agree(machine)
    }
}

impl Conn {
    const fn new(id: ConnId, port: Port, dialed: Option<Boot>) -> Self {
        let head = Vec::new();
        Self { id, port, dialed, held: true, head, agent: None, reply: Vec::new() }
    }

    /// Whether no tunnel can come of it.
    fn is_clients(&self) -> bool {
        matches!(self.port, Port::Proxy | Port::Admin)
    }
}

/// An upstream at `place`.
const fn serving(place: Place) -> routing::Upstream {
    routing::Upstream { place, weight: 1 }
}
