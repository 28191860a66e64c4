//! Clients that send requests, as a machine.

#[cfg(test)]
mod tests;

use super::plan::Plan;
use super::tally::Tally;
use super::words::{Late, Report, Share, Word};
use pico_core::head::ResponseHead;
use pico_core::host::{Action, Host, Input, Told, Wire};
use pico_core::http1::client as http1;
use pico_core::id::{ConnId, ConnIds, ConnMap, Side};
use pico_core::{Agenda, Instant, Limits, Machine, Monotonic, Outbox, Reason};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// Clients that send requests.
#[derive(Debug)]
pub struct Load {
    share: Share,
    limits: Arc<Limits>,
    conns: ConnMap<Conn>,
    ids: ConnIds,
    /// Connections that wait for something to send, the longest waiting first.
    idle: VecDeque<ConnId>,
    /// Connections that are to be dialled, and when.
    absent: VecDeque<Instant>,
    dialing: usize,
    /// Dials that have ended, well or not.
    tried: usize,
    actions: VecDeque<Action<Word>>,
    agenda: Agenda<ConnId>,
    clock: Monotonic,
    stage: Stage,
    /// When the first request was due.
    from: Instant,
    /// The number of the next request of this worker.
    next: u64,
    tally: Tally,
    report: Instant,
    reports: Sender<Report>,
    failures: usize,
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    New,
    /// Each connection is dialled for the first time, but no longer than until then.
    Opening(Instant),
    /// Requests are due from then until then.
    Sending(Instant, Instant),
    /// The last answers are waited for, until then.
    Ending(Instant),
    Done,
}

#[derive(Debug)]
struct Conn {
    /// Its machine, once it is connected.
    http: Option<http1::Machine>,
    asked: Option<Asked>,
    /// Whether nothing more comes from the peer.
    ended: bool,
    told: Told,
}

/// A request that waits for its answer.
#[derive(Debug)]
struct Asked {
    due: Instant,
    sent: Instant,
    status: u16,
    /// The beginning of an error's body, which may name its code.
    body: Vec<u8>,
}

impl Load {
    /// Clients that have yet to begin, and tell `reports` what they count.
    pub fn new(share: Share, reports: Sender<Report>) -> Self {
        let limits = Limits {
            response_timeout: share.plan.timeout,
            idle_timeout: FOREVER,
            ..Limits::default()
        };
        Self {
            share,
            limits: Arc::new(limits),
            conns: ConnMap::new(),
            ids: ConnIds::new(Side::Dialed),
            idle: VecDeque::new(),
            absent: VecDeque::new(),
            dialing: 0,
            tried: 0,
            actions: VecDeque::new(),
            agenda: Agenda::new(),
            clock: Monotonic::default(),
            stage: Stage::New,
            from: Instant::ZERO,
            next: 0,
            tally: Tally::default(),
            report: Instant::ZERO,
            reports,
            failures: 0,
        }
    }

    fn start(&mut self) {
        if self.stage == Stage::New {
            let now = self.clock.now();
            self.stage = Stage::Opening(now + OPENING);
            self.report = now + REPORT;
            self.absent = std::iter::repeat_n(now, self.share.connections).collect();
        }
    }

    fn stop(&mut self) {
        let now = self.clock.now();
        match self.stage {
            Stage::Sending(from, to) => self.end(from, now.min(to)),
            Stage::New | Stage::Opening(_) | Stage::Ending(_) => self.finish(),
            Stage::Done => {}
        }
    }

    /// Nothing more is due: waits for the answers.
    fn end(&mut self, from: Instant, to: Instant) {
        while self.due(from).is_some_and(|due| due < to) {
            self.tally.unsent += 1;
            self.next += 1;
        }
        self.tally.span = self.tally.span.max(to.since(from));
        self.stage = Stage::Ending(self.clock.now() + self.share.plan.timeout);
    }

    fn finish(&mut self) {
        for _ in 0..self.waiting() {
            self.tally.error(UNANSWERED);
        }
        self.stage = Stage::Done;
        self.tell();
        self.actions.push_back(Action::Done);
    }

