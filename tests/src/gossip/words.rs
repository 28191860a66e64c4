//! What nodes say to each other, in words.

use pico_core::gossip::wire::{Message, open};

/// The messages of a datagram or a consultation, if they can be read: under keys, datagrams cannot.
pub fn said(bytes: &[u8]) -> Option<String> {
    let (envelope, messages) = open(bytes).ok()?;
    let all: Vec<String> = messages.map_while(Result::ok).map(|one| message(&one)).collect();
    Some(format!("{:?} says {}", envelope.from, all.join(", ")))
}

fn message(message: &Message) -> String {
    match message {
        Message::Ping { .. } => "ping".into(),
        Message::Ack { .. } => "ack".into(),
        Message::Relay { target, .. } => format!("ping {target:?} for me"),
        Message::Nack { .. } => "whom I pinged for you is silent".into(),
        Message::Member(member) => format!(
            "{} ({:?}) is {:?}, generation {}, incarnation {}",
            member.id, member.boot, member.state, member.generation, member.incarnation
        ),
        Message::Standing(standing) => format!("{standing:?}"),
        Message::Who(boot) => format!("who is {boot:?}?"),
        Message::Root(hash) => format!("all that I know has hash {hash:x}"),
        Message::Heads { heads, .. } => format!("how far I know {} logs", heads.len()),
        Message::Ops { boot, first, ops } => {
            let last = first.saturating_add(ops.len() as u64).saturating_sub(1);
            format!("ops {first} to {last} of {boot:?}")
        }
        Message::Want { boot, after } => format!("send me the ops of {boot:?} behind {after}"),
        Message::Behind { boot, head } => format!("ops of {boot:?} are gone, it is at {head}"),
        Message::PageWant { boot, after: None } => format!("send me the first page of {boot:?}"),
        Message::PageWant { boot, after: Some(key) } => {
            format!("send me the page of {boot:?} behind {key}")
        }
        Message::Page { boot, head, last, entries } => {
            let keys = entries.first().zip(entries.last());
            let keys = keys.map(|(a, b)| format!(", from {} to {}", a.endpoint, b.endpoint));
            format!(
                "a page of {boot:?} at {head}: {} entries{}{}",
                entries.len(),
                keys.unwrap_or_default(),
                if *last { ", the last one" } else { "" }
            )
        }
        Message::Joining => "I join".into(),
    }
}
