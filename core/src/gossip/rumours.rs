//! What is new about members, to be passed on a few times.

use super::member::State;
use super::wire::Message;
use crate::id::Boot;
use crate::time::Instant;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bytes::BytesMut;
use core::time::Duration;

/// About whom, and of accusations by whom.
type Key = (Boot, Option<Boot>);

/// What is new about members: one rumour for each, and one for each accuser of a suspect.
#[derive(Default, Debug)]
pub(super) struct Rumours {
    all: BTreeMap<Key, Rumour>,
    /// What was sent least comes first, then what is newest.
    order: BTreeSet<(u64, u64, Key)>,
    serial: u64,
}

#[derive(Debug)]
struct Rumour {
    bytes: Vec<u8>,
    sent: u64,
    /// Counts down, so that the newest comes first.
    serial: u64,
    /// When it is no longer worth telling.
    until: Option<Instant>,
}

impl Rumours {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Something is new about a member: takes the place of all that was said of it, unless it is
    /// one more accusation.
    pub(super) fn put(&mut self, now: Instant, about: Boot, message: &Message) {
        let (accuser, dead) = match message {
            Message::Standing(said) => {
                let accuser = (said.state == State::Suspect).then_some(said.by);
                (accuser, said.state == State::Dead)
            }
            Message::Member(said) => (None, said.state == State::Dead),
            Message::Ping { .. }
            | Message::Ack { .. }
            | Message::Relay { .. }
            | Message::Nack { .. }
            | Message::Who(_)
            | Message::Root(_)
            | Message::Heads { .. }
            | Message::Ops { .. }
            | Message::Want { .. }
            | Message::Behind { .. }
            | Message::PageWant { .. }
            | Message::Page { .. }
            | Message::Joining => return,
        };
        let key = (about, accuser);
        match accuser {
            Some(_) => {
                self.remove((about, None));
                self.remove(key);
            }
            None => self.forget(about),
        }
        let mut bytes = BytesMut::new();
        message.put(&mut bytes);
        self.serial += 1;
        let serial = u64::MAX - self.serial;
        let until = dead.then(|| now + DEATH_TOLD);
        self.order.insert((0, serial, key));
        self.all.insert(key, Rumour { bytes: bytes.to_vec(), sent: 0, serial, until });
        if self.all.len() > RUMOURS_MAX
            && let Some((_, _, most_told)) = self.order.last().copied()
        {
            self.remove(most_told);
        }
    }

    /// Nothing is to be said of this member any more.
    pub(super) fn forget(&mut self, about: Boot) {
        let keys: Vec<Key> = self
            .all
            .range((about, None)..)
            .map(|(key, _)| *key)
            .take_while(|k| k.0 == about)
            .collect();
        for key in keys {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some(rumour) = self.all.remove(&key) {
            self.order.remove(&(rumour.sent, rumour.serial, key));
        }
    }

    /// Appends what fits into so many bytes; what was sent `times` times is forgotten.
    pub(super) fn tell(&mut self, now: Instant, out: &mut BytesMut, room: usize, times: u64) {
        let end = out.len().saturating_add(room);
        let mut told = Vec::new();
        let mut stale = Vec::new();
        let mut misses = 0;
        for (_, _, key) in &self.order {
            let Some(rumour) = self.all.get(key) else { continue };
            if rumour.until.is_some_and(|until| until <= now) {
                stale.push(*key);
            } else if out.len() + rumour.bytes.len() <= end {
                out.extend_from_slice(&rumour.bytes);
                told.push(*key);
            } else {
                misses += 1;
                if end - out.len() < SHORTEST || misses == MISSES_MAX {
                    break;
                }
            }
        }
        for key in stale {
            self.remove(key);
        }
        for key in told {
            let Some(rumour) = self.all.get_mut(&key) else { continue };
            self.order.remove(&(rumour.sent, rumour.serial, key));
            rumour.sent += 1;
            if rumour.sent < times {
                self.order.insert((rumour.sent, rumour.serial, key));
            } else {
                self.all.remove(&key);
            }
        }
    }
}

/// How long a death is told. Later it may be news only to those who were cut off, and they would
/// believe it of people who are well.
const DEATH_TOLD: Duration = Duration::from_secs(5);
/// Rumours at once.
pub(super) const RUMOURS_MAX: usize = 16_384;
/// So many that do not fit are looked at, so that a datagram does not cost a look at them all.
const MISSES_MAX: u32 = 8;
/// Bytes of the shortest rumour.
const SHORTEST: usize = 20;
