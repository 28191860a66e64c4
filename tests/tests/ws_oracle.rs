//! The WebSocket machine against tungstenite's own `WebSocket`, in both roles and directions.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::BytesMut;
use core::ops::Range;
use pico_core::ws::{self, Action, Input, Kind, Role};
use pico_core::{Instant, Limits, Machine as _, Outbox, Reason, Seed};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};
use tungstenite::protocol::{CloseFrame, Role as TheirRole};
use tungstenite::{Error, Message, WebSocket};

const NOW: Instant = Instant::from_nanos(1);

/// A socket whose other end is in our hands.
#[derive(Default)]
struct Wire {
    incoming: VecDeque<u8>,
    fin: bool,
    outgoing: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        if self.incoming.is_empty() && !self.fin {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.incoming.read(space)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Complete messages and control frames, as one side heard them.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Heard {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn message(kind: Kind, bytes: Vec<u8>) -> Heard {
    match kind {
        Kind::Text => Heard::Text(bytes),
        Kind::Binary => Heard::Binary(bytes),
    }
}

/// Our machine and tungstenite at the two ends of a wire that cuts as it likes.
struct Pair {
    ours: ws::Machine,
    theirs: WebSocket<Wire>,
    cuts: Vec<usize>,
    cut: usize,
    gathered: Vec<u8>,
    we_heard: Vec<Heard>,
    they_heard: Vec<Heard>,
    finished: bool,
    closed: Option<Reason>,
    they_closed: bool,
}

impl Pair {
    fn new(role: Role, cuts: Vec<usize>) -> Self {
        let theirs = match role {
            Role::Client => TheirRole::Server,
            Role::Server => TheirRole::Client,
        };
        let limits = Arc::new(Limits::default());
        Self {
            ours: ws::Machine::new(role, &Seed::from_u64(3), limits, Outbox::new()),
            theirs: WebSocket::from_raw_socket(Wire::default(), theirs, None),
            cuts,
            cut: 0,
            gathered: Vec::new(),
            we_heard: Vec::new(),
            they_heard: Vec::new(),
            finished: false,
            closed: None,
            they_closed: false,
        }
    }

    fn cut(&mut self, len: usize) -> usize {
        self.cut += 1;
        self.cuts.get(self.cut % self.cuts.len().max(1)).map_or(len, |cut| (*cut).clamp(1, len))
    }

    fn tell(&mut self, input: Input) {
        self.ours.handle(NOW, input);
        while let Some(action) = self.ours.poll() {
            assert_eq!(self.closed, None, "{action:?} after the end");
            match action {
                Action::Piece { bytes, .. } => {
                    assert!(!bytes.is_empty());
                    self.gathered.extend_from_slice(&bytes);
                }
                Action::MessageEnd { kind } => {
                    self.we_heard.push(message(kind, std::mem::take(&mut self.gathered)));
                }
                Action::Pong(bytes) => self.we_heard.push(Heard::Pong(bytes.to_vec())),
                Action::Finish => self.finished = true,
                Action::Closed(reason) => self.closed = Some(reason),
            }
        }
    }

    /// Moves bytes both ways until nothing moves.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            let waiting = self.ours.outbox().len();
            if waiting > 0 && self.closed.is_none() {
                let count = self.cut(waiting);
                let bytes = self.ours.outbox().pieces().flatten().take(count);
                self.theirs.get_mut().incoming.extend(bytes);
                self.tell(Input::Sent(count));
                moved = true;
            }
            if self.finished && self.ours.outbox().is_empty() {
                self.theirs.get_mut().fin = true;
            }
            self.listen();
            let waiting = self.theirs.get_ref().outgoing.len();
            if waiting > 0 {
                let count = self.cut(waiting);
                let bytes: BytesMut = self.theirs.get_mut().outgoing.drain(..count).collect();
                self.tell(Input::Received(bytes));
                moved = true;
            }
            if !moved && self.they_closed && self.closed.is_none() {
                self.tell(Input::Eof);
                moved = true;
            }
            if !moved {
                return;
            }
        }
    }

    /// Lets tungstenite read what has arrived.
    fn listen(&mut self) {
        while !self.they_closed {
            match self.theirs.read() {
                Ok(Message::Text(text)) => {
                    self.they_heard.push(Heard::Text(text.as_bytes().into()));
                }
                Ok(Message::Binary(bytes)) => self.they_heard.push(Heard::Binary(bytes.into())),
                Ok(Message::Ping(bytes)) => self.they_heard.push(Heard::Ping(bytes.into())),
                Ok(Message::Pong(bytes)) => self.they_heard.push(Heard::Pong(bytes.into())),
                Ok(Message::Close(_)) => {}
                Ok(Message::Frame(frame)) => panic!("a bare frame {frame:?}"),
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(Error::ConnectionClosed) => self.they_closed = true,
                Err(error) => panic!("tungstenite refuses: {error}"),
            }
        }
    }
}

/// Something that one of the two says.
#[derive(Clone, Debug)]
enum Say {
    /// We send a message whose payload lies in segments of these sizes.
    We {
        kind: Kind,
        bytes: Vec<u8>,
        segments: Vec<usize>,
    },
    WePing(Vec<u8>),
    /// They send a message in fragments of these sizes, with a ping or pong between them.
    They {
        kind: Kind,
        bytes: Vec<u8>,
        fragments: Vec<usize>,
        between: Option<bool>,
    },
}

fn payload(sizes: Range<usize>) -> impl Strategy<Value = (Kind, Vec<u8>)> {
    prop_oneof![
        vec(any::<u8>(), sizes.clone()).prop_map(|bytes| (Kind::Binary, bytes)),
        vec(any::<char>(), 0..sizes.end / 4)
            .prop_map(|text| (Kind::Text, String::from_iter(text).into_bytes())),
    ]
}

fn any_payload() -> impl Strategy<Value = (Kind, Vec<u8>)> {
    prop_oneof![
        4 => payload(0..300),
        1 => payload(1000..5000),
        1 => (65_500..65_600_usize).prop_map(|len| (Kind::Binary, vec![0x5a; len])),
        1 => (0..150_000_usize, any::<u8>()).prop_map(|(len, b)| (Kind::Binary, vec![b; len])),
    ]
}

fn say() -> impl Strategy<Value = Say> {
    let sizes = || vec(prop_oneof![0..5_usize, 0..300_usize, 0..20_000_usize], 0..6);
    prop_oneof![
        (any_payload(), sizes()).prop_map(|((kind, bytes), segments)| Say::We {
            kind,
            bytes,
            segments
        }),
        vec(any::<u8>(), 0..126).prop_map(Say::WePing),
        (any_payload(), sizes(), any::<Option<bool>>()).prop_map(
            |((kind, bytes), fragments, between)| Say::They { kind, bytes, fragments, between }
        ),
    ]
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![1..4_usize, 1..20_usize, 1..70_000_usize], 0..20)
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Client), Just(Role::Server)]
}

