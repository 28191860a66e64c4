//! What a node tells operators, and how it gathers it from its workers (`spec/admin.md`).

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod server;

use pico_core::host::Port;
use pico_core::id::Boot;
use pico_core::note::Note;
use pico_core::rpc::Word;
use pico_core::server::Settings;
use pico_core::{Limits, Machine as _, Reason};
use pico_sim::scrape;
use serde_json::Value;
use server::{Agent, Rig, data};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

fn rig(workers: u16) -> Rig {
    let write = Some(pico_shell::admin::write as pico_core::server::status::Write);
    Rig::with(
        workers,
        Settings { write, node_id: "n1".into(), boot: Boot(1), ..Settings::default() },
    )
}

/// What the admin port of a worker answers: the head, and the body behind it.
fn ask_at(rig: &mut Rig, worker: usize, port: Port, request: &str) -> (String, String) {
    let at = rig.accept(worker, port);
    rig.receive(at, format!("{request}\r\nHost: n\r\n\r\n").as_bytes());
    let text = rig.text(at);
    text.split_once("\r\n\r\n").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap_or_default()
}

fn get(rig: &mut Rig, path: &str) -> (String, String) {
    ask_at(rig, 0, Port::Admin, &format!("GET {path} HTTP/1.1"))
}

/// The answer, which is a good one.
fn json(rig: &mut Rig, path: &str) -> Value {
    let (head, body) = get(rig, path);
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{path}: {head}\n{body}");
    assert!(head.contains("content-type: application/json"), "{head}");
    serde_json::from_str(&body).unwrap()
}

/// The stable code of the answer, which is a refusal with this status.
fn refused(rig: &mut Rig, path: &str, status: u16) -> String {
    let (head, body) = get(rig, path);
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {head}");
    let body: Value = serde_json::from_str(&body).unwrap();
    body["code"].as_str().unwrap().to_owned()
}

/// The samples of a scrape, by what stands before their value.
fn scrape(rig: &mut Rig) -> BTreeMap<String, u64> {
    let (head, body) = get(rig, "/metrics");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    scrape::samples(&body)
}

const GET: &str = "GET /p HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\n\r\n";

#[test]
fn what_all_workers_counted_adds_up_wherever_it_is_asked() {
    let mut rig = rig(3);
    let mut agent = Agent::online(&mut rig, 2, "a");
    for worker in [0, 1, 1] {
        let client = rig.ask(worker, GET);
        let (stream, _) = agent.called(&mut rig);
        agent.respond(&mut rig, stream, &[("Content-Length", "2")], false);
        agent.say(&mut rig, stream, data(b"yo", true));
        assert!(rig.text(client).starts_with("HTTP/1.1 200"));
    }
    rig.ask(1, "GET /p HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: none\r\n\r\n");
    let open = rig.ask(0, GET);
    agent.called(&mut rig);
    let seen = scrape(&mut rig);
    let of = |name: &str| seen.get(name).copied().unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(of("pico_requests_accepted_total"), 5);
    assert_eq!(of("pico_requests_answered_total"), 3);
    assert_eq!(of("pico_requests_failed_total{code=\"no_upstream\"}"), 1);
    assert_eq!(of("pico_requests_in_flight"), 1);
    assert_eq!(of("pico_responses_total{status=\"200\"}"), 3);
    assert_eq!(of("pico_responses_total{status=\"502\"}"), 1);
    assert_eq!(of("pico_response_body_bytes_total"), 6 + rig_body());
    assert_eq!(of("pico_tunnels"), 1);
    assert_eq!(of("pico_streams{via=\"tunnel\"}"), 1);
    assert_eq!(of("pico_calls_total{via=\"tunnel\"}"), 4);
    assert_eq!(of("pico_connections{port=\"proxy\"}"), 5);
    assert_eq!(of("pico_request_duration_seconds_count"), 4);
    assert_eq!((of("pico_workers"), of("pico_workers_silent"), of("pico_ready")), (3, 0, 1));
    rig.lose(open);
    let seen = scrape(&mut rig);
    assert_eq!(seen["pico_requests_in_flight"], 0);
    assert_eq!(seen["pico_requests_failed_total{code=\"canceled\"}"], 1);
}

