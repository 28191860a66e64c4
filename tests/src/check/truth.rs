//! Whether everybody knows how it is, once nothing goes wrong any more.

use super::gossipers::{self, Gossiper, Turns};
use super::{Broken, Invariant, Judge as Look};
use crate::case::Case;
use crate::kernel::SeatId;
use crate::run::{Moment, Run};
use core::time::Duration;
use pico_core::Instant;
use pico_core::gossip::directory::{Replica, weight_of};
use pico_core::id::Boot;
use pico_core::routing::{EndpointId, Place, Routes};
use std::collections::{BTreeMap, BTreeSet};

/// Compares what every node knows with how it is.
#[derive(Debug, Default)]
pub(super) struct Judge {
    turns: Turns,
    /// How far every log was written, and since when nobody has written anything.
    heads: BTreeMap<Boot, u64>,
    written: Instant,
}

/// What somebody knows otherwise than it is.
type Wrong = (SeatId, String);

impl Look for Judge {
    fn invariant(&self) -> Invariant {
        Invariant {
            number: 3,
            name: "truth",
            sentence: "after heal, membership and routes equal the truth at every live node, \
                       whatever the partition's length",
        }
    }

    fn look(&mut self, run: &Run) -> Result<(), Broken> {
        let Some(since) = gossipers::still_since(run) else { return Ok(()) };
        let all: Vec<Gossiper<'_>> = gossipers::all(run).into_iter().filter(|one| one.up).collect();
        let now = run.world.now();
        let heads: BTreeMap<Boot, u64> = all.iter().map(head).collect();
        if self.heads != heads {
            (self.heads, self.written) = (heads, now);
        }
        if now < since + gossipers::bound(run) {
            return Ok(());
        }
        let some = self.turns.of(&all, run.moment == Moment::Rest);
        let longest = self.heads.values().max().copied().unwrap_or(0);
        let told = now >= self.written + SPREAD + carried(&run.case, longest);
        let wrong = some.iter().find_map(|one| {
            let boots = gossipers::circle(run, one, &all);
            let logs = || if told { logs(one, &all, &boots) } else { None };
            let known = members(one, &boots).or_else(logs);
            known.or_else(|| if told { routes(run, one) } else { None })
        });
        match wrong {
            Some((seat, detail)) => Err(self.broken(run, detail).by(seat)),
            None => Ok(()),
        }
    }
}

fn head(one: &Gossiper<'_>) -> (Boot, u64) {
    let boot = one.gossip.me().boot;
    (boot, one.gossip.directory(boot).map_or(0, Replica::head))
}

/// Whether those whom a node holds for live are those that live.
fn members(one: &Gossiper<'_>, boots: &BTreeSet<Boot>) -> Option<Wrong> {
    let me = one.gossip.me();
    let live = one.gossip.members().filter(|member| member.state.is_live());
    let mut held: BTreeSet<Boot> = live.map(|member| member.boot).collect();
    held.insert(me.boot);
    let missing = boots.difference(&held).count();
    let ghosts = held.difference(boots).count();
    let detail = || format!("{} misses {missing} and has {ghosts} too many", me.id);
    (held != *boots).then(|| (one.seat, detail()))
}

/// Whether a node has read every log to its end.
fn logs(one: &Gossiper<'_>, all: &[Gossiper<'_>], boots: &BTreeSet<Boot>) -> Option<Wrong> {
    all.iter().filter(|other| boots.contains(&other.gossip.me().boot)).find_map(|other| {
        let (boot, head) = head(other);
        let read = one.gossip.directory(boot).map(Replica::head);
        let (me, other) = (&one.gossip.me().id, &other.gossip.me().id);
        let detail = || format!("{me} knows the log of {other} to {read:?} of {head}");
        (read != Some(head)).then(|| (one.seat, detail()))
    })
}

/// Whether a node's routes are what its tunnels and the logs amount to.
fn routes(run: &Run, one: &Gossiper<'_>) -> Option<Wrong> {
    let node = run.node_at(one.seat)?;
    let me = one.gossip.me();
    let mut meant: BTreeMap<(EndpointId, Boot), u32> = BTreeMap::new();
    for member in one.gossip.members() {
        let entries = one.gossip.directory(member.boot).into_iter().flat_map(Replica::iter);
        for (endpoint, weight) in entries {
            meant.insert((endpoint.clone(), member.boot), u32::from(weight));
        }
    }
    let own = one.gossip.directory(me.boot)?;
    let local = tunnels(node.routes());
    let said: BTreeMap<EndpointId, u8> =
        own.iter().map(|(endpoint, weight)| (endpoint.clone(), weight)).collect();
    if local != said {
        let detail = format!("{} holds {local:?} and says {said:?}", me.id);
        return Some((one.seat, detail));
    }
    let held = remote(node.routes());
    let detail = || format!("{} sends to {held:?}, and should to {meant:?}", me.id);
    (held != meant).then(|| (one.seat, detail()))
}

/// The endpoints that a node itself has tunnels of, each with its weight.
fn tunnels(routes: &Routes) -> BTreeMap<EndpointId, u8> {
    let mut counts: BTreeMap<EndpointId, u32> = BTreeMap::new();
    for (endpoint, upstreams) in routes.iter() {
        let local = upstreams.iter().filter(|upstream| !upstream.place.is_remote()).count();
        if local > 0 {
            counts.insert(endpoint.clone(), u32::try_from(local).unwrap_or(u32::MAX));
        }
    }
    counts.into_iter().map(|(endpoint, count)| (endpoint, weight_of(count))).collect()
}

/// What other nodes serve, as a node's routes have it.
fn remote(routes: &Routes) -> BTreeMap<(EndpointId, Boot), u32> {
    let mut held = BTreeMap::new();
    for (endpoint, upstreams) in routes.iter() {
        for upstream in upstreams {
            if let Place::Node(boot) = upstream.place {
                held.insert((endpoint.clone(), boot), upstream.weight);
            }
        }
    }
    held
}

/// How long a change may take to be known everywhere, however many packets are lost.
const SPREAD: Duration = Duration::from_secs(10);
/// How long a log of so many entries may be on its way besides: twice, because whom one asks may
/// have to ask first.
///
/// The narrowest stream of the simulated net carries `WINDOW` bytes in a round trip. Of those who
/// lose packets, every one that is lost holds up all behind it for one wait.
fn carried(case: &Case, entries: u64) -> Duration {
    let (link, name) = (&case.link, case.shape.name_bytes * 2);
    let bytes = entries * (name.max(SHORT) + BESIDE) as u64;
    let round = (link.latency.0 + link.jitter.0 + link.zone_latency.0) * 2;
    let lost = AGAIN.as_nanos() * 2 * u128::from(link.loss.millionths()) / 1_000_000;
    let window = round.as_nanos() + lost;
    let paced = window * u128::from(bytes) / WINDOW;
    let rated = u128::from(bytes) * 1_000_000_000 / u128::from(link.rate.max(1));
    let nanos = 2 * (paced + if link.rate > 0 { rated } else { 0 });
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Bytes of the names that are not made longer, and of an entry beside its name.
const SHORT: usize = 16;
const BESIDE: usize = 4;
/// The smallest window of any stream: a quarter of the smallest one that `kernel::net` draws.
const WINDOW: u128 = 1_000;
/// The first wait for what was lost.
const AGAIN: Duration = Duration::from_millis(200);
