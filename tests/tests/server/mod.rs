//! A node in hand: its workers and their letters are carried by the test, and the agent at the
//! other end of a tunnel is the tunnel machine itself.
#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]
#![allow(unreachable_pub, reason = "a module of tests has no outside")]

mod agent;
mod cluster;
pub mod words;

pub use agent::Agent;
pub use cluster::{Cluster, boot};

use bytes::{Bytes, BytesMut};
use pico_core::gossip::{self, NodeId, Pace};
use pico_core::host::{Action, Address, Fault, Host as _, Input, Port};
use pico_core::id::{Boot, ConnId, ConnIds, Side, WorkerId};
use pico_core::note::Note;
use pico_core::rpc::Word;
use pico_core::server::{Letter, Membership, Node, Settings, Worker};
use pico_core::{Instant, Machine as _, Seed};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// When all nodes start.
const START: Instant = Instant::from_nanos(1);

/// A connection of some worker.
pub type At = (usize, ConnId);

pub struct Rig {
    pub now: Instant,
    pub node: Node,
    pub workers: Vec<Worker>,
    ids: Vec<ConnIds>,
    /// What was written on each connection and not looked at.
    out: BTreeMap<At, Vec<u8>>,
    /// Connections whose sockets take nothing.
    stuck: BTreeSet<At>,
    pub closed: BTreeSet<At>,
    pub finished: BTreeSet<At>,
    pub notes: Vec<Note>,
    /// Whether those who wait to be accepted are still waiting: no listener is closed yet.
    pub crowded: bool,
    unlistening: Vec<(usize, Port)>,
    /// Listeners that were closed.
    pub unlistened: Vec<(usize, Port)>,
    /// Connections that were asked for and are not there.
    pub dials: Vec<(At, SocketAddr)>,
    /// Datagrams that the node sent.
    pub datagrams: Vec<(SocketAddr, Bytes)>,
    /// What workers told the node of their links.
    pub lost: Vec<Boot>,
    /// Workers, and behind them the node, that hear no letters.
    pub deaf: BTreeSet<usize>,
    letters: VecDeque<(Address, Letter)>,
    /// Which workers, and behind them the node, have said that they are done.
    pub done: Vec<bool>,
}

impl Rig {
    pub fn new(workers: u16) -> Self {
        Self::with(workers, Settings::default())
    }

    pub fn with(workers: u16, settings: Settings) -> Self {
        let node = Node::new(START, workers, Arc::new(settings.clone()));
        Self::of(workers, settings, node)
    }

    /// A node that is a member of a cluster of which it knows nobody.
    pub fn among(workers: u16, settings: Settings) -> Self {
        let gossip = gossip::Settings {
            keys: gossip::Ring::default(),
            cluster: "pico".into(),
            boot: settings.boot,
            generation: 1,
            id: NodeId::parse(settings.node_id.as_bytes()).unwrap(),
            addr: "10.0.0.1:8004".parse().unwrap(),
            notes: Vec::new(),
            pace: Pace::default(),
        };
        let membership = Membership { gossip, join: Vec::new(), abort: false };
        let (shared, seed) = (Arc::new(settings.clone()), Seed::from_u64(6));
        Self::of(workers, settings, Node::among(START, workers, shared, membership, &seed))
    }

    fn of(workers: u16, settings: Settings, node: Node) -> Self {
        let now = START;
        let settings = Arc::new(settings);
        let seed = Seed::from_u64(5);
        let worker = |id| Worker::new(now, WorkerId(id), Arc::clone(&settings), &seed);
        let count = usize::from(workers);
        let mut rig = Self {
            now,
            node,
            workers: (0..workers).map(worker).collect(),
            ids: vec![ConnIds::new(Side::Accepted); count],
            out: BTreeMap::new(),
            stuck: BTreeSet::new(),
            closed: BTreeSet::new(),
            finished: BTreeSet::new(),
            notes: Vec::new(),
            crowded: false,
            unlistening: Vec::new(),
            unlistened: Vec::new(),
            dials: Vec::new(),
            datagrams: Vec::new(),
            lost: Vec::new(),
            deaf: BTreeSet::new(),
            letters: VecDeque::new(),
            done: vec![false; count + 1],
        };
        rig.settle();
        rig
    }

