//! The simulator's actors, without Pico between them: clients, services and the balancer.

mod scene;

use core::time::Duration;
use pico_core::Seed;
use pico_sim::actors::{Defect, End, Orders, Outcome, Plan, Target, Workload};
use pico_sim::case::{Kind, Load, Span};
use scene::Weather::{Calm, Rough};
use scene::{Play, Scene, is_planned};
use std::collections::{BTreeMap, BTreeSet};

const REQUESTS: u64 = 40;

fn load() -> Load {
    Load { requests: REQUESTS, ..Load::default() }
}

fn only(kinds: &[Kind]) -> Load {
    Load { kinds: kinds.iter().copied().collect(), ..load() }
}

/// Every request ended once, as planned, and no service saw anything wrong.
fn judge_calm(number: u64, play: &Play) {
    let mut ended: BTreeMap<u64, usize> = BTreeMap::new();
    for record in play.records() {
        *ended.entry(record.id).or_default() += 1;
        let plan = play.work.plan(record.id);
        assert!(is_planned(record, &plan), "seed {number}: {record:#?}\n{plan:#?}");
        assert!(record.due <= record.began && record.began <= record.ended, "{record:#?}");
        assert!(record.gap < Duration::from_secs(1), "seed {number}: {record:#?}\n{plan:#?}");
        if let Outcome::Complete { service } = &record.outcome {
            assert_eq!(record.received, plan.body_len(), "seed {number}: {record:#?}");
            let answered = play.arrivals().any(|(served, arrival)| {
                served == service && arrival.id == record.id && arrival.end == End::Answered
            });
            assert!(answered, "seed {number}: {record:#?}");
        }
    }
    assert!(ended.values().all(|count| *count == 1), "seed {number}: {ended:?}");
    assert_eq!(ended.len(), play.work.load.ids(false).count(), "seed {number}");
    assert_eq!(play.strays(), [], "seed {number}");
    for (_, arrival) in play.arrivals() {
        assert_eq!(arrival.wrong, None, "seed {number}: {arrival:#?}");
        assert_ne!(arrival.end, End::Open, "seed {number}: {arrival:#?}");
    }
}

/// Every request ended once, and nothing that was said was wrong.
fn judge_rough(number: u64, play: &Play) {
    let ended: BTreeSet<u64> = play.records().iter().map(|record| record.id).collect();
    assert_eq!(play.records().len() as u64, REQUESTS, "seed {number}");
    assert_eq!(ended.len() as u64, REQUESTS, "seed {number}");
    for record in play.records() {
        let babbled = play.work.plan(record.id).is(Kind::ServiceBabbles);
        let wrong = matches!(record.outcome, Outcome::Wrong(_));
        assert!(babbled || !wrong, "seed {number}: {record:#?}");
    }
    assert_eq!(play.strays(), [], "seed {number}");
    for (_, arrival) in play.arrivals() {
        let record = play.records().iter().find(|record| record.id == arrival.id);
        assert_eq!(arrival.wrong, None, "seed {number}: {arrival:#?}\n{record:#?}");
    }
}

#[test]
fn in_calm_every_request_ends_as_planned_whatever_its_kind() {
    let (mut seen, mut unlucky) = (BTreeSet::new(), 0);
    for number in 0..100 {
        let play = Scene::new(load(), Calm).play(number);
        judge_calm(number, &play);
        assert_eq!(play.world.net().open(), 0, "seed {number}");
        for record in play.records() {
            seen.extend(play.work.plan(record.id).kinds.iter().copied());
            unlucky += usize::from(record.behind.is_some());
        }
    }
    assert_eq!(seen.len(), Kind::ALL.len(), "{seen:?}");
    assert!(unlucky > 100, "{unlucky} requests were sent behind another");
}

#[test]
fn each_kind_alone_ends_as_planned() {
    for (number, kind) in (0..).zip(Kind::ALL) {
        let load = Load { requests: 300, ..only(&[kind]) };
        let play = Scene::new(load, Calm).play(number);
        judge_calm(number, &play);
        let met = play.records().iter().filter(|r| play.work.plan(r.id).is(kind)).count();
        assert!(met > 0, "{kind:?}");
    }
}

#[test]
fn requests_that_begin_at_their_time_do_so_whether_or_not_answers_come() {
    for number in 0..30 {
        let every = Duration::from_millis(20);
        let load = Load { every: Span(every), ..load() };
        let play = Scene::new(load, Calm).play(number);
        judge_calm(number, &play);
        for record in play.records() {
            let due = pico_core::Instant::ZERO + every * u32::try_from(record.id).expect("few");
            let late = record.began.since(due);
            assert!(due <= record.due && late < Duration::from_millis(1), "{record:#?}");
        }
    }
}

#[test]
fn in_a_storm_every_request_ends_and_no_byte_is_wrong() {
    let (mut hits, mut outcomes) = (0, BTreeSet::new());
    for number in 0..200 {
        let named = number % 2 == 0;
        let play = Scene { named, ..Scene::new(load(), Rough(6)) }.play(number);
        hits += play.world.net().counts().hits;
        judge_rough(number, &play);
        let name =
            |outcome: &Outcome| format!("{outcome:?}").split([' ', '(']).next().map(str::to_owned);
        outcomes.extend(play.records().iter().filter_map(|record| name(&record.outcome)));
    }
    assert!(hits > 100, "{hits} faults");
    assert_eq!(outcomes.len(), 6, "{outcomes:?}");
}

