//! The seven laws, checked for any machine.
//!
//! A [`Subject`] is the world of one machine in one small file: how to make the machine, what may
//! happen to it (steps, decoded from [`Choices`]), and how to see what it did. [`check`] plays
//! one script several times, in different manners, and compares:
//!
//! 1. *determinism*: played twice in the same way, everything is the same;
//! 2. *progress*: after `tick(now)` the deadline is later than `now`, and `poll` ends;
//! 3. *idempotent time*: extra and early ticks, and clocks that step back, change nothing;
//! 4. *bounds*: after each input, [`Subject::check`] finds everything within its limits;
//! 5. *chunking*: with the peer's bytes cut anywhere and the outbox taken in any pieces, the
//!    machine is seen to do the same;
//! 6. *finality*: after the last action nothing moves it any more;
//! 7. *totality*: nothing panics, so a panic fails the test by itself.

pub mod agent;
pub mod bench;
pub mod gossip;
mod greet;
pub mod node;
mod operator;
mod play;
pub mod sealed;
mod seen;
pub mod tunnel;
pub mod worker;

pub use seen::Seen;

use crate::choices::Choices;
use crate::hash::Hash;
use bytes::BytesMut;
use core::fmt::{self, Debug};
use core::time::Duration;
use pico_core::{Dice, Instant, Machine, Outbox, Seed};
use play::Play;

/// One machine's world: its caller and its peers.
///
/// A subject may keep a model of what the machine is doing, so that it never makes a documented
/// caller error; the model learns from [`observe`](Self::observe) only.
pub trait Subject: Sized {
    /// The machine under law.
    type Machine: Machine<Input: Debug, Action: Debug>;
    /// Names a byte stream; `()` for a machine of one connection.
    type Wire: Copy + Ord + Debug;
    /// Something that happens, in the terms of this subject.
    type Step: Debug;

    /// `poll` reaches `None` within so many calls after any one input.
    const POLLS_MAX: usize = 1024;
    /// Whether extra ticks leave the deadline where it is, to the nanosecond. Not so for parents
    /// whose [`Agenda`](pico_core::Agenda) forgets lazily.
    const DEADLINES_HOLD: bool = true;
    /// Whether it offers no bytes after its last action. Not so for machines of one connection,
    /// which their parents drop.
    const ENDS_SILENT: bool = false;
    /// The most steps of one script.
    const STEPS_MAX: usize = 64;

    /// A new world and its machine.
    fn new(choices: &mut Choices, now: Instant) -> (Self, Self::Machine);

    /// The next step of a script. Choices that are exhausted must not give endless work.
    fn draw(choices: &mut Choices) -> Self::Step;

    /// What `step` comes down to at this moment.
    fn perform(
        &mut self,
        machine: &mut Self::Machine,
        now: Instant,
        step: &Self::Step,
    ) -> Vec<Event<Self>>;

    /// Learns of an action and writes down what must be the same however bytes were cut.
    fn observe(&mut self, action: <Self::Machine as Machine>::Action, seen: &mut Seen);

    /// Learns of bytes that the peer got. By default they must be the same, byte for byte.
    fn wrote(&mut self, wire: Self::Wire, bytes: &[u8], seen: &mut Seen) {
        let _ = wire;
        seen.bytes("wire", "out", bytes);
    }

    /// Called whenever `poll` has come to its end, for machines with an output of another kind.
    fn drained(&mut self, machine: &mut Self::Machine, now: Instant, seen: &mut Seen) {
        let _ = (machine, now, seen);
    }

    /// The input that brings bytes.
    fn received(wire: Self::Wire, bytes: BytesMut) -> <Self::Machine as Machine>::Input;

    /// The input that says that no more bytes come.
    fn eof(wire: Self::Wire) -> <Self::Machine as Machine>::Input;

    /// The input that says that the socket took bytes.
    fn sent(wire: Self::Wire, count: usize) -> <Self::Machine as Machine>::Input;

    /// The wires that may have bytes to write.
    fn wires(&self) -> Vec<Self::Wire>;

    /// What waits to be written.
    fn outbox(machine: &Self::Machine, wire: Self::Wire) -> Option<&Outbox>;

    /// How many bytes would be taken.
    fn room(machine: &Self::Machine, wire: Self::Wire) -> usize;

    /// Whether this action is the machine's last.
    fn closes(action: &<Self::Machine as Machine>::Action) -> bool;

    /// Looks whether everything is within its bounds, and says what is not.
    fn check(&self, machine: &Self::Machine) -> Result<(), String> {
        let _ = machine;
        Ok(())
    }
}

