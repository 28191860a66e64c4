//! The laws of machines, for HTTP/1.

mod http1_kit;

use bytes::BytesMut;
use http1_kit::{Conn, Rig, data, fields, response};
use pico_core::http1::rules::strip_hop_by_hop;
use pico_core::http1::{client, server};
use pico_core::{Instant, Machine as _};
use proptest::prelude::*;
use std::time::Duration;

/// What came of a run: actions with neighbouring pieces joined, and what was written.
#[derive(PartialEq, Debug, Default)]
struct Trace {
    actions: Vec<String>,
    body: Vec<u8>,
    taken: usize,
    out: Vec<u8>,
}

impl Trace {
    fn push(&mut self, action: String) {
        self.flush();
        self.actions.push(action);
    }

    fn data(&mut self, bytes: &[u8], end: bool) {
        self.body.extend_from_slice(bytes);
        if end {
            self.flush();
            self.actions.push("end".into());
        }
    }

    fn flush(&mut self) {
        if !self.body.is_empty() {
            self.actions.push(format!("data {}", self.body.escape_ascii()));
            self.body.clear();
        }
    }
}

/// Lets the socket take what waits, `piece` bytes at a time.
fn write<M: Conn>(rig: &mut Rig<M>, trace: &mut Trace, piece: usize) -> bool {
    let bytes: Vec<u8> = rig.machine.waiting().pieces().flatten().copied().take(piece).collect();
    if bytes.is_empty() {
        return false;
    }
    trace.out.extend_from_slice(&bytes);
    rig.input(M::sent(bytes.len()));
    true
}

/// Answers what a server machine asks, as a service that echoes the sizes of bodies.
fn serve(rig: &mut Rig<server::Machine>, trace: &mut Trace, piece: usize) {
    loop {
        while let Some(action) = rig.machine.poll() {
            match action {
                server::Action::Taken(count) => trace.taken += count,
                server::Action::Data { bytes, end } => {
                    trace.data(&bytes, end);
                    rig.input(server::Input::Credit(bytes.len()));
                    if end {
                        answer(rig);
                    }
                }
                server::Action::Request(ref request) => {
                    trace.push(format!("{action:?}"));
                    if request.end {
                        answer(rig);
                    } else if request.upgrade {
                        rig.respond(101, &[("Upgrade", "x")], false);
                    }
                    rig.input(server::Input::Credit(10));
                }
                server::Action::Trailers(_) => {
                    trace.push(format!("{action:?}"));
                    answer(rig);
                }
                server::Action::Malformed(reason) => {
                    trace.push(format!("{action:?}"));
                    rig.respond(reason.told().status, &[("content-length", "2")], false);
                    rig.body(b"no", true);
                }
                server::Action::Finished
                | server::Action::Canceled(_)
                | server::Action::Finish
                | server::Action::Closed(_) => trace.push(format!("{action:?}")),
            }
        }
        if !write(rig, trace, piece) {
            return;
        }
    }
}

fn answer(rig: &mut Rig<server::Machine>) {
    rig.respond(103, &[("Link", "a")], false);
    rig.respond(200, &[("X-A", "b")], false);
    rig.body(&[b'y'; 1500], false);
    rig.body(b"hello", true);
}

fn run_server(text: &[u8], cuts: &[usize], piece: usize) -> Trace {
    let mut rig = Rig::server();
    let mut trace = Trace::default();
    for part in parts(text, cuts) {
        rig.feed(part);
        serve(&mut rig, &mut trace, piece);
    }
    rig.input(server::Input::Eof);
    serve(&mut rig, &mut trace, piece);
    trace.flush();
    trace
}

fn run_client(text: &[u8], cuts: &[usize], method: &str) -> Trace {
    let mut rig = Rig::client();
    let mut trace = Trace::default();
    rig.ask(method, &[("Host", "a")], true);
    write(&mut rig, &mut trace, usize::MAX);
    let mut step = |rig: &mut Rig<client::Machine>| {
        while let Some(action) = rig.machine.poll() {
            match action {
                client::Action::Taken(count) => trace.taken += count,
                client::Action::Data { bytes, end } => {
                    trace.data(&bytes, end);
                    rig.input(client::Input::Credit(bytes.len()));
                }
                client::Action::Response { .. } => {
                    trace.push(format!("{action:?}"));
                    rig.input(client::Input::Credit(10));
                }
                client::Action::Trailers(_)
                | client::Action::Idle
                | client::Action::Failed { .. }
                | client::Action::Finish
                | client::Action::Closed(_) => trace.push(format!("{action:?}")),
            }
        }
    };
    for part in parts(text, cuts) {
        rig.feed(part);
        step(&mut rig);
    }
    rig.input(client::Input::Eof);
    step(&mut rig);
    trace.flush();
    trace
}

fn parts<'t>(text: &'t [u8], cuts: &[usize]) -> Vec<&'t [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|w| &text[w[0]..w[1]]).filter(|part| !part.is_empty()).collect()
}

