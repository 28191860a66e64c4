//! Plays one script in one manner.

use super::{Event, Law, Manner, Move, Seen, Subject, Sums, Violation};
use crate::choices::Choices;
use crate::draw::Draw as _;
use crate::hash::Hash;
use bytes::BytesMut;
use core::fmt::Debug;
use core::time::Duration;
use pico_core::{Dice, Instant, Machine};
use std::collections::{BTreeMap, BTreeSet};

/// When scripts begin: late enough that the clock can step back.
const START: Instant = Instant::from_nanos(1_000_000_000_000);

/// More wake-ups than this in one wait are no progress.
const WAKES_MAX: usize = 10_000;

/// One script being played, and in the end what came of it.
pub(super) struct Play<S: Subject> {
    world: S,
    machine: S::Machine,
    now: Instant,
    manner: Manner,
    coming: BTreeMap<S::Wire, Coming>,
    stalled: BTreeSet<S::Wire>,
    closed: bool,
    sum: Hash,
    /// What was seen.
    pub(super) seen: Seen,
    /// After each move, the hash of all that happened.
    pub(super) sums: Sums,
    /// After each move, the deadline.
    pub(super) deadlines: Vec<Option<Instant>>,
}

/// What the peer sent and the machine has not taken yet.
#[derive(Default)]
struct Coming {
    bytes: BytesMut,
    fin: Fin,
}

/// How far the peer's FIN has come.
#[derive(Default, PartialEq)]
enum Fin {
    #[default]
    Unsent,
    Sent,
    Told,
}

type Played<T> = Result<T, (Law, String)>;

impl<S: Subject> Play<S> {
    pub(super) fn run(
        mut setup: Choices,
        script: &[Move<S::Step>],
        manner: Manner,
    ) -> Result<Self, Box<Violation>> {
        let (world, machine) = S::new(&mut setup, START);
        let mut play = Self {
            world,
            machine,
            now: START,
            manner,
            coming: BTreeMap::new(),
            stalled: BTreeSet::new(),
            closed: false,
            sum: Hash::new(),
            seen: Seen::default(),
            sums: Vec::new(),
            deadlines: Vec::new(),
        };
        for (at, next) in script.iter().enumerate() {
            if let Err((law, detail)) = play.make(next) {
                let script = script.iter().take(at + 1).map(|m| format!("{m:?}")).collect();
                return Err(Box::new(Violation { law, detail, script }));
            }
        }
        Ok(play)
    }

    fn make(&mut self, next: &Move<S::Step>) -> Played<()> {
        match next {
            Move::Wait(span) => self.wait(*span)?,
            Move::Step(step) => {
                self.tick(self.now)?;
                self.flow()?;
                for event in self.world.perform(&mut self.machine, self.now, step) {
                    self.happen(event)?;
                    self.flow()?;
                }
            }
        }
        self.deadlines.push(self.machine.deadline());
        self.note(&self.machine.deadline());
        self.sums.push(self.sum);
        Ok(())
    }

    fn happen(&mut self, event: Event<S>) -> Played<()> {
        match event {
            Event::Input(input) => self.feed(input),
            Event::Bytes(wire, bytes) => {
                let coming = self.coming.entry(wire).or_default();
                if coming.fin == Fin::Unsent {
                    coming.bytes.extend_from_slice(&bytes);
                }
                Ok(())
            }
            Event::Eof(wire) => {
                let coming = self.coming.entry(wire).or_default();
                if coming.fin == Fin::Unsent {
                    coming.fin = Fin::Sent;
                }
                Ok(())
            }
            Event::Stall(wire, true) => {
                self.stalled.insert(wire);
                Ok(())
            }
            Event::Stall(wire, false) => {
                self.stalled.remove(&wire);
                Ok(())
            }
            Event::Take(wire, count) => self.write(wire, count),
        }
    }

    /// Lets bytes through, in and out, until nothing moves.
    fn flow(&mut self) -> Played<()> {
        loop {
            let read = self.read()?;
            for wire in self.world.wires() {
                if !self.stalled.contains(&wire) {
                    self.write(wire, usize::MAX)?;
                }
            }
            if !read {
                return Ok(());
            }
        }
    }

