//! A client with several connections, each of which makes one request after the other, or a few
//! at once.

mod dial;
mod talk;
mod visit;

use super::exchange::Exchange;
use super::record::{Outcome, Record, Stray, Watch};
use super::workload::Orders;
use crate::draw::Draw as _;
use bytes::Buf as _;
use core::net::SocketAddr;
use core::time::Duration;
use pico_core::host::{Action, Host, Input};
use pico_core::id::{AskId, ConnId, ConnIds, ConnMap, Side};
use pico_core::{Instant, Machine, Monotonic, Outbox, Seed, Timers};
use std::collections::{BTreeMap, VecDeque};
use visit::{Exit, Visit};

/// A client.
///
/// Requests that break leave their connection behind; the next one uses another. It ends in good
/// order whatever it does not mean to cut: by FIN, and waits a moment for the peer's.
#[derive(Debug)]
pub struct Client {
    orders: Orders,
    seed: Seed,
    watch: Watch,
    lanes: Vec<Lane>,
    /// Requests that begin at their time, if there are such.
    due: VecDeque<u64>,
    /// Those whose time has come, while every connection is in use.
    waiting: VecDeque<(u64, Instant)>,
    conns: ConnMap<Visit>,
    ids: ConnIds,
    asks: BTreeMap<AskId, ConnId>,
    /// Connections dialled so far.
    dials: u64,
    /// Addresses that did not answer, and when that was.
    mute: BTreeMap<SocketAddr, Instant>,
    timers: Timers<Key>,
    clock: Monotonic,
    actions: VecDeque<Action<()>>,
    records: Vec<Record>,
    strays: Vec<Stray>,
}

/// A place for one connection at a time.
#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<u64>,
    conn: Option<ConnId>,
    busy: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Key {
    /// The time of the next request has come.
    Due,
    /// A lane makes its next request.
    Begin(usize),
    /// This address does not answer.
    Connect(ConnId),
    Write(ConnId),
    Read(ConnId),
    Abort(ConnId),
    GiveUp(ConnId),
    Leave(ConnId),
}

impl Client {
    /// A client that does as it is told.
    pub fn new(watch: Watch, seed: &Seed, orders: Orders) -> Self {
        let every = orders.work.load.every.0;
        let (mut lanes, mut due) = (Vec::new(), VecDeque::new());
        if every.is_zero() {
            lanes.resize_with(orders.lanes, Lane::default);
            for id in &orders.ids {
                let place = orders.place(*id) % orders.lanes as u64;
                lanes[usize::try_from(place).expect("below a usize")].queue.push_back(*id);
            }
        } else {
            due.extend(&orders.ids);
        }
        let mut client = Self {
            orders,
            seed: seed.fork("client"),
            watch,
            lanes,
            due,
            waiting: VecDeque::new(),
            conns: ConnMap::new(),
            ids: ConnIds::new(Side::Dialed),
            asks: BTreeMap::new(),
            dials: 0,
            mute: BTreeMap::new(),
            timers: Timers::new(),
            clock: Monotonic::default(),
            actions: VecDeque::new(),
            records: Vec::new(),
            strays: Vec::new(),
        };
        client.clock.advance(watch.local());
        (0..client.lanes.len()).for_each(|lane| client.pause(lane));
        client.await_due();
        client
    }

    /// What became of the requests that are over.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// What came that nobody had asked for.
    pub fn strays(&self) -> &[Stray] {
        &self.strays
    }

    /// Whether all requests are over.
    pub fn is_over(&self) -> bool {
        self.due.is_empty()
            && self.waiting.is_empty()
            && self.lanes.iter().all(|lane| lane.queue.is_empty())
            && self.conns.iter().all(|(_, visit)| visit.line.is_empty())
    }

    /// Lets a lane make its next request in a while.
    fn pause(&mut self, lane: usize) {
        let Some(id) = self.lanes[lane].queue.front() else { return self.dismiss(lane) };
        let mut dice = self.seed.fork_at("pause", *id).roll();
        let most = *dice.pick(&[0, 1, 100]);
        let span = dice.span(Duration::ZERO, Duration::from_millis(most));
        self.timers.set(Key::Begin(lane), self.clock.now() + span);
    }

    /// Waits for the time of the next request.
    fn await_due(&mut self) {
        let every = self.orders.work.load.every.0;
        if let Some(id) = self.due.front() {
            let place = u32::try_from(self.orders.place(*id)).unwrap_or(u32::MAX);
            let at = self.watch.local() + every.saturating_mul(place);
            self.timers.set(Key::Due, at.max(self.clock.now()));
        } else {
            (0..self.lanes.len()).for_each(|lane| self.dismiss(lane));
        }
    }

    /// Lets go of a connection for which there is nothing left to do.
    fn dismiss(&mut self, lane: usize) {
        let needed = !self.due.is_empty() || !self.waiting.is_empty() || self.lanes[lane].busy;
        if !needed && let Some(conn) = self.lanes[lane].conn {
            self.part(conn, Exit::Leave { clean: true });
        }
    }

    /// The time of a request has come.
    fn fall_due(&mut self) {
        if let Some(id) = self.due.pop_front() {
            let now = self.clock.now();
            if !self.join(id, now) {
                match self.free_lane() {
                    Some(lane) => self.begin(lane, id, now),
                    None => self.waiting.push_back((id, now)),
                }
            }
        }
        self.await_due();
    }

