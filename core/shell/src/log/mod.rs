//! What people read: events on standard error, and an agent's plain lines on standard output.

mod event;
mod pending;

use crate::config::{Format, Level, Logs, Part};
use crate::driver::Notes;
use event::{PROCESS, event};
use pending::Pending;
use pico_core::note::{Note, Request, Why};
use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt, registry};

/// Begins to log.
pub fn start(logs: Logs) {
    let levels = Part::ALL.map(|part| (part.name(), filter(logs.levels.of(part))));
    let wanted = Targets::new().with_default(filter(logs.levels.rest())).with_targets(levels);
    let terminal = io::stderr().is_terminal();
    let json = match logs.format {
        Format::Auto => !terminal,
        Format::Text => false,
        Format::Json => true,
    };
    let lines = fmt::layer().with_writer(|| &ERRORS);
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = if json {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.with_ansi(colour).boxed()
    };
    // A second log in one process is the first one.
    let _ = registry().with(lines.with_filter(wanted)).try_init();
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Off => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    }
}

/// Says that a port is open.
pub(crate) fn listening(port: &str, address: SocketAddr) {
    tracing::info!(target: PROCESS, port, %address, "listening");
}

/// Notes as events of the log.
pub fn events() -> Notes {
    Arc::new(|note| event(&note))
}

/// Notes as events, and as the plain lines of an agent.
pub fn lines() -> Notes {
    Arc::new(|note| {
        if let Some(line) = line(&note) {
            print(&line);
        }
        event(&note);
    })
}

/// Prints a plain line.
pub(crate) fn print(line: &str) {
    LINES.add(format!("{line}\n").as_bytes());
}

/// Lets what was logged and printed since the last time be written. Every turn of a driver ends
/// with it, so that a turn that answers many requests makes one call for their lines.
pub(crate) fn flush() {
    ERRORS.flush(io::stderr);
    LINES.flush(io::stdout);
}

/// Waits until all is written, before the process ends; not for ever, if nobody reads it.
pub(crate) fn finish() {
    ERRORS.finish(io::stderr);
    LINES.finish(io::stdout);
}

/// What waits to be written to standard error.
static ERRORS: Pending = Pending::new();
/// What waits to be written to standard output.
static LINES: Pending = Pending::new();

/// The plain line of an agent, if the note has one.
fn line(note: &Note) -> Option<String> {
    Some(match note {
        Note::Request(request) => {
            let Request { method, path, status, reason, bytes_out, took, .. } = request;
            let end = match reason {
                Some(reason) => reason.to_string(),
                None => size(*bytes_out),
            };
            // One that nobody was answered has none.
            let status = if *status == 0 { "-".into() } else { status.to_string() };
            format!("{method:<6} {path}  {status}  {} ms  {end}", millis(*took))
        }
        Note::Online { endpoint, node, rtt } => {
            format!("Status     {endpoint} online   node {node}   rtt {} ms", millis(*rtt))
        }
        Note::Moving { endpoint, node } => {
            format!("Status     {endpoint} moving   node {node} asks it to connect elsewhere")
        }
        Note::Offline { endpoint, why, retry } => {
            let (why, retry) = (told(*why), millis(*retry));
            format!("Status     {endpoint} offline  {why}; next attempt in {retry} ms")
        }
        Note::Rejected { endpoint, status, code } => {
            format!("Status     {endpoint} refused  {status} {code}")
        }
        Note::ServiceUnreachable { endpoint, service, fault } => {
            format!("Service    {endpoint} -> {service}: {fault}")
        }
        Note::Draining { calls } => format!("Stopping   {calls} requests under way"),
        Note::Drained { cut } => format!("Stopped    {cut} requests cut off"),
        Note::Registered { .. }
        | Note::Unregistered { .. }
        | Note::Refused { .. }
        | Note::NodeFound { .. }
        | Note::NodeGone { .. }
        | Note::Alone { .. }
        | Note::Deserted
        | Note::LinkUp { .. }
        | Note::LinkDown { .. }
        | Note::Joined { .. }
        | Note::Rebalancing { .. }
        | Note::Untrusted { .. }
        | Note::Namesake { .. } => return None,
    })
}

fn told(why: Why) -> String {
    match why {
        Why::Fault(fault) => fault.to_string(),
        Why::Reason(reason) => reason.to_string(),
        Why::Status(status) => format!("the server answered {status}"),
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
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
