//! What others say, and what is answered.

use super::machine::{Action, Machine};
use super::member::State;
use super::seal::{self, Opened, Unopened};
use super::wire::{self, Envelope, Message, Messages, RISING_MAX, Standing};
use crate::host::DATAGRAM_MAX;
use crate::id::Boot;
use bytes::{Bytes, BytesMut};
use core::net::SocketAddr;
use core::time::Duration;

/// Who says something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) boot: Boot,
    /// Where its datagram came from; `None` in a consultation.
    pub(super) addr: Option<SocketAddr>,
    /// Whether it was said to this boot. What was sealed for whoever is at an address may have
    /// been said to an earlier one, long ago.
    pub(super) ours: bool,
}

/// Messages for one node: datagrams that are sent as they fill, or one consultation.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) to: Boot,
    addr: Option<SocketAddr>,
    /// Whether it is for whoever is there.
    anyone: bool,
    bytes: BytesMut,
    /// How long the bytes may get.
    max: usize,
    /// Bytes of what comes before the messages.
    start: usize,
    /// Datagrams that it may still fill.
    left: usize,
    /// Answers that cost much work and may still be put into it.
    dear: u8,
}

impl Letter {
    /// How many bytes of messages still fit into what was begun.
    pub(super) fn room(&self) -> usize {
        self.max.saturating_sub(self.bytes.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.len() == self.start
    }

    /// Seals it for whoever is at its address.
    pub(super) const fn for_anyone(&mut self) {
        self.anyone = true;
    }

    pub(super) const fn is_datagram(&self) -> bool {
        self.addr.is_some()
    }

    /// It may fill so many datagrams.
    pub(super) const fn allow(&mut self, datagrams: usize) {
        self.left = datagrams;
    }

    /// Whether one more answer that costs much work may be put into it.
    pub(super) const fn take_dear(&mut self) -> bool {
        let some = self.dear > 0;
        self.dear = self.dear.saturating_sub(1);
        some
    }

    /// How many bytes of messages it would take in all.
    pub(super) fn budget(&self) -> usize {
        let more = if self.is_datagram() { self.left.saturating_mul(self.max) } else { 0 };
        self.room().saturating_add(more)
    }

    /// For whom it is sealed.
    fn recipient(&self) -> Boot {
        if self.anyone { Boot(0) } else { self.to }
    }

    pub(super) fn into_bytes(self) -> BytesMut {
        self.bytes
    }
}

impl Machine {
    pub(super) fn datagram(&mut self, from: SocketAddr, bytes: Bytes) {
        let length = bytes.len();
        let Some((bytes, ours)) = self.unseal(from, bytes) else { return };
        let opened = if self.seal.is_some() { self.inside(&bytes) } else { self.open(&bytes) };
        let Some((boot, messages)) = opened else { return };
        self.counts.received += 1;
        self.counts.received_bytes += u64::try_from(length).unwrap_or(u64::MAX);
        let source = Source { boot, addr: Some(from), ours };
        let mut reply = self.letter(boot, Some(from));
        if self.members.get(boot).is_some_and(|known| known.member.addr == from) {
            self.probes.heard(boot);
        } else {
            // Perhaps this only says that it comes from there.
            reply.allow(0);
        }
        self.hear(source, messages, &mut reply);
        self.send(reply);
    }

    /// What is in the seal of a datagram, if this cluster seals them, and whether it is for us.
    fn unseal(&mut self, from: SocketAddr, bytes: Bytes) -> Option<(Bytes, bool)> {
        let Some(seal) = &mut self.seal else { return Some((bytes, true)) };
        match seal.open(&bytes) {
            Ok(Opened { bytes, ours }) => Some((bytes, ours)),
            Err(Unopened::Replayed) => {
                self.counts.replayed += 1;
                None
            }
            Err(Unopened::Strange { anyone }) => {
                self.counts.unopened += 1;
                if anyone && self.quiet <= self.now() {
                    self.quiet = self.now() + QUIET;
                    self.act(Action::Unopened(from));
                }
                None
            }
        }
    }

    /// What was sealed.
    fn inside<'b>(&mut self, bytes: &'b [u8]) -> Option<(Boot, Messages<'b>)> {
        let Ok((from, messages)) = wire::inside(bytes) else {
            self.counts.malformed += 1;
            return None;
        };
        (from != self.me.boot).then_some((from, messages))
    }

