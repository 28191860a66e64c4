//! What must hold of every run: invariants, each with a number, a name and one sentence, in a
//! file of its own.

mod answered;
mod bounded;
mod bytes;
mod conserved;
mod drained;
pub mod ghosts;
pub mod gossipers;
mod isolated;
mod once;
mod placed;
pub mod prefix;
mod quiet;
mod rest;
mod returned;
mod told;
mod truth;

use crate::actors::Service;
use crate::case::Role;
use crate::kernel::SeatId;
use crate::run::Run;
use core::fmt;
use pico_core::Instant;
use std::collections::BTreeMap;

/// Something that must hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Invariant {
    /// Its number, by which documents name it.
    pub number: u8,
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub sentence: &'static str,
}

/// One who looks whether an invariant holds, again and again while a run goes on.
pub trait Judge {
    /// Which one.
    fn invariant(&self) -> Invariant;

    /// Looks at how far the run has come; says what does not hold.
    ///
    /// # Errors
    /// What is broken, for the first time.
    fn look(&mut self, run: &Run) -> Result<(), Broken>;

    /// The words for what does not hold now.
    fn broken(&self, run: &Run, detail: String) -> Broken {
        let (seat, request, dump) = (None, None, "".into());
        Broken { invariant: self.invariant(), at: run.world.now(), seat, request, detail, dump }
    }
}

/// A broken invariant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// Which one.
    pub invariant: Invariant,
    /// When it was found, or when it happened if that is known.
    pub at: Instant,
    /// At which machine, if at one.
    pub seat: Option<SeatId>,
    /// In which request, if in one.
    pub request: Option<u64>,
    /// What does not hold.
    pub detail: String,
    /// What it was seen by, as those who found it show it: for whoever works on Pico.
    pub dump: Box<str>,
}

impl Broken {
    /// It happened then, and not now.
    fn at(self, at: Instant) -> Self {
        Self { at, ..self }
    }

    /// It happened at this machine.
    fn by(self, seat: SeatId) -> Self {
        Self { seat: Some(seat), ..self }
    }

    /// It was seen by this.
    fn seen(self, dump: fmt::Arguments<'_>) -> Self {
        Self { dump: dump.to_string().into(), ..self }
    }

    /// It happened to this request.
    fn of_request(self, id: u64) -> Self {
        Self { request: Some(id), ..self }
    }
}

impl Broken {
    /// Which invariant it is, when it broke, and what it says; not what was found.
    pub fn headline(&self) -> String {
        let Invariant { number, name, sentence } = self.invariant;
        let secs = self.at.since(Instant::ZERO).as_secs_f64();
        format!("invariant {number} ({name}) is broken at {secs:.6} s\n  it says: {sentence}")
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.headline())?;
        if let Some(request) = self.request {
            write!(f, "  request {request}: ")?;
        } else {
            write!(f, "  found: ")?;
        }
        write!(f, "{}", self.detail)
    }
}

/// One judge of each invariant.
pub fn judges() -> Vec<Box<dyn Judge>> {
    vec![
        Box::<bounded::Judge>::default(),
        Box::<answered::Judge>::default(),
        Box::<once::Judge>::default(),
        Box::<placed::Judge>::default(),
        Box::<bytes::Judge>::default(),
        Box::<drained::Judge>::default(),
        Box::<rest::Judge>::default(),
        Box::<conserved::Judge>::default(),
        Box::<prefix::Judge>::default(),
        Box::<ghosts::Judge>::default(),
        Box::<truth::Judge>::default(),
        Box::<isolated::Judge>::default(),
        Box::<quiet::Judge>::default(),
        Box::<returned::Judge>::default(),
        Box::<told::Judge>::default(),
    ]
}

/// What has been added to lists that only grow, since it was last asked for.
#[derive(Debug, Default)]
struct New(BTreeMap<SeatId, usize>);

impl New {
    /// Those of `all` that are new at this machine.
    fn of<'a, T>(&mut self, seat: SeatId, all: &'a [T]) -> &'a [T] {
        let seen = self.0.insert(seat, all.len()).unwrap_or_default();
        all.get(seen..).unwrap_or_default()
    }
}

/// All lives of all services.
fn services(run: &Run) -> impl Iterator<Item = (SeatId, &Service)> {
    let seats = run.cast.of(Role::Service).map(|life| life.seats[0]);
    seats.map(|seat| (seat, run.world.host::<Service>(seat)))
}
