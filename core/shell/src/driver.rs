//! The driver: sockets, names, letters and a timer around one machine.
//!
//! One future per machine owns all its sockets. Each source has a waker of its own that puts the
//! source on one ready list, and wakes the future once per batch. A turn takes that list, lets
//! the machine have all that is ready, carries out what it asks for, and then offers each outbox
//! that has something to its socket once, so calls per request fall as concurrency rises.

use crate::clock::Clock;
use crate::datagrams::Datagrams;
use crate::door::Door;
use crate::hands::Hands;
use crate::log;
use crate::mail::Post;
use crate::platform::{Platform, Timer as _};
use crate::ready::{Spur, Token};
use crate::wire::Wires;
use pico_core::host::{Address, Host, Port};
use pico_core::note::Note;
use pico_core::{Instant, settle};
use std::future::Future;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// What a machine is connected to.
pub struct Wiring<L> {
    /// The clock that all machines of the process share.
    pub clock: Clock,
    /// The letterboxes of the process.
    pub post: Post<L>,
    /// Which of them is this machine's.
    pub me: Address,
    /// Bound, listening, non-blocking sockets, and what they are for.
    pub ports: Vec<(Port, TcpListener)>,
    /// A bound, non-blocking socket for its datagrams, if it speaks in such.
    pub datagrams: Option<UdpSocket>,
    /// How what is said on its connections is protected.
    pub wires: Wires,
    /// Where its notes go.
    pub notes: Notes,
}

/// Takes the notes of a machine.
pub type Notes = Arc<dyn Fn(Note) + Send + Sync>;

/// A machine with its sockets. Ready when the machine says that it is done.
pub struct Driver<P: Platform, H: Host> {
    host: H,
    hands: Hands<P, H::Letter>,
    alarm: Alarm<P>,
    clock: Clock,
    post: Post<H::Letter>,
    spurs: Vec<Arc<Spur>>,
}

/// The one system timer of a machine.
struct Alarm<P: Platform> {
    timer: P::Timer,
    set: Option<Instant>,
    waker: Waker,
}

impl<P: Platform, H: Host> Driver<P, H> {
    /// Connects `host`. Call it on the thread that will poll the driver, within the platform's
    /// `block_on`.
    pub fn new(host: H, wiring: Wiring<H::Letter>) -> io::Result<Self> {
        let Wiring { clock, post, me, ports, datagrams, wires, notes } = wiring;
        let ready = match post.letterbox(me) {
            Some(letterbox) => Arc::clone(&letterbox.ready),
            None => return Err(io::Error::other("this machine has no letterbox")),
        };
        let mut doors = Vec::new();
        for (place, (port, bound)) in ports.into_iter().enumerate() {
            doors.push(Door::open(place, port, bound, &ready)?);
        }
        let datagrams = datagrams.map(|bound| Datagrams::open(bound, &ready)).transpose()?;
        let waker = Spur::waker(Token::Alarm, &ready);
        let alarm = Alarm { timer: P::timer(), set: None, waker };
        let hands = Hands::new(ready, post.clone(), me, doors, datagrams, wires, notes);
        Ok(Self { host, hands, alarm, clock, post, spurs: Vec::new() })
    }

    /// The machine, to ask it how things went.
    pub fn host(&self) -> &H {
        &self.host
    }

    fn turn(&mut self, task: &Waker) -> Poll<()> {
        self.hands.ready.take(task, &mut self.spurs);
        self.hands.todo.extend(self.spurs.drain(..).map(|spur| spur.take()));
        if self.hands.todo.is_empty() {
            return Poll::Pending;
        }
        if self.hands.todo.contains(&Token::Alarm) {
            self.alarm.look();
        }
        let now = self.clock.now();
        self.hands.begin(now);
        let deadline = settle(&mut self.host, now, &mut self.hands);
        self.hands.deliver();
        log::flush();
        if self.hands.done {
            return Poll::Ready(());
        }
        let deadline = deadline.into_iter().chain(self.hands.again()).min();
        if !self.alarm.set(deadline, self.clock) {
            self.hands.later.push(Token::Alarm);
        }
        if self.hands.postpone() {
            task.wake_by_ref();
        }
        Poll::Pending
    }
}

impl<P: Platform, H: Host> Unpin for Driver<P, H> {}

impl<P: Platform, H: Host> Future for Driver<P, H> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.turn(cx.waker())
    }
}

impl<P: Platform, H: Host> Drop for Driver<P, H> {
    fn drop(&mut self) {
        if let Some(letterbox) = self.post.letterbox(self.hands.me) {
            letterbox.close();
        }
        self.hands.ready.take(Waker::noop(), &mut self.spurs);
    }
}

impl<P: Platform> Alarm<P> {
    /// Sees whether it has gone off.
    fn look(&mut self) {
        if self.set.is_some() && self.timer.poll(&mut Context::from_waker(&self.waker)).is_ready() {
            self.set = None;
        }
    }

    /// Makes sure that it goes off by `deadline`. An alarm that is set for earlier stays: ticks
    /// that come early change nothing, and moving a timer costs more than one of them. Returns
    /// false if the time has come already.
    fn set(&mut self, deadline: Option<Instant>, clock: Clock) -> bool {
        let Some(deadline) = deadline else { return true };
        if self.set.is_some_and(|set| set <= deadline) {
            return true;
        }
        self.timer.set(clock.system(deadline));
        self.set = Some(deadline);
        self.look();
        self.set.is_some()
    }
}
