//! What an agent is told before it begins.

use crate::head::{valid_target, valid_value};
use crate::routing::EndpointId;
use crate::rpc::Identity;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::net::Ipv6Addr;
use core::time::Duration;
use thiserror::Error;

/// Everything that one agent works by, checked by [`Agent::new`](super::Agent::new).
///
/// A process may split its listeners over several agents, one per worker, that share the rest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whom it connects to.
    pub server: Server,
    /// What it shows for itself, if the server asks for tokens.
    pub token: Option<String>,
    /// Who it is, for people.
    pub identity: Identity,
    /// What it serves. May be empty: then it is done at once.
    pub listeners: Vec<Listener>,
    /// How long a drain waits for calls under way before it cuts them.
    pub grace: Duration,
    /// Whether each finished call becomes a [`Note::Request`](crate::note::Note::Request).
    pub log_requests: bool,
}

impl Settings {
    /// The settings that differ least from the defaults: no token, a grace period of one
    /// minute, no request log.
    pub fn new(server: Server, identity: Identity, listeners: Vec<Listener>) -> Self {
        let grace = Duration::from_mins(1);
        Self { server, token: None, identity, listeners, grace, log_requests: false }
    }

    /// Refuses what could not work, or would write malformed heads.
    pub fn check(&self) -> Result<(), SettingsError> {
        check_place(&self.server.host, self.server.port)?;
        let prefix = self.server.prefix.as_bytes();
        let rooted = prefix.first() == Some(&b'/') && valid_target(prefix);
        if !prefix.is_empty() && (!rooted || prefix.iter().any(|b| b"?#".contains(b))) {
            return Err(SettingsError::Prefix(self.server.prefix.clone()));
        }
        if self.token.as_ref().is_some_and(|t| t.is_empty() || !valid_target(t.as_bytes())) {
            return Err(SettingsError::Token);
        }
        for listener in &self.listeners {
            check_place(&listener.service.host, listener.service.port)?;
            if let HostHeader::Value(value) = &listener.host_header
                && (value.is_empty() || !valid_value(value.as_bytes()))
            {
                return Err(SettingsError::HostHeader(listener.endpoint.to_string()));
            }
        }
        Ok(())
    }
}

/// The node, or what stands before the nodes, that an agent connects to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// A host name or an IP address, without brackets.
    pub host: String,
    /// The upstream port.
    pub port: u16,
    /// What goes before `/pico/v1/listener/…`, if a proxy serves it below a path: empty, or a
    /// path that begins with `/`.
    pub prefix: String,
}

/// One endpoint and the service behind it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// The name under which clients reach it.
    pub endpoint: EndpointId,
    /// Where requests go.
    pub service: Service,
    /// What the service sees as `Host`.
    pub host_header: HostHeader,
}

/// A local service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    /// A host name or an IP address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Service {
    /// `host:port`, as it stands in a `Host` field and in what people are told.
    pub fn authority(&self) -> String {
        authority(&self.host, self.port)
    }
}

/// What becomes of a request's `Host`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum HostHeader {
    /// It stays as the client sent it.
    #[default]
    Keep,
    /// It becomes the service's host and port.
    Rewrite,
    /// It becomes this.
    Value(String),
}

/// Why settings were refused.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SettingsError {
    /// A host that is empty or holds what no host name holds.
    #[error("expected a host name or an IP address, not {0:?}")]
    Host(String),
    /// Port 0, which nobody can listen on.
    #[error("expected a port from 1 to 65535 for {0}")]
    Port(String),
    /// A path prefix that is not a plain path.
    #[error("expected a path that begins with '/', not {0:?}")]
    Prefix(String),
    /// A token that no header can carry. It is a secret and not shown.
    #[error("the token must be visible ASCII without blanks")]
    Token,
    /// A `Host` that no header can carry.
    #[error("the host header for endpoint {0} must be a header value")]
    HostHeader(String),
}

/// `host:port` as it stands in a `Host` field: an IPv6 address in brackets, port 80 left out.
pub(super) fn authority(host: &str, port: u16) -> String {
    let literal = host.parse::<Ipv6Addr>().is_ok();
    match (literal, port) {
        (false, 80) => host.to_string(),
        (true, 80) => format!("[{host}]"),
        (false, port) => format!("{host}:{port}"),
        (true, port) => format!("[{host}]:{port}"),
    }
}

fn check_place(host: &str, port: u16) -> Result<(), SettingsError> {
    let fine = |b: &u8| b.is_ascii_alphanumeric() || b"-._".contains(b);
    let literal = host.parse::<Ipv6Addr>().is_ok();
    if host.is_empty() || host.len() > 253 || !(literal || host.as_bytes().iter().all(fine)) {
        return Err(SettingsError::Host(host.to_string()));
    }
    if port == 0 {
        return Err(SettingsError::Port(host.to_string()));
    }
    Ok(())
}
