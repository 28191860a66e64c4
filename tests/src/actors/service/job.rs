//! How requests come in to a service.

use super::{Defect, Key, Service, Visit};
use crate::actors::body::Writing;
use crate::actors::heads::{PROTOCOL, TRAILER, leaked};
use crate::actors::pace::Flow;
use crate::actors::plan::Plan;
use crate::actors::record::{Arrival, End, list};
use crate::actors::wire::{Event, Head};
use crate::case::Kind;
use core::time::Duration;
use pico_core::id::ConnId;
use pico_core::{Dice, Outbox};
use std::rc::Rc;

/// One request being served.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Job {
    pub(super) plan: Rc<Plan>,
    pub(super) dice: Dice,
    pub(super) flow: Flow,
    pub(super) complete: bool,
    /// Whether it was said that the body is welcome, if that was asked.
    pub(super) welcomed: bool,
    /// Whether the client's side said that the connection ends behind the answer.
    pub(super) closes: bool,
    /// Whether the answer has begun.
    pub(super) begun: bool,
    pub(super) answer: Option<Writing>,
    /// Whether the answer is the second one, by a service with that defect.
    pub(super) again: bool,
    /// Bytes of the answer that were put before the socket, and those that it took.
    pub(super) put: u64,
    pub(super) taken: u64,
    /// Where it is among the arrivals.
    pub(super) arrival: usize,
}

impl Job {
    /// Whether it has become a tunnel.
    pub(super) fn talks(&self) -> bool {
        self.begun && self.plan.is_upgrade() && self.answer.is_some()
    }

    /// Whether all of the answer was put before the socket.
    pub(super) fn is_said(&self) -> bool {
        self.answer.as_ref().is_some_and(Writing::is_ended)
    }

    /// Whether its connection is that of a request whose body may be left unread.
    pub(super) fn is_refused(&self) -> bool {
        self.plan.refuses && self.plan.is(Kind::Expects)
    }
}

impl Service {
    pub(super) fn received(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(visit) = self.conns.get_mut(conn) else { return };
        if !visit.leaving {
            visit.reader.push(bytes);
            self.look(conn);
        }
    }

    /// Takes what the reader has, up to the end of one request.
    pub(super) fn look(&mut self, conn: ConnId) {
        while let Some(visit) = self.conns.get_mut(conn)
            && !visit.leaving
            && !visit.job.as_ref().is_some_and(|job| job.complete)
            && let Some(event) = visit.reader.find()
        {
            match event {
                Event::Head(head) => self.begin(conn, &head),
                Event::Body(bytes) => self.body(conn, &bytes),
                Event::End(trailers) => self.complete(conn, &trailers),
                Event::Bad(why) => {
                    self.blame(conn, &why);
                    self.end(conn, End::Broke);
                    self.cut(conn);
                }
            }
        }
    }

    fn begin(&mut self, conn: ConnId, head: &Head) {
        let now = self.clock.now();
        let id = head.target.strip_prefix("/r/").and_then(|t| t.strip_suffix("?x=%20y"));
        let id = id.and_then(|id| id.parse().ok()).unwrap_or(u64::MAX);
        let plan = self.work.plan(id);
        let arrival = self.arrivals.len();
        let Some(visit) = self.conns.get_mut(conn) else { return };
        self.arrivals.push(Arrival {
            id,
            conn,
            before: visit.served,
            began: self.watch.read(now),
            complete: None,
            head: None,
            ended: None,
            end: End::Open,
            received: 0,
            sent: 0,
            gap: Duration::ZERO,
            via: list(&head.fields, "via"),
            forwarded_for: head.field("x-forwarded-for").map(str::to_owned),
            request_id: head.field("x-request-id").map(str::to_owned),
            wrong: unlike(&plan, head).or_else(|| {
                let other = plan.endpoint != self.endpoint;
                other.then(|| format!("meant for endpoint {}", plan.endpoint))
            }),
            leaked: leaked(&head.fields, plan.is(Kind::Upgrade)),
        });
        visit.served += 1;
        let (early, expects) = (plan.is(Kind::Early), plan.is(Kind::Expects));
        let welcome = now + plan.think;
        let mut flow = Flow::default();
        flow.wait(now);
        visit.job = Some(Job {
            plan,
            dice: self.seed.fork_at("job", id).roll(),
            flow,
            complete: false,
            welcomed: !expects,
            closes: list(&head.fields, "connection").iter().any(|option| option == "close"),
            begun: false,
            answer: None,
            again: false,
            put: 0,
            taken: 0,
            arrival,
        });
        if expects {
            self.timers.set(Key::Continue(conn), welcome);
        }
        if early {
            self.think(conn);
        }
    }

    fn body(&mut self, conn: ConnId, bytes: &[u8]) {
        let now = self.clock.now();
        let Some(job) = self.conns.get_mut(conn).and_then(|v| v.job.as_mut()) else { return };
        let (at, early) = (job.flow.got, !job.welcomed);
        job.flow.moved(now, bytes.len(), &job.plan.request.pace);
        let wrong = job.plan.request_bytes(at, bytes.len()) != bytes;
        let arrival = &mut self.arrivals[job.arrival];
        (arrival.received, arrival.gap) = (job.flow.got, job.flow.gap);
        if wrong {
            self.blame(conn, &format!("wrong bytes behind byte {at}"));
        }
        if early {
            self.blame(conn, "a body that was not welcome yet");
        }
    }

