//! A tunnel: the RPC machine on a WebSocket, as both agents and nodes hold it after the
//! handshake, and the dialler's side of that.

mod shake;

pub use shake::{Refusal, Shake, Shaken};

use crate::id::StreamId;
use crate::limits::Limits;
use crate::machine::Machine as _;
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::rpc::{Reset, Word};
use crate::seed::Seed;
use crate::time::{Instant, Monotonic};
use crate::{rpc, ws};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use bytes::BytesMut;

/// What a tunnel is told.
#[derive(Debug)]
pub enum Input<T> {
    /// Bytes from the peer.
    Received(BytesMut),
    /// The peer's FIN.
    Eof,
    /// The socket took so many bytes of the outbox.
    Sent(usize),
    /// The socket broke.
    Lost,
    /// For the RPC machine: `Open`, `Tag`, `Say` or `Drain`.
    Rpc(rpc::Input<T>),
    /// Close, telling the peer why. Calls under way are reset.
    Close(Reason),
}

/// What a tunnel asks for.
#[derive(PartialEq, Eq, Debug)]
pub enum Action<T> {
    /// From the RPC machine; never its `Closed`.
    Rpc(rpc::Action<T>),
    /// Send FIN when the outbox is empty.
    Finish,
    /// The connection is over: drop it. The last action; each call has had its `Reset` before.
    Closed(Reason),
}

/// One side of one tunnel, WebSocket and calls.
#[derive(Debug)]
pub struct Machine<T> {
    ws: ws::Machine,
    rpc: rpc::Machine<T>,
    limits: Arc<Limits>,
    clock: Monotonic,
    actions: VecDeque<Action<T>>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Open,
    /// The RPC machine is finished with; the close handshake is under way. Holds why.
    Closing(Reason),
    Closed,
}

impl<T: Copy> Machine<T> {
    /// A tunnel whose handshake is done; `outbox` is what the handshake has still to send.
    pub fn new(
        now: Instant,
        role: rpc::Role,
        me: &rpc::Identity,
        seed: &Seed,
        limits: Arc<Limits>,
        outbox: Outbox,
    ) -> Self {
        let side = match role {
            rpc::Role::Dialer => ws::Role::Client,
            rpc::Role::Acceptor => ws::Role::Server,
        };
        let mut clock = Monotonic::default();
        clock.advance(now);
        let mut tunnel = Self {
            ws: ws::Machine::binary(side, seed, Arc::clone(&limits), outbox),
            rpc: rpc::Machine::new(now, role, me, Arc::clone(&limits)),
            limits,
            clock,
            actions: VecDeque::new(),
            stage: Stage::Open,
        };
        tunnel.drain_rpc();
        tunnel
    }

    /// What waits to be written.
    pub fn outbox(&self) -> &Outbox {
        self.ws.outbox()
    }

    /// How many bytes would be taken now. Data is bounded by credit; a peer that makes us answer
    /// without reading the answers is not read from. What we ask it ourselves does not count: two
    /// who both have much to say, and wait for each other to read it, would wait for ever.
    pub fn room(&self) -> usize {
        let asked = self.rpc.opened().saturating_mul(self.limits.head_bytes);
        let most = self.limits.outbox_bytes.saturating_mul(4).saturating_add(asked);
        let flooded = self.outbox().len() > most;
        if self.stage == Stage::Closed || flooded { 0 } else { self.limits.message_bytes }
    }

    /// What the next call opened here will be called.
    pub fn next_stream(&self) -> StreamId {
        self.rpc.next_stream()
    }

    /// Whether it is not being closed.
    pub fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Why it is being closed, while it is.
    pub fn ending(&self) -> Option<Reason> {
        match self.stage {
            Stage::Closing(reason) => Some(reason),
            Stage::Open | Stage::Closed => None,
        }
    }

    /// Whether a call may be opened now.
    pub fn may_open(&self) -> bool {
        self.stage == Stage::Open && self.rpc.may_open()
    }

    /// Whether more waits to be written than should: what may be left out should be.
    pub fn is_full(&self) -> bool {
        let waits = self.outbox().len().saturating_add(self.rpc.pending());
        waits > self.limits.outbox_bytes
    }

    /// Calls under way, in both directions.
    pub fn calls(&self) -> usize {
        self.rpc.calls()
    }

    fn feed(&mut self, input: rpc::Input<T>) {
        if self.stage == Stage::Open {
            self.rpc.handle(self.clock.now(), input);
            self.drain_rpc();
        } else if let rpc::Input::Open { stream, tag, .. } = input {
            self.refuse(stream, tag);
        }
    }