/// Bytes of the answer to a request for an endpoint that nobody serves: its ID is as long as all.
fn rig_body() -> u64 {
    let mut rig = rig(1);
    let client = rig.ask(0, "GET /p HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: none\r\n\r\n");
    rig.text(client).split_once("\r\n\r\n").map_or(0, |(_, body)| body.len() as u64)
}

#[test]
fn a_worker_that_does_not_answer_holds_a_scrape_up_for_a_second_and_no_counter_falls() {
    let mut rig = rig(2);
    rig.ask(1, "GET /p HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: none\r\n\r\n");
    assert_eq!(scrape(&mut rig)["pico_requests_accepted_total"], 1);
    rig.deaf.insert(1);
    rig.ask(0, "GET /p HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: none\r\n\r\n");
    let at = rig.accept(0, Port::Admin);
    rig.receive(at, b"GET /metrics HTTP/1.1\r\nHost: n\r\n\r\n");
    assert_eq!(rig.text(at), "");
    let tunnels = rig.accept(0, Port::Admin);
    rig.receive(tunnels, b"GET /status/tunnels HTTP/1.1\r\nHost: n\r\n\r\n");
    rig.pass(Limits::default().status_timeout * 2);
    let text = rig.text(at);
    assert!(text.contains("pico_workers_silent 1\n"), "{text}");
    assert!(text.contains("pico_requests_accepted_total 2\n"), "{text}");
    assert!(rig.text(tunnels).contains("\"complete\": false"));
}

#[test]
fn a_node_that_does_not_answer_is_a_504_in_time() {
    let mut rig = rig(1);
    rig.deaf.insert(1);
    let at = rig.accept(0, Port::Admin);
    rig.receive(at, b"GET /status/gossip HTTP/1.1\r\nHost: n\r\n\r\n");
    assert_eq!(rig.text(at), "");
    rig.pass(Limits::default().status_timeout * 2);
    let text = rig.text(at);
    assert!(text.starts_with("HTTP/1.1 504 ") && text.contains("node_timeout"), "{text}");
    assert!(rig.workers[0].deadline().is_none_or(|at| at > rig.now), "nothing is left to wait for");
}

