//! The dialler's opening handshake, from the connection to the tunnel.

use super::Machine;
use crate::head::{Fields, ResponseHead};
use crate::http1::client;
use crate::limits::Limits;
use crate::machine::Machine as _;
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::seed::{Dice, Seed};
use crate::time::Instant;
use crate::{rpc, ws};
use alloc::string::String;
use alloc::sync::Arc;
use bytes::BytesMut;
use core::time::Duration;

/// A handshake under way.
#[derive(Debug)]
pub struct Shake {
    http: client::Machine,
    /// What the response must prove to have seen.
    key: String,
    /// A response that is not the one we want, while its body is read.
    refusal: Option<Refusal>,
}

/// An answer that opens no tunnel.
#[derive(PartialEq, Eq, Default, Debug)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// How long the acceptor wants to be left alone (`Retry-After`, RFC 9110, section 10.2.3).
    pub retry_after: Duration,
    /// The beginning of the body, if the status [lasts](Refusal::lasts).
    pub body: BytesMut,
}

/// What came of a handshake.
#[derive(PartialEq, Eq, Debug)]
pub enum Shaken {
    /// The acceptor agrees: [`Shake::into_tunnel`] is next, if its fields suit.
    Agreed(ResponseHead),
    /// It does not.
    Refused(Refusal),
    /// There was no answer, or none that answers this.
    Failed(Reason),
    /// Nothing yet: send FIN when the outbox is empty.
    Finish,
}

impl Refusal {
    /// Whether an answer with this status stays the same however often one asks.
    pub const fn lasts(status: u16) -> bool {
        matches!(status, 400 | 401 | 403)
    }
}

impl Shake {
    /// Asks `host` for the WebSocket at `target`, with these fields besides.
    pub fn new(
        now: Instant,
        dice: &mut Dice,
        host: &str,
        target: &str,
        more: &Fields,
        limits: Arc<Limits>,
    ) -> Self {
        let (mut head, key) = ws::handshake::request(dice, host, target);
        for (name, value) in more.iter() {
            head.fields.push(name, value);
        }
        let mut http = client::Machine::new(now, limits);
        http.handle(now, client::Input::Request { head, end: false, upgrade: true });
        Self { http, key, refusal: None }
    }

    /// Tells it what the socket did.
    pub fn handle(&mut self, now: Instant, input: client::Input) {
        self.http.handle(now, input);
    }

    /// Fires what is due.
    pub fn tick(&mut self, now: Instant) {
        self.http.tick(now);
    }

    /// When it wants to be ticked.
    pub fn deadline(&self) -> Option<Instant> {
        self.http.deadline()
    }

    /// What waits to be written.
    pub fn outbox(&self) -> &Outbox {
        self.http.outbox()
    }

    /// How many bytes would be taken now.
    pub fn room(&self) -> usize {
        self.http.room()
    }

    /// What came of it, if anything did. All but [`Shaken::Finish`] is the end of it.
    pub fn poll(&mut self, now: Instant) -> Option<Shaken> {
        loop {
            let done = match self.http.poll()? {
                client::Action::Response { head, end } => self.answered(now, head, end),
                client::Action::Data { bytes, end } => self.explained(&bytes, end),
                client::Action::Failed { reason, .. } | client::Action::Closed(reason) => {
                    Some(self.give_up(reason))
                }
                client::Action::Trailers(_) | client::Action::Idle => {
                    Some(self.give_up(Reason::ProtocolError))
                }
                client::Action::Taken(_) => None,
                client::Action::Finish => Some(Shaken::Finish),
            };
            if done.is_some() {
                return done;
            }
        }
    }

    fn answered(&mut self, now: Instant, head: ResponseHead, end: bool) -> Option<Shaken> {
        let status = head.status.as_u16();
        if status == 101 {
            return Some(match ws::handshake::check(&self.key, &head) {
                Ok(()) => Shaken::Agreed(head),
                Err(reason) => self.give_up(reason),
            });
        }
        if head.status.is_informational() {
            return None;
        }
        let retry_after = retry_after(&head.fields);
        let refusal = Refusal { status, retry_after, body: BytesMut::new() };
        if end || !Refusal::lasts(status) {
            return Some(Shaken::Refused(refusal));
        }
        self.refusal = Some(refusal);
        self.http.handle(now, client::Input::Credit(REFUSAL_MAX));
        None
    }

    /// Some of a refusal's body came.
    fn explained(&mut self, bytes: &[u8], end: bool) -> Option<Shaken> {
        let refusal = self.refusal.as_mut()?;
        let room = REFUSAL_MAX.saturating_sub(refusal.body.len());
        refusal.body.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        let whole = end || refusal.body.len() >= REFUSAL_MAX;
        whole.then(|| self.give_up(Reason::Closed))
    }

    /// What a handshake that ends now for `reason` came to: the refusal, as far as it was read.
    pub fn give_up(&mut self, reason: Reason) -> Shaken {
        self.refusal.take().map_or(Shaken::Failed(reason), Shaken::Refused)
    }

    /// The tunnel, after [`Shaken::Agreed`].
    pub fn into_tunnel<T: Copy>(
        self,
        now: Instant,
        me: &rpc::Identity,
        seed: &Seed,
        limits: Arc<Limits>,
    ) -> Machine<T> {
        let (early, outbox) = self.http.into_raw();
        let mut tunnel = Machine::new(now, rpc::Role::Dialer, me, seed, limits, outbox);
        if !early.is_empty() {
            tunnel.handle(now, super::Input::Received(early));
        }
        tunnel
    }
}

/// The wait that a refusal asks for, in seconds. A date is none: core has no calendar.
fn retry_after(fields: &Fields) -> Duration {
    let text = fields.get("retry-after").and_then(|value| core::str::from_utf8(value).ok());
    let digits = text.filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).map_or(Duration::ZERO, Duration::from_secs)
}

/// How much of a refusal's body is read in search of its code.
const REFUSAL_MAX: usize = 4096;
