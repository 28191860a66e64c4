//! Names that fail, that come to stand for something else, and that have addresses of both
//! families: in a process whose list of hosts is the test's.
#![cfg(target_os = "linux")]

use pico_core::Instant;
use pico_shell::clock::Clock;
use pico_sim::e2e::{Client, PATIENCE, Pair, Process, Runtime, Server, Service, skip_without};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

pico_sim::on_each_pair!(
    an_agent_finds_a_server_whose_name_fails_and_changes,
    a_service_whose_name_fails_and_changes_is_found,
    of_addresses_of_both_families_one_that_answers_is_taken,
);

pico_sim::on_each_runtime!(
    a_node_joins_by_a_name_that_failed_at_first,
    a_node_joins_by_a_service_that_failed_at_first,
);

fn an_agent_finds_a_server_whose_name_fails_and_changes(on: Pair) {
    let Some(hosts) = Hosts::new(&format!("{}-{}-server", on.server.name, on.agent.name)) else {
        return;
    };
    let service = Service::start("one");
    let server = Server::start(on.server, &[]);
    let url = format!("http://pico.test:{}", server.upstream.port());
    let args = ["agent", "http", "a", &service.target(), "--connect.url", &url];
    let mut agent = hosts.run(on.agent, &args);
    wait_until(&mut agent, " offline ");
    // Nobody listens there.
    hosts.say("127.0.0.99 pico.test\n");
    wait_until(&mut agent, "connection refused");
    hosts.say("127.0.0.1 pico.test\n");
    wait_until(&mut agent, " online ");
    answered(&mut server.client(), "one");
}

fn a_service_whose_name_fails_and_changes_is_found(on: Pair) {
    let Some(hosts) = Hosts::new(&format!("{}-{}-service", on.server.name, on.agent.name)) else {
        return;
    };
    let port = serve("127.0.0.1:0", "old").port();
    serve(&format!("127.0.0.98:{port}"), "new");
    let server = Server::start(on.server, &[]);
    let (url, to) = (format!("http://{}", server.upstream), format!("service.test:{port}"));
    let mut agent = hosts.run(on.agent, &["agent", "http", "a", &to, "--connect.url", &url]);
    wait_until(&mut agent, " online ");
    let mut client = server.client();
    for method in ["GET", "POST"] {
        let got = client.call(method, "/", "a", "");
        assert_eq!((got.status, got.code()), (502, "service_unreachable".to_owned()));
    }
    // A dead address is as good as none, and neither is kept for long.
    hosts.say("127.0.0.99 service.test\n");
    assert_eq!(client.call("GET", "/", "a", "").status, 502);
    hosts.say("127.0.0.1 service.test\n");
    answered(&mut client, "old");
    assert_eq!(client.call("DELETE", "/", "a", "").text(), "old");
    hosts.say("127.0.0.98 service.test\n");
    answered(&mut client, "new");
}

fn of_addresses_of_both_families_one_that_answers_is_taken(on: Pair) {
    let Some(hosts) = Hosts::new(&format!("{}-{}-both", on.server.name, on.agent.name)) else {
        return;
    };
    if TcpListener::bind("[::1]:0").is_err() {
        return skip_without("IPv6");
    }
    hosts.say("::1 both.test\n127.0.0.1 both.test\n");
    let ports = ["proxy", "admin", "gossip"].map(|port| format!("--{port}.bind-addr"));
    for (server_at, service_at) in [("127.0.0.1:0", "[::1]:0"), ("[::1]:0", "127.0.0.1:0")] {
        let service = serve(service_at, "both");
        let mut args = vec!["server", "--upstream.bind-addr", server_at];
        args.extend(ports.iter().flat_map(|port| [port.as_str(), "127.0.0.1:0"]));
        let mut server = on.server.run(&args);
        let url = format!("http://both.test:{}", port(&mut server, "upstream").port());
        let to = format!("both.test:{}", service.port());
        let mut agent = hosts.run(on.agent, &["agent", "http", "a", &to, "--connect.url", &url]);
        wait_until(&mut agent, " online ");
        let mut client = Client::connect(port(&mut server, "proxy"));
        for _ in 0..3 {
            assert_eq!(client.call("POST", "/", "a", "abc").text(), "both");
        }
    }
}

fn a_node_joins_by_a_name_that_failed_at_first(on: &'static Runtime) {
    let Some(hosts) = Hosts::new(&format!("{}-join", on.name)) else { return };
    let service = Service::start("one");
    let first = Server::start(on, &[]);
    let join = format!("nodes.test:{}", first.gossip.port());
    let ports = ["proxy", "upstream", "admin", "gossip"].map(|port| format!("--{port}.bind-addr"));
    let mut args = vec!["server", "--cluster.join", &join, "--cluster.join-timeout", "1s"];
    args.extend(ports.iter().flat_map(|port| [port.as_str(), "127.0.0.1:0"]));
    let mut second = hosts.run(on, &args);
    let proxy = port(&mut second, "proxy");
    wait_until(&mut second, "alone");
    let _agent = pico_sim::e2e::Agent::start(on, &first, "a", &service.target());
    hosts.say("127.0.0.1 nodes.test\n");
    answered(&mut Client::connect(proxy), "one");
}

