//! Processes that start, fail to start, share, and die.

use pico_sim::e2e::{Agent, Client, Ended, Pair, Runtime, Server, Service, dead_address};
use pico_sim::table;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;

pico_sim::on_each_pair!(
    two_agents_of_one_endpoint_share_its_requests,
    the_calls_of_a_killed_agent_end_at_once_and_the_next_go_elsewhere,
    an_agent_dials_again_when_the_server_is_back,
    a_dead_local_port_is_a_502_and_not_the_end_of_the_agent,
    a_response_that_is_cut_does_not_look_complete,
    what_a_drain_cuts_has_its_line_in_the_log,
);

pico_sim::on_each_runtime!(
    a_port_in_use_is_one_line_and_status_2,
    an_unknown_configuration_key_is_refused_with_the_nearest_one,
    an_unknown_flag_or_command_is_a_usage_error,
    every_key_in_the_table_of_limits_is_in_the_help,
    help_and_version_are_not_errors,
);

fn two_agents_of_one_endpoint_share_its_requests(on: Pair) {
    let (one, two) = (Service::start("one"), Service::start("two"));
    let server = Server::start(on.server, &[]);
    let _agents = [&one, &two].map(|to| Agent::start(on.agent, &server, "shared", &to.target()));
    let mut counts = BTreeMap::<String, usize>::new();
    let mut client = server.client();
    for _ in 0..200 {
        let got = client.call("GET", "/", "shared", "");
        assert_eq!(got.status, 200);
        *counts.entry(got.text()).or_default() += 1;
    }
    assert_eq!(counts.values().sum::<usize>(), 200);
    // A fair coin falls below 50 of 200 about once in 10^13 times.
    assert!(counts.len() == 2 && counts.values().all(|count| *count >= 50), "{counts:?}");
}

fn the_calls_of_a_killed_agent_end_at_once_and_the_next_go_elsewhere(on: Pair) {
    let (dies, stays) = (Service::start("dies"), Service::start("stays"));
    let server = Server::start(on.server, &[]);
    let mut agent = Agent::start(on.agent, &server, "pair", &dies.target());
    // These can only be where the one agent is.
    let mut calls: Vec<Client> = (0..10)
        .map(|at| {
            let mut client = server.client();
            client.head("POST", &format!("/hang/{at}"), "pair", "content-length: 0\r\n");
            client
        })
        .collect();
    for _ in &calls {
        dies.arrival();
    }
    let _other = Agent::start(on.agent, &server, "pair", &stays.target());
    agent.process.kill();
    for call in &mut calls {
        // A time-out would be a 504.
        let got = call.response("POST");
        assert_eq!((got.status, got.code()), (502, "upstream_lost".to_owned()));
    }
    for _ in 0..20 {
        assert_eq!(server.client().call("GET", "/", "pair", "").text(), "stays");
    }
    assert_eq!(stays.requests(), 20, "none of the calls was made twice");
}

fn an_agent_dials_again_when_the_server_is_back(on: Pair) {
    let service = Service::start("patient");
    let server = Server::start(on.server, &[]);
    let (proxy, upstream) = (server.proxy.to_string(), server.upstream.to_string());
    let mut agent = Agent::start(on.agent, &server, "patient", &service.target());
    drop(server);
    let args = ["server", "--admin.bind-addr", "127.0.0.1:0", "--proxy.bind-addr", &proxy];
    let rest = ["--upstream.bind-addr", &upstream, "--gossip.bind-addr", "127.0.0.1:0"];
    let _again = on.server.run(&[&args[..], &rest].concat());
    agent.wait_until_online();
    let address = proxy.parse().expect("an address");
    assert_eq!(Client::connect(address).call("GET", "/", "patient", "").text(), "patient");
    agent.process.terminate();
    let ended = agent.process.wait();
    let told = |lines: &[String]| lines.iter().any(|line| line.contains("offline"));
    assert!(told(&ended.stdout), "{ended:?}");
    assert!(!told(&ended.stderr), "who sees both reads it once: {ended:?}");
}

fn what_a_drain_cuts_has_its_line_in_the_log(on: Pair) {
    let service = Service::start("slow");
    let server = Server::start(on.server, &["--drain-delay", "0s", "--grace-period", "1s"]);
    let _agent = Agent::start(on.agent, &server, "slow", &service.target());
    let mut client = server.client();
    client.head("POST", "/hang/1", "slow", "content-length: 0\r\n");
    service.arrival();
    server.process.terminate();
    let ended = server.process.wait();
    let line = |words: [&str; 2]| {
        ended.stderr.iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
    };
    assert_eq!(line(["\"message\":\"request\"", "\"path\":\"/hang/1\""]), 1, "{ended:?}");
    assert_eq!(line(["\"message\":\"drained\"", "\"cut\":1"]), 1, "{ended:?}");
}

