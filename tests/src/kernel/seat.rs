//! One host and its sockets: the driver of the simulated platform.

use super::net::{Read, Socket, Way};
use super::world::{Event, Outside};
use super::{ProcessId, SeatId};
use crate::draw::Draw as _;
use core::any::Any;
use core::fmt::Debug;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use pico_core::host::{Action, Address, Fault, Host, Input, Port};
use pico_core::id::{AskId, ConnId, ConnIds, ConnMap, Side};
use pico_core::{Dice, Instant, Outbox, Turn, settle};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A host with everything that a driver keeps for it.
pub struct Seat<H: Host> {
    /// The machine itself.
    pub host: H,
    desk: Desk<H::Letter>,
}

/// What the driver keeps, apart from the host so that a turn can hold both.
pub(super) struct Desk<L> {
    pub(super) id: SeatId,
    pub(super) process: ProcessId,
    pub(super) name: String,
    ip: IpAddr,
    /// The host's clock less the world's.
    offset: Duration,
    dice: Dice,
    conns: ConnMap<Conn>,
    ids: ConnIds,
    /// Whose slots are free from the next turn on: until then the machine may hold them.
    freed: Vec<ConnId>,
    /// Who waits to be accepted.
    /// Ports that are to be closed once nobody waits there.
    closing: Vec<Port>,
    backlog: VecDeque<Caller>,
    inbox: VecDeque<Input<L>>,
    /// Connections on which something may be possible.
    ready: BTreeSet<ConnId>,
    /// When the last letter to each address arrives.
    posted: BTreeMap<Address, Instant>,
    done: bool,
}

#[derive(Debug)]
struct Conn {
    side: Side,
    /// `None` while it is being dialled.
    socket: Option<Socket>,
    writing: bool,
    finishing: bool,
    /// The peer has cut what we write; what it had sent before is still to be read.
    cut: Option<Fault>,
    ended: bool,
}

/// Somebody who dialled us.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) link: u64,
    pub(super) from: (SeatId, ConnId),
    pub(super) peer: SocketAddr,
    /// Whom they dialled.
    pub(super) to: SocketAddr,
    pub(super) port: Port,
    /// How long our answer takes.
    pub(super) latency: Duration,
}

/// What reaches a seat from the world.
pub(super) enum Delivery {
    Connected { conn: ConnId, socket: Socket, peer: SocketAddr },
    Unreachable { conn: ConnId, fault: Fault },
    Unlistened(Port),
    Resolved { ask: AskId, result: Result<Vec<SocketAddr>, Fault> },
    Letter(Box<dyn Any>),
    Poke(ConnId),
}

/// A seat, whatever host sits on it.
pub(super) trait AnySeat {
    /// Lets somebody wait to be accepted in one of the next turns.
    fn knock(&mut self, caller: Caller);
    fn deliver(&mut self, now: Instant, delivery: Delivery, out: &mut Outside);
    /// One turn; says when it wants the next.
    fn turn(&mut self, now: Instant, out: &mut Outside) -> Option<Instant>;
    /// The process died: every link breaks.
    fn die(&mut self, now: Instant, out: &mut Outside);
    fn process(&self) -> ProcessId;
    fn connections(&self) -> usize;
    fn is_done(&self) -> bool;
    fn delay(&mut self) -> Duration;
    fn any(&self) -> &dyn Any;
    fn any_mut(&mut self) -> &mut dyn Any;
}

/// The most inputs from sockets in one turn.
const TURN_MAX: usize = 32;

/// A driver's read buffer.
const READ_MAX: usize = 64 * 1024;

impl<H: Host> Seat<H> {
    pub(super) fn new(
        host: H,
        id: SeatId,
        process: ProcessId,
        name: &str,
        ip: IpAddr,
        offset: Duration,
        dice: Dice,
    ) -> Self {
        let desk = Desk {
            id,
            process,
            name: name.to_owned(),
            ip,
            offset,
            dice,
            conns: ConnMap::new(),
            ids: ConnIds::new(Side::Accepted),
            freed: Vec::new(),
            closing: Vec::new(),
            backlog: VecDeque::new(),
            inbox: VecDeque::new(),
            ready: BTreeSet::new(),
            posted: BTreeMap::new(),
            done: false,
        };
        Self { host, desk }
    }
}