    /// Requests that have no answer yet.
    fn waiting(&self) -> usize {
        self.conns.iter().filter(|(_, conn)| conn.asked.is_some()).count()
    }

    fn tell(&mut self) {
        let tally = std::mem::take(&mut self.tally);
        let late = match self.stage {
            Stage::Ending(until) => {
                Some(Late { answers: self.waiting(), patience: until.since(self.clock.now()) })
            }
            Stage::New | Stage::Opening(_) | Stage::Sending(..) | Stage::Done => None,
        };
        // Nobody listens any more only when the process ends.
        let _ = self.reports.send(Report { worker: self.share.me.0, tally, late });
    }

    /// When the next request is due, if requests are due at times.
    fn due(&self, from: Instant) -> Option<Instant> {
        let rate = u128::from(self.share.plan.rate?);
        let (me, all) = self.share.me;
        let number = u128::from(self.next) * u128::from(all) + u128::from(me);
        let after = number * NANOS / rate.max(1);
        Some(from + Duration::from_nanos(u64::try_from(after).unwrap_or(u64::MAX / 4)))
    }

    /// Does what time has made due.
    fn go_on(&mut self) {
        let now = self.clock.now();
        if self.stage != Stage::New && self.stage != Stage::Done && self.report <= now {
            self.tell();
            self.report = now + REPORT;
        }
        self.dial(now);
        if let Stage::Opening(until) = self.stage
            && (self.tried >= self.share.connections || now >= until)
        {
            self.from = now;
            self.stage = Stage::Sending(now, now + self.share.plan.duration);
        }
        if let Stage::Sending(from, to) = self.stage {
            if now >= to {
                self.end(from, to);
            } else {
                self.send(from, now);
            }
        }
        if let Stage::Ending(until) = self.stage
            && (now >= until || self.conns.iter().all(|(_, conn)| conn.asked.is_none()))
        {
            self.finish();
        }
    }

    fn dial(&mut self, now: Instant) {
        if matches!(self.stage, Stage::Ending(_) | Stage::Done) {
            self.absent.clear();
        }
        while self.dialing < DIALS_MAX && self.absent.front().is_some_and(|at| *at <= now) {
            self.absent.pop_front();
            let places = &self.share.places;
            let Some(to) = places.get(self.failures % places.len().max(1)).copied() else { return };
            let conn = self.ids.issue();
            self.conns.insert(
                conn,
                Conn { http: None, asked: None, ended: false, told: Told::default() },
            );
            self.dialing += 1;
            self.actions.push_back(Action::Dial { conn, to, wire: Wire::Plain });
        }
    }

    fn send(&mut self, from: Instant, now: Instant) {
        while let Some(id) = self.idle.front().copied() {
            let due = match self.due(from) {
                Some(due) if due > now => return,
                Some(due) => due,
                None => now,
            };
            self.idle.pop_front();
            let plan = Arc::clone(&self.share.plan);
            let (me, all) = self.share.me;
            let number = self.next.wrapping_mul(all).wrapping_add(me);
            let count = u64::try_from(plan.endpoints.len()).unwrap_or(u64::MAX);
            let turn = number.checked_rem(count).and_then(|turn| usize::try_from(turn).ok());
            let endpoint = turn.and_then(|turn| plan.endpoints.get(turn));
            let head = plan.head(endpoint.map(String::as_str));
            self.next += 1;
            let Some(conn) = self.conns.get_mut(id) else { continue };
            conn.asked = Some(Asked { due, sent: now, status: 0, body: Vec::new() });
            let end = plan.body == 0;
            let bytes = u64::try_from(plan.body).unwrap_or(u64::MAX);
            self.tally.bytes_out += bytes;
            self.hand(id, http1::Input::Request { head, end, upgrade: false });
            self.hand(id, http1::Input::Credit(CREDIT));
            if !end {
                let bytes = Plan::bytes(plan.body);
                self.hand(id, http1::Input::Data { bytes, end: true });
            }
            self.pump(id);
        }
    }

