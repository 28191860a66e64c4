//! How a link opens, or does not (`spec/link.md`).

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod server;

use http::Method;
use pico_core::Limits;
use pico_core::head::{Fields, RequestHead};
use pico_core::host::Port;
use pico_core::id::Boot;
use pico_core::note::{Note, Why};
use pico_core::reason::Reason;
use pico_core::server::Settings;
use pico_core::ws;
use server::{Agent, At, Cluster, Rig, boot};
use std::time::Duration;

const WS: &str = "Host: n\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: pico.rpc.v1\r\n";

const NODE: &str = "X-Pico-Node: 00000000000000ff\r\n";

fn rig(own: Boot) -> Rig {
    Rig::with(1, Settings { boot: own, ..Settings::default() })
}

/// What a node with this boot answers to a request on this port.
fn answer(own: Boot, port: Port, request: &str) -> String {
    let mut rig = rig(own);
    let at = rig.accept(0, port);
    rig.receive(at, request.as_bytes());
    rig.text(at)
}

#[test]
fn a_node_agrees_to_a_link_and_says_which_run_of_it_this_is() {
    let request = format!("GET /pico/v1/node HTTP/1.1\r\n{WS}{NODE}\r\n");
    let text = answer(Boot(0xabc), Port::Gossip, &request);
    let head = text.split_once("\r\n\r\n").map(|(head, _)| head.to_owned()).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("x-pico-node: 0000000000000abc"), "{head}");
    assert!(head.contains("Sec-WebSocket-Protocol: pico.rpc.v1"), "{head}");
}

#[test]
fn whatever_does_not_ask_for_a_link_as_it_should_is_refused() {
    let get = |path: &str, fields: &str| format!("GET {path} HTTP/1.1\r\n{fields}\r\n");
    let node = "/pico/v1/node";
    let named = |boot: &str| get(node, &format!("{WS}X-Pico-Node: {boot}\r\n"));
    let good = format!("{WS}{NODE}");
    let cases = [
        (Port::Gossip, get("/", &good), 404),
        (Port::Gossip, get("/pico/v1/listener/a", &good), 404),
        (Port::Gossip, get("/pico/v1/node/", &good), 404),
        (Port::Upstream, get(node, &good), 404),
        (Port::Gossip, get(node, WS), 400),
        (Port::Gossip, get(node, &format!("{WS}{NODE}{NODE}")), 400),
        (Port::Gossip, named("0000000000000000"), 400),
        (Port::Gossip, named("00000000000000FF"), 400),
        (Port::Gossip, named("ff"), 400),
        (Port::Gossip, named("+0000000000000ff"), 400),
        (Port::Gossip, get(node, &good).replace("GET", "POST"), 405),
        (Port::Gossip, get(node, &good.replace("pico.rpc.v1", "chat")), 426),
        (Port::Gossip, get(node, &good.replace("Connection: upgrade\r\n", "")), 426),
    ];
    for (port, request, status) in cases {
        let text = answer(Boot(1), port, &request);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{text}");
    }
    let alone = answer(Boot(0), Port::Gossip, &get(node, &good));
    assert!(alone.starts_with("HTTP/1.1 404 "), "{alone}");
}

#[test]
fn a_node_that_drains_takes_links_until_it_stops_taking_clients() {
    let request = format!("GET /pico/v1/node HTTP/1.1\r\n{WS}{NODE}\r\n");
    let mut rig = rig(Boot(1));
    let mut agent = Agent::online(&mut rig, 0, "a");
    rig.ask(0, "GET /p HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\n\r\n");
    agent.called(&mut rig);
    rig.drain();
    let early = rig.accept(0, Port::Gossip);
    rig.receive(early, request.as_bytes());
    assert!(rig.text(early).starts_with("HTTP/1.1 101 "));
    rig.pass(Settings::default().drain_delay);
    let late = rig.accept(0, Port::Gossip);
    rig.receive(late, request.as_bytes());
    let text = rig.text(late);
    assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("\"draining\""), "{text}");
}

/// A node whose client waits for a link that has just been connected, and what it asked there.
fn dialing() -> (Cluster, (usize, At), At, String) {
    let mut c = Cluster::new(&[1, 1]);
    c.route(0, "a", 1);
    c.mute.insert(1);
    let client = c.ask(0, 0, "GET /p HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\n\r\n");
    let (_, at) = c.waiting[0];
    c.nodes[0].dialed(at, true);
    let asked = c.nodes[0].text(at);
    (c, client, at, asked)
}

/// The link that is dialled for the second try, and what is asked there.
fn dialing_again(c: &mut Cluster) -> (At, String) {
    c.settle();
    let [_, (_, at)] = c.waiting[..] else { panic!("{:?}", c.waiting) };
    c.nodes[0].dialed(at, true);
    let asked = c.nodes[0].text(at);
    (at, asked)
}

