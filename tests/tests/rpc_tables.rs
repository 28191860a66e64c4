//! The tables of `spec/rpc.md`, each row and cell held against the machine.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect fails it"
)]

mod rpc;

use bytes::BytesMut;
use pico_core::id::StreamId;
use pico_core::rpc::{Action, Input, Role};
use pico_core::{Limits, Machine as _};
use rpc::{T0, Tunnel, actions, get, messages, new};

/// A table's rows, as their cells, the heading first.
type Table = Vec<Vec<String>>;

/// The table whose heading begins with `first` and has `column`.
fn table(first: &str, column: &str) -> Table {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../spec/rpc.md");
    let text = std::fs::read_to_string(path).unwrap();
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()
    };
    let mut lines = text
        .lines()
        .skip_while(|line| !line.starts_with(&format!("| {first} |")) || !line.contains(column));
    let heading = cells(lines.next().expect("the table is there"));
    let rows = lines.skip(1).take_while(|line| line.starts_with('|')).map(cells);
    std::iter::once(heading).chain(rows).collect()
}

/// A frame as it is named in the heading of a table.
fn frame(name: &str, stream: u8) -> Vec<u8> {
    let hello: &[u8] = &[0x01, 0x02, 0x01, 0x01];
    let on = |kind, flags, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        [&[kind, flags, stream, length], payload].concat()
    };
    let connection = |kind, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        [&[kind, 0, 0, length], payload].concat()
    };
    match name {
        "REQUEST" => on(1, 0, b"\x01\x01/"),
        "REQUEST+END" => on(1, 1, b"\x01\x01/"),
        "RESPONSE" => on(2, 0, b"\x40\xc8\x00"),
        "RESPONSE+END" => on(2, 1, b"\x40\xc8\x00"),
        "RESPONSE 1xx" => on(2, 0, b"\x40\x67\x00"),
        "RESPONSE 1xx+END" => on(2, 1, b"\x40\x67\x00"),
        "RESPONSE 101" => on(2, 0, b"\x40\x65\x00"),
        "DATA" => on(3, 0, b"x"),
        "DATA+END" => on(3, 1, b"x"),
        "TRAILERS" => on(4, 0, b""),
        "END" => on(5, 0, b""),
        "RESET" => on(6, 0, b"\x01\x02"),
        "CREDIT" => on(7, 0, b"\x05"),
        "HELLO" => connection(0, hello),
        "PING" => connection(8, b"12345678"),
        "PONG" => connection(9, b"12345678"),
        "DRAIN" => connection(10, b""),
        "DRAIN_ACK" => connection(11, b""),
        "skippable" => on(0x80, 0, b"?"),
        "unknown" => on(0x0c, 0, b""),
        other => panic!("no frame is called {other}"),
    }
}

fn feed(machine: &mut Tunnel, bytes: &[u8]) {
    machine.handle(T0, Input::Received(BytesMut::from(bytes)));
}

fn ready() -> Tunnel {
    let mut machine = new(Role::Acceptor, &Limits::default());
    feed(&mut machine, &frame("HELLO", 0));
    machine
}

/// A machine with a call in the state of this name, and the call's number.
fn call_in(state: &str) -> (Tunnel, u8) {
    let mut machine = ready();
    let mut open = |answer: &str| {
        let (stream, head) = (machine.next_stream(), get(&[]));
        machine.handle(T0, Input::Open { stream, tag: 1, head, end: false });
        if !answer.is_empty() {
            feed(&mut machine, &frame(answer, 2));
        }
        2
    };
    let stream = match state {
        "unopened, the sender's number" => 1,
        "unopened, the receiver's number" => 2,
        "answer" => open(""),
        "body" => open("RESPONSE"),
        "raw" => open("RESPONSE 101"),
        "answered" => open("RESPONSE+END"),
        "request" | "request ended" | "closed" => {
            let end = if state == "request ended" { "REQUEST+END" } else { "REQUEST" };
            feed(&mut machine, &frame(end, 1));
            if state == "closed" {
                feed(&mut machine, &frame("RESET", 1));
            }
            1
        }
        other => panic!("no state is called {other}"),
    };
    (machine, stream)
}

