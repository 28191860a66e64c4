//! Finding the others, and leaving.

use super::catch_up::Stage;
use super::hear::{Letter, Source};
use super::machine::{Action, Key, Machine};
use super::member::{Member, State};
use super::wire::Message;
use crate::id::Boot;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

/// How far a node has come.
#[derive(Default, Debug)]
pub(super) struct Join {
    seeds: Vec<SocketAddr>,
    pub(super) stage: Stage,
    /// Another process that has this node's name, with a higher generation, and may be alive.
    doubt: Option<Doubt>,
    /// Whether such a one has been found: this node has to end, and asks for no other.
    outdone: bool,
    /// Those that this node holds dead and another does not.
    doubtful: VecDeque<(Boot, SocketAddr)>,
    farewell: Option<Farewell>,
}

#[derive(Debug)]
struct Doubt {
    boot: Boot,
    generation: u64,
    addr: SocketAddr,
    /// How often it is still asked.
    left: u8,
}

/// The last word is being said.
#[derive(Debug)]
struct Farewell {
    until: crate::time::Instant,
    /// Who has yet to confirm it.
    to: Vec<Boot>,
    /// How often it was said.
    said: u8,
    over: bool,
}

impl Join {
    pub(super) const fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready)
    }

    pub(super) fn doubtful(&self) -> usize {
        self.doubtful.len()
    }

    pub(super) const fn is_over(&self) -> bool {
        matches!(self.farewell, Some(Farewell { over: true, .. }))
    }
}

impl Machine {
    /// Hears where others may be. A node that is told of nobody is the first.
    pub(super) fn sow(&mut self, seeds: Vec<SocketAddr>) {
        let mut seeds = seeds;
        seeds.truncate(SEEDS_MAX);
        let old = core::mem::replace(&mut self.join.seeds, seeds);
        if self.join.seeds.is_empty() && matches!(self.join.stage, Stage::Asking(_)) {
            return self.ready(true);
        }
        let new: Vec<_> = self.seeds_out_there().into_iter().filter(|s| !old.contains(s)).collect();
        for seed in new {
            self.knock(seed, Boot(0));
        }
    }

    /// Tries a seed, and one of the dead: so whatever was cut in two grows together.
    pub(super) fn contact(&mut self) {
        let alone = self.members.live().is_empty();
        let soon = (alone || !self.join.is_ready()) && !self.join.seeds.is_empty();
        let span = self.settings.pace.contact;
        // Those who start together must not all try at one moment, and then all wait.
        let next = if soon { span.min(SOON) } else { span / 2 + self.part_of(span) };
        self.after(Key::Contact, next);
        let seeds = self.seeds_out_there();
        // While nobody is found, each may be the one who answers.
        let count = if alone { SEEDS_AT_ONCE.min(seeds.len()) } else { 1 };
        let bound = u64::try_from(seeds.len()).unwrap_or(u64::MAX);
        let at = usize::try_from(self.dice.below(bound)).unwrap_or(0);
        for seed in seeds.iter().cycle().skip(at).take(count) {
            self.knock(*seed, Boot(0));
        }
        if let Some(seed) = seeds.get(at) {
            self.consult_anyone(*seed);
        }
        if let Some(known) = self.members.some_dead(&mut self.dice) {
            let (addr, boot) = (known.member.addr, known.member.boot);
            self.knock(addr, boot);
            self.consult_ping(boot, addr);
        }
        self.ask_again();
    }

    /// Seeds that are neither this node nor a member that lives.
    fn seeds_out_there(&self) -> Vec<SocketAddr> {
        let live = |addr: &SocketAddr| {
            let mut all = self.members.live().iter().filter_map(|boot| self.members.get(*boot));
            *addr == self.me.addr || all.any(|known| known.member.addr == *addr)
        };
        self.join.seeds.iter().filter(|seed| !live(seed)).copied().collect()
    }

    /// Somebody holds a member alive that this node holds dead. If it lives, it will say so.
    pub(super) fn doubt_death(&mut self, boot: Boot, addr: SocketAddr) {
        let mut all = self.join.doubtful.iter();
        let new = !all.any(|(doubted, _)| *doubted == boot);
        if new && self.join.doubtful.len() < DOUBTFUL_MAX {
            self.join.doubtful.push_back((boot, addr));
            self.want_round();
        }
    }

    /// Asks a few of those whose death is doubted. Says whether there are more.
    pub(super) fn ask_the_dead(&mut self) -> bool {
        for _ in 0..DOUBTFUL_AT_ONCE {
            let Some((boot, addr)) = self.join.doubtful.pop_front() else { break };
            let back = self.members.get(boot).is_some_and(|known| known.member.state.is_live());
            if !back {
                self.knock(addr, boot);
            }
        }
        !self.join.doubtful.is_empty()
    }

