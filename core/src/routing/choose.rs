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
    /// Whether it has said that it does not serve the endpoint.
    pub stale: bool,
}

impl Tried {
    /// Whether the call may go there again for want of another: the place is a node that holds
    /// several upstreams, and lost or refused the call only as one of them did.
    fn may_serve(self, upstream: &Upstream) -> bool {
        upstream.place.is_remote() && upstream.weight > 1 && !self.stale
    }
}

/// Picks the less loaded of two random candidates: a node that is not [`Standing::Alive`] only if
/// nothing else serves; a node of which `standing` knows nothing, never. Where the call was
/// `tried` it goes again only if that is a node of several upstreams, and no other is well.
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
    let fit = |well: bool| {
        let standing = &standing;
        move |u: &&Upstream| {
            let stands = match u.place {
                Place::Tunnel { .. } => Some(Standing::Alive),
                Place::Node(boot) => standing(boot),
            };
            let fits = stands.is_some_and(|stands| (stands == Standing::Alive) == well);
            fits && tried.is_none_or(|tried| tried.place != u.place)
        }
    };
    let well = upstreams.iter().any(|u| fit(true)(&u));
    let again = |u: &&Upstream| {
        let alive = matches!(u.place, Place::Node(boot) if standing(boot) == Some(Standing::Alive));
        alive && tried.is_some_and(|tried| tried.place == u.place && tried.may_serve(u))
    };
    if let Some(again) = upstreams.iter().find(again).filter(|_| !well) {
        return Some(*again);
    }
    let mut fits = upstreams.iter().filter(fit(well));
    let count = fits.clone().count();
    if count < 2 {
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
