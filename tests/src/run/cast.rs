//! Who took part in a run, life by life.

use crate::case::{Member, Role};
use crate::kernel::{ProcessId, SeatId};
use pico_core::Instant;

/// Everybody who lives or lived.
#[derive(Debug, Default)]
pub struct Cast {
    lives: Vec<Life>,
}

/// One life of one member: from a start of its process to its end.
#[derive(Clone, Debug)]
pub struct Life {
    /// Whose.
    pub member: Member,
    /// Which of its lives, from 0.
    pub number: usize,
    /// What it called itself.
    pub name: String,
    /// Whether it is a node of another cluster, which only has the address of one of ours.
    pub foreign: bool,
    /// Its process, which is the same in each life.
    pub process: ProcessId,
    /// Its machines: of a node, the control plane and then its workers; of others there is one.
    pub seats: Vec<SeatId>,
    /// When it began.
    pub born: Instant,
    /// When it was told to stop.
    pub told: Option<Instant>,
    /// When it ended.
    pub ended: Option<Instant>,
}

impl Life {
    /// Whether it goes on.
    pub const fn is_alive(&self) -> bool {
        self.ended.is_none()
    }

    /// The workers of a node.
    pub fn workers(&self) -> &[SeatId] {
        match self.member.role {
            Role::Node => self.seats.get(1..).unwrap_or_default(),
            Role::Agent | Role::Service | Role::Client | Role::Balancer | Role::Operator => &[],
        }
    }
}

impl Cast {
    /// All lives of the hosts of a role, in the order in which they began.
    pub fn of(&self, role: Role) -> impl Iterator<Item = &Life> {
        self.lives.iter().filter(move |life| life.member.role == role)
    }

    /// The lives that go on.
    pub fn alive(&self) -> impl Iterator<Item = &Life> {
        self.lives.iter().filter(|life| life.is_alive())
    }

    /// The life that a member has now.
    pub fn now(&self, member: Member) -> Option<&Life> {
        self.alive().find(|life| life.member == member)
    }

    /// How many lives a member has had.
    pub fn lives(&self, member: Member) -> usize {
        self.lives.iter().filter(|life| life.member == member).count()
    }

    /// Whose machine this is.
    pub fn whose(&self, seat: SeatId) -> Option<&Life> {
        self.lives.iter().find(|life| life.seats.contains(&seat))
    }

    pub(super) fn begin(&mut self, life: Life) {
        self.lives.push(life);
    }

    pub(super) fn now_mut(&mut self, member: Member) -> Option<&mut Life> {
        self.lives.iter_mut().find(|life| life.member == member && life.is_alive())
    }
}
