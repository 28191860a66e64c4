//! The hands of the simulated driver: what they bring to a machine in one turn, and what they do
//! for it.

use super::net::{Caller, Datagram, Read, Socket};
use super::sealed::Flushed;
use super::seat::{Conn, Delivery, Desk, Line, Origin};
use super::world::{Event, Outside};
use crate::draw::Draw as _;
use bytes::Bytes;
use core::any::Any;
use core::fmt::Debug;
use core::net::SocketAddr;
use core::time::Duration;
use pico_core::host::{self, Action, Address, DATAGRAM_MAX, Fault, Host, Input};
use pico_core::id::{AskId, ConnId};
use pico_core::{Instant, Outbox, Turn, Wall};
use pico_shell::wire::Wire;

/// One turn of one host.
pub(super) struct Hands<'a, L> {
    pub(super) now: Instant,
    pub(super) desk: &'a mut Desk<L>,
    pub(super) out: &'a mut Outside,
    /// The turn's number, which all that it sends bears.
    pub(super) turn: u64,
    left: usize,
    pub(super) inputs: u64,
    pub(super) bytes: u64,
}

impl<'a, L> Hands<'a, L> {
    pub(super) fn new(now: Instant, desk: &'a mut Desk<L>, out: &'a mut Outside) -> Self {
        let turn = out.trace.begin(now, desk.id);
        Self { now, desk, out, turn, left: TURN_MAX, inputs: 0, bytes: 0 }
    }

    /// Whether this turn has had its share.
    pub(super) const fn is_spent(&self) -> bool {
        self.left == 0
    }
}

impl<H: Host> Turn<H> for Hands<'_, H::Letter>
where
    H::Letter: Debug + 'static,
{
    fn next(&mut self, host: &H) -> Option<Input<H::Letter>> {
        let wall = wall_at(self.now);
        if self.desk.wall.replace(wall) != Some(wall) {
            return Some(Input::Wall(wall));
        }
        let (input, cause) = self
            .desk
            .inbox
            .pop_front()
            .or_else(|| self.accept(1, 4))
            .or_else(|| self.receive())
            .or_else(|| self.look_at_sockets(host))
            .or_else(|| self.accept(1, 1))
            // Those who have yet to show their keys: what they have said may be there already.
            .or_else(|| self.look_at_sockets(host))
            .or_else(|| Some((Input::Unlistened(self.desk.closing.pop()?), self.turn)))?;
        self.inputs += 1;
        self.out.trace.input(&self.desk.name, &input, cause);
        Some(input)
    }

    fn act(&mut self, host: &H, action: Action<H::Letter>) {
        self.out.trace.action(&self.desk.name, &action);
        match action {
            Action::Dial { conn, to, wire } => self.dial(conn, to, wire),
            Action::Resolve { ask, host, port } => self.resolve(ask, &host, port),
            Action::Write(conn) => self.wake(conn, |held| held.writing = true),
            Action::Read(conn) => self.desk.soil(conn),
            Action::Finish(conn) => {
                self.wake(conn, |held| held.finishing = true);
                // At once: should the machine close it now, or have let go of it, then all was
                // said.
                if host.outbox(conn).is_none_or(Outbox::is_empty) {
                    self.finish(conn);
                }
            }
            Action::Close(conn) => self.close(conn),
            Action::Unlisten(port) => {
                self.out.net.unlisten(self.desk.id, Some(port));
                self.desk.closing.push(port);
            }
            Action::Datagram { to, bytes } => self.cast(to, bytes),
            Action::Letter { to, letter } => self.post(to, Box::new(letter)),
            Action::Note(note) => self.out.notes.push((self.now, self.desk.id, note)),
            Action::Done => self.desk.done = true,
        }
    }
}

impl<L: Debug + 'static> Hands<'_, L> {
    /// Accepts whoever has waited longest, with this chance: between what sockets have, as it
    /// comes.
    fn accept(&mut self, chance: u64, of: u64) -> Option<(Input<L>, u64)> {
        if self.desk.backlog.is_empty() || !self.desk.lots.chance(chance, of) {
            return None;
        }
        while let Some(Caller { socket, peer, port, cause }) = self.desk.backlog.pop_front() {
            let conn = self.desk.ids.issue();
            let wire = self.desk.wires.accepted(port);
            let held = Conn::new(Origin::Accepted(port, peer), Line::Open(socket), wire);
            let known = held.known;
            self.desk.conns.insert(conn, held);
            self.out.net.accept(socket, (self.desk.id, conn));
            self.desk.soil(conn);
            if known {
                return Some((Input::Accepted { conn, port, peer }, cause));
            }
            self.desk.trust.begin(self.now, conn);
        }
        None
    }

