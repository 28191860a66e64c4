//! What an operator may ask of a node, and what the answers are made of.
//!
//! The worker that holds the operator's connection asks the node, which asks the other workers;
//! each sends its part back by a letter, and a timer ends the wait. `spec/admin.md` says what of
//! this is promised.

mod paging;
mod route;

pub(super) use paging::listing;
pub use paging::{Listing, Paging};
pub(super) use route::{PREFIX, Route, inquiry, route, target, tunnel_key};

use super::tally::{LinkState, Tally};
use crate::gossip::{self, State};
use crate::id::{AskId, Boot, WorkerId};
use crate::reason::Reason;
use crate::routing::{EndpointId, Standing};
use crate::rpc::Identity;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::SocketAddr;
use core::time::Duration;

/// What an operator wants to know of one node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query {
    /// Everything that is counted.
    Metrics,
    /// The nodes of the cluster.
    Nodes(Paging),
    /// The endpoints that are served somewhere.
    Endpoints(Paging),
    /// Who serves one of them.
    Endpoint(EndpointId),
    /// The tunnels of agents that the node holds.
    Tunnels(Paging),
    /// How gossip is.
    Gossip,
}

/// A question, from the worker that was asked.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// The worker.
    pub by: WorkerId,
    /// The worker's name for the question.
    pub ask: AskId,
    /// What is asked.
    pub query: Query,
    /// Of whom, if not of the node that was asked.
    pub node: Option<String>,
}

/// What one machine of the node has to say.
#[derive(Clone, Debug)]
pub enum Part {
    /// A worker's.
    Worker(WorkerId, WorkerPart),
    /// The node's, and how many workers have something to say, too.
    Node(NodePart, u16),
    /// All that another node said: a status and JSON.
    Other(u16, Bytes),
    /// There will be no answer.
    Refused(Reason),
}

/// What a worker has to say.
#[derive(Clone, Debug)]
pub enum WorkerPart {
    /// What it counted.
    Tally(Box<Tally>),
    /// Its links to other nodes.
    Links(Vec<(Boot, LinkState)>),
    /// Its tunnels: as many of the first as are wanted, and how many there are in all.
    Tunnels(Vec<TunnelRow>, usize),
    /// Nothing.
    Nothing,
}

/// What the control plane has to say.
#[derive(Clone, Debug)]
pub enum NodePart {
    /// For the metrics.
    Numbers(Box<Numbers>),
    /// The nodes.
    Nodes(Listing<NodeRow>),
    /// The endpoints.
    Endpoints(Listing<EndpointRow>),
    /// One endpoint, if somebody serves it.
    Endpoint(Option<EndpointReport>),
    /// How gossip is.
    Gossip(Box<Numbers>),
    /// Nothing: the workers know it all.
    Nothing,
}

/// What is known of the whole node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Numbers {
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it drains.
    pub draining: bool,
    /// Endpoints that are served somewhere.
    pub endpoints: usize,
    /// Endpoints that are served by this node.
    pub endpoints_here: usize,
    /// Unless it is alone for good.
    pub gossip: Option<GossipNumbers>,
}

/// How gossip is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GossipNumbers {
    /// The cluster's name.
    pub cluster: String,
    /// What this node says of itself.
    pub me: gossip::Member,
    /// What it did.
    pub counts: gossip::Counts,
    /// Nodes in each state, this one included.
    pub states: [(State, usize); State::ALL.len()],
    /// From 0, well, to [`HEALTH_MAX`](gossip::HEALTH_MAX).
    pub health: u32,
    /// How far this node knows to be behind.
    pub lag: gossip::Lag,
}

/// Everything that is counted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Metrics {
    /// The program.
    pub about: About,
    /// What all workers counted.
    pub tally: Tally,
    /// How many workers there are.
    pub workers: u16,
    /// Those that did not answer in time: what they said last stands for them.
    pub silent: u16,
    /// What is known of the node.
    pub numbers: Numbers,
}

/// The program that runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct About {
    /// Its version.
    pub version: &'static str,
    /// The runtime that it is built on.
    pub runtime: &'static str,
    /// When it started, in milliseconds since 1970.
    pub started_ms: u64,
}

