//! A host that gossips and does nothing else.

use bytes::{Buf as _, Bytes, BytesMut};
use core::net::SocketAddr;
use pico_core::gossip::{Action, CONSULT_MAX, Input, Machine as Gossip, Pace, State};
use pico_core::host::{self, Host};
use pico_core::id::{AskId, Boot, ConnId, ConnIds, ConnMap, Side};
use pico_core::note::Note;
use pico_core::routing::EndpointId;
use pico_core::{Instant, Machine, Outbox};
use std::collections::{BTreeMap, VecDeque};

/// What a peer is told to do.
#[derive(Clone, Debug)]
pub enum Order {
    /// Others may be found here.
    Seeds(Vec<SocketAddr>),
    /// Serve an endpoint by so many upstreams.
    Serve(EndpointId, u32),
    /// Say that it drains.
    Drain,
    /// Leave.
    Leave,
}

/// What a peer was told by its gossip, beside what its directory says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// A member is in this state.
    Member(Boot, State),
    /// It is ready, with all that it was to wait for or without.
    Ready(bool),
    /// It has a namesake, and has ended.
    Namesake,
    /// It has left.
    Left,
}

/// Gossip with its sockets: datagrams, and a connection for each consultation, on which both
/// sides send a length of four bytes and so many bytes.
pub struct Peer {
    /// What it is all about.
    pub gossip: Gossip,
    /// What it was told, and when by its own clock.
    pub told: Vec<(Instant, Told)>,
    /// Bytes of consultations that it has sent and received, with what carries them.
    pub consulted_bytes: u64,
    /// What each member serves, as it was told change by change.
    pub routes: BTreeMap<Boot, BTreeMap<EndpointId, u8>>,
    conns: ConnMap<Talk>,
    ids: ConnIds,
    asks: u64,
    asked: BTreeMap<AskId, ConnId>,
    /// When whom we asked has had time enough, in that order.
    due: VecDeque<(Instant, ConnId)>,
    actions: VecDeque<host::Action<Order>>,
    now: Instant,
}

struct Talk {
    outbox: Outbox,
    told: host::Told,
    inbox: BytesMut,
    role: Role,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// We asked.
    Asks(AskId),
    /// We are asked.
    Asked,
    /// It is over once the other has closed.
    Over,
}

impl Peer {
    /// A peer of this gossip.
    pub fn new(gossip: Gossip) -> Self {
        Self {
            gossip,
            told: Vec::new(),
            consulted_bytes: 0,
            routes: BTreeMap::new(),
            conns: ConnMap::new(),
            ids: ConnIds::new(Side::Dialed),
            asks: 0,
            asked: BTreeMap::new(),
            due: VecDeque::new(),
            actions: VecDeque::new(),
            now: Instant::ZERO,
        }
    }

    /// Bytes that it has sent and received, all headers included, where nobody has keys.
    pub fn bytes(&self) -> u64 {
        let counts = self.gossip.counts();
        let datagrams = counts.sent + counts.received;
        counts.sent_bytes + counts.received_bytes + datagrams * HEADERS + self.consulted_bytes
    }

    fn drain(&mut self) {
        while let Some(action) = self.gossip.poll() {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Datagram { to, bytes } => {
                self.actions.push_back(host::Action::Datagram { to, bytes });
            }
            Action::Consult { ask, addr, bytes, .. } => self.ask(ask, addr, &bytes),
            Action::Answer { ask, bytes } => {
                if let Some(conn) = self.asked.remove(&ask) {
                    self.put(conn, &bytes);
                }
            }
            Action::Member { member, .. } => self.note(Told::Member(member.boot, member.state)),
            Action::Serves { boot, changes } => {
                let routes = self.routes.entry(boot).or_default();
                for change in changes {
                    match change.weight {
                        0 => routes.remove(&change.endpoint),
                        weight => routes.insert(change.endpoint, weight),
                    };
                }
            }
            Action::Unopened(_) | Action::Missed { .. } => {}
            Action::Ready { complete } => {
                self.note(Told::Ready(complete));
                let live = self.gossip.members().filter(|member| member.state.is_live());
                let note = Note::Joined { nodes: live.count() + 1, complete };
                self.actions.push_back(host::Action::Note(note));
            }
            Action::Namesake(peer) => {
                self.note(Told::Namesake);
                self.actions.push_back(host::Action::Note(Note::Namesake { peer }));
                self.actions.push_back(host::Action::Done);
            }
            Action::Left => {
                self.note(Told::Left);
                self.actions.push_back(host::Action::Done);
            }
        }
    }

    fn note(&mut self, told: Told) {
        self.told.push((self.now, told));
    }

    fn ask(&mut self, ask: AskId, to: SocketAddr, bytes: &[u8]) {
        let conn = self.ids.issue();
        self.insert(conn, Role::Asks(ask));
        self.due.push_back((self.now + Pace::default().consult, conn));
        self.actions.push_back(host::Action::Dial { conn, to, wire: host::Wire::Cluster });
        self.put(conn, bytes);
    }

    fn insert(&mut self, conn: ConnId, role: Role) {
        let (outbox, told) = (Outbox::new(), host::Told::default());
        self.conns.insert(conn, Talk { outbox, told, inbox: BytesMut::new(), role });
    }

    fn put(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(talk) = self.conns.get_mut(conn) else { return };
        let len = u32::try_from(bytes.len()).expect("consultations are short");
        self.consulted_bytes += carried(u64::from(len));
        talk.outbox.put(&len.to_be_bytes());
        talk.outbox.put(bytes);
        talk.told.tell(conn, Some(&talk.outbox), ROOM, &mut self.actions);
    }

