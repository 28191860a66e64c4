//! One endpoint that an agent serves: when to dial, when to wait, when to stop.

use super::names::{Lookup, NameId, Waiter};
use super::settings::{self, HostHeader};
use super::{Agent, Alarm, Phase};
use crate::host::{Action, Fault};
use crate::id::ConnId;
use crate::limits::Limits;
use crate::note::{Note, Why};
use crate::reason::Reason;
use crate::routing::EndpointId;
use crate::rpc;
use crate::seed::Dice;
use crate::time::Instant;
use alloc::collections::VecDeque;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

/// An endpoint, the state of its registration, and its idle connections to the service.
#[derive(Debug)]
pub(super) struct Listener {
    /// Its name.
    pub(super) endpoint: EndpointId,
    /// Where its service is.
    pub(super) service: NameId,
    /// What `Host` becomes, unless it stays.
    pub(super) host: Option<String>,
    /// The service's host and port, for requests without `Host` and for people.
    pub(super) authority: String,
    /// Idle connections to the service, the latest used last.
    pub(super) idle: VecDeque<ConnId>,
    /// Whether the last dial to the service failed.
    pub(super) unreachable: bool,
    stage: Stage,
    /// Tunnels whose node drains, or that we drain: calls under way end there.
    old: Vec<ConnId>,
    /// Attempts since one has held.
    failures: u32,
    /// With which of the server's addresses an attempt begins.
    first: usize,
    /// The address that was dialled last, unless the name has led to none since.
    dialed: Option<SocketAddr>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Until the next attempt.
    Waiting(Instant),
    /// For the server's addresses.
    Resolving,
    /// For its turn to dial.
    Queued,
    /// From dialling to the first round trip; so many addresses were tried before this one, and
    /// the one of them that asked for the longest wait asked for this.
    Trying { conn: ConnId, tried: usize, counts: Counts, after: Duration },
    /// A ping has crossed.
    Online { conn: ConnId, since: Instant },
    /// Refused for good, or drained.
    Ended,
}

/// Whether an attempt counts among those that are under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Counts {
    /// Until then, at the latest.
    Until(Instant),
    /// It took too long to keep others from theirs.
    No,
}

/// How one address of the server failed, and for how long it wants to be left alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Failure {
    pub(super) why: Why,
    pub(super) after: Duration,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Why::Fault(fault).into()
    }
}

impl From<Why> for Failure {
    fn from(why: Why) -> Self {
        Self { why, after: Duration::ZERO }
    }
}

impl Listener {
    /// A listener that dials at `now`.
    pub(super) fn new(settings: settings::Listener, service: NameId, now: Instant) -> Self {
        let authority = settings.service.authority();
        let host = match settings.host_header {
            HostHeader::Keep => None,
            HostHeader::Rewrite => Some(authority.clone()),
            HostHeader::Value(value) => Some(value),
        };
        Self {
            endpoint: settings.endpoint,
            service,
            host,
            authority,
            idle: VecDeque::new(),
            unreachable: false,
            stage: Stage::Waiting(now),
            old: Vec::new(),
            failures: 0,
            first: 0,
            dialed: None,
        }
    }

    /// An address of the server is dialled.
    pub(super) const fn dials(&mut self, to: SocketAddr) {
        self.dialed = Some(to);
    }

    /// Whether it was asked to leave this tunnel, or is about to.
    pub(super) fn has_left(&self, conn: ConnId) -> bool {
        self.old.contains(&conn)
    }

    /// The tunnels that it was asked to leave.
    pub(super) fn left(&self) -> Vec<ConnId> {
        self.old.clone()
    }

    /// Whether a ping has crossed its tunnel.
    pub(super) fn is_online(&self) -> bool {
        match self.stage {
            Stage::Online { .. } => true,
            Stage::Waiting(_)
            | Stage::Resolving
            | Stage::Queued
            | Stage::Trying { .. }
            | Stage::Ended => false,
        }
    }

    /// How long it will wait before it dials again, if it is served by no tunnel.
    fn retry(&self, now: Instant) -> Option<Duration> {
        match self.stage {
            Stage::Waiting(until) if self.old.is_empty() => Some(until.since(now)),
            Stage::Resolving | Stage::Queued | Stage::Trying { .. } if self.old.is_empty() => {
                Some(Duration::ZERO)
            }
            Stage::Waiting(_)
            | Stage::Resolving
            | Stage::Queued
            | Stage::Trying { .. }
            | Stage::Online { .. }
            | Stage::Ended => None,
        }
    }

