//! The agent: registers endpoints with a server and forwards their requests to local services.
//!
//! It is one machine with connections of two kinds. *Uplinks* go to the server: an HTTP/1 client
//! asks for a WebSocket, which becomes a tunnel. *Local* connections go to the services, each an
//! HTTP/1 client that carries one call at a time and is pooled between two. A call lives in a
//! table of its own, because it outlives the connections that are tried for it.
//!
//! Children are only fed while inputs are handled; what they ask for is taken when the agent is
//! polled, so that all that one turn brought shares its frames and writes.

mod call;
mod conn;
mod dials;
mod listener;
mod names;
mod service;
mod settings;
mod uplink;

pub use settings::{HostHeader, Listener, Server, Service, Settings, SettingsError};

use crate::host::{self, Action, Fault, Host, Input};
use crate::id::{AskId, ConnId, ConnIds, ConnMap, Side, StreamId};
use crate::limits::Limits;
use crate::machine::Machine;
use crate::note::Note;
use crate::outbox::Outbox;
use crate::rpc::Identity;
use crate::seed::{Dice, Seed};
use crate::time::{Instant, Monotonic};
use crate::timers::Agenda;
use alloc::collections::VecDeque;
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use alloc::vec::Vec;
use call::{CallId, Calls};
use conn::{Conn, Event, Kind};
use core::net::SocketAddr;
use core::time::Duration;
use dials::Dials;
use names::{Answer, Lookup, NameId, Names, Waiter};

/// What an agent hears from its process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Letter {
    /// Stop in good order: the server is told to send no more, calls under way finish, and after
    /// the grace period what is left is cut. Ends in [`Action::Done`].
    Drain,
}

/// One agent, or one worker's share of it.
///
/// It resolves and dials from the first [`poll`](Machine::poll) on. It ends, with
/// [`Action::Done`] as its last action, when it was drained or when the server has refused every
/// listener for good; [`failed`](Self::failed) tells which.
#[derive(Debug)]
pub struct Agent {
    clock: Monotonic,
    limits: Arc<Limits>,
    /// The same, for connections to services: how long a response may take is for the server to
    /// say, which resets the call.
    patient: Arc<Limits>,
    phase: Phase,
    seed: Seed,
    dice: Dice,
    /// Tunnels so far, each with a seed of its own.
    tunnels: u64,

    server: NameId,
    prefix: String,
    authority: String,
    token: Option<String>,
    identity: Identity,
    grace: Duration,
    log_requests: bool,

    listeners: Vec<listener::Listener>,
    /// Listeners that have not ended.
    active: usize,
    /// Listeners that were refused for good.
    rejections: usize,
    names: Names,
    dials: Dials,
    calls: Calls,

    ids: ConnIds,
    conns: ConnMap<Conn>,
    /// Connections to the server.
    uplinks: usize,
    /// Connections whose children may have something to say.
    dirty: VecDeque<ConnId>,
    /// Calls of the tunnel that is being drained whose words may not bear their tag yet.
    untagged: Vec<(StreamId, CallId)>,
    agenda: Agenda<Alarm>,
    actions: VecDeque<Action<Letter>>,
}

/// Where an agent is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Not polled yet.
    Fresh,
    Running,
    /// Calls under way may go on until then; so many were cut.
    Draining {
        until: Instant,
        cut: usize,
    },
    Done,
}

/// Who wants to be woken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Alarm {
    Conn(ConnId),
    Listener(usize),
    Name(NameId),
    Grace,
}

impl Agent {
    /// An agent that begins at its first poll.
    ///
    /// # Errors
    /// Settings that cannot work are refused here and nowhere else.
    pub fn new(
        now: Instant,
        settings: Settings,
        seed: Seed,
        limits: Arc<Limits>,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        let mut clock = Monotonic::default();
        clock.advance(now);
        let mut names = Names::default();
        let Settings { server, token, identity, listeners, grace, log_requests } = settings;
        let server_name = names.add(&server.host, server.port);
        let listeners: Vec<_> = listeners
            .into_iter()
            .map(|listener| {
                let service = names.add(&listener.service.host, listener.service.port);
                listener::Listener::new(listener, service, now)
            })
            .collect();
        Ok(Self {
            clock,
            patient: Arc::new(Limits { response_timeout: Duration::MAX, ..(*limits).clone() }),
            limits,
            phase: Phase::Fresh,
            dice: seed.fork("agent").roll(),
            seed,
            tunnels: 0,
            server: server_name,
            authority: settings::authority(&server.host, server.port),
            prefix: server.prefix.trim_end_matches('/').to_string(),
            token,
            identity,
            grace,
            log_requests,
            active: listeners.len(),
            listeners,
            rejections: 0,
            names,
            dials: Dials::default(),
            calls: Calls::new(),
            ids: ConnIds::new(Side::Dialed),
            conns: ConnMap::new(),
            uplinks: 0,
            dirty: VecDeque::new(),
            untagged: Vec::new(),
            agenda: Agenda::new(),
            actions: VecDeque::new(),
        })
    }