    /// What is in a datagram or a consultation of this cluster.
    pub(super) fn open<'b>(&mut self, bytes: &'b [u8]) -> Option<(Boot, Messages<'b>)> {
        match wire::open(bytes) {
            Ok((envelope, _)) if envelope.cluster != self.settings.cluster => {
                self.counts.strange += 1;
                None
            }
            // Somebody's mirror.
            Ok((envelope, _)) if envelope.from == self.me.boot => None,
            Ok((envelope, messages)) => Some((envelope.from, messages)),
            Err(_) => {
                self.counts.malformed += 1;
                None
            }
        }
    }

    /// Takes in messages one by one; what is to be answered is put into `reply`.
    pub(super) fn hear(&mut self, from: Source, messages: Messages<'_>, reply: &mut Letter) {
        for message in messages {
            // One of them may have been the last that a leaving node waited for.
            if self.is_over() {
                return;
            }
            match message {
                Ok(message) => self.heard(from, message, reply),
                Err(_) => self.counts.malformed += 1,
            }
        }
    }

    fn heard(&mut self, from: Source, message: Message, reply: &mut Letter) {
        if !from.ours && !self.counts_for_anyone(&message) {
            return;
        }
        match message {
            Message::Root(_) | Message::Heads { .. } | Message::Want { .. }
                if self.is_stranger(from) => {}
            Message::Ping { seq, target } => self.pinged(from, seq, target, reply),
            Message::Ack { seq } => self.acked(from, seq),
            Message::Relay { seq, target, addr } => self.relay(from, seq, target, addr),
            Message::Nack { seq } => self.nacked(from, seq),
            Message::Member(member) if member.generation > self.horizon() => {
                self.counts.malformed += 1;
            }
            Message::Member(member) => self.heard_member(from, &member, reply),
            Message::Standing(standing) => self.heard_standing(from, standing, reply),
            Message::Who(boot) => self.tell_who(boot, reply),
            Message::Root(hash) => self.compared(from, hash, reply),
            Message::Heads { scope, heads } => self.heard_heads(from, scope, &heads, reply),
            Message::Ops { boot, first, ops } => self.heard_ops(from, boot, first, ops, reply),
            Message::Want { boot, after } => self.wanted(boot, after, reply),
            Message::Behind { boot, head } => self.fetch(from.boot, boot, head),
            Message::PageWant { boot, after } => self.page_wanted(boot, after.as_ref(), reply),
            // Only ever in the answer to a consultation of ours, where they are looked for.
            Message::Page { .. } | Message::Joining => {}
        }
    }

    /// The highest generation that is believed. It rises as time passes, so that whoever finds a
    /// higher one than its own believed, and takes the next, is believed too by those who believed
    /// that one.
    pub(super) fn horizon(&self) -> u64 {
        let up = self.now().since(self.booted).as_millis();
        let up = u64::try_from(up).unwrap_or(u64::MAX);
        let now = self.settings.generation.max(PRESENT).saturating_add(up);
        now.saturating_add(LEAD).min(RISING_MAX - 2)
    }

    /// What may be said to whoever is at an address: who are you, and what is held of you. Nothing
    /// that is old can be in it; the rest is said to the one who answers.
    fn counts_for_anyone(&self, message: &Message) -> bool {
        let me = self.me.boot;
        matches!(message, Message::Ping { .. })
            || matches!(message, Message::Standing(standing) if standing.boot == me)
    }

    /// Whether a datagram says that it is from somebody who is not known.
    fn is_stranger(&self, from: Source) -> bool {
        from.addr.is_some() && self.members.get(from.boot).is_none()
    }

    fn pinged(&mut self, from: Source, seq: u64, target: Boot, reply: &mut Letter) {
        let ours = target == self.me.boot;
        let known = self.members.get(from.boot).is_some();
        if !ours || !known {
            self.say(reply, &Message::Member(self.me.clone()));
        }
        if ours || target == Boot(0) {
            self.say(reply, &Message::Ack { seq });
        }
        if !known {
            self.say(reply, &Message::Who(from.boot));
        }
    }

    fn tell_who(&mut self, boot: Boot, reply: &mut Letter) {
        let member = if boot == self.me.boot {
            Some(self.me.clone())
        } else {
            let known = self.members.get(boot).filter(|known| known.member.state.is_live());
            known.map(|known| known.member.clone())
        };
        if let Some(member) = member {
            self.say(reply, &Message::Member(member));
        }
    }

    /// Begins a letter. Whoever is held suspect or dead is told so before anything else.
    pub(super) fn letter(&mut self, to: Boot, addr: Option<SocketAddr>) -> Letter {
        let mut bytes = BytesMut::with_capacity(LETTER_BYTES);
        let sealed = self.seal.is_some() && addr.is_some();
        if sealed {
            wire::put_inside(self.me.boot, &mut bytes);
        } else {
            Envelope { cluster: &self.settings.cluster, from: self.me.boot }.put(&mut bytes);
        }
        let max = match addr {
            Some(_) if sealed => DATAGRAM_MAX - seal::OVERHEAD,
            Some(_) => DATAGRAM_MAX,
            None => super::CONSULT_MAX,
        };
        let (start, anyone) = (bytes.len(), to == Boot(0));
        Letter { to, addr, anyone, bytes, max, start, left: REPLY_DATAGRAMS, dear: DEAR }
    }

    /// What `to` has to hear before anything else: that it is held suspect, dead or gone.
    fn accusation(&self, to: Boot, incarnation: u64, state: State) -> Option<Message> {
        match state {
            State::Suspect | State::Dead | State::Left => {
                let by = self.me.boot;
                Some(Message::Standing(Standing { boot: to, incarnation, state, by }))
            }
            State::Alive | State::Leaving => None,
        }
    }

    /// Appends a message. What does not fit goes into another datagram; what does not fit into
    /// a consultation is left out, as if it were lost.
    pub(super) fn say(&mut self, letter: &mut Letter, message: &Message) {
        let before = letter.bytes.len();
        message.put(&mut letter.bytes);
        if letter.bytes.len() <= letter.max {
            return;
        }
        let Some(addr) = letter.addr else { return letter.bytes.truncate(before) };
        let tail = letter.bytes.split_off(before);
        if before == letter.start || letter.left == 0 {
            return;
        }
        letter.left -= 1;
        let mut next = BytesMut::from(letter.bytes.get(..letter.start).unwrap_or_default());
        next.extend_from_slice(&tail);
        let full = core::mem::replace(&mut letter.bytes, next);
        self.send_datagram(addr, letter.recipient(), full);
        if letter.bytes.len() > letter.max {
            letter.bytes.truncate(letter.start);
        }
    }

    /// Sends a letter of datagrams, unless nothing is in it. Where there is room, news ride along.
    pub(super) fn send(&mut self, letter: Letter) {
        if !letter.is_empty() {
            self.send_news(letter);
        }
    }

    /// The same, also if what is new about others is all that there is to say.
    pub(super) fn send_news(&mut self, mut letter: Letter) {
        let Some(addr) = letter.addr else { return };
        self.add_news(&mut letter);
        if !letter.is_empty() {
            self.send_datagram(addr, letter.recipient(), letter.bytes);
        }
    }

    /// Adds an accusation, or else what is new about others.
    pub(super) fn add_news(&mut self, letter: &mut Letter) {
        let known = self.members.get(letter.to).map(|known| &known.member);
        let live = known.is_some_and(|member| member.state.is_live());
        let held = known.or_else(|| self.members.barred(letter.to));
        let accusation =
            held.and_then(|held| self.accusation(letter.to, held.incarnation, held.state));
        if let Some(accusation) = accusation {
            let before = letter.bytes.len();
            let room = letter.room();
            accusation.put(&mut letter.bytes);
            if letter.bytes.len() - before > room {
                letter.bytes.truncate(before);
            }
        }
        if live && !self.rumours.is_empty() {
            let (now, times, room) = (self.now(), self.times(), letter.room());
            self.rumours.tell(now, &mut letter.bytes, room.min(RUMOURS_BYTES), times);
        }
    }

    fn send_datagram(&mut self, to: SocketAddr, recipient: Boot, bytes: BytesMut) {
        let bytes = match &mut self.seal {
            Some(seal) => seal.seal(recipient, &bytes),
            None => bytes.freeze(),
        };
        self.counts.sent += 1;
        self.counts.sent_bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.act(Action::Datagram { to, bytes });
    }

    /// How often each thing that is new is sent. Among nine that would be four times, and once in
    /// a hundred somebody would miss it.
    pub(super) fn times(&self) -> u64 {
        4 * super::scale::decades(self.size()).max(2)
    }
}

/// The beginning of 2026, in milliseconds since 1970: a clock that is behind this is wrong.
const PRESENT: u64 = 1_767_225_600_000;
/// Thirty years in milliseconds: so far may another's clock be ahead.
const LEAD: u64 = 946_728_000_000;
/// The highest generation with which a node boots, whatever its clock says: it is believed by all.
pub const GENERATION_MAX: u64 = PRESENT + LEAD;
/// How long nothing is said of what does not open, after something was.
pub const QUIET: Duration = Duration::from_mins(1);
/// Bytes for which a letter has room at first: those of a ping or its answer, and a little more.
const LETTER_BYTES: usize = 96;
/// Datagrams that answer one, beside the first.
const REPLY_DATAGRAMS: usize = 16;
/// Answers in one letter that go through all members.
const DEAR: u8 = 2;
/// Bytes of news that ride along: the longest Member is one of them.
const RUMOURS_BYTES: usize = 660;
