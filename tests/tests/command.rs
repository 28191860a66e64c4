//! The program as a user meets it: its words, its exit codes, and a request through it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use pico_sim::e2e::{Pair, Runtime, behind_time};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::thread;

pico_sim::on_each_runtime!(
    what_is_wrong_is_one_line_and_exit_code_2,
    what_is_wrong_with_a_key_is_one_line_that_does_not_show_it,
    a_key_is_made_that_a_server_takes,
    each_port_in_use_is_one_line_and_they_are_exit_code_2,
    the_version_names_the_runtime_and_help_has_examples,
    a_log_that_nobody_reads_stops_nobody,
    a_node_that_lacks_descriptors_ends_and_says_so,
    an_agent_drains_though_its_first_worker_has_ended,
);

pico_sim::on_each_pair!(
    a_request_passes_from_a_client_to_a_service_and_both_processes_drain,
    a_node_that_drains_closes_its_ports_before_it_ends,
);

fn what_is_wrong_is_one_line_and_exit_code_2(on: &'static Runtime) {
    let file = file(on, "wrong.yaml", "proxy:\n  bind-addr: 127.0.0.1:0\n  timeout: {haed: 1s}\n");
    let file = file.to_str().unwrap();
    let near = format!(
        "pico: {file}:3:13: unknown key proxy.timeout.haed; did you mean proxy.timeout.head?\n"
    );
    let cases: &[(&[&str], &str)] = &[
        (&[], "pico: expected a command; see pico --help\n"),
        (&["server", "--config", file], &near),
        (&["server", "--proxy.tls.cert", "x"], NO_TLS),
        (&["server", "--cluster.join", "x"], NO_JOIN),
        (
            &["server", "--cluster.join", "http://10.0.0.1:8004"],
            "pico: --cluster.join: expected HOST:PORT, such as node-1:8004, \
             not \"http://10.0.0.1:8004\"\n",
        ),
        (
            &["server", "--gossip.advertise-addr", "0.0.0.0:8004"],
            "pico: --gossip.advertise-addr: expected an address like 10.0.0.1:8004, \
             not \"0.0.0.0:8004\"\n",
        ),
        (
            &["server", "--gossip.bind-addr", "0.0.0.0:0"],
            "pico: gossip.bind-addr: without cluster.keys what nodes say to each other is not \
             encrypted: give a key, bind it to loopback, not 0.0.0.0:0, or say cluster.insecure: \
             true if the network is private\n",
        ),
        (
            &["server", "--grace-period", "5"],
            "pico: --grace-period: expected a duration like 10s, 1m30s or 100ms, not \"5\"\n",
        ),
        (
            &["status"],
            "pico: expected nodes, endpoints, tunnels or gossip; see pico status --help\n",
        ),
        (
            &["agent", "http", "a b", "70000", "--workers", "0"],
            "pico: ENDPOINT: expected 1 to 128 letters, digits, '-', '.', '_' or '~', not \"a \
             b\"\npico: SERVICE: expected a port from 1 to 65535, not \"70000\"\n\
             pico: --workers: expected a number from 1 to 1024, not \"0\"\n",
        ),
        (
            &["agent", "start"],
            "pico: pico agent start needs --config FILE, which names listeners\n",
        ),
    ];
    for (arguments, told) in cases {
        let output = pico(on, arguments).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), *told, "{arguments:?}");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

fn what_is_wrong_with_a_key_is_one_line_that_does_not_show_it(on: &'static Runtime) {
    const SHORT: &str = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0";
    const KEY: &str = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=";
    let expected = "expected 32 bytes in base64 (44 characters) or in hexadecimal (64 digits)";
    let keys = file(on, "keys", &format!("# of the cluster\n{KEY}\n\n  {SHORT}\n"));
    let keys = keys.to_str().unwrap();
    let none = file(on, "no-keys", "# none\n");
    let none = none.to_str().unwrap();
    let yaml = file(on, "keys.yaml", &format!("cluster:\n  keys:\n    - {KEY}\n    - {SHORT}\n"));
    let yaml = yaml.to_str().unwrap();
    let many = [KEY; 9].join(",");
    let cases: &[(&[&str], String)] = &[
        (&["--cluster.keys", SHORT], format!("--cluster.keys: {expected}")),
        (&["--cluster.keys", &format!("{KEY},{SHORT}")], format!("--cluster.keys: {expected}")),
        (&["--config", yaml], format!("{yaml}:4:7: cluster.keys: {expected}")),
        (&["--cluster.keys-file", keys], format!("cluster.keys-file: {keys}:4: {expected}")),
        (&["--cluster.keys-file", none], format!("cluster.keys-file: there is no key in {none}")),
        (&["--cluster.keys", &many], "cluster.keys: expected at most 8 keys".into()),
        (
            &["--cluster.keys", KEY, KEY],
            "unexpected argument, which looks like a key; see pico server --help".into(),
        ),
    ];
    for (arguments, told) in cases {
        let output = pico(on, &["server"]).args(*arguments).output().unwrap();
        let seen = String::from_utf8_lossy(&output.stderr);
        assert_eq!(seen, format!("pico: {told}\n"), "{arguments:?}");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let mut help = pico(on, &["server", "--help"]);
    let help = help.env("PICO_CLUSTER_KEYS", SHORT).output().unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.contains("--cluster.keys-file") && !help.contains(SHORT), "{help}");
    let mut wrong = pico(on, &["server"]);
    let wrong = wrong.env("PICO_CLUSTER_KEYS", SHORT).output().unwrap();
    let told = format!("pico: PICO_CLUSTER_KEYS: {expected}\n");
    assert_eq!(String::from_utf8_lossy(&wrong.stderr), told);
}

