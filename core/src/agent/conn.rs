//! One connection of an agent, whoever is at its other end.

use super::service::Local;
use super::uplink::Uplink;
use crate::host::{Action, Fault, Told};
use crate::id::ConnId;
use crate::machine::Machine as _;
use crate::outbox::Outbox;
use crate::time::Instant;
use crate::{http1, tunnel};
use alloc::collections::VecDeque;
use bytes::BytesMut;

/// A connection and what its driver was told of it.
#[derive(Debug)]
pub(super) struct Conn {
    /// What the driver knows of it.
    told: Told,
    /// Whether it stands in the list of those to be drained.
    pub(super) queued: bool,
    /// The earliest wake-up that the agenda holds for it.
    pub(super) wanted: Option<Instant>,
    /// Why it broke, once it did: then the driver has dropped it already.
    pub(super) lost: Option<Fault>,
    /// What it is for.
    pub(super) kind: Kind,
}

/// What a connection is for.
#[derive(Debug)]
pub(super) enum Kind {
    /// To the server: a tunnel, or to become one.
    Uplink(Uplink),
    /// To a local service.
    Local(alloc::boxed::Box<Local>),
}

/// What the socket did.
#[derive(Debug)]
pub(super) enum Event {
    Received(BytesMut),
    Eof,
    Sent(usize),
}

impl Conn {
    /// A connection that is being dialled.
    pub(super) fn new(kind: Kind) -> Self {
        Self { told: Told::default(), queued: false, wanted: None, lost: None, kind }
    }

    /// Passes on what the socket did.
    pub(super) fn feed(&mut self, now: Instant, event: Event) {
        match &mut self.kind {
            Kind::Uplink(uplink) => uplink.feed(now, event),
            Kind::Local(local) => local.feed(now, event),
        }
    }

    /// Tells the driver what has changed. Call it after each input too: the driver may look at
    /// the room before it takes our actions.
    pub(super) fn tell<L>(&mut self, conn: ConnId, actions: &mut VecDeque<Action<L>>) {
        let mut told = self.told;
        told.tell(conn, self.outbox(), self.room(), actions);
        self.told = told;
    }

    /// Lets the child fire what is due.
    pub(super) fn tick(&mut self, now: Instant) {
        match &mut self.kind {
            Kind::Uplink(uplink) => uplink.tick(now),
            Kind::Local(local) => {
                if let Some(http) = &mut local.http {
                    http.tick(now);
                }
            }
        }
    }

    /// What waits to be written.
    pub(super) fn outbox(&self) -> Option<&Outbox> {
        match &self.kind {
            Kind::Uplink(uplink) => uplink.outbox(),
            Kind::Local(local) => local.http.as_ref().map(http1::client::Machine::outbox),
        }
    }

    /// Whether it was closed before all was written that had been said.
    pub(super) fn was_cut(&self) -> bool {
        match &self.kind {
            // The frames of a tunnel say themselves where they end.
            Kind::Uplink(_) => false,
            Kind::Local(local) => local.http.as_ref().is_some_and(http1::client::Machine::was_cut),
        }
    }

    /// Whether it is to a service, and nothing is under way on it.
    pub(super) fn is_idle(&self) -> bool {
        match &self.kind {
            Kind::Uplink(_) => false,
            Kind::Local(local) => local.http.as_ref().is_some_and(http1::client::Machine::is_idle),
        }
    }

    /// How many bytes would be taken now.
    pub(super) fn room(&self) -> usize {
        match &self.kind {
            Kind::Uplink(uplink) => uplink.room(),
            Kind::Local(local) => local.http.as_ref().map_or(0, http1::client::Machine::room),
        }
    }

    /// The time limit that the agent itself has set on it.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.kind {
            Kind::Uplink(uplink) => uplink.due,
            Kind::Local(local) => local.due,
        }
    }

    /// When it wants to be woken, by the agent's limit or its child's.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let child = match &self.kind {
            Kind::Uplink(uplink) => uplink.deadline(),
            Kind::Local(local) => local.http.as_ref().and_then(http1::client::Machine::deadline),
        };
        let child = child.filter(|at| *at < NEVER);
        child.into_iter().chain(self.due()).min()
    }

    /// The connection to the server that this is, if so.
    pub(super) fn uplink_mut(&mut self) -> Option<&mut Uplink> {
        match &mut self.kind {
            Kind::Uplink(uplink) => Some(uplink),
            Kind::Local(_) => None,
        }
    }

    /// The connection to a service that this is, if so.
    pub(super) fn local_mut(&mut self) -> Option<&mut Local> {
        match &mut self.kind {
            Kind::Uplink(_) => None,
            Kind::Local(local) => Some(local),
        }
    }

    /// The tunnel that this is, if so.
    pub(super) fn tunnel_mut(&mut self) -> Option<&mut tunnel::Machine<super::call::CallId>> {
        self.uplink_mut().and_then(Uplink::tunnel_mut)
    }
}

/// The end of time, which is when a time-out that is switched off would be due.
const NEVER: Instant = Instant::from_nanos(u64::MAX);
