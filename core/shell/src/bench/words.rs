//! What a load is told, and what it tells.

use super::plan::Plan;
use super::tally::Tally;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What the machine is told.
#[derive(Clone, Copy, Debug)]
pub enum Word {
    /// Begin.
    Start,
    /// Send nothing more, and end when the answers are there.
    Stop,
}

/// A worker's share of the plan.
#[derive(Clone, Debug)]
pub struct Share {
    /// What is to be sent.
    pub plan: Arc<Plan>,
    /// Where to connect: one of these, the next one when it is not reached.
    pub places: Vec<SocketAddr>,
    /// Connections of this worker.
    pub connections: usize,
    /// Of so many workers, this is the one with this number.
    pub me: (u64, u64),
}

/// What a worker tells now and then.
#[derive(Debug)]
pub struct Report {
    /// Which one.
    pub worker: u64,
    /// What it has counted since it told the last time.
    pub tally: Tally,
    /// The answers that it waits for, and how long it will: once nothing more is due.
    pub late: Option<Late>,
}

/// Answers that are waited for when nothing more is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Late {
    /// How many.
    pub answers: usize,
    /// For how long they are waited for.
    pub patience: Duration,
}