impl Default for About {
    fn default() -> Self {
        Self { version: env!("CARGO_PKG_VERSION"), runtime: "", started_ms: 0 }
    }
}

/// One node of the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeRow {
    /// Its name.
    pub id: String,
    /// Its run.
    pub boot: Boot,
    /// How it is.
    pub state: State,
    /// Its gossip port, as others reach it; unknown of a node that is alone.
    pub addr: Option<SocketAddr>,
    /// The version of its program, if it says so.
    pub version: Option<String>,
    /// Whether it is the node that answers.
    pub this: bool,
    /// Endpoints that it serves.
    pub endpoints: usize,
    /// For how long it has been in its state, as far as the node that answers knows.
    pub age: Option<Duration>,
    /// The round trip to it.
    pub rtt: Option<Duration>,
    /// Links of the node that answers to it: up, being dialled, and avoided.
    pub links: [u16; 3],
}

/// One endpoint in the list of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointRow {
    /// Its name.
    pub endpoint: EndpointId,
    /// How many upstreams serve it, those of other nodes by their coarse weight.
    pub upstreams: u64,
    /// Names of nodes that hold them, a few of them.
    pub nodes: Vec<String>,
    /// How many nodes hold them.
    pub nodes_total: usize,
}

/// Who serves one endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointReport {
    /// The endpoint.
    pub row: EndpointRow,
    /// The nodes, as many as are shown.
    pub places: Vec<PlaceRow>,
}

/// A node that serves an endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlaceRow {
    /// Its name.
    pub node: String,
    /// Whether it should be chosen.
    pub standing: Standing,
    /// Whether it is the node that answers.
    pub this: bool,
    /// How many upstreams it holds, as far as it says.
    pub upstreams: u64,
}

/// One tunnel of an agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TunnelRow {
    /// The endpoint that it serves.
    pub endpoint: EndpointId,
    /// The worker that holds it, and the how-manieth connection of that worker it is.
    pub id: (WorkerId, u64),
    /// Where it comes from.
    pub peer: SocketAddr,
    /// What the agent says of itself.
    pub agent: Identity,
    /// For how long it has served.
    pub age: Duration,
    /// The round trip, once it is known.
    pub rtt: Option<Duration>,
    /// Calls that are under way on it.
    pub calls: usize,
}

/// All that was gathered for one answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Report {
    /// Everything that is counted, in one of two formats.
    Metrics(Box<Metrics>, Format),
    /// The nodes of the cluster.
    Nodes(Listing<NodeRow>),
    /// The endpoints that are served somewhere.
    Endpoints(Listing<EndpointRow>),
    /// Who serves one of them.
    Endpoint(EndpointReport),
    /// The tunnels of agents that the node holds.
    Tunnels(Listing<TunnelRow>),
    /// How gossip is.
    Gossip(Box<Numbers>),
}

/// How metrics are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Prometheus text, version 0.0.4.
    Prometheus,
    /// `OpenMetrics` text, version 1.0.0.
    OpenMetrics,
}

/// What is shown to an operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Page<'a> {
    /// The page for people, which asks for the rest.
    Home,
    /// Its script.
    Script,
    /// Its style.
    Style,
    /// The description of the status API.
    Description,
    /// Something that the node with this name, or this run, has found out.
    Report(&'a str, &'a Report),
}

/// A page as it goes out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// Its media type.
    pub kind: &'static str,
    /// Its bytes.
    pub bytes: Bytes,
}

/// Writes a page: a function of nothing but the page. What formats look like is the shell's.
pub type Write = fn(Page<'_>) -> Written;

impl Query {
    /// Whether workers have something to say to it.
    pub(super) const fn concerns_workers(&self) -> bool {
        match self {
            Self::Metrics | Self::Nodes(_) | Self::Tunnels(_) => true,
            Self::Endpoints(_) | Self::Endpoint(_) | Self::Gossip => false,
        }
    }
}

/// Nodes of an endpoint that a list of endpoints names.
pub(super) const NODES_NAMED: usize = 8;
/// Nodes of an endpoint that its own page names.
pub(super) const PLACES_SHOWN: usize = 1_000;
