//! Byte streams between hosts, as TCP behaves: ordered, late, cut anywhere, bounded by windows,
//! closed by halves, reset at any byte, sent again when lost.
//!
//! A segment's way is known when it is sent, because everything that can befall it is: whether
//! it is lost, when it is sent again, and when it lands. Only what its far end is like by then
//! is not.

use super::link::{Flight, PATIENCE, RETRY_MAX, Segment, echo, narrow};
use super::{Caller, Happening, Key, Net};
use crate::case::Way;
use crate::draw::Draw as _;
use crate::kernel::SeatId;
use crate::kernel::faults::{Blow, Hit};
use crate::kernel::world::Event;
use bytes::BytesMut;
use core::time::Duration;
use pico_core::host::Fault;
use pico_core::id::ConnId;
use pico_core::{Instant, Outbox};

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
            let Some((_, Hit { of, what })) =
                flow.hits.pop_front_if(|(byte, _)| *byte <= flow.sent)
            else {
                return;
            };
            if now >= self.heal {
                continue;
            }
            self.struck.insert(of);
            match what {
                Blow::Reset => {
                    self.hit(socket.link);
                    for way in [Way::Up, Way::Down] {
                        self.reset(now, Socket { way, ..socket }, cause, events);
                        self.hush(Socket { way, ..socket });
                    }
                    return;
                }
                Blow::Stall(Some(span)) => {
                    flow.stalled = flow.stalled.max((now + span).min(self.heal));
                }
                Blow::Stall(None) => flow.silent = true,
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
        if back.silent {
            flow.doom(depart, socket, events);
        } else if self.paths.has_spells(back.path) {
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
                Some(at) => {
                    flow.grant(now, at, edge);
                    back.be_heard(at);
                }
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
        let (flow, back) = link.both_ways(socket.way);
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
            flow.heard = now;
            back.be_heard(now);
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
