//! A WebSocket connection, its caller and its peer.

use crate::choices::Choices;
use crate::laws::{Event, Seen, Subject};
use bytes::BytesMut;
use core::time::Duration;
use pico_core::ws::{Action, Input, Kind, Machine, Role};
use pico_core::{Instant, Limits, Machine as _, Outbox, Reason, Seed};
use std::sync::Arc;

/// A world of one connection, accepted by us if `SERVER`.
pub(super) struct World<const SERVER: bool> {
    /// The text under way as it was heard.
    text: Vec<u8>,
    /// What the peer got of a frame that is not complete yet.
    got: Vec<u8>,
    /// Whether the peer got a close frame.
    told: bool,
}

/// Something that happens.
#[derive(Debug)]
pub(super) enum Step {
    Frame { first: u8, len: Len, masked: bool, key: [u8; 4], payload: Vec<u8> },
    Raw(Vec<u8>),
    Eof,
    Message { kind: Kind, len: usize },
    Ping(usize),
    Close(Reason),
    Stall(bool),
    Take(usize),
}

/// How a peer writes the length of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) enum Len {
    Shortest,
    Two,
    Eight,
    /// Not the payload's, but this.
    Lie(u64),
}

/// Small, so that they are met.
fn limits() -> Limits {
    Limits { outbox_bytes: OUTBOX, linger_bytes: 300, ..Limits::default() }
}

const OUTBOX: usize = 256;
const MESSAGE_MAX: usize = 70_000;
/// A control frame, masked.
const CONTROL: usize = 2 + 4 + 125;

impl<const SERVER: bool> Subject for World<SERVER> {
    type Machine = Machine;
    type Wire = ();
    type Step = Step;

    fn new(choices: &mut Choices, _now: Instant) -> (Self, Machine) {
        let seed = Seed::from_u64(u64::from(choices.byte()));
        let role = if SERVER { Role::Server } else { Role::Client };
        let machine = Machine::new(role, &seed, Arc::new(limits()), Outbox::new());
        (Self { text: Vec::new(), got: Vec::new(), told: false }, machine)
    }

    fn draw(choices: &mut Choices) -> Step {
        match choices.below(12) {
            0..=5 => frame(choices, SERVER),
            6 => Step::Raw(choices.bytes(64).to_vec()),
            7 => Step::Message {
                kind: *choices.pick(&[Kind::Binary, Kind::Text]),
                len: size(choices),
            },
            8 => Step::Ping(choices.size(125)),
            9 => Step::Take(choices.size(1000)),
            10 => Step::Stall(choices.chance(1, 2)),
            _ if choices.chance(1, 2) => Step::Eof,
            _ => Step::Close(*choices.pick(&Reason::ALL)),
        }
    }

    fn perform(&mut self, machine: &mut Machine, _: Instant, step: &Step) -> Vec<Event<Self>> {
        let full = machine.outbox().len() > OUTBOX;
        vec![match step {
            Step::Frame { first, len, masked, key, payload } => {
                Event::Bytes((), encode(*first, *len, masked.then_some(*key), payload))
            }
            Step::Raw(bytes) => Event::Bytes((), bytes.clone()),
            Step::Eof => Event::Eof(()),
            Step::Message { .. } | Step::Ping(_) if full => return Vec::new(),
            Step::Message { kind, len } => {
                let mut payload = Outbox::new();
                payload.push(BytesMut::from(&vec![b'm'; *len][..]));
                Event::Input(Input::Message { kind: *kind, payload })
            }
            Step::Ping(len) => Event::Input(Input::Ping(BytesMut::from(&vec![b'p'; *len][..]))),
            Step::Close(reason) => Event::Input(Input::Close(*reason)),
            Step::Stall(on) => Event::Stall((), *on),
            Step::Take(count) => Event::Take((), *count),
        }]
    }

    fn observe(&mut self, action: Action, seen: &mut Seen) {
        match action {
            Action::Piece { kind, bytes } => {
                assert!(!bytes.is_empty(), "an empty piece");
                if kind == Kind::Text {
                    self.text.extend_from_slice(&bytes);
                }
                seen.bytes("in", &format!("{kind:?}"), &bytes);
            }
            Action::MessageEnd { kind } => {
                let text = core::mem::take(&mut self.text);
                assert!(core::str::from_utf8(&text).is_ok(), "text that is not UTF-8 was taken");
                seen.event("in", &kind);
            }
            Action::Pong(payload) => seen.event("in", &payload),
            Action::Finish | Action::Closed(_) => seen.event("in", &action),
        }
    }