/// What a frame did, as far as it shows.
fn outcome(machine: &mut Tunnel, bytes: &[u8]) -> String {
    actions(machine);
    messages(machine);
    feed(machine, bytes);
    let (told, sent) = (actions(machine), messages(machine));
    match told.last() {
        Some(Action::Closed(reason)) => reason.told().code.into(),
        Some(_) => "told".into(),
        None if sent.is_empty() => "ignored".into(),
        None => "answered".into(),
    }
}

/// What a cell says that shows.
fn shown(cell: &str) -> &str {
    let states = ["request", "answer", "body", "raw", "closed", "opens", "peer", "open", "drained"];
    if cell != "answered" && states.iter().any(|state| cell.starts_with(state)) {
        "told"
    } else {
        cell
    }
}

#[test]
fn every_frame_does_to_a_call_what_the_table_says() {
    let table = table("state", "RESPONSE 1xx");
    let (heading, rows) = table.split_first().unwrap();
    let mut checked = 0;
    for row in rows {
        for (name, cell) in heading.iter().zip(row).skip(1) {
            let place = format!("{name} in state {}", row[0]);
            let (mut machine, stream) = call_in(&row[0]);
            let says = if cell == "answered" { "told" } else { shown(cell) };
            assert_eq!(outcome(&mut machine, &frame(name, stream)), says, "{place}");
            let Some(next) = rows.iter().find(|row| row[0] == *cell) else { continue };
            assert_eq!(machine.calls() == 0, cell == "closed", "{place}");
            for (second, cell) in heading.iter().zip(next).skip(1) {
                let (mut machine, stream) = call_in(&row[0]);
                feed(&mut machine, &frame(name, stream));
                let says = if cell == "answered" { "told" } else { shown(cell) };
                let came = outcome(&mut machine, &frame(second, stream));
                assert_eq!(came, says, "{second} behind {place}");
            }
            checked += 1;
        }
    }
    assert!(checked >= 25, "only {checked} cells name a next state");
}

#[test]
fn a_call_is_closed_when_both_directions_have_ended() {
    let mut machine = ready();
    let (stream, head) = (machine.next_stream(), get(&[]));
    machine.handle(T0, Input::Open { stream, tag: 1, head, end: true });
    feed(&mut machine, &frame("RESPONSE+END", 2));
    assert_eq!(machine.calls(), 0);
    for name in ["RESPONSE", "DATA", "TRAILERS", "END", "RESET", "CREDIT"] {
        assert_eq!(outcome(&mut machine, &frame(name, 2)), "ignored", "{name}");
    }
    assert_eq!(stream, StreamId(2));
}

#[test]
fn every_frame_does_to_the_connection_what_the_table_says() {
    let build = |state: &str| {
        let mut machine =
            if state == "hello" { new(Role::Acceptor, &Limits::default()) } else { ready() };
        match state {
            "hello" | "open" => {}
            "peer drains" => feed(&mut machine, &frame("DRAIN", 0)),
            "drain asked" => machine.handle(T0, Input::Drain),
            "drained" => {
                machine.handle(T0, Input::Drain);
                feed(&mut machine, &frame("DRAIN_ACK", 0));
            }
            other => panic!("no state is called {other}"),
        }
        machine
    };
    let table = table("state", "HELLO");
    let (heading, rows) = table.split_first().unwrap();
    for row in rows {
        for (name, cell) in heading.iter().zip(row).skip(1) {
            let place = format!("{name} in state {}", row[0]);
            // The peer's drain is told and answered, whatever ours.
            let says = if cell.starts_with("drain asked") { "told" } else { shown(cell) };
            let came = outcome(&mut build(&row[0]), &frame(name, 1));
            assert_eq!(came, says, "{place}");
            let Some(next) = rows.iter().find(|row| row[0] == *cell) else { continue };
            for (second, cell) in heading.iter().zip(next).skip(1) {
                if second == "DRAIN" && name == "DRAIN" {
                    continue;
                }
                let mut machine = build(&row[0]);
                feed(&mut machine, &frame(name, 1));
                let says = if cell.starts_with("drain asked") { "told" } else { shown(cell) };
                let came = outcome(&mut machine, &frame(second, 1));
                assert_eq!(came, says, "{second} behind {place}");
            }
        }
    }
}

