//! A host that does as it is told, and can be halted within a turn.

use bytes::{Buf as _, BytesMut};
use pico_core::host::{Action, Fault, Host, Input, Port, Wire};
use pico_core::id::{ConnId, ConnIds, ConnMap, Side};
use pico_core::{Instant, Machine, Outbox};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};

/// What it is told.
pub enum Order {
    /// Say `Done`.
    Stop,
    /// Halt until the test goes on, then dial, and write so many bytes to all connections.
    Halt { halted: Sender<()>, resumed: Receiver<()>, dial: Option<SocketAddr>, write: usize },
    /// Halt until the test goes on, then stop listening.
    Unlisten { halted: Sender<()>, resumed: Receiver<()> },
}

/// What it has seen.
#[derive(PartialEq, Eq, Debug)]
pub enum Saw {
    Accepted(Port),
    Connected,
    Bytes(Vec<u8>),
    Eof,
    Lost(Fault),
    Unlistened,
}

/// How it ends a connection once what it greeted with is written.
#[derive(Clone, Copy)]
pub enum End {
    Not,
    Close,
    FinishAndClose,
}

/// The host.
pub struct Script {
    greeting: &'static [u8],
    end: End,
    conns: ConnMap<Outbox>,
    ids: ConnIds,
    /// Lost ones, which it lets go of when it is polled.
    gone: Vec<ConnId>,
    actions: VecDeque<Action<Order>>,
    saw: Sender<Saw>,
}

impl Script {
    pub fn new(greeting: &'static [u8], end: End, saw: Sender<Saw>) -> Self {
        let (conns, ids) = (ConnMap::new(), ConnIds::new(Side::Dialed));
        Self { greeting, end, conns, ids, gone: Vec::new(), actions: VecDeque::new(), saw }
    }

    fn tell(&self, saw: Saw) {
        // The test may have seen enough.
        let _ = self.saw.send(saw);
    }

    fn write(&mut self, conn: ConnId, bytes: &[u8]) {
        if let Some(outbox) = self.conns.get_mut(conn).filter(|_| !bytes.is_empty()) {
            outbox.push(BytesMut::from(bytes));
            self.actions.push_back(Action::Write(conn));
        }
    }

    fn sent(&mut self, conn: ConnId, count: usize) {
        let Some(outbox) = self.conns.get_mut(conn) else { return };
        outbox.advance(count);
        if !outbox.is_empty() {
            return;
        }
        match self.end {
            End::Not => return,
            End::Close => {}
            End::FinishAndClose => self.actions.push_back(Action::Finish(conn)),
        }
        self.actions.push_back(Action::Close(conn));
        self.gone.push(conn);
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Stop => self.actions.push_back(Action::Done),
            Order::Unlisten { halted, resumed } => {
                halted.send(()).unwrap();
                resumed.recv().unwrap();
                self.actions.push_back(Action::Unlisten(Port::Proxy));
            }
            Order::Halt { halted, resumed, dial, write } => {
                halted.send(()).unwrap();
                resumed.recv().unwrap();
                if let Some(to) = dial {
                    let conn = self.ids.issue();
                    self.conns.insert(conn, Outbox::default());
                    self.actions.push_back(Action::Dial { conn, to, wire: Wire::Plain });
                }
                for conn in self.conns.ids().collect::<Vec<_>>() {
                    self.write(conn, &vec![b'x'; write]);
                }
            }
        }
    }
}

impl Machine for Script {
    type Input = Input<Order>;
    type Action = Action<Order>;

    fn handle(&mut self, _now: Instant, input: Input<Order>) {
        match input {
            Input::Accepted { conn, port, .. } => {
                self.conns.insert(conn, Outbox::default());
                self.write(conn, self.greeting);
                self.tell(Saw::Accepted(port));
            }
            Input::Connected { .. } => self.tell(Saw::Connected),
            Input::Received { bytes, .. } => self.tell(Saw::Bytes(bytes.to_vec())),
            Input::Eof { .. } => self.tell(Saw::Eof),
            Input::Sent { conn, count } => self.sent(conn, count),
            Input::Lost { conn, fault } | Input::Unreachable { conn, fault } => {
                self.gone.push(conn);
                self.tell(Saw::Lost(fault));
            }
            Input::Unlistened(_) => self.tell(Saw::Unlistened),
            Input::Resolved { .. } | Input::Datagram { .. } | Input::Wall(_) => {}
            Input::Letter(order) => self.order(order),
        }
    }

    fn tick(&mut self, _now: Instant) {}

    fn poll(&mut self) -> Option<Action<Order>> {
        let action = self.actions.pop_front();
        if action.is_none() {
            for conn in self.gone.drain(..) {
                self.conns.remove(conn);
            }
        }
        action
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }
}

impl Host for Script {
    type Letter = Order;

    fn outbox(&self, conn: ConnId) -> Option<&Outbox> {
        self.conns.get(conn)
    }

    fn room(&self, _conn: ConnId) -> usize {
        1
    }
}

/// An order to halt, and then to dial and write; with how to wait for it and to go on.
pub fn halt(dial: Option<SocketAddr>, write: usize) -> (Order, impl FnOnce() -> Go) {
    let (halted, waits) = channel();
    let (go, resumed) = channel();
    let wait = move || {
        waits.recv_timeout(super::PATIENCE).unwrap();
        Go(go)
    };
    (Order::Halt { halted, resumed, dial, write }, wait)
}

/// An order to halt, and then to stop listening; with how to wait for it and to go on.
pub fn unlisten() -> (Order, impl FnOnce() -> Go) {
    let (halted, waits) = channel();
    let (go, resumed) = channel();
    let wait = move || {
        waits.recv_timeout(super::PATIENCE).unwrap();
        Go(go)
    };
    (Order::Unlisten { halted, resumed }, wait)
}

/// A host that is halted.
pub struct Go(Sender<()>);

impl Go {
    /// Lets it go on.
    pub fn on(self) {
        self.0.send(()).unwrap();
    }
}
