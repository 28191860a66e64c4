//! A connection under the keys of a cluster: `Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s`, in records.

use super::Cluster;
use bytes::{Buf as _, BytesMut};
use pico_core::gossip::Key;
use pico_core::note::Distrust;
use pico_core::{Dice, Outbox, Seed};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, Error, HandshakeState, TransportState};
use std::fmt;

/// One end of such a connection.
pub struct Noise {
    stage: Stage,
    /// What came and was not looked at yet: less than a read and a record.
    inbox: BytesMut,
    /// What is to be sent.
    outbox: Outbox,
}

enum Stage {
    /// We accepted, and wait for the first message.
    Accepting(Cluster, Seed),
    /// We dialled, and wait for the answer.
    Asking(Box<HandshakeState>),
    /// Both have the keys.
    Talking(Box<Talk>),
    /// The other cannot be trusted.
    Over(Distrust),
}

struct Talk {
    keys: TransportState,
    /// Records that were sealed and opened under the present keys.
    sealed: u64,
    opened: u64,
    /// Whether it is certain that the other is there now: what it said in the handshake could
    /// have been recorded, if it was it that dialled.
    proven: bool,
    /// A record that was opened and not handed on yet.
    kept: Option<BytesMut>,
    /// The other has said that no more comes.
    ended: bool,
    /// We have.
    finished: bool,
}

/// What came over a wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// The other end has the keys. Said once, and before all else.
    Open,
    /// Bytes, at least one.
    Bytes(BytesMut),
    /// No more bytes will come.
    End,
}

impl Noise {
    /// The end that has dialled. What it has to send first is in its outbox.
    pub(super) fn dial(cluster: &Cluster, seed: Seed) -> Self {
        let key = cluster.keys.first().expect("a cluster with keys has a first one");
        let mut state = builder(cluster, key, seed).build_initiator().expect(PARTS);
        let mut first = [0; HELLO];
        let length = state.write_message(&[], &mut first).expect("a first message can be written");
        let mut noise = Self::new(Stage::Asking(Box::new(state)));
        noise.put(&first[..length]);
        noise
    }

    /// The end that has accepted.
    pub(super) fn accept(cluster: &Cluster, seed: Seed) -> Self {
        Self::new(Stage::Accepting(cluster.clone(), seed))
    }

    fn new(stage: Stage) -> Self {
        Self { stage, inbox: BytesMut::new(), outbox: Outbox::new() }
    }

    /// The socket has brought bytes. Call [`poll`](Self::poll) until it has no more before
    /// anything else is read.
    pub fn hear(&mut self, bytes: BytesMut) {
        if self.inbox.is_empty() {
            self.inbox = bytes;
        } else {
            self.inbox.extend_from_slice(&bytes);
        }
    }

    /// What came of it. An error is the end: the other is not to be trusted.
    pub fn poll(&mut self) -> Result<Option<Heard>, Distrust> {
        loop {
            if let Stage::Talking(talk) = &mut self.stage {
                if talk.ended {
                    return Ok(None);
                }
                if let Some(bytes) = talk.kept.take() {
                    return Ok(Some(talk.heard(bytes)));
                }
            }
            let Some(body) = self.record()? else { return Ok(None) };
            let before = self.is_open();
            self.take(&body)?;
            if self.is_open() && !before {
                return Ok(Some(Heard::Open));
            }
        }
    }

    /// The socket has brought a FIN, or is broken, without [the end](Heard::End) that the other
    /// would have sealed: the connection is cut. Before it was open, that says why it never was.
    pub fn cut(&mut self) -> Option<Distrust> {
        if self.is_open() {
            return None;
        }
        match self.stage {
            Stage::Over(why) => Some(why),
            Stage::Accepting(..) | Stage::Asking(_) | Stage::Talking(_) => {
                self.stage = Stage::Over(Distrust::Cut);
                Some(Distrust::Cut)
            }
        }
    }

