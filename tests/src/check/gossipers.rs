//! The gossip of every node of a run, as judges look at it.

use crate::case::Role;
use crate::kernel::SeatId;
use crate::run::{Life, Moment, Run};
use core::time::Duration;
use pico_core::Instant;
use pico_core::gossip::Machine;
use pico_core::id::Boot;
use std::collections::{BTreeMap, BTreeSet};

/// The gossip of one life of a node.
#[derive(Clone, Copy, Debug)]
pub struct Gossiper<'a> {
    /// Its machine.
    pub seat: SeatId,
    /// Whether its process goes on. What it knew is there even afterwards.
    pub up: bool,
    /// What it knows.
    pub gossip: &'a Machine,
}

/// What a judge of gossip finds broken, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// At whom.
    pub seat: SeatId,
    /// What does not hold.
    pub detail: String,
}

/// All lives of all nodes of the cluster, in the order in which they began; nodes that are alone
/// do not gossip.
pub(super) fn all(run: &Run) -> Vec<Gossiper<'_>> {
    let lives = run.cast.of(Role::Node).filter(|life| !life.foreign);
    lives.filter_map(|life| gossiper(run, life)).collect()
}

/// All lives of nodes of another cluster.
pub(super) fn foreign(run: &Run) -> Vec<Gossiper<'_>> {
    let lives = run.cast.of(Role::Node).filter(|life| life.foreign);
    lives.filter_map(|life| gossiper(run, life)).collect()
}

fn gossiper<'a>(run: &'a Run, life: &Life) -> Option<Gossiper<'a>> {
    let seat = *life.seats.first()?;
    let up = life.is_alive() && !run.world.is_done(seat);
    run.gossip(life).map(|gossip| Gossiper { seat, up, gossip })
}

/// Who is which boot.
pub(super) fn owners<'a>(all: &[Gossiper<'a>]) -> BTreeMap<Boot, Gossiper<'a>> {
    all.iter().map(|one| (one.gossip.me().boot, *one)).collect()
}

/// Whom a node has to know: everybody that lives. If nobody does whom a new node is told to join,
/// nodes that never heard of each other cannot meet, and it is those of whom it has heard, those
/// who have heard of it, and so on.
pub(super) fn circle(run: &Run, one: &Gossiper<'_>, live: &[Gossiper<'_>]) -> BTreeSet<Boot> {
    let boots: BTreeSet<Boot> = live.iter().map(|other| other.gossip.me().boot).collect();
    if run.can_be_joined() {
        return boots;
    }
    let mut circle = BTreeSet::from([one.gossip.me().boot]);
    loop {
        let before = circle.len();
        for other in live {
            let mut heard: BTreeSet<Boot> =
                other.gossip.members().map(|member| member.boot).collect();
            heard.insert(other.gossip.me().boot);
            if !heard.is_disjoint(&circle) {
                circle.extend(heard.intersection(&boots));
            }
        }
        if circle.len() == before {
            return circle;
        }
    }
}

/// Since when nothing has happened to the processes of nodes and to the net between them, if
/// nothing goes wrong any more and nobody was told to stop.
pub(super) fn still_since(run: &Run) -> Option<Instant> {
    if !matches!(run.moment, Moment::Healed | Moment::Rest) {
        return None;
    }
    let mut since = Instant::ZERO + run.case.heal.0;
    for life in run.cast.of(Role::Node) {
        if life.is_alive() && life.told.is_some() {
            return None;
        }
        since = since.max(life.born).max(life.ended.unwrap_or(since));
    }
    Some(since)
}

/// How long a cluster may take to know everything once nothing goes wrong: as the design has it
/// for links of a millisecond, and as long again for those that lose. Where more have died of late
/// than are left, whoever is left has to probe them all.
pub fn bound(run: &Run) -> Duration {
    let lately = Instant::ZERO + run.case.heal.0.saturating_sub(LATELY);
    let (mut up, mut dead) = (0, 0);
    for life in run.cast.of(Role::Node).filter(|life| !life.foreign) {
        up += u32::from(life.is_alive());
        dead += u32::from(life.told.is_none() && life.ended.is_some_and(|at| at >= lately));
    }
    let healed = match up {
        0..=16 => Duration::from_secs(15),
        17..=128 => Duration::from_secs(20),
        _ => Duration::from_secs(45),
    };
    // Whoever has crashed just before has yet to be found dead.
    let mut detected = Duration::from_secs(10);
    if dead > up {
        let period = Duration::from_millis(250);
        let decades = (up + dead).ilog10() + 1;
        detected += period * (up + dead) + Duration::from_secs(24) * decades;
    }
    let lossless = run.case.link.loss.millionths() == 0;
    if lossless { healed + detected } else { (healed + detected) * 2 }
}

/// Deals the work of looking at everybody to several looks, where there are many.
#[derive(Debug, Default)]
pub(super) struct Turns {
    next: usize,
}

impl Turns {
    /// Those of `all` that are up and whose turn it is; everybody if that is not much work, or if
    /// it is the last look of all.
    pub(super) fn of<'a>(&mut self, all: &[Gossiper<'a>], last: bool) -> Vec<Gossiper<'a>> {
        let up: Vec<Gossiper<'a>> = all.iter().copied().filter(|one| one.up).collect();
        let share = (PAIRS / up.len().max(1)).max(1);
        if last || share >= up.len() {
            return up;
        }
        let from = self.next % up.len();
        self.next = from + share;
        up.iter().cycle().skip(from).take(share).copied().collect()
    }
}

/// Members that are looked at in one look.
const PAIRS: usize = 4_096;
/// How long those who died are of interest.
const LATELY: Duration = Duration::from_mins(5);