impl<H: Host + 'static> AnySeat for Seat<H>
where
    H::Letter: Debug + 'static,
{
    fn knock(&mut self, caller: Caller) {
        self.desk.backlog.push_back(caller);
    }

    fn deliver(&mut self, now: Instant, delivery: Delivery, out: &mut Outside) {
        let desk = &mut self.desk;
        match delivery {
            Delivery::Connected { conn, socket, peer } => match desk.conns.get_mut(conn) {
                Some(held) => {
                    held.socket = Some(socket);
                    desk.ready.insert(conn);
                    desk.inbox.push_back(Input::Connected { conn, peer });
                }
                // Closed while it was dialled.
                None => out.net.close(now, socket, &mut out.events),
            },
            Delivery::Unreachable { conn, fault } => {
                if desk.conns.remove(conn).is_some() {
                    desk.inbox.push_back(Input::Unreachable { conn, fault });
                }
            }
            Delivery::Unlistened(port) => desk.closing.push(port),
            Delivery::Resolved { ask, result } => {
                desk.inbox.push_back(Input::Resolved { ask, result });
            }
            Delivery::Letter(letter) => {
                let letter = letter.downcast().expect("a process's machines share their letters");
                desk.inbox.push_back(Input::Letter(*letter));
            }
            Delivery::Poke(conn) => {
                if desk.conns.get(conn).is_some() {
                    desk.ready.insert(conn);
                }
            }
        }
    }

    fn turn(&mut self, now: Instant, out: &mut Outside) -> Option<Instant> {
        let local = now + self.desk.offset;
        let desk = &mut self.desk;
        for conn in desk.freed.drain(..) {
            desk.ids.release(conn);
        }
        let mut hands = Hands { now, desk, out, left: TURN_MAX };
        let deadline = settle(&mut self.host, local, &mut hands);
        // Only what exceeds a turn's share is left to the next one: whatever else `settle` leaves
        // undone waits for an event, as it would in a real driver.
        if hands.left == 0 && !self.desk.ready.is_empty() {
            return Some(now);
        }
        let deadline = deadline?.as_nanos().saturating_sub(self.desk.offset_nanos());
        Some(Instant::from_nanos(deadline).max(now))
    }

    fn die(&mut self, now: Instant, out: &mut Outside) {
        self.desk.done = true;
        self.desk.inbox.clear();
        for caller in self.desk.backlog.drain(..) {
            let unreachable = Delivery::Unreachable { conn: caller.from.1, fault: Fault::Reset };
            let event = Event::Deliver(caller.from.0, unreachable);
            out.events.add(now + caller.latency, event);
        }
        for (_, conn) in std::mem::take(&mut self.desk.conns).iter() {
            if let Some(socket) = conn.socket {
                out.net.reset(now, socket.link, &mut out.events);
                out.net.close(now, socket, &mut out.events);
            }
        }
    }

    fn process(&self) -> ProcessId {
        self.desk.process
    }

    fn connections(&self) -> usize {
        self.desk.conns.len()
    }

    fn is_done(&self) -> bool {
        self.desk.done
    }

    fn delay(&mut self) -> Duration {
        let most = *self.desk.dice.pick(&[0, 1_000, 30_000]);
        Duration::from_nanos(self.desk.dice.below(most + 1))
    }

    fn any(&self) -> &dyn Any {
        self
    }

    fn any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

impl Conn {
    const fn new(side: Side, socket: Option<Socket>) -> Self {
        Self { side, socket, writing: false, finishing: false, cut: None, ended: false }
    }
}

impl<L> Desk<L> {
    fn offset_nanos(&self) -> u64 {
        u64::try_from(self.offset.as_nanos()).expect("offsets are drawn below two weeks")
    }

    /// Forgets a connection, and gives its number back if we counted it.
    fn drop_conn(&mut self, conn: ConnId) -> Option<Conn> {
        let held = self.conns.remove(conn)?;
        self.ready.remove(&conn);
        if held.side == Side::Accepted {
            self.freed.push(conn);
        }
        Some(held)
    }
}

/// One turn of one host.
struct Hands<'a, L> {
    now: Instant,
    desk: &'a mut Desk<L>,
    out: &'a mut Outside,
    left: usize,
}

