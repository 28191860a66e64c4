//! A node among others: its gossip, what it makes of it, and what it asks others.

use super::errand::{Errand, Progress};
use crate::gossip::{self, Machine as Gossip, State};
use crate::host::{Action, Address, Fault, Wire};
use crate::http1::client;
use crate::id::{AskId, Boot, ConnId, ConnIds, ConnMap, Side, WorkerId};
use crate::limits::Limits;
use crate::machine::Machine as _;
use crate::note::Note;
use crate::outbox::Outbox;
use crate::routing::{Change, EndpointId, Peer, Peers, Place, Standing, Upstream};
use crate::seed::Seed;
use crate::server::letter::Letter;
use crate::time::Instant;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::SocketAddr;
use core::time::Duration;

/// How a node takes part in a cluster.
#[derive(Clone, Debug)]
pub struct Membership {
    /// What it says of itself.
    pub gossip: gossip::Settings,
    /// Where others may be found: names or addresses, and ports. A node without any is the first.
    pub join: Vec<(String, u16)>,
}

/// A node among others.
#[derive(Debug)]
pub(super) struct Cluster {
    gossip: Gossip,
    peers: Peers,
    /// Whether the workers have yet to be told of the peers.
    pub(super) met: bool,
    errands: ConnMap<Errand>,
    ids: ConnIds,
    /// Who of the workers' connections asked what.
    asked: BTreeMap<AskId, (WorkerId, ConnId)>,
    asks: u64,
    seeds: Seeds,
    consult: Duration,
    limits: Arc<Limits>,
}

/// Where others may be found.
#[derive(Debug)]
struct Seeds {
    join: Vec<(String, u16)>,
    /// What is being looked up, as numbers of `join`.
    open: BTreeMap<AskId, usize>,
    found: BTreeMap<usize, Vec<SocketAddr>>,
    /// When the names are looked up again.
    again: Instant,
}

/// What gossip means for the node.
#[derive(Debug)]
pub(super) enum Event {
    /// A route has changed.
    Route(Change),
    /// The node may be ready.
    Ready,
    /// Another process has this node's name.
    Namesake,
    /// All who matter know that the node has left.
    Left,
}

impl Cluster {
    pub(super) fn new(
        now: Instant,
        membership: Membership,
        limits: Arc<Limits>,
        seed: &Seed,
    ) -> Self {
        let Membership { gossip, join } = membership;
        let consult = gossip.pace.consult;
        let mut gossip = Gossip::new(now, gossip, seed);
        if join.is_empty() {
            gossip.handle(now, gossip::Input::Seeds(Vec::new()));
        }
        let seeds = Seeds { join, open: BTreeMap::new(), found: BTreeMap::new(), again: now };
        Self {
            gossip,
            peers: Peers::new(),
            met: false,
            errands: ConnMap::new(),
            ids: ConnIds::new(Side::Dialed),
            asked: BTreeMap::new(),
            asks: 0,
            seeds,
            consult,
            limits,
        }
    }

    /// Who the others are.
    pub(super) fn peers(&self) -> Arc<Peers> {
        Arc::new(self.peers.clone())
    }

    /// The others that should be chosen.
    pub(super) fn well(&self) -> impl Iterator<Item = Boot> {
        let well = |(_, peer): &(&Boot, &Peer)| peer.standing == Standing::Alive;
        self.peers.iter().filter(well).map(|(boot, _)| *boot)
    }

    pub(super) fn gossip(&self) -> &Gossip {
        &self.gossip
    }

    pub(super) fn tell(&mut self, now: Instant, input: gossip::Input) {
        self.gossip.handle(now, input);
    }

    /// This node serves an endpoint by so many upstreams.
    pub(super) fn serve(&mut self, now: Instant, endpoint: EndpointId, upstreams: usize) {
        let upstreams = u32::try_from(upstreams).unwrap_or(u32::MAX);
        self.gossip.handle(now, gossip::Input::Serve { endpoint, upstreams });
    }

    /// Another node asks, on this connection of this worker.
    pub(super) fn asked(&mut self, now: Instant, by: (WorkerId, ConnId), bytes: Bytes) {
        self.asks += 1;
        let ask = AskId(self.asks);
        self.asked.insert(ask, by);
        self.gossip.handle(now, gossip::Input::Asked { ask, bytes });
    }

    pub(super) fn connected(&mut self, now: Instant, conn: ConnId) {
        if let Some(errand) = self.errands.get_mut(conn) {
            errand.connected(now, &self.limits);
        }
    }

    pub(super) fn socket(&mut self, now: Instant, conn: ConnId, input: client::Input) {
        if let Some(errand) = self.errands.get_mut(conn) {
            errand.socket(now, input);
        }
    }

    /// A connection is gone, or never was.
    pub(super) fn lost(&mut self, now: Instant, conn: ConnId) {
        if let Some(errand) = self.errands.remove(conn) {
            self.ids.release(conn);
            self.gossip.handle(now, gossip::Input::Answered { ask: errand.ask, answer: None });
        }
    }

    pub(super) fn resolved(
        &mut self,
        now: Instant,
        ask: AskId,
        result: Result<Vec<SocketAddr>, Fault>,
    ) {
        let Some(which) = self.seeds.open.remove(&ask) else { return };
        // What cannot be looked up now is where it was.
        if let Ok(found) = result {
            self.seeds.found.insert(which, found);
        }
        if self.seeds.open.is_empty() {
            let found: Vec<SocketAddr> = self.seeds.found.values().flatten().copied().collect();
            if !found.is_empty() {
                self.gossip.handle(now, gossip::Input::Seeds(found));
            }
        }
    }

