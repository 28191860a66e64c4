//! What goes to the server.

use super::{Action, Exchange, Machine, Reading, Writing};
use crate::head::{Fields, RequestHead, elements};
use crate::http1::body::{Encoder, Mismatch};
use crate::http1::framing::{self, Body};
use crate::http1::head::{self, Search};
use crate::http1::rules;
use crate::reason::Reason;
use bytes::BytesMut;

impl Machine {
    /// Begins an exchange.
    pub(super) fn request(&mut self, head: &RequestHead, end: bool, upgrade: bool) {
        if !self.is_idle() {
            return;
        }
        let offered = head.fields.all("upgrade").filter(|_| upgrade).flat_map(elements);
        self.exchange = Exchange {
            method: head.method.clone(),
            unasked: !end && !upgrade && head.fields.has_token("expect", "100-continue"),
            offered: offered.map(|protocol| framing::protocol_name(protocol).to_vec()).collect(),
            ..Exchange::default()
        };
        self.reading = Reading::Head(Search::default());
        self.credit = 0;
        let bare = end || upgrade;
        let body = match framing::content_length(&head.fields) {
            Ok(Some(length)) if !bare || length == 0 => Body::Length(length),
            Ok(None) if bare => Body::None,
            Ok(None) => Body::Chunked,
            Ok(Some(_)) | Err(_) => return self.fail(Reason::BadFraming),
        };
        let framing: &[u8] =
            if body == Body::Chunked { b"Transfer-Encoding: chunked\r\n" } else { b"" };
        // A request of HTTP/1.0 may have come without (RFC 9112, section 3.2).
        let hosted = head.fields.get("host").is_some();
        let host: &[u8] = if hosted { b"" } else { b"Host:\r\n" };
        let connection: &[u8] = match (upgrade, rules::keeps_trailers(&head.fields)) {
            (false, false) => b"",
            (true, false) => b"Connection: Upgrade\r\n",
            (false, true) => b"Connection: TE\r\nTE: trailers\r\n",
            (true, true) => b"Connection: Upgrade, TE\r\nTE: trailers\r\n",
        };
        let keep = |name: &[u8]| {
            let other = name.eq_ignore_ascii_case(b"upgrade") && !upgrade;
            !other && !rules::is_hop_by_hop(name)
        };
        head::put_request(&mut self.outbox, head, keep, &[host, framing, connection]);
        self.writing = match (upgrade, end) {
            (true, _) => Writing::Offer,
            (false, true) => Writing::Done,
            (false, false) => Writing::Body(Encoder::new(body)),
        };
    }

    /// Takes some of the request's body, or raw bytes.
    pub(super) fn data(&mut self, bytes: BytesMut, end: bool) {
        match &mut self.writing {
            Writing::Body(encoder) => {
                self.untaken = self.untaken.saturating_add(bytes.len());
                match encoder.data(&mut self.outbox, bytes) {
                    Ok(()) if end => self.end_request(None),
                    Ok(()) => {}
                    Err(Mismatch) => self.fail(Reason::BadFraming),
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
            Writing::Idle | Writing::Offer | Writing::Done | Writing::RawDone => {}
        }
    }

    /// Ends the request.
    pub(super) fn end_request(&mut self, trailers: Option<&Fields>) {
        let Writing::Body(encoder) = &mut self.writing else { return };
        let ended = match trailers {
            Some(fields) => encoder.trailers(&mut self.outbox, fields),
            None => encoder.end(&mut self.outbox),
        };
        match ended {
            Ok(()) => self.writing = Writing::Done,
            Err(Mismatch) => self.fail(Reason::BadFraming),
        }
    }

    /// Says how much of what the parent gave has gone to the socket: all but what can still be in
    /// the outbox.
    pub(super) fn report_taken(&mut self) {
        if self.is_closed() {
            return;
        }
        let held = match &self.writing {
            Writing::Body(encoder) => encoder.held(),
            Writing::Idle | Writing::Offer | Writing::Done | Writing::Raw | Writing::RawDone => 0,
        };
        let left = self.untaken.min(self.outbox.len().saturating_add(held));
        let taken = self.untaken - left;
        self.untaken = left;
        if taken > 0 {
            self.actions.push_back(Action::Taken(taken));
        }
    }
}
