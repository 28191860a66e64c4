//! One side of one tunnel: what its parent says, time, and the end.

use super::frame::{Kind, Reader};
use super::hello::{self, Terms};
use super::say::{SATED, first_windows};
use super::send::Sender;
use super::stream::{Stage, Stream, Tail, Window};
use super::{Action, Identity, Input, Reset, Role, Word, block};
use crate::head::RequestHead;
use crate::id::StreamId;
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::time::{Instant, Monotonic};
use crate::varint;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use bytes::BytesMut;
use core::time::Duration;

/// One side of one tunnel.
#[derive(Debug)]
pub struct Machine<T> {
    pub(super) limits: Arc<Limits>,
    pub(super) clock: Monotonic,
    pub(super) life: Life,
    pub(super) reader: Reader,
    pub(super) sender: Sender,
    pub(super) streams: BTreeMap<StreamId, Stream<T>>,
    pub(super) actions: VecDeque<Action<T>>,
    /// What we hold the peer to, and what it holds us to.
    pub(super) ours: Terms,
    pub(super) theirs: Terms,
    pub(super) local: Calls,
    pub(super) remote: Calls,
    pub(super) pulse: Pulse,
    pub(super) our_drain: Drain,
    pub(super) peer_drains: bool,
    /// Bytes by which windows have grown, in all.
    pub(super) grown: usize,
}

/// How far the connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Life {
    /// The peer's hello must come by then.
    Hello {
        until: Instant,
    },
    Open,
    Closed,
}

/// The calls that one side opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calls {
    /// The number of the next one, if it was ours; the lowest that it may have, if the peer's.
    pub(super) next: u64,
    /// How many are under way.
    pub(super) open: usize,
}

/// Signs of life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pulse {
    /// When the peer counts as lost if nothing comes.
    pub(super) silence: Instant,
    /// Whether the peer was given more time, since something came last, for what we slept through.
    pub(super) excused: bool,
    /// When to send the next ping.
    pub(super) beat: Instant,
    /// Pings sent so far; the number of the last one is its token.
    pub(super) pings: u64,
    /// The round-trip time, once a pong has come.
    pub(super) rtt: Option<Duration>,
    /// When the last ping was sent, if its pong is still to come.
    pub(super) waiting: Option<Instant>,
}

/// How far our own drain has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Drain {
    No,
    Asked,
    /// The peer opens no more calls.
    Acknowledged,
    Done,
}

impl<T: Copy> Machine<T> {
    /// A tunnel whose WebSocket is open. The hello is in the outbox at once.
    pub fn new(now: Instant, role: Role, me: &Identity, limits: Arc<Limits>) -> Self {
        let ours = Terms::ours(&limits);
        assert!(
            first_windows(&limits) <= limits.tunnel_bytes,
            "the first windows of all calls, both sides', fit into tunnel_bytes"
        );
        assert!(varint::wide(limits.window_bytes_max) <= hello::CREDIT_MAX, "windows have a limit");
        assert!(!limits.heartbeat.is_zero(), "a heartbeat takes time");
        let mut clock = Monotonic::default();
        let now = clock.advance(now);
        let mut sender = Sender::new(&limits);
        sender.frame(Kind::Hello, StreamId(0), &hello::encode(me, &limits));
        let (local, remote) = match role {
            Role::Dialer => (1, 2),
            Role::Acceptor => (2, 1),
        };
        Self {
            clock,
            life: Life::Hello { until: now + limits.handshake_timeout },
            reader: Reader::new(ours.block),
            sender,
            streams: BTreeMap::new(),
            actions: VecDeque::new(),
            ours,
            theirs: Terms::default(),
            local: Calls { next: local, open: 0 },
            remote: Calls { next: remote, open: 0 },
            pulse: Pulse {
                silence: now + limits.heartbeat.saturating_mul(2),
                excused: false,
                beat: now,
                pings: 0,
                rtt: None,
                waiting: None,
            },
            our_drain: Drain::No,
            peer_drains: false,
            grown: 0,
            limits,
        }
    }

