//! Host names.

use async_std::net::ToSocketAddrs as _;
use std::io;
use std::net::SocketAddr;

/// Looks a host name up, on a thread that may wait.
pub(crate) async fn resolve(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host.as_str(), port).to_socket_addrs().await?.collect())
}
