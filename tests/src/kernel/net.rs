//! Byte streams between hosts, as TCP behaves: ordered, late, cut anywhere, bounded by windows,
//! closed by halves, reset at any byte.

use super::SeatId;
use super::events::Events;
use super::faults::Fault;
use super::world::Event;
use crate::draw::Draw as _;
use bytes::{Buf, BytesMut};
use core::time::Duration;
use pico_core::id::ConnId;
use pico_core::{Dice, Instant, Outbox, Seed, host};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A direction of a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Way {
    /// From whoever dialled.
    Up,
    /// To whoever dialled.
    Down,
}

/// One end of a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Socket {
    /// The link's number, in the order of dialling.
    pub link: u64,
    /// The direction in which this end writes.
    pub way: Way,
}

/// What a read gave.
#[derive(Debug)]
pub enum Read {
    /// Bytes.
    Bytes(BytesMut),
    /// Nothing yet.
    Later,
    /// The FIN.
    Eof,
    /// Broken.
    Lost(host::Fault),
}

/// All links.
#[derive(Debug)]
pub struct Net {
    links: BTreeMap<u64, Link>,
    faults: Vec<Fault>,
    seed: Seed,
    dialled: u64,
    window_max: usize,
    hit: BTreeSet<u64>,
    made: BTreeMap<(SeatId, ConnId), u64>,
}

#[derive(Debug)]
struct Link {
    up: Flow,
    down: Flow,
    latency: Duration,
    dice: Dice,
}

/// One direction: its writer's and its reader's socket, and what is between.
#[derive(Debug)]
struct Flow {
    /// Who writes; `None` once it has closed its socket.
    writer: Option<(SeatId, ConnId)>,
    /// How much may be on its way and unread at once.
    window: usize,
    flying: VecDeque<(Instant, Segment)>,
    /// What the reader's socket holds.
    arrived: BytesMut,
    /// The FIN is behind `arrived`.
    ended: bool,
    /// The writer has sent its FIN.
    finished: bool,
    /// The writer found the window full and wants to hear of room.
    blocked: bool,
    /// Bytes written so far.
    written: u64,
    /// Nothing arrives before; `None` is never.
    earliest: Option<Instant>,
    /// The writer's socket is broken.
    broken: Option<host::Fault>,
}

#[derive(Debug)]
enum Segment {
    Bytes(Vec<u8>),
    Fin,
    /// Breaks the reader's socket, with or without what it holds.
    Reset {
        purge: bool,
    },
}

impl Net {
    /// No links yet. `faults` will befall them.
    pub fn new(seed: &Seed, faults: Vec<Fault>) -> Self {
        let window_max = *seed.fork("window").roll().pick(&[4_000, 20_000, 200_000]);
        let seed = seed.fork("links");
        let (hit, made) = (BTreeSet::new(), BTreeMap::new());
        Self { links: BTreeMap::new(), faults, seed, dialled: 0, window_max, hit, made }
    }

    /// The number of a link that is about to be dialled, and how its dialling ends: answered
    /// after a while, refused, or never.
    pub(super) fn dial(&mut self, from: (SeatId, ConnId)) -> (u64, Duration, Dialled) {
        let link = self.dialled;
        self.made.insert(from, link);
        self.dialled += 1;
        let dice = self.seed.fork_at("dial", link).roll().span(LATENCY_MIN, LATENCY_MAX);
        let ends = self.faults.iter().find_map(|fault| match fault {
            Fault::Refuse { link: l } if *l == link => Some(Dialled::Refused),
            Fault::Blackhole { link: l } if *l == link => Some(Dialled::Never),
            Fault::Refuse { .. }
            | Fault::Blackhole { .. }
            | Fault::Reset { .. }
            | Fault::Stall { .. }
            | Fault::Kill { .. } => None,
        });
        if ends.is_some() {
            self.hit.insert(link);
        }
        (link, dice, ends.unwrap_or(Dialled::Answered))
    }

    /// Makes the link.
    pub(super) fn connect(&mut self, link: u64, from: (SeatId, ConnId), to: (SeatId, ConnId)) {
        let mut dice = self.seed.fork_at("link", link).roll();
        let latency = dice.span(LATENCY_MIN, LATENCY_MAX);
        let mut flow = |writer| Flow {
            writer: Some(writer),
            window: 1 + dice.piece(self.window_max).max(self.window_max / 4),
            flying: VecDeque::new(),
            arrived: BytesMut::new(),
            ended: false,
            finished: false,
            blocked: false,
            written: 0,
            earliest: Some(Instant::ZERO),
            broken: None,
        };
        let (up, down) = (flow(from), flow(to));
        self.made.insert(to, link);
        self.links.insert(link, Link { up, down, latency, dice });
    }

