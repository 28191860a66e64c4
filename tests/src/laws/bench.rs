//! What `pico bench http` runs on each thread, under law: the server that it asks.
//!
//! A server that says more than it was asked for has it taken for the answer to the next request
//! or not, by how it is cut: the next request follows at once. So what a load does is compared
//! between plays with the same cuts only.

use super::{Event, Seen, Subject};
use crate::choices::Choices;
use crate::fuzz::http1_text;
use bytes::BytesMut;
use core::net::SocketAddr;
use core::time::Duration;
use pico_core::host::{Action, Fault, Host as _, Input};
use pico_core::id::ConnId;
use pico_core::{Instant, Outbox};
use pico_shell::bench::{Load as Machine, Plan, Report, Share, Tally, Word};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

/// Whom a load meets, and what it tells of that.
#[derive(Debug)]
pub struct Load {
    connections: usize,
    dials: VecDeque<ConnId>,
    conns: Vec<Conn>,
    reports: Receiver<Report>,
    total: Tally,
    /// Requests whose heads went out.
    asked: u64,
    done: bool,
}

#[derive(Debug)]
struct Conn {
    id: ConnId,
    /// The driver still has it.
    held: bool,
    /// What came last, as far as it may be the beginning of a request.
    heard: Vec<u8>,
}

/// Something that happens to a load. The first number says to which connection.
#[derive(Debug)]
pub enum Step {
    /// It is told to begin or to stop.
    Told(Word),
    /// The server was reached, or not.
    Dialed(bool),
    /// The server answers.
    Answer(usize, Vec<u8>),
    /// Its FIN.
    Eof(usize),
    /// A socket breaks.
    Lost(usize),
    /// A socket takes nothing, or everything again.
    Stall(usize, bool),
    /// A stalled one takes some.
    Take(usize, usize),
}

impl Load {
    fn conn(&mut self, at: usize) -> Option<&mut Conn> {
        let count = self.conns.iter().filter(|conn| conn.held).count();
        let at = at.checked_rem(count)?;
        self.conns.iter_mut().filter(|conn| conn.held).nth(at)
    }
}

impl Subject for Load {
    type Machine = Machine;
    type Wire = ConnId;
    type Step = Step;
    const DEADLINES_HOLD: bool = false;
    const ENDS_SILENT: bool = true;

    fn new(choices: &mut Choices, _now: Instant) -> (Self, Machine) {
        let rate = if choices.chance(1, 2) { Some(1 + choices.below(200) as u64) } else { None };
        let connections = choices.between(1, 4);
        let plan = Plan {
            connections,
            body: *choices.pick(&[0, 0, 10, 70_000]),
            timeout: Duration::from_secs(*choices.pick(&[1, 30])),
            ..Plan::with(rate)
        };
        let places: Vec<SocketAddr> = vec!["10.0.0.1:80".parse().expect("an address")];
        let share = Share { plan: Arc::new(plan), places, connections, me: (0, 1) };
        let (sender, reports) = channel();
        let world = Self {
            connections,
            dials: VecDeque::new(),
            conns: Vec::new(),
            reports,
            total: Tally::default(),
            asked: 0,
            done: false,
        };
        (world, Machine::new(share, sender))
    }

    fn draw(choices: &mut Choices) -> Step {
        let kind = choices.below(24);
        let which = choices.below(4);
        match kind {
            0..=2 => Step::Told(Word::Start),
            3 if choices.chance(1, 4) => Step::Told(Word::Stop),
            4..=8 => Step::Dialed(!choices.chance(1, 8)),
            9..=12 => Step::Answer(which, http1_text::said(choices, true)),
            13..=17 => Step::Answer(which, choices.pick(&ANSWERS).to_vec()),
            18 => Step::Eof(which),
            19 => Step::Lost(which),
            20..=21 => Step::Stall(which, choices.chance(1, 2)),
            22 => Step::Take(which, choices.size(80_000)),
            _ => Step::Dialed(true),
        }
    }

