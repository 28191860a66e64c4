//! A cluster on this machine, run by `pico cluster`.

use super::{Process, Runtime};
use std::net::SocketAddr;
use std::process::Command;

/// `pico cluster`, and its commands.
#[derive(Debug)]
pub struct Local {
    /// The process that holds the nodes.
    pub process: Process,
    /// Where clients connect to the balancer.
    pub proxy: SocketAddr,
    /// Where agents connect to it.
    pub upstream: SocketAddr,
}

/// A node, as `status` shows it.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its state, in a word.
    pub state: String,
    /// What it says of itself.
    pub says: String,
    /// Its process.
    pub process: Option<u32>,
    /// Where clients connect.
    pub proxy: SocketAddr,
    /// Where operators do.
    pub admin: SocketAddr,
}

impl Local {
    /// Starts so many nodes with a balancer, and waits until all of them are ready.
    pub fn start(runtime: &Runtime, nodes: usize) -> Self {
        Self::start_as(runtime.command(), &["--nodes", &nodes.to_string()])
    }

    /// The same of a command that has its environment already, with these arguments.
    pub fn start_as(mut command: Command, more: &[&str]) -> Self {
        command.args(["cluster", "--drain-delay", "2s"]).args(more);
        command.args(["--proxy.bind-addr", "127.0.0.1:0", "--upstream.bind-addr", "127.0.0.1:0"]);
        let mut process = Process::start_with_input("cluster", &mut command);
        let address = |line: &str, what: &str| {
            line.trim().strip_prefix(what).and_then(|rest| rest.parse::<SocketAddr>().ok())
        };
        let proxy = process.wait_for("clients", |line| address(line, "clients at http://"));
        let upstream = process.wait_for("agents", |line| address(line, "agents at http://"));
        process.wait_for("the commands", |line| line.contains("quit").then_some(()));
        Self { process, proxy, upstream }
    }

    /// Types a line.
    pub fn tell(&mut self, line: &str) {
        self.process.tell(line);
    }

    /// Waits until a line comes that has this word of this node, counted from 1, and is not one
    /// that `status` brought.
    pub fn wait_for(&mut self, node: usize, word: &str) {
        let what = format!("word of node-{node} that {word:?}");
        self.process.wait_for_next(&what, |line| {
            let mut parts = line.split_whitespace();
            let is = parts.next() == Some(&format!("node-{node}")[..]);
            (is && line.contains(word) && row(line, node).is_none()).then_some(())
        });
    }

    /// What `status` says of a node, counted from 1.
    pub fn row(&mut self, node: usize) -> Row {
        self.tell("status");
        let what = format!("a row of node-{node}");
        self.process.wait_for_next(&what, |line| row(line, node))
    }
}

fn row(line: &str, node: usize) -> Option<Row> {
    let columns: Vec<&str> = line.split("  ").map(str::trim).filter(|it| !it.is_empty()).collect();
    let [name, state, says, process, proxy, _, admin, _] = columns[..] else { return None };
    let (proxy, admin) = (proxy.parse().ok()?, admin.parse().ok()?);
    let process = process.parse().ok();
    let (state, says) = (state.to_owned(), says.to_owned());
    (name == format!("node-{node}")).then_some(Row { state, says, process, proxy, admin })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_and_a_title_is_not() {
        let line = "  node-2    ended with 0   -          -        127.0.0.1:1       127.0.0.1:2  \
                    127.0.0.1:3       127.0.0.1:4";
        let found = row(line, 2).unwrap();
        assert_eq!((found.state.as_str(), found.process), ("ended with 0", None));
        assert!(row(line, 1).is_none());
        assert!(row("  node      state          says       process", 1).is_none());
    }
}
