//! The vectors of `spec/vectors/gossip`: bytes in, what they mean, and the same bytes out. Each
//! file says at its top how it is to be read.
#![allow(clippy::unwrap_used, reason = "what a test does not expect fails it")]

use bytes::BytesMut;
use pico_core::gossip::directory::Op;
use pico_core::gossip::wire::{self, Envelope, Message, Scope};
use pico_core::gossip::{Member, State};
use pico_core::id::Boot;
use pico_core::routing::EndpointId;
use std::fmt::Write as _;
use std::path::Path;

const FILES: [(&str, usize); 3] = [("messages", 40), ("malformed", 100), ("strange", 10)];

#[test]
fn every_vector_is_read_and_written_as_it_says() {
    for (name, least) in FILES {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors/gossip");
        let text = std::fs::read_to_string(folder.join(name).with_extension("txt")).unwrap();
        let cases = text.split("\n\n").filter(|case| case.starts_with("case: "));
        let count = cases.map(holds).count();
        assert!(count >= least, "{name}: only {count} cases");
    }
}

#[test]
fn a_million_endpoints_of_20_bytes_at_ten_nodes_cost_less_than_19_megabytes() {
    let digit = |at: u64| char::from_digit(u32::try_from(at % 36).unwrap(), 36).unwrap();
    let name = |at: u64| -> String {
        // As random as names get, so that they share no more than so many must.
        let word = |at: u64| {
            let mixed = (at ^ (at >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        };
        (0..20).map(|place| digit(word(word(at * 32 + place)) >> 32)).collect()
    };
    let mut bytes = BytesMut::new();
    for node in 0..10 {
        let mut names: Vec<String> = (node * 100_000..(node + 1) * 100_000).map(name).collect();
        names.sort_unstable();
        for part in names.chunks(3_000) {
            let op = |name: &String| Op { endpoint: name.parse().unwrap(), weight: 1 };
            let entries = part.iter().map(op).collect();
            Message::Page { boot: Boot(1), head: 100_000, last: false, entries }.put(&mut bytes);
        }
    }
    // What carries them is a twentieth more, and 20 MB are promised.
    assert!(bytes.len() <= 19_000_000, "{} bytes", bytes.len());
}

fn holds(case: &str) {
    let lines = |mark: &'static str| case.lines().filter_map(move |line| line.strip_prefix(mark));
    let name = lines("case: ").next().unwrap();
    let bytes: Vec<u8> = lines("<-").flat_map(pairs).collect();
    let expected: Vec<&str> = lines("=> ").filter(|line| *line != "skipped").collect();
    let mut shown = Vec::new();
    let mut written = BytesMut::new();
    match wire::open(&bytes) {
        Ok((envelope, messages)) => {
            let Envelope { cluster, from } = envelope;
            shown.push(format!("from {:016x} of {cluster}", from.0));
            envelope.put(&mut written);
            for message in messages {
                if let Ok(message) = &message {
                    message.put(&mut written);
                }
                shown.push(message.map_or("malformed".into(), |message| show(&message)));
            }
        }
        Err(_) => shown.push("malformed".into()),
    }
    assert_eq!(shown, expected, "{name}");
    if !case.contains("=> skipped") && !case.contains("=> malformed") {
        assert_eq!(written, bytes, "{name}");
    }
}

fn pairs(line: &str) -> Vec<u8> {
    let words = line.split_ascii_whitespace().flat_map(|word| {
        let (count, pair) = word.split_once('*').unwrap_or(("1", word));
        vec![u8::from_str_radix(pair, 16).unwrap(); count.parse().unwrap()]
    });
    words.collect()
}

fn show(message: &Message) -> String {
    match message {
        Message::Ping { seq, target } => format!("ping {seq} {:016x}", target.0),
        Message::Ack { seq } => format!("ack {seq}"),
        Message::Relay { seq, target, addr } => format!("relay {seq} {:016x} {addr}", target.0),
        Message::Nack { seq } => format!("nack {seq}"),
        Message::Member(member) => show_member(member),
        Message::Standing(said) => {
            let (boot, by, state) = (said.boot.0, said.by.0, word(said.state));
            format!("standing {boot:016x} {} {state} by {by:016x}", said.incarnation)
        }
        Message::Who(boot) => format!("who {:016x}", boot.0),
        Message::Root(hash) => format!("root {hash:016x}"),
        Message::Heads { scope, heads } => {
            let scope = match scope {
                Scope::Some => "some",
                Scope::All => "all",
                Scope::Latest => "latest",
            };
            heads.iter().fold(format!("heads {scope}"), |mut all, head| {
                write!(all, " {:016x}/{}/{}", head.boot.0, head.incarnation, head.head).unwrap();
                all
            })
        }
        Message::Ops { boot, first, ops } => {
            format!("ops {:016x} from {first}{}", boot.0, list(ops))
        }
        Message::Want { boot, after } => format!("want {:016x} after {after}", boot.0),
        Message::Behind { boot, head } => format!("behind {:016x} head {head}", boot.0),
        Message::PageWant { boot, after } => {
            let after = after.as_ref().map_or("-", EndpointId::as_str);
            format!("page-want {:016x} after {after}", boot.0)
        }
        Message::Page { boot, head, last, entries } => {
            let last = if *last { "last" } else { "more" };
            format!("page {:016x} head {head} {last}{}", boot.0, list(entries))
        }
        Message::Joining => "joining".into(),
    }
}

fn show_member(member: &Member) -> String {
    let Member { boot, generation, incarnation, state, addr, versions, id, notes } = member;
    let (state, (low, high)) = (word(*state), versions);
    let all = format!(
        "member {:016x} {generation} {incarnation} {state} {addr} {low}-{high} {id}",
        boot.0
    );
    notes.iter().fold(all, |mut all, (key, value)| {
        write!(all, " {key}=\"{value}\"").unwrap();
        all
    })
}

const fn word(state: State) -> &'static str {
    match state {
        State::Alive => "alive",
        State::Leaving => "leaving",
        State::Suspect => "suspect",
        State::Dead => "dead",
        State::Left => "left",
    }
}

fn list(ops: &[Op]) -> String {
    ops.iter().fold(String::new(), |mut all, op| {
        write!(all, " {}*{}", op.endpoint, op.weight).unwrap();
        all
    })
}
