//! Peers that fall silent, services that go and come, and agents that are told to end or are
//! pointed at the wrong port.
#![cfg(unix)]

use pico_core::Instant;
use pico_shell::clock::Clock;
use pico_sim::e2e::{
    Agent, Client, Load, PATIENCE, Pace, Pair, Process, Relay, Server, Service, behind_time,
    dead_address,
};
use std::io;
use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

pico_sim::on_each_pair!(
    a_tunnel_that_falls_silent_is_missed_by_both_sides,
    a_link_that_falls_silent_is_missed_and_replaced,
    an_agent_that_stands_still_is_missed_and_comes_back,
    a_node_that_stands_still_is_missed_and_found_again,
    a_local_port_that_dies_is_a_502_until_it_is_back,
    an_agent_that_is_killed_under_load_costs_what_may_not_run_twice_and_nothing_else,
    an_agent_that_is_told_to_end_under_load_loses_nothing_and_counts,
    a_node_that_is_told_to_end_under_load_loses_nothing_and_counts,
    an_agent_that_lacks_descriptors_says_so_to_whom_it_concerns_and_recovers,
    an_agent_at_the_port_for_clients_is_told_so,
);

fn a_tunnel_that_falls_silent_is_missed_by_both_sides(on: Pair) {
    let service = Service::start("far");
    let mut server = Server::start(on.server, &["--upstream.heartbeat", "1s"]);
    let relay = Relay::start(server.upstream);
    let url = format!("http://{}", relay.address);
    let args = ["agent", "http", "a", &service.target(), "--connect.url", &url];
    let mut agent = on.agent.run(&[&args[..], &["--connect.heartbeat", "1s"]].concat());
    wait_until(&mut agent, " online ");
    let mut client = server.client();
    client.head("POST", "/hang/on", "a", "content-length: 0\r\n");
    assert_eq!(service.arrival(), "/hang/on");

    relay.fall_silent();
    let got = client.response("POST");
    assert_eq!((got.status, got.code()), (502, "upstream_lost".to_owned()));
    server.process.wait_for("word of the loss", |line| {
        (line.contains("upstream gone") && line.contains("heartbeat_timeout")).then_some(())
    });
    wait_until(&mut agent, " offline ");
    service.hung_up();
    wait_until(&mut agent, " online ");
    assert_eq!(client.call("GET", "/", "a", "").text(), "far");
    assert_eq!(service.requests(), 2, "nothing was made twice");
}

fn a_link_that_falls_silent_is_missed_and_replaced(on: Pair) {
    let service = Service::start("far");
    let gossip = dead_address();
    let relay = Relay::start(gossip);
    let (by, gossip) = (relay.address.to_string(), gossip.to_string());
    // Streams come by the relay, and so does all gossip: it takes no datagrams.
    let args = ["--gossip.advertise-addr", &by, "--upstream.heartbeat", "1s"];
    let far = Server::start_at(on.server, &gossip, &args);
    let args = ["--cluster.join", &gossip, "--upstream.heartbeat", "1s"];
    let near = Server::start(on.server, &args);
    let _agent = Agent::start(on.agent, &far, "a", &service.target());
    let mut client = near.client();
    answered(&mut client, "far");
    client.head("POST", "/hang/on", "a", "content-length: 0\r\n");
    while service.arrival() != "/hang/on" {}

    relay.fall_silent();
    let got = client.response("POST");
    assert_eq!((got.status, got.code()), (502, "upstream_lost".to_owned()));
    service.hung_up();
    answered(&mut client, "far");
    assert_eq!(service.arrival(), "/", "the call that was lost was not made again");
}

fn an_agent_that_stands_still_is_missed_and_comes_back(on: Pair) {
    let (still, other) = (Service::start("still"), Service::start("other"));
    let server = Server::start(on.server, &["--upstream.heartbeat", "1s"]);
    let mut agent = Agent::start(on.agent, &server, "a", &still.target());
    let mut client = server.client();
    client.head("POST", "/hang/on", "a", "content-length: 0\r\n");
    assert_eq!(still.arrival(), "/hang/on");
    let second = Agent::start(on.agent, &server, "a", &other.target());
    agent.process.pause();
    let got = client.response("POST");
    assert_eq!((got.status, got.code()), (502, "upstream_lost".to_owned()));
    for _ in 0..20 {
        assert_eq!(client.call("POST", "/", "a", "abc").text(), "other");
    }
    agent.process.resume();
    agent.wait_until_online();
    drop(second);
    answered(&mut client, "still");
    assert_eq!(other.requests(), 20);
}

