//! A client with several connections, each of which makes one request after the other.

use super::body::Writing;
use super::plan::{Flaw, Plan};
use super::wire::{Event, Head, Reader};
use crate::draw::Draw as _;
use bytes::Buf as _;
use core::net::SocketAddr;
use core::time::Duration;
use pico_core::host::{Action, Host, Input, Told};
use pico_core::id::{ConnId, ConnIds, ConnMap, Side};
use pico_core::{Dice, Instant, Machine, Monotonic, Outbox, Seed, Timers};
use std::collections::VecDeque;

/// What became of one request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The request.
    pub id: u64,
    /// The connection on which it was made.
    pub conn: ConnId,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether anything came through that concerns one hop only.
    pub leaked: bool,
}

/// How a request ended, as its client sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The response of a service, complete and right.
    Complete {
        /// Which service.
        service: String,
    },
    /// A complete response that says why there is none.
    Error {
        /// The status code.
        status: u16,
        /// The stable error code.
        code: String,
    },
    /// The connection ended before the response did.
    Broken {
        /// Whether its head had come.
        begun: bool,
        /// Whether the connection had carried a request before.
        reused: bool,
    },
    /// Nobody could be connected to.
    Unreachable,
    /// The client itself gave up, as planned.
    Aborted,
    /// Nothing came for longer than anything may take.
    Silence,
    /// What came is not what it must be.
    Wrong(String),
}

/// A client.
#[derive(Debug)]
pub struct Client {
    to: SocketAddr,
    work: Workload,
    lanes: Vec<Lane>,
    conns: ConnMap<Visit>,
    ids: ConnIds,
    timers: Timers<Key>,
    clock: Monotonic,
    dice: Dice,
    actions: VecDeque<Action<()>>,
    records: Vec<Record>,
}

/// Where plans come from.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Of the plans.
    pub seed: Seed,
    /// The endpoints' names.
    pub endpoints: Vec<String>,
    /// Whether some services answer before the request has ended.
    pub early: bool,
}

impl Workload {
    /// The plan of request `id`.
    pub fn plan(&self, id: u64) -> Plan {
        let plan = Plan::of(&self.seed, id, self.endpoints.len());
        Plan { early: plan.early && self.early, ..plan }
    }
}

/// One thing after the other.
#[derive(Debug)]
struct Lane {
    queue: VecDeque<u64>,
    conn: Option<ConnId>,
}

/// One connection.
#[derive(Debug)]
struct Visit {
    lane: usize,
    outbox: Outbox,
    told: Told,
    reader: Reader,
    exchange: Option<Exchange>,
    connected: bool,
    paused: bool,
    /// Requests before this one.
    served: usize,
}

/// One request under way.
#[derive(Debug)]
struct Exchange {
    plan: Plan,
    sent: Writing,
    head: Option<Head>,
    got: usize,
    error: Vec<u8>,
    wrong: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Key {
    Begin(usize),
    Write(ConnId),
    Read(ConnId),
    Abort(ConnId),
    GiveUp(ConnId),
}

impl Client {
    /// A client that makes the requests of `ids`, on so many connections at once.
    pub fn new(
        now: Instant,
        seed: &Seed,
        work: Workload,
        to: SocketAddr,
        ids: impl Iterator<Item = u64>,
        lanes: usize,
    ) -> Self {
        let mut client = Self {
            to,
            work,
            lanes: Vec::new(),
            conns: ConnMap::new(),
            ids: ConnIds::new(Side::Dialed),
            timers: Timers::new(),
            clock: Monotonic::default(),
            dice: seed.fork("client").roll(),
            actions: VecDeque::new(),
            records: Vec::new(),
        };
        client.clock.advance(now);
        client.lanes.resize_with(lanes, || Lane { queue: VecDeque::new(), conn: None });
        for (at, id) in ids.enumerate() {
            client.lanes[at % lanes].queue.push_back(id);
        }
        (0..lanes).for_each(|lane| client.pause(lane));
        client
    }

    /// What became of the requests that are over.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Whether all requests are over.
    pub fn is_over(&self) -> bool {
        self.lanes.iter().all(|l| l.queue.is_empty())
            && self.conns.iter().all(|(_, v)| v.exchange.is_none())
    }

    fn pause(&mut self, lane: usize) {
        let most = *self.dice.pick(&[0, 1, 100]);
        let span = self.dice.span(Duration::ZERO, Duration::from_millis(most));
        self.timers.set(Key::Begin(lane), self.clock.now() + span);
    }

