//! What a case says of one host, and of the ways between hosts.

use super::cpu::Cpu;
use crate::case::{Answer, Case, Fault, Link, Member, Shape, Span, Traffic, Way};
use core::cell::Cell;
use core::time::Duration;
use pico_core::Instant;
use std::collections::{BTreeMap, VecDeque};

/// The part of a case that is the kernel's to carry out.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    faults: Vec<Fault>,
    shape: Shape,
    /// From here on nothing new goes wrong.
    pub(super) heal: Instant,
}

/// What waits for one dial and for the bytes of its stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Fate {
    /// By which of the case's faults.
    pub(super) refused: Option<usize>,
    pub(super) blackholed: Option<usize>,
    /// By byte.
    pub(super) up: VecDeque<(u64, Hit)>,
    /// By byte.
    pub(super) down: VecDeque<(u64, Hit)>,
}

/// What befalls a stream at a byte, and by which of the case's faults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hit {
    pub(super) of: usize,
    pub(super) what: Blow,
}

/// What befalls a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Blow {
    Reset,
    /// For ever without a span.
    Stall(Option<Duration>),
}

/// When names are answered otherwise.
#[derive(Clone, Debug)]
pub(super) struct Lookups {
    /// By which of the case's faults, and whether anybody has looked anything up.
    pub(super) of: usize,
    pub(super) felt: Cell<bool>,
    pub(super) from: Instant,
    pub(super) to: Instant,
    pub(super) answer: Answer,
}

/// A while in which some ways are otherwise.
#[derive(Clone, Debug)]
pub(super) struct Spell {
    /// By which of the case's faults, and whether it has befallen anything.
    pub(super) of: usize,
    pub(super) felt: Cell<bool>,
    pub(super) from: Instant,
    pub(super) to: Instant,
    pub(super) what: Change,
    both: bool,
}

/// In what way they are.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Nothing passes; with flaps, for so many nanoseconds, and then again after as many.
    Cut {
        only: Traffic,
        flaps: Option<u64>,
    },
    Weather(Link),
}

/// In which groups of a spell a host is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sides {
    from: bool,
    to: bool,
}

impl Plan {
    pub(super) fn new(case: &Case) -> Self {
        let heal = Instant::ZERO + case.heal.0;
        Self { faults: case.faults.clone(), shape: case.shape.clone(), heal }
    }

    pub(super) fn zone(&self, member: Member) -> usize {
        self.shape.zone(member)
    }

    /// When what lasts so long is over.
    fn span(&self, at: Span, lasts: Span) -> (Instant, Instant) {
        let from = Instant::ZERO + at.0;
        (from, (from + lasts.0).min(self.heal))
    }

    pub(super) fn cpu(&self, member: Member) -> Cpu {
        let (mut pauses, mut slow) = (Vec::new(), Vec::new());
        for fault in &self.faults {
            if let Fault::Pause { who, at, lasts } = fault
                && self.shape.means(who, member)
            {
                pauses.push(self.span(*at, *lasts));
            } else if let Fault::Slow { who, at, lasts, times } = fault
                && self.shape.means(who, member)
            {
                let (from, to) = self.span(*at, *lasts);
                slow.push((from, to, *times));
            }
        }
        Cpu::new(pauses, slow)
    }

    /// By how many millionths its clock is fast.
    pub(super) fn drift(&self, member: Member) -> i64 {
        let ppm = self.faults.iter().filter_map(|fault| {
            let Fault::Drift { who, ppm } = fault else { return None };
            self.shape.means(who, member).then_some(i64::from(*ppm))
        });
        ppm.sum()
    }

    pub(super) fn lookups(&self, member: Member) -> Vec<Lookups> {
        let all = self.faults.iter().enumerate().filter_map(|(of, fault)| {
            let Fault::Names { who, at, lasts, answer } = fault else { return None };
            let (from, to) = self.span(*at, *lasts);
            let (felt, answer) = (Cell::new(false), *answer);
            self.shape.means(who, member).then_some(Lookups { of, felt, from, to, answer })
        });
        all.collect()
    }

