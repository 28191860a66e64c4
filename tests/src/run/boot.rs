//! Starts processes.

use super::{Life, Run};
use crate::actors::{Backend, Balancer, Client, Orders, Served, Service, Target, Watch};
use crate::case::{Member, Role};
use crate::gossip::GENERATION;
use crate::kernel::{Place, ProcessId, SeatId};
use core::net::SocketAddr;
use pico_core::agent::{self, Agent, HostHeader};
use pico_core::gossip::{self, NodeId};
use pico_core::host::{Address, Port};
use pico_core::id::{Boot, WorkerId};
use pico_core::routing::EndpointId;
use pico_core::rpc::Identity;
use pico_core::server::{Membership, Node, Settings, Worker};
use pico_core::{Limits, Seed};
use std::sync::Arc;

/// What agents and clients call the nodes, or the balancer before them.
const NAME: &str = "pico.test";

/// Where a node, or a balancer, listens.
const PORTS: [(Port, u16); 3] = [(Port::Proxy, 8001), (Port::Upstream, 8002), (Port::Admin, 8003)];

impl Run {
    /// Gives everybody a process, and starts all but the clients.
    pub(super) fn prepare(&mut self) {
        let hosts = self.case.shape.hosts();
        let front = if self.case.shape.balancer { Role::Balancer } else { Role::Node };
        let ips = hosts.iter().filter(|host| host.role == front).map(|host| host.ip());
        self.world.name(NAME, ips.collect());
        for member in &hosts {
            self.world.process(*member);
        }
        // Services are there before agents, and nodes before all.
        for role in [Role::Node, Role::Balancer, Role::Service, Role::Agent] {
            for member in hosts.iter().filter(|host| host.role == role) {
                self.boot(*member, false);
            }
        }
    }

    /// Starts a process of a member that has none.
    pub(super) fn boot(&mut self, member: Member, renamed: bool) {
        let number = self.cast.lives(member);
        let mut name = member.name();
        if renamed {
            name = format!("{name}-{number}");
        }
        let process = self.world.process(member);
        if number > 0 {
            self.world.revive(process);
        }
        let seats = match member.role {
            Role::Node => self.node_seats(member, process, &name),
            Role::Agent => vec![self.agent_seat(member, process, &name)],
            Role::Service => vec![self.service_seat(member, process, &name, number)],
            Role::Balancer => vec![self.balancer_seat(member, process, &name)],
            Role::Client => return,
        };
        self.begin(member, number, name, process, seats);
    }

    fn begin(
        &mut self,
        member: Member,
        number: usize,
        name: String,
        process: ProcessId,
        seats: Vec<SeatId>,
    ) {
        let born = self.world.now();
        let (told, ended) = (None, None);
        self.cast.begin(Life { member, number, name, process, seats, born, told, ended });
    }