    fn perform(&mut self, _machine: &mut Machine, _now: Instant, step: &Step) -> Vec<Event<Self>> {
        let event = match step {
            Step::Told(word) => Some(Event::Input(Input::Letter(*word))),
            Step::Dialed(reached) => self.dials.pop_front().map(|conn| {
                Event::Input(if *reached {
                    self.conns.push(Conn { id: conn, held: true, heard: Vec::new() });
                    let peer = "10.0.0.1:80".parse().expect("an address");
                    Input::Connected { conn, peer }
                } else {
                    Input::Unreachable { conn, fault: Fault::Refused }
                })
            }),
            Step::Answer(at, bytes) => self.conn(*at).map(|c| Event::Bytes(c.id, bytes.clone())),
            Step::Eof(at) => self.conn(*at).map(|c| Event::Eof(c.id)),
            Step::Lost(at) => self.conn(*at).map(|conn| {
                conn.held = false;
                Event::Input(Input::Lost { conn: conn.id, fault: Fault::Reset })
            }),
            Step::Stall(at, on) => self.conn(*at).map(|c| Event::Stall(c.id, *on)),
            Step::Take(at, count) => self.conn(*at).map(|c| Event::Take(c.id, *count)),
        };
        event.into_iter().collect()
    }

    fn observe(&mut self, action: Action<Word>, seen: &mut Seen) {
        seen.exact(&action);
        match action {
            Action::Dial { conn, .. } => self.dials.push_back(conn),
            Action::Close(id) => {
                self.dials.retain(|conn| *conn != id);
                self.conns.iter_mut().filter(|conn| conn.id == id).for_each(|c| c.held = false);
            }
            Action::Done => {
                self.done = true;
                self.drained_reports();
                let Tally { statuses, errors, bytes_in, bytes_out, unsent, span, .. } = &self.total;
                seen.exact(&(statuses, errors, bytes_in, bytes_out, unsent, span));
            }
            Action::Letter { .. }
            | Action::Unlisten(_)
            | Action::Datagram { .. }
            | Action::Resolve { .. }
            | Action::Note(_) => panic!("{action:?} by a load"),
            Action::Write(_) | Action::Read(_) | Action::Finish(_) => {}
        }
    }

    fn wrote(&mut self, wire: ConnId, bytes: &[u8], seen: &mut Seen) {
        seen.exact(&(wire, bytes));
        let Some(conn) = self.conns.iter_mut().find(|conn| conn.id == wire) else { return };
        // Bodies are zeroes, so that a head's end is in no body.
        for byte in bytes.iter().filter(|byte| **byte != 0) {
            conn.heard.push(*byte);
            if conn.heard.ends_with(b"\r\n\r\n") {
                conn.heard.clear();
                self.asked += 1;
            }
        }
    }

    fn drained(&mut self, _machine: &mut Machine, _now: Instant, _seen: &mut Seen) {
        self.drained_reports();
    }

    fn received(conn: ConnId, bytes: BytesMut) -> Input<Word> {
        Input::Received { conn, bytes }
    }

    fn eof(conn: ConnId) -> Input<Word> {
        Input::Eof { conn }
    }

    fn sent(conn: ConnId, count: usize) -> Input<Word> {
        Input::Sent { conn, count }
    }

    fn wires(&self) -> Vec<ConnId> {
        self.conns.iter().filter(|conn| conn.held).map(|conn| conn.id).collect()
    }

    fn outbox(machine: &Machine, conn: ConnId) -> Option<&Outbox> {
        machine.outbox(conn)
    }

    fn room(machine: &Machine, conn: ConnId) -> usize {
        machine.room(conn)
    }

    fn closes(action: &Action<Word>) -> bool {
        matches!(action, Action::Done)
    }

    /// No more connections than were wanted; and in the end, of the requests whose heads went out,
    /// none is left out.
    fn check(&self, _machine: &Machine) -> Result<(), String> {
        let open = self.dials.len() + self.conns.iter().filter(|conn| conn.held).count();
        if open > self.connections && !self.done {
            return Err(format!("{open} connections of {}", self.connections));
        }
        // What is refused is counted twice, as an answer and as a failure.
        let refused = |(status, count): (&u16, &u64)| if *status < 400 { 0 } else { *count };
        let refused: u64 = self.total.statuses.iter().map(refused).sum();
        let unreachable = self.total.errors.get("unreachable").copied().unwrap_or(0);
        let told = self.total.answers() + self.total.failures() - unreachable - refused;
        if self.done && told < self.asked {
            return Err(format!("{told} told of {} that were asked", self.asked));
        }
        Ok(())
    }
}

impl Load {
    fn drained_reports(&mut self) {
        while let Ok(report) = self.reports.try_recv() {
            self.total.add(&report.tally);
        }
    }
}

const ANSWERS: [&[u8]; 6] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 502 Bad\r\nContent-Length: 22\r\n\r\n{\"code\":\"no_upstream\"}",
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbr",
];
