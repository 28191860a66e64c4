//! The admin port and `pico status`, over real processes.

use pico_core::Instant;
use pico_shell::clock::Clock;
use pico_sim::e2e::{Agent, Client, Ended, PATIENCE, Pair, Runtime, Server, Service, dead_address};
use pico_sim::{scrape, table};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;

pico_sim::on_each_pair!(
    a_scrape_of_a_node_has_every_metric_and_adds_up,
    a_node_asks_another_for_what_its_operator_wants_to_know,
    each_request_is_one_line_of_the_log_that_hides_what_may_be_secret,
);

pico_sim::on_each_runtime!(
    status_is_a_table_or_json_and_fits_eighty_columns,
    status_that_cannot_be_had_is_one_line_and_1_and_a_wrong_flag_is_2,
);

/// A node that joins those at `join`.
fn node(runtime: &Runtime, id: &str, join: &[&Server]) -> Server {
    let joins = join.iter().map(|server| server.gossip.to_string()).collect::<Vec<_>>().join(",");
    let mut args = vec!["--cluster.node-id", id, "--workers", "2"];
    if !join.is_empty() {
        args.extend(["--cluster.join", &joins]);
    }
    let mut server = Server::start(runtime, &args);
    server.process.wait_for("readiness", |line| line.contains("ready").then_some(()));
    server
}

fn get(at: SocketAddr, path: &str) -> (u16, String) {
    let got = Client::connect(at).call("GET", path, "-", "");
    (got.status, got.text())
}

fn json(at: SocketAddr, path: &str) -> Value {
    let (status, text) = get(at, path);
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
}

/// Asks until it holds.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let clock = Clock::start();
    while !holds() {
        assert!(clock.now() < Instant::ZERO + PATIENCE, "not in time: {what}");
    }
}

fn a_scrape_of_a_node_has_every_metric_and_adds_up(on: Pair) {
    let service = Service::start("one");
    let server = node(on.server, "n1", &[]);
    let _agent = Agent::start(on.agent, &server, "web", &service.target());
    for _ in 0..20 {
        assert_eq!(server.client().call("POST", "/", "web", "12345").status, 200);
    }
    for _ in 0..3 {
        assert_eq!(server.client().call("GET", "/", "nobody", "").status, 502);
    }
    let (status, text) = get(server.admin, "/metrics");
    assert_eq!(status, 200);
    let told: BTreeSet<String> = scrape::families(&text).into_iter().map(|f| f.name).collect();
    let page = table::page("metrics.md");
    let rows = table::rows(&page, "metric").into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(told, rows);
    assert!(text.contains(&format!("runtime=\"{}\"", on.server.name)), "{text}");
    // A response is over for its client a little before it is for the node.
    wait_until("all are over", || {
        let samples = scrape::samples(&get(server.admin, "/metrics").1);
        let sum = |name: &str| scrape::sum(&samples, name);
        let (accepted, answered) =
            (sum("pico_requests_accepted_total"), sum("pico_requests_answered_total"));
        let (failed, flying) = (sum("pico_requests_failed_total"), sum("pico_requests_in_flight"));
        assert_eq!(accepted, answered + failed + flying, "{samples:?}");
        assert_eq!(sum("pico_responses_total"), answered + failed);
        assert_eq!(sum("pico_workers_silent"), 0);
        // Somebody who looks for a node that had this port before may ask here too, and fail.
        answered == 20 && failed >= 3 && flying == 0
    });
    let samples = scrape::samples(&get(server.admin, "/metrics").1);
    assert_eq!(samples["pico_requests_failed_total{code=\"no_upstream\"}"], 3);
    assert_eq!(samples["pico_request_body_bytes_total"], 100);
    assert_eq!((samples["pico_tunnels"], samples["pico_endpoints"]), (1, 1));
    assert!(samples["pico_request_duration_seconds_count"] >= 23);
}

fn a_node_asks_another_for_what_its_operator_wants_to_know(on: Pair) {
    let service = Service::start("far");
    let mut first = node(on.server, "n1", &[]);
    let mut second = node(on.agent, "n2", &[&first]);
    let third = node(on.server, "n3", &[&second]);
    let _agent = Agent::start(on.agent, &second, "web", &service.target());
    for server in [&first, &second, &third] {
        wait_until("all know each other", || {
            let list = json(server.admin, "/status/nodes");
            list["nodes"].as_array().is_some_and(|nodes| {
                nodes.len() == 3 && nodes.iter().all(|node| node["state"] == "alive")
            })
        });
    }
    wait_until("all know the endpoint", || get(third.admin, "/status/endpoints/web").0 == 200);
    assert_eq!(third.client().call("GET", "/", "web", "").text(), "far");
    let tunnels = json(third.admin, "/status/tunnels?node=n2");
    assert_eq!((&tunnels["node"], &tunnels["total"]), (&"n2".into(), &1.into()));
    assert_eq!(tunnels["tunnels"][0]["endpoint"], "web");
    assert_eq!(json(third.admin, "/status/tunnels")["total"], 0);
    let nodes = json(third.admin, "/status/nodes");
    let far = nodes["nodes"].as_array().and_then(|nodes| nodes.iter().find(|n| n["id"] == "n2"));
    assert!(far.is_some_and(|far| far["links"]["up"].as_u64() > Some(0)), "{nodes}");
    for (id, at) in [("n1", &third), ("n3", &first), ("n1", &first)] {
        for what in ["nodes", "endpoints", "gossip"] {
            assert_eq!(json(at.admin, &format!("/status/{what}?node={id}"))["node"], id);
        }
    }
    let (status, text) = get(first.admin, "/status/nodes?node=n9");
    assert!(status == 404 && text.contains("unknown_node"), "{status} {text}");
    let (status, text) = get(first.admin, "/status/endpoints/none?node=n2");
    assert!(status == 404 && text.contains("not_found"), "{status} {text}");
    // Until it is held dead it cannot be reached, and then it is not known.
    second.process.kill();
    let (status, text) = get(first.admin, "/status/nodes?node=n2");
    let gone = (status, text.contains("node_unreachable"));
    assert!(gone == (502, true) || status == 404 || status == 504, "{status} {text}");
    let dead = |line: &str| line.contains("node is dead").then_some(());
    first.process.wait_for("word of its death", dead);
    // The worker that answers hears of it a little later than the log.
    wait_until("nobody knows it", || get(first.admin, "/status/nodes?node=n2").0 == 404);
}

