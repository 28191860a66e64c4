//! The directory, held against the slowest of models: a list of all ops, and a state that is
//! what a prefix of the list says.

use pico_core::gossip::directory::{
    Behind, Fetch, FetchError, FetchLimits, Gap, Op, Own, Page, Replica, RingLimits, Step,
    weight_of,
};
use pico_core::routing::EndpointId;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

type State = BTreeMap<EndpointId, u8>;

/// One of a few endpoints, with names of several lengths.
fn endpoint(n: u8) -> EndpointId {
    let name = format!("{}{n}", "service-".repeat(usize::from(n % 4)));
    EndpointId::parse(name.as_bytes()).expect("it is well-formed")
}

fn op(n: u8, weight: u8) -> Op {
    Op { endpoint: endpoint(n), weight }
}

fn any_op() -> impl Strategy<Value = Op> {
    (0..12_u8, 0..3_u8).prop_map(|(n, weight)| op(n, weight))
}

fn any_log(len: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(any_op(), 0..len)
}

fn any_ring() -> impl Strategy<Value = RingLimits> {
    (0..300_usize, 0..20_usize).prop_map(|(bytes, ops)| RingLimits { bytes, ops })
}

fn number(len: usize) -> u64 {
    u64::try_from(len).expect("a length fits")
}

fn length(number: u64) -> usize {
    usize::try_from(number).expect("a length")
}

/// What the first `head` ops of a log say.
fn fold(log: &[Op], head: u64) -> State {
    let mut state = State::new();
    apply(&mut state, &log[..length(head)]);
    state
}

fn apply(state: &mut State, ops: &[Op]) {
    for op in ops {
        state.insert(op.endpoint.clone(), op.weight);
    }
    state.retain(|_, weight| *weight != 0);
}

fn state(replica: &Replica) -> State {
    replica.iter().map(|(endpoint, weight)| (endpoint.clone(), weight)).collect()
}

/// A replica of the whole log.
fn replica(log: &[Op], limits: RingLimits) -> Replica {
    let mut replica = Replica::new(limits);
    replica.apply(1, log.iter().cloned(), &mut Vec::new()).expect("it starts at the start");
    replica
}

/// Asserts that `changed` says of each op what it changed, and leads from one state to another.
fn assert_leads(from: &State, changed: &[Op], to: &State) {
    let mut state = from.clone();
    for op in changed {
        let before = state.get(&op.endpoint).copied().unwrap_or(0);
        assert_ne!(before, op.weight, "{op:?} changes nothing");
        apply(&mut state, std::slice::from_ref(op));
    }
    assert_eq!(&state, to);
}

