//! Which endpoint a request is for, and who serves it.

use crate::head::RequestHead;
use crate::reason::Reason;
use alloc::sync::Arc;

/// An endpoint's name: 1 to 128 unreserved characters (RFC 3986, section 2.3), in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EndpointId(Arc<str>);

impl EndpointId {
    /// The name in `bytes`, in lower case.
    pub fn parse(bytes: &[u8]) -> Result<Self, Reason> {
        let fine = |b: &u8| b.is_ascii_alphanumeric() || b"-._~".contains(b);
        if bytes.is_empty() || bytes.len() > 128 || !bytes.iter().all(fine) {
            return Err(Reason::InvalidEndpoint);
        }
        let text: alloc::string::String =
            bytes.iter().map(|b| char::from(b.to_ascii_lowercase())).collect();
        Ok(Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Display for EndpointId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which endpoint a request names: `x-pico-endpoint`, else the first label of `Host`.
pub fn endpoint_of(_head: &RequestHead) -> Result<EndpointId, Reason> {
    todo!()
}
