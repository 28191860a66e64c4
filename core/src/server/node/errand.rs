//! A question to another node: a request to its gossip port, and the answer (`spec/gossip.md`,
//! `spec/admin.md`).

use crate::gossip::CONSULT_MAX;
use crate::head::{Fields, RequestHead};
use crate::host::{Fault, Told};
use crate::http1::client;
use crate::id::{AskId, WorkerId};
use crate::limits::Limits;
use crate::machine::Machine as _;
use crate::note::Missing;
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::server::link::CONSULT_PATH;
use crate::time::Instant;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use bytes::{Bytes, BytesMut};
use core::net::SocketAddr;
use http::Method;

/// A connection that asks one question.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) purpose: Purpose,
    pub(super) told: Told,
    pub(super) addr: SocketAddr,
    /// Once the connection is there.
    http: Option<client::Machine>,
    answer: BytesMut,
    /// The answer's status, once it has begun.
    status: Option<u16>,
    /// When it has taken too long.
    due: Instant,
}

/// What is asked, and who wants to know.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Gossip consults gossip, in these words.
    Gossip(AskId, Bytes),
    /// An operator asked a worker, and this is the path of the question.
    Status(WorkerId, AskId, String),
}

impl Purpose {
    /// Bytes that an answer may have.
    const fn room(&self) -> usize {
        match self {
            Self::Gossip(..) => CONSULT_MAX,
            Self::Status(..) => STATUS_MAX,
        }
    }
}

/// How an errand goes on.
#[derive(Debug)]
pub(super) enum Progress {
    /// It does.
    On,
    /// Send FIN when the outbox is empty.
    Finish,
    /// It is over: with a status and what was said, or for a reason without them.
    Over(Result<(u16, Bytes), Reason>),
}

impl Errand {
    pub(super) fn new(purpose: Purpose, addr: SocketAddr, due: Instant) -> Self {
        Self {
            purpose,
            told: Told::default(),
            addr,
            http: None,
            answer: BytesMut::new(),
            status: None,
            due,
        }
    }

    pub(super) fn connected(&mut self, now: Instant, limits: &Arc<Limits>) {
        let mut http = client::Machine::new(now, Arc::clone(limits));
        let mut fields = Fields::with_capacity(3, 96);
        fields.push(b"host", format!("{}", self.addr).as_bytes());
        match &self.purpose {
            Purpose::Gossip(_, question) => {
                fields.push(b"content-type", b"application/octet-stream");
                fields.push(b"content-length", format!("{}", question.len()).as_bytes());
                let head = RequestHead::new(Method::POST, CONSULT_PATH.as_bytes(), fields);
                http.handle(now, client::Input::Request { head, end: false, upgrade: false });
                let bytes = BytesMut::from(&question[..]);
                http.handle(now, client::Input::Data { bytes, end: true });
            }
            Purpose::Status(.., target) => {
                let head = RequestHead::new(Method::GET, target.as_bytes(), fields);
                http.handle(now, client::Input::Request { head, end: true, upgrade: false });
            }
        }
        http.handle(now, client::Input::Credit(self.purpose.room()));
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
            return Progress::Over(Err(Reason::NodeTimeout));
        }
        let Some(http) = &mut self.http else { return Progress::On };
        loop {
            match http.poll() {
                Some(client::Action::Response { head, end }) => {
                    self.status = Some(head.status.as_u16());
                    if end && !head.status.is_informational() {
                        return Progress::Over(Err(Reason::NodeUnreachable));
                    }
                }
                Some(client::Action::Data { bytes, end }) => {
                    self.answer.extend_from_slice(&bytes);
                    if end {
                        let answer = core::mem::take(&mut self.answer).freeze();
                        let status = self.status.unwrap_or_default();
                        return Progress::Over(Ok((status, answer)));
                    }
                }
                Some(client::Action::Finish) => return Progress::Finish,
                Some(
                    client::Action::Trailers(_)
                    | client::Action::Failed { .. }
                    | client::Action::Closed(_)
                    | client::Action::Idle,
                ) => return Progress::Over(Err(Reason::NodeUnreachable)),
                Some(client::Action::Taken(_)) => {}
                None => return Progress::On,
            }
        }
    }

    /// Why it came to nothing.
    pub(super) const fn missing(&self) -> Missing {
        if self.status.is_some() { Missing::Other } else { Missing::Silent(Fault::TimedOut) }
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

/// Bytes of an answer to an operator: of 1,000 tunnels, each with an endpoint's ID of 128 bytes and
/// two names of 255 that JSON writes with six for each, and what is beside them.
const STATUS_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    /// What becomes of an answer with so many bytes.
    fn told(purpose: Purpose, bytes: usize) -> Progress {
        let now = Instant::ZERO;
        let due = now + core::time::Duration::from_secs(1);
        let mut errand = Errand::new(purpose, ([127, 0, 0, 1], 1).into(), due);
        errand.connected(now, &Arc::default());
        let out = errand.outbox().map_or(0, Outbox::len);
        errand.socket(now, client::Input::Sent(out));
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n");
        errand.socket(now, client::Input::Received(BytesMut::from(head.as_bytes())));
        let body = vec![b'x'; bytes];
        let mut left = &body[..];
        loop {
            match errand.pump(now) {
                Progress::On => {}
                over @ (Progress::Finish | Progress::Over(_)) => return over,
            }
            let (piece, rest) = left.split_at(errand.room().min(left.len()));
            if piece.is_empty() {
                return Progress::On;
            }
            errand.socket(now, client::Input::Received(BytesMut::from(piece)));
            left = rest;
        }
    }

    #[test]
    fn an_answer_to_an_operator_may_be_as_long_as_the_longest_piece_of_a_list() {
        let status = || Purpose::Status(WorkerId(0), AskId(1), "/status/tunnels".into());
        let whole = |progress| matches!(progress, Progress::Over(Ok((200, _))));
        assert!(whole(told(status(), 3_500_000)));
        assert!(!whole(told(status(), STATUS_MAX + (1 << 18))), "and has a bound");
    }
}
