//! What a side may be told, and what it must have been told at rest.

use super::{Call, Item, Model};
use pico_core::head::ResponseHead;
use pico_core::rpc::{Action, Reset, Word};
use pico_core::{Instant, Reason};

impl Model {
    /// The machine of `side` tells its user something, `now`.
    pub fn told(&mut self, side: usize, now: Instant, action: Action<u64>) {
        assert!(!self.sides[side].closed, "side {side} is told {action:?} behind the end");
        match action {
            Action::Ready(_) => {
                assert!(!self.sides[side].ready, "side {side} is ready twice");
                self.sides[side].ready = true;
            }
            Action::Opened { stream, head, end } => {
                assert!(!self.sides[side].drained, "a call behind the end of a drain");
                assert!(stream.0 > self.sides[side].highest, "calls come out of turn");
                self.sides[side].highest = stream.0;
                let items = [Item::Request(head)];
                self.words(side, stream.0, items.into_iter().chain(end.then_some(Item::End)));
            }
            Action::Said { stream, tag, word } => {
                let call = self.calls.get(&stream.0).expect("a word of no call");
                assert_eq!(tag, call.tags[side], "call {} has another name", stream.0);
                self.said(side, now, stream.0, word);
            }
            Action::RoundTrip(_) => self.sides[side].round_trips += 1,
            Action::PeerDrains => {
                assert!(self.sides[1 - side].drains, "nobody drains");
                assert!(!self.sides[side].peer_drains, "the other drains twice");
                self.sides[side].peer_drains = true;
            }
            Action::Drained => {
                assert!(self.sides[side].drains && !self.sides[side].drained, "drained, untimely");
                assert!(self.sides[1 - side].peer_drains, "drained before the other knows");
                self.sides[side].drained = true;
                let theirs = |call: &Call| call.caller != side && !call.over[side] && !call.unseen;
                let left: Vec<_> = self.calls.iter().filter(|(_, call)| theirs(call)).collect();
                assert!(left.is_empty(), "drained, but there is {left:?}");
            }
            Action::Closed(reason) => {
                self.ends(side, now, reason);
                let left = self.open_calls(side);
                assert!(left.is_empty(), "closed, and calls {left:?} were not told");
                self.sides[side].closed = true;
            }
        }
    }

    fn said(&mut self, side: usize, now: Instant, id: u64, word: Word) {
        let end = |end: bool| end.then_some(Item::End);
        match word {
            Word::Request { .. } => panic!("a request in the middle of call {id}"),
            Word::Response { head, end: last } => {
                self.words(side, id, [response(head)].into_iter().chain(end(last)));
            }
            Word::Data { bytes, end: last } => {
                assert!(last || !bytes.is_empty(), "a piece of nothing");
                let line = &mut self.call(id).lines[1 - side];
                line.came += bytes.len();
                let bytes = bytes.into_iter().map(Item::Byte);
                self.words(side, id, bytes.chain(end(last)));
            }
            Word::Trailers(fields) => {
                self.words(side, id, [Item::Trailers(fields), Item::End].into_iter());
            }
            Word::Credit(count) => self.credit(side, id, count),
            Word::Reset(reset) => self.was_reset(side, now, id, reset),
        }
    }

    /// `side` is told words of the other.
    fn words(&mut self, side: usize, id: u64, items: impl Iterator<Item = Item>) {
        let call = self.call(id);
        assert!(!call.over[side], "call {id} goes on behind its end");
        assert!(!call.unseen, "call {id} was said not to have been seen");
        for item in items {
            let line = &call.lines[1 - side];
            let due = line.said.get(line.heard);
            assert_eq!(due, Some(&item), "side {side}, call {id}, after {} words", line.heard);
            call.lines[1 - side].heard += 1;
        }
        call.look(side);
    }

    /// `side` may say more of a call.
    fn credit(&mut self, side: usize, id: u64, count: usize) {
        let limits = std::sync::Arc::clone(&self.sides[1 - side].limits);
        let call = self.call(id);
        assert!(!call.over[side], "call {id} goes on behind its end");
        let line = &mut call.lines[side];
        assert_ne!(line.said.last(), Some(&Item::End), "credit for an ended direction");
        assert!(count > 0, "credit of nothing");
        if line.allowed == 0 {
            assert_eq!(count, limits.window_bytes, "the first credit is the other's window");
        }
        line.allowed += count;
        let open = line.allowed - line.taken;
        assert!(open <= limits.window_bytes_max, "{open} bytes are open on call {id}");
        let open_calls = self.calls.values().filter(|call| !call.over[side]);
        let all: usize = open_calls.map(|c| c.lines[side].allowed - c.lines[side].taken).sum();
        assert!(all <= limits.tunnel_bytes, "{all} bytes are open towards side {}", 1 - side);
    }

