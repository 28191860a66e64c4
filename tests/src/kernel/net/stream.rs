//! Byte streams between hosts, as TCP behaves: ordered, late, cut anywhere, bounded by windows,
//! closed by halves, reset at any byte, sent again when lost.
//!
//! A segment's way is known when it is sent, because everything that can befall it is: whether
//! it is lost, when it is sent again, and when it lands. Only what its far end is like by then
//! is not.

use super::path::{PathId, Paths};
use super::{Caller, Fate, Happening, Key, Lots, Net};
use crate::case::{Traffic, Way};
use crate::draw::Draw as _;
use crate::kernel::faults::Hit;
use crate::kernel::world::Event;
use crate::kernel::{ProcessId, SeatId};
use bytes::{Buf as _, BytesMut};
use core::net::SocketAddr;
use core::time::Duration;
use pico_core::host::Fault;
use pico_core::id::ConnId;
use pico_core::{Instant, Outbox};
use std::collections::VecDeque;

/// One end of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::kernel) struct Socket {
    pub(in crate::kernel) link: Key,
    /// The direction in which this end writes.
    pub(in crate::kernel) way: Way,
}

/// What a read gave, and the turn that it comes from.
#[derive(Debug)]
pub(in crate::kernel) enum Read {
    Bytes(BytesMut, u64),
    /// Nothing yet.
    Later,
    Eof(u64),
    Lost(Fault, u64),
}

/// What came of a segment that landed.
#[derive(Debug)]
pub(in crate::kernel) enum Landed {
    Nothing,
    /// Somebody has something to read.
    Poke(SeatId, ConnId),
    /// Somebody wants to be accepted.
    Knock(SeatId, Caller),
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) up: Flow,
    pub(super) down: Flow,
    dialler: End,
    acceptor: End,
    /// Who dialled.
    pub(super) peer: SocketAddr,
    /// Whom they dialled.
    pub(super) to: SocketAddr,
    /// The turn that dialled.
    pub(super) cause: u64,
    /// It takes a place in a door's queue.
    pub(super) queued: bool,
    hit: bool,
}

#[derive(Debug)]
pub(super) struct End {
    pub(super) process: ProcessId,
    /// Nobody, while it waits to be accepted.
    pub(super) owner: Option<(SeatId, ConnId)>,
    pub(super) open: bool,
    /// It was closed without a word that the peer would take for the end.
    pub(super) aborted: bool,
    /// Why it is of no use any more, and by which turn.
    pub(super) broken: Option<(Fault, u64)>,
}

/// One direction.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug)]
pub(super) struct Flow {
    path: PathId,
    pub(super) lots: Lots,
    /// How much may be on its way and unread at once.
    window: u64,
    /// Bytes written so far, and read so far.
    sent: u64,
    read: u64,
    /// Up to which byte the writer knows that it may write, and what it will hear of that.
    edge: u64,
    edges: VecDeque<(Instant, u64)>,
    pub(super) flights: VecDeque<Flight>,
    /// When the last of them lands.
    last: Instant,
    /// What the reader's socket holds.
    arrived: VecDeque<BytesMut>,
    held: usize,
    cause: u64,
    /// The FIN is behind `arrived`; by which turn.
    ended: Option<u64>,
    /// The writer has sent its FIN.
    finished: bool,
    /// The writer found the window full and wants to hear of room.
    blocked: bool,
    poked: bool,
    burst: bool,
    /// What is lost now is sent again then, with all that was lost before.
    stuck: Instant,
    /// Nothing leaves before.
    stalled: Instant,
    /// Nothing lands any more.
    pub(super) silent: bool,
    /// The writer will give up.
    doomed: bool,
    hits: VecDeque<(u64, Hit)>,
}

/// A segment on its way.
#[derive(Debug)]
pub(super) struct Flight {
    /// When the copy of it was sent that lands.
    pub(super) leave: Instant,
    land: Instant,
    what: Segment,
    cause: u64,
}

#[derive(Debug)]
enum Segment {
    /// The last packet of the handshake.
    Open,
    Bytes(BytesMut),
    Fin,
    /// Breaks the reader's socket, with or without what it holds.
    Reset {
        purge: bool,
    },
}

