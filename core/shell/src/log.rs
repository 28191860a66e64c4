//! What people read: events on standard error, and an agent's plain lines on standard output.

use crate::config::{Format, Level, Logs};
use crate::driver::Notes;
use pico_core::note::{Gone, Note, Request, Why};
use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread::Builder;
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

/// Notes as events, and as the plain lines of an agent. A log for people that is to hold nothing
/// but warnings and errors leaves out what the lines say, so that who sees both reads it once.
pub fn lines(logs: Logs) -> Notes {
    let brief = match (logs.format, logs.level) {
        (Format::Text, Level::Error | Level::Warn) => true,
        (Format::Text, Level::Info | Level::Debug) | (Format::Json, _) => false,
    };
    Arc::new(move |note| match line(&note) {
        Some(line) => {
            print(&line);
            if !brief {
                event(&note);
            }
        }
        None => event(&note),
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

/// Text that waits to be written, by a thread of its own: whoever does not read what we write
/// must not stop a worker.
struct Pending {
    state: Mutex<State>,
    any: AtomicBool,
    started: Once,
    /// There is something to write.
    fill: Condvar,
    /// All is written.
    empty: Condvar,
}

struct State {
    text: Vec<u8>,
    /// Times that there was no room.
    dropped: u64,
    writing: bool,
}

impl Pending {
    const fn new() -> Self {
        let state = State { text: Vec::new(), dropped: 0, writing: false };
        Self {
            state: Mutex::new(state),
            any: AtomicBool::new(false),
            started: Once::new(),
            fill: Condvar::new(),
            empty: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line, if there is room for it.
    fn add(&self, line: &[u8]) {
        self.lock().add(line);
        self.any.store(true, Ordering::Relaxed);
    }

    fn flush<W: Write + 'static>(&'static self, to: fn() -> W) {
        if self.any.swap(false, Ordering::Relaxed) {
            self.started.call_once(|| {
                let writer = Builder::new().name("pico-log".into());
                // Without a thread, what there is fills up and is dropped.
                let _ = writer.spawn(move || self.write_on(&mut to()));
            });
            self.fill.notify_one();
        }
    }

    /// Writes whatever comes, as long as the process lives.
    fn write_on(&self, to: &mut impl Write) {
        let mut text = Vec::new();
        let mut state = self.lock();
        loop {
            while state.text.is_empty() {
                state.writing = false;
                self.empty.notify_all();
                state = self.fill.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.writing = true;
            mem::swap(&mut state.text, &mut text);
            let dropped = mem::take(&mut state.dropped);
            drop(state);
            // A closed pipe is no reason to stop serving.
            let _ = to.write_all(&text).and_then(|()| to.flush());
            text.clear();
            text.shrink_to(KEPT);
            if dropped > 0 {
                warn!(lines = dropped, "lines were dropped, because nobody read them in time");
            }
            state = self.lock();
        }
    }

    fn finish<W: Write + 'static>(&'static self, to: fn() -> W) {
        // Another thread may have begun to start the writer: then this waits for it to be there.
        if !self.lock().text.is_empty() {
            self.any.store(true, Ordering::Relaxed);
        }
        self.flush(to);
        let state = self.lock();
        let busy = |state: &mut State| state.writing || !state.text.is_empty();
        if self.started.is_completed() {
            self.fill.notify_one();
            let waited = self.empty.wait_timeout_while(state, LAST, busy);
            drop(waited);
        }
    }
}

impl State {
    fn add(&mut self, line: &[u8]) {
        if self.text.len() + line.len() <= MOST {
            self.text.extend_from_slice(line);
        } else {
            self.dropped += 1;
        }
    }
}

impl Write for &Pending {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes that may wait.
const MOST: usize = 4 * 1024 * 1024;
/// Bytes of buffer that are kept when nothing waits.
const KEPT: usize = 64 * 1024;
/// How long the end of the process waits for the last lines.
const LAST: Duration = Duration::from_secs(2);

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
        Note::Moving { endpoint, node } => info!(%endpoint, %node, "asked to connect elsewhere"),
        Note::Offline { endpoint, why, retry } => {
            warn!(%endpoint, why = told(*why), retry_ms = millis(*retry), "offline");
        }
        Note::Rejected { endpoint, status, code } => {
            error!(%endpoint, status, %code, "refused for good");
        }
        Note::ServiceUnreachable { endpoint, service, fault } => {
            warn!(%endpoint, %service, %fault, "service unreachable");
        }
        Note::NodeFound { node, addr } => info!(%node, %addr, "node found"),
        Note::NodeGone { node, why: Gone::Dead } => warn!(%node, "node is dead"),
        Note::NodeGone { node, why: Gone::Left } => info!(%node, "node has left"),
        Note::NodeGone { node, why: Gone::Restarted } => info!(%node, "node has restarted"),
        Note::Alone { seed, why } => warn!(%seed, %why, "alone: no other node was found"),
        Note::Deserted => error!("no node of cluster.join was found in time"),
        Note::LinkUp { node } => info!(%node, "link up"),
        Note::LinkDown { node, broken: true } => warn!(%node, "link lost"),
        Note::LinkDown { node, broken: false } => info!(%node, "link closed"),
        Note::Joined { nodes, complete: true } => info!(nodes, "ready"),
        Note::Joined { nodes, complete: false } => {
            warn!(nodes, "ready, but not all was learned that the other nodes serve");
        }
        Note::Rebalancing { held, share } => {
            info!(held, share, "holds more than its share: agents are asked to move");
        }
        Note::Untrusted { peer, why, untold } => warn!(%peer, %why, untold, "not trusted"),
        Note::Namesake { peer } => error!(%peer, "another node has the same cluster.node-id"),
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
