//! What a runtime supplies: sockets, timers, names, signals and threads, and nothing that decides.
//!
//! A runtime moves bytes and tells when it can; options of sockets, retries, budgets and what an
//! error means are the shell's. ARCHITECTURE.md says how to add one.

use bytes::BytesMut;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Instant;

pub use socket2::SockRef;

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
    /// A UDP socket.
    type Datagrams: Datagrams;
    /// One resettable timer.
    type Timer: Timer;
    /// The process's signals.
    type Signals: Signals;

    /// Runs a future to its end on this thread, with nothing that cuts its turns short. What is
    /// left of a look-up or of any other thread must not keep it from returning, nor the process
    /// from ending.
    fn block_on<F: Future>(future: F) -> io::Result<F::Output>;

    /// Registers a bound, listening, non-blocking socket with this thread's executor.
    fn listener(bound: std::net::TcpListener) -> io::Result<Self::Listener>;

    /// Registers a connected, non-blocking socket.
    fn stream(accepted: std::net::TcpStream) -> io::Result<Self::Stream>;

    /// Registers a bound, non-blocking socket.
    fn datagrams(bound: std::net::UdpSocket) -> io::Result<Self::Datagrams>;

    /// Opens a connection. To drop the future is to give up.
    fn connect(to: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + 'static;

    /// Looks a host name up. To drop the future is to give up.
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
/// apart from each other, and always with the same waker. A call that was woken for nothing is
/// harmless; one that should be woken and is not loses the connection.
pub trait Stream: Unpin {
    /// The socket itself, for its options.
    fn socket(&self) -> SockRef<'_>;

    /// Appends what has arrived to `buffer`, at most [`READ_MAX`] bytes, and best no more than it
    /// has spare capacity for, which is at least one byte. Returns the number of bytes, 0 for the
    /// peer's FIN.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut)
    -> Poll<io::Result<usize>>;

    /// Writes from `pieces` and returns how many bytes were taken.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;
}

/// A listener.
pub trait Listener: Unpin {
    /// What it accepts.
    type Stream;

    /// The next connection.
    fn poll_accept(&mut self, cx: &mut Context<'_>)
    -> Poll<io::Result<(Self::Stream, SocketAddr)>>;
}

/// A UDP socket. Only receiving waits: the shell sends by the socket itself, and what the system
/// does not take at once is lost, as datagrams may be.
pub trait Datagrams: Unpin {
    /// Puts the next datagram into `buffer`, cut to its length, and returns how many bytes that
    /// are and who sent it.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>>;
}

/// A timer.
pub trait Timer: Unpin {
    /// Sets it, whether or not it was set before.
    fn set(&mut self, at: Instant);

    /// Ready once the instant that was set has come, not before. Not called before the first
    /// [`set`](Self::set), nor again after it was ready until it is set anew.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// SIGTERM and SIGINT, or what stands for them.
pub trait Signals: Unpin {
    /// Ready when somebody asks this process to end; ready again when they ask again.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// Bytes that one read takes at most.
pub const READ_MAX: usize = 64 * 1024;