impl Net {
    /// Sends the last packet of the handshake.
    pub(super) fn complete(
        &mut self,
        now: Instant,
        socket: Socket,
        cause: u64,
        events: Happening<'_>,
    ) {
        self.send(now, socket, Segment::Open, cause, events);
    }

    /// Offers what waits in `outbox`; says how much the socket took.
    pub(in crate::kernel) fn write(
        &mut self,
        now: Instant,
        socket: Socket,
        outbox: &Outbox,
        cause: u64,
        events: Happening<'_>,
    ) -> Result<usize, Fault> {
        self.strike(now, socket, cause, events);
        let link = self.links.get_mut(socket.link).ok_or(Fault::Reset)?;
        if let Some((fault, _)) = link.end(socket.way).broken {
            return Err(fault);
        }
        let flow = link.flow_mut(socket.way);
        flow.hear(now);
        let room = narrow(flow.edge - flow.sent);
        let to_fault = flow.hits.front().map_or(u64::MAX, |(byte, _)| byte - flow.sent);
        let most = outbox.len().min(room).min(narrow(to_fault));
        flow.blocked = room < outbox.len();
        if most == 0 {
            flow.poke_writer(socket, events);
            return Ok(0);
        }
        let mut lots = flow.lots.apart();
        let part = lots.piece(most).max(most / 2);
        let count = if lots.chance(1, 4) { part } else { most };
        let mut bytes = BytesMut::with_capacity(count);
        for piece in outbox.pieces() {
            bytes.extend_from_slice(piece.get(..count - bytes.len()).unwrap_or(piece));
        }
        flow.sent += count as u64;
        self.counts.stream_bytes += count as u64;
        self.send(now, socket, Segment::Bytes(bytes), cause, events);
        Ok(count)
    }

    /// What waits at this byte happens now.
    fn strike(&mut self, now: Instant, socket: Socket, cause: u64, events: Happening<'_>) {
        loop {
            let Some(link) = self.links.get_mut(socket.link) else { return };
            let flow = link.flow_mut(socket.way);
            let Some((_, hit)) = flow.hits.pop_front_if(|(byte, _)| *byte <= flow.sent) else {
                return;
            };
            if now >= self.heal {
                continue;
            }
            match hit {
                Hit::Reset => {
                    self.hit(socket.link);
                    for way in [Way::Up, Way::Down] {
                        self.reset(now, Socket { way, ..socket }, cause, events);
                        self.hush(Socket { way, ..socket });
                    }
                    return;
                }
                Hit::Stall(Some(span)) => {
                    flow.stalled = flow.stalled.max((now + span).min(self.heal));
                }
                Hit::Stall(None) => flow.silent = true,
            }
            self.hit(socket.link);
        }
    }

    /// What is written from here on lands nowhere.
    fn hush(&mut self, socket: Socket) {
        if let Some(link) = self.links.get_mut(socket.link) {
            link.flow_mut(socket.way).silent = true;
        }
    }

    /// Puts a segment on its way, behind all before it.
    fn send(
        &mut self,
        now: Instant,
        socket: Socket,
        what: Segment,
        cause: u64,
        events: Happening<'_>,
    ) {
        let Some(link) = self.links.get_mut(socket.link) else { return };
        self.counts.segments += 1;
        let (flow, back) = link.both_ways(socket.way);
        if flow.silent {
            return flow.doom(now, socket, events);
        }
        let len = match &what {
            Segment::Bytes(bytes) => bytes.len(),
            Segment::Open | Segment::Fin | Segment::Reset { .. } => 0,
        };
        let depart = self.paths.depart(flow.path, now, len).max(flow.stalled);
        let Some((leave, land)) = flow.carry(&self.paths, depart, len) else {
            flow.silent = true;
            flow.doom(depart, socket, events);
            return self.hit(socket.link);
        };
        // What nobody acknowledges has not arrived, as far as its sender knows.
        let mut lots = flow.lots.apart();
        if self.paths.has_spells(back.path) {
            let echo = echo(&self.paths, [flow.path, back.path], land, &mut lots);
            if echo.is_none_or(|at| at.since(depart) > PATIENCE) {
                flow.doom(depart, socket, events);
            }
        }
        flow.flights.push_back(Flight { leave, land, what, cause });
        events.add(land, Event::Arrive(socket));
        let late = leave > depart;
        if late || self.paths.is_odd(flow.path, depart) {
            self.counts.late += u64::from(late);
            self.hit(socket.link);
        }
    }

