//! What the paths of the admin port stand for.

use super::{Format, Paging, Query};
use crate::gossip::NodeId;
use crate::head::{RequestHead, elements};
use crate::id::WorkerId;
use crate::reason::Reason;
use crate::routing::EndpointId;
use alloc::format;
use alloc::string::String;
use http::Method;

/// What a request to the admin port asks for.
#[derive(PartialEq, Eq, Debug)]
pub(in crate::server) enum Route {
    /// Whether the process lives.
    Health,
    /// Whether the node takes requests.
    Ready,
    /// The page for people.
    Home,
    /// Its script.
    Script,
    /// Its style.
    Style,
    /// The description of the status API.
    Description,
    /// What the node has to find out, and in which format.
    Metrics(Format),
    /// What this or another node has to find out.
    Status(Query, Option<String>),
}

/// What a request to the admin port asks for.
pub(in crate::server) fn route(head: &RequestHead) -> Result<Route, Reason> {
    let target = core::str::from_utf8(head.target()).map_err(|_| Reason::NotFound)?;
    let path = target.split('?').next().unwrap_or_default();
    let found = match path {
        "/" => Route::Home,
        "/page.js" => Route::Script,
        "/page.css" => Route::Style,
        "/openapi.json" => Route::Description,
        "/health" => Route::Health,
        "/ready" => Route::Ready,
        "/metrics" => Route::Metrics(format(head)),
        _ => {
            let (query, node) = inquiry(target)?;
            Route::Status(query, node)
        }
    };
    let read = head.method == Method::GET || head.method == Method::HEAD;
    if read { Ok(found) } else { Err(Reason::MethodNotAllowed) }
}

/// What a path of the status API asks for, and of which node.
pub(in crate::server) fn inquiry(target: &str) -> Result<(Query, Option<String>), Reason> {
    let (path, text) = target.split_once('?').unwrap_or((target, ""));
    let name = path.strip_prefix("/status/").ok_or(Reason::NotFound)?;
    let listed = matches!(name, "nodes" | "endpoints" | "tunnels");
    let known = listed || name == "gossip" || name.starts_with("endpoints/");
    if !known {
        return Err(Reason::NotFound);
    }
    let Parameters { paging, node } = Parameters::read(text, listed)?;
    let fits = paging.after.as_deref().is_none_or(|after| match name {
        "nodes" => NodeId::parse(after.as_bytes()).is_ok(),
        "endpoints" => EndpointId::parse(after.as_bytes()).is_ok(),
        _ => tunnel_key(after).is_some(),
    });
    if !fits {
        return Err(Reason::InvalidQuery);
    }
    let query = match name {
        "nodes" => Query::Nodes(paging),
        "endpoints" => Query::Endpoints(paging),
        "tunnels" => Query::Tunnels(paging),
        "gossip" => Query::Gossip,
        _ => {
            let id = name.strip_prefix("endpoints/").unwrap_or_default();
            Query::Endpoint(EndpointId::parse(id.as_bytes())?)
        }
    };
    Ok((query, node))
}

#[derive(Default)]
struct Parameters {
    paging: Paging,
    node: Option<String>,
}

impl Parameters {
    fn read(text: &str, listed: bool) -> Result<Self, Reason> {
        let mut found = Self::default();
        let mut limited = false;
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or(Reason::InvalidQuery)?;
            let before = match name {
                "node" => {
                    NodeId::parse(value.as_bytes()).map_err(|_| Reason::InvalidQuery)?;
                    found.node.replace(value.into()).is_some()
                }
                "after" if listed => found.paging.after.replace(value.into()).is_some(),
                "limit" if listed => {
                    found.paging.limit = limit(value)?;
                    core::mem::replace(&mut limited, true)
                }
                _ => return Err(Reason::InvalidQuery),
            };
            if before {
                return Err(Reason::InvalidQuery);
            }
        }
        Ok(found)
    }
}

fn limit(value: &str) -> Result<usize, Reason> {
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    let number = value.parse::<usize>().ok().filter(|_| digits).ok_or(Reason::InvalidQuery)?;
    let fits = (1..=Paging::MOST).contains(&number);
    if fits { Ok(number) } else { Err(Reason::InvalidQuery) }
}

/// What stands for a tunnel in the order of all of them: its endpoint, its worker and its number.
pub(in crate::server) fn tunnel_key(after: &str) -> Option<(EndpointId, WorkerId, u64)> {
    let (endpoint, rest) = after.split_once(':')?;
    let (worker, number) = rest.split_once(':')?;
    let endpoint = EndpointId::parse(endpoint.as_bytes()).ok()?;
    Some((endpoint, WorkerId(worker.parse().ok()?), number.parse().ok()?))
}

/// The path and query by which a node asks another the same.
pub(in crate::server) fn target(query: &Query) -> String {
    let listed = |name: &str, Paging { after, limit }: &Paging| {
        let after = after.as_ref().map(|after| format!("&after={after}")).unwrap_or_default();
        format!("{PREFIX}/status/{name}?limit={limit}{after}")
    };
    match query {
        // A scrape is of one node.
        Query::Metrics => format!("{PREFIX}/metrics"),
        Query::Nodes(paging) => listed("nodes", paging),
        Query::Endpoints(paging) => listed("endpoints", paging),
        Query::Tunnels(paging) => listed("tunnels", paging),
        Query::Endpoint(endpoint) => format!("{PREFIX}/status/endpoints/{endpoint}"),
        Query::Gossip => format!("{PREFIX}/status/gossip"),
    }
}

