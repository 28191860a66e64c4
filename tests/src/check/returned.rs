//! Whether agents are back soon after their node has died, and spread.

use super::{Broken, Invariant, Judge as Look};
use crate::case::{Fault, Member, Role};
use crate::kernel::SeatId;
use crate::run::{Life, Run};
use core::time::Duration;
use pico_core::Instant;
use pico_core::note::Note;
use std::collections::{BTreeMap, BTreeSet};

/// Follows the tunnels of all agents.
#[derive(Debug, Default)]
pub(super) struct Judge {
    read: usize,
    /// The name of the node that an agent is at, or was when it was last online.
    at: BTreeMap<SeatId, String>,
    online: BTreeSet<SeatId>,
    /// Lives of nodes of which it was seen that they ended.
    mourned: BTreeSet<SeatId>,
    /// Agents that have lost their node, and when they have to be back.
    due: BTreeMap<SeatId, Instant>,
    /// Deaths whose agents are coming back.
    waves: Vec<Wave>,
}

/// The agents of a node that died come back to the others.
#[derive(Debug)]
struct Wave {
    began: Instant,
    lost: usize,
    /// How many tunnels each node has got since.
    came: BTreeMap<SeatId, usize>,
}

impl Look for Judge {
    fn invariant(&self) -> Invariant {
        Invariant {
            number: 14,
            name: "returned",
            sentence: "after a node dies its agents are back within 30 s, and no node sees more \
                       than twice its share of reconnects",
        }
    }

    fn look(&mut self, run: &Run) -> Result<(), Broken> {
        if !plain(run) {
            return Ok(());
        }
        self.mourn(run);
        self.hear(run);
        self.late(run)?;
        self.crowded(run)
    }
}

impl Judge {
    /// Finds nodes that have died, and who was there.
    fn mourn(&mut self, run: &Run) {
        let dead: Vec<(SeatId, Instant, String)> = run
            .cast
            .of(Role::Node)
            .filter_map(|life| Some((life.seats[0], life.ended?, life.name.clone())))
            .filter(|(seat, ..)| self.mourned.insert(*seat))
            .collect();
        for (_, ended, name) in dead {
            let there = |seat: &&SeatId| self.at.get(*seat).is_some_and(|at| *at == name);
            let lost: Vec<SeatId> = self.online.iter().filter(there).copied().collect();
            for seat in &lost {
                self.due.entry(*seat).or_insert(ended + BACK);
            }
            self.waves.push(Wave { began: ended, lost: lost.len(), came: BTreeMap::new() });
        }
    }

    /// Takes in what agents and nodes have said since.
    fn hear(&mut self, run: &Run) {
        let notes = run.world.notes();
        for (at, seat, note) in notes.get(self.read..).unwrap_or_default() {
            if let Note::Online { node, .. } = note {
                self.at.insert(*seat, node.clone());
                self.online.insert(*seat);
                self.due.remove(seat);
            } else if let Note::Offline { .. } = note {
                self.online.remove(seat);
            } else if let Note::Registered { .. } = note
                && let Some(node) = run.cast.whose(*seat)
            {
                for wave in &mut self.waves {
                    let within = (wave.began..=wave.began + BACK).contains(at);
                    if within && throughout(node, wave.began) {
                        *wave.came.entry(node.seats[0]).or_default() += 1;
                    }
                }
            }
        }
        self.read = notes.len();
    }

    /// Who should be back, and is not.
    fn late(&mut self, run: &Run) -> Result<(), Broken> {
        let now = run.world.now();
        let late: Vec<(SeatId, Instant)> = self
            .due
            .iter()
            .map(|(seat, due)| (*seat, *due))
            .filter(|(_, due)| *due < now)
            .collect();
        for (seat, due) in late {
            self.due.remove(&seat);
            let there =
                run.cast.whose(seat).is_some_and(|life| life.is_alive() && life.told.is_none());
            if there && could_return(run, due) {
                let at = self.at.get(&seat).cloned().unwrap_or_default();
                let detail = format!("{at} died, and its agent has no tunnel yet");
                return Err(self.broken(run, detail).by(seat));
            }
        }
        Ok(())
    }

