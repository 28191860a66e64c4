//! Recordings of machines at work: what a driver told a machine and what the machine asked for.
//!
//! A [`Recorder`] stands between a driver and its machine and sends each [`Step`] to whoever
//! recorded. Steps can be played again to a machine of the same making, which must do the same
//! ([`replay`]), and [`seen`] shows what of them must be the same however the driver cut bytes
//! and time.

mod view;
mod wires;

pub use view::{Names, Spoken, seen};

use core::fmt::Debug;
use pico_core::host::{Action, Host, Input};
use pico_core::id::ConnId;
use pico_core::{Instant, Machine, Outbox, Wall};
use std::sync::mpsc::Sender;

/// One thing that a driver did with a machine.
#[derive(Debug)]
pub enum Step<L> {
    /// It ticked the machine, whose deadline was this.
    Tick(Instant, Option<Instant>),
    /// A socket took these bytes, of which it tells the machine next.
    Wrote(ConnId, Vec<u8>),
    /// It told the machine this.
    Input(Instant, Input<L>),
    /// It polled the machine, and this is what it was asked for.
    Polled(Option<Action<L>>),
}

/// A machine whose every step is told.
#[derive(Debug)]
pub struct Recorder<H: Host> {
    machine: H,
    steps: Sender<Step<H::Letter>>,
}

impl<H: Host> Recorder<H> {
    /// Tells `steps` what happens to `machine` from now on.
    pub const fn new(machine: H, steps: Sender<Step<H::Letter>>) -> Self {
        Self { machine, steps }
    }

    fn tell(&self, step: Step<H::Letter>) {
        // Whoever recorded may have seen enough.
        let _ = self.steps.send(step);
    }
}

impl<H: Host> Machine for Recorder<H>
where
    H::Letter: Clone,
{
    type Input = Input<H::Letter>;
    type Action = Action<H::Letter>;

    fn handle(&mut self, now: Instant, mut input: Self::Input) {
        if let Input::Wall(wall) = &mut input {
            // Recordings of two days are compared.
            *wall = Wall::from_unix(0);
        }
        if let Input::Sent { conn, count } = input {
            self.tell(Step::Wrote(conn, front(self.machine.outbox(conn), count)));
        }
        self.tell(Step::Input(now, copy_of_input(&input)));
        self.machine.handle(now, input);
    }

    fn tick(&mut self, now: Instant) {
        self.tell(Step::Tick(now, self.machine.deadline()));
        self.machine.tick(now);
    }

    fn poll(&mut self) -> Option<Self::Action> {
        let action = self.machine.poll();
        self.tell(Step::Polled(action.as_ref().map(copy_of_action)));
        action
    }

    fn deadline(&self) -> Option<Instant> {
        self.machine.deadline()
    }
}

impl<H: Host> Host for Recorder<H>
where
    H::Letter: Clone,
{
    type Letter = H::Letter;

    fn outbox(&self, conn: ConnId) -> Option<&Outbox> {
        self.machine.outbox(conn)
    }

    fn room(&self, conn: ConnId) -> usize {
        self.machine.room(conn)
    }
}

/// Does with `machine` what was done with the one that was recorded, and looks whether it asks
/// for the same, writes the same and wants to be woken at the same times. Says where it does not.
pub fn replay<H: Host>(mut machine: H, steps: &[Step<H::Letter>]) -> Result<(), String>
where
    H::Letter: Clone + Debug,
{
    for (at, step) in steps.iter().enumerate() {
        let differs = |then: &dyn Debug, now: &dyn Debug| {
            Err(format!("step {at} of {}\n  then: {then:?}\n  now:  {now:?}", steps.len()))
        };
        match step {
            Step::Tick(now, then) => {
                if machine.deadline() != *then {
                    return differs(then, &machine.deadline());
                }
                machine.tick(*now);
            }
            Step::Wrote(conn, then) => {
                let now = front(machine.outbox(*conn), then.len());
                if now != *then {
                    return differs(&then.escape_ascii(), &now.escape_ascii());
                }
            }
            Step::Input(now, input) => machine.handle(*now, copy_of_input(input)),
            Step::Polled(then) => {
                let now = machine.poll();
                if format!("{now:?}") != format!("{then:?}") {
                    return differs(then, &now);
                }
            }
        }
    }
    Ok(())
}

/// The first `count` bytes that wait, or all.
fn front(outbox: Option<&Outbox>, count: usize) -> Vec<u8> {
    let pieces = outbox.into_iter().flat_map(Outbox::pieces);
    pieces.flatten().copied().take(count).collect()
}

fn copy_of_input<L: Clone>(input: &Input<L>) -> Input<L> {
    match input {
        Input::Accepted { conn, port, peer } => {
            Input::Accepted { conn: *conn, port: *port, peer: *peer }
        }
        Input::Connected { conn, peer } => Input::Connected { conn: *conn, peer: *peer },
        Input::Unreachable { conn, fault } => Input::Unreachable { conn: *conn, fault: *fault },
        Input::Received { conn, bytes } => Input::Received { conn: *conn, bytes: bytes.clone() },
        Input::Eof { conn } => Input::Eof { conn: *conn },
        Input::Sent { conn, count } => Input::Sent { conn: *conn, count: *count },
        Input::Lost { conn, fault } => Input::Lost { conn: *conn, fault: *fault },
        Input::Unlistened(port) => Input::Unlistened(*port),
        Input::Resolved { ask, result } => Input::Resolved { ask: *ask, result: result.clone() },
        Input::Datagram { from, bytes } => Input::Datagram { from: *from, bytes: bytes.clone() },
        Input::Wall(wall) => Input::Wall(*wall),
        Input::Letter(letter) => Input::Letter(letter.clone()),
    }
}

fn copy_of_action<L: Clone>(action: &Action<L>) -> Action<L> {
    match action {
        Action::Dial { conn, to, wire } => Action::Dial { conn: *conn, to: *to, wire: *wire },
        Action::Resolve { ask, host, port } => {
            Action::Resolve { ask: *ask, host: host.clone(), port: *port }
        }
        Action::Write(conn) => Action::Write(*conn),
        Action::Read(conn) => Action::Read(*conn),
        Action::Finish(conn) => Action::Finish(*conn),
        Action::Close(conn) => Action::Close(*conn),
        Action::Unlisten(port) => Action::Unlisten(*port),
        Action::Letter { to, letter } => Action::Letter { to: *to, letter: letter.clone() },
        Action::Datagram { to, bytes } => Action::Datagram { to: *to, bytes: bytes.clone() },
        Action::Note(note) => Action::Note(note.clone()),
        Action::Done => Action::Done,
    }
}
