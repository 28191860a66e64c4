//! What people read: events on standard error, and an agent's plain lines on standard output.

use crate::config::{Format, Level, Logs};
use crate::driver::Notes;
use pico_core::note::{Note, Request, Why};
use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    let log =
        tracing_subscriber::fmt().with_max_level(level).with_writer(|| &ERRORS).with_target(false);
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
    LINES.add(line.as_bytes());
    LINES.add(b"\n");
}

/// Writes out what was logged and printed since the last time. Every turn of a driver ends with
/// it, so that a turn that answers many requests makes one call for their lines.
pub(crate) fn flush() {
    ERRORS.flush(&mut io::stderr());
    LINES.flush(&mut io::stdout());
}

/// What waits to be written to standard error.
static ERRORS: Pending = Pending::new();
/// What waits to be written to standard output.
static LINES: Pending = Pending::new();

/// Text that waits to be written.
struct Pending {
    text: Mutex<Vec<u8>>,
    any: AtomicBool,
}

impl Pending {
    const fn new() -> Self {
        Self { text: Mutex::new(Vec::new()), any: AtomicBool::new(false) }
    }

    fn add(&self, text: &[u8]) {
        let mut all = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend_from_slice(text);
        self.any.store(true, Ordering::Relaxed);
    }

    fn flush(&self, to: &mut impl Write) {
        if self.any.swap(false, Ordering::Relaxed) {
            // Held while writing, so that lines of different threads keep their order.
            let mut all = self.text.lock().unwrap_or_else(PoisonError::into_inner);
            let text = mem::take(&mut *all);
            // A closed pipe is no reason to stop serving.
            let _ = to.write_all(&text).and_then(|()| to.flush());
        }
    }
}

impl Write for &Pending {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.add(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