    /// Whether the server refused every listener for good, which is how an agent ends that was
    /// not asked to.
    pub fn failed(&self) -> bool {
        self.rejections > 0 && self.rejections == self.listeners.len()
    }

    /// Calls under way.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    fn connected(&mut self, conn: ConnId) {
        match self.conns.get(conn).map(|held| &held.kind) {
            Some(Kind::Uplink(uplink)) if uplink.is_dialing() => self.shake(conn),
            Some(Kind::Uplink(_)) | None => {}
            Some(Kind::Local(_)) => self.local_connected(conn),
        }
    }

    fn unreachable(&mut self, conn: ConnId, fault: Fault) {
        let Some(held) = self.conns.get_mut(conn) else { return };
        held.lost = Some(fault);
        match &held.kind {
            Kind::Uplink(uplink) => {
                let listener = uplink.listener;
                self.remove(conn);
                self.undialed(listener, conn, fault.into());
            }
            Kind::Local(_) => self.local_undialed(conn, fault),
        }
    }

    fn feed(&mut self, conn: ConnId, event: Event) {
        let now = self.clock.now();
        if let Some(held) = self.conns.get_mut(conn) {
            held.feed(now, event);
            held.tell(conn, &mut self.actions);
            self.mark(conn);
        }
    }

    fn lost(&mut self, conn: ConnId, fault: Fault) {
        match self.conns.get(conn).map(|held| &held.kind) {
            Some(Kind::Uplink(_)) => self.uplink_lost(conn, fault),
            Some(Kind::Local(_)) => self.local_lost(conn, fault),
            None => {}
        }
    }

    fn resolved(&mut self, ask: AskId, result: Result<Vec<SocketAddr>, Fault>) {
        if let Some(answer) = self.names.answered(self.clock.now(), ask, result) {
            self.spread(answer);
        }
    }

    fn spread(&mut self, answer: Answer) {
        for waiter in answer.waiters {
            match waiter {
                Waiter::Listener(at) => self.server_resolved(at, answer.result),
                Waiter::Call(id) => self.service_resolved(id, answer.result),
            }
        }
    }

    /// Looks a name up for `waiter`, and asks the driver if need be.
    fn look(&mut self, name: NameId, waiter: Waiter) -> Lookup {
        let now = self.clock.now();
        let found = self.names.look(now, name, waiter, self.limits.dial_timeout);
        if let Lookup::Ask(ask, give_up) = found {
            let (host, port) = self.names.place(name);
            let host = host.to_string();
            self.actions.push_back(Action::Resolve { ask, host, port });
            self.agenda.want(Alarm::Name(name), Some(give_up));
        }
        found
    }

    fn endpoint(&self, listener: usize) -> String {
        self.listeners.get(listener).map(|l| l.endpoint.to_string()).unwrap_or_default()
    }

    /// Forgets a connection, and has the driver drop it unless it has done so.
    fn remove(&mut self, conn: ConnId) {
        let Some(held) = self.conns.remove(conn) else { return };
        self.agenda.forget(Alarm::Conn(conn));
        self.ids.release(conn);
        if held.lost.is_none() {
            if held.is_idle() {
                // A service that is done with takes a reset for a fault.
                self.actions.push_back(Action::Finish(conn));
            }
            host::close(conn, held.was_cut(), &mut self.actions);
        }
        match held.kind {
            Kind::Uplink(_) => self.uplinks = self.uplinks.saturating_sub(1),
            Kind::Local(local) => {
                let idle = self.listeners.get_mut(local.listener).map(|l| &mut l.idle);
                if let Some(idle) = idle.filter(|_| local.call.is_none())
                    && let Some(at) = idle.iter().position(|other| *other == conn)
                {
                    idle.remove(at);
                }
            }
        }
    }

    /// Has the children of `conn` drained before the agent is done with its step.
    fn mark(&mut self, conn: ConnId) {
        if let Some(held) = self.conns.get_mut(conn)
            && !core::mem::replace(&mut held.queued, true)
        {
            self.dirty.push_back(conn);
        }
    }

    /// Takes what the children have to say until none has anything.
    fn run(&mut self) {
        if self.phase == Phase::Fresh {
            self.phase = Phase::Running;
            (0..self.listeners.len()).for_each(|at| self.wake_listener(at));
        }
        while let Some(conn) = self.dirty.pop_front() {
            let Some(held) = self.conns.get_mut(conn) else { continue };
            held.queued = false;
            match held.kind {
                Kind::Uplink(_) => self.drain_uplink(conn),
                Kind::Local(_) => self.drain_local(conn),
            }
            self.settle(conn);
        }
        if self.active == 0 && self.uplinks == 0 {
            self.end();
        }
    }

    /// Tells the driver what has changed about `conn`.
    fn settle(&mut self, conn: ConnId) {
        let Some(held) = self.conns.get_mut(conn) else { return };
        held.tell(conn, &mut self.actions);
        let deadline = held.deadline();
        if deadline.is_some_and(|at| held.wanted.is_none_or(|wanted| at < wanted)) {
            held.wanted = deadline;
            self.agenda.want(Alarm::Conn(conn), deadline);
        }
    }

    fn end(&mut self) {
        let left: Vec<ConnId> = self.conns.ids().collect();
        for conn in left {
            self.remove(conn);
        }
        if let Phase::Draining { cut, .. } = self.phase {
            self.actions.push_back(Action::Note(Note::Drained { cut }));
        }
        self.actions.push_back(Action::Done);
        self.phase = Phase::Done;
    }

    fn wake(&mut self, now: Instant, alarm: Alarm) {
        match alarm {
            Alarm::Listener(at) => self.wake_listener(at),
            Alarm::Name(name) => {
                if let Some(answer) = self.names.tick(now, name) {
                    self.spread(answer);
                } else {
                    self.agenda.want(alarm, self.names.give_up(name));
                }
            }
            Alarm::Grace => self.grace_over(),
            Alarm::Conn(conn) => {
                let Some(held) = self.conns.get_mut(conn) else { return };
                held.wanted = None;
                held.tick(now);
                let due = held.due().is_some_and(|due| due <= now);
                let local = matches!(held.kind, Kind::Local(_));
                self.mark(conn);
                match (due, local) {
                    (false, _) => {}
                    (true, true) => self.local_expired(conn),
                    (true, false) => self.uplink_expired(conn),
                }
            }
        }
    }
}

