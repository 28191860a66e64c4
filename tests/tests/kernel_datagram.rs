//! Datagrams of the simulated net.

mod kernel_kit;

use core::time::Duration;
use kernel_kit::{LEFT, RIGHT, Saw, Stage, bytes, calm, door};
use pico_core::host::DATAGRAM_MAX;
use pico_sim::case::{Case, Chance, Fault as Trouble, Link, Span, Traffic};

const MS: Duration = Duration::from_millis(1);

/// What arrives of so many datagrams, each of which is its number, sent a tenth of a millisecond
/// apart over such a link.
fn arrive(count: u32, link: Link) -> (Vec<u32>, Stage) {
    let mut stage = Stage::new(&Case { link, ..calm() });
    for number in 0..count {
        stage.left().cast(door(RIGHT), &number.to_be_bytes());
        stage.pass(MS / 10);
    }
    stage.pass(Duration::from_secs(1));
    let saw = stage.see(stage.right).saw.iter();
    let numbers = saw.map(|(_, saw)| {
        let Saw::Datagram(bytes) = saw else { panic!("{saw:?}") };
        u32::from_be_bytes(bytes[..].try_into().expect("four bytes"))
    });
    (numbers.collect(), stage)
}

fn percent(percent: u32) -> Chance {
    Chance::percent(percent)
}

#[test]
fn a_datagram_takes_its_latency_and_arrives_whole() {
    let mut stage = Stage::new(&calm());
    stage.left().cast(door(RIGHT), &bytes(DATAGRAM_MAX));
    let at = stage.when(|stage| !stage.see(stage.right).saw.is_empty());
    assert!((MS..2 * MS).contains(&at), "{at:?}");
    assert!(stage.see(stage.right).has(&Saw::Datagram(bytes(DATAGRAM_MAX))));
}

#[test]
fn a_datagram_above_the_mtu_is_lost() {
    let mut stage = Stage::new(&Case { link: Link { mtu: 500, ..calm().link }, ..calm() });
    for len in [499, 500, 501, 1_000] {
        stage.left().cast(door(RIGHT), &bytes(len));
    }
    stage.pass(MS * 10);
    assert_eq!(stage.see(stage.right).saw.len(), 2);
    let counts = stage.world.net().counts();
    assert_eq!((counts.datagrams, counts.datagrams_lost, counts.datagrams_too_long), (4, 2, 2));
}

#[test]
fn a_driver_sends_no_datagram_that_is_longer_than_all_ways_carry() {
    let mut stage = Stage::new(&Case { link: Link { mtu: 9_000, ..calm().link }, ..calm() });
    stage.left().cast(door(RIGHT), &bytes(DATAGRAM_MAX + 1));
    stage.pass(MS * 10);
    assert_eq!(stage.world.net().counts().datagrams, 0);
}

#[test]
fn jitter_alone_lets_no_datagram_overtake_another() {
    let (came, _) = arrive(500, Link { jitter: Span::millis(20), ..calm().link });
    assert_eq!(came, (0..500).collect::<Vec<_>>());
}

#[test]
fn as_many_datagrams_are_lost_in_rows_as_one_by_one() {
    let rows = |burst| {
        let (came, stage) = arrive(20_000, Link { loss: percent(10), burst, ..calm().link });
        let lost = 20_000 - came.len();
        assert_eq!(stage.world.net().counts().datagrams_lost, lost as u64);
        assert!((1_500..2_500).contains(&lost), "{lost} lost with bursts of {burst}");
        let gaps = came.windows(2).filter(|two| two[1] - two[0] > 1).count();
        10 * lost / gaps
    };
    let (single, burst) = (rows(1), rows(10));
    assert!((10..13).contains(&single), "{single} tenths in a row");
    assert!((80..120).contains(&burst), "{burst} tenths in a row");
    assert!(arrive(100, Link { loss: percent(100), burst: 5, ..calm().link }).0.is_empty());
}

#[test]
fn datagrams_are_doubled_and_overtaken_as_often_as_the_link_says() {
    let (came, _) = arrive(5_000, Link { duplicate: percent(10), ..calm().link });
    assert!((5_400..5_600).contains(&came.len()), "{}", came.len());
    let (came, _) = arrive(5_000, Link { reorder: percent(10), ..calm().link });
    assert_eq!(came.len(), 5_000);
    let overtaken = (1..came.len()).filter(|at| came[..*at].iter().max() > Some(&came[*at]));
    let overtaken = overtaken.count();
    assert!((400..600).contains(&overtaken), "{overtaken}");
}

