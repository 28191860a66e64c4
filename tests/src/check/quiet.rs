//! Whether gossip keeps its bounds, and its peace.

use super::gossipers::{self, Found, Gossiper, Turns};
use super::{Broken, Invariant, Judge as Look};
use crate::case::Fault;
use crate::kernel::SeatId;
use crate::run::{Moment, Run};
use crate::sometimes;
use pico_core::gossip::{Counts, Held};
use pico_core::host::DATAGRAM_MAX;
use std::collections::BTreeMap;

/// Looks at how much nodes hold and send, and whom they suspect.
#[derive(Debug, Default)]
pub(super) struct Judge {
    turns: Turns,
    /// What each had suspected when all had come to rest.
    before: BTreeMap<SeatId, u64>,
}

impl Look for Judge {
    fn invariant(&self) -> Invariant {
        Invariant {
            number: 5,
            name: "quiet",
            sentence: "no datagram exceeds the MTU, every queue, ring and table keeps its bound, \
                       and a quiet cluster suspects nobody",
        }
    }

    fn look(&mut self, run: &Run) -> Result<(), Broken> {
        let long = run.world.net().counts().datagrams_too_long;
        if long > 0 && wide(run) {
            return Err(self.broken(run, format!("{long} datagrams were too long")));
        }
        let all = gossipers::all(run);
        let some = self.turns.of(&all, run.moment == Moment::Rest);
        let found = some.iter().find_map(|one| overfull(one).err());
        let found = found.or_else(|| self.suspicious(run, &all));
        match found {
            Some(Found { seat, detail }) => Err(self.broken(run, detail).by(seat)),
            None => Ok(()),
        }
    }
}

impl Judge {
    /// Who suspects somebody though nothing is wrong.
    fn suspicious(&mut self, run: &Run, all: &[Gossiper<'_>]) -> Option<Found> {
        let link = &run.case.link;
        // What finds no place in a queue is lost.
        if link.loss.millionths() > 0 || link.rate > 0 {
            return None;
        }
        let calm = run.is_calm() && run.moment < Moment::Stopping;
        let settled = gossipers::still_since(run)
            .is_some_and(|since| run.world.now() >= since + gossipers::bound(run));
        if !calm && !settled {
            self.before.clear();
            return None;
        }
        all.iter().filter(|one| one.up).find_map(|one| {
            let Counts { suspicions, deaths, refuted, .. } = one.gossip.counts();
            let count = suspicions + deaths + refuted;
            let first = if calm { 0 } else { count };
            let before = *self.before.entry(one.seat).or_insert(first);
            let detail = format!("nothing is wrong, but {:?}", one.gossip.counts());
            (count > before).then_some(Found { seat: one.seat, detail })
        })
    }
}

/// Whether a node holds more than it may.
fn overfull(one: &Gossiper<'_>) -> Result<(), Found> {
    sometimes!(Snapshot if one.gossip.held().fetches > 0);
    match one.gossip.held().beyond(&Held::MOST) {
        Some((what, count)) => {
            let detail = format!("it holds {count} of {what}");
            Err(Found { seat: one.seat, detail })
        }
        None => Ok(()),
    }
}

/// Whether every way carries the longest datagram.
fn wide(run: &Run) -> bool {
    let narrow =
        |fault: &Fault| matches!(fault, Fault::Weather { link, .. } if link.mtu < DATAGRAM_MAX);
    run.case.link.mtu >= DATAGRAM_MAX && !run.case.faults.iter().any(narrow)
}
