//! Clients and services in a world without Pico, with a balancer between them or not.

use core::net::SocketAddr;
use core::time::Duration;
use pico_core::host::{Action, Address, Host, Input, Port, Told};
use pico_core::id::{ConnId, ConnMap};
use pico_core::{Instant, Machine, Outbox, Seed};
use pico_sim::actors::{
    Arrival, Backend, Balancer, Client, Defect, Orders, Outcome, Plan, Record, Served, Service,
    Stray, Target, Watch, Workload,
};
use pico_sim::case::{Case, Fault, Kind, Load, Member, Role, Shape, Span, Swarm, Way};
use pico_sim::draw::Draw as _;
use pico_sim::kernel::{Place, SeatId, Trace, World};
use std::collections::VecDeque;

/// What goes wrong in the world.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Nothing.
    Calm,
    /// Whatever a swarm draws, and besides this many faults of dialled connections.
    Rough(u64),
}

impl Weather {
    fn case(self, number: u64, shape: Shape) -> Case {
        let heal = Span::secs(60);
        let Self::Rough(most) = self else {
            return Case { seed: number, shape, heal, ..Case::default() };
        };
        let drawn = Case::swarm(number, &Swarm::rough());
        let here = |fault: &Fault| {
            fault
                .names()
                .iter()
                .all(|name| shape.hosts().iter().any(|host| shape.means(name, *host)))
        };
        let mut faults: Vec<Fault> = drawn.faults.into_iter().filter(here).collect();
        let who = if shape.balancer { vec!["client-0", "balancer"] } else { vec!["client-0"] };
        let mut dice = Seed::from_u64(number).fork("dials").roll();
        let count = dice.between(0, most);
        faults.extend((0..count).map(|_| {
            let (who, dial) = ((*dice.pick(&who)).to_owned(), dice.below(20));
            let way = if dice.chance(1, 2) { Way::Up } else { Way::Down };
            let bytes = *dice.pick(&[200, 5_000, 300_000]);
            let byte = dice.below(bytes);
            let lasts = dice.chance(1, 2).then(|| Span::millis(dice.below(5_000)));
            match dice.below(4) {
                0 => Fault::Reset { who, dial, way, byte },
                1 => Fault::Stall { who, dial, way, byte, lasts },
                2 => Fault::Refuse { who, dial },
                _ => Fault::Blackhole { who, dial },
            }
        }));
        Case { shape, faults, ..drawn }
    }
}

/// What takes part.
pub(crate) struct Scene {
    pub(crate) load: Load,
    pub(crate) weather: Weather,
    pub(crate) defect: Defect,
    pub(crate) balanced: bool,
    pub(crate) named: bool,
}

/// What became of it.
pub(crate) struct Play {
    pub(crate) world: World,
    pub(crate) work: Workload,
    pub(crate) client: SeatId,
    pub(crate) services: Vec<SeatId>,
    pub(crate) balancer: Option<SeatId>,
    pub(crate) doors: Vec<SeatId>,
}

impl Scene {
    pub(crate) fn new(load: Load, weather: Weather) -> Self {
        Self { load, weather, defect: Defect::None, balanced: false, named: false }
    }

    /// Seats everybody.
    pub(crate) fn set(&self, number: u64) -> Play {
        let seed = Seed::from_u64(number);
        let work = Workload::new(seed.fork("work"), vec!["one".into()], self.load.clone());
        let shape = Shape { nodes: 2, agents: 2, clients: 1, ..Shape::default() };
        let case = self.weather.case(number, Shape { balancer: self.balanced, ..shape });
        let mut play = Play {
            world: World::new(&case, Trace::default()),
            work,
            client: SeatId(0),
            services: Vec::new(),
            balancer: None,
            doors: Vec::new(),
        };
        let to = (0..2).map(|at| play.add_service(at, self)).collect();
        let to = if self.balanced { vec![play.add_balancer()] } else { to };
        play.world.name("service.test", to.iter().map(SocketAddr::ip).collect());
        let to = if self.named {
            Target::Name { host: "service.test".into(), port: to[0].port() }
        } else {
            Target::Addresses(to)
        };
        let orders = Orders::new(play.work.clone(), false, (0, 1), 3, to);
        let place = play.place(Role::Client, 0);
        play.client = play.world.seat(place, "client", |seed, now| {
            Client::new(Watch::new(now, Instant::ZERO), seed, orders)
        });
        play
    }

    /// Plays it until all requests are over, and a rest.
    pub(crate) fn play(&self, number: u64) -> Play {
        let mut play = self.set(number);
        let client = play.client;
        let over = |world: &World| world.host::<Client>(client).is_over();
        let end = play.world.now() + Duration::from_hours(4);
        assert!(play.world.run(end, over), "seed {number}: requests without an end");
        play.world.run(play.world.now() + Duration::from_mins(5), |_| false);
        play
    }
}

impl Play {
    fn place(&mut self, role: Role, at: usize) -> Place {
        let process = self.world.process(Member { role, at });
        Place { process, address: Address::Node }
    }