    /// A call that is opened while the tunnel is being closed has not started.
    fn refuse(&mut self, stream: StreamId, tag: T) {
        let (reason, closed) = match (self.stage, self.actions.back()) {
            (Stage::Closing(reason), _) => (reason, None),
            // Its parent has yet to hear that it is closed, which is the last that it hears.
            (Stage::Closed, Some(Action::Closed(reason))) => (*reason, self.actions.pop_back()),
            (Stage::Open | Stage::Closed, _) => return,
        };
        let word = Word::Reset(Reset { reason, started: false });
        let said = rpc::Action::Said { stream, tag: Some(tag), word };
        self.actions.push_back(Action::Rpc(said));
        self.actions.extend(closed);
    }

    fn drain_rpc(&mut self) {
        while let Some(action) = self.rpc.poll() {
            match action {
                rpc::Action::Closed(reason) => {
                    self.flush();
                    self.stage = Stage::Closing(reason);
                    self.ws.handle(self.clock.now(), ws::Input::Close(reason));
                }
                rpc::Action::Ready(_)
                | rpc::Action::Opened { .. }
                | rpc::Action::Said { .. }
                | rpc::Action::RoundTrip(_)
                | rpc::Action::PeerDrains
                | rpc::Action::Drained => self.actions.push_back(Action::Rpc(action)),
            }
        }
    }

    fn drain_ws(&mut self) {
        while let Some(action) = self.ws.poll() {
            match action {
                ws::Action::Piece { kind: ws::Kind::Binary, bytes } => {
                    self.feed(rpc::Input::Received(bytes));
                }
                ws::Action::MessageEnd { kind: ws::Kind::Binary } => {
                    self.feed(rpc::Input::MessageEnd);
                }
                // Text is refused before any of it is told.
                ws::Action::Piece { kind: ws::Kind::Text, .. }
                | ws::Action::MessageEnd { kind: ws::Kind::Text }
                | ws::Action::Pong(_) => {}
                ws::Action::Finish if self.stage == Stage::Closed => {}
                ws::Action::Finish => self.actions.push_back(Action::Finish),
                ws::Action::Closed(reason) => self.closed(reason),
            }
        }
        if let Some(reason) = self.ws.ending() {
            self.feed(rpc::Input::Lost(reason));
        }
    }

    fn closed(&mut self, reason: Reason) {
        self.feed(rpc::Input::Lost(reason));
        let reason = match self.stage {
            Stage::Closing(why) => why,
            Stage::Open => reason,
            Stage::Closed => return,
        };
        self.stage = Stage::Closed;
        self.actions.push_back(Action::Closed(reason));
    }

    /// Turns waiting frames into messages as far as the outbox has room: all that one turn
    /// produced shares a message.
    fn flush(&mut self) {
        if self.stage != Stage::Open {
            return;
        }
        let now = self.clock.now();
        loop {
            let room = self.limits.outbox_bytes.saturating_sub(self.outbox().len());
            self.rpc.handle(now, rpc::Input::Room(room));
            if !self.rpc.has_message() {
                return;
            }
            let payload = self.rpc.take_message();
            self.ws.handle(now, ws::Input::Message { kind: ws::Kind::Binary, payload });
        }
    }
}

impl<T: Copy> crate::Machine for Machine<T> {
    type Input = Input<T>;
    type Action = Action<T>;

    fn handle(&mut self, now: Instant, input: Input<T>) {
        let now = self.clock.advance(now);
        match input {
            Input::Received(bytes) => {
                // Any byte is a sign of life, one of a WebSocket header or ping too.
                if !bytes.is_empty() {
                    self.rpc.hear(now);
                }
                self.ws.handle(now, ws::Input::Received(bytes));
            }
            Input::Eof => self.ws.handle(now, ws::Input::Eof),
            Input::Sent(count) => self.ws.handle(now, ws::Input::Sent(count)),
            Input::Lost => self.closed(Reason::ConnectionLost),
            Input::Rpc(input) => self.feed(input),
            Input::Close(reason) => {
                self.flush();
                self.feed(rpc::Input::Lost(reason));
            }
        }
        self.drain_ws();
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        self.ws.tick(now);
        self.drain_ws();
        if self.stage == Stage::Open {
            self.rpc.tick(now);
            self.drain_rpc();
        }
    }

    fn poll(&mut self) -> Option<Action<T>> {
        if self.actions.is_empty() {
            self.flush();
            // The last of an answer that goes out can be the end of its call, and of a drain.
            self.drain_rpc();
            self.drain_ws();
        }
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Open => self.ws.deadline().into_iter().chain(self.rpc.deadline()).min(),
            Stage::Closing(_) => self.ws.deadline(),
            Stage::Closed => None,
        }
    }
}
