//! What one side's parent says of its calls.

use super::frame::Kind;
use super::machine::Machine;
use super::stream::{Stage, Tail};
use super::{Action, Reset, Word, block};
use crate::head::ResponseHead;
use crate::id::StreamId;
use crate::limits::Limits;
use crate::reason::Reason;
use crate::varint;
use alloc::boxed::Box;
use bytes::BytesMut;

impl<T: Copy> Machine<T> {
    pub(super) fn say(&mut self, id: StreamId, word: Word) {
        match word {
            Word::Request { .. } => panic!("a call is begun by Open"),
            Word::Response { head, end } => self.say_response(id, &head, end),
            Word::Data { bytes, end } => {
                let Some(stream) = self.streams.get_mut(&id) else { return };
                let open = matches!(stream.outbound, Stage::Body | Stage::Raw);
                assert!(open, "data comes behind the head and before the end");
                let left = stream.credit.checked_sub(bytes.len());
                stream.credit = left.expect("data is said within credit");
                self.sender.data(id, stream, bytes, end);
                if end {
                    self.ended(id);
                }
            }
            Word::Trailers(fields) => {
                let Some(stream) = self.streams.get_mut(&id) else { return };
                assert!(stream.outbound == Stage::Body, "trailers come behind the body");
                let few = fields.len() <= self.theirs.fields;
                if few && self.sender.fits(&fields, self.theirs.block) {
                    self.sender.tail(id, stream, Tail::Trailers(Box::new(fields)));
                    self.ended(id);
                } else {
                    let ours = self.is_local(id);
                    self.cut(id, if ours { Reason::HeadTooLarge } else { Reason::BadResponse });
                }
            }
            Word::Reset(reset) => self.say_reset(id, reset),
            Word::Credit(count) => self.taken(id, count),
        }
    }

    fn say_response(&mut self, id: StreamId, head: &ResponseHead, end: bool) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        assert!(stream.outbound == Stage::Head, "one final response answers a call from the peer");
        let stage = stage_after(head, end).expect("an interim response does not end a call");
        let put = |out: &mut BytesMut| block::put_response(out, head);
        let few = head.fields.len() <= self.theirs.fields;
        if few && self.sender.block(Kind::Response, id, end, self.theirs.block, put) {
            stream.outbound = stage;
            if end {
                self.ended(id);
            }
        } else {
            self.cut(id, Reason::BadResponse);
        }
    }

    /// Notes that the parent has said its last word of a call.
    fn ended(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.outbound = Stage::Ended;
            self.remove_done(id);
        }
    }

    /// Ends a call. Only what a complete answer has still to send goes out before.
    fn say_reset(&mut self, id: StreamId, reset: Reset) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.is_left()) else {
            return;
        };
        if reset == SATED && stream.outbound == Stage::Ended && stream.waits() {
            stream.sated = true;
            return;
        }
        self.send_reset(id, reset);
        self.remove(id);
    }

    /// Ends a call for both the peer and the parent.
    pub(super) fn cut(&mut self, id: StreamId, reason: Reason) {
        let reset = Reset { reason, started: true };
        self.send_reset(id, reset);
        self.tell_reset(id, reset);
        self.remove(id);
    }

    /// Tells the parent that a call was cut short, unless it has had or said the last word of it.
    pub(super) fn tell_reset(&mut self, id: StreamId, reset: Reset) {
        if let Some(stream) = self.streams.get(&id).filter(|stream| !stream.is_left()) {
            let (tag, word) = (stream.tag, Word::Reset(reset));
            self.actions.push_back(Action::Said { stream: id, tag, word });
        }
    }

    pub(super) fn send_reset(&mut self, id: StreamId, reset: Reset) {
        self.sender.block(Kind::Reset, id, false, usize::MAX, |out| {
            out.extend_from_slice(&[u8::from(reset.started)]);
            varint::put(out, u64::from(reset.reason.told().rpc));
        });
    }

    /// Notes that the consumer took bytes, and grants more.
    pub(super) fn taken(&mut self, id: StreamId, count: usize) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.inbound == Stage::Ended {
            return;
        }
        let rtt = self.pulse.rtt;
        if stream.window.taken(count, self.clock.now(), rtt) {
            let size = stream.window.size();
            let most = self.limits.window_bytes_max.saturating_sub(size);
            let spare = self.limits.tunnel_bytes - first_windows(&self.limits) - self.grown;
            let more = size.min(most).min(spare);
            stream.window.grow(more);
            self.grown += more;
        }
        if let Some(grant) = stream.window.grant() {
            self.sender.block(Kind::Credit, id, false, usize::MAX, |out| {
                varint::put(out, varint::wide(grant));
            });
        }
    }
}

/// Where a response stands behind this head, unless the head is interim and ends it.
pub(super) fn stage_after(head: &ResponseHead, end: bool) -> Option<Stage> {
    match (head.status.as_u16(), end) {
        (100..200, true) => None,
        (101, false) => Some(Stage::Raw),
        (100..200, false) => Some(Stage::Head),
        (_, true) => Some(Stage::Ended),
        (_, false) => Some(Stage::Body),
    }
}

/// What the peer may send on new streams without another word, if each side opens all it may.
pub(super) fn first_windows(limits: &Limits) -> usize {
    limits.window_bytes.saturating_mul(limits.streams).saturating_mul(2)
}

/// What one who has said all says when it wants no more.
pub(super) const SATED: Reset = Reset { reason: Reason::Closed, started: true };
