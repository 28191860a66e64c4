//! Two ends of a tunnel, in every order in which few things can happen.

use http::{Method, StatusCode};
use pico_core::head::{Fields, RequestHead, ResponseHead};
use pico_core::rpc::{Machine, Reset};
use pico_core::{Limits, Reason};
use pico_sim::choices::Choices;
use pico_sim::exhaust::{self, States};
use pico_sim::model::rpc::Next;
use pico_sim::model::rpc::pair::Pair;

type Ends = Pair<Machine<u64>>;

/// Every frame travels for itself, and a window is two bytes.
fn limits() -> Limits {
    Limits {
        message_bytes: 1,
        window_bytes: 2,
        window_bytes_max: 2,
        streams: 2,
        tunnel_bytes: 8,
        ..Limits::default()
    }
}

fn pair() -> Ends {
    let mut pair = Pair::new([limits(), limits()]);
    pair.rest();
    pair
}

fn request() -> RequestHead {
    RequestHead::new(Method::POST, b"/", Fields::new())
}

fn response() -> ResponseHead {
    ResponseHead::new(StatusCode::OK, b"", Fields::new())
}

/// Something that can happen next.
#[derive(Clone, Copy, Debug)]
enum Move {
    /// The next frame arrives at a side.
    Arrive(usize),
    Open(usize),
    Drain(usize),
    /// The user of a side answers the oldest call that waits for it.
    Answer(usize, u64),
    /// One byte of a call is said, or its end.
    Data(u64),
    End(u64),
    /// All that came of a call is taken.
    Take(u64),
    /// A side resets a call.
    Reset(usize, u64),
}

fn unanswered(pair: &Ends, side: usize) -> Option<u64> {
    let open = pair.model.open_calls(side).into_iter();
    open.filter(|id| pair.model.calls[id].caller != side)
        .find(|id| pair.model.calls[id].next(side) == Next::Head)
}

/// Does it, and puts on the way what a side sends.
fn make(pair: &mut Ends, next: Move) {
    match next {
        Move::Arrive(side) => drop(pair.read(side, usize::MAX)),
        Move::Open(side) => drop(pair.open(side, &request(), side == 1)),
        Move::Drain(side) => pair.drain(side),
        Move::Answer(side, id) => pair.respond(side, id, &response(), true),
        Move::Data(id) => pair.data(0, id, 1, false),
        Move::End(id) => pair.data(0, id, 0, true),
        Move::Take(id) => pair.take(1, id, usize::MAX),
        Move::Reset(side, id) => {
            let reset = Reset { reason: Reason::Canceled, started: side == 0 };
            pair.reset(side, id, reset);
        }
    }
    for side in [0, 1] {
        pair.write(side, usize::MAX);
    }
}

/// Both sides may call and drain, as often as `opens` and `drains` say, and answer; then all
/// comes to rest.
fn drain(
    choices: &mut Choices,
    states: &mut States,
    mut opens: [usize; 2],
    mut drains: [usize; 2],
) {
    let mut pair = pair();
    loop {
        if states.is_old(choices, &(&pair, opens, drains)) {
            return;
        }
        let mut moves = Vec::new();
        for side in [0, 1] {
            moves.extend(pair.has_mail(side).then_some(Move::Arrive(side)));
            moves.extend((opens[side] > 0).then_some(Move::Open(side)));
            moves.extend((drains[side] > 0).then_some(Move::Drain(side)));
            moves.extend(unanswered(&pair, side).map(|id| Move::Answer(side, id)));
        }
        if moves.is_empty() {
            break;
        }
        let next = *choices.pick(&moves);
        match next {
            Move::Open(side) => opens[side] -= 1,
            Move::Drain(side) => drains[side] -= 1,
            Move::Arrive(_)
            | Move::Answer(..)
            | Move::Data(_)
            | Move::End(_)
            | Move::Take(_)
            | Move::Reset(..) => {}
        }
        make(&mut pair, next);
    }
    // The dialler's calls have a body that nobody has ended.
    for id in pair.model.open_calls(0) {
        if pair.model.calls[&id].caller == 0 {
            pair.data(0, id, 0, true);
        }
    }
    pair.rest();
    for side in [0, 1] {
        let done = &pair.model.sides[side];
        assert_eq!(done.drains, done.drained, "side {side} has not drained");
        assert!(pair.model.open_calls(side).is_empty(), "calls are left");
    }
}