fn a_dead_local_port_is_a_502_and_not_the_end_of_the_agent(on: Pair) {
    let server = Server::start(on.server, &[]);
    let agent = Agent::start(on.agent, &server, "dead", &dead_address().to_string());
    for _ in 0..3 {
        let got = server.client().call("GET", "/", "dead", "");
        assert_eq!((got.status, got.code()), (502, "service_unreachable".to_owned()));
    }
    agent.process.terminate();
    assert_eq!(agent.process.wait().status.code(), Some(0), "a signal is how an agent ends");
}

fn a_response_that_is_cut_does_not_look_complete(on: Pair) {
    let service = Service::start("cut");
    let server = Server::start(on.server, &[]);
    let mut agent = Agent::start(on.agent, &server, "cut", &service.target());
    let mut client = server.client();
    client.head("GET", "/events", "cut", "");
    let head = client.response_head();
    let mut body = client.body(&head, "GET");
    let mut first = [0; 11];
    std::io::Read::read_exact(&mut body, &mut first).expect("the first event");
    agent.process.kill();
    let rest = std::io::copy(&mut body, &mut std::io::sink());
    assert!(rest.is_err(), "the end is missing, and seen to be: {rest:?}");
}

fn a_port_in_use_is_one_line_and_status_2(on: &'static Runtime) {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a loopback port can be bound");
    let taken = holder.local_addr().expect("it is bound").to_string();
    for port in ["proxy", "upstream", "admin"] {
        let mut args = vec!["server".to_owned()];
        for other in ["proxy", "upstream", "admin"] {
            let address = if other == port { &taken } else { "127.0.0.1:0" };
            args.extend([format!("--{other}.bind-addr"), address.to_owned()]);
        }
        let ended = on.run(&args.iter().map(String::as_str).collect::<Vec<_>>()).wait();
        assert_eq!(ended.status.code(), Some(2), "{ended:?}");
        assert_eq!(complaint(&ended).len(), 1, "{ended:?}");
        assert!(complaint(&ended)[0].contains(&taken), "{ended:?}");
    }
}

fn an_unknown_configuration_key_is_refused_with_the_nearest_one(on: &'static Runtime) {
    let path =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("unknown-key-{}.yaml", on.name));
    std::fs::write(&path, "proxy:\n  bind-adr: 127.0.0.1:0\n").expect("a file can be written");
    let path = path.to_string_lossy();
    let ended = on.run(&["server", "--config", &path]).wait();
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    let said = complaint(&ended).join("\n");
    assert!(said.contains("bind-adr") && said.contains("bind-addr"), "{said}");
    assert!(said.contains('2'), "the line's number: {said}");
}

fn an_unknown_flag_or_command_is_a_usage_error(on: &'static Runtime) {
    for args in [&["server", "--proxy.bind-adr", "127.0.0.1:0"][..], &["serve"], &["agent", "http"]]
    {
        let ended = on.run(args).wait();
        assert_eq!(ended.status.code(), Some(2), "{ended:?}");
        assert!(!complaint(&ended).is_empty(), "{ended:?}");
    }
}

fn every_key_in_the_table_of_limits_is_in_the_help(on: &'static Runtime) {
    let help = |args: &[&str]| on.run(args).wait().stdout.join("\n");
    let help = help(&["server", "--help"]) + &help(&["agent", "http", "--help"]);
    for row in table::rows(&table::page("limits.md"), "limit") {
        for key in row[2].split(',').map(|key| key.trim().trim_matches('`')) {
            assert!(key == "-" || help.contains(&format!("--{key} ")), "{row:?}");
        }
    }
}

fn help_and_version_are_not_errors(on: &'static Runtime) {
    let help = on.run(&["--help"]).wait();
    assert_eq!(help.status.code(), Some(0));
    for word in ["server", "agent"] {
        assert!(help.stdout.iter().any(|line| line.contains(word)), "{help:?}");
    }
    let version = on.run(&["--version"]).wait();
    assert_eq!(version.status.code(), Some(0));
    assert!(version.stdout.join(" ").contains(on.name), "it names the runtime: {version:?}");
}

/// What a process said on its standard error, empty lines aside.
fn complaint(ended: &Ended) -> Vec<&str> {
    ended.stderr.iter().map(String::as_str).filter(|line| !line.is_empty()).collect()
}
