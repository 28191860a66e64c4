//! What the fields of a head say of the message.

use super::lines::is_token;
use super::{Field, Flaws};
use pico_core::Reason;

/// Where a body ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// There is none.
    None,
    /// There is none, and another head follows.
    Interim,
    Length(u64),
    Chunked,
    UntilFin,
    /// Another protocol follows.
    Raw,
}

/// What a request's head says, as `spec/http.md` has it under *Heads* and *Where a body ends*.
pub(super) fn request(
    method: &[u8],
    target: &[u8],
    fields: &[Field],
    old: bool,
    flaws: &mut Flaws,
) -> Framing {
    let framing = body(fields, old, flaws).unwrap_or(Framing::None);
    let doubtful = |(name, _): &Field| {
        let (name, seen) = (String::from_utf8_lossy(name).to_ascii_lowercase(), dashed(name));
        name != seen && ["content-length", "transfer-encoding"].contains(&&*seen)
    };
    if fields.iter().any(doubtful) {
        flaws.insert(Reason::BadFraming);
    }
    let hosts = all(fields, "host");
    let named = |host: &&[u8]| std::str::from_utf8(host).is_ok_and(is_authority);
    let fine = hosts.iter().all(|host| host.is_empty() || named(host));
    if hosts.len() > 1 || hosts.is_empty() && !old || !fine {
        flaws.insert(Reason::BadRequest);
    }
    if elements(fields, "connection").len() > 100 {
        flaws.insert(Reason::BadRequest);
    }
    if method == b"TRACE" && !matches!(framing, Framing::None | Framing::Length(0)) {
        flaws.insert(Reason::BadRequest);
    }
    if method == b"CONNECT" {
        flaws.insert(Reason::NotImplemented);
    }
    if !is_target(method, target) {
        flaws.insert(Reason::BadRequest);
    }
    framing
}

/// What a response's head says.
pub(super) fn response(
    status: &[u8],
    method: &str,
    upgrade: bool,
    fields: &[Field],
    old: bool,
    flaws: &mut Flaws,
) -> Framing {
    if elements(fields, "connection").len() > 100 {
        flaws.insert(Reason::BadResponse);
    }
    match status {
        b"101" => {
            // What is asked for is always the protocol `echo`.
            let echo = |protocol: &Vec<u8>| {
                protocol
                    .split(|b| *b == b'/')
                    .next()
                    .is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"echo"))
            };
            let offered = elements(fields, "upgrade").iter().all(echo);
            if !(upgrade && upgrades(fields, old) && offered) {
                flaws.insert(Reason::BadResponse);
            }
            Framing::Raw
        }
        [b'1', ..] => Framing::Interim,
        b"204" | b"304" => Framing::None,
        _ if method == "HEAD" => Framing::None,
        _ => body(fields, old, flaws).unwrap_or(Framing::UntilFin),
    }
}

/// Whether the connection is kept (RFC 9112, section 9.3).
pub(super) fn lasts(fields: &[Field], old: bool) -> bool {
    !has(fields, "connection", "close") && (!old || has(fields, "connection", "keep-alive"))
}

/// Whether a GET without a body offers an upgrade that may be granted.
pub(super) fn offers(fields: &[Field], old: bool) -> bool {
    let h2c = elements(fields, "upgrade").into_iter().any(|protocol| {
        let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"h2c")
    });
    upgrades(fields, old) && !h2c
}

/// A name as it looks where only letters and digits count.
pub(super) fn dashed(name: &[u8]) -> String {
    let lower = String::from_utf8_lossy(name).to_ascii_lowercase();
    lower.replace(|char: char| !char.is_ascii_alphanumeric(), "-")
}

/// Whether a field may stand behind a body, as `spec/http.md` lists it.
pub(super) fn may_trail(name: &[u8]) -> bool {
    let dashed = dashed(name);
    let hop = ["connection", "http2-settings", "keep-alive", "proxy-connection", "te"];
    let early = "content-encoding content-length content-range content-type host trailer upgrade \
        via authorization cookie proxy-authenticate proxy-authorization set-cookie \
        www-authenticate age cache-control expect expires if-match if-modified-since \
        if-none-match if-range if-unmodified-since location max-forwards pragma range \
        retry-after vary warning";
    let told = ["forwarded", "x-real-ip", "x-request-id"];
    let prefixes = ["x-pico-", "x-forwarded-"];
    !hop.contains(&&*dashed)
        && dashed != "transfer-encoding"
        && !early.split_whitespace().any(|other| other == dashed)
        && !told.contains(&&*dashed)
        && !prefixes.iter().any(|prefix| dashed.starts_with(prefix))
}

fn upgrades(fields: &[Field], old: bool) -> bool {
    let first = all(fields, "upgrade").first().is_some_and(|value| !value.is_empty());
    !old && first && has(fields, "connection", "upgrade")
}

