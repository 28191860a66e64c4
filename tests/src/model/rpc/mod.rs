//! The calls of one tunnel, as `spec/rpc.md` has them: what each side said of each call, word by
//! word and byte by byte, and how much of it the other has heard.
//!
//! The model hears of everything that either user says and is told. It panics with a sentence as
//! soon as somebody is told what was not said, or not yet, or twice; and, once the tunnel is at
//! rest, if something that was said was not told.

mod check;
pub mod pair;

use core::time::Duration;
use pico_core::head::{Fields, RequestHead, ResponseHead};
use pico_core::rpc::Reset;
use pico_core::{Instant, Limits, Reason};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Both sides of one tunnel: 0 is the dialler.
#[derive(Debug)]
pub struct Model {
    /// The two sides.
    pub sides: [Side; 2],
    /// The calls that were ever begun, by their numbers.
    pub calls: BTreeMap<u64, Call>,
}

/// What one side and its user know of the tunnel.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not hang together")]
pub struct Side {
    limits: Arc<Limits>,
    since: Instant,
    /// Whether the other's hello has come.
    pub ready: bool,
    /// Whether its user wants no more calls.
    pub drains: bool,
    /// Whether it was told that the other wants no more.
    pub peer_drains: bool,
    /// Whether it was told that its own drain is over.
    pub drained: bool,
    /// Round trips that it was told of.
    pub round_trips: u64,
    /// When bytes came last.
    heard: Instant,
    /// Whether it slept since then.
    slept: bool,
    /// Why the tunnel is over, once that can be seen.
    ending: Option<Reason>,
    /// Whether it was told that the tunnel is over.
    pub closed: bool,
    /// The highest number that the other has called by.
    highest: u64,
}

/// One call.
#[derive(Debug)]
pub struct Call {
    /// Who began it.
    pub caller: usize,
    /// What each side said.
    pub lines: [Line; 2],
    /// How each side's user, or its machine for it, cut the call short.
    resets: [Option<Reset>; 2],
    /// A reset that a side's own machine must tell its user at once.
    due: [Option<Reset>; 2],
    /// Whether the call is over, as each side sees it.
    pub over: [bool; 2],
    /// How each side's user names it.
    tags: [Option<u64>; 2],
    /// Whether the caller was told that no part of it was or will be seen.
    unseen: bool,
}

/// What one side said of a call.
#[derive(Default, Debug)]
pub struct Line {
    said: Vec<Item>,
    /// How much of it the other was told.
    heard: usize,
    /// Bytes of data that it was allowed to say in all.
    allowed: usize,
    /// Bytes of data that it said.
    spent: usize,
    /// Bytes of data that the other was told.
    came: usize,
    /// Bytes that the other's consumer took.
    taken: usize,
}

/// The smallest part of what is said.
#[derive(Clone, PartialEq, Debug)]
enum Item {
    Request(RequestHead),
    Interim(ResponseHead),
    Final(ResponseHead),
    Byte(u8),
    Trailers(Fields),
    End,
}

/// What a side may say next of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// A response's head.
    Head,
    /// Data, trailers or the end.
    Body,
    /// Data or the end.
    Raw,
    /// Nothing but that it takes what comes.
    Nothing,
}

impl Model {
    /// Two sides that have said nothing, with the limits of each.
    pub fn new(now: Instant, limits: [&Arc<Limits>; 2]) -> Self {
        let side = |limits: &Arc<Limits>| Side {
            limits: Arc::clone(limits),
            since: now,
            ready: false,
            drains: false,
            peer_drains: false,
            drained: false,
            round_trips: 0,
            heard: now,
            slept: false,
            ending: None,
            closed: false,
            highest: 0,
        };
        Self { sides: limits.map(side), calls: BTreeMap::new() }
    }

    /// The calls that `side` knows and that are not over for it.
    pub fn open_calls(&self, side: usize) -> Vec<u64> {
        let open = |call: &&Call| !call.over[side] && (call.caller == side || call.was_told());
        self.calls.iter().filter(|(_, call)| open(call)).map(|(id, _)| *id).collect()
    }

    /// Whether `side` may open one call more.
    pub fn may_open(&self, side: usize) -> bool {
        let [mine, theirs] = [side, 1 - side].map(|at| &self.sides[at]);
        let own = |call: &&Call| call.caller == side && !call.over[side];
        let most = mine.limits.streams.min(theirs.limits.streams);
        let open = mine.ready && !mine.peer_drains && mine.ending.is_none();
        open && self.calls.values().filter(own).count() < most
    }

    /// The user of `side` begins a call. If its own machine must refuse it, `refusal` says why.
    pub fn open(
        &mut self,
        side: usize,
        id: u64,
        tag: u64,
        (head, end): (&RequestHead, bool),
        refusal: Option<Reason>,
    ) {
        let mut call = Call::new(side, tag);
        let due = |reason| Reset { reason, started: false };
        call.due[side] = refusal.map(due);
        call.unseen = refusal.is_some();
        call.lines[side].said.push(Item::Request(head.clone()));
        if end {
            call.lines[side].said.push(Item::End);
        }
        assert!(self.calls.insert(id, call).is_none(), "call {id} is begun twice");
    }

    /// The user of `side` says the next response head; `refusal` as for [`open`](Self::open).
    pub fn respond(
        &mut self,
        side: usize,
        id: u64,
        (head, end): (&ResponseHead, bool),
        refusal: Option<Reason>,
    ) {
        let call = self.calls.get_mut(&id).expect("a call that was begun");
        if let Some(reason) = refusal {
            return call.cut(side, reason);
        }
        let interim = head.status.is_informational() && head.status.as_u16() != 101;
        let item = if interim { Item::Interim } else { Item::Final };
        call.lines[side].said.push(item(head.clone()));
        if end {
            call.end(side);
        }
    }

