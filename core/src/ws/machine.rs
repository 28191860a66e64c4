//! One connection: what is said, what is heard, and how it ends.

use super::codec::{self, Control, Header, Key, Opcode};
use super::reader::{Event, Reader};
use super::{Action, Input, Kind, Role, close};
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::seed::{Dice, Seed};
use crate::time::{Instant, Monotonic};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use bytes::{Buf, BytesMut};

/// One WebSocket connection after the handshake.
///
/// Made to be small while idle: it holds buffers only while something is cut or waits.
#[derive(Debug)]
pub struct Machine {
    outbox: Outbox,
    actions: VecDeque<Action>,
    reader: Reader,
    /// What came behind the bytes that the first waiting action is about: it is looked at when
    /// that was taken, so that a parent which closes at once has not been told of more.
    input: BytesMut,
    /// Whether the reader may find more, be it in no bytes at all.
    more: bool,
    side: Side,
    stage: Stage,
    /// The latest ping that could not be answered yet, because the peer takes no bytes.
    unanswered: Option<BytesMut>,
    clock: Monotonic,
    limits: Arc<Limits>,
}

/// Who we are, with what only a client needs.
#[derive(Debug)]
enum Side {
    Client(Box<Dice>),
    Server,
}

/// How far the connection has come.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Messages go both ways.
    Open {
        /// When the peer will have taken nothing of what waits for too long.
        stalled: Option<Instant>,
    },
    /// We closed; the peer has yet to. Its time begins anew whenever it takes some of what waits.
    Closing { until: Instant },
    /// Both have closed, or the peer broke the rules: what arrives is thrown away, up to `left`
    /// bytes, so that a reset does not destroy our last frame.
    Lingering { until: Instant, reason: Reason, left: usize },
    /// Nothing more will be read; the last bytes are to be sent.
    Flushing { until: Instant, reason: Reason },
    /// It is over.
    Closed,
}

impl Machine {
    /// A connection whose handshake is done. `outbox` is what the handshake has still to send.
    /// Bytes that came behind the handshake are the first [`Input::Received`].
    pub fn new(role: Role, seed: &Seed, limits: Arc<Limits>, outbox: Outbox) -> Self {
        let (side, masked) = match role {
            Role::Client => (Side::Client(Box::new(seed.fork("ws masks").roll())), false),
            Role::Server => (Side::Server, true),
        };
        Self {
            outbox,
            actions: VecDeque::new(),
            reader: Reader::new(masked),
            input: BytesMut::new(),
            more: false,
            side,
            stage: Stage::Open { stalled: None },
            unanswered: None,
            clock: Monotonic::default(),
            limits,
        }
    }

    /// The same, for a protocol that knows no text: a text message is refused when its header
    /// is read, with [`Reason::UnsupportedData`].
    pub fn binary(role: Role, seed: &Seed, limits: Arc<Limits>, outbox: Outbox) -> Self {
        let mut machine = Self::new(role, seed, limits, outbox);
        machine.reader.refuse_text();
        machine
    }

    fn received(&mut self, bytes: BytesMut) {
        self.read_all();
        self.input = bytes;
        self.more = true;
        self.read();
    }

    /// Reads on to what the parent must hear.
    fn read(&mut self) {
        while self.actions.is_empty() && self.read_one() {}
    }

    fn read_all(&mut self) {
        while self.read_one() {}
    }

