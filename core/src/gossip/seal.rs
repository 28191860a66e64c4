//! Sealed datagrams: what nodes say to each other under the keys of their cluster.
//!
//! `spec/gossip.md` has the bytes. Nothing is random here but the sixteen bytes that a boot draws
//! from its seed: together with a counter they make nonces that never come twice.

use super::keys::Ring;
use crate::id::Boot;
use crate::seed::Seed;
use crate::varint;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::{BufMut as _, Bytes, BytesMut};
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};

/// Bytes of a sealed datagram beside what is sealed.
pub const OVERHEAD: usize = 2 + PREFIX + COUNTER + TAG;

/// The first byte of a sealed datagram.
pub const SEALED: u8 = 2;

/// Seals the datagrams of one boot, and opens those that are meant for it.
#[derive(Debug)]
pub struct Seal {
    ring: Ring,
    cluster: String,
    me: Boot,
    prefix: [u8; PREFIX],
    count: u64,
    senders: Senders,
}

/// What was in a sealed datagram.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// What its sender put in.
    pub bytes: Bytes,
    /// Whether it was sealed for this boot, and not for whoever is at the address.
    pub ours: bool,
}

/// Why a datagram was not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unopened {
    /// It is not sealed, or with no key of the ring, or for another boot or cluster, or changed on
    /// its way.
    Strange {
        /// Whether it is not for an earlier boot at this address, which would be no wonder.
        anyone: bool,
    },
    /// It has been opened before, or is older than what is remembered of its sender.
    Replayed,
}

impl Seal {
    /// Seals for `me`, which is a boot of the cluster of this name; unless the ring is empty.
    pub fn new(ring: &Ring, cluster: &str, me: Boot, seed: &Seed) -> Option<Self> {
        if ring.is_empty() {
            return None;
        }
        let mut dice = seed.fork("seal").roll();
        let mut prefix = [0; PREFIX];
        for chunk in prefix.chunks_mut(8) {
            chunk.copy_from_slice(&dice.long().to_be_bytes());
        }
        let (ring, cluster) = (ring.clone(), String::from(cluster));
        Some(Self { ring, cluster, me, prefix, count: 0, senders: Senders::default() })
    }

    /// Seals `inside` with the first key, for a boot; `Boot(0)` is whoever is at the address.
    pub fn seal(&mut self, to: Boot, inside: &[u8]) -> Bytes {
        // Counting one a nanosecond, it comes to its end after 500 years.
        self.count = self.count.saturating_add(1);
        let mut nonce = [0; PREFIX + COUNTER];
        let (front, back) = nonce.split_at_mut(PREFIX);
        front.copy_from_slice(&self.prefix);
        back.copy_from_slice(&self.count.to_be_bytes());
        let key = self.ring.first().expect("a seal has a key");
        let target = u8::from(to != Boot(0));
        let aad = &self.associated(target, to);
        let sealed = XChaCha20Poly1305::new(&(*key.bytes()).into())
            .encrypt(&XNonce::from(nonce), Payload { msg: inside, aad })
            .expect("a datagram is far shorter than what the cipher takes");
        let mut out = BytesMut::with_capacity(sealed.len() + OVERHEAD);
        out.put_u8(SEALED);
        out.put_u8(target);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        out.freeze()
    }

    /// Opens a datagram, with whichever key of the ring fits.
    pub fn open(&mut self, datagram: &[u8]) -> Result<Opened, Unopened> {
        let strange = Unopened::Strange { anyone: !datagram.starts_with(&[SEALED, 1]) };
        let (target, nonce, sealed) = parts(datagram).ok_or(strange)?;
        let (prefix, count) = (sender(&nonce), counter(&nonce));
        if !self.senders.is_new(prefix, count) {
            return Err(Unopened::Replayed);
        }
        let ours = target == 1;
        let aad = &self.associated(target, if ours { self.me } else { Boot(0) });
        let open = |key: &super::keys::Key| {
            XChaCha20Poly1305::new(&(*key.bytes()).into())
                .decrypt(&XNonce::from(nonce), Payload { msg: sealed, aad })
                .ok()
        };
        let bytes = self.ring.iter().find_map(open).ok_or(strange)?;
        self.senders.note(prefix, count);
        Ok(Opened { bytes: bytes.into(), ours })
    }

    /// How many senders are remembered.
    pub(super) fn senders(&self) -> usize {
        self.senders.all.len()
    }

    fn associated(&self, target: u8, to: Boot) -> Vec<u8> {
        let mut aad = BytesMut::with_capacity(self.cluster.len() + 12);
        aad.put_u8(SEALED);
        aad.put_u8(target);
        varint::put(&mut aad, varint::wide(self.cluster.len()));
        aad.extend_from_slice(self.cluster.as_bytes());
        aad.put_u64(to.0);
        aad.into()
    }
}

type Nonce = [u8; PREFIX + COUNTER];

fn parts(datagram: &[u8]) -> Option<(u8, Nonce, &[u8])> {
    let ([kind, target], rest) = datagram.split_first_chunk::<2>()?;
    let (nonce, sealed) = rest.split_first_chunk::<{ PREFIX + COUNTER }>()?;
    let fits = *kind == SEALED && *target <= 1 && counter(nonce) > 0 && sealed.len() >= TAG;
    fits.then_some((*target, *nonce, sealed))
}

fn sender(nonce: &Nonce) -> [u8; PREFIX] {
    nonce.first_chunk().copied().unwrap_or_default()
}

