//! The RPC machine under arbitrary words, arbitrary cuts and arbitrary bytes.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect fails it"
)]

mod rpc;

use bytes::{Bytes, BytesMut};
use pico_core::id::StreamId;
use pico_core::rpc::{Action, Input, Role, Word};
use pico_core::{Limits, Machine as _, Reason};
use proptest::collection::vec;
use proptest::prelude::*;
use rpc::{
    Pair, T0, Tunnel, actions, data, deliver, fields, get, messages, millis, new, ok, reset, small,
};
use std::collections::{BTreeMap, VecDeque};

const D: Role = Role::Dialer;
const A: Role = Role::Acceptor;
const ROLES: [Role; 2] = [D, A];

/// What one end of a call has said or heard, pieces of a body joined.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Item {
    Head(String),
    Body(Vec<u8>),
    Trailers(String),
    End,
    Reset(Reason),
}

fn note(list: &mut Vec<Item>, word: &Word) {
    match word {
        Word::Request { head, end } => {
            list.push(Item::Head(format!("{head:?}")));
            list.extend(end.then_some(Item::End));
        }
        Word::Response { head, end } => {
            list.push(Item::Head(format!("{head:?}")));
            list.extend(end.then_some(Item::End));
        }
        Word::Data { bytes, end } => {
            match list.last_mut() {
                _ if bytes.is_empty() => {}
                Some(Item::Body(body)) => body.extend_from_slice(bytes),
                Some(_) | None => list.push(Item::Body(bytes.to_vec())),
            }
            list.extend(end.then_some(Item::End));
        }
        Word::Trailers(fields) => {
            list.extend([Item::Trailers(format!("{fields:?}")), Item::End]);
        }
        Word::Reset(reset) => list.push(Item::Reset(reset.reason)),
        Word::Credit(_) => {}
    }
}

/// Whether what was heard may be the beginning of what was said.
fn begins(said: &[Item], heard: &[Item]) -> bool {
    let Some((last, before)) = heard.split_last() else { return true };
    let same = said.get(..before.len()) == Some(before);
    same && match (last, said.get(before.len())) {
        (Item::Body(heard), Some(Item::Body(said))) => said.starts_with(heard),
        (heard, Some(said)) => heard == said,
        (_, None) => false,
    }
}

/// Whether a list of what was said or heard is complete.
fn over(list: &[Item]) -> bool {
    list.iter().any(|item| matches!(item, Item::End | Item::Reset(_)))
}

/// One end of one call, as its parent knows it.
#[derive(Default)]
struct End {
    said: Vec<Item>,
    heard: Vec<Item>,
    /// Whether the final head, if one is due, was said.
    headed: bool,
    credit: usize,
    granted: usize,
    unread: usize,
    taken: usize,
}

impl End {
    fn was_cut(&self) -> bool {
        let cut = |item: &Item| matches!(item, Item::Reset(_));
        self.said.iter().chain(&self.heard).any(cut)
    }

    fn may_speak(&self) -> bool {
        !over(&self.said) && !self.was_cut()
    }
}

/// Two machines and the reference: what each parent said and heard.
struct World {
    ends: [Tunnel; 2],
    wires: [VecDeque<Bytes>; 2],
    calls: BTreeMap<StreamId, [End; 2]>,
    limits: Limits,
}

impl World {
    fn new() -> Self {
        let limits = small();
        let mut pair = Pair::new(&limits);
        pair.dialer.handle(T0, Input::Room(300));
        pair.acceptor.handle(T0, Input::Room(300));
        let ends = [pair.dialer, pair.acceptor];
        Self { ends, wires: Default::default(), calls: BTreeMap::new(), limits }
    }

    fn step(&mut self, (kind, at, a, b): (u8, bool, u16, u16)) {
        let at = usize::from(at);
        let (size, which) = (usize::from(a), usize::from(b));
        match kind {
            0 | 1 if self.ends[at].may_open() => {
                let stream = self.ends[at].next_stream();
                let head = get(&[("Host", &a.to_string())]);
                let end = b % 4 == 0;
                let mut ends = <[End; 2]>::default();
                note(&mut ends[at].said, &Word::Request { head: head.clone(), end });
                (ends[at].headed, ends[1 - at].headed) = (true, false);
                self.calls.insert(stream, ends);
                self.ends[at].handle(T0, Input::Open { stream, tag: stream.0, head, end });
            }
            2..=7 => self.speak(at, which, size),
            8 | 9 => self.take(at, which, size),
            10 => self.ends[at].handle(T0, Input::Room(size % 2000)),
            11 | 12 => self.carry(at, size % 40 + 1),
            _ => {}
        }
        self.listen();
    }

