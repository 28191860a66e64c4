//! One node of a local cluster: its process, and what is known of it.

use crate::balancer::Backend;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

/// One node. Its process is killed when this is dropped.
pub(super) struct Node {
    name: String,
    life: u64,
    state: State,
    ports: Ports,
    /// Whether it has been ready in any of its lives.
    readied: bool,
}

/// How its process is.
enum State {
    Running(Child),
    /// Stopped, not ended.
    Paused(Child),
    /// Asked to end; whether it is then started again.
    Ending(Child, bool),
    /// There is none, and how the last one ended.
    Down(String),
}

/// Where it listens, as its first life found out and every later one repeats.
#[derive(Default)]
struct Ports {
    proxy: Option<SocketAddr>,
    upstream: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    gossip: Option<SocketAddr>,
}

/// What is worth telling of a line of a log.
pub(super) struct Heard(pub(super) String);

/// A line of a node's log, as far as it is read here.
#[derive(Deserialize)]
struct Line {
    level: String,
    message: String,
    port: Option<String>,
    address: Option<String>,
    node: Option<String>,
    endpoint: Option<String>,
    reason: Option<String>,
    why: Option<String>,
}

impl Node {
    /// A node that was not started, counted from 0.
    pub(super) fn new(at: usize) -> Self {
        let (name, state) = (format!("node-{}", at + 1), State::Down("not started".into()));
        Self { name, life: 0, state, ports: Ports::default(), readied: false }
    }

