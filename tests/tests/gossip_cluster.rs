//! Gossip alone, in the simulated world.

use core::time::Duration;
use pico_core::Instant;
use pico_core::gossip::{Pace, State};
use pico_sim::case::{Case, Chance, Fault, Link, Shape, Span, Traffic};
use pico_sim::gossip::measure::{Setting, Subject, measure};
use pico_sim::gossip::{Cluster, GENERATION, Order, Told};

fn case(nodes: usize, seed: u64) -> Case {
    let link = Link { latency: Span::millis(1), jitter: Span::millis(0), ..Link::default() };
    let shape = Shape { nodes, ..Shape::default() };
    Case { seed, shape, link, heal: Span::secs(3_600), ..Case::default() }
}

const MINUTE: Duration = Duration::from_mins(1);

#[test]
fn nodes_find_each_other_by_one_seed() {
    for nodes in [2, 3, 10, 40] {
        let cluster = Cluster::whole(&case(nodes, 1), Pace::default());
        assert!(cluster.agrees());
    }
}

#[test]
fn a_change_is_known_by_every_node() {
    for nodes in [3, 10, 40] {
        let mut cluster = Cluster::whole(&case(nodes, 2), Pace::default());
        cluster.serve(0, "web", 1);
        let took = cluster.until(MINUTE, Cluster::agrees);
        println!("{nodes} nodes: {took:?}");
        assert!(took.is_some(), "{:?}", cluster.differs());
    }
}

#[test]
fn a_crashed_node_is_found_dead_by_every_node() {
    for nodes in [3, 10, 40] {
        let mut cluster = Cluster::whole(&case(nodes, 3), Pace::default());
        cluster.serve(1, "web", 1);
        cluster.until(MINUTE, Cluster::agrees).unwrap();
        cluster.crash(1);
        let took = cluster.until(MINUTE, Cluster::agrees);
        println!("{nodes} nodes: {took:?}");
        assert!(took.is_some(), "{:?}", cluster.differs());
        assert_eq!(cluster.false_deaths(), 0);
    }
}

#[test]
fn a_quiet_cluster_suspects_nobody() {
    let mut cluster = Cluster::whole(&case(20, 4), Pace::default());
    let before = cluster.bytes_each();
    cluster.pass(10 * MINUTE);
    for at in 0..20 {
        assert_eq!(cluster.peer(at).gossip.counts().suspicions, 0);
    }
    println!("{} bytes/s", (cluster.bytes_each() - before) / 600);
}

#[test]
fn nobody_misses_a_death_among_a_few() {
    for seed in 40..60 {
        let latency = Span::millis(1);
        let setting = Setting { nodes: 10, loss: Chance::NEVER, latency, seed };
        let sample = measure(Subject::Detection, &setting).expect("it is found dead");
        let soon = sample.spans.iter().all(|span| *span < Duration::from_millis(4_500));
        assert!(soon, "seed {seed}: {:?}", sample.spans);
    }
}

#[test]
fn the_few_that_live_find_the_many_dead_soon() {
    let mut cluster = Cluster::whole(&case(6, 11), Pace::default());
    for step in 0..600 {
        let at = step % 6;
        cluster.crash(at);
        let seeds: Vec<usize> = (0..6).filter(|other| *other != at).collect();
        cluster.start_as(at, &format!("new-{step}"), &seeds, GENERATION + 1);
        cluster.pass(Duration::from_millis(100));
    }
    let took = cluster.until(5 * MINUTE, Cluster::agrees);
    println!("{took:?}");
    // Six that probe four a second each take 25 s for as many.
    assert!(took.is_some_and(|took| took < MINUTE), "{took:?}: {:?}", cluster.differs());
    assert_eq!(cluster.false_deaths(), 0);
}

#[test]
fn a_node_that_leaves_is_known_to_have_left() {
    let mut cluster = Cluster::whole(&case(10, 5), Pace::default());
    cluster.order(3, Order::Leave);
    let took = cluster.until(MINUTE, |cluster| cluster.up().len() == 9 && cluster.agrees());
    println!("{took:?}");
    assert!(took.is_some(), "{:?}", cluster.differs());
}

#[test]
fn loss_is_not_death() {
    let mut lossy = case(10, 6);
    lossy.link.loss = Chance::percent(10);
    let mut cluster = Cluster::whole(&lossy, Pace::default());
    cluster.pass(30 * MINUTE);
    assert_eq!(cluster.false_deaths(), 0);
}