/// What a step comes down to.
pub enum Event<S: Subject> {
    /// The machine is told so.
    Input(<S::Machine as Machine>::Input),
    /// The peer sends these bytes: they arrive in whatever pieces, as far as there is room.
    Bytes(S::Wire, Vec<u8>),
    /// The peer sends its FIN, behind all its bytes.
    Eof(S::Wire),
    /// The socket takes nothing from now on, or everything again.
    Stall(S::Wire, bool),
    /// The stalled socket takes up to so many bytes.
    Take(S::Wire, usize),
}

/// One move of a script.
#[derive(Debug)]
enum Move<T> {
    Wait(Duration),
    Step(T),
}

/// A law that does not hold, and how that was seen.
#[derive(Debug)]
pub struct Violation {
    /// Which.
    pub law: Law,
    /// What was seen.
    pub detail: String,
    /// The script, move by move, up to the moment when it was seen.
    pub script: Vec<String>,
}

/// The laws that need looking at; totality is broken by a panic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Law {
    /// Same seed and inputs, same everything.
    Determinism,
    /// Time moves it on, and it comes to rest.
    Progress,
    /// Extra and early ticks change nothing; a clock that steps back is no time passing.
    IdempotentTime,
    /// Nothing exceeds its limit.
    Bounds,
    /// Cuts do not matter.
    Chunking,
    /// The end is the end.
    Finality,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "broken law: {:?}\n{}\nthe script:", self.law, self.detail)?;
        for (at, line) in self.script.iter().enumerate() {
            writeln!(f, "  {at:3} {}", shorten(line))?;
        }
        Ok(())
    }
}

/// In which manner a script is played.
#[derive(Clone, Default)]
struct Manner {
    /// Cuts the bytes and the writes; whole without.
    cuts: Option<Dice>,
    /// Ticks too often and lets the clock step back.
    ticks: Option<Dice>,
}

/// Plays the script that `bytes` stand for and looks for broken laws.
pub fn check<S: Subject>(bytes: &[u8]) -> Result<(), Box<Violation>> {
    let mut choices = Choices::new(bytes);
    let seed = Seed::from_u64(choices.long());
    let setup = choices.clone();
    drop(S::new(&mut choices, Instant::ZERO));
    let mut script = Vec::new();
    while !choices.is_empty() && script.len() < S::STEPS_MAX {
        script.push(if choices.chance(1, 4) {
            Move::Wait(choices.span())
        } else {
            Move::Step(S::draw(&mut choices))
        });
    }
    let play = |manner: Manner| Play::<S>::run(setup.clone(), &script, manner);
    let cut = || Manner { cuts: Some(seed.fork("cuts").roll()), ticks: None };
    let mut whole = play(Manner::default())?;
    let mut cuts = play(cut())?;
    let again = play(cut())?;
    let ticked = play(Manner { cuts: None, ticks: Some(seed.fork("ticks").roll()) })?;
    let story = || script.iter().map(|m| format!("{m:?}")).collect();
    let broken = |law, detail| Err(Box::new(Violation { law, detail, script: story() }));
    if let Some(at) = differing(&cuts.sums, &again.sums) {
        let detail = format!("played twice, move {at} and what followed were different");
        return broken(Law::Determinism, detail);
    }
    if let Some(detail) = whole.seen.difference("as due", &ticked.seen, "ticked more") {
        return broken(Law::IdempotentTime, detail);
    }
    whole.seen.forget_exact();
    cuts.seen.forget_exact();
    if let Some(detail) = whole.seen.difference("whole", &cuts.seen, "cut") {
        return broken(Law::Chunking, detail);
    }
    if S::DEADLINES_HOLD
        && let Some(at) = differing(&whole.deadlines, &ticked.deadlines)
    {
        let [due, more] = [&whole, &ticked].map(|p| p.deadlines.get(at));
        let detail = format!("after move {at} deadline {due:?}, but {more:?} if ticked more");
        return broken(Law::IdempotentTime, detail);
    }
    Ok(())
}

/// [`check`], for a test: fails with the violation and the bytes that show it.
pub fn hold<S: Subject>(bytes: &[u8]) {
    if let Err(violation) = check::<S>(bytes) {
        let hex: String = bytes.iter().fold(String::new(), |hex, b| format!("{hex}{b:02x}"));
        panic!("{violation}choices: {hex}");
    }
}

/// The hash of everything that happened in one move.
type Sums = Vec<Hash>;

fn differing<T: PartialEq>(left: &[T], right: &[T]) -> Option<usize> {
    let common = left.iter().zip(right).position(|(l, r)| l != r);
    common.or_else(|| (left.len() != right.len()).then(|| left.len().min(right.len())))
}

/// A line of bearable length.
fn shorten(line: &str) -> String {
    const MAX: usize = 400;
    if line.chars().count() <= MAX {
        return line.to_owned();
    }
    let start: String = line.chars().take(MAX).collect();
    format!("{start}… ({} bytes)", line.len())
}
