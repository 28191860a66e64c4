//! Streams of the simulated net, as TCP behaves.

mod kernel_kit;

use core::net::SocketAddr;
use core::time::Duration;
use kernel_kit::{LEFT, RIGHT, Saw, Stage, bytes, calm, door, seat};
use pico_core::host::{Fault, Port};
use pico_sim::case::{Case, Chance, Fault as Trouble, Link, Span, Traffic, Way};

const MS: Duration = Duration::from_millis(1);
const SLACK: Duration = Duration::from_millis(1);

fn cut(from: &str, to: &str, at: Span, lasts: Span) -> Trouble {
    let (from, to) = (from.into(), to.into());
    Trouble::Cut { from, to, both: false, only: Traffic::All, at, lasts, flaps: None }
}

fn with(faults: Vec<Trouble>) -> Case {
    Case { faults, ..calm() }
}

#[test]
fn a_dial_takes_a_round_trip_and_bytes_take_half_of_one() {
    let mut stage = Stage::new(&calm());
    let near = stage.left().dial(door(RIGHT));
    let at = stage.when(|stage| stage.see(stage.left).has(&Saw::Connected(near)));
    assert!((2 * MS..2 * MS + SLACK).contains(&at), "{at:?}");
    stage.left().say(near, b"hello");
    let heard = stage.when(|stage| stage.see(stage.right).heard == b"hello");
    assert!((at + MS..at + MS + SLACK).contains(&heard), "{heard:?}");
}

#[test]
fn a_dial_where_nobody_listens_is_refused() {
    let mut stage = Stage::new(&calm());
    let conn = stage.left().dial(SocketAddr::new(RIGHT.ip(), 81));
    let at = stage.when(|stage| stage.see(stage.left).conns().is_empty());
    assert!(stage.see(stage.left).has(&Saw::Unreachable(conn, Fault::Refused)));
    assert!(at < 2 * MS + SLACK, "{at:?}");
}

#[test]
fn a_dial_to_an_address_that_nobody_has_is_given_up_after_two_minutes() {
    let mut stage = Stage::new(&calm());
    let conn = stage.left().dial(SocketAddr::from(([10, 9, 9, 9], 80)));
    let at = stage.when(|stage| stage.see(stage.left).conns().is_empty());
    assert!(stage.see(stage.left).has(&Saw::Unreachable(conn, Fault::TimedOut)));
    assert_eq!(at.as_secs(), 127);
}

#[test]
fn a_dial_that_is_closed_meanwhile_is_never_accepted() {
    let mut stage = Stage::new(&calm());
    let conn = stage.left().dial(door(RIGHT));
    stage.pass(MS + MS / 2);
    stage.left().close(conn);
    stage.pass(Duration::from_secs(1));
    assert_eq!((stage.see(stage.right).saw.len(), stage.world.net().open()), (0, 0));
    assert!(!stage.see(stage.left).has(&Saw::Connected(conn)));
}

#[test]
fn a_syn_that_is_lost_in_a_cut_is_sent_again_after_one_second_and_three() {
    for (from, to) in [("client-0", "service-0"), ("service-0", "client-0")] {
        let mut stage = Stage::new(&with(vec![cut(from, to, Span::secs(0), Span::millis(1500))]));
        let conn = stage.left().dial(door(RIGHT));
        let at = stage.when(|stage| stage.see(stage.left).has(&Saw::Connected(conn)));
        assert_eq!(at.as_secs(), 3, "from {from}");
        assert!(stage.world.net().was_hit(stage.left, conn));
    }
}

#[test]
fn a_dial_is_refused_or_never_answered_as_the_case_says_and_the_next_one_is_not() {
    let who = || "client-0".to_owned();
    let faults = vec![
        Trouble::Refuse { who: who(), dial: 0 },
        Trouble::Blackhole { who: "clients".into(), dial: 2 },
    ];
    let mut stage = Stage::new(&with(faults));
    let dials = [0; 4].map(|_| stage.left().dial(door(RIGHT)));
    stage.pass(Duration::from_mins(1));
    let saw = |saw| stage.see(stage.left).has(&saw);
    assert!(saw(Saw::Unreachable(dials[0], Fault::Refused)));
    assert!(saw(Saw::Connected(dials[1])) && saw(Saw::Connected(dials[3])));
    assert!(stage.see(stage.left).conns().contains(&dials[2]) && !saw(Saw::Connected(dials[2])));
    let hit = dials.map(|dial| stage.world.net().was_hit(stage.left, dial));
    assert_eq!(hit, [true, false, true, false]);
}

