//! `pico cluster`: nodes to play with on this machine, each a process of its own, so that to kill
//! one is to kill one; and a load balancer before them.

mod node;
mod words;

use crate::balancer::Stand;
use crate::command::Failure;
use crate::config::{CLUSTER_KEYS, Cluster, Logs, Refusal};
use crate::platform::Platform;
use crate::{crew, listen, log};
use node::{Heard, Node};
use std::io::{self, BufRead as _, IsTerminal as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;
use words::{Command, HELP};

/// What the command line says of it.
pub(crate) fn command() -> clap::Command {
    clap::Command::new("cluster")
        .about("Run a cluster on this machine to play with: nodes to kill and pause, a balancer")
        .after_help(EXAMPLES)
        .args(CLUSTER_KEYS.arguments())
}

/// How a node is told whose it is.
pub(crate) fn parent() -> clap::Arg {
    let number = clap::value_parser!(u32);
    clap::Arg::new("parent").long("parent").hide(true).value_parser(number)
}

/// What happened to the cluster.
enum Event {
    /// A life of a node wrote a line to its log.
    Line { node: usize, life: u64, text: String },
    /// A life of a node has ended.
    Ended { node: usize, life: u64 },
    /// Somebody typed a line.
    Typed(String),
    /// Nobody will type any more, or a signal came.
    Over,
}

/// Runs a cluster until it is told to quit, its input ends or a signal comes.
pub(crate) fn run<P: Platform>(settings: &Cluster) -> Result<(), Failure> {
    log::start(Logs::quiet());
    crew::raise_descriptors();
    let proxy = bind("proxy", settings.proxy)?;
    let upstream = bind("upstream", settings.upstream)?;
    let (sender, events) = channel();
    let mut field = Field { nodes: Vec::new(), sender: sender.clone(), settings };
    field.start_all(&events)?;
    let backends = field.nodes.iter().filter_map(Node::backend).collect();
    let balancer = Stand::start::<P>(proxy, upstream, backends)?;
    announce(settings, &balancer);
    listen_to_people::<P>(&sender)?;
    log::when_nobody_reads(move || {
        let _ = sender.send(Event::Over);
    });
    for event in &events {
        match event {
            Event::Line { node, life, text } => field.line(node, life, &text),
            Event::Ended { node, life } => field.ended(node, life),
            Event::Typed(line) => {
                if field.typed(&line) {
                    break;
                }
            }
            Event::Over => break,
        }
        log::flush();
    }
    // Nobody is left to play with them. Dropping a node kills it.
    drop(field);
    balancer.stop()?;
    Ok(())
}

/// All nodes.
struct Field<'a> {
    nodes: Vec<Node>,
    sender: Sender<Event>,
    settings: &'a Cluster,
}

impl Field<'_> {
    /// Starts one after the other, so that each finds those before it.
    fn start_all(&mut self, events: &Receiver<Event>) -> Result<(), Failure> {
        for at in 0..self.settings.nodes {
            self.nodes.push(Node::new(at));
            self.start(at)?;
            while !self.nodes.iter().all(Node::has_been_ready) {
                let late = |_| io::Error::other(format!("node-{} did not become ready", at + 1));
                match events.recv_timeout(PATIENCE).map_err(late)? {
                    Event::Line { node, life, text } => self.line(node, life, &text),
                    Event::Ended { node, .. } => {
                        let why = format!("node-{} ended before it was ready", node + 1);
                        return Err(io::Error::other(why).into());
                    }
                    // Nobody is listened to yet.
                    Event::Typed(_) | Event::Over => {}
                }
                log::flush();
            }
        }
        Ok(())
    }

    fn start(&mut self, at: usize) -> io::Result<()> {
        let others = self.nodes.iter().enumerate().filter(|(other, _)| *other != at);
        let join: Vec<String> = others.filter_map(|(_, node)| node.gossip()).collect();
        let Some(node) = self.nodes.get_mut(at) else { return Ok(()) };
        let (life, log) = node.start(&join, self.settings.drain_delay)?;
        let sender = self.sender.clone();
        thread::Builder::new().name(format!("pico-log-{at}")).spawn(move || {
            for text in io::BufReader::new(log).lines().map_while(Result::ok) {
                // Who does not listen any more is at its end.
                let _ = sender.send(Event::Line { node: at, life, text });
            }
            let _ = sender.send(Event::Ended { node: at, life });
        })?;
        Ok(())
    }

    fn line(&mut self, at: usize, life: u64, text: &str) {
        let Some(node) = self.nodes.get_mut(at) else { return };
        if let Some(Heard(told)) = node.hear(life, text) {
            log::print(&format!("  node-{:<4}  {told}", at + 1));
        }
    }

    fn ended(&mut self, at: usize, life: u64) {
        let Some(node) = self.nodes.get_mut(at) else { return };
        let Some(again) = node.ended(life) else { return };
        log::print(&format!("  node-{:<4}  {}", at + 1, node.state()));
        if again {
            self.start_or_say(at);
        }
    }

    fn start_or_say(&mut self, at: usize) {
        match self.start(at) {
            Ok(()) => log::print(&format!("  node-{:<4}  starts", at + 1)),
            Err(error) => log::print(&format!("  node-{:<4}  does not start: {error}", at + 1)),
        }
    }

    /// Does what somebody typed. Returns whether that ends everything.
    fn typed(&mut self, line: &str) -> bool {
        match Command::parse(line, self.nodes.len()) {
            Ok(None) => {}
            Ok(Some(Command::Quit)) => return true,
            Ok(Some(Command::Help)) => log::print(HELP),
            Ok(Some(Command::Status)) => self.status(),
            Ok(Some(Command::Kill(at))) => self.order(at, Node::kill),
            Ok(Some(Command::Pause(at))) => self.order(at, Node::pause),
            Ok(Some(Command::Resume(at))) => self.order(at, Node::resume),
            Ok(Some(Command::Drain(at))) => self.order(at, |node| node.drain(false)),
            Ok(Some(Command::Restart(at))) => {
                if self.nodes.get(at).is_some_and(Node::is_down) {
                    self.start_or_say(at);
                } else {
                    self.order(at, |node| node.drain(true));
                }
            }
            Err(why) => log::print(&why),
        }
        false
    }

    fn order(&mut self, at: usize, order: impl FnOnce(&mut Node) -> Result<&'static str, String>) {
        let Some(node) = self.nodes.get_mut(at) else { return };
        match order(node) {
            Ok(done) => log::print(&format!("  node-{:<4}  {done}", at + 1)),
            Err(why) => log::print(&format!("node-{} {why}", at + 1)),
        }
    }

    fn status(&self) {
        log::print(node::TITLES);
        for node in &self.nodes {
            log::print(&node.row());
        }
    }
}

