//! One host and its sockets: what the driver of the simulated platform keeps.

use super::SeatId;
use super::clock::Clock;
use super::hands::Hands;
use super::lots::Lots;
use super::net::{Caller, Datagram, Dialling, Knocked, Socket};
use super::world::{Home, Outside};
use core::any::Any;
use core::fmt::Debug;
use core::net::SocketAddr;
use pico_core::host::{Address, Fault, Host, Input, Port};
use pico_core::id::{AskId, ConnId, ConnIds, ConnMap, Side};
use pico_core::{Instant, Outbox, Wall, settle};
use pico_shell::wire::{Trust, Wire, Wires};
use std::collections::{BTreeMap, VecDeque};

/// A host with everything that a driver keeps for it.
pub(super) struct Seat<H: Host> {
    pub(super) host: H,
    desk: Desk<H::Letter>,
}

/// What the driver keeps, apart from the host so that a turn can hold both.
pub(super) struct Desk<L> {
    pub(super) id: SeatId,
    pub(super) home: Home,
    pub(super) name: String,
    pub(super) clock: Clock,
    pub(super) lots: Lots,
    pub(super) conns: ConnMap<Conn>,
    pub(super) ids: ConnIds,
    /// Whose slots are free from the next turn on: until then the machine may hold them.
    freed: Vec<ConnId>,
    /// Ports that are to be closed once nobody waits there.
    pub(super) closing: Vec<Port>,
    /// Who waits to be accepted.
    pub(super) backlog: VecDeque<Caller>,
    /// What came, with the turn that it comes from.
    pub(super) inbox: VecDeque<(Input<L>, u64)>,
    /// Connections on which something may be possible.
    pub(super) ready: VecDeque<ConnId>,
    /// When the last letter to each address arrives.
    pub(super) posted: BTreeMap<Address, Instant>,
    /// The machine's own UDP socket, and what it holds.
    pub(super) bound: Option<SocketAddr>,
    pub(super) datagrams: VecDeque<Datagram>,
    datagram_bytes: usize,
    pub(super) done: bool,
    /// What time of day the machine was told last.
    pub(super) wall: Option<Wall>,
    /// How what is said on its connections is protected, and who has yet to show its keys.
    pub(super) wires: Wires,
    pub(super) trust: Trust,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) origin: Origin,
    pub(super) line: Line,
    pub(super) wire: Wire,
    /// The machine was told of it.
    pub(super) known: bool,
    /// The turn from which came what was read last.
    pub(super) cause: u64,
    /// It is on the list of those that are ready.
    ready: bool,
    pub(super) writing: bool,
    pub(super) finishing: bool,
    /// The peer has cut what we write; what it had sent before is still to be read.
    pub(super) cut: Option<Fault>,
    pub(super) ended: bool,
}

/// Who began a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    Dialled(SocketAddr),
    Accepted(Port, SocketAddr),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Line {
    Dialling(Dialling),
    Open(Socket),
}

/// What reaches a seat from the world.
pub(super) enum Delivery {
    Knocked(Knocked),
    Caller(Caller),
    Resolved { ask: AskId, result: Result<Vec<SocketAddr>, Fault>, cause: u64 },
    Letter(Box<dyn Any>, u64),
    Datagram(Datagram),
    Poke(ConnId),
}

/// What came of a turn.
pub(super) struct Turned {
    /// When the machine wants the next.
    pub(super) next: Option<Instant>,
    /// What there was to do.
    pub(super) inputs: u64,
    pub(super) bytes: u64,
}

/// A seat, whatever host sits on it.
pub(super) trait AnySeat {
    /// Gives the machine a UDP socket.
    fn bind(&mut self, addr: SocketAddr);
    /// Gives its driver the keys of its cluster.
    fn protect(&mut self, wires: Wires);
    fn deliver(&mut self, delivery: Delivery);
    fn turn(&mut self, now: Instant, out: &mut Outside) -> Turned;
    /// The driver has ended, with its machine: its sockets are let go.
    fn end(&mut self, now: Instant, out: &mut Outside);
    /// The process is gone, and all that it held.
    fn die(&mut self);
    fn connections(&self) -> usize;
    fn conns(&self) -> Vec<ConnId>;
    /// The most that waits before any one socket, in bytes.
    fn waiting_max(&self) -> usize;
    fn is_done(&self) -> bool;
    fn any(&self) -> &dyn Any;
    fn any_mut(&mut self) -> &mut dyn Any;
}

impl<H: Host> Seat<H> {
    pub(super) fn new(
        host: H,
        id: SeatId,
        home: Home,
        name: &str,
        clock: Clock,
        lots: Lots,
    ) -> Self {
        let desk = Desk {
            id,
            home,
            name: name.to_owned(),
            clock,
            lots,
            conns: ConnMap::new(),
            ids: ConnIds::new(Side::Accepted),
            freed: Vec::new(),
            closing: Vec::new(),
            backlog: VecDeque::new(),
            inbox: VecDeque::new(),
            ready: VecDeque::new(),
            posted: BTreeMap::new(),
            bound: None,
            datagrams: VecDeque::new(),
            datagram_bytes: 0,
            done: false,
            wall: None,
            wires: Wires::plain(),
            trust: Trust::default(),
        };
        Self { host, desk }
    }
}

