//! What a runtime supplies: sockets, timers, names and signals, and nothing that decides.

use bytes::BytesMut;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Instant;

/// A runtime of which every thread runs one future.
///
/// All that is made here is made on the thread, and inside the future, that uses it.
pub trait Platform: Sized + 'static {
    /// The runtime's name, as `--version` tells it.
    const NAME: &'static str;
    /// A TCP connection.
    type Stream: Stream;
    /// A TCP listener.
    type Listener: Listener<Stream = Self::Stream>;
    /// One resettable timer.
    type Timer: Timer;
    /// The process's signals.
    type Signals: Signals;

    /// Runs a future to its end on this thread, with an executor of its own.
    fn block_on<F: Future>(future: F) -> io::Result<F::Output>;

    /// Registers a bound, listening, non-blocking socket with this thread's executor.
    fn listener(bound: std::net::TcpListener) -> io::Result<Self::Listener>;

    /// Registers a connection that was accepted elsewhere, and sets `TCP_NODELAY`.
    fn stream(accepted: std::net::TcpStream) -> io::Result<Self::Stream>;

    /// Opens a connection, with `TCP_NODELAY` set.
    fn connect(to: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + 'static;

    /// Looks a host name up.
    fn resolve(
        host: String,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + 'static;

    /// A timer that is not set.
    fn timer() -> Self::Timer;

    /// Takes over the signals that ask a process to end.
    fn signals() -> io::Result<Self::Signals>;
}

/// A connection. Each method registers `cx` when it returns `Pending`, reading and writing
/// apart from each other.
pub trait Stream: Unpin {
    /// Appends what has arrived, at most as much as `buffer` has spare capacity for, which is at
    /// least one byte. Returns the number of bytes, 0 for the peer's FIN.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut)
    -> Poll<io::Result<usize>>;

    /// Writes from `pieces` and returns how many bytes were taken.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Sends our FIN.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Makes the system send a reset instead of a FIN when this connection is dropped.
    fn reset_on_drop(&self);

    /// Asks the system to hold no more than `bytes` that it has not sent yet, where it can.
    fn limit_unsent(&self, bytes: u32);
}

/// A listener.
pub trait Listener: Unpin {
    /// What it accepts.
    type Stream;

    /// The next connection, with `TCP_NODELAY` set.
    fn poll_accept(&mut self, cx: &mut Context<'_>)
    -> Poll<io::Result<(Self::Stream, SocketAddr)>>;
}

/// A timer.
pub trait Timer: Unpin {
    /// Sets it, whether or not it was set before.
    fn set(&mut self, at: Instant);

    /// Ready once the instant that was set has come. Not called before the first
    /// [`set`](Self::set), nor again after it was ready until it is set anew.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// SIGTERM and SIGINT, or what stands for them.
pub trait Signals: Unpin {
    /// Ready when somebody asks this process to end; ready again when they ask again.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}