/// Its SRV records are asked of a name server of the test's.
fn a_node_joins_by_a_service_that_failed_at_first(on: &'static Runtime) {
    let Some(hosts) = Hosts::new(&format!("{}-srv", on.name)) else { return };
    let ip = if on.name == "tokio" { "127.0.0.95" } else { "127.0.0.96" };
    let Some(ports) = name_server(ip) else { return };
    hosts.say("127.0.0.1 node.test\n");
    let service = Service::start("one");
    let first = Server::start(on, &[]);
    let mut args = vec!["server", "--cluster.join", "_pico._tcp.test"];
    args.extend(["--cluster.join-timeout", "1s"]);
    let flags = ["proxy", "upstream", "admin", "gossip"].map(|port| format!("--{port}.bind-addr"));
    args.extend(flags.iter().flat_map(|port| [port.as_str(), "127.0.0.1:0"]));
    let mut second = hosts.run_asking(ip, on, &args);
    let proxy = port(&mut second, "proxy");
    wait_until(&mut second, "alone");
    let _agent = pico_sim::e2e::Agent::start(on, &first, "a", &service.target());
    // At one of both nobody is.
    let dead = pico_sim::e2e::dead_address().port();
    *ports.lock().expect("no panic") = vec![dead, first.gossip.port()];
    answered(&mut Client::connect(proxy), "one");
}

/// A name server that says of every service that it is at `node.test`, at these ports, and of
/// every name if there are none that it does not exist; nothing, if this machine does not let us
/// have one.
fn name_server(ip: &str) -> Option<Arc<Mutex<Vec<u16>>>> {
    let Ok(socket) = UdpSocket::bind((ip, 53)) else {
        skip_without("port 53");
        return None;
    };
    let ports: Arc<Mutex<Vec<u16>>> = Arc::default();
    let known = Arc::clone(&ports);
    thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((count, from)) = socket.recv_from(&mut buffer) {
            let query = &buffer[..count];
            // The question is a name, which ends in a zero, a type and a class.
            let name = query[12..].iter().position(|byte| *byte == 0).unwrap_or(0);
            let question = &query[12..12 + name + 5];
            let is_service = question.ends_with(&[0, 33, 0, 1]);
            let ports = known.lock().expect("no panic").clone();
            let ports: &[u16] = if is_service { &ports } else { &[] };
            let mut answer = query[..2].to_vec();
            let code = if is_service && !ports.is_empty() { 0 } else { 3 };
            answer.extend([0x81, 0x80 | code, 0, 1, 0, u8::try_from(ports.len()).expect("few")]);
            answer.extend([0; 4]);
            answer.extend(question);
            for port in ports {
                // Its name is that of the question, its type SRV, its class IN, and it is good
                // for a second; then come 17 bytes: priority, weight, port and target.
                answer.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 1, 0, 17, 0, 0, 0, 0]);
                answer.extend(port.to_be_bytes());
                answer.extend(b"\x04node\x04test\0");
            }
            let _ = socket.send_to(&answer, from);
        }
    });
    Some(ports)
}

/// What hosts stand in a list of a process's own.
struct Hosts(PathBuf);

impl Hosts {
    /// An empty list; nothing, if this machine does not let us have one.
    fn new(name: &str) -> Option<Self> {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.hosts"));
        fs::write(&file, "").expect("a file can be written");
        let able = Command::new("unshare").args(["-rm", "true"]).status();
        if able.is_ok_and(|status| status.success()) {
            return Some(Self(file));
        }
        skip_without("namespaces");
        None
    }

    /// Says what the names stand for from now on.
    fn say(&self, text: &str) {
        fs::write(&self.0, text).expect("a file can be written");
    }

    /// Runs `pico` with this list, and without a server for other names.
    fn run(&self, on: &Runtime, args: &[&str]) -> Process {
        self.run_asking("127.0.0.97", on, args)
    }

    /// The same with a name server there.
    fn run_asking(&self, server: &str, on: &Runtime, args: &[&str]) -> Process {
        let servers = self.0.with_extension("conf");
        fs::write(&servers, format!("nameserver {server}\n")).expect("a file can be written");
        let script = "mount --bind $1 /etc/hosts && mount --bind $2 /etc/resolv.conf && \
                      shift 2 && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", script, "sh"]).arg(&self.0).arg(servers).arg(on.path());
        command.args(args).env("NO_COLOR", "1").env_remove("RUST_LOG");
        Process::start(&args.join(" "), &mut command)
    }
}

/// A service that says its name to each who comes, and then ends if it is asked to.
fn serve(at: &str, name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind(at).expect("a port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let length = name.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close");
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            // Its body, if it has one, is three bytes.
            while !request.ends_with(b"\r\n\r\n") && !request.ends_with(b"abc") {
                match stream.read(&mut buffer) {
                    Ok(count) if count > 0 => request.extend_from_slice(&buffer[..count]),
                    _ => break,
                }
            }
            let _ = stream.write_all(format!("{head}\r\n\r\n{name}").as_bytes());
            if request.starts_with(b"DELETE ") {
                return;
            }
        }
    });
    address
}

/// The address of a port, from the log.
fn port(server: &mut Process, name: &str) -> SocketAddr {
    server.wait_for("its port", |line| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        let address = event["address"].as_str()?.parse().ok()?;
        (event["port"] == name).then_some(address)
    })
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
