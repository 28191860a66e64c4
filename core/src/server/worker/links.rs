//! A worker's links to other nodes: one to each at most, dialled by the first call for it.

use super::Worker;
use crate::host::{Action, Wire};
use crate::id::{Boot, ConnId, ConnIds, Side};
use crate::limits::Limits;
use crate::machine::Machine as _;
use crate::note::{Note, Why};
use crate::reason::Reason;
use crate::routing::{Peers, Standing};
use crate::rpc::{Reset, Word};
use crate::server::entry::{Entry, Kind};
use crate::server::letter::{CallId, Letter};
use crate::server::link::{self, Link};
use crate::server::tally::LinkState;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

/// What a worker knows of the other nodes, and its links to them.
#[derive(Debug)]
pub(super) struct Links {
    peers: Arc<Peers>,
    /// Links by which calls can be made, or will be.
    open: BTreeMap<Boot, ConnId>,
    /// Nodes to which this worker's link failed. Never one that is no peer.
    avoided: BTreeMap<Boot, Avoided>,
    /// Nodes whose outage was told, by this worker or by one that saw it first.
    outages: BTreeSet<Boot>,
    /// Nodes that have said on this worker's link that they want no new calls.
    leaving: BTreeSet<Boot>,
    ids: ConnIds,
    dialed: u64,
}

/// A node that is avoided, or was.
#[derive(Clone, Copy, Debug)]
struct Avoided {
    until: Instant,
    span: Duration,
    /// Since when a link to it stands, if one does.
    up: Option<Instant>,
}

impl Links {
    /// No other nodes.
    pub(super) fn new() -> Self {
        Self {
            peers: Arc::default(),
            open: BTreeMap::new(),
            avoided: BTreeMap::new(),
            outages: BTreeSet::new(),
            leaving: BTreeSet::new(),
            ids: ConnIds::new(Side::Dialed),
            dialed: 0,
        }
    }

    /// Whether `boot` should be chosen, as far as this worker knows. Nothing, if it is no peer.
    pub(super) fn standing(&self, boot: Boot, now: Instant) -> Option<Standing> {
        let peer = self.peers.get(&boot)?;
        let avoided = self.avoided.get(&boot).is_some_and(|avoided| now < avoided.until);
        Some(match peer.standing {
            Standing::Alive if self.leaving.contains(&boot) => Standing::Leaving,
            Standing::Alive if avoided => Standing::Suspect,
            Standing::Alive | Standing::Suspect | Standing::Leaving => peer.standing,
        })
    }

    /// A link to `boot` failed: it is avoided for a while, twice as long as the last time unless
    /// the link had stood for long. Returns whether that is news: what fails while it is avoided
    /// anyway was tried for want of others.
    fn avoid(&mut self, boot: Boot, now: Instant, limits: &Limits) -> bool {
        if !self.peers.contains_key(&boot) {
            return false;
        }
        let span = match self.avoided.get(&boot) {
            Some(avoided) if now < avoided.until => return false,
            Some(avoided) if avoided.up.is_some_and(|up| up + limits.avoid_max <= now) => {
                limits.avoid_min
            }
            Some(avoided) => avoided.span.saturating_mul(2).min(limits.avoid_max),
            None => limits.avoid_min,
        };
        self.avoided.insert(boot, Avoided { until: now + span, span, up: None });
        true
    }

    /// A link to `boot` stands: it is avoided no more, until it breaks.
    fn up(&mut self, boot: Boot, now: Instant) {
        if let Some(avoided) = self.avoided.get_mut(&boot) {
            (avoided.until, avoided.up) = (now, Some(now));
        }
    }

    /// No call can be made by this link any more. There may be a newer one already.
    fn down(&mut self, boot: Boot, conn: ConnId) {
        if self.open.get(&boot) == Some(&conn) {
            self.open.remove(&boot);
        }
    }

    /// The connection is gone.
    pub(super) fn forget(&mut self, boot: Boot, conn: ConnId) {
        self.down(boot, conn);
        self.ids.release(conn);
    }
}

impl Worker {
    /// The node says who the others are. Links to those that are no more are closed.
    pub(super) fn meet(&mut self, peers: Arc<Peers>) {
        self.links.avoided.retain(|boot, _| peers.contains_key(boot));
        self.links.outages.retain(|boot| peers.contains_key(boot));
        self.links.leaving.retain(|boot| peers.contains_key(boot));
        let open = self.links.open.iter();
        let gone = open.filter(|(boot, _)| !peers.contains_key(*boot)).map(|(_, conn)| *conn);
        let gone: Vec<ConnId> = gone.collect();
        self.links.peers = peers;
        for conn in gone {
            self.tell_link(conn, link::Input::Part(Reason::Closed));
        }
    }

