//! What a worker does when some of its agents should move.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod server;

use pico_core::host::{Address, Port};
use pico_core::id::WorkerId;
use pico_core::rpc;
use pico_core::server::Letter;
use server::{Agent, Rig};

const GET: &str = "GET /p HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\n\r\n";

fn shed(rig: &mut Rig, agents: &mut [Agent], count: u64) -> usize {
    rig.write_to(Address::Worker(WorkerId(0)), Letter::Shed(count));
    for agent in agents.iter_mut() {
        agent.pump(rig);
    }
    agents.iter().filter(|agent| agent.peer_drains).count()
}

#[test]
fn as_many_are_asked_as_should_move_and_each_only_once() {
    let mut rig = Rig::new(1);
    rig.accept(0, Port::Upstream);
    let mut agents: Vec<_> = (0..5).map(|_| Agent::online(&mut rig, 0, "a")).collect();
    assert_eq!(shed(&mut rig, &mut agents, 0), 0);
    assert_eq!(shed(&mut rig, &mut agents, 2), 2);
    assert_eq!(shed(&mut rig, &mut agents, 1), 3);
    assert_eq!(shed(&mut rig, &mut agents, 9), 5, "no more than there are");
    assert_eq!(shed(&mut rig, &mut agents, 9), 5, "and then nobody");
    assert!(agents.iter().all(|agent| agent.closed.is_none()));
}

#[test]
fn one_that_was_asked_is_served_until_it_drains_and_then_no_more() {
    let mut rig = Rig::new(1);
    let mut agents = vec![Agent::online(&mut rig, 0, "a")];
    assert_eq!(shed(&mut rig, &mut agents, 1), 1);
    let client = rig.ask(0, GET);
    let (stream, _) = agents[0].called(&mut rig);
    agents[0].tell(&mut rig, rpc::Input::Drain);
    let refused = rig.ask(0, GET);
    assert!(rig.text(refused).starts_with("HTTP/1.1 502 "), "it has gone elsewhere");
    agents[0].respond(&mut rig, stream, &[], true);
    assert!(rig.text(client).starts_with("HTTP/1.1 200 "), "what was under way is served");
}

#[test]
fn a_node_that_drains_asks_nobody_twice() {
    let mut rig = Rig::new(1);
    let mut agents = vec![Agent::online(&mut rig, 0, "a"), Agent::online(&mut rig, 0, "a")];
    assert_eq!(shed(&mut rig, &mut agents, 1), 1);
    rig.drain();
    assert_eq!(shed(&mut rig, &mut agents, 1), 2, "the drain has asked the other one");
    assert!(agents.iter().all(|agent| agent.closed.is_none()), "and broke no rule");
}
