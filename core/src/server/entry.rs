//! What a worker keeps of one connection, whatever its kind.

use super::admin::{self, Admin};
use super::link::relay::{self, Relay};
use super::link::{self, Link};
use super::proxy::{self, Proxy};
use super::upstream::{self, Upstream};
use crate::host::{Action, Fault, Told};
use crate::id::ConnId;
use crate::machine::Machine as _;
use crate::outbox::Outbox;
use crate::time::Instant;
use crate::tunnel;
use crate::wall::Wall;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use bytes::BytesMut;

/// One connection of a worker.
#[derive(Debug)]
pub(super) struct Entry {
    /// Whose it is.
    pub(super) kind: Kind,
    /// What the driver knows of it.
    pub(super) told: Told,
    /// Whether it stands in one of the lists of touched ones.
    pub(super) touched: bool,
    /// As what the worker has counted it.
    pub(super) counted: Counted,
    /// What time of day its machine was told last.
    wall: Option<Wall>,
}

/// What a worker counts connections as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Counted {
    /// Whoever may call by it is waited for before tunnels are closed.
    Caller,
    /// Another node asks something, and nothing else.
    Consultation,
    /// Something else.
    Other,
}

/// The machine behind a connection.
#[derive(Debug)]
pub(super) enum Kind {
    /// A client's.
    Proxy(Box<Proxy>),
    /// An agent's.
    Upstream(Box<Upstream>),
    /// An operator's.
    Admin(Box<Admin>),
    /// Ours to another node.
    Link(Box<Link>),
    /// Another node's to us.
    Relay(Box<Relay>),
}

/// What happened on a socket.
#[derive(Debug)]
pub(super) enum Event {
    /// Bytes from the peer.
    Received(BytesMut),
    /// The peer's FIN.
    Eof,
    /// The socket took so many bytes of the outbox.
    Sent(usize),
    /// The socket broke, or never was.
    Lost(Fault),
}

impl Event {
    /// As a tunnel wants to hear it.
    pub(super) fn into_tunnel<T>(self) -> tunnel::Input<T> {
        match self {
            Self::Received(bytes) => tunnel::Input::Received(bytes),
            Self::Eof => tunnel::Input::Eof,
            Self::Sent(count) => tunnel::Input::Sent(count),
            Self::Lost(_) => tunnel::Input::Lost,
        }
    }
}

impl Entry {
    /// A connection of which the driver knows nothing yet.
    pub(super) fn new(kind: Kind) -> Self {
        let (told, counted) = (Told::default(), Counted::Other);
        Self { kind, told, touched: false, counted, wall: None }
    }

    /// The machine, which has been told what time of day it is if it may have to date an answer.
    pub(super) fn dated(&mut self, now: Instant, wall: Option<Wall>) -> &mut Kind {
        if self.wall != wall
            && let Some(wall) = wall
        {
            self.wall = Some(wall);
            match &mut self.kind {
                Kind::Proxy(proxy) => proxy.handle(now, proxy::Input::Wall(wall)),
                Kind::Upstream(upstream) => upstream.handle(now, upstream::Input::Wall(wall)),
                Kind::Admin(admin) => admin.handle(now, admin::Input::Wall(wall)),
                // Nodes among themselves do without.
                Kind::Link(_) | Kind::Relay(_) => {}
            }
        }
        &mut self.kind
    }

    /// As what it counts now.
    pub(super) fn counts_as(&self) -> Counted {
        match &self.kind {
            Kind::Proxy(_) => Counted::Caller,
            Kind::Relay(relay) if relay.is_link() => Counted::Caller,
            Kind::Relay(relay) if relay.is_consultation() => Counted::Consultation,
            Kind::Relay(_) | Kind::Upstream(_) | Kind::Admin(_) | Kind::Link(_) => Counted::Other,
        }
    }

    /// What waits to be written.
    pub(super) fn outbox(&self) -> Option<&Outbox> {
        match &self.kind {
            Kind::Proxy(proxy) => Some(proxy.outbox()),
            Kind::Upstream(upstream) => upstream.outbox(),
            Kind::Admin(admin) => Some(admin.outbox()),
            Kind::Link(link) => link.outbox(),
            Kind::Relay(relay) => relay.outbox(),
        }
    }

    /// Whether it was closed before all was written that had been said.
    pub(super) fn was_cut(&self) -> bool {
        match &self.kind {
            Kind::Proxy(proxy) => proxy.was_cut(),
            // The frames of tunnels, and answers with a length, say themselves where they end.
            Kind::Upstream(_) | Kind::Admin(_) | Kind::Link(_) | Kind::Relay(_) => false,
        }
    }

    /// How many bytes would be taken now.
    pub(super) fn room(&self) -> usize {
        match &self.kind {
            Kind::Proxy(proxy) => proxy.room(),
            Kind::Upstream(upstream) => upstream.room(),
            Kind::Admin(admin) => admin.room(),
            Kind::Link(link) => link.room(),
            Kind::Relay(relay) => relay.room(),
        }
    }

    /// Tells the driver what has changed.
    pub(super) fn tell<L>(&mut self, conn: ConnId, actions: &mut VecDeque<Action<L>>) {
        let mut told = self.told;
        told.tell(conn, self.outbox(), self.room(), actions);
        self.told = told;
    }

    /// When it wants to be ticked.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.kind {
            Kind::Proxy(proxy) => proxy.deadline(),
            Kind::Upstream(upstream) => upstream.deadline(),
            Kind::Admin(admin) => admin.deadline(),
            Kind::Link(link) => link.deadline(),
            Kind::Relay(relay) => relay.deadline(),
        }
    }

    /// Fires what is due.
    pub(super) fn tick(&mut self, now: Instant) {
        match &mut self.kind {
            Kind::Proxy(proxy) => proxy.tick(now),
            Kind::Upstream(upstream) => upstream.tick(now),
            Kind::Admin(admin) => admin.tick(now),
            Kind::Link(link) => link.tick(now),
            Kind::Relay(relay) => relay.tick(now),
        }
    }

    /// Tells it what happened on its socket.
    pub(super) fn event(&mut self, now: Instant, event: Event) {
        match &mut self.kind {
            Kind::Proxy(proxy) => proxy.handle(now, proxy::Input::Socket(event)),
            Kind::Upstream(upstream) => upstream.handle(now, upstream::Input::Socket(event)),
            Kind::Admin(admin) => admin.handle(now, admin::Input::Socket(event)),
            Kind::Link(link) => link.handle(now, link::Input::Socket(event)),
            Kind::Relay(relay) => relay.handle(now, relay::Input::Socket(event)),
        }
    }
}