    fn hand(&mut self, id: ConnId, input: http1::Input) {
        let now = self.clock.now();
        if let Some(http) = self.conns.get_mut(id).and_then(|conn| conn.http.as_mut()) {
            http.handle(now, input);
        }
    }

    fn pump(&mut self, id: ConnId) {
        loop {
            let http = self.conns.get_mut(id).and_then(|conn| conn.http.as_mut());
            let Some(action) = http.and_then(http1::Machine::poll) else { break };
            match action {
                http1::Action::Response { head, end } => self.response(id, &head, end),
                http1::Action::Data { bytes, end } => {
                    self.tally.bytes_in += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    self.hand(id, http1::Input::Credit(bytes.len()));
                    let asked = self.conns.get_mut(id).and_then(|conn| conn.asked.as_mut());
                    if let Some(asked) = asked.filter(|asked| asked.status >= 400) {
                        let room = BODY_KEPT.saturating_sub(asked.body.len());
                        asked.body.extend(bytes.iter().take(room));
                    }
                    if end {
                        self.answered(id);
                    }
                }
                http1::Action::Trailers(_) => self.answered(id),
                http1::Action::Failed { reason, .. } => self.failed(id, reason),
                http1::Action::Idle => self.idle.push_back(id),
                http1::Action::Closed(_) => self.remove(id, Duration::ZERO),
                http1::Action::Finish => self.actions.push_back(Action::Finish(id)),
                http1::Action::Taken(_) => {}
            }
        }
        let Some(conn) = self.conns.get_mut(id) else { return };
        let Some(http) = &conn.http else { return };
        conn.told.tell(id, Some(http.outbox()), http.room(), &mut self.actions);
        self.agenda.want(id, http.deadline());
    }

    fn response(&mut self, id: ConnId, head: &ResponseHead, end: bool) {
        let Some(asked) = self.conns.get_mut(id).and_then(|conn| conn.asked.as_mut()) else {
            return;
        };
        if head.status.is_informational() {
            return;
        }
        asked.status = head.status.as_u16();
        if end {
            self.answered(id);
        }
    }

    fn answered(&mut self, id: ConnId) {
        let now = self.clock.now();
        let Some(asked) = self.conns.get_mut(id).and_then(|conn| conn.asked.take()) else { return };
        self.tally.answer(asked.status, now.since(asked.due), now.since(asked.sent));
        self.tally.span = self.tally.span.max(now.since(self.from));
        if asked.status >= 400 {
            let text = String::from_utf8_lossy(&asked.body);
            let named = text.split_once("\"code\":\"").and_then(|(_, rest)| rest.split('"').next());
            let plain = |code: &&str| {
                code.len() <= 40 && code.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            };
            match named.filter(plain) {
                Some(code) => self.tally.error(code),
                None => self.tally.error(&asked.status.to_string()),
            }
        }
    }

