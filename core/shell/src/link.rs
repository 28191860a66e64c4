//! One socket of a driver, from being dialled to being dropped.

use crate::platform::{Platform, READ_MAX, Stream};
use crate::ready::{Ready, Spur, Token};
use crate::wire::{Heard, Noise, Wire};
use bytes::BytesMut;
use pico_core::Outbox;
use pico_core::host::{Fault, Port};
use pico_core::id::ConnId;
use pico_core::note::Distrust;
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
    wire: Wire,
    reader: Waker,
    writer: Waker,
    origin: Origin,
    /// Whether the machine was told of it.
    known: bool,
    reading: Reading,
    finish: Finish,
    /// The peer has cut what we write; what it had sent before is still to be read.
    cut: Option<Fault>,
    /// Whether it is on the list of those to be written.
    pub(crate) dirty: bool,
    spent: Spent,
}

enum Socket<P: Platform> {
    Dialing(Dial<P>),
    Open(P::Stream),
}

/// Who began it.
#[derive(Clone, Copy)]
pub(crate) enum Origin {
    /// The machine, which dialled there.
    Dialled(SocketAddr),
    /// Somebody there, by one of our ports: the driver counted it, and must give its identity
    /// back.
    Accepted(Port, SocketAddr),
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
    /// It is there; the machine is to be told.
    Open(Origin),
}

impl<P: Platform> Link<P> {
    /// A connection that was accepted by this port.
    pub(crate) fn accepted(
        conn: ConnId,
        stream: P::Stream,
        by: (Port, SocketAddr),
        wire: Wire,
        ready: &Arc<Ready>,
    ) -> Self {
        set_up(&stream);
        let origin = Origin::Accepted(by.0, by.1);
        let known = wire.is_open();
        Self { known, ..Self::new(conn, Socket::Open(stream), origin, wire, ready) }
    }

    /// A connection that is being dialled.
    pub(crate) fn dialing(
        conn: ConnId,
        dial: Dial<P>,
        to: SocketAddr,
        wire: Wire,
        ready: &Arc<Ready>,
    ) -> Self {
        Self::new(conn, Socket::Dialing(dial), Origin::Dialled(to), wire, ready)
    }

    fn new(
        conn: ConnId,
        socket: Socket<P>,
        origin: Origin,
        wire: Wire,
        ready: &Arc<Ready>,
    ) -> Self {
        Self {
            socket,
            wire,
            reader: Spur::waker(Token::Read(conn), ready),
            writer: Spur::waker(Token::Write(conn), ready),
            origin,
            known: false,
            reading: Reading::On,
            finish: Finish::No,
            cut: None,
            dirty: false,
            spent: Spent::default(),
        }
    }

    /// Dials on, or reads into `buffer` if `room` allows it.
    pub(crate) fn look(&mut self, turn: u64, room: usize, buffer: &mut BytesMut) -> Look<Brought> {
        if let Socket::Dialing(dial) = &mut self.socket {
            match dial.as_mut().poll(&mut Context::from_waker(&self.reader)) {
                Poll::Pending => return Look::Nothing,
                Poll::Ready(Err(error)) => return Look::Broken(fault(&error)),
                Poll::Ready(Ok(stream)) => {
                    set_up(&stream);
                    limit_unsent(&stream);
                    self.socket = Socket::Open(stream);
                }
            }
        }
        // Whoever dialled hears of it at once: how long it took says how far away the other is.
        if !self.known && matches!(self.origin, Origin::Dialled(_)) {
            self.known = true;
            return Look::Some(Brought::Open(self.origin));
        }
        if let Wire::Noise(_) = self.wire {
            return self.listen(turn, room, buffer);
        }
        self.read(turn, room, buffer)
    }

    /// Reads on a wire that is sealed. A handshake is no concern of the machine's, nor of its
    /// room.
    fn listen(&mut self, turn: u64, room: usize, buffer: &mut BytesMut) -> Look<Brought> {
        loop {
            let Wire::Noise(noise) = &mut self.wire else { return Look::Nothing };
            let room = if noise.is_open() { room } else { READ_MAX };
            match if room > 0 { noise.poll() } else { Ok(None) } {
                Ok(Some(Heard::Open)) => match self.origin {
                    Origin::Dialled(_) => continue,
                    Origin::Accepted(..) => {
                        self.known = true;
                        return Look::Some(Brought::Open(self.origin));
                    }
                },
                Ok(Some(Heard::Bytes(bytes))) => return Look::Some(Brought::Bytes(bytes)),
                Ok(Some(Heard::End)) => {
                    self.reading = Reading::Over;
                    return Look::Some(Brought::Eof);
                }
                Ok(None) => {}
                Err(_) => return Look::Broken(Fault::Reset),
            }
            match self.read(turn, room, buffer) {
                Look::Some(Brought::Bytes(bytes)) => {
                    if let Wire::Noise(noise) = &mut self.wire {
                        noise.hear(bytes);
                    }
                }
                // A FIN that was not announced under the keys.
                Look::Some(Brought::Eof) => return Look::Broken(Fault::Reset),
                rest @ (Look::Some(_) | Look::Nothing | Look::Later | Look::Broken(_)) => {
                    return rest;
                }
            }
        }
    }