impl Machine for Agent {
    type Input = Input<Letter>;
    type Action = Action<Letter>;

    fn handle(&mut self, now: Instant, input: Self::Input) {
        self.clock.advance(now);
        if self.phase == Phase::Done {
            return;
        }
        match input {
            // An agent listens to nobody.
            Input::Accepted { .. }
            | Input::Unlistened(_)
            | Input::Datagram { .. }
            | Input::Wall(_) => {}
            Input::Connected { conn, .. } => self.connected(conn),
            Input::Unreachable { conn, fault } => self.unreachable(conn, fault),
            Input::Received { conn, bytes } => self.feed(conn, Event::Received(bytes)),
            Input::Eof { conn } => self.feed(conn, Event::Eof),
            Input::Sent { conn, count } => self.feed(conn, Event::Sent(count)),
            Input::Lost { conn, fault } => self.lost(conn, fault),
            Input::Resolved { ask, result } => self.resolved(ask, result),
            Input::Letter(Letter::Drain) => self.drain(),
        }
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        if matches!(self.phase, Phase::Fresh | Phase::Done) {
            return;
        }
        while let Some(alarm) = self.agenda.pop(now) {
            self.wake(now, alarm);
        }
    }

    fn poll(&mut self) -> Option<Self::Action> {
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        if self.phase != Phase::Done {
            self.run();
        }
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Fresh | Phase::Done => None,
            Phase::Running | Phase::Draining { .. } => self.agenda.deadline(),
        }
    }
}

impl Host for Agent {
    type Letter = Letter;

    fn outbox(&self, conn: ConnId) -> Option<&Outbox> {
        self.conns.get(conn)?.outbox()
    }

    fn room(&self, conn: ConnId) -> usize {
        self.conns.get(conn).map_or(0, Conn::room)
    }
}
