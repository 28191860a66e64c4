//! Host names.

use std::io;
use std::net::SocketAddr;
use tokio::net::lookup_host;

/// Looks a host name up, on a thread that may wait.
pub(crate) async fn resolve(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(lookup_host((host, port)).await?.collect())
}
