//! Answers to operators, and to other nodes that ask for theirs: gathered from the node and its
//! other workers by letters, within a time.

use super::Worker;
use crate::host::{Action, Address};
use crate::id::{AskId, ConnId, WorkerId};
use crate::machine::Machine as _;
use crate::reason::Reason;
use crate::server::admin;
use crate::server::answer::{self, Reply};
use crate::server::entry::Kind;
use crate::server::letter::Letter;
use crate::server::link::relay;
use crate::server::status::{
    Format, Inquiry, Listing, Metrics, NodePart, NodeRow, Numbers, Page, Paging, Part, Query,
    Report, TunnelRow, WorkerPart, inquiry, listing, tunnel_key,
};
use crate::server::tally::{LinkState, Tally};
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::Bound;

/// Questions that a worker has under way, and what it has heard before.
#[derive(Default, Debug)]
pub(super) struct Gathers {
    open: BTreeMap<AskId, Gather>,
    asked: u64,
    /// What each other worker said last that it had counted. It stands for one that is silent, so
    /// that no counter ever falls.
    last: BTreeMap<WorkerId, Tally>,
}

/// One answer that is being put together.
#[derive(Debug)]
struct Gather {
    /// The connection that asked.
    asker: ConnId,
    query: Query,
    format: Format,
    parts: BTreeMap<WorkerId, WorkerPart>,
    /// What the node said, and of how many workers there is a part.
    node: Option<(NodePart, u16)>,
    due: Instant,
}

impl Gather {
    fn is_complete(&self) -> bool {
        self.node.as_ref().is_some_and(|(_, workers)| self.silent(*workers) == 0)
    }

    /// Of so many workers, those that have said nothing.
    fn silent(&self, workers: u16) -> u16 {
        workers.saturating_sub(u16::try_from(self.parts.len()).unwrap_or(u16::MAX))
    }
}

impl Worker {
    pub(super) fn drain_admin(&mut self, conn: ConnId) {
        while let Some(Kind::Admin(admin)) = self.conns.get_mut(conn).map(|e| &mut e.kind) {
            match admin.poll() {
                Some(admin::Action::Inquire(query, node, format)) => {
                    self.inquire(conn, query, node, format);
                }
                Some(admin::Action::Finish) => self.actions.push_back(Action::Finish(conn)),
                Some(admin::Action::Closed) => self.remove(conn),
                None => return,
            }
        }
    }

    /// Another node asks for what its operator wants to know of this one.
    pub(super) fn inquire_for_other(&mut self, conn: ConnId, target: &[u8]) {
        let text = core::str::from_utf8(target).map_err(|_| Reason::NotFound);
        match text.and_then(inquiry) {
            Ok((query, None)) => self.inquire(conn, query, None, Format::Prometheus),
            // What was asked of one node is passed on no further.
            Ok((_, Some(_))) => self.reply(conn, answer::refusal(Reason::InvalidQuery, "")),
            Err(reason) => self.reply(conn, answer::refusal(reason, "")),
        }
    }

    fn inquire(&mut self, asker: ConnId, query: Query, node: Option<String>, format: Format) {
        if self.gathers.open.len() >= GATHERS_MAX {
            return self.reply(asker, answer::refusal(Reason::Overloaded, ""));
        }
        let limits = &self.settings.limits;
        let far = if node.is_some() { limits.status_remote_timeout } else { limits.status_timeout };
        let due = self.clock.now() + limits.status_timeout + far;
        let mut parts = BTreeMap::new();
        if query.concerns_workers() {
            parts.insert(self.id, self.part_of(&query));
        }
        self.gathers.asked += 1;
        let ask = AskId(self.gathers.asked);
        let gather = Gather { asker, query: query.clone(), format, parts, node: None, due };
        self.gathers.open.insert(ask, gather);
        self.write_node(Letter::Inquire(Box::new(Inquiry { by: self.id, ask, query, node })));
    }