fn body() -> impl Strategy<Value = String> {
    let chunk = |size: usize| format!("{size:x};e\r\n{}\r\n", "z".repeat(size));
    prop_oneof![
        Just("\r\n".to_owned()),
        (0..40usize).prop_map(|n| format!("Content-Length: {n}\r\n\r\n{}", "x".repeat(n))),
        (prop::collection::vec(1..40usize, 0..4), any::<bool>()).prop_map(move |(sizes, more)| {
            let chunks: String = sizes.into_iter().map(chunk).collect();
            let trailers = if more { "X-Sum: 1\r\n" } else { "" };
            format!("Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n{trailers}\r\n")
        }),
    ]
}

fn requests() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        "GET / HTTP/1.1\r\nHost: a\r\n",
        "\r\nPOST /x HTTP/1.1\r\nHost: a\r\nX: yy\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n",
        "GET / HTTP/1.0\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n",
    ]);
    let one = (line, body()).prop_map(|(line, body)| format!("{line}{body}"));
    prop::collection::vec(one, 1..5).prop_map(|all| all.concat().into_bytes())
}

fn responses() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 404 \r\nX: y\r\n",
        "HTTP/1.0 200 OK\r\n",
        "HTTP/1.1 204 No\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n",
    ]);
    (line, body(), "x{0,3}").prop_map(|(line, body, rest)| format!("{line}{body}{rest}").into())
}

/// Changes a text in one place, or not at all.
fn bend(text: &mut Vec<u8>, at: usize, how: u8, byte: u8) {
    let at = at % text.len();
    match how {
        0 => text[at] = byte,
        1 => drop(text.remove(at)),
        2 => text.insert(at, byte),
        3 => text.truncate(at),
        _ => {}
    }
}

