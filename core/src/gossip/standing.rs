//! How members are held: suspected, refuted, dead, gone.

use super::hear::{Letter, Source};
use super::machine::{Action, HEALTH_MAX, Key, Machine};
use super::member::{Member, State};
use super::members::{Heard, Known};
use super::suspicion::{CONFIRMATIONS, Suspicion};
use super::wire::{Message, RISING_MAX, Standing};
use crate::id::Boot;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

impl Machine {
    pub(super) fn heard_member(&mut self, from: Source, member: &Member, reply: &mut Letter) {
        if member.boot == self.me.boot {
            return self.heard_of_myself(from, member.incarnation, member.state, reply);
        }
        if member.id == self.me.id {
            return self.heard_of_namesake(from, member, reply);
        }
        self.object(from, member, reply);
        if member.state == State::Suspect {
            self.second(member.boot, member.incarnation, reply);
            let alive = Member { state: State::Alive, ..member.clone() };
            self.learn(&alive);
            // Who accuses it, nobody says: perhaps the same one whoever tells of it.
            return self.accuse(member.boot, member.incarnation, member.boot);
        }
        self.learn(member);
    }

    /// Says why a member that is said to live cannot be held so.
    fn object(&mut self, from: Source, member: &Member, reply: &mut Letter) {
        let Some(held) = self.members.held_of(member) else { return };
        let refused = member.state.is_live() && held.rank() > member.rank();
        let (own, same) = (from.boot == member.boot, held.boot == member.boot);
        if refused && own && !same {
            // Its clock has gone back, or it has a namesake: it will find out.
            let held = held.clone();
            self.say(reply, &Message::Member(held));
        } else if refused && !own && same && self.members.get(member.boot).is_none() {
            self.doubt_death(member.boot, member.addr);
        }
    }

    /// Takes in what is said of another node.
    pub(super) fn learn(&mut self, member: &Member) {
        let mut replaced = Vec::new();
        let heard = self.members.hear(self.clock.now(), member, &mut replaced);
        for old in replaced {
            let before = Some(old.state);
            self.bury(old.boot);
            self.rumours.forget(old.boot);
            let member = Member { state: State::Left, ..old };
            self.act(Action::Member { member, before });
        }
        match heard {
            Heard::Nothing | Heard::Full => {}
            Heard::New => self.settled(member.boot, None),
            Heard::Changed(before) => self.settled(member.boot, Some(before)),
        }
    }

    pub(super) fn heard_standing(&mut self, from: Source, said: Standing, reply: &mut Letter) {
        if said.boot == self.me.boot {
            return self.heard_of_myself(from, said.incarnation, said.state, reply);
        }
        if said.state == State::Suspect {
            self.second(said.boot, said.incarnation, reply);
        }
        if self.members.get(said.boot).is_none() {
            if said.state.is_live() && said.boot != from.boot {
                self.say(reply, &Message::Who(said.boot));
            }
            return;
        }
        match said.state {
            State::Suspect => self.accuse(said.boot, said.incarnation, said.by),
            // A death that one node holds is not yet one for others: who is dead can not
            // contradict. And nobody comes back to life by it.
            State::Dead => {
                let live = |known: &Known| known.member.state.is_live();
                if self.members.get(said.boot).is_some_and(live) {
                    self.accuse(said.boot, said.incarnation, said.by);
                }
            }
            // Only oneself says these.
            State::Alive | State::Leaving | State::Left if said.by != said.boot => {}
            State::Alive | State::Leaving | State::Left => {
                self.put(said.boot, said.incarnation, said.state);
            }
        }
    }

    /// Whoever suspects one that is gone missed that: those who know it agree, so that it need not
    /// find out alone. That itself is answered by nobody.
    fn second(&mut self, boot: Boot, incarnation: u64, reply: &mut Letter) {
        let known = self.members.get(boot).map(|known| &known.member);
        let Some(held) = known.or_else(|| self.members.barred(boot)) else { return };
        let (held, state) = (held.incarnation, held.state);
        if !state.is_live() && held >= incarnation {
            let by = if state == State::Left { boot } else { self.me.boot };
            self.say(reply, &Message::Standing(Standing { boot, incarnation: held, state, by }));
        }
    }

    fn put(&mut self, boot: Boot, incarnation: u64, state: State) {
        let now = self.now();
        if let Some(before) = self.members.set(now, boot, incarnation, state) {
            self.settled(boot, Some(before));
        }
    }

    /// A member has become another than it was: tells everybody.
    fn settled(&mut self, boot: Boot, before: Option<State>) {
        self.root = None;
        let Some(known) = self.members.get(boot) else { return };
        let member = known.member.clone();
        if member.state.is_live() {
            self.replicas.add(boot);
            if before.is_none_or(|state| !state.is_live()) {
                self.add_to_round(boot);
            }
        } else {
            self.bury(boot);
        }
        let now = self.now();
        self.rumours.put(now, boot, &Message::Member(member.clone()));
        self.hasten_round();
        // Of whom is gone it changes nothing here how it is gone.
        if member.state.is_live() || before.is_none_or(State::is_live) {
            self.act(Action::Member { member, before });
        }
    }

    /// What a member served, it serves no more.
    fn bury(&mut self, boot: Boot) {
        self.root = None;
        self.probes.forget(boot);
        self.agenda.forget(Key::Probe(boot));
        self.agenda.forget(Key::Suspicion(boot));
        self.spread.forget(boot);
        let changes = self.replicas.remove(boot);
        self.fetch_next();
        if !changes.is_empty() {
            self.act(Action::Serves { boot, changes });
        }
        // Nobody waits for what it served.
        self.look_whether_ready();
    }

