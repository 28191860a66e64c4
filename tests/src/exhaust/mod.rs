//! Going through every combination of bounded decisions, for cases that are small enough.
//!
//! A run takes its decisions from [`Choices`] and cannot tell whether they come from bytes or from
//! an [`Odometer`]. So the same function is a fuzz target, a proptest and an exhaustive test, and a
//! find of one replays in the others: [`Odometer::digits`] for here, [`Odometer::bytes`] for a
//! corpus file.

pub mod server;

use crate::choices::Choices;
use crate::hash::Hash;
use core::cell::RefCell;
use core::fmt::Debug;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Shows one combination of decisions after another, the last one turning fastest: depth first.
///
/// Which decisions there are, and how many ways each has, it learns from the run itself; a run
/// must be a function of its decisions.
#[derive(Debug)]
pub struct Odometer {
    wheels: RefCell<Vec<Wheel>>,
    depth: usize,
    /// So many of the decisions are the first of a combination that was not shown before.
    known: usize,
}

/// One decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Wheel {
    digit: usize,
    /// How many digits it has; not known before a run has asked.
    bound: Option<usize>,
}

impl Odometer {
    /// An odometer of at most `depth` decisions, all zero; those beyond stay so.
    pub const fn new(depth: usize) -> Self {
        Self { wheels: RefCell::new(Vec::new()), depth, known: 0 }
    }

    /// One that shows what another [had shown](Self::digits), and zeros behind.
    pub fn showing(digits: &[usize]) -> Self {
        let wheel = |digit: &usize| Wheel { digit: *digit, bound: None };
        let wheels = RefCell::new(digits.iter().map(wheel).collect());
        Self { wheels, depth: digits.len(), known: 0 }
    }

    /// Goes on to the next combination. Returns whether there is one.
    pub fn advance(&mut self) -> bool {
        let wheels = self.wheels.get_mut();
        while let Some(mut wheel) = wheels.pop() {
            wheel.digit += 1;
            if wheel.bound.is_some_and(|bound| wheel.digit < bound) {
                wheels.push(wheel);
                self.known = wheels.len();
                return true;
            }
        }
        false
    }

    /// The combination that it shows.
    pub fn digits(&self) -> Vec<usize> {
        self.wheels.borrow().iter().map(|wheel| wheel.digit).collect()
    }

    /// The bytes that stand for the same decisions.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for wheel in &*self.wheels.borrow() {
            let most = wheel.bound.unwrap_or(1).saturating_sub(1);
            let count = (usize::BITS - most.leading_zeros()).div_ceil(8);
            let count = usize::try_from(count).expect("as few as a number has bytes");
            let all = wheel.digit.to_be_bytes();
            bytes.extend_from_slice(&all[all.len() - count..]);
        }
        bytes
    }

    /// The decision number `at`, and on to the next.
    pub(crate) fn digit(&self, at: &mut usize, bound: usize) -> usize {
        if bound <= 1 || self.is_beyond(*at) {
            return 0;
        }
        let mut wheels = self.wheels.borrow_mut();
        if *at == wheels.len() {
            wheels.push(Wheel { digit: 0, bound: None });
        }
        let wheel = wheels.get_mut(*at).expect("decisions are taken in turn");
        let known = *wheel.bound.get_or_insert(bound);
        assert_eq!(known, bound, "decision {at} has other ways than before: the run is not pure");
        assert!(wheel.digit < bound, "decision {at} has {bound} ways, not {}", wheel.digit);
        *at += 1;
        wheel.digit
    }

    /// Whether a run that has taken `at` decisions is where none was before.
    pub(crate) const fn is_new(&self, at: usize) -> bool {
        at >= self.known
    }

    /// Whether decision number `at` is beyond those that it turns.
    pub(crate) const fn is_beyond(&self, at: usize) -> bool {
        at >= self.depth
    }
}

/// The states that runs have come to, by which many ways to the same state become one.
///
/// Where states are compared, a run ends as soon as it comes to one from which everything was
/// tried out already. A state is what its `Debug` shows; it must show everything that what
/// follows depends on, how many decisions are left included.
#[derive(Default, Debug)]
pub struct States(BTreeSet<u64>);

impl States {
    /// Whether a run has been here before: not this one, on the way to what is new of it.
    pub fn is_old(&mut self, choices: &Choices, state: &impl Debug) -> bool {
        if !choices.is_new() {
            return false;
        }
        let mut hash = Hash::default();
        hash.shown(&state);
        !self.0.insert(hash.sum())
    }

    /// How many there were.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// How far the search of a space went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Searched {
    /// How many combinations were run.
    pub runs: u64,
    /// Whether these were all.
    pub whole: bool,
    /// How many decisions the longest run took.
    pub deepest: usize,
    /// How long it took.
    pub took: Duration,
}

/// Runs `run` with every combination of its first `depth` decisions, but at most `runs_max` times.
///
/// A run that panics is named, with what replays it.
pub fn search(depth: usize, runs_max: u64, mut run: impl FnMut(&mut Choices)) -> Searched {
    #[expect(clippy::disallowed_methods, reason = "how long a search took is told to people")]
    let since = Instant::now();
    let mut odometer = Odometer::new(depth);
    let mut searched = Searched { runs: 0, whole: false, deepest: 0, took: Duration::ZERO };
    while searched.runs < runs_max && !searched.whole {
        {
            let shown = Shown(&odometer);
            run(&mut Choices::shown_by(shown.0));
        }
        searched.runs += 1;
        searched.deepest = searched.deepest.max(odometer.wheels.borrow().len());
        searched.whole = !odometer.advance();
    }
    searched.took = since.elapsed();
    searched
}

/// [`search`], for a test: the space must be gone through, and is reported.
pub fn all(name: &str, depth: usize, runs_max: u64, run: impl FnMut(&mut Choices)) -> Searched {
    let searched = search(depth, runs_max, run);
    let Searched { runs, whole, deepest, took } = searched;
    println!("{name}: {runs} runs, up to {deepest} decisions of {depth}, {took:.1?}");
    assert!(whole, "{name}: {runs_max} runs are not enough");
    searched
}

/// Tells what an odometer shows when a run panics.
struct Shown<'a>(&'a Odometer);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("digits: {:?}\nbytes: {:02x?}", self.0.digits(), self.0.bytes());
        }
    }
}