    /// Takes up to `most` bytes.
    pub(in crate::kernel) fn read(
        &mut self,
        now: Instant,
        socket: Socket,
        most: usize,
        events: Happening<'_>,
    ) -> Read {
        let Some(link) = self.links.get_mut(socket.link) else {
            return Read::Lost(Fault::Reset, 0);
        };
        let (back, flow) = link.both_ways(socket.way);
        if let Some(bytes) = flow.take(most) {
            let mut lots = flow.lots.apart();
            let edge = flow.read + flow.window;
            let writer = Socket { way: socket.way.other(), ..socket };
            match echo(&self.paths, [flow.path, back.path], now, &mut lots) {
                Some(at) => flow.grant(now, at, edge),
                None => flow.doom(now, writer, events),
            }
            if flow.blocked {
                flow.poke_writer(writer, events);
            }
            return Read::Bytes(bytes, flow.cause);
        }
        let ended = flow.ended;
        if let Some((fault, cause)) = link.end(socket.way).broken {
            return Read::Lost(fault, cause);
        }
        ended.map_or(Read::Later, Read::Eof)
    }

    /// Sends the FIN.
    pub(in crate::kernel) fn finish(
        &mut self,
        now: Instant,
        socket: Socket,
        cause: u64,
        events: Happening<'_>,
    ) {
        let Some(link) = self.links.get_mut(socket.link) else { return };
        let broken = link.end(socket.way).broken.is_some();
        if !std::mem::replace(&mut link.flow_mut(socket.way).finished, true) && !broken {
            self.send(now, socket, Segment::Fin, cause, events);
        }
    }

    /// Closes a socket as the driver does on its machine's word: the peer sees a reset, unless
    /// our FIN was sent before and there is nothing that we have not read.
    pub(in crate::kernel) fn close(
        &mut self,
        now: Instant,
        socket: Socket,
        cause: u64,
        events: Happening<'_>,
    ) {
        let Some(link) = self.links.get_mut(socket.link) else { return };
        let unread = link.flow(socket.way.other()).held > 0;
        if !link.flow(socket.way).finished || unread {
            self.abort(now, socket, cause, events);
        }
        self.shut(socket);
    }

    /// Closes a socket as the system does when its driver ends: with a FIN, unless something was
    /// left unread.
    pub(in crate::kernel) fn let_go(
        &mut self,
        now: Instant,
        socket: Socket,
        cause: u64,
        events: Happening<'_>,
    ) {
        self.finish(now, socket, cause, events);
        self.close(now, socket, cause, events);
    }

    /// Tells the peer, as well as the net lets it, that this end is no more.
    pub(super) fn abort(
        &mut self,
        now: Instant,
        socket: Socket,
        cause: u64,
        events: Happening<'_>,
    ) {
        let Some(link) = self.links.get_mut(socket.link) else { return };
        let end = link.end_mut(socket.way);
        let broken = end.broken.is_some();
        end.aborted = true;
        let flow = link.flow_mut(socket.way);
        flow.ground(now);
        let mut lots = flow.lots.apart();
        let lost = self.paths.losses(flow.path, now, 1, &mut flow.burst, &mut lots) > 0;
        if lost || flow.silent {
            self.hit(socket.link);
        } else if !broken {
            self.reset(now, socket, cause, events);
        }
    }

    /// Sends a reset that is not lost.
    pub(super) fn reset(
        &mut self,
        now: Instant,
        socket: Socket,
        cause: u64,
        events: Happening<'_>,
    ) {
        let Some(link) = self.links.get_mut(socket.link) else { return };
        let flow = link.flow_mut(socket.way);
        flow.ground(now);
        let mut lots = flow.lots.apart();
        let land = self.paths.arrival(flow.path, now, &mut lots).max(flow.last);
        flow.last = land;
        let what = Segment::Reset { purge: lots.chance(1, 2) };
        flow.flights.push_back(Flight { leave: now, land, what, cause });
        events.add(land, Event::Arrive(socket));
    }

