//! How streams begin: a handshake, whose packets are lost and sent again, or a refusal.

use super::door::BACKLOG;
use super::link::Link;
use super::path::PathId;
use super::{Fate, Happening, Key, Lots, Net, Socket};
use crate::case::Way;
use crate::kernel::world::Event;
use crate::kernel::{ProcessId, SeatId};
use core::net::SocketAddr;
use core::time::Duration;
use pico_core::Instant;
use pico_core::host::Fault;
use pico_core::id::ConnId;

/// A stream that is not there yet.
#[derive(Debug)]
pub(super) struct Dial {
    from: (SeatId, ConnId),
    process: ProcessId,
    peer: SocketAddr,
    to: SocketAddr,
    /// The way there and the way back; none to an address that nobody has.
    ways: Option<(ProcessId, PathId, PathId)>,
    fate: Fate,
    lots: Lots,
    hit: bool,
    tries: u32,
    /// When it is tried again, should this try come to nothing.
    again: Instant,
    /// The turn that dialled.
    cause: u64,
}

/// A dial, to take it back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::kernel) struct Dialling(Key);

/// What came of a dial.
#[derive(Debug)]
pub(in crate::kernel) enum Knocked {
    Connected { seat: SeatId, conn: ConnId, socket: Socket, peer: SocketAddr, cause: u64 },
    Unreachable { seat: SeatId, conn: ConnId, fault: Fault, cause: u64 },
}

impl Net {
    /// Begins to dial.
    pub(in crate::kernel) fn dial(
        &mut self,
        now: Instant,
        (process, from): (ProcessId, (SeatId, ConnId)),
        to: SocketAddr,
        cause: u64,
        events: Happening<'_>,
    ) -> Dialling {
        self.counts.dials += 1;
        let host = &mut self.hosts[process.0];
        let nth = host.dials;
        host.dials += 1;
        host.port = if host.port < PORTS.0 { PORTS.0 } else { host.port };
        let peer = SocketAddr::new(host.ip, host.port);
        host.port = if host.port == PORTS.1 { PORTS.0 } else { host.port + 1 };
        let mut fate = host.fates.remove(&nth).unwrap_or_default();
        if now >= self.heal {
            fate = Fate::default();
        }
        let lots = self.lots.fork(host.key).fork(nth);
        let target = self.ips.get(&to.ip()).copied();
        let ways = target.map(|to| (to, self.path(process, to), self.path(to, process)));
        self.struck.extend([fate.refused, fate.blackholed].into_iter().flatten());
        let refused = fate.refused.is_some();
        let hit = refused || fate.blackholed.is_some();
        if hit {
            self.counts.hits += 1;
            self.hit.insert(from);
        }
        let (tries, again) = (0, now);
        let key = self.dials.insert(Dial {
            from,
            process,
            peer,
            to,
            ways,
            fate,
            lots,
            hit,
            tries,
            again,
            cause,
        });
        if refused {
            events.add(now + REFUSAL, Event::Refuse(Dialling(key)));
        } else {
            self.try_dial(now, Dialling(key), events);
        }
        Dialling(key)
    }

    /// Nobody waits for this dial any more.
    pub(in crate::kernel) fn cancel(&mut self, dialling: Dialling) {
        self.dials.remove(dialling.0);
    }

    /// Sends the SYN, for the first time or again.
    pub(in crate::kernel) fn try_dial(
        &mut self,
        now: Instant,
        Dialling(key): Dialling,
        events: Happening<'_>,
    ) -> Option<Knocked> {
        let dial = self.dials.get_mut(key)?;
        if dial.tries == SYNS {
            return self.unreachable(key, Fault::TimedOut);
        }
        dial.again = now + SYN_AGAIN * 2_u32.pow(dial.tries);
        dial.tries += 1;
        let Some((_, there, _)) = dial.ways.filter(|_| dial.fate.blackholed.is_none()) else {
            events.add(dial.again, Event::Dial(Dialling(key)));
            return None;
        };
        match self.packet(now, key, there) {
            Some(at) => events.add(at, Event::Knock(Dialling(key))),
            None => self.dial_again(key, true, events),
        }
        None
    }

