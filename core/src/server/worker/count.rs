//! What a worker counts, and when.

use super::Worker;
use crate::host::Action;
use crate::id::ConnId;
use crate::machine::Machine as _;
use crate::note::Note;
use crate::reason::Reason;
use crate::routing::Place;
use crate::server::counts::Counts;
use crate::server::entry::{Counted, Entry, Event, Kind};
use crate::server::link::relay::Relay;
use crate::server::proxy::{self, Proxy};
use crate::server::tally::{LinkState, PortTally, Tally};
use crate::varint::wide;

impl Tally {
    /// Something happened on a socket.
    pub(super) fn saw(&mut self, kind: &Kind, event: &Event) {
        let port = self.port(kind);
        match event {
            Event::Received(bytes) => port.received += wide(bytes.len()),
            Event::Sent(count) => port.sent += wide(*count),
            Event::Eof | Event::Lost(_) => {}
        }
    }

    /// A connection is gone.
    pub(super) fn gone(&mut self, kind: &Kind) {
        let port = self.port(kind);
        port.open = port.open.saturating_sub(1);
    }

    /// A call goes there.
    pub(super) fn sent_to(&mut self, place: Place) {
        if place.is_remote() {
            self.calls.by_link += 1;
        } else {
            self.calls.by_tunnel += 1;
        }
    }

    /// Another node has forwarded a call.
    pub(super) fn begin_relayed(&mut self) {
        self.relayed.accepted += 1;
        self.relayed.in_flight += 1;
    }

    /// A call that another node forwarded is over.
    pub(super) fn end_relayed(&mut self, answered: bool, stalls: u64) {
        let relayed = &mut self.relayed;
        relayed.in_flight = relayed.in_flight.saturating_sub(1);
        if answered {
            relayed.answered += 1;
        } else {
            relayed.failed += 1;
        }
        self.calls.stalls += stalls;
    }

    fn port(&mut self, kind: &Kind) -> &mut PortTally {
        match kind {
            Kind::Proxy(_) => &mut self.ports.proxy,
            Kind::Upstream(_) => &mut self.ports.upstream,
            Kind::Admin(_) => &mut self.ports.admin,
            Kind::Relay(_) => &mut self.ports.gossip,
            Kind::Link(_) => &mut self.ports.link,
        }
    }
}

impl Worker {
    /// Connections, of all kinds.
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// Connections to other nodes and from them, which stay while nobody calls.
    pub fn links(&self) -> usize {
        let link = |entry: &&Entry| matches!(entry.kind, Kind::Link(_) | Kind::Relay(_));
        self.conns.iter().map(|(_, entry)| entry).filter(link).count()
    }

    /// Calls under way that clients and other nodes began here.
    pub fn calls(&self) -> u64 {
        self.loads.total()
    }

    /// Counts a connection as what it is now.
    pub(super) fn count(&mut self, conn: ConnId) {
        let Some(entry) = self.conns.get_mut(conn) else { return };
        let now = entry.counts_as();
        let before = core::mem::replace(&mut entry.counted, now);
        self.discount(before);
        match now {
            Counted::Caller => self.callers += 1,
            Counted::Consultation => self.consultations += 1,
            Counted::Other => {}
        }
    }

    pub(super) const fn discount(&mut self, counted: Counted) {
        match counted {
            Counted::Caller => self.callers -= 1,
            Counted::Consultation => self.consultations -= 1,
            Counted::Other => {}
        }
    }

    /// What became of all requests of clients so far.
    pub fn counts(&self) -> Counts {
        let mut all = self.counts;
        for (_, entry) in self.conns.iter() {
            match &entry.kind {
                Kind::Proxy(proxy) => all.add(proxy.counts()),
                Kind::Upstream(_) | Kind::Admin(_) | Kind::Link(_) | Kind::Relay(_) => {}
            }
        }
        all
    }

