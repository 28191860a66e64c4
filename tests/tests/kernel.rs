//! The kernel itself: clients and services that talk to each other without Pico.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use pico_core::host::{Address, Port};
use pico_core::{Instant, Seed};
use pico_sim::actors::{Client, Orders, Outcome, Record, Served, Service, Target, Watch, Workload};
use pico_sim::case::{Kind, Load};
use pico_sim::kernel::{Place, SeatId, Storm, Trace, World};

const REQUESTS: u64 = 40;

fn work(seed: &Seed) -> Workload {
    let load = Load { requests: REQUESTS, ..Load::default() };
    Workload::new(seed.fork("work"), vec!["one".into()], load)
}

/// A client and a service, and when all is over.
fn talk(seed: u64, storm: &Storm) -> (World, SeatId, SeatId) {
    let seed = Seed::from_u64(seed);
    let work = work(&seed);
    let faults = storm.faults(&seed.fork("storm"));
    let mut world = World::new(&seed, faults, Trace::default());
    let [left, right] = [1, 2].map(|at| {
        let process = world.process(IpAddr::V4(Ipv4Addr::new(10, 0, 0, at)));
        Place { process, address: Address::Node }
    });
    let to = SocketAddr::from(([10, 0, 0, 2], 80));
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

const CALM: Storm = Storm { links: 0, faults: 0, bytes: 0, stall: Duration::ZERO, silence: false };

const ROUGH: Storm =
    Storm { links: 12, faults: 12, bytes: 300_000, stall: Duration::from_secs(5), silence: true };

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
        let (world, client, service) = talk(number, &CALM);
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
        let (world, client, service) = talk(number, &ROUGH);
        hits += world.net().hits();
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
        let [one, two] = [(); 2].map(|()| talk(number, &ROUGH).0.trace().sum());
        assert_eq!(one, two, "seed {number}");
        assert_ne!(one, talk(number + 1, &ROUGH).0.trace().sum(), "seed {number}");
    }
}
