//! A node among others: its gossip, what it makes of it, and what it asks others.

use super::errand::{Errand, Progress, Purpose};
use super::seeds::Seeds;
use crate::gossip::{self, Machine as Gossip, State};
use crate::host::{Action, Address, Fault, Wire};
use crate::http1::client;
use crate::id::{AskId, Boot, ConnId, ConnIds, ConnMap, Side, WorkerId};
use crate::limits::Limits;
use crate::machine::Machine as _;
use crate::note::{Distrust, Gone, Missing, Note};
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::routing::{Change, EndpointId, Peer, Peers, Place, Standing, Upstream};
use crate::seed::Seed;
use crate::server::letter::Letter;
use crate::server::status::{Inquiry, Part, target};
use crate::time::Instant;
use alloc::boxed::Box;
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
    /// Where others may be found: names or addresses, and ports; or names of services, whose port
    /// is 0 here. A node without any is the first.
    pub join: Vec<(String, u16)>,
    /// Whether the node ends if it finds nobody there in the time that it may take to catch up.
    pub abort: bool,
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
    /// Answers of other nodes, for workers whose operators asked.
    reports: Vec<(WorkerId, AskId, Part)>,
    seeds: Seeds,
    abort: bool,
    consult: Duration,
    limits: Arc<Limits>,
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
    /// Nobody was found in time, without whom the node is not to run.
    Deserted,
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
        let Membership { gossip, join, abort } = membership;
        let consult = gossip.pace.consult;
        let mut gossip = Gossip::new(now, gossip, seed);
        if join.is_empty() {
            gossip.handle(now, gossip::Input::Seeds(Vec::new()));
        }
        let seeds = Seeds::new(now, join);
        Self {
            gossip,
            peers: Peers::new(),
            met: false,
            errands: ConnMap::new(),
            ids: ConnIds::new(Side::Dialed),
            asked: BTreeMap::new(),
            asks: 0,
            reports: Vec::new(),
            seeds,
            abort,
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

    /// One of them.
    pub(super) fn peer(&self, boot: Boot) -> Option<&Peer> {
        self.peers.get(&boot)
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

    /// An operator of this node wants to know something of another one. Says why not, if so.
    pub(super) fn ask_about(
        &mut self,
        now: Instant,
        inquiry: &Inquiry,
        node: &str,
        actions: &mut VecDeque<Action<Letter>>,
    ) -> Option<Reason> {
        let mut peers = self.peers.values();
        let Some(peer) = peers.find(|peer| peer.id == node) else {
            return Some(Reason::UnknownNode);
        };
        if self.errands.len() >= ERRANDS_MAX {
            return Some(Reason::Overloaded);
        }
        let purpose = Purpose::Status(inquiry.by, inquiry.ask, target(&inquiry.query));
        let due = now + self.limits.status_remote_timeout;
        let to = peer.addr;
        self.dial(Errand::new(purpose, to, due), to, actions);
        None
    }

    fn dial(&mut self, errand: Errand, to: SocketAddr, actions: &mut VecDeque<Action<Letter>>) {
        let conn = self.ids.issue();
        self.errands.insert(conn, errand);
        actions.push_back(Action::Dial { conn, to, wire: Wire::Cluster });
    }

    /// Something came of an errand, or why nothing did.
    fn over(&mut self, now: Instant, purpose: &Purpose, answer: Result<(u16, Bytes), Reason>) {
        match *purpose {
            Purpose::Gossip(ask, _) => {
                let good = answer.ok().filter(|(status, _)| *status == 200);
                let answer = good.map(|(_, bytes)| bytes);
                self.gossip.handle(now, gossip::Input::Answered { ask, answer });
            }
            Purpose::Status(worker, ask, _) => {
                let part = match answer {
                    Ok((status, bytes)) => Part::Other(status, bytes),
                    Err(reason) => Part::Refused(reason),
                };
                self.reports.push((worker, ask, part));
            }
        }
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
    pub(super) fn lost(&mut self, now: Instant, conn: ConnId, fault: Fault) {
        if let Some(errand) = self.errands.remove(conn) {
            self.ids.release(conn);
            if matches!(errand.purpose, Purpose::Gossip(..)) {
                // Where keys or clusters differ, the handshake is what ends.
                let strange = fault == Fault::Reset;
                let why = if strange { Missing::Other } else { Missing::Silent(fault) };
                self.seeds.missed(errand.addr, why);
            }
            self.over(now, &errand.purpose, Err(Reason::NodeUnreachable));
        }
    }

    pub(super) fn resolved(
        &mut self,
        now: Instant,
        ask: AskId,
        result: Result<Vec<SocketAddr>, Fault>,
    ) {
        if let Some(seeds) = self.seeds.resolved(now, ask, result) {
            self.gossip.handle(now, gossip::Input::Seeds(seeds));
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

    /// Looks names up, if it is time, and tells if nobody is found.
    fn look_around(&mut self, now: Instant, actions: &mut VecDeque<Action<Letter>>) {
        let me = self.gossip.me();
        let alone = self.peers.is_empty() && me.state == State::Alive;
        let notes = self.seeds.lament(now, alone, me.addr);
        actions.extend(notes.into_iter().map(Action::Note));
        while let Some((host, port)) = self.seeds.next(now, AskId(self.asks + 1)) {
            self.asks += 1;
            actions.push_back(Action::Resolve { ask: AskId(self.asks), host, port });
        }
    }

    /// Carries out what gossip asks for, and says what concerns the node.
    pub(super) fn pump(
        &mut self,
        now: Instant,
        actions: &mut VecDeque<Action<Letter>>,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        self.look_around(now, actions);
        self.run_errands(now, actions);
        for (worker, ask, part) in self.reports.drain(..) {
            let letter = Letter::Reported(ask, Box::new(part));
            actions.push_back(Action::Letter { to: Address::Worker(worker), letter });
        }
        while let Some(action) = self.gossip.poll() {
            match action {
                gossip::Action::Datagram { to, bytes } => {
                    actions.push_back(Action::Datagram { to, bytes });
                }
                gossip::Action::Consult { ask, addr, bytes, .. } => {
                    let due = now + self.consult;
                    let errand = Errand::new(Purpose::Gossip(ask, bytes), addr, due);
                    self.dial(errand, addr, actions);
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
                gossip::Action::Ready { complete } => events.push(self.ready(complete, actions)),
                gossip::Action::Missed { addr, why } => self.seeds.missed(addr, why.into()),
                gossip::Action::Unopened(peer) => {
                    let why = Distrust::Datagram;
                    actions.push_back(Action::Note(Note::Untrusted { peer, why, suppressed: 0 }));
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

    /// The node has caught up, or stopped waiting for that.
    fn ready(&mut self, complete: bool, actions: &mut VecDeque<Action<Letter>>) -> Event {
        if self.abort && self.peers.is_empty() && !self.seeds.is_empty() {
            let why = self.seeds.why(self.gossip.me().addr).into_iter();
            actions.extend(why.chain([Note::Deserted]).map(Action::Note));
            return Event::Deserted;
        }
        // Whoever was told to stop meanwhile never will be.
        if self.gossip.me().state == State::Alive {
            let nodes = self.peers.len() + 1;
            actions.push_back(Action::Note(Note::Joined { nodes, complete }));
        }
        Event::Ready
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
                self.peers.remove(&member.boot);
                let last = self.gossip.last_of(&member.id).map(|last| last.boot);
                let why = if member.state == State::Dead {
                    Gone::Dead
                } else if last.is_some_and(|last| last != member.boot) {
                    Gone::Restarted
                } else {
                    Gone::Left
                };
                return actions.push_back(Action::Note(Note::NodeGone { node: id(), why }));
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
            let over = loop {
                match errand.pump(now) {
                    Progress::On => break None,
                    Progress::Finish => actions.push_back(Action::Finish(conn)),
                    Progress::Over(answer) => break Some(answer),
                }
            };
            if let Some(answer) = over {
                let consults = matches!(errand.purpose, Purpose::Gossip(..));
                if consults && !matches!(answer, Ok((200, _))) {
                    self.seeds.missed(errand.addr, errand.missing());
                }
                let errand = self.errands.remove(conn);
                self.ids.release(conn);
                actions.push_back(Action::Close(conn));
                if let Some(errand) = errand {
                    self.over(now, &errand.purpose, answer);
                }
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
        errands.chain(self.seeds.deadline()).chain(self.gossip.deadline()).min()
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

/// Connections that are open to others at once, from which on operators' questions are refused.
const ERRANDS_MAX: usize = 64;
