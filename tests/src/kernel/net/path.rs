//! The way from one host to another: how long it takes, what is lost on it, and when it is cut.

use crate::case::{Link, Traffic};
use crate::draw::Draw as _;
use crate::kernel::ProcessId;
use crate::kernel::faults::{Change, Sides, Spell};
use crate::kernel::lots::Lots;
use core::time::Duration;
use pico_core::Instant;

/// All ways, each of which is made when it is first taken.
#[derive(Debug)]
pub(super) struct Paths {
    /// By where they begin, and then by where they end: many are taken for each event, so that
    /// looking for one must cost nothing.
    rows: Vec<Vec<Option<Path>>>,
    usual: Wire,
    /// With the wire that each puts up, if it does.
    spells: Vec<(Spell, Option<Wire>)>,
    lots: Lots,
}

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PathId {
    from: ProcessId,
    to: ProcessId,
}

/// What a way must know of its ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terminal<'a> {
    pub(super) process: ProcessId,
    /// The same in every world in which this host is, whoever else is.
    pub(super) key: u64,
    pub(super) zone: usize,
    pub(super) sides: &'a [Sides],
}

#[derive(Debug)]
struct Path {
    /// Within one host nothing is slow, lost or cut.
    inside: bool,
    between_zones: bool,
    /// Which of all there are.
    spells: Vec<usize>,
    /// Until when the line is taken by streams, and by datagrams.
    busy: Instant,
    /// When the last datagram lands.
    last: Instant,
    datagrams_busy: Instant,
    burst: bool,
    lots: Lots,
}

/// A link, in numbers that are quick to count with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire {
    latency: u64,
    jitter: u64,
    zone_latency: u64,
    pub(super) loss: Loss,
    pub(super) duplicate: u64,
    pub(super) reorder: u64,
    pub(super) corrupt: u64,
    pub(super) mtu: usize,
    rate: u64,
    queue: u64,
}

/// Two states, between which each packet decides (Gilbert's model): as much is lost as without
/// bursts, but in rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    /// Millionths in which a row begins.
    begin: u64,
    /// One in so many packets ends it.
    row: u64,
}

impl Loss {
    const fn new(millionths: u64, row: u64) -> Self {
        let row = if row == 0 { 1 } else { row };
        let kept = 1_000_000 - millionths;
        // All is lost: no packet ends the row.
        if kept == 0 {
            return Self { begin: 1_000_000, row: u64::MAX };
        }
        Self {
            begin: if row == 1 { millionths } else { millionths * 1_000_000 / (row * kept) },
            row,
        }
    }

    pub(super) const fn is_never(self) -> bool {
        self.begin == 0
    }

    /// Whether the next packet is lost.
    pub(super) fn next(self, burst: &mut bool, lots: &mut Lots) -> bool {
        if self.row == 1 {
            *burst = false;
            return !self.is_never() && lots.chance(self.begin, 1_000_000);
        }
        *burst =
            if *burst { !lots.chance(1, self.row) } else { lots.chance(self.begin, 1_000_000) };
        *burst
    }
}

impl Wire {
    fn new(link: &Link) -> Self {
        Self {
            latency: link.latency.as_nanos(),
            jitter: link.jitter.as_nanos(),
            zone_latency: link.zone_latency.as_nanos(),
            loss: Loss::new(link.loss.millionths(), u64::from(link.burst)),
            duplicate: link.duplicate.millionths(),
            reorder: link.reorder.millionths(),
            corrupt: link.corrupt.millionths(),
            mtu: link.mtu,
            rate: link.rate,
            queue: link.queue as u64,
        }
    }

    /// How long what waits in a full queue waits.
    fn queue_time(&self) -> Duration {
        Duration::from_nanos(nanos_for(self.queue, self.rate))
    }
}

impl Paths {
    pub(super) fn new(usual: &Link, spells: Vec<Spell>, lots: Lots) -> Self {
        let wire = |spell: &Spell| match &spell.what {
            Change::Cut { .. } => None,
            Change::Weather(link) => Some(Wire::new(link)),
        };
        let spells = spells.into_iter().map(|spell| (wire(&spell), spell));
        let spells = spells.map(|(wire, spell)| (spell, wire)).collect();
        Self { rows: Vec::new(), usual: Wire::new(usual), spells, lots }
    }

    /// The way from one host to another.
    pub(super) fn between(&mut self, from: Terminal<'_>, to: Terminal<'_>) -> PathId {
        let id = PathId { from: from.process, to: to.process };
        if self.rows.len() <= id.from.0 {
            self.rows.resize_with(id.from.0 + 1, Vec::new);
        }
        let row = &mut self.rows[id.from.0];
        if row.len() <= id.to.0 {
            row.resize_with(id.to.0 + 1, || None);
        }
        if row[id.to.0].is_none() {
            let path = self.make(from, to);
            self.rows[id.from.0][id.to.0] = Some(path);
        }
        id
    }

    fn make(&self, from: Terminal<'_>, to: Terminal<'_>) -> Path {
        let inside = from.process == to.process;
        let concerns =
            |at: &usize| !inside && self.spells[*at].0.concerns(from.sides[*at], to.sides[*at]);
        Path {
            inside,
            between_zones: from.zone != to.zone,
            spells: (0..self.spells.len()).filter(concerns).collect(),
            busy: Instant::ZERO,
            last: Instant::ZERO,
            datagrams_busy: Instant::ZERO,
            burst: false,
            lots: self.lots.fork(from.key).fork(to.key),
        }
    }

    fn path(&self, id: PathId) -> &Path {
        self.rows[id.from.0][id.to.0].as_ref().expect(MADE)
    }