    /// What the next call opened here will be called.
    pub fn next_stream(&self) -> StreamId {
        StreamId(self.local.next)
    }

    /// Whether a call may be opened now: the hello came, the peer does not drain, and its limit
    /// on calls is not reached.
    pub fn may_open(&self) -> bool {
        let most = self.theirs.streams.min(self.limits.streams);
        self.life == Life::Open && !self.peer_drains && self.local.open < most
    }

    /// Calls under way, in both directions.
    pub fn calls(&self) -> usize {
        self.streams.len()
    }

    /// Calls under way that were opened here.
    pub const fn opened(&self) -> usize {
        self.local.open
    }

    /// Whether there are frames to send as the next message.
    pub fn has_message(&self) -> bool {
        self.sender.has_message()
    }

    /// Bytes of the messages that wait to be taken.
    pub fn pending(&self) -> usize {
        self.sender.pending()
    }

    /// Takes the frames that make up the next message.
    pub fn take_message(&mut self) -> Outbox {
        self.sender.take_message()
    }

    /// Takes note that bytes came, whatever they carry.
    pub(crate) fn hear(&mut self, now: Instant) {
        self.clock.advance(now);
        self.heard();
    }

    fn open(&mut self, id: StreamId, tag: T, head: &RequestHead, end: bool) {
        assert_eq!(id, self.next_stream(), "calls are opened in the order of their numbers");
        let may_open = self.may_open();
        self.local.next += 2;
        let fits = head.fields.len() <= self.theirs.fields;
        let put = |out: &mut BytesMut| block::put_request(out, head);
        let refusal = if self.peer_drains {
            Some(Reason::Draining)
        } else if !may_open {
            Some(Reason::StreamLimit)
        } else if fits && self.sender.block(Kind::Request, id, end, self.theirs.block, put) {
            None
        } else {
            Some(Reason::HeadTooLarge)
        };
        if let Some(reason) = refusal {
            let word = Word::Reset(Reset { reason, started: false });
            self.actions.push_back(Action::Said { stream: id, tag: Some(tag), word });
            return;
        }
        self.local.open += 1;
        let outbound = if end { Stage::Ended } else { Stage::Body };
        self.insert(id, Some(tag), Stage::Head, outbound);
    }

    /// Adds a call, and tells the parent how much it may send.
    pub(super) fn insert(&mut self, id: StreamId, tag: Option<T>, inbound: Stage, outbound: Stage) {
        let credit = if outbound == Stage::Ended { 0 } else { self.theirs.window };
        let stream = Stream {
            tag,
            inbound,
            outbound,
            window: Window::new(self.ours.window, self.clock.now()),
            credit,
            queue: Outbox::new(),
            tail: Tail::None,
            message: self.sender.message(),
            interims: 0,
            sated: false,
        };
        self.streams.insert(id, stream);
        if credit > 0 {
            self.actions.push_back(Action::Said { stream: id, tag, word: Word::Credit(credit) });
        }
    }

    /// Frames what waits, as far as there is room.
    fn set_room(&mut self, room: usize) {
        self.sender.set_room(room);
        while let Some(id) = self.sender.next_turn() {
            let stream = self.streams.get_mut(&id).expect("a stream that is gone has no turn");
            self.sender.turn(id, stream);
            if stream.sated && !stream.waits() && !stream.is_over() {
                self.send_reset(id, SATED);
                self.remove(id);
            } else {
                self.remove_done(id);
            }
        }
    }

    fn drain(&mut self) {
        if self.our_drain == Drain::No {
            self.our_drain = Drain::Asked;
            self.sender.frame(Kind::Drain, StreamId(0), &[]);
        }
    }

    /// Notes a sign of life.
    pub(super) fn heard(&mut self) {
        self.pulse.silence = self.clock.now() + self.limits.heartbeat.saturating_mul(2);
        self.pulse.excused = false;
    }

    /// Sends a ping, unless one is unanswered.
    fn beat(&mut self) {
        self.pulse.beat = self.clock.now() + self.limits.heartbeat;
        if self.pulse.waiting.is_none() {
            self.ping();
        }
    }

