//! The law checker finds what it is there to find, on a machine that breaks one law at a time.

use bytes::{Buf, BytesMut};
use core::time::Duration;
use pico_core::{Instant, Machine, Monotonic, Outbox, Timers};
use pico_sim::choices::Choices;
use pico_sim::laws::{self, Event, Law, Seen, Subject};
use proptest::test_runner::{Config, TestRunner};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Which law the echo breaks.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Flaw {
    None,
    Random,
    Stuck,
    EagerTick,
    Greedy,
    PerPiece,
    Undead,
}

/// Echoes lines in upper case, says how long they are, and closes after a second of silence.
#[derive(Debug)]
struct Echo {
    flaw: Flaw,
    clock: Monotonic,
    timers: Timers<()>,
    line: Vec<u8>,
    outbox: Outbox,
    actions: VecDeque<Action>,
    closed: bool,
}

#[derive(Debug)]
enum Input {
    Received(BytesMut),
    Eof,
    Sent(usize),
}

#[derive(Debug)]
enum Action {
    Line(usize),
    Closed,
}

static ENTROPY: AtomicUsize = AtomicUsize::new(0);

impl Echo {
    fn hear(&mut self, bytes: &[u8]) {
        self.timers.set((), self.clock.now() + Duration::from_secs(1));
        if self.flaw == Flaw::PerPiece {
            self.actions.push_back(Action::Line(bytes.len()));
        }
        for byte in bytes {
            if *byte == b'\n' {
                let entropy = || ENTROPY.fetch_add(1, Ordering::Relaxed);
                let random = if self.flaw == Flaw::Random { entropy() } else { 0 };
                self.actions.push_back(Action::Line(self.line.len() + random));
                self.outbox.put(&std::mem::take(&mut self.line).to_ascii_uppercase());
            } else if self.line.len() < 80 || self.flaw == Flaw::Greedy {
                self.line.push(*byte);
            }
        }
    }

    fn close(&mut self) {
        self.closed = true;
        self.timers.clear_all();
        self.actions.push_back(Action::Closed);
    }
}

impl Machine for Echo {
    type Input = Input;
    type Action = Action;

    fn handle(&mut self, now: Instant, input: Input) {
        self.clock.advance(now);
        if self.closed && self.flaw != Flaw::Undead {
            return;
        }
        match input {
            Input::Received(bytes) => self.hear(&bytes),
            Input::Eof => self.close(),
            Input::Sent(count) => self.outbox.advance(count),
        }
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        if let (Flaw::EagerTick, Some(due)) = (self.flaw, self.timers.deadline()) {
            self.timers.set((), due + Duration::from_millis(1));
        }
        if self.flaw == Flaw::Stuck {
            return;
        }
        if self.timers.pop(now).is_some() {
            self.close();
        }
    }

    fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        self.timers.deadline()
    }
}

struct World<const FLAW: u8>;

#[derive(Debug)]
enum Step {
    Say(Vec<u8>),
    Eof,
    Stall(bool),
    Take(usize),
}

impl<const FLAW: u8> Subject for World<FLAW> {
    type Machine = Echo;
    type Wire = ();
    type Step = Step;

    fn new(_choices: &mut Choices, now: Instant) -> (Self, Echo) {
        use Flaw::{EagerTick, Greedy, None, PerPiece, Random, Stuck, Undead};
        let flaws = [None, Random, Stuck, EagerTick, Greedy, PerPiece, Undead];
        let mut clock = Monotonic::default();
        clock.advance(now);
        let echo = Echo {
            flaw: flaws[usize::from(FLAW)],
            clock,
            timers: Timers::new(),
            line: Vec::new(),
            outbox: Outbox::new(),
            actions: VecDeque::new(),
            closed: false,
        };
        (Self, echo)
    }

    fn draw(choices: &mut Choices) -> Step {
        match choices.below(5) {
            0 | 1 => Step::Say([choices.bytes(300), b"\n"].concat()),
            2 => Step::Take(choices.size(300)),
            3 => Step::Stall(choices.chance(1, 2)),
            _ => Step::Eof,
        }
    }

    fn perform(&mut self, _echo: &mut Echo, _now: Instant, step: &Step) -> Vec<Event<Self>> {
        vec![match step {
            Step::Say(bytes) => Event::Bytes((), bytes.clone()),
            Step::Eof => Event::Eof(()),
            Step::Stall(on) => Event::Stall((), *on),
            Step::Take(count) => Event::Take((), *count),
        }]
    }

    fn observe(&mut self, action: Action, seen: &mut Seen) {
        match action {
            Action::Line(len) => seen.event("lines", &len),
            Action::Closed => seen.event("lines", &"closed"),
        }
    }

    fn received(_wire: (), bytes: BytesMut) -> Input {
        Input::Received(bytes)
    }

    fn eof(_wire: ()) -> Input {
        Input::Eof
    }

    fn sent(_wire: (), count: usize) -> Input {
        Input::Sent(count)
    }

    fn wires(&self) -> Vec<()> {
        vec![()]
    }

    fn outbox(echo: &Echo, _wire: ()) -> Option<&Outbox> {
        Some(&echo.outbox)
    }

    fn room(_echo: &Echo, _wire: ()) -> usize {
        1000
    }

    fn closes(action: &Action) -> bool {
        matches!(action, Action::Closed)
    }

    fn check(&self, echo: &Echo) -> Result<(), String> {
        if echo.line.len() <= 80 { Ok(()) } else { Err(format!("{} bytes", echo.line.len())) }
    }
}

/// The first law that any of many random scripts finds broken.
fn found<const FLAW: u8>() -> Option<Law> {
    let mut runner = TestRunner::new_with_rng(
        Config { cases: 300, failure_persistence: None, max_shrink_iters: 0, ..Config::default() },
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let law = std::cell::Cell::new(None);
    let bytes = proptest::collection::vec(proptest::num::u8::ANY, 0..600);
    let _ = runner.run(&bytes, |bytes| {
        laws::check::<World<FLAW>>(&bytes).map_err(|violation| {
            law.set(Some(violation.law));
            proptest::test_runner::TestCaseError::fail(violation.to_string())
        })
    });
    law.get()
}

#[test]
fn a_sound_machine_breaks_no_law() {
    assert_eq!(found::<0>(), None);
}

#[test]
fn a_flaw_is_found_as_the_law_that_it_breaks() {
    assert_eq!(found::<1>(), Some(Law::Determinism));
    assert_eq!(found::<2>(), Some(Law::Progress));
    assert_eq!(found::<3>(), Some(Law::IdempotentTime));
    assert_eq!(found::<4>(), Some(Law::Bounds));
    assert_eq!(found::<5>(), Some(Law::Chunking));
    assert_eq!(found::<6>(), Some(Law::Finality));
}