#[test]
fn loss_delays_a_stream_but_loses_none_of_its_bytes() {
    let link = Link { loss: Chance::percent(20), ..calm().link };
    for seed in 0..10 {
        let mut took = Duration::ZERO;
        for link in [calm().link, link.clone(), Link { burst: 30, ..link.clone() }] {
            let mut stage = Stage::new(&Case { seed, link, ..calm() });
            let (near, far) = stage.connect();
            let (there, back) = (bytes(300_000), bytes(70_000));
            stage.left().say(near, &there);
            stage.right().say(far, &back);
            let whole = |stage: &Stage| {
                let (left, right) = (stage.see(stage.left), stage.see(stage.right));
                left.heard.len() >= 70_000 && right.heard.len() >= 300_000
            };
            let at = stage.when(whole);
            assert!(stage.see(stage.right).heard == there && stage.see(stage.left).heard == back);
            assert!(at > took, "seed {seed}: {at:?}");
            if took.is_zero() {
                took = at;
            } else {
                assert!(stage.world.net().counts().late > 0);
                assert!(stage.world.net().was_hit(stage.left, near));
            }
        }
    }
}

#[test]
fn what_is_sent_during_a_cut_arrives_after_it_heals_with_the_next_retransmission() {
    let faults = vec![cut("client-0", "service-0", Span::secs(1), Span::secs(4))];
    let mut stage = Stage::new(&with(faults));
    let (near, _) = stage.connect();
    stage.pass_until(Duration::from_secs(2));
    stage.left().say(near, b"first");
    stage.pass_until(Duration::from_millis(4_900));
    stage.left().say(near, b"second");
    // Sent again 0.2, 0.6, 1.4, 3 and 6.2 seconds after the first time.
    let at = stage.when(|stage| !stage.see(stage.right).heard.is_empty());
    assert!((Duration::from_secs(5)..Duration::from_millis(5_010)).contains(&at), "{at:?}");
    let at = stage.when(|stage| stage.see(stage.right).heard == b"firstsecond");
    assert!(at < Duration::from_millis(5_010), "{at:?}");
}

#[test]
fn a_cut_that_flaps_lets_pass_in_between() {
    let flaps = Some(Span::secs(2));
    let (from, to, at, lasts) = ("clients".into(), "services".into(), Span::secs(0), Span::secs(9));
    let both = true;
    let fault = Trouble::Cut { from, to, both, only: Traffic::All, at, lasts, flaps };
    let mut stage = Stage::new(&with(vec![fault]));
    let conn = stage.left().dial(door(RIGHT));
    let at = stage.when(|stage| stage.see(stage.left).has(&Saw::Connected(conn)));
    assert_eq!(at.as_secs(), 3);
    let faults = vec![cut("zone-0", "zone-0", Span::secs(0), Span::secs(3))];
    let mut stage = Stage::new(&with(faults));
    let conn = stage.left().dial(door(LEFT));
    let at = stage.when(|stage| stage.see(stage.left).has(&Saw::Connected(conn)));
    assert!(at < MS, "no cut is within a host: {at:?}");
}

#[test]
fn a_one_way_cut_stops_the_sender_at_its_window() {
    let faults = vec![cut("service-0", "client-0", Span::secs(1), Span::secs(10))];
    let mut stage = Stage::new(&with(faults));
    let (near, _) = stage.connect();
    stage.pass_until(Duration::from_millis(1_500));
    stage.left().say(near, &bytes(1_000_000));
    stage.pass_until(Duration::from_secs(8));
    let (sent, heard) = (stage.see(stage.left).sent, stage.see(stage.right).heard.len());
    assert!(sent < 250_000 && sent == heard && sent > 0, "{sent} sent, {heard} heard");
    stage.pass_until(Duration::from_mins(2));
    assert_eq!(stage.see(stage.right).heard, bytes(1_000_000));
}

