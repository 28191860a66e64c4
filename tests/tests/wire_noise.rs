//! Wires under the keys of a cluster, end by end (`spec/link.md`, "Wires").
#![allow(clippy::unwrap_used, reason = "what a test does not expect fails it")]

use bytes::{Buf as _, BytesMut};
use pico_core::gossip::{Key, Ring};
use pico_core::host::{self, Port};
use pico_core::note::Distrust;
use pico_core::{Outbox, Seed};
use pico_shell::wire::{Heard, Noise, Wire, Wires};

fn wires(key: u8, seed: u64) -> Wires {
    let ring: Ring = [Key::new([key; 32])].into_iter().collect();
    Wires::of(&ring, "pico", Seed::from_u64(seed))
}

fn noise(wire: Wire) -> Noise {
    match wire {
        Wire::Noise(noise) => *noise,
        Wire::Plain => panic!("there are keys"),
    }
}

fn dialler(key: u8) -> Noise {
    noise(wires(key, 1).dialled(host::Wire::Cluster))
}

fn acceptor(key: u8) -> Noise {
    noise(wires(key, 2).accepted(Port::Gossip))
}

fn outbox(bytes: &[u8]) -> Outbox {
    let mut outbox = Outbox::new();
    outbox.put(bytes);
    outbox
}

/// Everything that waits for the socket.
fn drain(noise: &mut Noise) -> BytesMut {
    let all: Vec<u8> = noise.outbox().pieces().flatten().copied().collect();
    noise.sent(all.len());
    BytesMut::from(&all[..])
}

fn pass(from: &mut Noise, to: &mut Noise) {
    let bytes = drain(from);
    if !bytes.is_empty() {
        to.hear(bytes);
    }
}

fn heard(noise: &mut Noise) -> Vec<Heard> {
    std::iter::from_fn(|| noise.poll().unwrap()).collect()
}

fn bytes(bytes: &[u8]) -> Heard {
    Heard::Bytes(BytesMut::from(bytes))
}

/// Both ends, after the handshake.
fn pair() -> (Noise, Noise) {
    let (mut one, mut two) = (dialler(1), acceptor(1));
    pass(&mut one, &mut two);
    assert_eq!(heard(&mut two), []);
    pass(&mut two, &mut one);
    assert_eq!(heard(&mut one), [Heard::Open]);
    (one, two)
}

#[test]
fn without_keys_nothing_is_sealed_and_with_them_only_what_nodes_say() {
    let mut none = Wires::of(&Ring::default(), "pico", Seed::from_u64(1));
    assert!(matches!(none.dialled(host::Wire::Cluster), Wire::Plain));
    assert!(matches!(none.accepted(Port::Gossip), Wire::Plain));
    let mut some = wires(1, 1);
    assert!(matches!(some.dialled(host::Wire::Plain), Wire::Plain));
    for port in [Port::Proxy, Port::Upstream, Port::Admin] {
        assert!(matches!(some.accepted(port), Wire::Plain), "{port:?}");
    }
}

#[test]
fn an_acceptor_is_open_with_the_first_record_and_not_before() {
    let (mut one, mut two) = pair();
    assert!(one.is_open() && !two.is_open());
    assert_eq!(two.seal(&outbox(b"too early")), 0);
    assert_eq!(one.seal(&outbox(b"hello")), 5);
    pass(&mut one, &mut two);
    assert_eq!(heard(&mut two), [Heard::Open, bytes(b"hello")]);
    assert_eq!(two.seal(&outbox(b"and you")), 7);
    pass(&mut two, &mut one);
    assert_eq!(heard(&mut one), [bytes(b"and you")]);
}

#[test]
fn what_is_said_is_not_seen_on_the_way() {
    const SECRET: &[u8] = b"GET /pico/v1/node HTTP/1.1";
    let (mut one, _) = pair();
    let mut seen = Vec::new();
    for _ in 0..10 {
        assert_eq!(one.seal(&outbox(SECRET)), SECRET.len());
        seen.push(drain(&mut one));
    }
    for (at, record) in seen.iter().enumerate() {
        assert_eq!(record.len(), 2 + SECRET.len() + 16);
        assert!(!record.windows(4).any(|part| SECRET.windows(4).any(|word| word == part)));
        assert!(!seen[..at].contains(record), "the same is not sealed the same");
    }
}