    fn receive(&mut self) -> Option<(Input<L>, u64)> {
        while self.left > 0 {
            let Datagram { from, bytes, cause, .. } = self.desk.take()?;
            self.left -= 1;
            if bytes.len() <= DATAGRAM_MAX {
                self.bytes += bytes.len() as u64;
                return Some((Input::Datagram { from, bytes }, cause));
            }
        }
        None
    }

    fn cast(&mut self, to: SocketAddr, bytes: Bytes) {
        let Some(from) = self.desk.bound.filter(|_| bytes.len() <= DATAGRAM_MAX) else { return };
        let bytes = bytes.try_into_mut().unwrap_or_else(|shared| shared[..].into());
        let datagram = Datagram { from, to, bytes, cause: self.turn };
        let Outside { net, events, .. } = &mut *self.out;
        net.cast(self.now, self.desk.home.process, datagram, events);
    }

    /// The next input that a socket has.
    fn look_at_sockets(&mut self, host: &impl Host<Letter = L>) -> Option<(Input<L>, u64)> {
        while self.left > 0 {
            let at = match self.desk.ready.len() {
                0 => return None,
                1 => 0,
                count => self.desk.lots.index(count.min(4)),
            };
            let conn = *self.desk.ready.get(at)?;
            let found = if self.desk.lots.chance(1, 2) {
                self.read(host, conn).or_else(|| self.write(host, conn))
            } else {
                self.write(host, conn).or_else(|| self.read(host, conn))
            };
            if found.is_some() {
                self.left -= 1;
                return found;
            }
            self.desk.wash(at);
        }
        None
    }

    pub(super) fn read(
        &mut self,
        host: &impl Host<Letter = L>,
        conn: ConnId,
    ) -> Option<(Input<L>, u64)> {
        let held = self.desk.conns.get_mut(conn)?;
        let socket = held.socket()?;
        if let Wire::Noise(_) = held.wire {
            return self.listen(host, conn);
        }
        if held.ended || host.room(conn) == 0 {
            let fault = held.cut?;
            return self.lost(conn, socket, fault, 0);
        }
        let lots = &mut self.desk.lots;
        let most = if lots.chance(1, 4) { lots.piece(READ_MAX) } else { READ_MAX };
        match self.out.net.read(self.now, socket, most, &mut self.out.events) {
            Read::Bytes(bytes, cause) => {
                self.bytes += bytes.len() as u64;
                Some((Input::Received { conn, bytes }, cause))
            }
            Read::Later => None,
            Read::Eof(cause) => {
                held.ended = true;
                Some((Input::Eof { conn }, cause))
            }
            Read::Lost(fault, cause) => self.lost(conn, socket, fault, cause),
        }
    }

    fn write(&mut self, host: &impl Host<Letter = L>, conn: ConnId) -> Option<(Input<L>, u64)> {
        let held = self.desk.conns.get_mut(conn)?;
        let socket = held.socket()?;
        if let Wire::Noise(_) = held.wire {
            return self.write_sealed(host, conn);
        }
        let Some(outbox) = host.outbox(conn).filter(|outbox| !outbox.is_empty()) else {
            held.writing = false;
            self.finish(conn);
            return None;
        };
        if !held.writing || held.cut.is_some() {
            return None;
        }
        let Outside { net, events, .. } = &mut *self.out;
        match net.write(self.now, socket, outbox, self.turn, events) {
            Ok(0) => None,
            Ok(count) => {
                self.bytes += count as u64;
                Some((Input::Sent { conn, count }, self.turn))
            }
            // What came before the reset is read first.
            Err(fault) => {
                held.cut = Some(fault);
                self.read(host, conn)
            }
        }
    }

