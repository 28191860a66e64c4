//! The control plane of a node under law: other nodes, of which a few boots and names are spoken,
//! its workers, and those whom it consults.

use super::gossip::{CLUSTER, GENERATION, ME, MOST, addr, draw_boot, draw_messages, draw_packet};
use super::{Event, Seen, Subject};
use crate::choices::Choices;
use crate::fuzz::http1_text;
use bytes::{Bytes, BytesMut};
use core::net::SocketAddr;
use core::time::Duration;
use http::Method;
use pico_core::gossip::directory::{Replica, weight_of};
use pico_core::gossip::wire::{Envelope, Message, open};
use pico_core::gossip::{self, NodeId, Pace};
use pico_core::head::{Fields, RequestHead};
use pico_core::host::{Action, Address, DATAGRAM_MAX, Fault, Host as _, Input};
use pico_core::id::{AskId, Boot, ConnId, ConnIds, Side, WorkerId};
use pico_core::routing::{Change, EndpointId, Place, Upstream};
use pico_core::server::{CallId, Letter, Membership, Node as Machine, Settings, Sought};
use pico_core::{Instant, Machine as _, Outbox, Seed};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Whom a node meets.
#[derive(Debug)]
pub struct Node {
    /// What it dials, and to whom.
    dialing: Vec<(ConnId, SocketAddr)>,
    /// Whom it consults.
    consults: Vec<(ConnId, SocketAddr)>,
    /// Look-ups without an answer.
    asks: VecDeque<AskId>,
    /// Pings that were sent, and to where.
    pings: VecDeque<(u64, Boot, SocketAddr)>,
    /// Tunnels of its workers.
    tunnels: Vec<(EndpointId, Place)>,
    ids: ConnIds,
    /// Consultations by others so far, and those that are not answered.
    asked: u64,
    open: BTreeSet<ConnId>,
    /// Calls so far that a worker knew no upstream for, and those that were not given back.
    serial: u64,
    sought: BTreeSet<u64>,
    /// Who the workers were told the others are.
    peers: BTreeSet<Boot>,
    over: bool,
}