    /// The next word of some call, any that may come next.
    fn speak(&mut self, at: usize, which: usize, size: usize) {
        let open = |(_, ends): &(&StreamId, &mut [End; 2])| {
            ends[at].may_speak() && (ends[at].headed || !ends[at].heard.is_empty())
        };
        let mut calls: Vec<_> = self.calls.iter_mut().filter(open).collect();
        let count = calls.len();
        let Some((id, ends)) = calls.get_mut(which % count.max(1)) else { return };
        let end = &mut ends[at];
        let kind = size % 16;
        let word = match (end.headed, kind) {
            (_, 15) => reset(Reason::Canceled, true),
            (false, 0..4) => {
                let mut head = ok(&[]);
                head.status = http::StatusCode::EARLY_HINTS;
                Word::Response { head, end: false }
            }
            (false, _) => Word::Response { head: ok(&[("X-n", "1")]), end: kind == 4 },
            (true, 14) => Word::Trailers(fields(&[("a", "b")])),
            (true, _) => {
                let count = size.min(end.credit);
                let fin = kind == 13;
                if count == 0 && !fin {
                    return;
                }
                let fill = u8::try_from(end.said.len() + which % 100).unwrap_or(0);
                data(&vec![fill; count], fin)
            }
        };
        if let Word::Response { head, .. } = &word {
            end.headed = !head.status.is_informational();
        }
        if let Word::Data { bytes, .. } = &word {
            end.credit -= bytes.len();
        }
        note(&mut end.said, &word);
        let stream = **id;
        self.ends[at].handle(T0, Input::Say { stream, word });
    }

    /// The consumer of some call takes some of what it has.
    fn take(&mut self, at: usize, which: usize, size: usize) {
        let mut calls: Vec<_> = self.calls.iter_mut().filter(|(_, e)| e[at].unread > 0).collect();
        let count = calls.len();
        let Some((id, ends)) = calls.get_mut(which % count.max(1)) else { return };
        let count = ends[at].unread.min(size + 1);
        ends[at].unread -= count;
        ends[at].taken += count;
        let (stream, word) = (**id, Word::Credit(count));
        self.ends[at].handle(T0, Input::Say { stream, word });
    }

    /// Carries one message from one end to the other, in pieces.
    fn carry(&mut self, from: usize, cut: usize) {
        self.wires[from].extend(messages(&mut self.ends[from]));
        let Some(message) = self.wires[from].pop_front() else { return };
        for piece in message.chunks(cut) {
            self.ends[1 - from].handle(T0, Input::Received(BytesMut::from(piece)));
        }
        self.ends[1 - from].handle(T0, Input::MessageEnd);
    }

    fn listen(&mut self) {
        for at in [0, 1] {
            for action in actions(&mut self.ends[at]) {
                let (stream, word) = match action {
                    Action::Opened { stream, head, end } => {
                        let tag = stream.0;
                        self.ends[at].handle(T0, Input::Tag { stream, tag });
                        (stream, Word::Request { head, end })
                    }
                    Action::Said { stream, tag, word } => {
                        assert!(tag.is_none_or(|tag| tag == stream.0));
                        (stream, word)
                    }
                    Action::RoundTrip(_) => continue,
                    other => panic!("{other:?}"),
                };
                let end = &mut self.calls.get_mut(&stream).expect("a call that was opened")[at];
                assert!(!end.was_cut(), "{word:?} behind a reset");
                note(&mut end.heard, &word);
                match word {
                    Word::Data { bytes, .. } => end.unread += bytes.len(),
                    Word::Credit(count) => {
                        end.credit += count;
                        end.granted += count;
                    }
                    _ => {}
                }
            }
            self.check(at);
        }
    }

    fn check(&self, at: usize) {
        let mut granted = 0;
        for ends in self.calls.values() {
            let (speaker, hearer) = (&ends[1 - at], &ends[at]);
            let cut = hearer.was_cut() || speaker.was_cut();
            assert!(cut || begins(&speaker.said, &hearer.heard), "{speaker:?} {hearer:?}");
            if !cut && !over(&hearer.heard) {
                granted += speaker.granted - hearer.taken;
            }
        }
        assert!(granted <= self.limits.tunnel_bytes, "{granted} bytes are granted");
    }

