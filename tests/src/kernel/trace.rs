//! What happened, as one number, and as lines for whoever wants to read it.

use super::SeatId;
use crate::hash::Hash;
use core::fmt::Debug;
use pico_core::Instant;
use pico_core::host::Input;

/// The running hash over (time, host, input, action), and optionally the log.
#[derive(Debug, Default)]
pub struct Trace {
    hash: Hash,
    lines: Option<Vec<String>>,
    inputs: u64,
}

impl Trace {
    /// A trace that is also kept as lines.
    pub fn with_lines() -> Self {
        Self { lines: Some(Vec::new()), ..Self::default() }
    }

    /// The hash of all so far.
    pub const fn sum(&self) -> u64 {
        self.hash.sum()
    }

    /// How many inputs there were.
    pub const fn inputs(&self) -> u64 {
        self.inputs
    }

    /// The lines, if they are kept.
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }

    pub(super) fn input<L: Debug>(
        &mut self,
        now: Instant,
        seat: SeatId,
        name: &str,
        input: &Input<L>,
    ) {
        self.inputs += 1;
        self.place(now, seat);
        if let Input::Received { conn, bytes } = input {
            self.hash.shown(conn);
            self.hash.bytes(bytes);
        } else {
            self.hash.shown(input);
        }
        self.line(now, name, "<", input);
    }

    pub(super) fn action(&mut self, now: Instant, seat: SeatId, name: &str, action: &dyn Debug) {
        self.place(now, seat);
        self.hash.shown(action);
        self.line(now, name, ">", &action);
    }

    fn place(&mut self, now: Instant, seat: SeatId) {
        self.hash.number(now.as_nanos());
        self.hash.number(seat.0 as u64);
    }

    fn line(&mut self, now: Instant, name: &str, way: &str, what: &dyn Debug) {
        const MAX: usize = 300;
        if let Some(lines) = &mut self.lines {
            let (secs, micros) = (now.as_nanos() / 1_000_000_000, now.as_nanos() / 1_000);
            let mut line = format!("{secs:4}.{:06} {name:12} {way} {what:?}", micros % 1_000_000);
            if let Some((at, _)) = line.char_indices().nth(MAX) {
                line.truncate(at);
                line.push('…');
            }
            lines.push(line);
        }
    }
}