    fn begin(&mut self, lane: usize) {
        let Some(id) = self.lanes[lane].queue.pop_front() else {
            if let Some(conn) = self.lanes[lane].conn {
                self.close(conn);
            }
            return;
        };
        let plan = self.work.plan(id);
        let conn = self.lanes[lane].conn.unwrap_or_else(|| self.dial(lane));
        let visit = self.conns.get_mut(conn).expect("a lane's connection is there");
        let sent = Writing::new(plan.request_len, plan.request_chunked);
        let (head, got, error, wrong) = (None, 0, Vec::new(), None);
        visit.reader.expect_no_body(plan.method == "HEAD");
        visit.outbox.put(plan.request_head(&self.work.endpoints[plan.endpoint]).as_bytes());
        let now = self.clock.now();
        self.timers.set(Key::GiveUp(conn), now + GIVE_UP);
        if let Flaw::ClientAborts(after) = plan.flaw {
            let span = Duration::from_micros(after as u64 * 17 % 300_000);
            self.timers.set(Key::Abort(conn), now + span);
        }
        visit.exchange = Some(Exchange { plan, sent, head, got, error, wrong });
        self.pump(conn);
    }

    fn dial(&mut self, lane: usize) -> ConnId {
        let conn = self.ids.issue();
        let visit = Visit {
            lane,
            outbox: Outbox::new(),
            told: Told::default(),
            reader: Reader::responses(),
            exchange: None,
            connected: false,
            paused: false,
            served: 0,
        };
        self.conns.insert(conn, visit);
        self.lanes[lane].conn = Some(conn);
        self.actions.push_back(Action::Dial { conn, to: self.to });
        conn
    }

    /// Writes more of the request's body.
    fn pump(&mut self, conn: ConnId) {
        let Some(visit) = self.conns.get_mut(conn) else { return };
        let Some(exchange) = &mut visit.exchange else { return };
        while !exchange.sent.is_ended() && visit.outbox.len() < OUTBOX_MAX {
            let plan = &exchange.plan;
            let piece = exchange.sent.next(&mut self.dice, |at, len| plan.request_bytes(at, len));
            visit.outbox.put(&piece);
            if !plan.write_pause.is_zero() {
                self.timers.set(Key::Write(conn), self.clock.now() + plan.write_pause);
                break;
            }
        }
        self.tell(conn);
    }

    fn tell(&mut self, conn: ConnId) {
        let room = self.room(conn);
        let Some(visit) = self.conns.get_mut(conn) else { return };
        if visit.connected {
            visit.told.tell(conn, Some(&visit.outbox), room, &mut self.actions);
        }
    }

    fn received(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(visit) = self.conns.get_mut(conn) else { return };
        visit.reader.push(bytes);
        let pause = visit.exchange.as_ref().map(|e| e.plan.read_pause).filter(|p| !p.is_zero());
        if let Some(pause) = pause
            && self.dice.chance(1, 3)
        {
            visit.paused = true;
            self.timers.set(Key::Read(conn), self.clock.now() + pause);
        }
        while let Some(event) = self.conns.get_mut(conn).and_then(|visit| visit.reader.find()) {
            self.found(conn, event);
        }
        self.tell(conn);
    }

    fn found(&mut self, conn: ConnId, event: Event) {
        let Some(visit) = self.conns.get_mut(conn) else { return };
        let Some(exchange) = &mut visit.exchange else {
            // What comes without a request can only be a refusal, and then the end.
            return self.close(conn);
        };
        match event {
            Event::Head(head) if head.status < 200 => exchange.interim(&head),
            Event::Head(head) => exchange.head = Some(head),
            Event::Body(bytes) => {
                exchange.body(&bytes);
                if matches!(exchange.plan.flaw, Flaw::ClientAborts(n) if exchange.got >= n) {
                    self.over(conn, Outcome::Aborted, false);
                }
            }
            Event::End(_) => {
                let outcome = exchange.outcome();
                let closes = exchange.head.as_ref().and_then(|h| h.field("connection"));
                // Who answers early may have closed, whether we know it or not.
                let keep = exchange.sent.is_ended()
                    && !exchange.plan.early
                    && closes.is_none_or(|value| !value.to_ascii_lowercase().contains("close"))
                    && !self.dice.chance(1, 8);
                self.over(conn, outcome, keep);
            }
            Event::Bad(why) => self.over(conn, Outcome::Wrong(why), false),
        }
    }

    /// Notes how a request ended, and goes on to the next.
    fn over(&mut self, conn: ConnId, outcome: Outcome, keep: bool) {
        let Some(visit) = self.conns.get_mut(conn) else { return };
        let Some(exchange) = visit.exchange.take() else { return };
        visit.served += 1;
        let head = exchange.head.as_ref();
        let leaked = head.is_some_and(|head| head.field("x-hop").is_some());
        self.records.push(Record { id: exchange.plan.id, conn, outcome, leaked });
        let lane = visit.lane;
        for key in [Key::Abort(conn), Key::GiveUp(conn), Key::Write(conn)] {
            self.timers.clear(key);
        }
        if !keep {
            self.close(conn);
        }
        self.pause(lane);
    }