/// Which of the two formats of metrics a client would rather have. Whoever does not name
/// `OpenMetrics` gets the one that everybody reads.
fn format(head: &RequestHead) -> Format {
    let (mut open, mut text) = (0, 0);
    for element in head.fields.all("accept").flat_map(elements) {
        let element = core::str::from_utf8(element).unwrap_or_default();
        let mut parts = element.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let mut weight = 1_000;
        let mut ours = true;
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim() {
                "q" | "Q" => weight = thousandths(value.trim()),
                "version" => ours = value.trim().trim_matches('"') == "1.0.0",
                _ => {}
            }
        }
        match kind.as_str() {
            "application/openmetrics-text" if ours => open = weight.max(open),
            "text/plain" | "text/*" => text = weight.max(text),
            _ => {}
        }
    }
    if open > 0 && open >= text { Format::OpenMetrics } else { Format::Prometheus }
}

/// A quality value (RFC 9110, section 12.4.2) in thousandths; what is none counts as 0.
fn thousandths(text: &str) -> u32 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = part.bytes().all(|b| b.is_ascii_digit()) && part.len() <= 3;
    let part = (0..3).fold(0, |sum, at| {
        let digit = part.as_bytes().get(at).map_or(0, |b| u32::from(b.wrapping_sub(b'0')));
        sum * 10 + if digits { digit } else { 0 }
    });
    match whole {
        "0" if digits => part,
        "1" => 1_000,
        _ => 0,
    }
}

/// What the paths of the status API begin with where nodes ask each other.
pub(in crate::server) const PREFIX: &str = "/pico/v1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Fields;

    fn asked(method: Method, target: &str, accept: &str) -> Result<Route, Reason> {
        let mut fields = Fields::new();
        fields.push(b"accept", accept.as_bytes());
        route(&RequestHead::new(method, target.as_bytes(), fields))
    }

    #[test]
    fn paths_and_parameters_mean_one_thing_or_are_refused() {
        let paging = |after: Option<&str>, limit| Paging { after: after.map(Into::into), limit };
        let status = |query, node: Option<&str>| Ok(Route::Status(query, node.map(Into::into)));
        let cases = [
            ("/status/nodes", status(Query::Nodes(Paging::default()), None)),
            ("/status/nodes?node=n-1", status(Query::Nodes(Paging::default()), Some("n-1"))),
            (
                "/status/endpoints?limit=1000&after=a.b~c",
                status(Query::Endpoints(paging(Some("a.b~c"), 1_000)), None),
            ),
            (
                "/status/tunnels?after=a:0:1&",
                status(Query::Tunnels(paging(Some("a:0:1"), 100)), None),
            ),
            (
                "/status/endpoints/A?node=x",
                status(Query::Endpoint("a".parse().expect("a name")), Some("x")),
            ),
            ("/status/endpoints/", Err(Reason::InvalidEndpoint)),
            ("/status/endpoints/a/b", Err(Reason::InvalidEndpoint)),
            ("/status/gossip", status(Query::Gossip, None)),
            ("/status/gossip?limit=1", Err(Reason::InvalidQuery)),
            ("/status/nodes?limit=0", Err(Reason::InvalidQuery)),
            ("/status/nodes?limit=1001", Err(Reason::InvalidQuery)),
            ("/status/nodes?limit=+1", Err(Reason::InvalidQuery)),
            ("/status/nodes?limit=1&limit=1", Err(Reason::InvalidQuery)),
            ("/status/nodes?node=a&node=a", Err(Reason::InvalidQuery)),
            ("/status/nodes?node=", Err(Reason::InvalidQuery)),
            ("/status/nodes?after=%41", Err(Reason::InvalidQuery)),
            ("/status/tunnels?after=a", Err(Reason::InvalidQuery)),
            ("/status/tunnels?after=a:65536:1", Err(Reason::InvalidQuery)),
            ("/status/nodes?other=1", Err(Reason::InvalidQuery)),
            ("/status/nodes?limit", Err(Reason::InvalidQuery)),
            ("/status", Err(Reason::NotFound)),
            ("/status/", Err(Reason::NotFound)),
            ("/status/nodes/", Err(Reason::NotFound)),
            ("/statusnodes", Err(Reason::NotFound)),
            ("/", Ok(Route::Home)),
            ("/ready?x", Ok(Route::Ready)),
        ];
        for (target, expected) in cases {
            assert_eq!(asked(Method::GET, target, "*/*"), expected, "{target}");
        }
        assert_eq!(asked(Method::HEAD, "/health", ""), Ok(Route::Health));
        assert_eq!(asked(Method::POST, "/metrics", ""), Err(Reason::MethodNotAllowed));
        assert_eq!(asked(Method::POST, "/nothing", ""), Err(Reason::NotFound));
    }

    #[test]
    fn openmetrics_is_for_those_who_name_it_and_like_it_as_much() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,\
            application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let cases = [
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("text/plain", Format::Prometheus),
            (prometheus, Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("Application/OpenMetrics-Text; version=\"1.0.0\"", Format::OpenMetrics),
            ("application/openmetrics-text; version=0.0.1", Format::Prometheus),
            ("application/openmetrics-text;q=0", Format::Prometheus),
            ("application/openmetrics-text;q=0.2, text/plain;q=0.25", Format::Prometheus),
            ("application/openmetrics-text;q=x", Format::Prometheus),
        ];
        for (accept, format) in cases {
            assert_eq!(
                asked(Method::GET, "/metrics", accept),
                Ok(Route::Metrics(format)),
                "{accept}"
            );
        }
    }

    #[test]
    fn what_a_node_asks_another_is_what_it_was_asked() {
        for path in
            ["nodes?limit=7&after=n", "tunnels?limit=1&after=a:1:2", "endpoints/a", "gossip"]
        {
            let path = format!("/status/{path}");
            let (query, node) = inquiry(&path).expect("a question");
            assert_eq!((target(&query), node), (format!("{PREFIX}{path}"), None));
        }
    }
}