    /// Another worker of this node gathers an answer.
    pub(super) fn asked_by(&mut self, inquiry: &Inquiry) {
        let part = Part::Worker(self.id, self.part_of(&inquiry.query));
        let letter = Letter::Reported(inquiry.ask, Box::new(part));
        self.actions.push_back(Action::Letter { to: Address::Worker(inquiry.by), letter });
    }

    /// A part of an answer has come.
    pub(super) fn reported(&mut self, ask: AskId, part: Part) {
        let Some(gather) = self.gathers.open.get_mut(&ask) else { return };
        match part {
            Part::Worker(worker, part) => drop(gather.parts.insert(worker, part)),
            Part::Node(part, workers) => gather.node = Some((part, workers)),
            Part::Other(status, bytes) => {
                let asker = gather.asker;
                self.gathers.open.remove(&ask);
                return self.reply(asker, answer::json(status, &bytes));
            }
            Part::Refused(reason) => {
                let asker = gather.asker;
                self.gathers.open.remove(&ask);
                return self.reply(asker, answer::refusal(reason, ""));
            }
        }
        if gather.is_complete() {
            self.finish(ask);
        }
    }

    /// When an answer must do with what there is.
    pub(super) fn gather_due(&self) -> Option<Instant> {
        self.gathers.open.values().map(|gather| gather.due).min()
    }

    pub(super) fn tick_gathers(&mut self, now: Instant) {
        let open = self.gathers.open.iter();
        let due = open.filter(|(_, gather)| gather.due <= now).map(|(ask, _)| *ask);
        for ask in due.collect::<Vec<_>>() {
            self.finish(ask);
        }
    }

    fn finish(&mut self, ask: AskId) {
        let Some(gather) = self.gathers.open.remove(&ask) else { return };
        let asker = gather.asker;
        let reply = match (self.assemble(gather), self.settings.write) {
            (Ok(report), Some(write)) => {
                answer::page(&write(Page::Report(&self.settings.node_id, &report)))
            }
            (Ok(_), None) => answer::refusal(Reason::NotFound, ""),
            (Err(reason), _) => answer::refusal(reason, ""),
        };
        self.reply(asker, reply);
    }

    fn reply(&mut self, asker: ConnId, reply: Reply) {
        let now = self.clock.now();
        match self.conns.get_mut(asker).map(|entry| entry.dated(now, self.wall)) {
            Some(Kind::Admin(admin)) => admin.handle(now, admin::Input::Answer(reply)),
            Some(Kind::Relay(relay)) => relay.handle(now, relay::Input::Replied(reply)),
            Some(Kind::Proxy(_) | Kind::Upstream(_) | Kind::Link(_)) | None => return,
        }
        self.touch(asker);
    }

    /// What this worker has to say.
    fn part_of(&self, query: &Query) -> WorkerPart {
        match query {
            Query::Metrics => WorkerPart::Tally(Box::new(self.tally())),
            Query::Nodes(_) => WorkerPart::Links(self.link_states()),
            Query::Tunnels(paging) => self.tunnels(paging),
            Query::Endpoints(_) | Query::Endpoint(_) | Query::Gossip => WorkerPart::Nothing,
        }
    }

    /// The first tunnels behind the last piece.
    fn tunnels(&self, paging: &Paging) -> WorkerPart {
        let after = paging.after.as_deref().and_then(tunnel_key);
        let from = after.map_or(Bound::Unbounded, |(endpoint, worker, number)| {
            match self.id.cmp(&worker) {
                Ordering::Less => Bound::Excluded((endpoint, u64::MAX)),
                Ordering::Equal => Bound::Excluded((endpoint, number)),
                Ordering::Greater => Bound::Included((endpoint, 0)),
            }
        });
        let now = self.clock.now();
        let row = |conn| match self.conns.get(conn).map(|entry| &entry.kind) {
            Some(Kind::Upstream(upstream)) => upstream.row(self.id, now),
            Some(Kind::Proxy(_) | Kind::Admin(_) | Kind::Link(_) | Kind::Relay(_)) | None => None,
        };
        let behind = self.serving.range((from, Bound::Unbounded)).map(|(_, conn)| *conn);
        let rows = behind.take(paging.limit.saturating_add(1)).filter_map(row).collect();
        WorkerPart::Tunnels(rows, self.serving.len())
    }

