//! Text that waits to be written.

use super::is_gone;
use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread::Builder;
use std::time::Duration;

/// Text that waits to be written, by a thread of its own: whoever does not read what we write
/// must not stop a worker.
pub(super) struct Pending {
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
    /// Whether a write has found the pipe closed.
    gone: bool,
    /// Who wants to know of that.
    watch: Option<Box<dyn FnOnce() + Send>>,
}

impl Pending {
    pub(super) const fn new() -> Self {
        let state =
            State { text: Vec::new(), dropped: 0, writing: false, gone: false, watch: None };
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
    pub(super) fn add(&self, line: &[u8]) {
        self.lock().add(line);
        self.any.store(true, Ordering::Relaxed);
    }

    /// Tells somebody, once, when a write finds the pipe closed; at once if one has.
    pub(super) fn when_gone(&self, told: Box<dyn FnOnce() + Send>) {
        let mut state = self.lock();
        if state.gone {
            drop(state);
            return told();
        }
        state.watch = Some(told);
    }

    pub(super) fn flush<W: Write + 'static>(&'static self, to: fn() -> W) {
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
            // What cannot be written is no reason to stop, unless somebody wants to know of it.
            let written = to.write_all(&text).and_then(|()| to.flush());
            let gone = written.is_err_and(|error| is_gone(&error));
            text.clear();
            text.shrink_to(KEPT);
            if dropped > 0 {
                tracing::warn!(
                    lines = dropped,
                    "lines were dropped, because nobody read them in time"
                );
            }
            state = self.lock();
            state.gone |= gone;
            if let Some(told) = gone.then(|| state.watch.take()).flatten() {
                drop(state);
                told();
                state = self.lock();
            }
        }
    }

    pub(super) fn finish<W: Write + 'static>(&'static self, to: fn() -> W) {
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
