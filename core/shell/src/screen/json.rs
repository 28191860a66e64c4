//! JSON, an object for each thing that happens.

use super::{Listed, millis, refusal, told};
use crate::clock::Clock;
use pico_core::note::{Note, Request};
use serde_json::{Value, json};

/// The line of a listener.
pub(super) fn listed(listed: &Listed) -> String {
    let Listed { endpoint, service } = listed;
    stamped(json!({ "event": "endpoint", "endpoint": endpoint, "service": url(service) }))
}

/// The line of a note, if it has one.
pub(super) fn line(note: &Note) -> Option<String> {
    Some(stamped(match note {
        Note::Request(request) => self::request(request),
        Note::Online { endpoint, service, node, rtt } => json!({
            "event": "online",
            "endpoint": endpoint,
            "service": url(service),
            "node": node,
            "rtt_us": u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX),
        }),
        Note::Moving { endpoint, service, node } => json!({
            "event": "moving",
            "endpoint": endpoint,
            "service": url(service),
            "node": node,
        }),
        Note::Offline { endpoint, service, server, why, retry } => json!({
            "event": "offline",
            "endpoint": endpoint,
            "service": url(service),
            "server": server,
            "why": told(*why),
            "retry_ms": millis(*retry),
        }),
        Note::Rejected { endpoint, service, status, code } => json!({
            "event": "refused",
            "endpoint": endpoint,
            "service": url(service),
            "status": status,
            "code": code,
            "why": refusal(*status, code),
        }),
        Note::ServiceUnreachable { endpoint, service, fault } => json!({
            "event": "service_unreachable",
            "endpoint": endpoint,
            "service": url(service),
            "why": fault.to_string(),
        }),
        Note::Draining { calls } => json!({ "event": "stopping", "requests": calls }),
        Note::Drained { cut } => json!({ "event": "stopped", "cut": cut }),
        Note::Registered { .. }
        | Note::Unregistered { .. }
        | Note::Refused { .. }
        | Note::NodeFound { .. }
        | Note::NodeGone { .. }
        | Note::Alone { .. }
        | Note::Deserted
        | Note::LinkUp { .. }
        | Note::LinkDown { .. }
        | Note::Joined { .. }
        | Note::Rebalancing { .. }
        | Note::Untrusted { .. }
        | Note::Namesake { .. } => return None,
    }))
}

/// A service as an address that can be asked.
fn url(service: &str) -> String {
    format!("http://{service}")
}

fn request(request: &Request) -> Value {
    let Request { id, endpoint, method, path, status, reason, bytes_in, bytes_out, took, .. } =
        request;
    json!({
        "event": "request",
        "request_id": id,
        "endpoint": endpoint,
        "method": method,
        "path": path,
        "status": status,
        "code": reason.map(|reason| reason.told().code),
        "bytes_in": bytes_in,
        "bytes_out": bytes_out,
        "took_us": u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
    })
}

/// The line of an event, with the time at which it is written.
fn stamped(mut event: Value) -> String {
    event["time_ms"] = Clock::milliseconds_since_1970().into();
    event.to_string()
}
