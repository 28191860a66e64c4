//! Who is there, and how soon those were back who had lost their node.

use super::{Life, Moment, Run};
use crate::case::Role;
use core::time::Duration;
use pico_core::note::Note;
use pico_core::{Instant, gossip};
use std::collections::BTreeMap;

/// Who was there when the load had ended, before anybody was told to stop.
#[derive(Clone, Debug)]
pub struct Census {
    /// When they were counted.
    pub at: Instant,
    /// Agents that lived.
    pub agents: usize,
    /// Nodes that lived, in the order of their names, and how many tunnels each of them held.
    pub nodes: Vec<(String, usize)>,
    /// What all lives of nodes together had made of each other, where they gossip.
    pub gossip: Option<Gossip>,
}

/// What the nodes of a cluster made of each other, all lives together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gossip {
    /// How many times a node was started.
    pub lives: usize,
    /// How often a node that could not reach another began to suspect it.
    pub suspicions: u64,
    /// How often a node that heard that it was suspected, or dead, contradicted.
    pub refuted: u64,
    /// How often a node held another dead: each counts for itself.
    pub deaths: u64,
    /// What came from another cluster or could not be read.
    pub strange: u64,
    /// Bytes of datagrams a second and node, without headers.
    pub bytes_s: u64,
}

/// What became of the agents of a node that ended, or began to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Return {
    /// The node.
    pub node: String,
    /// When it died, or was told to stop.
    pub at: Instant,
    /// Whether it was told to.
    pub told: bool,
    /// How many agents had their tunnel there.
    pub agents: usize,
    /// How many of these had one again.
    pub back: usize,
    /// When the last of those had.
    pub last: Option<Instant>,
}

/// From when on an agent had its tunnel at which node, or at none.
type Stays = Vec<(Instant, Option<String>)>;

impl Run {
    /// Who was there when the load had ended; or now, if it has not.
    pub fn census(&self) -> Census {
        self.census.clone().unwrap_or_else(|| self.count())
    }

    /// Counts who is there now.
    pub(super) fn count(&self) -> Census {
        let ours = || self.cast.of(Role::Node).filter(|life| !life.foreign);
        let mut nodes: Vec<&Life> = ours().filter(|life| life.is_alive()).collect();
        nodes.sort_by_key(|life| life.member);
        let held = |life: &Life| {
            let routes = self.node(life).map(|node| node.routes().iter());
            let upstreams = routes.into_iter().flatten().flat_map(|(_, upstreams)| upstreams);
            upstreams.filter(|upstream| !upstream.place.is_remote()).count()
        };
        let agents = self.cast.of(Role::Agent).filter(|life| life.is_alive()).count();
        let nodes = nodes.into_iter().map(|life| (life.name.clone(), held(life))).collect();
        Census { at: self.world.now(), agents, nodes, gossip: self.gossiped() }
    }

    fn gossiped(&self) -> Option<Gossip> {
        let lives: Vec<_> = self.cast.of(Role::Node).filter(|life| !life.foreign).collect();
        let all: Vec<_> = lives.iter().filter_map(|life| self.gossip(life)).collect();
        if all.is_empty() {
            return None;
        }
        let sum = |part: fn(gossip::Counts) -> u64| all.iter().map(|one| part(one.counts())).sum();
        let bytes: u64 = sum(|counts| counts.sent_bytes);
        let lived = |life: &&Life| life.ended.unwrap_or(self.world.now()).since(life.born);
        let lived: Duration = lives.iter().map(lived).sum();
        Some(Gossip {
            lives: lives.len(),
            suspicions: sum(|counts| counts.suspicions),
            refuted: sum(|counts| counts.refuted),
            deaths: sum(|counts| counts.deaths),
            strange: sum(|counts| counts.strange + counts.malformed),
            bytes_s: bytes / lived.as_secs().max(1),
        })
    }

    /// How soon agents were back whose node ended while the load went on, for each such node
    /// that had any.
    pub fn returns(&self) -> Vec<Return> {
        let until = match self.moment {
            Moment::Chaos | Moment::Healed | Moment::Rest => self.world.now(),
            Moment::Stopping | Moment::Over => self.census().at,
        };
        let agents = self.agents_at();
        let nodes = self.cast.of(Role::Node).filter(|life| !life.foreign);
        let ends = nodes.filter_map(|life| Some((life, life.told.or(life.ended)?)));
        let returns = ends.filter(|(_, at)| *at < until).map(|(life, at)| {
            let mut of = Return {
                node: life.name.clone(),
                at,
                told: life.told.is_some(),
                agents: 0,
                back: 0,
                last: None,
            };
            for (agent, stays) in &agents {
                let lived = agent.ended.is_none_or(|ended| ended > at);
                let before = stays.iter().take_while(|(when, _)| *when <= at).last();
                let there = before.and_then(|(_, there)| there.as_ref());
                if !lived || there != Some(&life.name) {
                    continue;
                }
                of.agents += 1;
                let mut after = stays.iter().filter(|(when, there)| *when > at && there.is_some());
                if let Some((when, _)) = after.next() {
                    of.back += 1;
                    of.last = of.last.max(Some(*when));
                }
            }
            of
        });
        let mut returns: Vec<Return> = returns.filter(|of| of.agents > 0).collect();
        returns.sort_by_key(|of| of.at);
        returns
    }

    /// At which node each life of an agent had its tunnel from when on; at none in between.
    fn agents_at(&self) -> Vec<(&Life, Stays)> {
        let mut agents: BTreeMap<_, _> =
            self.cast.of(Role::Agent).map(|life| (life.seats[0], (life, Stays::new()))).collect();
        for (at, seat, note) in self.world.notes() {
            let Some((_, stays)) = agents.get_mut(seat) else { continue };
            if let Note::Online { node, .. } = note {
                stays.push((*at, Some(node.clone())));
            } else if let Note::Offline { .. } = note {
                stays.push((*at, None));
            }
        }
        agents.into_values().collect()
    }
}