/// Something that happens to a node. A first number says to which connection.
#[derive(Debug)]
pub enum Step {
    /// A datagram from one of a few addresses.
    Datagram(u16, Vec<u8>),
    /// A ping that was sent is answered, perhaps with more.
    Ack(usize, Vec<u8>),
    /// What the node dialled is there, or is not.
    Dialed(bool),
    /// Somebody who is consulted answers so, in the name of this boot if not in its own.
    Answer(usize, Reply, Option<Boot>, Vec<u8>),
    /// It says something else.
    Said(usize, Vec<u8>),
    /// It sends FIN.
    Eof(usize),
    /// The connection breaks.
    Lost(usize),
    /// It takes nothing, or everything again.
    Stall(usize, bool),
    /// A name stands for so many addresses, or for none.
    Resolved(Option<u16>),
    /// A worker passes a consultation on.
    Asked(Vec<u8>),
    /// A tunnel comes.
    Came(&'static str),
    /// A tunnel goes.
    Went(usize),
    /// A worker's link breaks.
    LinkLost(Boot),
    /// A worker knows no upstream for a call.
    Seek(&'static str),
    /// The node is told to stop.
    Drain,
    /// A worker says how many calls it had.
    Draining(u64),
    /// A worker has no client left.
    Quiet(WorkerId),
    /// A worker has closed everything.
    Parted(u64),
    /// The node sleeps for so long, whatever it wanted.
    Sleep(Duration),
}

/// How somebody answers a consultation.
#[derive(Clone, Copy, Debug)]
pub enum Reply {
    /// As it should.
    Whole,
    /// The same, without a length before it.
    Chunked,
    /// With an error.
    Refusal,
    /// With less than it said.
    Cut,
}

const WORKERS: u16 = 2;
const NAMES: [&str; 4] = ["a", "ab", "web-1", "web-2"];

impl Node {
    fn consult(&self, which: usize) -> Option<(ConnId, SocketAddr)> {
        self.consults.get(which.checked_rem(self.consults.len())?).copied()
    }

    fn letter(letter: Letter) -> Event<Self> {
        Event::Input(Input::Letter(letter))
    }

    fn dialed(&mut self, there: bool) -> Option<Event<Self>> {
        let (conn, peer) =
            if self.dialing.is_empty() { return None } else { self.dialing.remove(0) };
        if there {
            self.consults.push((conn, peer));
            return Some(Event::Input(Input::Connected { conn, peer }));
        }
        Some(Event::Input(Input::Unreachable { conn, fault: Fault::Refused }))
    }

    fn came(&mut self, name: &'static str) -> Event<Self> {
        let worker = WorkerId(u16::from(self.tunnels.len() % 2 == 1));
        let place = Place::Tunnel { worker, conn: self.ids.issue() };
        let endpoint: EndpointId = name.parse().expect("a name");
        self.tunnels.push((endpoint.clone(), place));
        let upstream = Upstream { place, weight: 1 };
        Self::letter(Letter::Changed(Change::Put(endpoint, upstream)))
    }

    fn went(&mut self, which: usize) -> Option<Event<Self>> {
        let at = which.checked_rem(self.tunnels.len())?;
        let (endpoint, place) = self.tunnels.remove(at);
        Some(Self::letter(Letter::Changed(Change::Remove(endpoint, place))))
    }

    fn seek(&mut self, name: &'static str) -> Event<Self> {
        self.serial += 1;
        self.sought.insert(self.serial);
        let conn = ConnIds::new(Side::Accepted).issue();
        let call = CallId { worker: WorkerId(1), conn, serial: self.serial };
        let head = RequestHead::new(Method::GET, b"/", Fields::new());
        let endpoint = name.parse().expect("a name");
        Self::letter(Letter::Seek(Box::new(Sought {
            call,
            endpoint,
            tried: None,
            head,
            end: true,
        })))
    }

    fn asks(&mut self, bytes: &[u8]) -> Event<Self> {
        self.asked += 1;
        let conn = self.ids.issue();
        self.open.insert(conn);
        let (worker, bytes) = (WorkerId(0), Bytes::copy_from_slice(bytes));
        Self::letter(Letter::Asked { worker, conn, bytes })
    }

    fn letter_from(&mut self, to: Address, letter: Letter) {
        match letter {
            Letter::Consulted { to: conn, bytes } => {
                assert!(self.open.remove(&conn), "only questions are answered, and once");
                if !bytes.is_empty() {
                    read(&bytes);
                }
            }
            Letter::Sought(sought) => {
                assert_eq!(to, Address::Worker(sought.call.worker), "whoever sought is told");
                assert!(self.sought.remove(&sought.call.serial), "a call is given back once");
            }
            Letter::Peers(peers) => self.peers = peers.keys().copied().collect(),
            Letter::Routes(_)
            | Letter::Shed(_)
            | Letter::Reported(..)
            | Letter::LinkLost(_)
            | Letter::Ready(_)
            | Letter::Drain
            | Letter::Part
            | Letter::Left => {}
            Letter::Ask { .. }
            | Letter::Answer { .. }
            | Letter::Seek(_)
            | Letter::Inquire(_)
            | Letter::Changed(_)
            | Letter::Asked { .. }
            | Letter::Draining(_)
            | Letter::Quiet(_)
            | Letter::Parted(_) => panic!("{letter:?} by a node"),
        }
    }

    /// What workers hold, and what the node's own log should say of it soon.
    fn local(&self) -> BTreeMap<EndpointId, u32> {
        let mut counts = BTreeMap::new();
        for (endpoint, _) in &self.tunnels {
            *counts.entry(endpoint.clone()).or_default() += 1;
        }
        counts
    }
}

/// What a node says can be read, by its own rules too.
fn read(bytes: &[u8]) -> Vec<Message> {
    let (envelope, messages) = open(bytes).expect("what is sent can be read");
    assert_eq!(envelope, Envelope { cluster: CLUSTER, from: ME });
    messages.map(|message| message.expect("what is sent can be read to its end")).collect()
}

fn packet(from: Boot, messages: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    Envelope { cluster: CLUSTER, from }.put(&mut out);
    out.extend_from_slice(messages);
    out
}

/// A response with this body.
fn response(reply: Reply, body: &[u8]) -> Vec<u8> {
    let len = body.len();
    let mut out = match reply {
        Reply::Whole => format!("HTTP/1.1 200 OK\r\ncontent-length: {len}\r\n\r\n"),
        Reply::Chunked => {
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{len:x}\r\n")
        }
        Reply::Refusal => format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {len}\r\n\r\n"),
        Reply::Cut => format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", len + 9),
    }
    .into_bytes();
    out.extend_from_slice(body);
    if matches!(reply, Reply::Chunked) {
        out.extend_from_slice(if len == 0 { b"\r\n" } else { b"\r\n0\r\n\r\n" });
    }
    out
}

impl Subject for Node {
    type Machine = Machine;
    type Wire = ConnId;
    type Step = Step;

    const DEADLINES_HOLD: bool = false;
    const ENDS_SILENT: bool = true;

    fn new(choices: &mut Choices, now: Instant) -> (Self, Machine) {
        let settings = Arc::new(Settings {
            node_id: "me".into(),
            boot: ME,
            grace_period: *choices.pick(&[Duration::from_mins(1), Duration::from_millis(10)]),
            ..Settings::default()
        });
        let gossip = gossip::Settings {
            cluster: CLUSTER.into(),
            boot: ME,
            keys: gossip::Ring::default(),
            generation: GENERATION,
            id: NodeId::parse(b"me").expect("a name"),
            addr: addr(0),
            notes: Vec::new(),
            pace: Pace::default(),
        };
        let seeds: [&[(&str, u16)]; 3] =
            [&[], &[("10.0.0.1", 8001)], &[("nodes.test", 8002), ("more.test", 8003)]];
        let join = choices.pick(&seeds).iter().map(|(host, port)| ((*host).to_owned(), *port));
        let membership = Membership { gossip, join: join.collect(), abort: choices.chance(1, 4) };
        let seed = Seed::from_u64(u64::from(choices.byte()));
        let machine = Machine::among(now, WORKERS, settings, membership, &seed);
        let world = Self {
            dialing: Vec::new(),
            consults: Vec::new(),
            asks: VecDeque::new(),
            pings: VecDeque::new(),
            tunnels: Vec::new(),
            ids: ConnIds::new(Side::Accepted),
            asked: 0,
            open: BTreeSet::new(),
            serial: 0,
            sought: BTreeSet::new(),
            peers: BTreeSet::new(),
            over: false,
        };
        (world, machine)
    }

    fn draw(choices: &mut Choices) -> Step {
        let which = choices.below(8);
        let few = u16::try_from(which).expect("few");
        match choices.below(40) {
            0..=9 => Step::Datagram(few, draw_packet(choices)),
            10..=13 => Step::Ack(which, draw_messages(choices)),
            14..=16 => Step::Dialed(!choices.chance(1, 4)),
            17..=20 => {
                let replies = [Reply::Whole, Reply::Whole, Reply::Chunked, Reply::Refusal];
                let other = choices.chance(1, 8).then(|| draw_boot(choices));
                let reply = if choices.chance(1, 8) { Reply::Cut } else { *choices.pick(&replies) };
                Step::Answer(which, reply, other, draw_messages(choices))
            }
            21 => Step::Said(which, http1_text::said(choices, true)),
            22 => Step::Eof(which),
            23 => Step::Lost(which),
            24 => Step::Stall(which, choices.chance(1, 2)),
            25 | 26 => Step::Resolved((!choices.chance(1, 4)).then_some(few)),
            27..=29 => Step::Asked(draw_packet(choices)),
            30 | 31 => Step::Came(NAMES[choices.below(NAMES.len())]),
            32 => Step::Went(which),
            33 => Step::LinkLost(draw_boot(choices)),
            34 => Step::Seek(NAMES[choices.below(NAMES.len())]),
            35 => Step::Sleep(choices.span()),
            36 if choices.chance(1, 2) => Step::Drain,
            36 | 37 => Step::Quiet(WorkerId(few % WORKERS)),
            38 => Step::Parted(u64::from(few)),
            _ => Step::Draining(u64::from(few)),
        }
    }

    fn perform(&mut self, machine: &mut Machine, now: Instant, step: &Step) -> Vec<Event<Self>> {
        let event = match step {
            Step::Datagram(from, bytes) => {
                let bytes = BytesMut::from(&bytes[..]);
                Some(Event::Input(Input::Datagram { from: addr(*from), bytes }))
            }
            Step::Ack(which, messages) => {
                let len = self.pings.len();
                let at = which.checked_rem(len).map(|back| len - 1 - back);
                at.and_then(|at| self.pings.remove(at)).map(|(seq, boot, from)| {
                    let boot = if boot == Boot(0) { Boot(2) } else { boot };
                    let mut bytes = packet(boot, messages);
                    Message::Ack { seq }.put(&mut bytes);
                    Event::Input(Input::Datagram { from, bytes })
                })
            }
            Step::Dialed(there) => self.dialed(*there),
            Step::Answer(which, reply, other, messages) => {
                self.consult(*which).map(|(conn, to)| {
                    let mut known = machine.gossip().into_iter().flat_map(gossip::Machine::members);
                    let own = known.find(|member| member.addr == to).map(|member| member.boot);
                    let from = other.or(own).unwrap_or(Boot(2));
                    Event::Bytes(conn, response(*reply, &packet(from, messages)))
                })
            }
            Step::Said(which, bytes) => {
                self.consult(*which).map(|(conn, _)| Event::Bytes(conn, bytes.clone()))
            }
            Step::Eof(which) => self.consult(*which).map(|(conn, _)| Event::Eof(conn)),
            Step::Lost(which) => self.consult(*which).map(|(conn, _)| {
                self.consults.retain(|(held, _)| *held != conn);
                Event::Input(Input::Lost { conn, fault: Fault::Reset })
            }),
            Step::Stall(which, on) => self.consult(*which).map(|(conn, _)| Event::Stall(conn, *on)),
            Step::Resolved(count) => self.asks.pop_front().map(|ask| {
                let all = count.map(|count| (1..=count).map(addr).collect());
                Event::Input(Input::Resolved { ask, result: all.ok_or(Fault::NoSuchHost) })
            }),
            Step::Asked(bytes) => Some(self.asks(bytes)),
            Step::Came(name) => Some(self.came(name)),
            Step::Went(which) => self.went(*which),
            Step::LinkLost(boot) => Some(Self::letter(Letter::LinkLost(*boot))),
            Step::Seek(name) => Some(self.seek(name)),
            Step::Drain => Some(Self::letter(Letter::Drain)),
            Step::Draining(calls) => Some(Self::letter(Letter::Draining(*calls))),
            Step::Quiet(worker) => Some(Self::letter(Letter::Quiet(*worker))),
            Step::Parted(cut) => Some(Self::letter(Letter::Parted(*cut))),
            Step::Sleep(span) => {
                machine.tick(now + *span);
                None
            }
        };
        event.into_iter().collect()
    }

    fn observe(&mut self, action: Action<Letter>, seen: &mut Seen) {
        match &action {
            Action::Write(_) | Action::Read(_) | Action::Finish(_) => seen.exact(&action),
            Action::Dial { .. }
            | Action::Resolve { .. }
            | Action::Close(_)
            | Action::Unlisten(_)
            | Action::Letter { .. }
            | Action::Datagram { .. }
            | Action::Note(_)
            | Action::Done => seen.event("actions", &action),
        }
        match action {
            Action::Dial { conn, to, .. } => self.dialing.push((conn, to)),
            Action::Resolve { ask, .. } => self.asks.push_back(ask),
            Action::Close(conn) => {
                self.dialing.retain(|(held, _)| *held != conn);
                self.consults.retain(|(held, _)| *held != conn);
            }
            Action::Datagram { to, bytes } => {
                assert!(bytes.len() <= DATAGRAM_MAX, "{} bytes", bytes.len());
                for message in read(&bytes) {
                    if let Message::Ping { seq, target } = message {
                        self.pings.push_back((seq, target, to));
                    }
                }
                while self.pings.len() > 64 {
                    self.pings.pop_front();
                }
            }
            Action::Letter { to, letter } => self.letter_from(to, letter),
            Action::Done => self.over = true,
            Action::Write(_) | Action::Read(_) | Action::Finish(_) | Action::Note(_) => {}
            Action::Unlisten(_) => panic!("{action:?} by a node"),
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
        self.consults.iter().map(|(conn, _)| *conn).collect()
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
        let Some(gossip) = machine.gossip().filter(|_| !self.over) else { return Ok(()) };
        if let Some((what, count)) = gossip.held().beyond(&MOST) {
            return Err(format!("{count} of {what}"));
        }
        let dials = self.dialing.len() + self.consults.len();
        if dials > MOST.consults {
            return Err(format!("{dials} consultations"));
        }
        let live = gossip.members().filter(|member| member.state.is_live());
        let live: BTreeSet<Boot> = live.map(|member| member.boot).collect();
        if live != self.peers {
            return Err(format!("{live:?} live, and workers were told {:?}", self.peers));
        }
        let mut meant: BTreeMap<(EndpointId, Option<Boot>), u32> = BTreeMap::new();
        for boot in live {
            for (endpoint, weight) in gossip.directory(boot).into_iter().flat_map(Replica::iter) {
                meant.insert((endpoint.clone(), Some(boot)), u32::from(weight));
            }
        }
        for (endpoint, count) in self.local() {
            meant.insert((endpoint, None), count);
        }
        let mut held: BTreeMap<(EndpointId, Option<Boot>), u32> = BTreeMap::new();
        for (endpoint, upstreams) in machine.routes().iter() {
            for Upstream { place, weight } in upstreams {
                let boot = match place {
                    Place::Node(boot) => Some(*boot),
                    Place::Tunnel { .. } => None,
                };
                *held.entry((endpoint.clone(), boot)).or_default() += *weight;
            }
        }
        if held != meant {
            return Err(format!("routes are {held:?}, and should be {meant:?}"));
        }
        // What its own log says was so a moment ago.
        let own = gossip.directory(ME).into_iter().flat_map(Replica::iter);
        let wrong = |weight: u8| weight_of(u32::from(weight)) != weight;
        if let Some((endpoint, weight)) = own.into_iter().find(|(_, weight)| wrong(*weight)) {
            return Err(format!("{endpoint} is said to have weight {weight}"));
        }
        Ok(())
    }
}
