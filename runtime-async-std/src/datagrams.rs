//! UDP sockets.

use crate::stream::{arm, attempt};
use async_io::Async;
use pico_shell::platform;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::task::{Context, Poll};

/// A UDP socket.
#[derive(Debug)]
pub struct Datagrams(Async<UdpSocket>);

impl Datagrams {
    /// Registers a bound, non-blocking socket.
    pub(crate) fn new(bound: UdpSocket) -> io::Result<Self> {
        Async::new_nonblocking(bound).map(Self)
    }
}

impl platform::Datagrams for Datagrams {
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        match attempt(|| self.0.get_ref().recv_from(buffer)) {
            Some(received) => Poll::Ready(received),
            None => arm(|| self.0.poll_readable(cx)),
        }
    }
}