fn odd_byte() -> impl Strategy<Value = u8> {
    prop_oneof![Just(b'\n'), Just(b'\r'), Just(b' '), Just(b':'), Just(b'0'), any::<u8>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn cutting_requests_anywhere_changes_nothing(
        mut text in requests(),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
        piece in 1..3000usize,
        bent in (any::<usize>(), 0..8u8, odd_byte()),
    ) {
        bend(&mut text, bent.0, bent.1, bent.2);
        let whole = run_server(&text, &[], usize::MAX);
        prop_assert_eq!(&run_server(&text, &cuts, piece), &whole);
        let single: Vec<usize> = (0..text.len()).collect();
        prop_assert_eq!(&run_server(&text, &single, 1000), &whole);
    }

    #[test]
    fn cutting_responses_anywhere_changes_nothing(
        mut text in responses(),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
        method in prop::sample::select(vec!["GET", "HEAD"]),
        bent in (any::<usize>(), 0..8u8, odd_byte()),
    ) {
        bend(&mut text, bent.0, bent.1, bent.2);
        let whole = run_client(&text, &[], method);
        prop_assert_eq!(&run_client(&text, &cuts, method), &whole);
        let single: Vec<usize> = (0..text.len()).collect();
        prop_assert_eq!(&run_client(&text, &single, method), &whole);
    }

    #[test]
    fn a_chunked_body_reads_the_same_however_it_was_given_and_taken(
        steps in prop::collection::vec((1..40usize, 0..60usize), 1..200),
        large in prop::collection::vec((1..1100usize, 0..600usize), 0..20),
    ) {
        let mut rig = Rig::server();
        let mut trace = Trace::default();
        rig.feed("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        rig.respond(200, &[], false);
        let mut body = Vec::new();
        for (at, (given, taken)) in steps.into_iter().chain(large).enumerate() {
            let piece = vec![b'a' + u8::try_from(at % 26).unwrap(); given];
            rig.body(&piece, false);
            body.extend(piece);
            write(&mut rig, &mut trace, taken);
        }
        rig.body(b"", true);
        while write(&mut rig, &mut trace, 5000) {}
        let reported = rig.actions().iter().map(taken_of).sum::<usize>();
        prop_assert_eq!(reported, body.len());

        let mut client = Rig::client();
        client.ask("GET", &[("Host", "a")], true);
        client.out();
        client.input(client::Input::Credit(1 << 20));
        client.feed(&trace.out);
        client.input(client::Input::Credit(1 << 20));
        let actions = client.actions();
        prop_assert_eq!(actions.last(), Some(&client::Action::Idle));
        let read = actions.into_iter().filter_map(bytes_of);
        prop_assert_eq!(read.flatten().collect::<Vec<u8>>(), body);
    }

    #[test]
    fn what_a_server_parsed_a_client_writes_the_same(text in requests()) {
        let (first, body) = parse(&text);
        let Some(first) = first else { return Ok(()) };
        if first.upgrade {
            return Ok(());
        }
        let mut client = Rig::client();
        client.input(client::Input::Request {
            head: first.head.clone(),
            end: first.end,
            upgrade: false,
        });
        if !first.end {
            client.body(&body, true);
        }
        let written = client.out();
        let (second, again) = parse(written.as_bytes());
        let second = second.expect("what we write can be read");
        let strip = |request: &server::Request| {
            let mut head = request.head.clone();
            strip_hop_by_hop(&mut head.fields, false);
            head
        };
        // HTTP/1.0 may do without a host; HTTP/1.1, which a client speaks, may not.
        let hosted = first.head.fields.get("host").is_some();
        prop_assert!(strip(&first) == strip(&second) || !hosted);
        prop_assert_eq!(second.head.fields.all("host").count(), 1);
        prop_assert_eq!(body, again);
        prop_assert_eq!(first.end, second.end);
    }

    #[test]
    fn no_input_panics_and_closed_is_the_last_word(
        inputs in prop::collection::vec((0..14u8, any::<u16>(), requests()), 0..30),
    ) {
        let mut server = Rig::server();
        let mut client = Rig::client();
        for (kind, number, text) in &inputs {
            let count = usize::from(*number);
            let text = &text[..count.min(text.len())];
            if *kind == 0 {
                server.wait(Duration::from_millis(u64::from(*number)));
                client.wait(Duration::from_millis(u64::from(*number)));
            } else if *kind == 1 {
                let past = Instant::from_nanos(u64::from(*number));
                server.machine.tick(past);
                client.machine.tick(past);
            } else {
                server.input(server_input(*kind, count, text));
                client.input(client_input(*kind, count, text));
            }
            prop_assert!(server.machine.deadline().is_none_or(|at| at > server.now));
            prop_assert!(client.machine.deadline().is_none_or(|at| at > client.now));
        }
        let closed = |action: &server::Action| matches!(action, server::Action::Closed(_));
        let actions = server.actions();
        let at = actions.iter().position(closed);
        prop_assert!(at.is_none_or(|at| at + 1 == actions.len()));
        prop_assert!(at.is_none() || server.machine.deadline().is_none());
        let closed = |action: &client::Action| matches!(action, client::Action::Closed(_));
        let actions = client.actions();
        let at = actions.iter().position(closed);
        prop_assert!(at.is_none_or(|at| at + 1 == actions.len()));
        prop_assert!(at.is_none() || client.machine.deadline().is_none());
    }
}

fn bytes_of(action: client::Action) -> Option<BytesMut> {
    if let client::Action::Data { bytes, .. } = action { Some(bytes) } else { None }
}

fn taken_of(action: &server::Action) -> usize {
    if let server::Action::Taken(count) = action { *count } else { 0 }
}

fn server_input(kind: u8, count: usize, text: &[u8]) -> server::Input {
    use server::Input;
    match kind {
        2 => Input::Eof,
        3 => Input::Sent(count),
        4 => Input::Respond { head: response(200, &[]), end: count.is_multiple_of(2) },
        5 => Input::Respond { head: response(101, &[("Upgrade", "x")]), end: false },
        6 => Input::Data { bytes: data(text), end: count.is_multiple_of(2) },
        7 => Input::Trailers(fields(&[("a", "b")])),
        8 if count.is_multiple_of(7) => Input::Abort,
        9 => Input::Credit(count),
        10 if count.is_multiple_of(5) => Input::Drain,
        11 if count.is_multiple_of(7) => Input::Lost,
        12 => Input::Respond { head: response(200, &[("Content-Length", "9")]), end: false },
        _ => Input::Received(data(text)),
    }
}

fn client_input(kind: u8, count: usize, text: &[u8]) -> client::Input {
    use client::Input;
    let head = http1_kit::request("POST", "/", &[("Host", "a")]);
    match kind {
        2 => Input::Eof,
        3 => Input::Sent(count),
        4 => Input::Request { head, end: count.is_multiple_of(2), upgrade: false },
        5 => Input::Request { head, end: false, upgrade: true },
        6 => Input::Data { bytes: data(text), end: count.is_multiple_of(2) },
        7 => Input::Trailers(fields(&[("a", "b")])),
        8 if count.is_multiple_of(7) => Input::Abort,
        9 => Input::Credit(count),
        11 if count.is_multiple_of(7) => Input::Lost,
        12 => Input::Received(data("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")),
        13 => Input::Received(data("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")),
        _ => Input::Received(data(text)),
    }
}

/// The first request in `text` and its body.
fn parse(text: &[u8]) -> (Option<server::Request>, Vec<u8>) {
    let mut rig = Rig::server();
    rig.feed(text);
    let mut found = None;
    let mut body = Vec::new();
    while let Some(action) = rig.machine.poll() {
        if let server::Action::Data { bytes, .. } = action {
            body.extend_from_slice(&bytes);
        } else if let server::Action::Request(request) = action {
            found = Some(request);
            rig.input(server::Input::Credit(usize::MAX));
        }
    }
    (found, body)
}
