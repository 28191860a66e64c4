//! Many peers in one world.

use super::peer::{HEADERS, Order, Peer, Told};
use crate::case::{Case, Member, Role};
use crate::kernel::{Place, SeatId, Trace, World};
use core::net::SocketAddr;
use core::time::Duration;
use pico_core::gossip::{self, NodeId, Pace, Settings, State};
use pico_core::host::{Address, Port};
use pico_core::id::Boot;
use pico_core::routing::EndpointId;
use std::collections::{BTreeMap, BTreeSet};

/// A world of peers.
pub struct Cluster {
    /// The world.
    pub world: World,
    /// The peers' machines, by number; of each the last that it had.
    pub seats: BTreeMap<usize, SeatId>,
    /// What a peer serves, as it was told to.
    pub truth: BTreeMap<Boot, BTreeMap<EndpointId, u8>>,
    pace: Pace,
    /// The keys of those that start from now on.
    pub keys: gossip::Ring,
    lives: u64,
}

impl Cluster {
    /// A world without anybody, for as many peers as the case has nodes.
    pub fn new(case: &Case, pace: Pace) -> Self {
        let world = World::new(case, Trace::default());
        let (seats, truth, keys) = (BTreeMap::new(), BTreeMap::new(), gossip::Ring::default());
        Self { world, seats, truth, pace, keys, lives: 0 }
    }

    /// The same, with everybody up, each told of the first three, and all of them found.
    pub fn whole(case: &Case, pace: Pace) -> Self {
        let mut cluster = Self::new(case, pace);
        let seeds: Vec<usize> = (0..case.shape.nodes.min(3)).collect();
        for at in 0..case.shape.nodes {
            cluster.start(at, &seeds);
        }
        let met = cluster.until(Duration::from_mins(5), Cluster::agrees);
        assert!(met.is_some(), "{} peers do not find each other", case.shape.nodes);
        cluster
    }

    /// Starts a peer, or starts it anew after its process has ended.
    pub fn start(&mut self, at: usize, seeds: &[usize]) -> Boot {
        self.start_as(at, &format!("node-{at}"), seeds, GENERATION + self.millis())
    }

