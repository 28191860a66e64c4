//! Consultations of other nodes on the gossip port, and what a drain makes of them.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect fails it"
)]

mod server;

use bytes::BytesMut;
use pico_core::Limits;
use pico_core::gossip::wire::{self, Envelope, Message};
use pico_core::gossip::{Member, NodeId, State};
use pico_core::host::Port;
use pico_core::id::Boot;
use pico_core::server::Settings;
use server::{Agent, At, Rig};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const LINK: &str = "GET /pico/v1/node HTTP/1.1\r\nHost: n\r\nConnection: upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: pico.rpc.v1\r\n\
    X-Pico-Node: 00000000000000ff\r\n\r\n";
const GET: &str = "GET /p HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\n\r\n";

fn limited(limits: Limits) -> Settings {
    Settings { boot: Boot(1), limits: Arc::new(limits), ..Settings::default() }
}

fn packet(from: u64, messages: &[Message]) -> BytesMut {
    let mut bytes = BytesMut::new();
    Envelope { cluster: "pico", from: Boot(from) }.put(&mut bytes);
    for message in messages {
        message.put(&mut bytes);
    }
    bytes
}

/// The head of a consultation and what it asks.
fn question() -> (String, Vec<u8>) {
    let body = packet(9, &[Message::Ping { seq: 1, target: Boot(1) }]).to_vec();
    let length = body.len();
    let head = format!("POST /pico/v1/gossip HTTP/1.1\r\nHost: n\r\nContent-Length: {length}\r\n");
    (head + "\r\n", body)
}

fn consult(rig: &mut Rig) -> (At, String) {
    let (at, (head, body)) = (rig.accept(0, Port::Gossip), question());
    rig.receive(at, head.as_bytes());
    if rig.has_room(at) {
        rig.receive(at, &body);
    }
    let text = rig.text(at);
    (at, text)
}

/// The first half of a consultation.
fn begin(rig: &mut Rig) -> At {
    let (at, (head, body)) = (rig.accept(0, Port::Gossip), question());
    rig.receive(at, head.as_bytes());
    rig.receive(at, &body[..5]);
    at
}

#[test]
fn a_node_that_drains_is_consulted_until_it_has_left() {
    let mut rig = Rig::among(1, limited(Limits::default()));
    let mut agent = Agent::online(&mut rig, 0, "a");
    let client = rig.ask(0, GET);
    let (stream, _) = agent.called(&mut rig);
    rig.drain();
    rig.pass(Settings::default().drain_delay);
    for _ in 0..3 {
        let (at, text) = consult(&mut rig);
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        assert!(rig.closed.contains(&at) || rig.finished.contains(&at));
        rig.eof(at);
    }
    let link = rig.accept(0, Port::Gossip);
    rig.receive(link, LINK.as_bytes());
    let text = rig.text(link);
    assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("\"draining\""), "{text}");
    // Who says nothing holds nothing up.
    rig.accept(0, Port::Gossip);
    agent.respond(&mut rig, stream, &[], true);
    assert!(rig.text(client).starts_with("HTTP/1.1 200 "));
    rig.eof(client);
    agent.pump(&mut rig);
    rig.pass(Duration::from_secs(5));
    assert!(rig.is_done());
}

/// Another node says that it is there.
fn meet(rig: &mut Rig, boot: u64, id: &str, there: SocketAddr) {
    let member = Member {
        boot: Boot(boot),
        generation: u64::from(u32::MAX),
        incarnation: 0,
        state: State::Alive,
        addr: there,
        versions: (1, 1),
        id: NodeId::parse(id.as_bytes()).unwrap(),
        notes: Vec::new(),
    };
    rig.datagram(there, packet(boot, &[Message::Member(member)]));
}

/// It answers every Ping that was sent there.
fn acknowledge(rig: &mut Rig, boot: u64, there: SocketAddr) {
    let all = rig.datagrams.iter().filter(|(to, _)| *to == there);
    let acks = all.flat_map(|(_, bytes)| {
        let (_, messages) = wire::open(bytes).unwrap();
        messages.filter_map(|said| match said.unwrap() {
            Message::Ping { seq, .. } => Some(Message::Ack { seq }),
            _ => None,
        })
    });
    let acks: Vec<Message> = acks.collect();
    rig.datagram(there, packet(boot, &acks));
}

