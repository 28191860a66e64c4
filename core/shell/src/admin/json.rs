//! What a node found out, as JSON.

use super::model::{
    Agent, Behind, Cluster, Endpoint, EndpointRow, Endpoints, Gossip, Links, Node, Nodes, Place,
    Rejected, Traffic, Tunnel, Tunnels,
};
use pico_core::gossip::State;
use pico_core::routing::Standing;
use pico_core::server::status::{
    self, GossipNumbers, NodeRow, Numbers, Report, TunnelRow, Written,
};
use serde::Serialize;
use std::time::Duration;

/// What the node of this name found out. Metrics have formats of their own.
pub(super) fn write(node: &str, report: &Report) -> Written {
    let node = node.to_owned();
    match report {
        Report::Nodes(list) => json(&Nodes {
            node,
            total: list.total,
            next: list.next.clone(),
            complete: list.silent == 0,
            nodes: list.items.iter().map(self::node).collect(),
        }),
        Report::Endpoints(list) => json(&Endpoints {
            node,
            total: list.total,
            next: list.next.clone(),
            endpoints: list.items.iter().map(endpoint).collect(),
        }),
        Report::Endpoint(report) => {
            let EndpointRow { endpoint, upstreams, nodes_total, .. } = endpoint(&report.row);
            let places = report.places.iter().map(place).collect();
            json(&Endpoint { node, endpoint, upstreams, nodes_total, places })
        }
        Report::Tunnels(list) => json(&Tunnels {
            node,
            total: list.total,
            next: list.next.clone(),
            complete: list.silent == 0,
            tunnels: list.items.iter().map(tunnel).collect(),
        }),
        Report::Gossip(numbers) => json(&gossip(node, numbers)),
        Report::Metrics(..) => json(&()),
    }
}

fn json(value: &impl Serialize) -> Written {
    let mut text = serde_json::to_string_pretty(value).expect("texts, numbers and lists of them");
    text.push('\n');
    Written { kind: "application/json", bytes: text.into() }
}

fn node(row: &NodeRow) -> Node {
    let [up, dialing, avoided] = row.links;
    Node {
        id: row.id.clone(),
        boot: format!("{:016x}", row.boot.0),
        state: state(row.state).into(),
        address: row.addr.map(|addr| addr.to_string()),
        version: row.version.clone(),
        this: row.this,
        endpoints: row.endpoints,
        age_seconds: row.age.map(|age| age.as_secs()),
        rtt_ms: row.rtt.map(millis),
        links: Links { up, dialing, avoided },
    }
}

fn endpoint(row: &status::EndpointRow) -> EndpointRow {
    EndpointRow {
        endpoint: row.endpoint.to_string(),
        upstreams: row.upstreams,
        nodes: row.nodes.clone(),
        nodes_total: row.nodes_total,
    }
}

fn place(row: &status::PlaceRow) -> Place {
    let state = match row.standing {
        Standing::Alive => "alive",
        Standing::Suspect => "suspect",
        Standing::Leaving => "leaving",
    };
    let (node, state) = (row.node.clone(), state.into());
    Place { node, state, this: row.this, upstreams: row.upstreams }
}

fn tunnel(row: &TunnelRow) -> Tunnel {
    let (worker, number) = row.id;
    Tunnel {
        endpoint: row.endpoint.to_string(),
        id: format!("{}-{number}", worker.0),
        worker: worker.0,
        peer: row.peer.to_string(),
        agent: Agent { id: row.agent.id.clone(), software: row.agent.agent.clone() },
        age_seconds: row.age.as_secs(),
        rtt_ms: row.rtt.map(millis),
        calls: row.calls,
    }
}

fn gossip(node: String, numbers: &Numbers) -> Gossip {
    let Numbers { ready, draining, endpoints, endpoints_here, gossip } = numbers;
    Gossip {
        node,
        ready: *ready,
        draining: *draining,
        endpoints: *endpoints,
        endpoints_here: *endpoints_here,
        cluster: gossip.as_ref().map(cluster),
    }
}

fn cluster(numbers: &GossipNumbers) -> Cluster {
    let GossipNumbers { cluster, me, counts, states, health, lag } = numbers;
    Cluster {
        name: cluster.clone(),
        boot: format!("{:016x}", me.boot.0),
        generation: me.generation,
        incarnation: me.incarnation,
        state: state(me.state).into(),
        address: me.addr.to_string(),
        health: *health,
        states: states.iter().map(|(of, count)| (state(*of).into(), *count)).collect(),
        behind: Behind { logs: lag.logs, changes: lag.ops },
        sent: Traffic { datagrams: counts.sent, bytes: counts.sent_bytes },
        received: Traffic { datagrams: counts.received, bytes: counts.received_bytes },
        rejected: Rejected { strange: counts.strange, malformed: counts.malformed },
        deaths: counts.deaths,
        suspicions: counts.suspicions,
        refuted: counts.refuted,
    }
}

/// The word for a state, here and in the metrics.
pub(super) const fn state(state: State) -> &'static str {
    match state {
        State::Alive => "alive",
        State::Leaving => "leaving",
        State::Suspect => "suspect",
        State::Dead => "dead",
        State::Left => "left",
    }
}

/// Milliseconds, to the microsecond.
fn millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}
