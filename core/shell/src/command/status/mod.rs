//! `pico status`: what a node says of itself and its cluster, as tables.

mod ask;
mod view;

use super::Failure;
use crate::config::{self, Refusal};
use crate::log::{self, Reader};
use crate::platform::Platform;
use ask::Session;
use clap::{Arg, ArgAction, ArgMatches, Command};
use console::Term;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::sync::mpsc::channel;
use std::time::Duration;

/// What is asked for, and how it is shown.
struct Orders {
    host: String,
    port: u16,
    what: What,
    node: Option<String>,
    limit: usize,
    json: bool,
    watch: bool,
}

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
enum What {
    Nodes,
    Endpoints,
    Endpoint(String),
    Tunnels,
    Gossip,
}

pub(super) fn command() -> Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    let shared = || {
        let url = Arg::new("admin.url").long("admin.url").visible_alias("url").value_name("URL");
        let url = url
            .env("PICO_ADMIN_URL")
            .hide_env_values(true)
            .help("The node's admin port [default: http://127.0.0.1:8003]");
        let node = Arg::new("node").long("node").value_name("ID");
        let node = node.help("Have it ask this node of its cluster instead");
        vec![
            url,
            node,
            flag("json", "Print the answer as it came"),
            flag("watch", "Ask again every two seconds, until Ctrl-C"),
        ]
    };
    let limit = || {
        let limit = Arg::new("limit").long("limit").value_name("NUMBER");
        limit.help("How many rows at most [default: 100]")
    };
    let named = Arg::new("endpoint").value_name("ENDPOINT").help("Say who serves this one");
    let sub = |name: &'static str, about: &'static str| {
        Command::new(name).about(about).after_help(HELP).args(shared())
    };
    Command::new("status")
        .about("Show what a node knows: nodes, endpoints, tunnels, gossip")
        .after_help(HELP)
        .subcommand_required(true)
        .subcommand(sub("nodes", "The nodes of the cluster, and the links to them").arg(limit()))
        .subcommand(
            sub("endpoints", "The endpoints that are served, and by whom").arg(limit()).arg(named),
        )
        .subcommand(sub("tunnels", "The tunnels of agents that the node holds").arg(limit()))
        .subcommand(sub("gossip", "The cluster as the node sees it"))
}

pub(super) fn run<P: Platform>(matches: &ArgMatches) -> Result<(), Failure> {
    let orders = orders(matches)?;
    let mut session = Session::open::<P>(&orders.host, orders.port)?;
    let terminal = io::stdout().is_terminal();
    let width = || terminal.then(width);
    let text = orders.look(&mut session, width())?;
    if !orders.watch {
        log::say(&text)?;
        return Ok(());
    }
    // Nobody sends anything: it is a clock.
    let (_keep, clock) = channel::<()>();
    let mut text = Ok(text);
    loop {
        let shown = match text {
            Ok(text) => text,
            Err(failure) => format!("pico: {failure}\n"),
        };
        let clear = if terminal { "\x1b[H\x1b[2J" } else { "" };
        if log::say(&format!("{clear}{shown}"))? == Reader::Gone {
            return Ok(());
        }
        let _ = clock.recv_timeout(EVERY);
        // The window may have another size by now.
        text = orders.look(&mut session, width());
    }
}