    /// How long one of the addresses that this attempt has tried wants to be left alone.
    fn after(&self) -> Duration {
        match self.stage {
            Stage::Trying { after, .. } => after,
            Stage::Waiting(_)
            | Stage::Resolving
            | Stage::Queued
            | Stage::Online { .. }
            | Stage::Ended => Duration::ZERO,
        }
    }

    /// Whether it has an attempt under way that counts.
    fn is_counted(&self) -> bool {
        matches!(self.stage, Stage::Trying { counts: Counts::Until(_), .. })
    }

    /// The connection by which it is, or tries to be, registered.
    fn conn(&self) -> Option<ConnId> {
        match self.stage {
            Stage::Trying { conn, .. } | Stage::Online { conn, .. } => Some(conn),
            Stage::Waiting(_) | Stage::Resolving | Stage::Queued | Stage::Ended => None,
        }
    }

    /// The wait before the next attempt: full jitter, so that many agents that lost one node
    /// come back spread out. A server that asked for a wait gets it, and up to as much again.
    /// While the tunnel that it was asked to leave still serves, either is short: a node that
    /// drains does not wait for long, whatever went wrong before, and what it cuts off would be
    /// lost.
    fn backoff(&mut self, dice: &mut Dice, limits: &Limits, after: Duration) -> Duration {
        let times = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        let most = if self.old.is_empty() { limits.backoff_max } else { MOVING_WAIT };
        if after.is_zero() {
            return jitter(dice, limits.backoff_min.saturating_mul(times).min(most));
        }
        if !self.old.is_empty() {
            let least = after.min(MOVING_WAIT);
            return least + jitter(dice, least / 2);
        }
        let least = after.saturating_mul(times.min(ASKED_TIMES)).min(most);
        least + jitter(dice, least.min(most.saturating_sub(least)))
    }
}

/// How often a wait that a server has asked for is doubled at most, as a factor. It knows how long
/// that should be, and the next one who answers may be another, which has room.
const ASKED_TIMES: u32 = 4;

/// The longest wait of who is to leave a node: at the usual `drain-delay` of five seconds there are
/// at least three more attempts.
const MOVING_WAIT: Duration = Duration::from_secs(1);

/// Anything from nothing to `span`.
fn jitter(dice: &mut Dice, span: Duration) -> Duration {
    let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(dice.below(nanos.saturating_add(1)))
}

impl Agent {
    /// Begins an attempt to register, if it is time for one.
    pub(super) fn wake_listener(&mut self, at: usize) {
        let now = self.clock.now();
        let Some(listener) = self.listeners.get_mut(at) else { return };
        let until = match listener.stage {
            Stage::Waiting(until) | Stage::Trying { counts: Counts::Until(until), .. } => until,
            Stage::Resolving
            | Stage::Queued
            | Stage::Trying { counts: Counts::No, .. }
            | Stage::Online { .. }
            | Stage::Ended => return,
        };
        if until > now {
            return self.agenda.want(Alarm::Listener(at), Some(until));
        }
        if let Stage::Trying { conn, tried, after, .. } = listener.stage {
            return self.stage(at, Stage::Trying { conn, tried, counts: Counts::No, after });
        }
        listener.stage = Stage::Resolving;
        match self.look(self.server, Waiter::Listener(at)) {
            Lookup::Known => self.queue(at),
            Lookup::Waiting | Lookup::Ask(..) => {}
        }
    }

    /// The server's addresses came, or why there are none.
    pub(super) fn server_resolved(&mut self, at: usize, result: Result<bool, Fault>) {
        let waits = self.listeners.get(at).is_some_and(|l| l.stage == Stage::Resolving);
        match result {
            _ if !waits => {}
            Ok(_) => self.queue(at),
            Err(fault) => {
                self.listeners.get_mut(at).into_iter().for_each(|listener| listener.dialed = None);
                self.set_back(at, fault.into());
            }
        }
    }

    /// One address of the server could not be dialled, or does not want us.
    pub(super) fn undialed(&mut self, at: usize, failed: ConnId, failure: Failure) {
        let Some(listener) = self.listeners.get(at) else { return };
        match listener.stage {
            Stage::Trying { conn, tried, counts, after } if conn == failed => {
                let after = after.max(failure.after);
                self.dial_next(at, tried + 1, counts, Failure { after, ..failure });
            }
            Stage::Trying { .. }
            | Stage::Waiting(_)
            | Stage::Resolving
            | Stage::Queued
            | Stage::Online { .. }
            | Stage::Ended => {}
        }
    }

