//! What holds of the balance of upstreams whatever comes and goes.

use super::*;
use crate::id::{ConnIds, Side};
use crate::routing::EndpointId;
use crate::seed::Seed;

/// One node's balance, and what it should know.
struct Node {
    balance: Balance,
    routes: Routes,
    ids: ConnIds,
    /// Its tunnels, of which each serves one endpoint.
    held: Vec<(EndpointId, Place)>,
    workers: u16,
}

impl Node {
    fn new(settings: Rebalance, workers: u16, dice: Dice) -> Self {
        Self {
            balance: Balance::new(settings, workers, dice),
            routes: Routes::new(),
            ids: ConnIds::new(Side::Accepted),
            held: Vec::new(),
            workers,
        }
    }

    fn change(&mut self, now: Instant, change: &Change) {
        self.balance.apply(&mut self.routes, change);
        self.balance.watch(now);
    }

    /// An agent comes to some worker, for one of a few endpoints, or once more for that it has.
    fn come(&mut self, now: Instant, dice: &mut Dice) {
        let worker = u16::try_from(dice.below(u64::from(self.workers))).expect("a worker");
        let place = Place::Tunnel { worker: WorkerId(worker), conn: self.ids.issue() };
        let endpoint = endpoint(dice.below(20));
        let put = Change::Put(endpoint.clone(), Upstream { place, weight: 1 });
        for _ in 0..=dice.below(2) {
            self.change(now, &put);
        }
        self.held.push((endpoint, place));
    }

    /// One of its agents leaves.
    fn go(&mut self, now: Instant, dice: &mut Dice) -> bool {
        if self.held.is_empty() {
            return false;
        }
        let at = dice.below(u64::try_from(self.held.len()).expect("few"));
        let (endpoint, place) = self.held.swap_remove(usize::try_from(at).expect("few"));
        self.change(now, &Change::Remove(endpoint, place));
        true
    }

    /// What is counted is what is there.
    fn check(&self) {
        let all = |count: fn(&[Upstream]) -> u64| -> u64 {
            (0..20).map(|at| count(self.routes.get(&endpoint(at)))).sum()
        };
        assert_eq!(self.balance.own, all(|upstreams| step(local(upstreams))));
        assert_eq!(self.balance.others.values().sum::<u64>(), all(remote));
        for (worker, count) in self.balance.tunnels.iter().enumerate() {
            let here = |place: &Place| matches!(place, Place::Tunnel { worker: at, .. } if usize::from(at.0) == worker);
            let held = self.held.iter().filter(|(_, place)| here(place)).count();
            assert_eq!(*count, u64::try_from(held).expect("few"), "worker {worker}");
        }
    }
}

fn remote(upstreams: &[Upstream]) -> u64 {
    let far = upstreams.iter().filter(|upstream| upstream.place.is_remote());
    far.map(|upstream| u64::from(upstream.weight)).sum()
}

fn endpoint(number: u64) -> EndpointId {
    EndpointId::parse(alloc::format!("e{number}").as_bytes()).expect("a fine name")
}

fn draw(dice: &mut Dice) -> Rebalance {
    let threshold = [None, Some(0), Some(100), Some(200), Some(1000)];
    let threshold_permille = threshold[usize::try_from(dice.below(5)).expect("below five")];
    let rate_permille = u32::try_from(dice.below(1200)).expect("small");
    Rebalance { threshold_permille, rate_permille, least: dice.below(30) }
}

