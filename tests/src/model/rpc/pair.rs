//! Two real ends of a tunnel, with a pipe between them that cuts anywhere, held against the model.

use super::{Model, Next};
use crate::choices::{Choices, keyed};
use bytes::{Buf as _, BytesMut};
use core::fmt::Debug;
use core::time::Duration;
use http::{Method, StatusCode};
use pico_core::head::{Fields, RequestHead, ResponseHead};
use pico_core::id::StreamId;
use pico_core::rpc::{self, Action, Identity, Input, Reset, Role, Word};
use pico_core::{Instant, Limits, Machine as _, Outbox, Reason, Seed, tunnel};
use std::collections::VecDeque;
use std::sync::Arc;

/// What is on its way to one side: bytes, and where messages end if somebody else frames them.
pub type Pipe = VecDeque<Option<u8>>;

/// One end of a tunnel.
pub trait End: Debug {
    /// Whether its user is told at once that it loses patience.
    const PROMPT: bool;
    /// An end whose connection is there.
    fn new(now: Instant, role: Role, limits: Arc<Limits>) -> Self;
    /// Its user says something.
    fn say(&mut self, now: Instant, input: Input<u64>);
    /// What it tells its user next.
    fn next(&mut self) -> Option<Action<u64>>;
    /// It writes, as long as that is about `room` bytes at most.
    fn write(&mut self, now: Instant, room: usize, pipe: &mut Pipe);
    /// It reads what comes first, up to `most` bytes. Returns how many.
    fn read(&mut self, now: Instant, most: usize, pipe: &mut Pipe) -> usize;
    /// Its timer.
    fn tick(&mut self, now: Instant);
    /// When it wants that.
    fn deadline(&self) -> Option<Instant>;
    /// The number of its next call.
    fn next_stream(&self) -> StreamId;
    /// Whether it may open one.
    fn may_open(&self) -> bool;
    /// Calls that it has not forgotten.
    fn calls(&self) -> usize;
}

impl End for rpc::Machine<u64> {
    const PROMPT: bool = true;

    fn new(now: Instant, role: Role, limits: Arc<Limits>) -> Self {
        Self::new(now, role, &Identity::default(), limits)
    }

    fn say(&mut self, now: Instant, input: Input<u64>) {
        self.handle(now, input);
    }

    fn next(&mut self) -> Option<Action<u64>> {
        self.poll()
    }

    fn write(&mut self, now: Instant, room: usize, pipe: &mut Pipe) {
        self.handle(now, Input::Room(room));
        let mut left = room;
        while left > 0 && self.has_message() {
            let mut message = self.take_message();
            let bytes = message.copy_to_bytes(message.remaining());
            left = left.saturating_sub(bytes.len());
            pipe.extend(bytes.into_iter().map(Some).chain([None]));
        }
    }

    fn read(&mut self, now: Instant, most: usize, pipe: &mut Pipe) -> usize {
        let count = pipe.iter().take(most).take_while(|byte| byte.is_some()).count();
        let bytes: BytesMut = pipe.drain(..count).flatten().collect();
        self.handle(now, Input::Received(bytes));
        if pipe.front() == Some(&None) {
            pipe.pop_front();
            self.handle(now, Input::MessageEnd);
        }
        count
    }

    fn tick(&mut self, now: Instant) {
        pico_core::Machine::tick(self, now);
    }

    fn deadline(&self) -> Option<Instant> {
        pico_core::Machine::deadline(self)
    }

    fn next_stream(&self) -> StreamId {
        self.next_stream()
    }

    fn may_open(&self) -> bool {
        self.may_open()
    }

    fn calls(&self) -> usize {
        self.calls()
    }
}

impl End for tunnel::Machine<u64> {
    /// It sends a close frame first.
    const PROMPT: bool = false;

    fn new(now: Instant, role: Role, limits: Arc<Limits>) -> Self {
        let (me, seed) = (Identity::default(), Seed::from_u64(1));
        Self::new(now, role, &me, &seed, limits, Outbox::new())
    }

    fn say(&mut self, now: Instant, input: Input<u64>) {
        let lost = matches!(input, Input::Lost(_));
        let input = if lost { tunnel::Input::Lost } else { tunnel::Input::Rpc(input) };
        self.handle(now, input);
    }

    fn next(&mut self) -> Option<Action<u64>> {
        loop {
            match self.poll()? {
                tunnel::Action::Rpc(action) => return Some(action),
                tunnel::Action::Closed(reason) => return Some(Action::Closed(reason)),
                tunnel::Action::Finish => {}
            }
        }
    }