    fn received(&mut self, now: Instant, conn: ConnId, bytes: &BytesMut) {
        let Some(talk) = self.conns.get_mut(conn) else { return };
        talk.inbox.extend_from_slice(bytes);
        let Some((head, rest)) = talk.inbox.split_first_chunk::<4>() else { return };
        let len = u32::from_be_bytes(*head) as usize;
        assert!(len <= CONSULT_MAX, "a consultation of {len} bytes");
        let Some(body) = rest.get(..len).map(Bytes::copy_from_slice) else { return };
        self.consulted_bytes += carried(body.len() as u64);
        let role = std::mem::replace(&mut talk.role, Role::Over);
        match role {
            Role::Asks(ask) => {
                self.close(conn);
                self.gossip.handle(now, Input::Answered { ask, answer: Some(body) });
            }
            Role::Asked => self.answer(now, conn, body),
            Role::Over => {}
        }
    }

    fn answer(&mut self, now: Instant, conn: ConnId, bytes: Bytes) {
        self.asks += 1;
        let ask = AskId(self.asks);
        self.asked.insert(ask, conn);
        self.gossip.handle(now, Input::Asked { ask, bytes });
    }

    fn close(&mut self, conn: ConnId) {
        if self.conns.remove(conn).is_some() {
            self.actions.push_back(host::Action::Close(conn));
        }
    }

    /// Gives up whom it has asked for too long, as a node does: what it said then must not arrive
    /// when nobody means it any more.
    fn give_up(&mut self, now: Instant) {
        while let Some((due, conn)) = self.due.front().copied() {
            let open = self.conns.get(conn).is_some();
            if open && due > now {
                return;
            }
            self.due.pop_front();
            if open {
                self.lost(now, conn);
                self.actions.push_back(host::Action::Close(conn));
            }
        }
    }

    /// A connection is gone; a question on it stays without an answer.
    fn lost(&mut self, now: Instant, conn: ConnId) {
        if let Some(Talk { role: Role::Asks(ask), .. }) = self.conns.remove(conn) {
            self.gossip.handle(now, Input::Answered { ask, answer: None });
        }
    }
}

impl Machine for Peer {
    type Input = host::Input<Order>;
    type Action = host::Action<Order>;

    fn handle(&mut self, now: Instant, input: host::Input<Order>) {
        self.now = now;
        match input {
            host::Input::Accepted { conn, .. } => self.insert(conn, Role::Asked),
            host::Input::Connected { conn, .. } => {
                if let Some(talk) = self.conns.get_mut(conn) {
                    talk.told = host::Told::default();
                    talk.told.tell(conn, Some(&talk.outbox), ROOM, &mut self.actions);
                }
            }
            host::Input::Received { conn, bytes } => self.received(now, conn, &bytes),
            host::Input::Sent { conn, count } => {
                if let Some(talk) = self.conns.get_mut(conn) {
                    talk.outbox.advance(count);
                    talk.told.tell(conn, Some(&talk.outbox), ROOM, &mut self.actions);
                }
            }
            host::Input::Unreachable { conn, .. } | host::Input::Lost { conn, .. } => {
                self.lost(now, conn);
            }
            host::Input::Eof { conn } => {
                self.lost(now, conn);
                self.actions.push_back(host::Action::Close(conn));
            }
            host::Input::Datagram { from, bytes } => {
                self.gossip.handle(now, Input::Datagram { from, bytes });
            }
            host::Input::Letter(order) => {
                let input = match order {
                    Order::Seeds(seeds) => Input::Seeds(seeds),
                    Order::Serve(endpoint, upstreams) => Input::Serve { endpoint, upstreams },
                    Order::Drain => Input::Drain,
                    Order::Leave => Input::Leave,
                };
                self.gossip.handle(now, input);
            }
            host::Input::Unlistened(_) | host::Input::Resolved { .. } | host::Input::Wall(_) => {}
        }
        self.drain();
    }

    fn tick(&mut self, now: Instant) {
        self.now = now;
        self.give_up(now);
        self.gossip.tick(now);
        self.drain();
    }

    fn poll(&mut self) -> Option<host::Action<Order>> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        let open = |(_, conn): &&(Instant, ConnId)| self.conns.get(*conn).is_some();
        let due = self.due.iter().find(open).map(|(due, _)| *due);
        self.gossip.deadline().into_iter().chain(due).min()
    }
}

impl Host for Peer {
    type Letter = Order;

    fn outbox(&self, conn: ConnId) -> Option<&Outbox> {
        self.conns.get(conn).map(|talk| &talk.outbox)
    }

    fn room(&self, _: ConnId) -> usize {
        ROOM
    }
}

/// What a question or an answer takes on the wire: a message of HTTP, in segments of which every
/// other one is acknowledged, and half of the packets that open and close a connection.
const fn carried(bytes: u64) -> u64 {
    let segments = (bytes + HEAD).div_ceil(SEGMENT);
    bytes + HEAD + TCP * (segments + segments.div_ceil(2) + SHAKE)
}

/// Bytes of a head on the gossip port: of a POST, or the shorter one of its answer.
const HEAD: u64 = 160;
/// Bytes of a segment's payload, and of the headers of TCP and IP before it.
const SEGMENT: u64 = 1_448;
const TCP: u64 = 52;
/// Half of the packets without payload that a connection needs.
const SHAKE: u64 = 4;
/// Bytes that are taken at once.
const ROOM: usize = 64 * 1024;
/// Bytes of the headers of a datagram.
pub(super) const HEADERS: u64 = 28;
