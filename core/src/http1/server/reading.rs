//! What comes from the client.

use super::{Action, Exchange, Life, Machine, Reading, Request, Start, Timer, Writing};
use crate::head::valid_name;
use crate::http1::body::{self, Decoder, Found};
use crate::http1::rules::Named;
use crate::http1::{framing, head};
use crate::outbox::COPY_MAX;
use crate::reason::Reason;
use bytes::BytesMut;

impl Machine {
    /// Takes bytes in.
    pub(super) fn receive(&mut self, bytes: BytesMut) {
        self.input.unsplit(bytes);
        self.read();
        if !self.input.is_empty() && self.input.len() <= COPY_MAX {
            // What stays must not pin the buffer of a whole read.
            self.input = BytesMut::from(&self.input[..]);
        }
    }

    /// Takes as much of the input as can be taken now.
    pub(super) fn read(&mut self) {
        while match &self.reading {
            Reading::Head(start) => self.read_head(*start),
            Reading::Body(_) => self.read_body(),
            Reading::Raw => self.read_raw(),
            Reading::Discard(left) => self.discard(*left),
            Reading::Offer | Reading::Done | Reading::RawDone => false,
        } {}
    }

    /// Waits for the next request.
    pub(super) fn await_head(&mut self) {
        self.exchange = Exchange::default();
        self.writing = Writing::Idle;
        self.reading = Reading::Head(Start::default());
        self.timers.set(Timer::Head, self.clock.now() + self.limits.idle_timeout);
    }

    /// Says that what the client sends cannot be taken, if it can still be told so.
    pub(super) fn refuse(&mut self, reason: Reason) {
        match self.writing {
            Writing::Idle | Writing::Awaiting => {
                self.exchange.persist = false;
                self.writing = Writing::Awaiting;
                self.timers.clear(Timer::Head);
                self.ignore_input();
                self.actions.push_back(Action::Malformed(reason));
            }
            Writing::Body(_) | Writing::Done | Writing::Raw | Writing::RawDone => {
                self.break_off(reason);
            }
        }
    }

    /// From here on, what comes is thrown away.
    pub(super) fn ignore_input(&mut self) {
        if !matches!(self.reading, Reading::Discard(_)) {
            self.reading = Reading::Discard(self.limits.linger_bytes);
        }
    }

    fn read_head(&mut self, mut start: Start) -> bool {
        if !head::begun(&mut self.input, &mut start.skipped) {
            self.reading = Reading::Head(start);
            if self.eof {
                self.part(Reason::Closed);
            }
            return false;
        }
        if !start.begun {
            start.begun = true;
            if self.life != Life::Fresh || self.draining {
                self.timers.set(Timer::Head, self.clock.now() + self.limits.head_timeout);
            }
        }
        if !self.input.get(..1).is_some_and(valid_name) {
            self.refuse(Reason::BadRequest);
            return true;
        }
        match start.search.find(&self.input, self.limits.head_bytes) {
            Ok(Some(end)) => {
                self.begin(end);
                true
            }
            Ok(None) => {
                self.reading = Reading::Head(start);
                if self.eof {
                    self.part(Reason::ConnectionLost);
                }
                false
            }
            Err(head::Flaw::TooLarge) => {
                let within = self.input.get(..self.limits.head_bytes).unwrap_or_default();
                let target = start.search.is_in_first_line() && within.contains(&b' ');
                self.refuse(if target { Reason::TargetTooLong } else { Reason::HeadTooLarge });
                true
            }
            Err(flaw @ head::Flaw::Malformed) => {
                self.refuse(flaw.reason());
                true
            }
        }
    }

    /// A head of `len` bytes is complete.
    fn begin(&mut self, len: usize) {
        let (head, version) = match head::parse_request(&mut self.input, len, &self.limits) {
            Ok(parsed) => parsed,
            Err(flaw) => return self.refuse(flaw.reason()),
        };
        self.exchange = Exchange {
            version,
            method: head.method.clone(),
            persist: framing::persists(&head.fields, version),
            expects: false,
            named: Named::default(),
        };
        let body = match framing::request(&head, version) {
            Ok(body) => body,
            Err(reason) => return self.refuse(reason),
        };
        let upgrade = body.is_empty() && framing::offers(&head, version);
        self.reading = match (upgrade, body.is_empty()) {
            (true, _) => Reading::Offer,
            (false, true) => Reading::Done,
            (false, false) => Reading::Body(Decoder::new(body)),
        };
        self.exchange.expects = framing::expects(&head, version, body);
        if body == framing::Body::Chunked {
            self.exchange.named = Named::by(&head.fields);
        }
        self.life = Life::Kept;
        self.writing = Writing::Awaiting;
        self.credit = 0;
        self.timers.clear(Timer::Head);
        let end = matches!(self.reading, Reading::Done);
        self.actions.push_back(Action::Request(Request { head, version, end, upgrade }));
    }

    fn read_body(&mut self) -> bool {
        let Reading::Body(decoder) = &mut self.reading else { return false };
        match decoder.next(&mut self.input, self.credit, &self.limits) {
            Found::Data(bytes) => {
                self.credit = self.credit.saturating_sub(bytes.len());
                self.exchange.expects = false;
                self.deliver(bytes, false);
                return true;
            }
            Found::End => {
                self.reading = Reading::Done;
                self.deliver(BytesMut::new(), true);
            }
            Found::Trailers(mut fields) => {
                self.exchange.named.strip(&mut fields);
                self.reading = Reading::Done;
                self.actions.push_back(Action::Trailers(fields));
            }
            Found::Bad(head::Flaw::Malformed) => {
                self.refuse(Reason::BadFraming);
                return true;
            }
            Found::Bad(head::Flaw::TooLarge) => {
                self.refuse(Reason::HeadTooLarge);
                return true;
            }
            Found::Nothing if self.eof && self.input.is_empty() && self.is_unanswered() => {
                self.break_off(Reason::ConnectionLost);
            }
            Found::Nothing => {}
        }
        false
    }

    /// Whether no final response has begun. Who was given one may well stop sending the body, and
    /// wait for the response's end (RFC 9112, section 9.5).
    fn is_unanswered(&self) -> bool {
        match self.writing {
            Writing::Idle | Writing::Awaiting => true,
            Writing::Body(_) | Writing::Done | Writing::Raw | Writing::RawDone => false,
        }
    }

    fn read_raw(&mut self) -> bool {
        let count = self.input.len().min(self.credit);
        if count > 0 {
            self.credit -= count;
            let bytes = body::take(&mut self.input, count);
            self.deliver(bytes, false);
            return true;
        }
        if self.input.is_empty() && self.eof {
            self.reading = Reading::RawDone;
            self.deliver(BytesMut::new(), true);
        }
        false
    }

    fn discard(&mut self, left: usize) -> bool {
        self.reading = Reading::Discard(left.saturating_sub(self.input.len()));
        self.input = BytesMut::new();
        false
    }

    /// Queues a piece of the body, joined to the one before it if that saves an action.
    fn deliver(&mut self, more: BytesMut, last: bool) {
        if let Some(Action::Data { bytes, end: end @ false }) = self.actions.back_mut()
            && (more.is_empty() || bytes.len() + more.len() <= 4 * COPY_MAX)
        {
            bytes.extend_from_slice(&more);
            *end = last;
            return;
        }
        self.actions.push_back(Action::Data { bytes: more, end: last });
    }
}