    /// Another worker could not reach a node, or was cut off from it.
    pub(super) fn shun(&mut self, boot: Boot) {
        let conn = self.links.open.get(&boot).and_then(|conn| self.conns.get(*conn));
        let linked = conn.is_some_and(|entry| match &entry.kind {
            Kind::Link(link) => link.is_up(),
            Kind::Proxy(_) | Kind::Upstream(_) | Kind::Admin(_) | Kind::Relay(_) => false,
        });
        if !linked {
            let now = self.clock.now();
            self.links.avoid(boot, now, &self.settings.limits);
        }
    }

    /// Sends a caller's word to another node.
    pub(super) fn ask_node(&mut self, boot: Boot, call: CallId, word: Word) {
        let begins = matches!(word, Word::Request { .. });
        let open = self.links.open.get(&boot).copied();
        match open.or_else(|| if begins { self.dial(boot) } else { None }) {
            Some(conn) => self.tell_link(conn, link::Input::Ask(call, word)),
            None if begins => {
                let reset = Reset { reason: Reason::UpstreamLost, started: false };
                self.answer(call, Word::Reset(reset));
            }
            // Its link is gone, and its reset on its way.
            None => {}
        }
    }

    fn dial(&mut self, boot: Boot) -> Option<ConnId> {
        let to = self.links.peers.get(&boot)?.addr;
        let now = self.clock.now();
        let conn = self.links.ids.issue();
        self.links.dialed += 1;
        let seed = self.seed.fork_at("link", self.links.dialed);
        let link = Link::new(now, boot, to, seed, Arc::clone(&self.settings));
        self.conns.insert(conn, Entry::new(Kind::Link(Box::new(link))));
        self.tally.ports.link.accepted += 1;
        self.tally.ports.link.open += 1;
        self.links.open.insert(boot, conn);
        self.actions.push_back(Action::Dial { conn, to, wire: Wire::Cluster });
        Some(conn)
    }

    fn link_up(&mut self, boot: Boot) {
        self.links.up(boot, self.clock.now());
        self.tally.links.opened += 1;
        let again = self.links.outages.remove(&boot);
        if let Some(node) = self.node_name(boot) {
            self.actions.push_back(Action::Note(Note::LinkUp { node, again }));
        }
    }

    fn link_down(&mut self, boot: Boot, why: Option<Why>) {
        let broken = why.is_some();
        self.tally.links.lost += u64::from(broken);
        let now = self.clock.now();
        let news = broken && self.links.avoid(boot, now, &self.settings.limits);
        if news {
            self.write_node(Letter::LinkLost(boot));
        }
        let Some(node) = self.node_name(boot) else { return };
        // An outage is told once: not of each call that tries anew, nor by each worker.
        let told = broken && (!self.links.outages.insert(boot) || !news);
        if !told {
            self.actions.push_back(Action::Note(Note::LinkDown { node, why }));
        }
    }

    /// What another node is called, if it is known.
    pub(super) fn node_name(&self, boot: Boot) -> Option<String> {
        self.links.peers.get(&boot).map(|peer| peer.id.clone())
    }

    /// How the links are.
    pub(super) fn link_states(&self) -> Vec<(Boot, LinkState)> {
        let now = self.clock.now();
        let open = self.links.open.iter().map(|(boot, conn)| {
            let up = self.conns.get(*conn).is_some_and(|entry| match &entry.kind {
                Kind::Link(link) => link.is_up(),
                Kind::Proxy(_) | Kind::Upstream(_) | Kind::Admin(_) | Kind::Relay(_) => false,
            });
            (*boot, if up { LinkState::Up } else { LinkState::Dialing })
        });
        let avoided = self.links.avoided.iter().filter(|(_, avoided)| now < avoided.until);
        let avoided = avoided.filter(|(boot, _)| !self.links.open.contains_key(*boot));
        open.chain(avoided.map(|(boot, _)| (*boot, LinkState::Avoided))).collect()
    }

    /// Tells a link something.
    pub(super) fn tell_link(&mut self, conn: ConnId, input: link::Input) {
        if let Some(Kind::Link(link)) = self.conns.get_mut(conn).map(|entry| &mut entry.kind) {
            link.handle(self.clock.now(), input);
            self.touch(conn);
        }
    }

    pub(super) fn drain_link(&mut self, conn: ConnId) {
        while let Some(Kind::Link(link)) = self.conns.get_mut(conn).map(|e| &mut e.kind) {
            let boot = link.boot();
            match link.poll() {
                Some(link::Action::Answer(call, word)) => self.answer(call, word),
                Some(link::Action::Up) => self.link_up(boot),
                Some(link::Action::Leaving) => {
                    if self.links.peers.contains_key(&boot) {
                        self.links.leaving.insert(boot);
                    }
                }
                Some(link::Action::Down { why }) => {
                    self.links.down(boot, conn);
                    self.link_down(boot, why);
                }
                Some(link::Action::Finish) => self.actions.push_back(Action::Finish(conn)),
                Some(link::Action::Closed) => self.remove(conn),
                None => return,
            }
        }
    }
}
