//! Small hosts, and threads that drive them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod alarms;
pub mod script;

use bytes::BytesMut;
use pico_core::host::{Action, Address, Fault, Host, Input, Port, Wire};
use pico_core::id::{ConnId, ConnIds, ConnMap, Side, WorkerId};
use pico_core::note::Note;
use pico_core::{Instant, Machine, Outbox};
use pico_shell::wire::Wires;
use pico_shell::{Clock, Driver, Platform, Post, Wiring, listen};
use script::{End, Order, Saw, Script};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the hosts say to each other.
#[derive(Debug)]
pub enum Letter {
    /// Say `Done`.
    Stop,
    /// Bytes that came on a connection of that worker, with how often they have crossed.
    Carry { from: WorkerId, conn: ConnId, bytes: BytesMut, back: bool },
}

/// What a host has seen, for a test to look at.
#[derive(PartialEq, Eq, Debug)]
pub enum Seen {
    Accepted,
    Eof,
    Lost(Fault),
    Unreachable(Fault),
}

/// What a host does with the bytes that it receives.
#[derive(Clone, Copy)]
pub enum Way {
    /// Sends them back.
    Echo,
    /// Dials there once for each connection and pipes both ways.
    Relay(SocketAddr),
    /// Sends them back by way of another worker.
    Mail { me: WorkerId, other: WorkerId },
    /// Finds a name, dials it, and pipes.
    Named(&'static str, u16),
}

/// A host that moves bytes.
pub struct Mover {
    way: Way,
    conns: ConnMap<Conn>,
    ids: ConnIds,
    actions: VecDeque<Action<Letter>>,
    seen: Sender<Seen>,
}

#[derive(Default)]
struct Conn {
    outbox: Outbox,
    /// Where what it receives goes.
    peer: Option<ConnId>,
    full: bool,
}

const ROOM: usize = 256 * 1024;

impl Mover {
    pub fn new(way: Way, seen: Sender<Seen>) -> Self {
        let ids = ConnIds::new(Side::Dialed);
        Self { way, conns: ConnMap::new(), ids, actions: VecDeque::new(), seen }
    }

    fn accepted(&mut self, conn: ConnId) {
        let mut new = Conn::default();
        let mut pair = |actions: &mut VecDeque<_>, to| {
            let other = self.ids.issue();
            actions.push_back(Action::Dial { conn: other, to, wire: Wire::Plain });
            other
        };
        match self.way {
            Way::Echo => new.peer = Some(conn),
            Way::Mail { .. } => {}
            Way::Relay(to) => {
                let other = pair(&mut self.actions, to);
                self.conns.insert(other, Conn { peer: Some(conn), ..Conn::default() });
                new.peer = Some(other);
            }
            Way::Named(name, port) => {
                let ask = pico_core::id::AskId(1);
                self.actions.push_back(Action::Resolve { ask, host: name.into(), port });
            }
        }
        self.conns.insert(conn, new);
    }

    fn received(&mut self, conn: ConnId, bytes: BytesMut) {
        if let Way::Mail { me, other } = self.way {
            let letter = Letter::Carry { from: me, conn, bytes, back: false };
            return self.actions.push_back(Action::Letter { to: Address::Worker(other), letter });
        }
        if let Some(peer) = self.conns.get(conn).and_then(|c| c.peer) {
            self.put(peer, bytes);
        }
    }

    fn put(&mut self, conn: ConnId, bytes: BytesMut) {
        if let Some(to) = self.conns.get_mut(conn) {
            if to.outbox.is_empty() {
                self.actions.push_back(Action::Write(conn));
            }
            to.outbox.push(bytes);
        }
    }

    fn gone(&mut self, conn: ConnId) {
        let Some(old) = self.conns.remove(conn) else { return };
        if let Some(peer) = old.peer.filter(|peer| *peer != conn)
            && self.conns.remove(peer).is_some()
        {
            self.actions.push_back(Action::Close(peer));
        }
    }

    fn carry(&mut self, letter: Letter) {
        match letter {
            Letter::Stop => self.actions.push_back(Action::Done),
            Letter::Carry { conn, bytes, back: true, .. } => self.put(conn, bytes),
            Letter::Carry { from, conn, bytes, back: false } => {
                let letter = Letter::Carry { from, conn, bytes, back: true };
                self.actions.push_back(Action::Letter { to: Address::Worker(from), letter });
            }
        }
    }
}

impl Machine for Mover {
    type Input = Input<Letter>;
    type Action = Action<Letter>;