    /// This end is closed, whatever its peer was told.
    pub(super) fn shut(&mut self, socket: Socket) {
        if socket.way == Way::Down {
            self.leave_queue(socket.link);
        }
        let Some(link) = self.links.get_mut(socket.link) else { return };
        let end = link.end_mut(socket.way);
        (end.open, end.owner) = (false, None);
        let flow = link.flow_mut(socket.way.other());
        flow.arrived.clear();
        flow.held = 0;
        if !link.dialler.open && !link.acceptor.open {
            self.links.remove(socket.link);
        }
    }

    /// Lands what is due.
    pub(in crate::kernel) fn arrive(
        &mut self,
        now: Instant,
        socket: Socket,
        events: Happening<'_>,
    ) -> Landed {
        let Some(link) = self.links.get_mut(socket.link) else { return Landed::Nothing };
        let far = socket.way.other();
        let (end, owner) = (link.end(far), link.end(far).owner);
        let (open, aborted) = (end.open && end.broken.is_none(), end.aborted);
        let on = self.hosts[end.process.0].on;
        let flow = link.flow_mut(socket.way);
        let mut landed = Landed::Nothing;
        while let Some(flight) = flow.flights.pop_front_if(|flight| flight.land <= now) {
            let Flight { leave, what, cause, .. } = flight;
            if !on {
                flow.vanish(leave, socket, events);
                self.hit(socket.link);
                return Landed::Nothing;
            }
            let expected = match &what {
                Segment::Open | Segment::Bytes(_) => open,
                Segment::Fin => open || !aborted,
                Segment::Reset { .. } => true,
            };
            if !expected {
                self.refuse_segment(now, socket, cause, events);
                return landed;
            }
            if open && let Some((seat, conn)) = owner {
                landed = Landed::Poke(seat, conn);
            }
            flow.cause = cause;
            match what {
                Segment::Open => return self.admit(now, socket, cause, events),
                Segment::Bytes(bytes) => {
                    flow.held += bytes.len();
                    flow.arrived.push_back(bytes);
                }
                Segment::Fin => flow.ended = Some(cause),
                Segment::Reset { purge } => {
                    if purge {
                        flow.arrived.clear();
                        flow.held = 0;
                    }
                    flow.flights.clear();
                    link.flow_mut(far).ground(now);
                    link.end_mut(far).broken.get_or_insert((Fault::Reset, cause));
                    return landed;
                }
            }
        }
        landed
    }

    /// The handshake is complete: whoever dialled waits to be accepted.
    fn admit(&mut self, now: Instant, socket: Socket, cause: u64, events: Happening<'_>) -> Landed {
        if let Some((seat, caller)) = self.enqueue(socket.link) {
            return Landed::Knock(seat, caller);
        }
        self.turn_away(now, Socket { way: socket.way.other(), ..socket }, cause, events);
        Landed::Nothing
    }

    /// Answers what came for a socket that is no more.
    fn refuse_segment(&mut self, now: Instant, socket: Socket, cause: u64, events: Happening<'_>) {
        let Some(link) = self.links.get_mut(socket.link) else { return };
        let (flow, back) = link.both_ways(socket.way);
        let mut lots = back.lots.apart();
        if self.paths.losses(back.path, now, 1, &mut back.burst, &mut lots) > 0 {
            flow.vanish(now, socket, events);
            return self.hit(socket.link);
        }
        flow.silent = true;
        flow.flights.clear();
        self.reset(now, Socket { way: socket.way.other(), ..socket }, cause, events);
    }

    /// Sends again what nobody answered.
    pub(in crate::kernel) fn retry(
        &mut self,
        now: Instant,
        (socket, since, wait): (Socket, Instant, Duration),
        events: Happening<'_>,
    ) {
        let Some(link) = self.links.get_mut(socket.link) else { return };
        let near = link.end(socket.way);
        if !near.open || near.broken.is_some() {
            return;
        }
        if now.since(since) >= PATIENCE {
            return self.give_up(now, socket, events);
        }
        let far = link.end(socket.way.other());
        let (on, (flow, back)) = (self.hosts[far.process.0].on, link.both_ways(socket.way));
        let mut lots = flow.lots.apart();
        let mut lost = |path| self.paths.losses(path, now, 1, &mut false, &mut lots) > 0;
        if on && !lost(flow.path) && !lost(back.path) {
            let cause = flow.cause;
            return self.reset(now, Socket { way: socket.way.other(), ..socket }, cause, events);
        }
        let wait = (wait * 2).min(RETRY_MAX);
        events.add(now + wait, Event::Retry(socket, since, wait));
    }