    /// Reads one event. Returns whether there may be more.
    fn read_one(&mut self) -> bool {
        if !self.more {
            return false;
        }
        if self.stage.reads() {
            match self.reader.next(&mut self.input) {
                Ok(Some(event)) => self.event(event),
                Ok(None) => self.more = false,
                Err(reason) => self.fail(reason),
            }
        } else {
            self.more = false;
            self.discard(self.input.len());
        }
        if !self.more {
            self.input = BytesMut::new();
        }
        self.more
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Piece { kind, bytes } => self.actions.push_back(Action::Piece { kind, bytes }),
            Event::End { kind } => self.actions.push_back(Action::MessageEnd { kind }),
            Event::Pong(payload) => self.actions.push_back(Action::Pong(payload)),
            Event::Ping(payload) => {
                self.unanswered = Some(payload);
                self.answer();
            }
            Event::Close(body) => self.peer_closed(&body),
        }
    }

    /// Answers the latest ping, unless too much waits already: a peer that pings and does not
    /// read must not fill our memory (section 5.5.3 asks for the latest only).
    fn answer(&mut self) {
        if self.stage.is_open()
            && self.outbox.len() <= self.limits.outbox_bytes
            && let Some(payload) = self.unanswered.take()
        {
            self.control(Control::Pong, payload);
        }
    }

    fn peer_closed(&mut self, body: &[u8]) {
        let close = match close::read(body) {
            Ok(close) => close,
            Err(reason) => return self.fail(reason),
        };
        match self.stage {
            Stage::Open { .. } => {
                self.control(Control::Close, close::code_body(close.code));
                self.linger(self.last_moment(), close.reason);
            }
            Stage::Closing { until } => self.linger(until, Reason::Closed),
            Stage::Lingering { .. } | Stage::Flushing { .. } | Stage::Closed => return,
        }
        // The server is the one to end the TCP connection (section 7.1.1).
        match self.side {
            Side::Server => self.actions.push_back(Action::Finish),
            Side::Client(_) => {}
        }
    }

    /// The peer broke the rules: tell it why, and hear nothing more from it (section 7.1.7).
    fn fail(&mut self, reason: Reason) {
        match self.stage {
            Stage::Open { .. } => {
                self.control(Control::Close, close::body(reason));
                self.linger(self.last_moment(), reason);
            }
            Stage::Closing { until } => self.linger(until, reason),
            Stage::Lingering { .. } | Stage::Flushing { .. } | Stage::Closed => return,
        }
        self.actions.push_back(Action::Finish);
    }

    fn linger(&mut self, until: Instant, reason: Reason) {
        self.stage = Stage::Lingering { until, reason, left: self.limits.linger_bytes };
        self.unanswered = None;
    }

    fn discard(&mut self, count: usize) {
        if let Stage::Lingering { until, reason, left } = self.stage {
            self.stage = match left.checked_sub(count) {
                Some(left) => Stage::Lingering { until, reason, left },
                None => Stage::Flushing { until, reason },
            };
            self.end_when_flushed();
        }
    }

    fn eof(&mut self) {
        match self.stage {
            Stage::Open { .. } | Stage::Closing { .. } => self.end(Reason::ConnectionLost),
            Stage::Lingering { until, reason, .. } => {
                self.stage = Stage::Flushing { until, reason };
                self.end_when_flushed();
            }
            Stage::Flushing { .. } | Stage::Closed => {}
        }
    }

    fn sent(&mut self, count: usize) {
        Buf::advance(&mut self.outbox, count);
        let last_moment = self.last_moment();
        match &mut self.stage {
            Stage::Open { stalled } if count > 0 => *stalled = None,
            // The peer cannot answer before it has read what lies in front of our close frame.
            Stage::Closing { until } if count > 0 => *until = last_moment,
            Stage::Open { .. }
            | Stage::Closing { .. }
            | Stage::Lingering { .. }
            | Stage::Flushing { .. }
            | Stage::Closed => {}
        }
        self.answer();
        self.end_when_flushed();
    }

    /// Sends a message as one frame.
    fn message(&mut self, kind: Kind, mut payload: Outbox) {
        let mut key = self.side.key();
        let len = u64::try_from(payload.len()).expect("a message is shorter than 2^63 bytes");
        Header { opcode: Opcode::Data(kind), fin: true, len, key }.put(&mut self.outbox);
        while let Some(mut segment) = Outbox::take(&mut payload) {
            key = key.map(|key| codec::mask(&mut segment, key));
            self.outbox.push(segment);
        }
    }

    fn control(&mut self, frame: Control, mut payload: BytesMut) {
        let key = self.side.key();
        let len = u64::try_from(payload.len()).expect("a control frame is short");
        Header { opcode: Opcode::Control(frame), fin: true, len, key }.put(&mut self.outbox);
        if let Some(key) = key {
            codec::mask(&mut payload, key);
        }
        self.outbox.put(&payload);
    }

    fn end_when_flushed(&mut self) {
        if let Stage::Flushing { reason, .. } = self.stage
            && self.outbox.is_empty()
        {
            self.end(reason);
        }
    }

    fn end(&mut self, reason: Reason) {
        self.stage = Stage::Closed;
        self.unanswered = None;
        self.outbox.clear();
        self.actions.push_back(Action::Closed(reason));
    }

    /// Watches over bytes that wait for the peer to take them.
    fn watch(&mut self) {
        if let Stage::Open { stalled } = &mut self.stage {
            *stalled = if self.outbox.is_empty() {
                None
            } else {
                stalled.or(Some(self.clock.now() + self.limits.write_timeout))
            };
        }
    }

    /// What waits to be written.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Why nothing more will be heard, once that is so and until all is over.
    pub fn ending(&self) -> Option<Reason> {
        match self.stage {
            Stage::Lingering { reason, .. } | Stage::Flushing { reason, .. } => Some(reason),
            Stage::Open { .. } | Stage::Closing { .. } | Stage::Closed => None,
        }
    }

    /// When a close handshake that begins now has taken too long.
    fn last_moment(&self) -> Instant {
        self.clock.now() + self.limits.linger_timeout
    }
}

