//! An operator of a worker under law: what is asked, and what the rest of the node says to it.

use crate::choices::Choices;
use pico_core::Reason;
use pico_core::gossip::State;
use pico_core::id::{AskId, Boot, WorkerId};
use pico_core::rpc::Identity;
use pico_core::server::status::{
    EndpointReport, EndpointRow, Inquiry, Listing, NodePart, NodeRow, Numbers, Paging, Part, Query,
    TunnelRow, WorkerPart,
};
use pico_core::server::{Letter, LinkState, Worker as Machine};
use std::time::Duration;

/// What is said to a question that the worker has asked.
#[derive(Clone, Copy, Debug)]
pub enum Said {
    /// What the other worker has to say.
    Worker,
    /// What the node has to say, of so many workers.
    Node(u16),
    /// What the node has to say to another question.
    Beside,
    /// What another node has said.
    Other,
    /// There will be no answer.
    Refused,
}

pub(super) fn draw_said(choices: &mut Choices) -> Said {
    match choices.below(8) {
        0..=2 => Said::Worker,
        3..=4 => Said::Node(2),
        5 => Said::Node(*choices.pick(&[0, 1, 3])),
        6 => Said::Beside,
        _ => *choices.pick(&[Said::Other, Said::Refused]),
    }
}

/// The letter that says it.
pub(super) fn said(inquiry: &Inquiry, said: Said, other: WorkerId, node: Boot) -> Letter {
    let part = match said {
        Said::Worker => Part::Worker(other, of_worker(&inquiry.query, other, node)),
        Said::Node(workers) => Part::Node(of_node(&inquiry.query, node), workers),
        Said::Beside => Part::Node(NodePart::Endpoint(None), 2),
        Said::Other => Part::Other(404, "{}\n".into()),
        Said::Refused => Part::Refused(Reason::UnknownNode),
    };
    Letter::Reported(inquiry.ask, Box::new(part))
}

/// The other worker asks, for an operator of its own.
pub(super) fn asks(which: usize, serial: u64, by: WorkerId) -> Letter {
    let after = Some("a:0:1".to_owned());
    let queries = [
        Query::Metrics,
        Query::Nodes(Paging::default()),
        Query::Tunnels(Paging::default()),
        Query::Tunnels(Paging { after, limit: 1 }),
        Query::Gossip,
    ];
    let query = queries[which % queries.len()].clone();
    Letter::Inquire(Box::new(Inquiry { by, ask: AskId(serial), query, node: None }))
}

fn of_worker(query: &Query, other: WorkerId, node: Boot) -> WorkerPart {
    match query {
        Query::Metrics => WorkerPart::Tally(Box::default()),
        Query::Nodes(_) => WorkerPart::Links(vec![(node, LinkState::Up)]),
        Query::Tunnels(_) => {
            let row = TunnelRow {
                endpoint: "a".parse().expect("a name"),
                id: (other, 1),
                peer: ([10, 0, 0, 9], 999).into(),
                agent: Identity { id: "agent".into(), agent: "law/1".into() },
                age: Duration::from_secs(1),
                rtt: None,
                calls: 0,
            };
            WorkerPart::Tunnels(vec![row], 1)
        }
        Query::Endpoints(_) | Query::Endpoint(_) | Query::Gossip => WorkerPart::Nothing,
    }
}

fn of_node(query: &Query, node: Boot) -> NodePart {
    let numbers = || {
        let (endpoints, endpoints_here) = (1, 1);
        let numbers =
            Numbers { ready: true, draining: false, endpoints, endpoints_here, gossip: None };
        Box::new(numbers)
    };
    let row = || EndpointRow {
        endpoint: "a".parse().expect("a name"),
        upstreams: 1,
        nodes: vec!["n2".into()],
        nodes_total: 1,
    };
    match query {
        Query::Metrics => NodePart::Numbers(numbers()),
        Query::Gossip => NodePart::Gossip(numbers()),
        Query::Nodes(_) => {
            let row = NodeRow {
                id: "n2".into(),
                boot: node,
                state: State::Alive,
                addr: None,
                version: None,
                this: false,
                endpoints: 1,
                age: None,
                rtt: None,
                links: [0; 3],
            };
            NodePart::Nodes(Listing { total: 1, items: vec![row], next: None, silent: 0 })
        }
        Query::Endpoints(_) => {
            NodePart::Endpoints(Listing { total: 1, items: vec![row()], next: None, silent: 0 })
        }
        Query::Endpoint(_) => {
            NodePart::Endpoint(Some(EndpointReport { row: row(), places: Vec::new() }))
        }
        Query::Tunnels(_) => NodePart::Nothing,
    }
}

/// Whether what an operator is told is what became of the requests, and of the connections.
pub(super) fn agree(machine: &Machine) -> Result<(), String> {
    let tally = machine.tally();
    let requests = &tally.requests;
    let counts = machine.counts();
    let told = (requests.accepted, requests.answered, requests.failed.total(), requests.in_flight);
    if told != (counts.begun, counts.answered, counts.failed, counts.under_way) {
        return Err(format!("{told:?} is told of {counts:?}"));
    }
    let over = requests.answered + requests.failed.total();
    if requests.statuses.total() != over || requests.first.count() > over {
        return Err(format!("{} statuses of {over} requests", requests.statuses.total()));
    }
    let (relayed, counts) = (tally.relayed, machine.relayed());
    let told = (relayed.accepted, relayed.answered, relayed.failed, relayed.in_flight);
    if told != (counts.begun, counts.answered, counts.failed, counts.under_way) {
        return Err(format!("{told:?} is told of {counts:?}, which were forwarded"));
    }
    let open: u64 = tally.ports.each().iter().map(|(_, port)| port.open).sum();
    if open != machine.connections() as u64 {
        return Err(format!("{open} connections are told of {}", machine.connections()));
    }
    let calls = tally.calls;
    if calls.on_tunnels + calls.on_links != machine.calls() {
        return Err(format!("{calls:?} are told of {}", machine.calls()));
    }
    Ok(())
}

/// What operators ask, and other nodes for theirs.
pub(super) const QUESTIONS: [&[u8]; 10] = [
    b"GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: node\r\nAccept: application/openmetrics-text\r\n\r\n",
    b"GET /status/nodes HTTP/1.1\r\nHost: node\r\n\r\n",
    b"GET /status/tunnels?limit=1 HTTP/1.1\r\nHost: node\r\n\r\n",
    b"HEAD /status/endpoints HTTP/1.1\r\nHost: node\r\n\r\n",
    b"GET /status/endpoints/a?node=n2 HTTP/1.1\r\nHost: node\r\n\r\n",
    b"GET /status/gossip HTTP/1.1\r\nHost: node\r\n\r\nGET / HTTP/1.1\r\nHost: node\r\n\r\n",
    b"POST /status/nodes?x HTTP/1.1\r\nHost: node\r\nContent-Length: 2\r\n\r\nhi",
    b"GET /pico/v1/status/tunnels HTTP/1.1\r\nHost: node\r\n\r\n",
    b"GET /pico/v1/status/nodes?node=n2 HTTP/1.1\r\nHost: node\r\n\r\n",
];
