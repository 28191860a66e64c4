//! What the control plane tells operators.

use super::{Life, Node};
use crate::gossip::{Member, NOTE_PROGRAM, State, View};
use crate::host::{Action, Address};
use crate::id::{AskId, WorkerId};
use crate::reason::Reason;
use crate::routing::{EndpointId, Place, Standing, Upstream};
use crate::server::letter::Letter;
use crate::server::status::{
    EndpointReport, EndpointRow, GossipNumbers, Inquiry, Listing, NODES_NAMED, NodePart, NodeRow,
    Numbers, PLACES_SHOWN, Paging, Part, PlaceRow, Query, listing,
};
use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

impl Node {
    /// A worker gathers an answer: says what the node knows, has the other workers say what they
    /// know, or asks another node.
    pub(super) fn inquired(&mut self, inquiry: &Inquiry) {
        if matches!(self.life, Life::Over) {
            return;
        }
        let now = self.clock.now();
        let (by, ask) = (inquiry.by, inquiry.ask);
        let other = inquiry.node.as_deref().filter(|node| *node != self.settings.node_id);
        if let Some(other) = other {
            let refusal = match &mut self.cluster {
                Some(cluster) => cluster.ask_about(now, inquiry, other, &mut self.actions),
                None => Some(Reason::UnknownNode),
            };
            if let Some(reason) = refusal {
                self.report(by, ask, Part::Refused(reason));
            }
            return;
        }
        let part = self.part_of(&inquiry.query);
        if !inquiry.query.concerns_workers() {
            return self.report(by, ask, Part::Node(part, 0));
        }
        for worker in (0..self.workers).map(WorkerId).filter(|worker| *worker != by) {
            let letter = Letter::Inquire(Box::new(inquiry.clone()));
            self.actions.push_back(Action::Letter { to: Address::Worker(worker), letter });
        }
        self.report(by, ask, Part::Node(part, self.workers));
    }

    fn report(&mut self, to: WorkerId, ask: AskId, part: Part) {
        let letter = Letter::Reported(ask, Box::new(part));
        self.actions.push_back(Action::Letter { to: Address::Worker(to), letter });
    }

    fn part_of(&self, query: &Query) -> NodePart {
        match query {
            Query::Metrics => NodePart::Numbers(Box::new(self.numbers())),
            Query::Gossip => NodePart::Gossip(Box::new(self.numbers())),
            Query::Nodes(paging) => NodePart::Nodes(self.nodes(paging)),
            Query::Endpoints(paging) => NodePart::Endpoints(self.endpoints(paging)),
            Query::Endpoint(endpoint) => NodePart::Endpoint(self.endpoint(endpoint)),
            Query::Tunnels(_) => NodePart::Nothing,
        }
    }

    fn numbers(&self) -> Numbers {
        let gossip = self.gossip().map(|gossip| GossipNumbers {
            cluster: gossip.cluster().into(),
            me: gossip.me().clone(),
            counts: gossip.counts(),
            states: gossip.states(),
            health: gossip.health(),
            lag: gossip.lag(),
        });
        let endpoints = self.routes.len();
        Numbers {
            ready: matches!(self.life, Life::Serving),
            draining: !matches!(self.life, Life::Joining | Life::Serving),
            endpoints,
            endpoints_here: self.endpoints_here(),
            gossip,
        }
    }

    fn endpoints_here(&self) -> usize {
        let own = self.gossip().and_then(|gossip| gossip.directory(gossip.me().boot));
        own.map_or(self.routes.len(), crate::gossip::directory::Replica::len)
    }

