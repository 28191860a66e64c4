//! The machine by itself, with answers that come when a test says so.

use super::*;
use bytes::BytesMut;
use std::sync::mpsc::{Receiver, channel};

fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

fn load(rate: Option<u64>) -> (Load, Receiver<Report>) {
    let plan = Plan::with(rate);
    let places = vec!["127.0.0.1:1".parse().unwrap()];
    let share = Share { plan: Arc::new(plan), places, connections: 1, me: (0, 1) };
    let (sender, reports) = channel();
    (Load::new(share, sender), reports)
}

/// Connects, and returns the connection.
fn connected(load: &mut Load) -> ConnId {
    load.handle(at(0), Input::Letter(Word::Start));
    let Some(Action::Dial { conn, to, .. }) = load.poll() else { panic!("it does not dial") };
    load.handle(at(0), Input::Connected { conn, peer: to });
    conn
}

/// Takes what waits to be sent, and says whether it was anything.
fn sent(load: &mut Load, conn: ConnId, now: Instant) -> bool {
    let count = load.outbox(conn).map_or(0, Outbox::len);
    load.handle(now, Input::Sent { conn, count });
    while load.poll().is_some() {}
    count > 0
}

fn answer(load: &mut Load, conn: ConnId, now: Instant) {
    let bytes = BytesMut::from(&b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"[..]);
    load.handle(now, Input::Received { conn, bytes });
}

fn total(load: &mut Load, reports: &Receiver<Report>) -> Tally {
    load.handle(at(1000), Input::Letter(Word::Stop));
    let mut total = Tally::default();
    while let Ok(report) = reports.try_recv() {
        total.add(&report.tally);
    }
    total
}

#[test]
fn a_request_that_waits_for_a_connection_is_as_late_as_it_was_due() {
    let (mut load, reports) = load(Some(10));
    let conn = connected(&mut load);
    assert!(sent(&mut load, conn, at(0)));
    // The first answer keeps those waiting that are due at 100, 200, 300, 400 and 500 ms.
    for _ in 0..6 {
        answer(&mut load, conn, at(550));
        sent(&mut load, conn, at(550));
    }
    assert_eq!(load.deadline(), Some(at(600)));
    let total = total(&mut load, &reports);
    let latencies: Vec<u64> =
        total.latency.iter_recorded().map(|value| value.value_iterated_to() / 1000).collect();
    assert_eq!(latencies, [50, 150, 250, 350, 450, 550]);
    assert_eq!(total.service.value_at_quantile(0.5), 0);
    assert_eq!((total.answers(), total.unsent), (6, 4));
}

#[test]
fn without_a_rate_the_next_request_follows_its_answer() {
    let (mut load, reports) = load(None);
    let conn = connected(&mut load);
    assert!(sent(&mut load, conn, at(0)));
    for millis in 1..=5 {
        answer(&mut load, conn, at(millis));
        assert!(sent(&mut load, conn, at(millis)));
    }
    let mut total = total(&mut load, &reports);
    assert_eq!((total.answers(), total.unsent, total.failures()), (5, 0, 0));
    // The last one is never answered.
    load.handle(at(1001), Input::Letter(Word::Stop));
    total.add(&reports.try_recv().unwrap().tally);
    assert_eq!(total.errors[UNANSWERED], 1);
}

#[test]
fn where_nobody_is_reached_it_goes_on_trying_and_counts() {
    let (mut load, reports) = load(None);
    load.handle(at(0), Input::Letter(Word::Start));
    let Some(Action::Dial { conn, .. }) = load.poll() else { panic!("it does not dial") };
    let fault = pico_core::host::Fault::Refused;
    load.handle(at(0), Input::Unreachable { conn, fault });
    assert_eq!(load.deadline(), Some(at(100)));
    load.tick(at(100));
    assert!(matches!(load.poll(), Some(Action::Dial { .. })));
    assert_eq!(total(&mut load, &reports).errors[UNREACHABLE], 1);
}

#[test]
fn an_answer_that_ends_too_soon_is_cut_and_none_at_all_is_lost() {
    let fault = pico_core::host::Fault::Reset;
    let whole = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok";
    for (said, ends_by_fin, code) in [
        (whole, true, CUT),
        (whole, false, CUT),
        (&whole[..20], true, "bad_response"),
        ("", true, "connection_lost"),
        ("", false, "connection_lost"),
        ("SSH-2.0-x\r\n\r\n", true, "bad_response"),
    ] {
        let (mut load, reports) = load(None);
        let conn = connected(&mut load);
        assert!(sent(&mut load, conn, at(0)));
        if !said.is_empty() {
            load.handle(at(1), Input::Received { conn, bytes: BytesMut::from(said) });
        }
        let end = if ends_by_fin { Input::Eof { conn } } else { Input::Lost { conn, fault } };
        load.handle(at(1), end);
        let total = total(&mut load, &reports);
        assert_eq!((total.errors[code], total.failures()), (1, 1), "{said:?} {total:?}");
        assert_eq!(total.answers(), 0);
    }
}

#[test]
fn what_is_waited_for_at_the_end_is_told() {
    let (mut load, reports) = load(None);
    let conn = connected(&mut load);
    assert!(sent(&mut load, conn, at(0)));
    for millis in [250, 500, 750, 1000, 1250] {
        load.tick(at(millis));
    }
    let late: Vec<_> = reports.try_iter().map(|report| report.late).collect();
    let patience = Duration::from_millis(29_750);
    assert_eq!(late[..3], [None, None, None]);
    assert_eq!(late.last(), Some(&Some(Late { answers: 1, patience })));
    answer(&mut load, conn, at(1300));
    assert_eq!(reports.try_iter().last().unwrap().late, None);
}

#[test]
fn when_it_has_ended_nothing_moves_it_any_more() {
    let (mut load, reports) = load(None);
    let conn = connected(&mut load);
    assert!(sent(&mut load, conn, at(0)));
    load.handle(at(10), Input::Letter(Word::Stop));
    load.handle(at(10), Input::Letter(Word::Stop));
    assert!(matches!(std::iter::from_fn(|| load.poll()).last(), Some(Action::Done)));
    answer(&mut load, conn, at(20));
    load.handle(at(20), Input::Eof { conn });
    load.tick(at(60_000));
    assert!(load.poll().is_none() && load.deadline().is_none());
    assert_eq!(reports.try_iter().count(), 1);
}
