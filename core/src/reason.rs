//! Why something ended or was refused, and how each peer is told.

use thiserror::Error;

/// Why a request, a call, a tunnel or a connection ended otherwise than well.
///
/// Every reason maps to exactly one HTTP status, one WebSocket close code, one RPC code and one
/// stable name; `spec/errors.md` holds the table, and a test reads it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Error)]
#[non_exhaustive]
pub enum Reason {
    // What cannot be read.
    /// The request is not HTTP/1.
    #[error("the request could not be read as HTTP/1")]
    BadRequest,
    /// The length of the body is stated in a way that two parsers could read differently.
    #[error("the request's body framing is ambiguous or malformed")]
    BadFraming,
    /// The request names no endpoint.
    #[error(
        "the request names no endpoint: send x-pico-endpoint or a host like <endpoint>.<domain>"
    )]
    MissingEndpoint,
    /// The endpoint is named twice, or with bytes that no endpoint ID has.
    #[error("the endpoint ID must be 1 to 128 letters, digits, '-', '.', '_' or '~', given once")]
    InvalidEndpoint,
    /// The service's response is not HTTP/1.
    #[error("the service's response could not be read as HTTP/1")]
    BadResponse,
    /// A frame, block or message that cannot be decoded.
    #[error("a frame could not be decoded")]
    BadFrame,
    /// Text that is not UTF-8.
    #[error("a text message is not UTF-8")]
    BadText,

    // What broke the rules.
    /// The path is not one that this port serves.
    #[error("nothing is served at this path")]
    NotFound,
    /// A parameter in the query of a path that is unknown, doubled or out of range.
    #[error("a query parameter is unknown, given twice or out of range")]
    InvalidQuery,
    /// The method is not one that this path takes.
    #[error("this path does not take that method")]
    MethodNotAllowed,
    /// The path speaks WebSocket only, with the subprotocol `pico.rpc.v1`.
    #[error("this path speaks WebSocket version 13 with the subprotocol pico.rpc.v1")]
    UpgradeRequired,
    /// CONNECT, or a transfer coding that is not known.
    #[error("this method or transfer coding is not implemented")]
    NotImplemented,
    /// No token, or one that is bad or expired.
    #[error("a valid token is required")]
    Unauthenticated,
    /// The token does not cover this endpoint.
    #[error("the token does not allow this endpoint")]
    Forbidden,
    /// A well-formed frame at a moment when it is not allowed.
    #[error("the peer sent a frame that is not allowed in this state")]
    ProtocolError,
    /// More data than was granted.
    #[error("the peer sent more than it was granted")]
    FlowControl,
    /// A kind of message that is not taken here.
    #[error("only binary messages are taken here")]
    UnsupportedData,
    /// No protocol version that both sides speak.
    #[error("no protocol version in common")]
    VersionMismatch,

    // Limits and time.
    /// A request or response head over the limit.
    #[error("the head exceeds the limits on size or number of fields")]
    HeadTooLarge,
    /// A request target that leaves no room for a head.
    #[error("the request target exceeds the limit on the size of a head")]
    TargetTooLong,
    /// The head did not arrive in time.
    #[error("the request's head did not arrive in time")]
    HeadTimeout,
    /// The body stopped arriving.
    #[error("the request's body stopped arriving")]
    BodyTimeout,
    /// The response did not begin in time.
    #[error("the service did not begin its response in time")]
    UpstreamTimeout,
    /// The peer stopped taking bytes.
    #[error("the peer stopped taking bytes")]
    WriteTimeout,
    /// Nothing was heard from the peer for two heartbeats.
    #[error("nothing was heard from the peer for two heartbeats")]
    HeartbeatTimeout,
    /// The connection was idle for as long as idle connections are kept.
    #[error("the connection was idle for too long")]
    IdleTimeout,
    /// A message over the limit.
    #[error("a message or frame exceeds the limit")]
    MessageTooBig,
    /// More calls at once than the tunnel allows.
    #[error("more calls at once than this tunnel allows")]
    StreamLimit,
    /// The node is over its limits.
    #[error("this node is over its limits")]
    Overloaded,

    // What was not there.
    /// Nobody serves the endpoint.
    #[error("no upstream of this endpoint can be reached")]
    NoUpstream,
    /// The upstream went away before its response began.
    #[error("the upstream was lost before its response began")]
    UpstreamLost,
    /// The agent cannot reach the service.
    #[error("the agent cannot reach the local service")]
    ServiceUnreachable,
    /// The endpoint is not held here: the route was stale.
    #[error("the endpoint is not held by this node")]
    NotMine,
    /// No node of this name is in the cluster.
    #[error("no node of this name is in the cluster, as far as this node knows")]
    UnknownNode,
    /// Another node could not be asked.
    #[error("the other node could not be reached")]
    NodeUnreachable,
    /// Another node, or a part of this one, has not answered in time.
    #[error("the node did not answer in time")]
    NodeTimeout,
    /// Whoever could check the token cannot be asked.
    #[error("tokens cannot be verified at the moment")]
    VerifierUnavailable,

    // What somebody asked for.
    /// The node or agent is draining, and nobody else can serve.
    #[error("what would serve this is shutting down")]
    Draining,
    /// The caller lost interest.
    #[error("the caller gave up")]
    Canceled,
    /// The connection was lost without a word.
    #[error("the connection was lost")]
    ConnectionLost,
    /// A clean end.
    #[error("closed")]
    Closed,
    /// A defect of Pico's own.
    #[error("an internal error")]
    Internal,
}