fn each_request_is_one_line_of_the_log_that_hides_what_may_be_secret(on: Pair) {
    let service = Service::start("one");
    let mut server = node(on.server, "n1", &[]);
    let _agent = Agent::start(on.agent, &server, "web", &service.target());
    let mut client = server.client();
    client.head("POST", "/?key=hush", "web", "authorization: hush\r\ncontent-length: 5\r\n");
    client.send("hush!").expect("the server takes a body");
    assert_eq!(client.response("POST").text(), "one");
    client.call("GET", "/", "nobody", "");
    let tunnels = json(server.admin, "/status/tunnels");
    let event = |server: &mut Server, endpoint: &str| {
        server.process.wait_for("a request's line", |line| {
            let event: Value = serde_json::from_str(line).ok()?;
            (event["target"] == "request" && event["endpoint"] == endpoint).then_some(event)
        })
    };
    let good = event(&mut server, "web");
    assert_eq!((&good["method"], &good["path"]), (&"POST".into(), &"/".into()));
    assert_eq!((&good["status"], good.get("code")), (&200.into(), None));
    assert_eq!((&good["bytes_in"], &good["bytes_out"]), (&5.into(), &3.into()));
    let tunnel = tunnels["tunnels"][0]["id"].as_str().expect("it has an ID");
    assert_eq!(good["upstream"], format!("tunnel {tunnel}"), "{tunnels}");
    assert!(good["first_ms"].as_u64() <= good["took_ms"].as_u64(), "{good}");
    assert!(good["request_id"].as_str().is_some_and(|id| !id.is_empty()));
    let bad = event(&mut server, "nobody");
    assert_eq!((&bad["status"], &bad["code"]), (&502.into(), &"no_upstream".into()));
    assert_eq!(bad.get("upstream"), None);
    server.process.kill();
    let log = server.process.wait().stderr.concat();
    assert!(!log.contains("hush"), "{log}");
}

/// Runs `pico status` to its end.
fn status(on: &Runtime, at: SocketAddr, args: &[&str]) -> Ended {
    let url = format!("http://{at}");
    on.run(&[&["status"], args, &["--url", &url]].concat()).wait()
}

fn status_is_a_table_or_json_and_fits_eighty_columns(on: &'static Runtime) {
    let service = Service::start("one");
    let server = node(on, "n1", &[]);
    let _agent = Agent::start(on, &server, "web", &service.target());
    wait_until("it is known", || get(server.admin, "/status/endpoints/web").0 == 200);
    let cases: [(&[&str], &[&str]); 5] = [
        (&["nodes"], &["NODE", "n1*", "alive"]),
        (&["endpoints"], &["ENDPOINT", "web", "n1"]),
        (&["endpoints", "web"], &["NODE", "n1*", "alive"]),
        (&["tunnels"], &["ENDPOINT", "web", "CALLS"]),
        (&["gossip", "--node", "n1"], &["node", "n1", "ready"]),
    ];
    for (args, words) in cases {
        let ended = status(on, server.admin, args);
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        let text = ended.stdout.join("\n");
        assert!(words.iter().all(|word| text.contains(word)), "{args:?}: {text}");
        if args != ["tunnels"] {
            assert!(ended.stdout.iter().all(|line| line.chars().count() <= 80), "{text}");
        }
        let ended = status(on, server.admin, &[args, &["--json"]].concat());
        let read = serde_json::from_str::<Value>(&ended.stdout.join("\n"));
        assert!(read.is_ok_and(|answer| answer["node"] == "n1"), "{ended:?}");
    }
}

fn status_that_cannot_be_had_is_one_line_and_1_and_a_wrong_flag_is_2(on: &'static Runtime) {
    let server = node(on, "n1", &[]);
    let dead = dead_address();
    let cases: [(Ended, i32, &str); 7] = [
        (status(on, dead, &["nodes"]), 1, "connection refused"),
        (status(on, server.proxy, &["nodes"]), 1, "missing_endpoint"),
        (status(on, server.admin, &["nodes", "--node", "n9"]), 1, "unknown_node"),
        (status(on, server.admin, &["endpoints", "nobody"]), 1, "not_found"),
        (status(on, server.admin, &["nodes", "--limit", "0"]), 2, "--limit"),
        (status(on, server.admin, &["nodes", "--sorted"]), 2, "--sorted"),
        (on.run(&["status"]).wait(), 2, "expected"),
    ];
    for (ended, code, word) in cases {
        assert_eq!(ended.status.code(), Some(code), "{ended:?}");
        let lines: Vec<&String> = ended.stderr.iter().filter(|line| !line.is_empty()).collect();
        assert!(lines.len() == 1 && lines[0].contains(word), "{word}: {ended:?}");
        assert_eq!(ended.stdout.len(), 0, "{ended:?}");
    }
}