impl<H: Host> Turn<H> for Hands<'_, H::Letter>
where
    H::Letter: Debug + 'static,
{
    fn next(&mut self, host: &H) -> Option<Input<H::Letter>> {
        let input = self
            .desk
            .inbox
            .pop_front()
            .or_else(|| self.accept(1, 4))
            .or_else(|| self.look_at_sockets(host))
            .or_else(|| self.accept(1, 1))
            .or_else(|| self.desk.closing.pop().map(Input::Unlistened))?;
        self.out.trace.input(self.now, self.desk.id, &self.desk.name, &input);
        Some(input)
    }

    fn act(&mut self, host: &H, action: Action<H::Letter>) {
        self.out.trace.action(self.now, self.desk.id, &self.desk.name, &action);
        match action {
            Action::Dial { conn, to } => self.dial(conn, to),
            Action::Resolve { ask, host, port } => self.resolve(ask, &host, port),
            Action::Write(conn) => self.wake(conn, |held| held.writing = true),
            Action::Read(conn) => self.wake(conn, |_| {}),
            Action::Finish(conn) => {
                self.wake(conn, |held| held.finishing = true);
                // At once: should the machine close it now, then all was said.
                if host.outbox(conn).is_some_and(Outbox::is_empty) {
                    self.finish(conn);
                }
            }
            Action::Close(conn) => {
                let socket = self.desk.drop_conn(conn).and_then(|held| held.socket);
                if let Some(socket) = socket {
                    self.out.net.close(self.now, socket, &mut self.out.events);
                }
            }
            Action::Unlisten(port) => {
                self.out.events.add(self.now, Event::Unlisten(self.desk.id, port));
            }
            // The simulated network loses all datagrams: no host sends any yet.
            Action::Datagram { .. } => {}
            Action::Letter { to, letter } => self.post(to, Box::new(letter)),
            Action::Note(note) => self.out.notes.push((self.now, self.desk.id, note)),
            Action::Done => self.desk.done = true,
        }
    }
}

impl<L: Debug + 'static> Hands<'_, L> {
    /// Accepts whoever has waited longest, with this chance: between what sockets have, as it
    /// comes.
    fn accept(&mut self, chance: u64, of: u64) -> Option<Input<L>> {
        if self.desk.backlog.is_empty() || !self.desk.dice.chance(chance, of) {
            return None;
        }
        let Caller { link, from, peer, to, port, latency } = self.desk.backlog.pop_front()?;
        let conn = self.desk.ids.issue();
        self.desk.conns.insert(conn, Conn::new(Side::Accepted, Some(acceptor(link))));
        self.out.net.connect(link, from, (self.desk.id, conn));
        let delivery = Delivery::Connected { conn: from.1, socket: dialler(link), peer: to };
        self.out.events.add(self.now + latency, Event::Deliver(from.0, delivery));
        Some(Input::Accepted { conn, port, peer })
    }

    /// The next input that a socket has.
    fn look_at_sockets(&mut self, host: &impl Host<Letter = L>) -> Option<Input<L>> {
        while self.left > 0 {
            let count = self.desk.ready.len();
            let skip = self.desk.dice.index(count.min(4));
            let conn = *self.desk.ready.iter().nth(skip)?;
            let found = if self.desk.dice.chance(1, 2) {
                self.read(host, conn).or_else(|| self.write(host, conn))
            } else {
                self.write(host, conn).or_else(|| self.read(host, conn))
            };
            if found.is_some() {
                self.left -= 1;
                return found;
            }
            self.desk.ready.remove(&conn);
        }
        None
    }

