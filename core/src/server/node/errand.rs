//! A consultation of another node: a request to its gossip port, and the answer
//! (`spec/gossip.md`).

use crate::gossip::CONSULT_MAX;
use crate::head::{Fields, RequestHead};
use crate::host::{Fault, Told};
use crate::http1::client;
use crate::id::AskId;
use crate::limits::Limits;
use crate::machine::Machine as _;
use crate::note::Missing;
use crate::outbox::Outbox;
use crate::server::link::CONSULT_PATH;
use crate::time::Instant;
use alloc::format;
use alloc::sync::Arc;
use bytes::{Bytes, BytesMut};
use core::net::SocketAddr;
use http::Method;

/// A connection that asks one question.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) ask: AskId,
    pub(super) told: Told,
    pub(super) addr: SocketAddr,
    question: Bytes,
    /// Once the connection is there.
    http: Option<client::Machine>,
    answer: BytesMut,
    /// Whether anything was answered.
    heard: bool,
    /// Whether the answer is a good one, as far as it has come.
    good: bool,
    /// When it has taken too long.
    due: Instant,
}

/// How an errand goes on.
#[derive(Debug)]
pub(super) enum Progress {
    /// It does.
    On,
    /// Send FIN when the outbox is empty.
    Finish,
    /// It is over: with an answer, or without one.
    Over(Option<Bytes>),
}

impl Errand {
    pub(super) fn new(ask: AskId, addr: SocketAddr, question: Bytes, due: Instant) -> Self {
        Self {
            ask,
            told: Told::default(),
            addr,
            question,
            http: None,
            answer: BytesMut::new(),
            heard: false,
            good: false,
            due,
        }
    }

    pub(super) fn connected(&mut self, now: Instant, limits: &Arc<Limits>) {
        let mut http = client::Machine::new(now, Arc::clone(limits));
        let mut fields = Fields::with_capacity(3, 96);
        fields.push(b"host", format!("{}", self.addr).as_bytes());
        fields.push(b"content-type", b"application/octet-stream");
        fields.push(b"content-length", format!("{}", self.question.len()).as_bytes());
        let head = RequestHead::new(Method::POST, CONSULT_PATH.as_bytes(), fields);
        http.handle(now, client::Input::Request { head, end: false, upgrade: false });
        let bytes = BytesMut::from(&self.question[..]);
        http.handle(now, client::Input::Data { bytes, end: true });
        http.handle(now, client::Input::Credit(CONSULT_MAX));
        self.http = Some(http);
    }

    pub(super) fn socket(&mut self, now: Instant, input: client::Input) {
        if let Some(http) = &mut self.http {
            http.handle(now, input);
        }
    }

    pub(super) fn tick(&mut self, now: Instant) {
        if let Some(http) = &mut self.http {
            http.tick(now);
        }
    }

    /// What comes next; ask again until it is `On`.
    pub(super) fn pump(&mut self, now: Instant) -> Progress {
        if self.due <= now {
            return Progress::Over(None);
        }
        let Some(http) = &mut self.http else { return Progress::On };
        loop {
            match http.poll() {
                Some(client::Action::Response { head, end }) => {
                    self.heard = true;
                    self.good = head.status == http::StatusCode::OK;
                    if end && !head.status.is_informational() {
                        return Progress::Over(None);
                    }
                }
                Some(client::Action::Data { bytes, end }) => {
                    self.answer.extend_from_slice(&bytes);
                    if end {
                        let answer = core::mem::take(&mut self.answer).freeze();
                        return Progress::Over(self.good.then_some(answer));
                    }
                }
                Some(client::Action::Finish) => return Progress::Finish,
                Some(
                    client::Action::Trailers(_)
                    | client::Action::Failed { .. }
                    | client::Action::Closed(_)
                    | client::Action::Idle,
                ) => return Progress::Over(None),
                Some(client::Action::Taken(_)) => {}
                None => return Progress::On,
            }
        }
    }

    /// Why it came to nothing.
    pub(super) const fn missing(&self) -> Missing {
        if self.heard { Missing::Other } else { Missing::Silent(Fault::TimedOut) }
    }

    pub(super) fn outbox(&self) -> Option<&Outbox> {
        self.http.as_ref().map(client::Machine::outbox)
    }

    pub(super) fn room(&self) -> usize {
        self.http.as_ref().map_or(0, client::Machine::room)
    }

    pub(super) fn deadline(&self) -> Instant {
        let http = self.http.as_ref().and_then(client::Machine::deadline);
        http.map_or(self.due, |at| at.min(self.due))
    }
}
