//! How a node stops: in good order, in time, and without losing what is under way.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod server;

use pico_core::host::Port;
use pico_core::note::Note;
use pico_core::server::Settings;
use pico_core::{Limits, Reason};
use server::{Agent, Rig};
use std::time::Duration;

const GET: &str = "GET /p HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\n\r\n";

fn delay() -> Duration {
    Settings::default().drain_delay
}

/// A little before so much has passed.
fn just_before(span: Duration) -> Duration {
    span.saturating_sub(Duration::from_millis(1))
}

/// Lets time pass while an agent answers its pings.
fn pass(rig: &mut Rig, agent: &mut Agent, span: Duration) {
    let step = Limits::default().heartbeat / 2;
    let mut left = span;
    while !left.is_zero() {
        let some = left.min(step);
        left -= some;
        rig.pass(some);
        agent.pump(rig);
    }
}

#[test]
fn new_requests_are_served_until_the_delay_is_over() {
    let mut rig = Rig::new(2);
    let mut agent = Agent::online(&mut rig, 0, "a");
    rig.drain();
    agent.pump(&mut rig);
    assert!(agent.peer_drains, "agents are told at once");
    rig.pass(just_before(delay()));
    agent.pump(&mut rig);
    let client = rig.ask(1, GET);
    let (stream, _) = agent.called(&mut rig);
    agent.respond(&mut rig, stream, &[], true);
    let text = rig.text(client);
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert!(text.contains("Connection: close\r\n"), "the next one is to go elsewhere: {text}");
    let idle = rig.accept(1, Port::Proxy);
    rig.pass(Duration::from_millis(1) + Limits::default().linger_timeout);
    assert!(rig.closed.contains(&idle) || rig.finished.contains(&idle), "now nobody is served");
}

#[test]
fn an_admin_port_says_at_once_that_the_node_is_not_ready() {
    let mut rig = Rig::new(2);
    let ready = "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n";
    for (drained, status) in [(false, "200"), (true, "503")] {
        if drained {
            rig.drain();
        }
        let admin = rig.accept(1, Port::Admin);
        rig.receive(admin, ready.as_bytes());
        let text = rig.text(admin);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
    }
}

#[test]
fn a_drain_waits_for_the_calls_of_every_worker_and_then_ends() {
    let mut rig = Rig::new(3);
    let mut agent = Agent::online(&mut rig, 0, "a");
    let clients = [rig.ask(1, GET), rig.ask(2, GET)];
    let calls = [agent.called(&mut rig).0, agent.called(&mut rig).0];
    rig.drain();
    assert!(rig.notes.contains(&Note::Draining { calls: 2 }));
    pass(&mut rig, &mut agent, delay() * 4);
    for (client, stream) in clients.into_iter().zip(calls) {
        assert!(!rig.is_done(), "a call is under way");
        assert_eq!(agent.closed, None, "its tunnel stands");
        agent.respond(&mut rig, stream, &[], true);
        let text = rig.text(client);
        assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("Connection: close"), "{text}");
        rig.eof(client);
    }
    agent.pump(&mut rig);
    rig.eof(agent.at);
    assert!(rig.is_done(), "without waiting for anything else");
    assert!(rig.notes.contains(&Note::Drained { cut: 0 }));
}

#[test]
fn who_was_waiting_to_be_accepted_is_served() {
    let mut rig = Rig::new(2);
    let mut agent = Agent::online(&mut rig, 0, "a");
    rig.crowded = true;
    rig.drain();
    pass(&mut rig, &mut agent, delay() * 2);
    assert!(!rig.is_done() && agent.closed.is_none(), "somebody may be waiting");
    let client = rig.ask(1, GET);
    let (stream, _) = agent.called(&mut rig);
    agent.respond(&mut rig, stream, &[], true);
    assert!(rig.text(client).starts_with("HTTP/1.1 200 "));
    rig.eof(client);
    rig.disperse();
    agent.pump(&mut rig);
    rig.eof(agent.at);
    assert!(rig.is_done());
}

#[test]
fn what_does_not_end_is_cut_when_patience_is_over() {
    // Shorter than a service may take to answer.
    let patience = Limits::default().response_timeout / 2;
    let mut rig = Rig::with(2, Settings { grace_period: patience, ..Settings::default() });
    let mut agent = Agent::online(&mut rig, 0, "a");
    let client = rig.ask(1, GET);
    let (stream, _) = agent.called(&mut rig);
    agent.respond(&mut rig, stream, &[], false);
    rig.ask(1, GET);
    agent.called(&mut rig);
    rig.drain();
    pass(&mut rig, &mut agent, just_before(patience));
    assert!(!rig.is_done());
    assert_eq!(agent.closed, None);
    assert!(!rig.closed.contains(&client));
    pass(&mut rig, &mut agent, Duration::from_secs(10));
    assert!(rig.is_done());
    assert!(rig.notes.contains(&Note::Drained { cut: 2 }), "{:?}", rig.notes);
    let told = rig.notes.iter().filter_map(|note| {
        let Note::Request(request) = note else { return None };
        Some((request.status, request.reason))
    });
    let mut told: Vec<_> = told.collect();
    told.sort_unstable_by_key(|(status, _)| *status);
    let cut = [(200, Some(Reason::UpstreamLost)), (503, Some(Reason::Draining))];
    assert_eq!(told, cut, "each has its line");
}

#[test]
fn a_tunnel_that_opens_during_a_drain_is_refused_or_told() {
    let mut rig = Rig::new(1);
    rig.drain();
    let late = rig.accept(0, Port::Upstream);
    let ask = "GET /pico/v1/listener/a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Protocol: pico.rpc.v1\r\n\r\n";
    rig.receive(late, ask.as_bytes());
    let text = rig.text(late);
    assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("\"draining\""), "{text}");
}

#[test]
fn a_drain_without_anybody_ends_when_its_delay_does() {
    let mut rig = Rig::new(2);
    rig.drain();
    rig.pass(just_before(delay()));
    assert!(!rig.is_done());
    rig.pass(Duration::from_millis(1));
    assert!(rig.is_done());
}

#[test]
fn from_the_beginning_of_a_drain_clients_are_told_to_ask_again_elsewhere() {
    let mut rig = Rig::new(1);
    let mut agent = Agent::online(&mut rig, 0, "a");
    let (idle, asking) = (rig.accept(0, Port::Proxy), rig.ask(0, GET));
    let (stream, _) = agent.called(&mut rig);
    rig.drain();
    agent.respond(&mut rig, stream, &[], true);
    let text = rig.text(asking);
    assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("Connection: close\r\n"), "{text}");
    assert!(!rig.finished.contains(&idle), "who is idle has not heard of it");
    // It is still served, and told.
    rig.receive(idle, GET.as_bytes());
    let (stream, _) = agent.called(&mut rig);
    agent.respond(&mut rig, stream, &[], true);
    assert!(rig.text(idle).contains("Connection: close\r\n"));
}
