//! Answers of the status API as tables.

use super::PIECE;
use crate::admin::model::{Cluster, Endpoint, Endpoints, Gossip, Links, Nodes, Tunnels};
use crate::command::table::{Table, shown};
use serde::de::DeserializeOwned;
use std::fmt::Write as _;
use std::io;

/// A piece of a list, as far as it concerns whoever wants the whole.
struct Piece {
    total: usize,
    next: Option<String>,
    complete: bool,
}

/// `pico status nodes`.
pub(super) fn nodes(
    limit: usize,
    width: Option<usize>,
    mut ask: impl FnMut(usize, Option<&str>) -> io::Result<String>,
) -> io::Result<String> {
    let heads = &["NODE", "STATE", "ADDRESS", "VERSION", "ENDPOINTS>", "RTT>", "LINKS", "FOR>"];
    let mut table = Table::new(heads);
    let rest = list(limit, |limit, after| {
        let found: Nodes = read(&ask(limit, after)?)?;
        for node in found.nodes {
            let mark = if node.this { "*" } else { "" };
            table.row([
                format!("{}{mark}", node.id),
                node.state,
                node.address.unwrap_or_default(),
                node.version.unwrap_or_default(),
                node.endpoints.to_string(),
                node.rtt_ms.map(millis).unwrap_or_default(),
                links(&node.links),
                node.age_seconds.map(span).unwrap_or_default(),
            ]);
        }
        Ok(Piece { total: found.total, next: found.next, complete: found.complete })
    })?;
    Ok(table.text(width) + &foot(&table, &rest))
}

