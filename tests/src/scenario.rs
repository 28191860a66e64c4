//! A whole installation in a simulated world: a node with its workers, agents with services
//! behind them, and clients.

use crate::actors::{Client, Orders, Served, Service, Target, Watch, Workload};
use crate::case::{Kind, Load};
use crate::draw::Draw as _;
use crate::kernel::{Fault, Place, ProcessId, SeatId, Storm, Trace, World};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use pico_core::agent::{self, Agent, HostHeader};
use pico_core::host::{Address, Port};
use pico_core::id::WorkerId;
use pico_core::routing::EndpointId;
use pico_core::rpc::Identity;
use pico_core::server::{Letter, Node, Settings, Worker};
use pico_core::{Dice, Instant, Limits, Seed};
use std::sync::Arc;

/// How large an installation is, and how hard its life.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Requests of all clients together.
    pub requests: u64,
    /// At most so many agents; each has one service.
    pub agents: usize,
    /// At most so many clients.
    pub clients: usize,
    /// What goes wrong on the net.
    pub storm: Storm,
    /// Whether agents may die.
    pub deaths: bool,
    /// Whether some services answer before the request has ended.
    pub early: bool,
    /// Whether a client may be kept waiting by a service that falls silent within a response.
    pub patient: bool,
}

impl Scenario {
    /// Nothing goes wrong but what services and clients do.
    pub const CALM: Self = Self {
        requests: 24,
        agents: 3,
        clients: 2,
        storm: Storm { links: 0, faults: 0, bytes: 0, stall: Duration::ZERO, silence: false },
        deaths: false,
        early: true,
        patient: false,
    };

    /// Everything goes wrong.
    pub const ROUGH: Self = Self {
        storm: Storm {
            links: 24,
            faults: 10,
            bytes: 400_000,
            stall: Duration::from_secs(8),
            silence: true,
        },
        deaths: true,
        ..Self::CALM
    };

    /// Plays it under `seed`, to the end: all requests made, a rest, and a drain.
    pub fn play(&self, seed: u64, trace: Trace) -> Run {
        let mut run = Run::new(self, seed, trace);
        run.live();
        run
    }
}

/// An installation, and what became of it.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Run {
    /// The world.
    pub world: World,
    /// Its number, from which everything was drawn.
    pub number: u64,
    /// What the clients asked for.
    pub work: Workload,
    /// How many requests there were to make.
    pub requests: u64,
    /// The node.
    pub node: SeatId,
    /// Its workers.
    pub workers: Vec<SeatId>,
    /// The agents.
    pub agents: Vec<SeatId>,
    /// The services, one for each agent.
    pub services: Vec<SeatId>,
    /// The clients.
    pub clients: Vec<SeatId>,
    /// Whether anything was to go wrong.
    pub storm: bool,
    /// Whether nothing did, by this seed.
    pub calm: bool,
    /// Whether a client may be kept waiting by a service that falls silent within a response.
    pub patient: bool,
    /// Whether requests began before the agents had a chance to register.
    pub cold: bool,
    /// What was left at rest before the drain, in words; empty if all is well.
    pub left: Vec<String>,
    faults: Vec<Fault>,
    lanes: Vec<usize>,
    seed: Seed,
}

const PROXY: SocketAddr = address(1, 1, 8001);
const UPSTREAM: SocketAddr = address(1, 1, 8002);

