//! What one worker counts for its operator: plain cells, which nobody else touches.
//!
//! To count costs a few additions: no lock, no look-up by name, no clock. A scrape copies the
//! cells, and whoever serves it adds those of all workers up.

use crate::host::Port;
use crate::reason::Reason;
use alloc::boxed::Box;
use core::time::Duration;

/// What one worker has counted since it began, or several together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Clients' requests.
    pub requests: Requests,
    /// Calls that other nodes forwarded here.
    pub relayed: Relayed,
    /// Bytes and connections, by port.
    pub ports: Ports,
    /// Connections and handshakes that were refused, by reason.
    pub refused: ByReason,
    /// Tunnels of agents.
    pub tunnels: Tunnels,
    /// Links to other nodes.
    pub links: LinkTally,
    /// Where calls went.
    pub calls: Calls,
}

/// Clients' requests: `accepted` is `answered`, what has `failed`, and what is `in_flight`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Requests {
    /// Heads that came, and what was refused before it was one.
    pub accepted: u64,
    /// Those whose response came from a service, complete.
    pub answered: u64,
    /// The others that are over, by reason.
    pub failed: ByReason,
    /// Those that are not over.
    pub in_flight: u64,
    /// Those that are over, by the final status.
    pub statuses: Statuses,
    /// From the end of a request's head to the head of its response.
    pub first: Histogram,
    /// From the end of a request's head to the end of its response.
    pub whole: Histogram,
    /// Body bytes from clients.
    pub body_in: u64,
    /// Body bytes to clients.
    pub body_out: u64,
}

/// Calls that other nodes forwarded here: what they add up to is as with [`Requests`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Relayed {
    /// Calls that came.
    pub accepted: u64,
    /// Those that were answered in full.
    pub answered: u64,
    /// Those that were not.
    pub failed: u64,
    /// Those that are not over.
    pub in_flight: u64,
}

/// Bytes and connections of one port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PortTally {
    /// Connections that were accepted, or for our own links dialled.
    pub accepted: u64,
    /// Connections that are open.
    pub open: u64,
    /// Those that were dropped because there were too many.
    pub dropped: u64,
    /// Bytes that came.
    pub received: u64,
    /// Bytes that sockets took.
    pub sent: u64,
}

/// The same for each port, and for the links that a node dials itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ports {
    /// Clients'.
    pub proxy: PortTally,
    /// Agents'.
    pub upstream: PortTally,
    /// Operators'.
    pub admin: PortTally,
    /// Other nodes' to us.
    pub gossip: PortTally,
    /// Ours to other nodes.
    pub link: PortTally,
}

/// Tunnels of agents.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tunnels {
    /// Those that serve their endpoint.
    pub serving: u64,
    /// Those that ever did.
    pub opened: u64,
    /// Those that ended, by reason; some of them before they served.
    pub closed: ByReason,
}

/// Links to other nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LinkTally {
    /// Links that came up.
    pub opened: u64,
    /// Links that broke, or never came up.
    pub lost: u64,
    /// Links that are up.
    pub up: u64,
    /// Links that are being dialled, or greeted.
    pub dialing: u64,
    /// Nodes that are avoided, because a link to them failed.
    pub avoided: u64,
}

/// How a worker's link to another node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkState {
    /// Calls can be made by it.
    Up,
    /// It is being dialled, or greeted.
    Dialing,
    /// There is none, because the last one failed a moment ago.
    Avoided,
}

/// Where calls went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Calls {
    /// To tunnels of this node.
    pub by_tunnel: u64,
    /// To other nodes.
    pub by_link: u64,
    /// Of these, those that are under way.
    pub on_tunnels: u64,
    /// The same.
    pub on_links: u64,
    /// Calls that were made a second time.
    pub retried: u64,
    /// Times that a body had used up its credit before it was over.
    pub stalls: u64,
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Outcome {
    /// The final status; 0 if there was none.
    pub(super) status: u16,
    /// Why it failed, if it did.
    pub(super) reason: Option<Reason>,
    /// When the response's head was there, if it ever was.
    pub(super) first: Option<Duration>,
    /// When it was over.
    pub(super) whole: Duration,
    /// Body bytes from the client, and to it.
    pub(super) bytes: (u64, u64),
    /// Times that the request's body had used up its credit.
    pub(super) stalls: u64,
}

impl Tally {
    /// A request has come.
    pub(super) fn begin(&mut self) {
        self.requests.accepted += 1;
        self.requests.in_flight += 1;
    }