/// `pico status endpoints`.
pub(super) fn endpoints(
    limit: usize,
    width: Option<usize>,
    mut ask: impl FnMut(usize, Option<&str>) -> io::Result<String>,
) -> io::Result<String> {
    let mut table = Table::new(&["ENDPOINT", "UPSTREAMS>", "NODES"]);
    let rest = list(limit, |limit, after| {
        let found: Endpoints = read(&ask(limit, after)?)?;
        for row in found.endpoints {
            let more = row.nodes_total.saturating_sub(row.nodes.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let nodes = row.nodes.join(", ") + &more;
            table.row([row.endpoint, row.upstreams.to_string(), nodes]);
        }
        Ok(Piece { total: found.total, next: found.next, complete: true })
    })?;
    Ok(table.text(width) + &foot(&table, &rest))
}

/// `pico status endpoints ENDPOINT`.
pub(super) fn endpoint(
    width: Option<usize>,
    mut ask: impl FnMut(usize, Option<&str>) -> io::Result<String>,
) -> io::Result<String> {
    let found: Endpoint = read(&ask(0, None)?)?;
    let mut table = Table::new(&["NODE", "STATE", "UPSTREAMS>"]);
    for place in found.places {
        let mark = if place.this { "*" } else { "" };
        table.row([format!("{}{mark}", place.node), place.state, place.upstreams.to_string()]);
    }
    let rest = Piece { total: found.nodes_total, next: None, complete: true };
    Ok(table.text(width) + &foot(&table, &rest))
}

/// `pico status tunnels`.
pub(super) fn tunnels(
    limit: usize,
    width: Option<usize>,
    mut ask: impl FnMut(usize, Option<&str>) -> io::Result<String>,
) -> io::Result<String> {
    let heads = &["ENDPOINT", "TUNNEL", "AGENT", "SOFTWARE", "FROM", "CALLS>", "RTT>", "FOR>"];
    let mut table = Table::new(heads);
    let rest = list(limit, |limit, after| {
        let found: Tunnels = read(&ask(limit, after)?)?;
        for tunnel in found.tunnels {
            table.row([
                tunnel.endpoint,
                tunnel.id,
                tunnel.agent.id,
                tunnel.agent.software,
                tunnel.peer,
                tunnel.calls.to_string(),
                tunnel.rtt_ms.map(millis).unwrap_or_default(),
                span(tunnel.age_seconds),
            ]);
        }
        Ok(Piece { total: found.total, next: found.next, complete: found.complete })
    })?;
    Ok(table.text(width) + &foot(&table, &rest))
}

/// `pico status gossip`.
pub(super) fn gossip(
    mut ask: impl FnMut(usize, Option<&str>) -> io::Result<String>,
) -> io::Result<String> {
    let found: Gossip = read(&ask(0, None)?)?;
    let state = match (found.draining, found.ready) {
        (true, _) => "draining",
        (false, true) => "ready",
        (false, false) => "not ready",
    };
    let mut lines = vec![("node", found.node), ("state", state.into())];
    let (all, here) = (found.endpoints, found.endpoints_here);
    lines.push(("endpoints", format!("{all}, of which {here} by agents of this node")));
    match found.cluster {
        Some(cluster) => lines.extend(of_cluster(&cluster)),
        None => lines.push(("cluster", "none".into())),
    }
    let mut text = String::new();
    for (name, value) in lines {
        let _ = writeln!(text, "{name:<12} {}", shown(&value));
    }
    Ok(text)
}

fn of_cluster(cluster: &Cluster) -> Vec<(&'static str, String)> {
    let Cluster { behind, sent, received, rejected, states, .. } = cluster;
    let states = states.iter().filter(|(_, count)| **count > 0);
    let states: Vec<String> = states.map(|(of, count)| format!("{count} {of}")).collect();
    let behind = if behind.logs == 0 {
        "nothing is missing".into()
    } else {
        format!("{} changes of {} nodes are missing", behind.changes, behind.logs)
    };
    vec![
        ("cluster", cluster.name.clone()),
        ("address", cluster.address.clone()),
        ("run", format!("{}, incarnation {}", cluster.boot, cluster.incarnation)),
        ("nodes", states.join(", ")),
        ("health", format!("{} (0 is well, 8 the worst)", cluster.health)),
        ("directories", behind),
        ("sent", format!("{} datagrams, {} bytes", sent.datagrams, sent.bytes)),
        ("received", format!("{} datagrams, {} bytes", received.datagrams, received.bytes)),
        ("rejected", format!("{} strange, {} malformed", rejected.strange, rejected.malformed)),
        (
            "found",
            format!(
                "{} dead, {} suspect; refuted {} suspicions of itself",
                cluster.deaths, cluster.suspicions, cluster.refuted
            ),
        ),
    ]
}

/// Asks for the pieces of a list until there are so many rows, or no more.
fn list(
    limit: usize,
    mut piece: impl FnMut(usize, Option<&str>) -> io::Result<Piece>,
) -> io::Result<Piece> {
    let mut left = limit;
    let mut after: Option<String> = None;
    let mut complete = true;
    loop {
        let wanted = left.min(PIECE);
        let found = piece(wanted, after.as_deref())?;
        complete &= found.complete;
        left -= wanted;
        if left == 0 || found.next.is_none() {
            return Ok(Piece { complete, ..found });
        }
        after = found.next;
    }
}

/// What stands below a table of which not all is shown.
fn foot(table: &Table, rest: &Piece) -> String {
    let mut text = String::new();
    if rest.next.is_some() {
        let _ =
            writeln!(text, "\n{} of {} are shown; --limit says how many", table.len(), rest.total);
    } else if rest.total == 0 {
        text.push_str("none\n");
    }
    if !rest.complete {
        text.push_str("\nnot complete: a worker of the node did not answer in time\n");
    }
    text
}

fn read<T: DeserializeOwned>(text: &str) -> io::Result<T> {
    let strange = |error| io::Error::other(format!("the answer is none of an admin port: {error}"));
    serde_json::from_str(text).map_err(strange)
}

fn links(links: &Links) -> String {
    let parts = [(links.up, "up"), (links.dialing, "dialing"), (links.avoided, "avoided")];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, of)| format!("{count} {of}")).collect();
    parts.join(", ")
}

fn millis(ms: f64) -> String {
    if ms < 10.0 { format!("{ms:.1}ms") } else { format!("{ms:.0}ms") }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}