    fn node_seats(&mut self, member: Member, process: ProcessId, name: &str) -> Vec<SeatId> {
        let shape = &self.case.shape;
        let settings = Arc::new(Settings {
            node_id: name.to_owned(),
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
        let among = self.membership(member, &settings);
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
        for (port, number) in PORTS {
            let address = SocketAddr::new(member.ip(), number);
            self.world.listen(address, port, seats[1..].to_vec());
        }
        if settings.boot != Boot(0) {
            let gossip = SocketAddr::new(member.ip(), GOSSIP);
            self.world.listen(gossip, Port::Gossip, seats[1..].to_vec());
            self.world.bind(gossip, seats[0]);
            for seat in &seats {
                self.world.protect(*seat, &self.keys(), CLUSTER);
            }
        }
        seats
    }

    /// The name of a node's life among others; one that is alone has none.
    fn boot_of(&self, member: Member) -> Boot {
        if self.case.shape.nodes == 1 {
            return Boot(0);
        }
        let life = self.cast.lives(member) as u64;
        let seed = Seed::from_u64(self.case.seed).fork_at(&member.name(), life);
        Boot(seed.fork("boot").roll().long().max(1))
    }

    /// What nodes share.
    fn keys(&self) -> gossip::Ring {
        let key = || gossip::Key::new([7; 32]);
        self.case.shape.keys.then(key).into_iter().collect()
    }

    /// How a node takes part in its cluster, if there is more than one.
    fn membership(&self, member: Member, settings: &Settings) -> Option<Membership> {
        if settings.boot == Boot(0) {
            return None;
        }
        let addr = SocketAddr::new(member.ip(), GOSSIP);
        let gossip = gossip::Settings {
            cluster: CLUSTER.into(),
            keys: self.keys(),
            boot: settings.boot,
            generation: GENERATION + self.world.now().as_nanos() / 1_000_000,
            id: NodeId::parse(settings.node_id.as_bytes()).expect("a fine name"),
            addr,
            notes: Vec::new(),
            pace: gossip::Pace::default(),
        };
        // The first three, as an operator would write them down.
        let hosts = self.case.shape.hosts();
        let nodes = hosts.iter().filter(|host| host.role == Role::Node).take(3);
        let join = nodes.map(|node| (node.ip().to_string(), GOSSIP)).collect();
        Some(Membership { gossip, join, abort: false })
    }

    fn agent_seat(&mut self, member: Member, process: ProcessId, name: &str) -> SeatId {
        let service = Member { role: Role::Service, at: member.at };
        let endpoint = &self.work.endpoints[member.at % self.work.endpoints.len()];
        let listener = agent::Listener {
            endpoint: EndpointId::parse(endpoint.as_bytes()).expect("a fine name"),
            service: agent::Service { host: service.ip().to_string(), port: SERVICE },
            host_header: HostHeader::Keep,
        };
        let port = PORTS[1].1;
        let server = agent::Server { host: NAME.into(), port, prefix: String::new() };
        let me = Identity { id: name.to_owned(), agent: "sim".into() };
        let settings = agent::Settings::new(server, me, vec![listener]);
        let limits = self.limits();
        let place = Place { process, address: Address::Worker(WorkerId(0)) };
        self.world.seat(place, name, |seed, now| {
            Agent::new(now, settings, seed.clone(), limits).expect("settings that work")
        })
    }

    fn service_seat(
        &mut self,
        member: Member,
        process: ProcessId,
        name: &str,
        life: usize,
    ) -> SeatId {
        let place = Place { process, address: Address::Node };
        let work = self.work.clone();
        let endpoint = member.at % work.endpoints.len();
        let life = u32::try_from(life).expect("a handful of lives");
        let (served, born) = (Served { name: name.to_owned(), life }, self.world.now());
        let make =
            |seed: &Seed, now| Service::new(Watch::new(now, born), seed, work, served, endpoint);
        let seat = self.world.seat(place, name, make);
        self.world.listen(SocketAddr::new(member.ip(), SERVICE), Port::Proxy, vec![seat]);
        seat
    }

    fn balancer_seat(&mut self, member: Member, process: ProcessId, name: &str) -> SeatId {
        let hosts = self.case.shape.hosts();
        let nodes = hosts.iter().filter(|host| host.role == Role::Node);
        let backend = |ip| {
            let [proxy, upstream, admin] = PORTS.map(|(_, port)| SocketAddr::new(ip, port));
            Backend { proxy, upstream, admin }
        };
        let backends = nodes.map(|node| backend(node.ip())).collect();
        let (late, born) = (self.case.shape.retires_late.0, self.world.now());
        let place = Place { process, address: Address::Node };
        let make = |_: &Seed, now| Balancer::new(Watch::new(now, born), backends, late);
        let seat = self.world.seat(place, name, make);
        for (port, number) in [PORTS[0], PORTS[1]] {
            self.world.listen(SocketAddr::new(member.ip(), number), port, vec![seat]);
        }
        seat
    }

    /// Lets clients begin: with the requests that are made while things go wrong, or with those
    /// that are made afterwards.
    pub(super) fn add_clients(&mut self, late: bool) {
        if self.broken.is_some() {
            return;
        }
        let shape = self.case.shape.clone();
        let born = self.world.now();
        let hosts = shape.hosts();
        for member in hosts.into_iter().filter(|host| host.role == Role::Client) {
            let number = self.cast.lives(member);
            let process = self.world.process(member);
            if number > 0 {
                self.world.revive(process);
                self.cast.now_mut(member).expect("its last life goes on").ended = Some(born);
            }
            let place = Place { process, address: Address::Node };
            let to = Target::Name { host: NAME.into(), port: PORTS[0].1 };
            let share = (member.at, shape.clients);
            let orders = Orders::new(self.work.clone(), late, share, shape.lanes, to);
            let name = member.name();
            let seat = self
                .world
                .seat(place, &name, |seed, now| Client::new(Watch::new(now, born), seed, orders));
            self.begin(member, number, name, process, vec![seat]);
        }
    }

    /// Time-outs as they are, and bounds small enough to be met.
    pub fn limits(&self) -> Arc<Limits> {
        let shape = &self.case.shape;
        let usual = Limits::default();
        // Streams may be silent for minutes, but clients here are not so patient.
        let stall_timeout = usual.body_timeout;
        Arc::new(Limits {
            stall_timeout,
            window_bytes: shape.window_bytes,
            outbox_bytes: shape.outbox_bytes,
            ..usual
        })
    }
}

/// What the nodes' cluster is called.
const CLUSTER: &str = "sim";
/// Where nodes hear of each other.
const GOSSIP: u16 = 8004;
/// Where services listen.
const SERVICE: u16 = 3000;
