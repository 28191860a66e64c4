//! Whether this node holds more than its share of the cluster's upstreams, and how many of them
//! should move.

use crate::gossip::directory::weight_of;
use crate::id::{Boot, WorkerId};
use crate::routing::{Change, Place, Routes, Upstream};
use crate::seed::Dice;
use crate::server::settings::Rebalance;
use crate::time::Instant;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

/// Who holds how many upstreams, in the steps in which nodes tell each other of them: what a node
/// knows exactly of itself it compares as coarsely as what it knows of others.
#[derive(Debug)]
pub(super) struct Balance {
    settings: Rebalance,
    own: u64,
    others: BTreeMap<Boot, u64>,
    /// Tunnels of each worker.
    tunnels: Vec<u64>,
    /// Who was asked to leave, as long as they may be on their way.
    leaving: VecDeque<Asked>,
    /// The fewest that this node has held since it has too many, and how many should have left
    /// without making them fewer: if those come back, nothing is gained by asking more.
    fewest: u64,
    in_vain: u64,
    next: Option<Instant>,
    dice: Dice,
}

/// Upstreams that were asked to leave.
#[derive(Clone, Copy, Debug)]
struct Asked {
    when: Instant,
    count: u64,
    /// The fewest that the node had held by then.
    fewest: u64,
}

/// Upstreams that should move.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Surplus {
    /// How many each worker asks to leave, from the first on.
    pub(super) workers: Vec<u64>,
    /// How many this node holds.
    pub(super) held: u64,
    /// Its share.
    pub(super) share: u64,
    /// Whether none was on its way before.
    pub(super) begins: bool,
}

impl Balance {
    /// Nobody holds anything.
    pub(super) fn new(settings: Rebalance, workers: u16, dice: Dice) -> Self {
        Self {
            settings,
            own: 0,
            others: BTreeMap::new(),
            tunnels: alloc::vec![0; usize::from(workers)],
            leaving: VecDeque::new(),
            fewest: u64::MAX,
            in_vain: 0,
            next: None,
            dice,
        }
    }

    /// Makes a change to the routes, and counts what it changes.
    pub(super) fn apply(&mut self, routes: &mut Routes, change: &Change) {
        let (endpoint, place) = match change {
            Change::Put(endpoint, upstream) => (endpoint, upstream.place),
            Change::Remove(endpoint, place) => (endpoint, *place),
        };
        let count = |routes: &Routes| match place {
            Place::Tunnel { .. } => local(routes.get(endpoint)),
            Place::Node(_) => weight(routes.get(endpoint), place),
        };
        let had = has(routes.get(endpoint), place);
        let before = count(routes);
        routes.apply(change);
        let after = count(routes);
        match place {
            Place::Tunnel { worker, .. } => {
                self.own = (self.own + step(after)).saturating_sub(step(before));
                let has = has(routes.get(endpoint), place);
                if let Some(tunnels) = self.tunnels.get_mut(usize::from(worker.0)) {
                    *tunnels = (*tunnels + u64::from(has)).saturating_sub(u64::from(had));
                }
            }
            Place::Node(boot) => {
                let held = self.others.entry(boot).or_default();
                *held = (*held + after).saturating_sub(before);
                if *held == 0 {
                    self.others.remove(&boot);
                }
            }
        }
    }

    /// When it wants to look again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Looks again from time to time, if this node can have too much, and stops when it cannot.
    pub(super) fn watch(&mut self, now: Instant) {
        let Some(threshold) = self.settings.threshold_permille else { return };
        let can = self.own >= self.settings.least && threshold > 0;
        self.next = can.then(|| self.next.unwrap_or(now + EVERY));
    }

    /// Looks, if it is time, whether something should move to `others`, which are well.
    pub(super) fn look(
        &mut self,
        now: Instant,
        others: impl Iterator<Item = Boot>,
    ) -> Option<Surplus> {
        if self.next.is_none_or(|next| now < next) {
            return None;
        }
        self.next = Some(now + EVERY);
        let held = others.map(|boot| self.others.get(&boot).copied().unwrap_or(0));
        let (nodes, all) = held.fold((1, self.own), |(nodes, all), held| (nodes + 1, all + held));
        let share = all.div_ceil(nodes);
        let threshold = self.settings.threshold_permille?;
        let most = (share + permille(share, threshold)).max(self.settings.least);
        let too_many = nodes > 1 && self.own > most;
        if !too_many {
            (self.fewest, self.in_vain) = (u64::MAX, 0);
        } else if self.own < self.fewest {
            (self.fewest, self.in_vain) = (self.own, 0);
        }
        let gone = |asked: &mut Asked| asked.when + MOVES_WITHIN <= now;
        while let Some(asked) = self.leaving.pop_front_if(gone) {
            // They have left, most likely, if it has held fewer since.
            self.in_vain += if self.fewest < asked.fewest { 0 } else { asked.count };
        }
        if !too_many {
            return None;
        }
        if self.in_vain >= IN_VAIN_MAX {
            (self.fewest, self.in_vain) = (u64::MAX, 0);
            self.next = Some(now + PAUSE);
            return None;
        }
        let moving: u64 = self.leaving.iter().map(|asked| asked.count).sum();
        let surplus = self.own.saturating_sub(moving).saturating_sub(most);
        let count = surplus.min(permille(self.own, self.settings.rate_permille).max(1));
        if count == 0 {
            return None;
        }
        let begins = self.leaving.is_empty();
        self.leaving.push_back(Asked { when: now, count, fewest: self.fewest });
        Some(Surplus { workers: self.deal(count), held: self.own, share, begins })
    }