#[test]
fn a_reader_that_reads_nothing_stops_the_writer_and_lets_it_go_on() {
    let mut stage = Stage::new(&calm());
    let (near, _) = stage.connect();
    stage.right().listen(false);
    stage.left().say(near, &bytes(1_000_000));
    stage.pass(Duration::from_hours(1));
    let sent = stage.see(stage.left).sent;
    assert!((1_000..250_000).contains(&sent), "{sent}");
    assert_eq!(stage.see(stage.right).heard.len(), 0);
    stage.right().listen(true);
    stage.pass(Duration::from_secs(30));
    assert_eq!(stage.see(stage.right).heard, bytes(1_000_000));
}

#[test]
fn a_stream_keeps_to_the_rate_of_its_way_and_shares_it() {
    let link = Link { rate: 10_000, ..calm().link };
    let mut stage = Stage::new(&Case { link, ..calm() });
    let (one, _) = stage.connect();
    let (two, _) = stage.connect();
    let begin = stage.world.now();
    stage.left().say(one, &bytes(50_000));
    stage.left().say(two, &bytes(50_000));
    stage.when(|stage| stage.see(stage.right).heard.len() == 100_000);
    let took = stage.world.now().since(begin);
    assert!((10_000 * MS..10_500 * MS).contains(&took), "{took:?}");
}

#[test]
fn what_waits_in_a_slow_line_goes_faster_once_the_weather_is_over() {
    let (from, to) = ("clients".into(), "services".into());
    let link = Link { rate: 10_000, ..calm().link };
    let (both, at, lasts) = (false, Span::secs(0), Span::secs(2));
    let fault = Trouble::Weather { from, to, both, at, lasts, link };
    let mut stage = Stage::new(&with(vec![fault]));
    let (near, _) = stage.connect();
    stage.left().say(near, &bytes(100_000));
    let at = stage.when(|stage| stage.see(stage.right).heard.len() == 100_000);
    assert!((2_000 * MS..2_200 * MS).contains(&at), "{at:?}");
    assert!(stage.world.net().was_hit(stage.left, near));
}

#[test]
fn zones_are_further_apart_than_hosts_of_one_zone() {
    let mut case = calm();
    case.shape.zones = 2;
    case.link.zone_latency = Span::millis(50);
    let mut stage = Stage::new(&case);
    let other = pico_sim::case::Member { at: 1, ..RIGHT };
    seat(&mut stage.world, other);
    let [near, far] = [RIGHT, other].map(|member| stage.left().dial(door(member)));
    let at = stage.when(|stage| stage.see(stage.left).has(&Saw::Connected(near)));
    assert!(at < 3 * MS, "{at:?}");
    let at = stage.when(|stage| stage.see(stage.left).has(&Saw::Connected(far)));
    assert!((102 * MS..103 * MS).contains(&at), "{at:?}");
}

#[test]
fn a_half_closed_stream_still_carries_the_other_half() {
    let mut stage = Stage::new(&calm());
    let (near, far) = stage.connect();
    stage.left().say(near, b"ask");
    stage.left().finish(near);
    stage.when(|stage| stage.see(stage.right).has(&Saw::Eof(far)));
    assert_eq!(stage.see(stage.right).heard, b"ask");
    stage.right().say(far, &bytes(100_000));
    stage.right().finish(far);
    stage.when(|stage| stage.see(stage.left).has(&Saw::Eof(near)));
    assert_eq!(stage.see(stage.left).heard, bytes(100_000));
    stage.left().close(near);
    stage.right().close(far);
    stage.pass(MS * 10);
    assert_eq!(stage.world.net().open(), 0);
    assert_eq!(stage.see(stage.left).count(|saw| matches!(saw, Saw::Lost(..))), 0);
}

