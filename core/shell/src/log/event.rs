//! Notes as events of the log.

use crate::config::Part;
use crate::screen::{millis, refusal, told};
use pico_core::Reason;
use pico_core::host::Port;
use pico_core::note::{Gone, Note, Request, Why};
use pico_core::routing::Place;
use std::net::SocketAddr;
use tracing::{error, info, warn};

/// An event of the log. Nothing is formatted that is not logged.
pub(crate) fn event(note: &Note) {
    match note {
        Note::Request(request) => request_event(request),
        Note::Registered { endpoint, peer } => {
            info!(target: UPSTREAM, %endpoint, %peer, "upstream registered");
        }
        Note::Unregistered { endpoint, reason } => {
            info!(target: UPSTREAM, %endpoint, code = reason.told().code, %reason, "upstream gone");
        }
        Note::Refused { port, peer, reason, suppressed } => {
            let suppressed = Some(*suppressed).filter(|count| *count > 0);
            refused(*port, *peer, *reason, suppressed);
        }
        Note::Online { endpoint, service, node, rtt } => {
            let rtt_ms = millis(*rtt);
            info!(target: TUNNEL, %endpoint, %service, %node, rtt_ms, "online");
        }
        Note::Moving { endpoint, service, node } => {
            info!(target: TUNNEL, %endpoint, %service, %node, "asked to connect elsewhere");
        }
        Note::Offline { endpoint, service, server, why, retry } => {
            let (why, retry_ms) = (told(*why), millis(*retry));
            warn!(target: TUNNEL, %endpoint, %service, %server, why, retry_ms, "offline");
        }
        Note::Rejected { endpoint, service, status, code } => {
            let why = refusal(*status, code);
            error!(target: TUNNEL, %endpoint, %service, status, %code, why, "refused for good");
        }
        Note::ServiceUnreachable { endpoint, service, fault } => {
            warn!(target: SERVICE, %endpoint, %service, %fault, "service unreachable");
        }
        Note::NodeFound { node, addr } => info!(target: CLUSTER, %node, %addr, "node found"),
        Note::NodeGone { node, why: Gone::Dead } => warn!(target: CLUSTER, %node, "node is dead"),
        Note::NodeGone { node, why: Gone::Left } => info!(target: CLUSTER, %node, "node has left"),
        Note::NodeGone { node, why: Gone::Restarted } => {
            info!(target: CLUSTER, %node, "node has restarted");
        }
        Note::Alone { seed, why } => {
            warn!(target: CLUSTER, %seed, %why, "alone: no other node was found");
        }
        Note::Deserted => error!(target: CLUSTER, "no node of cluster.join was found in time"),
        Note::LinkUp { node, again: false } => info!(target: CLUSTER, %node, "link up"),
        Note::LinkUp { node, again: true } => info!(target: CLUSTER, %node, "link is back"),
        Note::LinkDown { node, why: Some(why) } => {
            warn!(target: CLUSTER, %node, why = broken(*why), "link lost");
        }
        Note::LinkDown { node, why: None } => info!(target: CLUSTER, %node, "link closed"),
        Note::Joined { nodes, complete: true } => info!(target: CLUSTER, nodes, "ready"),
        Note::Joined { nodes: 1, complete: false } => {
            warn!(target: CLUSTER, nodes = 1, "ready, alone: no other node was found in time");
        }
        Note::Joined { nodes, complete: false } => {
            warn!(target: CLUSTER, nodes, "ready, but not all was learned that the other nodes serve");
        }
        Note::Rebalancing { held, share } => {
            info!(target: CLUSTER, held, share, "holds more than its share: agents are asked to move");
        }
        Note::Untrusted { peer, why, suppressed } => {
            let suppressed = Some(*suppressed).filter(|count| *count > 0);
            warn!(target: CLUSTER, %peer, %why, suppressed, "not trusted");
        }
        Note::Namesake { peer } => {
            error!(target: CLUSTER, %peer, "another node has the same cluster.node-id");
        }
        Note::Draining { calls } => info!(target: PROCESS, calls, "draining"),
        Note::Drained { cut } => info!(target: PROCESS, cut, "drained"),
    }
}

/// A refusal, as a matter of the part that its port is of. A target is a constant to `tracing`.
fn refused(port: Port, peer: SocketAddr, reason: Reason, suppressed: Option<u64>) {
    let code = reason.told().code;
    match port {
        Port::Proxy => {
            warn!(target: PROCESS, port = "proxy", %peer, code, %reason, suppressed, "refused");
        }
        Port::Upstream => {
            warn!(target: UPSTREAM, port = "upstream", %peer, code, %reason, suppressed, "refused");
        }
        Port::Admin => {
            warn!(target: PROCESS, port = "admin", %peer, code, %reason, suppressed, "refused");
        }
        Port::Gossip => {
            warn!(target: CLUSTER, port = "gossip", %peer, code, %reason, suppressed, "refused");
        }
    }
}

fn request_event(request: &Request) {
    let Request {
        id,
        endpoint,
        method,
        path,
        status,
        reason,
        bytes_in,
        bytes_out,
        first,
        took,
        upstream,
        node,
    } = request;
    info!(
        target: REQUEST,
        request_id = %id,
        %endpoint,
        %method,
        %path,
        status,
        code = reason.map(|reason| reason.told().code),
        bytes_in,
        bytes_out,
        first_ms = first.map(millis),
        took_ms = millis(*took),
        upstream = upstream.map(|at| place(at, node.as_deref())),
        "request"
    );
}

/// What broke between two nodes, in words.
fn broken(why: Why) -> String {
    match why {
        Why::Status(status) => format!("it answered {status}"),
        Why::Fault(_) | Why::Reason(_) => told(why),
    }
}

/// A place as the status API names it: a tunnel by its ID, another node by its name; by its boot
/// if it is gone.
fn place(place: Place, node: Option<&str>) -> String {
    match (place, node) {
        (Place::Tunnel { worker, conn }, _) => format!("tunnel {}-{}", worker.0, conn.number()),
        (Place::Node(_), Some(name)) => format!("node {name}"),
        (Place::Node(boot), None) => format!("node {:016x}", boot.0),
    }
}

const REQUEST: &str = Part::Request.name();
const UPSTREAM: &str = Part::Upstream.name();
const CLUSTER: &str = Part::Cluster.name();
const TUNNEL: &str = Part::Tunnel.name();
const SERVICE: &str = Part::Service.name();
pub(super) const PROCESS: &str = Part::Process.name();