fn a_key_is_made_that_a_server_takes(on: &'static Runtime) {
    let made = || {
        let output = pico(on, &["keygen"]).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    let (one, other) = (made(), made());
    assert_eq!(one.len(), 44);
    assert_ne!(one, other);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let keys = ["server", "--cluster.keys", &one, "--cluster.keys", &other];
    let rest = ["--gossip.bind-addr", "0.0.0.0:0", "--proxy.bind-addr", &address];
    let output = pico(on, &keys).args(rest).output().unwrap();
    // It came as far as its ports.
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.starts_with("pico: proxy.bind-addr: cannot listen at"), "{told}");
}

fn each_port_in_use_is_one_line_and_they_are_exit_code_2(on: &'static Runtime) {
    let taken = ["proxy", "admin"].map(|name| (name, TcpListener::bind("127.0.0.1:0").unwrap()));
    let taken = taken.map(|(name, port)| (name, port.local_addr().unwrap().to_string(), port));
    let mut command = pico(on, &["server"]);
    for port in ["proxy", "upstream", "admin", "gossip"] {
        let used = taken.iter().find(|(name, ..)| *name == port);
        let address = used.map_or("127.0.0.1:0", |(_, address, _)| address);
        command.args([&format!("--{port}.bind-addr"), address]);
    }
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!((told.lines().count(), output.status.code()), (2, Some(2)), "{told}");
    for (line, (name, address, _)) in told.lines().zip(&taken) {
        let begin = format!("pico: {name}.bind-addr: cannot listen at {address}: ");
        assert!(line.starts_with(&begin), "{told}");
    }
}

fn the_version_names_the_runtime_and_help_has_examples(on: &'static Runtime) {
    let version = pico(on, &["--version"]).output().unwrap();
    assert!(String::from_utf8_lossy(&version.stdout).ends_with(&format!(" ({})\n", on.name)));
    for command in [&["--help"][..], &["server", "--help"], &["agent", "http", "--help"]] {
        let help = pico(on, command).output().unwrap();
        assert!(String::from_utf8_lossy(&help.stdout).contains("Examples:"), "{command:?}");
        assert!(help.status.success() && help.stderr.is_empty(), "{command:?}");
    }
}

fn a_request_passes_from_a_client_to_a_service_and_both_processes_drain(on: Pair) {
    let mut server = Process::server(on.server);
    let proxy = server.port("proxy");
    let upstream = server.port("upstream");
    server.port("gossip");
    let service = service();
    let url = format!("http://{upstream}");
    let mut agent =
        Process::start(on.agent, &["agent", "http", "Web", &service, "--connect.url", &url]);
    let said = |line: &str| behind_time(line).unwrap().to_owned();
    assert_eq!(said(&agent.line()), format!("Endpoint   web  ->  http://{service}\n"));
    assert!(said(&agent.line()).starts_with("Status     web online   node n1   rtt "));

    // The worker that the client comes to may hear of the upstream a moment after the agent does.
    let response = (0..1000).map(|_| get(&proxy)).find(|got| !got.contains("no_upstream"));
    let response = response.unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\nhello"), "{response}");
    assert!(said(&agent.line()).starts_with("GET    /x  200  "));

    assert_eq!(agent.stop(), Some(0));
    assert_eq!(server.stop(), Some(0));
}

fn a_node_that_drains_closes_its_ports_before_it_ends(on: Pair) {
    let mut server = Process::server(on.server);
    let proxy = server.port("proxy");
    let upstream = server.port("upstream");
    // Requests to it are never answered.
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = service.local_addr().unwrap().to_string();
    let url = format!("http://{upstream}");
    let mut agent =
        Process::start(on.agent, &["agent", "http", "web", &address, "--connect.url", &url]);
    agent.line();
    assert!(agent.line().contains(" online "));
    // The worker that a client comes to may hear of the upstream a moment later.
    service.set_nonblocking(true).unwrap();
    let mut clients = Vec::new();
    let mut call = loop {
        let mut client = TcpStream::connect(&proxy).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx-pico-endpoint: web\r\n\r\n").unwrap();
        clients.push(client);
        if let Ok((call, _)) = service.accept() {
            break call;
        }
    };
    call.set_nonblocking(false).unwrap();
    assert!(call.read(&mut [0; 10]).unwrap() > 0);

    kill_process(Pid::from_child(&server.child), Signal::TERM).unwrap();
    while TcpStream::connect(&proxy).is_ok() {
        thread::yield_now();
    }
    assert_eq!(server.child.try_wait().unwrap(), None, "it waits for the call");
}

