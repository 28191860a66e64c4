//! The kernel itself: clients and services that talk to each other without Pico.

use core::net::SocketAddr;
use core::time::Duration;
use pico_core::host::{Address, Port};
use pico_core::{Instant, Seed};
use pico_sim::actors::{Client, Orders, Outcome, Record, Served, Service, Target, Watch, Workload};
use pico_sim::case::{Case, Kind, Link, Load, Member, Role, Shape, Swarm};
use pico_sim::kernel::{Place, SeatId, Trace, World};

const REQUESTS: u64 = 40;

fn work(seed: &Seed) -> Workload {
    let load = Load { requests: REQUESTS, ..Load::default() };
    Workload::new(seed.fork("work"), vec!["one".into()], load)
}

/// A client and a service, and when all is over.
fn talk(number: u64, swarm: &Swarm) -> (World, SeatId, SeatId) {
    let work = work(&Seed::from_u64(number));
    let shape = Shape { agents: 1, clients: 1, ..Shape::default() };
    let drawn = Case::swarm(number, swarm);
    let here =
        drawn.faults.into_iter().filter(|fault| fault.names().iter().all(|n| shape.knows(n)));
    let case = Case { faults: here.collect(), link: Link::default(), shape, ..drawn };
    let mut world = World::new(&case, Trace::default());
    let [left, right] = [Role::Client, Role::Service].map(|role| {
        let process = world.process(Member { role, at: 0 });
        Place { process, address: Address::Node }
    });
    let to = SocketAddr::new(Member { role: Role::Service, at: 0 }.ip(), 80);
    let watch = |now| Watch::new(now, Instant::ZERO);
    let served = Served { name: "service".into(), life: 0 };
    let service = world.seat(right, "service", |seed, now| {
        Service::new(watch(now), seed, work.clone(), served, 0)
    });
    world.listen(to, Port::Proxy, vec![service]);
    let orders = Orders::new(work, false, (0, 1), 4, Target::Addresses(vec![to]));
    let client = world.seat(left, "client", |seed, now| Client::new(watch(now), seed, orders));
    let over = |world: &World| world.host::<Client>(client).is_over();
    world.run(Instant::ZERO + Duration::from_hours(2), over);
    world.run(world.now() + Duration::from_mins(5), |_| false);
    (world, client, service)
}

fn planned(record: &Record, work: &Workload) -> bool {
    let plan = work.plan(record.id);
    match record.outcome {
        Outcome::Complete { .. } => true,
        Outcome::Aborted => plan.is(Kind::ClientAborts),
        Outcome::Broken { .. } => plan.is(Kind::ServiceCuts) || plan.is(Kind::ServiceCloses),
        Outcome::Silence => plan.is(Kind::ServiceHangs),
        Outcome::Wrong(_) => plan.is(Kind::ServiceBabbles),
        Outcome::Error { .. } | Outcome::Unreachable => false,
    }
}

#[test]
fn without_faults_every_request_ends_as_planned() {
    for number in 0..100 {
        let (world, client, service) = talk(number, &Swarm::calm());
        let work = work(&Seed::from_u64(number));
        let records = world.host::<Client>(client).records();
        assert_eq!(records.len() as u64, REQUESTS, "seed {number}");
        for record in records {
            assert!(planned(record, &work), "seed {number}: {record:?}");
        }
        for arrival in world.host::<Service>(service).arrivals() {
            assert_eq!(arrival.wrong, None, "seed {number}: {arrival:?}");
        }
        assert_eq!(world.net().open(), 0, "seed {number}");
    }
}

#[test]
fn with_faults_every_request_ends_and_no_byte_is_wrong() {
    let mut hits = 0;
    for number in 0..300 {
        let (world, client, service) = talk(number, &Swarm::rough());
        hits += world.net().counts().hits;
        let records = world.host::<Client>(client).records();
        assert_eq!(records.len() as u64, REQUESTS, "seed {number}");
        for record in records {
            let fine = !matches!(&record.outcome, Outcome::Wrong(why) if !why.contains("status"));
            let babble = matches!(&record.outcome, Outcome::Wrong(_));
            assert!(fine || babble, "seed {number}: {record:?}");
        }
        for arrival in world.host::<Service>(service).arrivals() {
            assert_eq!(arrival.wrong, None, "seed {number}: {arrival:?}");
        }
    }
    assert!(hits > 100, "{hits} faults");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for number in 0..50 {
        let [one, two] = [(); 2].map(|()| talk(number, &Swarm::rough()).0.trace().sum());
        assert_eq!(one, two, "seed {number}");
        assert_ne!(one, talk(number + 1, &Swarm::rough()).0.trace().sum(), "seed {number}");
    }
}
