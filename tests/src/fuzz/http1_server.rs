//! The server side of an HTTP/1 connection, its parent and its client.

use super::http1_text;
use crate::choices::Choices;
use crate::laws::{Event, Seen, Subject};
use bytes::BytesMut;
use pico_core::head::{Fields, ResponseHead};
use pico_core::http1::server::{Action, Input, Machine};
use pico_core::{Instant, Limits, Outbox};
use std::sync::Arc;

/// What the parent knows.
#[derive(Default)]
pub(super) struct World {
    /// Whether a request has come whose end was not told.
    asked: bool,
    /// Body bytes granted in this exchange, and those that came.
    granted: usize,
    came: usize,
    /// Body bytes given, and those that were told to have gone.
    given: usize,
    taken: usize,
}

/// Something that happens.
#[derive(Debug)]
pub(super) enum Step {
    Say(Vec<u8>),
    Eof,
    Lost,
    Respond { head: ResponseHead, end: bool },
    Data { bytes: BytesMut, end: bool },
    Trailers(Fields),
    Abort,
    Credit(usize),
    Drain,
    Stall(bool),
    Take(usize),
}

/// Small, so that they are met.
pub(super) fn limits() -> Limits {
    Limits {
        head_bytes: 512,
        head_fields: 8,
        chunk_line_bytes: 32,
        outbox_bytes: OUTBOX,
        linger_bytes: 600,
        ..Limits::default()
    }
}

pub(super) const OUTBOX: usize = 4096;

/// The most that one word of a parent adds: a body piece or a head, with its framing.
pub(super) const WORD_MAX: usize = 4096;

impl Subject for World {
    type Machine = Machine;
    type Wire = ();
    type Step = Step;

    fn new(_: &mut Choices, now: Instant) -> (Self, Machine) {
        (Self::default(), Machine::new(now, Arc::new(limits())))
    }

    fn draw(choices: &mut Choices) -> Step {
        match choices.below(16) {
            0..=5 => Step::Say(http1_text::said(choices, false)),
            6 | 7 => {
                Step::Respond { head: http1_text::response(choices), end: choices.chance(1, 2) }
            }
            8 | 9 => Step::Data { bytes: http1_text::body(choices), end: choices.chance(1, 2) },
            10 => Step::Trailers(http1_text::fields(choices)),
            11 | 12 => Step::Credit(choices.size(5000)),
            13 => Step::Take(choices.size(2000)),
            14 => Step::Stall(choices.chance(1, 2)),
            _ => match choices.below(8) {
                0..=3 => Step::Eof,
                4 => Step::Lost,
                5 => Step::Abort,
                _ => Step::Drain,
            },
        }
    }

    fn perform(&mut self, machine: &mut Machine, _: Instant, step: &Step) -> Vec<Event<Self>> {
        let full = machine.outbox().len() > OUTBOX;
        vec![match step {
            Step::Say(bytes) => Event::Bytes((), bytes.clone()),
            Step::Eof => Event::Eof(()),
            Step::Lost => Event::Input(Input::Lost),
            Step::Respond { .. } | Step::Data { .. } | Step::Trailers(_) if full => {
                return Vec::new();
            }
            Step::Respond { head, end } => {
                let end = *end && !head.status.is_informational();
                Event::Input(Input::Respond { head: head.clone(), end })
            }
            Step::Data { bytes, end } => {
                self.given += bytes.len();
                Event::Input(Input::Data { bytes: bytes.clone(), end: *end })
            }
            Step::Trailers(fields) => Event::Input(Input::Trailers(fields.clone())),
            Step::Abort => Event::Input(Input::Abort),
            Step::Credit(count) => {
                self.granted += count;
                Event::Input(Input::Credit(*count))
            }
            Step::Drain => Event::Input(Input::Drain),
            Step::Stall(on) => Event::Stall((), *on),
            Step::Take(count) => Event::Take((), *count),
        }]
    }

    fn observe(&mut self, action: Action, seen: &mut Seen) {
        match action {
            Action::Request(request) => {
                assert!(!self.asked, "a request before the last one's end was told");
                (self.asked, self.granted, self.came) = (true, 0, 0);
                seen.event("in", &request);
            }
            Action::Data { bytes, end } => {
                assert!(end || !bytes.is_empty(), "an empty piece");
                self.came += bytes.len();
                assert!(self.came <= self.granted, "more than was granted");
                seen.bytes("in", "body", &bytes);
                if end {
                    seen.event("in", &"end");
                }
            }
            Action::Taken(count) => {
                self.taken += count;
                assert!(self.taken <= self.given, "more was taken than was given");
                seen.count("taken", "bytes", count);
            }
            Action::Finished => {
                assert!(self.asked, "the end of no request");
                self.asked = false;
                seen.event("in", &"finished");
            }
            Action::Malformed(_)
            | Action::Trailers(_)
            | Action::Canceled(_)
            | Action::Finish
            | Action::Closed(_) => seen.event("in", &action),
        }
    }

    fn received((): (), bytes: BytesMut) -> Input {
        Input::Received(bytes)
    }

    fn eof((): ()) -> Input {
        Input::Eof
    }

    fn sent((): (), count: usize) -> Input {
        Input::Sent(count)
    }

    fn wires(&self) -> Vec<()> {
        vec![()]
    }

    fn outbox(machine: &Machine, (): ()) -> Option<&Outbox> {
        Some(machine.outbox())
    }

    /// All is offered at once: a socket that is left unread would hold the FIN back, for longer
    /// if what came before it was cut.
    fn room(_: &Machine, (): ()) -> usize {
        usize::MAX
    }

    fn closes(action: &Action) -> bool {
        matches!(action, Action::Closed(_))
    }

    fn check(&self, machine: &Machine) -> Result<(), String> {
        let waiting = machine.outbox().len();
        let fits = waiting <= OUTBOX + WORD_MAX;
        if fits { Ok(()) } else { Err(format!("{waiting} bytes wait to be sent")) }
    }
}
