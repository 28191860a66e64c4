//! TCP listeners.

use crate::Stream;
use pico_shell::platform;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use tokio::net::TcpListener;

/// A TCP listener.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl Listener {
    /// Registers a bound, listening, non-blocking socket.
    pub(crate) fn new(bound: std::net::TcpListener) -> io::Result<Self> {
        TcpListener::from_std(bound).map(Self)
    }
}

impl platform::Listener for Listener {
    type Stream = Stream;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, SocketAddr)>> {
        let (stream, peer) = ready!(self.0.poll_accept(cx))?;
        Poll::Ready(Ok((stream.into(), peer)))
    }
}