    fn write(&mut self, now: Instant, room: usize, pipe: &mut Pipe) {
        let bytes: Vec<u8> = self.outbox().pieces().flatten().copied().take(room).collect();
        pipe.extend(bytes.iter().copied().map(Some));
        if !bytes.is_empty() {
            self.handle(now, tunnel::Input::Sent(bytes.len()));
        }
    }

    fn read(&mut self, now: Instant, most: usize, pipe: &mut Pipe) -> usize {
        let count = most.min(pipe.len());
        let bytes: BytesMut = pipe.drain(..count).flatten().collect();
        if count > 0 {
            self.handle(now, tunnel::Input::Received(bytes));
        }
        count
    }

    fn tick(&mut self, now: Instant) {
        pico_core::Machine::tick(self, now);
    }

    fn deadline(&self) -> Option<Instant> {
        pico_core::Machine::deadline(self)
    }

    fn next_stream(&self) -> StreamId {
        self.next_stream()
    }

    fn may_open(&self) -> bool {
        self.may_open()
    }

    fn calls(&self) -> usize {
        self.calls()
    }
}

/// Two ends, what is on its way to each, and the model.
#[derive(Debug)]
pub struct Pair<E> {
    /// What must be.
    pub model: Model,
    ends: [E; 2],
    pipes: [Pipe; 2],
    now: Instant,
    /// Whether an end may have lost patience and not have said so.
    doomed: bool,
}

impl<E: End> Pair<E> {
    /// Two ends that were just connected.
    pub fn new(limits: [Limits; 2]) -> Self {
        let now = Instant::ZERO + Duration::from_secs(1);
        let [first, second] = limits.map(Arc::new);
        let model = Model::new(now, [&first, &second]);
        let ends = [E::new(now, Role::Dialer, first), E::new(now, Role::Acceptor, second)];
        let mut pair = Self { model, ends, pipes: [Pipe::new(), Pipe::new()], now, doomed: false };
        pair.listen(0);
        pair.listen(1);
        pair
    }

    /// The user of `side` says something to its end.
    fn say(&mut self, side: usize, input: Input<u64>) {
        self.ends[side].say(self.now, input);
        self.listen(side);
    }

    fn word(&mut self, side: usize, id: u64, word: Word) {
        self.say(side, Input::Say { stream: StreamId(id), word });
    }

    /// Hears what the end of `side` tells.
    fn listen(&mut self, side: usize) {
        while let Some(action) = self.ends[side].next() {
            self.model.told(side, self.now, action);
        }
        let may = self.ends[side].may_open();
        assert!(!may || self.model.may_open(side), "side {side} would take one call too many");
        let (has, open) = (self.ends[side].calls(), self.model.open_calls(side).len());
        assert!(has >= open, "side {side} has {has} calls of {open}");
    }

    /// The user of `side` calls. Returns the number.
    pub fn open(&mut self, side: usize, head: &RequestHead, end: bool) -> u64 {
        let stream = self.ends[side].next_stream();
        let refusal = if self.model.sides[side].peer_drains {
            Some(Reason::Draining)
        } else if !self.ends[side].may_open() {
            Some(Reason::StreamLimit)
        } else {
            (head.fields.len() > FIELDS_MAX).then_some(Reason::HeadTooLarge)
        };
        let tag = stream.0 * 10;
        self.model.open(side, stream.0, tag, (head, end), refusal);
        self.say(side, Input::Open { stream, tag, head: head.clone(), end });
        stream.0
    }

    /// The user of `side` answers a call, if it still can.
    pub fn respond(&mut self, side: usize, id: u64, head: &ResponseHead, end: bool) {
        if self.next(side, id) == Next::Head {
            let refusal = (head.fields.len() > FIELDS_MAX).then_some(Reason::BadResponse);
            self.model.respond(side, id, (head, end), refusal);
            self.word(side, id, Word::Response { head: head.clone(), end });
        }
    }

    /// The user of `side` says up to `most` bytes, if it still can, and perhaps the end.
    pub fn data(&mut self, side: usize, id: u64, most: usize, end: bool) {
        if !matches!(self.next(side, id), Next::Body | Next::Raw) {
            return;
        }
        let call = &self.model.calls[&id];
        let count = most.min(call.credit(side));
        let bytes = keyed(id * 2 + side as u64, call.spent(side) as u64, count);
        if end || count > 0 {
            self.model.data(side, id, &bytes, end);
            self.word(side, id, Word::Data { bytes: BytesMut::from(&bytes[..]), end });
        }
    }

