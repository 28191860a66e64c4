//! A body between two connections: within the credit of the one that takes it, and held for a
//! second try while that is allowed.

use crate::head::Fields;
use crate::outbox::COPY_MAX;
use crate::rpc::Word;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use bytes::BytesMut;

/// A body on its way into a call, or out of one.
///
/// The *sender* is read from; the *taker* is written to and says how much it would take.
#[derive(Debug)]
pub(super) struct Flow {
    /// Pieces that wait for credit.
    queue: VecDeque<BytesMut>,
    /// Bytes that the taker would still take.
    allowed: usize,
    /// Bytes that the taker of this attempt has asked for in all.
    asked: usize,
    /// Bytes that the sender's side was allowed to read in all, over all attempts.
    granted: usize,
    end: End,
    said_end: bool,
    /// What was pushed so far, while it may be wanted again.
    replay: Option<BytesMut>,
    replay_left: usize,
    /// Times that the credit was used up before the body was over.
    stalls: u64,
}

/// How far the sender's side of the body is.
#[derive(Debug)]
enum End {
    Open,
    Plain,
    Trailers(Box<Fields>),
}

impl Flow {
    /// The body of a request: none if `end`. Up to `replay_bytes` are held for a second try.
    pub(super) fn new(end: bool, replay_bytes: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            allowed: 0,
            asked: 0,
            granted: 0,
            end: if end { End::Plain } else { End::Open },
            said_end: end,
            replay: Some(BytesMut::new()),
            replay_left: replay_bytes,
            stalls: 0,
        }
    }

    /// The taker would take `more` bytes. Returns how many more the sender's side may read.
    pub(super) fn credit(&mut self, more: usize) -> usize {
        self.allowed = self.allowed.saturating_add(more);
        self.asked = self.asked.saturating_add(more);
        let extra = self.asked.saturating_sub(self.granted);
        self.granted = self.granted.saturating_add(extra);
        extra
    }

    /// The sender's side read a piece.
    pub(super) fn push(&mut self, bytes: BytesMut, end: bool) {
        if end {
            self.end = End::Plain;
        }
        if bytes.is_empty() {
            return;
        }
        match self.replay_left.checked_sub(bytes.len()) {
            Some(left) if self.replay.is_some() => {
                self.replay_left = left;
                self.replay.iter_mut().for_each(|held| held.extend_from_slice(&bytes));
            }
            Some(_) | None => self.settle(),
        }
        match self.queue.back_mut() {
            // Many small pieces would weigh more than what they hold.
            Some(last) if last.len() + bytes.len() <= JOINED_MAX => {
                last.extend_from_slice(&bytes);
            }
            Some(_) | None => self.queue.push_back(bytes),
        }
    }

    /// The sender's side read the trailer section.
    pub(super) fn trailers(&mut self, fields: Fields) {
        self.end = End::Trailers(Box::new(fields));
    }

    /// There will be no second try: forgets what is held for one.
    pub(super) fn settle(&mut self) {
        self.replay = None;
    }

    /// Whether all of the body so far is still held.
    pub(super) fn is_whole(&self) -> bool {
        self.replay.is_some()
    }

    /// Whether the sender has said all of it.
    pub(super) fn has_ended(&self) -> bool {
        !matches!(self.end, End::Open)
    }

    /// Whether the taker would take more than there is.
    pub(super) fn is_ahead(&self) -> bool {
        self.allowed > 0 && self.queue.is_empty()
    }

    /// Times that the credit was used up before the body was over.
    pub(super) fn stalls(&self) -> u64 {
        self.stalls
    }

    /// Whether the taker was told all of it.
    pub(super) fn is_over(&self) -> bool {
        self.said_end
    }

    /// Starts over, for a second try. Returns whether the new request has no body.
    pub(super) fn restart(&mut self) -> bool {
        let held = self.replay.take().unwrap_or_default();
        self.queue.clear();
        if !held.is_empty() {
            self.queue.push_back(held);
        }
        self.allowed = 0;
        self.asked = 0;
        self.said_end = self.queue.is_empty() && matches!(self.end, End::Plain);
        self.said_end
    }

    /// Starts over for another taker, if the last one has asked for nothing. The head of the
    /// request said whether it is its `end`. Returns whether that is so.
    pub(super) fn rewind(&mut self, end: bool) -> bool {
        let untouched = self.asked == 0;
        if untouched {
            self.said_end = end;
        }
        untouched
    }

    /// The next word that the taker may be told.
    pub(super) fn next(&mut self) -> Option<Word> {
        if let Some(piece) = self.queue.front_mut() {
            let fits = piece.len().min(self.allowed);
            if fits == 0 {
                return None;
            }
            let bytes = piece.split_to(fits);
            self.allowed -= fits;
            if piece.is_empty() {
                self.queue.pop_front();
            }
            let end = self.queue.is_empty() && matches!(self.end, End::Plain);
            self.said_end = end;
            self.stalls += u64::from(self.allowed == 0 && !end);
            return Some(Word::Data { bytes, end });
        }
        if self.said_end {
            return None;
        }
        let word = match &mut self.end {
            End::Open => return None,
            End::Plain => Word::Data { bytes: BytesMut::new(), end: true },
            End::Trailers(fields) => Word::Trailers((**fields).clone()),
        };
        self.said_end = true;
        Some(word)
    }
}

/// Waiting pieces are joined up to this size.
const JOINED_MAX: usize = 4 * COPY_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiny_pieces_are_held_as_what_they_say_and_not_as_pieces() {
        let mut flow = Flow::new(false, 1 << 16);
        for _ in 0..1 << 16 {
            flow.push(BytesMut::from(&b"x"[..]), false);
        }
        let held = |queue: &VecDeque<BytesMut>| queue.iter().map(BytesMut::capacity).sum::<usize>();
        assert!(flow.queue.len() <= 17 && held(&flow.queue) <= 1 << 18);
        assert!(flow.replay.as_ref().is_some_and(|held| held.capacity() <= 1 << 17));
        flow.push(BytesMut::new(), true);
        assert!(!flow.restart());
        flow.credit(1 << 20);
        let Some(Word::Data { bytes, end: true }) = flow.next() else { panic!("all at once") };
        assert_eq!(bytes.len(), 1 << 16);
        assert!(flow.next().is_none() && flow.is_over());
    }

    #[test]
    fn a_second_try_says_what_the_first_had_said_and_the_rest() {
        let mut flow = Flow::new(false, 100);
        flow.credit(2);
        flow.push(BytesMut::from(&b"hello"[..]), false);
        let Some(Word::Data { bytes, end: false }) = flow.next() else { panic!("some") };
        assert_eq!(bytes, b"he"[..]);
        assert!(flow.is_whole() && !flow.restart() && !flow.is_whole());
        flow.push(BytesMut::from(&b"!"[..]), true);
        flow.credit(100);
        let Some(Word::Data { bytes, end: true }) = flow.next() else { panic!("all") };
        assert_eq!(bytes, b"hello!"[..]);
    }
}
