//! The client side of an HTTP/1 connection, its parent and its server.

use super::http1_server::{OUTBOX, WORD_MAX, limits};
use super::http1_text;
use crate::choices::Choices;
use crate::laws::{Event, Seen, Subject};
use bytes::BytesMut;
use pico_core::head::{Fields, RequestHead};
use pico_core::http1::client::{Action, Input, Machine};
use pico_core::{Instant, Outbox};
use std::sync::Arc;

/// What the parent knows.
#[derive(Default)]
pub(super) struct World {
    /// Whether an exchange is under way.
    asked: bool,
    granted: usize,
    came: usize,
    given: usize,
    taken: usize,
}

/// Something that happens.
#[derive(Debug)]
pub(super) enum Step {
    Say(Vec<u8>),
    Eof,
    Lost,
    Request { head: RequestHead, end: bool, upgrade: bool },
    Data { bytes: BytesMut, end: bool },
    Trailers(Fields),
    Abort,
    Credit(usize),
    Stall(bool),
    Take(usize),
}

impl Subject for World {
    type Machine = Machine;
    type Wire = ();
    type Step = Step;

    fn new(_: &mut Choices, now: Instant) -> (Self, Machine) {
        (Self::default(), Machine::new(now, Arc::new(limits())))
    }

    fn draw(choices: &mut Choices) -> Step {
        match choices.below(16) {
            0..=5 => Step::Say(http1_text::said(choices, true)),
            6 | 7 => {
                let upgrade = choices.chance(1, 4);
                let end = !upgrade && choices.chance(1, 2);
                Step::Request { head: http1_text::request(choices), end, upgrade }
            }
            8 | 9 => Step::Data { bytes: http1_text::body(choices), end: choices.chance(1, 2) },
            10 => Step::Trailers(http1_text::fields(choices)),
            11 | 12 => Step::Credit(choices.size(5000)),
            13 => Step::Take(choices.size(2000)),
            14 => Step::Stall(choices.chance(1, 2)),
            _ => match choices.below(8) {
                0..=4 => Step::Eof,
                5 | 6 => Step::Lost,
                _ => Step::Abort,
            },
        }
    }

    fn perform(&mut self, machine: &mut Machine, _: Instant, step: &Step) -> Vec<Event<Self>> {
        let full = machine.outbox().len() > OUTBOX;
        vec![match step {
            Step::Say(bytes) => Event::Bytes((), bytes.clone()),
            Step::Eof => Event::Eof(()),
            Step::Lost => Event::Input(Input::Lost),
            Step::Request { .. } if !machine.is_idle() => return Vec::new(),
            Step::Data { .. } | Step::Trailers(_) if full => return Vec::new(),
            Step::Request { head, end, upgrade } => {
                (self.asked, self.granted, self.came) = (true, 0, 0);
                let head = head.clone();
                Event::Input(Input::Request { head, end: *end, upgrade: *upgrade })
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
            Step::Stall(on) => Event::Stall((), *on),
            Step::Take(count) => Event::Take((), *count),
        }]
    }

    fn observe(&mut self, action: Action, seen: &mut Seen) {
        match action {
            Action::Response { .. } => {
                assert!(self.asked, "a response to no request");
                seen.event("in", &action);
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
            Action::Idle | Action::Failed { .. } => {
                assert!(self.asked, "the end of no exchange");
                self.asked = false;
                seen.event("in", &action);
            }
            Action::Trailers(_) | Action::Finish | Action::Closed(_) => seen.event("in", &action),
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

    /// As for the server.
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