    /// Who got more than twice its share.
    fn crowded(&mut self, run: &Run) -> Result<(), Broken> {
        let now = run.world.now();
        let waves = core::mem::take(&mut self.waves);
        let (over, open): (Vec<Wave>, Vec<Wave>) =
            waves.into_iter().partition(|wave| wave.began + BACK < now);
        // Two waves at once cannot be told apart.
        let alone = open.is_empty() && over.len() == 1;
        self.waves = open;
        for wave in over.iter().filter(|_| alone) {
            let nodes = run.cast.of(Role::Node).filter(|life| throughout(life, wave.began)).count();
            let share = wave.lost / nodes.max(1);
            let most = wave.came.iter().max_by_key(|(_, came)| **came);
            if let Some((seat, came)) = most.filter(|(_, came)| **came > 2 * share)
                && share >= SHARE_MIN
            {
                let detail = format!("{came} of {} agents came to one of {nodes} nodes", wave.lost);
                return Err(self.broken(run, detail).by(*seat));
            }
        }
        Ok(())
    }
}

/// Whether all that goes wrong is that nodes end.
fn plain(run: &Run) -> bool {
    let ends = |fault: &Fault| match fault {
        Fault::Crash { who, .. } | Fault::PowerLoss { who, .. } | Fault::Stop { who, .. } => {
            let hosts = run.case.shape.hosts();
            hosts.iter().filter(|host| run.case.shape.means(who, **host)).all(is_node)
        }
        Fault::ClockBack { .. } | Fault::Intruder { .. } => true,
        Fault::Pause { .. }
        | Fault::Slow { .. }
        | Fault::Drift { .. }
        | Fault::Namesake { .. }
        | Fault::Recycled { .. }
        | Fault::Turnover { .. }
        | Fault::Churn { .. }
        | Fault::Cut { .. }
        | Fault::Weather { .. }
        | Fault::Reset { .. }
        | Fault::Stall { .. }
        | Fault::Refuse { .. }
        | Fault::Blackhole { .. }
        | Fault::Names { .. } => false,
    };
    let link = &run.case.link;
    link.loss.millionths() == 0 && link.rate == 0 && run.case.faults.iter().all(ends)
}

fn is_node(member: &Member) -> bool {
    member.role == Role::Node
}

/// Whether a node was there for an agent that had until `due`: from long enough before.
fn could_return(run: &Run, due: Instant) -> bool {
    let died = Instant::ZERO + due.since(Instant::ZERO + BACK);
    run.cast
        .of(Role::Node)
        .any(|life| throughout(life, died) && life.ended.is_none_or(|at| at > due))
}

/// Whether a node was up and settled at a time, and was not told to stop within what follows.
fn throughout(life: &Life, at: Instant) -> bool {
    let settled = life.born == Instant::ZERO || life.born + BACK <= at;
    settled
        && life.told.is_none_or(|told| told > at + BACK)
        && life.ended.is_none_or(|end| end > at)
}

/// How long an agent may be without a tunnel once its node has died.
const BACK: Duration = Duration::from_secs(30);
/// The smallest share of which twice as much is no chance.
const SHARE_MIN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{Case, Shape, Span};
    use crate::kernel::Trace;

    /// Four nodes, half a minute after they were started, and one of them.
    fn four() -> (Run, SeatId) {
        let shape = Shape { nodes: 4, agents: 1, endpoints: 1, ..Shape::default() };
        let mut run = Run::new(Case { shape, ..Case::default() }, Trace::default());
        run.case.warm_up = Span::secs(35);
        run.warm_up();
        let seat = run.cast.of(Role::Node).next().expect("there are four").seats[0];
        (run, seat)
    }

    fn crowded(waves: Vec<Wave>, run: &Run) -> Result<(), Broken> {
        Judge { waves, ..Judge::default() }.crowded(run)
    }

    #[test]
    fn a_node_that_gets_more_than_twice_its_share_is_crowded() {
        let (run, seat) = four();
        let wave = |came| {
            let came = BTreeMap::from([(seat, came)]);
            Wave { began: Instant::ZERO, lost: 80, came }
        };
        assert_eq!(crowded(vec![wave(40)], &run), Ok(()));
        let broken = crowded(vec![wave(41)], &run).expect_err("it is too much");
        assert!(broken.detail.contains("41 of 80"), "{broken}");
        assert_eq!(crowded(vec![wave(41), wave(41)], &run), Ok(()), "they cannot be told apart");
    }
}