#[test]
fn a_corrupt_datagram_differs_in_one_byte() {
    let link = Link { corrupt: percent(50), ..calm().link };
    let mut stage = Stage::new(&Case { link, ..calm() });
    let sent = bytes(1_000);
    for _ in 0..200 {
        stage.left().cast(door(RIGHT), &sent);
        stage.pass(MS);
    }
    stage.pass(MS * 10);
    let mut changed = 0;
    for (_, saw) in &stage.see(stage.right).saw {
        let Saw::Datagram(came) = saw else { panic!("{saw:?}") };
        let differ = came.iter().zip(&sent).filter(|(one, two)| one != two).count();
        assert!(came.len() == 1_000 && differ <= 1);
        changed += differ;
    }
    assert!((70..130).contains(&changed), "{changed}");
}

#[test]
fn datagrams_wait_for_their_turn_and_what_finds_no_place_is_lost() {
    let link = Link { rate: 100_000, queue: 10_000, ..calm().link };
    let mut stage = Stage::new(&Case { link, ..calm() });
    for _ in 0..100 {
        stage.left().cast(door(RIGHT), &bytes(1_000));
    }
    stage.pass(50 * MS);
    let came = |stage: &Stage| stage.see(stage.right).saw.len();
    assert!((3..6).contains(&came(&stage)), "{} came", came(&stage));
    stage.pass(Duration::from_secs(1));
    assert!((10..13).contains(&came(&stage)), "{} came", came(&stage));
}

#[test]
fn each_direction_of_a_way_has_its_own_weather() {
    let link = Link { loss: percent(100), ..calm().link };
    let (from, to, both) = ("clients".into(), "services".into(), false);
    let (at, lasts) = (Span::secs(0), Span::secs(60));
    let weather = Trouble::Weather { from, to, both, at, lasts, link };
    let mut stage = Stage::new(&Case { faults: vec![weather], ..calm() });
    stage.left().cast(door(RIGHT), b"there");
    stage.right().cast(door(LEFT), b"back");
    stage.pass(MS * 10);
    assert!(stage.see(stage.right).saw.is_empty());
    assert!(stage.see(stage.left).has(&Saw::Datagram(b"back".to_vec())));
}

#[test]
fn datagrams_may_be_blocked_while_streams_pass_and_the_other_way_round() {
    for only in [Traffic::Datagrams, Traffic::Streams, Traffic::All] {
        let (from, to, both) = ("all".into(), "all".into(), true);
        let (at, lasts) = (Span::secs(0), Span::secs(60));
        let cut = Trouble::Cut { from, to, both, only, at, lasts, flaps: None };
        let mut stage = Stage::new(&Case { faults: vec![cut], ..calm() });
        stage.left().cast(door(RIGHT), b"hello");
        let conn = stage.left().dial(door(RIGHT));
        stage.pass(Duration::from_secs(1));
        let datagram = stage.see(stage.right).has(&Saw::Datagram(b"hello".to_vec()));
        let stream = stage.see(stage.left).has(&Saw::Connected(conn));
        assert_eq!(
            (datagram, stream),
            match only {
                Traffic::Datagrams => (false, true),
                Traffic::Streams => (true, false),
                Traffic::All => (false, false),
            }
        );
    }
}

#[test]
fn datagrams_to_a_paused_host_fill_its_socket_and_those_to_a_dead_one_are_lost() {
    let (at, lasts) = (Span::secs(0), Span::secs(1));
    let pause = Trouble::Pause { who: RIGHT.name(), at, lasts };
    let mut stage = Stage::new(&Case { faults: vec![pause], ..calm() });
    for _ in 0..500 {
        stage.left().cast(door(RIGHT), &bytes(1_000));
    }
    stage.pass(Duration::from_secs(2));
    let came = stage.see(stage.right).saw.len();
    assert!((100..150).contains(&came), "{came}");
    let right = stage.process(RIGHT);
    stage.world.crash(right);
    stage.left().cast(door(RIGHT), b"hello?");
    stage.pass(Duration::from_secs(1));
    assert_eq!(stage.see(stage.right).saw.len(), came);
}
