//! A call that another node forwarded to this one.

use crate::head::RequestHead;
use crate::routing::{EndpointId, Place};
use crate::rpc::{Reset, Word};
use crate::server::flow::Flow;
use alloc::boxed::Box;

/// A call of the other node's.
#[derive(Debug)]
pub(super) struct Call {
    /// Where it goes, once that is known and until it is over there.
    pub(super) place: Option<Place>,
    /// Whether another of our tunnels may be asked.
    pub(super) attempt: Attempt,
    /// The request's body.
    pub(super) up: Flow,
    /// The response's.
    pub(super) down: Flow,
    /// Whether the other node was told that the client is to go on with its body: some wait for
    /// that.
    pub(super) continued: bool,
    /// The callee has answered in full and wants no more, which is said behind the answer.
    pub(super) sated: Option<Reset>,
}

/// How often a call was sent to a tunnel of ours.
#[derive(Debug)]
pub(super) enum Attempt {
    /// Once so far, and what it takes to send it again.
    First(Box<Again>),
    /// A second time, after the first ended so.
    Second(Reset),
    /// Once, and it has begun there.
    Begun,
}

/// What it takes to send a request again, as far as its body is untouched.
#[derive(Debug)]
pub(super) struct Again {
    pub(super) endpoint: EndpointId,
    pub(super) head: RequestHead,
    pub(super) end: bool,
}

impl Call {
    pub(super) fn new(again: Again) -> Self {
        let up = Flow::new(again.end, 0);
        let attempt = Attempt::First(Box::new(again));
        let down = Flow::new(false, 0);
        Self { place: None, attempt, up, down, continued: false, sated: None }
    }

    /// What to send to another tunnel after a callee has ended the call so: a tunnel that was
    /// about to end takes nothing that has not started, and only this node knows of the next one.
    pub(super) fn again(&mut self, reset: Reset) -> Option<Again> {
        let Attempt::First(again) = &self.attempt else { return None };
        if reset.started || !self.up.rewind(again.end) {
            return None;
        }
        match core::mem::replace(&mut self.attempt, Attempt::Second(reset)) {
            Attempt::First(again) => Some(*again),
            Attempt::Second(_) | Attempt::Begun => None,
        }
    }
}

/// How many bytes of a body a word carries.
pub(super) fn weight(word: &Word) -> usize {
    match word {
        Word::Data { bytes, .. } => bytes.len(),
        Word::Request { .. }
        | Word::Response { .. }
        | Word::Trailers(_)
        | Word::Reset(_)
        | Word::Credit(_) => 0,
    }
}
