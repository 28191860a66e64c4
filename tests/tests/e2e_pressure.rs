//! Peers that stop reading, and too many of them: what they keep waiting, and what that costs. And
//! addresses of the other family.
#![cfg(unix)]

use pico_sim::e2e::{Agent, Client, Pair, Pattern, Process, Server, Service, skip_without};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::process::Command;
use std::thread;

pico_sim::on_each_pair!(
    a_client_that_stops_reading_holds_up_nobody_and_fills_no_memory,
    a_service_that_stops_reading_holds_up_nobody_and_fills_no_memory,
    a_node_that_lacks_descriptors_goes_on_with_those_it_has_and_recovers,
    all_goes_over_ipv6_as_well,
);

/// Far more than all windows and sockets on the way hold together.
const HUGE: u64 = 1_000_000_000;
/// What one stalled call may cost a process, its window of 16 MiB included.
const ROOM_KIB: u64 = 48 * 1024;

fn a_client_that_stops_reading_holds_up_nobody_and_fills_no_memory(on: Pair) {
    let service = Service::start("bulk");
    let server = Server::start(on.server, &[]);
    let agent = Agent::start(on.agent, &server, "bulk", &service.target());
    let before = [&server.process, &agent.process].map(peak_kib);
    let mut stalled = server.client();
    stalled.head("GET", &format!("/bytes/{HUGE}"), "bulk", "");
    assert_eq!(stalled.response_head().word(1), "200");
    others_go_on(&server, "bulk", "bulk");
    within(&before, [&server.process, &agent.process]);
}

fn a_service_that_stops_reading_holds_up_nobody_and_fills_no_memory(on: Pair) {
    let service = Service::start("small");
    // It takes connections and nothing else.
    let deaf = TcpListener::bind("127.0.0.1:0").expect("a port");
    let deaf_at = deaf.local_addr().expect("it is bound").to_string();
    let server = Server::start(on.server, &[]);
    let file = format!("{}/{}-{}-pressure.yaml", TMP, on.server.name, on.agent.name);
    let text = format!(
        "connect.url: http://{}\nlisteners:\n  - {{endpoint: small, addr: \"{}\"}}\n  \
         - {{endpoint: deaf, addr: \"{deaf_at}\"}}\n",
        server.upstream,
        service.target()
    );
    std::fs::write(&file, text).expect("a file can be written");
    let mut agent = on.agent.run(&["agent", "start", "--config", &file]);
    for endpoint in ["small", "deaf"] {
        let online = format!("{endpoint} online");
        agent.wait_for("word that it is online", |line| line.contains(&online).then_some(()));
    }
    let before = [&server.process, &agent].map(peak_kib);
    let mut stalled = server.client();
    stalled.head("PUT", "/", "deaf", &format!("content-length: {HUGE}\r\n"));
    let mut writer = stalled.writer();
    let sending = thread::spawn(move || io::copy(&mut Pattern::new(HUGE), &mut writer));
    let (held, _) = deaf.accept().expect("the agent connects");
    others_go_on(&server, "small", "small");
    within(&before, [&server.process, &agent]);
    drop(held);
    // What is left of the request is broken off, and its client hears of it.
    let end = sending.join().expect("no panic");
    assert!(end.is_err() || stalled.response("PUT").status == 502);
}

fn a_node_that_lacks_descriptors_goes_on_with_those_it_has_and_recovers(on: Pair) {
    let service = Service::start("one");
    let pico = on.server.path();
    let ports = ["proxy", "upstream", "admin", "gossip"]
        .map(|port| format!("--{port}.bind-addr 127.0.0.1:0"))
        .join(" ");
    let script =
        format!("ulimit -n 100; exec {} server --workers 1 {ports}", pico.to_string_lossy());
    let mut server = Process::start("server", Command::new("sh").args(["-c", &script]));
    let (proxy, upstream) = (port(&mut server, "proxy"), port(&mut server, "upstream"));
    let _agent = Agent::towards(on.agent, upstream, "web", &service.target());
    let mut client = Client::connect(proxy);
    assert_eq!(client.call("GET", "/", "web", "").text(), "one");
    // The system takes them, and keeps for the node those that it has no descriptors for.
    let crowd: Vec<Client> = (0..200).map(|_| Client::connect(proxy)).collect();
    for _ in 0..100 {
        assert_eq!(client.call("GET", "/", "web", "").text(), "one");
    }
    let said = |line: &str| line.contains("connections wait").then_some(());
    server.wait_for("that descriptors are lacking", said);
    drop(crowd);
    assert_eq!(Client::connect(proxy).call("GET", "/", "web", "").text(), "one");
}

fn all_goes_over_ipv6_as_well(on: Pair) {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        return skip_without("IPv6");
    };
    let service = listener.local_addr().expect("it is bound").to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nsix";
            let _ = io::Read::read(&mut stream, &mut [0; 4096])
                .and_then(|_| io::Write::write_all(&mut stream, answer))
                .and_then(|()| stream.shutdown(Shutdown::Write));
        }
    });
    let ports = ["--proxy.bind-addr", "[::1]:0", "--upstream.bind-addr", "[::1]:0"];
    let rest = ["--admin.bind-addr", "[::1]:0", "--gossip.bind-addr", "[::1]:0"];
    let mut server = on.server.run(&[&["server"], &ports[..], &rest[..]].concat());
    let (proxy, upstream) = (port(&mut server, "proxy"), port(&mut server, "upstream"));
    let _agent = Agent::towards(on.agent, upstream, "six", &service);
    assert_eq!(Client::connect(proxy).call("GET", "/", "six", "").text(), "six");
}

/// A thousand calls of others on the same tunnels, each of which is answered.
fn others_go_on(server: &Server, endpoint: &str, answer: &str) {
    let proxy = server.proxy;
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let mut client = Client::connect(proxy);
                for _ in 0..50 {
                    assert_eq!(client.call("GET", "/", endpoint, "").text(), answer);
                }
            });
        }
    });
}

/// The address of a port, from the log.
fn port(server: &mut Process, name: &str) -> SocketAddr {
    server.wait_for("its port", |line| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        let address = event["address"].as_str()?.parse().ok()?;
        (event["port"] == name).then_some(address)
    })
}

/// Holds the processes to what one stalled call may cost them.
fn within(before: &[Option<u64>; 2], processes: [&Process; 2]) {
    for (before, process) in before.iter().zip(processes) {
        let (Some(before), Some(after)) = (before, peak_kib(process)) else { return };
        let grown = after.saturating_sub(*before);
        assert!(grown < ROOM_KIB, "it has grown by {grown} KiB");
    }
}

/// The most memory that a process has ever used, where the system tells.
fn peak_kib(process: &Process) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

const TMP: &str = env!("CARGO_TARGET_TMPDIR");