#[test]
fn what_was_recorded_lets_nobody_in() {
    let (mut one, mut two) = (dialler(1), acceptor(1));
    let first = drain(&mut one);
    two.hear(first.clone());
    assert_eq!(heard(&mut two), []);
    one.hear(drain(&mut two));
    heard(&mut one);
    one.seal(&outbox(b"open, sesame"));
    let record = drain(&mut one);
    let mut later = noise(wires(1, 3).accepted(Port::Gossip));
    later.hear(first);
    assert_eq!(heard(&mut later), []);
    later.hear(record);
    assert_eq!(later.poll(), Err(Distrust::Forged));
    assert!(!later.is_open());
}

#[test]
fn who_speaks_in_the_clear_is_known_by_two_bytes() {
    for words in [&b"GE"[..], b"HT", b"\0\x31", b"\0\0", b"\x01\x30"] {
        for mut end in [acceptor(1), dialler(1)] {
            end.hear(BytesMut::from(words));
            assert_eq!(end.poll(), Err(Distrust::Clear), "{words:?}");
            assert!(end.outbox().is_empty());
        }
    }
}

#[test]
fn another_key_is_no_key() {
    let (mut one, mut two) = (dialler(1), acceptor(2));
    pass(&mut one, &mut two);
    assert_eq!(two.poll(), Err(Distrust::Key));
    assert!(two.outbox().is_empty(), "nothing is answered");
    assert_eq!(one.cut(), Some(Distrust::Cut));
}

#[test]
fn the_end_is_what_was_sealed_and_not_what_the_net_makes_up() {
    let (mut one, mut two) = pair();
    one.seal(&outbox(b"all"));
    one.finish();
    one.finish();
    let sent = drain(&mut one);
    assert_eq!(sent.len(), 2 + 3 + 16 + 2 + 16);
    // Cut off in front of the end, it is none.
    two.hear(BytesMut::from(&sent[..21]));
    assert_eq!(heard(&mut two), [Heard::Open, bytes(b"all")]);
    assert_eq!(two.cut(), None);
    two.hear(BytesMut::from(&sent[21..]));
    two.hear(BytesMut::from(&b"whatever comes then"[..]));
    assert_eq!(heard(&mut two), [Heard::End]);
}

#[test]
fn a_record_that_is_too_long_or_too_short_is_none() {
    for length in [0_u16, 15, 16 * 1024 + 17, u16::MAX] {
        let (mut one, _) = pair();
        one.hear(BytesMut::from(&length.to_be_bytes()[..]));
        assert_eq!(one.poll(), Err(Distrust::Forged), "{length}");
    }
}

#[test]
fn no_more_is_sealed_than_may_wait_for_the_socket() {
    let (mut one, mut two) = pair();
    let mut all = outbox(&vec![7; 200_000]);
    let mut got = 0;
    let mut times = 0;
    while !all.is_empty() {
        let taken = one.seal(&all);
        assert!((1..=65_536).contains(&taken));
        assert_eq!(one.seal(&all), 0, "what was sealed goes first");
        one.sent(1);
        assert_eq!(one.seal(&all), 0, "all of it");
        all.advance(taken);
        drain(&mut one);
        times += 1;
        got += taken;
    }
    assert_eq!((got, times), (200_000, 4));
    // The other end has missed bytes, and notices.
    one.seal(&outbox(b"more"));
    pass(&mut one, &mut two);
    assert_eq!(two.poll(), Err(Distrust::Forged));
}

#[test]
fn keys_are_made_anew_and_both_ends_know_when() {
    let say = |from: &mut Noise, to: &mut Noise, number: u32| {
        from.seal(&outbox(&number.to_be_bytes()));
        to.hear(drain(from));
        assert_eq!(to.poll(), Ok(Some(bytes(&number.to_be_bytes()))), "record {number}");
    };
    let (mut one, mut two) = pair();
    one.seal(&outbox(b"!"));
    pass(&mut one, &mut two);
    heard(&mut two);
    for at in 0..70_000_u32 {
        say(&mut one, &mut two, at);
        say(&mut two, &mut one, at);
    }
}
