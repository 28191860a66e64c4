//! Hosts of the simulated world: clocks, processors, letters, names, and how they end and return.

mod kernel_kit;

use core::time::Duration;
use kernel_kit::{LEFT, RIGHT, Saw, Stage, bytes, calm, door, seat, seat_at, worker};
use pico_core::host::{Address, Fault};
use pico_core::id::AskId;
use pico_sim::case::{Answer, Case, Fault as Trouble, Span};
use std::collections::BTreeSet;

const MS: Duration = Duration::from_millis(1);

fn with(faults: Vec<Trouble>) -> Case {
    Case { faults, ..calm() }
}

/// How long after its beginning a timer of an hour fires in a world of this case.
fn hour(case: &Case) -> (Duration, Duration) {
    let mut stage = Stage::new(case);
    stage.left().wake_in(Duration::from_hours(1));
    let at = stage.when(|stage| !stage.see(stage.left).saw.is_empty());
    let (shown, saw) = stage.see(stage.left).saw[0].clone();
    let Saw::Alarm(due) = saw else { panic!("{saw:?}") };
    assert!(shown >= due, "a timer is never early");
    (at, shown.since(due))
}

#[test]
fn a_timer_fires_late_and_never_early() {
    let mut lateness = BTreeSet::new();
    for seed in 0..50 {
        let (at, late) = hour(&Case { seed, ..calm() });
        assert!((Duration::from_hours(1)..Duration::from_hours(1) + MS).contains(&at));
        lateness.insert(late);
    }
    assert!(lateness.len() > 20, "{lateness:?}");
}

#[test]
fn drift_makes_a_timer_fire_earlier_by_exactly_its_millionths() {
    let slack = Duration::from_micros(100);
    for ppm in [-5_000, -100, 100, 5_000] {
        let drift = Trouble::Drift { who: "clients".into(), ppm };
        let (at, _) = hour(&with(vec![drift]));
        let nanos = 3_600_000_000_000_i64 * 1_000_000 / (1_000_000 + i64::from(ppm));
        let due = Duration::from_nanos(nanos.unsigned_abs());
        assert!((due..due + slack).contains(&at), "{ppm}: {at:?}, not {due:?}");
    }
}

#[test]
fn clocks_of_hosts_have_nothing_in_common_and_those_of_one_host_everything() {
    let mut stage = Stage::new(&calm());
    let neighbour = seat_at(&mut stage.world, LEFT, worker(1), "neighbour");
    let (left, right) = (stage.see(stage.left).now, stage.see(stage.right).now);
    assert_ne!(left, right);
    assert_eq!(stage.see(neighbour).now, left);
}

#[test]
fn a_paused_host_answers_after_its_pause() {
    let pause = |who: &str, at, lasts| Trouble::Pause { who: who.into(), at, lasts };
    let faults = vec![
        pause("services", Span::secs(1), Span::secs(2)),
        pause("service-0", Span::secs(2), Span::secs(3)),
    ];
    let mut stage = Stage::new(&with(faults));
    let (near, _) = stage.connect();
    stage.right().wake_in(1_500 * MS);
    stage.pass_until(1_100 * MS);
    let right = stage.process(RIGHT);
    assert!(stage.world.is_paused(right));
    stage.left().say(near, &bytes(1_000_000));
    stage.pass_until(4_900 * MS);
    let sent = stage.see(stage.left).sent;
    assert!(sent > 0 && sent < 250_000, "its socket goes on receiving: {sent}");
    let saw = stage.see(stage.right);
    assert!(saw.heard.is_empty() && saw.count(|saw| matches!(saw, Saw::Alarm(_))) == 0);
    stage.pass_until(10_000 * MS);
    assert!(!stage.world.is_paused(right));
    assert_eq!(stage.see(stage.right).heard, bytes(1_000_000));
    assert_eq!(stage.see(stage.right).count(|saw| matches!(saw, Saw::Alarm(_))), 1);
}

#[test]
fn what_lasts_ends_when_the_case_heals() {
    let lasts = Span::secs(1_000);
    let pause = Trouble::Pause { who: "all".into(), at: Span::secs(1), lasts };
    let mut stage = Stage::new(&Case { heal: Span::secs(3), ..with(vec![pause]) });
    stage.pass_until(2_000 * MS);
    stage.left().dial(door(RIGHT));
    let at = stage.when(|stage| !stage.see(stage.left).saw.is_empty());
    assert_eq!(at.as_secs(), 3);
}

#[test]
fn turns_take_time_and_a_slow_host_takes_more() {
    let took = |times| {
        let slow =
            Trouble::Slow { who: RIGHT.name(), at: Span::secs(0), lasts: Span::secs(600), times };
        let mut stage = Stage::new(&with(vec![slow]));
        let (near, _) = stage.connect();
        let begin = stage.world.now();
        stage.left().say(near, &bytes(1_000_000));
        stage.when(|stage| stage.see(stage.right).heard.len() == 1_000_000);
        stage.world.now().since(begin)
    };
    let (usual, slow) = (took(1), took(10_000));
    assert!(slow > usual + Duration::from_secs(2), "{usual:?} and {slow:?}");
}