    fn nodes(&self, paging: &Paging) -> Listing<NodeRow> {
        let mut rows: Vec<(&str, Option<View<'_>>)> = Vec::new();
        rows.extend(
            self.gossip().into_iter().flat_map(|gossip| {
                gossip.views().map(|view| (view.member.id.as_str(), Some(view)))
            }),
        );
        let me = self.settings.node_id.as_str();
        rows.insert(rows.partition_point(|(id, _)| *id < me), (me, None));
        let total = rows.len();
        let after = paging.after.as_deref();
        let behind = rows.into_iter().filter(|(id, _)| after.is_none_or(|after| *id > after));
        let rows = behind.map(|(_, view)| match view {
            Some(view) => self.other(view),
            None => self.this(),
        });
        listing(total, rows, paging.limit, |row| row.id.clone())
    }

    fn this(&self) -> NodeRow {
        let me = self.gossip().map(crate::gossip::Machine::me);
        let draining = !matches!(self.life, Life::Joining | Life::Serving);
        NodeRow {
            id: self.settings.node_id.clone(),
            boot: self.settings.boot,
            state: if draining { State::Leaving } else { State::Alive },
            addr: me.map(|me| me.addr),
            version: Some(self.settings.about.version.into()),
            this: true,
            endpoints: self.endpoints_here(),
            age: None,
            rtt: None,
            links: [0; 3],
        }
    }

    fn other(&self, view: View<'_>) -> NodeRow {
        let View { member, since, rtt } = view;
        let directory = self.gossip().and_then(|gossip| gossip.directory(member.boot));
        NodeRow {
            id: member.id.as_str().into(),
            boot: member.boot,
            state: member.state,
            addr: Some(member.addr),
            version: version(member),
            this: false,
            endpoints: directory.map_or(0, crate::gossip::directory::Replica::len),
            age: Some(self.clock.now() - since),
            rtt,
            links: [0; 3],
        }
    }

    fn endpoints(&self, paging: &Paging) -> Listing<EndpointRow> {
        let after = paging.after.as_deref().and_then(|after| after.parse().ok());
        let behind = self.routes.after(after.as_ref());
        let rows = behind.map(|(endpoint, upstreams)| self.row(endpoint, upstreams).0);
        let total = self.routes.len();
        listing(total, rows, paging.limit, |row| row.endpoint.to_string())
    }

    fn endpoint(&self, endpoint: &EndpointId) -> Option<EndpointReport> {
        let upstreams = self.routes.get(endpoint);
        if upstreams.is_empty() {
            return None;
        }
        let (row, mut places) = self.row(endpoint, upstreams);
        places.truncate(PLACES_SHOWN);
        Some(EndpointReport { row, places })
    }

    /// Who serves an endpoint: this node first, the others in the order of their names.
    fn row(&self, endpoint: &EndpointId, upstreams: &[Upstream]) -> (EndpointRow, Vec<PlaceRow>) {
        let mut places: Vec<PlaceRow> = Vec::new();
        let mut here = 0;
        for upstream in upstreams {
            match upstream.place {
                Place::Tunnel { .. } => here += u64::from(upstream.weight),
                Place::Node(boot) => {
                    let peer = self.cluster.as_ref().and_then(|cluster| cluster.peer(boot));
                    // One that is no peer any more is about to lose its routes.
                    places.extend(peer.map(|peer| PlaceRow {
                        node: peer.id.clone(),
                        standing: peer.standing,
                        this: false,
                        upstreams: u64::from(upstream.weight),
                    }));
                }
            }
        }
        places.sort_unstable_by(|a, b| a.node.cmp(&b.node));
        if here > 0 {
            let node = self.settings.node_id.clone();
            let standing = Standing::Alive;
            places.insert(0, PlaceRow { node, standing, this: true, upstreams: here });
        }
        let row = EndpointRow {
            endpoint: endpoint.clone(),
            upstreams: places.iter().map(|place| place.upstreams).sum(),
            nodes: places.iter().take(NODES_NAMED).map(|place| place.node.clone()).collect(),
            nodes_total: places.len(),
        };
        (row, places)
    }
}

/// The version of the program that a node says it runs.
fn version(member: &Member) -> Option<String> {
    let note = member.notes.iter().find(|(key, _)| *key == NOTE_PROGRAM);
    note.map(|(_, text)| String::from(&**text))
}
