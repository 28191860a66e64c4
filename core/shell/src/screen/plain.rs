//! Plain lines, one for each thing that happens.

use super::{Listed, Shared, clean, millis, refusal, size, told};
use pico_core::note::{Note, Request};

/// The line of a listener.
pub(super) fn listed(listed: &Listed) -> String {
    format!("Endpoint   {}  ->  http://{}", listed.endpoint, listed.service)
}

/// The line of a note, if it has one.
pub(super) fn line(note: &Note, shared: &Shared) -> Option<String> {
    Some(match note {
        Note::Request(request) => self::request(request, shared),
        Note::Online { endpoint, service, node, rtt } => {
            let name = shared.name(endpoint, service);
            format!("Status     {name} online   node {}   rtt {} ms", clean(node), millis(*rtt))
        }
        Note::Moving { endpoint, service, node } => {
            let (name, node) = (shared.name(endpoint, service), clean(node));
            format!("Status     {name} moving   node {node} asks it to connect elsewhere")
        }
        Note::Offline { endpoint, service, server, why, retry } => {
            let name = shared.name(endpoint, service);
            let (why, retry) = (told(*why), millis(*retry));
            format!("Status     {name} offline  {server}: {why}; next attempt in {retry} ms")
        }
        Note::Rejected { endpoint, service, status, code } => {
            let name = shared.name(endpoint, service);
            format!("Status     {name} refused  {}", refusal(*status, code))
        }
        Note::ServiceUnreachable { endpoint, service, fault } => {
            format!("Service    {endpoint} -> {service}: {fault}")
        }
        Note::Draining { calls } => format!("Stopping   {calls} requests under way"),
        Note::Drained { cut } => format!("Stopped    {cut} requests cut off"),
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
    })
}

/// The line of a request, which says of which endpoint it is if there are several.
fn request(request: &Request, shared: &Shared) -> String {
    let Request { endpoint, method, path, status, reason, bytes_out, took, .. } = request;
    let of = if shared.many { format!("{endpoint}  ") } else { String::new() };
    let end = match reason {
        Some(reason) => reason.to_string(),
        None => size(*bytes_out),
    };
    // One that nobody was answered has none.
    let status = if *status == 0 { "-".into() } else { status.to_string() };
    format!("{of}{method:<6} {path}  {status}  {} ms  {end}", millis(*took))
}
