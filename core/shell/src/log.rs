//! What people read: events on standard error, and an agent's plain lines on standard output.

use crate::config::{Format, Level, Logs};
use crate::driver::Notes;
use pico_core::note::{Note, Request, Why};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing::{error, info, warn};

/// Begins to log.
pub fn start(logs: Logs) {
    let level = match logs.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    };
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_target(false);
    // A second log in one process is the first one.
    let _ = match logs.format {
        Format::Text => log.with_ansi(false).try_init(),
        Format::Json => log.json().flatten_event(true).try_init(),
    };
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
    // A closed pipe is no reason to stop serving.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// An event of the log. Nothing is formatted that is not logged.
fn event(note: &Note) {
    match note {
        Note::Request(request) => request_event(request),
        Note::Registered { endpoint, peer } => info!(%endpoint, %peer, "upstream registered"),
        Note::Unregistered { endpoint, reason } => {
            info!(%endpoint, code = reason.told().code, %reason, "upstream gone");
        }
        Note::Refused { peer, reason } => {
            warn!(%peer, code = reason.told().code, %reason, "refused");
        }
        Note::Online { endpoint, node, rtt } => {
            info!(%endpoint, %node, rtt_ms = millis(*rtt), "online");
        }
        Note::Offline { endpoint, why, retry } => {
            warn!(%endpoint, why = told(*why), retry_ms = millis(*retry), "offline");
        }
        Note::Rejected { endpoint, status, code } => {
            error!(%endpoint, status, %code, "refused for good");
        }
        Note::ServiceUnreachable { endpoint, service, fault } => {
            warn!(%endpoint, %service, %fault, "service unreachable");
        }
        Note::Draining { calls } => info!(calls, "draining"),
        Note::Drained { cut } => info!(cut, "drained"),
    }
}

fn request_event(request: &Request) {
    let Request { id, endpoint, method, path, status, reason, bytes_in, bytes_out, took } = request;
    info!(
        request_id = %id,
        %endpoint,
        %method,
        %path,
        status,
        code = reason.map(|reason| reason.told().code),
        bytes_in,
        bytes_out,
        took_ms = millis(*took),
        "request"
    );
}

/// The plain line of an agent, if the note has one.
fn line(note: &Note) -> Option<String> {
    Some(match note {
        Note::Request(request) => {
            let Request { method, path, status, reason, bytes_out, took, .. } = request;
            let end = match reason {
                Some(reason) => reason.to_string(),
                None => size(*bytes_out),
            };
            format!("{method:<6} {path}  {status}  {} ms  {end}", millis(*took))
        }
        Note::Online { endpoint, node, rtt } => {
            format!("Status     {endpoint} online   node {node}   rtt {} ms", millis(*rtt))
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
        Note::Registered { .. } | Note::Unregistered { .. } | Note::Refused { .. } => return None,
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
