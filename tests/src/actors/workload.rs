//! Where plans come from, and who makes which requests.

use super::plan::Plan;
use crate::case::Load;
use core::cell::RefCell;
use core::net::SocketAddr;
use pico_core::Seed;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// Where plans come from.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Of the plans.
    pub seed: Seed,
    /// The endpoints' names.
    pub endpoints: Arc<[String]>,
    /// What clients ask for.
    pub load: Arc<Load>,
    /// Those that somebody asked for: both ends and most judges do, and drawing one costs.
    plans: Rc<RefCell<BTreeMap<u64, Rc<Plan>>>>,
}

impl Workload {
    /// Requests of this load for these endpoints, of which there must be one.
    pub fn new(seed: Seed, endpoints: Vec<String>, load: Load) -> Self {
        Self { seed, endpoints: endpoints.into(), load: Arc::new(load), plans: Rc::default() }
    }

    /// The plan of request `id`.
    pub fn plan(&self, id: u64) -> Rc<Plan> {
        let draw = || Rc::new(Plan::of(&self.seed, id, &self.load, self.endpoints.len()));
        Rc::clone(self.plans.borrow_mut().entry(id).or_insert_with(draw))
    }

    /// The name of the endpoint that `plan` asks for.
    pub(super) fn endpoint(&self, plan: &Plan) -> &str {
        &self.endpoints[plan.endpoint]
    }
}

/// What one client is to do.
#[derive(Clone, Debug)]
pub struct Orders {
    /// Where plans come from. If its load says `every`, requests begin at their times; otherwise
    /// each connection makes its next request when the last one is answered.
    pub work: Workload,
    /// The requests to make, in rising order: those of the load whose number is `share` modulo
    /// `shares`.
    pub ids: Vec<u64>,
    /// Which of so many clients this is, from 0.
    pub share: u64,
    /// How many clients share the load.
    pub shares: u64,
    /// The first request of this part of the load.
    pub first: u64,
    /// How many connections it uses at once.
    pub lanes: usize,
    /// Where it connects to.
    pub to: Target,
}

/// Where a client connects to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// One of these addresses, in turn; if it fails, the next.
    Addresses(Vec<SocketAddr>),
    /// What this name stands for, asked anew for each connection.
    Name {
        /// The host name.
        host: String,
        /// The port.
        port: u16,
    },
}

impl Orders {
    /// The orders of client `share` of `shares`: for the requests that are made while things go
    /// wrong, or for the late ones. Requests are dealt by number, so that without one of them the
    /// others are made by whom and where they were.
    pub fn new(
        work: Workload,
        late: bool,
        (share, shares): (usize, usize),
        lanes: usize,
        to: Target,
    ) -> Self {
        let ids = work.load.share(share, shares, late).collect();
        let first = if late { work.load.requests } else { 0 };
        let (share, shares) = (share as u64, shares as u64);
        Self { work, ids, share, shares, first, lanes, to }
    }

    /// The place of a request among all those of its client that the load could have.
    pub(super) fn place(&self, id: u64) -> u64 {
        (id - self.first) / self.shares
    }
}