impl<H: Host + 'static> AnySeat for Seat<H>
where
    H::Letter: Debug + 'static,
{
    fn bind(&mut self, addr: SocketAddr) {
        self.desk.bound = Some(addr);
    }

    fn protect(&mut self, wires: Wires) {
        self.desk.wires = wires;
    }

    fn deliver(&mut self, delivery: Delivery) {
        let desk = &mut self.desk;
        match delivery {
            Delivery::Knocked(Knocked::Connected { conn, socket, peer, cause, .. }) => {
                if let Some(held) = desk.conns.get_mut(conn) {
                    held.line = Line::Open(socket);
                    held.known = true;
                    desk.inbox.push_back((Input::Connected { conn, peer }, cause));
                    desk.soil(conn);
                }
            }
            Delivery::Knocked(Knocked::Unreachable { conn, fault, cause, .. }) => {
                if desk.conns.remove(conn).is_some() {
                    desk.inbox.push_back((Input::Unreachable { conn, fault }, cause));
                }
            }
            Delivery::Caller(caller) => desk.backlog.push_back(caller),
            Delivery::Resolved { ask, result, cause } => {
                desk.inbox.push_back((Input::Resolved { ask, result }, cause));
            }
            Delivery::Letter(letter, cause) => {
                let letter = letter.downcast().expect("a process's machines share their letters");
                desk.inbox.push_back((Input::Letter(*letter), cause));
            }
            Delivery::Datagram(datagram) => desk.receive(datagram),
            Delivery::Poke(conn) => desk.soil(conn),
        }
    }

    fn turn(&mut self, now: Instant, out: &mut Outside) -> Turned {
        let desk = &mut self.desk;
        for conn in desk.freed.drain(..) {
            desk.ids.release(conn);
        }
        let clock = desk.clock;
        let mut hands = Hands::new(now, desk, out);
        hands.part_with_the_late();
        let deadline = settle(&mut self.host, clock.local(now), &mut hands);
        let (spent, inputs, bytes) = (hands.is_spent(), hands.inputs, hands.bytes);
        // Only what exceeds a turn's share is left to the next one: whatever else `settle` leaves
        // undone waits for an event, as it would in a real driver.
        let desk = &self.desk;
        let more = spent && !(desk.ready.is_empty() && desk.datagrams.is_empty());
        let deadline = deadline.map(|at| clock.world(at).max(now));
        let deadline = deadline.into_iter().chain(desk.trust.deadline()).min();
        let next = if more { Some(now) } else { deadline };
        Turned { next, inputs, bytes }
    }

    fn end(&mut self, now: Instant, out: &mut Outside) {
        let (net, events) = (&mut out.net, &mut out.events);
        let cause = out.trace.turns();
        net.unlisten(self.desk.id, None);
        for (_, conn) in self.desk.conns.iter() {
            match conn.line {
                Line::Dialling(dialling) => net.cancel(dialling),
                Line::Open(socket) => net.let_go(now, socket, cause, events),
            }
        }
        for caller in self.desk.backlog.drain(..) {
            net.turn_away(now, caller.socket, cause, events);
        }
    }

    fn die(&mut self) {
        let desk = &mut self.desk;
        desk.done = true;
        desk.inbox.clear();
        desk.backlog.clear();
        desk.conns = ConnMap::new();
    }

    fn connections(&self) -> usize {
        let told = |held: &Conn| held.known || matches!(held.origin, Origin::Dialled(_));
        self.desk.conns.iter().filter(|(_, held)| told(held)).count()
    }

    fn conns(&self) -> Vec<ConnId> {
        self.desk.conns.ids().collect()
    }

    fn waiting_max(&self) -> usize {
        let waits = |conn| self.host.outbox(conn).map_or(0, Outbox::len);
        self.desk.conns.ids().map(waits).max().unwrap_or_default()
    }

    fn is_done(&self) -> bool {
        self.desk.done
    }

    fn any(&self) -> &dyn Any {
        self
    }

    fn any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

impl Conn {
    pub(super) fn new(origin: Origin, line: Line, wire: Wire) -> Self {
        let known = wire.is_open();
        Self {
            origin,
            line,
            wire,
            known,
            cause: 0,
            ready: false,
            writing: false,
            finishing: false,
            cut: None,
            ended: false,
        }
    }

    /// Its socket, once it has one.
    pub(super) const fn socket(&self) -> Option<Socket> {
        match self.line {
            Line::Dialling(_) => None,
            Line::Open(socket) => Some(socket),
        }
    }
}

impl<L> Desk<L> {
    /// Has a connection looked at.
    pub(super) fn soil(&mut self, conn: ConnId) {
        if let Some(held) = self.conns.get_mut(conn)
            && !std::mem::replace(&mut held.ready, true)
        {
            self.ready.push_back(conn);
        }
    }

    /// Takes the connection in this place of the list off it.
    pub(super) fn wash(&mut self, at: usize) {
        if let Some(conn) = self.ready.remove(at)
            && let Some(held) = self.conns.get_mut(conn)
        {
            held.ready = false;
        }
    }

    /// Puts a datagram into the socket, if it has room.
    fn receive(&mut self, datagram: Datagram) {
        let held = self.datagram_bytes + datagram.bytes.len() + DATAGRAM_COST;
        if held <= SOCKET_MAX {
            self.datagram_bytes = held;
            self.datagrams.push_back(datagram);
        }
    }

    /// Takes a datagram out of the socket.
    pub(super) fn take(&mut self) -> Option<Datagram> {
        let datagram = self.datagrams.pop_front()?;
        self.datagram_bytes -= datagram.bytes.len() + DATAGRAM_COST;
        Some(datagram)
    }

    /// Forgets a connection, and gives its number back if we counted it.
    pub(super) fn drop_conn(&mut self, conn: ConnId) -> Option<Conn> {
        let held = self.conns.remove(conn)?;
        if let Origin::Accepted(..) = held.origin {
            self.freed.push(conn);
        }
        if !held.known {
            self.trust.forget(conn);
        }
        Some(held)
    }
}

/// What the socket of datagrams holds, in bytes, and what each datagram counts beside its own.
const SOCKET_MAX: usize = 208 * 1024;
const DATAGRAM_COST: usize = 768;