    /// What became of the calls that other nodes forwarded here so far, each of which is one of
    /// their requests.
    pub fn relayed(&self) -> Counts {
        let mut all = self.relayed;
        for (_, entry) in self.conns.iter() {
            match &entry.kind {
                Kind::Relay(relay) => all.add(relay.counts()),
                Kind::Proxy(_) | Kind::Upstream(_) | Kind::Admin(_) | Kind::Link(_) => {}
            }
        }
        all
    }

    /// What it has counted so far, for its operator.
    pub fn tally(&self) -> Tally {
        let mut tally = self.tally.clone();
        (tally.calls.on_tunnels, tally.calls.on_links) = self.loads.totals();
        for (_, state) in self.link_states() {
            match state {
                LinkState::Up => tally.links.up += 1,
                LinkState::Dialing => tally.links.dialing += 1,
                LinkState::Avoided => tally.links.avoided += 1,
            }
        }
        tally
    }

    /// Tells people, and counts what is counted of it.
    pub(super) fn note(&mut self, mut note: Note) {
        match &mut note {
            Note::Request(request) => {
                request.node = match request.upstream {
                    Some(Place::Node(boot)) => self.node_name(boot),
                    Some(Place::Tunnel { .. }) | None => None,
                };
            }
            Note::Refused { port, reason, suppressed, .. } => {
                self.tally.refused.add(*reason, 1);
                let Some(untold) = self.refusals.tell(*port, *reason, self.clock.now()) else {
                    return;
                };
                *suppressed = untold;
            }
            Note::Unregistered { reason, .. } => self.tally.tunnels.closed.add(*reason, 1),
            Note::Registered { .. }
            | Note::Online { .. }
            | Note::Moving { .. }
            | Note::Offline { .. }
            | Note::Rejected { .. }
            | Note::ServiceUnreachable { .. }
            | Note::NodeFound { .. }
            | Note::NodeGone { .. }
            | Note::Alone { .. }
            | Note::Deserted
            | Note::LinkUp { .. }
            | Note::LinkDown { .. }
            | Note::Joined { .. }
            | Note::Untrusted { .. }
            | Note::Namesake { .. }
            | Note::Draining { .. }
            | Note::Rebalancing { .. }
            | Note::Drained { .. } => {}
        }
        self.actions.push_back(Action::Note(note));
    }

    /// A request of a client has come, or a call that another node forwarded.
    pub(super) fn begun(&mut self, conn: ConnId) {
        match self.conns.get(conn).map(|entry| &entry.kind) {
            Some(Kind::Relay(_)) => self.tally.begin_relayed(),
            Some(Kind::Proxy(_) | Kind::Upstream(_) | Kind::Admin(_) | Kind::Link(_)) | None => {
                self.tally.begin();
            }
        }
    }

    /// A client's connection is gone, and with it whatever it was about, which is told and counted
    /// like anything else.
    pub(super) fn give_up(&mut self, proxy: &mut Proxy) {
        proxy.abandon(Reason::Draining);
        while let Some(action) = proxy.poll() {
            match action {
                proxy::Action::Begun => self.tally.begin(),
                proxy::Action::Ended(outcome) => self.tally.end(&outcome),
                proxy::Action::Note(note) => self.note(note),
                // Its callees hear of it from their own connections, which end as well.
                proxy::Action::Begin(_)
                | proxy::Action::Say(..)
                | proxy::Action::Over(_)
                | proxy::Action::Ask(_)
                | proxy::Action::Inquire(_)
                | proxy::Action::Relayed { .. }
                | proxy::Action::Finish
                | proxy::Action::Closed => {}
            }
        }
        self.counts.add(proxy.counts());
    }

    /// The same of another node's link.
    pub(super) fn give_up_relay(&mut self, relay: &mut Relay) {
        while let Some(action) = relay.poll() {
            if let proxy::Action::Relayed { answered, stalls } = action {
                self.tally.end_relayed(answered, stalls);
            } else if let proxy::Action::Begun = action {
                self.tally.begin_relayed();
            }
        }
        let counts = relay.counts();
        (0..counts.under_way).for_each(|_| self.tally.end_relayed(false, 0));
        self.relayed.add(counts.given_up());
    }
}
