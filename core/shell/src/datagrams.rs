//! The UDP socket of a driver.

use crate::link::{Look, fault};
use crate::platform::{Datagrams as _, Platform};
use crate::ready::{Ready, Spur, Token};
use bytes::BytesMut;
use pico_core::host::{DATAGRAM_MAX, Fault};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A UDP socket, its waker and its share of a turn.
pub(crate) struct Datagrams<P: Platform> {
    socket: P::Datagrams,
    /// The same socket, to send by: that waits for nothing.
    bound: UdpSocket,
    /// Whether addresses of IPv4 are written as those of IPv6 on it.
    wide: bool,
    waker: Waker,
    buffer: Box<[u8]>,
    turn: u64,
    /// How many have arrived in that turn.
    count: usize,
}

impl<P: Platform> Datagrams<P> {
    /// Registers a bound, non-blocking socket.
    pub(crate) fn open(bound: UdpSocket, ready: &Arc<Ready>) -> io::Result<Self> {
        let socket = P::datagrams(bound.try_clone()?)?;
        let waker = Spur::waker(Token::Datagram, ready);
        // One byte more shows which ones are too long.
        let buffer = vec![0; DATAGRAM_MAX + 1].into();
        let wide = bound.local_addr()?.is_ipv6();
        Ok(Self { socket, bound, wide, waker, buffer, turn: 0, count: 0 })
    }

    /// The next one that has arrived.
    pub(crate) fn look(&mut self, turn: u64) -> Look<(SocketAddr, BytesMut)> {
        if self.turn != turn {
            (self.turn, self.count) = (turn, 0);
        }
        let context = &mut Context::from_waker(&self.waker);
        while self.count < TURN {
            match self.socket.poll_receive(context, &mut self.buffer) {
                Poll::Pending => return Look::Nothing,
                Poll::Ready(Ok((count, from))) => {
                    self.count += 1;
                    let bytes =
                        self.buffer.get(..count).filter(|bytes| bytes.len() <= DATAGRAM_MAX);
                    if let Some(bytes) = bytes {
                        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                        return Look::Some((from, BytesMut::from(bytes)));
                    }
                }
                Poll::Ready(Err(error)) => {
                    self.count += 1;
                    // Some systems tell a socket of datagrams that nobody wanted.
                    let harmless = error.kind() == ErrorKind::Interrupted
                        || [Fault::Refused, Fault::Reset, Fault::Unreachable]
                            .contains(&fault(&error));
                    if !harmless {
                        return Look::Broken(fault(&error));
                    }
                }
            }
        }
        Look::Later
    }

    /// Sends one, if the system takes it.
    pub(crate) fn send(&self, to: SocketAddr, bytes: &[u8]) {
        if bytes.len() <= DATAGRAM_MAX {
            let to = match to {
                SocketAddr::V4(narrow) if self.wide => {
                    SocketAddr::new(narrow.ip().to_ipv6_mapped().into(), narrow.port())
                }
                SocketAddr::V4(_) | SocketAddr::V6(_) => to,
            };
            let _ = self.bound.send_to(bytes, to);
        }
    }
}

/// Datagrams that one turn takes, so that a flood of them does not keep the others waiting.
const TURN: usize = 64;
