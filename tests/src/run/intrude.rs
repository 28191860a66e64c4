//! Whoever sends datagrams to nodes without belonging to them.

use super::{Run, at, nodes};
use crate::case::{Fault, Intrusion, Role};
use crate::draw::Draw as _;
use bytes::BytesMut;
use core::net::SocketAddr;
use pico_core::gossip::wire::{Envelope, open};
use pico_core::{Dice, Seed};

/// Who is at it, and what came of it so far.
#[derive(Debug)]
pub(super) struct Intruder {
    dice: Dice,
    sent: u64,
}

/// A datagram, from and to where it pretends to go.
type Forged = (SocketAddr, SocketAddr, Vec<u8>);

impl Intruder {
    pub(super) fn new(seed: &Seed) -> Self {
        Self { dice: seed.fork("intruder").roll(), sent: 0 }
    }

    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }
}

impl Run {
    /// Sends what intruders send between two looks.
    pub(super) fn intrude(&mut self) {
        let (now, heal) = (self.world.now(), at(self.case.heal));
        let on = |fault: &Fault| {
            let Fault::Intruder { who, how, at: from, lasts } = fault else { return None };
            let until = (at(*from) + lasts.0).min(heal);
            (at(*from)..until).contains(&now).then(|| (who.clone(), *how))
        };
        let all: Vec<_> = self.case.faults.iter().filter_map(on).collect();
        for (who, how) in all {
            let lives = self.cast.of(Role::Node).filter(|life| life.is_alive());
            let meant = lives.filter(|life| self.case.shape.means(&who, life.member));
            let doors: Vec<SocketAddr> = meant.map(|life| nodes::door(life.member)).collect();
            for door in doors {
                for _ in 0..EACH {
                    if let Some((from, to, bytes)) = self.forge(how, door) {
                        self.intruder.sent += 1;
                        self.world.inject(from, to, &bytes);
                    }
                }
            }
        }
    }

    /// One datagram for whoever gossips at `door`. Only what a cluster without keys can tell from
    /// its own is forged here: to one that has keys, well-formed lies in its name are strange too.
    fn forge(&mut self, how: Intrusion, door: SocketAddr) -> Option<Forged> {
        let dice = &mut self.intruder.dice;
        let heard = self.world.net().overheard();
        if heard.is_empty() {
            return None;
        }
        let said = dice.pick(heard);
        Some(match how {
            Intrusion::Replay => {
                // Also to whom it was not meant for.
                let to = if dice.chance(1, 2) { door } else { said.to };
                (said.from, to, said.bytes.to_vec())
            }
            Intrusion::Garbage => {
                let mut bytes = said.bytes.to_vec();
                if dice.chance(1, 2) {
                    bytes.truncate(dice.index(ENVELOPE));
                } else {
                    bytes = (0..dice.index(1_400)).map(|_| byte(dice)).collect();
                    // What has the right version and cluster may mean something.
                    bytes.iter_mut().take(1).for_each(|first| *first |= 0x80);
                }
                (said.from, door, bytes)
            }
            Intrusion::Stranger => {
                let (envelope, _) = open(&said.bytes).ok()?;
                let rest = said.bytes.get(envelope_bytes(&envelope)..)?;
                let envelope = Envelope { cluster: "strangers", ..envelope };
                let mut bytes = BytesMut::new();
                envelope.put(&mut bytes);
                bytes.extend_from_slice(rest);
                (said.from, door, bytes.to_vec())
            }
            Intrusion::Mirror => {
                let own = heard.iter().find(|said| said.from == door)?;
                (said.from, door, own.bytes.to_vec())
            }
            Intrusion::Future => {
                let mut bytes = said.bytes.to_vec();
                if dice.chance(1, 2) {
                    // Another version.
                    bytes.iter_mut().take(1).for_each(|version| *version = 2);
                } else {
                    // A message that there is not, behind no other.
                    let (envelope, _) = open(&said.bytes).ok()?;
                    bytes.truncate(envelope_bytes(&envelope));
                    let len = dice.index(60);
                    bytes.extend([99, u8::try_from(len).expect("less than 60")]);
                    bytes.extend((0..len).map(|_| byte(dice)));
                }
                (said.from, door, bytes)
            }
        })
    }
}

fn byte(dice: &mut Dice) -> u8 {
    u8::try_from(dice.below(256)).expect("below 256")
}

/// Bytes of what comes before the messages.
fn envelope_bytes(envelope: &Envelope<'_>) -> usize {
    let mut bytes = BytesMut::new();
    envelope.put(&mut bytes);
    bytes.len()
}

/// Datagrams to each, between two looks.
const EACH: usize = 4;
/// Fewer bytes than any datagram has before its messages.
const ENVELOPE: usize = 10;
