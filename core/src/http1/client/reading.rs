//! What comes from the server.

use super::{Action, Machine, Progress, Reading, Writing};
use crate::head::ResponseHead;
use crate::http1::body::{self, Decoder, Found};
use crate::http1::rules::Named;
use crate::http1::{framing, head, rules};
use crate::outbox::COPY_MAX;
use crate::reason::Reason;
use bytes::BytesMut;
use http::{StatusCode, Version};

impl Machine {
    /// Takes bytes in.
    ///
    /// What comes on a connection that was used before, ahead of any byte of the request, does not
    /// answer it: such as a 408 with which a server ends an idle connection.
    pub(super) fn receive(&mut self, bytes: BytesMut) {
        if self.reused && self.exchange.progress == Progress::Unsent {
            return self.lose();
        }
        self.exchange.progress = self.exchange.progress.max(Progress::Answered);
        self.input.unsplit(bytes);
        self.read();
        if !self.input.is_empty() && self.input.len() <= COPY_MAX {
            // What stays must not pin the buffer of a whole read.
            self.input = BytesMut::from(&self.input[..]);
        }
    }

    /// Takes as much of the input as can be taken now.
    pub(super) fn read(&mut self) {
        while match self.reading {
            Reading::Idle => self.read_idle(),
            Reading::Head(_) => self.read_head(),
            Reading::Body(_) => self.read_body(),
            Reading::Raw => self.read_raw(),
            Reading::Done | Reading::RawDone | Reading::Closed => false,
        } {}
    }

    /// Nothing may come while no response is due.
    fn read_idle(&mut self) -> bool {
        if !self.input.is_empty() {
            self.close(Reason::BadResponse);
        } else if self.eof {
            self.part();
        }
        false
    }

    fn read_head(&mut self) -> bool {
        let Reading::Head(search) = &mut self.reading else { return false };
        let end = match search.find(&self.input, self.limits.head_bytes) {
            Ok(Some(end)) => end,
            Ok(None) => {
                if self.eof {
                    self.cut_short();
                }
                return false;
            }
            Err(_) => {
                self.fail(Reason::BadResponse);
                return false;
            }
        };
        match head::parse_response(&mut self.input, end, &self.limits) {
            Ok((head, version)) => self.respond(head, version),
            Err(_) => self.fail(Reason::BadResponse),
        }
        true
    }

    /// A response head is complete.
    fn respond(&mut self, head: ResponseHead, version: Version) {
        if !rules::has_few_options(&head.fields) {
            self.fail(Reason::BadResponse);
        } else if head.status == StatusCode::SWITCHING_PROTOCOLS {
            self.switch(head, version);
        } else if head.status.is_informational() {
            self.respond_interim(head);
        } else {
            self.respond_finally(head, version);
        }
    }

    fn respond_interim(&mut self, head: ResponseHead) {
        self.exchange.interim += 1;
        if self.exchange.interim > INTERIM_MAX {
            return self.fail(Reason::BadResponse);
        }
        self.exchange.unasked &= head.status != StatusCode::CONTINUE;
        self.reading = Reading::Head(head::Search::default());
        self.actions.push_back(Action::Response { head, end: false });
    }

    /// Turns both directions raw, if we asked for it.
    fn switch(&mut self, head: ResponseHead, version: Version) {
        let granted = framing::upgrades(&head.fields, version)
            && framing::grants(&head.fields, &self.exchange.offered);
        if self.writing != Writing::Offer || !granted {
            return self.fail(Reason::BadResponse);
        }
        self.reading = Reading::Raw;
        self.writing = Writing::Raw;
        self.actions.push_back(Action::Response { head, end: false });
    }

    fn respond_finally(&mut self, head: ResponseHead, version: Version) {
        let body = match framing::response(&head, version, &self.exchange.method) {
            Ok(body) => body,
            Err(reason) => return self.fail(reason),
        };
        if self.writing == Writing::Offer {
            self.writing = Writing::Done;
        }
        let lasting = framing::persists(&head.fields, version);
        let clear = body != framing::Body::UntilClose && !self.exchange.unasked;
        self.exchange.persist &= lasting && clear;
        if body == framing::Body::Chunked {
            self.exchange.named = Named::by(&head.fields);
        }
        let end = body.is_empty();
        self.reading = if end { Reading::Done } else { Reading::Body(Decoder::new(body)) };
        self.actions.push_back(Action::Response { head, end });
    }

    fn read_body(&mut self) -> bool {
        let Reading::Body(decoder) = &mut self.reading else { return false };
        match decoder.next(&mut self.input, self.credit, &self.limits) {
            Found::Data(bytes) => {
                self.credit = self.credit.saturating_sub(bytes.len());
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
            Found::Bad(_) => self.fail(Reason::BadResponse),
            Found::Nothing if self.eof && self.input.is_empty() => {
                if decoder.ends_at_close() {
                    self.reading = Reading::Done;
                    self.deliver(BytesMut::new(), true);
                } else {
                    self.fail(Reason::BadResponse);
                }
            }
            Found::Nothing => {}
        }
        false
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

/// Interim responses to one request that are passed on.
const INTERIM_MAX: usize = 1000;