    pub(super) fn ping(&mut self) {
        self.pulse.pings += 1;
        self.pulse.waiting = Some(self.clock.now());
        self.sender.frame(Kind::Ping, StreamId(0), &self.pulse.pings.to_be_bytes());
    }

    /// Forgets a call if nothing of it is left to do.
    pub(super) fn remove_done(&mut self, id: StreamId) {
        if self.streams.get(&id).is_some_and(Stream::is_done) {
            self.remove(id);
        }
    }

    /// Forgets a call.
    pub(super) fn remove(&mut self, id: StreamId) -> Option<Stream<T>> {
        let stream = self.streams.remove(&id)?;
        self.sender.forget(id, &stream);
        self.grown -= stream.window.size() - self.ours.window;
        if self.is_local(id) {
            self.local.open -= 1;
        } else {
            self.remote.open -= 1;
        }
        self.check_drained();
        Some(stream)
    }

    pub(super) fn check_drained(&mut self) {
        if self.our_drain == Drain::Acknowledged && self.remote.open == 0 {
            self.our_drain = Drain::Done;
            self.actions.push_back(Action::Drained);
        }
    }

    /// Ends the tunnel: each call hears it, then the parent. What is not sent will not be, so
    /// that a request which nobody saw leave has not left.
    pub(super) fn close(&mut self, reason: Reason) {
        self.life = Life::Closed;
        for (id, stream) in core::mem::take(&mut self.streams) {
            if !stream.is_left() {
                let started = !self.is_local(id) || self.sender.was_taken(stream.message);
                let word = Word::Reset(Reset { reason, started });
                self.actions.push_back(Action::Said { stream: id, tag: stream.tag, word });
            }
        }
        (self.local.open, self.remote.open) = (0, 0);
        self.sender.clear();
        self.reader.shrink();
        self.actions.push_back(Action::Closed(reason));
    }

    pub(super) fn is_local(&self, id: StreamId) -> bool {
        id.0 % 2 == self.local.next % 2
    }
}

impl<T: Copy> crate::Machine for Machine<T> {
    type Input = Input<T>;
    type Action = Action<T>;

    fn handle(&mut self, now: Instant, input: Input<T>) {
        self.clock.advance(now);
        if self.life == Life::Closed {
            return;
        }
        match input {
            Input::Received(bytes) => self.receive(bytes),
            Input::MessageEnd => self.message_end(),
            Input::Open { stream, tag, head, end } => self.open(stream, tag, &head, end),
            Input::Tag { stream, tag } => {
                if let Some(stream) = self.streams.get_mut(&stream) {
                    stream.tag = Some(tag);
                }
            }
            Input::Say { stream, word } => self.say(stream, word),
            Input::Room(room) => self.set_room(room),
            Input::Drain => self.drain(),
            Input::Lost(reason) => self.close(reason),
        }
    }

    fn tick(&mut self, now: Instant) {
        let asked = self.deadline();
        let now = self.clock.advance(now);
        match self.life {
            Life::Hello { until } if now >= until => self.close(Reason::HeartbeatTimeout),
            Life::Open if now >= self.pulse.silence => {
                let late = asked.is_some_and(|at| now.since(at) > self.limits.heartbeat / 4);
                if late && !self.pulse.excused {
                    // We slept, and what the peer said meanwhile may lie in the socket.
                    self.pulse.excused = true;
                    self.pulse.silence = now + self.limits.heartbeat;
                    self.beat();
                } else {
                    self.close(Reason::HeartbeatTimeout);
                }
            }
            Life::Open if now >= self.pulse.beat => {
                self.beat();
                if self.streams.is_empty() {
                    self.sender.shrink();
                    self.reader.shrink();
                    self.actions.shrink_to_fit();
                }
            }
            Life::Hello { .. } | Life::Open | Life::Closed => {}
        }
    }

    fn poll(&mut self) -> Option<Action<T>> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        match self.life {
            Life::Hello { until } => Some(until),
            Life::Open => Some(self.pulse.beat.min(self.pulse.silence)),
            Life::Closed => None,
        }
    }
}