fn drains(name: &str, opens: [usize; 2], drains: [usize; 2]) {
    let mut states = States::default();
    exhaust::all(name, 60, 2_000_000, |choices| drain(choices, &mut states, opens, drains));
    println!("{name}: {} states", states.len());
}

#[test]
fn a_side_drains_whatever_crosses_its_drain() {
    drains("one drains, both call", [1, 1], [1, 0]);
}

#[test]
fn both_sides_drain_whatever_crosses_their_drains() {
    drains("both drain, both call", [1, 1], [1, 1]);
}

#[test]
fn a_side_drains_behind_two_calls_of_its_own() {
    drains("one drains, it calls twice", [2, 1], [1, 0]);
}

/// Two calls from side 0 with bodies of these lengths, whatever can happen to them in any order, with
/// so many `resets`, and then what is left to do: each call that was not reset comes to its end.
fn credit(choices: &mut Choices, states: &mut States, lens: [usize; 2], resets: usize) {
    let mut pair = pair();
    let calls = [pair.open(0, &request(), false), pair.open(0, &request(), false)];
    pair.rest();
    let mut resets = resets;
    loop {
        if states.is_old(choices, &(&pair, resets)) {
            return;
        }
        let mut moves = Vec::new();
        for side in [0, 1] {
            moves.extend(pair.has_mail(side).then_some(Move::Arrive(side)));
            let open = pair.model.open_calls(side);
            for id in open.into_iter().filter(|_| resets > 0) {
                moves.push(Move::Reset(side, id));
            }
        }
        for (id, len) in calls.into_iter().zip(lens) {
            let call = &pair.model.calls[&id];
            let says = !call.over[0] && call.next(0) == Next::Body;
            moves.extend(
                (says && call.spent(0) < len && call.credit(0) > 0).then_some(Move::Data(id)),
            );
            moves.extend((says && call.spent(0) == len).then_some(Move::End(id)));
            moves.extend((!call.over[1] && call.untaken(1) > 0).then_some(Move::Take(id)));
        }
        if moves.is_empty() {
            break;
        }
        let next = *choices.pick(&moves);
        resets -= usize::from(matches!(next, Move::Reset(..)));
        make(&mut pair, next);
    }
    for _ in 0..4 {
        pair.rest();
        for (id, len) in calls.into_iter().zip(lens) {
            let call = &pair.model.calls[&id];
            let (left, over) = (len - call.spent(0), call.over);
            if !over[0] && call.next(0) == Next::Body {
                pair.data(0, id, left, left <= pair.model.calls[&id].credit(0));
            }
            if !over[1] {
                pair.respond(1, id, &response(), true);
            }
            pair.take(1, id, usize::MAX);
        }
    }
    pair.rest();
    for (id, call) in &pair.model.calls {
        assert_eq!(call.over, [true; 2], "call {id} never ends");
    }
}

fn credits(name: &str, lens: [usize; 2], resets: usize) {
    let mut states = States::default();
    exhaust::all(name, 60, 2_000_000, |choices| credit(choices, &mut states, lens, resets));
    println!("{name}: {} states", states.len());
}

#[test]
fn a_sender_never_waits_for_credit_that_was_due() {
    credits("two calls, tiny windows", [3, 1], 0);
}

#[test]
fn a_reset_at_any_moment_takes_nothing_from_the_other_call() {
    credits("two calls, tiny windows, a reset", [1, 1], 1);
}

#[test]
fn two_senders_of_equal_bodies_never_wait_for_credit_that_was_due() {
    credits("two calls, equal bodies", [2, 2], 0);
}
