//! An agent of many endpoints registers them by turns.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod agent;

use agent::{Node, Rig, settings};
use pico_core::Limits;
use pico_core::host::{Fault, Input};
use pico_core::id::ConnId;
use pico_core::note::Note;
use std::time::Duration;

/// As many listeners as fill all turns so many times and one more.
fn crowd(times: usize) -> (Rig, usize) {
    let count = Limits::default().dials * times + 1;
    let names: Vec<String> = (0..count).map(|at| format!("e-{at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    (Rig::new(settings(&names)), count)
}

fn take(rig: &mut Rig) -> Vec<ConnId> {
    rig.dials.drain(..).map(|(conn, _)| conn).collect()
}

/// The endpoint that a connection asks for.
fn endpoint(rig: &mut Rig, conn: ConnId) -> String {
    rig.connect(conn);
    let asked = String::from_utf8_lossy(&rig.out[&conn]).into_owned();
    let line = asked.lines().next().unwrap();
    line.split(['/', ' ']).find(|word| word.starts_with("e-")).unwrap().to_owned()
}

fn online(rig: &mut Rig, conn: ConnId) -> Node {
    let mut node = Node::accept(rig, conn);
    node.pump(rig);
    let online = |note: &Note| matches!(note, Note::Online { .. });
    assert!(rig.take_notes().iter().any(online));
    node
}

#[test]
fn no_more_than_so_many_attempts_are_under_way_and_they_begin_in_order() {
    let (mut rig, count) = crowd(2);
    let limit = Limits::default().dials;
    assert_eq!(rig.dials.len(), limit);
    let mut asked = Vec::new();
    while let Some((conn, _)) = rig.dials.pop_front() {
        let under_way = rig.dials.len() + 1;
        assert_eq!(under_way, limit.min(count - asked.len()));
        asked.push(endpoint(&mut rig, conn));
        online(&mut rig, conn);
    }
    let all: Vec<String> = (0..count).map(|at| format!("e-{at}")).collect();
    assert_eq!(asked, all);
}

#[test]
fn an_attempt_counts_until_a_ping_has_crossed() {
    let (mut rig, _) = crowd(1);
    let conn = take(&mut rig)[0];
    rig.connect(conn);
    assert!(rig.dials.is_empty(), "connected is not online");
    online(&mut rig, conn);
    assert_eq!(rig.dials.len(), 1);
}

#[test]
fn a_server_that_says_nothing_keeps_others_away_for_a_second_only() {
    let (mut rig, count) = crowd(1);
    let limits = Limits::default();
    for conn in take(&mut rig) {
        rig.connect(conn);
    }
    rig.wait(limits.slow_dial.saturating_sub(Duration::from_millis(1)));
    assert!(rig.dials.is_empty());
    rig.wait(Duration::from_millis(1));
    assert_eq!(rig.dials.len(), count - limits.dials);
    assert_eq!(rig.take_notes(), [], "those that are slow go on");
}

#[test]
fn a_second_address_is_part_of_the_same_turn() {
    let names: Vec<String> = (0..=Limits::default().dials).map(|at| format!("e-{at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut settings = settings(&names);
    settings.server.host = "pico.test".into();
    let mut rig = Rig::new(settings);
    let (ask, _) = rig.asks.pop_front().unwrap();
    let result = Ok(vec!["10.0.0.1:8002".parse().unwrap(), "10.0.0.2:8002".parse().unwrap()]);
    rig.input(Input::Resolved { ask, result });
    let first = take(&mut rig);
    assert_eq!(first.len(), Limits::default().dials);
    rig.refuse(first[0]);
    let [(second, to)] = rig.dials.make_contiguous() else { panic!("{:?}", rig.dials) };
    assert_eq!(to.ip().to_string(), "10.0.0.2");
    let second = *second;
    rig.refuse(second);
    assert!(matches!(rig.take_notes()[..], [Note::Offline { .. }]));
    let [_, (next, to)] = rig.dials.make_contiguous() else { panic!("{:?}", rig.dials) };
    assert_eq!(to.ip().to_string(), "10.0.0.1");
    let next = *next;
    let last = format!("e-{}", Limits::default().dials);
    assert_eq!(endpoint(&mut rig, next), last, "who waited for the first time comes first");
}

/// When a node dies, all of its tunnels are to be dialled again at once.
#[test]
fn after_a_loss_all_come_back_by_turns_though_some_fail_again_and_again() {
    let (mut rig, count) = crowd(2);
    let limit = Limits::default().dials;
    let mut held = Vec::new();
    while let Some((conn, _)) = rig.dials.pop_front() {
        rig.connect(conn);
        held.push(online(&mut rig, conn));
    }
    held.drain(..).for_each(|node| rig.lose(node.conn));
    let begun = rig.now;
    let (mut back, mut dialled) = (0, 0);
    while back < count - BROKEN {
        rig.redial();
        assert!(rig.dials.len() <= limit, "{}", rig.dials.len());
        let (conn, _) = rig.dials.pop_front().unwrap();
        dialled += 1;
        let name = endpoint(&mut rig, conn);
        let number: usize = name.strip_prefix("e-").unwrap().parse().unwrap();
        if number < BROKEN {
            rig.input(Input::Lost { conn, fault: Fault::Reset });
        } else {
            online(&mut rig, conn);
            back += 1;
        }
    }
    assert!(rig.now - begun <= Duration::from_millis(100), "nobody waits for those that fail");
    assert!(dialled <= count + BROKEN, "and these do not crowd: {dialled}");
}

/// Listeners whose attempts fail.
const BROKEN: usize = 100;

#[test]
fn who_waits_for_a_turn_does_not_keep_an_agent_from_ending() {
    let (mut rig, _) = crowd(1);
    let limit = rig.dials.len();
    rig.drain();
    assert!(rig.done);
    assert_eq!(rig.closed.len(), limit);
    assert!(rig.dials.is_empty());
}
