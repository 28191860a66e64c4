//! How the simulated system of a node finds that a silent peer is gone.

mod kernel_kit;

use core::time::Duration;
use kernel_kit::{LEFT, Saw, Stage, calm};
use pico_core::host::Fault;
use pico_core::id::ConnId;
use pico_sim::case::{Case, Fault as Trouble, Span, Traffic, Way};

const MINUTE: Duration = Duration::from_mins(1);

fn with(faults: Vec<Trouble>) -> Case {
    Case { faults, heal: Span::secs(7_200), ..calm() }
}

fn cut(from: &str, to: &str, at: Span, lasts: Span) -> Trouble {
    let (from, to) = (from.into(), to.into());
    Trouble::Cut { from, to, both: false, only: Traffic::All, at, lasts, flaps: None }
}

/// What the client sends from this byte on lands nowhere.
fn vanishes(byte: u64) -> Vec<Trouble> {
    vec![Trouble::Stall { who: LEFT.name(), dial: 0, way: Way::Up, byte, lasts: None }]
}

fn lost(stage: &Stage, conn: ConnId, fault: Fault) -> bool {
    stage.see(stage.right).has(&Saw::Lost(conn, fault))
}

#[test]
fn a_silent_peer_that_is_gone_is_found_after_a_minute_and_nine_questions() {
    let mut stage = Stage::of_node(&with(vanishes(5)));
    let (near, far) = stage.connect();
    stage.pass_until(Duration::from_secs(10));
    stage.left().say(near, b"hello, and no more");
    let at = stage.when(|stage| lost(stage, far, Fault::TimedOut));
    assert_eq!(at.as_secs(), 10 + 60 + 90);
}

#[test]
fn a_silent_peer_that_is_there_is_kept_for_hours() {
    let mut stage = Stage::of_node(&with(Vec::new()));
    let (near, far) = stage.connect();
    stage.pass(120 * MINUTE);
    stage.left().say(near, b"still here");
    stage.pass(MINUTE);
    assert_eq!(stage.see(stage.right).conns(), [far]);
    assert_eq!(stage.see(stage.right).heard, b"still here");
}

#[test]
fn a_cut_that_is_over_before_the_last_question_loses_nobody() {
    for (from, to) in [("client-0", "node-0"), ("node-0", "client-0")] {
        for (lasts, kept) in [(138, true), (145, false)] {
            let faults = vec![cut(from, to, Span::secs(1), Span::secs(lasts))];
            let mut stage = Stage::of_node(&with(faults));
            let (_, far) = stage.connect();
            stage.pass(10 * MINUTE);
            let found = lost(&stage, far, Fault::TimedOut);
            assert_eq!(found, !kept, "cut from {from} for {lasts} s");
        }
    }
}

#[test]
fn a_peer_without_power_is_found_and_one_that_was_started_again_says_so() {
    for (back, fault, from) in [(None, Fault::TimedOut, 150), (Some(70), Fault::Reset, 70)] {
        let mut stage = Stage::of_node(&with(Vec::new()));
        let (_, far) = stage.connect();
        let process = stage.process(LEFT);
        stage.world.power_off(process);
        if let Some(back) = back {
            stage.pass_until(Duration::from_secs(back));
            stage.world.revive(process);
        }
        let at = stage.when(|stage| lost(stage, far, fault));
        assert!((from..=from + 10).contains(&at.as_secs()), "{at:?}");
    }
}

#[test]
fn what_was_sent_and_not_acknowledged_is_waited_for_instead() {
    let mut stage = Stage::of_node(&with(vanishes(5)));
    let (near, far) = stage.connect();
    stage.left().say(near, b"hello, and no more");
    stage.pass_until(Duration::from_secs(10));
    stage.right().say(far, b"are you there?");
    let at = stage.when(|stage| lost(stage, far, Fault::TimedOut));
    assert_eq!(at.as_secs(), 10 + 15 * 60);
}

#[test]
fn only_who_accepts_as_pico_does_asks() {
    let mut stage = Stage::new(&with(vanishes(5)));
    let (near, _) = stage.connect();
    stage.left().say(near, b"hello, and no more");
    stage.pass(14 * MINUTE);
    assert_eq!(stage.see(stage.right).conns().len(), 1);
}
