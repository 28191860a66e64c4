//! The exchanges of `spec/vectors/rpc`: bytes in, what they mean, bytes out. `spec/rpc.md`
//! explains the format.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect fails it"
)]

mod rpc;

use bytes::BytesMut;
use http::{Method, StatusCode};
use pico_core::head::{Fields, RequestHead, ResponseHead};
use pico_core::id::StreamId;
use pico_core::rpc::{Action, Input, Reset, Role, Word};
use pico_core::{Limits, Machine as _, Reason};
use rpc::{Tunnel, messages, millis, new, small};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::path::Path;

#[test]
fn every_vector_holds_when_messages_arrive_whole() {
    run_all(usize::MAX);
}

#[test]
fn every_vector_holds_when_bytes_arrive_one_by_one() {
    run_all(1);
}

#[test]
fn every_vector_holds_when_bytes_arrive_in_threes() {
    run_all(3);
}

fn run_all(cut: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors/rpc");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut run = Run::new(cut);
        for (at, line) in text.lines().enumerate() {
            run.place = format!("{name}:{}", at + 1);
            run.step(line.split('#').next().unwrap_or_default().trim());
        }
        run.settled();
        count += 1;
    }
    assert!(count > 60, "only {count} vectors were found");
}

struct Run {
    machine: Tunnel,
    role: Role,
    cut: usize,
    now: u64,
    /// Shown actions that no `want` has asked for.
    actions: VecDeque<String>,
    place: String,
}

impl Run {
    fn new(cut: usize) -> Self {
        let machine = new(Role::Acceptor, &Limits::default());
        let actions = VecDeque::new();
        Self { machine, role: Role::Acceptor, cut, now: 0, actions, place: String::new() }
    }

    fn step(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "" => {}
            "side" => {
                let (role, limits) = rest.split_once(' ').unwrap();
                self.role = if role == "dialer" { Role::Dialer } else { Role::Acceptor };
                let limits = if limits == "small" { small() } else { Limits::default() };
                self.machine = new(self.role, &limits);
            }
            "hello" => self.hello(),
            "recv" => self.receive(&bytes(rest), true),
            "part" => self.receive(&bytes(rest), false),
            "want" => {
                let action = self.actions.pop_front();
                assert_eq!(action.as_deref().map(str::trim_end), Some(rest), "{}", self.place);
            }
            "send" => {
                let sent = self.sent();
                assert_eq!(hex(&sent), hex(&bytes(rest)), "{}", self.place);
            }
            _ => {
                let input = self.input(verb, rest);
                self.settled();
                match input {
                    Some(input) => self.machine.handle(millis(self.now), input),
                    None => self.machine.tick(millis(self.now)),
                }
                self.collect();
            }
        }
    }

    /// The hello that `spec/rpc.md` calls the usual one, and the first ping, answered at once.
    fn hello(&mut self) {
        self.sent();
        self.receive(&bytes("00 00 00 1b 01 02 01 01 02 01 0a 03 02 43 e8"), false);
        self.receive(&bytes("07 04 \"peer\" 08 08 \"test/1.0\""), true);
        self.step("want ready peer test/1.0");
        self.step("send 08 00 00 08 00 00 00 00 00 00 00 01");
        self.step("recv 09 00 00 08 00 00 00 00 00 00 00 01");
        self.step("want rtt 0");
    }

    fn receive(&mut self, message: &[u8], end: bool) {
        self.settled();
        for piece in message.chunks(self.cut) {
            let bytes = BytesMut::from(piece);
            self.machine.handle(millis(self.now), Input::Received(bytes));
        }
        if end {
            self.machine.handle(millis(self.now), Input::MessageEnd);
        }
        self.collect();
    }

    fn input(&mut self, verb: &str, rest: &str) -> Option<Input<u64>> {
        let mut words = rest.split(" | ").next().unwrap().split_ascii_whitespace();
        let mut word = || words.next().unwrap_or_default();
        Some(match verb {
            "open" => {
                let method = Method::from_bytes(word().as_bytes()).unwrap();
                let head = RequestHead::new(method, word().as_bytes(), fields(rest));
                let stream = self.machine.next_stream();
                Input::Open { stream, tag: stream.0, head, end: word() == "end" }
            }
            "say" => {
                let stream = StreamId(word().parse().unwrap());
                let word = match word() {
                    "response" => {
                        let status = StatusCode::from_bytes(word().as_bytes()).unwrap();
                        let head = ResponseHead::new(status, &bytes(word()), fields(rest));
                        Word::Response { head, end: word() == "end" }
                    }
                    "data" => {
                        let bytes = BytesMut::from(&bytes(word())[..]);
                        Word::Data { bytes, end: word() == "end" }
                    }
                    "trailers" => Word::Trailers(fields(rest)),
                    "reset" => {
                        let reason = reason(word());
                        Word::Reset(Reset { reason, started: word() == "started" })
                    }
                    "credit" => Word::Credit(word().parse().unwrap()),
                    other => panic!("{}: no word is called {other}", self.place),
                };
                Input::Say { stream, word }
            }
            "drain" => Input::Drain,
            "lost" => Input::Lost(reason(word())),
            "tick" => {
                self.now += word().parse::<u64>().unwrap();
                return None;
            }
            other => panic!("{}: nothing is called {other}", self.place),
        })
    }

    /// Every byte that waits to be sent, with all the room in the world.
    fn sent(&mut self) -> Vec<u8> {
        self.machine.handle(millis(self.now), Input::Room(usize::MAX));
        messages(&mut self.machine).concat()
    }

    fn collect(&mut self) {
        let mut data: Option<(StreamId, BytesMut)> = None;
        while let Some(action) = self.machine.poll() {
            if let Action::Said { stream, word: Word::Data { bytes, end }, .. } = &action
                && let Some((merging, begun)) = &mut data
                && merging == stream
            {
                begun.extend_from_slice(bytes);
                self.actions.pop_back();
                let word = Word::Data { bytes: begun.clone(), end: *end };
                self.actions.push_back(show(&Action::Said { stream: *stream, tag: None, word }));
                continue;
            }
            data = match &action {
                Action::Said { stream, word: Word::Data { bytes, .. }, .. } => {
                    Some((*stream, bytes.clone()))
                }
                _ => None,
            };
            self.actions.push_back(show(&action));
        }
    }

    /// Nothing may have happened that the vector did not ask for.
    fn settled(&mut self) {
        assert!(self.actions.is_empty(), "{}: before it came {:?}", self.place, self.actions);
        let sent = self.sent();
        assert!(sent.is_empty(), "{}: before it went {}", self.place, hex(&sent));
    }
}