    /// A request is not answered, or not to the end.
    fn failed(&mut self, id: ConnId, reason: Reason) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let Some(asked) = conn.asked.take() else { return };
        // A head had come, and nothing was wrong with what came behind it.
        let cut = conn.ended && asked.status > 0;
        self.tally.error(if cut { CUT } else { reason.told().code });
    }

    fn end_of(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.ended = true;
        }
    }

    /// A connection is no more: another one takes its place.
    fn remove(&mut self, id: ConnId, after: Duration) {
        let Some(conn) = self.conns.remove(id) else { return };
        self.dialing -= usize::from(conn.http.is_none());
        self.idle.retain(|idle| *idle != id);
        self.agenda.forget(id);
        self.ids.release(id);
        if conn.http.is_some() {
            self.actions.push_back(Action::Close(id));
        }
        self.absent.push_back(self.clock.now() + after);
    }

    fn input(&mut self, input: Input<Word>) {
        let (id, input) = match input {
            Input::Letter(Word::Start) => return self.start(),
            Input::Letter(Word::Stop) => return self.stop(),
            Input::Connected { conn, .. } => {
                let http = http1::Machine::new(self.clock.now(), Arc::clone(&self.limits));
                if let Some(state) = self.conns.get_mut(conn) {
                    state.http = Some(http);
                    self.dialing -= 1;
                    self.tried += 1;
                    self.idle.push_back(conn);
                }
                return self.pump(conn);
            }
            Input::Unreachable { conn, .. } => {
                self.failures += 1;
                self.tried += 1;
                self.tally.error(UNREACHABLE);
                return self.remove(conn, RETRY);
            }
            Input::Lost { conn, .. } => {
                self.end_of(conn);
                self.failed(conn, Reason::ConnectionLost);
                // The driver has dropped it already, and takes a second word for no harm.
                return self.remove(conn, Duration::ZERO);
            }
            Input::Received { conn, bytes } => (conn, http1::Input::Received(bytes)),
            Input::Eof { conn } => {
                self.end_of(conn);
                (conn, http1::Input::Eof)
            }
            Input::Sent { conn, count } => (conn, http1::Input::Sent(count)),
            Input::Accepted { .. }
            | Input::Unlistened(_)
            | Input::Resolved { .. }
            | Input::Datagram { .. }
            | Input::Wall(_) => return,
        };
        self.hand(id, input);
        self.pump(id);
    }
}

impl Machine for Load {
    type Input = Input<Word>;
    type Action = Action<Word>;

    fn handle(&mut self, now: Instant, input: Input<Word>) {
        self.clock.advance(now);
        if self.stage != Stage::Done {
            self.input(input);
            self.go_on();
        }
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        if self.stage == Stage::Done {
            return;
        }
        while let Some(id) = self.agenda.pop(now) {
            if let Some(http) = self.conns.get_mut(id).and_then(|conn| conn.http.as_mut()) {
                http.tick(now);
            }
            self.pump(id);
        }
        self.go_on();
    }

    fn poll(&mut self) -> Option<Action<Word>> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        let stage = match self.stage {
            Stage::New | Stage::Done => return None,
            Stage::Sending(from, to) => {
                let due = if self.idle.is_empty() { None } else { self.due(from) };
                Some(due.map_or(to, |due| due.min(to)))
            }
            Stage::Opening(until) | Stage::Ending(until) => Some(until),
        };
        let dial = self.absent.front().copied().filter(|_| self.dialing < DIALS_MAX);
        [stage, dial, Some(self.report), self.agenda.deadline()].into_iter().flatten().min()
    }
}

impl Host for Load {
    type Letter = Word;

    fn outbox(&self, conn: ConnId) -> Option<&Outbox> {
        if self.stage == Stage::Done {
            return None;
        }
        self.conns.get(conn).and_then(|conn| conn.http.as_ref()).map(http1::Machine::outbox)
    }

    fn room(&self, conn: ConnId) -> usize {
        let http = self.conns.get(conn).and_then(|conn| conn.http.as_ref());
        http.map_or(0, http1::Machine::room)
    }
}

/// Connections that are dialled at once: more overflow the queue of whoever listens.
const DIALS_MAX: usize = 128;
/// How long requests wait for connections at the beginning.
const OPENING: Duration = Duration::from_secs(5);
/// How long to wait before dialling again where nobody was reached.
const RETRY: Duration = Duration::from_millis(100);
/// How often is told what was counted.
const REPORT: Duration = Duration::from_millis(250);
/// Bytes of an answer that may be under way.
const CREDIT: usize = 1 << 20;
/// Bytes of an error's body that are looked at.
const BODY_KEPT: usize = 512;
/// No connection is closed because nothing is due for it.
const FOREVER: Duration = Duration::from_hours(24 * 365);
const NANOS: u128 = 1_000_000_000;
const UNREACHABLE: &str = "unreachable";
/// An answer that ended too soon.
const CUT: &str = "cut";
const UNANSWERED: &str = "unanswered";
