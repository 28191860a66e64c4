//! Runs the real binaries, for the tests that need sockets and processes.
//!
//! Everything listens on a port that the system chose, every wait is for an event (a line, a
//! byte, the end of a process) and bounded by [`PATIENCE`], and every process dies with the value
//! that stands for it. So the tests hold on a busy machine and leave nothing behind.

mod load;
mod local;
mod pattern;
mod process;
mod relay;
mod service;
mod wire;

pub use load::{Load, Pace, Tally};
pub use local::{Local, Row};
pub use pattern::{Check, Pattern};
pub use process::{Ended, Process};
pub use relay::Relay;
pub use service::{Scripted, Service, Upgrades};
pub use wire::{Client, Head, Response, closing_answer};

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// How long a single wait may take before the test fails. Far more than is ever needed: what is
/// slow is a test for a benchmark.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A build of Pico on some runtime.
#[derive(Debug)]
pub struct Runtime {
    /// The runtime, as `--version` names it.
    pub name: &'static str,
    /// The package that builds it.
    pub package: &'static str,
    /// Its binary.
    pub binary: &'static str,
    /// The environment variable that names a binary to test instead.
    pub instead: &'static str,
}

crate::each_runtime! { builds [] }

/// A server's build and an agent's.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// What runs the server.
    pub server: &'static Runtime,
    /// What runs the agent.
    pub agent: &'static Runtime,
}

impl Runtime {
    const fn new(
        name: &'static str,
        package: &'static str,
        binary: &'static str,
        instead: &'static str,
    ) -> Self {
        Self { name, package, binary, instead }
    }

    /// The path of this build, which is up to date; if the environment has `instead`, that path.
    pub fn path(&self) -> PathBuf {
        match std::env::var_os(self.instead) {
            Some(path) => PathBuf::from(path),
            None => built().join(self.binary).with_extension(std::env::consts::EXE_EXTENSION),
        }
    }

    /// A command that runs this build.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.path());
        command.env_remove("RUST_LOG").env("NO_COLOR", "1");
        command
    }

    /// `pico` with these arguments.
    pub fn run(&self, args: &[&str]) -> Process {
        let mut command = self.command();
        command.args(args);
        Process::start(&args.join(" "), &mut command)
    }
}

/// Builds all binaries, once in the life of this process, and returns their folder.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // A test's own path is `<target>/<profile>/deps/<name>-<hash>`.
        let test = std::env::current_exe().expect("a process knows its own path");
        let folder = test.ancestors().nth(2).expect("a test lies in a target folder");
        let name = test.file_stem().and_then(|stem| stem.to_str()).expect("its name is plain");
        let name = name.rsplit_once('-').map_or(name, |(name, _)| name);
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // With this test, so that features come out as they did for it, and nothing is built
        // twice.
        cargo.args(["build", "--quiet", "--workspace", "--bins", "--test", name]);
        cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        let status = cargo.status().expect("cargo runs");
        assert!(status.success(), "the binaries do not build");
        folder.to_owned()
    })
}

/// A node.
#[derive(Debug)]
pub struct Server {
    /// The process.
    pub process: Process,
    /// Where clients send requests.
    pub proxy: SocketAddr,
    /// Where agents connect.
    pub upstream: SocketAddr,
    /// Where operators ask.
    pub admin: SocketAddr,
    /// Where other nodes connect.
    pub gossip: SocketAddr,
}

impl Server {
    /// Starts a node with these further arguments, and waits until its ports are bound.
    pub fn start(runtime: &Runtime, args: &[&str]) -> Self {
        Self::start_at(runtime, "127.0.0.1:0", args)
    }

    /// The same, with its gossip port at this address.
    pub fn start_at(runtime: &Runtime, gossip: &str, args: &[&str]) -> Self {
        let mut all = vec!["server", "--gossip.bind-addr", gossip];
        let ports = ["proxy", "upstream", "admin"].map(|port| format!("--{port}.bind-addr"));
        all.extend(ports.iter().flat_map(|port| [port.as_str(), "127.0.0.1:0"]));
        all.extend(args);
        let mut process = runtime.run(&all);
        let proxy = process.wait_for("the proxy port", |line| listening(line, "proxy"));
        let upstream = process.wait_for("the upstream port", |line| listening(line, "upstream"));
        let admin = process.wait_for("the admin port", |line| listening(line, "admin"));
        let gossip = process.wait_for("the gossip port", |line| listening(line, "gossip"));
        Self { process, proxy, upstream, admin, gossip }
    }

