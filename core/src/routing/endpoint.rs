//! Endpoint IDs, and where a request names one.

use crate::head::{Fields, RequestHead};
use crate::reason::Reason;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::net::Ipv4Addr;

/// The field by which a client names an endpoint, in lower case.
pub const HEADER: &str = "x-pico-endpoint";

/// Bytes of the longest endpoint ID.
const BYTES_MAX: usize = 128;

/// An endpoint's name: 1 to 128 unreserved characters (RFC 3986, section 2.3), in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EndpointId(Arc<str>);

impl EndpointId {
    /// The name in `bytes`, in lower case.
    pub fn parse(bytes: &[u8]) -> Result<Self, Reason> {
        let unreserved = |b: &u8| b.is_ascii_alphanumeric() || b"-._~".contains(b);
        if bytes.is_empty() || bytes.len() > BYTES_MAX || !bytes.iter().all(unreserved) {
            return Err(Reason::InvalidEndpoint);
        }
        let text = core::str::from_utf8(bytes).map_err(|_| Reason::InvalidEndpoint)?;
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Ok(Self(text.to_ascii_lowercase().into()));
        }
        Ok(Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for EndpointId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Display for EndpointId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::str::FromStr for EndpointId {
    type Err = Reason;

    fn from_str(text: &str) -> Result<Self, Reason> {
        Self::parse(text.as_bytes())
    }
}

/// Which endpoint a request names: `x-pico-endpoint`, else the first label of the host if it has
/// more than one and is not an IP address.
pub fn endpoint_of(head: &RequestHead) -> Result<EndpointId, Reason> {
    match only(&head.fields, HEADER) {
        Some(value) => EndpointId::parse(value?),
        None => from_host(host_of(head)?),
    }
}

/// The value of a field that must not be repeated.
fn only<'a>(fields: &'a Fields, name: &str) -> Option<Result<&'a [u8], Reason>> {
    let mut values = fields.all(name);
    let first = values.next()?;
    Some(if values.next().is_some() { Err(Reason::InvalidEndpoint) } else { Ok(first) })
}

/// The host of a request: of an absolute target's authority (RFC 9112, section 3.2.2), else of
/// `Host`.
fn host_of(head: &RequestHead) -> Result<&[u8], Reason> {
    if let Some(absolute) = head.absolute()? {
        return Ok(absolute.authority);
    }
    only(&head.fields, "host").unwrap_or(Err(Reason::MissingEndpoint))
}

fn from_host(host: &[u8]) -> Result<EndpointId, Reason> {
    let name = without_port(host).ok_or(Reason::MissingEndpoint)?;
    let name = name.strip_suffix(b".").unwrap_or(name);
    let dot = name.iter().position(|b| *b == b'.').ok_or(Reason::MissingEndpoint)?;
    let text = core::str::from_utf8(name).map_err(|_| Reason::InvalidEndpoint)?;
    if text.parse::<Ipv4Addr>().is_ok() {
        return Err(Reason::MissingEndpoint);
    }
    EndpointId::parse(name.get(..dot).unwrap_or_default())
}

/// The host without its port; `None` for an IPv6 literal.
fn without_port(host: &[u8]) -> Option<&[u8]> {
    if host.first() == Some(&b'[') {
        return None;
    }
    Some(host.split(|b| *b == b':').next().unwrap_or_default())
}
