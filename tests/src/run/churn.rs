//! What nodes serve that do nothing but gossip.

use super::{Run, at, nodes};
use crate::case::{Member, Role, Span};
use crate::draw::Draw as _;
use crate::gossip::Order;
use pico_core::{Instant, Seed};

impl Run {
    /// Has nodes serve what they should by now, each change in its time.
    pub(super) fn churn(&mut self) {
        if !self.case.shape.gossip_only {
            return;
        }
        let all = self.case.load.requests + self.case.load.late;
        while self.churned < all && self.due(self.churned) <= self.world.now() {
            let id = self.churned;
            self.churned += 1;
            let only = &self.case.load.only;
            if only.is_empty() || only.contains(&id) {
                self.change(id);
            }
        }
    }

    /// When a change is made: evenly while things go wrong, and then a few more.
    fn due(&self, id: u64) -> Instant {
        let load = &self.case.load;
        if let Some(late) = id.checked_sub(load.requests) {
            return at(self.case.heal) + LATE.0 * u32::try_from(late).unwrap_or(u32::MAX);
        }
        let chaos = self.case.heal.as_nanos() - self.case.warm_up.as_nanos();
        let every = match load.every.as_nanos() {
            0 => chaos / load.requests.max(1),
            every => every,
        };
        at(self.case.warm_up) + core::time::Duration::from_nanos(every.saturating_mul(id))
    }

    fn change(&mut self, id: u64) {
        let mut dice = Seed::from_u64(self.case.seed).fork_at("churn", id).roll();
        let member = Member { role: Role::Node, at: dice.index(self.case.shape.nodes) };
        let name = format!("endpoint-{}", dice.below(ENDPOINTS));
        let upstreams = u32::try_from(dice.below(4)).unwrap_or_default();
        self.serve(member, &name, upstreams);
    }

    /// A node serves so many endpoints more, all at once.
    pub(super) fn burst(&mut self, member: Member, endpoints: u32) {
        for endpoint in 0..endpoints {
            self.serve(member, &format!("burst-{endpoint}"), 1);
        }
    }

    fn serve(&mut self, member: Member, name: &str, upstreams: u32) {
        let name = nodes::pad(name, self.case.shape.name_bytes * 2);
        let Some(life) = self.cast.now(member).filter(|life| !life.foreign) else { return };
        let seat = life.seats[0];
        if self.case.shape.gossip_only && !self.world.is_done(seat) {
            let endpoint = name.parse().expect("a fine name");
            self.world.tell(seat, Order::Serve(endpoint, upstreams));
        }
    }
}

/// Endpoints among which changes choose.
const ENDPOINTS: u64 = 40;
/// From one change to the next once nothing goes wrong.
const LATE: Span = Span::millis(300);