    /// Somebody connects.
    pub fn accept(&mut self, worker: usize, port: Port) -> At {
        let conn = self.ids[worker].issue();
        let peer = "192.0.2.7:5".parse().unwrap();
        self.input(worker, Input::Accepted { conn, port, peer });
        (worker, conn)
    }

    /// A client connects and asks.
    pub fn ask(&mut self, worker: usize, request: &str) -> At {
        let client = self.accept(worker, Port::Proxy);
        self.receive(client, request.as_bytes());
        client
    }

    pub fn receive(&mut self, (worker, conn): At, bytes: &[u8]) {
        assert!(self.workers[worker].room(conn) > 0, "no room on {conn:?}");
        self.input(worker, Input::Received { conn, bytes: BytesMut::from(bytes) });
    }

    pub fn eof(&mut self, (worker, conn): At) {
        self.input(worker, Input::Eof { conn });
    }

    pub fn lose(&mut self, at: At) {
        self.closed.insert(at);
        self.input(at.0, Input::Lost { conn: at.1, fault: Fault::Reset });
    }

    /// A connection breaks, and before anybody else has heard of it bytes arrive on another.
    pub fn lose_while(&mut self, lost: At, at: At, bytes: &[u8]) {
        self.closed.insert(lost);
        self.workers[lost.0].handle(self.now, Input::Lost { conn: lost.1, fault: Fault::Reset });
        self.receive(at, bytes);
    }

    /// The shell tells the node to stop.
    pub fn drain(&mut self) {
        self.letters.push_back((Address::Node, Letter::Drain));
        self.settle();
    }

    /// A datagram comes to the node.
    pub fn datagram(&mut self, from: SocketAddr, bytes: BytesMut) {
        self.node.handle(self.now, Input::Datagram { from, bytes });
        self.settle();
    }

    /// Somebody writes to the node or a worker.
    pub fn write_to(&mut self, to: Address, letter: Letter) {
        self.letters.push_back((to, letter));
        self.settle();
    }

    /// What was dialled is there, or nobody is.
    pub fn dialed(&mut self, (worker, conn): At, there: bool) {
        let peer = "192.0.2.8:8004".parse().unwrap();
        self.input(
            worker,
            if there {
                Input::Connected { conn, peer }
            } else {
                Input::Unreachable { conn, fault: Fault::Refused }
            },
        );
    }

    /// Whether the socket would be read.
    pub fn has_room(&self, (worker, conn): At) -> bool {
        self.workers[worker].room(conn) > 0
    }

    /// When anybody wants to be woken.
    pub fn deadline(&self) -> Option<Instant> {
        let workers = self.workers.iter().filter_map(pico_core::Machine::deadline);
        workers.chain(self.node.deadline()).min()
    }

    /// It is so late.
    pub fn tick(&mut self, now: Instant) {
        self.now = now;
        self.workers.iter_mut().for_each(|worker| worker.tick(now));
        self.node.tick(now);
        self.settle();
    }

    /// The socket takes nothing for now.
    pub fn stall(&mut self, at: At) {
        self.stuck.insert(at);
    }

    /// The socket takes so many bytes and then nothing again.
    pub fn take(&mut self, at: At, count: usize) {
        self.stuck.remove(&at);
        self.write(at, count);
        self.stuck.insert(at);
        self.settle();
    }

    /// Those who were waiting have been accepted: listeners that were to be closed are.
    pub fn disperse(&mut self) {
        self.crowded = false;
        for (worker, port) in std::mem::take(&mut self.unlistening) {
            self.input(worker, Input::Unlistened(port));
        }
    }

