//! A node that looks for others: at which names it looks and when, and what it says if nobody is
//! there.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect fails it"
)]

use bytes::BytesMut;
use pico_core::gossip::wire::{Envelope, Message};
use pico_core::gossip::{self, Member, NodeId, Pace, State};
use pico_core::host::{Action, Address, Fault, Host as _, Input};
use pico_core::id::{AskId, Boot, ConnId};
use pico_core::note::{Gone, Missing, Note};
use pico_core::server::{Letter, Membership, Node, Settings};
use pico_core::{Instant, Machine as _, Seed};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A node, and what it asked for.
struct Rig {
    node: Node,
    now: Instant,
    /// Names that are looked up, and since when.
    asked: Vec<(Instant, AskId, String)>,
    /// Connections that were asked for.
    dialed: Vec<(ConnId, SocketAddr)>,
    /// Where datagrams went.
    sent: Vec<SocketAddr>,
    notes: Vec<(Instant, Note)>,
    parted: bool,
}

impl Rig {
    fn new(join: &[&str], abort: bool) -> Self {
        let now = Instant::from_nanos(1);
        let gossip = gossip::Settings {
            keys: gossip::Ring::default(),
            cluster: "pico".into(),
            boot: Boot(1),
            generation: 1,
            id: NodeId::parse(b"me").unwrap(),
            addr: "10.0.0.1:8004".parse().unwrap(),
            notes: Vec::new(),
            pace: Pace::default(),
        };
        let join = join.iter().map(|host| ((*host).to_owned(), 8004)).collect();
        let membership = Membership { gossip, join, abort };
        let settings = Arc::new(Settings { boot: Boot(1), ..Settings::default() });
        let node = Node::among(now, 1, settings, membership, &Seed::from_u64(1));
        let mut rig = Self {
            node,
            now,
            asked: Vec::new(),
            dialed: Vec::new(),
            sent: Vec::new(),
            notes: Vec::new(),
            parted: false,
        };
        rig.drain();
        rig
    }

    fn drain(&mut self) {
        while let Some(action) = self.node.poll() {
            match action {
                Action::Resolve { ask, host, .. } => self.asked.push((self.now, ask, host)),
                Action::Dial { conn, to, .. } => self.dialed.push((conn, to)),
                Action::Datagram { to, .. } => self.sent.push(to),
                Action::Note(note) => self.notes.push((self.now, note)),
                Action::Letter { to: Address::Worker(_), letter: Letter::Part } => {
                    self.parted = true;
                }
                _ => {}
            }
        }
    }

    fn hear(&mut self, input: Input<Letter>) {
        self.node.handle(self.now, input);
        self.drain();
    }

    /// Answers what is looked up now.
    fn resolve(&mut self, found: impl Fn(&str) -> Result<Vec<SocketAddr>, Fault>) {
        for (_, ask, host) in std::mem::take(&mut self.asked) {
            self.hear(Input::Resolved { ask, result: found(&host) });
        }
    }

    fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(due) = self.node.deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.node.tick(self.now);
            self.drain();
        }
        self.now = until;
    }

    /// Why it says that it is alone, and when it did, in seconds.
    fn laments(&self) -> Vec<(u64, &str, &Missing)> {
        self.notes.iter().filter_map(|(at, note)| lament(*at, note)).collect()
    }
}

fn lament(at: Instant, note: &Note) -> Option<(u64, &str, &Missing)> {
    match note {
        Note::Alone { seed, why } => Some((at.as_nanos() / 1_000_000_000, seed, why)),
        _ => None,
    }
}

fn at(host: &str) -> SocketAddr {
    format!("{host}:8004").parse().unwrap()
}

#[test]
fn a_name_that_was_looked_up_is_used_whatever_becomes_of_the_others() {
    let mut rig = Rig::new(&["slow", "quick"], false);
    let quick = rig.asked.iter().position(|(_, _, host)| host == "quick").unwrap();
    let (_, ask, _) = rig.asked.remove(quick);
    rig.hear(Input::Resolved { ask, result: Ok(vec![at("10.0.0.7")]) });
    assert!(rig.sent.contains(&at("10.0.0.7")), "{:?}", rig.sent);
    let (_, ask, host) = rig.asked.remove(0);
    assert_eq!(host, "slow");
    rig.hear(Input::Resolved { ask, result: Ok(vec![at("10.0.0.8")]) });
    assert!(rig.sent.contains(&at("10.0.0.8")), "{:?}", rig.sent);
}

#[test]
fn a_name_that_cannot_be_looked_up_is_tried_again_soon_and_then_less_often() {
    let mut rig = Rig::new(&["name"], false);
    let mut times = Vec::new();
    for round in 0..9 {
        while rig.asked.is_empty() {
            rig.pass(Duration::from_millis(100));
        }
        times.push(rig.asked[0].0);
        let fails = round < 7;
        rig.resolve(|_| if fails { Err(Fault::NoSuchHost) } else { Ok(vec![at("10.0.0.7")]) });
    }
    let pauses = times.windows(2).map(|two| two[1].since(two[0]).as_secs());
    assert_eq!(pauses.collect::<Vec<_>>(), [1, 2, 4, 8, 16, 30, 30, 30]);
}

