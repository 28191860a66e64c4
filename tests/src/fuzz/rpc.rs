//! One side of a tunnel, its parent and its peer.

use super::rpc_wire;
use crate::choices::Choices;
use crate::laws::{Event, Seen, Subject};
use bytes::{Buf as _, BytesMut};
use core::time::Duration;
use pico_core::head::{Fields, RequestHead, ResponseHead};
use pico_core::id::StreamId;
use pico_core::rpc::{self, Action, Identity, Input, Reset, Role, Word};
use pico_core::{Instant, Limits, Machine as _, Outbox, Reason};
use std::collections::BTreeMap;
use std::sync::Arc;

type Machine = rpc::Machine<u64>;

/// What the parent knows, so that it breaks no rule of its own.
pub(super) struct World {
    calls: BTreeMap<StreamId, Call>,
    ready: bool,
    /// What was sent in the present step: if the tunnel ends in it, some of that may or may not
    /// have been taken by then.
    sent: Vec<u8>,
    next_step: bool,
}

struct Call {
    outbound: Stage,
    credit: usize,
    /// Bytes that came and were not taken.
    untaken: usize,
}

/// What the parent may say next.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Head,
    Body,
    Raw,
    Ended,
}

/// Something that happens.
#[derive(Debug)]
pub(super) enum Step {
    Peer(Vec<u8>),
    MessageEnd,
    Open { head: RequestHead, end: bool },
    Say { stream: StreamId, what: What },
    Room(usize),
    Drain,
    Lost,
}

/// What the parent means to say.
#[derive(Debug)]
pub(super) enum What {
    Response { head: ResponseHead, end: bool },
    Data { len: usize, end: bool },
    Trailers(Fields),
    Reset,
    Credit(usize),
    Tag(u64),
}

/// Small, so that they are met.
fn limits() -> Limits {
    Limits {
        head_bytes: 1024,
        head_fields: 8,
        frame_bytes: 64,
        message_bytes: 256,
        streams: STREAMS,
        window_bytes: 128,
        window_bytes_max: WINDOW_MAX,
        tunnel_bytes: 4096,
        ..Limits::default()
    }
}

const STREAMS: usize = 4;
const WINDOW_MAX: usize = 1024;

impl Subject for World {
    type Machine = Machine;
    type Wire = ();
    type Step = Step;

    fn new(choices: &mut Choices, now: Instant) -> (Self, Machine) {
        let odd = choices.byte();
        let role = if odd & 1 == 0 { Role::Acceptor } else { Role::Dialer };
        let me = Identity { id: "us".into(), agent: "pico/test".into() };
        let mut machine = Machine::new(now, role, &me, Arc::new(limits()));
        if odd & 0x70 != 0x70 {
            machine.handle(now, Input::Received(BytesMut::from(&rpc_wire::hello()[..])));
            machine.handle(now, Input::MessageEnd);
        }
        machine.handle(now, Input::Room(1000));
        let mut world =
            Self { calls: BTreeMap::new(), ready: false, sent: Vec::new(), next_step: false };
        world.take(&mut machine);
        (world, machine)
    }

    fn draw(choices: &mut Choices) -> Step {
        match choices.below(16) {
            0..=5 => Step::Peer(rpc_wire::any_frame(choices)),
            6 => Step::Peer(choices.bytes(64).to_vec()),
            7 => Step::MessageEnd,
            8 => Step::Open { head: rpc_wire::request(choices), end: choices.chance(1, 2) },
            9..=13 => say(choices),
            14 => Step::Room(choices.size(1000)),
            _ if choices.chance(1, 2) => Step::Drain,
            _ => Step::Lost,
        }
    }

    fn perform(&mut self, machine: &mut Machine, _: Instant, step: &Step) -> Vec<Event<Self>> {
        self.next_step = true;
        let input = match step {
            Step::Peer(bytes) => return vec![Event::Bytes((), bytes.clone())],
            Step::MessageEnd => Input::MessageEnd,
            Step::Open { head, end } => {
                let stream = machine.next_stream();
                let outbound = if *end { Stage::Ended } else { Stage::Body };
                self.calls.insert(stream, Call { outbound, credit: 0, untaken: 0 });
                Input::Open { stream, tag: stream.0, head: head.clone(), end: *end }
            }
            Step::Say { stream, what: What::Tag(tag) } => Input::Tag { stream: *stream, tag: *tag },
            Step::Say { stream, what } => match self.word(*stream, what) {
                Some(word) => Input::Say { stream: *stream, word },
                None => return Vec::new(),
            },
            Step::Room(room) => Input::Room(*room),
            Step::Drain => Input::Drain,
            Step::Lost => Input::Lost(Reason::ConnectionLost),
        };
        vec![Event::Input(input)]
    }

