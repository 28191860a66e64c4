//! Limits that are reached: what is beyond is refused as it is written, what is within goes on,
//! and once there is room again all is as before.

use pico_core::Instant;
use pico_shell::clock::Clock;
use pico_sim::e2e::{Agent, Check, Client, PATIENCE, Pair, Pattern, Scripted, Server, Service};
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

pico_sim::on_each_pair!(
    connections_beyond_the_limit_are_refused_and_the_others_go_on,
    calls_beyond_what_a_tunnel_takes_are_refused_or_go_elsewhere,
    a_head_beyond_the_limits_is_refused_in_either_direction,
    calls_that_nobody_reads_share_what_a_tunnel_may_hold_and_arrive_whole_in_the_end,
);

fn connections_beyond_the_limit_are_refused_and_the_others_go_on(on: Pair) {
    let service = Service::start("one");
    // The agent's is one of them.
    let server = Server::start(on.server, &["--workers", "1", "--proxy.limit.connections", "8"]);
    let _agent = Agent::start(on.agent, &server, "a", &service.target());
    let mut within: Vec<Client> = (0..7).map(|_| server.client()).collect();
    for client in &mut within {
        assert_eq!(client.call("GET", "/", "a", "").text(), "one");
    }
    let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nx-pico-endpoint: a\r\n\r\n";
    for port in [server.proxy, server.upstream] {
        let mut client = Client::connect(port);
        client.send(request).expect("it is taken");
        let got = client.response("GET");
        let code = if port == server.proxy { "overloaded" } else { "not_found" };
        assert_eq!(got.code(), code);
        assert!(client.until_closed().is_empty(), "it is not kept");
    }
    // So many more are told so. Whoever comes then has not even that; but an operator is let in.
    let crowd: Vec<Client> = (0..64).map(|_| server.client()).collect();
    for port in [server.proxy, server.upstream] {
        assert_eq!(said(port, request), b"");
    }
    assert_eq!(Client::connect(server.admin).call("GET", "/ready", "", "").status, 200);
    for client in &mut within {
        assert_eq!(client.call("POST", "/", "a", "abc").text(), "one");
    }
    drop(crowd);
    within.pop();
    // The node hears of the end in its time.
    let clock = Clock::start();
    while !said(server.proxy, request).ends_with(b"one") {
        assert!(clock.now() < Instant::ZERO + PATIENCE, "there is room again");
    }
}

/// All that is said to whoever sends this there, and be it that it is cut off before it knows that
/// it has connected.
fn said(port: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    if let Ok(mut stream) = TcpStream::connect(port) {
        stream.set_read_timeout(Some(PATIENCE)).expect("a positive time");
        let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        let _ = stream.read_to_end(&mut answer);
    }
    answer
}

fn calls_beyond_what_a_tunnel_takes_are_refused_or_go_elsewhere(on: Pair) {
    let (full, free) = (Service::start("full"), Service::start("free"));
    let server = Server::start(on.server, &["--upstream.limit.streams", "4"]);
    let _agent = Agent::start(on.agent, &server, "a", &full.target());
    let mut calls: Vec<Client> = (0..4)
        .map(|_| {
            let mut client = server.client();
            client.head("POST", "/hang/on", "a", "content-length: 0\r\n");
            assert_eq!(full.arrival(), "/hang/on");
            client
        })
        .collect();
    for method in ["GET", "POST"] {
        let got = server.client().call(method, "/", "a", "");
        assert_eq!((got.status, got.code()), (503, "overloaded".to_owned()));
        assert!(got.head.get("retry-after").is_some(), "{:?}", got.head);
    }
    assert_eq!(full.requests(), 4, "what was refused has not run");
    let other = Agent::start(on.agent, &server, "a", &free.target());
    for method in ["GET", "POST", "GET", "POST", "GET", "POST"] {
        assert_eq!(server.client().call(method, "/", "a", "").text(), "free");
    }
    drop(other);
    drop(calls.pop());
    full.hung_up();
    let (clock, mut client) = (Clock::start(), server.client());
    while client.call("POST", "/", "a", "").text() != "full" {
        assert!(clock.now() < Instant::ZERO + PATIENCE, "there is room again");
    }
}

fn a_head_beyond_the_limits_is_refused_in_either_direction(on: Pair) {
    let service = Scripted::start();
    let server = Server::start(on.server, &[]);
    let _agent = Agent::start(on.agent, &server, "a", &service.address.to_string());
    let long = format!("x-long: {}\r\n", "x".repeat(70_000));
    let many = "x-many: 1\r\n".repeat(101);
    for fields in [&long, &many] {
        let mut client = server.client();
        // It may be answered and closed before all of it is sent.
        let _ =
            client.send(format!("GET / HTTP/1.1\r\nhost: x\r\nx-pico-endpoint: a\r\n{fields}\r\n"));
        let got = client.response("GET");
        assert_eq!((got.status, got.code()), (431, "head_too_large".to_owned()));
    }
    let mut client = server.client();
    let _ = client.send(format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(70_000)));
    let got = client.response("GET");
    assert_eq!((got.status, got.code()), (414, "target_too_long".to_owned()));
    assert!(service.is_left_alone());

    let mut client = server.client();
    for fields in [&long, &many] {
        client.head("GET", "/", "a", "");
        let mut local = service.accept();
        local.next_head();
        let _ = local.send(format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{fields}\r\n"));
        let got = client.response("GET");
        assert_eq!((got.status, got.code()), (502, "bad_response".to_owned()));
    }
    client.head("GET", "/", "a", "");
    let mut local = service.accept();
    local.next_head();
    local.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").expect("it is taken");
    assert_eq!(client.response("GET").text(), "ok");
}

/// As little as may be configured, all of it granted to calls whose clients do not read.
fn calls_that_nobody_reads_share_what_a_tunnel_may_hold_and_arrive_whole_in_the_end(on: Pair) {
    let service = Service::start("one");
    let limits = ["--upstream.limit.streams", "16", "--upstream.limit.tunnel-window", "2MiB"];
    let server = Server::start(on.server, &limits);
    let _agent = Agent::start(on.agent, &server, "a", &service.target());
    let mut stalled: Vec<Client> = (0..15)
        .map(|_| {
            let mut client = server.client();
            client.head("GET", &format!("/bytes/{BODY}"), "a", "");
            client
        })
        .collect();
    let heads: Vec<_> = stalled.iter_mut().map(Client::response_head).collect();
    let mut client = server.client();
    for _ in 0..100 {
        assert_eq!(client.call("POST", "/", "a", "abc").text(), "one");
    }
    // The same the other way.
    client.head("POST", "/sink", "a", &format!("content-length: {BODY}\r\n"));
    let mut writer = client.writer();
    io::copy(&mut Pattern::new(BODY), &mut writer).expect("it is taken");
    assert_eq!(client.response("POST").text(), BODY.to_string());
    thread::scope(|scope| {
        for (client, head) in stalled.iter_mut().zip(&heads) {
            scope.spawn(|| {
                let mut check = Check::new();
                io::copy(&mut client.body(head, "GET"), &mut check).expect("a whole body");
                assert_eq!(check.count(), BODY);
            });
        }
    });
}

const BODY: u64 = 10_000_000;
