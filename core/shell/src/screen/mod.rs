//! What an agent shows of itself on standard output: a live screen on a terminal, plain lines or
//! JSON elsewhere, or nothing.

mod block;
mod json;
mod live;
mod plain;

use crate::clock::Clock;
use crate::log;
use live::Live;
pub(crate) use live::{finish, scroll};
use pico_core::Reason;
use pico_core::agent::Listener;
use pico_core::note::{Note, Why};
use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

/// What is wanted of the screen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Show {
    /// Live on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// Plain lines.
    Plain,
    /// A JSON object a line.
    Json,
    /// Nothing.
    Nothing,
}

/// Where an agent shows what it hears.
pub(crate) enum Screen {
    /// A terminal.
    Live(Live),
    /// Plain lines.
    Plain(Shared),
    /// A JSON object a line.
    Json,
    /// Nowhere.
    Nothing,
}

impl Screen {
    /// A screen for these listeners, which the node at `clients` may serve to clients.
    pub(crate) fn open(show: Show, listeners: &[Listener], clients: Option<String>) -> Self {
        let listed: Vec<Listed> = listeners.iter().map(Listed::from).collect();
        match show {
            Show::Auto if io::stdout().is_terminal() && moves() => {
                match Live::start(block::Block::new(listed, clients)) {
                    Ok(live) => Self::Live(live),
                    // Without a thread of its own it has plain lines.
                    Err(_) => Self::open(Show::Plain, listeners, None),
                }
            }
            Show::Auto | Show::Plain => {
                print(listed.iter().map(|one| stamped(&plain::listed(one))));
                Self::Plain(Shared::of(&listed))
            }
            Show::Json => {
                print(listed.iter().map(json::listed));
                Self::Json
            }
            Show::Nothing => Self::Nothing,
        }
    }

    /// Shows what happened.
    pub(crate) fn show(&self, note: &Note) {
        match self {
            Self::Live(live) => live.show(note),
            Self::Plain(shared) => {
                if let Some(line) = plain::line(note, shared) {
                    log::print(&stamped(&line));
                }
            }
            Self::Json => json::line(note).iter().for_each(|line| log::print(line)),
            Self::Nothing => {}
        }
    }
}

/// Whether the terminal can move its cursor.
fn moves() -> bool {
    cfg!(windows) || std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// A plain line behind the time at which it is written.
fn stamped(line: &str) -> String {
    format!("{}   {line}", Clock::date_and_time())
}

fn print(lines: impl Iterator<Item = String>) {
    for line in lines {
        log::print(&line);
    }
    log::flush();
}

/// One listener, as it is shown. Two may share an endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Listed {
    endpoint: String,
    /// The service's host and port, by which notes name it.
    service: String,
}

impl From<&Listener> for Listed {
    fn from(listener: &Listener) -> Self {
        let (endpoint, service) = (listener.endpoint.to_string(), listener.service.authority());
        Self { endpoint, service }
    }
}

/// What listeners have in common, and so does not tell them apart.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Shared {
    /// Endpoints with more than one service, which name a listener only together with it.
    endpoints: BTreeSet<String>,
    /// Whether there is more than one listener.
    many: bool,
}

impl Shared {
    fn of(listed: &[Listed]) -> Self {
        let (mut seen, mut shared) = (BTreeSet::new(), BTreeSet::new());
        for Listed { endpoint, .. } in listed {
            if !seen.insert(endpoint) {
                shared.insert(endpoint.clone());
            }
        }
        Self { endpoints: shared, many: listed.len() > 1 }
    }

    /// What a listener is called.
    fn name(&self, endpoint: &str, service: &str) -> String {
        if self.endpoints.contains(endpoint) {
            format!("{endpoint} -> {service}")
        } else {
            endpoint.to_owned()
        }
    }
}

/// Why a tunnel is down, in words.
pub(crate) fn told(why: Why) -> String {
    match why {
        Why::Fault(fault) => fault.to_string(),
        Why::Reason(reason) => reason.to_string(),
        // No port for agents answers so.
        Why::Status(status @ (404 | 502)) => {
            format!("the server answered {status}; is this its upstream port?")
        }
        Why::Status(status) => format!("the server answered {status}"),
    }
}

/// How an endpoint was refused for good, and what to do about it if that can be told.
pub(crate) fn refusal(status: u16, code: &str) -> String {
    let code = clean(code);
    let is_for_clients = code == Reason::MissingEndpoint.told().code;
    let hint = if is_for_clients { CLIENTS_PORT } else { "" };
    format!("{status} {code}{hint}")
}

const CLIENTS_PORT: &str = ": this port is for clients, agents connect to the upstream port";

pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// What a peer says, without what would move a terminal's cursor.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Bytes for people, to a tenth of the largest unit that fits.
fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..=1023 => return format!("{bytes} B"),
        1024..=1_048_575 => (1 << 10, "KiB"),
        1_048_576..=1_073_741_823 => (1 << 20, "MiB"),
        _ => (1 << 30, "GiB"),
    };
    format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit)
}