    /// How many links are open at either end.
    pub fn open(&self) -> usize {
        self.links.len()
    }

    /// Whether a fault befell this connection of this host.
    pub fn was_hit(&self, seat: SeatId, conn: ConnId) -> bool {
        self.made.get(&(seat, conn)).is_some_and(|link| self.hit.contains(link))
    }

    /// How many links a fault befell.
    pub fn hits(&self) -> usize {
        self.hit.len()
    }

    /// Offers what waits in `outbox`; says how much the socket took.
    pub(super) fn write(
        &mut self,
        now: Instant,
        socket: Socket,
        outbox: &Outbox,
        events: &mut Events<Event>,
    ) -> Result<usize, host::Fault> {
        let Some(link) = self.links.get_mut(&socket.link) else {
            return Err(host::Fault::Reset);
        };
        if let Some(fault) = link.flow(socket.way).broken {
            return Err(fault);
        }
        let room = link.flow(socket.way).room();
        let fault = next_fault(&self.faults, socket, link.flow(socket.way).written);
        let to_fault = fault.map_or(u64::MAX, |(byte, _)| byte - link.flow(socket.way).written);
        let to_fault = usize::try_from(to_fault).unwrap_or(usize::MAX);
        let most = outbox.len().min(room).min(to_fault);
        link.flow(socket.way).blocked = most < outbox.len();
        let count = if most == 0 { 0 } else { link.dice.piece(most).max(most / 2) };
        if count > 0 {
            let mut bytes = Vec::with_capacity(count);
            for part in outbox.pieces() {
                bytes.extend_from_slice(part.get(..count - bytes.len()).unwrap_or(part));
            }
            link.flow(socket.way).written += count as u64;
            link.send(now, socket, Segment::Bytes(bytes), events);
        }
        if let Some((byte, hit)) = fault.filter(|_| count == to_fault) {
            self.faults.retain(|fault| !fault.is_at(socket, byte));
            self.hit.insert(socket.link);
            self.hit(now, socket, hit, events);
        }
        Ok(count)
    }

    fn hit(&mut self, now: Instant, socket: Socket, hit: Hit, events: &mut Events<Event>) {
        match hit {
            Hit::Reset => self.reset(now, socket.link, events),
            Hit::Stall(span) => {
                let Some(link) = self.links.get_mut(&socket.link) else { return };
                let flow = link.flow(socket.way);
                let end = span.map(|span| now + span);
                flow.earliest = flow.earliest.zip(end).map(|(old, new)| old.max(new));
                events.add(now, Event::Poke(socket));
            }
        }
    }

    /// Takes up to `most` bytes.
    pub(super) fn read(
        &mut self,
        now: Instant,
        socket: Socket,
        most: usize,
        events: &mut Events<Event>,
    ) -> Read {
        let Some(link) = self.links.get_mut(&socket.link) else {
            return Read::Lost(host::Fault::Reset);
        };
        let flow = link.flow(socket.way.other());
        if !flow.arrived.is_empty() {
            let count = most.min(flow.arrived.len());
            let bytes = BytesMut::from(&flow.arrived[..count]);
            flow.arrived.advance(count);
            if flow.blocked {
                let at = now + link.latency;
                events.add(at, Event::Poke(Socket { way: socket.way.other(), ..socket }));
            }
            return Read::Bytes(bytes);
        }
        if let Some(fault) = link.flow(socket.way).broken {
            return Read::Lost(fault);
        }
        if link.flow(socket.way.other()).ended { Read::Eof } else { Read::Later }
    }

    /// Sends the FIN.
    pub(super) fn finish(&mut self, now: Instant, socket: Socket, events: &mut Events<Event>) {
        let Some(link) = self.links.get_mut(&socket.link) else { return };
        if !std::mem::replace(&mut link.flow(socket.way).finished, true) {
            link.send(now, socket, Segment::Fin, events);
        }
    }

    /// Closes a socket as the system does when a process drops it: with a reset if anything was
    /// left unread, with a FIN otherwise.
    pub(super) fn close(&mut self, now: Instant, socket: Socket, events: &mut Events<Event>) {
        let Some(link) = self.links.get_mut(&socket.link) else { return };
        let unread = !link.flow(socket.way.other()).arrived.is_empty();
        let finished = std::mem::replace(&mut link.flow(socket.way).finished, true);
        if unread {
            let purge = link.dice.chance(1, 2);
            link.send(now, socket, Segment::Reset { purge }, events);
        } else if !finished {
            link.send(now, socket, Segment::Fin, events);
        }
        link.flow(socket.way).writer = None;
        if link.up.writer.is_none() && link.down.writer.is_none() {
            self.links.remove(&socket.link);
        }
    }

