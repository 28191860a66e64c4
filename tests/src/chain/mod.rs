//! A client and a service that say what was written down before, with a node of one worker, a
//! tunnel and an agent between them, in a world in which nothing else goes wrong.

mod talker;

pub use talker::{Answer, Ending, Say, Speech, Talker, Transcript};

use crate::actors::wire::Head;
use crate::case::{Case, Member, Role};
use crate::kernel::{Place, SeatId, Trace, World};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use pico_core::agent::{self, Agent, HostHeader};
use pico_core::host::{Address, Port};
use pico_core::id::WorkerId;
use pico_core::rpc::Identity;
use pico_core::server::{Node, Settings, Worker};
use pico_core::{Instant, Limits};
use std::sync::Arc;

/// The node, the agent that serves the endpoint `a`, and its service.
pub struct Chain {
    world: World,
    worker: SeatId,
    agent: SeatId,
    service: SeatId,
}

/// What was heard of one client's connection.
#[derive(Debug)]
pub struct Played {
    /// By the client.
    pub client: Transcript,
    /// By the service, on each of its connections.
    pub service: Vec<Transcript>,
    /// The requests as the service read them, and on which of its connections each came.
    pub requests: Vec<(Head, usize)>,
    /// What the service could not read.
    pub wrong: Option<String>,
}

impl Chain {
    /// All but a client, a second after they began.
    pub fn new(seed: u64, limits: Limits) -> Self {
        let mut world = World::new(&Case { seed, ..Case::default() }, Trace::default());
        let limits = Arc::new(limits);
        let process = world.process(Member { role: Role::Node, at: 0 });
        let settings = Arc::new(Settings { limits: Arc::clone(&limits), ..Settings::default() });
        let id = WorkerId(0);
        let place = Place { process, address: Address::Worker(id) };
        let made = Arc::clone(&settings);
        let worker = world.seat(place, "worker", |seed, now| Worker::new(now, id, made, seed));
        world.listen(PROXY, Port::Proxy, vec![worker]);
        world.listen(UPSTREAM, Port::Upstream, vec![worker]);
        let place = Place { process, address: Address::Node };
        world.seat(place, "node", |_, now| Node::new(now, 1, settings));
        let to = agent::Service { host: SERVICE.ip().to_string(), port: SERVICE.port() };
        let endpoint = "a".parse().expect("a name");
        let listener = agent::Listener { endpoint, service: to, host_header: HostHeader::Keep };
        let (host, port) = (UPSTREAM.ip().to_string(), UPSTREAM.port());
        let server = agent::Server { host, port, prefix: String::new() };
        let settings = agent::Settings::new(server, Identity::default(), vec![listener]);
        let process = world.process(Member { role: Role::Agent, at: 0 });
        let place = Place { process, address: Address::Worker(id) };
        let agent = world.seat(place, "agent", |seed, now| {
            Agent::new(now, settings, seed.clone(), limits).expect("settings that work")
        });
        let process = world.process(Member { role: Role::Service, at: 0 });
        let place = Place { process, address: Address::Node };
        let service = world.seat(place, "service", |_, now| Talker::service(now, Vec::new()));
        world.listen(SERVICE, Port::Proxy, vec![service]);
        world.run(Instant::ZERO + Duration::from_secs(1), |_| false);
        Self { world, worker, agent, service }
    }

    /// Plays one connection of a client, who must leave within `life`, and then until nothing is
    /// left of it, for `rest` at most, in which all connections with the service must end. The
    /// service gives `answers`, in this order.
    pub fn play(
        &mut self,
        speech: Speech,
        answers: Vec<Answer>,
        life: Duration,
        rest: Duration,
    ) -> Played {
        let world = &mut self.world;
        world.host_mut::<Talker>(self.service).restart(answers);
        let process = world.process(Member { role: Role::Client, at: 0 });
        let place = Place { process, address: Address::Node };
        let client = world.seat(place, "client", |_, now| Talker::client(now, PROXY, speech));
        world.run(world.now() + life, |world| world.host::<Talker>(client).over);
        assert!(world.host::<Talker>(client).over, "the client is still there");
        let (worker, agent, service) = (self.worker, self.agent, self.service);
        let calls = |world: &World| {
            (world.host::<Worker>(worker).calls(), world.host::<Agent>(agent).calls())
        };
        world.run(world.now() + rest, |world| {
            let tunnel_only = world.host::<Worker>(worker).connections() == 1;
            tunnel_only && world.host::<Talker>(service).is_alone() && calls(world) == (0, 0)
        });
        assert_eq!(calls(world), (0, 0), "calls are left");
        assert_eq!(world.host::<Worker>(self.worker).connections(), 1, "there is the tunnel");
        let client = world.host::<Talker>(client);
        let service = world.host::<Talker>(self.service);
        let requests = service.requests.iter().cloned().zip(service.served_on.iter().copied());
        Played {
            client: client.transcripts.first().cloned().unwrap_or_default(),
            service: service.transcripts.clone(),
            requests: requests.collect(),
            wrong: service.wrong.clone(),
        }
    }
}

const PROXY: SocketAddr = SocketAddr::new(ip(1), 8001);
const UPSTREAM: SocketAddr = SocketAddr::new(ip(1), 8002);
const SERVICE: SocketAddr = SocketAddr::new(ip(3), 3000);

const fn ip(net: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, net, 0, 1))
}
