//! Whom of several upstreams to ask.

use super::peers::Standing;
use super::routes::{Place, Upstream};
use crate::id::Boot;
use crate::seed::Dice;
use alloc::collections::BTreeMap;

/// Calls that one worker has under way, by where they went.
#[derive(Clone, Default, Debug)]
pub struct Loads {
    calls: BTreeMap<Place, u32>,
}

impl Loads {
    /// Nothing is under way.
    pub const fn new() -> Self {
        Self { calls: BTreeMap::new() }
    }

    /// A call goes to `place`.
    pub fn begin(&mut self, place: Place) {
        let calls = self.calls.entry(place).or_default();
        *calls = calls.saturating_add(1);
    }

    /// A call to `place` has ended.
    pub fn end(&mut self, place: Place) {
        if let Some(calls) = self.calls.get_mut(&place) {
            *calls = calls.saturating_sub(1);
            if *calls == 0 {
                self.calls.remove(&place);
            }
        }
    }

    /// Calls under way to `place`.
    pub fn get(&self, place: Place) -> u32 {
        self.calls.get(&place).copied().unwrap_or(0)
    }

    /// Calls under way in all.
    pub fn total(&self) -> u64 {
        let (tunnels, nodes) = self.totals();
        tunnels + nodes
    }

    /// Calls under way to tunnels of this node, and to other nodes.
    pub fn totals(&self) -> (u64, u64) {
        let (mut tunnels, mut nodes) = (0, 0);
        for (place, calls) in &self.calls {
            *if place.is_remote() { &mut nodes } else { &mut tunnels } += u64::from(*calls);
        }
        (tunnels, nodes)
    }
}

/// Where a call has failed, before it is tried once more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tried {
    /// The place.
    pub place: Place,
    /// How it failed there.
    pub failure: Failure,
}

/// How a call has failed at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// Nothing of it has got there, or nothing that was taken.
    Unreached,
    /// The place has said that it does not serve the endpoint.
    Stale,
    /// Otherwise: it was refused, or lost when it may have run.
    Lost,
}

impl Tried {
    /// Whether the call may go there again, before others that are not well: the place is a node
    /// that holds several upstreams, and lost or refused the call only as one of them did.
    fn may_serve(self, upstream: &Upstream) -> bool {
        upstream.place.is_remote() && upstream.weight > 1 && self.failure != Failure::Stale
    }

    /// Whether the call may go there again when nobody else is left: the place is a node of which
    /// this one has not heard that it would not serve.
    fn may_be_reached(self, upstream: &Upstream) -> bool {
        upstream.place.is_remote() && self.failure == Failure::Unreached
    }
}

/// Picks the less loaded of two random candidates: a node that is not [`Standing::Alive`] only if
/// nothing else serves; a node of which `standing` knows nothing, never. Where the call was
/// `tried` it goes again only if that is a node of several upstreams, and no other is well; or a
/// node that it has not reached, and there is no other.
///
/// The load of a candidate is (calls under way + 1) / weight, doubled if it is remote. Two
/// choices spread almost as well as knowing all loads, and do not herd (Mitzenmacher, 2001).
pub fn choose(
    upstreams: &[Upstream],
    loads: &Loads,
    standing: impl Fn(Boot) -> Option<Standing>,
    tried: Option<Tried>,
    dice: &mut Dice,
) -> Option<Upstream> {
    let stands = |u: &Upstream| match u.place {
        Place::Tunnel { .. } => Some(Standing::Alive),
        Place::Node(boot) => standing(boot),
    };
    let fit = |well: bool| {
        let stands = &stands;
        move |u: &&Upstream| {
            let fits = stands(u).is_some_and(|stands| (stands == Standing::Alive) == well);
            fits && tried.is_none_or(|tried| tried.place != u.place)
        }
    };
    let again = |may: fn(Tried, &Upstream) -> bool| {
        let tried = tried?;
        let upstream = upstreams.iter().find(|u| u.place == tried.place)?;
        may(tried, upstream).then_some(*upstream)
    };
    let well = upstreams.iter().any(|u| fit(true)(&u));
    let same = again(Tried::may_serve).filter(|u| stands(u) == Some(Standing::Alive) && !well);
    if same.is_some() {
        return same;
    }
    let mut fits = upstreams.iter().filter(fit(well));
    let count = fits.clone().count();
    if count == 0 {
        return again(Tried::may_be_reached).filter(|u| stands(u).is_some());
    }
    if count == 1 {
        return fits.next().copied();
    }
    let bound = u64::try_from(count).unwrap_or(u64::MAX);
    let first = dice.below(bound);
    let other = (first + 1 + dice.below(bound - 1)) % bound;
    let nth = |at: u64| fits.clone().nth(usize::try_from(at).unwrap_or(0));
    let (first, other) = (nth(first)?, nth(other)?);
    Some(if lighter(other, first, loads) { *other } else { *first })
}

/// Whether `a` carries strictly less than `b`, by cross-multiplication of their loads.
fn lighter(a: &Upstream, b: &Upstream, loads: &Loads) -> bool {
    let work = |u: &Upstream| (u64::from(loads.get(u.place)) + 1) << u32::from(u.place.is_remote());
    let weight = |u: &Upstream| u64::from(u.weight.max(1));
    work(a) * weight(b) < work(b) * weight(a)
}
