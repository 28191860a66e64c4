//! Pico on async-std: sockets, timers, names and signals. All workers share async-std's one
//! reactor; each runs one future on a thread of its own.

use async_io::Async;
use async_signal::Signal;
use async_std::net::ToSocketAddrs as _;
use async_std::stream::Stream as _;
use bytes::{Bytes, BytesMut};
use pico_shell::platform::{Listener, Platform, Signals, Stream, Timer};
use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, recv};
use std::cell::RefCell;
use std::future::Future;
use std::io::{self, ErrorKind, IoSlice, Write as _};
use std::mem;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Pico's sockets and timers by async-std.
#[derive(Debug)]
pub struct AsyncStd;

impl Platform for AsyncStd {
    const NAME: &'static str = "async-std";
    type Stream = AsyncStdStream;
    type Listener = AsyncStdListener;
    type Timer = AsyncStdTimer;
    type Signals = AsyncStdSignals;

    fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
        Ok(async_std::task::block_on(future))
    }

    fn listener(bound: TcpListener) -> io::Result<AsyncStdListener> {
        Async::new_nonblocking(bound).map(AsyncStdListener)
    }

    fn stream(accepted: TcpStream) -> io::Result<AsyncStdStream> {
        accepted.set_nodelay(true)?;
        Async::new(accepted).map(AsyncStdStream::new)
    }

    async fn connect(to: SocketAddr) -> io::Result<AsyncStdStream> {
        let stream = Async::<TcpStream>::connect(to).await?;
        stream.get_ref().set_nodelay(true)?;
        Ok(AsyncStdStream::new(stream))
    }

    async fn resolve(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok((host.as_str(), port).to_socket_addrs().await?.collect())
    }

    fn timer() -> AsyncStdTimer {
        AsyncStdTimer(async_io::Timer::never())
    }

    fn signals() -> io::Result<AsyncStdSignals> {
        async_signal::Signals::new([Signal::Term, Signal::Int]).map(AsyncStdSignals)
    }
}

/// A TCP connection.
#[derive(Debug)]
pub struct AsyncStdStream {
    socket: Async<TcpStream>,
    /// The last read took all that there was: the next one waits for an event first.
    drained: bool,
    /// The last write filled the socket: the next one waits for an event first.
    filled: bool,
}

impl AsyncStdStream {
    fn new(socket: Async<TcpStream>) -> Self {
        Self { socket, drained: false, filled: false }
    }
}

thread_local! {
    /// What a read fills: without unsafe code, only a vector can be read into uninitialised.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Stream for AsyncStdStream {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        if !mem::take(&mut self.drained) {
            let read =
                SCRATCH.with_borrow_mut(|scratch| receive(self.socket.get_ref(), scratch, buffer));
            match read {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(count) => {
                    self.drained = count > 0 && count < READ_MAX;
                    return Poll::Ready(Ok(count));
                }
            }
        }
        arm(|| self.socket.poll_readable(cx))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !mem::take(&mut self.filled) {
            match self.socket.get_ref().write_vectored(pieces) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(count) => {
                    self.filled = count < pieces.iter().map(|piece| piece.len()).sum();
                    return Poll::Ready(Ok(count));
                }
            }
        }
        arm(|| self.socket.poll_writable(cx))
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.get_ref().shutdown(Shutdown::Write))
    }

    fn reset_on_drop(&self) {
        let _ = socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }

    fn limit_unsent(&self, bytes: u32) {
        #[cfg(any(target_os = "android", target_os = "linux"))]
        let _ = socket2::SockRef::from(&self.socket).set_tcp_notsent_lowat(bytes);
        #[cfg(not(any(target_os = "android", target_os = "linux")))]
        let _ = bytes;
    }
}

/// Asks for the next event. The reactor first reports one that it has delivered already, which
/// was the one that brought us here.
fn arm<T>(mut poll: impl FnMut() -> Poll<io::Result<()>>) -> Poll<io::Result<T>> {
    loop {
        match poll() {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
        }
    }
}

/// Reads once, and appends a little to `buffer` or much in its place.
fn receive(socket: &TcpStream, scratch: &mut Vec<u8>, buffer: &mut BytesMut) -> io::Result<usize> {
    scratch.clear();
    scratch.reserve_exact(READ_MAX);
    let (count, _) = recv(socket, spare_capacity(scratch), RecvFlags::empty())?;
    if count <= COPY_MAX || !buffer.is_empty() {
        buffer.extend_from_slice(scratch);
    } else {
        *buffer = BytesMut::from(Bytes::from(mem::take(scratch)));
    }
    Ok(count)
}

/// Bytes that one read takes at most.
const READ_MAX: usize = 64 * 1024;
/// Bytes that are rather copied than handed on with all of the vector that they are in.
const COPY_MAX: usize = 4 * 1024;

/// A TCP listener.
#[derive(Debug)]
pub struct AsyncStdListener(Async<TcpListener>);

impl Listener for AsyncStdListener {
    type Stream = AsyncStdStream;

    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(AsyncStdStream, SocketAddr)>> {
        match self.0.get_ref().accept() {
            Ok((stream, peer)) => {
                Poll::Ready(AsyncStd::stream(stream).map(|stream| (stream, peer)))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => arm(|| self.0.poll_readable(cx)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

/// A timer that is set again and again.
#[derive(Debug)]
pub struct AsyncStdTimer(async_io::Timer);

impl Timer for AsyncStdTimer {
    fn set(&mut self, at: Instant) {
        self.0.set_at(at);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(|_| ())
    }
}

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct AsyncStdSignals(async_signal::Signals);

impl Signals for AsyncStdSignals {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll_next(cx).map(|_| ())
    }
}