/// Cuts `bytes` to `sizes`, and the rest.
fn parts(bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut parts = Vec::new();
    for size in sizes {
        let (part, more) = rest.split_at(rest.len().min(*size));
        parts.push(part.to_vec());
        rest = more;
    }
    parts.push(rest.to_vec());
    parts
}

fn speak(pair: &mut Pair, say: Say, we: &mut Vec<Heard>, they: &mut Vec<Heard>) {
    match say {
        Say::We { kind, bytes, segments } => {
            let mut payload = Outbox::new();
            for part in parts(&bytes, &segments) {
                payload.push(BytesMut::from(&part[..]));
            }
            pair.tell(Input::Message { kind, payload });
            they.push(message(kind, bytes));
        }
        Say::WePing(bytes) => {
            pair.tell(Input::Ping(BytesMut::from(&bytes[..])));
            they.push(Heard::Ping(bytes.clone()));
            we.push(Heard::Pong(bytes));
        }
        Say::They { kind, bytes, fragments, between } => {
            let parts = parts(&bytes, &fragments);
            let last = parts.len() - 1;
            for (at, part) in parts.into_iter().enumerate() {
                let opcode = match (at, kind) {
                    (0, Kind::Text) => Data::Text,
                    (0, Kind::Binary) => Data::Binary,
                    _ => Data::Continue,
                };
                let frame = Frame::message(part, OpCode::Data(opcode), at == last);
                pair.theirs.write(Message::Frame(frame)).unwrap();
                let mark = vec![u8::try_from(at).unwrap()];
                if at == last {
                    we.push(message(kind, bytes.clone()));
                }
                match between {
                    Some(true) => {
                        pair.theirs.write(Message::Ping(mark.clone().into())).unwrap();
                        they.push(Heard::Pong(mark));
                    }
                    Some(false) => {
                        pair.theirs.write(Message::Frame(Frame::pong(mark.clone()))).unwrap();
                        we.push(Heard::Pong(mark));
                    }
                    None => {}
                }
            }
            pair.theirs.flush().unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn what_one_side_says_the_other_hears(
        role in role(),
        script in vec(say(), 0..8),
        cuts in cuts(),
        we_close in any::<bool>(),
    ) {
        let mut pair = Pair::new(role, cuts);
        let (mut we, mut they) = (Vec::new(), Vec::new());
        for say in script {
            speak(&mut pair, say, &mut we, &mut they);
            pair.settle();
            prop_assert_eq!(&pair.we_heard, &we);
            prop_assert_eq!(&pair.they_heard, &they);
        }
        if we_close {
            pair.tell(Input::Close(Reason::Draining));
        } else {
            let frame = CloseFrame { code: 1001.into(), reason: "draining".into() };
            pair.theirs.close(Some(frame)).unwrap();
        }
        pair.settle();
        prop_assert!(pair.they_closed);
        let expected = if we_close { Reason::Closed } else { Reason::Draining };
        prop_assert_eq!(pair.closed, Some(expected));
        prop_assert_eq!(pair.ours.deadline(), None);
    }

    #[test]
    fn all_said_at_once_is_heard_in_order(
        role in role(),
        script in vec(say(), 0..8),
        cuts in cuts(),
    ) {
        let mut pair = Pair::new(role, cuts);
        let (mut we, mut they) = (Vec::new(), Vec::new());
        for say in script {
            speak(&mut pair, say, &mut we, &mut they);
        }
        pair.settle();
        let data = |heard: &[Heard]| -> Vec<Heard> {
            let data = |h: &&Heard| matches!(h, Heard::Text(_) | Heard::Binary(_));
            heard.iter().filter(data).cloned().collect()
        };
        prop_assert_eq!(data(&pair.we_heard), data(&we));
        prop_assert_eq!(data(&pair.they_heard), data(&they));
        prop_assert_eq!(pair.closed, None);
    }
}

/// A frame that may be wrong in any way, well formed more often than not.
fn any_frame() -> impl Strategy<Value = (FrameHeader, Vec<u8>, bool)> {
    let opcode = prop_oneof![
        4 => Just(OpCode::Data(Data::Continue)),
        3 => Just(OpCode::Data(Data::Text)),
        3 => Just(OpCode::Data(Data::Binary)),
        1 => Just(OpCode::Control(Control::Ping)),
        1 => Just(OpCode::Control(Control::Pong)),
    ];
    let payload = prop_oneof![
        vec(any::<u8>(), 0..4),
        any::<String>().prop_map(String::into_bytes),
        vec(b'a'..=b'z', 0..200),
    ];
    let odd = |weight| proptest::bool::weighted(weight);
    (opcode, any::<bool>(), odd(0.02), odd(0.02), payload).prop_map(
        |(opcode, is_final, rsv1, unmasked, payload)| {
            let is_final = is_final || matches!(opcode, OpCode::Control(_));
            let header = FrameHeader { is_final, rsv1, opcode, ..FrameHeader::default() };
            (header, payload, unmasked)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn whatever_is_taken_tungstenite_takes_too(
        role in role(),
        frames in vec(any_frame(), 0..12),
        cuts in cuts(),
    ) {
        let mut bytes = Vec::new();
        for (mut header, mut payload, odd) in frames {
            if (role == Role::Server) != odd {
                let key = [0x11, 0x22, 0x33, 0x44];
                header.mask = Some(key);
                payload.iter_mut().zip(key.iter().cycle()).for_each(|(b, k)| *b ^= k);
            }
            header.format(payload.len() as u64, &mut bytes).unwrap();
            bytes.extend_from_slice(&payload);
        }
        let mut pair = Pair::new(role, cuts);
        let same = if role == Role::Server { TheirRole::Server } else { TheirRole::Client };
        let wire = Wire { incoming: bytes.iter().copied().collect(), ..Wire::default() };
        let mut judge = WebSocket::from_raw_socket(wire, same, None);
        let mut taken = Vec::new();
        let refused = loop {
            match judge.read() {
                Ok(Message::Text(text)) => taken.push(Heard::Text(text.as_bytes().into())),
                Ok(Message::Binary(bytes)) => taken.push(Heard::Binary(bytes.into())),
                Ok(Message::Pong(bytes)) => taken.push(Heard::Pong(bytes.into())),
                Ok(_) => {}
                Err(Error::Io(_)) => break false,
                Err(_) => break true,
            }
        };
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let count = pair.cut(rest.len());
            let (piece, more) = rest.split_at(count);
            pair.tell(Input::Received(BytesMut::from(piece)));
            rest = more;
        }
        prop_assert_eq!(&pair.we_heard, &taken);
        prop_assert!(pair.finished || !refused, "tungstenite refuses what was taken");
    }
}