    /// The same, with this name and generation.
    pub fn start_as(&mut self, at: usize, id: &str, seeds: &[usize], generation: u64) -> Boot {
        let member = Member { role: Role::Node, at };
        let process = self.world.process(member);
        if self.seats.contains_key(&at) {
            self.world.revive(process);
        }
        self.lives += 1;
        let boot = Boot(self.lives.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let addr = door(at);
        let settings = Settings {
            cluster: "test".into(),
            keys: self.keys.clone(),
            boot,
            generation,
            id: NodeId::parse(id.as_bytes()).expect("a fine name"),
            addr,
            notes: Vec::new(),
            pace: self.pace.clone(),
        };
        let place = Place { process, address: Address::Node };
        let make = |seed: &_, now| Peer::new(gossip::Machine::new(now, settings, seed));
        let seat = self.world.seat(place, id, make);
        self.world.listen(addr, Port::Gossip, vec![seat]);
        self.world.bind(addr, seat);
        self.world.protect(seat, &self.keys, "test");
        self.seats.insert(at, seat);
        self.truth.insert(boot, BTreeMap::new());
        let seeds = seeds.iter().map(|seed| door(*seed)).collect();
        self.world.tell(seat, Order::Seeds(seeds));
        boot
    }

    /// Has a peer serve an endpoint by so many upstreams.
    pub fn serve(&mut self, at: usize, endpoint: &str, upstreams: u32) {
        let endpoint = EndpointId::parse(endpoint.as_bytes()).expect("a fine name");
        let truth = self.truth.entry(self.boot(at)).or_default();
        match gossip::directory::weight_of(upstreams) {
            0 => truth.remove(&endpoint),
            weight => truth.insert(endpoint.clone(), weight),
        };
        self.order(at, Order::Serve(endpoint, upstreams));
    }

    /// Tells a peer to do something.
    pub fn order(&mut self, at: usize, order: Order) {
        self.world.tell(self.seats[&at], order);
    }

    /// A peer's process ends without a word.
    pub fn crash(&mut self, at: usize) {
        let process = self.world.process(Member { role: Role::Node, at });
        self.world.crash(process);
    }

    /// A peer.
    pub fn peer(&self, at: usize) -> &Peer {
        self.world.host(self.seats[&at])
    }

    /// The boot of a peer.
    pub fn boot(&self, at: usize) -> Boot {
        self.peer(at).gossip.me().boot
    }

    /// Those whose processes run.
    pub fn up(&self) -> Vec<usize> {
        let up = |at: &&usize| !self.world.is_done(self.seats[*at]);
        self.seats.keys().filter(up).copied().collect()
    }

    /// Lets time pass.
    pub fn pass(&mut self, span: Duration) {
        self.world.run(self.world.now() + span, |_| false);
    }

    /// Lets time pass until this holds, and says how much it was; `None` if it does not within
    /// `most`. Looks every 5 ms.
    pub fn until(&mut self, most: Duration, holds: impl Fn(&Self) -> bool) -> Option<Duration> {
        let begun = self.world.now();
        while !holds(self) {
            if self.world.now() >= begun + most {
                return None;
            }
            self.pass(LOOK);
        }
        Some(self.world.now().since(begun))
    }

    /// Whether all that are up hold exactly those that are up for live, and know what each
    /// serves, in their directories and as they were told.
    pub fn agrees(&self) -> bool {
        self.differs().is_none()
    }

    /// What somebody holds otherwise than it is.
    pub fn differs(&self) -> Option<String> {
        let up = self.up();
        let boots: BTreeSet<Boot> = up.iter().map(|at| self.boot(*at)).collect();
        let nothing = BTreeMap::new();
        for at in up {
            let peer = self.peer(at);
            let held = peer.gossip.held();
            if held.members - held.gone + 1 != boots.len() {
                return Some(format!("node-{at} knows {} of {}", held.members, boots.len()));
            }
            let mut live: BTreeSet<Boot> = peer
                .gossip
                .members()
                .filter(|member| member.state.is_live())
                .map(|member| member.boot)
                .collect();
            live.insert(peer.gossip.me().boot);
            if live != boots {
                let missing = boots.difference(&live).count();
                let more = live.difference(&boots).count();
                return Some(format!("node-{at} misses {missing} and has {more} too many"));
            }
            for boot in &boots {
                let truth = self.truth.get(boot).unwrap_or(&nothing);
                let entries = || truth.iter().map(|(endpoint, weight)| (endpoint, *weight));
                let held = peer.gossip.directory(*boot);
                if !held.is_some_and(|replica| replica.iter().eq(entries())) {
                    return Some(format!("node-{at} has another directory of {boot:?}"));
                }
                let told = peer.routes.get(boot).unwrap_or(&nothing);
                if *boot != peer.gossip.me().boot && told != truth {
                    return Some(format!("node-{at} was told another directory of {boot:?}"));
                }
            }
        }
        None
    }

    /// Whether nobody suspects anybody.
    pub fn trusts(&self) -> bool {
        self.up()
            .into_iter()
            .all(|at| self.peer(at).gossip.members().all(|member| member.state != State::Suspect))
    }

    /// How often anybody said that somebody is dead who was not.
    pub fn false_deaths(&self) -> usize {
        let up: BTreeSet<Boot> = self.up().iter().map(|at| self.boot(*at)).collect();
        let wrong =
            |told: &Told| matches!(told, Told::Member(boot, State::Dead) if up.contains(boot));
        let of = |at: usize| self.peer(at).told.iter().filter(|(_, told)| wrong(told)).count();
        self.up().into_iter().map(of).sum()
    }

    /// Of how many endpoints the first peer that is up knows.
    pub fn endpoints(&self) -> usize {
        let up = self.up();
        let Some(peer) = up.first().map(|at| self.peer(*at)) else { return 0 };
        let boots = up.iter().map(|at| self.boot(*at));
        boots
            .filter_map(|boot| peer.gossip.directory(boot))
            .map(gossip::directory::Replica::len)
            .sum()
    }

    /// Bytes that a peer has sent, with the headers of IP and UDP, per node.
    pub fn bytes_each(&self) -> u64 {
        let up = self.up();
        let of = |at: &usize| {
            let counts = self.peer(*at).gossip.counts();
            counts.sent_bytes + counts.sent * HEADERS
        };
        up.iter().map(of).sum::<u64>() / (up.len() as u64).max(1)
    }

    fn millis(&self) -> u64 {
        self.world.now().as_nanos() / 1_000_000
    }
}

/// Where a peer gossips.
pub fn door(at: usize) -> SocketAddr {
    SocketAddr::new(Member { role: Role::Node, at }.ip(), 8004)
}

/// When the worlds of simulations begin, in milliseconds since 1970.
pub const GENERATION: u64 = 1_700_000_000_000;
/// How often it is looked whether something holds.
const LOOK: Duration = Duration::from_millis(5);
