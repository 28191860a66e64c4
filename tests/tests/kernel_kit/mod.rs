//! Two hosts that do what a test tells them, and the net between them.
#![allow(dead_code, reason = "each test file uses its part")]

use bytes::{Buf as _, Bytes};
use core::net::SocketAddr;
use core::time::Duration;
use pico_core::host::{Action, Address, Fault, Host, Input, Port, Told, Wire};
use pico_core::id::{AskId, ConnId, ConnIds, ConnMap, Side, WorkerId};
use pico_core::{Instant, Machine, Outbox};
use pico_sim::case::{Case, Link, Member, Role, Span};
use pico_sim::kernel::{Place, ProcessId, SeatId, Trace, World};
use std::collections::{BTreeSet, VecDeque};

/// What a puppet saw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Saw {
    Accepted(ConnId),
    Connected(ConnId),
    Unreachable(ConnId, Fault),
    Eof(ConnId),
    Lost(ConnId, Fault),
    Resolved(AskId, Result<Vec<SocketAddr>, Fault>),
    Datagram(Vec<u8>),
    Letter(u64),
    Alarm(Instant),
    Unlistened(Port),
}

/// A host that does what it is told, and remembers what it saw.
#[derive(Default)]
pub(crate) struct Puppet {
    /// With the time by its own clock.
    pub(crate) saw: Vec<(Instant, Saw)>,
    /// Everything that it read, on all connections.
    pub(crate) heard: Vec<u8>,
    /// Bytes that its sockets took.
    pub(crate) sent: usize,
    /// Its connections are not read.
    pub(crate) deaf: bool,
    /// The latest time that it was told.
    pub(crate) now: Instant,
    conns: ConnMap<(Outbox, Told)>,
    ids: Option<ConnIds>,
    alarms: BTreeSet<Instant>,
    asks: u64,
    actions: VecDeque<Action<u64>>,
}

impl Puppet {
    pub(crate) fn dial(&mut self, to: SocketAddr) -> ConnId {
        let conn = self.ids.get_or_insert_with(|| ConnIds::new(Side::Dialed)).issue();
        self.conns.insert(conn, (Outbox::new(), Told::default()));
        self.actions.push_back(Action::Dial { conn, to, wire: Wire::Plain });
        conn
    }

    pub(crate) fn say(&mut self, conn: ConnId, bytes: &[u8]) {
        if let Some((outbox, _)) = self.conns.get_mut(conn) {
            outbox.put(bytes);
        }
        self.tell(conn);
    }

    pub(crate) fn finish(&mut self, conn: ConnId) {
        self.actions.push_back(Action::Finish(conn));
    }

    pub(crate) fn close(&mut self, conn: ConnId) {
        self.conns.remove(conn);
        self.actions.push_back(Action::Close(conn));
    }

    pub(crate) fn done(&mut self) {
        self.actions.push_back(Action::Done);
    }

    pub(crate) fn unlisten(&mut self, port: Port) {
        self.actions.push_back(Action::Unlisten(port));
    }

    pub(crate) fn cast(&mut self, to: SocketAddr, bytes: &[u8]) {
        self.actions.push_back(Action::Datagram { to, bytes: Bytes::copy_from_slice(bytes) });
    }

    pub(crate) fn post(&mut self, to: Address, letter: u64) {
        self.actions.push_back(Action::Letter { to, letter });
    }

    pub(crate) fn ask(&mut self, host: &str) -> AskId {
        self.asks += 1;
        let ask = AskId(self.asks);
        self.actions.push_back(Action::Resolve { ask, host: host.into(), port: 80 });
        ask
    }

    /// Wants to be woken so much later.
    pub(crate) fn wake_in(&mut self, span: Duration) {
        self.alarms.insert(self.now + span);
    }

    /// Reads its connections, or does not.
    pub(crate) fn listen(&mut self, yes: bool) {
        self.deaf = !yes;
        let conns: Vec<ConnId> = self.conns.ids().collect();
        for conn in conns {
            self.tell(conn);
        }
    }

    pub(crate) fn conns(&self) -> Vec<ConnId> {
        self.conns.ids().collect()
    }

    /// Whether it saw this.
    pub(crate) fn has(&self, what: &Saw) -> bool {
        self.saw.iter().any(|(_, saw)| saw == what)
    }

    pub(crate) fn count(&self, like: impl Fn(&Saw) -> bool) -> usize {
        self.saw.iter().filter(|(_, saw)| like(saw)).count()
    }

    fn tell(&mut self, conn: ConnId) {
        let room = self.room(conn);
        if let Some((outbox, told)) = self.conns.get_mut(conn) {
            told.tell(conn, Some(outbox), room, &mut self.actions);
        }
    }
}

impl Machine for Puppet {
    type Input = Input<u64>;
    type Action = Action<u64>;

    fn handle(&mut self, now: Instant, input: Input<u64>) {
        self.now = self.now.max(now);
        let saw = match input {
            Input::Accepted { conn, .. } => {
                self.conns.insert(conn, (Outbox::new(), Told::default()));
                self.tell(conn);
                Saw::Accepted(conn)
            }
            Input::Connected { conn, .. } => Saw::Connected(conn),
            Input::Unreachable { conn, fault } => {
                self.conns.remove(conn);
                Saw::Unreachable(conn, fault)
            }
            Input::Received { bytes, .. } => return self.heard.extend_from_slice(&bytes),
            Input::Eof { conn } => Saw::Eof(conn),
            Input::Sent { conn, count } => {
                self.sent += count;
                if let Some((outbox, _)) = self.conns.get_mut(conn) {
                    outbox.advance(count);
                }
                return self.tell(conn);
            }
            Input::Lost { conn, fault } => {
                self.conns.remove(conn);
                Saw::Lost(conn, fault)
            }
            Input::Unlistened(port) => Saw::Unlistened(port),
            Input::Resolved { ask, result } => Saw::Resolved(ask, result),
            Input::Datagram { bytes, .. } => Saw::Datagram(bytes.to_vec()),
            Input::Wall(_) => return,
            Input::Letter(letter) => Saw::Letter(letter),
        };
        self.saw.push((now, saw));
    }

