//! The JSON of the status API, as `spec/openapi.json` describes it: written by a node, read by
//! `pico status`.
#![expect(clippy::struct_field_names, reason = "they are the names in the JSON")]

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `/status/nodes`.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Nodes {
    pub(crate) node: String,
    pub(crate) total: usize,
    pub(crate) next: Option<String>,
    pub(crate) complete: bool,
    pub(crate) nodes: Vec<Node>,
}

/// One node of the cluster.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) boot: String,
    pub(crate) state: String,
    pub(crate) address: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) this: bool,
    pub(crate) endpoints: usize,
    pub(crate) age_seconds: Option<u64>,
    pub(crate) rtt_ms: Option<f64>,
    pub(crate) links: Links,
}

/// Links of a node's workers to another node.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Links {
    pub(crate) up: u16,
    pub(crate) dialing: u16,
    pub(crate) avoided: u16,
}

/// `/status/endpoints`.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Endpoints {
    pub(crate) node: String,
    pub(crate) total: usize,
    pub(crate) next: Option<String>,
    pub(crate) endpoints: Vec<EndpointRow>,
}

/// One endpoint in a list.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct EndpointRow {
    pub(crate) endpoint: String,
    pub(crate) upstreams: u64,
    pub(crate) nodes: Vec<String>,
    pub(crate) nodes_total: usize,
}

/// `/status/endpoints/<id>`.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Endpoint {
    pub(crate) node: String,
    pub(crate) endpoint: String,
    pub(crate) upstreams: u64,
    pub(crate) nodes_total: usize,
    pub(crate) places: Vec<Place>,
}

/// A node that serves an endpoint.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Place {
    pub(crate) node: String,
    pub(crate) state: String,
    pub(crate) this: bool,
    pub(crate) upstreams: u64,
}

/// `/status/tunnels`.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Tunnels {
    pub(crate) node: String,
    pub(crate) total: usize,
    pub(crate) next: Option<String>,
    pub(crate) complete: bool,
    pub(crate) tunnels: Vec<Tunnel>,
}

/// One tunnel of an agent.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Tunnel {
    pub(crate) endpoint: String,
    pub(crate) id: String,
    pub(crate) worker: u16,
    pub(crate) peer: String,
    pub(crate) agent: Agent,
    pub(crate) age_seconds: u64,
    pub(crate) rtt_ms: Option<f64>,
    pub(crate) calls: usize,
}

/// What an agent says of itself.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) software: String,
}

/// `/status/gossip`.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Gossip {
    pub(crate) node: String,
    pub(crate) ready: bool,
    pub(crate) draining: bool,
    pub(crate) endpoints: usize,
    pub(crate) endpoints_here: usize,
    pub(crate) cluster: Option<Cluster>,
}

/// How gossip is.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) boot: String,
    pub(crate) generation: u64,
    pub(crate) incarnation: u64,
    pub(crate) state: String,
    pub(crate) address: String,
    pub(crate) health: u32,
    pub(crate) states: BTreeMap<String, usize>,
    pub(crate) behind: Behind,
    pub(crate) sent: Traffic,
    pub(crate) received: Traffic,
    pub(crate) rejected: Rejected,
    pub(crate) deaths: u64,
    pub(crate) suspicions: u64,
    pub(crate) refuted: u64,
}

/// How far a node knows to be behind the logs of others.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Behind {
    pub(crate) logs: usize,
    pub(crate) changes: u64,
}

/// Datagrams in one direction.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Traffic {
    pub(crate) datagrams: u64,
    pub(crate) bytes: u64,
}

/// Datagrams that were not listened to.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Rejected {
    pub(crate) strange: u64,
    pub(crate) malformed: u64,
}
