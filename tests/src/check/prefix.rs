//! Whether what nodes know of each other's endpoints is what their owners said.

use super::gossipers::{self, Found, Gossiper, Turns};
use super::{Broken, Invariant, Judge as Look};
use crate::hash::Hash;
use crate::kernel::SeatId;
use crate::run::{Moment, Run};
use pico_core::gossip::directory::{Replica, RingLimits};
use pico_core::id::Boot;
use pico_core::routing::EndpointId;
use std::collections::BTreeMap;

/// Writes down every log, and compares all replicas with it.
#[derive(Debug, Default)]
pub(super) struct Judge {
    logs: Logs,
    turns: Turns,
}

impl Look for Judge {
    fn invariant(&self) -> Invariant {
        Invariant {
            number: 1,
            name: "prefix",
            sentence: "a replica is a prefix of its writer's log, (generation, incarnation, head) \
                       never goes back, and nobody else writes it",
        }
    }

    fn look(&mut self, run: &Run) -> Result<(), Broken> {
        let all = gossipers::all(run);
        let some = self.turns.of(&all, run.moment == Moment::Rest);
        match self.logs.look(&all, &some) {
            Ok(()) => Ok(()),
            Err(Found { seat, detail }) => Err(self.broken(run, detail).by(seat)),
        }
    }
}

/// Every log that was written, and how far everybody has read it.
#[derive(Debug, Default)]
pub struct Logs {
    written: BTreeMap<Boot, Log>,
    read: BTreeMap<(SeatId, Boot), Mark>,
}

/// How far a replica was, and what was known of its writer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Mark {
    generation: u64,
    incarnation: u64,
    head: u64,
}

impl Logs {
    /// Takes in what `all` have written, and compares what `some` of them have read.
    ///
    /// # Errors
    /// A replica that is no prefix, or has gone back.
    pub fn look(&mut self, all: &[Gossiper<'_>], some: &[Gossiper<'_>]) -> Result<(), Found> {
        for one in all {
            let me = one.gossip.me();
            let Some(own) = one.gossip.directory(me.boot) else { continue };
            let log = self.written.entry(me.boot).or_default();
            log.follow(own).map_err(|detail| Found { seat: one.seat, detail })?;
        }
        for one in some {
            self.read(one).map_err(|detail| Found { seat: one.seat, detail })?;
        }
        Ok(())
    }

    fn read(&mut self, one: &Gossiper<'_>) -> Result<(), String> {
        for member in one.gossip.members() {
            let key = (one.seat, member.boot);
            let Some(replica) = one.gossip.directory(member.boot) else {
                continue;
            };
            let (generation, incarnation) = (member.generation, member.incarnation);
            let mark = Mark { generation, incarnation, head: replica.head() };
            let before = self.read.insert(key, mark);
            if before == Some(mark) {
                continue;
            }
            // A member that was held dead and has risen since is followed from the start.
            if before.is_some_and(|before| before > mark) {
                return Err(format!("{} is at {mark:?}, and was at {before:?}", member.id));
            }
            let Some(log) = self.written.get(&member.boot) else {
                return Err(format!("{} has a log that nobody wrote: {mark:?}", member.id));
            };
            log.compare(replica).map_err(|why| format!("the log of {}: {why}", member.id))?;
        }
        Ok(())
    }
}

/// One log: what it amounted to at each of its heads.
#[derive(Debug, Default)]
struct Log {
    /// The head to which the first sum belongs.
    first: u64,
    sums: Vec<u64>,
    weights: BTreeMap<EndpointId, u8>,
    sum: u64,
}

impl Log {
    fn head(&self) -> u64 {
        (self.first + self.sums.len() as u64).saturating_sub(1)
    }

    /// Takes in what its writer has added.
    fn follow(&mut self, own: &Replica) -> Result<(), String> {
        if self.sums.is_empty() {
            self.sums.push(0);
        }
        if own.head() < self.head() {
            return Err(format!("its own log is at {}, and was at {}", own.head(), self.head()));
        }
        let Ok(ops) = own.after(self.head()) else {
            // More was written than is kept: what lies between cannot be judged.
            self.weights = own.iter().map(|(id, weight)| (id.clone(), weight)).collect();
            self.sum = sum(own);
            (self.first, self.sums) = (own.head(), vec![self.sum]);
            return Ok(());
        };
        for (_, op) in ops {
            let old = match op.weight {
                0 => self.weights.remove(&op.endpoint),
                weight => self.weights.insert(op.endpoint.clone(), weight),
            };
            let old = old.map_or(0, |weight| part(&op.endpoint, weight));
            let new = if op.weight == 0 { 0 } else { part(&op.endpoint, op.weight) };
            self.sum = self.sum.wrapping_sub(old).wrapping_add(new);
            self.sums.push(self.sum);
        }
        Ok(())
    }

    /// Whether a replica is what this log amounted to at the replica's head.
    fn compare(&self, replica: &Replica) -> Result<(), String> {
        let head = replica.head();
        if head > self.head() {
            return Err(format!("it was read up to {head}, and written up to {}", self.head()));
        }
        let at = head.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        let written = at.and_then(|at| self.sums.get(at));
        if written.is_some_and(|written| *written != sum(replica)) {
            return Err(format!("what was read up to {head} is not what was written"));
        }
        let most = RingLimits::OPS as u64;
        if head > most && replica.after(head - most - 1).is_ok() {
            return Err(format!("more than {most} ops are kept"));
        }
        Ok(())
    }
}

/// Endpoints and weights as one number, whatever their order.
fn sum(replica: &Replica) -> u64 {
    replica.iter().fold(0, |sum, (id, weight)| sum.wrapping_add(part(id, weight)))
}

fn part(endpoint: &EndpointId, weight: u8) -> u64 {
    let mut hash = Hash::new();
    hash.bytes(endpoint.as_str().as_bytes());
    hash.number(u64::from(weight));
    hash.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pico_core::gossip::directory::Op;

    fn replica(ops: &[(&str, u8)]) -> Replica {
        let mut replica = Replica::new(RingLimits::default());
        let op = |(id, weight): &(&str, u8)| Op {
            endpoint: id.parse().expect("a name"),
            weight: *weight,
        };
        replica.apply(1, ops.iter().map(op), &mut Vec::new()).expect("from the first on");
        replica
    }

    fn log(ops: &[(&str, u8)]) -> Log {
        let mut log = Log::default();
        log.follow(&replica(ops)).expect("it grows");
        log
    }

    const OPS: [(&str, u8); 4] = [("a", 1), ("b", 2), ("a", 3), ("b", 0)];

    #[test]
    fn every_prefix_of_a_log_is_one() {
        let log = log(&OPS);
        for count in 0..=OPS.len() {
            assert_eq!(log.compare(&replica(&OPS[..count])), Ok(()), "{count}");
        }
    }

    #[test]
    fn what_is_missing_in_between_other_than_written_or_ahead_is_found() {
        let log = log(&OPS);
        let wrong: [&[(&str, u8)]; 4] = [
            &[("b", 2)],
            &[("a", 1), ("b", 1)],
            &[("a", 1), ("b", 2), ("a", 3), ("c", 0)],
            &[("a", 1), ("b", 2), ("a", 3), ("b", 0), ("c", 1)],
        ];
        for ops in wrong {
            assert!(log.compare(&replica(ops)).is_err(), "{ops:?}");
        }
    }

    #[test]
    fn a_log_that_goes_back_is_found() {
        let mut log = log(&OPS);
        assert!(log.follow(&replica(&OPS[..3])).is_err());
    }
}
