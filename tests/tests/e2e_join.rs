//! Nodes that look for others, over real processes: by IPv6, in vain, and at the wrong place.

use pico_core::Instant;
use pico_shell::clock::Clock;
use pico_sim::e2e::{Agent, Client, PATIENCE, Pair, Runtime, Server, Service, dead_address};

pico_sim::on_each_runtime!(
    a_node_that_is_to_end_without_others_says_why_and_ends_with_1,
    a_node_that_stays_alone_says_why,
);
pico_sim::on_each_pair!(nodes_find_each_other_by_ipv6);

fn a_node_that_is_to_end_without_others_says_why_and_ends_with_1(on: &'static Runtime) {
    let join = dead_address().to_string();
    let args = ["--cluster.abort-if-join-fails", "true", "--cluster.join-timeout", "1s"];
    let server = Server::start(on, &[&args[..], &["--cluster.join", &join]].concat());
    let ended = server.process.wait();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let says = |what: &str| ended.stderr.iter().filter(|line| line.contains(what)).count();
    assert_eq!(says("cluster.abort-if-join-fails: nobody at cluster.join was found in 1s"), 1);
    assert!(says("connection refused") > 0 && says(&join) > 0, "{ended:?}");
}

fn a_node_that_stays_alone_says_why(on: &'static Runtime) {
    let other = Server::start(on, &["--cluster.name", "another"]);
    let join = format!("{},{},no-such-name.invalid:8004", dead_address(), other.gossip);
    let mut server = Server::start(on, &["--cluster.join", &join]);
    for why in ["connection refused", "\\\"another\\\"", "cannot be looked up"] {
        server.process.wait_for(why, |line| {
            let plain = why.replace('\\', "");
            let told = line.contains(why) || line.contains(&plain);
            (told && line.contains("alone")).then_some(())
        });
    }
}

fn nodes_find_each_other_by_ipv6(on: Pair) {
    let service = Service::start("far");
    let first = Server::start_at(on.server, "[::1]:0", &[]);
    let join = first.gossip.to_string();
    assert!(join.starts_with("[::1]:"), "{join}");
    let mut second = Server::start_at(on.agent, "[::1]:0", &["--cluster.join", &join]);
    second.process.wait_for("the other", |line| line.contains("node found").then_some(()));
    let _agent = Agent::start(on.agent, &first, "web", &service.target());
    let clock = Clock::start();
    let mut client = Client::connect(second.proxy);
    while client.call("GET", "/", "web", "").text() != "far" {
        assert!(clock.now() < Instant::ZERO + PATIENCE, "nobody serves it");
    }
}