    /// Sends a request behind one that is not answered yet, if there is one that leads others.
    fn join(&mut self, id: u64, due: Instant) -> bool {
        let mut conns = self.lanes.iter().filter_map(|lane| lane.conn);
        let leads = |conn: &ConnId| self.conns.get(*conn).is_some_and(Visit::leads);
        let Some(conn) = conns.find(leads) else { return false };
        let plan = self.orders.work.plan(id);
        if plan.is_tame() {
            let now = self.clock.now();
            let dice = self.seed.fork_at("request", id).roll();
            self.enqueue(conn, Exchange::new(plan, dice, due, now));
            self.pump(conn);
            return true;
        }
        false
    }

    /// A lane without a request, one with a connection if there is one.
    fn free_lane(&mut self) -> Option<usize> {
        let lanes = || self.lanes.iter().enumerate().filter(|(_, lane)| !lane.busy);
        let connected = lanes().find(|(_, lane)| lane.conn.is_some());
        if let Some((at, _)) = connected.or_else(|| lanes().next()) {
            return Some(at);
        }
        if self.lanes.len() >= self.orders.lanes.max(OPEN_LANES_MAX) {
            return None;
        }
        self.lanes.push(Lane::default());
        Some(self.lanes.len() - 1)
    }

    /// A lane makes its next request, and those that go with it.
    fn next(&mut self, lane: usize) {
        if let Some(id) = self.lanes[lane].queue.pop_front() {
            self.begin(lane, id, self.clock.now());
        }
    }

    fn begin(&mut self, lane: usize, id: u64, due: Instant) {
        let now = self.clock.now();
        self.lanes[lane].busy = true;
        let plan = self.orders.work.plan(id);
        let (follow, abort) = (plan.follow, plan.abort);
        let mut requests = vec![(id, plan)];
        while requests.len() <= follow
            && let Some(id) = self.lanes[lane].queue.front()
            && let plan = self.orders.work.plan(*id)
            && plan.is_tame()
        {
            requests.push((*id, plan));
            self.lanes[lane].queue.pop_front();
        }
        let conn = self.lanes[lane].conn.unwrap_or_else(|| self.connect(lane));
        for (id, plan) in requests {
            let dice = self.seed.fork_at("request", id).roll();
            self.enqueue(conn, Exchange::new(plan, dice, due, now));
        }
        self.timers.set(Key::GiveUp(conn), now + GIVE_UP);
        if let Some(abort) = abort {
            self.timers.set(Key::Abort(conn), now + abort.after);
        }
        self.pump(conn);
    }

    /// A lane has nothing under way any more.
    fn rest(&mut self, lane: usize) {
        self.lanes[lane].busy = false;
        if self.orders.work.load.every.0.is_zero() {
            self.pause(lane);
        } else if let Some((id, due)) = self.waiting.pop_front() {
            self.begin(lane, id, due);
        } else {
            self.dismiss(lane);
        }
    }

    fn fire(&mut self, key: Key) {
        match key {
            Key::Due => self.fall_due(),
            Key::Begin(lane) => self.next(lane),
            Key::Connect(conn) => {
                self.mistrust(conn);
                self.actions.push_back(Action::Close(conn));
                self.unreachable(conn);
            }
            Key::Write(conn) => self.pump(conn),
            Key::Read(conn) => self.wake(conn),
            Key::Abort(conn) => self.abort(conn),
            Key::GiveUp(conn) => self.over(conn, Outcome::Silence, Exit::Cut),
            Key::Leave(conn) => self.cut(conn),
        }
    }
}

impl Machine for Client {
    type Input = Input<()>;
    type Action = Action<()>;

    fn handle(&mut self, now: Instant, input: Input<()>) {
        self.clock.advance(now);
        match input {
            Input::Connected { conn, .. } => self.connected(conn),
            Input::Unreachable { conn, .. } => self.unreachable(conn),
            Input::Received { conn, bytes } => self.received(conn, &bytes),
            Input::Sent { conn, count } => {
                if let Some(visit) = self.conns.get_mut(conn) {
                    visit.outbox.advance(count);
                }
                self.sent(conn, count);
            }
            Input::Eof { conn } => self.eof(conn),
            Input::Lost { conn, .. } => self.lost(conn),
            Input::Resolved { ask, result } => self.resolved(ask, result),
            Input::Accepted { .. }
            | Input::Unlistened(_)
            | Input::Datagram { .. }
            | Input::Wall(_)
            | Input::Letter(()) => {}
        }
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        while let Some(key) = self.timers.pop(now) {
            self.fire(key);
        }
    }

    fn poll(&mut self) -> Option<Action<()>> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        self.timers.deadline()
    }
}

impl Host for Client {
    type Letter = ();

    fn outbox(&self, conn: ConnId) -> Option<&Outbox> {
        self.conns.get(conn).map(|visit| &visit.outbox)
    }

    fn room(&self, conn: ConnId) -> usize {
        self.conns.get(conn).map_or(0, |visit| if visit.paused { 0 } else { ROOM })
    }
}

/// What an actor takes at once.
const ROOM: usize = 64 * 1024;

/// Silence for longer than anything may take.
pub const GIVE_UP: Duration = Duration::from_secs(150);

/// For one address.
const CONNECT: Duration = Duration::from_secs(10);

/// For one that did not answer the last time, and for how long that is remembered.
const CONNECT_MUTE: Duration = Duration::from_secs(2);
const MUTE: Duration = Duration::from_mins(1);

/// How long the peer has to send its FIN behind ours.
const LEAVE: Duration = Duration::from_secs(2);

/// As much as an actor puts before its socket.
const OUTBOX_MAX: usize = 16 * 1024;

/// Connections at once where requests begin at their times.
const OPEN_LANES_MAX: usize = 64;