    /// The text written on a connection since the last time.
    pub fn text(&mut self, at: At) -> String {
        String::from_utf8_lossy(&self.bytes(at)).into_owned()
    }

    pub fn bytes(&mut self, at: At) -> Vec<u8> {
        self.out.remove(&at).unwrap_or_default()
    }

    /// Calls under way, as their workers see it.
    pub fn calls(&self) -> u64 {
        self.workers.iter().map(Worker::calls).sum()
    }

    pub fn is_done(&self) -> bool {
        self.done.iter().all(|done| *done)
    }

    /// Lets time pass, and everybody wake when they want to.
    pub fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        for _ in 0..10_000 {
            let next = self.deadline().filter(|at| *at <= until);
            self.tick(next.unwrap_or(until).max(self.now));
            if next.is_none() {
                return;
            }
        }
        panic!("time does not pass");
    }

    pub fn input(&mut self, worker: usize, input: Input<Letter>) {
        self.workers[worker].handle(self.now, input);
        self.settle();
    }

    /// Carries out what everybody asks for until nobody asks for anything.
    fn settle(&mut self) {
        loop {
            for at in 0..self.workers.len() {
                while let Some(action) = self.workers[at].poll() {
                    assert!(!self.done[at], "{action:?} after the end");
                    self.carry_out(at, action);
                }
            }
            while let Some(action) = self.node.poll() {
                self.carry_out(self.workers.len(), action);
            }
            let Some((to, letter)) = self.letters.pop_front() else { return };
            let place = match to {
                Address::Node => self.workers.len(),
                Address::Worker(WorkerId(id)) => usize::from(id),
            };
            if self.deaf.contains(&place) {
                continue;
            }
            match to {
                Address::Node => self.node.handle(self.now, Input::Letter(letter)),
                Address::Worker(WorkerId(id)) => {
                    self.workers[usize::from(id)].handle(self.now, Input::Letter(letter));
                }
            }
        }
    }

    fn carry_out(&mut self, who: usize, action: Action<Letter>) {
        match action {
            Action::Write(conn) => self.write((who, conn), usize::MAX),
            Action::Read(_) => {}
            Action::Finish(conn) => drop(self.finished.insert((who, conn))),
            Action::Close(conn) => drop(self.closed.insert((who, conn))),
            Action::Unlisten(port) if self.crowded => self.unlistening.push((who, port)),
            Action::Unlisten(port) => {
                self.unlistened.push((who, port));
                self.workers[who].handle(self.now, Input::Unlistened(port));
            }
            Action::Letter { to, letter } => {
                if let (Address::Node, Letter::LinkLost(boot)) = (to, &letter) {
                    self.lost.push(*boot);
                }
                self.letters.push_back((to, letter));
            }
            Action::Note(note) => self.notes.push(note),
            Action::Done => self.done[who] = true,
            Action::Dial { conn, to, .. } => self.dials.push(((who, conn), to)),
            Action::Resolve { .. } => panic!("a node asks for no names"),
            Action::Datagram { .. } if self.node.gossip().is_none() => {
                panic!("a node of one has nobody to tell")
            }
            Action::Datagram { to, bytes } => self.datagrams.push((to, bytes)),
        }
    }

    /// Lets the socket take up to `most` of what waits.
    fn write(&mut self, at: At, most: usize) {
        let worker = &mut self.workers[at.0];
        let Some(outbox) = worker.outbox(at.1).filter(|_| !self.stuck.contains(&at)) else {
            return;
        };
        let mut bytes: Vec<u8> = outbox.pieces().flatten().copied().collect();
        bytes.truncate(most);
        let count = bytes.len();
        self.out.entry(at).or_default().append(&mut bytes);
        if count > 0 {
            worker.handle(self.now, Input::Sent { conn: at.1, count });
        }
    }
}

pub fn data(bytes: &[u8], end: bool) -> Word {
    Word::Data { bytes: BytesMut::from(bytes), end }
}
