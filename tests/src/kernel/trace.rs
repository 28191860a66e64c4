//! What happened: as one number, and step by step for whoever wants to look into it.

use super::{SeatId, walk};
use crate::gossip::words;
use crate::hash::Hash;
use core::fmt::{self, Debug, Write as _};
use pico_core::Instant;
use pico_core::host::{Action, Input};
use pico_core::id::ConnId;

/// The running hash over (time, host, input, action), and optionally a record of it all.
#[derive(Debug, Default)]
pub struct Trace {
    hash: Hash,
    record: Option<Vec<Step>>,
    inputs: u64,
    turn: u64,
    place: (Instant, SeatId),
    begun: bool,
}

/// One turn of one machine in which anything came or went.
#[derive(Clone, Debug)]
pub struct Step {
    /// The turn's number; not every number is a step.
    pub serial: u64,
    /// When it was, by the world's clock.
    pub at: Instant,
    /// Whose turn.
    pub seat: SeatId,
    /// What that machine is called.
    pub name: String,
    /// What came.
    pub inputs: Vec<Entry>,
    /// What went.
    pub actions: Vec<Entry>,
}

/// Something that came or went.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What, as it shows itself; cut off where it is long.
    pub text: String,
    /// On which of the machine's connections, if on one.
    pub conn: Option<ConnId>,
    /// How many bytes came, or were sent.
    pub bytes: usize,
    /// The turn in which it was sent, if it came and was sent by any.
    pub cause: Option<u64>,
}

impl Trace {
    /// A trace that also keeps every step.
    pub fn recorded() -> Self {
        Self { record: Some(Vec::new()), ..Self::default() }
    }

    /// The hash of all so far.
    pub const fn sum(&self) -> u64 {
        self.hash.sum()
    }

    /// How many inputs there were.
    pub const fn inputs(&self) -> u64 {
        self.inputs
    }

    /// How many turns there were.
    pub const fn turns(&self) -> u64 {
        self.turn
    }

    /// Every step, if they are kept, in the order of their numbers.
    pub fn steps(&self) -> &[Step] {
        self.record.as_deref().unwrap_or_default()
    }

    /// The steps as lines, if they are kept.
    pub fn lines(&self) -> Vec<String> {
        self.steps().iter().flat_map(Step::lines).collect()
    }

    /// Begins a turn; what it sends bears the number that this returns.
    pub(super) const fn begin(&mut self, now: Instant, seat: SeatId) -> u64 {
        self.turn += 1;
        self.place = (now, seat);
        self.begun = false;
        self.turn
    }

    pub(super) fn input<L: Debug + 'static>(&mut self, name: &str, input: &Input<L>, cause: u64) {
        self.inputs += 1;
        self.enter(name);
        walk::input(&mut self.hash, input);
        if let Some(step) = self.record.as_mut().and_then(|record| record.last_mut()) {
            let (conn, bytes) = about_input(input);
            let cause = Some(cause).filter(|cause| *cause > 0);
            let said = match input {
                Input::Datagram { from, bytes } => words::said(bytes)
                    .map(|said| format!("Datagram {{ from: {from}, gossip: {said} }}")),
                // A consultation of those who do nothing but gossip has its length before it.
                Input::Received { conn, bytes } => words::said(bytes.get(4..).unwrap_or_default())
                    .map(|said| format!("Received {{ conn: {conn:?}, gossip: {said} }}")),
                Input::Accepted { .. }
                | Input::Connected { .. }
                | Input::Unreachable { .. }
                | Input::Eof { .. }
                | Input::Sent { .. }
                | Input::Lost { .. }
                | Input::Unlistened(_)
                | Input::Resolved { .. }
                | Input::Letter(_)
                | Input::Wall(_) => None,
            };
            let text = said.unwrap_or_else(|| text(input));
            step.inputs.push(Entry { text, conn, bytes, cause });
        }
    }

    pub(super) fn action<L: Debug + 'static>(&mut self, name: &str, action: &Action<L>) {
        self.enter(name);
        walk::action(&mut self.hash, action);
        if let Some(step) = self.record.as_mut().and_then(|record| record.last_mut()) {
            let conn = about_action(action);
            let said = match action {
                Action::Datagram { to, bytes } => words::said(bytes)
                    .map(|said| format!("Datagram {{ to: {to}, gossip: {said} }}")),
                Action::Dial { .. }
                | Action::Resolve { .. }
                | Action::Write(_)
                | Action::Read(_)
                | Action::Finish(_)
                | Action::Close(_)
                | Action::Unlisten(_)
                | Action::Letter { .. }
                | Action::Note(_)
                | Action::Done => None,
            };
            let text = said.unwrap_or_else(|| text(action));
            step.actions.push(Entry { text, conn, bytes: 0, cause: None });
        }
    }

    /// The first thing of a turn says whose and when it is.
    fn enter(&mut self, name: &str) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let (at, seat) = self.place;
        self.hash.number(at.as_nanos());
        self.hash.number(seat.0 as u64);
        if let Some(record) = &mut self.record {
            let (serial, name) = (self.turn, name.to_owned());
            record.push(Step { serial, at, seat, name, inputs: Vec::new(), actions: Vec::new() });
        }
    }
}

impl Step {
    /// The step as lines.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let inputs = self.inputs.iter().map(|entry| ('<', &entry.text));
        let actions = self.actions.iter().map(|entry| ('>', &entry.text));
        let (secs, micros) = (self.at.as_nanos() / 1_000_000_000, self.at.as_nanos() / 1_000);
        inputs.chain(actions).map(move |(way, what)| {
            format!("{secs:4}.{:06} {:12} {way} {what}", micros % 1_000_000, self.name)
        })
    }
}

/// On which connection something came, and how much.
fn about_input<L>(input: &Input<L>) -> (Option<ConnId>, usize) {
    match input {
        Input::Received { conn, bytes } => (Some(*conn), bytes.len()),
        Input::Sent { conn, count } => (Some(*conn), *count),
        Input::Accepted { conn, .. }
        | Input::Connected { conn, .. }
        | Input::Unreachable { conn, .. }
        | Input::Eof { conn }
        | Input::Lost { conn, .. } => (Some(*conn), 0),
        Input::Datagram { bytes, .. } => (None, bytes.len()),
        Input::Unlistened(_) | Input::Resolved { .. } | Input::Wall(_) | Input::Letter(_) => {
            (None, 0)
        }
    }
}

/// About which connection something went.
const fn about_action<L>(action: &Action<L>) -> Option<ConnId> {
    match action {
        Action::Dial { conn, .. }
        | Action::Write(conn)
        | Action::Read(conn)
        | Action::Finish(conn)
        | Action::Close(conn) => Some(*conn),
        Action::Resolve { .. }
        | Action::Unlisten(_)
        | Action::Datagram { .. }
        | Action::Letter { .. }
        | Action::Note(_)
        | Action::Done => None,
    }
}

/// What something shows of itself, cut off where it is long.
fn text(what: &dyn Debug) -> String {
    let mut short = Short { text: String::new(), left: TEXT_MAX };
    if write!(short, "{what:?}").is_err() {
        short.text.push('…');
    }
    short.text
}

/// Takes so many characters, and no more.
struct Short {
    text: String,
    left: usize,
}

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if let Some((end, _)) = text.char_indices().nth(self.left) {
            self.text.push_str(&text[..end]);
            return Err(fmt::Error);
        }
        self.left -= text.chars().count();
        self.text.push_str(text);
        Ok(())
    }
}

const TEXT_MAX: usize = 300;
