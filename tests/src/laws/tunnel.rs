//! A tunnel under law. Its peer is another tunnel, so that what it hears makes sense, most of
//! the time; what it writes is seen by what the peer makes of it.

use super::{Event, Seen, Subject};
use crate::choices::{Choices, keyed};
use bytes::{Buf as _, BytesMut};
use http::{Method, StatusCode};
use pico_core::head::{Fields, RequestHead, ResponseHead};
use pico_core::id::StreamId;
use pico_core::rpc::{self, Identity, Reset, Role, Word};
use pico_core::tunnel::{Action, Input, Machine};
use pico_core::{Instant, Limits, Machine as _, Outbox, Reason, Seed};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A tunnel, its caller and its peer.
#[derive(Debug)]
pub struct Tunnel {
    limits: Arc<Limits>,
    mine: Ledger,
    peer: Peer,
}

/// Something that happens to a tunnel.
#[derive(Debug)]
pub enum Step {
    /// Its caller does something.
    Mine(Act),
    /// The peer's caller does something.
    Theirs(Act),
    /// The peer sends bytes that mean nothing.
    Noise(Vec<u8>),
    /// The peer sends its FIN.
    Eof,
    /// The socket breaks.
    Lost,
    /// We close.
    Close(Reason),
    /// The socket takes nothing, or everything again.
    Stall(bool),
}

/// What a caller can do. Which call it concerns, and how much, is bounded when it is done.
#[derive(Debug)]
pub enum Act {
    /// Calls, with or without a body to follow.
    Open(bool),
    /// Answers a call, with or without a body to follow, or for the time being.
    Respond(usize, bool, bool),
    /// Says so many bytes of a body, perhaps the last.
    Data(usize, usize, bool),
    /// Ends a body with trailers.
    Trailers(usize),
    /// Cuts a call short.
    Reset(usize),
    /// Takes so many of the bytes that came.
    Take(usize, usize),
    /// Wants no more calls.
    Drain,
}

/// What a caller knows of its calls.
#[derive(Default, Debug)]
pub(super) struct Ledger {
    calls: BTreeMap<StreamId, Call>,
}

#[derive(Debug)]
pub(super) struct Call {
    /// What we may say next.
    pub(super) out: Out,
    pub(super) credit: usize,
    /// Bytes that came and were not taken.
    pub(super) owed: usize,
    pub(super) sent: u64,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Out {
    Head,
    Body,
    Ended,
}

#[derive(Debug)]
pub(super) struct Peer {
    tunnel: Machine<u32>,
    ledger: Ledger,
    pub(super) heard: Vec<u8>,
    /// What it did since it was last asked.
    pub(super) actions: Vec<Action<u32>>,
}

impl Ledger {
    /// What `act` comes down to, if it can be done now.
    fn input(&mut self, tunnel: &Machine<u32>, act: &Act) -> Option<rpc::Input<u32>> {
        let which = match *act {
            Act::Open(end) => return tunnel.may_open().then(|| self.open(tunnel, end)),
            Act::Drain => return Some(rpc::Input::Drain),
            Act::Respond(which, ..)
            | Act::Data(which, ..)
            | Act::Trailers(which)
            | Act::Reset(which)
            | Act::Take(which, _) => which,
        };
        let at = which % self.calls.len().max(1);
        let (stream, call) = self.calls.iter_mut().nth(at)?;
        let word = call.word(act, stream.0)?;
        let stream = *stream;
        if matches!(word, Word::Reset(_)) {
            self.calls.remove(&stream);
        }
        Some(rpc::Input::Say { stream, word })
    }

    fn open(&mut self, tunnel: &Machine<u32>, end: bool) -> rpc::Input<u32> {
        let stream = tunnel.next_stream();
        let out = if end { Out::Ended } else { Out::Body };
        self.calls.insert(stream, Call { out, credit: 0, owed: 0, sent: 0 });
        let mut fields = fields();
        fields.push(b"x-pico-endpoint", b"a");
        let head = RequestHead::new(Method::POST, b"/call", fields);
        let tag = u32::try_from(stream.0).expect("a script opens few calls");
        rpc::Input::Open { stream, tag, head, end }
    }

