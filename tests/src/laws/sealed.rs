//! Gossip under law, in a cluster with keys: everything that others may say, sealed as it should
//! be or in every other way, and again.

use super::gossip::{CLUSTER, Gossip, ME, Step as Said};
use super::{Event, Seen, Subject};
use crate::choices::Choices;
use bytes::{BufMut as _, Bytes, BytesMut};
use core::fmt::{self, Debug};
use pico_core::gossip::seal::{SEALED, Seal};
use pico_core::gossip::wire::{self, Envelope};
use pico_core::gossip::{Action, Input, Key, Machine, Ring};
use pico_core::host::DATAGRAM_MAX;
use pico_core::id::Boot;
use pico_core::{Instant, Outbox, Seed};
use std::collections::BTreeMap;

/// What one node's gossip meets.
pub struct Sealed {
    gossip: Gossip,
    /// Those of the others, and of strangers with other keys or another cluster.
    seals: BTreeMap<(Boot, Stranger), Seal>,
    /// What has been sent to the node.
    sent: Vec<Bytes>,
}

/// Something that happens to it.
#[derive(Debug)]
pub struct Step {
    said: Said,
    how: How,
}

/// How a datagram is sealed.
#[derive(Clone, Copy, Debug)]
enum How {
    For(Boot),
    By(Stranger),
    /// One byte is another.
    Altered(usize, u8),
    CutTo(usize),
    Plain,
    /// Not this one, but one that was sent before.
    Again(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stranger {
    No,
    OtherKey,
    OtherCluster,
}

/// The ring of the node: two keys, of which others may use either.
pub(super) fn ring() -> Ring {
    [Key::new([1; 32]), Key::new([2; 32])].into_iter().collect()
}

fn seal(boot: Boot, stranger: Stranger) -> Seal {
    let (keys, cluster) = match stranger {
        Stranger::No if boot.0.is_multiple_of(2) => ([2; 32], CLUSTER),
        Stranger::No => ([1; 32], CLUSTER),
        Stranger::OtherKey => ([3; 32], CLUSTER),
        Stranger::OtherCluster => ([1; 32], "another"),
    };
    let ring: Ring = [Key::new(keys)].into_iter().collect();
    Seal::new(&ring, cluster, boot, &Seed::from_u64(boot.0)).expect("there is a key")
}

impl Sealed {
    fn wrap(&mut self, plain: &BytesMut, how: How) -> Bytes {
        let (boot, inside) = match wire::open(plain) {
            Ok((Envelope { cluster, from }, _)) => {
                let mut inside = BytesMut::new();
                inside.put_u64(from.0);
                inside.extend_from_slice(&plain[plain.len().min(2 + cluster.len() + 8)..]);
                (from, inside)
            }
            Err(_) => (Boot(2), plain.clone()),
        };
        let mut by = |stranger, to| {
            let seal = self.seals.entry((boot, stranger)).or_insert_with(|| seal(boot, stranger));
            seal.seal(to, &inside)
        };
        let bytes = match how {
            How::For(to) => by(Stranger::No, to),
            How::By(stranger) => by(stranger, ME),
            How::Altered(at, change) => {
                let mut bytes = by(Stranger::No, ME).to_vec();
                let at = at % bytes.len();
                bytes[at] ^= change.max(1);
                bytes.into()
            }
            How::CutTo(length) => by(Stranger::No, ME).slice(..length.min(inside.len())),
            How::Plain => plain.clone().freeze(),
            How::Again(which) => match which.checked_rem(self.sent.len()) {
                Some(at) => return self.sent[at].clone(),
                None => by(Stranger::No, ME),
            },
        };
        self.sent.push(bytes.clone());
        bytes
    }
}

/// What was sealed for one of the boots that these worlds know, as if it had not been.
fn unwrap(bytes: &Bytes) -> Option<Bytes> {
    assert!(bytes.len() <= DATAGRAM_MAX, "{} bytes", bytes.len());
    assert_eq!(bytes.first(), Some(&SEALED));
    let open = |boot: u64| {
        let seal = Seal::new(&ring(), CLUSTER, Boot(boot), &Seed::from_u64(9));
        seal.expect("there are keys").open(bytes).ok()
    };
    let opened = (1..10).find_map(open)?;
    let mut plain = BytesMut::new();
    Envelope { cluster: CLUSTER, from: ME }.put(&mut plain);
    assert_eq!(opened.bytes.first_chunk(), Some(&ME.0.to_be_bytes()));
    plain.extend_from_slice(&opened.bytes[8..]);
    Some(plain.freeze())
}

impl Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.gossip.fmt(f)
    }
}

impl Subject for Sealed {
    type Machine = Machine;
    type Wire = ();
    type Step = Step;

    const POLLS_MAX: usize = Gossip::POLLS_MAX;
    const DEADLINES_HOLD: bool = Gossip::DEADLINES_HOLD;

    fn new(choices: &mut Choices, now: Instant) -> (Self, Machine) {
        let (gossip, machine) = Gossip::with_keys(choices, now, ring());
        (Self { gossip, seals: BTreeMap::new(), sent: Vec::new() }, machine)
    }

    fn draw(choices: &mut Choices) -> Step {
        let how = match choices.below(24) {
            0..=11 => How::For(ME),
            12..=14 => How::For(Boot(0)),
            15 => How::For(Boot(3)),
            16 => How::By(Stranger::OtherKey),
            17 => How::By(Stranger::OtherCluster),
            18 => How::Altered(choices.below(256), choices.byte()),
            19 => How::CutTo(choices.below(64)),
            20 => How::Plain,
            _ => How::Again(choices.below(16)),
        };
        Step { said: Gossip::draw(choices), how }
    }

    fn perform(&mut self, machine: &mut Machine, now: Instant, step: &Step) -> Vec<Event<Self>> {
        let events = self.gossip.perform(machine, now, &step.said);
        let inputs = events.into_iter().map(|event| match event {
            Event::Input(Input::Datagram { from, bytes }) => {
                let bytes = BytesMut::from(&self.wrap(&bytes, step.how)[..]);
                Event::Input(Input::Datagram { from, bytes })
            }
            Event::Input(input) => Event::Input(input),
            Event::Bytes((), _) | Event::Eof(()) | Event::Stall((), _) | Event::Take((), _) => {
                unreachable!("gossip has no streams")
            }
        });
        inputs.collect()
    }

    fn observe(&mut self, action: Action, seen: &mut Seen) {
        let Action::Datagram { to, bytes } = action else {
            return self.gossip.observe(action, seen);
        };
        seen.event("sealed", &bytes);
        if let Some(bytes) = unwrap(&bytes) {
            self.gossip.observe(Action::Datagram { to, bytes }, seen);
        }
    }

    fn received((): (), bytes: BytesMut) -> Input {
        Gossip::received((), bytes)
    }

    fn eof((): ()) -> Input {
        Gossip::eof(())
    }

    fn sent((): (), count: usize) -> Input {
        Gossip::sent((), count)
    }

    fn wires(&self) -> Vec<()> {
        Vec::new()
    }

    fn outbox(_: &Machine, (): ()) -> Option<&Outbox> {
        None
    }

    fn room(_: &Machine, (): ()) -> usize {
        0
    }

    fn closes(action: &Action) -> bool {
        Gossip::closes(action)
    }

    fn check(&self, machine: &Machine) -> Result<(), String> {
        self.gossip.check(machine)
    }
}
