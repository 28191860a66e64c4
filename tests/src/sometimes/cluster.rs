//! What a run that is over shows of nodes among each other.

use super::{Point, Reached};
use crate::case::{Fault, Intrusion, Role, Traffic};
use crate::gossip::{Peer, Told};
use crate::kernel::SeatId;
use crate::run::{Life, Run};
use core::time::Duration;
use pico_core::Instant;
use pico_core::gossip::State;
use pico_core::id::Boot;
use pico_core::note::{Gone, Note};
use std::collections::{BTreeMap, BTreeSet};

/// Adds the points that concern clusters.
pub(super) fn observe(run: &Run, reached: &mut Reached) {
    let lives: Vec<&Life> = run.cast.of(Role::Node).collect();
    for life in &lives {
        let Some(gossip) = run.gossip(life) else { continue };
        let counts = gossip.counts();
        add(reached, Point::Refuted, counts.refuted > 0);
        add(reached, Point::Strange, counts.strange > 0);
        let me = gossip.me();
        let before = lives.iter().filter_map(|other| run.gossip(other)).any(|other| {
            let other = other.me();
            other.id == me.id && other.boot != me.boot && other.generation + 1 == me.generation
        });
        let back = |fault: &Fault| matches!(fault, Fault::ClockBack { .. });
        add(reached, Point::Adopted, before && run.case.faults.iter().any(back));
        if run.case.shape.gossip_only {
            add(reached, Point::CameBack, told_back(run.world.host::<Peer>(life.seats[0])));
        }
    }
    let replays = |fault: &Fault| matches!(fault, Fault::Intruder { how: Intrusion::Replay, .. });
    let replayed = run.case.faults.iter().any(replays) && run.intrusions() > 0;
    add(reached, Point::Replayed, replayed);
    notes(run, &lives, reached);
    add(reached, Point::Deaf, run.case.faults.iter().any(|fault| deaf(run, fault)));
}

fn add(reached: &mut Reached, point: Point, yes: bool) {
    if yes {
        reached.add(point);
    }
}

/// Whether a node was told of the same life that it is dead, and then that it lives.
fn told_back(peer: &Peer) -> bool {
    let mut dead: BTreeSet<Boot> = BTreeSet::new();
    peer.told.iter().any(|(_, told)| match told {
        Told::Member(boot, State::Dead) => {
            dead.insert(*boot);
            false
        }
        Told::Member(boot, State::Alive) => dead.contains(boot),
        Told::Member(_, State::Leaving | State::Suspect | State::Left)
        | Told::Ready(_)
        | Told::Namesake
        | Told::Left => false,
    })
}

fn notes(run: &Run, lives: &[&Life], reached: &mut Reached) {
    let mut dead: BTreeMap<(SeatId, &str), Instant> = BTreeMap::new();
    for (at, seat, note) in run.world.notes() {
        if let Note::NodeGone { node, why: Gone::Dead } = note {
            dead.insert((*seat, node), *at);
        } else if let Note::NodeFound { node, .. } = note {
            let since = dead.remove(&(*seat, node.as_str()));
            let same = |life: &&Life| {
                let before = since.is_some_and(|since| life.born < since);
                life.name == *node && before && life.ended.is_none_or(|ended| ended > *at)
            };
            add(reached, Point::CameBack, lives.iter().any(same));
        }
        add(reached, Point::Unready, matches!(note, Note::Joined { complete: false, .. }));
        add(reached, Point::Namesake, matches!(note, Note::Namesake { .. }));
    }
}

/// Whether a fault let no datagram pass between nodes for long, and nobody was held dead.
fn deaf(run: &Run, fault: &Fault) -> bool {
    let Fault::Cut { from, to, both: true, only: Traffic::Datagrams, at, lasts, flaps: None } =
        fault
    else {
        return false;
    };
    let begins = Instant::ZERO + at.0;
    let ends = (begins + lasts.0).min(Instant::ZERO + run.case.heal.0);
    let nodes = from.starts_with("node") && to.starts_with("node");
    let dead = |(at, _, note): &(Instant, SeatId, Note)| {
        (begins..ends).contains(at) && matches!(note, Note::NodeGone { why: Gone::Dead, .. })
    };
    let others = run.case.shape.nodes > 1 && !run.case.shape.gossip_only;
    others && nodes && begins + LONG <= ends && !run.world.notes().iter().any(dead)
}

/// Longer than anybody is suspected.
const LONG: Duration = Duration::from_secs(10);