/// What agrees to that, but for the boot.
fn agreed(asked: &str) -> String {
    let mut fields = Fields::new();
    for (name, value) in asked.lines().filter_map(|line| line.split_once(": ")) {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    let head = RequestHead::new(Method::GET, b"/", fields);
    let answer = ws::handshake::respond(&head).expect("a handshake");
    let mut text = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n".to_owned();
    for (name, value) in answer.fields.iter() {
        let [name, value] = [name, value].map(String::from_utf8_lossy);
        text.extend([&name, ": ", &value, "\r\n"]);
    }
    text
}

#[test]
fn a_dialler_asks_as_it_should() {
    let (_, _, _, asked) = dialing();
    assert!(asked.starts_with("GET /pico/v1/node HTTP/1.1\r\nHost: 10.0.0.1:8004\r\n"), "{asked}");
    assert!(asked.to_lowercase().contains("x-pico-node: 0000000000000001\r\n"), "{asked}");
    assert!(asked.contains("Sec-WebSocket-Protocol: pico.rpc.v1\r\n"), "{asked}");
}

#[test]
fn an_answer_that_is_not_that_of_the_node_closes_the_link_and_starts_no_call() {
    let boots = [
        "",
        "X-Pico-Node: 0000000000000009\r\n",
        "X-Pico-Node: 0000000000000002\r\nX-Pico-Node: 0000000000000002\r\n",
        "X-Pico-Node: 2\r\n",
    ];
    for named in boots {
        let (mut c, client, at, asked) = dialing();
        c.nodes[0].receive(at, format!("{}{named}\r\n", agreed(&asked)).as_bytes());
        let text = c.text(client);
        assert!(text.contains("\"no_upstream\""), "{named}: {text}");
        assert!(c.nodes[0].closed.contains(&at) && c.nodes[0].text(at).is_empty(), "{named}");
        assert_eq!(c.nodes[0].lost, [boot(1)]);
        c.rest();
    }
    let refusals =
        ["HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 404 No\r\n\r\n", "what\r\n\r\n"];
    for refusal in refusals {
        let (mut c, client, first, _) = dialing();
        c.nodes[0].receive(first, refusal.as_bytes());
        assert_eq!(c.text(client), "", "nobody else serves it, so the node is asked once more");
        let (second, _) = dialing_again(&mut c);
        c.nodes[0].receive(second, refusal.as_bytes());
        assert!(c.text(client).contains("\"no_upstream\""), "{refusal}");
        assert!([first, second].iter().all(|at| c.nodes[0].closed.contains(at)));
        assert_eq!(c.dials, 2);
        c.rest();
    }
}

#[test]
fn a_node_that_agrees_and_then_says_nothing_has_as_long_as_one_that_says_nothing_at_all() {
    let (mut c, client, at, asked) = dialing();
    let named = "X-Pico-Node: 0000000000000002\r\n\r\n";
    c.nodes[0].receive(at, format!("{}{named}", agreed(&asked)).as_bytes());
    assert!(!c.nodes[0].closed.contains(&at));
    c.pass(Limits::default().link_timeout);
    assert!(c.nodes[0].closed.contains(&at));
    assert_eq!(c.nodes[0].lost, [boot(1)]);
    let (again, asked) = dialing_again(&mut c);
    c.nodes[0].receive(again, format!("{}{named}", agreed(&asked)).as_bytes());
    assert_eq!(c.text(client), "");
    c.pass(Limits::default().link_timeout);
    assert!(c.text(client).contains("\"no_upstream\""));
    assert!(c.nodes[0].closed.contains(&again));
    assert_eq!(c.dials, 2);
    c.rest();
}

#[test]
fn a_node_that_is_far_away_has_as_long_as_it_is_far() {
    let limit = Limits::default().link_timeout;
    let mut c = Cluster::new(&[1, 1]);
    c.route(0, "a", 1);
    c.mute.insert(1);
    let get = "GET /p HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\n\r\n";
    let client = c.ask(0, 0, get);
    let (_, at) = c.waiting[0];
    // A round trip, after which its system has answered.
    let trip = limit * 4 / 10;
    c.pass(trip);
    c.nodes[0].dialed(at, true);
    let asked = c.nodes[0].text(at);
    c.pass(trip * 5);
    assert!(!c.nodes[0].closed.contains(&at), "that may be a packet that got lost");
    let named = "X-Pico-Node: 0000000000000002\r\n\r\n";
    c.nodes[0].receive(at, format!("{}{named}", agreed(&asked)).as_bytes());
    c.pass(trip.saturating_sub(Duration::from_millis(1)));
    assert!(!c.nodes[0].closed.contains(&at));
    c.pass(Duration::from_millis(1));
    assert!(c.nodes[0].closed.contains(&at), "there is an end to it");
    assert_eq!(c.text(client), "", "nobody else serves it, so it is tried once more");
    let told = |note: &&Note| matches!(note, Note::LinkDown { .. });
    let why = Some(Why::Reason(Reason::NodeTimeout));
    let told: Vec<&Note> = c.nodes[0].notes.iter().filter(told).collect();
    assert_eq!(told, [&Note::LinkDown { node: "n1".into(), why }]);
    // One that has not answered is not waited for so long.
    c.pass(limit);
    assert!(c.text(client).contains("\"no_upstream\""));
    c.rest();
}