    /// Lets everything that was said arrive.
    fn finish(&mut self) {
        for _ in 0..1000 {
            let before: usize = self.wires.iter().map(VecDeque::len).sum();
            let mut moved = before > 0;
            for at in [0, 1] {
                self.ends[at].handle(T0, Input::Room(usize::MAX));
                moved |= self.ends[at].has_message();
                self.carry(at, 1000);
                self.listen();
                for which in 0..self.calls.len() {
                    self.take(at, which, 100_000);
                }
            }
            if !moved {
                break;
            }
        }
        for (id, ends) in &self.calls {
            for at in [0, 1] {
                let (said, heard) = (&ends[1 - at].said, &ends[at].heard);
                if !ends[at].was_cut() && !ends[1 - at].was_cut() {
                    assert_eq!(said, heard, "{id:?}");
                } else {
                    assert!(ends[at].was_cut() || over(heard), "{id:?}: {heard:?}");
                }
            }
        }
    }
}

impl std::fmt::Debug for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "said {:?} heard {:?}", self.said, self.heard)
    }
}

/// Actions with neighbouring pieces of one body joined.
fn joined(list: Vec<Action<u64>>) -> Vec<Action<u64>> {
    let mut all: Vec<Action<u64>> = Vec::new();
    for action in list {
        if let Some(Action::Said { stream: s, word: Word::Data { bytes: b, end: e }, .. }) =
            all.last_mut()
            && let Action::Said { stream, word: Word::Data { bytes, end }, .. } = &action
            && s == stream
            && !*e
        {
            b.extend_from_slice(bytes);
            *e = *end;
        } else {
            all.push(action);
        }
    }
    all
}

/// Frames as they might come, most of them well-formed.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        4 => Just(b"\x01\x01/".to_vec()),
        4 => Just(b"\x40\xc8\x00".to_vec()),
        4 => vec(any::<u8>(), 0..40),
        2 => Just(vec![0, 2]),
        2 => Just(vec![9]),
        1 => Just(vec![]),
        1 => Just(vec![1; 8]),
    ];
    let frame = (0_u8..14, 0_u8..3, 0_u8..6, payload).prop_map(|(kind, flags, stream, payload)| {
        let kind = if kind >= 12 { kind | 0x80 } else { kind };
        let stream = if (8..12).contains(&kind) { 0 } else { stream };
        let length = u8::try_from(payload.len()).unwrap();
        [vec![kind, flags / 2, stream, length], payload].concat()
    });
    vec(frame, 0..40).prop_map(|frames| frames.concat())
}

/// A machine with its hello done, one call of its own and, by the peer's first frame, another.
fn prepared() -> Tunnel {
    let mut pair = Pair::new(&Limits::default());
    pair.open(A, 2, get(&[]), false);
    pair.acceptor
}

fn fed(mut machine: Tunnel, bytes: &[u8], cuts: &[usize]) -> (Vec<Action<u64>>, Vec<u8>) {
    let (mut rest, mut cuts) = (bytes, cuts.iter().cycle());
    while !rest.is_empty() {
        let size = cuts.next().map_or(rest.len(), |cut| (*cut).min(rest.len()));
        let (piece, more) = rest.split_at(size);
        machine.handle(T0, Input::Received(BytesMut::from(piece)));
        rest = more;
    }
    machine.handle(T0, Input::MessageEnd);
    (joined(actions(&mut machine)), messages(&mut machine).concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_said_is_heard(
        steps in vec((0_u8..13, any::<bool>(), any::<u16>(), any::<u16>()), 0..300)
    ) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.finish();
    }

    #[test]
    fn cutting_the_bytes_changes_nothing(bytes in frames(), cuts in vec(1_usize..30, 1..20)) {
        prop_assert_eq!(fed(prepared(), &bytes, &[usize::MAX]), fed(prepared(), &bytes, &cuts));
    }

    #[test]
    fn no_bytes_break_the_machine(bytes in vec(any::<u8>(), 0..200), at in 0_usize..3) {
        let machine = match at {
            0 => new(D, &small()),
            1 => new(A, &Limits::default()),
            _ => prepared(),
        };
        let (told, _) = fed(machine, &bytes, &[7]);
        let ends = told.iter().filter(|a| matches!(a, Action::Closed(_))).count();
        prop_assert!(ends == 0 || matches!(told.last(), Some(Action::Closed(_))) && ends == 1);
    }

    #[test]
    fn one_changed_byte_never_breaks_the_machine(
        mut bytes in frames(), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        prop_assert_eq!(fed(prepared(), &bytes, &[usize::MAX]), fed(prepared(), &bytes, &[1]));
    }

    #[test]
    fn heads_keep_names_case_order_and_bytes(
        target in "[!-~]{1,30}",
        list in vec(("[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}|host|Host|HOST|ETag|Etag",
            "[!-~\u{80}-\u{ff}]([ -~\t]{0,200}[!-~])?|"), 0..100),
    ) {
        let list: Vec<_> = list.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let method = http::Method::GET;
        let head = pico_core::head::RequestHead::new(method, target.as_bytes(), fields(&list));
        let mut pair = Pair::new(&Limits::default());
        pair.open(D, 1, head.clone(), true);
        pair.exchange();
        prop_assert_eq!(pair.heard(A), [Word::Request { head, end: true }]);
    }

    #[test]
    fn more_ticks_change_nothing(ticks in vec(0_u64..30_000, 0..20)) {
        let (mut one, mut two) = (prepared(), prepared());
        let mut now = 0;
        for at in ticks {
            let before = now;
            now = now.max(at);
            one.tick(millis(now));
            for early in [before, before / 2, now, at, now] {
                two.tick(millis(early));
            }
            prop_assert_eq!(one.deadline(), two.deadline());
            prop_assert!(one.deadline().is_none_or(|deadline| deadline > millis(now)));
            prop_assert_eq!(actions(&mut one), actions(&mut two));
            prop_assert_eq!(messages(&mut one), messages(&mut two));
        }
    }
}