#[test]
fn a_node_that_leaves_is_consulted_until_others_know_it() {
    let settings = Settings { drain_delay: Duration::ZERO, ..limited(Limits::default()) };
    let mut rig = Rig::among(2, settings);
    let there: SocketAddr = "10.0.0.7:8004".parse().unwrap();
    meet(&mut rig, 7, "other", there);
    let (slow, silent) = (begin(&mut rig), rig.accept(0, Port::Gossip));
    rig.drain();
    // It has no clients and closes its tunnels. What it says of that gets lost.
    rig.pass(Duration::from_millis(100));
    assert!(rig.unlistened.contains(&(0, Port::Proxy)) && !rig.is_done());
    assert!(!rig.unlistened.iter().any(|(_, port)| *port == Port::Gossip), "it is a member");
    let (_, text) = consult(&mut rig);
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    let (head, body) = question();
    rig.receive(slow, &body[5..]);
    rig.receive(silent, head.as_bytes());
    rig.receive(silent, &body);
    for at in [slow, silent] {
        let text = rig.text(at);
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    }
    acknowledge(&mut rig, 7, there);
    for worker in 0..2 {
        assert!(rig.unlistened.contains(&(worker, Port::Gossip)), "now it is none");
    }
    rig.pass(Limits::default().linger_timeout);
    assert!(rig.is_done());
}

#[test]
fn consultations_are_so_many_at_once_and_no_more() {
    let limits = Limits { consults: 3, ..Limits::default() };
    let mut rig = Rig::among(1, limited(limits));
    let open: Vec<At> = (0..3).map(|_| begin(&mut rig)).collect();
    let (_, text) = consult(&mut rig);
    assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("\"overloaded\""), "{text}");
    // A link is no consultation.
    let link = rig.accept(0, Port::Gossip);
    rig.receive(link, LINK.as_bytes());
    assert!(rig.text(link).starts_with("HTTP/1.1 101 "));
    rig.lose(open[1]);
    let (_, text) = consult(&mut rig);
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
}

#[test]
fn a_consultation_that_does_not_come_to_its_end_is_closed() {
    let mut rig = Rig::among(1, limited(Limits { consults: 1, ..Limits::default() }));
    let slow = begin(&mut rig);
    for _ in 0..9 {
        rig.pass(Duration::from_secs(1));
        rig.receive(slow, b"x");
    }
    assert!(!rig.closed.contains(&slow));
    rig.pass(Duration::from_secs(1));
    assert!(rig.closed.contains(&slow));
    let (_, text) = consult(&mut rig);
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
}

#[test]
fn a_node_over_its_limits_refuses_consultations_too() {
    let mut rig = Rig::among(1, limited(Limits { connections: 1, ..Limits::default() }));
    rig.accept(0, Port::Proxy);
    let (_, text) = consult(&mut rig);
    assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("\"overloaded\""), "{text}");
}

#[test]
fn a_namesake_does_not_cut_a_drain() {
    let mut rig = Rig::among(1, limited(Limits::default()));
    let mut agent = Agent::online(&mut rig, 0, "a");
    let client = rig.ask(0, GET);
    let (stream, _) = agent.called(&mut rig);
    rig.drain();
    let there: SocketAddr = "10.0.0.7:8004".parse().unwrap();
    meet(&mut rig, 7, "pico", there);
    acknowledge(&mut rig, 7, there);
    let told =
        |note: &pico_core::note::Note| matches!(note, pico_core::note::Note::Namesake { .. });
    assert!(rig.notes.iter().any(told), "{:?}", rig.notes);
    rig.pass(Duration::from_secs(10));
    assert_eq!(rig.text(client), "", "its request is still under way");
    agent.respond(&mut rig, stream, &[], true);
    assert!(rig.text(client).starts_with("HTTP/1.1 200 "));
}
