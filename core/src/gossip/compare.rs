//! Finding out what two nodes know otherwise, whatever got lost.

use super::consult::Consult;
use super::hear::{Letter, Source};
use super::machine::{Key, Machine};
use super::member::State;
use super::spread::HEADS_OF_MESSAGE;
use super::wire::{Head, Message, Scope, Standing};
use crate::id::{AskId, Boot};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

impl Machine {
    /// Compares with one member.
    pub(super) fn compare(&mut self) {
        self.after(Key::Compare, self.settings.pace.compare);
        self.answered_dearly = 0;
        let Some(boot) = self.members.some(&mut self.dice, 1, |_| true).pop() else { return };
        let Some(known) = self.members.get(boot) else { return };
        let addr = known.member.addr;
        if known.is_deaf() {
            self.consult_heads(boot, Consult::Heads);
            return;
        }
        let hash = self.root();
        let mut letter = self.letter(boot, Some(addr));
        self.say(&mut letter, &Message::Root(hash));
        self.send(letter);
    }

    /// What this node knows of the members that live, as one number.
    fn root(&mut self) -> u64 {
        if let Some(root) = self.root {
            return root;
        }
        let live = self.members.live().iter().filter_map(|boot| self.head_of(*boot));
        let all = live.chain(self.head_of(self.me.boot));
        let root = all.fold(0, |sum: u64, head| sum.wrapping_add(hash(&head)));
        self.root = Some(root);
        root
    }

    /// How far a member's log is known, if it is known at all.
    pub(super) fn head_of(&self, boot: Boot) -> Option<Head> {
        if boot == self.me.boot {
            let (incarnation, head) = (self.me.incarnation, self.own.log().head());
            return Some(Head { boot, incarnation, head });
        }
        let incarnation = self.members.get(boot)?.member.incarnation;
        Some(Head { boot, incarnation, head: self.replicas.head(boot)? })
    }

    /// All heads, of what changed last first.
    fn heads(&self) -> Vec<Head> {
        let mut live: Vec<_> =
            self.members.live().iter().filter_map(|boot| self.members.get(*boot)).collect();
        live.sort_unstable_by_key(|known| core::cmp::Reverse(known.changed));
        let others = live.into_iter().filter_map(|known| self.head_of(known.member.boot));
        self.head_of(self.me.boot).into_iter().chain(others).collect()
    }

    /// Another knows something that has this hash.
    pub(super) fn compared(&mut self, from: Source, hash: u64, reply: &mut Letter) {
        if hash == self.root() {
            return self.replicas.settle(from.boot);
        }
        let known = self.members.get(from.boot).is_some();
        if !known || !self.takes_dear(reply) {
            return;
        }
        let heads = self.heads();
        let all = heads.len() <= HEADS_OF_MESSAGE;
        let scope = if all { Scope::All } else { Scope::Latest };
        for part in heads.chunks(HEADS_OF_MESSAGE).take(COMPARED_MESSAGES) {
            self.say(reply, &Message::Heads { scope, heads: part.to_vec() });
        }
    }

    /// Consults a member with all that this node knows.
    pub(super) fn consult_heads(&mut self, boot: Boot, why: Consult) -> Option<AskId> {
        let heads = self.heads();
        let mut letter = self.letter(boot, None);
        self.say(&mut letter, &Message::Heads { scope: Scope::All, heads });
        if self.members.get(boot).is_none() {
            self.say(&mut letter, &Message::Member(self.me.clone()));
        }
        self.add_news(&mut letter);
        self.consult(letter, why)
    }

    pub(super) fn heard_heads(
        &mut self,
        from: Source,
        scope: Scope,
        heads: &[Head],
        reply: &mut Letter,
    ) {
        let mut news = false;
        for head in heads {
            news |= self.heard_head(from, head, reply);
        }
        match scope {
            Scope::Some => {}
            Scope::Latest if news => {}
            Scope::Latest => self.compare_all(from.boot),
            Scope::All => self.heard_all(heads, reply),
        }
    }

    /// What a member learned last is known here: the difference is older.
    fn compare_all(&mut self, boot: Boot) {
        let now = self.now();
        if now >= self.compared + COMPARE_ALL_EVERY {
            self.compared = now;
            self.consult_heads(boot, Consult::Heads);
        }
    }