    /// The answer, from what there is.
    fn assemble(&mut self, gather: Gather) -> Result<Report, Reason> {
        let Gather { query, format, parts, node, .. } = gather;
        let (node, workers) = node.ok_or(Reason::NodeTimeout)?;
        let silent = workers.saturating_sub(u16::try_from(parts.len()).unwrap_or(u16::MAX));
        Ok(match (query, node) {
            (Query::Metrics, NodePart::Numbers(numbers)) => {
                let metrics = self.metrics(parts, workers, silent, *numbers);
                Report::Metrics(Box::new(metrics), format)
            }
            (Query::Nodes(_), NodePart::Nodes(mut nodes)) => {
                count_links(&mut nodes.items, parts);
                nodes.silent = silent;
                Report::Nodes(nodes)
            }
            (Query::Endpoints(_), NodePart::Endpoints(endpoints)) => Report::Endpoints(endpoints),
            (Query::Endpoint(_), NodePart::Endpoint(Some(report))) => Report::Endpoint(report),
            (Query::Endpoint(_), NodePart::Endpoint(None)) => return Err(Reason::NotFound),
            (Query::Tunnels(paging), NodePart::Nothing) => {
                Report::Tunnels(tunnels(parts, paging.limit, silent))
            }
            (Query::Gossip, NodePart::Gossip(numbers)) => Report::Gossip(numbers),
            // The node answers what it was asked.
            (
                Query::Metrics
                | Query::Nodes(_)
                | Query::Endpoints(_)
                | Query::Endpoint(_)
                | Query::Tunnels(_)
                | Query::Gossip,
                _,
            ) => return Err(Reason::Internal),
        })
    }

    fn metrics(
        &mut self,
        parts: BTreeMap<WorkerId, WorkerPart>,
        workers: u16,
        silent: u16,
        numbers: Numbers,
    ) -> Metrics {
        for (worker, part) in parts {
            if let WorkerPart::Tally(tally) = part {
                self.gathers.last.insert(worker, *tally);
            }
        }
        let mut tally = Tally::default();
        self.gathers.last.values().for_each(|part| tally.add(part));
        Metrics { about: self.settings.about, tally, workers, silent, numbers }
    }
}

/// Counts the links of all workers to each node.
fn count_links(nodes: &mut [NodeRow], parts: BTreeMap<WorkerId, WorkerPart>) {
    let mut counts = BTreeMap::new();
    for part in parts.into_values() {
        let WorkerPart::Links(links) = part else { continue };
        for (boot, state) in links {
            let [up, dialing, avoided] = counts.entry(boot).or_insert([0_u16; 3]);
            *match state {
                LinkState::Up => up,
                LinkState::Dialing => dialing,
                LinkState::Avoided => avoided,
            } += 1;
        }
    }
    for node in nodes {
        node.links = counts.get(&node.boot).copied().unwrap_or_default();
    }
}

/// The first of all workers' tunnels.
fn tunnels(parts: BTreeMap<WorkerId, WorkerPart>, limit: usize, silent: u16) -> Listing<TunnelRow> {
    let mut all = Vec::new();
    let mut total = 0;
    for part in parts.into_values() {
        if let WorkerPart::Tunnels(rows, count) = part {
            all.extend(rows);
            total += count;
        }
    }
    all.sort_unstable_by(|a, b| (&a.endpoint, a.id).cmp(&(&b.endpoint, b.id)));
    let cursor = |row: &TunnelRow| format!("{}:{}:{}", row.endpoint, row.id.0.0, row.id.1);
    Listing { silent, ..listing(total, all.into_iter(), limit, cursor) }
}

/// Answers that a worker gathers at once. Operators are few; whoever asks more often is told that
/// the node is over its limits.
const GATHERS_MAX: usize = 64;
