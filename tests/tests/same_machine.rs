//! The same exchange on every runtime, between the same machines: what they are told and what
//! they ask for is the same, however a runtime cuts bytes and time.

mod exchange;

use exchange::{Recording, Shape, difference, record};
use pico_core::host::{Action, Fault, Input};
use pico_core::rpc::Word;
use pico_core::server::Letter;
use pico_runtime_tokio::Tokio;
use pico_shell::Platform;
use pico_sim::record::{Step, seen};
use std::mem;
use std::sync::OnceLock;

pico_sim::on_each_pair_of_platforms!(
    machines_hear_and_do_the_same_on_every_runtime,
    a_recording_played_to_fresh_machines_has_them_do_the_same,
);

/// What the others are compared with.
fn first(shape: Shape) -> &'static Recording {
    static FIRST: [OnceLock<Recording>; 2] = [const { OnceLock::new() }; 2];
    let [together, apart] = &FIRST;
    let place = match shape {
        Shape::Together => together,
        Shape::Apart => apart,
    };
    place.get_or_init(|| record::<Tokio, Tokio>(shape, 1))
}

fn machines_hear_and_do_the_same_on_every_runtime<S: Platform, A: Platform>() {
    for shape in [Shape::Together, Shape::Apart] {
        let found = difference(first(shape), &record::<S, A>(shape, 1));
        assert!(found.is_none(), "{shape:?}: {}", found.unwrap_or_default());
    }
}

fn a_recording_played_to_fresh_machines_has_them_do_the_same<S: Platform, A: Platform>() {
    for shape in [Shape::Together, Shape::Apart] {
        let differs = record::<S, A>(shape, 2).replay().err();
        assert!(differs.is_none(), "{shape:?}: {}", differs.unwrap_or_default());
    }
}

#[test]
fn machines_with_another_seed_are_told_apart() {
    let found = difference(first(Shape::Together), &record::<Tokio, Tokio>(Shape::Together, 9));
    assert!(found.is_some());
}

/// Every single step that no driver may leave out, left out.
#[test]
fn a_step_that_is_missing_is_found() {
    for shape in [Shape::Together, Shape::Apart] {
        let Recording { mut workers, mut agent, names, .. } = record::<Tokio, Tokio>(shape, 1);
        let mut found = 0;
        for steps in &mut workers {
            let whole = seen(steps, &names);
            for at in 0..steps.len() {
                if matters(&steps[at], said_by_a_call) {
                    let step = mem::replace(&mut steps[at], Step::Polled(None));
                    let difference = whole.difference("whole", &seen(steps, &names), "less");
                    assert!(difference.is_some(), "{shape:?} without {step:?}");
                    steps[at] = step;
                    found += 1;
                }
            }
        }
        let whole = seen(&agent, &names);
        for at in 0..agent.len() {
            if matters(&agent[at], |_| true) {
                let step = mem::replace(&mut agent[at], Step::Polled(None));
                let difference = whole.difference("whole", &seen(&agent, &names), "less");
                assert!(difference.is_some(), "{shape:?} without {step:?}");
                agent[at] = step;
                found += 1;
            }
        }
        assert!(found > 100, "{found} steps were tried");
    }
}

#[test]
fn a_fin_instead_of_a_reset_and_one_other_byte_are_found() {
    let Recording { mut workers, names, .. } = record::<Tokio, Tokio>(Shape::Together, 1);
    let steps = &mut workers[0];
    let whole = seen(steps, &names);
    let mut kinds = [0, 0];
    for at in 0..steps.len() {
        let other = match &steps[at] {
            Step::Input(now, Input::Eof { conn }) => {
                kinds[0] += 1;
                Step::Input(*now, Input::Lost { conn: *conn, fault: Fault::Reset })
            }
            Step::Input(now, Input::Received { conn, bytes }) if bytes.starts_with(b"GET ") => {
                kinds[1] += 1;
                let mut bytes = bytes.clone();
                *bytes.last_mut().expect("at least one") ^= 1;
                Step::Input(*now, Input::Received { conn: *conn, bytes })
            }
            Step::Input(..) | Step::Tick(..) | Step::Wrote(..) | Step::Polled(_) => continue,
        };
        let step = mem::replace(&mut steps[at], other);
        let found = whole.difference("whole", &seen(steps, &names), "changed");
        assert!(found.is_some(), "{step:?}");
        steps[at] = step;
    }
    assert!(kinds.iter().all(|kind| *kind > 3), "{kinds:?}");
}

#[test]
fn a_recording_that_was_changed_does_not_replay() {
    let mut recording = record::<Tokio, Tokio>(Shape::Together, 1);
    recording.replay().expect("as it was");
    for at in 0..recording.agent.len() {
        // The answer to a close is followed by a FIN, which says as much.
        if let Step::Input(_, Input::Received { bytes, .. }) = &recording.agent[at]
            && !bytes.starts_with(b"\x88")
        {
            let step = mem::replace(&mut recording.agent[at], Step::Polled(None));
            assert!(recording.replay().is_err(), "without {step:?}");
            recording.agent[at] = step;
        }
    }
}

/// Whether any driver does this.
fn matters<L>(step: &Step<L>, letter: fn(&L) -> bool) -> bool {
    match step {
        Step::Tick(..)
        | Step::Input(_, Input::Sent { .. } | Input::Wall(_))
        | Step::Polled(None | Some(Action::Write(_) | Action::Read(_))) => false,
        // Frames may say nothing but what depends on cuts.
        Step::Wrote(_, bytes) => bytes.starts_with(b"HTTP/1.1 "),
        Step::Input(_, Input::Received { bytes, .. }) => bytes.starts_with(b"HTTP/1.1 "),
        Step::Input(_, Input::Letter(said))
        | Step::Polled(Some(Action::Letter { letter: said, .. })) => letter(said),
        Step::Input(..) | Step::Polled(Some(_)) => true,
    }
}

/// Credit depends on cuts.
fn said_by_a_call(letter: &Letter) -> bool {
    let (Letter::Ask { word, .. } | Letter::Answer { word, .. }) = letter else { return true };
    !matches!(word, Word::Credit(_))
}