    /// Whether an answer that goes through all members may be given: a packet can be answered by
    /// few of them, and so can those who send many, whoever they say they are. A consultation
    /// costs whoever asks more than that.
    fn takes_dear(&mut self, reply: &mut Letter) -> bool {
        let few = !reply.is_datagram() || self.answered_dearly < DEAR_ANSWERS;
        let taken = few && reply.take_dear();
        self.answered_dearly += u32::from(taken && reply.is_datagram());
        taken
    }

    /// Another knows these members and no others.
    fn heard_all(&mut self, heads: &[Head], reply: &mut Letter) {
        if !self.takes_dear(reply) {
            return;
        }
        let told: BTreeSet<Boot> = heads.iter().map(|head| head.boot).collect();
        let me = (!told.contains(&self.me.boot)).then_some(self.me.boot);
        let others = self.members.live().iter().filter(|boot| !told.contains(boot)).copied();
        let missing: Vec<Boot> = me.into_iter().chain(others).collect();
        for boot in missing {
            self.say_all_of(boot, reply);
        }
        if !self.join.is_ready() {
            self.say(reply, &Message::Joining);
        }
    }

    /// Tells a member and its head to one who does not know it.
    fn say_all_of(&mut self, boot: Boot, reply: &mut Letter) {
        let member = if boot == self.me.boot {
            self.me.clone()
        } else {
            let Some(known) = self.members.get(boot) else { return };
            known.member.clone()
        };
        self.say(reply, &Message::Member(member));
        let heads = self.head_of(boot).into_iter().collect();
        self.say(reply, &Message::Heads { scope: Scope::Some, heads });
    }

    /// Says whether what is known here is other.
    fn heard_head(&mut self, from: Source, head: &Head, reply: &mut Letter) -> bool {
        if head.boot == self.me.boot {
            return self.compare_heads(head, self.own.log().head(), reply);
        }
        let Some(known) = self.members.get(head.boot) else {
            self.say(reply, &Message::Who(head.boot));
            return true;
        };
        let (state, incarnation) = (known.member.state, known.member.incarnation);
        match state {
            // Its own packets are answered by telling it so.
            State::Dead if head.boot == from.boot => return true,
            State::Dead => {
                let addr = known.member.addr;
                self.doubt_death(head.boot, addr);
                return true;
            }
            State::Left => {
                let said = Standing { boot: head.boot, incarnation, state, by: head.boot };
                self.say(reply, &Message::Standing(said));
                return true;
            }
            State::Alive | State::Leaving | State::Suspect => {}
        }
        if head.incarnation > incarnation {
            self.say(reply, &Message::Who(head.boot));
        } else if head.incarnation < incarnation {
            let member = known.member.clone();
            self.say(reply, &Message::Member(member));
        }
        let mine = self.replicas.head(head.boot).unwrap_or(head.head);
        if head.boot == from.boot && head.head <= mine {
            self.replicas.settle(head.boot);
        }
        self.compare_heads(head, mine, reply) || head.incarnation != incarnation
    }

    /// Asks for what another knows more of a log, or says that there is more.
    fn compare_heads(&mut self, theirs: &Head, mine: u64, reply: &mut Letter) -> bool {
        if theirs.head > mine {
            self.want(theirs.boot, theirs.head, reply);
        } else if theirs.head < mine {
            let heads = self.head_of(theirs.boot).into_iter().collect();
            self.say(reply, &Message::Heads { scope: Scope::Some, heads });
        }
        theirs.head != mine
    }
}

/// A mix of what is known of one member.
fn hash(head: &Head) -> u64 {
    mix(head.boot.0 ^ mix(head.incarnation ^ mix(head.head)))
}

/// The finalizer of `SplitMix64` (Steele et al., 2014).
const fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Messages of heads that answer a Root.
const COMPARED_MESSAGES: usize = 4;
/// Answers that go through all members, to datagrams, between two comparisons of a node's own. Each
/// node begins one in that time, with whom chance will: so many at one node are no accident.
const DEAR_ANSWERS: u32 = 32;
/// How often a node compares everything with another, if what changed last is not it.
const COMPARE_ALL_EVERY: core::time::Duration = core::time::Duration::from_secs(5);
