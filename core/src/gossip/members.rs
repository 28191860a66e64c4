//! The table of members: who there is, as far as one node knows.

use super::member::{Member, NodeId, State};
use super::suspicion::Suspicion;
use super::table::Table;
use crate::id::Boot;
use crate::seed::Dice;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

/// The members that a node knows beside itself, and floors below which nobody comes back.
#[derive(Debug)]
pub(super) struct Members {
    known: Table<Known>,
    /// The boot that each name stands for.
    names: BTreeMap<NodeId, Boot>,
    /// Those that live, in no order that means anything.
    live: Vec<Boot>,
    /// Those that do not, the oldest first.
    gone: VecDeque<Boot>,
    /// The last that was heard of names of which there is no record, or an older one.
    floors: BTreeMap<NodeId, Member>,
    /// The boots of the floors.
    barred: BTreeMap<Boot, NodeId>,
    /// The names with a floor, the oldest first.
    floored: VecDeque<NodeId>,
    /// How many of those that live are suspected.
    suspects: usize,
    /// Counts changes, so that what changed last can be told first.
    serial: u64,
}

/// What a node knows of another.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) member: Member,
    /// While it is Suspect.
    pub(super) suspicion: Option<Box<Suspicion>>,
    /// The round trip, smoothed.
    pub(super) rtt: Option<Duration>,
    /// Probes in a row that only a consultation has answered.
    pub(super) missed: u32,
    /// Since when it is in its state.
    pub(super) since: Instant,
    /// When it changed last, as a count.
    pub(super) changed: u64,
    /// Where it stands in the list of those that live.
    at: usize,
}

/// What came of a saying.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Heard {
    /// It is older than what is known, or the same.
    Nothing,
    /// There are too many members already.
    Full,
    /// Nobody knew the member.
    New,
    /// It is known, and was in this state.
    Changed(State),
}

impl Known {
    /// Whether datagrams do not get there and back, as far as one can tell: consultations do.
    pub(super) const fn is_deaf(&self) -> bool {
        self.missed >= DEAF
    }

    /// It was in the state `before`, and has changed.
    fn change(&mut self, now: Instant, before: State, serial: u64) {
        self.changed = serial;
        if self.member.state != State::Suspect {
            self.suspicion = None;
        }
        if self.member.state != before {
            self.since = now;
        }
    }
}

impl Members {
    pub(super) fn new() -> Self {
        Self {
            known: Table::default(),
            names: BTreeMap::new(),
            live: Vec::new(),
            gone: VecDeque::new(),
            floors: BTreeMap::new(),
            barred: BTreeMap::new(),
            floored: VecDeque::new(),
            suspects: 0,
            serial: 0,
        }
    }

