//! The driver over real loopback sockets.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod kit;

use kit::alarms::{Alarms, NEVER, PAST};
use kit::script::{End, Order, Saw, Script, halt, unlisten};
use kit::{PATIENCE, Seen, Way, client, drive, drive_at, movers, nobody, reset, script};
use pico_core::host::{Fault, Port};
use pico_core::id::WorkerId;
use pico_shell::Platform;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener};
use std::sync::mpsc::channel;
use std::thread;

pico_sim::on_each_platform!(
    what_is_sent_comes_back,
    a_peer_that_says_nothing_is_asked_whether_it_is_there,
    a_hundred_megabytes_pass_a_relay_and_every_byte_is_right,
    a_slow_reader_gets_every_byte,
    many_connections_at_once_are_all_served,
    a_fin_passes_after_the_last_byte_and_the_other_way_stays_open,
    a_reset_is_a_lost_connection_and_the_next_one_is_served,
    one_who_comes_as_another_is_lost_is_served,
    a_connection_that_is_closed_unfinished_is_seen_as_cut,
    what_a_peer_said_before_it_broke_the_connection_is_read,
    what_a_tick_produces_is_written_though_nothing_else_happens,
    a_dial_to_a_closed_port_is_refused,
    names_and_literal_addresses_are_resolved,
    letters_cross_between_workers_and_to_oneself,
    alarms_go_off_in_order_also_when_an_earlier_one_is_set_later,
    an_alarm_at_the_end_of_time_or_in_the_past_harms_no_other,
    either_end_of_a_relay_may_finish_first,
    who_waits_when_a_port_is_closed_is_let_in_and_who_comes_later_is_refused,
    a_rush_at_one_port_keeps_nobody_waiting_at_another,
    a_port_in_use_is_an_error,
    an_ended_worker_drops_its_connections,
);

fn what_is_sent_comes_back<P: Platform>() {
    let (echo, _) = movers::<P>(&[Way::Echo]);
    let mut client = echo.client();
    for length in [1, 100, 70_000] {
        let sent = pattern(length);
        client.write_all(&sent).unwrap();
        let mut back = vec![0; length];
        client.read_exact(&mut back).unwrap();
        assert_eq!(back, sent, "{length} bytes");
    }
}

/// Where the system shows its timers; elsewhere the option is set alike.
fn a_peer_that_says_nothing_is_asked_whether_it_is_there<P: Platform>() {
    let (echo, _) = movers::<P>(&[Way::Echo]);
    let mut client = echo.client();
    client.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
    let Ok(table) = fs::read_to_string("/proc/net/tcp") else { return };
    let (here, there) = (echo.address.port(), client.local_addr().unwrap().port());
    let row = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).find(|row| {
        let is = |at: usize, port: u16| {
            row.get(at).is_some_and(|addr| addr.ends_with(&format!(":{port:04X}")))
        };
        is(1, here) && is(2, there)
    });
    let row = row.expect("the connection is in the table");
    assert!(row[5].starts_with("02:"), "the timer that runs is the one for silence: {row:?}");
}

fn a_hundred_megabytes_pass_a_relay_and_every_byte_is_right<P: Platform>() {
    let (echo, _) = movers::<P>(&[Way::Echo]);
    let (relay, _) = movers::<P>(&[Way::Relay(echo.address)]);
    bulk(&relay.client(), 100 * 1024 * 1024, 64 * 1024);
}

fn a_slow_reader_gets_every_byte<P: Platform>() {
    let (echo, _) = movers::<P>(&[Way::Echo]);
    bulk(&echo.client(), 4 * 1024 * 1024, 700);
}

fn many_connections_at_once_are_all_served<P: Platform>() {
    let (echo, _) = movers::<P>(&[Way::Echo, Way::Echo]);
    let mut clients: Vec<_> = (0..400).map(|_| echo.client()).collect();
    for round in 0..3_u8 {
        for client in &mut clients {
            client.write_all(&[round; 300]).unwrap();
        }
        for client in &mut clients {
            let mut back = [0; 300];
            client.read_exact(&mut back).unwrap();
            assert_eq!(back, [round; 300]);
        }
    }
}

fn a_fin_passes_after_the_last_byte_and_the_other_way_stays_open<P: Platform>() {
    let (echo, _) = movers::<P>(&[Way::Echo]);
    let (relay, _) = movers::<P>(&[Way::Relay(echo.address)]);
    let mut client = relay.client();
    let sent = pattern(3_000_000);
    let half = thread::scope(|scope| {
        scope.spawn(|| {
            (&client).write_all(&sent).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
        });
        let mut back = Vec::new();
        (&client).read_to_end(&mut back).unwrap();
        back
    });
    assert_eq!(half.len(), sent.len());
    assert!(half == sent);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

fn a_reset_is_a_lost_connection_and_the_next_one_is_served<P: Platform>() {
    let (echo, seen) = movers::<P>(&[Way::Echo]);
    let mut first = echo.client();
    first.write_all(b"x").unwrap();
    first.read_exact(&mut [0]).unwrap();
    reset(first);
    assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), Seen::Accepted);
    assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), Seen::Lost(Fault::Reset));
    let mut second = echo.client();
    second.write_all(b"y").unwrap();
    second.read_exact(&mut [0]).unwrap();
}