    /// The first round trip by `conn` is complete. Says whether that is news.
    pub(super) fn came_online(&mut self, at: usize, online: ConnId) -> bool {
        let since = self.clock.now();
        let Some(listener) = self.listeners.get_mut(at) else { return false };
        match listener.stage {
            Stage::Trying { conn, .. } if conn == online => {
                self.stage(at, Stage::Online { conn, since });
                true
            }
            Stage::Trying { .. }
            | Stage::Waiting(_)
            | Stage::Resolving
            | Stage::Queued
            | Stage::Online { .. }
            | Stage::Ended => false,
        }
    }

    /// The node behind `conn` is leaving: finds another first, and leaves this tunnel to the
    /// calls under way.
    pub(super) fn peer_drains(&mut self, at: usize, conn: ConnId, node: String) {
        let now = self.clock.now();
        self.names.distrust(self.server);
        let Some(listener) = self.listeners.get_mut(at) else { return };
        if listener.conn() != Some(conn) {
            return;
        }
        listener.first = listener.first.wrapping_add(1);
        listener.old.push(conn);
        let surplus = listener.old.len() > OLD_MAX;
        let surplus = surplus.then(|| listener.old.first().copied()).flatten();
        let (endpoint, service) = listener.names();
        self.actions.push_back(Action::Note(Note::Moving { endpoint, service, node }));
        let wait = if listener.has_held(now, self.limits.backoff_reset) {
            listener.failures = 0;
            jitter(&mut self.dice, self.limits.backoff_min)
        } else {
            listener.backoff(&mut self.dice, &self.limits, Duration::ZERO)
        };
        self.wait(at, wait);
        if let Some(oldest) = surplus {
            self.close_tunnel(oldest, Reason::Closed);
        }
    }

    /// A connection that had been dialled is over.
    pub(super) fn uplink_ended(&mut self, at: usize, ended: ConnId, why: Why) {
        let now = self.clock.now();
        let Some(listener) = self.listeners.get_mut(at) else { return };
        let left = listener.has_left(ended);
        listener.old.retain(|old| *old != ended);
        if listener.conn() == Some(ended) {
            listener.first = listener.first.wrapping_add(1);
            let after = listener.after();
            self.set_back(at, Failure { why, after });
        } else if left && let Some(retry) = listener.retry(now) {
            // Since then others were dialled.
            listener.dialed = None;
            self.offline(at, why, retry);
        }
    }

    /// The server refused the endpoint in a way that trying again does not heal.
    pub(super) fn rejected(&mut self, at: usize, conn: ConnId, status: u16, code: String) {
        let Some(listener) = self.listeners.get_mut(at) else { return };
        if listener.conn() != Some(conn) {
            return;
        }
        let (endpoint, service) = listener.names();
        self.stage(at, Stage::Ended);
        self.active = self.active.saturating_sub(1);
        self.rejections += 1;
        self.actions.push_back(Action::Note(Note::Rejected { endpoint, service, status, code }));
    }

    /// Stops dialling, and has the server stop sending.
    pub(super) fn drain(&mut self) {
        match self.phase {
            Phase::Fresh | Phase::Running => {}
            Phase::Draining { .. } | Phase::Done => return,
        }
        let until = self.clock.now() + self.grace;
        self.phase = Phase::Draining { until, cut: 0 };
        self.agenda.want(Alarm::Grace, Some(until));
        let calls = self.calls.len();
        self.actions.push_back(Action::Note(Note::Draining { calls }));
        self.dials.clear();
        for at in 0..self.listeners.len() {
            self.drain_listener(at);
        }
        self.active = 0;
    }

    fn drain_listener(&mut self, at: usize) {
        let Some(listener) = self.listeners.get_mut(at) else { return };
        let conn = listener.conn();
        self.stage(at, Stage::Ended);
        let is_tunnel = |agent: &mut Self, conn| {
            agent.conns.get_mut(conn).is_some_and(|held| held.tunnel_mut().is_some())
        };
        if let Some(conn) = conn {
            if is_tunnel(self, conn) {
                self.listeners.get_mut(at).into_iter().for_each(|l| l.old.push(conn));
            } else {
                self.remove(conn);
            }
        }
        let old = self.listeners.get(at).map(|l| l.old.clone()).unwrap_or_default();
        for conn in old {
            self.tell_rpc(conn, rpc::Input::Drain);
        }
    }

