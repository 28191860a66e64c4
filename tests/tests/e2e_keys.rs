//! Nodes under keys, over real processes: requests that cross encrypted links, and those who do
//! not have the keys.

use pico_core::Instant;
use pico_shell::clock::Clock;
use pico_sim::e2e::{Agent, Client, PATIENCE, Pair, Pattern, Process, Runtime, Server, Service};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

pico_sim::on_each_pair!(
    requests_cross_encrypted_links,
    a_node_with_another_key_does_not_join_and_says_why,
    a_node_without_keys_does_not_join_one_that_has_some,
    keys_are_rotated_and_no_request_is_lost,
);

pico_sim::on_each_runtime!(who_does_not_have_the_keys_gets_no_word);

const ONE: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const TWO: &str = "0202020202020202020202020202020202020202020202020202020202020202";

/// A node that joins those at `join`, under these keys, and is ready.
fn node(runtime: &Runtime, id: &str, keys: &[&str], join: &[&Server]) -> Server {
    let mut server = start(runtime, id, keys, join);
    server.process.wait_for("readiness", |line| line.contains("ready").then_some(()));
    server
}

fn start(runtime: &Runtime, id: &str, keys: &[&str], join: &[&Server]) -> Server {
    let joins = join.iter().map(|server| server.gossip.to_string()).collect::<Vec<_>>().join(",");
    let mut args = vec!["--cluster.node-id", id, "--drain-delay", "1s"];
    if !join.is_empty() {
        args.extend(["--cluster.join", &joins]);
    }
    args.extend(keys.iter().flat_map(|key| ["--cluster.keys", key]));
    Server::start(runtime, &args)
}

/// Waits until a node knows who serves the endpoint.
fn wait_until_served(at: SocketAddr, endpoint: &str) {
    let (clock, mut client) = (Clock::start(), Client::connect(at));
    while client.call("GET", "/", endpoint, "").status != 200 {
        assert!(clock.now() < Instant::ZERO + PATIENCE, "nobody serves {endpoint}");
    }
}

/// Waits for word that somebody is not trusted, and why.
fn distrusts(process: &mut Process, why: &str) {
    process.wait_for(&format!("distrust because {why:?}"), |line| {
        (line.contains("not trusted") && line.contains(why)).then_some(())
    });
}

fn requests_cross_encrypted_links(on: Pair) {
    let service = Service::start("far");
    let first = node(on.server, "n1", &[ONE], &[]);
    let second = node(on.agent, "n2", &[ONE], &[&first]);
    let third = node(on.server, "n3", &[ONE, TWO], &[&second]);
    let _agent = Agent::start(on.agent, &first, "web", &service.target());
    for server in [&first, &second, &third] {
        wait_until_served(server.proxy, "web");
        let mut client = server.client();
        assert_eq!(client.call("GET", "/", "web", "").text(), "far");
        assert_eq!(client.call("POST", "/", "web", "12345").text(), "far");
        client.head("GET", "/bytes/5000000", "web", "");
        let head = client.response_head();
        assert_eq!(head.word(1), "200");
        let (mut got, mut meant) = (Vec::new(), Vec::new());
        client.body(&head, "GET").read_to_end(&mut got).expect("all of it");
        Pattern::new(5_000_000).read_to_end(&mut meant).expect("a pattern has no end too early");
        assert!(got == meant, "{} bytes came", got.len());
        let none = client.call("GET", "/", "nobody", "");
        assert_eq!((none.status, none.code()), (502, "no_upstream".into()));
    }
}

fn a_node_with_another_key_does_not_join_and_says_why(on: Pair) {
    let service = Service::start("secret");
    let mut first = node(on.server, "n1", &[ONE], &[]);
    let _agent = Agent::start(on.agent, &first, "web", &service.target());
    wait_until_served(first.proxy, "web");
    let mut other = start(on.agent, "n2", &[TWO], &[&first]);
    distrusts(&mut other.process, "it ended the handshake");
    distrusts(&mut first.process, "another cluster.keys or cluster.name");
    let got = other.client().call("GET", "/", "web", "");
    assert_eq!((got.status, got.code()), (502, "no_upstream".into()));
}