fn a_node_that_stands_still_is_missed_and_found_again(on: Pair) {
    let service = Service::start("patient");
    let server = Server::start(on.server, &[]);
    let url = format!("http://{}", server.upstream);
    let args = ["agent", "http", "a", &service.target(), "--connect.url", &url];
    let mut agent = on.agent.run(&[&args[..], &["--connect.heartbeat", "1s"]].concat());
    wait_until(&mut agent, " online ");
    server.process.pause();
    wait_until(&mut agent, " offline ");
    server.process.resume();
    wait_until(&mut agent, " online ");
    answered(&mut server.client(), "patient");
}

fn a_local_port_that_dies_is_a_502_until_it_is_back(on: Pair) {
    let address = dead_address();
    let server = Server::start(on.server, &[]);
    let agent = Agent::start(on.agent, &server, "a", &address.to_string());
    let mut client = server.client();
    for _ in 0..3 {
        for method in ["GET", "POST"] {
            let got = client.call(method, "/", "a", "");
            assert_eq!((got.status, got.code()), (502, "service_unreachable".to_owned()));
        }
        let back = TcpListener::bind(address).expect("it is free again");
        let answer = thread::spawn(move || {
            let (mut stream, _) = back.accept().expect("somebody comes");
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nback";
            io::Read::read(&mut stream, &mut [0; 4096]).expect("a request");
            io::Write::write_all(&mut stream, answer).expect("it is taken");
        });
        assert_eq!(client.call("POST", "/", "a", "").text(), "back");
        answer.join().expect("no panic");
    }
    agent.process.terminate();
    let said = agent.process.wait().stdout;
    let outage = |line: &&String| behind_time(line).is_some_and(|it| it.starts_with("Service "));
    let outages = said.iter().filter(outage).count();
    assert_eq!(outages, 3, "each outage is said once: {said:?}");
}

fn an_agent_that_is_killed_under_load_costs_what_may_not_run_twice_and_nothing_else(on: Pair) {
    let (dies, stays) = (Service::start("dies"), Service::start("stays"));
    let server = Server::start(on.server, &[]);
    let _other = Agent::start(on.agent, &server, "a", &stays.target());
    for method in ["GET", "POST"] {
        let mut agent = Agent::start(on.agent, &server, "a", &dies.target());
        let before = dies.requests() + stays.requests();
        let pace = Pace { per_second: 200, clients: 8, method };
        let load = Load::start(server.proxy, "a", &["dies", "stays"], pace);
        load.wait_for_more(50);
        agent.process.kill();
        load.wait_for_more(50);
        let tally = load.stop();
        let told = |failed: &String| failed.starts_with("502 ") && failed.contains("upstream_lost");
        assert!(tally.failed.iter().all(told), "{:?}", tally.failed);
        let ran = dies.requests() + stays.requests() - before;
        if method == "GET" {
            assert!(tally.failed.is_empty(), "{:?}", tally.failed);
        } else {
            // At most one of each client was under way, and none has run twice.
            assert!(tally.failed.len() <= 8, "{:?}", tally.failed);
            let most = tally.answered + tally.failed.len();
            assert!((tally.answered..=most).contains(&ran), "{ran} {tally:?}");
        }
    }
}

fn an_agent_that_is_told_to_end_under_load_loses_nothing_and_counts(on: Pair) {
    let (ends, stays) = (Service::start("ends"), Service::start("stays"));
    let server = Server::start(on.server, &[]);
    let agent = Agent::start(on.agent, &server, "a", &ends.target());
    let _other = Agent::start(on.agent, &server, "a", &stays.target());
    let pace = Pace { per_second: 200, clients: 8, method: "POST" };
    let load = Load::start(server.proxy, "a", &["ends", "stays"], pace);
    load.wait_for_more(50);
    agent.process.terminate();
    let ended = agent.process.wait();
    load.wait_for_more(50);
    let tally = load.stop();
    assert!(tally.failed.is_empty(), "{:?}", tally.failed);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let mut said = ended.stdout.iter().filter_map(|line| behind_time(line));
    let mut told = |what: &str| said.any(|said| said.starts_with(what));
    assert!(told("Stopping ") && told("Stopped    0 requests cut off"), "{ended:?}");
    // Each answer has been one request at one service.
    assert_eq!(ends.requests() + stays.requests(), tally.answered);
}