    fn tick(&mut self, now: Instant) {
        self.now = self.now.max(now);
        while let Some(alarm) = self.alarms.pop_first() {
            if alarm > now {
                self.alarms.insert(alarm);
                break;
            }
            self.saw.push((now, Saw::Alarm(alarm)));
        }
    }

    fn poll(&mut self) -> Option<Action<u64>> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        self.alarms.first().copied()
    }
}

impl Host for Puppet {
    type Letter = u64;

    fn outbox(&self, conn: ConnId) -> Option<&Outbox> {
        self.conns.get(conn).map(|(outbox, _)| outbox)
    }

    fn room(&self, _: ConnId) -> usize {
        if self.deaf { 0 } else { 64 * 1024 }
    }
}

/// Two hosts, of which the right one listens.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) left: SeatId,
    pub(crate) right: SeatId,
    door: SocketAddr,
}

pub(crate) const LEFT: Member = Member { role: Role::Client, at: 0 };
pub(crate) const RIGHT: Member = Member { role: Role::Service, at: 0 };
/// Whose system asks silent peers whether they are there.
pub(crate) const NODE: Member = Member { role: Role::Node, at: 0 };

/// A case whose links take a millisecond and do nothing odd.
pub(crate) fn calm() -> Case {
    let link = Link { latency: Span::millis(1), jitter: Span::millis(0), ..Link::default() };
    Case { link, heal: Span::secs(600), ..Case::default() }
}

/// Where a member listens, and has its UDP socket.
pub(crate) fn door(member: Member) -> SocketAddr {
    SocketAddr::new(member.ip(), 80)
}

impl Stage {
    pub(crate) fn new(case: &Case) -> Self {
        Self::traced(case, Trace::default())
    }

    pub(crate) fn traced(case: &Case, trace: Trace) -> Self {
        Self::between(case, trace, RIGHT)
    }

    /// With a node on the right.
    pub(crate) fn of_node(case: &Case) -> Self {
        Self::between(case, Trace::default(), NODE)
    }

    fn between(case: &Case, trace: Trace, right: Member) -> Self {
        let mut world = World::new(case, trace);
        let door = door(right);
        let [left, right] = [LEFT, right].map(|member| seat(&mut world, member));
        Self { world, left, right, door }
    }

    pub(crate) fn left(&mut self) -> &mut Puppet {
        self.world.host_mut(self.left)
    }

    pub(crate) fn right(&mut self) -> &mut Puppet {
        self.world.host_mut(self.right)
    }

    pub(crate) fn see(&self, seat: SeatId) -> &Puppet {
        self.world.host(seat)
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, span: Duration) {
        self.world.run(self.world.now() + span, |_| false);
    }

    /// Lets time pass until the beginning and so much are over.
    pub(crate) fn pass_until(&mut self, at: Duration) {
        self.world.run(Instant::ZERO + at, |_| false);
    }

    /// Waits until this holds; says how long after the beginning that was.
    pub(crate) fn when(&mut self, what: impl Fn(&Self) -> bool) -> Duration {
        let until = self.world.now() + Duration::from_hours(2);
        while !what(self) {
            assert!(self.world.now() < until, "it never came");
            let next = self.world.now() + Duration::from_secs(10);
            self.world.run(next, |_| true);
        }
        self.world.now().since(Instant::ZERO)
    }

    /// A stream from left to right, as both hold it.
    pub(crate) fn connect(&mut self) -> (ConnId, ConnId) {
        let before = self.see(self.right).conns();
        let door = self.door;
        let near = self.left().dial(door);
        self.when(|stage| {
            let accepted = stage.see(stage.right).conns().len() > before.len();
            accepted && stage.see(stage.left).has(&Saw::Connected(near))
        });
        let far = self.see(self.right).conns().into_iter().find(|conn| !before.contains(conn));
        (near, far.expect("it was just accepted"))
    }

    pub(crate) fn process(&mut self, member: Member) -> ProcessId {
        self.world.process(member)
    }
}

/// Seats a puppet that listens.
pub(crate) fn seat(world: &mut World, member: Member) -> SeatId {
    seat_at(world, member, Address::Node, &member.name())
}

/// Seats a puppet under an address of its process.
pub(crate) fn seat_at(world: &mut World, member: Member, address: Address, name: &str) -> SeatId {
    let place = Place { process: world.process(member), address };
    let seat = world.seat(place, name, |_, now| Puppet { now, ..Puppet::default() });
    if address == Address::Node {
        world.listen(door(member), Port::Proxy, vec![seat]);
        world.bind(door(member), seat);
    }
    seat
}

/// A worker's address.
pub(crate) const fn worker(at: u16) -> Address {
    Address::Worker(WorkerId(at))
}

/// So many bytes, no two near each other alike.
pub(crate) fn bytes(count: usize) -> Vec<u8> {
    let byte = |number: usize| u8::try_from(number).expect("it fits a byte");
    (0..count).map(|at| byte(at % 251) ^ byte(at / 251 % 256)).collect()
}
