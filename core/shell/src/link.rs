//! One socket of a driver, from being dialled to being dropped.

use crate::platform::{Platform, READ_MAX, Stream};
use crate::ready::{Ready, Spur, Token};
use bytes::BytesMut;
use pico_core::Outbox;
use pico_core::host::Fault;
use pico_core::id::ConnId;
use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A connection and what its driver knows of it.
pub(crate) struct Link<P: Platform> {
    socket: Socket<P>,
    reader: Waker,
    writer: Waker,
    /// Whether the driver counted it, and must give its identity back.
    pub(crate) accepted: bool,
    reading: Reading,
    finish: Finish,
    /// The peer has cut what we write; what it had sent before is still to be read.
    cut: Option<Fault>,
    /// Whether it is on the list of those to be written.
    pub(crate) dirty: bool,
    spent: Spent,
}

enum Socket<P: Platform> {
    Dialing(Dial<P>, SocketAddr),
    Open(P::Stream),
}

pub(crate) type Dial<P> =
    Pin<Box<dyn Future<Output = io::Result<<P as Platform>::Stream>> + 'static>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    On,
    /// The machine had no room; it will say when it has.
    Paused,
    /// The peer has sent its FIN.
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Finish {
    No,
    Asked,
    Done,
}

/// What the socket has moved in one turn, so that none keeps the others waiting.
#[derive(Default)]
struct Spent {
    turn: u64,
    read: usize,
    written: usize,
}

/// What came of looking at a socket.
pub(crate) enum Look<T> {
    /// Something, and there may be more.
    Some(T),
    /// Nothing; it will wake us.
    Nothing,
    /// Its share of this turn is used up.
    Later,
    /// It broke.
    Broken(Fault),
}

/// What a socket brought.
pub(crate) enum Brought {
    Bytes(BytesMut),
    Eof,
    Connected(SocketAddr),
}

impl<P: Platform> Link<P> {
    /// A connection that was accepted.
    pub(crate) fn accepted(conn: ConnId, stream: P::Stream, ready: &Arc<Ready>) -> Self {
        set_up(&stream);
        Self::new(conn, Socket::Open(stream), true, ready)
    }

    /// A connection that is being dialled.
    pub(crate) fn dialing(conn: ConnId, dial: Dial<P>, to: SocketAddr, ready: &Arc<Ready>) -> Self {
        Self::new(conn, Socket::Dialing(dial, to), false, ready)
    }

    fn new(conn: ConnId, socket: Socket<P>, accepted: bool, ready: &Arc<Ready>) -> Self {
        Self {
            socket,
            reader: Spur::waker(Token::Read(conn), ready),
            writer: Spur::waker(Token::Write(conn), ready),
            accepted,
            reading: Reading::On,
            finish: Finish::No,
            cut: None,
            dirty: false,
            spent: Spent::default(),
        }
    }

    /// Dials on, or reads into `buffer` if `room` allows it.
    pub(crate) fn look(&mut self, turn: u64, room: usize, buffer: &mut BytesMut) -> Look<Brought> {
        match &mut self.socket {
            Socket::Dialing(..) => self.dial(),
            Socket::Open(_) => self.read(turn, room, buffer),
        }
    }

    /// Whether it is still being dialled.
    pub(crate) fn is_dialing(&self) -> bool {
        match self.socket {
            Socket::Dialing(..) => true,
            Socket::Open(_) => false,
        }
    }

    /// Whether reading rests because there was no room.
    pub(crate) fn is_paused(&self) -> bool {
        self.reading == Reading::Paused
    }

    /// Goes on reading after there was no room. Returns whether it had stopped.
    pub(crate) fn resume(&mut self) -> bool {
        let paused = self.reading == Reading::Paused;
        if paused {
            self.reading = Reading::On;
        }
        paused
    }

    /// Sends FIN once the outbox is empty.
    pub(crate) fn finish(&mut self) {
        if self.finish == Finish::No {
            self.finish = Finish::Asked;
        }
    }

    /// Makes the peer see a cut, unless it has seen our FIN. Call it before dropping a connection
    /// that the machine closes.
    pub(crate) fn cut_off(&self) {
        match &self.socket {
            Socket::Open(stream) if self.finish != Finish::Done => {
                let _ = stream.socket().set_linger(Some(Duration::ZERO));
            }
            Socket::Open(_) | Socket::Dialing(..) => {}
        }
    }

    /// Stops writing after a fault. Returns whether the peer may have said something before it
    /// broke the connection, which is still to be read: reading ends in the fault.
    pub(crate) fn stop_writing(&mut self, fault: Fault, room: usize) -> bool {
        self.cut = Some(fault);
        fault == Fault::Reset && room > 0 && self.reading == Reading::On
    }

    fn dial(&mut self) -> Look<Brought> {
        let Socket::Dialing(dial, to) = &mut self.socket else { return Look::Nothing };
        let to = *to;
        match dial.as_mut().poll(&mut Context::from_waker(&self.reader)) {
            Poll::Pending => Look::Nothing,
            Poll::Ready(Err(error)) => Look::Broken(fault(&error)),
            Poll::Ready(Ok(stream)) => {
                set_up(&stream);
                limit_unsent(&stream);
                self.socket = Socket::Open(stream);
                Look::Some(Brought::Connected(to))
            }
        }
    }

