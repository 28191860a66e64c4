//! Passing on what is new.

use super::hear::Letter;
use super::machine::{Key, Machine};
use super::wire::{Head, Message, Scope};
use crate::id::Boot;
use crate::time::Instant;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// What is to be passed on, beside rumours.
#[derive(Debug)]
pub(super) struct Spread {
    /// Logs with ops that nobody was sent yet, and behind which number these are.
    fresh: BTreeMap<Boot, u64>,
    /// Heads that are news.
    heads: BTreeMap<Boot, News>,
    /// The same, the newest first.
    order: BTreeMap<u64, Boot>,
    serial: u64,
    pushed: Instant,
    committed: Instant,
    /// When the last round was, and when the next one will be if there is one.
    rounded: Instant,
    round: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct News {
    at: u64,
    /// In how many rounds it is still to be sent.
    left: u64,
    /// Behind which number the ops are that made it news.
    before: u64,
}

impl Spread {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            fresh: BTreeMap::new(),
            heads: BTreeMap::new(),
            order: BTreeMap::new(),
            serial: 0,
            pushed: now,
            committed: now,
            rounded: now,
            round: None,
        }
    }

    /// When own changes were made ops last.
    pub(super) const fn committed(&self) -> Instant {
        self.committed
    }

    pub(super) const fn commit(&mut self, now: Instant) {
        self.committed = now;
    }

    pub(super) fn len(&self) -> usize {
        self.fresh.len() + self.heads.len()
    }

    pub(super) fn forget(&mut self, boot: Boot) {
        self.fresh.remove(&boot);
        if let Some(news) = self.heads.remove(&boot) {
            self.order.remove(&news.at);
        }
    }

    fn announce(&mut self, boot: Boot, left: u64, before: u64) {
        self.serial += 1;
        let at = u64::MAX - self.serial;
        if let Some(old) = self.heads.insert(boot, News { at, left, before }) {
            self.order.remove(&old.at);
        }
        self.order.insert(at, boot);
    }
}

impl Machine {
    /// A log has grown from `before` on: that is to be passed on.
    pub(super) fn spread_ops(&mut self, boot: Boot, before: u64) {
        let times = self.times();
        self.spread.announce(boot, times, before);
        self.want_round();
        let fresh = self.directory(boot).is_some_and(|replica| replica.head() > before);
        if fresh {
            self.spread.fresh.entry(boot).or_insert(before);
            let at = self.spread.pushed + self.settings.pace.push;
            self.at(Key::Push, at);
        }
    }

    /// Sees to it that there is a round.
    pub(super) fn want_round(&mut self) {
        if self.spread.round.is_none() {
            let at = self.now() + self.part_of(self.settings.pace.round);
            self.set_round(at);
        }
    }

    /// Sees to it that there is a round soon, because something is new about a member: news that
    /// comes when it is quiet does not wait for most of a round at each that passes it on. Rounds
    /// are no more for it: there is as long between two as ever.
    pub(super) fn hasten_round(&mut self) {
        let now = self.now();
        let due = self.spread.rounded + self.settings.pace.round;
        let at = due.max(now + self.part_of(self.settings.pace.push));
        if self.spread.round.is_none_or(|round| at < round) {
            self.set_round(at);
        }
    }

    fn set_round(&mut self, at: Instant) {
        self.spread.round = Some(at);
        self.at(Key::Round, at);
    }

    /// Sends what is new to a few.
    pub(super) fn round(&mut self) {
        (self.spread.rounded, self.spread.round) = (self.now(), None);
        let some = self.members.some(&mut self.dice, FANOUT, |known| !known.is_deaf());
        for boot in &some {
            let Some(known) = self.members.get(*boot) else { continue };
            let addr = known.member.addr;
            let mut letter = self.letter(*boot, Some(addr));
            self.say_news(&mut letter);
            self.send_news(letter);
        }
        self.spread_told();
        let more = self.ask_the_dead() | self.want_again();
        // Rumours that nobody can be told wait for somebody.
        let news = !some.is_empty() && !self.rumours.is_empty();
        if more || news || !self.spread.heads.is_empty() {
            self.set_round(self.now() + self.settings.pace.round);
        }
    }