    /// Whether what the machine says can go.
    pub(crate) fn is_open(&self) -> bool {
        self.wire.is_open()
    }

    /// Whether the machine was told of it.
    pub(crate) const fn is_known(&self) -> bool {
        self.known
    }

    /// Who began it.
    pub(crate) const fn origin(&self) -> Origin {
        self.origin
    }

    /// Whether the wire itself has something to send, such as its part of a handshake.
    pub(crate) fn has_sealed(&self) -> bool {
        match &self.wire {
            Wire::Plain => false,
            Wire::Noise(noise) => !noise.outbox().is_empty(),
        }
    }

    /// Why the other is not trusted, if that is why the connection is broken.
    pub(crate) fn distrust(&mut self) -> Option<Distrust> {
        match (&self.socket, &mut self.wire) {
            (Socket::Dialing(_), _) | (_, Wire::Plain) => None,
            (Socket::Open(_), Wire::Noise(noise)) => noise.cut(),
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
            Socket::Open(_) | Socket::Dialing(_) => {}
        }
    }

    /// Stops writing after a fault. Returns whether the peer may have said something before it
    /// broke the connection, which is still to be read: reading ends in the fault.
    pub(crate) fn stop_writing(&mut self, fault: Fault, room: usize) -> bool {
        self.cut = Some(fault);
        fault == Fault::Reset && room > 0 && self.reading == Reading::On
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
    /// it was asked for. Returns how many bytes were taken: by the socket, or by a wire that has
    /// sealed them and hands them to the socket before it takes more.
    pub(crate) fn write(&mut self, turn: u64, outbox: Option<&Outbox>) -> Look<usize> {
        if self.cut.is_some() {
            return Look::Nothing;
        }
        let outbox = outbox.filter(|outbox| !outbox.is_empty());
        let Self { socket: Socket::Open(stream), spent, writer, .. } = self else {
            return Look::Nothing;
        };
        let Wire::Noise(noise) = &mut self.wire else {
            let Some(outbox) = outbox else {
                self.fin();
                return Look::Nothing;
            };
            return offer(stream, writer, (spent, turn), outbox);
        };
        let mut flush = |noise: &mut Noise| {
            while !noise.outbox().is_empty() {
                match offer(stream, writer, (spent, turn), noise.outbox()) {
                    Look::Some(count) => noise.sent(count),
                    rest @ (Look::Nothing | Look::Later | Look::Broken(_)) => return Some(rest),
                }
            }
            None
        };
        if let Some(rest) = flush(noise) {
            return rest;
        }
        if let Some(outbox) = outbox {
            let taken = noise.seal(outbox);
            return match flush(noise) {
                Some(Look::Broken(fault)) => Look::Broken(fault),
                Some(_) | None if taken > 0 => Look::Some(taken),
                Some(_) | None => Look::Nothing,
            };
        }
        if self.finish != Finish::Asked || !noise.is_open() {
            return Look::Nothing;
        }
        noise.finish();
        if let Some(rest) = flush(noise) {
            return rest;
        }
        self.fin();
        Look::Nothing
    }

    /// Sends the FIN, if it was asked for. One that cannot be sent is one that the peer's reset,
    /// still to be read, explains.
    fn fin(&mut self) {
        if let Socket::Open(stream) = &self.socket
            && self.finish == Finish::Asked
        {
            let _ = stream.socket().shutdown(Shutdown::Write);
            self.finish = Finish::Done;
        }
    }

    /// Asks the system to hold little that it has not sent yet.
    pub(crate) fn limit_unsent(&self) {
        match &self.socket {
            Socket::Open(stream) => limit_unsent(stream),
            Socket::Dialing(_) => {}
        }
    }
}

/// Offers bytes to a socket, in one call.
fn offer<S: Stream>(
    stream: &mut S,
    writer: &Waker,
    (spent, turn): (&mut Spent, u64),
    outbox: &Outbox,
) -> Look<usize> {
    spent.begin(turn);
    if spent.written >= TURN {
        return Look::Later;
    }
    let mut slices = [IoSlice::new(&[]); SLICES];
    let mut count = 0;
    for (slice, piece) in slices.iter_mut().zip(outbox.pieces()) {
        *slice = IoSlice::new(piece);
        count += 1;
    }
    let slices = slices.get(..count).unwrap_or_default();
    let context = &mut Context::from_waker(writer);
    loop {
        return match stream.poll_write(context, slices) {
            Poll::Pending => Look::Nothing,
            Poll::Ready(Ok(0)) => Look::Broken(Fault::Other),
            Poll::Ready(Ok(count)) => {
                spent.written += count;
                Look::Some(count)
            }
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => continue,
            Poll::Ready(Err(error)) => Look::Broken(fault(&error)),
        };
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
///
/// What one turn produced is written at once, so nothing is gained by waiting for the peer's word
/// before a small rest is sent. A peer that does wait, and writes a head and a body one by one,
/// waits for our system's delayed acknowledgement (40 ms), as it does with everybody.
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
