//! Starts processes.

use super::{Life, Run, nodes};
use crate::actors::{Backend, Balancer, Client, Operator, Orders, Served, Service, Target, Watch};
use crate::case::{Member, Role};
use crate::kernel::{Place, ProcessId, SeatId};
use core::net::SocketAddr;
use core::time::Duration;
use pico_core::agent::{self, Agent, HostHeader};
use pico_core::host::{Address, Port};
use pico_core::id::WorkerId;
use pico_core::routing::EndpointId;
use pico_core::rpc::Identity;
use pico_core::{Instant, Limits, Seed};
use std::sync::Arc;

/// What agents and clients call the nodes, or the balancer before them.
pub(super) const NAME: &str = "pico.test";

/// As what a process is started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Guise {
    /// As itself.
    Own,
    /// Under a name that nobody has had.
    Renamed,
    /// Under the name of another.
    Of(Member),
    /// As a node of another cluster.
    Foreign,
}

/// Where a node, or a balancer, listens.
pub(super) const PORTS: [(Port, u16); 3] =
    [(Port::Proxy, 8001), (Port::Upstream, 8002), (Port::Admin, 8003)];

impl Run {
    /// Gives everybody a process, and starts all but the clients.
    pub(super) fn prepare(&mut self) {
        let hosts = self.case.shape.hosts();
        let front = if self.case.shape.balancer { Role::Balancer } else { Role::Node };
        let ips = hosts.iter().filter(|host| host.role == front).map(|host| host.ip());
        self.world.name(NAME, ips.collect());
        let nodes = hosts.iter().filter(|host| host.role == Role::Node);
        self.world.name(nodes::NAME, nodes.map(|node| node.ip()).collect());
        for member in &hosts {
            self.world.process(*member);
        }
        // Services are there before agents, and nodes before all.
        for role in [Role::Node, Role::Balancer, Role::Service, Role::Agent, Role::Operator] {
            for member in hosts.iter().filter(|host| host.role == role) {
                self.boot(*member, Guise::Own);
            }
        }
    }

    /// Starts a process of a member that has none.
    pub(super) fn boot(&mut self, member: Member, guise: Guise) {
        let number = self.cast.lives(member);
        let name = match guise {
            Guise::Own | Guise::Foreign => member.name(),
            Guise::Renamed => format!("{}-{number}", member.name()),
            Guise::Of(other) => other.name(),
        };
        let foreign = guise == Guise::Foreign;
        let process = self.world.process(member);
        if number > 0 {
            self.world.revive(process);
        }
        let seats = match member.role {
            Role::Node => self.node_seats(member, process, &name, foreign),
            Role::Agent => vec![self.agent_seat(member, process, &name)],
            Role::Service => vec![self.service_seat(member, process, &name, number)],
            Role::Balancer => vec![self.balancer_seat(member, process, &name)],
            Role::Operator => vec![self.operator_seat(member, process, &name)],
            Role::Client => return,
        };
        let name = if member.role == Role::Node { self.node_name(&name) } else { name };
        let born = self.world.now();
        let (told, ended) = (None, None);
        self.cast.begin(Life { member, number, name, foreign, process, seats, born, told, ended });
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

    fn operator_seat(&mut self, _: Member, process: ProcessId, name: &str) -> SeatId {
        let hosts = self.case.shape.hosts();
        let nodes = hosts.iter().filter(|host| host.role == Role::Node);
        let admin = |node: &Member| SocketAddr::new(node.ip(), PORTS[2].1);
        let nodes: Vec<_> = nodes.map(|node| (admin(node), self.node_name(&node.name()))).collect();
        let born = self.world.now();
        let until = Instant::ZERO + self.case.heal.0 + ASKS_AFTER;
        let place = Place { process, address: Address::Node };
        self.world.seat(place, name, |seed, now| {
            Operator::new(Watch::new(now, born), seed, nodes, ASKS_EVERY, until)
        })
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
            let (seats, foreign, told, ended) = (vec![seat], false, None, None);
            let life = Life { member, number, name, foreign, process, seats, born, told, ended };
            self.cast.begin(life);
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

/// How often an operator asks, and for how long after all has healed.
const ASKS_EVERY: Duration = Duration::from_millis(250);
const ASKS_AFTER: Duration = Duration::from_mins(1);
/// Where services listen.
pub(super) const SERVICE: u16 = 3000;