    /// Brings one piece of what is coming; says whether any moved.
    fn read(&mut self) -> Played<bool> {
        let wires: Vec<S::Wire> = self.coming.keys().copied().collect();
        for wire in wires {
            let room = S::room(&self.machine, wire);
            let Some(coming) = self.coming.get_mut(&wire) else { continue };
            if coming.bytes.is_empty() {
                if coming.fin == Fin::Sent {
                    coming.fin = Fin::Told;
                    self.feed(S::eof(wire))?;
                    return Ok(true);
                }
                continue;
            }
            if room == 0 && !self.closed {
                continue;
            }
            let count = piece(&mut self.manner.cuts, coming.bytes.len());
            let bytes = BytesMut::from(&coming.bytes.split_to(count)[..]);
            self.feed(S::received(wire, bytes))?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Takes up to `most` bytes of the outbox, and says so to the machine.
    fn write(&mut self, wire: S::Wire, most: usize) -> Played<()> {
        let mut left = most;
        loop {
            let Some(outbox) = S::outbox(&self.machine, wire) else { return Ok(()) };
            let count = outbox.len().min(left);
            if self.closed && S::ENDS_SILENT && !outbox.is_empty() {
                let detail = format!("{} bytes after the last action", outbox.len());
                return Err((Law::Finality, detail));
            }
            if count == 0 || self.closed {
                return Ok(());
            }
            let count = piece(&mut self.manner.cuts, count);
            let mut taken = Vec::with_capacity(count);
            for part in outbox.pieces() {
                let part = part.get(..count - taken.len()).unwrap_or(part);
                taken.extend_from_slice(part);
            }
            left -= count;
            self.sum.bytes(&taken);
            self.world.wrote(wire, &taken, &mut self.seen);
            self.feed(S::sent(wire, count))?;
        }
    }

    fn wait(&mut self, span: Duration) -> Played<()> {
        let until = self.now + span;
        for _ in 0..WAKES_MAX {
            let due = self.machine.deadline().filter(|due| *due <= until);
            let next = due.unwrap_or(until).max(self.now);
            self.tick_between(next)?;
            self.now = next;
            self.tick(next)?;
            self.flow()?;
            if due.is_none() {
                return Ok(());
            }
        }
        Err((Law::Progress, format!("{WAKES_MAX} wake-ups within {span:?}")))
    }

    /// Ticks before anything is due, if the manner is so.
    fn tick_between(&mut self, next: Instant) -> Played<()> {
        let Some(dice) = &mut self.manner.ticks else { return Ok(()) };
        let gap = next.as_nanos() - self.now.as_nanos();
        let mut early: Vec<u64> = (0..dice.below(4)).map(|_| dice.below(gap)).collect();
        early.sort_unstable();
        for gap in early {
            self.tick(self.now + Duration::from_nanos(gap))?;
        }
        Ok(())
    }

    fn tick(&mut self, now: Instant) -> Played<()> {
        self.machine.tick(now);
        if let Some(due) = self.machine.deadline().filter(|due| *due <= now) {
            return Err((Law::Progress, format!("due at {due:?} still, after a tick at {now:?}")));
        }
        self.drain()?;
        if self.manner.ticks.is_some() {
            let earlier = self.earlier(now);
            self.machine.tick(earlier);
            self.machine.tick(now);
            self.drain()?;
        }
        Ok(())
    }

    fn feed(&mut self, input: <S::Machine as Machine>::Input) -> Played<()> {
        self.note(&input);
        let now = self.earlier(self.now);
        self.machine.handle(now, input);
        self.drain()
    }

    /// The time that a clock shows which steps back, if the manner is so.
    fn earlier(&mut self, now: Instant) -> Instant {
        match &mut self.manner.ticks {
            Some(dice) => {
                let back = *dice.pick(&[0, 1, 1_000_000_000]);
                Instant::from_nanos(now.as_nanos() - dice.below(back + 1))
            }
            None => now,
        }
    }

    fn drain(&mut self) -> Played<()> {
        let mut polls = 0;
        while let Some(action) = self.machine.poll() {
            self.note(&action);
            if self.closed {
                return Err((Law::Finality, format!("{action:?} after the last action")));
            }
            polls += 1;
            if polls > S::POLLS_MAX {
                return Err((Law::Progress, format!("more than {} actions at once", S::POLLS_MAX)));
            }
            self.closed = S::closes(&action);
            self.world.observe(action, &mut self.seen);
        }
        self.world.drained(&mut self.machine, self.now, &mut self.seen);
        if let (true, Some(due)) = (self.closed, self.machine.deadline()) {
            return Err((Law::Finality, format!("a deadline at {due:?} after the last action")));
        }
        self.world.check(&self.machine).map_err(|detail| (Law::Bounds, detail))
    }

    fn note(&mut self, what: &impl Debug) {
        self.sum.shown(what);
    }
}

/// How much of `len` bytes passes at once.
fn piece(cuts: &mut Option<Dice>, len: usize) -> usize {
    let Some(dice) = cuts else { return len };
    dice.piece(len)
}
