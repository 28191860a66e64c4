//! A cluster whose nodes are killed, paused, drained and started again while requests pass.
#![cfg(unix)]

use pico_core::Instant;
use pico_shell::clock::Clock;
use pico_sim::e2e::{Agent, Client, Load, Local, PATIENCE, Pace, Pair, Runtime, Service, Tally};
use std::fs;
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

pico_sim::on_each_pair!(
    a_rolling_restart_under_load_loses_no_request,
    an_agent_that_moves_is_found_by_every_node_and_loses_no_request,
    a_killed_node_costs_no_request_by_the_others_and_its_agents_come_back,
    a_node_that_was_paused_comes_back_and_no_answer_was_wrong,
);

pico_sim::on_each_runtime!(
    of_ten_nodes_three_are_killed_and_the_rest_serves,
    what_is_typed_wrongly_is_one_line_and_changes_nothing,
    nodes_end_with_the_process_that_holds_them,
    what_the_environment_says_to_the_cluster_is_not_for_its_nodes,
);

/// 500 requests a second, half of which must not be run twice.
fn steady(to: SocketAddr, names: &[&str]) -> [Load; 2] {
    ["GET", "POST"]
        .map(|method| Load::start(to, "web", names, Pace { per_second: 250, clients: 10, method }))
}

fn stop(loads: [Load; 2]) -> Tally {
    let [mut all, more] = loads.map(Load::stop);
    all.answered += more.answered;
    all.failed.extend(more.failed);
    all
}

fn agent(on: &Runtime, local: &Local, service: &Service) -> Agent {
    Agent::towards(on, local.upstream, "web", &service.target())
}

/// Waits until a node knows who serves the endpoint.
fn wait_until_served(at: SocketAddr) {
    let clock = Clock::start();
    while Client::connect(at).call("GET", "/", "web", "").status != 200 {
        assert!(clock.now() < Instant::ZERO + PATIENCE, "nobody serves it");
    }
}

fn a_rolling_restart_under_load_loses_no_request(on: Pair) {
    let mut local = Local::start(on.server, 3);
    let (one, two) = (Service::start("one"), Service::start("two"));
    let _agents = [agent(on.agent, &local, &one), agent(on.agent, &local, &two)];
    (1..=3).for_each(|node| wait_until_served(local.row(node).proxy));
    let load = steady(local.proxy, &["one", "two"]);
    for node in 1..=3 {
        for load in &load {
            load.wait_for_more(50);
        }
        local.tell(&format!("restart {node}"));
        local.wait_for(node, "ended with 0");
        local.wait_for(node, "ready");
    }
    let tally = stop(load);
    assert!(tally.failed.is_empty(), "{tally:?}");
}

fn an_agent_that_moves_is_found_by_every_node_and_loses_no_request(on: Pair) {
    let mut local = Local::start(on.server, 3);
    let service = Service::start("only");
    let mut agent = agent(on.agent, &local, &service);
    let proxies = [1, 2, 3].map(|node| local.row(node).proxy);
    proxies.into_iter().for_each(wait_until_served);
    let node = agent.node();
    let others = (1..=3).filter(|other| *other != node);
    let loads: Vec<Load> = others
        .map(|other| {
            let pace = Pace { per_second: 100, clients: 4, method: "POST" };
            Load::start(proxies[other - 1], "web", &["only"], pace)
        })
        .collect();
    for load in &loads {
        load.wait_for_more(20);
    }
    local.tell(&format!("drain {node}"));
    local.wait_for(node, "ended with 0");
    for load in loads {
        load.wait_for_more(20);
        let tally = load.stop();
        assert!(tally.failed.is_empty(), "{tally:?}");
    }
    agent.wait_until_online();
    assert_ne!(agent.node(), node);
}

fn a_killed_node_costs_no_request_by_the_others_and_its_agents_come_back(on: Pair) {
    let mut local = Local::start(on.server, 3);
    let names = ["one", "two", "three"];
    let services = names.map(Service::start);
    let mut agents = services.each_ref().map(|service| agent(on.agent, &local, service));
    let proxies = [1, 2, 3].map(|node| local.row(node).proxy);
    proxies.into_iter().for_each(wait_until_served);
    let killed = agents[0].node();
    let others = (1..=3).filter(|other| *other != killed);
    let loads: Vec<Load> = others
        .map(|other| {
            let pace = Pace { per_second: 100, clients: 4, method: "GET" };
            Load::start(proxies[other - 1], "web", &names, pace)
        })
        .collect();
    for load in &loads {
        load.wait_for_more(20);
    }
    local.tell(&format!("kill {killed}"));
    local.wait_for(killed, "killed");
    for load in &loads {
        load.wait_for_more(20);
    }
    agents[0].wait_until_online();
    assert_ne!(agents[0].node(), killed);
    local.tell(&format!("restart {killed}"));
    local.wait_for(killed, "ready");
    wait_until_served(proxies[killed - 1]);
    for load in loads {
        load.wait_for_more(20);
        let tally = load.stop();
        assert!(tally.failed.is_empty(), "{tally:?}");
    }
}

