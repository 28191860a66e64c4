//! The steps of a worker's drain.

use super::Worker;
use crate::host::{Action, Port};
use crate::id::ConnId;
use crate::machine::Machine as _;
use crate::reason::Reason;
use crate::server::entry::{Entry, Kind};
use crate::server::letter::Letter;
use crate::server::link::{self, relay};
use crate::server::{admin, proxy, upstream};
use crate::time::Instant;
use alloc::vec::Vec;

/// How far a drain is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Life {
    Serving,
    /// New requests are still taken until the time, because load balancers retire late.
    Lingering(Instant),
    /// Clients finish what is under way.
    Draining,
    /// Whoever called is gone, and the node knows.
    Quiet,
    /// Tunnels are being closed; what is left of them at the time is dropped.
    Parting(Instant),
    /// They are gone. Other nodes consult this one until they know that it is, too.
    Parted,
    /// They know it; what is left at the time is dropped.
    Leaving(Instant),
    Over,
}

impl Worker {
    /// Does something to each connection.
    pub(super) fn each(&mut self, mut act: impl FnMut(&mut Kind, Instant)) {
        let now = self.clock.now();
        let ids: Vec<ConnId> = self.conns.ids().collect();
        for conn in ids {
            if let Some(entry) = self.conns.get_mut(conn) {
                act(&mut entry.kind, now);
            }
            self.touch(conn);
        }
    }

    /// The first step of a drain: agents connect elsewhere, clients are served as before.
    pub(super) fn linger(&mut self) {
        if self.life != Life::Serving {
            return;
        }
        self.life = Life::Lingering(self.clock.now() + self.settings.drain_delay);
        self.write_node(Letter::Draining(self.loads.total()));
        let ids: Vec<ConnId> = self.conns.ids().collect();
        for conn in ids {
            self.drain_one(conn);
        }
    }

    /// Tells one connection as much of the drain as has begun.
    pub(super) fn drain_one(&mut self, conn: ConnId) {
        let now = self.clock.now();
        let lingering = matches!(self.life, Life::Lingering(_));
        match self.conns.get_mut(conn).map(|entry| &mut entry.kind) {
            Some(Kind::Proxy(proxy)) if lingering => proxy.handle(now, proxy::Input::Linger),
            Some(Kind::Proxy(proxy)) => proxy.handle(now, proxy::Input::Drain),
            Some(Kind::Upstream(upstream)) => upstream.handle(now, upstream::Input::Drain),
            Some(Kind::Relay(relay)) if !lingering => relay.handle(now, relay::Input::Drain),
            Some(Kind::Admin(_) | Kind::Link(_) | Kind::Relay(_)) | None => return,
        }
        self.touch(conn);
    }

    /// Asks so many agents, any of those that were not asked before, to connect elsewhere.
    pub(super) fn shed(&mut self, count: u64) {
        if self.life != Life::Serving {
            return;
        }
        let can_move = |entry: &Entry| match &entry.kind {
            Kind::Upstream(upstream) => upstream.can_move(),
            Kind::Proxy(_) | Kind::Admin(_) | Kind::Link(_) | Kind::Relay(_) => false,
        };
        let movable = self.conns.iter().filter(|(_, entry)| can_move(entry));
        let mut movable: Vec<ConnId> = movable.map(|(conn, _)| conn).collect();
        for _ in 0..count {
            let left = u64::try_from(movable.len()).unwrap_or(u64::MAX);
            let at = usize::try_from(self.lots.below(left)).unwrap_or(0);
            if left == 0 {
                return;
            }
            let conn = movable.swap_remove(at);
            if let Some(Kind::Upstream(upstream)) = self.conns.get_mut(conn).map(|e| &mut e.kind) {
                upstream.handle(self.clock.now(), upstream::Input::Move);
                self.touch(conn);
            }
        }
    }

    /// The second step: clients and other nodes finish what is under way.
    fn drain(&mut self) {
        self.life = Life::Draining;
        self.actions.push_back(Action::Unlisten(Port::Proxy));
        self.actions.push_back(Action::Unlisten(Port::Upstream));
        self.each(|kind, now| match kind {
            Kind::Proxy(proxy) => proxy.handle(now, proxy::Input::Drain),
            Kind::Relay(relay) => relay.handle(now, relay::Input::Drain),
            Kind::Upstream(_) | Kind::Admin(_) | Kind::Link(_) => {}
        });
    }