#[test]
fn counts_hold_and_nothing_is_asked_beyond_what_the_page_says() {
    for seed in 0..300 {
        let mut dice = Seed::from_u64(seed).roll();
        let settings = draw(&mut dice);
        let workers = u16::try_from(1 + dice.below(4)).expect("few");
        let mut node = Node::new(settings, workers, Seed::from_u64(seed).fork("balance").roll());
        let mut now = Instant::from_nanos(1);
        let mut asked = VecDeque::new();
        let mut looked: Option<Instant> = None;
        for _ in 0..200 {
            now = now + Duration::from_millis(dice.below(1500));
            match dice.below(8) {
                0..=3 => node.come(now, &mut dice),
                4 => _ = node.go(now, &mut dice),
                5 => {
                    let place = Place::Node(Boot(1 + dice.below(4)));
                    let at = endpoint(dice.below(20));
                    let weight = u32::try_from(dice.below(12)).expect("small");
                    let put = Change::Put(at.clone(), Upstream { place, weight: weight.max(1) });
                    let change = if weight == 0 { Change::Remove(at, place) } else { put };
                    node.change(now, &change);
                }
                _ => {}
            }
            node.check();
            let well = dice.below(4);
            let due = node.balance.deadline();
            let Some(surplus) = node.balance.look(now, (1..=well).map(Boot)) else { continue };
            let count: u64 = surplus.workers.iter().sum();
            let threshold = settings.threshold_permille.expect("it is switched on");
            assert!(due.is_some_and(|due| due <= now), "it looks when it said it would");
            assert!(looked.is_none_or(|at| now >= at + EVERY), "once in a second");
            looked = Some(now);
            assert!(well > 0, "it is not alone");
            asked.retain(|(at, _): &(Instant, u64)| *at + MOVES_WITHIN > now);
            let moving: u64 = asked.iter().map(|(_, count)| count).sum();
            let most = (surplus.share + permille(surplus.share, threshold)).max(settings.least);
            assert!(count + moving + most <= node.balance.own, "seed {seed}: {surplus:?}");
            assert!(count <= permille(node.balance.own, settings.rate_permille).max(1));
            assert_eq!(surplus.begins, asked.is_empty());
            for (of, held) in surplus.workers.iter().zip(&node.balance.tunnels) {
                assert!(of <= held, "seed {seed}: of {held} are asked {of}");
            }
            asked.push_back((now, count));
        }
    }
}

/// As agents behind a load balancer: who is asked to leave comes back to any node, its own too.
#[test]
fn a_cluster_comes_to_rest_with_no_node_far_above_its_share() {
    for seed in 0..60 {
        let mut dice = Seed::from_u64(seed).fork("cluster").roll();
        let settings = Rebalance { threshold_permille: Some(200), rate_permille: 100, least: 5 };
        let count = usize::try_from(2 + dice.below(4)).expect("few");
        let make = |at| Node::new(settings, 2, Seed::from_u64(seed).fork_at("node", at).roll());
        let mut nodes: Vec<Node> = (0..).map(make).take(count).collect();
        let mut now = Instant::from_nanos(1);
        let agents = 20 + dice.below(80);
        let first = dice.below(2);
        for _ in 0..agents {
            let at = if first == 0 { 0 } else { any(&mut dice, count) };
            nodes[at].come(now, &mut dice);
        }
        let mut leaving: VecDeque<(Instant, usize)> = VecDeque::new();
        let mut last = 0;
        for second in 0..300 {
            now = now + EVERY;
            while let Some((_, from)) = leaving.pop_front_if(|(at, _)| *at <= now) {
                if nodes[from].go(now, &mut dice) {
                    let to = any(&mut dice, count);
                    nodes[to].come(now, &mut dice);
                }
            }
            tell(&mut nodes, now);
            for (at, node) in nodes.iter_mut().enumerate() {
                let well = (1..).zip(0..count).filter(|(_, other)| *other != at);
                let surplus = node.balance.look(now, well.map(|(boot, _)| Boot(boot)));
                for _ in 0..surplus.map_or(0, |surplus| surplus.workers.iter().sum()) {
                    leaving.push_back((now + Duration::from_secs(5), at));
                    last = second;
                }
            }
        }
        let held: Vec<usize> = nodes.iter().map(|node| node.held.len()).collect();
        assert!(last < 240, "seed {seed}: still moving after {last} s: {held:?}");
        let share = agents.div_ceil(u64::try_from(count).expect("few"));
        // Each of twenty endpoints may be known more coarsely than it is.
        let most = share + permille(share, 200) + 8;
        let fine = held.iter().all(|held| u64::try_from(*held).expect("few") <= most);
        assert!(fine, "seed {seed}: {held:?}, and the share is {share}");
    }
}

fn any(dice: &mut Dice, count: usize) -> usize {
    usize::try_from(dice.below(u64::try_from(count).expect("few"))).expect("few")
}

/// Each hears what all others hold.
fn tell(nodes: &mut [Node], now: Instant) {
    for from in 0..nodes.len() {
        let place = Place::Node(Boot(u64::try_from(from).expect("few") + 1));
        let weights: Vec<u64> =
            (0..20).map(|at| step(local(nodes[from].routes.get(&endpoint(at))))).collect();
        for (to, node) in nodes.iter_mut().enumerate().filter(|(to, _)| *to != from) {
            for (at, weight) in (0..).zip(&weights) {
                let change = match u32::try_from(*weight).expect("small") {
                    0 => Change::Remove(endpoint(at), place),
                    weight => Change::Put(endpoint(at), Upstream { place, weight }),
                };
                node.change(now, &change);
            }
            assert_ne!(to, from);
        }
    }
}