    /// What waits for the dials of a host, by how manyeth they are.
    pub(super) fn fates(&self, member: Member) -> BTreeMap<u64, Fate> {
        let mut fates: BTreeMap<u64, Fate> = BTreeMap::new();
        for (of, fault) in self.faults.iter().enumerate() {
            let Some((who, dial)) = byte_located(fault) else { continue };
            if !self.shape.means(who, member) {
                continue;
            }
            let fate = fates.entry(dial).or_default();
            if let Fault::Reset { way, byte, .. } = fault {
                fate.add(*way, *byte, Hit { of, what: Blow::Reset });
            } else if let Fault::Stall { way, byte, lasts, .. } = fault {
                let what = Blow::Stall(lasts.map(|span| span.0));
                fate.add(*way, *byte, Hit { of, what });
            } else if let Fault::Refuse { .. } = fault {
                fate.refused = Some(of);
            } else {
                fate.blackholed = Some(of);
            }
        }
        fates
    }

    /// All spells, and whom they are about is for [`sides`](Self::sides) to say.
    pub(super) fn spells(&self) -> Vec<Spell> {
        let all = self.faults.iter().enumerate().filter_map(|(of, fault)| {
            let (at, lasts, both, what) =
                if let Fault::Cut { both, only, at, lasts, flaps, .. } = fault {
                    let flaps = flaps.map(|span| span.as_nanos().max(1));
                    (at, lasts, both, Change::Cut { only: *only, flaps })
                } else if let Fault::Weather { both, at, lasts, link, .. } = fault {
                    (at, lasts, both, Change::Weather(link.clone()))
                } else {
                    return None;
                };
            let (from, to) = self.span(*at, *lasts);
            Some(Spell { of, felt: Cell::new(false), from, to, what, both: *both })
        });
        all.collect()
    }

    /// In which groups of each spell a host is.
    pub(super) fn sides(&self, member: Member) -> Vec<Sides> {
        let all = self.faults.iter().filter_map(|fault| {
            let (Fault::Cut { from, to, .. } | Fault::Weather { from, to, .. }) = fault else {
                return None;
            };
            let [from, to] = [from, to].map(|who| self.shape.means(who, member));
            Some(Sides { from, to })
        });
        all.collect()
    }
}

impl Fate {
    fn add(&mut self, way: Way, byte: u64, hit: Hit) {
        let hits = match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        };
        let behind = hits.partition_point(|(other, _)| *other <= byte);
        hits.insert(behind, (byte, hit));
    }
}

/// Whose dial it waits for, and which, if it is one that waits for a dial.
fn byte_located(fault: &Fault) -> Option<(&str, u64)> {
    match fault {
        Fault::Reset { who, dial, .. }
        | Fault::Stall { who, dial, .. }
        | Fault::Refuse { who, dial }
        | Fault::Blackhole { who, dial } => Some((who, *dial)),
        Fault::Crash { .. }
        | Fault::PowerLoss { .. }
        | Fault::Stop { .. }
        | Fault::Pause { .. }
        | Fault::Slow { .. }
        | Fault::Drift { .. }
        | Fault::ClockBack { .. }
        | Fault::Namesake { .. }
        | Fault::Recycled { .. }
        | Fault::Turnover { .. }
        | Fault::Intruder { .. }
        | Fault::Churn { .. }
        | Fault::Cut { .. }
        | Fault::Weather { .. }
        | Fault::Names { .. } => None,
    }
}

impl Spell {
    /// Whether it is about what goes from one host to another.
    pub(super) const fn concerns(&self, from: Sides, to: Sides) -> bool {
        (from.from && to.to) || (self.both && from.to && to.from)
    }

    pub(super) fn is_on(&self, at: Instant) -> bool {
        (self.from..self.to).contains(&at)
    }

    /// Whether it cuts off this traffic now.
    pub(super) fn cuts(&self, at: Instant, what: Traffic) -> bool {
        let Change::Cut { only, flaps } = &self.what else { return false };
        let concerned = *only == Traffic::All || *only == what;
        let since = at.as_nanos().saturating_sub(self.from.as_nanos());
        let cuts = concerned
            && self.is_on(at)
            && flaps.is_none_or(|flap| (since / flap).is_multiple_of(2));
        self.felt.set(self.felt.get() || cuts);
        cuts
    }
}