/// Cuts a cluster in two halves for so long, and heals it.
fn cut(nodes: usize, lasts: Duration, seed: u64) -> (Cluster, Option<Duration>) {
    let mut case = case(nodes, seed);
    case.shape.zones = 2;
    let (from, to) = ("zone-0".to_owned(), "zone-1".to_owned());
    let at = Span::secs(60);
    let (only, flaps) = (Traffic::All, None);
    case.faults = vec![Fault::Cut { from, to, both: true, only, at, lasts: Span(lasts), flaps }];
    let mut cluster = Cluster::whole(&case, Pace::default());
    for at in 0..nodes {
        cluster.serve(at, &format!("web-{at}"), 1);
    }
    cluster.until(MINUTE, Cluster::agrees).expect("they agree before");
    let now = cluster.world.now();
    cluster.pass((Instant::ZERO + at.0 + lasts).since(now));
    cluster.serve(0, "late", 1);
    let took = cluster.until(5 * MINUTE, |cluster| cluster.agrees() && cluster.trusts());
    (cluster, took)
}

#[test]
fn a_cluster_that_was_cut_in_two_grows_together() {
    for (nodes, lasts) in [(2, MINUTE), (5, MINUTE), (10, 5 * MINUTE), (40, 2 * MINUTE)] {
        let (cluster, took) = cut(nodes, lasts, 7);
        println!("{nodes} nodes: {took:?}");
        assert!(took.is_some(), "{:?}", cluster.differs());
    }
}

#[test]
fn nodes_that_start_together_have_all_caught_up_soon() {
    for (nodes, loss) in [(2, 0), (10, 0), (40, 10)] {
        let mut case = case(nodes, 8);
        case.link.loss = Chance::percent(loss);
        let mut cluster = Cluster::whole(&case, Pace::default());
        cluster.pass(Pace::default().catch_up);
        for at in 0..nodes {
            let told = &cluster.peer(at).told;
            assert!(told.iter().any(|(_, told)| *told == Told::Ready(true)), "{at}: {told:?}");
        }
    }
}

#[test]
fn where_datagrams_do_not_get_through_consultations_do_it_all() {
    let mut case = case(6, 9);
    let (only, flaps) = (Traffic::Datagrams, None);
    let (from, to) = ("all".to_owned(), "all".to_owned());
    let (at, lasts) = (Span::millis(0), Span::secs(3_600));
    case.faults = vec![Fault::Cut { from, to, both: true, only, at, lasts, flaps }];
    let mut cluster = Cluster::whole(&case, Pace::default());
    for at in 0..6 {
        cluster.serve(at, &format!("web-{at}"), 1);
    }
    assert!(cluster.until(MINUTE, Cluster::agrees).is_some(), "{:?}", cluster.differs());
    cluster.pass(10 * MINUTE);
    assert_eq!(cluster.false_deaths(), 0);
    cluster.crash(4);
    assert!(cluster.until(MINUTE, Cluster::agrees).is_some(), "{:?}", cluster.differs());
    cluster.order(3, Order::Leave);
    let left = |cluster: &Cluster| cluster.up().len() == 4 && cluster.agrees();
    assert!(cluster.until(MINUTE, left).is_some(), "{:?}", cluster.differs());
    let boot = cluster.boot(3);
    let told = &cluster.peer(0).told;
    assert!(told.iter().any(|(_, told)| *told == Told::Member(boot, State::Left)), "{told:?}");
}

#[test]
fn a_partition_heals_where_datagrams_do_not_get_through() {
    let mut case = case(4, 10);
    case.shape.zones = 2;
    let cut = |from: &str, to: &str, only, at, lasts| {
        let (from, to) = (from.to_owned(), to.to_owned());
        Fault::Cut { from, to, both: true, only, at, lasts, flaps: None }
    };
    case.faults = vec![
        cut("all", "all", Traffic::Datagrams, Span::millis(0), Span::secs(3_600)),
        cut("zone-0", "zone-1", Traffic::Streams, Span::secs(60), Span::secs(120)),
    ];
    let mut cluster = Cluster::whole(&case, Pace::default());
    cluster.pass(3 * MINUTE);
    assert!(!cluster.agrees(), "they were cut in two");
    let took = cluster.until(5 * MINUTE, |cluster| cluster.agrees() && cluster.trusts());
    println!("{took:?}");
    assert!(took.is_some(), "{:?}", cluster.differs());
}