fn orders(matches: &ArgMatches) -> Result<Orders, Refusal> {
    let Some((name, matches)) = matches.subcommand() else {
        return Err(Refusal("expected pico status nodes, endpoints, tunnels or gossip".into()));
    };
    let text = |name: &str| matches.try_get_one::<String>(name).ok().flatten().cloned();
    let url = text("admin.url").unwrap_or_else(|| USUAL.into());
    let refuse = |why| Refusal(format!("--url: {why}"));
    let ((host, port), path) = config::split(&url, &["http"], Some(80)).map_err(refuse)?;
    if !path.is_empty() {
        return Err(refuse("expected no path behind the host and port".into()));
    }
    let limit = text("limit").map_or(Ok(ROWS), |text| {
        let number = text.parse().ok().filter(|number| *number > 0);
        let why = || Refusal(format!("--limit: expected a number of at least 1, not {text:?}"));
        number.ok_or_else(why)
    })?;
    let node = text("node");
    if let Some(node) = &node
        && (node.is_empty() || !node.bytes().all(plain))
    {
        return Err(Refusal(format!("--node: expected a node's name, not {node:?}")));
    }
    let what = match (name, text("endpoint")) {
        ("endpoints", Some(endpoint)) if endpoint.is_empty() || !endpoint.bytes().all(plain) => {
            return Err(Refusal(format!("expected an endpoint ID, not {endpoint:?}")));
        }
        ("endpoints", Some(endpoint)) => What::Endpoint(endpoint),
        ("nodes", _) => What::Nodes,
        ("endpoints", None) => What::Endpoints,
        ("tunnels", _) => What::Tunnels,
        _ => What::Gossip,
    };
    let (json, watch) = (matches.get_flag("json"), matches.get_flag("watch"));
    Ok(Orders { host, port, what, node, limit, json, watch })
}

/// What names of nodes and endpoints are made of.
fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

impl Orders {
    /// Asks once, and says what is to be shown.
    fn look(&self, session: &mut Session, width: Option<usize>) -> Result<String, Failure> {
        let mut ask = |limit: usize, after: Option<&str>| {
            let answer = session.get(&self.target(limit, after));
            answer.map_err(|error| match &self.what {
                What::Endpoint(endpoint) if error.kind() == io::ErrorKind::NotFound => {
                    let why = format!("nobody serves {endpoint}, as far as the node knows");
                    io::Error::other(format!("{why} (not_found)"))
                }
                What::Nodes
                | What::Endpoints
                | What::Endpoint(_)
                | What::Tunnels
                | What::Gossip => error,
            })
        };
        if self.json {
            return Ok(ask(self.limit.min(PIECE), None)?);
        }
        Ok(match self.what {
            What::Nodes => view::nodes(self.limit, width, ask)?,
            What::Endpoints => view::endpoints(self.limit, width, ask)?,
            What::Endpoint(_) => view::endpoint(width, ask)?,
            What::Tunnels => view::tunnels(self.limit, width, ask)?,
            What::Gossip => view::gossip(ask)?,
        })
    }

    /// The path of a question, and what stands behind it.
    fn target(&self, limit: usize, after: Option<&str>) -> String {
        let (path, listed) = match &self.what {
            What::Nodes => ("nodes".into(), true),
            What::Endpoints => ("endpoints".into(), true),
            What::Endpoint(endpoint) => (format!("endpoints/{endpoint}"), false),
            What::Tunnels => ("tunnels".into(), true),
            What::Gossip => ("gossip".into(), false),
        };
        let mut target = format!("/status/{path}");
        let mut joint = '?';
        let limit = listed.then(|| limit.to_string());
        let parameters =
            [("limit", limit.as_deref()), ("after", after), ("node", self.node.as_deref())];
        for (name, value) in parameters {
            if let Some(value) = value {
                let _ = write!(target, "{joint}{name}={value}");
                joint = '&';
            }
        }
        target
    }
}

/// Columns of the terminal; 80, if it does not say.
fn width() -> usize {
    let (_, columns) = Term::stdout().size();
    usize::from(columns).max(40)
}

const USUAL: &str = "http://127.0.0.1:8003";
/// Rows that are shown, unless somebody says.
const ROWS: usize = 100;
/// The most that a node gives at once.
const PIECE: usize = 1_000;
/// How often `--watch` asks.
const EVERY: Duration = Duration::from_secs(2);

const HELP: &str = "\
It asks the admin port of one node, which by default listens on loopback only. With --json it
prints one piece of the answer, of up to 1000 rows; spec/openapi.json describes it.

Examples:
  pico status nodes
  pico status endpoints my-endpoint --json
  pico status tunnels --node pico-2 --watch";