    fn add_service(&mut self, at: usize, scene: &Scene) -> SocketAddr {
        let place = self.place(Role::Service, at);
        let (work, defect) = (self.work.clone(), scene.defect);
        let served = Served { name: format!("service-{at}"), life: 3 };
        let seat = self.world.seat(place, "service", |seed, now| {
            let watch = Watch::new(now, Instant::ZERO);
            Service::new(watch, seed, work, served, 0).with(defect)
        });
        let to = address(Role::Service, at, 80);
        self.world.listen(to, Port::Proxy, vec![seat]);
        self.services.push(seat);
        let place = self.place(Role::Node, at);
        let door = self.world.seat(place, "door", |_, _| Door::default());
        self.world.listen(address(Role::Node, at, 8003), Port::Admin, vec![door]);
        self.doors.push(door);
        to
    }

    fn add_balancer(&mut self) -> SocketAddr {
        let place = self.place(Role::Balancer, 0);
        let backend = |at| Backend {
            proxy: address(Role::Service, at, 80),
            upstream: address(Role::Service, at, 81),
            admin: address(Role::Node, at, 8003),
        };
        let backends = vec![backend(0), backend(1)];
        let seat = self.world.seat(place, "balancer", |_, now| {
            Balancer::new(Watch::new(now, Instant::ZERO), backends, Duration::from_secs(3))
        });
        let to = address(Role::Balancer, 0, 80);
        self.world.listen(to, Port::Proxy, vec![seat]);
        self.balancer = Some(seat);
        // It has to ask first who is ready.
        self.world.run(self.world.now() + Duration::from_secs(2), |_| false);
        to
    }

    pub(crate) fn records(&self) -> &[Record] {
        self.world.host::<Client>(self.client).records()
    }

    pub(crate) fn strays(&self) -> &[Stray] {
        self.world.host::<Client>(self.client).strays()
    }

    pub(crate) fn arrivals(&self) -> impl Iterator<Item = (&Served, &Arrival)> {
        let services = self.services.iter().map(|seat| self.world.host::<Service>(*seat));
        services.flat_map(|s| s.arrivals().iter().map(|arrival| (s.served(), arrival)))
    }

    pub(crate) fn balancer(&self) -> &Balancer {
        self.world.host(self.balancer.expect("there is one"))
    }
}

fn address(role: Role, at: usize, port: u16) -> SocketAddr {
    SocketAddr::new(Member { role, at }.ip(), port)
}

/// Whether a request ended as planned, where nothing else goes wrong.
pub(crate) fn is_planned(record: &Record, plan: &Plan) -> bool {
    match record.outcome {
        Outcome::Complete { .. } => !plan.is_failed() && !plan.is(Kind::ClientAborts),
        Outcome::Aborted => plan.is(Kind::ClientAborts),
        Outcome::Broken { begun, .. } => {
            plan.is(Kind::ServiceCuts) || (plan.is(Kind::ServiceCloses) && !begun)
        }
        Outcome::Silence => plan.is(Kind::ServiceHangs),
        Outcome::Wrong(_) => plan.is(Kind::ServiceBabbles),
        Outcome::Error { .. } | Outcome::Unreachable => false,
    }
}

/// What stands where a node's operators ask: it says whether it is ready, as it is told.
#[derive(Default)]
pub(crate) struct Door {
    shut: bool,
    conns: ConnMap<(Outbox, Told)>,
    actions: VecDeque<Action<bool>>,
}

impl Machine for Door {
    type Input = Input<bool>;
    type Action = Action<bool>;

    fn handle(&mut self, _: Instant, input: Input<bool>) {
        match input {
            Input::Accepted { conn, .. } => {
                self.conns.insert(conn, (Outbox::new(), Told::default()));
            }
            Input::Received { conn, bytes } if bytes.ends_with(b"\r\n\r\n") => {
                let status = if self.shut { "503 No" } else { "200 Yes" };
                if let Some((outbox, told)) = self.conns.get_mut(conn) {
                    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n");
                    outbox.put(head.as_bytes());
                    told.tell(conn, Some(outbox), 1, &mut self.actions);
                    self.actions.push_back(Action::Finish(conn));
                }
            }
            Input::Sent { conn, count } => {
                if let Some((outbox, _)) = self.conns.get_mut(conn) {
                    bytes::Buf::advance(outbox, count);
                }
            }
            Input::Eof { conn } => {
                self.conns.remove(conn);
                self.actions.push_back(Action::Close(conn));
            }
            Input::Lost { conn, .. } => {
                self.conns.remove(conn);
            }
            Input::Letter(shut) => self.shut = shut,
            Input::Received { .. }
            | Input::Connected { .. }
            | Input::Unreachable { .. }
            | Input::Unlistened(_)
            | Input::Resolved { .. }
            | Input::Datagram { .. }
            | Input::Wall(_) => {}
        }
    }

    fn tick(&mut self, _: Instant) {}

    fn poll(&mut self) -> Option<Action<bool>> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }
}

impl Host for Door {
    type Letter = bool;

    fn outbox(&self, conn: ConnId) -> Option<&Outbox> {
        self.conns.get(conn).map(|(outbox, _)| outbox)
    }

    fn room(&self, _: ConnId) -> usize {
        1024
    }
}