    /// Somebody has answered who was not known to live.
    pub(super) fn found(&mut self, from: Source) {
        let namesake = |doubt: &mut Doubt| doubt.boot == from.boot;
        if let Some(doubt) = self.join.doubt.take_if(namesake) {
            self.agenda.forget(Key::Namesake);
            self.join.outdone = true;
            return self.act(Action::Namesake(from.addr.unwrap_or(doubt.addr)));
        }
        self.met(from);
    }

    /// Another boot has this node's name.
    pub(super) fn heard_of_namesake(&mut self, from: Source, member: &Member, reply: &mut Letter) {
        let (boot, generation, addr) = (member.boot, member.generation, member.addr);
        if (generation, boot) > (self.me.generation, self.me.boot) {
            if self.join.doubt.is_none() && !self.join.outdone {
                self.join.doubt = Some(Doubt { boot, generation, addr, left: DOUBTS });
                self.ask_namesake();
            }
        } else if from.boot == boot {
            // It lives, and has to hear of us.
            self.say(reply, &Message::Member(self.me.clone()));
        }
    }

    fn ask_namesake(&mut self) {
        let Some(doubt) = &mut self.join.doubt else { return };
        doubt.left = doubt.left.saturating_sub(1);
        let (addr, boot) = (doubt.addr, doubt.boot);
        self.knock(addr, boot);
        self.consult_anyone(addr);
        self.after(Key::Namesake, DOUBT_EVERY);
    }

    /// The namesake has not answered for a while.
    pub(super) fn end_of_doubt(&mut self) {
        let Some(doubt) = &self.join.doubt else { return };
        if doubt.left > 0 {
            return self.ask_namesake();
        }
        // It was this node before it restarted, and its clock has gone back since.
        let generation = doubt.generation;
        self.join.doubt = None;
        if generation >= self.me.generation {
            // Whoever believed that one believes this one by now.
            self.me.generation = generation.saturating_add(1);
            self.tell_of_myself();
        }
    }

    /// Says that this node drains.
    pub(super) fn drain(&mut self) {
        if self.me.state == State::Alive {
            self.me.state = State::Leaving;
            self.rise_above(self.me.incarnation);
            self.tell_of_myself();
        }
    }

    /// Begins to say the last word.
    pub(super) fn leave(&mut self) {
        if self.join.farewell.is_some() {
            return;
        }
        self.me.state = State::Left;
        self.rise_above(self.me.incarnation);
        self.tell_of_myself();
        let to = self.members.some(&mut self.dice, FAREWELLS, |_| true);
        let until = self.now() + self.settings.pace.leave;
        self.join.farewell = Some(Farewell { until, to, said: 0, over: false });
        self.say_left();
    }

    pub(super) fn say_left(&mut self) {
        let now = self.now();
        let Some(farewell) = &mut self.join.farewell else { return };
        if farewell.to.is_empty() || farewell.until <= now {
            if !farewell.over {
                farewell.over = true;
                self.actions.push_back(Action::Left);
            }
            return;
        }
        farewell.said = farewell.said.saturating_add(1);
        let (said, to) = (farewell.said, farewell.to.clone());
        for boot in to {
            let deaf = self.members.get(boot).is_some_and(super::members::Known::is_deaf);
            if !deaf {
                self.bid_farewell(boot);
            }
            // Datagrams may be what does not get through.
            if said == if deaf { 1 } else { FAREWELL_CONSULTED } {
                self.consult_farewell(boot);
            }
        }
        self.after(Key::Leave, FAREWELL_EVERY);
    }

    /// A member has heard our last word.
    pub(super) fn heard_farewell(&mut self, boot: Boot) {
        let Some(farewell) = &mut self.join.farewell else { return };
        farewell.to.retain(|to| *to != boot);
        if farewell.to.is_empty() {
            self.say_left();
        }
    }
}

/// How soon a node that is not ready tries again.
pub(super) const SOON: Duration = Duration::from_secs(1);
/// Addresses of seeds, and of how many it is asked at once who is there.
const SEEDS_MAX: usize = 256;
const SEEDS_AT_ONCE: usize = 16;
/// Members whose death is doubted at once, and of whom so many are asked in a round.
pub(super) const DOUBTFUL_MAX: usize = 1_024;
const DOUBTFUL_AT_ONCE: usize = 16;
/// How often a namesake is asked, and how often in all.
const DOUBT_EVERY: Duration = Duration::from_secs(1);
const DOUBTS: u8 = 3;
/// Members that are told the last word for sure, and how often they are.
const FAREWELLS: usize = 3;
const FAREWELL_EVERY: Duration = Duration::from_millis(200);
/// With which time a consultation says it too.
const FAREWELL_CONSULTED: u8 = 3;