    /// A connection to the proxy port.
    pub fn client(&self) -> Client {
        Client::connect(self.proxy)
    }
}

/// An agent that forwards one endpoint.
#[derive(Debug)]
pub struct Agent {
    /// The process.
    pub process: Process,
    node: usize,
}

impl Agent {
    /// Starts `pico agent http` towards `service`, and waits until it is online.
    pub fn start(runtime: &Runtime, server: &Server, endpoint: &str, service: &str) -> Self {
        Self::towards(runtime, server.upstream, endpoint, service)
    }

    /// The same, towards whatever listens for agents at `to`.
    pub fn towards(runtime: &Runtime, to: SocketAddr, endpoint: &str, service: &str) -> Self {
        let url = format!("http://{to}");
        let process = runtime.run(&["agent", "http", endpoint, service, "--connect.url", &url]);
        let mut agent = Self { process, node: 0 };
        agent.wait_until_online();
        agent
    }

    /// The number in the name of the node at which it has last come online, such as 2 of
    /// `node-2`; 0 if there is none.
    pub fn node(&self) -> usize {
        self.node
    }

    /// Waits for the agent to say once more that it is online.
    pub fn wait_until_online(&mut self) {
        self.node = self.process.wait_for_next("word that it is online", |line| {
            // The log says it too.
            let status = behind_time(line)?.strip_prefix("Status ")?;
            let mut words = status.split_whitespace().skip(1);
            let online = words.next() == Some("online");
            let name = words.nth(1).and_then(|name| name.strip_prefix("node-"));
            online.then(|| name.and_then(|at| at.parse().ok()).unwrap_or(0))
        });
    }
}

/// What a plain line of an agent says behind the date and the time; nothing, if it is no such line.
pub fn behind_time(line: &str) -> Option<&str> {
    let (time, said) = line.split_once("   ")?;
    let shape = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c });
    shape.eq("0000-00-00 00:00:00".chars()).then_some(said)
}

/// The address in a line that says that `port` is bound.
fn listening(line: &str, port: &str) -> Option<SocketAddr> {
    let mut words = line.split(|c: char| c.is_whitespace() || "\"=,".contains(c));
    let named = line.contains("listening") && words.clone().any(|word| word == port);
    named.then(|| words.find_map(|word| word.parse().ok()))?
}

/// An address at which nobody listens and which no other test is given.
pub fn dead_address() -> SocketAddr {
    // A port of an address of its own, where the platform has more than one loopback address.
    let bound = TcpListener::bind("127.0.0.77:0").or_else(|_| TcpListener::bind("127.0.0.1:0"));
    let address = bound.and_then(|listener| listener.local_addr());
    address.expect("a loopback port can be bound")
}

/// Says that a test is skipped because this machine lacks something. Where `PICO_HAS` names it,
/// as `.ci/run` does with all that it has seen to be here, that is a failure instead: nobody is to
/// take a test for passed that has not run.
pub fn skip_without(what: &str) {
    let has = std::env::var("PICO_HAS").unwrap_or_default();
    assert!(!has.split(',').any(|it| it == what), "PICO_HAS says that there is {what}");
    println!("no {what} here: skipped");
}

/// How many sockets one test may open in this process and each of its children without running
/// out of descriptors, at most `wanted`.
pub fn affordable(wanted: usize) -> usize {
    let output = Command::new("sh").args(["-c", "ulimit -n"]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let limit = text.ok().and_then(|text| text.parse::<usize>().ok()).unwrap_or(usize::MAX);
    // The test holds both the client's and the service's end of each call.
    wanted.min(limit.saturating_sub(128) / 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_port_is_read_from_text_and_from_json() {
        let address = "127.0.0.1:40123".parse().ok();
        assert_eq!(listening("proxy     listening on 127.0.0.1:40123", "proxy"), address);
        assert_eq!(listening("INFO proxy listening addr=127.0.0.1:40123", "proxy"), address);
        assert_eq!(listening("proxy listening on 127.0.0.1:40123", "upstream"), None);
        assert_eq!(listening("proxy is 127.0.0.1:40123", "proxy"), None);
    }
}
