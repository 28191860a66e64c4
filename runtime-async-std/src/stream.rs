//! TCP connections.
//!
//! The reactor is asked for each event anew, by a system call. So what a call tells is used: one
//! that moved less than it could have has emptied or filled the socket, and the next one would
//! only learn that; it asks for an event at once. That is safe because the reactor reports what
//! is the case, not what has changed.

use async_io::Async;
use bytes::BytesMut;
use pico_shell::platform::{self, READ_MAX, SockRef};
use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, recv};
use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::mem;
use std::net::{SocketAddr, TcpStream};
use std::task::{Context, Poll};

/// A TCP connection.
#[derive(Debug)]
pub struct Stream {
    socket: Async<TcpStream>,
    /// The last read left nothing.
    drained: bool,
    /// The last read was a long one.
    bulk: bool,
    /// The last write left no space.
    filled: bool,
}

impl Stream {
    /// Registers a connected, non-blocking socket.
    pub(crate) fn new(accepted: TcpStream) -> io::Result<Self> {
        Async::new_nonblocking(accepted).map(Self::from)
    }

    /// Opens a connection.
    pub(crate) async fn connect(to: SocketAddr) -> io::Result<Self> {
        Async::<TcpStream>::connect(to).await.map(Self::from)
    }
}

impl From<Async<TcpStream>> for Stream {
    fn from(socket: Async<TcpStream>) -> Self {
        Self { socket, drained: false, bulk: false, filled: false }
    }
}

impl platform::Stream for Stream {
    fn socket(&self) -> SockRef<'_> {
        SockRef::from(&self.socket)
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let Self { socket, drained, bulk, .. } = self;
        if !mem::take(drained)
            && let Some(read) = attempt(|| receive(socket.get_ref(), *bulk, buffer))
        {
            return Poll::Ready(read.map(|(count, most)| {
                *drained = (1..most).contains(&count);
                *bulk = count > COPY_MAX;
                count
            }));
        }
        arm(|| socket.poll_readable(cx))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { socket, filled, .. } = self;
        if !mem::take(filled)
            && let Some(written) = attempt(|| socket.get_ref().write_vectored(pieces))
        {
            let offered = pieces.iter().map(|piece| piece.len()).sum();
            *filled = written.as_ref().is_ok_and(|count| *count < offered);
            return Poll::Ready(written);
        }
        arm(|| socket.poll_writable(cx))
    }
}

/// What a call on a socket came to, if it did not have to wait.
pub(crate) fn attempt<T>(call: impl FnOnce() -> io::Result<T>) -> Option<io::Result<T>> {
    let result = call();
    let waits = result.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    (!waits).then_some(result)
}

/// Asks the reactor for the next event. It may first report the last one, which brought us here.
pub(crate) fn arm<T>(mut poll: impl FnMut() -> Poll<io::Result<()>>) -> Poll<io::Result<T>> {
    loop {
        match poll() {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
        }
    }
}

/// Reads once and appends to `buffer`. Returns how many bytes that were, and how many it would
/// have taken.
///
/// Without unsafe code, memory in a `BytesMut` must be cleared before it is read into, and memory
/// in a vector need not be. To clear a little for each of many bytes is cheap, to clear much for
/// each of few is not: these are copied.
fn receive(socket: &TcpStream, bulk: bool, buffer: &mut BytesMut) -> io::Result<(usize, usize)> {
    let start = buffer.len();
    let most = READ_MAX.min(buffer.capacity() - start);
    if bulk && most > COPY_MAX {
        buffer.resize(start + most, 0);
        let (_, spare) = buffer.split_at_mut(start);
        let read = { socket }.read(spare);
        buffer.truncate(start + read.as_ref().map_or(0, |count| *count));
        return read.map(|count| (count, most));
    }
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        scratch.reserve_exact(READ_MAX);
        let (count, _) = recv(socket, spare_capacity(scratch), RecvFlags::empty())?;
        buffer.extend_from_slice(scratch);
        Ok((count, READ_MAX))
    })
}

thread_local! {
    /// Where short reads go first.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Bytes above which a read is a long one.
const COPY_MAX: usize = 8 * 1024;
