//! Packets of gossip: what can be read is written so that the same is read again.

use crate::choices::Choices;
use crate::laws::gossip::draw_packet;
use bytes::BytesMut;
use pico_core::gossip::wire::{self, Message};

/// The bytes are a packet, or stand for one.
pub(super) fn packets(data: &[u8]) {
    again(data);
    again(&draw_packet(&mut Choices::new(data)));
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
