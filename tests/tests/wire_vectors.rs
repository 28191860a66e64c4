//! Connections under keys, byte for byte as another implementation of Noise has them
//! (`spec/vectors/noise.txt`).
#![allow(clippy::unwrap_used, reason = "what a test does not expect fails it")]

use bytes::BytesMut;
use pico_core::gossip::{Key, Ring};
use pico_core::host::{self, Port};
use pico_core::{Dice, Outbox, Seed};
use pico_shell::wire::{Heard, Noise, Wire, Wires};
use std::fs;
use std::path::Path;

/// One end of a case's connection.
struct End {
    noise: Noise,
    opened: bool,
}

impl End {
    /// The end that lines with this arrow come from.
    fn new(arrow: &str, case: &Case) -> Self {
        let (role, seed) = if arrow == "->" { ("dialler", 0) } else { ("acceptor", 1) };
        let seed = Seed::from_u64(2 * case.number + seed);
        let secret = case.bytes(&format!("{role} secret"));
        assert_eq!(drawn(&seed), secret, "what the seed of the {role} gives");
        let keys: Ring = case.all(&format!("{role} key")).map(key).collect();
        let mut wires = Wires::of(&keys, case.word("cluster"), seed);
        let wire = match role {
            "dialler" => wires.dialled(host::Wire::Cluster),
            _ => wires.accepted(Port::Gossip),
        };
        let Wire::Noise(noise) = wire else { panic!("there are keys") };
        Self { noise: *noise, opened: false }
    }

    /// What it puts on the wire, `plain` sealed if it is said what; nothing is the end.
    fn put(&mut self, plain: Option<&[u8]>) -> Vec<u8> {
        match plain {
            Some([]) => self.noise.finish(),
            Some(plain) => {
                let mut outbox = Outbox::new();
                outbox.put(plain);
                assert_eq!(self.noise.seal(&outbox), plain.len());
            }
            None => {}
        }
        let wire: Vec<u8> = self.noise.outbox().pieces().flatten().copied().collect();
        self.noise.sent(wire.len());
        wire
    }

    /// What it makes of what comes.
    fn take(&mut self, wire: &[u8]) -> Option<Vec<u8>> {
        self.noise.hear(BytesMut::from(wire));
        let mut plain = None;
        while let Some(heard) = self.noise.poll().unwrap() {
            match heard {
                Heard::Open => assert!(!std::mem::replace(&mut self.opened, true), "opened twice"),
                Heard::Bytes(bytes) => plain = Some(bytes.to_vec()),
                Heard::End => plain = Some(Vec::new()),
            }
        }
        plain
    }
}

/// One paragraph of the file.
struct Case {
    number: u64,
    /// What each line begins with, up to its last blank but those between pairs, and the rest.
    lines: Vec<(String, String)>,
}

impl Case {
    fn all<'c>(&'c self, name: &'c str) -> impl Iterator<Item = &'c str> {
        self.lines.iter().filter(move |(other, _)| other == name).map(|(_, rest)| &rest[..])
    }

    fn word<'c>(&'c self, name: &'c str) -> &'c str {
        self.all(name).next().unwrap_or_else(|| panic!("there is no `{name}`"))
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        bytes(self.word(name))
    }
}

fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors/noise.txt");
    let text = fs::read_to_string(path).unwrap();
    let line = |line: &str| {
        let names = ["case:", "cluster", "dialler key", "acceptor key", "dialler secret"];
        let arrows = ["acceptor secret", "->", "<-", "=>", "also"];
        let name = names.into_iter().chain(arrows).find(|name| line.starts_with(name));
        let name = name.unwrap_or_else(|| panic!("{line}"));
        (name.to_owned(), line[name.len()..].trim().to_owned())
    };
    let paragraphs = text.split("\n\n").map(|paragraph| {
        let lines = paragraph.lines().filter(|line| !line.starts_with('#'));
        lines.map(line).collect::<Vec<_>>()
    });
    let cases = paragraphs.filter(|lines| !lines.is_empty());
    (1..).zip(cases).map(|(number, lines)| Case { number, lines }).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    let pair = |word: &str| {
        let (count, pair) = word.split_once('*').unwrap_or(("1", word));
        vec![u8::from_str_radix(pair, 16).unwrap(); count.parse().unwrap()]
    };
    text.split_whitespace().flat_map(pair).collect()
}

fn key(text: &str) -> Key {
    Key::new(bytes(text).try_into().unwrap())
}

/// The secret of a handshake that the first wire with this seed draws.
fn drawn(seed: &Seed) -> Vec<u8> {
    let mut dice: Dice = seed.fork_at("wire", 1).fork("noise").roll();
    (0..4).flat_map(|_| dice.long().to_le_bytes()).collect()
}

#[test]
fn both_ends_say_byte_for_byte_what_another_implementation_says() {
    let cases = cases();
    assert!(cases.len() >= 4, "{}", cases.len());
    for case in &cases {
        println!("{}", case.word("case:"));
        let mut ends = [End::new("->", case), End::new("<-", case)];
        let mut lines = case.lines.iter().peekable();
        while let Some((arrow, wire)) = lines.next() {
            let from = match &**arrow {
                "->" => 0,
                "<-" => 1,
                _ => continue,
            };
            let plain = lines.next_if(|(name, _)| name == "=>").map(|(_, plain)| bytes(plain));
            let [one, two] = &mut ends;
            let (from, to) = if from == 0 { (one, two) } else { (two, one) };
            let wire = bytes(wire);
            assert_eq!(from.put(plain.as_deref()), wire, "{arrow}");
            assert_eq!(to.take(&wire), plain, "{arrow}");
            // More of the same, of which only the count is told.
            if let Some((_, count)) = lines.next_if(|(name, _)| name == "also") {
                for _ in 0..count.parse::<u64>().unwrap() {
                    let wire = from.put(plain.as_deref());
                    assert_eq!(to.take(&wire), plain);
                }
            }
        }
        assert!(ends.iter().all(|end| end.opened), "both know each other");
    }
}