#[test]
fn closing_resets_unless_the_fin_was_sent_before() {
    for finish in [false, true] {
        let mut stage = Stage::new(&calm());
        let (near, far) = stage.connect();
        stage.left().say(near, b"all");
        stage.pass(MS / 2);
        if finish {
            stage.left().finish(near);
        }
        stage.left().close(near);
        stage.pass(MS * 10);
        let right = stage.see(stage.right);
        let (eof, lost) = (right.has(&Saw::Eof(far)), right.has(&Saw::Lost(far, Fault::Reset)));
        assert_eq!((eof, lost), (finish, !finish));
        assert!(!finish || right.heard == b"all");
        // Whoever writes to it then is told so, when they write on.
        stage.right().say(far, b"more");
        stage.pass(MS * 10);
        stage.right().say(far, b"and more");
        stage.pass(MS * 10);
        assert!(stage.see(stage.right).has(&Saw::Lost(far, Fault::Reset)));
    }
}

#[test]
fn closing_what_holds_unread_bytes_resets_even_behind_a_fin() {
    let mut stage = Stage::new(&calm());
    let (near, far) = stage.connect();
    stage.left().listen(false);
    stage.right().say(far, b"unread");
    stage.pass(MS * 10);
    stage.left().finish(near);
    stage.left().close(near);
    stage.pass(MS * 10);
    assert!(stage.see(stage.right).has(&Saw::Lost(far, Fault::Reset)));
}

#[test]
fn a_machine_that_is_done_lets_go_of_its_streams_with_a_fin() {
    let mut stage = Stage::new(&calm());
    let (_, far) = stage.connect();
    stage.left().done();
    stage.pass(MS * 10);
    assert!(stage.see(stage.right).has(&Saw::Eof(far)));
    assert!(stage.world.is_done(stage.left));
    assert_eq!(stage.world.connections(stage.left), 1, "it held one when it was done");
    let conn = stage.right().dial(door(LEFT));
    stage.pass(MS * 10);
    assert!(stage.see(stage.right).has(&Saw::Unreachable(conn, Fault::Refused)));
}

#[test]
fn a_reset_at_a_byte_ends_both_ends_there() {
    for (byte, way) in [(0, Way::Up), (1, Way::Up), (70_000, Way::Up), (70_000, Way::Down)] {
        let who = "client-0".into();
        let mut stage = Stage::new(&with(vec![Trouble::Reset { who, dial: 1, way, byte }]));
        let (spared, _) = stage.connect();
        let (near, far) = stage.connect();
        for conn in [spared, near] {
            stage.left().say(conn, &bytes(100_000));
        }
        if way == Way::Down {
            stage.right().say(far, &bytes(100_000));
        }
        stage.pass(Duration::from_secs(1));
        let (left, right) = (stage.see(stage.left), stage.see(stage.right));
        assert!(left.has(&Saw::Lost(near, Fault::Reset)), "byte {byte}");
        assert!(right.has(&Saw::Lost(far, Fault::Reset)), "byte {byte}");
        assert_eq!(left.conns(), [spared]);
        let heard = if way == Way::Up { right.heard.len() - 100_000 } else { left.heard.len() };
        assert!(heard as u64 <= byte, "{heard} of {byte}");
        let net = stage.world.net();
        assert!(net.was_hit(stage.left, near) && net.was_hit(stage.right, far));
        assert!(!net.was_hit(stage.left, spared));
    }
}

#[test]
fn a_stall_holds_bytes_back_and_silence_holds_them_for_ever() {
    for lasts in [Some(Span::secs(3)), None] {
        let fault = Trouble::Stall { who: LEFT.name(), dial: 0, way: Way::Up, byte: 5, lasts };
        let mut stage = Stage::new(&with(vec![fault]));
        let (near, far) = stage.connect();
        stage.left().say(near, b"soon, late");
        stage.right().say(far, b"the other way is as it was");
        stage.pass(Duration::from_secs(1));
        assert_eq!(stage.see(stage.right).heard, b"soon,");
        assert_eq!(stage.see(stage.left).heard, b"the other way is as it was");
        stage.pass(Duration::from_secs(3));
        let late = stage.see(stage.right).heard == b"soon, late";
        assert_eq!(late, lasts.is_some());
        stage.pass(Duration::from_mins(14));
        assert_eq!(stage.see(stage.left).conns().len(), 1);
        stage.pass(Duration::from_mins(2));
        let lost = stage.see(stage.left).has(&Saw::Lost(near, Fault::TimedOut));
        assert_eq!(lost, lasts.is_none());
    }
}

