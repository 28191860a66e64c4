//! Makes a case smaller while it still breaks what it breaks.

use crate::case::{Case, Fault, Kind, Link, Shape, Span};
use std::collections::BTreeSet;

/// What shrinking came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shrunk {
    /// The smallest case that was found.
    pub case: Case,
    /// How many cases were tried.
    pub tried: usize,
    /// Whether nothing smaller was found, and not only the budget used up.
    pub minimal: bool,
}

/// Shrinks `case` with at most `budget` calls of `fails`, which must be true of `case` itself:
/// first faults go, then requests, kinds of requests and hosts, then what is left is weakened,
/// and so on until nothing helps any more.
pub fn shrink(case: Case, budget: usize, fails: impl FnMut(&Case) -> bool) -> Shrunk {
    let mut search = Search { case, tried: 0, budget, fails };
    loop {
        let before = search.case.clone();
        search.faults();
        search.requests();
        search.kinds();
        search.shape();
        search.weaken();
        if search.case == before || search.tried >= budget {
            let minimal = search.case == before;
            return Shrunk { case: search.case, tried: search.tried, minimal };
        }
    }
}

struct Search<F> {
    case: Case,
    tried: usize,
    budget: usize,
    fails: F,
}

impl<F: FnMut(&Case) -> bool> Search<F> {
    /// Takes `smaller` if it fails too.
    fn offer(&mut self, mut smaller: Case) -> bool {
        let shape = smaller.shape.clone();
        smaller.faults.retain(|fault| fault.names().iter().all(|name| shape.knows(name)));
        // An endpoint that nobody serves fails in a way of its own.
        let served = shape.endpoints <= shape.agents || self.case.shape.endpoints > shape.agents;
        if smaller == self.case || !served || self.tried >= self.budget {
            return false;
        }
        self.tried += 1;
        let taken = (self.fails)(&smaller);
        if taken {
            self.case = smaller;
        }
        taken
    }

    /// The case with a change.
    fn with(&self, change: impl FnOnce(&mut Case)) -> Case {
        let mut case = self.case.clone();
        change(&mut case);
        case
    }

    /// Leaves out as many of `items` as possible, big pieces first.
    fn thin<T: Clone>(&mut self, mut items: Vec<T>, put: impl Fn(&mut Case, &[T])) {
        let mut piece = items.len();
        while piece > 0 {
            let mut at = 0;
            while at < items.len() {
                let end = (at + piece).min(items.len());
                let mut fewer = items.clone();
                fewer.drain(at..end);
                if self.offer(self.with(|case| put(case, &fewer))) {
                    items = fewer;
                } else {
                    at = end;
                }
            }
            piece /= 2;
        }
    }

    fn faults(&mut self) {
        let faults = self.case.faults.clone();
        self.thin(faults, |case, fewer| case.faults = fewer.to_vec());
    }

    fn requests(&mut self) {
        let load = &self.case.load;
        let ids: Vec<u64> = load.ids(false).chain(load.ids(true)).collect();
        // None at all would read as all of them.
        self.thin(ids, |case, fewer| {
            if !fewer.is_empty() {
                case.load.only = fewer.iter().copied().collect();
            }
        });
    }

    fn kinds(&mut self) {
        let kinds: Vec<Kind> = self.case.load.kinds.iter().copied().collect();
        self.thin(kinds, |case, fewer| {
            case.load.kinds = fewer.iter().copied().collect::<BTreeSet<_>>();
        });
    }

    fn shape(&mut self) {
        let counts: [fn(&mut Shape) -> &mut usize; 6] = [
            |shape| &mut shape.agents,
            |shape| &mut shape.clients,
            |shape| &mut shape.lanes,
            |shape| &mut shape.endpoints,
            |shape| &mut shape.zones,
            |shape| &mut shape.nodes,
        ];
        for count in counts {
            self.lower(
                |case, value| *count(&mut case.shape) = value,
                |case| *count(&mut case.shape.clone()),
            );
        }
        self.lower(
            |case, value| case.shape.workers = u16::try_from(value).unwrap_or(1),
            |case| usize::from(case.shape.workers),
        );
        self.offer(self.with(|case| case.shape.balancer = false));
        let usual = Shape::default();
        self.offer(self.with(|case| case.shape.window_bytes = usual.window_bytes));
        self.offer(self.with(|case| case.shape.outbox_bytes = usual.outbox_bytes));
        self.offer(self.with(|case| case.shape.drain_delay = Span::default()));
    }

    /// Makes a count as small as it can be, by trying 1, then half, then one less.
    fn lower(&mut self, put: impl Fn(&mut Case, usize), now: impl Fn(&Case) -> usize) {
        loop {
            let count = now(&self.case);
            let tries = [1, count / 2, count.saturating_sub(1)];
            let better = tries.into_iter().filter(|less| *less >= 1 && *less < count);
            let taken =
                better.into_iter().any(|less| self.offer(self.with(|case| put(case, less))));
            if !taken {
                return;
            }
        }
    }

    fn weaken(&mut self) {
        self.offer(self.with(|case| case.link = Link::default()));
        self.offer(self.with(|case| case.link.loss = Link::default().loss));
        self.offer(self.with(|case| case.link.rate = 0));
        self.offer(self.with(|case| case.load.every = Span::default()));
        for body_bytes in [100, 10_000] {
            if body_bytes < self.case.load.body_bytes {
                self.offer(self.with(|case| case.load.body_bytes = body_bytes));
            }
        }
        for at in 0..self.case.faults.len() {
            for way in WEAKER {
                while let Some(weaker) = self.case.faults.get(at).and_then(|fault| way.of(fault)) {
                    let put = |case: &mut Case| {
                        if let Some(place) = case.faults.get_mut(at) {
                            *place = weaker;
                        }
                    };
                    if !self.offer(self.with(put)) {
                        break;
                    }
                }
            }
        }
    }
}

/// A way to make a fault weaker: by one of its properties, whatever fault it is.
#[derive(Clone, Copy)]
enum Weaker {
    /// Without this.
    Drop(&'static str),
    /// With half of this span.
    Halve(&'static str),
}

const WEAKER: [Weaker; 6] = [
    Weaker::Drop("both"),
    Weaker::Drop("renamed"),
    Weaker::Drop("flaps"),
    Weaker::Halve("lasts"),
    Weaker::Halve("back"),
    Weaker::Halve("at"),
];

impl Weaker {
    /// The weaker fault; `None` if it cannot be weaker in this way.
    fn of(self, fault: &Fault) -> Option<Fault> {
        let mut value = serde_json::to_value(fault).ok()?;
        let all = value.as_object_mut()?;
        match self {
            Self::Drop(name) => {
                all.remove(name)?;
            }
            Self::Halve(name) => {
                let place = all.get_mut(name)?;
                let span: Span = serde_json::from_value(place.clone()).ok()?;
                // Round numbers are easier to read.
                let millis = u64::try_from(span.0.as_millis()).ok()? / 2;
                *place = serde_json::to_value(Span::millis(millis)).ok()?;
                if span.0.is_zero() {
                    return None;
                }
            }
        }
        serde_json::from_value(value).ok().filter(|weaker| weaker != fault)
    }
}
