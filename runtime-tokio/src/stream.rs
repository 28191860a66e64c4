//! TCP connections.

use bytes::BytesMut;
use pico_shell::platform::{self, SockRef};
use std::future::Future as _;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};
use tokio::net::TcpStream;

/// A TCP connection.
#[derive(Debug)]
pub struct Stream(TcpStream);

impl Stream {
    /// Registers a connected, non-blocking socket.
    pub(crate) fn new(accepted: std::net::TcpStream) -> io::Result<Self> {
        TcpStream::from_std(accepted).map(Self)
    }

    /// Opens a connection.
    pub(crate) async fn connect(to: SocketAddr) -> io::Result<Self> {
        TcpStream::connect(to).await.map(Self)
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self(stream)
    }
}

impl platform::Stream for Stream {
    fn socket(&self) -> SockRef<'_> {
        SockRef::from(&self.0)
    }

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
}