impl Run {
    fn new(scenario: &Scenario, number: u64, trace: Trace) -> Self {
        let seed = Seed::from_u64(number);
        let mut dice = seed.fork("shape").roll();
        let agents = 1 + dice.index(scenario.agents);
        let endpoints = 1 + dice.index(agents.min(2));
        let endpoints = (0..endpoints).map(|at| format!("endpoint-{at}")).collect();
        let clients = 1 + dice.index(scenario.clients);
        let mut faults = scenario.storm.faults(&seed.fork("storm"));
        if scenario.deaths && dice.chance(1, 4) {
            let process = agent_process(dice.index(agents));
            let at = Instant::ZERO + dice.span(Duration::ZERO, Duration::from_secs(5));
            faults.push(Fault::Kill { process, at });
        }
        let calm = faults.is_empty();
        let mut load = Load { requests: scenario.requests, ..Load::default() };
        load.kinds.retain(|kind| scenario.early || *kind != Kind::Early);
        let work = Workload::new(seed.fork("work"), endpoints, load);
        let mut run = Self {
            world: World::new(&seed.fork("world"), faults.clone(), trace),
            number,
            work,
            requests: scenario.requests,
            node: SeatId(0),
            workers: Vec::new(),
            agents: Vec::new(),
            services: Vec::new(),
            clients: Vec::new(),
            storm: scenario.storm.faults > 0,
            calm,
            patient: scenario.patient,
            cold: false,
            left: Vec::new(),
            faults,
            lanes: (0..clients).map(|_| 1 + dice.index(4)).collect(),
            seed,
        };
        run.add_node(&mut dice);
        (0..agents).for_each(|at| run.add_agent(at, &mut dice));
        run
    }

    fn add_node(&mut self, dice: &mut Dice) {
        let process = self.world.process(PROXY.ip());
        let settings = Arc::new(Settings { limits: limits(dice), ..Settings::default() });
        for id in (0..WORKERS).map(WorkerId) {
            let place = Place { process, address: Address::Worker(id) };
            let make = |seed: &Seed, now| Worker::new(now, id, Arc::clone(&settings), seed);
            let seat = self.world.seat(place, &format!("worker-{}", id.0), make);
            self.workers.push(seat);
        }
        self.world.listen(PROXY, Port::Proxy, self.workers.clone());
        self.world.listen(UPSTREAM, Port::Upstream, self.workers.clone());
        let place = Place { process, address: Address::Node };
        let make = |_: &Seed, now| Node::new(now, WORKERS, settings);
        self.node = self.world.seat(place, "node", make);
    }

    fn add_agent(&mut self, at: usize, dice: &mut Dice) {
        let number = u8::try_from(at).expect("a handful of agents");
        let process = self.world.process(address(2, number, 0).ip());
        debug_assert_eq!(process, agent_process(at));
        let to = address(3, number, 3000);
        let endpoint = at % self.work.endpoints.len();
        let name = EndpointId::parse(self.work.endpoints[endpoint].as_bytes());
        let service = agent::Service { host: to.ip().to_string(), port: to.port() };
        let listener = agent::Listener {
            endpoint: name.expect("a fine name"),
            service,
            host_header: HostHeader::Keep,
        };
        let server = agent::Server {
            host: "node.test".into(),
            port: UPSTREAM.port(),
            prefix: String::new(),
        };
        self.world.name("node.test", vec![UPSTREAM.ip()]);
        let me = Identity { id: format!("agent-{at}"), agent: "sim".into() };
        let settings = agent::Settings::new(server, me, vec![listener]);
        let limits = limits(dice);
        let place = Place { process, address: Address::Worker(WorkerId(0)) };
        let seat = self.world.seat(place, &format!("agent-{at}"), |seed, now| {
            Agent::new(now, settings, seed.clone(), limits).expect("settings that work")
        });
        self.agents.push(seat);
        let place = Place { process: self.world.process(to.ip()), address: Address::Node };
        let (name, work, born) = (format!("service-{at}"), self.work.clone(), self.world.now());
        let served = Served { name: name.clone(), life: 0 };
        let seat = self.world.seat(place, &name, |seed, now| {
            Service::new(Watch::new(now, born), seed, work, served, endpoint)
        });
        self.world.listen(to, Port::Proxy, vec![seat]);
        self.services.push(seat);
    }

    fn add_clients(&mut self) {
        let (count, born) = (self.lanes.len(), self.world.now());
        for (at, lanes) in self.lanes.clone().into_iter().enumerate() {
            let number = u8::try_from(at).expect("a handful of clients");
            let process = self.world.process(address(4, number, 0).ip());
            let place = Place { process, address: Address::Node };
            let to = Target::Addresses(vec![PROXY]);
            let orders = Orders::new(self.work.clone(), false, (at, count), lanes, to);
            let seat = self.world.seat(place, &format!("client-{at}"), |seed, now| {
                Client::new(Watch::new(now, born), seed, orders)
            });
            self.clients.push(seat);
        }
    }