    /// The user of `side` ends its direction with trailers, if it still can.
    pub fn trailers(&mut self, side: usize, id: u64, fields: Fields) {
        if self.next(side, id) == Next::Body {
            let ours = self.model.calls[&id].caller == side;
            let reason = if ours { Reason::HeadTooLarge } else { Reason::BadResponse };
            let refusal = (fields.len() > FIELDS_MAX).then_some(reason);
            self.model.trailers(side, id, &fields, refusal);
            self.word(side, id, Word::Trailers(fields));
        }
    }

    /// The user of `side` cuts a call short, if it is not over.
    pub fn reset(&mut self, side: usize, id: u64, reset: Reset) {
        if self.model.open_calls(side).contains(&id) {
            self.model.reset(side, id, reset);
            self.word(side, id, Word::Reset(reset));
        }
    }

    /// The user of `side` takes up to `most` of the bytes that came.
    pub fn take(&mut self, side: usize, id: u64, most: usize) {
        let Some(call) = self.model.calls.get(&id) else { return };
        let count = call.untaken(side).min(most);
        if count > 0 {
            self.model.take(side, id, count);
            self.word(side, id, Word::Credit(count));
        }
    }

    /// The user of `side` names a call, if it is not over.
    fn tag(&mut self, side: usize, id: u64, tag: u64) {
        if self.model.open_calls(side).contains(&id) {
            self.model.tag(side, id, tag);
            self.say(side, Input::Tag { stream: StreamId(id), tag });
        }
    }

    /// The user of `side` wants no more calls.
    pub fn drain(&mut self, side: usize) {
        self.model.sides[side].drains = true;
        self.say(side, Input::Drain);
    }

    /// The connection breaks, as `side` sees it.
    pub fn lose(&mut self, side: usize) {
        if !self.model.sides[side].closed {
            if !self.model.is_ending(side) {
                self.model.lost(side, Reason::ConnectionLost);
            }
            self.say(side, Input::Lost(Reason::ConnectionLost));
        }
        assert!(self.model.sides[side].closed, "side {side} lost its connection and lives");
        assert_eq!(self.ends[side].calls(), 0, "calls are left behind the end");
        assert_eq!(self.ends[side].deadline(), None, "it wants to be woken behind the end");
    }

    /// `side` writes about so many bytes. Returns whether there were any.
    pub fn write(&mut self, side: usize, room: usize) -> bool {
        let before = self.pipes[1 - side].len();
        self.ends[side].write(self.now, room, &mut self.pipes[1 - side]);
        self.listen(side);
        self.pipes[1 - side].len() > before
    }

    /// `side` reads up to so many bytes. Returns whether anything was there.
    pub fn read(&mut self, side: usize, most: usize) -> bool {
        let before = self.pipes[side].len();
        if before > 0 {
            let count = self.ends[side].read(self.now, most, &mut self.pipes[side]);
            if count > 0 && !self.doomed {
                self.model.arrived(side, self.now);
            }
        }
        self.listen(side);
        self.pipes[side].len() < before
    }

    /// Whether anything is on its way to `side`.
    pub fn has_mail(&self, side: usize) -> bool {
        !self.pipes[side].is_empty()
    }

    /// Time passes; `sleeper` does not notice before it is over.
    fn wait(&mut self, span: Duration, sleeper: Option<usize>) {
        let until = self.now + span;
        loop {
            let awake = [0, 1].into_iter().filter(|side| Some(*side) != sleeper);
            let due = awake.filter_map(|side| Some((self.ends[side].deadline()?, side))).min();
            let Some((at, side)) = due.filter(|(at, _)| *at <= until) else { break };
            self.now = at.max(self.now);
            self.ends[side].tick(self.now);
            self.listen(side);
        }
        self.now = until;
        if let Some(side) = sleeper {
            self.model.slept(side);
            self.ends[side].tick(self.now);
            self.listen(side);
        }
        if E::PROMPT {
            self.model.check_time(self.now);
        } else {
            self.doomed |= [0, 1].into_iter().any(|side| self.model.is_late(side, self.now));
        }
    }

    /// Whether both sides still have their tunnel.
    fn lives(&self) -> bool {
        !self.doomed && ![0, 1].into_iter().any(|side| self.model.is_ending(side))
    }

    /// Lets everything arrive that is on its way, and looks whether that was everything.
    pub fn rest(&mut self) {
        loop {
            let moved =
                [0, 1].map(|side| self.write(side, usize::MAX) | self.read(side, usize::MAX));
            if moved == [false; 2] {
                break;
            }
        }
        self.model.check_rest();
        for side in [0, 1] {
            let (has, open) = (self.ends[side].calls(), self.model.open_calls(side).len());
            assert_eq!(has, open, "side {side} has not forgotten its finished calls");
            let may = (self.ends[side].may_open(), self.model.may_open(side));
            assert_eq!(may.0, may.1, "whether side {side} may call");
        }
    }

