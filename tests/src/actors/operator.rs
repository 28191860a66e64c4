//! An operator, who asks the admin ports of nodes, and nodes about each other.

use super::record::Watch;
use super::wire::{Event, Reader};
use crate::draw::Draw as _;
use bytes::Buf as _;
use core::net::SocketAddr;
use core::time::Duration;
use pico_core::host::{Action, Host, Input, Told, Wire};
use pico_core::id::{ConnId, ConnIds, ConnMap, Side};
use pico_core::{Dice, Instant, Machine, Monotonic, Outbox, Seed, Timers};
use serde_json::Value;
use std::collections::VecDeque;

/// An operator: one question after the other, whether or not answers come.
#[derive(Debug)]
pub struct Operator {
    watch: Watch,
    dice: Dice,
    /// Whom to ask, and what they are called.
    nodes: Vec<(SocketAddr, String)>,
    every: Duration,
    /// Nothing is asked from then on, by the actor's clock.
    until: Instant,
    questions: Vec<Question>,
    conns: ConnMap<Visit>,
    ids: ConnIds,
    timers: Timers<Key>,
    clock: Monotonic,
    actions: VecDeque<Action<()>>,
}

/// A question, and what came of it. All times are the world's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// The connection.
    pub conn: ConnId,
    /// Which node was asked, by number.
    pub to: usize,
    /// About which node, if about another one: a number that no node has is a name that none has.
    pub about: Option<usize>,
    /// What.
    pub path: String,
    /// When it began.
    pub began: Instant,
    /// When the connection was there.
    pub connected: Option<Instant>,
    /// When the answer's head was there. How long the rest takes is the network's affair.
    pub head: Option<Instant>,
    /// When it ended.
    pub ended: Option<Instant>,
    /// What was said.
    pub answer: Answer,
}

/// What became of a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Nothing yet.
    Open,
    /// All of an answer, with its status and, if it is an error, its code.
    Said(u16, String),
    /// Nobody is there.
    Unreachable,
    /// The connection broke before all was said.
    Broken,
    /// For longer than anything may take nothing was said.
    Silence,
    /// What was said is no answer.
    Wrong(String),
}

#[derive(Debug)]
struct Visit {
    question: usize,
    outbox: Outbox,
    told: Told,
    reader: Reader,
    status: u16,
    body: Vec<u8>,
    /// Nothing more is expected but the peer's FIN.
    leaving: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Key {
    Ask,
    GiveUp(ConnId),
}

impl Operator {
    /// An operator of these nodes, who asks so often, and until then.
    pub fn new(
        watch: Watch,
        seed: &Seed,
        nodes: Vec<(SocketAddr, String)>,
        every: Duration,
        until: Instant,
    ) -> Self {
        let mut timers = Timers::new();
        timers.set(Key::Ask, watch.local());
        let mut clock = Monotonic::default();
        clock.advance(watch.local());
        Self {
            watch,
            dice: seed.fork("operator").roll(),
            nodes,
            every,
            until: watch.local() + until.since(Instant::ZERO),
            questions: Vec::new(),
            conns: ConnMap::new(),
            ids: ConnIds::new(Side::Dialed),
            timers,
            clock,
            actions: VecDeque::new(),
        }
    }

    /// All questions, in the order in which they began.
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    fn ask(&mut self) {
        let now = self.clock.now();
        if now >= self.until {
            return;
        }
        self.timers.set(Key::Ask, now + self.every);
        let to = self.dice.index(self.nodes.len());
        let mut path = (*self.dice.pick(&PATHS)).to_owned();
        let mut about = None;
        if path.starts_with("/status/") && self.dice.chance(1, 2) {
            let other = self.dice.index(self.nodes.len() + 1);
            let name = self.nodes.get(other).map_or("nobody", |(_, name)| name);
            let mark = if path.contains('?') { '&' } else { '?' };
            path = format!("{path}{mark}node={name}");
            about = Some(other);
        }
        let conn = self.ids.issue();
        let mut outbox = Outbox::new();
        outbox.put(format!("GET {path} HTTP/1.1\r\nHost: node\r\n\r\n").as_bytes());
        let question = self.questions.len();
        self.conns.insert(
            conn,
            Visit {
                question,
                outbox,
                told: Told::default(),
                reader: Reader::responses(),
                status: 0,
                body: Vec::new(),
                leaving: false,
            },
        );
        let began = self.watch.read(now);
        self.questions.push(Question {
            conn,
            to,
            about,
            path,
            began,
            connected: None,
            head: None,
            ended: None,
            answer: Answer::Open,
        });
        self.timers.set(Key::GiveUp(conn), now + GIVE_UP);
        let to = self.nodes[to].0;
        self.actions.push_back(Action::Dial { conn, to, wire: Wire::Plain });
    }