    /// Starts its next life, which joins those at `join`. Returns the life and its log.
    pub(super) fn start(
        &mut self,
        join: &[String],
        drain_delay: Duration,
    ) -> io::Result<(u64, ChildStderr)> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("server").args(["--parent", &std::process::id().to_string()]);
        let Ports { proxy, upstream, admin, gossip } = self.ports;
        let all = [("proxy", proxy), ("upstream", upstream), ("admin", admin), ("gossip", gossip)];
        for (port, address) in all {
            let address = address.map_or_else(|| "127.0.0.1:0".into(), |at| at.to_string());
            command.args([format!("--{port}.bind-addr"), address]);
        }
        command.args(["--cluster.node-id", &self.name, "--cluster.join", &join.join(",")]);
        command.args(["--drain-delay", &format!("{}ms", drain_delay.as_millis())]);
        command.args(["--workers", "1", "--log.format", "json", "--log.level", "info,request=off"]);
        // What the environment says to us is not for each of them.
        command.env_remove("PICO_CONFIG").env_remove("PICO_GOSSIP_ADVERTISE_ADDR");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // Ctrl-C is for us, and not for each of them.
        command.process_group(0);
        let mut child = command.spawn()?;
        let log = child.stderr.take().ok_or_else(|| io::Error::other("its log is not there"))?;
        self.life += 1;
        self.state = State::Running(child);
        Ok((self.life, log))
    }

    /// Reads a line of its log, and learns its ports from it.
    pub(super) fn hear(&mut self, life: u64, text: &str) -> Option<Heard> {
        if life != self.life {
            return None;
        }
        // It is an object, which YAML has in common with JSON. Whatever else a process says
        // before it ends is told as it is.
        let Ok(line) = serde_saphyr::from_str::<Line>(text) else {
            return Some(Heard(text.to_owned()));
        };
        match line.message.as_str() {
            "listening" => {
                let address = line.address.and_then(|address| address.parse().ok());
                match line.port.as_deref() {
                    Some("proxy") => self.ports.proxy = address,
                    Some("upstream") => self.ports.upstream = address,
                    Some("admin") => self.ports.admin = address,
                    Some("gossip") => self.ports.gossip = address,
                    Some(_) | None => {}
                }
                return None;
            }
            // Also with a warning that it has not learned all.
            message if message.starts_with("ready") => self.readied = true,
            _ => {}
        }
        let details = [line.node, line.endpoint, line.reason, line.why];
        let mut told =
            if line.level == "INFO" { String::new() } else { format!("{} ", line.level) };
        told.push_str(&line.message);
        for detail in details.into_iter().flatten() {
            told.push_str("  ");
            told.push_str(&detail);
        }
        Some(Heard(told))
    }

    /// A life has ended. Returns whether another is to begin; nothing, if that is no news.
    pub(super) fn ended(&mut self, life: u64) -> Option<bool> {
        if life != self.life {
            return None;
        }
        let state = std::mem::replace(&mut self.state, State::Down(String::new()));
        let (mut child, again) = match state {
            State::Running(child) | State::Paused(child) => (child, false),
            State::Ending(child, again) => (child, again),
            State::Down(_) => return None,
        };
        let how = match child.wait() {
            Ok(status) => {
                status.code().map_or("killed".into(), |code| format!("ended with {code}"))
            }
            Err(error) => error.to_string(),
        };
        self.state = State::Down(how);
        Some(again)
    }

    pub(super) fn kill(&mut self) -> Result<&'static str, String> {
        match &mut self.state {
            State::Running(child) | State::Paused(child) | State::Ending(child, _) => {
                child.kill().map_err(|error| error.to_string())?;
            }
            State::Down(_) => return Err("does not run".into()),
        }
        // A restart that was under way is off.
        if let State::Ending(_, again) = &mut self.state {
            *again = false;
        }
        Ok("is killed")
    }

    pub(super) fn pause(&mut self) -> Result<&'static str, String> {
        self.change(|state| match state {
            State::Running(child) => match signal(&child, Signal::STOP) {
                Ok(()) => (State::Paused(child), Ok("is paused")),
                Err(error) => (State::Running(child), Err(error)),
            },
            State::Paused(_) => (state, Err("is paused already".into())),
            State::Ending(..) => (state, Err("is ending".into())),
            State::Down(_) => (state, Err("does not run".into())),
        })
    }

    pub(super) fn resume(&mut self) -> Result<&'static str, String> {
        self.change(|state| match state {
            State::Paused(child) => match signal(&child, Signal::CONT) {
                Ok(()) => (State::Running(child), Ok("goes on")),
                Err(error) => (State::Paused(child), Err(error)),
            },
            State::Running(_) | State::Ending(..) => (state, Err("is not paused".into())),
            State::Down(_) => (state, Err("does not run".into())),
        })
    }

    /// Asks it to end in good order, and to start `again` after that.
    pub(super) fn drain(&mut self, again: bool) -> Result<&'static str, String> {
        self.change(|state| match state {
            State::Running(child) => match signal(&child, Signal::TERM) {
                Ok(()) => (State::Ending(child, again), Ok("drains")),
                Err(error) => (State::Running(child), Err(error)),
            },
            // A second signal would end it at once.
            State::Ending(child, _) if again => {
                (State::Ending(child, true), Ok("drains, and starts again then"))
            }
            State::Ending(..) => (state, Err("drains already".into())),
            State::Paused(_) => (state, Err("is paused: resume it first".into())),
            State::Down(_) => (state, Err("does not run".into())),
        })
    }

    fn change(
        &mut self,
        step: impl FnOnce(State) -> (State, Result<&'static str, String>),
    ) -> Result<&'static str, String> {
        let state = std::mem::replace(&mut self.state, State::Down(String::new()));
        let (state, result) = step(state);
        self.state = state;
        result
    }

    /// Whether it has no process.
    pub(super) fn is_down(&self) -> bool {
        match self.state {
            State::Down(_) => true,
            State::Running(_) | State::Paused(_) | State::Ending(..) => false,
        }
    }

    pub(super) fn has_been_ready(&self) -> bool {
        self.readied && self.backend().is_some() && self.ports.gossip.is_some()
    }

    /// Where a balancer finds it, once that is known.
    pub(super) fn backend(&self) -> Option<Backend> {
        let Ports { proxy, upstream, admin, .. } = self.ports;
        Some(Backend { proxy: proxy?, upstream: upstream?, admin: admin? })
    }

    pub(super) fn gossip(&self) -> Option<String> {
        self.ports.gossip.map(|gossip| gossip.to_string())
    }

    /// Its state, in a word or two.
    pub(super) fn state(&self) -> String {
        match &self.state {
            State::Running(_) => "running".into(),
            State::Paused(_) => "paused".into(),
            State::Ending(_, true) => "restarting".into(),
            State::Ending(_, false) => "draining".into(),
            State::Down(how) => how.clone(),
        }
    }

    /// Its row of the table of [`TITLES`].
    pub(super) fn row(&self) -> String {
        let pid = match &self.state {
            State::Running(child) | State::Paused(child) | State::Ending(child, _) => {
                child.id().to_string()
            }
            State::Down(_) => "-".into(),
        };
        let ready = self.ports.admin.filter(|_| !self.is_down()).map_or("-", ask_ready);
        let at = |port: Option<SocketAddr>| port.map_or("-".into(), |port| port.to_string());
        let Ports { proxy, upstream, admin, gossip } = self.ports;
        let (proxy, upstream, admin) = (at(proxy), at(upstream), at(admin));
        let (name, state, gossip) = (&self.name, self.state(), at(gossip));
        format!(
            "  {name:<8}  {state:<13}  {ready:<9}  {pid:<7}  \
             {proxy:<16}  {upstream:<16}  {admin:<16}  {gossip}"
        )
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        match &mut self.state {
            State::Running(child) | State::Paused(child) | State::Ending(child, _) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            State::Down(_) => {}
        }
    }
}

fn signal(child: &Child, signal: Signal) -> Result<(), String> {
    kill_process(Pid::from_child(child), signal).map_err(|error| error.to_string())
}

/// What a node says of itself at its admin port.
fn ask_ready(admin: SocketAddr) -> &'static str {
    let ask = || -> io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&admin, ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(b"GET /ready HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")?;
        let mut line = [0; 13];
        stream.read_exact(&mut line)?;
        Ok(line.starts_with(b"HTTP/1.1 200 "))
    };
    match ask() {
        Ok(true) => "ready",
        Ok(false) => "not ready",
        Err(_) => "silent",
    }
}

pub(super) const TITLES: &str = "  node      state          says       process  \
    clients at        agents at         operators at      nodes at";

/// How long a node may take to say whether it is ready.
const ANSWER: Duration = Duration::from_millis(300);