    /// One side loses the connection, the other reads what was on its way, or some of it, and
    /// loses it too.
    fn part(&mut self, choices: &mut Choices) {
        let first = choices.below(2);
        self.lose(first);
        let other = 1 - first;
        for _ in 0..choices.below(4) {
            if !self.model.sides[other].closed {
                self.read(other, 1 + choices.size(300));
            }
        }
        self.lose(other);
    }

    fn next(&self, side: usize, id: u64) -> Next {
        let known = self.model.open_calls(side).contains(&id);
        if known { self.model.calls[&id].next(side) } else { Next::Nothing }
    }
}

/// Plays what `data` stands for on two ends.
pub fn play<E: End>(data: &[u8]) {
    let mut choices = Choices::new(data);
    let limits = [limits(&mut choices), limits(&mut choices)];
    let mut pair = Pair::<E>::new(limits);
    for _ in 0..STEPS_MAX {
        if choices.is_empty() || !pair.lives() {
            break;
        }
        step(&mut pair, &mut choices);
    }
    if pair.lives() {
        pair.rest();
    }
    pair.part(&mut choices);
}

/// One thing happens.
fn step<E: End>(pair: &mut Pair<E>, choices: &mut Choices) {
    let kind = choices.below(32);
    let side = choices.below(2);
    let open = pair.model.open_calls(side);
    let which = choices.below(8);
    let id = which.checked_rem(open.len()).map_or(0, |at| open[at]);
    let end = choices.chance(1, 4);
    match kind {
        0..=6 => drop(pair.write(side, choices.size(600))),
        7..=13 => drop(pair.read(side, choices.size(300))),
        14..=16 => {
            let may = pair.ends[side].may_open() || choices.chance(1, 4);
            if may {
                pair.open(side, &request(choices), end);
            }
        }
        17..=18 => respond(pair, side, id, choices),
        19..=22 => pair.data(side, id, choices.size(1000), end),
        23 => pair.trailers(side, id, fields(choices)),
        24 => {
            let reason = *choices.pick(&[Reason::Closed, Reason::Canceled, Reason::BadResponse]);
            let started = !choices.chance(1, 4);
            pair.reset(side, id, Reset { reason, started });
        }
        25..=27 => pair.take(side, id, choices.size(1000)),
        28 => pair.tag(side, id, u64::from(choices.byte())),
        29 if end => pair.drain(side),
        29 => pair.rest(),
        30 => pair.wait(choices.span(), None),
        _ if end => pair.wait(choices.span(), Some(side)),
        _ => pair.wait(Duration::from_millis(which as u64), None),
    }
}

fn respond<E: End>(pair: &mut Pair<E>, side: usize, id: u64, choices: &mut Choices) {
    let code = *choices.pick(&[200, 200, 200, 404, 100, 103, 101]);
    let end = code >= 200 && choices.chance(1, 4);
    let status = StatusCode::from_u16(code).expect("a status");
    pair.respond(side, id, &ResponseHead::new(status, b"Fine", fields(choices)), end);
}

fn request(choices: &mut Choices) -> RequestHead {
    RequestHead::new(Method::POST, b"/call", fields(choices))
}

/// Now and then more than the other side takes.
fn fields(choices: &mut Choices) -> Fields {
    let count = if choices.chance(1, 32) { FIELDS_MAX + 1 } else { choices.below(3) };
    let mut fields = Fields::new();
    for at in 0..count {
        fields.push(b"X-Number", at.to_string().as_bytes());
    }
    fields
}

/// Small, so that they are met.
fn limits(choices: &mut Choices) -> Limits {
    let streams = *choices.pick(&[4, 2, 1]);
    let window_bytes = *choices.pick(&[128, 1, 1000]);
    let window_bytes_max = window_bytes * *choices.pick(&[1, 3, 100]);
    let first = window_bytes * streams * 2;
    Limits {
        head_fields: FIELDS_MAX - FIELDS_SPARE,
        frame_bytes: 64,
        message_bytes: *choices.pick(&[256, 1, 10_000]),
        outbox_bytes: *choices.pick(&[2000, 100]),
        streams,
        window_bytes,
        window_bytes_max,
        tunnel_bytes: first + *choices.pick(&[0, 100, 10_000]),
        // A matter of sockets, of which the model knows nothing.
        write_timeout: Duration::from_hours(24),
        ..Limits::default()
    }
}

/// Steps of one script.
const STEPS_MAX: usize = 400;

/// Fields that a side takes, of which so many are for those that nodes add.
const FIELDS_MAX: usize = 20;
const FIELDS_SPARE: usize = 16;