#[test]
fn a_node_that_finds_nobody_says_why_again_and_again() {
    let join = ["no-name", "10.0.0.7", "stranger", "locked", "myself", "::1"];
    let mut rig = Rig::new(&join, false);
    rig.resolve(|host| match host {
        "no-name" => Err(Fault::NoSuchHost),
        "10.0.0.7" => Ok(vec![at("10.0.0.7")]),
        "stranger" => Ok(vec![at("10.0.0.8")]),
        "locked" => Ok(vec![at("10.0.0.9")]),
        "myself" => Ok(vec![at("10.0.0.1")]),
        "::1" => Ok(vec![at("[::1]")]),
        _ => panic!("{host}"),
    });
    for _ in 0..200 {
        rig.pass(SECOND);
        rig.resolve(|_| Err(Fault::NoSuchHost));
        for (conn, to) in std::mem::take(&mut rig.dialed) {
            if to == at("10.0.0.8") {
                answer_as_stranger(&mut rig, conn, to);
            } else if to == at("10.0.0.7") {
                rig.hear(Input::Unreachable { conn, fault: Fault::Refused });
            } else if to == at("10.0.0.9") {
                rig.hear(Input::Unreachable { conn, fault: Fault::Reset });
            }
        }
    }
    let all = rig.laments();
    let of = |at: u64| -> Vec<_> {
        all.iter().filter(|(when, ..)| *when == at).map(|(_, seed, why)| (*seed, *why)).collect()
    };
    for round in [15, 35, 75, 155] {
        assert_eq!(
            of(round),
            [
                ("no-name:8004", &Missing::Name(Fault::NoSuchHost)),
                ("10.0.0.7:8004", &Missing::Silent(Fault::Refused)),
                ("stranger:8004", &Missing::Stranger("another".into())),
                ("locked:8004", &Missing::Other),
                ("myself:8004", &Missing::Oneself),
                ("[::1]:8004", &Missing::Silent(Fault::TimedOut)),
            ],
            "{round}"
        );
    }
    assert_eq!(all.len(), 6 * 5, "and at 5 s: {all:?}");
}

/// A node of another cluster answers a consultation.
fn answer_as_stranger(rig: &mut Rig, conn: ConnId, peer: SocketAddr) {
    rig.hear(Input::Connected { conn, peer });
    let count = rig.node.outbox(conn).map_or(0, |outbox| outbox.pieces().map(<[u8]>::len).sum());
    assert!(count > 0, "it asks");
    rig.hear(Input::Sent { conn, count });
    let mut body = BytesMut::new();
    Envelope { cluster: "another", from: Boot(77) }.put(&mut body);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let mut bytes = BytesMut::from(head.as_bytes());
    bytes.extend_from_slice(&body);
    rig.hear(Input::Received { conn, bytes });
}

#[test]
fn a_node_that_has_restarted_has_not_left() {
    let mut rig = Rig::new(&[], false);
    for boot in [5, 6] {
        let member = Member {
            boot: Boot(boot),
            generation: boot,
            incarnation: 0,
            state: State::Alive,
            addr: at("10.0.0.5"),
            versions: (1, 1),
            id: NodeId::parse(b"five").unwrap(),
            notes: Vec::new(),
        };
        let mut bytes = BytesMut::new();
        Envelope { cluster: "pico", from: Boot(boot) }.put(&mut bytes);
        Message::Member(member).put(&mut bytes);
        rig.hear(Input::Datagram { from: at("10.0.0.5"), bytes });
    }
    let five = || "five".to_owned();
    let found = Note::NodeFound { node: five(), addr: at("10.0.0.5") };
    let gone = Note::NodeGone { node: five(), why: Gone::Restarted };
    let notes: Vec<&Note> = rig.notes.iter().map(|(_, note)| note).collect();
    assert_eq!(notes[1..], [&found, &gone, &found], "behind what says that it is ready");
}

#[test]
fn a_node_that_is_to_end_without_others_ends() {
    for abort in [false, true] {
        let mut rig = Rig::new(&["name"], abort);
        rig.resolve(|_| Ok(vec![at("10.0.0.7")]));
        rig.pass(Pace::default().catch_up);
        let told = |of: &Note| rig.notes.iter().any(|(_, note)| note == of);
        assert_eq!(told(&Note::Deserted), abort);
        assert_eq!(told(&Note::Joined { nodes: 1, complete: false }), !abort);
        assert_eq!(rig.parted, abort);
    }
}

#[test]
fn a_node_that_is_told_to_stop_before_it_is_ready_does_not_say_that_it_is() {
    let mut rig = Rig::new(&["name"], false);
    rig.resolve(|_| Ok(vec![at("10.0.0.7")]));
    rig.node.handle(rig.now, Input::Letter(Letter::Drain));
    rig.pass(Pace::default().catch_up);
    let ready = |note: &Note| matches!(note, Note::Joined { .. });
    assert!(!rig.notes.iter().any(|(_, note)| ready(note)), "{:?}", rig.notes);
}