    /// Draws the workers that have to part with something, in proportion to what they hold: as if
    /// tunnels were drawn, each once.
    fn deal(&mut self, count: u64) -> Vec<u64> {
        let mut left = self.tunnels.clone();
        let mut total: u64 = left.iter().sum();
        let mut dealt = alloc::vec![0; left.len()];
        for _ in 0..count.min(total) {
            let mut at = self.dice.below(total);
            for (left, dealt) in left.iter_mut().zip(&mut dealt) {
                if at < *left {
                    *left -= 1;
                    *dealt += 1;
                    break;
                }
                at -= *left;
            }
            total -= 1;
        }
        dealt
    }
}

/// The worker of a place in a list of all of them.
pub(super) fn worker_at(at: usize) -> WorkerId {
    WorkerId(u16::try_from(at).expect("a node has at most as many workers as a u16 counts"))
}

/// How many of an endpoint's upstreams are this node's own.
fn local(upstreams: &[Upstream]) -> u64 {
    let own = upstreams.iter().filter(|upstream| !upstream.place.is_remote()).count();
    u64::try_from(own).unwrap_or(u64::MAX)
}

fn has(upstreams: &[Upstream], place: Place) -> bool {
    upstreams.iter().any(|upstream| upstream.place == place)
}

fn weight(upstreams: &[Upstream], place: Place) -> u64 {
    let found = upstreams.iter().find(|upstream| upstream.place == place);
    found.map_or(0, |upstream| u64::from(upstream.weight))
}

/// As others hear of it.
fn step(upstreams: u64) -> u64 {
    u64::from(weight_of(u32::try_from(upstreams).unwrap_or(u32::MAX)))
}

fn permille(of: u64, permille: u32) -> u64 {
    of.saturating_mul(u64::from(permille)).div_ceil(1000)
}

/// How often a node looks whether it has too much.
const EVERY: Duration = Duration::from_secs(1);
/// An agent that was asked to leave has left within this time, if it ever does: it dials, comes
/// online, and stays for `leave_delay`.
const MOVES_WITHIN: Duration = Duration::from_secs(10);
/// When so many should have left and there are no fewer than before, they come back.
const IN_VAIN_MAX: u64 = 32;
/// For how long nobody is asked then.
const PAUSE: Duration = Duration::from_mins(10);