#[test]
fn one_stalled_stream_stops_no_other() {
    let mut pair = Pair::new(&small());
    let stalled = pair.open(D, 1, get(&[]), false);
    let moving = pair.open(D, 2, get(&[]), false);
    pair.say(D, stalled, data(&[1; 128], false));
    for _ in 0..1000 {
        pair.say(D, moving, data(&[2; 64], false));
        pair.exchange();
        pair.say(A, moving, Word::Credit(64));
        pair.exchange();
    }
    assert!(!pair.heard(A).iter().any(|word| matches!(word, Word::Reset(_))));
    assert_eq!(pair.acceptor.calls(), 2);
}

/// Drains, calls and deliveries in every order: each call is answered, and each side that
/// drained hears so, once, when the other's calls are over.
#[test]
fn a_drain_loses_no_call_whatever_crosses_it() {
    const STEPS: u32 = 5;
    for plan in 0..8_u32.pow(STEPS) {
        let order: Vec<u32> = (0..STEPS).map(|at| plan / 8_u32.pow(at) % 8).collect();
        // Sides are alike: half of the plans mirror the others.
        if order[0].is_multiple_of(2) {
            drain_in(&order);
        }
    }
}

fn drain_in(order: &[u32]) {
    let mut pair = Pair::new(&small());
    let mut wires: [VecDeque<Bytes>; 2] = Default::default();
    let mut opened = [0; 2];
    let mut served: [Vec<StreamId>; 2] = Default::default();
    let mut drains = [false; 2];
    let mut drained = [0; 2];
    let mut answers = [0; 2];
    let rest = [2, 3, 4, 5, 6, 7, 2, 3, 4, 5, 6, 7, 2, 3, 4, 5, 6, 7, 2, 3, 4, 5, 6, 7];
    for (at, step) in order.iter().chain(&rest).enumerate() {
        let side = usize::try_from(step % 2).unwrap();
        let role = ROLES[side];
        match step / 2 {
            0 => {
                drains[side] = true;
                pair.at(role).handle(T0, Input::Drain);
            }
            1 if at < order.len() && pair.at(role).may_open() => {
                opened[side] += 1;
                pair.open(role, 1, get(&[]), true);
            }
            2 => {
                wires[side].extend(messages(pair.at(role)));
                if let Some(message) = wires[side].pop_front() {
                    deliver(pair.at(ROLES[1 - side]), T0, &message);
                }
            }
            3 => {
                for stream in std::mem::take(&mut served[side]) {
                    pair.say(role, stream, Word::Response { head: ok(&[]), end: true });
                }
            }
            _ => {}
        }
        for side in [0, 1] {
            for action in actions(pair.at(ROLES[side])) {
                match action {
                    Action::Opened { stream, .. } => served[side].push(stream),
                    Action::Said { word: Word::Response { .. }, .. } => answers[side] += 1,
                    Action::Said { word: Word::Credit(_), .. } | Action::PeerDrains => {}
                    Action::Drained => drained[side] += 1,
                    other => panic!("{other:?} in {order:?}"),
                }
            }
        }
    }
    assert_eq!(answers, opened, "{order:?}");
    assert_eq!(drained, drains.map(i32::from), "{order:?}");
    assert_eq!((pair.dialer.calls(), pair.acceptor.calls()), (0, 0));
}