#[test]
fn letters_of_one_machine_stay_in_order_and_those_of_two_need_not() {
    let mut orders = BTreeSet::new();
    for seed in 0..20 {
        let mut stage = Stage::new(&Case { seed, ..calm() });
        let other = seat_at(&mut stage.world, LEFT, worker(0), "other");
        let reader = seat_at(&mut stage.world, LEFT, worker(1), "reader");
        for letter in 0..10 {
            stage.left().post(worker(1), letter);
            stage.world.host_mut::<kernel_kit::Puppet>(other).post(worker(1), 100 + letter);
        }
        stage.pass(MS * 10);
        let saw = stage.see(reader).saw.iter();
        let letters: Vec<u64> = saw
            .map(|(_, saw)| {
                let Saw::Letter(letter) = saw else { panic!("{saw:?}") };
                *letter
            })
            .collect();
        let of = |from: fn(&u64) -> bool| letters.iter().copied().filter(from).collect::<Vec<_>>();
        assert_eq!(of(|letter| *letter < 100), (0..10).collect::<Vec<_>>());
        assert_eq!(of(|letter| *letter >= 100), (100..110).collect::<Vec<_>>());
        orders.insert(letters);
    }
    assert!(orders.len() > 5);
}

#[test]
fn peers_of_a_process_that_crashes_see_resets_and_the_others_nothing() {
    let mut stage = Stage::new(&calm());
    let (near, far) = stage.connect();
    let waiting = stage.left().dial(door(RIGHT));
    stage.pass(MS + MS / 2);
    let right = stage.process(RIGHT);
    stage.world.crash(right);
    stage.pass(MS * 10);
    let left = stage.see(stage.left);
    assert!(left.has(&Saw::Lost(near, Fault::Reset)));
    assert!(left.has(&Saw::Lost(waiting, Fault::Reset)), "{:?}", left.saw);
    assert!(stage.world.net().was_hit(stage.left, near));
    assert!(stage.world.is_done(stage.right) && !stage.world.is_running(right));
    assert_eq!((stage.world.connections(stage.right), stage.world.net().open()), (0, 0));
    assert!(!stage.see(stage.right).has(&Saw::Lost(far, Fault::Reset)), "it is dead");
    let refused = stage.left().dial(door(RIGHT));
    stage.pass(MS * 10);
    assert!(stage.see(stage.left).has(&Saw::Unreachable(refused, Fault::Refused)));
}

#[test]
fn a_reset_that_a_cut_swallows_is_made_up_for_when_the_peer_writes() {
    let (from, to) = (RIGHT.name(), LEFT.name());
    let (at, lasts) = (Span::secs(1), Span::secs(2));
    let (both, only, flaps) = (true, pico_sim::case::Traffic::All, None);
    let cut = Trouble::Cut { from, to, both, only, at, lasts, flaps };
    let mut stage = Stage::new(&with(vec![cut]));
    let (near, _) = stage.connect();
    stage.pass_until(1_500 * MS);
    let right = stage.process(RIGHT);
    stage.world.crash(right);
    stage.pass_until(60_000 * MS);
    assert_eq!(stage.see(stage.left).conns(), [near], "nobody told it");
    stage.left().say(near, b"?");
    stage.pass(MS * 10);
    assert!(stage.see(stage.left).has(&Saw::Lost(near, Fault::Reset)));
}

#[test]
fn nobody_hears_of_a_machine_that_lost_its_power_until_it_is_back() {
    let mut stage = Stage::new(&calm());
    let (quiet, _) = stage.connect();
    let (near, _) = stage.connect();
    let right = stage.process(RIGHT);
    stage.world.power_off(right);
    let dial = stage.left().dial(door(RIGHT));
    stage.left().say(near, b"hello?");
    stage.pass(Duration::from_secs(20));
    let left = stage.see(stage.left);
    assert_eq!(left.conns().len(), 3, "{:?}", left.saw);
    let before = stage.world.local(right);
    stage.world.revive(right);
    assert_ne!(stage.world.local(right), before, "its clock began anew");
    stage.right = seat(&mut stage.world, RIGHT);
    let at = stage.when(|stage| stage.see(stage.left).has(&Saw::Lost(near, Fault::Reset)));
    // Sent again after 0.2, 0.6, … 12.6 and 25.4 seconds.
    assert_eq!(at.as_secs(), 25);
    stage.when(|stage| stage.see(stage.left).has(&Saw::Connected(dial)));
    stage.left().say(quiet, b"you too?");
    stage.pass(MS * 10);
    assert!(stage.see(stage.left).has(&Saw::Lost(quiet, Fault::Reset)));
}