    pub(super) fn finish(&mut self, conn: ConnId) {
        let Some(held) = self.desk.conns.get_mut(conn) else { return };
        let Some(socket) = held.socket().filter(|_| held.finishing) else { return };
        if let Wire::Noise(noise) = &mut held.wire {
            if !noise.is_open() {
                return;
            }
            noise.finish();
            if self.flush(conn) != Flushed::All {
                return;
            }
        }
        if let Some(held) = self.desk.conns.get_mut(conn) {
            held.finishing = false;
        }
        self.out.net.finish(self.now, socket, self.turn, &mut self.out.events);
    }

    pub(super) fn close(&mut self, conn: ConnId) {
        let Some(held) = self.desk.drop_conn(conn) else { return };
        match held.line {
            Line::Dialling(dialling) => self.out.net.cancel(dialling),
            Line::Open(socket) => {
                self.out.net.close(self.now, socket, self.turn, &mut self.out.events);
            }
        }
    }

    /// A connection broke. A machine hears only of those that it knows, or asked for.
    pub(super) fn lost(
        &mut self,
        conn: ConnId,
        socket: Socket,
        fault: Fault,
        cause: u64,
    ) -> Option<(Input<L>, u64)> {
        self.distrust(conn, None);
        let held = self.desk.drop_conn(conn)?;
        self.out.net.close(self.now, socket, self.turn, &mut self.out.events);
        match held.origin {
            Origin::Dialled(_) if !held.known => Some((Input::Unreachable { conn, fault }, cause)),
            Origin::Accepted(..) if !held.known => None,
            Origin::Dialled(_) | Origin::Accepted(..) => Some((Input::Lost { conn, fault }, cause)),
        }
    }

    fn wake(&mut self, conn: ConnId, change: impl FnOnce(&mut Conn)) {
        if let Some(held) = self.desk.conns.get_mut(conn) {
            change(held);
            self.desk.soil(conn);
        }
    }

    fn dial(&mut self, conn: ConnId, to: SocketAddr, wire: host::Wire) {
        let from = (self.desk.home.process, (self.desk.id, conn));
        let Outside { net, events, .. } = &mut *self.out;
        let dialling = net.dial(self.now, from, to, self.turn, events);
        let wire = self.desk.wires.dialled(wire);
        let held = Conn::new(Origin::Dialled(to), Line::Dialling(dialling), wire);
        self.desk.conns.insert(conn, held);
    }

    fn resolve(&mut self, ask: AskId, host: &str, port: u16) {
        let delay = self.desk.lots.span(Duration::ZERO, LOOKUP_MAX);
        if let Ok(ip) = host.parse() {
            let result = Ok(vec![SocketAddr::new(ip, port)]);
            return self.desk.inbox.push_back((Input::Resolved { ask, result }, self.turn));
        }
        let process = self.desk.home.process;
        let found = self.out.net.resolve(self.now, process, host, &mut self.desk.lots);
        let Some(ips) = found else { return };
        let all: Vec<SocketAddr> = ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        let result = if all.is_empty() { Err(Fault::NoSuchHost) } else { Ok(all) };
        let delivery = Delivery::Resolved { ask, result, cause: self.turn };
        self.out.events.add(self.now + delay, Event::Deliver(self.desk.id, delivery));
    }

    /// Letters between two machines stay in order; those of different machines need not.
    fn post(&mut self, to: Address, letter: Box<dyn Any>) {
        let delay = self.desk.lots.span(Duration::ZERO, LETTER_MAX);
        let last = self.desk.posted.entry(to).or_default();
        *last = (self.now + delay).max(*last);
        let (home, cause) = (self.desk.home, self.turn);
        self.out.events.add(*last, Event::Post { home, to, letter, cause });
    }
}

/// The time of day in the world: it begins with the year 2027.
fn wall_at(now: Instant) -> Wall {
    Wall::from_unix(1_798_761_600 + now.as_nanos() / 1_000_000_000)
}

/// The most inputs from sockets in one turn.
const TURN_MAX: usize = 32;
/// A driver's read buffer.
pub(super) const READ_MAX: usize = 64 * 1024;
/// How long a letter takes at most between two threads.
const LETTER_MAX: Duration = Duration::from_micros(200);
/// How long looking up a name takes at most.
const LOOKUP_MAX: Duration = Duration::from_millis(50);