#[cfg(test)]
mod laws;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ConnIds, Side};
    use crate::routing::EndpointId;
    use crate::seed::Seed;

    struct Rig {
        balance: Balance,
        routes: Routes,
        now: Instant,
        ids: ConnIds,
        /// This node's tunnels, and those of them that were asked to move.
        held: Vec<(EndpointId, Place)>,
        leaving: usize,
    }

    impl Rig {
        /// A node that parts with a tenth in a second, and keeps five.
        fn new() -> Self {
            let settings =
                Rebalance { threshold_permille: Some(200), rate_permille: 100, least: 5 };
            Self {
                balance: Balance::new(settings, 2, Seed::from_u64(1).roll()),
                routes: Routes::new(),
                now: Instant::from_nanos(1),
                ids: ConnIds::new(Side::Accepted),
                held: Vec::new(),
                leaving: 0,
            }
        }

        fn change(&mut self, change: &Change) {
            self.balance.apply(&mut self.routes, change);
            self.balance.watch(self.now);
        }

        /// So many agents come, each with an endpoint of its own, or all with one.
        fn come(&mut self, worker: u16, count: usize, one: bool) {
            for _ in 0..count {
                let place = Place::Tunnel { worker: WorkerId(worker), conn: self.ids.issue() };
                let at = if one { 0 } else { self.held.len() };
                let endpoint = endpoint(&alloc::format!("e{at}"));
                let upstream = Upstream { place, weight: 1 };
                self.change(&Change::Put(endpoint.clone(), upstream));
                self.held.push((endpoint, place));
            }
        }

        /// Another node holds so many upstreams of one endpoint.
        fn other(&mut self, boot: u64, weight: u32) {
            let place = Place::Node(Boot(boot));
            self.change(&match weight {
                0 => Change::Remove(endpoint("far"), place),
                weight => Change::Put(endpoint("far"), Upstream { place, weight }),
            });
        }

        /// How many are asked to move in the next second, with this many others that are well.
        fn second(&mut self, others: u64) -> usize {
            self.now = self.now + EVERY;
            let surplus = self.balance.look(self.now, (1..=others).map(Boot));
            let asked = surplus.map_or(0, |surplus| surplus.workers.iter().sum::<u64>());
            usize::try_from(asked).expect("a small number")
        }
    }

    fn endpoint(name: &str) -> EndpointId {
        EndpointId::parse(name.as_bytes()).expect("a fine name")
    }

    #[test]
    fn a_node_parts_with_what_exceeds_its_share_and_the_threshold_and_no_more() {
        let mut rig = Rig::new();
        rig.come(0, 60, false);
        rig.come(1, 40, false);
        let mut asked = alloc::vec![];
        for _ in 0..60 {
            let now = rig.second(1);
            asked.push(now);
            rig.leaving += now;
            // Agents that are asked to move have done so five seconds later.
            if asked.len() > 5 {
                for _ in 0..asked[asked.len() - 6] {
                    let (endpoint, place) = rig.held.pop().expect("there are some");
                    rig.change(&Change::Remove(endpoint, place));
                    rig.leaving -= 1;
                    let held = 100 - u32::try_from(rig.held.len()).expect("a small number");
                    rig.other(1, held);
                }
            }
        }
        assert_eq!(asked[0], 10, "a tenth of 100");
        assert_eq!(rig.leaving, 0, "{asked:?}");
        assert_eq!(rig.held.len(), 60, "its share is 50, and it may exceed it by a fifth");
    }

    #[test]
    fn what_is_asked_of_each_worker_is_in_proportion_to_what_it_holds() {
        let mut rig = Rig::new();
        rig.come(0, 900, false);
        rig.come(1, 100, false);
        rig.now = rig.now + EVERY;
        let others = core::iter::once(Boot(1));
        let surplus = rig.balance.look(rig.now, others).expect("all is here");
        assert_eq!((surplus.held, surplus.share, surplus.begins), (1000, 500, true));
        assert_eq!(surplus.workers.iter().sum::<u64>(), 100);
        assert!((80..=99).contains(&surplus.workers[0]), "{surplus:?}");
    }

    #[test]
    fn a_node_that_is_alone_or_has_few_or_no_more_than_others_keeps_what_it_has() {
        let mut rig = Rig::new();
        rig.come(0, 100, false);
        assert_eq!(rig.second(0), 0, "nobody else is well");
        rig.other(1, 90);
        assert_eq!(rig.second(1), 0, "others have as much");
        rig.other(1, 0);
        assert!(rig.second(1) > 0);
        let mut few = Rig::new();
        few.come(0, 5, false);
        assert_eq!(few.second(1), 0);
    }

    #[test]
    fn a_node_measures_itself_as_coarsely_as_others_do() {
        let mut rig = Rig::new();
        rig.come(0, 31, true);
        // What another node with as many upstreams of one endpoint is known by.
        rig.other(1, 24);
        assert_eq!(rig.second(1), 0);
    }

    #[test]
    fn agents_that_come_back_are_left_alone_for_a_while() {
        let mut rig = Rig::new();
        rig.come(0, 100, false);
        let seconds = |rig: &mut Rig, count: usize| (0..count).map(|_| rig.second(1)).sum();
        let first: usize = seconds(&mut rig, 60);
        assert!((32..=80).contains(&first), "32, and those on their way: {first}");
        let pause: usize = seconds(&mut rig, 500);
        assert_eq!(pause, 0);
        let again: usize = seconds(&mut rig, 200);
        assert!((32..=80).contains(&again), "{again}");
    }

    #[test]
    fn a_node_of_which_nothing_is_known_any_more_is_forgotten() {
        let mut rig = Rig::new();
        rig.other(1, 90);
        rig.other(1, 0);
        assert!(rig.balance.others.is_empty());
    }

    #[test]
    fn nothing_moves_if_it_is_switched_off() {
        let mut rig = Rig::new();
        rig.balance.settings.threshold_permille = None;
        rig.come(0, 100, false);
        assert_eq!(rig.balance.deadline(), None);
        assert_eq!(rig.second(1), 0);
    }
}