fn a_node_that_is_told_to_end_under_load_loses_nothing_and_counts(on: Pair) {
    let (gone, there) = (Service::start("gone"), Service::start("there"));
    let ends = Server::start(on.server, &["--drain-delay", "2s"]);
    let join = ends.gossip.to_string();
    let [stays, entry] = [(); 2].map(|()| Server::start(on.server, &["--cluster.join", &join]));
    let _first = Agent::start(on.agent, &ends, "a", &gone.target());
    let _second = Agent::start(on.agent, &stays, "a", &there.target());
    for name in ["gone", "there"] {
        answered(&mut entry.client(), name);
    }
    let before = gone.requests() + there.requests();
    let pace = Pace { per_second: 200, clients: 8, method: "POST" };
    let load = Load::start(entry.proxy, "a", &["gone", "there"], pace);
    load.wait_for_more(50);
    ends.process.terminate();
    let ended = ends.process.wait();
    load.wait_for_more(50);
    let tally = load.stop();
    assert!(tally.failed.is_empty(), "{:?}", tally.failed);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let told = |what: &str| ended.stderr.iter().any(|line| line.contains(what));
    assert!(told("\"draining\"") && told("\"drained\"") && told("\"cut\":0"), "{ended:?}");
    assert_eq!(gone.requests() + there.requests() - before, tally.answered);
}

fn an_agent_that_lacks_descriptors_says_so_to_whom_it_concerns_and_recovers(on: Pair) {
    let service = Service::start("one");
    let server = Server::start(on.server, &[]);
    let script = format!(
        "ulimit -n 48; exec {} agent http a {} --connect.url http://{}",
        on.agent.path().display(),
        service.target(),
        server.upstream
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script]).env("NO_COLOR", "1");
    let mut agent = Process::start("agent", &mut command);
    wait_until(&mut agent, " online ");
    let (sender, failures) = channel();
    let writers: Vec<_> = (0..CROWD)
        .map(|_| {
            let mut client = server.client();
            client.head("GET", "/hang/on", "a", "");
            let (writer, sender) = (client.writer(), sender.clone());
            thread::spawn(move || {
                let got = client.response("GET");
                // Nobody needs to listen any more.
                let _ = sender.send((got.status, got.code()));
            });
            writer
        })
        .collect();
    let (clock, mut failed) = (Clock::start(), 0);
    while failed + service.requests() < CROWD {
        assert!(clock.now() < Instant::ZERO + PATIENCE, "{failed} {}", service.requests());
        if let Ok(got) = failures.recv_timeout(Duration::from_millis(10)) {
            assert_eq!(got, (502, "service_unreachable".to_owned()));
            failed += 1;
        }
    }
    assert!(failed > 0 && service.requests() > 0, "some have found a place, and some have not");
    for writer in writers {
        // One that was refused is closed.
        let _ = writer.shutdown(std::net::Shutdown::Both);
    }
    answered(&mut server.client(), "one");
}

fn an_agent_at_the_port_for_clients_is_told_so(on: Pair) {
    let server = Server::start(on.server, &[]);
    let url = format!("http://{}", server.proxy);
    let agent = on.agent.run(&["agent", "http", "a", "1", "--connect.url", &url]);
    let ended = agent.wait();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let hint = "this port is for clients, agents connect to the upstream port";
    assert!(ended.stdout.iter().any(|line| line.contains(hint)), "{ended:?}");
    let url = format!("http://{}", server.admin);
    let mut agent = on.agent.run(&["agent", "http", "a", "1", "--connect.url", &url]);
    wait_until(&mut agent, "the server answered 404; is this its upstream port?");
}

/// Asks until the service of this name answers.
fn answered(client: &mut Client, name: &str) {
    let clock = Clock::start();
    while client.call("GET", "/", "a", "").text() != name {
        assert!(clock.now() < Instant::ZERO + PATIENCE, "{name} does not answer");
    }
}

fn wait_until(process: &mut Process, word: &str) {
    process.wait_for_next(word, |line| line.contains(word).then_some(()));
}

/// More calls than an agent has descriptors for.
const CROWD: usize = 80;