    /// The heads that are news, the newest first, and as many of the ops behind them as are few.
    fn say_news(&mut self, letter: &mut Letter) {
        let news = self.news();
        for heads in news.chunks(HEADS_OF_MESSAGE).take(NEWS_MESSAGES) {
            self.say(letter, &Message::Heads { scope: Scope::Some, heads: heads.to_vec() });
        }
        // Whoever lacks them need not ask, which is two more packets that may be lost.
        let mut left = ROUND_OPS_BYTES.min(letter.room());
        for head in news {
            let Some(news) = self.spread.heads.get(&head.boot) else { continue };
            for message in self.ops_after(head.boot, news.before, left) {
                let Message::Ops { ops, .. } = &message else { continue };
                let bytes: usize = ops.iter().map(super::directory::Op::wire_bytes).sum();
                let Some(rest) = left.checked_sub(bytes + OPS_HEADER) else { return };
                left = rest;
                self.say(letter, &message);
            }
        }
    }

    fn news(&self) -> Vec<Head> {
        let most = HEADS_OF_MESSAGE * NEWS_MESSAGES;
        let newest = self.spread.order.values().take(most);
        newest.filter_map(|boot| self.head_of(*boot)).collect()
    }

    /// What was sent in a round has been sent once more.
    fn spread_told(&mut self) {
        let most = HEADS_OF_MESSAGE * NEWS_MESSAGES;
        let newest: Vec<Boot> = self.spread.order.values().take(most).copied().collect();
        for boot in newest {
            let Some(news) = self.spread.heads.get_mut(&boot) else { continue };
            news.left = news.left.saturating_sub(1);
            if news.left == 0 {
                let at = news.at;
                self.spread.heads.remove(&boot);
                self.spread.order.remove(&at);
            }
        }
    }

    /// Sends new ops to a few, as many as the budget allows. Whoever gets none hears of the head.
    pub(super) fn push(&mut self) {
        let now = self.now();
        let since = now.since(self.spread.pushed).min(PUSH_SAVED);
        self.spread.pushed = now;
        let fresh = core::mem::take(&mut self.spread.fresh);
        let some = self.members.some(&mut self.dice, FANOUT, |known| !known.is_deaf());
        if some.is_empty() {
            return;
        }
        let millis = usize::try_from(since.as_millis()).unwrap_or(0);
        let budget = self.settings.pace.push_bytes.saturating_mul(millis) / 1_000 / some.len();
        let mut left = budget.max(crate::host::DATAGRAM_MAX);
        let mut messages = Vec::new();
        for (boot, after) in fresh {
            for message in self.ops_after(boot, after, left) {
                if let Message::Ops { ops, .. } = &message {
                    let bytes: usize = ops.iter().map(super::directory::Op::wire_bytes).sum();
                    left = left.saturating_sub(bytes + OPS_HEADER);
                    messages.push(message);
                }
            }
            if left <= OPS_HEADER {
                break;
            }
        }
        for boot in some {
            let Some(known) = self.members.get(boot) else { continue };
            let addr = known.member.addr;
            let mut letter = self.letter(boot, Some(addr));
            letter.allow(PUSH_DATAGRAMS);
            for message in &messages {
                self.say(&mut letter, message);
            }
            self.send(letter);
        }
    }
}

/// Members that are sent something at once.
const FANOUT: usize = 3;
/// Heads in one message, so that it fits into a datagram whatever their numbers.
pub(super) const HEADS_OF_MESSAGE: usize = 46;
/// Messages of heads in one round, for each member.
const NEWS_MESSAGES: usize = 6;
/// For so long a budget that was not used may be used later.
const PUSH_SAVED: core::time::Duration = core::time::Duration::from_millis(100);
/// Bytes of a message of ops beside the ops.
const OPS_HEADER: usize = 20;
/// Bytes of ops in one round, for each member: they fill up a datagram that is sent anyway.
const ROUND_OPS_BYTES: usize = 400;
/// Datagrams of one push to one member.
const PUSH_DATAGRAMS: usize = 64;