    /// Takes in what is said of a member. Boots that it replaces, and that were live
    /// until now, are put into `replaced`.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        member: &Member,
        replaced: &mut Vec<Member>,
    ) -> Heard {
        // One boot has one name.
        if self.known.get(member.boot).is_some_and(|known| known.member.id != member.id) {
            return Heard::Nothing;
        }
        if self.held_of(member).is_some_and(|held| held.rank() >= member.rank()) {
            return Heard::Nothing;
        }
        let old = self.names.get(&member.id).copied().filter(|boot| *boot != member.boot);
        if let Some(known) = old.and_then(|boot| self.known.get(boot)) {
            if known.member.state.is_live() {
                replaced.push(known.member.clone());
            }
            self.drop_record(known.member.boot);
        }
        if let Some(known) = self.known.get_mut(member.boot) {
            let before = known.member.state;
            self.serial += 1;
            known.member = member.clone();
            known.change(now, before, self.serial);
            self.count(Some(before), Some(member.state));
            self.list(member.boot);
            return Heard::Changed(before);
        }
        if !member.state.is_live() {
            // Nobody mourns a stranger, but it does not come to life by what is older.
            self.bar(member.clone());
            return Heard::Nothing;
        }
        if self.known.len() >= MEMBERS_MAX {
            let Some(oldest) = self.gone.front().copied() else { return Heard::Full };
            self.drop_record(oldest);
        }
        self.serial += 1;
        self.names.insert(member.id.clone(), member.boot);
        let known = Known {
            member: member.clone(),
            suspicion: None,
            rtt: None,
            missed: 0,
            since: now,
            changed: self.serial,
            at: usize::MAX,
        };
        self.known.insert(member.boot, known);
        self.count(None, Some(member.state));
        self.list(member.boot);
        Heard::New
    }

    /// Puts a member into a state at its own incarnation, or a higher one. Says which it was in,
    /// unless this is no news.
    pub(super) fn set(
        &mut self,
        now: Instant,
        boot: Boot,
        incarnation: u64,
        state: State,
    ) -> Option<State> {
        let known = self.known.get_mut(boot)?;
        let before = known.member.state;
        if (incarnation, state) <= (known.member.incarnation, before) {
            return None;
        }
        self.serial += 1;
        known.member.incarnation = incarnation;
        known.member.state = state;
        known.change(now, before, self.serial);
        self.count(Some(before), Some(state));
        self.list(boot);
        Some(before)
    }

    /// A member was in one state and is in another; it comes from none and goes to none.
    fn count(&mut self, before: Option<State>, after: Option<State>) {
        self.suspects -= usize::from(before == Some(State::Suspect));
        self.suspects += usize::from(after == Some(State::Suspect));
    }

    /// Moves a member to the list where it belongs.
    fn list(&mut self, boot: Boot) {
        let Some(known) = self.known.get_mut(boot) else { return };
        match (known.member.state.is_live(), known.at) {
            (true, usize::MAX) => {
                known.at = self.live.len();
                self.live.push(boot);
                self.gone.retain(|gone| *gone != boot);
            }
            (true, _) => {}
            (false, usize::MAX) => {
                if !self.gone.contains(&boot) {
                    self.gone.push_back(boot);
                }
            }
            (false, _) => {
                self.unlist(boot);
                self.gone.push_back(boot);
            }
        }
        while self.gone.len() > GONE_MAX {
            if let Some(oldest) = self.gone.front().copied() {
                self.drop_record(oldest);
            }
        }
    }

    fn unlist(&mut self, boot: Boot) {
        let Some(known) = self.known.get_mut(boot) else { return };
        let at = core::mem::replace(&mut known.at, usize::MAX);
        if at < self.live.len() {
            self.live.swap_remove(at);
            if let Some(moved) = self.live.get(at)
                && let Some(known) = self.known.get_mut(*moved)
            {
                known.at = at;
            }
        }
    }

    /// Forgets a member, but not how far its name has come.
    fn drop_record(&mut self, boot: Boot) {
        self.unlist(boot);
        self.gone.retain(|gone| *gone != boot);
        let Some(known) = self.known.remove(boot) else { return };
        self.count(Some(known.member.state), None);
        let id = &known.member.id;
        if self.names.get(id) == Some(&boot) {
            self.names.remove(id);
        }
        self.bar(known.member);
    }

    /// Makes this the floor of its name.
    fn bar(&mut self, member: Member) {
        let (id, boot) = (member.id.clone(), member.boot);
        match self.floors.insert(id.clone(), member) {
            Some(old) => drop(self.barred.remove(&old.boot)),
            None => self.floored.push_back(id.clone()),
        }
        self.barred.insert(boot, id);
        if self.floored.len() > FLOORS_MAX
            && let Some(oldest) = self.floored.pop_front()
            && let Some(old) = self.floors.remove(&oldest)
        {
            self.barred.remove(&old.boot);
        }
    }

    /// The highest that was heard of a name.
    pub(super) fn last_of(&self, id: &NodeId) -> Option<&Member> {
        let known = self.names.get(id).and_then(|boot| self.known.get(*boot));
        let all = known.map(|known| &known.member).into_iter().chain(self.floors.get(id));
        all.max_by_key(|member| member.rank())
    }

    /// The highest that was heard of the name of which something is said.
    pub(super) fn held_of(&self, said: &Member) -> Option<&Member> {
        // Whoever is known is who its name stands for, and above the name's floor.
        match self.known.get(said.boot) {
            Some(known) if known.member.id == said.id => Some(&known.member),
            Some(_) | None => self.last_of(&said.id),
        }
    }

    /// The floor that a boot has left behind.
    pub(super) fn barred(&self, boot: Boot) -> Option<&Member> {
        self.floors.get(self.barred.get(&boot)?)
    }

    /// How many are known, how many of them are gone, and how many floors there are.
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.known.len(), self.gone.len(), self.floors.len())
    }

    /// Forgets those that are gone for so long, floors aside.
    pub(super) fn reap(&mut self, now: Instant, kept: Duration) {
        while let Some(oldest) = self.gone.front().copied() {
            let expired = self.known.get(oldest).is_none_or(|known| known.since + kept <= now);
            if !expired {
                return;
            }
            self.drop_record(oldest);
        }
    }

    pub(super) fn get(&self, boot: Boot) -> Option<&Known> {
        self.known.get(boot)
    }

    pub(super) fn get_mut(&mut self, boot: Boot) -> Option<&mut Known> {
        self.known.get_mut(boot)
    }

    /// All that are known, in the order of their names.
    pub(super) fn by_name(&self) -> impl Iterator<Item = &Known> {
        self.names.values().filter_map(|boot| self.known.get(*boot))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Known> {
        self.known.values()
    }

    /// Those that live.
    pub(super) fn live(&self) -> &[Boot] {
        &self.live
    }

    /// How many of those that live nobody suspects.
    pub(super) fn trusted(&self) -> usize {
        self.live.len().saturating_sub(self.suspects)
    }

    /// One that is dead and has not left, by chance.
    pub(super) fn some_dead(&self, dice: &mut Dice) -> Option<&Known> {
        let gone = self.gone.iter().filter_map(|boot| self.known.get(*boot));
        let dead: Vec<&Known> = gone.filter(|k| k.member.state == State::Dead).collect();
        let at = dice.below(u64::try_from(dead.len()).unwrap_or(u64::MAX));
        dead.get(usize::try_from(at).ok()?).copied()
    }

    /// Up to `count` different members that live, by chance, of those that `fit`.
    pub(super) fn some(
        &self,
        dice: &mut Dice,
        count: usize,
        fit: impl Fn(&Known) -> bool,
    ) -> Vec<Boot> {
        let mut some = Vec::new();
        let bound = u64::try_from(self.live.len()).unwrap_or(u64::MAX);
        // A few draws find them unless few fit; then all are looked at, from a place drawn.
        for _ in 0..count * 3 {
            if some.len() == count || bound == 0 {
                return some;
            }
            self.add_if_fit(dice.below(bound), &mut some, &fit);
        }
        let from = dice.below(bound);
        for step in 0..bound {
            if some.len() == count {
                break;
            }
            self.add_if_fit((from + step) % bound, &mut some, &fit);
        }
        some
    }

    fn add_if_fit(&self, at: u64, some: &mut Vec<Boot>, fit: &impl Fn(&Known) -> bool) {
        let boot = usize::try_from(at).ok().and_then(|at| self.live.get(at));
        if let Some(boot) = boot
            && !some.contains(boot)
            && self.known.get(*boot).is_some_and(fit)
        {
            some.push(*boot);
        }
    }
}

/// Members that a node knows at once.
pub(super) const MEMBERS_MAX: usize = 8_192;
/// Of these, those that are dead or gone.
pub(super) const GONE_MAX: usize = 1_024;
/// Names of which it is remembered how far they had come.
pub(super) const FLOORS_MAX: usize = 8_192;
/// Probes in a row after which a member is taken to be deaf to datagrams.
const DEAF: u32 = 2;
