//! One request of a client, and what comes back.

use super::body::{Step, Writing};
use super::heads::{PROTOCOL, TRAILER, leaked};
use super::pace::Flow;
use super::plan::{Parting, Plan};
use super::record::{Outcome, Record, Served, list};
use super::wire::Head;
use crate::case::Kind;
use core::net::SocketAddr;
use core::time::Duration;
use pico_core::id::ConnId;
use pico_core::{Dice, Instant};
use std::rc::Rc;

/// One request under way. Its times are of the client's clock.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) plan: Rc<Plan>,
    pub(super) dice: Dice,
    pub(super) due: Instant,
    pub(super) began: Instant,
    pub(super) before: usize,
    pub(super) behind: Option<u64>,
    /// Whether the head was put before the socket.
    pub(super) asked: bool,
    writing: Writing,
    /// Bytes that were put before the socket, and those that it took.
    put: u64,
    sent: u64,
    /// The service has said `100 Continue`.
    continued: bool,
    answered: Option<Instant>,
    final_at: Option<Instant>,
    head: Option<Head>,
    interim: usize,
    flow: Flow,
    /// How much was read until the last pause of the client's own.
    rested: usize,
    paused: Duration,
    leaked: Vec<String>,
    error: Vec<u8>,
    wrong: Option<String>,
}

/// Where a request was made.
#[derive(Clone, Debug)]
pub(super) struct Where {
    pub(super) conn: ConnId,
    pub(super) tried: Vec<ConnId>,
    pub(super) to: Option<SocketAddr>,
}

impl Exchange {
    pub(super) fn new(plan: Rc<Plan>, dice: Dice, due: Instant, began: Instant) -> Self {
        let writing = Writing::new(plan.request, plan.trailer());
        Self {
            plan,
            dice,
            due,
            began,
            before: 0,
            behind: None,
            asked: false,
            writing,
            put: 0,
            sent: 0,
            continued: false,
            answered: None,
            final_at: None,
            head: None,
            interim: 0,
            flow: Flow::default(),
            rested: 0,
            paused: Duration::ZERO,
            leaked: Vec::new(),
            error: Vec::new(),
            wrong: None,
        }
    }

    /// The head, to be put before the socket.
    pub(super) fn ask(&mut self, endpoint: &str) -> String {
        let head = self.plan.request_head(endpoint);
        self.asked = true;
        self.put += head.len() as u64;
        head
    }

    /// What comes next of the request's body.
    pub(super) fn step(&mut self) -> Step {
        let plan = &self.plan;
        let step = self.writing.step(&mut self.dice, |at, len| plan.request_bytes(at, len));
        if let Step::Bytes(bytes) = &step {
            self.put += bytes.len() as u64;
        }
        step
    }

    /// Whether the body must wait for a word of the service.
    pub(super) fn must_wait(&self) -> bool {
        let expects = self.plan.is(Kind::Expects) && !self.continued;
        let offers = self.plan.is_upgrade() && !self.plan.eager && !self.talks();
        expects || offers
    }

    /// Whether all of the request was put before the socket.
    pub(super) fn is_written(&self) -> bool {
        self.asked && self.writing.is_ended()
    }

    /// Whether FIN belongs behind the request.
    pub(super) fn is_finished(&self) -> bool {
        self.is_written() && (self.plan.is_half_closed() || self.talks())
    }