    fn handle(&mut self, _now: Instant, input: Input<Letter>) {
        match input {
            Input::Accepted { conn, .. } => {
                self.accepted(conn);
                let _ = self.seen.send(Seen::Accepted);
            }
            Input::Connected { .. }
            | Input::Unlistened(_)
            | Input::Datagram { .. }
            | Input::Wall(_) => {}
            Input::Unreachable { conn, fault } => {
                let _ = self.seen.send(Seen::Unreachable(fault));
                self.gone(conn);
            }
            Input::Received { conn, bytes } => self.received(conn, bytes),
            Input::Eof { conn } => {
                let _ = self.seen.send(Seen::Eof);
                let peer = self.conns.get(conn).and_then(|c| c.peer).unwrap_or(conn);
                self.actions.push_back(Action::Finish(peer));
            }
            Input::Sent { conn, count } => {
                let Some(to) = self.conns.get_mut(conn) else { return };
                bytes::Buf::advance(&mut to.outbox, count);
                let from = to.peer;
                if to.outbox.len() < ROOM
                    && let Some(from) = from
                {
                    self.actions.push_back(Action::Read(from));
                }
            }
            Input::Lost { conn, fault } => {
                let _ = self.seen.send(Seen::Lost(fault));
                self.gone(conn);
            }
            Input::Resolved { result, .. } => {
                let Ok(all) = result else { return };
                let first = self.conns.ids().next();
                if let (Some(to), Some(conn)) = (all.first(), first) {
                    let other = self.ids.issue();
                    self.actions.push_back(Action::Dial {
                        conn: other,
                        to: *to,
                        wire: Wire::Plain,
                    });
                    self.conns.insert(other, Conn { peer: Some(conn), ..Conn::default() });
                    self.conns.get_mut(conn).unwrap().peer = Some(other);
                    self.actions.push_back(Action::Read(conn));
                }
            }
            Input::Letter(letter) => self.carry(letter),
        }
    }

    fn tick(&mut self, _now: Instant) {}

    fn poll(&mut self) -> Option<Action<Letter>> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }
}

impl Host for Mover {
    type Letter = Letter;

    fn outbox(&self, conn: ConnId) -> Option<&Outbox> {
        self.conns.get(conn).map(|c| &c.outbox)
    }

    fn room(&self, conn: ConnId) -> usize {
        if let Way::Mail { .. } = self.way {
            return ROOM;
        }
        let peer = self.conns.get(conn).and_then(|c| c.peer);
        let to = peer.and_then(|peer| self.conns.get(peer));
        to.map_or(0, |to| ROOM.saturating_sub(to.outbox.len()))
    }
}

/// Threads that drive hosts, stopped and joined at the end of a test.
pub struct Running<L: Send + 'static = Letter> {
    pub address: SocketAddr,
    pub post: Post<L>,
    threads: Vec<JoinHandle<()>>,
    stop: fn() -> L,
}

/// Drives one host per worker, all behind one port of the system's choice.
pub fn drive<P, H, F>(hosts: Vec<F>, stop: fn() -> H::Letter) -> Running<H::Letter>
where
    P: Platform,
    H: Host + 'static,
    H::Letter: Send,
    F: FnOnce(Clock) -> H + Send + 'static,
{
    let bound = listen::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    drive_at::<P, _, _>(&[(Port::Proxy, bound)], hosts, stop)
}

/// The same behind these ports, of which the first is the one to be told of.
pub fn drive_at<P, H, F>(
    ports: &[(Port, TcpListener)],
    hosts: Vec<F>,
    stop: fn() -> H::Letter,
) -> Running<H::Letter>
where
    P: Platform,
    H: Host + 'static,
    H::Letter: Send,
    F: FnOnce(Clock) -> H + Send + 'static,
{
    let address = ports[0].1.local_addr().unwrap();
    let copy = |(port, bound): &(Port, TcpListener)| (*port, bound.try_clone().unwrap());
    let workers = u16::try_from(hosts.len()).unwrap();
    let post = Post::new(workers);
    let clock = Clock::start();
    let mut threads = Vec::new();
    for (worker, make) in (0..workers).zip(hosts) {
        let wiring = Wiring {
            clock,
            post: post.clone(),
            me: Address::Worker(WorkerId(worker)),
            ports: ports.iter().map(copy).collect(),
            datagrams: None,
            wires: Wires::plain(),
            notes: Arc::new(|_: Note| {}),
        };
        threads.push(std::thread::spawn(move || {
            let run = async { Driver::<P, H>::new(make(clock), wiring).unwrap().await };
            P::block_on(run).unwrap();
        }));
    }
    Running { address, post, threads, stop }
}

/// Drives one host that does as it is told.
pub fn script<P: Platform>(greeting: &'static [u8], end: End) -> (Running<Order>, Receiver<Saw>) {
    let (sender, receiver) = channel();
    (
        drive::<P, _, _>(vec![move |_: Clock| Script::new(greeting, end, sender)], || Order::Stop),
        receiver,
    )
}

/// Drives movers, one per way.
pub fn movers<P: Platform>(ways: &[Way]) -> (Running, Receiver<Seen>) {
    let (sender, receiver) = channel();
    let make = |way: &Way| {
        let (way, sender) = (*way, sender.clone());
        move |_: Clock| Mover::new(way, sender)
    };
    (drive::<P, _, _>(ways.iter().map(make).collect(), || Letter::Stop), receiver)
}

impl<L: Send + 'static> Running<L> {
    /// Sends a letter to the first worker.
    pub fn tell(&self, letter: L) {
        self.post.send(Address::Worker(WorkerId(0)), letter);
    }

    /// A client, which gives up rather than hang.
    pub fn client(&self) -> TcpStream {
        client(self.address)
    }
}

impl<L: Send + 'static> Drop for Running<L> {
    fn drop(&mut self) {
        for worker in 0..u16::try_from(self.threads.len()).unwrap() {
            self.post.send(Address::Worker(WorkerId(worker)), (self.stop)());
        }
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(std::thread::panicking() || ended.is_ok(), "a worker panicked");
        }
    }
}

/// A client, which gives up rather than hang.
pub fn client(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Ends a connection by a reset.
pub fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// An address on which nobody listens: bound once, and let go.
pub fn nobody() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// How long a test waits before it fails.
pub const PATIENCE: Duration = Duration::from_mins(1);
