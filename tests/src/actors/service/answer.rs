//! How a service answers.

use super::job::Job;
use super::{Defect, Key, OUTBOX_MAX, Service};
use crate::actors::body::{Step, Writing};
use crate::actors::plan::Plan;
use crate::actors::record::End;
use crate::case::Kind;
use pico_core::id::ConnId;

impl Service {
    /// Says that the body is welcome, unless it is not.
    pub(super) fn welcome(&mut self, conn: ConnId) {
        let Some((job, outbox)) = self.conns.get_mut(conn).and_then(|v| v.answering()) else {
            return;
        };
        if job.is_refused() {
            return self.answer(conn);
        }
        let word = b"HTTP/1.1 100 Continue\r\n\r\n";
        outbox.put(word);
        job.put += word.len() as u64;
        job.welcomed = true;
        self.tell(conn);
    }

    /// Begins an answer, of whatever kind was planned.
    pub(super) fn answer(&mut self, conn: ConnId) {
        let now = self.watch.read(self.clock.now());
        let Some((job, outbox)) = self.conns.get_mut(conn).and_then(|v| v.answering()) else {
            return;
        };
        job.begun = true;
        let plan = &job.plan;
        if plan.is(Kind::ServiceHangs) {
            return;
        }
        if plan.is(Kind::ServiceCloses) {
            let rude = plan.rude;
            return self.break_off(conn, rude);
        }
        self.arrivals[job.arrival].head = Some(now);
        if plan.is(Kind::ServiceBabbles) {
            outbox.put(b"220 mail.example ESMTP ready\r\n\r\n");
            return self.break_off(conn, false);
        }
        let shown = self.defect.applied(plan);
        let head = shown.response_head(&self.served);
        outbox.put(head.as_bytes());
        job.put += head.len() as u64;
        job.answer = Some(writing(&shown));
        if job.plan.is_upgrade() {
            // What comes next is talk, of which the end is FIN.
            job.complete = false;
            if let Some(visit) = self.conns.get_mut(conn) {
                visit.reader.upgrade();
            }
        }
        self.pump(conn);
        self.look(conn);
        // A FIN that came before its time is looked at in its place.
        if self.conns.get(conn).is_some_and(|visit| visit.ended) {
            self.eof(conn);
        }
    }

    /// Writes more of the answer.
    pub(super) fn pump(&mut self, conn: ConnId) {
        let now = self.clock.now();
        let defect = self.defect;
        while self.timers.get(Key::Write(conn)).is_none()
            && let Some((job, outbox)) = self.conns.get_mut(conn).and_then(|v| v.answering())
            && outbox.len() < OUTBOX_MAX
            && let Job { plan, dice, answer: Some(answer), put, .. } = job
        {
            match answer.step(dice, |at, len| defect.bytes(plan, at, len)) {
                Step::Bytes(bytes) => {
                    outbox.put(&bytes);
                    *put += bytes.len() as u64;
                }
                Step::Rest(pause) => self.timers.set(Key::Write(conn), now + pause),
                // A reset would destroy what waits.
                Step::Cut if plan.rude && !outbox.is_empty() => break,
                Step::Cut => {
                    let rude = plan.rude;
                    return self.break_off(conn, rude);
                }
                Step::Over => break,
            }
        }
        self.settle(conn);
    }

    /// Breaks off, as planned.
    fn break_off(&mut self, conn: ConnId, rude: bool) {
        self.end(conn, End::Broke);
        if rude { self.cut(conn) } else { self.leave(conn) }
    }

    /// The socket took bytes.
    pub(super) fn sent(&mut self, conn: ConnId, count: usize) {
        if let Some(job) = self.conns.get_mut(conn).and_then(|visit| visit.job.as_mut()) {
            job.taken += count as u64;
            self.arrivals[job.arrival].sent = job.taken.min(job.put);
        }
        self.pump(conn);
    }

    /// Ends a job that is done, and looks for the next.
    pub(super) fn settle(&mut self, conn: ConnId) {
        self.tell(conn);
        let Some(visit) = self.conns.get_mut(conn) else { return };
        if visit.leaving && visit.ended {
            return self.leave(conn);
        }
        let Some(job) = visit.job.as_ref().filter(|job| job.is_said() && !visit.leaving) else {
            return;
        };
        let (talks, complete, refused) = (job.talks(), job.complete, job.is_refused());
        if talks {
            // Our side of the tunnel is over.
            self.finish(conn);
        }
        let sent = self.conns.get(conn).is_some_and(|visit| visit.outbox.is_empty());
        if sent && (complete || refused) {
            if self.defect == Defect::AnswersTwice && self.repeat(conn) {
                return;
            }
            self.end(conn, End::Answered);
            self.next(conn);
        }
    }

    /// A job is done.
    fn next(&mut self, conn: ConnId) {
        let Some(visit) = self.conns.get_mut(conn) else { return };
        let Some(job) = visit.job.take() else { return };
        if job.talks() || job.plan.service_leaves() || job.closes {
            return self.leave(conn);
        }
        if let Some(held) = visit.held.take() {
            visit.job = Some(held);
            return self.think(conn);
        }
        self.look(conn);
        // Whoever has sent FIN asks for nothing more than what the reader has.
        if self.conns.get(conn).is_some_and(|visit| visit.ended && visit.job.is_none()) {
            self.leave(conn);
        }
    }

    /// Sends the same answer once more, and says whether it does.
    fn repeat(&mut self, conn: ConnId) -> bool {
        let Some((job, outbox)) = self.conns.get_mut(conn).and_then(|v| v.answering()) else {
            return false;
        };
        if job.again || job.talks() {
            return false;
        }
        job.again = true;
        outbox.put(job.plan.response_head(&self.served).as_bytes());
        job.answer = Some(writing(&job.plan));
        self.pump(conn);
        true
    }
}

/// The body of the response that is planned.
fn writing(plan: &Plan) -> Writing {
    let bodiless = plan.method == "HEAD" || plan.status == 204;
    if bodiless {
        return Writing::empty(plan.response);
    }
    let writing = Writing::new(plan.response, plan.trailer());
    match plan.cut {
        Some(at) => writing.cut(at),
        None => writing,
    }
}

impl Defect {
    /// What a service with this defect takes for the plan.
    fn applied(self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        if self == Self::PretendsComplete {
            plan.response.len /= 2;
        }
        plan
    }

    /// What it sends in the place of these bytes of the response.
    fn bytes(self, plan: &Plan, at: usize, len: usize) -> Vec<u8> {
        let mut bytes = plan.response_bytes(at, len);
        let middle = plan.response.len / 2;
        if self == Self::FlipsBit
            && let Some(byte) = middle.checked_sub(at).and_then(|place| bytes.get_mut(place))
        {
            *byte ^= 1;
        }
        bytes
    }
}
