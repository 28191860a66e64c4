//! What an intermediary must and must not forward (RFC 9110, section 7.6).

use crate::head::{Fields, elements, valid_name};
use alloc::vec::Vec;
use http::StatusCode;

/// Removes what concerns one hop only: the hop-by-hop fields and those that `Connection` names
/// (RFC 9110, section 7.6.1). `Upgrade` stays if `upgrade` says that an upgrade is under way, or
/// [asked for](upgrades).
///
/// `Content-Length` and `Host` stay even if `Connection` names them: without them the message
/// would be another one. `Trailer` stays, because trailers are forwarded; for the same reason
/// [`accepts_trailers`] is to be asked first, and [`accept_trailers`] called afterwards.
/// `Proxy-Authenticate` and `Proxy-Authorization` stay: they are between the client and whichever
/// proxy asked (RFC 9110, section 11.7), and Pico never asks.
pub fn strip_hop_by_hop(fields: &mut Fields, upgrade: bool) {
    let named = Named::by(fields);
    fields.retain(|name, _| {
        let is_upgrade = is(name, b"upgrade");
        let goes = if is_upgrade { !upgrade } else { is_hop_by_hop(name) };
        !goes && (is_upgrade || !named.holds(name))
    });
}

/// Whether the `Upgrade` of a response with this status is a part of what it says (RFC 9110,
/// section 7.8). That of another says what its sender could do, on a connection of its own.
pub fn upgrades(status: StatusCode) -> bool {
    [StatusCode::SWITCHING_PROTOCOLS, StatusCode::UPGRADE_REQUIRED].contains(&status)
}

/// Whether the sender of these fields will not discard trailers (RFC 9110, section 10.1.4). It
/// says so to the next hop, so `Connection` names it: else it came from further away, by somebody
/// who does not know the field and may discard them.
pub fn accepts_trailers(fields: &Fields) -> bool {
    fields.has_token("te", "trailers") && fields.has_token("connection", "te")
}

/// Says to the next hop that trailers will not be discarded: to us, who have [stripped] the fields
/// of the last hop, the transfer codings that it takes mean nothing.
///
/// [stripped]: strip_hop_by_hop
pub fn accept_trailers(fields: &mut Fields) {
    fields.push(b"TE", TRAILERS);
}

/// Whether somebody on the way here has called [`accept_trailers`].
pub(crate) fn keeps_trailers(fields: &Fields) -> bool {
    fields.get("te") == Some(TRAILERS)
}

/// The fields that `Connection` names, its options and the protected ones aside, in lower case and
/// in order.
#[derive(PartialEq, Eq, Debug, Default)]
pub(crate) struct Named(Vec<Vec<u8>>);

impl Named {
    /// Those that a head names. They are of one hop in its trailers too.
    pub(crate) fn by(fields: &Fields) -> Self {
        let kept: [&[u8]; 4] = [b"close", b"keep-alive", b"content-length", b"host"];
        let options = fields.all("connection").flat_map(elements);
        let names =
            options.filter(|name| valid_name(name) && !kept.iter().any(|other| is(name, other)));
        let mut names: Vec<_> = names.map(<[u8]>::to_ascii_lowercase).collect();
        names.sort_unstable();
        Self(names)
    }

    /// Removes them from a trailer section.
    pub(crate) fn strip(&self, trailers: &mut Fields) {
        if !self.0.is_empty() {
            trailers.retain(|name, _| !self.holds(name));
        }
    }

    fn holds(&self, name: &[u8]) -> bool {
        let lower =
            |other: &Vec<u8>| other.iter().copied().cmp(name.iter().map(u8::to_ascii_lowercase));
        self.0.binary_search_by(lower).is_ok()
    }
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
        10 => is(name, b"connection") || reads_as(name, b"keep-alive"),
        14 => reads_as(name, b"http2-settings"),
        16 => reads_as(name, b"proxy-connection"),
        17 => reads_as(name, b"transfer-encoding"),
        _ => false,
    }
}

/// Whether a field frames no message, and some services would take it for one that does.
pub(crate) fn seems_to_frame(name: &[u8]) -> bool {
    let seems = |other: &[u8]| reads_as(name, other) && !is(name, other);
    match name.len() {
        14 => seems(b"content-length"),
        17 => seems(b"transfer-encoding"),
        _ => false,
    }
}

/// Whether a service that makes variables of names, as behind CGI, would take one name for the
/// other, which is in lower case: some do so with `-` only, some with `_` too, and some with all
/// that is no letter and no digit.
fn reads_as(name: &[u8], other: &[u8]) -> bool {
    let plain =
        |byte: &u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    name.len() == other.len() && name.iter().map(plain).eq(other.iter().copied())
}

fn is(name: &[u8], other: &[u8]) -> bool {
    name.eq_ignore_ascii_case(other)
}

/// What `TE` says of trailers.
const TRAILERS: &[u8] = b"trailers";

/// Options of all `Connection` fields of a head together.
const OPTIONS_MAX: usize = 100;