/// A header alone, its numbers in their shortest form.
fn header(kind: u8, flags: u8, stream: u8, length: u64) -> Vec<u8> {
    let length = match length {
        0..0x40 => vec![u8::try_from(length).unwrap()],
        0x40..0x4000 => (0x4000 | u16::try_from(length).unwrap()).to_be_bytes().to_vec(),
        _ => (0xc000_0000_0000_0000 | length).to_be_bytes()[..].to_vec(),
    };
    let length = match length[..] {
        [0xc0, 0, 0, 0, a, b, c, d] if a < 0x40 => vec![a | 0x80, b, c, d],
        _ => length,
    };
    [vec![kind, flags, stream], length].concat()
}

#[test]
fn every_frame_has_the_stream_flags_and_lengths_of_its_table() {
    for row in table("type", "stream").split_first().unwrap().1 {
        let Ok(kind) = u8::from_str_radix(row[0].trim_start_matches("0x"), 16) else { continue };
        let (on_call, may_end) = (row[2] == "call", row[3] == "END");
        let (min, max) = row[5].split_once(" to ").unwrap_or((&row[5], &row[5]));
        let min: u64 = min.parse().unwrap();
        let max = match max {
            "2^31" => 1 << 31,
            "the receiver's block limit" => 65536 + 4096,
            number => number.parse().unwrap(),
        };
        // Streams above every one in use, so that what is well-formed is at most not allowed.
        let refused = |flags, stream, length| {
            let came = outcome(&mut ready(), &header(kind, flags, stream, length));
            came == "bad_frame"
        };
        let stream = u8::from(on_call) * 9;
        assert!(refused(0, 9 - stream, min), "{} on the wrong stream", row[1]);
        assert!(refused(0, stream, max + 1), "{} too long", row[1]);
        assert!(!refused(0, stream, max), "{} as long as can be", row[1]);
        assert!(min == 0 || refused(0, stream, min - 1), "{} too short", row[1]);
        assert_eq!(refused(1, stream, max), !may_end, "{} with END", row[1]);
        for flag in 1..8 {
            assert!(refused(1 << flag, stream, max), "{} with flag {flag}", row[1]);
        }
    }
}

#[test]
fn every_name_of_the_static_table_has_its_code() {
    let table = table("code", "usual spelling");
    assert_eq!(table.len(), 1 + 119);
    let mut machine = ready();
    for row in table.split_first().unwrap().1 {
        let code: u8 = row[0].parse().unwrap();
        for (code, name) in [(code, &row[1]), (code | 0x80, &row[2])] {
            actions(&mut machine);
            messages(&mut machine);
            let stream = machine.next_stream();
            let head = get(&[(name, "v")]);
            machine.handle(T0, Input::Open { stream, tag: 1, head: head.clone(), end: true });
            let sent = messages(&mut machine).concat();
            assert!(sent.ends_with(&[1, 1, b'/', code, 1, b'v']), "{name}: {sent:02x?}");
            machine = ready();
            actions(&mut machine);
            feed(&mut machine, &[1, 1, 1, 6, 1, 1, b'/', code, 1, b'v']);
            let opened = Action::Opened { stream: StreamId(1), head, end: true };
            assert_eq!(actions(&mut machine)[0], opened);
        }
    }
}

#[test]
fn what_a_hello_leaves_out_is_as_its_table_says() {
    let table = table("key", "if absent");
    let absent = |name: &str| {
        let row = table.iter().find(|row| row[1] == name).unwrap();
        row[3].parse::<usize>().unwrap()
    };
    let mut machine = ready();
    for tag in 0..u64::try_from(absent("streams")).unwrap() {
        assert!(machine.may_open());
        let (stream, head) = (machine.next_stream(), get(&[]));
        machine.handle(T0, Input::Open { stream, tag, head, end: false });
    }
    assert!(!machine.may_open());
    let window = pico_core::rpc::Word::Credit(absent("window"));
    let credit = |a: &Action<u64>| matches!(a, Action::Said { word, .. } if *word == window);
    assert_eq!(actions(&mut machine).iter().filter(|a| credit(a)).count(), absent("streams"));
    for (fields, size, fits) in [
        (absent("fields"), 0, true),
        (absent("fields") + 1, 0, false),
        (1, absent("block") - 10, true),
        (1, absent("block"), false),
    ] {
        let mut machine = ready();
        actions(&mut machine);
        let value = "v".repeat(size);
        let (stream, head) = (machine.next_stream(), get(&vec![("a", &value[..]); fields]));
        machine.handle(T0, Input::Open { stream, tag: 1, head, end: true });
        assert_eq!(actions(&mut machine).is_empty(), fits, "{fields} fields, {size} bytes");
    }
}