#[test]
fn with_a_balancer_between_them_all_ends_as_planned_too() {
    for number in 0..100 {
        let scene = Scene { balanced: true, ..Scene::new(load(), Calm) };
        let play = scene.play(number);
        judge_calm(number, &play);
        let passages = play.balancer().passages();
        assert!(passages.iter().all(|passage| passage.made && passage.dials.len() == 1));
        let nodes: BTreeSet<usize> = passages.iter().map(|p| p.dials[0].0).collect();
        assert_eq!(nodes.len(), 2, "seed {number}: connections are dealt in turn");
    }
}

#[test]
fn in_a_storm_a_balancer_changes_nothing() {
    for number in 0..200 {
        let play = Scene { balanced: true, ..Scene::new(load(), Rough(10)) }.play(number);
        judge_rough(number, &play);
    }
}

#[test]
fn a_balancer_retires_a_node_late_and_takes_it_back() {
    let scene = Scene { balanced: true, ..Scene::new(Load { requests: 0, ..load() }, Calm) };
    let mut play = scene.set(1);
    let after = |play: &mut Play, millis| {
        play.world.run(play.world.now() + Duration::from_millis(millis), |_| false);
        [0, 1].map(|node| play.balancer().uses(node))
    };
    assert_eq!(after(&mut play, 0), [true, true]);
    let door = play.doors[1];
    play.world.tell(door, true);
    assert_eq!(after(&mut play, 2_500), [true, true], "it is late");
    assert_eq!(after(&mut play, 3_000), [true, false]);
    play.world.tell(door, false);
    assert_eq!(after(&mut play, 1_500), [true, true]);
}

#[test]
fn a_balancer_tries_another_node_when_one_cannot_be_dialled() {
    let mut again = 0;
    for number in 0..60 {
        let play = Scene { balanced: true, ..Scene::new(load(), Rough(40)) }.play(number);
        let passages = play.balancer().passages().iter();
        again += passages.filter(|passage| passage.dials.len() == 2 && passage.made).count();
    }
    assert!(again > 5, "{again} connections were made at the second node");
}

/// How many requests had what outcome by a service with this defect.
fn found(defect: Defect, load: &Load) -> (usize, usize) {
    let (mut wrong, mut strays) = (0, 0);
    for number in 0..20 {
        let play = Scene { defect, ..Scene::new(load.clone(), Calm) }.play(number);
        let is_wrong = |outcome: &Outcome| matches!(outcome, Outcome::Wrong(_));
        wrong += play.records().iter().filter(|record| is_wrong(&record.outcome)).count();
        strays += play.strays().len();
    }
    (wrong, strays)
}

#[test]
fn a_client_finds_what_a_service_does_wrong() {
    let load = only(&[Kind::Pipelined, Kind::Events, Kind::Upgrade]);
    assert_eq!(found(Defect::None, &load), (0, 0));
    for defect in [Defect::FlipsBit, Defect::PretendsComplete, Defect::Reorders] {
        let (wrong, _) = found(defect, &load);
        assert!(wrong > 20, "{defect:?}: {wrong} of {}", 20 * REQUESTS);
    }
    let (wrong, strays) = found(Defect::AnswersTwice, &load);
    assert!(wrong > 0 && strays > 20, "{wrong} wrong, {strays} strays");
}

#[test]
fn a_kind_that_is_switched_off_leaves_all_other_requests_as_they_were() {
    let seed = Seed::from_u64(5);
    let of =
        |load: &Load| -> Vec<Plan> { (0..400).map(|id| Plan::of(&seed, id, load, 3)).collect() };
    let all = of(&load());
    for kind in Kind::ALL {
        let kinds = load().kinds.into_iter().filter(|other| *other != kind).collect();
        let without = of(&Load { kinds, ..load() });
        for (plan, without) in all.iter().zip(&without) {
            let rest: BTreeSet<Kind> = plan.kinds.iter().copied().filter(|k| *k != kind).collect();
            assert_eq!(rest, without.kinds, "{kind:?}");
            assert!(plan.is(kind) || plan == without, "{kind:?}: {plan:?}\n{without:?}");
        }
    }
}

#[test]
fn a_request_that_is_dropped_leaves_all_others_where_they_were() {
    let ids = |load: &Load, share| {
        let work = Workload::new(Seed::from_u64(1), vec!["one".into()], load.clone());
        Orders::new(work, false, (share, 3), 2, Target::Addresses(Vec::new())).ids
    };
    let dropped = Load { only: (0..REQUESTS).filter(|id| *id != 7).collect(), ..load() };
    for share in 0..3 {
        let mut expected = ids(&load(), share);
        expected.retain(|id| *id != 7);
        assert_eq!(ids(&dropped, share), expected);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for number in 0..10 {
        let scene = Scene { balanced: true, ..Scene::new(load(), Rough(6)) };
        let [one, two] = [(); 2].map(|()| scene.play(number).world.trace().sum());
        assert_eq!(one, two, "seed {number}");
    }
}