fn one_who_comes_as_another_is_lost_is_served<P: Platform>() {
    let (host, saw) = script::<P>(b"hi", End::Not);
    let first = host.client();
    assert_eq!(saw.recv_timeout(PATIENCE).unwrap(), Saw::Accepted(Port::Proxy));
    (&first).read_exact(&mut [0; 2]).unwrap();

    // Both are found in the turn after the one in which it halts.
    let (order, halted) = halt(None, 0);
    host.tell(order);
    let go = halted();
    reset(first);
    let mut second = host.client();
    go.on();
    let both = [(); 2].map(|()| saw.recv_timeout(PATIENCE).unwrap());
    assert_eq!(both, [Saw::Lost(Fault::Reset), Saw::Accepted(Port::Proxy)]);
    second.read_exact(&mut [0; 2]).unwrap();
}

fn a_connection_that_is_closed_unfinished_is_seen_as_cut<P: Platform>() {
    for (end, cut) in [(End::Close, true), (End::FinishAndClose, false)] {
        let (host, _saw) = script::<P>(b"half", end);
        let mut client = host.client();
        let mut all = Vec::new();
        let ended = client.read_to_end(&mut all).map_err(|error| error.kind());
        assert_eq!(all, b"half");
        assert_eq!(ended, if cut { Err(ErrorKind::ConnectionReset) } else { Ok(4) });
    }
}

fn what_a_peer_said_before_it_broke_the_connection_is_read<P: Platform>() {
    let service = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (host, saw) = script::<P>(b"", End::Not);
    let (order, halted) = halt(Some(service.local_addr().unwrap()), 1);
    host.tell(order);
    halted().on();
    let (mut stream, _) = service.accept().unwrap();
    assert_eq!(saw.recv_timeout(PATIENCE).unwrap(), Saw::Connected);
    // It is there, and not read: dropping the connection resets it.
    assert_eq!(stream.peek(&mut [0]).unwrap(), 1);

    // The host finds out by writing.
    let (order, halted) = halt(None, 1_000_000);
    host.tell(order);
    let go = halted();
    stream.write_all(b"413").unwrap();
    drop(stream);
    go.on();
    let last = [(); 2].map(|()| saw.recv_timeout(PATIENCE).unwrap());
    assert_eq!(last, [Saw::Bytes(b"413".to_vec()), Saw::Lost(Fault::Reset)]);
}

fn what_a_tick_produces_is_written_though_nothing_else_happens<P: Platform>() {
    let alarms = drive::<P, _, _>(vec![|_| Alarms::default()], || ());
    for ms in [20, 30, 10] {
        let mut client = alarms.client();
        client.write_all(&[ms]).unwrap();
        let mut back = [0];
        client.read_exact(&mut back).unwrap();
        assert_eq!(back, [ms]);
    }
}

fn a_dial_to_a_closed_port_is_refused<P: Platform>() {
    let (relay, seen) = movers::<P>(&[Way::Relay(nobody())]);
    let mut client = relay.client();
    assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), Seen::Accepted);
    assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), Seen::Unreachable(Fault::Refused));
    let end = client.read(&mut [0]);
    assert!(matches!(end, Ok(0)) || end.unwrap_err().kind() == ErrorKind::ConnectionReset);
}

fn names_and_literal_addresses_are_resolved<P: Platform>() {
    for name in ["localhost", "127.0.0.1", "[127.0.0.1]"] {
        let (echo, _) = movers::<P>(&[Way::Echo]);
        // `localhost` may be ::1 first, where nobody listens; then there is an answer as well.
        let (relay, seen) = movers::<P>(&[Way::Named(name, echo.address.port())]);
        let mut client = relay.client();
        client.write_all(b"hello").unwrap();
        let mut back = [0; 5];
        match client.read_exact(&mut back) {
            Ok(()) => assert_eq!(&back, b"hello"),
            Err(_) => assert!(seen.iter().any(|s| s == Seen::Unreachable(Fault::Refused))),
        }
    }
}

fn letters_cross_between_workers_and_to_oneself<P: Platform>() {
    let (me, other) = (WorkerId(0), WorkerId(1));
    let ways = [Way::Mail { me, other }, Way::Mail { me: other, other: me }];
    let alone = [Way::Mail { me, other: me }];
    for ways in [&ways[..], &alone[..]] {
        let (mail, _) = movers::<P>(ways);
        bulk(&mail.client(), 8 * 1024 * 1024, 64 * 1024);
        let mut client = mail.client();
        for _ in 0..1000 {
            client.write_all(b"ping").unwrap();
            let mut back = [0; 4];
            client.read_exact(&mut back).unwrap();
            assert_eq!(&back, b"ping");
        }
    }
}

fn alarms_go_off_in_order_also_when_an_earlier_one_is_set_later<P: Platform>() {
    let alarms = drive::<P, _, _>(vec![|_| Alarms::default()], || ());
    let mut client = alarms.client();
    client.write_all(&[90, 30, 60, 1]).unwrap();
    let mut order = [0; 4];
    client.read_exact(&mut order).unwrap();
    assert_eq!(order, [1, 30, 60, 90]);
}

