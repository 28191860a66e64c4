//! Pico on tokio: sockets, timers, names and signals. Each worker is a current-thread runtime
//! that runs one future.

use bytes::BytesMut;
use pico_shell::platform::{Listener, Platform, Signals, Stream, Timer};
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Sleep, sleep_until};

/// Pico's sockets and timers by tokio.
#[derive(Debug)]
pub struct Tokio;

impl Platform for Tokio {
    const NAME: &'static str = "tokio";
    type Stream = TokioStream;
    type Listener = TokioListener;
    type Timer = TokioTimer;
    type Signals = TokioSignals;

    fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Turns have budgets of their own; tokio's would cut them short.
        let output = runtime.block_on(tokio::task::unconstrained(future));
        // A name that is still being looked up must not keep the process.
        runtime.shutdown_background();
        Ok(output)
    }

    fn listener(bound: std::net::TcpListener) -> io::Result<TokioListener> {
        TcpListener::from_std(bound).map(TokioListener)
    }

    fn stream(accepted: std::net::TcpStream) -> io::Result<TokioStream> {
        accepted.set_nonblocking(true)?;
        accepted.set_nodelay(true)?;
        TcpStream::from_std(accepted).map(TokioStream)
    }

    async fn connect(to: SocketAddr) -> io::Result<TokioStream> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(TokioStream(stream))
    }

    async fn resolve(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }

    fn timer() -> TokioTimer {
        TokioTimer(None)
    }

    fn signals() -> io::Result<TokioSignals> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(TokioSignals([terminate, interrupt]))
    }
}

/// A TCP connection.
#[derive(Debug)]
pub struct TokioStream(TcpStream);

impl Stream for TokioStream {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        pin!(self.0.read_buf(buffer)).poll(cx)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, pieces)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn reset_on_drop(&self) {
        let _ = socket2::SockRef::from(&self.0).set_linger(Some(Duration::ZERO));
    }

    fn limit_unsent(&self, bytes: u32) {
        #[cfg(any(target_os = "android", target_os = "linux"))]
        let _ = socket2::SockRef::from(&self.0).set_tcp_notsent_lowat(bytes);
        #[cfg(not(any(target_os = "android", target_os = "linux")))]
        let _ = bytes;
    }
}

/// A TCP listener.
#[derive(Debug)]
pub struct TokioListener(TcpListener);

impl Listener for TokioListener {
    type Stream = TokioStream;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TokioStream, SocketAddr)>> {
        let (stream, peer) = ready!(self.0.poll_accept(cx))?;
        stream.set_nodelay(true)?;
        Poll::Ready(Ok((TokioStream(stream), peer)))
    }
}

/// A timer that is set again and again.
#[derive(Debug)]
pub struct TokioTimer(Option<Pin<Box<Sleep>>>);

impl Timer for TokioTimer {
    fn set(&mut self, at: Instant) {
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().reset(at.into()),
            None => self.0 = Some(Box::pin(sleep_until(at.into()))),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct TokioSignals([Signal; 2]);

impl Signals for TokioSignals {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let came = self.0.iter_mut().any(|signal| signal.poll_recv(cx).is_ready());
        if came { Poll::Ready(()) } else { Poll::Pending }
    }
}
