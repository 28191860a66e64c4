//! The calls that go out by one tunnel.

use super::letter::CallId;
use crate::id::StreamId;
use crate::reason::Reason;
use crate::rpc::{self, Reset, Word};
use alloc::collections::BTreeMap;

/// The calls that go out by one tunnel, until each has ended.
#[derive(Default, Debug)]
pub(super) struct Calls(BTreeMap<CallId, Open>);

/// A call under way.
#[derive(Clone, Copy, Debug)]
struct Open {
    stream: StreamId,
    /// Whether the caller has said all.
    asked: bool,
    /// Whether the callee has.
    said: bool,
}

impl Calls {
    /// What to tell the tunnel, whose next call would be `next`, when a caller says a word.
    /// Nothing, if the call is over.
    pub(super) fn ask(
        &mut self,
        call: CallId,
        word: Word,
        next: StreamId,
    ) -> Option<rpc::Input<CallId>> {
        match word {
            Word::Request { head, end } => {
                self.0.insert(call, Open { stream: next, asked: end, said: false });
                Some(rpc::Input::Open { stream: next, tag: call, head, end })
            }
            Word::Response { .. }
            | Word::Data { .. }
            | Word::Trailers(_)
            | Word::Reset(_)
            | Word::Credit(_) => {
                let stream = self.0.get(&call)?.stream;
                if ends(&word) {
                    self.ended(call, |open| open.asked = true, matches!(word, Word::Reset(_)));
                }
                Some(rpc::Input::Say { stream, word })
            }
        }
    }

    /// A callee has said this.
    pub(super) fn said(&mut self, call: CallId, word: &Word) {
        if ends(word) {
            self.ended(call, |open| open.said = true, matches!(word, Word::Reset(_)));
        }
    }

    /// One direction of a call has ended, or all of it: forgets it when nothing is left.
    fn ended(&mut self, call: CallId, mark: impl Fn(&mut Open), all: bool) {
        let Some(open) = self.0.get_mut(&call) else { return };
        mark(open);
        if all || (open.asked && open.said) {
            self.0.remove(&call);
        }
    }

    /// All are over.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// What to tell a tunnel whose peer calls although it is there to be called.
pub(super) const fn decline(stream: StreamId) -> rpc::Input<CallId> {
    let reset = Reset { reason: Reason::NotImplemented, started: false };
    rpc::Input::Say { stream, word: Word::Reset(reset) }
}

/// Whether a word is the last of its direction.
fn ends(word: &Word) -> bool {
    match word {
        Word::Request { end, .. } | Word::Response { end, .. } | Word::Data { end, .. } => *end,
        Word::Trailers(_) | Word::Reset(_) => true,
        Word::Credit(_) => false,
    }
}