    /// Seals what there is to say, as much as may wait for the socket, and returns how many bytes
    /// of `outbox` were taken. None are while what was sealed before still waits.
    pub fn seal(&mut self, outbox: &Outbox) -> usize {
        if !self.outbox.is_empty() || !self.is_open() {
            return 0;
        }
        let Stage::Talking(talk) = &mut self.stage else { return 0 };
        let mut record = BytesMut::new();
        let mut taken = 0;
        for mut piece in outbox.pieces() {
            while !piece.is_empty() && taken < AHEAD {
                let room = RECORD - record.len();
                let (front, rest) = piece.split_at(piece.len().min(room));
                record.extend_from_slice(front);
                taken += front.len();
                piece = rest;
                if record.len() == RECORD {
                    self.outbox.push(talk.seal(&record));
                    record.clear();
                }
            }
        }
        if !record.is_empty() {
            self.outbox.push(talk.seal(&record));
        }
        taken
    }

    /// Says that nothing more comes from here. Then the FIN may go, once the outbox is empty.
    pub fn finish(&mut self) {
        if let Stage::Talking(talk) = &mut self.stage
            && !std::mem::replace(&mut talk.finished, true)
        {
            let end = talk.seal(&[]);
            self.outbox.push(end);
        }
    }

    /// The socket has taken so many bytes of the outbox.
    pub fn sent(&mut self, count: usize) {
        self.outbox.advance(count);
    }

    /// What waits for the socket.
    pub const fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Whether [`Heard::Open`] was, or is about to be, said.
    pub fn is_open(&self) -> bool {
        matches!(&self.stage, Stage::Talking(talk) if talk.proven)
    }

    /// The body of the next record, if all of it is here.
    fn record(&mut self) -> Result<Option<BytesMut>, Distrust> {
        let wrong = match &self.stage {
            Stage::Over(why) => return Err(*why),
            Stage::Accepting(..) | Stage::Asking(_) => Distrust::Clear,
            Stage::Talking(_) => Distrust::Forged,
        };
        let Some(head) = self.inbox.first_chunk() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes(*head));
        let fits = match &self.stage {
            Stage::Talking(_) => (TAG..=RECORD + TAG).contains(&length),
            Stage::Accepting(..) | Stage::Asking(_) | Stage::Over(_) => length == HELLO,
        };
        if !fits {
            return self.fail(wrong);
        }
        if self.inbox.len() < head.len() + length {
            return Ok(None);
        }
        self.inbox.advance(2);
        Ok(Some(self.inbox.split_to(length)))
    }

    fn take(&mut self, body: &[u8]) -> Result<(), Distrust> {
        match &mut self.stage {
            Stage::Accepting(cluster, seed) => {
                let Some((talk, answer)) = greet(cluster, seed, body) else {
                    return self.fail(Distrust::Key);
                };
                self.stage = Stage::Talking(Box::new(Talk::new(talk, false)));
                self.put(&answer);
            }
            Stage::Asking(state) => {
                let read = state.read_message(body, &mut [0; HELLO]).is_ok();
                let old = std::mem::replace(&mut self.stage, Stage::Over(Distrust::Key));
                let Stage::Asking(state) = old else { return Err(Distrust::Key) };
                let keys = state.into_transport_mode().ok().filter(|_| read);
                let keys = keys.ok_or(Distrust::Key)?;
                self.stage = Stage::Talking(Box::new(Talk::new(keys, true)));
            }
            Stage::Talking(talk) => match talk.open(body) {
                Some(bytes) => {
                    talk.proven = true;
                    talk.kept = Some(bytes);
                }
                None => return self.fail(Distrust::Forged),
            },
            Stage::Over(why) => return Err(*why),
        }
        Ok(())
    }

    fn put(&mut self, message: &[u8]) {
        let length = u16::try_from(message.len()).expect("a message of a handshake is short");
        self.outbox.put(&length.to_be_bytes());
        self.outbox.put(message);
    }

    fn fail<T>(&mut self, why: Distrust) -> Result<T, Distrust> {
        self.stage = Stage::Over(why);
        self.inbox = BytesMut::new();
        self.outbox.clear();
        Err(why)
    }
}