    /// Breaks a link for both ends.
    pub(super) fn reset(&mut self, now: Instant, link: u64, events: &mut Events<Event>) {
        let Some(found) = self.links.get_mut(&link) else { return };
        for way in [Way::Up, Way::Down] {
            let purge = found.dice.chance(1, 2);
            found.flow(way).earliest.get_or_insert(now);
            found.send(now, Socket { link, way }, Segment::Reset { purge }, events);
        }
    }

    /// Lands what is due; says who has something to see, if anybody.
    pub(super) fn arrive(
        &mut self,
        now: Instant,
        socket: Socket,
        events: &mut Events<Event>,
    ) -> Option<(SeatId, ConnId)> {
        let link = self.links.get_mut(&socket.link)?;
        let reader = link.flow(socket.way.other()).writer;
        let flow = link.flow(socket.way);
        let mut answer = false;
        while flow.flying.front().is_some_and(|(at, _)| *at <= now) {
            let (_, segment) = flow.flying.pop_front().expect("it was just looked at");
            match segment {
                Segment::Bytes(bytes) if reader.is_some() => flow.arrived.extend(bytes),
                // Bytes for a closed socket are answered with a reset.
                Segment::Bytes(_) => answer = true,
                Segment::Fin => flow.ended = true,
                Segment::Reset { purge } => {
                    if purge {
                        flow.arrived.clear();
                    }
                    flow.flying.clear();
                    link.flow(socket.way.other()).broken = Some(host::Fault::Reset);
                    break;
                }
            }
        }
        if answer {
            let back = Socket { way: socket.way.other(), ..socket };
            link.send(now, back, Segment::Reset { purge: false }, events);
        }
        reader
    }

    /// Whose socket this is, while it is open.
    pub(super) fn owner(&self, socket: Socket) -> Option<(SeatId, ConnId)> {
        let link = self.links.get(&socket.link)?;
        match socket.way {
            Way::Up => link.up.writer,
            Way::Down => link.down.writer,
        }
    }
}

/// How dialling ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dialled {
    Answered,
    Refused,
    Never,
}

/// A fault that bytes run into.
#[derive(Clone, Copy)]
enum Hit {
    Reset,
    Stall(Option<Duration>),
}

impl Way {
    /// The opposite direction.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

impl Flow {
    fn room(&self) -> usize {
        let flying = self.flying.iter().map(|(_, segment)| match segment {
            Segment::Bytes(bytes) => bytes.len(),
            Segment::Fin | Segment::Reset { .. } => 0,
        });
        self.window.saturating_sub(self.arrived.len() + flying.sum::<usize>())
    }
}

impl Link {
    fn flow(&mut self, way: Way) -> &mut Flow {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

    /// Puts a segment on its way, behind all before it.
    fn send(&mut self, now: Instant, socket: Socket, segment: Segment, events: &mut Events<Event>) {
        let jitter = self.dice.span(Duration::ZERO, self.latency / 4);
        let at = now + self.latency + jitter;
        let flow = self.flow(socket.way);
        let last = flow.flying.back().map_or(Instant::ZERO, |(at, _)| *at);
        // Silent for good: what is sent piles up in the window and never arrives.
        let at = flow.earliest.map_or(NEVER, |earliest| at.max(last).max(earliest));
        flow.flying.push_back((at, segment));
        if at < NEVER {
            events.add(at, Event::Arrive(socket));
        }
    }
}

impl Fault {
    /// Whether it waits at byte `at` of what `socket` writes.
    fn is_at(&self, socket: Socket, at: u64) -> bool {
        match *self {
            Self::Reset { link, way, byte } | Self::Stall { link, way, byte, .. } => {
                link == socket.link && way == socket.way && byte == at
            }
            Self::Refuse { .. } | Self::Blackhole { .. } | Self::Kill { .. } => false,
        }
    }
}

/// The first fault at or after byte `written` of what `socket` writes.
fn next_fault(faults: &[Fault], socket: Socket, written: u64) -> Option<(u64, Hit)> {
    let here = |link: u64, way: Way, byte: u64| {
        link == socket.link && way == socket.way && byte >= written
    };
    let hits = faults.iter().filter_map(|fault| match *fault {
        Fault::Reset { link, way, byte } if here(link, way, byte) => Some((byte, Hit::Reset)),
        Fault::Stall { link, way, byte, span } if here(link, way, byte) => {
            Some((byte, Hit::Stall(span)))
        }
        Fault::Reset { .. }
        | Fault::Stall { .. }
        | Fault::Refuse { .. }
        | Fault::Blackhole { .. }
        | Fault::Kill { .. } => None,
    });
    hits.min_by_key(|(byte, _)| *byte)
}

const LATENCY_MIN: Duration = Duration::from_micros(20);
const LATENCY_MAX: Duration = Duration::from_millis(20);
const NEVER: Instant = Instant::from_nanos(u64::MAX);