/// The framing that fields ask for, if they do.
fn body(fields: &[Field], old: bool, flaws: &mut Flaws) -> Option<Framing> {
    let lengths = all(fields, "content-length");
    let codings = all(fields, "transfer-encoding");
    let mut framing = None;
    if let Some(length) = lengths.first() {
        let digits = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
        let text = std::str::from_utf8(length).unwrap_or_default();
        let number = text.parse::<u64>().ok().filter(|n| *n < 1 << 63 && digits && text.len() < 20);
        if number.is_none() || lengths.len() > 1 {
            flaws.insert(Reason::BadFraming);
        }
        framing = number.map(Framing::Length);
    }
    if codings.is_empty() {
        return framing;
    }
    if old || !lengths.is_empty() {
        flaws.insert(Reason::BadFraming);
    }
    if !(codings.len() == 1 && codings[0].eq_ignore_ascii_case(b"chunked")) {
        coding(fields, flaws);
    }
    Some(Framing::Chunked)
}

/// What is wrong with transfer codings that are not chunked alone.
fn coding(fields: &[Field], flaws: &mut Flaws) {
    let mut unknown = false;
    let mut odd = false;
    let (mut chunked, mut last) = (false, false);
    for coding in elements(fields, "transfer-encoding") {
        let name = coding.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let is_chunked = name.eq_ignore_ascii_case(b"chunked");
        unknown |= is_token(name) && !is_chunked;
        odd |= chunked || !is_token(name);
        chunked |= is_chunked;
        last = is_chunked;
    }
    // Several codings of which all are known, or one with parameters, are no plain form either.
    if unknown && last {
        flaws.insert(Reason::NotImplemented);
    }
    if odd || !unknown || !last {
        flaws.insert(Reason::BadFraming);
    }
}

/// Origin form, absolute form or asterisk (RFC 9112, section 3.2).
fn is_target(method: &[u8], target: &[u8]) -> bool {
    if target.contains(&b'#') {
        return false;
    }
    let text = String::from_utf8_lossy(target);
    let lower = text.to_ascii_lowercase();
    let scheme = ["http://", "https://"].into_iter().find(|scheme| lower.starts_with(scheme));
    match scheme {
        Some(scheme) => {
            let rest = &text[scheme.len()..];
            is_authority(rest.split(['/', '?']).next().unwrap_or_default())
        }
        None => target.starts_with(b"/") || target == b"*" && method == b"OPTIONS",
    }
}

/// A host and perhaps a port (RFC 3986, sections 3.2.2 and 3.2.3), without user information.
fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(literal) => match literal.split_once(']') {
            Some((address, port)) => {
                if address.parse::<std::net::Ipv6Addr>().is_err() {
                    return false;
                }
                ("literal", port)
            }
            None => return false,
        },
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let escaped = host
        .split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()));
    let named = !host.is_empty() && host.bytes().all(is_host) && escaped;
    let numbered = match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => port.is_empty(),
    };
    named && numbered
}

/// Unreserved, percent, sub-delims without the comma.
fn is_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte)
}

pub(super) fn all<'f>(fields: &'f [Field], name: &str) -> Vec<&'f [u8]> {
    let same = |field: &&Field| field.0.eq_ignore_ascii_case(name.as_bytes());
    fields.iter().filter(same).map(|(_, value)| &value[..]).collect()
}

/// Whether `Connection` says of a field that it is of one hop.
pub(super) fn is_named(fields: &[Field], name: &[u8]) -> bool {
    let options: [&[u8]; 4] = [b"close", b"keep-alive", b"content-length", b"host"];
    let is = |one: &[u8]| one.eq_ignore_ascii_case(name);
    !options.into_iter().any(is) && elements(fields, "connection").iter().any(|one| is(one))
}

fn has(fields: &[Field], name: &str, option: &str) -> bool {
    elements(fields, name).iter().any(|one| one.eq_ignore_ascii_case(option.as_bytes()))
}

/// The elements of the lists in all fields of a name; a comma within quotes separates nothing.
pub(super) fn elements(fields: &[Field], name: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for value in all(fields, name) {
        let (mut element, mut quoted, mut bytes) = (Vec::new(), false, value.iter());
        while let Some(byte) = bytes.next() {
            match byte {
                b',' if !quoted => found.push(std::mem::take(&mut element)),
                b'\\' if quoted => {
                    element.push(b'\\');
                    element.extend(bytes.next());
                }
                _ => {
                    quoted ^= *byte == b'"';
                    element.push(*byte);
                }
            }
        }
        found.push(element);
    }
    let trimmed = found.into_iter().map(|element| element.trim_ascii().to_vec());
    trimmed.filter(|element| !element.is_empty()).collect()
}
