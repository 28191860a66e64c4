//! Binding ports.

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

/// Binds and listens. An address in use is an error, also if the other process is ours: ports
/// are not shared. `[::]` takes IPv4 too.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let all = address.is_ipv6() && address.ip().is_unspecified();
    match bind_one(address) {
        // All interfaces of a system without IPv6.
        Err(error) if all && error.kind() != io::ErrorKind::AddrInUse => {
            let address = (Ipv4Addr::UNSPECIFIED, address.port()).into();
            bind_one(address).map_err(|_| error)
        }
        result => result,
    }
}

/// Binds a port for connections and the same one for datagrams. Where the system chooses the
/// port, it may take several attempts to find one that is free for both.
pub fn bind_both(address: SocketAddr) -> io::Result<(TcpListener, UdpSocket)> {
    let mut attempts = if address.port() == 0 { ATTEMPTS } else { 1 };
    loop {
        let listener = bind(address)?;
        attempts -= 1;
        match bind_datagrams(listener.local_addr()?) {
            Ok(datagrams) => return Ok((listener, datagrams)),
            Err(error) if attempts == 0 => return Err(error),
            Err(_) => {}
        }
    }
}

fn bind_datagrams(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for connections of the last run to time out. Windows means
    // something else by this option.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // Whoever is accepted here inherits it. A client that vanishes from an upgraded connection, on
    // which both may be silent for ever, is not found otherwise.
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(SILENCE).with_interval(PROBES))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Ports that are tried until one is free for both connections and datagrams.
const ATTEMPTS: usize = 16;
/// How long a connection is silent before the system asks whether the peer is there, and how often
/// it does so again. After some 9 questions without an answer the connection is lost.
const SILENCE: Duration = Duration::from_mins(1);
const PROBES: Duration = Duration::from_secs(10);
/// Connections that wait to be accepted; the system may allow fewer.
const BACKLOG: i32 = 4096;

/// The address by which this machine reaches private networks: what others there reach it by.
/// Nothing is sent.
pub fn private_ip() -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect((Ipv4Addr::new(10, 255, 255, 255), 9))?;
    Ok(socket.local_addr()?.ip())
}