    /// Nobody has acknowledged anything for too long.
    pub(in crate::kernel) fn give_up(
        &mut self,
        now: Instant,
        socket: Socket,
        events: Happening<'_>,
    ) {
        let Some(link) = self.links.get_mut(socket.link) else { return };
        let end = link.end_mut(socket.way);
        if end.open {
            end.broken.get_or_insert((Fault::TimedOut, 0));
            events.add(now, Event::Poke(socket));
        }
        self.hit(socket.link);
    }

    /// Whose socket this is, while it is open.
    pub(in crate::kernel) fn owner(&mut self, socket: Socket) -> Option<(SeatId, ConnId)> {
        let link = self.links.get_mut(socket.link)?;
        link.flow_mut(socket.way).poked = false;
        link.end(socket.way).owner
    }
}

impl Link {
    pub(super) fn new(
        now: Instant,
        [dialler, acceptor]: [ProcessId; 2],
        [there, back]: [PathId; 2],
        fate: Fate,
        mut lots: Lots,
        window_max: usize,
    ) -> Self {
        let end = |process| End { process, owner: None, open: true, aborted: false, broken: None };
        let mut flow = |path, hits| {
            let window = 1 + lots.piece(window_max).max(window_max / 4) as u64;
            Flow {
                path,
                lots: lots.apart(),
                window,
                sent: 0,
                read: 0,
                edge: window,
                edges: VecDeque::new(),
                flights: VecDeque::new(),
                last: now,
                arrived: VecDeque::new(),
                held: 0,
                cause: 0,
                ended: None,
                finished: false,
                blocked: false,
                poked: false,
                burst: false,
                stuck: now,
                stalled: now,
                silent: false,
                doomed: false,
                hits,
            }
        };
        let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
        Self {
            up: flow(there, fate.up),
            down: flow(back, fate.down),
            dialler: end(dialler),
            acceptor: end(acceptor),
            peer: nobody,
            to: nobody,
            cause: 0,
            queued: false,
            hit: false,
        }
    }

    /// The end that writes in this direction.
    pub(super) const fn end(&self, way: Way) -> &End {
        match way {
            Way::Up => &self.dialler,
            Way::Down => &self.acceptor,
        }
    }

    pub(super) const fn end_mut(&mut self, way: Way) -> &mut End {
        match way {
            Way::Up => &mut self.dialler,
            Way::Down => &mut self.acceptor,
        }
    }

    const fn flow(&self, way: Way) -> &Flow {
        match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }

    pub(super) const fn flow_mut(&mut self, way: Way) -> &mut Flow {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

    /// The direction `way`, and the other one.
    const fn both_ways(&mut self, way: Way) -> (&mut Flow, &mut Flow) {
        match way {
            Way::Up => (&mut self.up, &mut self.down),
            Way::Down => (&mut self.down, &mut self.up),
        }
    }

    /// Notes that something befell it; says whether it is the first thing.
    pub(super) const fn hit(&mut self) -> bool {
        !std::mem::replace(&mut self.hit, true)
    }

    pub(super) const fn is_hit(&self) -> bool {
        self.hit
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = (SeatId, ConnId)> {
        [self.dialler.owner, self.acceptor.owner].into_iter().flatten()
    }
}

impl Flow {
    /// When the copy of a segment leaves that arrives, and when it lands; `None` if none does.
    fn carry(&mut self, paths: &Paths, depart: Instant, len: usize) -> Option<(Instant, Instant)> {
        let mut lots = self.lots.apart();
        let (mut at, mut wait) = (depart, RETRY);
        let mut left = len.div_ceil(SEGMENT).max(1);
        loop {
            left = paths.losses(self.path, at, left, &mut self.burst, &mut lots);
            if left == 0 {
                break;
            }
            // What was lost before is sent again first, and what comes behind it then.
            at = if self.stuck > at { self.stuck } else { at + wait };
            wait = (wait * 2).min(RETRY_MAX);
            // A row of losses is over by then.
            self.burst = false;
            if at.since(depart) > PATIENCE {
                return None;
            }
        }
        if at > depart {
            self.stuck = self.stuck.max(at);
        }
        self.last = paths.arrival(self.path, at, &mut lots).max(self.last);
        Some((at, self.last))
    }

    /// What was not sent for the last time yet never will be, and what is behind it stays behind
    /// the hole. A reset needs nothing before it.
    pub(super) fn ground(&mut self, now: Instant) {
        let mut whole = true;
        self.flights.retain(|flight| {
            whole &= flight.leave <= now;
            whole || matches!(flight.what, Segment::Reset { .. })
        });
        self.last = self.flights.back().map_or(now, |flight| flight.land);
    }

    /// There is nobody to land at: it is sent again and again.
    fn vanish(&mut self, since: Instant, socket: Socket, events: Happening<'_>) {
        self.silent = true;
        self.flights.clear();
        if !std::mem::replace(&mut self.doomed, true) {
            events.add(since + RETRY, Event::Retry(socket, since, RETRY));
        }
    }

    /// The writer will hear nothing of what it sent.
    fn doom(&mut self, since: Instant, socket: Socket, events: Happening<'_>) {
        if !std::mem::replace(&mut self.doomed, true) {
            events.add(since + PATIENCE, Event::GiveUp(socket));
        }
    }

    /// Hears what was acknowledged by now.
    fn hear(&mut self, now: Instant) {
        while let Some((_, edge)) = self.edges.pop_front_if(|(at, _)| *at <= now) {
            self.edge = edge;
        }
    }

    /// Lets the writer know, at `at`, that it may write up to `edge`.
    fn grant(&mut self, now: Instant, at: Instant, edge: u64) {
        self.hear(now);
        // An acknowledgement says all that earlier ones said.
        while self.edges.pop_back_if(|(later, _)| *later >= at).is_some() {}
        self.edges.push_back((at, edge));
    }

    /// Wakes the writer when there will be room, if it is to be.
    fn poke_writer(&mut self, writer: Socket, events: Happening<'_>) {
        if let Some((at, _)) = self.edges.front().filter(|_| !self.poked) {
            self.poked = true;
            events.add(*at, Event::Poke(writer));
        }
    }

    /// What the reader's socket holds, up to `most` bytes.
    fn take(&mut self, most: usize) -> Option<BytesMut> {
        let mut taken = self.arrived.pop_front()?;
        if taken.len() > most {
            self.arrived.push_front(taken.split_off(most));
        }
        while taken.len() < most
            && let Some(next) = self.arrived.front_mut()
        {
            let part = next.len().min(most - taken.len());
            taken.extend_from_slice(&next[..part]);
            next.advance(part);
            self.arrived.pop_front_if(|next| next.is_empty());
        }
        self.held -= taken.len();
        self.read += taken.len() as u64;
        Some(taken)
    }
}

/// When whoever sent something hears that it was taken at `at`: the answer may be lost, and is
/// asked for again, which may be lost too.
fn echo(
    paths: &Paths,
    [there, back]: [PathId; 2],
    at: Instant,
    lots: &mut Lots,
) -> Option<Instant> {
    let cut = |way, at| paths.is_cut(way, at, Traffic::Streams);
    let (mut again, mut wait) = (at, RETRY);
    while paths.losses(back, again, 1, &mut false, lots) > 0 || (again > at && cut(there, again)) {
        again = again + wait;
        wait = (wait * 2).min(RETRY_MAX);
        if again.since(at) > PATIENCE {
            return None;
        }
    }
    Some(paths.arrival(back, again, lots))
}

fn narrow(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Bytes of one packet.
const SEGMENT: usize = 1400;
/// The first wait before a segment is sent again; doubles each time.
const RETRY: Duration = Duration::from_millis(200);
/// The longest such wait.
const RETRY_MAX: Duration = Duration::from_mins(2);
/// For so long it is tried.
const PATIENCE: Duration = Duration::from_mins(15);