fn a_log_that_nobody_reads_stops_nobody(on: &'static Runtime) {
    let mut server = Process::server(on);
    let proxy = server.port("proxy");
    let long = "x".repeat(4000);
    let mut client = TcpStream::connect(&proxy).unwrap();
    let mut buffer = vec![0; 16 * 1024];
    // More lines than a pipe and the buffer hold together.
    for _ in 0..2000 {
        let request = format!("GET /{long} HTTP/1.1\r\nhost: a\r\nx-pico-endpoint: no\r\n\r\n");
        client.write_all(request.as_bytes()).unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"}\n") && !got.ends_with(b"}") {
            let count = client.read(&mut buffer).unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&got));
            got.extend_from_slice(&buffer[..count]);
        }
    }
    kill_process(Pid::from_child(&server.child), Signal::TERM).unwrap();
    let mut told = String::new();
    server.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(told.contains("lines were dropped"));
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

fn a_node_that_lacks_descriptors_ends_and_says_so(on: &'static Runtime) {
    for most in (20..=60).step_by(8) {
        let pico = on.path();
        let pico = pico.display();
        let ports = ["proxy", "upstream", "admin", "gossip"]
            .map(|port| format!("--{port}.bind-addr 127.0.0.1:0"))
            .join(" ");
        let script = format!("ulimit -n {most}; exec {pico} server --workers 16 {ports}");
        let mut command = Command::new("sh");
        let output = command.args(["-c", &script]).stdin(Stdio::null()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("pico: "), "{most}: {told}");
        assert_eq!(output.status.code(), Some(1), "{most}: {told}");
    }
}

fn an_agent_drains_though_its_first_worker_has_ended(on: &'static Runtime) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let listeners =
        "listeners:\n  - {endpoint: one, addr: \"1\"}\n  - {endpoint: two, addr: \"2\"}\n";
    let file = file(on, "two.yaml", listeners);
    let url = format!("http://{address}");
    let arguments = ["--config", file.to_str().unwrap(), "--connect.url", &url, "--workers", "2"];
    let mut agent = Process::start(on, &[&["agent", "start"], &arguments[..]].concat());
    let mut open = Vec::new();
    for _ in 0..2 {
        let (mut stream, _) = server.accept().unwrap();
        let mut request = [0; 4096];
        let count = stream.read(&mut request).unwrap();
        if String::from_utf8_lossy(&request[..count]).contains("/one") {
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").unwrap();
        }
        open.push(stream);
    }
    while !agent.line().contains("one refused") {}
    assert_eq!(agent.stop(), Some(0));
}

/// Sends a request to the endpoint `web` and returns all that comes back.
fn get(proxy: &str) -> String {
    let mut client = TcpStream::connect(proxy).unwrap();
    let request = "GET /x HTTP/1.1\r\nhost: a\r\nx-pico-endpoint: web\r\nconnection: close\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();
    response
}

/// A running `pico`, which does not outlive the test.
struct Process {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: Option<BufReader<ChildStderr>>,
}

impl Process {
    fn start(on: &Runtime, arguments: &[&str]) -> Self {
        let mut command = pico(on, arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = child.stderr.take().map(BufReader::new);
        Self { child, stdout, stderr }
    }

    fn server(on: &Runtime) -> Self {
        let any = "127.0.0.1:0";
        let mut arguments = vec!["server", "--workers", "2", "--drain-delay", "0s"];
        arguments.extend(["--cluster.node-id", "n1", "--log.format", "json"]);
        for port in ["proxy", "upstream", "admin", "gossip"] {
            arguments.extend([&*format!("--{port}.bind-addr").leak(), any]);
        }
        Self::start(on, &arguments)
    }

    /// The next line of standard output.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// The address of a port, from the next line of the log.
    fn port(&mut self, name: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(
                self.stderr.as_mut().unwrap().read_line(&mut line).unwrap() > 0,
                "no port {name}"
            );
            if line.contains(&format!("\"port\":\"{name}\"")) {
                let (_, address) = line.split_once("\"address\":\"").unwrap();
                return address.split('"').next().unwrap().to_owned();
            }
        }
    }

    fn stop(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        // Whoever ends must not be kept by a full pipe.
        let mut stderr = self.stderr.take().unwrap();
        let reader = thread::spawn(move || stderr.read_to_end(&mut Vec::new()));
        let code = self.child.wait().unwrap().code();
        reader.join().unwrap().unwrap();
        code
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
    }
}

/// A service that says hello to each request, on a thread that ends with the process.
fn service() -> String {
    let bound = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = bound.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in bound.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
                head.extend(byte);
            }
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
            );
        }
    });
    address
}

fn pico(on: &Runtime, arguments: &[&str]) -> Command {
    let mut command = on.command();
    command.args(arguments).stdin(Stdio::null());
    command
}

fn file(on: &Runtime, name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", on.name));
    std::fs::write(&path, text).unwrap();
    path
}

const NO_TLS: &str = "pico: --proxy.tls.cert is not available in this version\n";
const NO_JOIN: &str = "pico: --cluster.join: expected HOST:PORT, such as node-1:8004, not \"x\"\n";
