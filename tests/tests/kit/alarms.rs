//! A host that sends each byte back after as many milliseconds as it says, or at once, or never.

use bytes::{Buf as _, BytesMut};
use pico_core::host::{Action, Host, Input};
use pico_core::id::ConnId;
use pico_core::{Instant, Machine, Outbox};
use std::collections::VecDeque;
use std::time::Duration;

/// A byte that was due when the process began.
pub const PAST: u8 = 0;
/// A byte that is due at the end of time.
pub const NEVER: u8 = 255;

/// The host. One connection is all it takes.
#[derive(Default)]
pub struct Alarms {
    conn: Option<ConnId>,
    outbox: Outbox,
    due: Vec<(Instant, u8)>,
    actions: VecDeque<Action<()>>,
}

impl Machine for Alarms {
    type Input = Input<()>;
    type Action = Action<()>;

    fn handle(&mut self, now: Instant, input: Input<()>) {
        match input {
            Input::Accepted { conn, .. } => self.conn = Some(conn),
            Input::Received { bytes, .. } => self.set(now, &bytes),
            Input::Sent { count, .. } => self.outbox.advance(count),
            Input::Letter(()) => self.actions.push_back(Action::Done),
            Input::Connected { .. }
            | Input::Unreachable { .. }
            | Input::Eof { .. }
            | Input::Lost { .. }
            | Input::Unlistened(_)
            | Input::Resolved { .. }
            | Input::Datagram { .. }
            | Input::Wall(_) => {}
        }
    }

    fn tick(&mut self, now: Instant) {
        while let Some((_, byte)) = self.due.pop_if(|(at, _)| *at <= now) {
            self.outbox.put(&[byte]);
            self.actions.extend(self.conn.map(Action::Write));
        }
    }

    fn poll(&mut self) -> Option<Action<()>> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        self.due.last().map(|(at, _)| *at)
    }
}

impl Alarms {
    fn set(&mut self, now: Instant, spans: &BytesMut) {
        let due = spans.iter().map(|ms| match *ms {
            PAST => (Instant::ZERO, PAST),
            NEVER => (Instant::from_nanos(u64::MAX), NEVER),
            span => (now + Duration::from_millis(u64::from(span)), span),
        });
        self.due.extend(due);
        self.due.sort_unstable_by(|a, b| b.cmp(a));
    }
}

impl Host for Alarms {
    type Letter = ();

    fn outbox(&self, _conn: ConnId) -> Option<&Outbox> {
        Some(&self.outbox)
    }

    fn room(&self, _conn: ConnId) -> usize {
        1
    }
}
