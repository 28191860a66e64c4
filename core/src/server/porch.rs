//! The acceptor's opening handshake: an HTTP request that asks for a tunnel, and the answer.

use super::answer::{self, Reply};
use super::entry::Event;
use crate::gossip::CONSULT_MAX;
use crate::head::{RequestHead, ResponseHead};
use crate::http1::server as http1;
use crate::limits::Limits;
use crate::machine::Machine as _;
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::seed::Seed;
use crate::time::Instant;
use crate::wall::Wall;
use crate::{rpc, tunnel, ws};
use alloc::boxed::Box;
use alloc::sync::Arc;
use bytes::{Bytes, BytesMut};

/// A connection on which a tunnel may be asked for, or was refused.
#[derive(Debug)]
pub(super) struct Porch {
    http: Box<http1::Machine>,
    /// What another node asks, as far as it has come.
    question: Option<(Question, BytesMut)>,
    /// When a question must have been answered: only one that asks has this.
    due: Option<Instant>,
    limits: Arc<Limits>,
}

/// What happened there.
#[derive(Debug)]
pub(super) enum Visit<A> {
    /// A tunnel was asked for as it should be; this answer opens it.
    Admitted(A, ResponseHead),
    /// Another node asked this: answer it.
    Asked(Question, Bytes),
    /// The request was answered so. More of the handshake may follow.
    Refused(Reason),
    /// Send FIN when the outbox is empty.
    Finish,
    /// The connection is over.
    Closed,
}

/// What kind of question another node asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Question {
    /// Its gossip consults ours.
    Gossip,
    /// An operator of it wants to know something of this node: the path, and the query.
    Status(Bytes),
}

impl Porch {
    /// A connection that was just accepted.
    pub(super) fn new(now: Instant, limits: Arc<Limits>) -> Self {
        let http = Box::new(http1::Machine::new(now, Arc::clone(&limits)));
        Self { http, question: None, due: None, limits }
    }

    /// What waits to be written.
    pub(super) fn outbox(&self) -> &Outbox {
        self.http.outbox()
    }

    /// How many bytes would be taken now.
    pub(super) fn room(&self) -> usize {
        self.http.room()
    }

    /// Whether another node has begun to ask something, and be it that it has its answer.
    pub(super) const fn is_asking(&self) -> bool {
        self.due.is_some()
    }

    /// When it wants to be ticked.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.http.deadline().into_iter().chain(self.due).min()
    }

    /// Fires what is due.
    pub(super) fn tick(&mut self, now: Instant) {
        self.http.tick(now);
    }

    /// Tells it what the socket did. That it broke is the end, for the parent to see to.
    pub(super) fn event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Received(bytes) => self.http.handle(now, http1::Input::Received(bytes)),
            Event::Eof => self.http.handle(now, http1::Input::Eof),
            Event::Sent(count) => self.http.handle(now, http1::Input::Sent(count)),
            Event::Lost(_) => {}
        }
    }

    /// Tells it what time of day it is.
    pub(super) fn wall(&mut self, now: Instant, wall: Wall) {
        self.http.handle(now, http1::Input::Wall(wall));
    }

    /// Nobody is admitted any more.
    pub(super) fn close(&mut self, now: Instant) {
        self.http.handle(now, http1::Input::Drain);
    }

    /// The next thing that happened. Whoever `admit` lets in is refused all the same if there is a
    /// `refusal`. `asks` says of a request whether it is a question, and why it is refused if so.
    pub(super) fn poll<A>(
        &mut self,
        now: Instant,
        refusal: Option<Reason>,
        admit: impl Fn(&RequestHead) -> Result<A, Reason>,
        asks: impl Fn(&RequestHead) -> Option<Result<Question, Reason>>,
    ) -> Option<Visit<A>> {
        if self.due.is_some_and(|due| due <= now) {
            // Whoever asked has long given up, or takes its time so that others cannot ask.
            return Some(Visit::Closed);
        }
        loop {
            match self.http.poll()? {
                http1::Action::Request(request) => {
                    if let Some(allowed) = asks(&request.head) {
                        let question = match allowed {
                            Ok(question) => question,
                            Err(reason) => return Some(self.refuse(now, reason)),
                        };
                        self.due = Some(now + self.limits.consult_timeout);
                        if request.end {
                            return Some(Visit::Asked(question, Bytes::new()));
                        }
                        self.question = Some((question, BytesMut::new()));
                        self.http.handle(now, http1::Input::Credit(CONSULT_MAX));
                        continue;
                    }
                    let asked = admit(&request.head).and_then(|asked| {
                        let answer = ws::handshake::respond(&request.head)?;
                        let upgrade = request.upgrade.then_some(());
                        upgrade.ok_or(Reason::UpgradeRequired)?;
                        refusal.map_or(Ok((asked, answer)), Err)
                    });
                    return Some(match asked {
                        Ok((asked, answer)) => Visit::Admitted(asked, answer),
                        Err(reason) => self.refuse(now, reason),
                    });
                }
                http1::Action::Malformed(reason) => return Some(self.refuse(now, reason)),
                http1::Action::Data { bytes, end } if self.question.is_some() => {
                    if let Some(visit) = self.asked(now, &bytes, end) {
                        return Some(visit);
                    }
                }
                http1::Action::Data { bytes, .. } => {
                    // The body of a refused request is read, so that the refusal arrives.
                    self.http.handle(now, http1::Input::Credit(bytes.len()));
                }
                http1::Action::Finish => return Some(Visit::Finish),
                http1::Action::Closed(_) => return Some(Visit::Closed),
                http1::Action::Trailers(_)
                | http1::Action::Taken(_)
                | http1::Action::Finished
                | http1::Action::Canceled(_) => {}
            }
        }
    }

    /// More of a question has come.
    fn asked<A>(&mut self, now: Instant, bytes: &[u8], end: bool) -> Option<Visit<A>> {
        let (_, question) = self.question.as_mut()?;
        question.extend_from_slice(bytes);
        // Without more credit there is only room for one byte too many.
        if question.len() >= CONSULT_MAX && !end {
            self.question = None;
            return Some(self.refuse(now, Reason::BadRequest));
        }
        let (question, bytes) = self.question.take_if(|_| end)?;
        Some(Visit::Asked(question, bytes.freeze()))
    }

    /// Answers a question.
    pub(super) fn reply(&mut self, now: Instant, (head, bytes): Reply) {
        self.http.handle(now, http1::Input::Respond { head, end: false });
        self.http.handle(now, http1::Input::Data { bytes, end: true });
        self.http.handle(now, http1::Input::Drain);
    }

    fn refuse<A>(&mut self, now: Instant, reason: Reason) -> Visit<A> {
        let (head, bytes) = answer::refusal(reason, "");
        self.http.handle(now, http1::Input::Respond { head, end: false });
        self.http.handle(now, http1::Input::Data { bytes, end: true });
        self.http.handle(now, http1::Input::Drain);
        Visit::Refused(reason)
    }

    /// Sends the answer that opens the tunnel, and opens it.
    pub(super) fn into_tunnel<T: Copy>(
        mut self,
        now: Instant,
        answer: ResponseHead,
        me: &rpc::Identity,
        seed: &Seed,
    ) -> tunnel::Machine<T> {
        self.http.handle(now, http1::Input::Respond { head: answer, end: false });
        let (ahead, outbox) = self.http.into_raw();
        let role = rpc::Role::Acceptor;
        let mut tunnel = tunnel::Machine::new(now, role, me, seed, self.limits, outbox);
        if !ahead.is_empty() {
            tunnel.handle(now, tunnel::Input::Received(ahead));
        }
        tunnel
    }
}
