//! One listener of a driver.

use crate::platform::{Listener as _, Platform};
use crate::ready::{Ready, Spur, Token};
use pico_core::host::Port;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A listener and its use.
pub(crate) struct Door<P: Platform> {
    port: Port,
    listener: P::Listener,
    /// The same socket, to be asked itself whether anybody waits when it is to be closed: a
    /// runtime answers from what it has heard so far.
    bound: TcpListener,
    waker: Waker,
    closing: bool,
    /// How many it has let in, in which turn.
    let_in: (u64, usize),
}

impl<P: Platform> Door<P> {
    /// Opens the door in this place.
    pub(crate) fn open(
        place: usize,
        port: Port,
        bound: TcpListener,
        ready: &Arc<Ready>,
    ) -> io::Result<Self> {
        let waker = Spur::waker(Token::Accept(place), ready);
        let listener = P::listener(bound.try_clone()?)?;
        Ok(Self { port, listener, bound, waker, closing: false, let_in: (0, 0) })
    }

    /// Lets in those who wait, and then nobody.
    pub(crate) fn close(&mut self) {
        self.closing = true;
    }

    /// Takes one of those whom it may let in in this turn, if any is left.
    pub(crate) fn may_accept(&mut self, turn: u64) -> bool {
        if self.let_in.0 != turn {
            self.let_in = (turn, 0);
        }
        self.let_in.1 += 1;
        self.let_in.1 <= ACCEPTS
    }

    /// The next who waits. `Pending` when closing means that nobody does, and wakes nobody.
    pub(crate) fn poll_accept(&mut self) -> Poll<io::Result<(P::Stream, SocketAddr)>> {
        if !self.closing {
            return self.listener.poll_accept(&mut Context::from_waker(&self.waker));
        }
        match self.bound.accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
            Ok((stream, peer)) => {
                let stream = stream.set_nonblocking(true).and_then(|()| P::stream(stream));
                Poll::Ready(stream.map(|stream| (stream, peer)))
            }
        }
    }

    /// What those who come in by it want.
    pub(crate) fn port(&self) -> Port {
        self.port
    }

    /// Whether it is to be closed.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing
    }
}

/// Connections that one turn accepts by one door, so that a rush of them keeps neither those who
/// are connected waiting, nor those at another door.
const ACCEPTS: usize = 16;