    fn observe(&mut self, action: Action<u64>, seen: &mut Seen) {
        match action {
            Action::Ready(_) => {
                assert!(!self.ready, "ready twice");
                self.ready = true;
                seen.event("in", &action);
            }
            Action::Opened { stream, .. } => {
                let call = Call { outbound: Stage::Head, credit: 0, untaken: 0 };
                assert!(self.calls.insert(stream, call).is_none(), "{stream:?} is opened again");
                seen.event("in", &action);
            }
            Action::Said { stream, tag, word } => self.hear(stream, tag, word, seen),
            Action::RoundTrip(_) | Action::PeerDrains | Action::Drained | Action::Closed(_) => {
                seen.event("in", &action);
            }
        }
    }

    fn drained(&mut self, machine: &mut Machine, _: Instant, seen: &mut Seen) {
        if core::mem::take(&mut self.next_step) {
            seen.bytes("wire", "out", &core::mem::take(&mut self.sent));
        }
        self.take(machine);
    }

    fn received((): (), bytes: BytesMut) -> Input<u64> {
        Input::Received(bytes)
    }

    fn eof((): ()) -> Input<u64> {
        Input::Lost(Reason::ConnectionLost)
    }

    fn sent((): (), count: usize) -> Input<u64> {
        Input::Room(count)
    }

    fn wires(&self) -> Vec<()> {
        Vec::new()
    }

    fn outbox(_: &Machine, (): ()) -> Option<&Outbox> {
        None
    }

    fn room(_: &Machine, (): ()) -> usize {
        usize::MAX
    }

    fn closes(action: &Action<u64>) -> bool {
        matches!(action, Action::Closed(_))
    }

    fn check(&self, machine: &Machine) -> Result<(), String> {
        if machine.calls() > 2 * STREAMS {
            return Err(format!("{} calls at once", machine.calls()));
        }
        match self.calls.values().find(|call| call.untaken > WINDOW_MAX) {
            Some(call) => Err(format!("{} bytes came that were not granted", call.untaken)),
            None => Ok(()),
        }
    }
}

impl World {
    fn take(&mut self, machine: &mut Machine) {
        while machine.has_message() {
            let mut message = machine.take_message();
            assert!(!message.is_empty(), "an empty message");
            self.sent.extend_from_slice(&message.copy_to_bytes(message.remaining()));
        }
    }

    /// What `what` comes down to for this call, if it may be said.
    fn word(&mut self, stream: StreamId, what: &What) -> Option<Word> {
        let call = self.calls.get_mut(&stream)?;
        match what {
            What::Response { head, end } => {
                let interim = head.status.is_informational();
                let end = *end && !interim;
                if call.outbound != Stage::Head {
                    return None;
                }
                call.outbound = match head.status.as_u16() {
                    101 => Stage::Raw,
                    _ if interim => Stage::Head,
                    _ if end => Stage::Ended,
                    _ => Stage::Body,
                };
                Some(Word::Response { head: head.clone(), end })
            }
            What::Data { len, end } => {
                if !matches!(call.outbound, Stage::Body | Stage::Raw) {
                    return None;
                }
                let len = call.credit.min(*len);
                if len == 0 && !end {
                    return None;
                }
                call.credit -= len;
                if *end {
                    call.outbound = Stage::Ended;
                }
                Some(Word::Data { bytes: BytesMut::from(&vec![b'd'; len][..]), end: *end })
            }
            What::Trailers(fields) => {
                if call.outbound != Stage::Body {
                    return None;
                }
                call.outbound = Stage::Ended;
                Some(Word::Trailers(fields.clone()))
            }
            What::Reset => {
                self.calls.remove(&stream);
                Some(Word::Reset(Reset { reason: Reason::Canceled, started: true }))
            }
            What::Credit(count) => {
                let count = call.untaken.min(*count);
                call.untaken -= count;
                Some(Word::Credit(count))
            }
            What::Tag(_) => None,
        }
    }