    /// Whether the request became a tunnel.
    pub(super) fn talks(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.status == 101)
    }

    /// The final head has come.
    pub(super) fn has_begun(&self) -> bool {
        self.head.is_some()
    }

    /// The socket took up to `count` bytes of this request; says how many.
    pub(super) fn took(&mut self, count: usize) -> usize {
        let of_this = (self.put - self.sent).min(count as u64);
        self.sent += of_this;
        usize::try_from(of_this).expect("at most what the socket took")
    }

    pub(super) fn interim(&mut self, now: Instant, head: &Head) {
        self.answered.get_or_insert(now);
        self.leaked.extend(leaked(&head.fields, false));
        let expected = match head.status {
            100 => {
                let first = !std::mem::replace(&mut self.continued, true);
                first && self.plan.is(Kind::Expects) && !self.plan.refuses
            }
            103 => {
                self.interim += 1;
                self.interim <= self.plan.interim
            }
            _ => false,
        };
        if !expected {
            self.blame(format!("an interim response {}", head.status));
        }
    }

    pub(super) fn begin(&mut self, now: Instant, head: Head) {
        self.answered.get_or_insert(now);
        self.final_at = Some(now);
        self.flow.wait(now);
        self.leaked.extend(leaked(&head.fields, head.status == 101));
        if head.status == 101 {
            let agreed = head.field("upgrade") == Some(PROTOCOL);
            if !agreed || !self.plan.is_upgrade() {
                self.blame(format!("an upgrade that was not asked for: {head:?}"));
            }
            self.blame_if_another(&head);
        }
        self.head = Some(head);
    }

    pub(super) fn body(&mut self, now: Instant, bytes: &[u8]) {
        let at = self.flow.got;
        if !self.served() {
            self.error.extend(bytes.iter().take(1000 - self.error.len().min(1000)));
        } else if self.plan.response_bytes(at, bytes.len()) != bytes {
            self.blame(format!("wrong bytes behind byte {at}"));
        }
        self.flow.moved(now, bytes.len(), &self.plan.response.pace);
    }

    /// Whether the client gives up here, as planned.
    pub(super) fn is_enough(&self) -> bool {
        self.has_begun() && self.plan.abort.is_some_and(|abort| self.flow.got >= abort.bytes)
    }

    /// Whether the client pauses here, and for how long.
    pub(super) fn rest(&mut self) -> Option<Duration> {
        let reads = self.plan.reads;
        let due = reads.every > 0 && self.flow.got >= self.rested + reads.every;
        if !due || reads.pause.is_zero() {
            return None;
        }
        self.rested = self.flow.got;
        self.paused += reads.pause;
        Some(reads.pause)
    }

    /// The client reads again.
    pub(super) fn wake(&mut self, now: Instant) {
        if self.has_begun() {
            self.flow.wait(now);
        }
    }

    /// What becomes of the connection behind a complete response.
    pub(super) fn keeps(&self) -> bool {
        let closes = self.head.as_ref().and_then(|head| head.field("connection"));
        let closes = closes.is_some_and(|value| value.to_ascii_lowercase().contains("close"));
        // Who answers early may have closed, whether we know it or not.
        let early = self.plan.is(Kind::Early) && self.plan.request.len > 0;
        let another = self.plan.is(Kind::Upgrade) || early;
        self.is_written() && !closes && !another && self.plan.parting == Parting::Keep
    }

    fn served(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.field("x-served").is_some())
    }

    fn blame(&mut self, why: String) {
        self.wrong.get_or_insert(why);
    }

    fn blame_if_another(&mut self, head: &Head) {
        let Plan { id, status, .. } = *self.plan;
        if head.status != status || head.field("x-check") != Some(&id.to_string()) {
            self.blame(format!("not the response to request {id}: {head:?}"));
        }
    }

    /// The response ended as a whole one does: with a trailer section, or by FIN of a tunnel.
    pub(super) fn outcome(&mut self, trailers: &[(String, String)]) -> Outcome {
        self.leaked.extend(leaked(trailers, false));
        let Some(head) = self.head.clone() else { return Outcome::Wrong("no head".into()) };
        let Some(served) = head.field("x-served") else { return self.error(&head) };
        self.blame_if_another(&head);
        let body = self.plan.response;
        let (got, len) = (self.flow.got, self.plan.body_len());
        if got != len || self.plan.cut.is_some() {
            self.blame(format!("{got} bytes of {len} look complete"));
        }
        let trailer = trailers.iter().find(|(name, _)| name == TRAILER).map(|(_, v)| v.as_str());
        let framed = head.field("transfer-encoding").is_some() && body.chunked && body.trailer;
        let due = (framed && self.plan.method != "HEAD").then(|| self.plan.trailer());
        if trailer != due.as_deref() {
            self.blame(format!("the trailers {trailers:?}"));
        }
        let service = served.parse::<Served>();
        match (self.wrong.clone(), service) {
            (Some(wrong), _) => Outcome::Wrong(wrong),
            (None, Ok(service)) => Outcome::Complete { service },
            (None, Err(())) => Outcome::Wrong(format!("served by {served:?}")),
        }
    }

    /// A complete response that is not a service's.
    fn error(&self, head: &Head) -> Outcome {
        if let Some(wrong) = &self.wrong {
            return Outcome::Wrong(wrong.clone());
        }
        let text = String::from_utf8_lossy(&self.error);
        let code = text.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next());
        match code {
            Some(code) => Outcome::Error { status: head.status, code: code.to_owned() },
            None if self.plan.method == "HEAD" => {
                Outcome::Error { status: head.status, code: String::new() }
            }
            None => Outcome::Wrong(format!("an error without a code: {text}")),
        }
    }

    /// The response did not end as a whole one does.
    pub(super) fn broken(&self) -> Outcome {
        match &self.wrong {
            Some(wrong) => Outcome::Wrong(wrong.clone()),
            None => Outcome::Broken { begun: self.has_begun(), reused: self.before > 0 },
        }
    }

    /// Writes down what became of it.
    pub(super) fn record(
        self,
        place: Where,
        ended: Instant,
        outcome: Outcome,
        world: impl Fn(Instant) -> Instant,
    ) -> Record {
        let via = self.head.as_ref().map_or_else(Vec::new, |head| list(&head.fields, "via"));
        Record {
            id: self.plan.id,
            conn: place.conn,
            tried: place.tried,
            to: place.to,
            before: self.before,
            behind: self.behind,
            due: world(self.due),
            began: world(self.began),
            answered: self.answered.map(&world),
            head: self.final_at.map(&world),
            ended: world(ended),
            sent: self.sent,
            received: self.flow.got,
            gap: self.flow.gap,
            paused: self.paused,
            interim: self.interim,
            status: self.head.map(|head| head.status),
            via,
            leaked: self.leaked,
            outcome,
        }
    }
}