fn bind(port: &str, address: SocketAddr) -> Result<TcpListener, Refusal> {
    listen::bind(address)
        .map_err(|error| Refusal(format!("{port}.bind-addr: cannot listen at {address}: {error}")))
}

fn announce(settings: &Cluster, balancer: &Stand) {
    let (nodes, Stand { proxy, upstream, .. }) = (settings.nodes, balancer);
    log::print(&format!(
        "\nA cluster of {nodes}, each node a process, and a load balancer before them:\n\n  \
         clients at http://{proxy}\n  agents at http://{upstream}\n\n\
         Try it, in other terminals:\n\n  \
         pico agent http my-endpoint 3000 --connect.url http://{upstream}\n  \
         curl -H 'x-pico-endpoint: my-endpoint' http://{proxy}/\n\n{HELP}\n"
    ));
    log::flush();
}

/// Takes commands from standard input, and an end from it or from a signal.
fn listen_to_people<P: Platform>(sender: &Sender<Event>) -> io::Result<()> {
    let typed = sender.clone();
    thread::Builder::new().name("pico-input".into()).spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if typed.send(Event::Typed(line)).is_err() {
                return;
            }
        }
        let _ = typed.send(Event::Over);
    })?;
    let signalled = sender.clone();
    thread::Builder::new().name("pico-signals".into()).spawn(move || {
        let _ = P::block_on(crew::signal::<P>());
        let _ = signalled.send(Event::Over);
    })?;
    if io::stdin().is_terminal() {
        log::print("Ctrl-C ends it.\n");
        log::flush();
    }
    Ok(())
}

/// Ties the life of this process to that of its parent: it is killed when the parent ends,
/// however that ends. The parent must be the one that says so.
pub(crate) fn die_with(parent: u32) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, getppid, set_parent_process_death_signal};
        set_parent_process_death_signal(Some(Signal::KILL))?;
        let is = getppid().map(|pid| pid.as_raw_nonzero().get());
        if is != i32::try_from(parent).ok() {
            return Err(io::Error::other("the process that wanted this one has ended"));
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = parent;
    Ok(())
}

const EXAMPLES: &str = "\
Each node is a process of its own at ports of its own; clients and agents come by way of the
balancer, which sends them to nodes that are ready. Commands are read from standard input, one
a line: status, kill N, pause N, resume N, drain N, restart N, help, quit. Environment variables
for pico server hold for each node, as far as their ports and names are not concerned.

Examples:
  pico cluster
      Three nodes; type help and an Enter to see what can be done to them
  pico cluster --nodes 5 --proxy.bind-addr :8080
  (echo kill 2; sleep 10; echo status) | pico cluster";

/// The longest wait for a node to start: far beyond what a busy machine needs.
const PATIENCE: Duration = Duration::from_mins(1);