    fn hear(&mut self, stream: StreamId, tag: Option<u64>, word: Word, seen: &mut Seen) {
        let lane = format!("call {}", stream.0);
        let Some(call) = self.calls.get_mut(&stream) else { panic!("{word:?} of no call") };
        match word {
            Word::Request { .. } => panic!("a request in the middle of a call"),
            Word::Response { ref head, .. } => {
                if head.status.as_u16() == 101 && call.outbound == Stage::Body {
                    call.outbound = Stage::Raw;
                }
                seen.event(&lane, &(tag, &word));
            }
            Word::Data { bytes, end } => {
                assert!(end || !bytes.is_empty(), "an empty piece");
                call.untaken += bytes.len();
                seen.bytes(&lane, &format!("body of {tag:?}"), &bytes);
                if end {
                    seen.event(&lane, &(tag, "end"));
                }
            }
            Word::Credit(count) => {
                call.credit += count;
                seen.count(&lane, &format!("credit of {tag:?}"), count);
            }
            Word::Trailers(_) => seen.event(&lane, &(tag, &word)),
            Word::Reset(_) => {
                seen.event(&lane, &(tag, &word));
                self.calls.remove(&stream);
            }
        }
    }
}

fn say(choices: &mut Choices) -> Step {
    let stream = StreamId(1 + choices.below(8) as u64);
    let end = choices.chance(1, 4);
    let what = match choices.below(8) {
        0 | 1 => What::Response { head: rpc_wire::response(choices), end },
        2..=4 => What::Data { len: choices.size(1000), end },
        5 => What::Credit(choices.size(1000)),
        6 => What::Trailers(rpc_wire::head_fields(choices)),
        _ if end => What::Reset,
        _ => What::Tag(choices.long()),
    };
    Step::Say { stream, what }
}

/// Carries the heads that any bytes stand for across a second tunnel: what was understood there
/// must be what was understood here.
pub(super) fn carry(data: &[u8]) {
    let [mut first, mut next] = [open(Role::Acceptor), open(Role::Acceptor)];
    let mut caller = open(Role::Dialer);
    first.handle(NOW, Input::Received(BytesMut::from(data)));
    first.handle(NOW, Input::MessageEnd);
    let mut sent = Vec::new();
    while let Some(action) = first.poll() {
        if let Action::Opened { head, end, .. } = action {
            let stream = caller.next_stream();
            sent.push((head.clone(), end));
            caller.handle(NOW, Input::Open { stream, tag: 0, head, end });
        }
    }
    while caller.has_message() {
        let mut message = caller.take_message();
        let bytes = BytesMut::from(&message.copy_to_bytes(message.remaining())[..]);
        next.handle(NOW, Input::Received(bytes));
        next.handle(NOW, Input::MessageEnd);
    }
    let mut came = Vec::new();
    while let Some(action) = next.poll() {
        match action {
            Action::Opened { head, end, .. } => came.push((head, end)),
            Action::Closed(reason) => panic!("{reason}: {sent:?}"),
            Action::Ready(_)
            | Action::Said { .. }
            | Action::RoundTrip(_)
            | Action::PeerDrains
            | Action::Drained => {}
        }
    }
    assert_eq!(came, sent);
}

/// A tunnel whose peer has said hello, and had ours.
fn open(role: Role) -> Machine {
    let limits = Limits { heartbeat: Duration::from_hours(1), ..Limits::default() };
    let mut machine = Machine::new(NOW, role, &Identity::default(), Arc::new(limits));
    machine.handle(NOW, Input::Room(usize::MAX));
    while machine.has_message() {
        machine.take_message();
    }
    machine.handle(NOW, Input::Received(BytesMut::from(&rpc_wire::hello()[..])));
    machine.handle(NOW, Input::MessageEnd);
    assert!(matches!(machine.poll(), Some(Action::Ready(_))), "the hello is taken");
    machine
}

const NOW: Instant = Instant::from_nanos(1);