    fn path_mut(&mut self, id: PathId) -> &mut Path {
        self.rows[id.from.0][id.to.0].as_mut().expect(MADE)
    }

    /// What the way is like now.
    pub(super) fn wire(&self, id: PathId, at: Instant) -> &Wire {
        let wires = self.spells(id).filter(|(spell, _)| spell.is_on(at));
        let changed = wires.filter_map(|(spell, wire)| {
            let wire = wire.as_ref()?;
            spell.felt.set(true);
            Some(wire)
        });
        changed.last().unwrap_or(&self.usual)
    }

    /// Whether nothing of this kind passes now.
    pub(super) fn is_cut(&self, id: PathId, at: Instant, what: Traffic) -> bool {
        self.spells(id).any(|(spell, _)| spell.cuts(at, what))
    }

    /// Which of the case's faults have befallen anything.
    pub(super) fn felt(&self) -> impl Iterator<Item = usize> {
        self.spells.iter().filter(|(spell, _)| spell.felt.get()).map(|(spell, _)| spell.of)
    }

    /// Whether anything but the usual is ever to befall it.
    pub(super) fn has_spells(&self, id: PathId) -> bool {
        !self.path(id).spells.is_empty()
    }

    /// Whether it is not as usual now.
    pub(super) fn is_odd(&self, id: PathId, at: Instant) -> bool {
        self.spells(id).any(|(spell, _)| spell.is_on(at))
    }

    fn spells(&self, id: PathId) -> impl Iterator<Item = &(Spell, Option<Wire>)> {
        self.path(id).spells.iter().map(|at| &self.spells[*at])
    }

    /// How many are lost of so many packets of a stream that leave now.
    pub(super) fn losses(
        &self,
        id: PathId,
        at: Instant,
        packets: usize,
        burst: &mut bool,
        lots: &mut Lots,
    ) -> usize {
        let path = self.path(id);
        if path.inside {
            return 0;
        }
        if !path.spells.is_empty() && self.is_cut(id, at, Traffic::Streams) {
            return packets;
        }
        let chance = self.wire(id, at).loss;
        if chance.is_never() {
            return 0;
        }
        (0..packets).filter(|_| chance.next(burst, lots)).count()
    }

    /// When what leaves now arrives.
    pub(super) fn arrival(&self, id: PathId, at: Instant, lots: &mut Lots) -> Instant {
        let path = self.path(id);
        if path.inside {
            return at + INSIDE;
        }
        let wire = self.wire(id, at);
        let zone = if path.between_zones { wire.zone_latency } else { 0 };
        let nanos = wire.latency + zone + lots.below(wire.jitter.saturating_add(1));
        at + Duration::from_nanos(nanos)
    }

    /// When the last of so many bytes of a stream has left, behind all that streams sent before.
    /// Streams are taken to keep to the rate, so the queue does not overflow by them.
    pub(super) fn depart(&mut self, id: PathId, now: Instant, len: usize) -> Instant {
        let path = self.path(id);
        if path.inside || (path.spells.is_empty() && self.usual.rate == 0) {
            return now;
        }
        let end = self.serialise(id, now.max(path.busy), len as u64);
        self.path_mut(id).busy = end;
        end
    }

    /// When the last of so many bytes has left that begin to leave at `at`, whatever the rate is
    /// by and by.
    fn serialise(&self, id: PathId, mut at: Instant, len: u64) -> Instant {
        let mut left = len;
        loop {
            let rate = self.wire(id, at).rate;
            if rate == 0 {
                return at;
            }
            let done = at + Duration::from_nanos(nanos_for(left, rate));
            let changes = self.spells(id).flat_map(|(spell, _)| [spell.from, spell.to]);
            let Some(change) = changes.filter(|t| *t > at && *t < done).min() else { return done };
            let nanos = u128::from(change.as_nanos() - at.as_nanos());
            let gone = nanos * u128::from(rate) / u128::from(SECOND);
            left = left.saturating_sub(u64::try_from(gone).unwrap_or(u64::MAX));
            at = change;
        }
    }

    /// When a datagram of so many bytes has left; `None` if it found the queue full. What streams
    /// have queued delays it by no more than a full queue.
    pub(super) fn depart_datagram(
        &mut self,
        id: PathId,
        now: Instant,
        len: usize,
    ) -> Option<Instant> {
        let path = self.path(id);
        let wire = *self.wire(id, now);
        if path.inside || wire.rate == 0 {
            return Some(now);
        }
        let full = wire.queue_time();
        let start = now.max(path.datagrams_busy);
        if start.since(now) > full {
            return None;
        }
        let streams = path.busy.since(start).min(full);
        let end = self.serialise(id, start, len as u64);
        self.path_mut(id).datagrams_busy = end;
        Some(end + streams)
    }

    /// The lots of the next datagram, and whether a row of losses is on.
    pub(super) fn toss(&mut self, id: PathId) -> (Lots, &mut bool) {
        let path = self.path_mut(id);
        (path.lots.apart(), &mut path.burst)
    }

    /// When a datagram lands that does not overtake those before it.
    pub(super) fn behind(&mut self, id: PathId, land: Instant) -> Instant {
        let last = &mut self.path_mut(id).last;
        *last = land.max(*last);
        *last
    }

    /// Whether it is within one host.
    pub(super) fn is_inside(&self, id: PathId) -> bool {
        self.path(id).inside
    }
}

fn nanos_for(bytes: u64, rate: u64) -> u64 {
    let nanos = (u128::from(bytes) * u128::from(SECOND)).div_ceil(u128::from(rate.max(1)));
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

const MADE: &str = "a way has its number once it is made";
const SECOND: u64 = 1_000_000_000;
/// How long anything takes within a host.
const INSIDE: Duration = Duration::from_micros(20);