    /// A request is over.
    pub(super) fn end(&mut self, outcome: &Outcome) {
        let requests = &mut self.requests;
        requests.in_flight = requests.in_flight.saturating_sub(1);
        match outcome.reason {
            None => requests.answered += 1,
            Some(reason) => requests.failed.add(reason, 1),
        }
        requests.statuses.add(outcome.status);
        if let Some(first) = outcome.first {
            requests.first.add(first);
        }
        requests.whole.add(outcome.whole);
        requests.body_in = requests.body_in.saturating_add(outcome.bytes.0);
        requests.body_out = requests.body_out.saturating_add(outcome.bytes.1);
        self.calls.stalls += outcome.stalls;
    }

    /// Adds what another worker counted.
    pub fn add(&mut self, other: &Self) {
        self.requests.sum(&other.requests);
        self.relayed.sum(&other.relayed);
        self.ports.sum(&other.ports);
        self.refused.sum(&other.refused);
        self.tunnels.serving += other.tunnels.serving;
        self.tunnels.opened += other.tunnels.opened;
        self.tunnels.closed.sum(&other.tunnels.closed);
        self.links.sum(&other.links);
        self.calls.sum(&other.calls);
    }
}

impl Requests {
    fn sum(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.answered += other.answered;
        self.failed.sum(&other.failed);
        self.in_flight += other.in_flight;
        self.statuses.sum(&other.statuses);
        self.first.sum(&other.first);
        self.whole.sum(&other.whole);
        self.body_in = self.body_in.saturating_add(other.body_in);
        self.body_out = self.body_out.saturating_add(other.body_out);
    }
}

impl Relayed {
    fn sum(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.answered += other.answered;
        self.failed += other.failed;
        self.in_flight += other.in_flight;
    }
}

impl PortTally {
    fn sum(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.open += other.open;
        self.dropped += other.dropped;
        self.received = self.received.saturating_add(other.received);
        self.sent = self.sent.saturating_add(other.sent);
    }
}

impl Ports {
    /// That of one port.
    pub(super) fn of(&mut self, port: Port) -> &mut PortTally {
        match port {
            Port::Proxy => &mut self.proxy,
            Port::Upstream => &mut self.upstream,
            Port::Admin => &mut self.admin,
            Port::Gossip => &mut self.gossip,
        }
    }

    /// Each with its name.
    pub fn each(&self) -> [(&'static str, PortTally); 5] {
        let Self { proxy, upstream, admin, gossip, link } = *self;
        [
            ("proxy", proxy),
            ("upstream", upstream),
            ("admin", admin),
            ("gossip", gossip),
            ("link", link),
        ]
    }

    fn sum(&mut self, other: &Self) {
        self.proxy.sum(&other.proxy);
        self.upstream.sum(&other.upstream);
        self.admin.sum(&other.admin);
        self.gossip.sum(&other.gossip);
        self.link.sum(&other.link);
    }
}

impl LinkTally {
    fn sum(&mut self, other: &Self) {
        self.opened += other.opened;
        self.lost += other.lost;
        self.up += other.up;
        self.dialing += other.dialing;
        self.avoided += other.avoided;
    }
}

impl Calls {
    fn sum(&mut self, other: &Self) {
        self.by_tunnel += other.by_tunnel;
        self.by_link += other.by_link;
        self.on_tunnels += other.on_tunnels;
        self.on_links += other.on_links;
        self.retried += other.retried;
        self.stalls += other.stalls;
    }
}

/// A cell for each [`Reason`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ByReason([u64; Reason::ALL.len()]);

impl ByReason {
    /// Counts so many more.
    pub(super) fn add(&mut self, reason: Reason, more: u64) {
        if let Some(cell) = self.0.get_mut(usize::from(reason.told().rpc)) {
            *cell += more;
        }
    }

    /// How many there are of one reason.
    pub fn get(&self, reason: Reason) -> u64 {
        self.0.get(usize::from(reason.told().rpc)).copied().unwrap_or(0)
    }

    /// How many there are in all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Those that were met, each with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }

    fn sum(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(cell, more)| *cell += more);
    }
}

impl Default for ByReason {
    fn default() -> Self {
        Self([0; Reason::ALL.len()])
    }
}

/// A cell for each status from 100 to 599, and one for all others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statuses(Box<[u64; STATUSES + 1]>);

impl Statuses {
    fn add(&mut self, status: u16) {
        let at = usize::from(status).checked_sub(FIRST).filter(|at| *at < STATUSES);
        if let Some(cell) = self.0.get_mut(at.unwrap_or(STATUSES)) {
            *cell += 1;
        }
    }