    fn wrote(&mut self, (): (), bytes: &[u8], seen: &mut Seen) {
        seen.bytes("wire", "out", bytes);
        self.got.extend_from_slice(bytes);
        while let Some(frame) = self.frame_len() {
            let rest = self.got.split_off(frame);
            let [first, second, ..] = self.got[..] else { panic!("a frame has two bytes") };
            assert_eq!(second & 0x80 == 0, SERVER, "clients mask, servers do not");
            assert!([0x81, 0x82, 0x88, 0x89, 0x8a].contains(&first), "a frame of kind {first:x}");
            assert!(!self.told, "a frame behind the close frame");
            self.told = first == 0x88;
            self.got = rest;
        }
    }

    fn received((): (), bytes: BytesMut) -> Input {
        Input::Received(bytes)
    }

    fn eof((): ()) -> Input {
        Input::Eof
    }

    fn sent((): (), count: usize) -> Input {
        Input::Sent(count)
    }

    fn wires(&self) -> Vec<()> {
        vec![()]
    }

    fn outbox(machine: &Machine, (): ()) -> Option<&Outbox> {
        Some(machine.outbox())
    }

    fn room(_: &Machine, (): ()) -> usize {
        usize::MAX
    }

    fn closes(action: &Action) -> bool {
        matches!(action, Action::Closed(_))
    }

    fn check(&self, machine: &Machine) -> Result<(), String> {
        let waiting = machine.outbox().len();
        let most = OUTBOX + MESSAGE_MAX + 14 + 2 * CONTROL;
        if waiting > most {
            return Err(format!("{waiting} bytes wait, more than {most}"));
        }
        let limits = limits();
        let longest = limits.linger_timeout.max(limits.write_timeout);
        match machine.deadline() {
            Some(at) if at.since(Instant::ZERO) > longest + WORLD_ENDS => {
                Err(format!("a deadline at {at:?}"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// No script lasts so long.
const WORLD_ENDS: Duration = Duration::from_hours(24);

impl<const SERVER: bool> World<SERVER> {
    /// How long the first frame is that the peer got, if it is complete.
    fn frame_len(&self) -> Option<usize> {
        let at = |at: usize| self.got.get(at).copied().map(usize::from);
        let (len, header) = match at(1)? & 0x7f {
            126 => ((at(2)? << 8) | at(3)?, 4),
            127 => ((2..10).try_fold(0, |len, byte| Some((len << 8) | at(byte)?))?, 10),
            len => (len, 2),
        };
        let whole = header + if SERVER { 0 } else { 4 } + len;
        (self.got.len() >= whole).then_some(whole)
    }
}

/// The size of a payload: seldom one whose length takes eight bytes.
fn size(choices: &mut Choices) -> usize {
    let most = if choices.chance(1, 32) { MESSAGE_MAX } else { 1000 };
    choices.size(most)
}

/// A frame, right in most cases.
fn frame(choices: &mut Choices, masked: bool) -> Step {
    let opcode = *choices.pick(&[0x82, 0x81, 0x80, 0x02, 0x01, 0x00, 0x89, 0x8a, 0x88, 0x8b]);
    let wrong = choices.byte();
    let payload = match choices.below(4) {
        0 => choices.bytes(16).to_vec(),
        1 => vec![b'x'; size(choices)],
        2 => "h\u{e9}\u{20ac}\u{1f600}".as_bytes()[choices.below(3)..].to_vec(),
        _ => [&(1000 + u16::from(choices.byte())).to_be_bytes(), choices.bytes(16)].concat(),
    };
    Step::Frame {
        first: if wrong == 255 { choices.byte() } else { opcode },
        len: match wrong {
            254 => Len::Two,
            253 => Len::Eight,
            252 => Len::Lie(choices.long()),
            _ => Len::Shortest,
        },
        masked: masked != (wrong == 251),
        key: choices.long().to_be_bytes()[4..].try_into().expect("four bytes"),
        payload,
    }
}

fn encode(first: u8, len: Len, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mask = if key.is_some() { 0x80 } else { 0 };
    let long = payload.len() as u64;
    let mut bytes = vec![first];
    match (len, u8::try_from(long), u16::try_from(long)) {
        (Len::Shortest, Ok(short @ ..=125), _) => bytes.push(mask | short),
        (Len::Shortest | Len::Two, _, Ok(short)) => {
            bytes.push(mask | 0x7e);
            bytes.extend_from_slice(&short.to_be_bytes());
        }
        (Len::Shortest | Len::Two | Len::Eight | Len::Lie(_), _, _) => {
            let len = if let Len::Lie(len) = len { len } else { long };
            bytes.push(mask | 0x7f);
            bytes.extend_from_slice(&len.to_be_bytes());
        }
    }
    bytes.extend(key.iter().flatten());
    let key = key.unwrap_or_default();
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}
