//! What gossip tells an operator: it only looks.

use super::machine::Machine;
use super::member::{Member, State};
use crate::time::Instant;
use core::time::Duration;

/// What a node knows of another.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What is said of it.
    pub member: &'a Member,
    /// Since when it is in its state.
    pub since: Instant,
    /// The round trip to it, smoothed, once there was one.
    pub rtt: Option<Duration>,
}

/// How far a node knows to be behind the logs of others.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Lag {
    /// Logs of which something is missing.
    pub logs: usize,
    /// Changes that are missing.
    pub ops: u64,
}

impl Machine {
    /// What this node knows of the others, dead ones too, in the order of their names.
    pub fn views(&self) -> impl Iterator<Item = View<'_>> {
        self.members.by_name().map(|known| View {
            member: &known.member,
            since: known.since,
            rtt: known.rtt,
        })
    }

    /// How many members are in each state, this node included.
    pub fn states(&self) -> [(State, usize); State::ALL.len()] {
        let all = || self.members().map(|member| member.state).chain([self.me.state]);
        State::ALL.map(|state| (state, all().filter(|other| *other == state).count()))
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &str {
        &self.settings.cluster
    }

    /// How far this node knows to be behind.
    pub fn lag(&self) -> Lag {
        self.replicas.lag()
    }
}
