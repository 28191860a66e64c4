//! Starts nodes: whole ones, and those that do nothing but gossip.

use super::Run;
use super::boot::PORTS;
use crate::case::{Fault, Join, Member, Role};
use crate::gossip::{GENERATION, Order, Peer};
use crate::kernel::{Place, ProcessId, SeatId};
use core::net::SocketAddr;
use pico_core::Seed;
use pico_core::gossip::{self, NOTE_PROGRAM, NodeId};
use pico_core::host::{Address, Port};
use pico_core::id::{Boot, WorkerId};
use pico_core::server::{Membership, Node, Settings, Worker};
use std::sync::Arc;

/// What nodes call each other, if they look for each other by a name.
pub(super) const NAME: &str = "nodes.pico.test";

impl Run {
    pub(super) fn node_seats(
        &mut self,
        member: Member,
        process: ProcessId,
        name: &str,
        foreign: bool,
    ) -> Vec<SeatId> {
        if self.case.shape.gossip_only {
            return vec![self.peer_seat(member, process, name, foreign)];
        }
        let shape = &self.case.shape;
        let settings = Arc::new(Settings {
            node_id: self.node_name(name),
            boot: self.boot_of(member),
            limits: self.limits(),
            log_requests: true,
            drain_delay: shape.drain_delay.0,
            grace_period: shape.grace_period.0,
            write: Some(pico_shell::admin::write),
            ..Settings::default()
        });
        let workers = shape.workers;
        let place = Place { process, address: Address::Node };
        let among = (settings.boot != Boot(0)).then(|| Membership {
            gossip: self.gossip_of(member, name, foreign),
            join: self.join(),
            abort: false,
        });
        let make = |seed: &Seed, now| match among {
            Some(among) => Node::among(now, workers, Arc::clone(&settings), among, seed),
            None => Node::new(now, workers, Arc::clone(&settings)),
        };
        let mut seats = vec![self.world.seat(place, name, make)];
        for id in (0..workers).map(WorkerId) {
            let place = Place { process, address: Address::Worker(id) };
            let make = |seed: &Seed, now| Worker::new(now, id, Arc::clone(&settings), seed);
            seats.push(self.world.seat(place, &format!("{name}/{}", id.0), make));
        }
        // Whoever only has the address of a node is not found by clients and agents.
        for (port, number) in PORTS.into_iter().filter(|_| !foreign) {
            let address = SocketAddr::new(member.ip(), number);
            self.world.listen(address, port, seats[1..].to_vec());
        }
        if settings.boot != Boot(0) {
            self.world.listen(door(member), Port::Gossip, seats[1..].to_vec());
            self.world.bind(door(member), seats[0]);
            for seat in &seats {
                self.world.protect(*seat, &self.keys(foreign), cluster(foreign));
            }
        }
        seats
    }

    /// A node that does nothing but gossip.
    fn peer_seat(
        &mut self,
        member: Member,
        process: ProcessId,
        name: &str,
        foreign: bool,
    ) -> SeatId {
        let settings = self.gossip_of(member, name, foreign);
        let place = Place { process, address: Address::Node };
        let make = |seed: &Seed, now| Peer::new(gossip::Machine::new(now, settings, seed));
        let seat = self.world.seat(place, name, make);
        self.world.listen(door(member), Port::Gossip, vec![seat]);
        self.world.bind(door(member), seat);
        self.world.protect(seat, &self.keys(foreign), cluster(foreign));
        let seeds = self.seeds().into_iter().map(door).collect();
        self.world.tell(seat, Order::Seeds(seeds));
        seat
    }

    /// What a node is called that would be called so.
    pub(super) fn node_name(&self, name: &str) -> String {
        pad(name, self.case.shape.name_bytes)
    }

    /// The name of a node's life among others; one that is alone has none.
    fn boot_of(&self, member: Member) -> Boot {
        if self.case.shape.nodes == 1 && !self.case.shape.gossip_only {
            return Boot(0);
        }
        let life = self.cast.lives(member) as u64;
        let seed = Seed::from_u64(self.case.seed).fork_at(&member.name(), life);
        Boot(seed.fork("boot").roll().long().max(1))
    }

    /// What the nodes of a cluster share.
    fn keys(&self, foreign: bool) -> gossip::Ring {
        let key = || gossip::Key::new([if foreign { 8 } else { 7 }; 32]);
        self.case.shape.keys.then(key).into_iter().collect()
    }

    /// What a node says of itself when it starts now.
    fn gossip_of(&self, member: Member, name: &str, foreign: bool) -> gossip::Settings {
        let mut notes = vec![(NOTE_PROGRAM, "0.1.0".into())];
        if self.case.shape.mixed && member.at % 2 == 1 {
            notes = vec![(NOTE_PROGRAM, "99.0.0".into()), (200, "yet to be invented".into())];
        }
        if !self.case.shape.mixed {
            notes.clear();
        }
        gossip::Settings {
            cluster: cluster(foreign).into(),
            keys: self.keys(foreign),
            boot: self.boot_of(member),
            generation: self.calendar(member),
            id: NodeId::parse(self.node_name(name).as_bytes()).expect("a fine name"),
            addr: door(member),
            notes,
            pace: gossip::Pace { gone: self.case.shape.remembered.0, ..gossip::Pace::default() },
        }
    }

    /// What a machine takes for the time since 1970, in milliseconds.
    fn calendar(&self, member: Member) -> u64 {
        let now = self.world.now().as_nanos() / 1_000_000;
        let back = self.case.faults.iter().filter_map(|fault| {
            let Fault::ClockBack { who, at, by } = fault else { return None };
            let over = super::at(*at) <= self.world.now();
            (over && self.case.shape.means(who, member)).then_some(by.as_nanos() / 1_000_000)
        });
        (GENERATION + now).saturating_sub(back.sum())
    }

    /// The first three, as an operator would write them down; or all, as a name has them.
    fn seeds(&self) -> Vec<Member> {
        let hosts = self.case.shape.hosts();
        let nodes = hosts.into_iter().filter(|host| host.role == Role::Node);
        match self.case.shape.join {
            Join::First => nodes.take(3).collect(),
            Join::Name => nodes.collect(),
        }
    }

    /// Whether a node that started now would find one that lives.
    pub fn can_be_joined(&self) -> bool {
        let seeds = self.seeds();
        let mut lives = self.cast.of(Role::Node);
        lives.any(|life| life.is_alive() && !life.foreign && seeds.contains(&life.member))
    }

    fn join(&self) -> Vec<(String, u16)> {
        match self.case.shape.join {
            Join::First => {
                self.seeds().into_iter().map(|node| (node.ip().to_string(), GOSSIP)).collect()
            }
            Join::Name => vec![(NAME.to_owned(), GOSSIP)],
        }
    }
}

/// Where a node gossips.
pub(super) fn door(member: Member) -> SocketAddr {
    SocketAddr::new(member.ip(), GOSSIP)
}

/// A name of so many bytes at least.
pub(super) fn pad(name: &str, bytes: usize) -> String {
    let mut name = name.to_owned();
    while name.len() < bytes {
        name.push(if name.len().is_multiple_of(8) { '-' } else { 'x' });
    }
    name
}

/// What a node's cluster is called.
const fn cluster(foreign: bool) -> &'static str {
    if foreign { "other" } else { CLUSTER }
}

/// What the cluster is called.
pub(super) const CLUSTER: &str = "sim";
/// Where nodes hear of each other.
const GOSSIP: u16 = 8004;
