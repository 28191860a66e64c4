//! What people read: events on standard error, and an agent's plain lines on standard output.

mod event;
mod pending;

use crate::config::{Format, Level, Logs, Part};
use crate::driver::Notes;
use crate::screen;
use event::PROCESS;
pub(crate) use event::event;
use pending::Pending;
use pico_core::host::Fault;
use std::io::{self, IsTerminal as _, Write};
use std::net::SocketAddr;
use std::sync::Arc;
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

/// Says that connections have to wait to be accepted.
pub(crate) fn crowded(fault: Fault) {
    let what = match fault {
        Fault::Exhausted => "connections wait: more descriptors are needed (ulimit -n)",
        Fault::Refused
        | Fault::Unreachable
        | Fault::Reset
        | Fault::TimedOut
        | Fault::NoSuchHost
        | Fault::Other => "connections wait: they cannot be accepted",
    };
    tracing::warn!(target: PROCESS, why = %fault, "{what}");
}

/// Says that the process ends at once, whatever is under way.
pub(crate) fn hurried() {
    tracing::warn!(target: PROCESS, "a second signal: ends at once, and cuts what is under way");
}

/// Notes as events of the log.
pub fn events() -> Notes {
    Arc::new(|note| event(&note))
}

/// Prints a plain line.
pub(crate) fn print(line: &str) {
    LINES.add(format!("{line}\n").as_bytes());
}

/// Lets what was logged and printed since the last time be written. Every turn of a driver ends
/// with it, so that a turn that answers many requests makes one call for their lines.
pub(crate) fn flush() {
    ERRORS.flush(errors);
    LINES.flush(io::stdout);
}

/// Prints what a command has to say, all of it, however slowly it is read: for commands that do
/// nothing else. Whoever has read enough and closes the pipe is no error.
pub(crate) fn say(text: &str) -> io::Result<Reader> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
    match written {
        Ok(()) => Ok(Reader::There),
        Err(error) if is_gone(&error) => Ok(Reader::Gone),
        Err(error) => Err(error),
    }
}

/// Whether anybody may read more of what is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reader {
    /// Nothing says otherwise.
    There,
    /// The pipe is closed.
    Gone,
}

/// Says why a command failed. That nobody reads it is no further failure.
pub(crate) fn complain(text: &str) {
    let mut out = io::stderr().lock();
    for line in text.lines() {
        let _ = writeln!(out, "pico: {line}");
    }
}

/// Has somebody told, once, when whoever read what is [`print`]ed does so no more. A terminal that
/// is gone is not meant: the system tells of it by a signal, unless that was not wanted.
pub(crate) fn when_nobody_reads(told: impl FnOnce() + Send + 'static) {
    LINES.when_gone(Box::new(told));
}

/// Whether a write failed because the other end of a pipe is closed.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// Waits until all is written, before the process ends; not for ever, if nobody reads it. What the
/// log says may go to the screen, which is the last to end.
pub(crate) fn finish() {
    ERRORS.finish(errors);
    screen::finish();
    LINES.finish(io::stdout);
}

/// What waits to be written to standard error.
static ERRORS: Pending = Pending::new();
/// What waits to be written to standard output.
static LINES: Pending = Pending::new();

/// Standard error; or the screen, if both are a terminal, so that a line does not tear it.
fn errors() -> Errors {
    Errors { terminal: io::stderr().is_terminal() }
}

struct Errors {
    terminal: bool,
}

impl Write for Errors {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if self.terminal && screen::scroll(&String::from_utf8_lossy(text)) {
            return Ok(text.len());
        }
        io::stderr().write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