/// How one [`Reason`] is told: a row of `spec/errors.md`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Told {
    /// The stable name, as clients, logs and metrics see it.
    pub code: &'static str,
    /// The HTTP status code.
    pub status: u16,
    /// The WebSocket close code (RFC 6455, section 7.4).
    pub close: u16,
    /// The RPC reset code.
    pub rpc: u8,
}

impl Reason {
    /// Every reason, in the order of its RPC code.
    pub const ALL: [Self; 42] = [
        Self::Closed,
        Self::Internal,
        Self::Canceled,
        Self::ConnectionLost,
        Self::BadRequest,
        Self::BadFraming,
        Self::MissingEndpoint,
        Self::InvalidEndpoint,
        Self::BadResponse,
        Self::BadFrame,
        Self::BadText,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::UpgradeRequired,
        Self::NotImplemented,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::ProtocolError,
        Self::FlowControl,
        Self::UnsupportedData,
        Self::VersionMismatch,
        Self::HeadTooLarge,
        Self::HeadTimeout,
        Self::BodyTimeout,
        Self::UpstreamTimeout,
        Self::WriteTimeout,
        Self::HeartbeatTimeout,
        Self::IdleTimeout,
        Self::MessageTooBig,
        Self::StreamLimit,
        Self::Overloaded,
        Self::NoUpstream,
        Self::UpstreamLost,
        Self::ServiceUnreachable,
        Self::VerifierUnavailable,
        Self::Draining,
        Self::NotMine,
        Self::InvalidQuery,
        Self::UnknownNode,
        Self::NodeUnreachable,
        Self::NodeTimeout,
        Self::TargetTooLong,
    ];

    /// The row of this reason.
    pub const fn told(self) -> Told {
        let (code, status, close, rpc) = match self {
            Self::Closed => ("closed", 502, 1000, 0),
            Self::Internal => ("internal", 500, 1011, 1),
            Self::Canceled => ("canceled", 499, 1001, 2),
            Self::ConnectionLost => ("connection_lost", 502, 1011, 3),
            Self::BadRequest => ("bad_request", 400, 1002, 4),
            Self::BadFraming => ("bad_framing", 400, 1002, 5),
            Self::MissingEndpoint => ("missing_endpoint", 400, 1008, 6),
            Self::InvalidEndpoint => ("invalid_endpoint", 400, 1008, 7),
            Self::BadResponse => ("bad_response", 502, 1011, 8),
            Self::BadFrame => ("bad_frame", 502, 1002, 9),
            Self::BadText => ("bad_text", 502, 1007, 10),
            Self::NotFound => ("not_found", 404, 1008, 11),
            Self::MethodNotAllowed => ("method_not_allowed", 405, 1008, 12),
            Self::UpgradeRequired => ("upgrade_required", 426, 1008, 13),
            Self::NotImplemented => ("not_implemented", 501, 1008, 14),
            Self::Unauthenticated => ("unauthenticated", 401, 1008, 15),
            Self::Forbidden => ("forbidden", 403, 1008, 16),
            Self::ProtocolError => ("protocol_error", 502, 1002, 17),
            Self::FlowControl => ("flow_control", 502, 1008, 18),
            Self::UnsupportedData => ("unsupported_data", 502, 1003, 19),
            Self::VersionMismatch => ("version_mismatch", 505, 1002, 20),
            Self::HeadTooLarge => ("head_too_large", 431, 1009, 21),
            Self::HeadTimeout => ("head_timeout", 408, 1008, 22),
            Self::BodyTimeout => ("body_timeout", 408, 1008, 23),
            Self::UpstreamTimeout => ("upstream_timeout", 504, 1008, 24),
            Self::WriteTimeout => ("write_timeout", 504, 1008, 25),
            Self::HeartbeatTimeout => ("heartbeat_timeout", 504, 1008, 26),
            Self::IdleTimeout => ("idle_timeout", 408, 1000, 27),
            Self::MessageTooBig => ("message_too_big", 502, 1009, 28),
            Self::StreamLimit => ("stream_limit", 503, 1013, 29),
            Self::Overloaded => ("overloaded", 503, 1013, 30),
            Self::NoUpstream => ("no_upstream", 502, 1011, 31),
            Self::UpstreamLost => ("upstream_lost", 502, 1011, 32),
            Self::ServiceUnreachable => ("service_unreachable", 502, 1011, 33),
            Self::VerifierUnavailable => ("verifier_unavailable", 503, 1013, 34),
            Self::Draining => ("draining", 503, 1001, 35),
            Self::NotMine => ("not_mine", 502, 1011, 36),
            Self::InvalidQuery => ("invalid_query", 400, 1008, 37),
            Self::UnknownNode => ("unknown_node", 404, 1008, 38),
            Self::NodeUnreachable => ("node_unreachable", 502, 1011, 39),
            Self::NodeTimeout => ("node_timeout", 504, 1011, 40),
            Self::TargetTooLong => ("target_too_long", 414, 1009, 41),
        };
        Told { code, status, close, rpc }
    }

    /// The reason that `code` stands for on the wire. A code that this version does not know is
    /// [`Internal`](Self::Internal): newer peers may have more.
    pub fn from_rpc(code: u64) -> Self {
        let known = usize::try_from(code).ok().and_then(|at| Self::ALL.get(at));
        known.copied().unwrap_or(Self::Internal)
    }
}