    fn read(&mut self, turn: u64, room: usize, buffer: &mut BytesMut) -> Look<Brought> {
        let Socket::Open(stream) = &mut self.socket else { return Look::Nothing };
        if self.reading == Reading::Over {
            return Look::Nothing;
        }
        if room == 0 {
            if let Some(fault) = self.cut {
                return Look::Broken(fault);
            }
            self.reading = Reading::Paused;
            return Look::Nothing;
        }
        self.spent.begin(turn);
        if self.spent.read >= TURN {
            return Look::Later;
        }
        if buffer.capacity() < READ_MIN {
            buffer.reserve(READ_MAX);
        }
        loop {
            return match stream.poll_read(&mut Context::from_waker(&self.reader), buffer) {
                Poll::Pending => Look::Nothing,
                Poll::Ready(Ok(0)) => {
                    if let Some(fault) = self.cut {
                        return Look::Broken(fault);
                    }
                    self.reading = Reading::Over;
                    Look::Some(Brought::Eof)
                }
                Poll::Ready(Ok(count)) => {
                    self.spent.read += count;
                    Look::Some(Brought::Bytes(buffer.split_to(count)))
                }
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => continue,
                Poll::Ready(Err(error)) => Look::Broken(fault(&error)),
            };
        }
    }

    /// Writes what the socket takes of `outbox` in one call, and the FIN after the last byte if
    /// it was asked for. Returns how many bytes were taken.
    pub(crate) fn write(&mut self, turn: u64, outbox: Option<&Outbox>) -> Look<usize> {
        let Socket::Open(stream) = &mut self.socket else { return Look::Nothing };
        if self.cut.is_some() {
            return Look::Nothing;
        }
        let context = &mut Context::from_waker(&self.writer);
        let Some(outbox) = outbox.filter(|outbox| !outbox.is_empty()) else {
            // A FIN that cannot be sent is one that the peer's reset, still to be read, explains.
            if self.finish == Finish::Asked {
                let _ = stream.socket().shutdown(Shutdown::Write);
                self.finish = Finish::Done;
            }
            return Look::Nothing;
        };
        self.spent.begin(turn);
        if self.spent.written >= TURN {
            return Look::Later;
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(outbox.pieces()) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        let slices = slices.get(..count).unwrap_or_default();
        loop {
            return match stream.poll_write(context, slices) {
                Poll::Pending => Look::Nothing,
                Poll::Ready(Ok(0)) => Look::Broken(Fault::Other),
                Poll::Ready(Ok(count)) => {
                    self.spent.written += count;
                    Look::Some(count)
                }
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => continue,
                Poll::Ready(Err(error)) => Look::Broken(fault(&error)),
            };
        }
    }

    /// Asks the system to hold little that it has not sent yet.
    pub(crate) fn limit_unsent(&self) {
        match &self.socket {
            Socket::Open(stream) => limit_unsent(stream),
            Socket::Dialing(..) => {}
        }
    }
}

impl Spent {
    fn begin(&mut self, turn: u64) {
        if self.turn != turn {
            *self = Self { turn, ..Self::default() };
        }
    }
}

/// What every connection is given. A socket that refuses is broken, and says so when it is read.
fn set_up(stream: &impl Stream) {
    let _ = stream.socket().set_tcp_nodelay(true);
}

/// Asks the system to hold little that it has not sent yet, where it can.
fn limit_unsent(stream: &impl Stream) {
    #[cfg(any(target_os = "android", target_os = "linux"))]
    let _ = stream.socket().set_tcp_notsent_lowat(UNSENT);
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    let _ = (stream, UNSENT);
}

/// What an error means to a decision.
pub(crate) fn fault(error: &io::Error) -> Fault {
    if exhausted(error) {
        return Fault::Exhausted;
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "the standard library's list is open")]
    match error.kind() {
        ErrorKind::ConnectionRefused => Fault::Refused,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            Fault::Reset
        }
        ErrorKind::TimedOut => Fault::TimedOut,
        ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::AddrNotAvailable => Fault::Unreachable,
        _ => Fault::Other,
    }
}

/// Whether the process or the system has no descriptors or no memory left.
fn exhausted(error: &io::Error) -> bool {
    // ENOMEM, ENFILE, EMFILE and ENOBUFS, as Linux and the BSDs number them.
    let known = [12, 23, 24, 55, 105];
    error.kind() == ErrorKind::OutOfMemory
        || error.raw_os_error().is_some_and(|number| known.contains(&number))
}

/// Bytes that one socket may move each way in one turn.
const TURN: usize = 256 * 1024;
/// Spare bytes below which the read buffer is made anew.
const READ_MIN: usize = 16 * 1024;
/// Pieces of an outbox that one call offers to the socket.
const SLICES: usize = 64;
/// Bytes that a tunnel's socket holds unsent, so that a heartbeat overtakes the rest.
const UNSENT: u32 = 128 * 1024;
