//! What the tests of the RPC machine share: a pair of machines and short ways to speak.
#![allow(dead_code, reason = "each test file uses its part")]

use bytes::{Buf as _, Bytes, BytesMut};
use http::{Method, StatusCode};
use pico_core::head::{Fields, RequestHead, ResponseHead};
use pico_core::id::StreamId;
use pico_core::rpc::{Action, Identity, Input, Machine, Reset, Role, Word};
use pico_core::{Instant, Limits, Machine as _, Reason};
use std::sync::Arc;

pub(crate) type Tunnel = Machine<u64>;

pub(crate) const T0: Instant = Instant::from_nanos(1_000_000_000);

pub(crate) fn millis(ms: u64) -> Instant {
    Instant::from_nanos(T0.as_nanos() + ms * 1_000_000)
}

pub(crate) fn new(role: Role, limits: &Limits) -> Tunnel {
    let me = match role {
        Role::Dialer => Identity { id: "agent-1".into(), agent: "pico/test".into() },
        Role::Acceptor => Identity { id: "node-1".into(), agent: "pico/test".into() },
    };
    Machine::new(T0, role, &me, Arc::new(limits.clone()))
}

/// All messages that wait.
pub(crate) fn messages(machine: &mut Tunnel) -> Vec<Bytes> {
    let mut messages = Vec::new();
    while machine.has_message() {
        let mut message = machine.take_message();
        messages.push(message.copy_to_bytes(message.remaining()));
    }
    messages
}

/// All actions that wait.
pub(crate) fn actions(machine: &mut Tunnel) -> Vec<Action<u64>> {
    std::iter::from_fn(|| machine.poll()).collect()
}

/// Hands one message over.
pub(crate) fn deliver(machine: &mut Tunnel, now: Instant, message: &[u8]) {
    if !message.is_empty() {
        machine.handle(now, Input::Received(BytesMut::from(message)));
    }
    machine.handle(now, Input::MessageEnd);
}

/// Two ends of one tunnel.
pub(crate) struct Pair {
    pub(crate) dialer: Tunnel,
    pub(crate) acceptor: Tunnel,
    pub(crate) now: Instant,
}

impl Pair {
    /// Both hellos are exchanged, and there is plenty of room.
    pub(crate) fn new(limits: &Limits) -> Self {
        let (dialer, acceptor) = (new(Role::Dialer, limits), new(Role::Acceptor, limits));
        let mut pair = Self { dialer, acceptor, now: T0 };
        pair.dialer.handle(T0, Input::Room(usize::MAX));
        pair.acceptor.handle(T0, Input::Room(usize::MAX));
        pair.exchange();
        actions(&mut pair.dialer);
        actions(&mut pair.acceptor);
        pair
    }

    /// Carries messages to and fro until none is left.
    pub(crate) fn exchange(&mut self) {
        loop {
            let (there, back) = (messages(&mut self.dialer), messages(&mut self.acceptor));
            if there.is_empty() && back.is_empty() {
                return;
            }
            for message in there {
                deliver(&mut self.acceptor, self.now, &message);
            }
            for message in back {
                deliver(&mut self.dialer, self.now, &message);
            }
        }
    }

    pub(crate) fn open(&mut self, from: Role, tag: u64, head: RequestHead, end: bool) -> StreamId {
        let now = self.now;
        let machine = self.at(from);
        let stream = machine.next_stream();
        machine.handle(now, Input::Open { stream, tag, head, end });
        stream
    }

    pub(crate) fn say(&mut self, from: Role, stream: StreamId, word: Word) {
        let now = self.now;
        self.at(from).handle(now, Input::Say { stream, word });
    }

    /// The words that one side has heard about its calls, credit aside.
    pub(crate) fn heard(&mut self, at: Role) -> Vec<Word> {
        let words = actions(self.at(at)).into_iter().filter_map(|action| match action {
            Action::Opened { head, end, .. } => Some(Word::Request { head, end }),
            Action::Said { word, .. } => Some(word),
            Action::Ready(_)
            | Action::RoundTrip(_)
            | Action::PeerDrains
            | Action::Drained
            | Action::Closed(_) => None,
        });
        words.filter(|word| !matches!(word, Word::Credit(_))).collect()
    }

    pub(crate) fn at(&mut self, role: Role) -> &mut Tunnel {
        match role {
            Role::Dialer => &mut self.dialer,
            Role::Acceptor => &mut self.acceptor,
        }
    }
}

pub(crate) fn fields(list: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in list {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    fields
}

pub(crate) fn get(list: &[(&str, &str)]) -> RequestHead {
    RequestHead::new(Method::GET, b"/", fields(list))
}

pub(crate) fn ok(list: &[(&str, &str)]) -> ResponseHead {
    ResponseHead::new(StatusCode::OK, b"OK", fields(list))
}

pub(crate) fn data(bytes: &[u8], end: bool) -> Word {
    Word::Data { bytes: BytesMut::from(bytes), end }
}

pub(crate) fn reset(reason: Reason, started: bool) -> Word {
    Word::Reset(Reset { reason, started })
}

/// Limits small enough that a test reaches them.
pub(crate) fn small() -> Limits {
    Limits {
        head_bytes: 1024,
        head_fields: 8,
        frame_bytes: 64,
        message_bytes: 256,
        streams: 4,
        window_bytes: 128,
        window_bytes_max: 1024,
        tunnel_bytes: 4096,
        ..Limits::default()
    }
}
