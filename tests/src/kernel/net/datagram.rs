//! Datagrams: lost, late, doubled, overtaken or changed, each on its own.

use super::{Happening, Net, SeatId};
use crate::case::Traffic;
use crate::draw::Draw as _;
use crate::kernel::ProcessId;
use crate::kernel::world::Event;
use bytes::{Bytes, BytesMut};
use core::net::SocketAddr;
use core::time::Duration;
use pico_core::Instant;

/// When a datagram lands, when it does so again, and what of it is changed.
#[derive(Debug)]
struct Flight {
    land: Instant,
    again: Option<Instant>,
    change: Option<(usize, u8)>,
}

/// A datagram on its way.
#[derive(Debug)]
pub(in crate::kernel) struct Datagram {
    pub(in crate::kernel) from: SocketAddr,
    pub(in crate::kernel) to: SocketAddr,
    pub(in crate::kernel) bytes: BytesMut,
    /// The turn that sent it.
    pub(in crate::kernel) cause: u64,
}

/// A datagram that somebody listened to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Overheard {
    /// Who sent it.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// All of it.
    pub bytes: Bytes,
}

impl Net {
    /// From now on datagrams are overheard: the first ones, and then one in a few takes the place
    /// of an older one.
    pub(in crate::kernel) fn overhear(&mut self) {
        self.overheard.get_or_insert_default();
    }

    /// What was overheard.
    pub fn overheard(&self) -> &[Overheard] {
        self.overheard.as_deref().unwrap_or_default()
    }

    fn listen_in(&mut self, datagram: &Datagram) {
        let count = usize::try_from(self.counts.datagrams).unwrap_or_default();
        let Some(heard) = &mut self.overheard else { return };
        let Datagram { from, to, bytes, .. } = datagram;
        let one = Overheard { from: *from, to: *to, bytes: Bytes::copy_from_slice(bytes) };
        if heard.len() < OVERHEARD {
            heard.push(one);
        } else if count.is_multiple_of(OVERHEARD_EVERY) {
            heard[count / OVERHEARD_EVERY % OVERHEARD] = one;
        }
    }

    /// Lets a seat have what is sent to `addr`.
    pub(in crate::kernel) fn bind(&mut self, addr: SocketAddr, seat: SeatId) {
        self.bound.insert(addr, seat);
    }

    /// Who has what is sent to `addr`.
    pub(in crate::kernel) fn bound(&self, addr: SocketAddr) -> Option<SeatId> {
        self.bound.get(&addr).copied()
    }

    /// These seats have no socket any more.
    pub(in crate::kernel) fn unbind(&mut self, process: ProcessId) {
        let ip = self.hosts[process.0].ip;
        self.bound.retain(|addr, _| addr.ip() != ip);
    }

    /// Sends a datagram from a host.
    pub(in crate::kernel) fn cast(
        &mut self,
        now: Instant,
        process: ProcessId,
        datagram: Datagram,
        events: Happening<'_>,
    ) {
        self.counts.datagrams += 1;
        self.listen_in(&datagram);
        let Some(Flight { land, again, change }) = self.fly(now, process, &datagram) else {
            self.counts.datagrams_lost += 1;
            return;
        };
        let Datagram { from, to, mut bytes, cause } = datagram;
        if let Some(again) = again {
            let bytes = bytes.clone();
            events.add(again, Event::Datagram(Datagram { from, to, bytes, cause }));
        }
        let len = bytes.len();
        if let Some((at, change)) = change
            && let Some(byte) = bytes.get_mut(at % len.max(1))
        {
            *byte ^= change;
        }
        events.add(land, Event::Datagram(Datagram { from, to, bytes, cause }));
    }

    fn fly(&mut self, now: Instant, process: ProcessId, datagram: &Datagram) -> Option<Flight> {
        let target = *self.ips.get(&datagram.to.ip())?;
        let way = self.path(process, target);
        let len = datagram.bytes.len();
        let (wire, inside) = (*self.paths.wire(way, now), self.paths.is_inside(way));
        let (mut lots, burst) = self.paths.toss(way);
        if inside {
            let land = self.paths.arrival(way, now, &mut lots);
            return Some(Flight { land, again: None, change: None });
        }
        let lost = wire.loss.next(burst, &mut lots.apart());
        let mut yes = |millionths| lots.chance(millionths, 1_000_000);
        let (twice, overtaken, changed) =
            (yes(wire.duplicate), yes(wire.reorder), yes(wire.corrupt));
        let late = lots.span(Duration::from_millis(1), REORDER_MAX);
        let change = (lots.index(len.max(1)), u8::try_from(lots.between(1, 255)).unwrap_or(1));
        if len > wire.mtu {
            self.counts.datagrams_too_long += 1;
            return None;
        }
        if lost || self.paths.is_cut(way, now, Traffic::Datagrams) {
            return None;
        }
        let leave = self.paths.depart_datagram(way, now, len)?;
        let [land, again] = [0; 2].map(|_| self.paths.arrival(way, leave, &mut lots));
        let land = if overtaken { land + late } else { self.paths.behind(way, land) };
        Some(Flight { land, again: twice.then_some(again), change: changed.then_some(change) })
    }
}

/// By how much a datagram is later that is overtaken, at most.
const REORDER_MAX: Duration = Duration::from_millis(50);
/// Datagrams that are remembered by whoever listens in, and of how many later ones one is.
const OVERHEARD: usize = 512;
const OVERHEARD_EVERY: usize = 7;