impl Side {
    /// A new mask for one frame, unpredictable to whoever chose the payload (section 5.3).
    fn key(&mut self) -> Option<Key> {
        match self {
            Self::Client(dice) => Some(dice.word().to_le_bytes()),
            Self::Server => None,
        }
    }
}

impl Stage {
    fn is_open(self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// Whether what arrives means something.
    fn reads(self) -> bool {
        matches!(self, Self::Open { .. } | Self::Closing { .. })
    }

    /// When it ends by itself, and why.
    fn end(self) -> Option<(Instant, Reason)> {
        match self {
            Self::Open { stalled } => stalled.map(|at| (at, Reason::WriteTimeout)),
            Self::Closing { until } => Some((until, Reason::ConnectionLost)),
            Self::Lingering { until, reason, .. } | Self::Flushing { until, reason } => {
                Some((until, reason))
            }
            Self::Closed => None,
        }
    }
}

impl crate::Machine for Machine {
    type Input = Input;
    type Action = Action;

    fn handle(&mut self, now: Instant, input: Input) {
        self.clock.advance(now);
        if matches!(self.stage, Stage::Closed) {
            return;
        }
        match input {
            Input::Received(bytes) => self.received(bytes),
            Input::Eof => {
                self.read_all();
                self.eof();
            }
            Input::Sent(count) => self.sent(count),
            Input::Message { kind, payload } => {
                if self.stage.is_open() {
                    self.message(kind, payload);
                }
            }
            Input::Ping(payload) => {
                assert!(payload.len() <= codec::CONTROL_MAX, "a ping has at most 125 bytes");
                if self.stage.is_open() {
                    self.control(Control::Ping, payload);
                }
            }
            Input::Close(reason) => {
                if self.stage.is_open() {
                    self.control(Control::Close, close::body(reason));
                    self.unanswered = None;
                    self.stage = Stage::Closing { until: self.last_moment() };
                }
            }
        }
        self.watch();
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        if let Some((at, reason)) = self.stage.end()
            && at <= now
        {
            self.end(reason);
        }
    }

    fn poll(&mut self) -> Option<Action> {
        if self.more && self.actions.is_empty() {
            self.read();
            self.watch();
        }
        let action = self.actions.pop_front();
        if action.is_none() && self.actions.capacity() > ACTIONS_KEPT {
            self.actions = VecDeque::new();
        }
        action
    }

    fn deadline(&self) -> Option<Instant> {
        self.stage.end().map(|(at, _)| at)
    }
}

/// Room for so many actions is kept while there are none.
const ACTIONS_KEPT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_costs_little() {
        let size = core::mem::size_of::<Machine>();
        assert!(size <= 320, "{size} bytes");
    }
}