    /// The request is whole.
    fn complete(&mut self, conn: ConnId, trailers: &[(String, String)]) {
        let reorders = self.defect == Defect::Reorders;
        let Some(visit) = self.conns.get_mut(conn) else { return };
        let Some(job) = visit.job.as_mut() else { return };
        if job.plan.is_upgrade() {
            // Its end is FIN.
            job.complete = true;
            return self.think(conn);
        }
        self.completed(conn, trailers);
        let Some(visit) = self.conns.get_mut(conn) else { return };
        if reorders && visit.held.is_none() && !visit.reader.rest().is_empty() {
            visit.held = visit.job.take();
            return;
        }
        let early = visit.job.as_ref().is_some_and(|job| job.plan.is(Kind::Early));
        if early { self.settle(conn) } else { self.think(conn) }
    }

    /// Writes down that all of a request came, and whether it is all that was sent.
    pub(super) fn completed(&mut self, conn: ConnId, trailers: &[(String, String)]) {
        let at = self.watch.read(self.clock.now());
        let Some(job) = self.conns.get_mut(conn).and_then(|v| v.job.as_mut()) else { return };
        job.complete = true;
        self.arrivals[job.arrival].complete = Some(at);
        let body = job.plan.request;
        let got = job.flow.got;
        let trailer = trailers.iter().find(|(name, _)| name == TRAILER).map(|(_, v)| v.as_str());
        let due = (body.chunked && body.trailer).then(|| job.plan.trailer());
        let is_due = trailer == due.as_deref();
        self.arrivals[job.arrival].leaked.extend(leaked(trailers, false));
        if got != body.len {
            self.blame(conn, &format!("{got} bytes of {} look complete", body.len));
        }
        if !is_due {
            self.blame(conn, &format!("the trailers {trailers:?}"));
        }
    }

    pub(super) fn blame(&mut self, conn: ConnId, why: &str) {
        if let Some(job) = self.conns.get(conn).and_then(|v| v.job.as_ref()) {
            self.arrivals[job.arrival].wrong.get_or_insert(why.to_owned());
        }
    }

    /// Writes down how a request was over.
    pub(super) fn end(&mut self, conn: ConnId, end: End) {
        let at = self.watch.read(self.clock.now());
        let Some(visit) = self.conns.get(conn) else { return };
        for job in visit.job.iter().chain(&visit.held) {
            let arrival = &mut self.arrivals[job.arrival];
            if arrival.end == End::Open {
                (arrival.end, arrival.ended) = (end, Some(at));
            }
        }
    }

    pub(super) fn think(&mut self, conn: ConnId) {
        let Some(job) = self.conns.get(conn).and_then(|v| v.job.as_ref()) else { return };
        self.timers.set(Key::Answer(conn), self.clock.now() + job.plan.think);
    }

    /// The client's side has nothing more to say.
    pub(super) fn eof(&mut self, conn: ConnId) {
        let Some(visit) = self.conns.get_mut(conn) else { return };
        visit.ended = true;
        if visit.leaving {
            return self.leave(conn);
        }
        match &visit.job {
            None => self.leave(conn),
            Some(job) if job.talks() => {
                self.completed(conn, &[]);
                self.settle(conn);
            }
            // Whoever waits for an answer that never comes has given up.
            Some(job) if job.complete && !job.plan.is(Kind::ServiceHangs) => {}
            Some(job) if job.is_said() && visit.outbox.is_empty() => {
                self.end(conn, End::Answered);
                self.leave(conn);
            }
            Some(_) => {
                self.end(conn, End::Fin);
                self.cut(conn);
            }
        }
    }

    pub(super) fn lost(&mut self, conn: ConnId) {
        self.end(conn, End::Lost);
        self.clear(conn);
        self.conns.remove(conn);
    }
}

/// What is otherwise in a head than planned.
fn unlike(plan: &Plan, head: &Head) -> Option<String> {
    let Plan { id, method, .. } = plan;
    if *id == u64::MAX || head.method != *method {
        return Some(format!("not a request that was made: {head:?}"));
    }
    if head.field("x-check") != Some(&id.to_string()) {
        return Some(format!("the fields of another request: {head:?}"));
    }
    let upgrade = head.field("upgrade") == Some(PROTOCOL);
    if upgrade != plan.is(Kind::Upgrade) {
        return Some(format!("an upgrade or none: {head:?}"));
    }
    if head.field("expect").is_some() != plan.is(Kind::Expects) {
        return Some(format!("an expectation or none: {head:?}"));
    }
    let id = plan.request_id();
    (plan.own_id && head.field("x-request-id") != Some(&id))
        .then(|| format!("another request ID: {head:?}"))
}

impl Visit {
    /// The job whose answer is being written, until all is said.
    pub(super) fn answering(&mut self) -> Option<(&mut Job, &mut Outbox)> {
        if self.leaving {
            return None;
        }
        let job = self.job.as_mut()?;
        Some((job, &mut self.outbox))
    }
}