    fn learn(&mut self, action: &rpc::Action<u32>) {
        match action {
            rpc::Action::Opened { stream, .. } => {
                let call = Call { out: Out::Head, credit: 0, owed: 0, sent: 0 };
                self.calls.insert(*stream, call);
            }
            rpc::Action::Said { stream, word, .. } => {
                let Some(call) = self.calls.get_mut(stream) else { return };
                match word {
                    Word::Credit(count) => call.credit += count,
                    Word::Data { bytes, .. } => call.owed += bytes.len(),
                    Word::Reset(_) => drop(self.calls.remove(stream)),
                    Word::Request { .. } | Word::Response { .. } | Word::Trailers(_) => {}
                }
            }
            rpc::Action::Ready(_)
            | rpc::Action::RoundTrip(_)
            | rpc::Action::PeerDrains
            | rpc::Action::Drained
            | rpc::Action::Closed(_) => {}
        }
    }
}

impl Call {
    /// What `act` comes down to, if it can be said now.
    pub(super) fn word(&mut self, act: &Act, key: u64) -> Option<Word> {
        match *act {
            Act::Respond(_, interim, end) if self.out == Out::Head => {
                let status = if interim { StatusCode::PROCESSING } else { StatusCode::OK };
                if !interim {
                    self.out = if end { Out::Ended } else { Out::Body };
                }
                let head = ResponseHead::new(status, b"", fields());
                Some(Word::Response { head, end: end && !interim })
            }
            Act::Data(_, len, end) if self.out == Out::Body => {
                let bytes = keyed(key, self.sent, len.min(self.credit));
                self.credit -= bytes.len();
                self.sent += bytes.len() as u64;
                if end {
                    self.out = Out::Ended;
                }
                let some = end || !bytes.is_empty();
                some.then(|| Word::Data { bytes: BytesMut::from(&bytes[..]), end })
            }
            Act::Trailers(_) if self.out == Out::Body => {
                self.out = Out::Ended;
                Some(Word::Trailers(fields()))
            }
            Act::Reset(_) => Some(Word::Reset(Reset { reason: Reason::Canceled, started: true })),
            Act::Take(_, most) => {
                let count = most.min(self.owed);
                self.owed -= count;
                (count > 0).then_some(Word::Credit(count))
            }
            Act::Open(_) | Act::Respond(..) | Act::Data(..) | Act::Trailers(_) | Act::Drain => None,
        }
    }
}

impl Peer {
    /// Whoever is at the other end of a tunnel.
    pub(super) fn new(now: Instant, role: Role, limits: &Arc<Limits>) -> Self {
        let (me, seed) = (Identity::default(), Seed::from_u64(7));
        let tunnel = Machine::new(now, role, &me, &seed, Arc::clone(limits), Outbox::new());
        Self { tunnel, ledger: Ledger::default(), heard: Vec::new(), actions: Vec::new() }
    }

    /// Lets it hear what was written and do `act`; returns what it sends.
    pub(super) fn turn(&mut self, now: Instant, act: Option<&Act>) -> Vec<u8> {
        self.tunnel.tick(now);
        let heard = std::mem::take(&mut self.heard);
        if !heard.is_empty() {
            self.tunnel.handle(now, Input::Received(BytesMut::from(&heard[..])));
        }
        self.drain();
        let input = act.and_then(|act| self.ledger.input(&self.tunnel, act));
        if let Some(input) = input {
            self.tunnel.handle(now, Input::Rpc(input));
        }
        self.drain();
        let mut sent = Vec::new();
        while !self.tunnel.outbox().is_empty() {
            let from = sent.len();
            self.tunnel.outbox().pieces().for_each(|piece| sent.extend_from_slice(piece));
            self.tunnel.handle(now, Input::Sent(sent.len() - from));
            self.drain();
        }
        sent
    }

    fn drain(&mut self) {
        while let Some(action) = self.tunnel.poll() {
            if let Action::Rpc(action) = &action {
                self.ledger.learn(action);
            }
            self.actions.push(action);
        }
    }
}

impl Subject for Tunnel {
    type Machine = Machine<u32>;
    type Wire = ();
    type Step = Step;

    fn new(choices: &mut Choices, now: Instant) -> (Self, Self::Machine) {
        let window_bytes = *choices.pick(&[64 * 1024, 1000, 1]);
        let window_bytes_max = *choices.pick(&[16 * 1024 * 1024, 64 * 1024]);
        let outbox_bytes = *choices.pick(&[256 * 1024, 4096]);
        let streams = *choices.pick(&[1024, 3]);
        let limits =
            Limits { window_bytes, window_bytes_max, outbox_bytes, streams, ..Limits::default() };
        let limits = Arc::new(limits);
        let roles = if choices.chance(1, 2) {
            [Role::Dialer, Role::Acceptor]
        } else {
            [Role::Acceptor, Role::Dialer]
        };
        let [machine, tunnel] = roles.map(|role| {
            let (me, seed) = (Identity::default(), Seed::from_u64(7));
            Machine::new(now, role, &me, &seed, Arc::clone(&limits), Outbox::new())
        });
        let peer =
            Peer { tunnel, ledger: Ledger::default(), heard: Vec::new(), actions: Vec::new() };
        (Self { limits, mine: Ledger::default(), peer }, machine)
    }