    /// Contradicts what others say, unless it is what this node says itself.
    fn heard_of_myself(
        &mut self,
        from: Source,
        incarnation: u64,
        state: State,
        reply: &mut Letter,
    ) {
        if incarnation <= self.me.incarnation && state <= self.me.state {
            return;
        }
        if incarnation >= self.me.incarnation {
            if state == State::Suspect || state == State::Dead {
                self.counts.refuted += 1;
                self.worse();
            }
            self.rise_above(incarnation);
            self.tell_of_myself();
        } else {
            // Whoever says so has missed what was said since.
            self.say_again();
        }
        // News are for those who are held alive.
        if self.members.get(from.boot).is_none_or(|known| !known.member.state.is_live()) {
            self.say(reply, &Message::Member(self.me.clone()));
        }
    }

    /// Whoever makes others believe in the highest of all incarnations has silenced this boot. Its
    /// next one is heard again: it has a higher generation, and there is always one that is still
    /// believed.
    pub(super) fn rise_above(&mut self, incarnation: u64) {
        self.me.incarnation = incarnation.saturating_add(1).min(RISING_MAX - 1);
    }

    /// This node is another than it was: tells everybody.
    pub(super) fn tell_of_myself(&mut self) {
        self.root = None;
        let now = self.now();
        self.rumours.put(now, self.me.boot, &Message::Member(self.me.clone()));
        self.hasten_round();
    }

    /// Tells everybody once more who this node is.
    fn say_again(&mut self) {
        let now = self.now();
        self.rumours.put(now, self.me.boot, &Message::Member(self.me.clone()));
        self.want_round();
    }

    /// This node could not reach another.
    pub(super) fn suspect(&mut self, boot: Boot) {
        let Some(known) = self.members.get(boot) else { return };
        if known.suspicion.is_none() {
            self.counts.suspicions += 1;
        }
        self.accuse(boot, known.member.incarnation, self.me.boot);
    }

    /// Somebody could not reach a member.
    fn accuse(&mut self, boot: Boot, incarnation: u64, by: Boot) {
        let now = self.now();
        let (size, unit) = (self.size(), self.settings.pace.probe);
        let back = |member: &Member| !member.state.is_live() && member.incarnation < incarnation;
        if self.members.get(boot).is_some_and(|known| back(&known.member)) {
            // It has risen since it was held dead, or nobody could accuse it of this.
            self.put(boot, incarnation, State::Alive);
        }
        let Some(known) = self.members.get_mut(boot) else { return };
        if !known.member.state.is_live() || incarnation < known.member.incarnation {
            return;
        }
        let ongoing = incarnation == known.member.incarnation;
        if let Some(suspicion) = known.suspicion.as_mut().filter(|_| ongoing) {
            if suspicion.confirm(by) {
                let until = suspicion.until();
                self.at(Key::Suspicion(boot), until);
                self.tell_accusation(boot, incarnation, by);
            }
            return;
        }
        let suspicion = Suspicion::new(now, by, size, unit);
        let until = suspicion.until();
        known.suspicion = Some(Box::new(suspicion));
        let before = self.members.set(now, boot, incarnation, State::Suspect);
        self.at(Key::Suspicion(boot), until);
        self.tell_accusation(boot, incarnation, by);
        if before.is_some()
            && let Some(known) = self.members.get(boot)
        {
            let member = known.member.clone();
            self.act(Action::Member { member, before });
        }
        if by != self.me.boot {
            self.see_for_oneself(boot);
        }
    }

    fn tell_accusation(&mut self, boot: Boot, incarnation: u64, by: Boot) {
        self.root = None;
        let now = self.now();
        let said = Standing { boot, incarnation, state: State::Suspect, by };
        self.rumours.put(now, boot, &Message::Standing(said));
        self.hasten_round();
    }

    /// Some of those who hear of a suspicion look for themselves, so that it is confirmed or
    /// refuted soon, and not by everybody at once.
    fn see_for_oneself(&mut self, boot: Boot) {
        // Who is suspected itself is not counted on: where many have died, nobody would look.
        let trusted = u64::try_from(self.members.trusted()).unwrap_or(u64::MAX).saturating_add(1);
        let some = u64::try_from(4 * CONFIRMATIONS).unwrap_or(u64::MAX);
        if self.dice.below(trusted) < some {
            self.probe_at_once(boot);
        }
    }

    pub(super) fn end_suspicion(&mut self, boot: Boot) {
        let now = self.now();
        let Some(known) = self.members.get(boot) else { return };
        let Some(suspicion) = &known.suspicion else { return };
        let until = suspicion.until();
        if until > now {
            return self.at(Key::Suspicion(boot), until);
        }
        self.counts.deaths += 1;
        self.put(boot, known.member.incarnation, State::Dead);
    }

    /// This node slept: nobody could refute anything, and nobody's answers were heard.
    pub(super) fn woke_late(&mut self, late: Duration) {
        self.worse();
        self.void_probes();
        let suspects: Vec<Boot> = self.members.live().to_vec();
        for boot in suspects {
            let suspicion = self.members.get_mut(boot).and_then(|known| known.suspicion.as_mut());
            if let Some(suspicion) = suspicion {
                suspicion.put_off(late);
                let until = suspicion.until();
                self.at(Key::Suspicion(boot), until);
            }
        }
    }

    pub(super) fn worse(&mut self) {
        self.health = (self.health + 1).min(HEALTH_MAX);
    }

    pub(super) fn better(&mut self) {
        self.health = self.health.saturating_sub(1);
    }
}
