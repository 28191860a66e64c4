//! A node that is killed and comes back, and a thousand tunnels that come back with it.
#![cfg(unix)]

use pico_core::Instant;
use pico_shell::clock::Clock;
use pico_sim::e2e::{
    Agent, Client, Load, PATIENCE, Pace, Pair, Process, Server, Service, behind_time,
};
use std::net::SocketAddr;
use std::time::Duration;

pico_sim::on_each_pair!(a_thousand_tunnels_that_come_back_keep_no_request_waiting);

fn a_thousand_tunnels_that_come_back_keep_no_request_waiting(on: Pair) {
    let (here, there, many) =
        (Service::start("here"), Service::start("there"), Service::start("many"));
    let other = Server::start(on.server, &[]);
    let join = other.gossip.to_string();
    let server = Server::start(on.server, &["--cluster.join", &join]);
    let ports = [server.proxy, server.upstream, server.admin, server.gossip];
    let [proxy, ..] = ports;
    let _there = Agent::start(on.agent, &other, "there", &there.target());
    let mut steady = Agent::start(on.agent, &server, "here", &here.target());
    let mut crowd = crowd(on, server.upstream, &many.target());
    all_online(&mut crowd);
    let pace = Pace { per_second: 100, clients: 4, method: "POST" };
    let elsewhere = Load::start(other.proxy, "there", &["there"], pace);
    elsewhere.wait_for_more(10);

    drop(server);
    let names = ["proxy", "upstream", "admin", "gossip"];
    let ports = names.iter().zip(ports).map(|(port, at)| format!("--{port}.bind-addr={at}"));
    let args: Vec<String> =
        ["server".into(), format!("--cluster.join={join}")].into_iter().chain(ports).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let _again = on.server.run(&args);
    steady.wait_until_online();
    served(proxy, "here");
    let load = Load::start(proxy, "here", &["here"], pace);
    all_online(&mut crowd);
    load.wait_for_more(10);
    for (load, name) in [(load, "here"), (elsewhere, "there")] {
        let tally = load.stop();
        assert!(tally.failed.is_empty(), "{name}: {:?}", tally.failed);
        assert!(tally.slowest < Duration::from_secs(5), "{name}: {:?}", tally.slowest);
    }
    let last = format!("many-{}", MANY - 1);
    assert_eq!(Client::connect(proxy).call("GET", "/", &last, "").text(), "many");
    served(other.proxy, &last);
}

/// An agent with so many endpoints.
fn crowd(on: Pair, to: SocketAddr, service: &str) -> Process {
    let file = format!("{TMP}/rush-{}-{}.yaml", on.server.name, on.agent.name);
    let url = format!("connect.url: http://{to}\nlisteners:\n");
    let row = |at| format!("  - {{endpoint: many-{at}, addr: \"{service}\"}}\n");
    std::fs::write(&file, url + &(0..MANY).map(row).collect::<String>())
        .expect("a file can be written");
    on.agent.run(&["agent", "start", "--config", &file])
}

fn all_online(crowd: &mut Process) {
    for _ in 0..MANY {
        crowd.wait_for_next("word that it is online", |line| {
            let said = behind_time(line)?;
            (said.starts_with("Status ") && said.contains(" online ")).then_some(())
        });
    }
}

fn served(at: SocketAddr, endpoint: &str) {
    let (clock, mut client) = (Clock::start(), Client::connect(at));
    while client.call("GET", "/", endpoint, "").status != 200 {
        assert!(clock.now() < Instant::ZERO + PATIENCE, "nobody serves {endpoint}");
    }
}

const MANY: usize = 1000;
const TMP: &str = env!("CARGO_TARGET_TMPDIR");