    /// The user of `side` says data, perhaps the last.
    pub fn data(&mut self, side: usize, id: u64, bytes: &[u8], end: bool) {
        let call = self.calls.get_mut(&id).expect("a call that was begun");
        let line = &mut call.lines[side];
        line.spent += bytes.len();
        line.said.extend(bytes.iter().copied().map(Item::Byte));
        if end {
            call.end(side);
        }
    }

    /// The user of `side` ends its direction with trailers; `refusal` as for
    /// [`open`](Self::open).
    pub fn trailers(&mut self, side: usize, id: u64, fields: &Fields, refusal: Option<Reason>) {
        let call = self.calls.get_mut(&id).expect("a call that was begun");
        if let Some(reason) = refusal {
            return call.cut(side, reason);
        }
        call.lines[side].said.push(Item::Trailers(fields.clone()));
        call.end(side);
    }

    /// The user of `side` cuts a call short.
    pub fn reset(&mut self, side: usize, id: u64, reset: Reset) {
        let call = self.calls.get_mut(&id).expect("a call that was begun");
        call.resets[side] = Some(reset);
        call.over[side] = true;
    }

    /// The user of `side` took bytes that came.
    pub fn take(&mut self, side: usize, id: u64, count: usize) {
        let call = self.calls.get_mut(&id).expect("a call that was begun");
        call.lines[1 - side].taken += count;
    }

    /// The user of `side` names a call.
    pub fn tag(&mut self, side: usize, id: u64, tag: u64) {
        let call = self.calls.get_mut(&id).expect("a call that was begun");
        call.tags[side] = Some(tag);
    }

    /// Some bytes came to `side`.
    pub fn arrived(&mut self, side: usize, now: Instant) {
        let side = &mut self.sides[side];
        (side.heard, side.slept) = (now, false);
    }

    /// `side` did not look at the clock when it should have.
    pub fn slept(&mut self, side: usize) {
        self.sides[side].slept = true;
    }

    /// Whether the tunnel can be seen to be over for `side`.
    pub fn is_ending(&self, side: usize) -> bool {
        self.sides[side].ending.is_some()
    }

    /// Whether `side` may have lost patience by `now`.
    pub fn is_late(&self, side: usize, now: Instant) -> bool {
        now >= self.sides[side].patience().0
    }

    /// The connection broke, as `side` was told.
    pub fn lost(&mut self, side: usize, reason: Reason) {
        self.sides[side].ending = Some(reason);
    }
}

impl Side {
    /// From when on this side may take the other for lost, and from when on it must have.
    fn patience(&self) -> (Instant, Instant) {
        let Limits { heartbeat, handshake_timeout, .. } = *self.limits;
        let beats = |count: u32| self.heard + heartbeat.saturating_mul(count);
        match (self.ready, self.slept) {
            (false, _) => [self.since + handshake_timeout; 2].into(),
            (true, false) => (beats(2), beats(2)),
            // It was asleep, and listens for one heartbeat more from when it wakes.
            (true, true) => (beats(2), beats(2) + Duration::from_hours(24)),
        }
    }
}

impl Call {
    fn new(caller: usize, tag: u64) -> Self {
        let mut tags = [None; 2];
        tags[caller] = Some(tag);
        Self {
            caller,
            lines: [Line::default(), Line::default()],
            resets: [None; 2],
            due: [None; 2],
            over: [false; 2],
            tags,
            unseen: false,
        }
    }

    /// Whether the callee was told of it.
    pub fn was_told(&self) -> bool {
        self.lines[self.caller].heard > 0
    }

    /// What `side` may say next.
    pub fn next(&self, side: usize) -> Next {
        let line = &self.lines[side];
        let answer = &self.lines[1 - self.caller];
        // The callee knows what it said, the caller what it was told.
        let known = if side == self.caller { answer.heard } else { answer.said.len() };
        let raw = answer.said[..known].iter().any(Item::switches);
        match line.said.last() {
            Some(Item::End) => Next::Nothing,
            None | Some(Item::Interim(_)) => Next::Head,
            Some(_) if raw => Next::Raw,
            Some(_) => Next::Body,
        }
    }

    /// Bytes that `side` may still say.
    pub fn credit(&self, side: usize) -> usize {
        self.lines[side].allowed - self.lines[side].spent
    }

    /// Bytes that came to `side` and were not taken.
    pub fn untaken(&self, side: usize) -> usize {
        let line = &self.lines[1 - side];
        line.came - line.taken
    }

    /// Bytes that `side` said.
    pub fn spent(&self, side: usize) -> usize {
        self.lines[side].spent
    }

    fn end(&mut self, side: usize) {
        self.lines[side].said.push(Item::End);
        self.look(side);
    }

    /// The machine of `side` cuts the call for a head that is too large for the other.
    fn cut(&mut self, side: usize, reason: Reason) {
        let reset = Reset { reason, started: true };
        (self.resets[side], self.due[side]) = (Some(reset), Some(reset));
    }

    /// The call is over for `side` when it has said and heard all.
    fn look(&mut self, side: usize) {
        let said = self.lines[side].said.last() == Some(&Item::End);
        self.over[side] |= said && self.lines[1 - side].heard_end();
    }
}

impl Line {
    fn heard_end(&self) -> bool {
        self.heard > 0 && self.said[self.heard - 1] == Item::End
    }
}

impl Item {
    fn switches(&self) -> bool {
        matches!(self, Self::Final(head) if head.status.as_u16() == 101)
    }
}
