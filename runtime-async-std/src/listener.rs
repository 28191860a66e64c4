//! TCP listeners.

use crate::Stream;
use crate::stream::{arm, attempt};
use async_io::Async;
use pico_shell::platform;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::task::{Context, Poll};

/// A TCP listener.
#[derive(Debug)]
pub struct Listener(Async<TcpListener>);

impl Listener {
    /// Registers a bound, listening, non-blocking socket.
    pub(crate) fn new(bound: TcpListener) -> io::Result<Self> {
        Async::new_nonblocking(bound).map(Self)
    }
}

impl platform::Listener for Listener {
    type Stream = Stream;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, SocketAddr)>> {
        let Some(accepted) = attempt(|| self.0.get_ref().accept()) else {
            return arm(|| self.0.poll_readable(cx));
        };
        let (stream, peer) = accepted?;
        Poll::Ready(Async::new(stream).map(|stream| (stream.into(), peer)))
    }
}
