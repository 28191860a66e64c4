//! Nodes that find each other, and requests that find their node, over real processes.

use pico_core::Instant;
use pico_shell::clock::Clock;
use pico_sim::e2e::{Agent, Client, PATIENCE, Pair, Pattern, Runtime, Server, Service};
use std::io::Read as _;
use std::net::SocketAddr;

pico_sim::on_each_pair!(
    a_request_finds_its_node_by_any_other,
    when_a_node_is_killed_its_requests_go_elsewhere,
    when_a_node_drains_no_request_is_lost,
    of_two_nodes_of_one_name_the_older_one_ends,
);

/// A node that joins those at `join`.
fn node(runtime: &Runtime, id: &str, join: &[&Server]) -> Server {
    let joins = join.iter().map(|server| server.gossip.to_string()).collect::<Vec<_>>().join(",");
    let mut args = vec!["--cluster.node-id", id, "--drain-delay", "1s"];
    if !join.is_empty() {
        args.extend(["--cluster.join", &joins]);
    }
    let mut server = Server::start(runtime, &args);
    server.process.wait_for("readiness", |line| line.contains("ready").then_some(()));
    server
}

/// Waits until a node knows who serves the endpoint.
fn wait_until_served(at: SocketAddr, endpoint: &str) {
    let (clock, mut client) = (Clock::start(), Client::connect(at));
    while client.call("GET", "/", endpoint, "").status != 200 {
        assert!(clock.now() < Instant::ZERO + PATIENCE, "nobody serves {endpoint}");
    }
}

fn a_request_finds_its_node_by_any_other(on: Pair) {
    let service = Service::start("far");
    let first = node(on.server, "n1", &[]);
    let second = node(on.agent, "n2", &[&first]);
    // It knows of the first one only by the second.
    let third = node(on.server, "n3", &[&second]);
    let _agent = Agent::start(on.agent, &first, "web", &service.target());
    for server in [&first, &second, &third] {
        wait_until_served(server.proxy, "web");
        let mut client = server.client();
        assert_eq!(client.call("GET", "/", "web", "").text(), "far");
        assert_eq!(client.call("POST", "/", "web", "12345").text(), "far");
        // Many windows, whole and in order.
        client.head("GET", "/bytes/5000000", "web", "");
        let head = client.response_head();
        assert_eq!(head.word(1), "200");
        let (mut got, mut meant) = (Vec::new(), Vec::new());
        client.body(&head, "GET").read_to_end(&mut got).expect("all of it");
        Pattern::new(5_000_000).read_to_end(&mut meant).expect("a pattern has no end too early");
        assert!(got == meant, "{} bytes came", got.len());
        let none = client.call("GET", "/", "nobody", "");
        assert_eq!((none.status, none.code()), (502, "no_upstream".into()));
    }
}

fn when_a_node_is_killed_its_requests_go_elsewhere(on: Pair) {
    let (one, two) = (Service::start("one"), Service::start("two"));
    let entry = node(on.server, "n1", &[]);
    let mut dies = node(on.agent, "n2", &[&entry]);
    let stays = node(on.server, "n3", &[&entry]);
    let _one = Agent::start(on.agent, &dies, "web", &one.target());
    let _two = Agent::start(on.server, &stays, "web", &two.target());
    let mut client = entry.client();
    let clock = Clock::start();
    let mut seen = [false; 2];
    while seen != [true; 2] {
        assert!(clock.now() < Instant::ZERO + PATIENCE, "only {seen:?} were reached");
        let got = client.call("GET", "/", "web", "");
        seen[0] |= got.status == 200 && got.text() == "one";
        seen[1] |= got.status == 200 && got.text() == "two";
    }
    dies.process.kill();
    for at in 0..200 {
        let got = client.call("GET", "/", "web", "");
        assert_eq!((got.status, got.text()), (200, "two".into()), "request {at}");
    }
}

fn when_a_node_drains_no_request_is_lost(on: Pair) {
    let (one, two) = (Service::start("one"), Service::start("two"));
    let entry = node(on.server, "n1", &[]);
    let mut drains = node(on.agent, "n2", &[&entry]);
    let stays = node(on.server, "n3", &[&entry]);
    let _one = Agent::start(on.agent, &drains, "web", &one.target());
    let _two = Agent::start(on.server, &stays, "web", &two.target());
    wait_until_served(entry.proxy, "web");
    let mut client = entry.client();
    drains.process.terminate();
    drains.process.wait_for("word of the drain", |line| line.contains("draining").then_some(()));
    let clock = Clock::start();
    let mut count = 0;
    // Longer than the drain delay.
    while clock.now() < Instant::ZERO + PATIENCE / 30 {
        let got = client.call("POST", "/", "web", "abc");
        assert_eq!(got.status, 200, "request {count}: {}", got.text());
        count += 1;
    }
    let ended = drains.process.wait();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

fn of_two_nodes_of_one_name_the_older_one_ends(on: Pair) {
    let mut entry = node(on.server, "n1", &[]);
    let older = node(on.agent, "twin", &[&entry]);
    // Generations are counted in milliseconds.
    let newer = node(on.server, "twin", &[&entry, &older]);
    let ended = older.process.wait();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let told = ended.stderr.iter().any(|line| line.contains("cluster.node-id"));
    assert!(told, "{ended:?}");
    entry.process.wait_for("the restart", |line| line.contains("has restarted").then_some(()));
    let service = Service::start("by the newer one");
    let _agent = Agent::start(on.agent, &newer, "web", &service.target());
    wait_until_served(entry.proxy, "web");
}