fn a_node_without_keys_does_not_join_one_that_has_some(on: Pair) {
    let service = Service::start("secret");
    let mut first = node(on.server, "n1", &[ONE], &[]);
    let _agent = Agent::start(on.agent, &first, "web", &service.target());
    wait_until_served(first.proxy, "web");
    let plain = start(on.agent, "n2", &[], &[&first]);
    distrusts(&mut first.process, "it speaks in the clear");
    let got = plain.client().call("GET", "/", "web", "");
    assert_eq!((got.status, got.code()), (502, "no_upstream".into()));
    // And the other way round.
    let mut keyed = start(on.server, "n3", &[ONE], &[&plain]);
    distrusts(&mut keyed.process, "it speaks in the clear");
    let got = keyed.client().call("GET", "/", "web", "");
    assert_eq!((got.status, got.code()), (502, "no_upstream".into()));
}

/// A node with its agent and service.
struct Post {
    server: Server,
    _agent: Agent,
    _service: Service,
}

fn post(runtime: &Runtime, id: &str, keys: &[&str], join: &[&Server]) -> Post {
    let service = Service::start("kept");
    let server = node(runtime, id, keys, join);
    let agent = Agent::start(runtime, &server, "web", &service.target());
    wait_until_served(server.proxy, "web");
    Post { server, _agent: agent, _service: service }
}

fn keys_are_rotated_and_no_request_is_lost(on: Pair) {
    let runtimes = [on.server, on.agent];
    let first = post(on.server, "n0", &[ONE], &[]);
    let second = post(on.agent, "n1", &[ONE], &[&first.server]);
    let target = Arc::new(Mutex::new(second.server.proxy));
    let (over, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load = {
        let (target, over, count) = (Arc::clone(&target), Arc::clone(&over), Arc::clone(&count));
        thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let at = *target.lock().expect("nobody panics with it");
                let got = Client::connect(at).call("POST", "/", "web", "abc");
                assert_eq!(got.status, 200, "{}", got.text());
                count.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let mut posts = [first, second];
    for keys in [&[ONE, TWO][..], &[TWO, ONE], &[TWO]] {
        for at in [0, 1] {
            // A node of the same name takes the place of the one that stops.
            let other = &posts[1 - at];
            let id = format!("n{at}-{}", keys.len() + 10 * count.load(Ordering::Relaxed));
            let next = post(runtimes[at], &id, keys, &[&other.server]);
            // Through the new one to either, and through the other to the new one.
            *target.lock().expect("nobody panics with it") = next.server.proxy;
            wait_until_served(other.server.proxy, "web");
            let before = count.load(Ordering::Relaxed);
            let old = std::mem::replace(&mut posts[at], next);
            old.server.process.terminate();
            let ended = old.server.process.wait();
            assert_eq!(ended.status.code(), Some(0), "{ended:?}");
            assert!(count.load(Ordering::Relaxed) > before);
        }
    }
    over.store(true, Ordering::Relaxed);
    load.join().expect("every request is answered");
    println!("{} requests", count.load(Ordering::Relaxed));
}

fn who_does_not_have_the_keys_gets_no_word(on: &'static Runtime) {
    let mut server = node(on, "n1", &[ONE], &[]);
    let gossip = server.gossip;
    let say = |words: &[u8]| {
        let mut stream = TcpStream::connect(gossip).expect("somebody listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket has a time-out");
        let _ = stream.write_all(words);
        let mut heard = Vec::new();
        // A reset or a FIN, whichever comes.
        let _ = stream.read_to_end(&mut heard);
        heard
    };
    assert_eq!(say(b"GET /pico/v1/node HTTP/1.1\r\nHost: x\r\n\r\n"), b"");
    distrusts(&mut server.process, "it speaks in the clear");
    assert_eq!(say(&[&[0, 48][..], &[7; 48]].concat()), b"");
    assert_eq!(say(&[0xff; 100]), b"");
    // Who says nothing is let go of too.
    assert_eq!(say(b""), b"");
    assert_eq!(say(&[0]), b"");
    let none = server.client().call("GET", "/", "web", "");
    assert_eq!((none.status, none.code()), (502, "no_upstream".into()));
}