#[test]
fn faults_that_wait_at_a_byte_do_not_happen_after_the_case_has_healed() {
    let who = || LEFT.name();
    let faults = vec![
        Trouble::Reset { who: who(), dial: 0, way: Way::Up, byte: 5 },
        Trouble::Refuse { who: who(), dial: 1 },
        Trouble::Stall { who: who(), dial: 2, way: Way::Up, byte: 0, lasts: None },
    ];
    let mut stage = Stage::new(&Case { heal: Span::secs(1), ..with(faults) });
    let (near, _) = stage.connect();
    stage.left().say(near, b"hello");
    stage.pass(Duration::from_secs(2));
    stage.left().say(near, b", ");
    let (other, _) = stage.connect();
    let (last, _) = stage.connect();
    stage.left().say(other, b"world");
    stage.left().say(last, b"!");
    stage.pass(Duration::from_secs(1));
    assert_eq!(stage.see(stage.right).heard.len(), 13);
    assert_eq!(stage.world.net().counts().hits, 0);
}

#[test]
fn a_sender_that_nobody_acknowledges_gives_up_after_a_quarter_of_an_hour() {
    // In one direction the bytes are lost, in the other one the acknowledgements.
    for (from, to) in [("client-0", "service-0"), ("service-0", "client-0")] {
        let faults = vec![cut(from, to, Span::secs(1), Span::secs(3_600))];
        let mut stage = Stage::new(&Case { heal: Span::secs(7_200), ..with(faults) });
        let (near, _) = stage.connect();
        stage.pass_until(Duration::from_secs(10));
        stage.left().say(near, b"hello?");
        let at = stage.when(|stage| stage.see(stage.left).has(&Saw::Lost(near, Fault::TimedOut)));
        assert_eq!(at.as_secs(), 910, "cut from {from}");
    }
}

#[test]
fn a_door_holds_so_many_who_wait_and_the_others_try_again() {
    let pause = Trouble::Pause { who: RIGHT.name(), at: Span::millis(1), lasts: Span::millis(500) };
    let mut stage = Stage::new(&with(vec![pause]));
    stage.pass(10 * MS);
    for _ in 0..200 {
        stage.left().dial(door(RIGHT));
    }
    stage.pass(400 * MS);
    let connected =
        |stage: &Stage| stage.see(stage.left).count(|saw| matches!(saw, Saw::Connected(_)));
    assert_eq!(connected(&stage), 128, "the system of a paused process answers for it");
    assert!(stage.see(stage.right).saw.is_empty());
    stage.pass(Duration::from_secs(2));
    assert_eq!((connected(&stage), stage.see(stage.right).conns().len()), (200, 200));
}

#[test]
fn whoever_waits_when_a_port_is_closed_is_accepted_and_nobody_after() {
    let pause = Trouble::Pause { who: RIGHT.name(), at: Span::millis(1), lasts: Span::millis(20) };
    let mut stage = Stage::new(&with(vec![pause]));
    stage.pass(2 * MS);
    for _ in 0..3 {
        stage.left().dial(door(RIGHT));
    }
    stage.pass(10 * MS);
    stage.right().unlisten(Port::Proxy);
    stage.pass(20 * MS);
    let right = stage.see(stage.right);
    assert_eq!(right.count(|saw| matches!(saw, Saw::Accepted(_))), 3);
    assert_eq!(right.saw.last().map(|(_, saw)| saw), Some(&Saw::Unlistened(Port::Proxy)));
    let conn = stage.left().dial(door(RIGHT));
    stage.pass(10 * MS);
    assert!(stage.see(stage.left).has(&Saw::Unreachable(conn, Fault::Refused)));
}