    /// The SYN is there.
    pub(in crate::kernel) fn knock(
        &mut self,
        now: Instant,
        Dialling(key): Dialling,
        events: Happening<'_>,
    ) {
        let Some(dial) = self.dials.get(key) else { return };
        let Some((target, _, back)) = dial.ways else { return };
        if !self.hosts[target.0].on {
            return self.dial_again(key, true, events);
        }
        let door = self.doors.get(&dial.to);
        if door.is_some_and(|door| door.waiting >= BACKLOG) {
            return self.dial_again(key, false, events);
        }
        let open = door.is_some();
        let Some(at) = self.packet(now, key, back) else {
            return self.dial_again(key, true, events);
        };
        if !open {
            return events.add(at, Event::Refuse(Dialling(key)));
        }
        let link = self.make_link(now, key);
        self.begin_to_look_after(now, link, events);
        events.add(at, Event::Answer(Dialling(key), link));
    }

    /// The answer to the SYN is there.
    pub(in crate::kernel) fn answer(
        &mut self,
        now: Instant,
        Dialling(key): Dialling,
        link: Socket,
        events: Happening<'_>,
    ) -> Option<Knocked> {
        let Some(dial) = self.dials.remove(key) else {
            // It was closed meanwhile.
            self.leave_queue(link.link);
            self.links.remove(link.link);
            return None;
        };
        let found = self.links.get_mut(link.link)?;
        let (seat, conn) = dial.from;
        found.end_mut(Way::Up).owner = Some(dial.from);
        if dial.hit {
            self.hit(link.link);
        }
        self.complete(now, link, dial.cause, events);
        Some(Knocked::Connected { seat, conn, socket: link, peer: dial.to, cause: dial.cause })
    }

    /// It is refused.
    pub(in crate::kernel) fn refuse(&mut self, Dialling(key): Dialling) -> Option<Knocked> {
        self.unreachable(key, Fault::Refused)
    }

    fn unreachable(&mut self, key: Key, fault: Fault) -> Option<Knocked> {
        let Dial { from: (seat, conn), cause, .. } = self.dials.remove(key)?;
        Some(Knocked::Unreachable { seat, conn, fault, cause })
    }

    /// When a packet of a handshake that leaves now arrives, if it does.
    fn packet(&mut self, now: Instant, key: Key, way: PathId) -> Option<Instant> {
        let dial = self.dials.get_mut(key)?;
        let mut lots = dial.lots.apart();
        let lost = self.paths.losses(way, now, 1, &mut false, &mut lots) > 0;
        (!lost).then(|| self.paths.arrival(way, now, &mut lots))
    }

    fn dial_again(&mut self, key: Key, hit: bool, events: Happening<'_>) {
        let Some(dial) = self.dials.get_mut(key) else { return };
        events.add(dial.again, Event::Dial(Dialling(key)));
        if hit && !std::mem::replace(&mut dial.hit, true) {
            self.counts.hits += 1;
            self.hit.insert(dial.from);
        }
    }

    /// The stream as the side that was dialled has it.
    fn make_link(&mut self, now: Instant, key: Key) -> Socket {
        let dial = self.dials.get_mut(key).expect("whoever knocks is dialling");
        let (target, there, back) = dial.ways.expect("whoever knocks found the way");
        let fate = std::mem::take(&mut dial.fate);
        let ends = [dial.process, target];
        let mut link = Link::new(now, ends, [there, back], fate, dial.lots, self.windows);
        (link.peer, link.to, link.cause, link.queued) = (dial.peer, dial.to, dial.cause, true);
        if let Some(door) = self.doors.get_mut(&link.to) {
            door.waiting += 1;
        }
        Socket { link: self.links.insert(link), way: Way::Up }
    }

    /// All dials of a process are over.
    pub(super) fn cancel_all(&mut self, process: ProcessId) {
        let its = self.dials.iter().filter(|(_, dial)| dial.process == process);
        for key in its.map(|(key, _)| key).collect::<Vec<_>>() {
            self.dials.remove(key);
        }
    }
}

/// The first wait before a SYN is sent again; doubles each time.
const SYN_AGAIN: Duration = Duration::from_secs(1);
/// So many SYNs are sent.
const SYNS: u32 = 7;
/// How long a refusal takes that nobody but the net makes.
const REFUSAL: Duration = Duration::from_millis(1);
/// The ports from which hosts dial.
const PORTS: (u16, u16) = (32_768, 65_535);
