//! The words of calls that came by another node's link: passed on within credit, both ways.

use super::{Relay, Stage};
use crate::head::ResponseHead;
use crate::id::StreamId;
use crate::reason::Reason;
use crate::rpc::Word;
use crate::server::flow::Flow;
use crate::server::link::call::{Attempt, weight};
use crate::server::proxy::Action;
use http::StatusCode;

impl Relay {
    /// The other node has said a word of its call.
    pub(super) fn asked(&mut self, stream: StreamId, word: Word) {
        let Some(call) = self.calls.get_mut(&stream) else { return };
        match word {
            Word::Data { .. } | Word::Trailers(_) if call.sated.is_some() => {}
            Word::Data { bytes, end } => {
                call.up.push(bytes, end);
                self.flush_up(stream);
            }
            Word::Trailers(fields) => {
                call.up.trailers(fields);
                self.flush_up(stream);
            }
            Word::Credit(more) => {
                call.down.credit(more);
                self.flush_down(stream);
            }
            Word::Reset(_) => {
                if let Some(place) = call.place {
                    self.ask(stream, place, word);
                }
                let answered = self.calls.get(&stream).is_some_and(|call| call.down.is_over());
                self.end(stream, answered);
            }
            // A caller does not answer, and calls by opening.
            Word::Request { .. } | Word::Response { .. } => {}
        }
    }

    /// The callee has said a word.
    pub(super) fn answered(&mut self, stream: StreamId, word: Word) {
        let Some(call) = self.calls.get_mut(&stream) else { return };
        match word {
            Word::Credit(more) => {
                call.attempt = Attempt::Begun;
                call.up.credit(more);
                self.flush_up(stream);
            }
            Word::Response { head, end } => self.respond(stream, head, end),
            Word::Data { bytes, end } => {
                call.down.push(bytes, end);
                self.flush_down(stream);
            }
            Word::Trailers(fields) => {
                call.down.trailers(fields);
                self.flush_down(stream);
            }
            Word::Reset(reset) => {
                let whole = call.down.has_ended();
                if let (Some(place), Some(again)) = (call.place, call.again(reset)) {
                    self.begin_again(stream, place, again);
                } else if whole && !call.down.is_over() && reset.reason == Reason::Closed {
                    call.sated = Some(reset);
                    self.leave(stream);
                } else {
                    self.say(stream, word);
                    self.end(stream, whole);
                }
            }
            // A callee does not call: the RPC machine refuses such a frame.
            Word::Request { .. } => {}
        }
    }

    pub(super) fn respond(&mut self, stream: StreamId, head: ResponseHead, end: bool) {
        let full = matches!(&self.stage, Stage::Tunnel(tunnel) if tunnel.is_full());
        let Some(call) = self.calls.get_mut(&stream) else { return };
        call.attempt = Attempt::Begun;
        let interim =
            head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS;
        let goes_on = head.status == StatusCode::CONTINUE;
        let needed = goes_on && !core::mem::replace(&mut call.continued, true);
        // No credit bounds interim responses: a node that is behind goes without. But a client may
        // wait for its first 100.
        if interim && full && !needed {
            return;
        }
        self.say(stream, Word::Response { head, end });
        if end && let Some(call) = self.calls.get_mut(&stream) {
            call.down = Flow::new(true, 0);
            self.settle(stream);
        }
    }

    /// Sends on what the callee would take of the request's body.
    pub(super) fn flush_up(&mut self, stream: StreamId) {
        while let Some(call) = self.calls.get_mut(&stream)
            && let Some(place) = call.place
            && let Some(word) = call.up.next()
        {
            let taken = weight(&word);
            self.ask(stream, place, word);
            if taken > 0 {
                self.say(stream, Word::Credit(taken));
            }
        }
        self.settle(stream);
    }

    /// Sends on what the other node would take of the response's body.
    pub(super) fn flush_down(&mut self, stream: StreamId) {
        while let Some(call) = self.calls.get_mut(&stream)
            && let Some(word) = call.down.next()
        {
            let (taken, place) = (weight(&word), call.place);
            self.say(stream, word);
            if let Some(place) = place.filter(|_| taken > 0) {
                self.ask(stream, place, Word::Credit(taken));
            }
        }
        self.settle(stream);
    }

    /// Forgets a call of which nothing is left to do.
    pub(super) fn settle(&mut self, stream: StreamId) {
        let Some(call) = self.calls.get(&stream).filter(|call| call.down.is_over()) else { return };
        if let Some(reset) = call.sated {
            self.say(stream, Word::Reset(reset));
        } else if !call.up.is_over() {
            return;
        }
        self.end(stream, true);
    }

    /// The call is over at the callee.
    pub(super) fn leave(&mut self, stream: StreamId) {
        let place = self.calls.get_mut(&stream).and_then(|call| call.place.take());
        self.actions.extend(place.map(Action::Over));
    }

    pub(super) fn end(&mut self, stream: StreamId, answered: bool) {
        self.leave(stream);
        if let Some(call) = self.calls.remove(&stream) {
            self.ended(answered, call.up.stalls() + call.down.stalls());
        }
    }

    pub(super) fn ended(&mut self, answered: bool, stalls: u64) {
        self.counts.end(answered);
        self.actions.push_back(Action::Relayed { answered, stalls });
    }
}