    fn was_reset(&mut self, side: usize, now: Instant, id: u64, reset: Reset) {
        let call = self.call(id);
        assert!(!call.over[side], "call {id} is reset behind its end");
        if let Some(due) = call.due[side].take() {
            assert_eq!(reset, due, "call {id} is refused otherwise");
            call.over[side] = true;
            return;
        }
        let said = call.resets[1 - side];
        if self.sides[side].ending.is_none() && said == Some(reset) {
            let call = self.call(id);
            assert!(call.was_told(), "call {id} is reset and was not opened");
            if call.is_sated(1 - side) {
                assert!(call.lines[1 - side].heard_end(), "an answer is cut by its own end");
            }
            call.over[side] = true;
            return;
        }
        self.ends(side, now, reset.reason);
        let call = self.call(id);
        call.over[side] = true;
        if !reset.started {
            assert!(call.caller == side && !call.was_told(), "call {id} was seen, was it not?");
            call.unseen = true;
        }
    }

    /// `side` shows that the tunnel is over, for a reason.
    fn ends(&mut self, side: usize, now: Instant, reason: Reason) {
        // The other may have been the first, and have said so in its close frame.
        let either = [0, 1].into_iter().any(|side| self.is_late(side, now));
        let late = reason == Reason::HeartbeatTimeout && either;
        let state = &mut self.sides[side];
        if let Some(why) = state.ending {
            // A tunnel may have lost patience before, and be closing its WebSocket.
            assert!(reason == why || late, "side {side} ends otherwise than it began to");
            return;
        }
        assert!(late, "side {side} closes, for {reason}, and nothing is wrong");
        state.ending = Some(reason);
    }

    /// Time has passed, and both machines know: they have lost patience if they must.
    pub fn check_time(&self, now: Instant) {
        for (at, side) in self.sides.iter().enumerate() {
            let late = now >= side.patience().1;
            assert!(side.ending.is_some() || !late, "side {at} is too patient");
        }
    }

    /// Nothing is on its way any more, and both sides were told everything.
    pub fn check_rest(&self) {
        assert!(self.sides.iter().all(|side| side.ending.is_none()), "this is no rest");
        for at in [0, 1] {
            let [side, other] = [at, 1 - at].map(|at| &self.sides[at]);
            assert!(side.ready, "side {at} never became ready");
            assert!(side.round_trips > 0, "side {at} knows no round trip");
            assert_eq!(side.peer_drains, other.drains, "side {at} does not know of a drain");
            let theirs = |call: &Call| call.caller != at && !call.over[at] && !call.unseen;
            let drained = side.drains && !self.calls.values().any(theirs);
            assert_eq!(side.drained, drained, "side {at} does not know how its drain is");
        }
        for (id, call) in &self.calls {
            assert_eq!(call.due, [None; 2], "call {id}: a refusal was not told");
            if call.unseen {
                continue;
            }
            if call.resets == [None; 2] {
                for (side, line) in call.lines.iter().enumerate() {
                    let (heard, said) = (line.heard, line.said.len());
                    assert_eq!(heard, said, "call {id}: words of side {side} were lost");
                }
                assert_eq!(call.over[0], call.over[1], "call {id} is over on one side only");
                self.check_credit(*id, call);
            } else {
                assert_eq!(call.over, [true; 2], "call {id} was reset and goes on");
            }
        }
    }

    /// A sender never waits for ever, if its receiver takes what came.
    fn check_credit(&self, id: u64, call: &Call) {
        for side in [0, 1] {
            let window = self.sides[1 - side].limits.window_bytes;
            let line = &call.lines[side];
            if call.over[side] || line.said.is_empty() || line.said.last() == Some(&Item::End) {
                continue;
            }
            let open = line.allowed - line.taken;
            assert!(open > window / 2, "call {id}: {open} of {window} are open to side {side}");
        }
    }

    fn call(&mut self, id: u64) -> &mut Call {
        self.calls.get_mut(&id).expect("a word of no call")
    }
}

impl Call {
    /// Whether `side` has said all and wants no more: which is a good end of the call.
    fn is_sated(&self, side: usize) -> bool {
        let sated = Reset { reason: Reason::Closed, started: true };
        self.resets[side] == Some(sated) && self.lines[side].said.last() == Some(&Item::End)
    }
}

fn response(head: ResponseHead) -> Item {
    let interim = head.status.is_informational() && head.status.as_u16() != 101;
    if interim { Item::Interim(head) } else { Item::Final(head) }
}