    /// The third step: no worker has clients that need the tunnels. Until the node has left it is
    /// a member, so that others consult it.
    pub(super) fn part(&mut self) {
        if matches!(self.life, Life::Parting(_) | Life::Parted | Life::Leaving(_) | Life::Over) {
            return;
        }
        self.life = Life::Parting(self.clock.now() + self.settings.limits.linger_timeout);
        for port in [Port::Proxy, Port::Upstream, Port::Admin] {
            self.actions.push_back(Action::Unlisten(port));
        }
        self.write_node(Letter::Parted(self.loads.total()));
        self.each(|kind, now| match kind {
            Kind::Proxy(proxy) => proxy.handle(now, proxy::Input::Drain),
            Kind::Upstream(up) => up.handle(now, upstream::Input::Part(Reason::Draining)),
            Kind::Admin(admin) => admin.handle(now, admin::Input::Drain),
            Kind::Link(link) => link.handle(now, link::Input::Part(Reason::Draining)),
            Kind::Relay(relay) if relay.is_link() => {
                relay.handle(now, relay::Input::Part(Reason::Draining));
            }
            Kind::Relay(relay) => relay.handle(now, relay::Input::Drain),
        });
    }

    /// The last step: the others know that the node has left.
    pub(super) fn leave(&mut self) {
        if matches!(self.life, Life::Leaving(_) | Life::Over) {
            return;
        }
        self.part();
        self.life = Life::Leaving(self.clock.now() + self.settings.limits.linger_timeout);
        self.actions.push_back(Action::Unlisten(Port::Gossip));
        self.each(|kind, now| match kind {
            Kind::Relay(relay) if !relay.is_link() => {
                relay.handle(now, relay::Input::Part(Reason::Draining));
            }
            Kind::Proxy(_)
            | Kind::Upstream(_)
            | Kind::Admin(_)
            | Kind::Link(_)
            | Kind::Relay(_) => {}
        });
    }

    /// Moves a drain on when what it waits for has come.
    pub(super) fn settle_life(&mut self) {
        match self.life {
            Life::Draining if self.callers == 0 && !self.listening => {
                self.life = Life::Quiet;
                self.write_node(Letter::Quiet(self.id));
            }
            Life::Leaving(_) if self.conns.is_empty() => {
                self.life = Life::Over;
                self.actions.push_back(Action::Done);
            }
            Life::Serving
            | Life::Lingering(_)
            | Life::Draining
            | Life::Quiet
            | Life::Parting(_)
            | Life::Parted
            | Life::Leaving(_)
            | Life::Over => {}
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        match self.life {
            Life::Lingering(until) | Life::Parting(until) | Life::Leaving(until) => Some(until),
            Life::Serving | Life::Draining | Life::Quiet | Life::Parted | Life::Over => None,
        }
    }

    /// Moves a drain on when its time has come.
    pub(super) fn tick_life(&mut self, now: Instant) {
        match self.life {
            Life::Lingering(until) if until <= now => self.drain(),
            Life::Parting(until) if until <= now => {
                self.life = Life::Parted;
                self.drop_all(|kind| !matches!(kind, Kind::Relay(relay) if !relay.is_link()));
            }
            Life::Leaving(until) if until <= now => {
                self.drop_all(|_| true);
                self.settle_life();
            }
            Life::Serving
            | Life::Lingering(_)
            | Life::Draining
            | Life::Quiet
            | Life::Parting(_)
            | Life::Parted
            | Life::Leaving(_)
            | Life::Over => {}
        }
    }

    /// Drops connections that others have not closed.
    fn drop_all(&mut self, late: impl Fn(&Kind) -> bool) {
        let late = self.conns.iter().filter(|(_, entry)| late(&entry.kind));
        let late: Vec<ConnId> = late.map(|(conn, _)| conn).collect();
        for conn in late {
            self.remove(conn);
        }
    }
}