/// Says nothing of the keys.
impl fmt::Debug for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Accepting(..) => "accepting",
            Stage::Asking(_) => "asking",
            Stage::Talking(_) => "talking",
            Stage::Over(_) => "over",
        };
        f.debug_tuple("Noise").field(&stage).finish()
    }
}

impl Talk {
    const fn new(keys: TransportState, proven: bool) -> Self {
        let (sealed, opened, kept) = (0, 0, None);
        Self { keys, sealed, opened, proven, kept, ended: false, finished: false }
    }

    fn heard(&mut self, bytes: BytesMut) -> Heard {
        if bytes.is_empty() {
            self.ended = true;
            return Heard::End;
        }
        Heard::Bytes(bytes)
    }

    /// A whole record.
    fn seal(&mut self, plain: &[u8]) -> BytesMut {
        let length = u16::try_from(plain.len() + TAG).expect("a record is short");
        let mut record = BytesMut::zeroed(2 + usize::from(length));
        let (head, body) = record.split_at_mut(2);
        head.copy_from_slice(&length.to_be_bytes());
        let sealed = self.keys.write_message(plain, body);
        assert_eq!(sealed, Ok(usize::from(length)), "a record can be sealed");
        self.sealed += 1;
        if self.sealed == REKEY {
            self.sealed = 0;
            self.keys.rekey_outgoing();
        }
        record
    }

    fn open(&mut self, body: &[u8]) -> Option<BytesMut> {
        let mut plain = BytesMut::zeroed(body.len().saturating_sub(TAG));
        self.keys.read_message(body, &mut plain).ok()?;
        self.opened += 1;
        if self.opened == REKEY {
            self.opened = 0;
            self.keys.rekey_incoming();
        }
        Some(plain)
    }
}

/// What the first message opens with, and the answer to it.
fn greet(cluster: &Cluster, seed: &Seed, first: &[u8]) -> Option<(TransportState, Vec<u8>)> {
    let fits = |key| {
        let mut state = builder(cluster, key, seed.clone()).build_responder().expect(PARTS);
        state.read_message(first, &mut [0; HELLO]).ok().map(|_| state)
    };
    let mut state = cluster.keys.iter().find_map(fits)?;
    let mut answer = vec![0; HELLO];
    let length = state.write_message(&[], &mut answer).ok()?;
    answer.truncate(length);
    Some((state.into_transport_mode().ok()?, answer))
}

fn builder<'a>(cluster: &'a Cluster, key: &'a Key, seed: Seed) -> Builder<'a> {
    let params = PROTOCOL.parse().expect("the protocol's name can be read");
    let builder = Builder::with_resolver(params, Box::new(Resolver(seed)));
    builder.prologue(&cluster.prologue).and_then(|one| one.psk(0, key.bytes())).expect(PARTS)
}

/// What is said if a handshake cannot be made: it does not depend on what is put in.
const PARTS: &str = "a handshake with these parts can be made";

/// The primitives, with randomness that comes from a seed.
struct Resolver(Seed);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Rolled(self.0.fork("noise").roll())))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

struct Rolled(Dice);

impl Random for Rolled {
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        for chunk in bytes.chunks_mut(8) {
            let word = self.0.long().to_le_bytes();
            for (to, from) in chunk.iter_mut().zip(word) {
                *to = from;
            }
        }
        Ok(())
    }
}

const PROTOCOL: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";
/// Bytes of each of the two messages of a handshake: a public key and a tag.
const HELLO: usize = 48;
/// Bytes by which a record is longer than what is in it.
const TAG: usize = 16;
/// Bytes in one record at most.
const RECORD: usize = 16 * 1024;
/// Bytes that are sealed before the socket takes them.
const AHEAD: usize = 4 * RECORD;
/// Records in one direction after which its key is made anew.
const REKEY: u64 = 1 << 16;