fn counter(nonce: &Nonce) -> u64 {
    u64::from_be_bytes(nonce.last_chunk().copied().unwrap_or_default())
}

/// What was opened already, sender by sender.
#[derive(Default, Debug)]
struct Senders {
    all: BTreeMap<[u8; PREFIX], Window>,
    /// How many datagrams were opened.
    opened: u64,
}

/// What was opened already of one sender.
#[derive(Default, Debug)]
struct Window {
    /// The highest counter.
    top: u64,
    /// Of the counters in front of it, one bit each, at its remainder.
    seen: [u64; WORDS],
    /// When something was last heard, as a count of what was opened.
    heard: u64,
}

impl Senders {
    fn is_new(&self, sender: [u8; PREFIX], count: u64) -> bool {
        self.all.get(&sender).is_none_or(|window| window.is_new(count))
    }

    /// Remembers what was opened. Whoever was silent for longest makes room for a new sender:
    /// what is replayed of it then costs work, and changes nothing all the same.
    fn note(&mut self, sender: [u8; PREFIX], count: u64) {
        self.opened = self.opened.saturating_add(1);
        if self.all.len() >= SENDERS_MAX && !self.all.contains_key(&sender) {
            let silent = self.all.iter().min_by_key(|(_, window)| window.heard);
            if let Some(silent) = silent.map(|(sender, _)| *sender) {
                self.all.remove(&silent);
            }
        }
        let window = self.all.entry(sender).or_default();
        window.heard = self.opened;
        window.note(count);
    }
}

impl Window {
    fn is_new(&self, count: u64) -> bool {
        let behind = self.top.checked_sub(count);
        behind.is_none_or(|behind| behind < WINDOW && !self.has(count))
    }

    fn has(&self, count: u64) -> bool {
        let (word, bit) = place(count);
        self.seen.get(word).is_some_and(|word| word & bit != 0)
    }

    fn note(&mut self, count: u64) {
        if let Some(ahead) = count.checked_sub(self.top) {
            // What was there is a window older.
            for skipped in 1..=ahead.min(WINDOW) {
                self.set(self.top.saturating_add(skipped), false);
            }
            self.top = count;
        }
        self.set(count, true);
    }

    fn set(&mut self, count: u64, to: bool) {
        let (word, bit) = place(count);
        if let Some(word) = self.seen.get_mut(word) {
            *word = if to { *word | bit } else { *word & !bit };
        }
    }
}

/// Where the bit of a counter lies.
fn place(count: u64) -> (usize, u64) {
    let at = count % WINDOW;
    (usize::try_from(at / 64).unwrap_or(0), 1 << (at % 64))
}

/// Bytes of a nonce that are the same for one boot.
const PREFIX: usize = 16;
/// Bytes of a nonce that count.
const COUNTER: usize = 8;
/// Bytes by which a box is longer than what is in it.
const TAG: usize = 16;
/// Counters of one sender that are remembered. It counts what it sends to others too.
const WINDOW: u64 = 1_024;
const WORDS: usize = 16;
/// Senders that are remembered.
pub(super) const SENDERS_MAX: usize = super::members::MEMBERS_MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gossip::keys::Key;

    fn seal(me: u64, keys: &[u8], seed: u64) -> Seal {
        let ring: Ring = keys.iter().map(|byte| Key::new([*byte; 32])).collect();
        Seal::new(&ring, "pico", Boot(me), &Seed::from_u64(seed)).unwrap()
    }

    #[test]
    fn a_window_knows_what_came_and_lets_go_of_what_is_old() {
        let mut window = Window::default();
        for count in [1, 3, 2, 700, 1_500, 1_499, 40_000, 39_000] {
            assert!(window.is_new(count), "{count}");
            window.note(count);
            assert!(!window.is_new(count), "{count}");
        }
        for (count, new) in [(39_001, true), (38_977, true), (38_976, false), (1, false)] {
            assert_eq!(window.is_new(count), new, "{count}");
        }
        window.note(u64::MAX);
        assert!(window.is_new(u64::MAX - 1_023) && !window.is_new(u64::MAX - 1_024));
    }

    #[test]
    fn senders_are_bounded_and_the_silent_make_room() {
        let mut senders = Senders::default();
        let name = |number: usize| {
            let mut name = [0; PREFIX];
            name[..8].copy_from_slice(&number.to_be_bytes());
            name
        };
        for number in 0..SENDERS_MAX {
            senders.note(name(number), 1);
        }
        senders.note(name(0), 2);
        senders.note(name(SENDERS_MAX), 1);
        assert_eq!(senders.all.len(), SENDERS_MAX);
        assert!(senders.is_new(name(1), 1) && !senders.is_new(name(0), 1));
    }

    #[test]
    fn what_does_not_open_leaves_no_trace() {
        let (mut one, mut two) = (seal(1, &[7], 1), seal(2, &[7], 2));
        let sealed = one.seal(Boot(2), b"hello");
        for at in 0..sealed.len() {
            let mut forged = sealed.to_vec();
            forged[at] ^= 1;
            assert!(matches!(two.open(&forged), Err(Unopened::Strange { .. })), "byte {at}");
        }
        assert_eq!(two.senders(), 0);
        let opened = two.open(&sealed).unwrap();
        assert_eq!((&opened.bytes[..], opened.ours), (&b"hello"[..], true));
        assert_eq!(two.open(&sealed), Err(Unopened::Replayed));
    }
}