#[test]
fn tunnels_are_listed_in_pieces_over_all_workers() {
    let mut rig = rig(2);
    let names = ["b", "a", "c", "a", "d"];
    let agents: Vec<Agent> =
        names.iter().enumerate().map(|(at, name)| Agent::online(&mut rig, at % 2, name)).collect();
    let mut seen = Vec::new();
    let mut path = "/status/tunnels?limit=2".to_owned();
    for _ in 0..5 {
        let piece = json(&mut rig, &path);
        assert_eq!((&piece["total"], &piece["complete"]), (&5.into(), &true.into()));
        for tunnel in piece["tunnels"].as_array().unwrap() {
            seen.push(tunnel["endpoint"].as_str().unwrap().to_owned());
        }
        match piece["next"].as_str() {
            Some(next) => path = format!("/status/tunnels?limit=2&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["a", "a", "b", "c", "d"]);
    drop(agents);
}

#[test]
fn a_tunnel_says_who_holds_it_and_what_is_under_way() {
    let mut rig = rig(2);
    let mut agent = Agent::online(&mut rig, 1, "a");
    rig.ask(0, GET);
    agent.called(&mut rig);
    let list = json(&mut rig, "/status/tunnels");
    let tunnel = &list["tunnels"][0];
    assert_eq!((&tunnel["endpoint"], &tunnel["worker"]), (&"a".into(), &1.into()));
    assert_eq!((&tunnel["calls"], &tunnel["peer"]), (&1.into(), &"192.0.2.7:5".into()));
}

#[test]
fn endpoints_are_listed_in_the_order_of_their_names_in_pieces() {
    let mut rig = rig(2);
    let names: Vec<String> = (0..7).map(|at| format!("e{at}")).collect();
    let agents: Vec<Agent> = names.iter().map(|name| Agent::online(&mut rig, 0, name)).collect();
    let first = json(&mut rig, "/status/endpoints?limit=4");
    assert_eq!((&first["total"], &first["next"]), (&7.into(), &"e3".into()));
    let rest = json(&mut rig, "/status/endpoints?limit=4&after=e3");
    assert_eq!(rest["next"], Value::Null);
    let of = |list: &Value| -> Vec<String> {
        let rows = list["endpoints"].as_array().unwrap().iter();
        rows.map(|row| row["endpoint"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!([of(&first), of(&rest)].concat(), names);
    let one = json(&mut rig, "/status/endpoints/E0");
    assert_eq!((&one["endpoint"], &one["upstreams"]), (&"e0".into(), &1.into()));
    assert_eq!(
        (&one["places"][0]["node"], &one["places"][0]["this"]),
        (&"n1".into(), &true.into())
    );
    assert_eq!(refused(&mut rig, "/status/endpoints/nobody", 404), "not_found");
    drop(agents);
}

#[test]
fn what_cannot_be_answered_has_its_code() {
    let mut rig = rig(1);
    assert_eq!(refused(&mut rig, "/status/nodes?limit=5000", 400), "invalid_query");
    assert_eq!(refused(&mut rig, "/status/nodes?node=n9", 404), "unknown_node");
    assert_eq!(refused(&mut rig, "/status/endpoints/%20", 400), "invalid_endpoint");
    assert_eq!(refused(&mut rig, "/status", 404), "not_found");
    let own = json(&mut rig, "/status/nodes?node=n1");
    assert_eq!((&own["node"], &own["nodes"][0]["this"]), (&"n1".into(), &true.into()));
    let (head, body) = ask_at(&mut rig, 0, Port::Admin, "DELETE /status/nodes HTTP/1.1");
    assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("allow: GET, HEAD"), "{head}");
    assert!(body.contains("method_not_allowed"), "{body}");
}

#[test]
fn head_is_get_without_the_body() {
    let mut rig = rig(2);
    for path in ["/", "/metrics", "/status/nodes", "/openapi.json", "/health"] {
        let length = |head: &str| {
            let line = head.lines().find(|line| line.starts_with("content-length: "));
            line.map_or_else(|| panic!("no length: {head}"), str::to_owned)
        };
        let (head, body) = ask_at(&mut rig, 0, Port::Admin, &format!("HEAD {path} HTTP/1.1"));
        assert!(head.starts_with("HTTP/1.1 200 OK") && body.is_empty(), "{path}: {head}{body}");
        if path != "/metrics" {
            assert_eq!(length(&head), length(&get(&mut rig, path).0));
        }
    }
}

#[test]
fn two_questions_at_once_on_one_connection_are_answered_in_order() {
    let mut rig = rig(2);
    let at = rig.accept(0, Port::Admin);
    rig.receive(
        at,
        b"GET /status/gossip HTTP/1.1\r\nHost: n\r\n\r\nGET /health HTTP/1.1\r\nHost: n\r\n\r\n",
    );
    let text = rig.text(at);
    let (first, second) = (text.find("\"ready\": true"), text.find("ok\n"));
    assert!(first.is_some() && first < second, "{text}");
}

#[test]
fn another_node_is_answered_at_the_gossip_port_and_of_this_node_alone() {
    let mut rig = rig(2);
    let _agent = Agent::online(&mut rig, 1, "a");
    let ask = |rig: &mut Rig, path: &str| {
        ask_at(rig, 0, Port::Gossip, &format!("GET /pico/v1{path} HTTP/1.1"))
    };
    let (head, body) = ask(&mut rig, "/status/tunnels");
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    let list: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&list["node"], &list["total"]), (&"n1".into(), &1.into()));
    for (path, status) in [
        ("/status/tunnels?node=n1", 400),
        ("/status/tunnels?limit=x", 400),
        ("/status/none", 404),
        ("/metrics", 404),
    ] {
        let (head, _) = ask(&mut rig, path);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {head}");
    }
    let (head, _) = ask_at(&mut rig, 0, Port::Admin, "GET /pico/v1/status/nodes HTTP/1.1");
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
}

#[test]
fn a_second_try_and_used_up_credit_are_counted() {
    let mut rig = rig(1);
    let mut agents = [Agent::online(&mut rig, 0, "a"), Agent::online(&mut rig, 0, "a")];
    let post = "PUT /p HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\nContent-Length: 65539\r\n\r\n";
    let client = rig.ask(0, post);
    let called = |rig: &mut Rig, agents: &mut [Agent; 2]| {
        for agent in agents.iter_mut() {
            agent.pump(rig);
        }
        let at = agents.iter().position(|agent| !agent.called.is_empty()).unwrap();
        (at, agents[at].called.pop_front().unwrap().0)
    };
    let (first, stream) = called(&mut rig, &mut agents);
    agents[first].reset(&mut rig, stream, false);
    let (second, stream) = called(&mut rig, &mut agents);
    assert_ne!(first, second);
    // As much as the agent takes at first, and then the rest.
    rig.receive(client, &"x".repeat(65_536).into_bytes());
    agents[second].pump(&mut rig);
    agents[second].say(&mut rig, stream, Word::Credit(65_536));
    rig.receive(client, b"end");
    agents[second].pump(&mut rig);
    agents[second].respond(&mut rig, stream, &[("Content-Length", "0")], true);
    let seen = scrape(&mut rig);
    assert_eq!(seen["pico_retries_total"], 1);
    assert_eq!(seen["pico_requests_answered_total"], 1);
    assert_eq!(seen["pico_credit_stalls_total"], 1);
}

#[test]
fn a_flood_of_strangers_is_a_line_for_each_port_and_reason_and_what_is_not_told_is_counted() {
    let limits = Limits { connections: 100, ..Limits::default() };
    let settings = Settings { limits: Arc::new(limits), ..Settings::default() };
    let mut rig = Rig::with(1, settings);
    let flood = |rig: &mut Rig| {
        for port in [Port::Upstream, Port::Gossip] {
            for _ in 0..20 {
                let at = rig.accept(0, port);
                rig.receive(at, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
                rig.eof(at);
            }
        }
        // Nobody hides behind that who is refused for another reason.
        let at = rig.accept(0, Port::Upstream);
        rig.receive(at, b"nonsense\r\n\r\n");
        rig.eof(at);
        for _ in 0..170 {
            rig.accept(0, Port::Proxy);
        }
    };
    let told = |rig: &mut Rig| -> Vec<(Port, Reason, u64)> {
        let refused = |note| {
            let Note::Refused { port, reason, suppressed, .. } = note else { return None };
            Some((port, reason, suppressed))
        };
        std::mem::take(&mut rig.notes).into_iter().filter_map(refused).collect()
    };
    flood(&mut rig);
    let first = told(&mut rig);
    let expected = [
        (Port::Upstream, Reason::NotFound, 0),
        (Port::Gossip, Reason::NotFound, 0),
        (Port::Upstream, Reason::BadRequest, 0),
        (Port::Proxy, Reason::Overloaded, 0),
    ];
    assert_eq!(first, expected);
    rig.pass(Duration::from_secs(10));
    flood(&mut rig);
    let second: Vec<u64> = told(&mut rig).into_iter().map(|(_, _, untold)| untold).collect();
    assert_eq!(second[..3], [19, 19, 0]);
    assert!(second.len() == 4 && second[3] > 0, "{second:?}");
}
