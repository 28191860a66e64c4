//! A stream as the systems of both its ends have it.

use super::path::{PathId, Paths};
use super::stream::Socket;
use super::{Fate, Happening, Lots};
use crate::case::{Traffic, Way};
use crate::draw::Draw as _;
use crate::kernel::faults::Hit;
use crate::kernel::world::Event;
use crate::kernel::{ProcessId, SeatId};
use bytes::{Buf as _, BytesMut};
use core::net::SocketAddr;
use core::time::Duration;
use pico_core::Instant;
use pico_core::host::Fault;
use pico_core::id::ConnId;
use std::collections::VecDeque;

#[derive(Debug)]
pub(super) struct Link {
    pub(super) up: Flow,
    pub(super) down: Flow,
    pub(super) dialler: End,
    pub(super) acceptor: End,
    /// Who dialled.
    pub(super) peer: SocketAddr,
    /// Whom they dialled.
    pub(super) to: SocketAddr,
    /// The turn that dialled.
    pub(super) cause: u64,
    /// It takes a place in a door's queue.
    pub(super) queued: bool,
    pub(super) hit: bool,
    /// For questions whether the peer is there.
    pub(super) questions: Lots,
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
    pub(super) path: PathId,
    pub(super) lots: Lots,
    /// How much may be on its way and unread at once.
    pub(super) window: u64,
    /// Bytes written so far, and read so far.
    pub(super) sent: u64,
    pub(super) read: u64,
    /// Up to which byte the writer knows that it may write, and what it will hear of that.
    pub(super) edge: u64,
    pub(super) edges: VecDeque<(Instant, u64)>,
    pub(super) flights: VecDeque<Flight>,
    /// When the reader last had anything of the writer: bytes, or word that its own have come.
    pub(super) heard: Instant,
    /// When the last of them lands.
    pub(super) last: Instant,
    /// What the reader's socket holds.
    pub(super) arrived: VecDeque<BytesMut>,
    pub(super) held: usize,
    pub(super) cause: u64,
    /// The FIN is behind `arrived`; by which turn.
    pub(super) ended: Option<u64>,
    /// The writer has sent its FIN.
    pub(super) finished: bool,
    /// The writer found the window full and wants to hear of room.
    pub(super) blocked: bool,
    pub(super) poked: bool,
    pub(super) burst: bool,
    /// What is lost now is sent again then, with all that was lost before.
    pub(super) stuck: Instant,
    /// Nothing leaves before.
    pub(super) stalled: Instant,
    /// Nothing lands any more.
    pub(super) silent: bool,
    /// The writer will give up.
    pub(super) doomed: bool,
    pub(super) hits: VecDeque<(u64, Hit)>,
}

/// A segment on its way.
#[derive(Debug)]
pub(super) struct Flight {
    /// When the copy of it was sent that lands.
    pub(super) leave: Instant,
    pub(super) land: Instant,
    pub(super) what: Segment,
    pub(super) cause: u64,
}

#[derive(Debug)]
pub(super) enum Segment {
    /// The last packet of the handshake.
    Open,
    Bytes(BytesMut),
    Fin,
    /// Breaks the reader's socket, with or without what it holds.
    Reset {
        purge: bool,
    },
}

impl Link {
    pub(super) fn new(
        now: Instant,
        [dialler, acceptor]: [ProcessId; 2],
        [there, back]: [PathId; 2],
        fate: Fate,
        mut lots: Lots,
        (least, most): (usize, usize),
    ) -> Self {
        let questions = lots.fork(QUESTIONS);
        let end = |process| End { process, owner: None, open: true, aborted: false, broken: None };
        let mut flow = |path, hits| {
            let window = 1 + lots.piece(most).max(least) as u64;
            Flow {
                path,
                lots: lots.apart(),
                window,
                sent: 0,
                read: 0,
                edge: window,
                edges: VecDeque::new(),
                flights: VecDeque::new(),
                heard: now,
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
            questions,
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

    pub(super) const fn flow(&self, way: Way) -> &Flow {
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
    pub(super) const fn both_ways(&mut self, way: Way) -> (&mut Flow, &mut Flow) {
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
    pub(super) fn carry(
        &mut self,
        paths: &Paths,
        depart: Instant,
        len: usize,
    ) -> Option<(Instant, Instant)> {
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
    pub(super) fn vanish(&mut self, since: Instant, socket: Socket, events: Happening<'_>) {
        self.silent = true;
        self.flights.clear();
        if !std::mem::replace(&mut self.doomed, true) {
            events.add(since + RETRY, Event::Retry(socket, since, RETRY));
        }
    }

    /// The writer will hear nothing of what it sent.
    pub(super) fn doom(&mut self, since: Instant, socket: Socket, events: Happening<'_>) {
        if !std::mem::replace(&mut self.doomed, true) {
            events.add(since + PATIENCE, Event::GiveUp(socket));
        }
    }

    /// Hears what was acknowledged by now.
    pub(super) fn hear(&mut self, now: Instant) {
        while let Some((_, edge)) = self.edges.pop_front_if(|(at, _)| *at <= now) {
            self.edge = edge;
        }
    }

    /// Lets the writer know, at `at`, that it may write up to `edge`.
    pub(super) fn grant(&mut self, now: Instant, at: Instant, edge: u64) {
        self.hear(now);
        // An acknowledgement says all that earlier ones said.
        while self.edges.pop_back_if(|(later, _)| *later >= at).is_some() {}
        self.edges.push_back((at, edge));
    }

    /// Wakes the writer when there will be room, if it is to be.
    pub(super) fn poke_writer(&mut self, writer: Socket, events: Happening<'_>) {
        if let Some((at, _)) = self.edges.front().filter(|_| !self.poked) {
            self.poked = true;
            events.add(*at, Event::Poke(writer));
        }
    }

    /// What the reader's socket holds, up to `most` bytes.
    pub(super) fn take(&mut self, most: usize) -> Option<BytesMut> {
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
pub(super) fn echo(
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

pub(super) fn narrow(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// What is drawn for questions is drawn apart.
const QUESTIONS: u64 = 1;
/// Bytes of one packet.
const SEGMENT: usize = 1400;
/// The first wait before a segment is sent again; doubles each time.
pub(super) const RETRY: Duration = Duration::from_millis(200);
/// The longest such wait.
pub(super) const RETRY_MAX: Duration = Duration::from_mins(2);
/// For so long it is tried.
pub(super) const PATIENCE: Duration = Duration::from_mins(15);
