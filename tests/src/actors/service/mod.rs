//! A service: what an agent forwards to.

mod answer;
mod job;

use super::close;
use super::record::{Arrival, Served, Watch};
use super::wire::Reader;
use super::workload::Workload;
use bytes::Buf as _;
use core::time::Duration;
use job::Job;
use pico_core::host::{Action, Host, Input, Told};
use pico_core::id::{ConnId, ConnMap};
use pico_core::{Instant, Machine, Monotonic, Outbox, Seed, Timers};
use std::collections::VecDeque;

/// A service. It answers as planned, and writes down all that reaches it.
#[derive(Debug)]
pub struct Service {
    served: Served,
    endpoint: usize,
    work: Workload,
    defect: Defect,
    seed: Seed,
    watch: Watch,
    conns: ConnMap<Visit>,
    timers: Timers<Key>,
    clock: Monotonic,
    actions: VecDeque<Action<()>>,
    arrivals: Vec<Arrival>,
}

/// What a service does wrong, so that its clients can show that they find it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Defect {
    /// Nothing.
    #[default]
    None,
    /// A bit in the middle of each body.
    FlipsBit,
    /// It sends half of each body and ends it as if that were all.
    PretendsComplete,
    /// It sends each response again.
    AnswersTwice,
    /// It answers the second of two pipelined requests first.
    Reorders,
}

/// One connection.
#[derive(Debug)]
struct Visit {
    outbox: Outbox,
    told: Told,
    reader: Reader,
    job: Option<Job>,
    /// Jobs so far.
    served: usize,
    /// The peer's FIN came.
    ended: bool,
    /// Our FIN was sent, or is to be once the outbox is empty.
    finished: bool,
    /// All is said; what comes is thrown away.
    leaving: bool,
    /// A job that is answered behind the next one, by a service with that defect.
    held: Option<Job>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Key {
    /// To say that the body is welcome.
    Continue(ConnId),
    Answer(ConnId),
    Write(ConnId),
    Leave(ConnId),
}

impl Service {
    /// A life of a service of endpoint number `endpoint`.
    pub fn new(watch: Watch, seed: &Seed, work: Workload, served: Served, endpoint: usize) -> Self {
        let mut clock = Monotonic::default();
        clock.advance(watch.local());
        Self {
            served,
            endpoint,
            work,
            defect: Defect::None,
            seed: seed.fork("service"),
            watch,
            conns: ConnMap::new(),
            timers: Timers::new(),
            clock,
            actions: VecDeque::new(),
            arrivals: Vec::new(),
        }
    }

    /// One that does something wrong.
    #[must_use]
    pub fn with(mut self, defect: Defect) -> Self {
        self.defect = defect;
        self
    }

    /// The requests that reached it.
    pub fn arrivals(&self) -> &[Arrival] {
        &self.arrivals
    }

    /// Its name and life, as they are in its responses.
    pub fn served(&self) -> &Served {
        &self.served
    }

    fn tell(&mut self, conn: ConnId) {
        let room = self.room(conn);
        if let Some(visit) = self.conns.get_mut(conn) {
            visit.told.tell(conn, Some(&visit.outbox), room, &mut self.actions);
        }
    }

    /// Sends FIN behind all that waits.
    fn finish(&mut self, conn: ConnId) {
        self.tell(conn);
        let Some(visit) = self.conns.get_mut(conn) else { return };
        if !std::mem::replace(&mut visit.finished, true) {
            self.actions.push_back(Action::Finish(conn));
        }
    }

    /// Ends a connection in good order: by FIN, then by the peer's or after a moment.
    fn leave(&mut self, conn: ConnId) {
        self.finish(conn);
        self.clear(conn);
        let Some(visit) = self.conns.get_mut(conn) else { return };
        visit.leaving = true;
        if visit.ended && visit.outbox.is_empty() {
            return self.cut(conn);
        }
        self.timers.set(Key::Leave(conn), self.clock.now() + LEAVE);
    }

    /// Closes a connection whatever waits. Behind both sides' FIN this is a good end.
    fn cut(&mut self, conn: ConnId) {
        self.clear(conn);
        if let Some(visit) = self.conns.remove(conn) {
            close(conn, &visit.outbox, &mut self.actions);
        }
    }

    fn clear(&mut self, conn: ConnId) {
        for key in [Key::Continue, Key::Answer, Key::Write, Key::Leave] {
            self.timers.clear(key(conn));
        }
    }
}

impl Machine for Service {
    type Input = Input<()>;
    type Action = Action<()>;

    fn handle(&mut self, now: Instant, input: Input<()>) {
        self.clock.advance(now);
        match input {
            Input::Accepted { conn, .. } => {
                self.conns.insert(conn, Visit::new());
            }
            Input::Received { conn, bytes } => self.received(conn, &bytes),
            Input::Sent { conn, count } => {
                if let Some(visit) = self.conns.get_mut(conn) {
                    visit.outbox.advance(count);
                }
                self.sent(conn, count);
            }
            Input::Eof { conn } => self.eof(conn),
            Input::Lost { conn, .. } => self.lost(conn),
            Input::Connected { .. }
            | Input::Unreachable { .. }
            | Input::Unlistened(_)
            | Input::Resolved { .. }
            | Input::Datagram { .. }
            | Input::Wall(_)
            | Input::Letter(()) => {}
        }
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        while let Some(key) = self.timers.pop(now) {
            match key {
                Key::Continue(conn) => self.welcome(conn),
                Key::Answer(conn) => self.answer(conn),
                Key::Write(conn) => self.pump(conn),
                Key::Leave(conn) => self.cut(conn),
            }
        }
    }

    fn poll(&mut self) -> Option<Action<()>> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        self.timers.deadline()
    }
}

impl Host for Service {
    type Letter = ();

    fn outbox(&self, conn: ConnId) -> Option<&Outbox> {
        self.conns.get(conn).map(|visit| &visit.outbox)
    }

    fn room(&self, conn: ConnId) -> usize {
        self.conns.get(conn).map_or(0, |_| 64 * 1024)
    }
}

impl Visit {
    fn new() -> Self {
        Self {
            outbox: Outbox::new(),
            told: Told::default(),
            reader: Reader::requests(),
            job: None,
            served: 0,
            ended: false,
            finished: false,
            leaving: false,
            held: None,
        }
    }
}

/// As much as an actor puts before its socket.
const OUTBOX_MAX: usize = 16 * 1024;

/// How long the peer has to send its FIN behind ours.
const LEAVE: Duration = Duration::from_secs(2);