    fn close(&mut self, conn: ConnId) {
        if self.forget(conn) {
            self.actions.push_back(Action::Close(conn));
        }
    }

    fn forget(&mut self, conn: ConnId) -> bool {
        let Some(visit) = self.conns.remove(conn) else { return false };
        self.ids.release(conn);
        self.timers.clear(Key::Read(conn));
        self.lanes[visit.lane].conn = None;
        true
    }

    /// The connection has ended, by FIN or worse.
    fn ended(&mut self, conn: ConnId) {
        let Some(visit) = self.conns.get(conn) else { return };
        let begun = visit.exchange.as_ref().is_some_and(|e| e.head.is_some());
        let broken = Outcome::Broken { begun, reused: visit.served > 0 };
        self.over(conn, broken, false);
        self.close(conn);
    }

    fn fire(&mut self, key: Key) {
        match key {
            Key::Begin(lane) => self.begin(lane),
            Key::Write(conn) => self.pump(conn),
            Key::Read(conn) => {
                if let Some(visit) = self.conns.get_mut(conn) {
                    visit.paused = false;
                }
                self.tell(conn);
            }
            Key::Abort(conn) => self.over(conn, Outcome::Aborted, false),
            Key::GiveUp(conn) => self.over(conn, Outcome::Silence, false),
        }
    }
}

impl Exchange {
    fn served(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.field("x-served").is_some())
    }

    fn interim(&mut self, head: &Head) {
        if head.status != 103 || !self.plan.interim {
            self.wrong.get_or_insert(format!("an interim response {}", head.status));
        }
    }

    fn body(&mut self, bytes: &[u8]) {
        if !self.served() {
            self.error.extend(bytes.iter().take(1000));
        } else if self.plan.response_bytes(self.got, bytes.len()) != bytes {
            self.wrong.get_or_insert(format!("wrong bytes behind byte {}", self.got));
        }
        self.got += bytes.len();
    }

    /// How a request ended whose response is complete.
    fn outcome(&self) -> Outcome {
        let Some(head) = &self.head else { return Outcome::Wrong("no head".into()) };
        if let Some(wrong) = &self.wrong {
            return Outcome::Wrong(wrong.clone());
        }
        let plan = &self.plan;
        let Some(service) = head.field("x-served") else {
            let text = String::from_utf8_lossy(&self.error);
            let code = text.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next());
            let code = match code {
                Some(code) => code.to_owned(),
                None if plan.method == "HEAD" => String::new(),
                None => return Outcome::Wrong(format!("an error without a code: {text}")),
            };
            return Outcome::Error { status: head.status, code };
        };
        if head.status != plan.status || head.field("x-check") != Some(&plan.id.to_string()) {
            return Outcome::Wrong(format!("not the response to request {}: {head:?}", plan.id));
        }
        if self.got != plan.body_len() || matches!(plan.flaw, Flaw::ServiceCuts(_)) {
            let (got, len) = (self.got, plan.body_len());
            return Outcome::Wrong(format!("{got} bytes of {len} look complete"));
        }
        Outcome::Complete { service: service.to_owned() }
    }
}

impl Machine for Client {
    type Input = Input<()>;
    type Action = Action<()>;

    fn handle(&mut self, now: Instant, input: Input<()>) {
        self.clock.advance(now);
        match input {
            Input::Connected { conn, .. } => {
                if let Some(visit) = self.conns.get_mut(conn) {
                    visit.connected = true;
                }
                self.tell(conn);
            }
            Input::Unreachable { conn, .. } => {
                self.over(conn, Outcome::Unreachable, true);
                self.forget(conn);
            }
            Input::Received { conn, bytes } => self.received(conn, &bytes),
            Input::Sent { conn, count } => {
                if let Some(visit) = self.conns.get_mut(conn) {
                    visit.outbox.advance(count);
                }
                if self.timers.get(Key::Write(conn)).is_none() {
                    self.pump(conn);
                }
                self.tell(conn);
            }
            Input::Eof { conn } | Input::Lost { conn, .. } => self.ended(conn),
            Input::Accepted { .. }
            | Input::Unlistened(_)
            | Input::Resolved { .. }
            | Input::Datagram { .. }
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
        self.conns.get(conn).map_or(0, |visit| if visit.paused { 0 } else { 64 * 1024 })
    }
}

/// Longer than anything may take.
const GIVE_UP: Duration = Duration::from_secs(150);

/// As much as an actor puts before its socket.
const OUTBOX_MAX: usize = 16 * 1024;