#[test]
fn a_peer_of_a_machine_that_stays_off_gives_up_after_a_quarter_of_an_hour() {
    let mut stage = Stage::new(&calm());
    let (near, _) = stage.connect();
    let right = stage.process(RIGHT);
    stage.world.power_off(right);
    stage.left().say(near, b"hello?");
    let at = stage.when(|stage| stage.see(stage.left).has(&Saw::Lost(near, Fault::TimedOut)));
    assert!((900..1_100).contains(&at.as_secs()), "{at:?}");
}

#[test]
fn a_revived_process_is_reached_at_the_same_address_by_new_machines() {
    let mut stage = Stage::new(&calm());
    let (_, _) = stage.connect();
    let (left, old) = (stage.process(LEFT), stage.left);
    let clock = stage.world.local(left);
    stage.world.tell(old, 7_u64);
    stage.left().post(Address::Node, 8);
    stage.world.revive(left);
    assert_eq!(stage.world.local(left), clock, "its machine went on");
    stage.left = seat(&mut stage.world, LEFT);
    assert_ne!(stage.left, old);
    let conn = stage.right().dial(door(LEFT));
    stage.pass(MS * 10);
    assert!(stage.see(stage.right).has(&Saw::Connected(conn)));
    assert_eq!(stage.see(stage.left).count(|saw| matches!(saw, Saw::Accepted(_))), 1);
    assert_eq!(stage.see(stage.left).count(|saw| matches!(saw, Saw::Letter(_))), 0);
    assert!(stage.world.is_done(old) && !stage.world.is_done(stage.left));
}

#[test]
fn dials_are_counted_on_when_a_process_is_revived() {
    let refuse = Trouble::Refuse { who: LEFT.name(), dial: 1 };
    let mut stage = Stage::new(&with(vec![refuse]));
    stage.connect();
    let left = stage.process(LEFT);
    stage.world.crash(left);
    stage.world.revive(left);
    stage.left = seat(&mut stage.world, LEFT);
    let conn = stage.left().dial(door(RIGHT));
    stage.pass(MS * 10);
    assert!(stage.see(stage.left).has(&Saw::Unreachable(conn, Fault::Refused)));
}

#[test]
fn names_are_answered_and_otherwise_while_the_case_says_so() {
    let ips = vec![RIGHT.ip(), LEFT.ip()];
    let asked = |answer: Option<Answer>, host: &str| {
        let names = answer.map(|answer| {
            let who = "client-0".into();
            Trouble::Names { who, at: Span::secs(1), lasts: Span::secs(1), answer }
        });
        let mut stage = Stage::new(&with(names.into_iter().collect()));
        stage.world.name("pico.test", ips.clone());
        let at_times = [500, 1_500, 2_500].map(|at| {
            stage.pass_until(at * MS);
            stage.left().ask(host);
            stage.right().ask(host);
            stage.pass(400 * MS);
            let asks = stage.see(stage.right).saw.len() as u64;
            let answer = |seat, ask| {
                stage.see(seat).saw.iter().find_map(|(_, saw)| {
                    let Saw::Resolved(asked, result) = saw else { return None };
                    (*asked == AskId(ask)).then(|| result.clone())
                })
            };
            assert_eq!(sorted(answer(stage.right, asks)), Some(all(&ips, host)));
            answer(stage.left, asks)
        });
        let [before, during, after] = at_times;
        let [before, after] = [before, after].map(sorted);
        assert_eq!((before, after), (Some(all(&ips, host)), Some(all(&ips, host))));
        during
    };
    assert_eq!(sorted(asked(None, "pico.test")), Some(all(&ips, "pico.test")));
    assert_eq!(asked(None, "other.test"), Some(Err(Fault::NoSuchHost)));
    assert_eq!(asked(Some(Answer::Fails), "10.3.0.1"), Some(all(&ips, "10.3.0.1")));
    assert_eq!(asked(Some(Answer::Fails), "pico.test"), Some(Err(Fault::NoSuchHost)));
    assert_eq!(asked(Some(Answer::Never), "pico.test"), None);
    let partial = asked(Some(Answer::Partial), "pico.test").expect("an answer").expect("one");
    assert!(partial.len() == 1 && ips.contains(&partial[0].ip()));
    let stale = asked(Some(Answer::Stale), "pico.test").expect("an answer").expect("three");
    assert!(stale.len() == 3 && !ips.contains(&stale[0].ip()) && ips.contains(&stale[1].ip()));
}

/// What a resolver says.
type Answered = Result<Vec<core::net::SocketAddr>, Fault>;

/// Each answer begins with another address.
fn sorted(answer: Option<Answered>) -> Option<Answered> {
    answer.map(|all| {
        all.map(|mut all| {
            all.sort_unstable();
            all
        })
    })
}

/// What a name stands for when all is well.
fn all(ips: &[core::net::IpAddr], host: &str) -> Answered {
    let at = |ip| core::net::SocketAddr::new(ip, 80);
    match host {
        "pico.test" => {
            let mut all: Vec<_> = ips.iter().copied().map(at).collect();
            all.sort_unstable();
            Ok(all)
        }
        "other.test" => Err(Fault::NoSuchHost),
        literal => Ok(vec![at(literal.parse().expect("an address"))]),
    }
}
