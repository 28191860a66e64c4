//! UDP sockets.

use pico_shell::platform;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

/// A UDP socket.
#[derive(Debug)]
pub struct Datagrams(UdpSocket);

impl Datagrams {
    /// Registers a bound, non-blocking socket.
    pub(crate) fn new(bound: std::net::UdpSocket) -> io::Result<Self> {
        UdpSocket::from_std(bound).map(Self)
    }
}

impl platform::Datagrams for Datagrams {
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut buffer = ReadBuf::new(buffer);
        let from = ready!(self.0.poll_recv_from(cx, &mut buffer))?;
        Poll::Ready(Ok((buffer.filled().len(), from)))
    }
}
