//! A terminal that is kept up to date, by a thread of its own: a terminal that is stopped must
//! not stop a worker.

use super::block::{Block, Shape};
use crate::clock::Clock;
use console::{Term, measure_text_width, truncate_str};
use pico_core::note::Note;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::Builder;
use std::time::Duration;

/// The thread's other end.
#[derive(Clone)]
pub(crate) struct Live {
    events: SyncSender<Event>,
    dropped: Arc<AtomicU64>,
}

/// What the thread is told.
enum Event {
    /// Something happened.
    Note(Note),
    /// A line of the log.
    Line(String),
    /// The process ends: answer once all is drawn.
    End(SyncSender<()>),
}

impl Live {
    /// Begins to draw.
    pub(super) fn start(block: Block) -> io::Result<Self> {
        let (events, inbox) = sync_channel(EVENTS_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let painter = Painter {
            term: Term::stdout(),
            block,
            clock: Clock::start(),
            drawn: Vec::new(),
            dropped: Arc::clone(&dropped),
        };
        Builder::new().name("pico-screen".into()).spawn(move || painter.run(&inbox))?;
        // A second screen in one process does not get the log.
        let live = Self { events, dropped };
        let _ = SCREEN.set(live.clone());
        Ok(live)
    }

    /// Shows what happened, if the terminal keeps up.
    pub(super) fn show(&self, note: &Note) {
        if self.events.try_send(Event::Note(note.clone())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The screen of this process, if it has one.
static SCREEN: OnceLock<Live> = OnceLock::new();

/// Shows lines of the log above the block, if there is a screen. Says whether there is.
pub(crate) fn scroll(text: &str) -> bool {
    let Some(screen) = SCREEN.get() else { return false };
    for line in text.lines() {
        // A terminal that does not keep up gets no log, and is told so.
        if screen.events.try_send(Event::Line(line.to_owned())).is_err() {
            screen.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
    true
}

/// Waits until all is drawn, but not for ever.
pub(crate) fn finish() {
    let Some(screen) = SCREEN.get() else { return };
    let (done, answer) = sync_channel(1);
    let clock = Clock::start();
    let end = clock.now() + LAST;
    // The queue may be full of what the terminal has not taken yet.
    while screen.events.try_send(Event::End(done.clone())).is_err() && clock.now() < end {
        let _ = answer.recv_timeout(FRAME);
    }
    let _ = answer.recv_timeout(end.since(clock.now()));
}

struct Painter {
    term: Term,
    block: Block,
    clock: Clock,
    /// The lines of the block that stand at the end of what was written.
    drawn: Vec<String>,
    dropped: Arc<AtomicU64>,
}

impl Painter {
    fn run(mut self, inbox: &Receiver<Event>) {
        let mut lines = Vec::new();
        self.draw(&lines);
        loop {
            let patience = if self.block.counts_down() { SECOND } else { LONG };
            let mut done = None;
            match inbox.recv_timeout(patience) {
                Ok(event) => done = self.take(event, &mut lines),
                // The window may have another size, or a second has passed.
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // What comes in quick succession is drawn together.
            let end = self.clock.now() + FRAME;
            while done.is_none()
                && self.clock.now() < end
                && let Ok(event) = inbox.recv_timeout(end.since(self.clock.now()))
            {
                done = self.take(event, &mut lines);
            }
            self.tell_untold(&mut lines);
            self.draw(&lines);
            lines.clear();
            if let Some(done) = done {
                let _ = done.try_send(());
                return;
            }
        }
    }

    fn take(&mut self, event: Event, lines: &mut Vec<String>) -> Option<SyncSender<()>> {
        match event {
            Event::Note(note) => {
                let shape = self.shape();
                if let Some(line) = self.block.note(self.clock.now(), &note, shape) {
                    let line = format!("  {}   {line}", Clock::time_of_day());
                    self.scroll(truncate_str(&line, shape.width, "…").into_owned(), lines);
                }
            }
            // Nothing of the log is cut: it has no other copy.
            Event::Line(line) => self.scroll(line, lines),
            Event::End(done) => return Some(done),
        }
        None
    }

    /// Has a line scroll by, unless nobody could read it in passing.
    fn scroll(&self, line: String, lines: &mut Vec<String>) {
        if lines.len() < LINES_MAX {
            lines.push(line);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Says how many lines were left out.
    fn tell_untold(&self, lines: &mut Vec<String>) {
        let untold = self.dropped.swap(0, Ordering::Relaxed);
        if untold > 0 {
            lines.push(format!("  … and {untold} more lines"));
        }
    }

    /// Writes the lines where the block stood, and the block below them.
    fn draw(&mut self, lines: &[String]) {
        let shape = self.shape();
        let block = self.block.lines(self.clock.now(), shape);
        if lines.is_empty() && block == self.drawn {
            return;
        }
        // In a window that has become narrower, a line takes several rows.
        let rows = |line: &String| measure_text_width(line).div_ceil(shape.width.max(1)).max(1);
        let above: usize = self.drawn.iter().map(rows).sum();
        let mut text = if above > 0 { format!("\u{1b}[{above}A\r\u{1b}[J") } else { String::new() };
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        for line in &block {
            text.push_str(line);
            text.push('\n');
        }
        // A terminal that is gone is no reason to stop serving.
        let _ = (&self.term).write_all(text.as_bytes()).and_then(|()| self.term.flush());
        self.drawn = block;
    }

    fn shape(&self) -> Shape {
        let (height, width) = self.term.size();
        let (height, width) = (usize::from(height), usize::from(width));
        Shape { width, height, colour: console::colors_enabled() }
    }
}

/// Events that may wait for the terminal.
const EVENTS_MAX: usize = 4096;
/// Lines that scroll by at once.
const LINES_MAX: usize = 50;
/// How long what comes is gathered before it is drawn.
const FRAME: Duration = Duration::from_millis(50);
const SECOND: Duration = Duration::from_secs(1);
/// How long a screen on which nothing happens is left alone.
const LONG: Duration = Duration::from_secs(5);
/// How long the end of the process waits for the last lines.
const LAST: Duration = Duration::from_secs(2);