fn a_node_that_was_paused_comes_back_and_no_answer_was_wrong(on: Pair) {
    let mut local = Local::start(on.server, 3);
    let names = ["one", "two", "three"];
    let services = names.map(Service::start);
    let agents = services.each_ref().map(|service| agent(on.agent, &local, service));
    let proxies = [1, 2, 3].map(|node| local.row(node).proxy);
    proxies.into_iter().for_each(wait_until_served);
    let paused = agents[0].node();
    let other = if paused == 1 { 2 } else { 1 };
    let pace = Pace { per_second: 100, clients: 4, method: "GET" };
    let load = Load::start(proxies[other - 1], "web", &names, pace);
    load.wait_for_more(20);
    local.tell(&format!("pause {paused}"));
    local.wait_for(other, &format!("dead  node-{paused}"));
    assert_eq!(local.row(paused).state, "paused");
    local.tell(&format!("resume {paused}"));
    local.wait_for(other, &format!("found  node-{paused}"));
    wait_until_served(proxies[paused - 1]);
    load.wait_for_more(20);
    let tally = load.stop();
    assert!(tally.failed.is_empty(), "{tally:?}");
}

fn of_ten_nodes_three_are_killed_and_the_rest_serves(on: &'static Runtime) {
    let mut local = Local::start(on, 10);
    let names = ["one", "two", "three", "four"];
    let services = names.map(Service::start);
    let mut agents = services.each_ref().map(|service| agent(on, &local, service));
    let proxies: Vec<SocketAddr> = (1..=10).map(|node| local.row(node).proxy).collect();
    proxies.iter().copied().for_each(wait_until_served);
    let killed = [0, 1, 2].map(|at: usize| agents[at].node());
    let spared = (1..=10).find(|node| !killed.contains(node)).expect("seven are spared");
    let pace = Pace { per_second: 200, clients: 8, method: "GET" };
    let load = Load::start(proxies[spared - 1], "web", &names, pace);
    for (agent, node) in agents.iter_mut().zip(killed) {
        load.wait_for_more(20);
        local.tell(&format!("kill {node}"));
        local.wait_for(node, "killed");
        agent.wait_until_online();
    }
    let rest = (1..=10).filter(|node| !killed.contains(node));
    rest.for_each(|node| wait_until_served(proxies[node - 1]));
    let tally = load.stop();
    assert!(tally.failed.is_empty(), "{tally:?}");
}

fn what_is_typed_wrongly_is_one_line_and_changes_nothing(on: &'static Runtime) {
    let mut local = Local::start(on, 2);
    let before = local.row(1);
    for (line, told) in [
        ("kill", "expected kill and a node, 1 to 2"),
        ("kill 3", "expected kill and a node, 1 to 2"),
        ("slay 1", "no such command: \"slay\"; see help"),
        ("status 1", "status takes nothing more"),
        ("resume 1", "node-1 is not paused"),
    ] {
        local.tell(line);
        local.process.wait_for_next(told, |line| (line == told).then_some(()));
    }
    local.tell("pause 1");
    local.wait_for(1, "is paused");
    for (line, told) in [
        ("pause 1", "node-1 is paused already"),
        ("drain 1", "node-1 is paused: resume it first"),
        ("restart 1", "node-1 is paused: resume it first"),
    ] {
        local.tell(line);
        local.process.wait_for_next(told, |line| (line == told).then_some(()));
    }
    local.tell("resume 1");
    local.wait_for(1, "goes on");
    assert_eq!(local.row(1).process, before.process, "it is still the same one");
    local.tell("quit");
    let ended = local.process.wait();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

fn nodes_end_with_the_process_that_holds_them(on: &'static Runtime) {
    let mut local = Local::start(on, 2);
    let rows = [local.row(1), local.row(2)];
    // One that is stopped must go too.
    local.tell("pause 2");
    local.wait_for(2, "is paused");
    local.process.kill();
    for row in rows {
        let clock = Clock::start();
        while let Ok(mut stream) = TcpStream::connect(row.admin) {
            assert!(clock.now() < Instant::ZERO + PATIENCE, "{row:?} lives on");
            // It ends when the node does.
            stream.set_read_timeout(Some(PATIENCE)).expect("a positive time");
            let _ = stream.read(&mut [0]);
        }
    }
}

fn what_the_environment_says_to_the_cluster_is_not_for_its_nodes(on: &'static Runtime) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("{}-cluster.yaml", on.name));
    fs::write(&file, "nodes: 2\n").expect("the folder is there");
    let mut command = on.command();
    command.env("PICO_CONFIG", &file).env("PICO_GOSSIP_ADVERTISE_ADDR", "192.0.2.1:8004");
    let mut local = Local::start_as(command, &[]);
    // Each has heard of the other.
    for node in 1..=2 {
        assert_eq!(local.row(node).says, "ready");
    }
    local.tell("kill 2");
    local.wait_for(1, "dead  node-2");
}