    /// What became of it all, line by line.
    pub fn story(&self) -> Vec<String> {
        let mut story: Vec<String> = self.faults.iter().map(|f| format!("fault: {f:?}")).collect();
        for (at, seat, note) in self.world.notes() {
            story.push(format!("note: {:?} {seat:?} {note:?}", at.since(Instant::ZERO)));
        }
        for seat in &self.services {
            let service = self.world.host::<Service>(*seat);
            let name = service.served();
            story.extend(service.arrivals().iter().map(|a| format!("{name}: {a:?}")));
        }
        for (at, seat) in self.clients.iter().enumerate() {
            let records = self.world.host::<Client>(*seat).records();
            story.extend(records.iter().map(|r| {
                let plan = self.work.plan(r.id);
                format!("client-{at}: {r:?}\n    {plan:?}")
            }));
        }
        story
    }

    /// Everything, from the first dial to the end of the drain.
    fn live(&mut self) {
        self.cold = self.seed.fork("cold").roll().chance(1, 10);
        let warm = if self.cold { Duration::ZERO } else { Duration::from_secs(1) };
        self.world.run(Instant::ZERO + warm, |_| false);
        self.add_clients();
        let clients = self.clients.clone();
        let over = |world: &World| clients.iter().all(|id| world.host::<Client>(*id).is_over());
        self.world.run(self.world.now() + LIFE, over);
        // Half-open tunnels need two heartbeats, and half-open clients the idle time-out.
        self.world.run(self.world.now() + REST, |_| false);
        self.look();
        self.world.tell(self.node, Letter::Drain);
        for agent in &self.agents {
            self.world.tell(*agent, agent::Letter::Drain);
        }
        self.world.run(self.world.now() + REST, |_| false);
    }

    /// Looks for what should not be there any more.
    fn look(&mut self) {
        let mut left = Vec::new();
        for id in &self.workers {
            let worker = self.world.host::<Worker>(*id);
            if worker.calls() > 0 {
                left.push(format!("{} calls at worker {id:?}", worker.calls()));
            }
            let (knows, holds) = (worker.connections(), self.world.connections(*id));
            if knows != holds {
                left.push(format!("worker {id:?} knows {knows} connections of {holds}"));
            }
        }
        let held: usize = self.workers.iter().map(|id| self.world.connections(*id)).sum();
        let alive = self.agents.iter().filter(|id| !self.world.is_done(**id)).count();
        if held > alive {
            left.push(format!("{held} connections at workers, but {alive} agents"));
        }
        for id in self.agents.iter().filter(|id| !self.world.is_done(**id)) {
            let calls = self.world.host::<Agent>(*id).calls();
            let holds = self.world.connections(*id);
            if calls > 0 || holds > 1 {
                left.push(format!("{calls} calls, {holds} connections at agent {id:?}"));
            }
        }
        self.left = left;
    }
}

/// Time-outs as they are, and bounds small enough to be met.
fn limits(dice: &mut Dice) -> Arc<Limits> {
    let window_bytes = *dice.pick(&[4 * 1024, 64 * 1024]);
    let outbox_bytes = *dice.pick(&[16 * 1024, 256 * 1024]);
    // Streams may be silent for minutes; a run does not last so long.
    let stall_timeout = Limits::default().body_timeout;
    Arc::new(Limits { window_bytes, outbox_bytes, stall_timeout, ..Limits::default() })
}

/// The node's process is the first, and each agent has its service's behind its own.
const fn agent_process(at: usize) -> ProcessId {
    ProcessId(1 + 2 * at)
}

const fn address(net: u8, host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, net, host)), port)
}

const WORKERS: u16 = 2;
const LIFE: Duration = Duration::from_hours(2);
const REST: Duration = Duration::from_mins(6);
