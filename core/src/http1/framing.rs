//! How long a body is and whether the connection lasts, decided from heads (RFC 9112, sections 6
//! and 9.3). Whatever two parsers could read in two ways is refused.

use super::rules;
use crate::head::{Fields, RequestHead, ResponseHead, elements, valid_authority, valid_name};
use crate::reason::Reason;
use alloc::vec::Vec;
use http::{Method, StatusCode, Version};

/// How the end of a body is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Body {
    /// There is none, and no field says so.
    None,
    /// After so many bytes.
    Length(u64),
    /// By the last chunk.
    Chunked,
    /// By FIN; responses only.
    UntilClose,
}

impl Body {
    /// Whether nothing follows the head.
    pub(crate) fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Length(0))
    }
}

/// Checks what a request's head says about itself and finds the framing of its body.
pub(crate) fn request(head: &RequestHead, version: Version) -> Result<Body, Reason> {
    let body = body(&head.fields, version)?;
    if head.fields.iter().any(|(name, _)| rules::seems_to_frame(name)) {
        return Err(Reason::BadFraming);
    }
    check_host(&head.fields, version)?;
    if !rules::has_few_options(&head.fields) {
        return Err(Reason::BadRequest);
    }
    if head.method == Method::CONNECT {
        return Err(Reason::NotImplemented);
    }
    check_target(head)?;
    let body = body.unwrap_or(Body::None);
    // Its answer is the request itself (RFC 9110, section 9.3.8).
    if head.method == Method::TRACE && !body.is_empty() {
        return Err(Reason::BadRequest);
    }
    Ok(body)
}

/// Finds the framing of the body of a final response to a request with `method`.
pub(crate) fn response(
    head: &ResponseHead,
    version: Version,
    method: &Method,
) -> Result<Body, Reason> {
    if is_bodiless(head.status, method) {
        return Ok(Body::None);
    }
    match body(&head.fields, version) {
        Ok(body) => Ok(body.unwrap_or(Body::UntilClose)),
        Err(_) => Err(Reason::BadResponse),
    }
}

/// Whether a response never has a body, whatever its fields say (RFC 9112, section 6.3).
pub(crate) fn is_bodiless(status: StatusCode, method: &Method) -> bool {
    let bare = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    bare || status.is_informational() || *method == Method::HEAD
}

/// Whether the sender of `fields` keeps the connection open afterwards.
pub(crate) fn persists(fields: &Fields, version: Version) -> bool {
    let closes = fields.has_token("connection", "close");
    let keeps = version != Version::HTTP_10 || fields.has_token("connection", "keep-alive");
    keeps && !closes
}

/// Whether `fields` ask for or grant an upgrade (RFC 9110, section 7.8).
pub(crate) fn upgrades(fields: &Fields, version: Version) -> bool {
    version == Version::HTTP_11
        && fields.get("upgrade").is_some_and(|protocols| !protocols.is_empty())
        && fields.has_token("connection", "upgrade")
}

/// Whether each protocol to which a 101 switches is one of those that were offered (RFC 9110,
/// section 7.8). Versions are between the two.
pub(crate) fn grants(fields: &Fields, offered: &[Vec<u8>]) -> bool {
    let offers = |name: &[u8]| offered.iter().any(|other| other.eq_ignore_ascii_case(name));
    fields.all("upgrade").flat_map(elements).map(protocol_name).all(offers)
}

/// The name of a protocol, without its version.
pub(crate) fn protocol_name(protocol: &[u8]) -> &[u8] {
    protocol.split(|byte| *byte == b'/').next().unwrap_or_default().trim_ascii()
}

/// Whether a request has a body of which its client may wait to be asked for it (RFC 9110, section
/// 10.1.1).
pub(crate) fn expects(head: &RequestHead, version: Version, body: Body) -> bool {
    version == Version::HTTP_11
        && !body.is_empty()
        && head.fields.has_token("expect", "100-continue")
}

/// Whether a request without a body offers an upgrade that may be granted: with GET only, because
/// another method's effect must not hang on how the offer is answered, and not to HTTP/2, which
/// would carry requests that nobody here has read (RFC 9113, appendix B, has dropped that upgrade).
pub(crate) fn offers(head: &RequestHead, version: Version) -> bool {
    let h2c = |protocol: &[u8]| protocol_name(protocol).eq_ignore_ascii_case(b"h2c");
    head.method == Method::GET
        && upgrades(&head.fields, version)
        && !head.fields.all("upgrade").flat_map(elements).any(h2c)
}

/// The one `Content-Length`, if there is one.
pub(crate) fn content_length(fields: &Fields) -> Result<Option<u64>, Reason> {
    let mut lengths = fields.all("content-length");
    let Some(length) = lengths.next() else { return Ok(None) };
    if lengths.next().is_some() {
        return Err(Reason::BadFraming);
    }
    number(length).map(Some).ok_or(Reason::BadFraming)
}

fn body(fields: &Fields, version: Version) -> Result<Option<Body>, Reason> {
    let length = content_length(fields)?;
    if fields.get("transfer-encoding").is_none() {
        return Ok(length.map(Body::Length));
    }
    if length.is_some() || version == Version::HTTP_10 {
        return Err(Reason::BadFraming);
    }
    coding(fields)?;
    Ok(Some(Body::Chunked))
}

/// Checks that the transfer coding is chunked, said once and in the plain form; tells one that is
/// framed well, but by a coding that we do not know, from any other.
fn coding(fields: &Fields) -> Result<(), Reason> {
    let mut codings = fields.all("transfer-encoding");
    let plain = codings.next().is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
    if plain && codings.next().is_none() {
        return Ok(());
    }
    let mut chunked = false;
    let mut unknown = false;
    for coding in fields.all("transfer-encoding").flat_map(elements) {
        let name = coding.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
        if chunked || !valid_name(name) {
            return Err(Reason::BadFraming);
        }
        chunked = name.eq_ignore_ascii_case(b"chunked");
        unknown |= !chunked;
    }
    // Without chunked at the end, nobody can tell where the body ends (RFC 9112, section 6.3).
    Err(if unknown && chunked { Reason::NotImplemented } else { Reason::BadFraming })
}

/// One `Host`, which HTTP/1.0 may leave out (RFC 9112, section 3.2).
fn check_host(fields: &Fields, version: Version) -> Result<(), Reason> {
    let mut hosts = fields.all("host");
    let good = match hosts.next() {
        Some(host) => host.is_empty() || valid_authority(host),
        None => version == Version::HTTP_10,
    };
    if good && hosts.next().is_none() { Ok(()) } else { Err(Reason::BadRequest) }
}

/// The forms that a target may have without CONNECT (RFC 9112, section 3.2). None has a fragment,
/// which one parser would cut off and another take for a part of the path.
fn check_target(head: &RequestHead) -> Result<(), Reason> {
    let target = head.target();
    let absolute = head.absolute()?.is_some();
    let asterisk = target == b"*" && head.method == Method::OPTIONS;
    let formed = target.starts_with(b"/") || absolute || asterisk;
    if formed && !target.contains(&b'#') { Ok(()) } else { Err(Reason::BadRequest) }
}

/// A number of digits only, below 2^63 and not absurdly padded.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = core::str::from_utf8(digits).ok()?.parse::<u64>().ok()?;
    i64::try_from(value).is_ok().then_some(value)
}
