//! Packets of gossip: what can be read is written so that the same is read again.

use crate::choices::Choices;
use crate::laws::gossip::draw_packet;
use bytes::BytesMut;
use pico_core::Seed;
use pico_core::gossip::seal::{OVERHEAD, Opened, Seal, Unopened};
use pico_core::gossip::wire::{self, Message};
use pico_core::gossip::{Key, Ring};
use pico_core::id::Boot;

/// The bytes are a packet, or stand for one.
pub(super) fn packets(data: &[u8]) {
    again(data);
    again(&draw_packet(&mut Choices::new(data)));
}

/// The bytes are a datagram, and say how another is altered: neither opens. What is not altered
/// does, once.
pub(super) fn sealed(data: &[u8]) {
    let mut choices = Choices::new(data);
    let ring: Ring = [Key::new([7; 32])].into_iter().collect();
    let seal = |boot| Seal::new(&ring, "pico", Boot(boot), &Seed::from_u64(boot));
    let (mut one, mut two) = (seal(1).expect("a key"), seal(2).expect("a key"));
    assert!(two.open(data).is_err(), "nobody has sealed this");
    let to = *choices.pick(&[Boot(2), Boot(0), Boot(3)]);
    let inside = draw_packet(&mut choices);
    let sound = one.seal(to, &inside);
    assert_eq!(sound.len(), inside.len() + OVERHEAD);
    let mut altered = sound.to_vec();
    match choices.below(4) {
        0 => altered.truncate(choices.below(altered.len())),
        1 => altered.push(choices.byte()),
        _ => {
            let at = choices.below(altered.len());
            altered[at] ^= choices.byte().max(1);
        }
    }
    assert!(matches!(two.open(&altered), Err(Unopened::Strange { .. })));
    let opened = two.open(&sound).ok();
    let expected = Opened { bytes: inside.into(), ours: to == Boot(2) };
    assert_eq!(opened, (to != Boot(3)).then_some(expected));
    assert!(two.open(&sound).is_err(), "it opens once");
}

fn again(bytes: &[u8]) {
    let Ok((envelope, messages)) = wire::open(bytes) else { return };
    let mut written = BytesMut::new();
    envelope.put(&mut written);
    let read: Vec<Message> = messages.filter_map(Result::ok).collect();
    for message in &read {
        message.put(&mut written);
    }
    assert!(written.len() <= bytes.len(), "{} bytes became {}", bytes.len(), written.len());
    let (same, messages) = wire::open(&written).expect("what was written can be read");
    assert_eq!(same, envelope);
    let again: Vec<Message> = messages.map(|read| read.expect("to its end")).collect();
    assert_eq!(again, read);
}