    /// Notes what became of the question of a connection.
    fn note(&mut self, conn: ConnId, answer: Answer) {
        let at = self.watch.read(self.clock.now());
        let question = self.conns.get(conn).map(|visit| visit.question);
        let question = question.and_then(|at| self.questions.get_mut(at));
        if let Some(question) = question.filter(|question| question.ended.is_none()) {
            (question.ended, question.answer) = (Some(at), answer);
        }
    }

    fn forget(&mut self, conn: ConnId) {
        self.timers.clear(Key::GiveUp(conn));
        self.conns.remove(conn);
        self.ids.release(conn);
    }

    fn close(&mut self, conn: ConnId) {
        self.forget(conn);
        self.actions.push_back(Action::Close(conn));
    }

    fn tell(&mut self, conn: ConnId) {
        if let Some(visit) = self.conns.get_mut(conn) {
            visit.told.tell(conn, Some(&visit.outbox), ROOM, &mut self.actions);
        }
    }

    fn received(&mut self, conn: ConnId, bytes: &[u8]) {
        let at = self.watch.read(self.clock.now());
        let Some(visit) = self.conns.get_mut(conn) else { return };
        visit.reader.push(bytes);
        while let Some(event) = visit.reader.find() {
            let answer = match event {
                Event::Head(head) => {
                    visit.status = head.status;
                    if let Some(question) = self.questions.get_mut(visit.question) {
                        question.head = Some(at);
                    }
                    continue;
                }
                Event::Body(bytes) => {
                    visit.body.extend(bytes);
                    continue;
                }
                Event::End(_) => said(visit.status, &visit.body),
                Event::Bad(why) => Answer::Wrong(why),
            };
            visit.leaving = true;
            self.note(conn, answer);
            self.actions.push_back(Action::Finish(conn));
            self.timers.set(Key::GiveUp(conn), self.clock.now() + LEAVE);
            return;
        }
    }

    /// The peer has said all.
    fn ended(&mut self, conn: ConnId) {
        self.note(conn, Answer::Broken);
        self.close(conn);
    }

    fn fire(&mut self, key: Key) {
        match key {
            Key::Ask => self.ask(),
            Key::GiveUp(conn) => {
                self.note(conn, Answer::Silence);
                self.close(conn);
            }
        }
    }
}

/// What an answer says.
fn said(status: u16, body: &[u8]) -> Answer {
    let value = serde_json::from_slice::<Value>(body).ok();
    let code = value.as_ref().and_then(|value| value.get("code")).and_then(Value::as_str);
    Answer::Said(status, code.unwrap_or_default().to_owned())
}

impl Machine for Operator {
    type Input = Input<()>;
    type Action = Action<()>;

    fn handle(&mut self, now: Instant, input: Input<()>) {
        self.clock.advance(now);
        match input {
            Input::Connected { conn, .. } => {
                let at = self.watch.read(self.clock.now());
                if let Some(visit) = self.conns.get(conn)
                    && let Some(question) = self.questions.get_mut(visit.question)
                {
                    question.connected = Some(at);
                }
                self.tell(conn);
            }
            Input::Unreachable { conn, .. } => {
                self.note(conn, Answer::Unreachable);
                self.forget(conn);
            }
            Input::Received { conn, bytes } => self.received(conn, &bytes),
            Input::Eof { conn } => self.ended(conn),
            Input::Sent { conn, count } => {
                if let Some(visit) = self.conns.get_mut(conn) {
                    visit.outbox.advance(count);
                }
                self.tell(conn);
            }
            Input::Lost { conn, .. } => {
                self.note(conn, Answer::Broken);
                self.forget(conn);
            }
            Input::Accepted { .. }
            | Input::Resolved { .. }
            | Input::Unlistened(_)
            | Input::Datagram { .. }
            | Input::Letter(())
            | Input::Wall(_) => {}
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

impl Host for Operator {
    type Letter = ();

    fn outbox(&self, conn: ConnId) -> Option<&Outbox> {
        self.conns.get(conn).map(|visit| &visit.outbox)
    }

    fn room(&self, conn: ConnId) -> usize {
        self.conns.get(conn).map_or(0, |_| ROOM)
    }
}

/// What is asked.
const PATHS: [&str; 9] = [
    "/metrics",
    "/ready",
    "/status/nodes",
    "/status/nodes?limit=1",
    "/status/endpoints",
    "/status/endpoints/endpoint-0",
    "/status/tunnels",
    "/status/tunnels?limit=1",
    "/status/gossip",
];
/// What is read at once.
const ROOM: usize = 64 * 1024;
/// Longer than a dial and an answer may take.
const GIVE_UP: Duration = Duration::from_secs(30);
/// How long the peer has to send its FIN behind ours.
const LEAVE: Duration = Duration::from_secs(2);
