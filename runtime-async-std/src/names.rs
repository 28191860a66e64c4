//! Host names.

use async_std::task::spawn_blocking;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};

/// Looks a host name up, on a thread that may wait. The system's error is passed on as it is:
/// what is meant by it is in its number.
pub(crate) async fn resolve(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    spawn_blocking(move || Ok((host.as_str(), port).to_socket_addrs()?.collect())).await
}