    fn read(&mut self, host: &impl Host<Letter = L>, conn: ConnId) -> Option<Input<L>> {
        let held = self.desk.conns.get_mut(conn)?;
        let socket = held.socket?;
        if held.ended || host.room(conn) == 0 {
            let fault = held.cut?;
            return Some(self.lost(conn, socket, fault));
        }
        let most = self.desk.dice.piece(READ_MAX);
        match self.out.net.read(self.now, socket, most, &mut self.out.events) {
            Read::Bytes(bytes) => Some(Input::Received { conn, bytes }),
            Read::Later => None,
            Read::Eof => {
                held.ended = true;
                Some(Input::Eof { conn })
            }
            Read::Lost(fault) => Some(self.lost(conn, socket, fault)),
        }
    }

    fn write(&mut self, host: &impl Host<Letter = L>, conn: ConnId) -> Option<Input<L>> {
        let held = self.desk.conns.get_mut(conn)?;
        let socket = held.socket?;
        let outbox = host.outbox(conn)?;
        if outbox.is_empty() {
            held.writing = false;
            self.finish(conn);
            return None;
        }
        if !held.writing || held.cut.is_some() {
            return None;
        }
        match self.out.net.write(self.now, socket, outbox, &mut self.out.events) {
            Ok(0) => None,
            Ok(count) => Some(Input::Sent { conn, count }),
            // What came before the reset is read first.
            Err(fault) => {
                held.cut = Some(fault);
                self.read(host, conn)
            }
        }
    }

    fn finish(&mut self, conn: ConnId) {
        let Some(held) = self.desk.conns.get_mut(conn) else { return };
        if let Some(socket) = held.socket
            && std::mem::take(&mut held.finishing)
        {
            self.out.net.finish(self.now, socket, &mut self.out.events);
        }
    }

    fn lost(&mut self, conn: ConnId, socket: Socket, fault: Fault) -> Input<L> {
        self.desk.drop_conn(conn);
        self.out.net.close(self.now, socket, &mut self.out.events);
        Input::Lost { conn, fault }
    }

    fn wake(&mut self, conn: ConnId, change: impl FnOnce(&mut Conn)) {
        if let Some(held) = self.desk.conns.get_mut(conn) {
            change(held);
            self.desk.ready.insert(conn);
        }
    }

    fn dial(&mut self, conn: ConnId, to: SocketAddr) {
        self.desk.conns.insert(conn, Conn::new(Side::Dialed, None));
        let peer = SocketAddr::new(self.desk.ip, self.out.ephemeral());
        self.out.dial(self.now, (self.desk.id, conn), peer, to);
    }

    fn resolve(&mut self, ask: AskId, host: &str, port: u16) {
        let found = self.out.names.get(host).cloned().unwrap_or_default();
        let ips = host.parse().ok().into_iter().chain(found);
        let all: Vec<SocketAddr> = ips.map(|ip| SocketAddr::new(ip, port)).collect();
        let result = if all.is_empty() { Err(Fault::NoSuchHost) } else { Ok(all) };
        let at = self.now + self.desk.dice.span(Duration::ZERO, Duration::from_millis(50));
        let event = Event::Deliver(self.desk.id, Delivery::Resolved { ask, result });
        self.out.events.add(at, event);
    }

    /// Letters between two machines stay in order; those of different machines need not.
    fn post(&mut self, to: Address, letter: Box<dyn Any>) {
        let delay = self.desk.dice.span(Duration::ZERO, Duration::from_micros(200));
        let last = self.desk.posted.entry(to).or_default();
        *last = (self.now + delay).max(*last);
        self.out.events.add(*last, Event::Post(self.desk.process, to, letter));
    }
}

/// The socket of whoever dialled `link`.
const fn dialler(link: u64) -> Socket {
    Socket { link, way: Way::Up }
}

/// The socket of whoever accepted `link`.
const fn acceptor(link: u64) -> Socket {
    Socket { link, way: Way::Down }
}