    fn draw(choices: &mut Choices) -> Step {
        match choices.below(32) {
            0..=12 => Step::Theirs(draw_act(choices)),
            13..=26 => Step::Mine(draw_act(choices)),
            27 => Step::Noise(choices.bytes(64).to_vec()),
            28 => Step::Eof,
            29 => Step::Close(Reason::Draining),
            30 if choices.chance(1, 4) => Step::Lost,
            _ => Step::Stall(choices.chance(1, 2)),
        }
    }

    fn perform(
        &mut self,
        machine: &mut Self::Machine,
        now: Instant,
        step: &Step,
    ) -> Vec<Event<Self>> {
        let act = if let Step::Theirs(act) = step { Some(act) } else { None };
        let bytes = self.peer.turn(now, act);
        let mut events = vec![Event::Bytes((), bytes)];
        match step {
            Step::Theirs(_) => {}
            Step::Mine(act) => {
                let input = self.mine.input(machine, act);
                events.splice(0..0, input.map(|input| Event::Input(Input::Rpc(input))));
            }
            Step::Noise(bytes) => events.push(Event::Bytes((), bytes.clone())),
            Step::Eof => events.push(Event::Eof(())),
            Step::Lost => events.push(Event::Input(Input::Lost)),
            Step::Close(reason) => events.push(Event::Input(Input::Close(*reason))),
            Step::Stall(on) => events.push(Event::Stall((), *on)),
        }
        events
    }

    fn observe(&mut self, action: Action<u32>, seen: &mut Seen) {
        show("mine", &action, seen);
        if let Action::Rpc(action) = &action {
            self.mine.learn(action);
        }
    }

    fn wrote(&mut self, _wire: (), bytes: &[u8], _seen: &mut Seen) {
        self.peer.heard.extend_from_slice(bytes);
    }

    fn drained(&mut self, _machine: &mut Self::Machine, _now: Instant, seen: &mut Seen) {
        for action in self.peer.actions.drain(..) {
            show("peer", &action, seen);
        }
    }

    fn received(_wire: (), bytes: BytesMut) -> Input<u32> {
        Input::Received(bytes)
    }

    fn eof(_wire: ()) -> Input<u32> {
        Input::Eof
    }

    fn sent(_wire: (), count: usize) -> Input<u32> {
        Input::Sent(count)
    }

    fn wires(&self) -> Vec<()> {
        vec![()]
    }

    fn outbox(machine: &Self::Machine, _wire: ()) -> Option<&Outbox> {
        Some(machine.outbox())
    }

    fn room(machine: &Self::Machine, _wire: ()) -> usize {
        machine.room()
    }

    fn closes(action: &Action<u32>) -> bool {
        matches!(action, Action::Closed(_))
    }

    fn check(&self, machine: &Self::Machine) -> Result<(), String> {
        let (len, calls) = (machine.outbox().remaining(), machine.calls());
        // Data stops at the limit, give or take a message; answers to a peer that does not
        // read, at four times of it.
        let len_max = self.limits.outbox_bytes * 4 + self.limits.message_bytes * 2;
        let calls_max = self.limits.streams * 2;
        if len > len_max || calls > calls_max {
            return Err(format!("{len} bytes of {len_max} wait, {calls} calls of {calls_max}"));
        }
        Ok(())
    }
}

pub(super) fn draw_act(choices: &mut Choices) -> Act {
    let which = choices.below(8);
    match choices.below(16) {
        0..=3 => Act::Open(choices.chance(1, 3)),
        4..=5 => Act::Respond(which, choices.chance(1, 4), choices.chance(1, 4)),
        6..=9 => Act::Data(which, choices.size(100_000), choices.chance(1, 4)),
        10 => Act::Trailers(which),
        11 => Act::Reset(which),
        12..=14 => Act::Take(which, choices.size(200_000)),
        _ if choices.chance(1, 4) => Act::Drain,
        _ => Act::Take(which, usize::MAX),
    }
}

fn fields() -> Fields {
    let mut fields = Fields::new();
    fields.push(b"X-Some", b"thing");
    fields
}

/// Writes down an action: each call has its lanes, of words and of credit.
fn show(who: &str, action: &Action<u32>, seen: &mut Seen) {
    if let Action::Rpc(rpc::Action::Said { stream, word, tag }) = action {
        let lane = format!("{who} {stream:?}");
        match word {
            Word::Credit(count) => seen.count(&format!("{lane} credit"), "credit", *count),
            Word::Data { bytes, end } => {
                seen.bytes(&lane, "data", bytes);
                if *end {
                    seen.event(&lane, &"end");
                }
            }
            Word::Request { .. } | Word::Response { .. } | Word::Trailers(_) | Word::Reset(_) => {
                seen.event(&lane, &(tag, word));
            }
        }
    } else {
        seen.event(who, action);
    }
}
