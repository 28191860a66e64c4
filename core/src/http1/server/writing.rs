//! What goes to the client.

use super::{Action, Machine, Reading, Timer, Writing};
use crate::head::{Fields, ResponseHead};
use crate::http1::body::{Encoder, Mismatch};
use crate::http1::framing::{self, Body};
use crate::http1::{head, rules};
use crate::reason::Reason;
use alloc::format;
use bytes::BytesMut;
use http::{StatusCode, Version};

impl Machine {
    /// Takes a response head, interim or final.
    pub(super) fn respond(&mut self, head: &ResponseHead, end: bool) {
        if self.writing != Writing::Awaiting {
            return;
        }
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            self.switch(head);
        } else if head.status.is_informational() {
            if head.status == StatusCode::CONTINUE {
                self.ask_for_body();
            }
            self.respond_interim(head);
        } else {
            self.respond_finally(head, end);
        }
    }

    /// Takes some of the response's body, or raw bytes.
    pub(super) fn data(&mut self, bytes: BytesMut, end: bool) {
        match &mut self.writing {
            Writing::Body(encoder) => {
                self.untaken = self.untaken.saturating_add(bytes.len());
                match encoder.data(&mut self.outbox, bytes) {
                    Ok(()) if end => self.end_response(None),
                    Ok(()) => {}
                    Err(Mismatch) => self.cut_off(Reason::BadResponse),
                }
            }
            Writing::Raw => {
                self.untaken = self.untaken.saturating_add(bytes.len());
                self.outbox.push(bytes);
                if end {
                    self.writing = Writing::RawDone;
                    self.actions.push_back(Action::Finish);
                }
            }
            Writing::Idle | Writing::Awaiting | Writing::Done | Writing::RawDone => {}
        }
    }

    /// Ends the response.
    pub(super) fn end_response(&mut self, trailers: Option<&Fields>) {
        let Writing::Body(encoder) = &mut self.writing else { return };
        let ended = match trailers {
            Some(fields) => encoder.trailers(&mut self.outbox, fields),
            None => encoder.end(&mut self.outbox),
        };
        if ended.is_err() {
            return self.cut_off(Reason::BadResponse);
        }
        self.writing = Writing::Done;
        if matches!(self.reading, Reading::Body(_)) {
            self.ignore_input();
        }
        if !self.exchange.persist || matches!(self.reading, Reading::Discard(_)) {
            self.finish(Reason::Closed);
        }
    }

    /// Says how much of what the parent gave has gone to the socket: all but what can still be in
    /// the outbox.
    pub(super) fn report_taken(&mut self) {
        let held = match &self.writing {
            Writing::Body(encoder) => encoder.held(),
            Writing::Idle | Writing::Awaiting | Writing::Done | Writing::Raw | Writing::RawDone => {
                0
            }
        };
        let left = self.untaken.min(self.outbox.len().saturating_add(held));
        let taken = self.untaken - left;
        self.untaken = left;
        if taken > 0 {
            self.actions.push_back(Action::Taken(taken));
        }
    }

    fn respond_interim(&mut self, head: &ResponseHead) {
        let known = self.exchange.version == Version::HTTP_11;
        if known && !matches!(self.reading, Reading::Discard(_)) {
            head::put_response(&mut self.outbox, head, |name| !is_ours(name), &[]);
        }
    }

    /// Turns both directions raw, if the client asked for it.
    fn switch(&mut self, head: &ResponseHead) {
        if !matches!(self.reading, Reading::Offer) {
            return self.give_up(Reason::BadResponse);
        }
        let keep = |name: &[u8]| !is_ours(name) || is_upgrade(name);
        head::put_response(&mut self.outbox, head, keep, &[CONNECTION_UPGRADE]);
        self.reading = Reading::Raw;
        self.writing = Writing::Raw;
    }

    /// The client waits no longer to be asked for the body: its time begins.
    fn ask_for_body(&mut self) {
        if core::mem::take(&mut self.exchange.expects) {
            self.timers.clear(Timer::Body);
        }
    }

    fn respond_finally(&mut self, head: &ResponseHead, end: bool) {
        self.ask_for_body();
        let bodiless = framing::is_bodiless(head.status, &self.exchange.method);
        let length = framing::content_length(&head.fields).ok().flatten();
        let old = self.exchange.version == Version::HTTP_10;
        let body = match length {
            _ if bodiless => Body::None,
            Some(length) => Body::Length(length),
            None if end => Body::Length(0),
            None if old => Body::UntilClose,
            None => Body::Chunked,
        };
        let framing: &[u8] = match (body, length) {
            (Body::Length(_), None) => b"Content-Length: 0\r\n",
            (Body::Chunked, _) => b"Transfer-Encoding: chunked\r\n",
            (Body::None | Body::UntilClose | Body::Length(_), _) => b"",
        };
        self.decide_persistence(head.status, body, end);
        let connection: &[u8] = match (self.exchange.persist, old) {
            (false, _) => b"Connection: close\r\n",
            (true, true) => b"Connection: keep-alive\r\n",
            (true, false) => b"",
        };
        let offered = head.fields.get("upgrade").is_some();
        let required = offered && head.status == StatusCode::UPGRADE_REQUIRED;
        let upgrade = if required { CONNECTION_UPGRADE } else { b"" };
        let measured = length.is_some() && head.status != StatusCode::NO_CONTENT;
        let keep = |name: &[u8]| match () {
            () if name.eq_ignore_ascii_case(b"content-length") => measured,
            () if is_upgrade(name) => required,
            () => !is_ours(name),
        };
        let dated = head.fields.get("date").is_some();
        let date = self.wall.filter(|_| !dated).map(|wall| format!("Date: {wall}\r\n"));
        let date = date.as_deref().unwrap_or_default().as_bytes();
        head::put_response(&mut self.outbox, head, keep, &[date, framing, upgrade, connection]);
        self.writing = Writing::Body(Encoder::new(body));
        if end {
            self.end_response(None);
        }
    }

    /// A final response begins: decides whether another request may follow it.
    fn decide_persistence(&mut self, status: StatusCode, body: Body, end: bool) {
        if matches!(self.reading, Reading::Offer) {
            self.reading = Reading::Done;
        }
        let early = match self.reading {
            Reading::Body(_) => end || status.is_client_error() || status.is_server_error(),
            Reading::Discard(_) => true,
            Reading::Head(_) | Reading::Offer | Reading::Done | Reading::Raw | Reading::RawDone => {
                false
            }
        };
        let gone = self.eof && self.input.is_empty();
        let last = early || gone || self.last || self.draining || body == Body::UntilClose;
        self.exchange.persist &= !last;
    }

    /// Breaks the response off. A FIN behind a body with a length or in chunks shows that it was
    /// cut; behind any other it would not.
    pub(super) fn abort(&mut self, reason: Reason) {
        match self.writing {
            Writing::Body(Encoder::Length { .. } | Encoder::Chunked { .. }) => {
                self.cut_off(reason);
            }
            Writing::Idle
            | Writing::Awaiting
            | Writing::Body(Encoder::Nothing | Encoder::UntilClose)
            | Writing::Done
            | Writing::Raw
            | Writing::RawDone => self.close(reason),
        }
    }

    /// The response cannot be completed: what is out already is all that goes out.
    fn cut_off(&mut self, reason: Reason) {
        self.writing = Writing::Done;
        self.ignore_input();
        self.finish(reason);
    }
}

/// Whether this machine alone decides about a field.
fn is_ours(name: &[u8]) -> bool {
    let framing = name.eq_ignore_ascii_case(b"content-length");
    framing || is_upgrade(name) || rules::is_hop_by_hop(name)
}

fn is_upgrade(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"upgrade")
}

const CONNECTION_UPGRADE: &[u8] = b"Connection: Upgrade\r\n";
