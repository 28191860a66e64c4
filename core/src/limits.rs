//! Every bound and every time-out, in one place. `spec/limits.md` holds the table, and a test
//! reads it.

use core::time::Duration;

/// Bounds on what a peer can make a process hold, and on how long it may take.
///
/// One value is shared by all machines of a process, behind an `Arc`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of one request or response head, and of one trailer section.
    pub head_bytes: usize,
    /// Fields of one head or trailer section.
    pub head_fields: usize,
    /// Bytes of one chunk-size line with its extensions (RFC 9112, section 7.1.1).
    pub chunk_line_bytes: usize,
    /// Bytes waiting in one connection's outbox above which nothing more is put there, control
    /// frames and heads aside.
    pub outbox_bytes: usize,
    /// Bytes of one data frame's payload.
    pub frame_bytes: usize,
    /// Bytes of one WebSocket message that is sent; a message that is received may be longer,
    /// because it is taken piece by piece.
    pub message_bytes: usize,
    /// Calls at once on one tunnel, for each side that calls.
    pub streams: usize,
    /// Bytes that the peer may send on a new stream before it is granted more.
    pub window_bytes: usize,
    /// Bytes that one stream's window may grow to.
    pub window_bytes_max: usize,
    /// Bytes that all streams of one tunnel may be granted together.
    pub tunnel_bytes: usize,
    /// Request bytes that are held for a second try.
    pub replay_bytes: usize,
    /// Bytes read and thrown away after an early answer.
    pub linger_bytes: usize,
    /// Connections of one worker, all ports together.
    pub connections: usize,
    /// Consultations of other nodes at once on one worker, each of up to 1 MiB.
    pub consults: usize,
    /// Bytes of an endpoint ID.
    pub endpoint_bytes: usize,
    /// Idle connections to one service that an agent keeps.
    pub pool_idle: usize,
    /// Attempts to register that one worker of an agent has under way, from dialling to the
    /// first round trip. Far fewer than a server has room for in its queue.
    pub dials: usize,

    /// For the head of a request, from its first byte (or the connection's start).
    pub head_timeout: Duration,
    /// For the response head, from the last request byte that was forwarded.
    pub response_timeout: Duration,
    /// For a request's body that has stopped arriving.
    pub body_timeout: Duration,
    /// For a response's body that has stopped arriving. Longer than that of requests: streams of
    /// events are silent for minutes, and a client can leave at any time.
    pub stall_timeout: Duration,
    /// For a peer that has stopped taking bytes.
    pub write_timeout: Duration,
    /// For a client connection between two requests.
    pub idle_timeout: Duration,
    /// For an agent's idle connection to its service.
    pub pool_timeout: Duration,
    /// For the WebSocket handshake and the hello, on both sides.
    pub handshake_timeout: Duration,
    /// For dialling one address.
    pub dial_timeout: Duration,
    /// How long an attempt to register counts among `dials`: a server that says nothing must not
    /// keep the endpoints away from those that answer.
    pub slow_dial: Duration,
    /// For a link to another node, from dialling to the hello: calls wait for it.
    pub link_timeout: Duration,
    /// For a consultation of another node, from its head to the end of the answer. Longer than
    /// anybody waits for it.
    pub consult_timeout: Duration,
    /// How long a worker avoids a node to which its link failed; doubles with each failure.
    pub avoid_min: Duration,
    /// The longest time for which a worker avoids a node, and how long a link must stand before
    /// that begins anew.
    pub avoid_max: Duration,
    /// For the parts of an answer to an operator, from the node and its workers.
    pub status_timeout: Duration,
    /// For another node's answer to an operator of this one, from dialling on.
    pub status_remote_timeout: Duration,
    /// How long reading goes on after an early answer, and a close handshake may take.
    pub linger_timeout: Duration,
    /// How long a client that has sent its FIN waits for a silent response.
    pub half_close_timeout: Duration,
    /// Between two pings; a peer that is silent for two of them is lost.
    pub heartbeat: Duration,
    /// The first wait before an agent dials again; doubles with each failure.
    pub backoff_min: Duration,
    /// The longest wait before an agent dials again.
    pub backoff_max: Duration,
    /// How long a tunnel must hold before the agent's wait starts over.
    pub backoff_reset: Duration,
    /// How long an agent that has moved goes on serving its old tunnel: others have yet to hear
    /// where it is.
    pub leave_delay: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 64 * 1024,
            head_fields: 100,
            chunk_line_bytes: 1024,
            outbox_bytes: 256 * 1024,
            frame_bytes: 64 * 1024,
            message_bytes: 128 * 1024,
            streams: 1024,
            window_bytes: 64 * 1024,
            window_bytes_max: 16 * 1024 * 1024,
            tunnel_bytes: 256 * 1024 * 1024,
            replay_bytes: 64 * 1024,
            linger_bytes: 256 * 1024,
            connections: 65_536,
            consults: 64,
            endpoint_bytes: 128,
            pool_idle: 1024,
            dials: 256,
            head_timeout: Duration::from_secs(10),
            response_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_mins(5),
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_mins(5),
            pool_timeout: Duration::from_secs(1),
            handshake_timeout: Duration::from_secs(10),
            dial_timeout: Duration::from_secs(5),
            slow_dial: Duration::from_secs(1),
            link_timeout: Duration::from_secs(1),
            consult_timeout: Duration::from_secs(10),
            avoid_min: Duration::from_secs(1),
            avoid_max: Duration::from_secs(8),
            status_timeout: Duration::from_secs(1),
            status_remote_timeout: Duration::from_secs(5),
            linger_timeout: Duration::from_secs(2),
            half_close_timeout: Duration::from_secs(1),
            heartbeat: Duration::from_secs(10),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(15),
            backoff_reset: Duration::from_secs(10),
            leave_delay: Duration::from_secs(5),
        }
    }
}
