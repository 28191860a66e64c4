//! A service: what an agent forwards to.

use super::body::Writing;
use super::client::Workload;
use super::plan::{Flaw, Plan};
use super::wire::{Event, Head, Reader};
use bytes::Buf as _;
use pico_core::host::{Action, Host, Input, Told};
use pico_core::id::{ConnId, ConnMap};
use pico_core::{Dice, Instant, Machine, Monotonic, Outbox, Seed, Timers};
use std::collections::VecDeque;

/// One request that reached a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Which request.
    pub id: u64,
    /// Whether all of it came.
    pub complete: bool,
    /// Whether all of the answer went into the socket.
    pub answered: bool,
    /// What is not as it must be, if anything.
    pub wrong: Option<String>,
    /// Whether anything came through that concerns one hop, or Pico, only.
    pub leaked: bool,
}

/// A service.
#[derive(Debug)]
pub struct Service {
    name: String,
    endpoint: usize,
    work: Workload,
    conns: ConnMap<Visit>,
    timers: Timers<ConnId>,
    clock: Monotonic,
    dice: Dice,
    actions: VecDeque<Action<()>>,
    arrivals: Vec<Arrival>,
}

#[derive(Debug)]
struct Visit {
    outbox: Outbox,
    told: Told,
    reader: Reader,
    job: Option<Job>,
    ended: bool,
}

/// One request being served.
#[derive(Debug)]
struct Job {
    plan: Plan,
    got: usize,
    complete: bool,
    answer: Option<Writing>,
    arrival: usize,
}

impl Service {
    /// A service of endpoint number `endpoint`.
    pub fn new(now: Instant, seed: &Seed, work: Workload, name: &str, endpoint: usize) -> Self {
        let mut clock = Monotonic::default();
        clock.advance(now);
        Self {
            name: name.to_owned(),
            endpoint,
            work,
            conns: ConnMap::new(),
            timers: Timers::new(),
            clock,
            dice: seed.fork("service").roll(),
            actions: VecDeque::new(),
            arrivals: Vec::new(),
        }
    }

    /// The requests that reached it.
    pub fn arrivals(&self) -> &[Arrival] {
        &self.arrivals
    }