fn show(action: &Action<u64>) -> String {
    match action {
        Action::Ready(identity) => {
            format!("ready {} {}", identity.id, identity.agent).trim_end().into()
        }
        Action::Opened { stream, head, end } => {
            let target = head.target().escape_ascii();
            let head = format!("{} {target}{}{}", head.method, ending(*end), list(&head.fields));
            format!("opened {} {head}", stream.0)
        }
        Action::Said { stream, word, .. } => format!("said {} {}", stream.0, show_word(word)),
        Action::RoundTrip(rtt) => format!("rtt {}", rtt.as_millis()),
        Action::PeerDrains => "peer-drains".into(),
        Action::Drained => "drained".into(),
        Action::Closed(reason) => format!("closed {}", reason.told().code),
    }
}

fn show_word(word: &Word) -> String {
    match word {
        Word::Request { .. } => unreachable!("a request is told by Opened"),
        Word::Response { head, end } => {
            let (status, phrase) = (head.status.as_u16(), head.phrase().escape_ascii());
            format!("response {status} \"{phrase}\"{}{}", ending(*end), list(&head.fields))
        }
        Word::Data { bytes, end } => {
            format!("data \"{}\"{}", bytes.escape_ascii(), ending(*end))
        }
        Word::Trailers(fields) => format!("trailers{}", list(fields)),
        Word::Reset(Reset { reason, started }) => {
            let started = if *started { "started" } else { "not-started" };
            format!("reset {} {started}", reason.told().code)
        }
        Word::Credit(count) => format!("credit {count}"),
    }
}

fn ending(end: bool) -> &'static str {
    if end { " end" } else { "" }
}

fn list(fields: &Fields) -> String {
    fields.iter().fold(String::new(), |mut all, (name, value)| {
        write!(all, " | {}: {}", name.escape_ascii(), value.escape_ascii()).unwrap();
        all
    })
}

fn fields(text: &str) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in text.split(" | ").skip(1).filter_map(|line| line.split_once(':')) {
        fields.push(name.as_bytes(), value.trim().as_bytes());
    }
    fields
}

fn reason(code: &str) -> Reason {
    *Reason::ALL.iter().find(|reason| reason.told().code == code).unwrap()
}

/// Hexadecimal pairs, text in quotes, and `N*HH` for a pair repeated.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, part) in text.split('"').enumerate() {
        if at % 2 == 1 {
            bytes.extend_from_slice(part.as_bytes());
            continue;
        }
        for word in part.split_ascii_whitespace() {
            let (count, pairs) = word.split_once('*').unwrap_or(("1", word));
            for _ in 0..count.parse::<usize>().unwrap() {
                for pair in pairs.as_bytes().chunks(2) {
                    let pair = std::str::from_utf8(pair).unwrap();
                    bytes.push(u8::from_str_radix(pair, 16).unwrap());
                }
            }
        }
    }
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut all, byte| {
        write!(all, "{byte:02x} ").unwrap();
        all
    })
}