    /// The time for draining is over: cuts what is left.
    pub(super) fn grace_over(&mut self) {
        let now = self.clock.now();
        let calls = self.calls.len();
        let Phase::Draining { until, cut } = &mut self.phase else { return };
        if *until > now {
            return self.agenda.want(Alarm::Grace, Some(*until));
        }
        *cut += calls;
        let old: Vec<ConnId> = self.listeners.iter().flat_map(|l| l.old.clone()).collect();
        for conn in old {
            self.close_tunnel(conn, Reason::Draining);
        }
    }

    /// Has a listener dial when its turn comes.
    fn queue(&mut self, at: usize) {
        self.stage(at, Stage::Queued);
        self.dials.queue(at);
        self.dial_on();
    }

    /// Begins as many attempts as may be under way.
    fn dial_on(&mut self) {
        while let Some(at) = self.dials.next(self.limits.dials) {
            let until = self.clock.now() + self.limits.slow_dial;
            self.agenda.want(Alarm::Listener(at), Some(until));
            self.dial_next(at, 0, Counts::Until(until), Fault::NoSuchHost.into());
        }
    }

    /// Dials the next address of the server; `failure` is what happened to the last one.
    fn dial_next(&mut self, at: usize, tried: usize, counts: Counts, failure: Failure) {
        let Some(first) = self.listeners.get(at).map(|listener| listener.first) else { return };
        if let Some(conn) = self.dial_server(at, first, tried) {
            let after = failure.after;
            self.stage(at, Stage::Trying { conn, tried, counts, after });
        } else {
            self.names.distrust(self.server);
            self.set_back(at, failure);
        }
    }

    /// Moves a listener on, and others to their turns if that makes room.
    fn stage(&mut self, at: usize, stage: Stage) {
        let Some(listener) = self.listeners.get_mut(at) else { return };
        let counted = listener.is_counted();
        listener.stage = stage;
        match (counted, listener.is_counted()) {
            (false, true) => self.dials.begin(),
            (true, false) => {
                self.dials.over();
                self.dial_on();
            }
            (false, false) | (true, true) => {}
        }
    }

    /// An attempt failed, or a tunnel that was up is down.
    fn set_back(&mut self, at: usize, failure: Failure) {
        let now = self.clock.now();
        let Some(listener) = self.listeners.get_mut(at) else { return };
        if listener.has_held(now, self.limits.backoff_reset) {
            listener.failures = 0;
        }
        let retry = listener.backoff(&mut self.dice, &self.limits, failure.after);
        // It is served by the tunnel that it was asked to leave, for as long as that is there.
        if listener.old.is_empty() {
            self.offline(at, failure.why, retry);
        }
        self.wait(at, retry);
    }

    fn offline(&mut self, at: usize, why: Why, retry: Duration) {
        let Some(listener) = self.listeners.get(at) else { return };
        let (endpoint, service) = listener.names();
        let server = listener.dialed.map_or_else(|| self.authority.clone(), |at| at.to_string());
        let note = Note::Offline { endpoint, service, server, why, retry };
        self.actions.push_back(Action::Note(note));
    }

    fn wait(&mut self, at: usize, wait: Duration) {
        let until = self.clock.now() + wait;
        self.agenda.want(Alarm::Listener(at), Some(until));
        self.stage(at, Stage::Waiting(until));
    }
}

impl Listener {
    /// What people know it by: its endpoint, and the service behind that.
    pub(super) fn names(&self) -> (String, String) {
        (self.endpoint.to_string(), self.authority.clone())
    }

    /// Whether its connection has been up for long enough to start over with short waits.
    fn has_held(&self, now: Instant, enough: Duration) -> bool {
        match self.stage {
            Stage::Online { since, .. } => now.since(since) >= enough,
            Stage::Waiting(_)
            | Stage::Resolving
            | Stage::Queued
            | Stage::Trying { .. }
            | Stage::Ended => false,
        }
    }
}

/// Tunnels of one listener that may be draining at once; a server that has us come and go faster
/// than that has its oldest closed.
const OLD_MAX: usize = 4;