    /// How many there are in all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Those that were met, each with its count; `None` are those beyond 100 to 599.
    pub fn iter(&self) -> impl Iterator<Item = (Option<u16>, u64)> {
        let status = |at: usize| u16::try_from(at + FIRST).ok().filter(|_| at < STATUSES);
        let met = self.0.iter().copied().enumerate().filter(|(_, count)| *count > 0);
        met.map(move |(at, count)| (status(at), count))
    }

    fn sum(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(cell, more)| *cell += more);
    }
}

impl Default for Statuses {
    fn default() -> Self {
        Self(Box::new([0; STATUSES + 1]))
    }
}

/// The lowest status.
const FIRST: usize = 100;
/// How many there are.
const STATUSES: usize = 500;

/// How long things took: a cell for each of [`Histogram::BOUNDS`], and one for what took longer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Histogram {
    cells: [u64; BOUNDS.len() + 1],
    nanos: u64,
}

impl Histogram {
    /// The upper bounds of the cells, each inclusive.
    pub const BOUNDS: [Duration; BOUNDS.len()] = BOUNDS;

    fn add(&mut self, took: Duration) {
        let at = BOUNDS.partition_point(|bound| *bound < took);
        if let Some(cell) = self.cells.get_mut(at) {
            *cell += 1;
        }
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos = self.nanos.saturating_add(nanos);
    }

    /// How many things there were.
    pub fn count(&self) -> u64 {
        self.cells.iter().sum()
    }

    /// How long they took together.
    pub fn sum_of_times(&self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// How many fell into each cell: the bound of the last is `None`.
    pub fn iter(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = BOUNDS.into_iter().map(Some).chain([None]);
        bounds.zip(self.cells)
    }

    fn sum(&mut self, other: &Self) {
        self.cells.iter_mut().zip(other.cells).for_each(|(cell, more)| *cell += more);
        self.nanos = self.nanos.saturating_add(other.nanos);
    }
}

/// Three to a decade, from what a call on one machine takes to the longest time-out.
const BOUNDS: [Duration; 17] = [
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(100),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_falls_into_the_cell_of_the_first_bound_that_is_not_below_it() {
        let mut histogram = Histogram::default();
        let times = [0, 250_000, 250_001, 1_000_000, 100_000_000_000, 100_000_000_001];
        for took in times {
            histogram.add(Duration::from_nanos(took));
        }
        let cells: alloc::vec::Vec<u64> = histogram.iter().map(|(_, count)| count).collect();
        assert_eq!(&cells[..3], [2, 1, 1]);
        assert_eq!(&cells[16..], [1, 1]);
        assert_eq!(histogram.count(), 6);
        assert_eq!(histogram.sum_of_times().as_nanos(), times.iter().map(|t| u128::from(*t)).sum());
        assert!(Histogram::BOUNDS.is_sorted());
    }

    #[test]
    fn a_status_that_no_table_has_is_counted_too() {
        let mut statuses = Statuses::default();
        for status in [0, 99, 100, 200, 200, 599, 600, u16::MAX] {
            statuses.add(status);
        }
        let met: alloc::vec::Vec<_> = statuses.iter().collect();
        assert_eq!(met, [(Some(100), 1), (Some(200), 2), (Some(599), 1), (None, 4)]);
        assert_eq!(statuses.total(), 8);
    }

    #[test]
    fn what_two_workers_counted_adds_up() {
        let mut one = Tally::default();
        let mut two = Tally::default();
        let end = |reason, status| Outcome {
            status,
            reason,
            first: Some(Duration::from_millis(3)),
            whole: Duration::from_millis(4),
            bytes: (1, 2),
            stalls: 1,
        };
        one.begin();
        one.end(&end(None, 200));
        two.begin();
        two.begin();
        two.begin();
        two.end(&end(Some(Reason::NoUpstream), 502));
        two.end(&end(Some(Reason::Closed), 502));
        one.add(&two);
        let Requests { accepted, answered, failed, in_flight, statuses, .. } = &one.requests;
        assert_eq!((*accepted, *answered, failed.total(), *in_flight), (4, 1, 2, 1));
        assert_eq!(failed.get(Reason::NoUpstream) + failed.get(Reason::Closed), 2);
        assert_eq!(statuses.total(), 3);
        assert_eq!((one.requests.body_in, one.requests.body_out, one.calls.stalls), (3, 6, 3));
        assert_eq!((one.requests.first.count(), one.requests.whole.count()), (3, 3));
    }
}