    /// Its name, as it is in its responses.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn received(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(visit) = self.conns.get_mut(conn) else { return };
        visit.reader.push(bytes);
        self.look(conn);
    }

    /// Takes what the reader has, up to the end of one request.
    fn look(&mut self, conn: ConnId) {
        loop {
            let Some(visit) = self.conns.get_mut(conn) else { return };
            if visit.job.as_ref().is_some_and(|job| job.complete) {
                return;
            }
            let Some(event) = visit.reader.find() else { return };
            match event {
                Event::Head(head) => self.begin(conn, &head),
                Event::Body(bytes) => self.body(conn, &bytes),
                Event::End(_) => self.complete(conn),
                Event::Bad(why) => {
                    self.blame(conn, &why);
                    self.close(conn);
                }
            }
        }
    }

    fn begin(&mut self, conn: ConnId, head: &Head) {
        let id = head.target.strip_prefix("/r/").and_then(|t| t.strip_suffix("?x=%20y"));
        let id = id.and_then(|id| id.parse().ok()).unwrap_or(u64::MAX);
        let plan = self.work.plan(id);
        let leaked =
            head.fields.iter().any(|(name, _)| name == "x-hop" || name.starts_with("x-pico-"));
        let mut wrong = None;
        if id == u64::MAX || head.method != plan.method {
            wrong = Some(format!("not a request that was made: {head:?}"));
        } else if head.field("x-check") != Some(&id.to_string()) {
            wrong = Some(format!("the fields of another request: {head:?}"));
        } else if plan.endpoint != self.endpoint {
            wrong = Some(format!("meant for endpoint {}", plan.endpoint));
        }
        let arrival = self.arrivals.len();
        self.arrivals.push(Arrival { id, complete: false, answered: false, wrong, leaked });
        let early = plan.early;
        if let Some(visit) = self.conns.get_mut(conn) {
            visit.job = Some(Job { plan, got: 0, complete: false, answer: None, arrival });
        }
        if early {
            self.think(conn);
        }
    }

    fn body(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(job) = self.conns.get_mut(conn).and_then(|v| v.job.as_mut()) else { return };
        let at = job.got;
        job.got += bytes.len();
        if job.plan.request_bytes(at, bytes.len()) != bytes {
            self.blame(conn, &format!("wrong bytes behind byte {at}"));
        }
    }

    fn complete(&mut self, conn: ConnId) {
        let Some(job) = self.conns.get_mut(conn).and_then(|v| v.job.as_mut()) else { return };
        job.complete = true;
        self.arrivals[job.arrival].complete = true;
        let (got, len, early) = (job.got, job.plan.request_len, job.plan.early);
        if got != len {
            self.blame(conn, &format!("{got} bytes of {len} look complete"));
        }
        if early { self.settle(conn) } else { self.think(conn) }
    }

    fn blame(&mut self, conn: ConnId, why: &str) {
        if let Some(job) = self.conns.get(conn).and_then(|v| v.job.as_ref()) {
            self.arrivals[job.arrival].wrong.get_or_insert(why.to_owned());
        }
    }

    fn think(&mut self, conn: ConnId) {
        let Some(job) = self.conns.get(conn).and_then(|v| v.job.as_ref()) else { return };
        self.timers.set(conn, self.clock.now() + job.plan.think);
    }

    fn answer(&mut self, conn: ConnId) {
        let Some(visit) = self.conns.get_mut(conn) else { return };
        let Some(job) = &mut visit.job else { return };
        match job.plan.flaw {
            Flaw::ServiceCloses => return self.close(conn),
            Flaw::ServiceBabbles => {
                visit.outbox.put(b"220 mail.example ESMTP ready\r\n\r\n");
                job.answer = Some(Writing::empty());
                visit.ended = true;
            }
            Flaw::None | Flaw::ClientAborts(_) | Flaw::ServiceCuts(_) => {
                visit.outbox.put(job.plan.response_head(&self.name).as_bytes());
                let bodiless = job.plan.method == "HEAD" || job.plan.status == 204;
                let chunked = job.plan.response_chunked;
                job.answer = Some(if let Flaw::ServiceCuts(at) = job.plan.flaw {
                    Writing::cut(at, chunked)
                } else if bodiless {
                    Writing::empty()
                } else {
                    Writing::new(job.plan.response_len, chunked)
                });
            }
        }
        self.pump(conn);
    }

    /// Writes more of the answer.
    fn pump(&mut self, conn: ConnId) {
        let Some(visit) = self.conns.get_mut(conn) else { return };
        if let Some(Job { plan, answer: Some(answer), .. }) = &mut visit.job {
            while !answer.is_ended() && visit.outbox.len() < OUTBOX_MAX {
                if answer.is_cut() {
                    return self.cut(conn);
                }
                let piece = answer.next(&mut self.dice, |at, len| plan.response_bytes(at, len));
                visit.outbox.put(&piece);
            }
        }
        self.settle(conn);
    }

    /// Breaks off, once what was put before the socket is gone.
    fn cut(&mut self, conn: ConnId) {
        let Some(visit) = self.conns.get_mut(conn) else { return };
        if visit.outbox.is_empty() { self.close(conn) } else { self.tell(conn) }
    }

    /// Ends a job that is done, and looks for the next.
    fn settle(&mut self, conn: ConnId) {
        self.tell(conn);
        let Some(visit) = self.conns.get_mut(conn) else { return };
        let sent = visit.outbox.is_empty();
        let Some(job) = &visit.job else {
            if visit.ended && sent {
                self.close(conn);
            }
            return;
        };
        if sent && job.complete && job.answer.as_ref().is_some_and(Writing::is_ended) {
            self.arrivals[job.arrival].answered = true;
            visit.job = None;
            if visit.ended { self.close(conn) } else { self.look(conn) }
        }
    }

    fn tell(&mut self, conn: ConnId) {
        let room = self.room(conn);
        if let Some(visit) = self.conns.get_mut(conn) {
            visit.told.tell(conn, Some(&visit.outbox), room, &mut self.actions);
        }
    }

    fn close(&mut self, conn: ConnId) {
        self.timers.clear(conn);
        if self.conns.remove(conn).is_some() {
            self.actions.push_back(Action::Close(conn));
        }
    }

    /// The client has nothing more to say.
    fn eof(&mut self, conn: ConnId) {
        let Some(visit) = self.conns.get_mut(conn) else { return };
        if visit.job.as_ref().is_some_and(|job| job.complete) {
            visit.ended = true;
        } else {
            self.close(conn);
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
                let (outbox, told) = (Outbox::new(), Told::default());
                let reader = Reader::requests();
                self.conns.insert(conn, Visit { outbox, told, reader, job: None, ended: false });
            }
            Input::Received { conn, bytes } => self.received(conn, &bytes),
            Input::Sent { conn, count } => {
                if let Some(visit) = self.conns.get_mut(conn) {
                    visit.outbox.advance(count);
                }
                self.pump(conn);
            }
            Input::Eof { conn } => self.eof(conn),
            Input::Lost { conn, .. } => {
                self.timers.clear(conn);
                self.conns.remove(conn);
            }
            Input::Connected { .. }
            | Input::Unreachable { .. }
            | Input::Unlistened(_)
            | Input::Resolved { .. }
            | Input::Datagram { .. }
            | Input::Letter(()) => {}
        }
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        while let Some(conn) = self.timers.pop(now) {
            self.answer(conn);
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

/// As much as an actor puts before its socket.
const OUTBOX_MAX: usize = 16 * 1024;