    pub(super) fn tick(&mut self, now: Instant) {
        self.gossip.tick(now);
        let errands: Vec<ConnId> = self.errands.ids().collect();
        for conn in errands {
            if let Some(errand) = self.errands.get_mut(conn) {
                errand.tick(now);
            }
        }
    }

    /// Looks names up, if it is time.
    fn look_up(&mut self, now: Instant, actions: &mut VecDeque<Action<Letter>>) {
        if self.seeds.join.is_empty() || now < self.seeds.again {
            return;
        }
        self.seeds.again = now + LOOK_UP_EVERY;
        self.seeds.open.clear();
        for (which, (host, port)) in self.seeds.join.iter().enumerate() {
            self.asks += 1;
            let ask = AskId(self.asks);
            self.seeds.open.insert(ask, which);
            actions.push_back(Action::Resolve { ask, host: host.clone(), port: *port });
        }
    }

    /// Carries out what gossip asks for, and says what concerns the node.
    pub(super) fn pump(
        &mut self,
        now: Instant,
        actions: &mut VecDeque<Action<Letter>>,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        self.look_up(now, actions);
        self.run_errands(now, actions);
        while let Some(action) = self.gossip.poll() {
            match action {
                gossip::Action::Datagram { to, bytes } => {
                    actions.push_back(Action::Datagram { to, bytes });
                }
                gossip::Action::Consult { ask, addr, bytes, .. } => {
                    let conn = self.ids.issue();
                    let due = now + self.consult;
                    self.errands.insert(conn, Errand::new(ask, addr, bytes, due));
                    actions.push_back(Action::Dial { conn, to: addr, wire: Wire::Cluster });
                }
                gossip::Action::Answer { ask, bytes } => {
                    if let Some((worker, conn)) = self.asked.remove(&ask) {
                        let letter = Letter::Consulted { to: conn, bytes };
                        let to = Address::Worker(worker);
                        actions.push_back(Action::Letter { to, letter });
                    }
                }
                gossip::Action::Member { member, before } => {
                    let known = before.is_some_and(State::is_live);
                    self.member(&member, known, actions);
                }
                gossip::Action::Serves { boot, changes } => {
                    events.extend(changes.into_iter().map(|op| Event::Route(route(boot, op))));
                }
                gossip::Action::Ready { complete } => {
                    let nodes = self.peers.len() + 1;
                    actions.push_back(Action::Note(Note::Joined { nodes, complete }));
                    events.push(Event::Ready);
                }
                gossip::Action::Namesake(peer) => {
                    actions.push_back(Action::Note(Note::Namesake { peer }));
                    events.push(Event::Namesake);
                }
                gossip::Action::Left => events.push(Event::Left),
            }
        }
        events
    }

    fn member(
        &mut self,
        member: &gossip::Member,
        known: bool,
        actions: &mut VecDeque<Action<Letter>>,
    ) {
        self.met = true;
        let id = || String::from(member.id.as_str());
        let standing = match member.state {
            State::Alive => Standing::Alive,
            State::Leaving => Standing::Leaving,
            State::Suspect => Standing::Suspect,
            State::Dead | State::Left => {
                let dead = member.state == State::Dead;
                self.peers.remove(&member.boot);
                return actions.push_back(Action::Note(Note::NodeGone { node: id(), dead }));
            }
        };
        if !known {
            let note = Note::NodeFound { node: id(), addr: member.addr };
            actions.push_back(Action::Note(note));
        }
        self.peers.insert(member.boot, Peer { id: id(), addr: member.addr, standing });
    }

    /// Lets every consultation go on.
    fn run_errands(&mut self, now: Instant, actions: &mut VecDeque<Action<Letter>>) {
        let errands: Vec<ConnId> = self.errands.ids().collect();
        for conn in errands {
            let Some(errand) = self.errands.get_mut(conn) else { continue };
            let ask = errand.ask;
            let over = loop {
                match errand.pump(now) {
                    Progress::On => break None,
                    Progress::Finish => actions.push_back(Action::Finish(conn)),
                    Progress::Over(answer) => break Some(answer),
                }
            };
            if let Some(answer) = over {
                self.errands.remove(conn);
                self.ids.release(conn);
                actions.push_back(Action::Close(conn));
                self.gossip.handle(now, gossip::Input::Answered { ask, answer });
            } else if let Some(errand) = self.errands.get_mut(conn) {
                let mut told = errand.told;
                told.tell(conn, errand.outbox(), errand.room(), actions);
                errand.told = told;
            }
        }
    }

    pub(super) fn outbox(&self, conn: ConnId) -> Option<&Outbox> {
        self.errands.get(conn).and_then(Errand::outbox)
    }

    pub(super) fn room(&self, conn: ConnId) -> usize {
        self.errands.get(conn).map_or(0, Errand::room)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let errands = self.errands.iter().map(|(_, errand)| errand.deadline());
        let names = (!self.seeds.join.is_empty()).then_some(self.seeds.again);
        errands.chain(names).chain(self.gossip.deadline()).min()
    }
}

/// What a change of another node's directory means for the routes.
fn route(boot: Boot, op: gossip::directory::Op) -> Change {
    let place = Place::Node(boot);
    match op.weight {
        0 => Change::Remove(op.endpoint, place),
        weight => Change::Put(op.endpoint, Upstream { place, weight: u32::from(weight) }),
    }
}

/// How often names of seeds are looked up.
const LOOK_UP_EVERY: Duration = Duration::from_secs(30);
