//! What an intermediary must and must not forward (RFC 9110, section 7.6).

use crate::head::{Fields, elements, valid_name};
use alloc::vec::Vec;

/// Removes what concerns one hop only: the hop-by-hop fields and those that `Connection` names
/// (RFC 9110, section 7.6.1). `Upgrade` stays if `upgrade` says that an upgrade is under way.
///
/// `Content-Length` and `Host` stay even if `Connection` names them: without them the message
/// would be another one. `Trailer` stays, because trailers are forwarded.
/// `Proxy-Authenticate` and `Proxy-Authorization` stay: they are between the client and whichever
/// proxy asked (RFC 9110, section 11.7), and Pico never asks.
pub fn strip_hop_by_hop(fields: &mut Fields, upgrade: bool) {
    let list = named(fields, upgrade);
    let mut named: Vec<&[u8]> = list.split(|byte| *byte == b',').collect();
    named.sort_unstable();
    fields.retain(|name, _| {
        let goes = if is(name, b"upgrade") { !upgrade } else { is_hop_by_hop(name) };
        let is_named = || {
            let lower =
                |other: &&[u8]| other.iter().copied().cmp(name.iter().map(u8::to_ascii_lowercase));
            named.binary_search_by(lower).is_ok()
        };
        !goes && !is_named()
    });
}

/// Whether `Connection` has no more options than a head may have fields: more cannot be meant.
pub(crate) fn has_few_options(fields: &Fields) -> bool {
    fields.all("connection").flat_map(elements).nth(OPTIONS_MAX).is_none()
}

/// Removes from a trailer section what must not come after the body (RFC 9110, section 6.5.1):
/// who merges it into the head would take it for something that was checked there.
pub fn strip_trailers(fields: &mut Fields) {
    fields.retain(|name, _| may_trail(name));
}

/// Whether a field may come after the body: it frames nothing, routes nothing, is not of one hop
/// and tells nothing about the way, about who asks, or how the message is to be handled.
pub(crate) fn may_trail(name: &[u8]) -> bool {
    const EARLY: [&[u8]; 30] = [
        b"age",
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"cookie",
        b"expect",
        b"expires",
        b"host",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"location",
        b"max-forwards",
        b"pragma",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"range",
        b"retry-after",
        b"set-cookie",
        b"trailer",
        b"upgrade",
        b"vary",
        b"via",
        b"warning",
        b"www-authenticate",
    ];
    let early = EARLY.iter().any(|other| reads_as(name, other));
    !early && !is_hop_by_hop(name) && !is_pico(name) && !tells_of_client(name)
}

/// Whether a field is between Pico and those who speak to it: `x-pico-*`.
pub(crate) fn is_pico(name: &[u8]) -> bool {
    name.get(..7).is_some_and(|start| reads_as(start, b"x-pico-"))
}

/// Whether a field says what the last hop saw of a client, which a client cannot say itself.
pub(crate) fn tells_of_client(name: &[u8]) -> bool {
    reads_as(name, b"forwarded")
        || reads_as(name, b"x-real-ip")
        || reads_as(name, b"x-request-id")
        || name.get(..12).is_some_and(|start| reads_as(start, b"x-forwarded-"))
}

/// Whether a field is of one hop, `Upgrade` aside.
pub(crate) fn is_hop_by_hop(name: &[u8]) -> bool {
    match name.len() {
        2 => is(name, b"te"),
        10 => is(name, b"connection") || is(name, b"keep-alive"),
        14 => is(name, b"http2-settings"),
        16 => is(name, b"proxy-connection"),
        17 => is(name, b"transfer-encoding"),
        _ => false,
    }
}

/// The fields that `Connection` names, its options and the protected ones aside: as one list, in
/// lower case.
fn named(fields: &Fields, upgrade: bool) -> Vec<u8> {
    let kept: [&[u8]; 4] = [b"close", b"keep-alive", b"content-length", b"host"];
    let mut list = Vec::new();
    for name in fields.all("connection").flat_map(elements) {
        let stays = upgrade && is(name, b"upgrade");
        if valid_name(name) && !stays && !kept.iter().any(|other| is(name, other)) {
            list.extend_from_slice(name);
            list.push(b',');
        }
    }
    list.make_ascii_lowercase();
    list
}

/// Whether a service that reads `_` as `-`, as CGI makes it, would take one name for the other,
/// which is in lower case.
fn reads_as(name: &[u8], other: &[u8]) -> bool {
    let plain = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == other.len() && name.iter().map(plain).eq(other.iter().copied())
}

fn is(name: &[u8], other: &[u8]) -> bool {
    name.eq_ignore_ascii_case(other)
}

/// Options of all `Connection` fields of a head together.
const OPTIONS_MAX: usize = 100;