fn an_alarm_at_the_end_of_time_or_in_the_past_harms_no_other<P: Platform>() {
    for bytes in [&[NEVER, 30, PAST][..], &[PAST, NEVER, 20], &[40, NEVER, PAST]] {
        let alarms = drive::<P, _, _>(vec![|_| Alarms::default()], || ());
        let mut client = alarms.client();
        for byte in bytes {
            // One after the other, so that each is set while the one before is.
            client.write_all(&[*byte]).unwrap();
        }
        let mut order = [1; 2];
        client.read_exact(&mut order).unwrap();
        let timed = *bytes.iter().find(|byte| ![PAST, NEVER].contains(byte)).unwrap();
        let mut expected = [PAST, timed];
        if order[0] == timed {
            // The host may have been slow to hear of the other.
            expected.reverse();
        }
        assert_eq!(order, expected);
    }
}

fn either_end_of_a_relay_may_finish_first<P: Platform>() {
    for first in [0, 1] {
        let service = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (relay, _) = movers::<P>(&[Way::Relay(service.local_addr().unwrap())]);
        let client = relay.client();
        let service = service.accept().unwrap().0;
        service.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut ends = [client, service];
        ends.rotate_left(first);
        let [mut one, mut two] = ends;
        one.write_all(b"the last").unwrap();
        one.shutdown(Shutdown::Write).unwrap();
        let mut got = Vec::new();
        two.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"the last");
        // The other way goes on for as long as it likes.
        let long = pattern(1_000_000);
        let got = thread::scope(|scope| {
            scope.spawn(|| {
                two.write_all(&long).unwrap();
                two.shutdown(Shutdown::Write).unwrap();
            });
            let mut got = Vec::new();
            one.read_to_end(&mut got).unwrap();
            got
        });
        assert!(got == long, "{} bytes", got.len());
    }
}

fn who_waits_when_a_port_is_closed_is_let_in_and_who_comes_later_is_refused<P: Platform>() {
    let (host, saw) = script::<P>(b"hi", End::Not);
    let (order, halted) = unlisten();
    host.tell(order);
    let go = halted();
    // More than one turn accepts.
    let mut waiting: Vec<_> = (0..40).map(|_| host.client()).collect();
    go.on();
    for client in &mut waiting {
        client.read_exact(&mut [0; 2]).unwrap();
    }
    let seen: Vec<_> = (0..41).map(|_| saw.recv_timeout(PATIENCE).unwrap()).collect();
    assert_eq!(seen.last(), Some(&Saw::Unlistened));
    let refused = std::net::TcpStream::connect(host.address).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

fn a_rush_at_one_port_keeps_nobody_waiting_at_another<P: Platform>() {
    let bind = || pico_shell::listen::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let ports = [(Port::Upstream, bind()), (Port::Proxy, bind())];
    let at = |place: usize| client(ports[place].1.local_addr().unwrap());
    let rush: Vec<_> = (0..RUSH).map(|_| at(0)).collect();
    let one = at(1);
    let (sender, saw) = channel();
    let host = move |_| Script::new(b"hi", End::Not, sender);
    let _host = drive_at::<P, _, _>(&ports, vec![host], || Order::Stop);
    let accepted = |saw: &Saw| matches!(saw, Saw::Accepted(_));
    let all = std::iter::repeat_with(|| saw.recv_timeout(PATIENCE).unwrap()).filter(accepted);
    let place = all.take(RUSH + 1).position(|saw| saw == Saw::Accepted(Port::Proxy));
    assert!(place.is_some_and(|place| place < RUSH / 2), "{place:?} of {RUSH}");
    drop((rush, one));
}

/// Many more than one turn accepts.
const RUSH: usize = 200;

fn a_port_in_use_is_an_error<P: Platform>() {
    let (echo, _) = movers::<P>(&[Way::Echo]);
    let error = pico_shell::listen::bind(echo.address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

fn an_ended_worker_drops_its_connections<P: Platform>() {
    let (echo, _) = movers::<P>(&[Way::Echo]);
    let address = echo.address;
    let mut client = client(address);
    client.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
    drop(echo);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    assert!(std::net::TcpStream::connect(address).is_err());
}

/// Sends `total` bytes and reads them back in gulps, both at once.
fn bulk(client: &std::net::TcpStream, total: usize, gulp: usize) {
    let piece = pattern(251 * 512);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut left = total;
            while left > 0 {
                let now = left.min(piece.len());
                { client }.write_all(&piece[..now]).unwrap();
                left -= now;
            }
        });
        let mut buffer = vec![0; gulp];
        let mut at = 0;
        while at < total {
            let count = { client }.read(&mut buffer).unwrap();
            assert!(count > 0, "ended at {at} of {total}");
            let from = at % 251;
            assert!(buffer[..count] == piece[from..][..count], "wrong after {at}");
            at += count;
        }
    });
}

/// Bytes of period 251, which no power of two divides.
fn pattern(length: usize) -> Vec<u8> {
    (0..251).cycle().take(length).collect()
}