/// A fetch that asked for nothing yet, and keeps up to so many entries.
fn fetch(entries: usize) -> Fetch {
    Fetch::new(FetchLimits { entries, restarts: 2, ring: RingLimits::default() })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_replica_is_a_prefix_whatever_comes_in_whatever_order(
        log in any_log(40),
        deliveries in prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize), 0..30),
        limits in any_ring(),
    ) {
        let mut replica = Replica::new(limits);
        for (start, count) in deliveries {
            let start = start.index(log.len() + 1);
            let end = log.len().min(start + count);
            let (head, before) = (replica.head(), state(&replica));
            let mut changed = Vec::new();
            let first = number(start) + 1;
            let result = replica.apply(first, log[start..end].iter().cloned(), &mut changed);
            if first > head + 1 {
                prop_assert_eq!(result, Err(Gap { head, first }));
                prop_assert_eq!(replica.head(), head);
            } else {
                prop_assert_eq!(result, Ok(()));
                prop_assert_eq!(replica.head(), head.max(number(end)));
            }
            let now = fold(&log, replica.head());
            prop_assert_eq!(&state(&replica), &now);
            prop_assert_eq!(replica.len(), now.len());
            assert_leads(&before, &changed, &now);
            for n in 0..12 {
                let weight = now.get(&endpoint(n)).copied().unwrap_or(0);
                prop_assert_eq!(replica.get(&endpoint(n)), weight);
            }
        }
        let head = replica.head();
        prop_assert_eq!(replica.into_state(), fold(&log, head));
    }

    #[test]
    fn a_ring_holds_as_many_of_the_last_ops_as_its_limits_allow(
        log in any_log(60),
        limits in any_ring(),
    ) {
        let replica = replica(&log, limits);
        let fits = |from: usize| {
            let ops = &log[from..];
            let bytes: usize = ops.iter().map(Op::wire_bytes).sum();
            ops.len() <= limits.ops && bytes <= limits.bytes
        };
        let floor = (0..=log.len()).find(|from| fits(*from)).expect("none always fit");
        for seq in 0..=log.len() + 2 {
            let after = number(seq);
            match replica.after(after) {
                Ok(ops) => {
                    prop_assert!(seq >= floor);
                    let ops: Vec<_> = ops.map(|(seq, op)| (seq, op.clone())).collect();
                    let numbered = (1..).zip(log.iter().cloned());
                    let expected: Vec<_> = numbered.filter(|(n, _)| *n > after).collect();
                    prop_assert_eq!(ops, expected);
                }
                Err(behind) => {
                    prop_assert!(seq < floor);
                    prop_assert_eq!(behind, Behind { after, floor: number(floor) });
                }
            }
        }
    }

    #[test]
    fn pages_are_full_and_together_they_are_the_state(log in any_log(40), bytes in 0..120_usize) {
        let replica = replica(&log, RingLimits::default());
        let (mut after, mut found): (Option<EndpointId>, _) = (None, Vec::new());
        loop {
            let page = replica.page(after.as_ref(), bytes);
            let cost: usize = page.entries.iter().map(Op::wire_bytes).sum();
            prop_assert!(page.entries.len() <= 1 || cost <= bytes);
            prop_assert_eq!(page.head, replica.head());
            found.extend(page.entries);
            if page.last {
                break;
            }
            after = found.last().map(|op| op.endpoint.clone());
            let next = replica.page(after.as_ref(), 0).entries;
            prop_assert!(cost + next[0].wire_bytes() > bytes, "there was room for one more");
        }
        let found: Vec<_> = found.into_iter().map(|op| (op.endpoint, op.weight)).collect();
        prop_assert_eq!(found, fold(&log, replica.head()).into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn fuzzy_pages_and_the_ops_since_are_what_the_writer_had(
        log in any_log(120),
        known in 0..120_usize,
        start in 0..120_usize,
        peer_limits in any_ring(),
        own_limits in any_ring(),
        // How many ops the writer adds before each answer, and the size of the answer.
        turns in prop::collection::vec((0..8_usize, 0..80_usize, 1..6_usize), 60),
    ) {
        let start = start.min(log.len());
        let known = known.min(start);
        let mut peer = replica(&log[..start], peer_limits);
        let mut old = replica(&log[..known], own_limits);
        let before = state(&old);
        let mut fetch = fetch(12);
        let mut restarts = 0;
        for (added, bytes, count) in turns {
            let head = length(peer.head());
            let more = log[head..log.len().min(head + added)].iter().cloned();
            peer.apply(number(head) + 1, more, &mut Vec::new()).expect("it is next");
            match fetch.next().expect("nothing failed yet") {
                Step::Page { after } => {
                    let page = peer.page(after, bytes);
                    prop_assert_eq!(fetch.page(page), Ok(()));
                }
                Step::Ops { after } => {
                    let ops: Option<Vec<_>> = peer.after(after).ok().map(Iterator::collect);
                    if let Some(ops) = ops {
                        let some = ops.into_iter().take(count).map(|(_, op)| op.clone());
                        let some: Vec<_> = some.collect();
                        prop_assert_eq!(fetch.ops(after + 1, some), Ok(()));
                    } else {
                        restarts += 1;
                        let failed = Err(FetchError::Forgotten);
                        prop_assert_eq!(fetch.behind(), if restarts > 2 { failed } else { Ok(()) });
                        if restarts > 2 {
                            break;
                        }
                    }
                }
                Step::Done => break,
            }
        }
        let next = fetch.next();
        let done = next == Ok(Step::Done);
        prop_assert!(done || matches!(next, Err(FetchError::Forgotten)), "{next:?}");
        let mut changed = Vec::new();
        prop_assert_eq!(fetch.finish(&mut old, &mut changed).is_ok(), done);
        let now = fold(&log, old.head());
        prop_assert_eq!(&state(&old), &now);
        assert_leads(&before, &changed, &now);
        prop_assert!(old.head() >= number(known));
        if done {
            prop_assert!(old.head() >= number(start) && old.head() <= peer.head());
        }
        // It is as good as one that saw every op: it goes on, and hands on what it has.
        let head = old.head();
        let floor = (0..=head).find(|seq| old.after(*seq).is_ok()).expect("none are held");
        let held = old.after(floor).expect("it was found").map(|(_, op)| op.clone());
        let held: Vec<_> = held.collect();
        prop_assert_eq!(&held[..], &log[length(floor)..length(head)]);
        prop_assert!(held.len() <= own_limits.ops);
        prop_assert!(held.iter().map(Op::wire_bytes).sum::<usize>() <= own_limits.bytes);
        let rest = log[length(head)..].iter().cloned();
        prop_assert_eq!(old.apply(head + 1, rest, &mut changed), Ok(()));
        prop_assert_eq!(state(&old), fold(&log, number(log.len())));
    }

    #[test]
    fn a_fetch_bears_any_answer_and_a_failed_one_changes_nothing(
        answers in prop::collection::vec(any_answer(), 0..12),
        log in any_log(20),
    ) {
        let mut old = replica(&log, RingLimits::default());
        let (before, head) = (state(&old), old.head());
        let mut fetch = fetch(6);
        let mut failed = None;
        for answer in answers {
            let result = match answer {
                Answer::Page(page) => fetch.page(page),
                Answer::Ops(first, ops) => fetch.ops(first, ops),
                Answer::Behind => fetch.behind(),
            };
            prop_assert!(fetch.len() <= 6);
            prop_assert!(failed.is_none() || result == Err(failed.expect("it is some")));
            failed = failed.or(result.err());
            prop_assert_eq!(fetch.next().err(), failed);
        }
        let mut changed = Vec::new();
        let done = fetch.next() == Ok(Step::Done);
        if fetch.finish(&mut old, &mut changed).is_ok() {
            prop_assert!(done && old.head() >= head);
            assert_leads(&before, &changed, &state(&old));
        } else {
            prop_assert_eq!((state(&old), old.head()), (before, head));
            prop_assert!(changed.is_empty());
        }
    }

    #[test]
    fn a_commit_writes_what_differs_and_nothing_else(
        commits in prop::collection::vec(
            prop::collection::vec((0..12_u8, 0..6_u32), 0..20), 0..10),
    ) {
        let mut own = Own::new(RingLimits::default());
        let mut wanted = State::new();
        for sets in commits {
            let (before, head) = (state(own.log()), own.log().head());
            for (n, upstreams) in &sets {
                own.set(&endpoint(*n), *upstreams);
                wanted.insert(endpoint(*n), weight_of(*upstreams));
            }
            wanted.retain(|_, weight| *weight != 0);
            prop_assert_eq!(&state(own.log()), &before, "only a commit writes");
            let touched: BTreeSet<_> = sets.iter().map(|(n, _)| *n).collect();
            prop_assert!(own.pending() <= touched.len());
            let written = own.commit();
            prop_assert_eq!(written.start, head + 1);
            prop_assert_eq!(written.end, own.log().head() + 1);
            prop_assert_eq!(own.pending(), 0);
            let ops = own.log().after(head).expect("it was just written");
            let ops: Vec<_> = ops.map(|(_, op)| op.clone()).collect();
            assert_leads(&before, &ops, &wanted);
            let named: BTreeSet<_> = ops.iter().map(|op| &op.endpoint).collect();
            prop_assert_eq!(named.len(), ops.len(), "one op for an endpoint is enough");
            prop_assert_eq!(&state(own.log()), &wanted);
            prop_assert!(own.commit().is_empty(), "there is nothing left to write");
        }
    }

    #[test]
    fn more_upstreams_never_weigh_less(few in any::<u32>(), more in any::<u32>()) {
        let (few, more) = (few.min(more), few.max(more));
        prop_assert!(weight_of(few) <= weight_of(more));
        prop_assert!(u32::from(weight_of(few)) <= few);
    }
}

/// What a peer may say, sense or not.
#[derive(Clone, Debug)]
enum Answer {
    Page(Page),
    Ops(u64, Vec<Op>),
    Behind,
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let head = prop_oneof![8 => 0..20_u64, 1 => Just(u64::MAX), 1 => any::<u64>()].boxed();
    let page = (prop::collection::vec(any_op(), 0..4), head.clone(), any::<bool>(), any::<bool>());
    let page = page.prop_map(|(mut entries, head, last, sorted)| {
        if sorted {
            entries.retain(|op| op.weight != 0);
            entries.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
            entries.dedup_by(|a, b| a.endpoint == b.endpoint);
        }
        Answer::Page(Page { entries, head, last })
    });
    let ops = (head, prop::collection::vec(any_op(), 0..20));
    let ops = ops.prop_map(|(first, ops)| Answer::Ops(first, ops));
    prop_oneof![4 => page, 4 => ops, 1 => Just(Answer::Behind)]
}

#[test]
fn weights_are_coarse_and_0_only_for_none() {
    let weights: BTreeSet<_> = (0..100_000).map(weight_of).collect();
    let steps = [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 255];
    assert_eq!(weights.into_iter().collect::<Vec<_>>(), steps);
    let none: Vec<_> = (0..100_000).filter(|upstreams| weight_of(*upstreams) == 0).collect();
    assert_eq!(none, [0]);
    for step in steps {
        assert_eq!(weight_of(u32::from(step)), step);
    }
    assert_eq!(weight_of(u32::MAX), 255);
}

#[test]
fn flaps_within_one_commit_cancel_out() {
    let mut own = Own::new(RingLimits::default());
    own.set(&endpoint(1), 1);
    assert_eq!(own.commit(), 1..2);
    // One comes and goes, one goes and comes, and one has upstreams that make no difference.
    for _ in 0..3 {
        own.set(&endpoint(2), 1);
        own.set(&endpoint(2), 0);
        own.set(&endpoint(1), 0);
        own.set(&endpoint(1), 1);
    }
    assert_eq!(own.pending(), 0);
    assert_eq!(own.commit(), 2..2);
    own.set(&endpoint(1), 4);
    assert_eq!(own.commit(), 2..3);
    own.set(&endpoint(1), 5);
    assert_eq!(own.commit(), 3..3);
    assert_eq!(own.log().get(&endpoint(1)), 4);
}

#[test]
fn numbers_at_the_end_of_all_numbers_are_borne() {
    let mut replica = replica(&[op(1, 1)], RingLimits::default());
    let ops = [op(2, 1), op(3, 1)];
    let gap = Gap { head: 1, first: u64::MAX };
    assert_eq!(replica.apply(u64::MAX, ops.clone(), &mut Vec::new()), Err(gap));
    assert_eq!(gap.to_string(), format!("expected op 2 at the latest, came {}", u64::MAX));
    assert_eq!(replica.after(u64::MAX).expect("nothing is behind it").count(), 0);
    let mut fetch = fetch(9);
    let last = Page { entries: vec![op(1, 1)], head: u64::MAX, last: true };
    fetch.page(last).expect("it is the only one");
    fetch.finish(&mut replica, &mut Vec::new()).expect("it is newer");
    assert_eq!(replica.apply(u64::MAX, ops, &mut Vec::new()), Ok(()));
    assert_eq!((replica.head(), replica.len()), (u64::MAX, 1));
}

/// What becomes of a fetch that has the page of endpoint 4 at head 7, if this answer is next.
fn after_a_page(answer: impl FnOnce(&mut Fetch) -> Result<(), FetchError>) -> FetchError {
    let mut fetch = fetch(2);
    let first = Page { entries: vec![op(4, 1)], head: 7, last: false };
    fetch.page(first).expect("it is the first one");
    assert_eq!(fetch.next(), Ok(Step::Page { after: Some(&endpoint(4)) }));
    let error = answer(&mut fetch).expect_err("it is no answer to that");
    assert_eq!((fetch.next(), fetch.len()), (Err(error), 0));
    let mut old = replica(&[op(9, 1)], RingLimits::default());
    let mut changed = Vec::new();
    assert_eq!(fetch.finish(&mut old, &mut changed), Err(error));
    assert_eq!((old.head(), old.get(&endpoint(9)), changed.len()), (1, 1, 0));
    error
}

fn page(entries: &[Op], head: u64) -> Page {
    Page { entries: entries.to_vec(), head, last: false }
}

#[test]
fn a_page_that_does_not_follow_fails_the_fetch() {
    let failure = |entries: &[Op], head| after_a_page(|fetch| fetch.page(page(entries, head)));
    assert_eq!(failure(&[op(4, 1)], 7), FetchError::OutOfOrder);
    assert_eq!(failure(&[op(0, 1)], 7), FetchError::OutOfOrder);
    assert_eq!(failure(&[op(3, 1), op(2, 1)], 7), FetchError::OutOfOrder);
    assert_eq!(failure(&[op(8, 0)], 7), FetchError::NotServed);
    assert_eq!(failure(&[op(8, 1)], 6), FetchError::HeadWentBack { before: 7, came: 6 });
    assert_eq!(failure(&[], 8), FetchError::Empty);
    assert_eq!(failure(&[op(8, 1), op(5, 1)], 8), FetchError::TooMany { limit: 2 });
}

#[test]
fn an_answer_out_of_turn_fails_the_fetch() {
    assert_eq!(after_a_page(|fetch| fetch.ops(8, [op(1, 1)])), FetchError::OutOfTurn);
    assert_eq!(after_a_page(Fetch::behind), FetchError::OutOfTurn);
    let second = |head| Page { entries: vec![op(8, 1)], head, last: true };
    let then = |answer: fn(&mut Fetch) -> Result<(), FetchError>| {
        after_a_page(|fetch| {
            fetch.page(second(9)).expect("it follows");
            assert_eq!(fetch.next(), Ok(Step::Ops { after: 7 }));
            answer(fetch)
        })
    };
    assert_eq!(then(|fetch| fetch.page(page(&[op(5, 1)], 9))), FetchError::OutOfTurn);
    assert_eq!(then(|fetch| fetch.ops(8, [])), FetchError::Empty);
    assert_eq!(then(|fetch| fetch.ops(6, [op(1, 1), op(1, 1)])), FetchError::Empty);
    let gap = FetchError::Gap(Gap { head: 7, first: 9 });
    assert_eq!(then(|fetch| fetch.ops(9, [op(8, 1)])), gap);
    let many = FetchError::TooMany { limit: 2 };
    assert_eq!(then(|fetch| fetch.ops(8, [op(1, 1), op(2, 1), op(3, 1)])), many);
    // And nothing more is taken of a fetch that is done.
    let done = |answer: fn(&mut Fetch) -> Result<(), FetchError>| {
        after_a_page(|fetch| {
            fetch.page(second(7)).expect("it follows");
            assert_eq!(fetch.next(), Ok(Step::Done));
            answer(fetch)
        })
    };
    assert_eq!(done(Fetch::behind), FetchError::OutOfTurn);
    assert_eq!(done(|fetch| fetch.ops(8, [op(1, 1)])), FetchError::OutOfTurn);
}

#[test]
fn a_fetch_never_takes_a_replica_back() {
    let log = [op(1, 1), op(2, 1), op(3, 1)];
    let mut old = replica(&log, RingLimits::default());
    let stale = replica(&log[..2], RingLimits::default());
    let mut fetch = fetch(9);
    fetch.page(stale.page(None, 999)).expect("it is the only one");
    let unfinished = Fetch::new(FetchLimits::default());
    let mut changed = Vec::new();
    let error = fetch.finish(&mut old, &mut changed);
    assert_eq!(error, Err(FetchError::Older { held: 3, came: 2 }));
    assert_eq!(unfinished.finish(&mut old, &mut changed), Err(FetchError::OutOfTurn));
    assert_eq!((state(&old), changed.len()), (fold(&log, 3), 0));
}

#[test]
fn a_fetch_starts_over_if_the_peer_has_forgotten_the_ops() {
    let mut peer = replica(&[op(1, 1), op(2, 1)], RingLimits { bytes: 999, ops: 1 });
    let mut fetch = fetch(9);
    fetch.page(peer.page(None, 0)).expect("it is the first one");
    peer.apply(3, [op(1, 0), op(3, 2)], &mut Vec::new()).expect("they are next");
    let Step::Page { after } = fetch.next().expect("it goes on") else { panic!("{fetch:?}") };
    let rest = peer.page(after, 999);
    fetch.page(rest).expect("it follows");
    assert_eq!(fetch.next(), Ok(Step::Ops { after: 2 }));
    assert!(peer.after(2).is_err());
    fetch.behind().expect("it may start over");
    assert_eq!((fetch.next(), fetch.len()), (Ok(Step::Page { after: None }), 0));
    fetch.page(peer.page(None, 999)).expect("it is the first one");
    let mut found = Replica::new(RingLimits::default());
    fetch.finish(&mut found, &mut Vec::new()).expect("nothing is left to replay");
    assert_eq!((state(&found), found.head()), (state(&peer), 4));
}
