//! Bodies, streams and ends of calls that cross from one node to another.

use pico_sim::e2e::{Agent, Check, Client, Pair, Pattern, Server, Service, Upgrades};
use std::io::{self, Read as _};
use std::net::TcpStream;
use std::thread;

pico_sim::on_each_pair!(
    bodies_cross_a_link_both_ways_at_once,
    an_event_crosses_a_link_before_the_next_one_is_produced,
    messages_cross_a_link_on_an_upgraded_connection,
    a_client_that_leaves_ends_its_call_beyond_the_link,
    a_slow_reader_beyond_a_link_stops_nobody,
);

/// A node that holds the upstream, and one by which clients come.
struct Two {
    _holder: Server,
    entry: Server,
    _agent: Agent,
}

/// Two nodes, the first of them with an agent for the service at `target`.
fn two(on: Pair, target: &str) -> Two {
    let holder = Server::start(on.server, &["--cluster.node-id", "holder"]);
    let join = holder.gossip.to_string();
    let mut entry =
        Server::start(on.agent, &["--cluster.node-id", "entry", "--cluster.join", &join]);
    let agent = Agent::start(on.agent, &holder, "far", target);
    entry.process.wait_for("readiness", |line| line.contains("ready").then_some(()));
    // An answer of nobody says that it has not been heard of yet.
    while entry.client().call("GET", "/", "far", "").code() == "no_upstream" {}
    Two { _holder: holder, entry, _agent: agent }
}

fn bodies_cross_a_link_both_ways_at_once(on: Pair) {
    let service = Service::start("duplex");
    let nodes = two(on, &service.target());
    let len = 20_000_000;
    let mut client = nodes.entry.client();
    client.head("POST", "/echo", "far", &format!("content-length: {len}\r\n"));
    let mut writer = client.writer();
    let sender = thread::spawn(move || io::copy(&mut Pattern::new(len), &mut writer));
    let head = client.response_head();
    let mut check = Check::new();
    io::copy(&mut client.body(&head, "POST"), &mut check).expect("the right bytes");
    assert_eq!(check.count(), len);
    assert_eq!(sender.join().expect("no panic").expect("all is taken"), len);
}

fn an_event_crosses_a_link_before_the_next_one_is_produced(on: Pair) {
    let service = Service::start("events");
    let nodes = two(on, &service.target());
    let mut client = nodes.entry.client();
    client.head("GET", "/events", "far", "");
    let head = client.response_head();
    let mut body = client.body(&head, "GET");
    let mut first = [0; 11];
    body.read_exact(&mut first).expect("the first event");
    assert_eq!(&first, b"data: one\n\n");
    service.release();
    let mut rest = String::new();
    body.read_to_string(&mut rest).expect("the second event and a clean end");
    assert_eq!(rest, "data: two\n\n");
}

fn messages_cross_a_link_on_an_upgraded_connection(on: Pair) {
    let service = Upgrades::start();
    let nodes = two(on, &service.address.to_string());
    let stream = TcpStream::connect(nodes.entry.proxy).expect("it is listening");
    let request = http::Request::get("ws://far.example/")
        .header("host", "far.example")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(())
        .expect("a request");
    let (mut socket, answer) = tungstenite::client(request, stream).expect("an upgrade");
    assert_eq!(answer.status(), 101);
    for text in ["one", "two", &"x".repeat(300_000)] {
        socket.send(tungstenite::Message::text(text)).expect("it is taken");
        assert_eq!(socket.read().expect("an echo").to_text().expect("text"), text);
    }
}

fn a_client_that_leaves_ends_its_call_beyond_the_link(on: Pair) {
    let service = Service::start("left");
    let nodes = two(on, &service.target());
    for at in 0..3 {
        let target = format!("/hang/{at}");
        let mut client = nodes.entry.client();
        client.head("POST", &target, "far", "content-length: 0\r\n");
        while service.arrival() != target {}
        drop(client);
        // The service's end of the call ends with it.
        service.hung_up();
    }
}

fn a_slow_reader_beyond_a_link_stops_nobody(on: Pair) {
    let service = Service::start("slow");
    let nodes = two(on, &service.target());
    let len = 50_000_000;
    let mut slow = nodes.entry.client();
    slow.head("GET", &format!("/bytes/{len}"), "far", "");
    let head = slow.response_head();
    // Nothing of its body is read while others are served by the same link.
    let mut others = nodes.entry.client();
    for _ in 0..50 {
        assert_eq!(others.call("POST", "/", "far", "abc").text(), "slow");
        let got = Client::connect(nodes.entry.proxy).call("GET", "/bytes/200000", "far", "");
        assert_eq!((got.status, got.body.len()), (200, 200_000));
    }
    let mut check = Check::new();
    io::copy(&mut slow.body(&head, "GET"), &mut check).expect("the right bytes");
    assert_eq!(check.count(), len);
}
