//! A worker: connections and the calls between them.

mod count;
mod drain;
mod gather;
mod links;
mod refusals;

use super::admin::{self, Admin};
use super::answer;
use super::counts::Counts;
use super::entry::{Entry, Event, Kind};
use super::letter::{CallId, Letter, Sought};
use super::link;
use super::link::relay::{self, Relay};
use super::proxy::{self, Proxy};
use super::settings::Settings;
use super::tally::Tally;
use super::upstream::{self, Upstream};
use crate::host::{self, Action, Address, Host, Input, Port};
use crate::id::{ConnId, ConnMap, WorkerId};
use crate::machine::Machine;
use crate::note::Note;
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::routing::{self, Change, EndpointId, Loads, Place, Routes, choose};
use crate::rpc::{Reset, Word};
use crate::seed::{Dice, Seed};
use crate::time::{Instant, Monotonic};
use crate::timers::Agenda;
use crate::wall::Wall;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use drain::Life;
use gather::Gathers;
use links::Links;
use refusals::Refusals;

/// One thread's share of a node: its connections, and the calls between them.
///
/// Clients' connections are served before tunnels within a turn, so that all the calls which a
/// turn begins on one tunnel share a message.
#[derive(Debug)]
pub struct Worker {
    id: WorkerId,
    conns: ConnMap<Entry>,
    /// How many connections there are of those who call: clients' and other nodes'.
    callers: usize,
    /// How many consultations of other nodes are under way.
    consultations: usize,
    routes: Arc<Routes>,
    links: Links,
    loads: Loads,
    /// Its tunnels that serve, in the order in which an operator is shown them.
    serving: BTreeMap<(EndpointId, u64), ConnId>,
    agenda: Agenda<ConnId>,
    /// Clients' and operators' connections that may have something to ask for.
    touched: VecDeque<ConnId>,
    /// Agents' and other nodes' connections that may.
    touched_tunnels: VecDeque<ConnId>,
    actions: VecDeque<Action<Letter>>,
    clock: Monotonic,
    /// What time of day it is, as far as anybody has said.
    wall: Option<Wall>,
    seed: Seed,
    dice: Dice,
    /// Draws the agents that are asked to move.
    lots: Dice,
    accepted: u64,
    /// Of the connections that are gone: clients', and other nodes'.
    counts: Counts,
    relayed: Counts,
    tally: Tally,
    refusals: Refusals,
    gathers: Gathers,
    ready: bool,
    /// Whether clients may still come.
    listening: bool,
    life: Life,
    settings: Arc<Settings>,
}

impl Worker {
    /// A worker without connections, routes or readiness.
    pub fn new(now: Instant, id: WorkerId, settings: Arc<Settings>, seed: &Seed) -> Self {
        let mut clock = Monotonic::default();
        clock.advance(now);
        let seed = seed.fork_at("worker", u64::from(id.0));
        Self {
            id,
            conns: ConnMap::new(),
            callers: 0,
            consultations: 0,
            routes: Arc::default(),
            links: Links::new(),
            loads: Loads::new(),
            serving: BTreeMap::new(),
            agenda: Agenda::new(),
            touched: VecDeque::new(),
            touched_tunnels: VecDeque::new(),
            actions: VecDeque::new(),
            clock,
            wall: None,
            dice: seed.fork("dice").roll(),
            lots: seed.fork("lots").roll(),
            seed,
            accepted: 0,
            counts: Counts::default(),
            relayed: Counts::default(),
            tally: Tally::default(),
            refusals: Refusals::default(),
            gathers: Gathers::default(),
            ready: false,
            listening: true,
            life: Life::Serving,
            settings,
        }
    }

    fn accept(&mut self, conn: ConnId, port: Port, peer: core::net::SocketAddr) {
        let now = self.clock.now();
        let limit = self.settings.limits.connections;
        let full = self.conns.len() >= limit;
        let reserve = limit.saturating_add(RESERVE);
        if self.conns.len() >= reserve && port != Port::Admin {
            self.tally.ports.of(port).dropped += 1;
            self.note(Note::Refused { port, peer, reason: Reason::Overloaded, suppressed: 0 });
            return self.actions.push_back(Action::Close(conn));
        }
        self.accepted += 1;
        let counted = self.tally.ports.of(port);
        counted.accepted += 1;
        counted.open += 1;
        let settings = Arc::clone(&self.settings);
        let kind = match port {
            Port::Proxy => {
                let me = (self.id, conn);
                let salt = self.dice.long();
                Kind::Proxy(Box::new(Proxy::new(now, me, peer, salt, full, settings)))
            }
            Port::Upstream => {
                let seed = self.seed.fork_at("upstream", self.accepted);
                let me = self.accepted;
                Kind::Upstream(Box::new(Upstream::new(now, me, peer, seed, full, settings)))
            }
            Port::Admin => Kind::Admin(Box::new(Admin::new(now, self.ready, settings))),
            Port::Gossip => {
                let me = (self.id, conn);
                let seed = self.seed.fork_at("relay", self.accepted);
                Kind::Relay(Box::new(Relay::new(now, me, peer, seed, full, settings)))
            }
        };
        self.conns.insert(conn, Entry::new(kind));
        self.count(conn);
        if self.life != Life::Serving {
            self.drain_one(conn);
        }
        self.touch(conn);
    }

    fn event(&mut self, conn: ConnId, event: Event) {
        let crowded = self.consultations >= self.settings.limits.consults;
        if let Some(entry) = self.conns.get_mut(conn) {
            self.tally.saw(&entry.kind, &event);
            entry.dated(self.clock.now(), self.wall);
            if let Kind::Relay(relay) = &mut entry.kind {
                relay.crowd(crowded);
            }
            entry.event(self.clock.now(), event);
            self.count(conn);
            self.touch(conn);
        }
    }

    /// Notes that a connection may have something to ask for.
    fn touch(&mut self, conn: ConnId) {
        let Some(entry) = self.conns.get_mut(conn) else { return };
        if !core::mem::replace(&mut entry.touched, true) {
            match entry.kind {
                Kind::Proxy(_) | Kind::Admin(_) => self.touched.push_back(conn),
                Kind::Upstream(_) | Kind::Link(_) | Kind::Relay(_) => {
                    self.touched_tunnels.push_back(conn);
                }
            }
        }
    }

    /// Carries out what one touched connection asks for. Returns whether there was one.
    fn step(&mut self) -> bool {
        let next = self.touched.pop_front().or_else(|| self.touched_tunnels.pop_front());
        let Some(conn) = next else { return false };
        let Some(entry) = self.conns.get_mut(conn) else { return true };
        entry.touched = false;
        match entry.kind {
            Kind::Proxy(_) | Kind::Relay(_) => self.drain_caller(conn),
            Kind::Link(_) => self.drain_link(conn),
            Kind::Upstream(_) => self.drain_upstream(conn),
            Kind::Admin(_) => self.drain_admin(conn),
        }
        self.look(conn);
        true
    }

    fn drain_caller(&mut self, conn: ConnId) {
        while let Some(entry) = self.conns.get_mut(conn) {
            let action = match &mut entry.kind {
                Kind::Proxy(proxy) => proxy.poll(),
                Kind::Relay(relay) => relay.poll(),
                Kind::Upstream(_) | Kind::Admin(_) | Kind::Link(_) => None,
            };
            match action {
                Some(proxy::Action::Begin(sought)) => self.begin(sought, false),
                Some(proxy::Action::Say(place, call, word)) => self.ask(place, call, word),
                Some(proxy::Action::Over(place)) => self.loads.end(place),
                Some(proxy::Action::Inquire(target)) => self.inquire_for_other(conn, &target),
                Some(proxy::Action::Begun) => self.begun(conn),
                Some(proxy::Action::Ended(outcome)) => self.tally.end(&outcome),
                Some(proxy::Action::Relayed { answered, stalls }) => {
                    self.tally.end_relayed(answered, stalls);
                }
                Some(proxy::Action::Ask(bytes)) => {
                    self.write_node(Letter::Asked { worker: self.id, conn, bytes });
                }
                Some(proxy::Action::Note(note)) => self.note(note),
                Some(proxy::Action::Finish) => self.actions.push_back(Action::Finish(conn)),
                Some(proxy::Action::Closed) => self.remove(conn),
                None => return,
            }
        }
    }

    fn drain_upstream(&mut self, conn: ConnId) {
        while let Some(Kind::Upstream(up)) = self.conns.get_mut(conn).map(|e| &mut e.kind) {
            let number = up.number();
            match up.poll() {
                Some(upstream::Action::Serves(endpoint)) => {
                    self.serving.insert((endpoint.clone(), number), conn);
                    self.tally.tunnels.opened += 1;
                    self.tally.tunnels.serving += 1;
                    let upstream = routing::Upstream {
                        place: Place::Tunnel { worker: self.id, conn },
                        weight: 1,
                    };
                    self.write_node(Letter::Changed(Change::Put(endpoint, upstream)));
                }
                Some(upstream::Action::Leaves(endpoint)) => {
                    self.tally.tunnels.serving -= 1;
                    let place = Place::Tunnel { worker: self.id, conn };
                    self.write_node(Letter::Changed(Change::Remove(endpoint.clone(), place)));
                    self.serving.remove(&(endpoint, number));
                }
                Some(upstream::Action::Answer(call, word)) => self.answer(call, word),
                Some(upstream::Action::Note(note)) => self.note(note),
                Some(upstream::Action::Finish) => self.actions.push_back(Action::Finish(conn)),
                Some(upstream::Action::Closed) => self.remove(conn),
                None => return,
            }
        }
    }

    /// Tells the driver and the agenda what has changed about a connection.
    fn look(&mut self, conn: ConnId) {
        let Some(entry) = self.conns.get_mut(conn) else { return };
        entry.tell(conn, &mut self.actions);
        self.agenda.want(conn, entry.deadline());
    }

    fn remove(&mut self, conn: ConnId) {
        let Some(entry) = self.conns.remove(conn) else { return };
        host::close(conn, entry.was_cut(), &mut self.actions);
        self.agenda.forget(conn);
        self.discount(entry.counted);
        self.tally.gone(&entry.kind);
        match entry.kind {
            Kind::Proxy(mut proxy) => {
                self.give_up(&mut proxy);
            }
            Kind::Relay(mut relay) => {
                self.give_up_relay(&mut relay);
            }
            Kind::Link(link) => self.links.forget(link.boot(), conn),
            Kind::Upstream(_) | Kind::Admin(_) => {}
        }
    }

    /// Begins a call at the best upstream. One that is not found here is sought at the node,
    /// which hears of new upstreams first: an agent that is online can be reached from every
    /// worker. What another node forwarded goes to a tunnel of this one or nowhere.
    fn begin(&mut self, sought: Sought, last: bool) {
        let forwarded = match self.conns.get(sought.call.conn).map(|entry| &entry.kind) {
            Some(Kind::Proxy(proxy)) if !proxy.is_closed() => false,
            Some(Kind::Relay(relay)) if !relay.is_closed() => true,
            Some(_) | None => return,
        };
        if !last && sought.tried.is_some() {
            self.tally.calls.retried += 1;
        }
        let upstreams = self.routes.get(&sought.endpoint);
        let now = self.clock.now();
        let standing = |boot| if forwarded { None } else { self.links.standing(boot, now) };
        let found = choose(upstreams, &self.loads, standing, sought.tried, &mut self.dice);
        if found.is_none() && !last {
            return self.write_node(Letter::Seek(Box::new(sought)));
        }
        let Sought { call, mut head, end, endpoint, .. } = sought;
        let place = found.map(|upstream| upstream.place);
        if let Some(place) = place {
            self.loads.begin(place);
            self.tally.sent_to(place);
        }
        self.placed(call, place);
        if let Some(place) = place {
            if place.is_remote() {
                head.fields.push(routing::HEADER.as_bytes(), endpoint.as_str().as_bytes());
            }
            self.ask(place, call, Word::Request { head, end });
        }
    }

    /// Tells a caller of this worker where its call goes, if anywhere.
    fn placed(&mut self, call: CallId, place: Option<Place>) {
        let now = self.clock.now();
        match self.conns.get_mut(call.conn).map(|entry| entry.dated(now, self.wall)) {
            Some(Kind::Proxy(proxy)) => {
                proxy.handle(now, proxy::Input::Placed(call.serial, place));
            }
            Some(Kind::Relay(relay)) => {
                relay.handle(now, relay::Input::Placed(call.serial, place));
            }
            Some(Kind::Upstream(_) | Kind::Admin(_) | Kind::Link(_)) | None => {}
        }
        self.touch(call.conn);
    }

    /// Sends a caller's word to the tunnel.
    fn ask(&mut self, place: Place, call: CallId, word: Word) {
        match place {
            Place::Node(boot) => self.ask_node(boot, call, word),
            Place::Tunnel { worker, conn } if worker == self.id => self.asked(conn, call, word),
            Place::Tunnel { worker, conn } => {
                let to = Address::Worker(worker);
                let letter = Letter::Ask { to: conn, call, word };
                self.actions.push_back(Action::Letter { to, letter });
            }
        }
    }

    /// Hands a caller's word to a tunnel of this worker; a call for one that is gone never
    /// started.
    fn asked(&mut self, conn: ConnId, call: CallId, word: Word) {
        match self.conns.get_mut(conn).map(|entry| &mut entry.kind) {
            Some(Kind::Upstream(upstream)) => {
                upstream.handle(self.clock.now(), upstream::Input::Ask(call, word));
                self.touch(conn);
            }
            Some(Kind::Proxy(_) | Kind::Admin(_) | Kind::Link(_) | Kind::Relay(_)) | None => {
                if matches!(word, Word::Request { .. }) {
                    let reset = Reset { reason: Reason::UpstreamLost, started: false };
                    self.answer(call, Word::Reset(reset));
                }
            }
        }
    }

    /// Sends a callee's word to the caller.
    fn answer(&mut self, call: CallId, word: Word) {
        if call.worker == self.id {
            return self.answered(call, word);
        }
        let to = Address::Worker(call.worker);
        self.actions.push_back(Action::Letter { to, letter: Letter::Answer { call, word } });
    }

    /// Hands a callee's word to a caller of this worker. If it is gone, its reset is on its way.
    fn answered(&mut self, call: CallId, word: Word) {
        let now = self.clock.now();
        match self.conns.get_mut(call.conn).map(|entry| entry.dated(now, self.wall)) {
            Some(Kind::Proxy(proxy)) => proxy.handle(now, proxy::Input::Word(call.serial, word)),
            Some(Kind::Relay(relay)) => relay.handle(now, relay::Input::Word(call.serial, word)),
            Some(Kind::Upstream(_) | Kind::Admin(_) | Kind::Link(_)) | None => return,
        }
        self.touch(call.conn);
    }

    fn write_node(&mut self, letter: Letter) {
        self.actions.push_back(Action::Letter { to: Address::Node, letter });
    }

    fn letter(&mut self, letter: Letter) {
        match letter {
            Letter::Ask { to, call, word } => self.asked(to, call, word),
            Letter::Answer { call, word } => self.answered(call, word),
            Letter::Routes(routes) => self.routes = routes,
            Letter::Peers(peers) => self.meet(peers),
            Letter::Consulted { to, bytes } => {
                let now = self.clock.now();
                if let Some(Kind::Relay(relay)) = self.conns.get_mut(to).map(|e| &mut e.kind) {
                    relay.handle(now, relay::Input::Replied(answer::bytes(&bytes)));
                    self.touch(to);
                }
            }
            Letter::Inquire(inquiry) => self.asked_by(&inquiry),
            Letter::Reported(ask, part) => self.reported(ask, *part),
            Letter::Ready(ready) => {
                self.ready = ready;
                self.each(|kind, now| match kind {
                    Kind::Admin(admin) => admin.handle(now, admin::Input::Ready(ready)),
                    Kind::Proxy(_) | Kind::Upstream(_) | Kind::Link(_) | Kind::Relay(_) => {}
                });
            }
            Letter::Shed(count) => self.shed(count),
            Letter::Drain => self.linger(),
            Letter::Part => self.part(),
            Letter::Left => self.leave(),
            Letter::Sought(sought) => self.begin(*sought, true),
            Letter::LinkLost(boot) => self.shun(boot),
            Letter::Changed(_)
            | Letter::Asked { .. }
            | Letter::Seek(_)
            | Letter::Draining(_)
            | Letter::Quiet(_)
            | Letter::Parted(_) => {}
        }
    }
}

impl Machine for Worker {
    type Input = Input<Letter>;
    type Action = Action<Letter>;

    fn handle(&mut self, now: Instant, input: Input<Letter>) {
        self.clock.advance(now);
        if self.life == Life::Over {
            return;
        }
        match input {
            Input::Accepted { conn, port, peer } => self.accept(conn, port, peer),
            Input::Received { conn, bytes } => self.event(conn, Event::Received(bytes)),
            Input::Eof { conn } => self.event(conn, Event::Eof),
            Input::Sent { conn, count } => self.event(conn, Event::Sent(count)),
            Input::Lost { conn, fault } | Input::Unreachable { conn, fault } => {
                self.event(conn, Event::Lost(fault));
            }
            Input::Connected { conn, .. } => self.tell_link(conn, link::Input::Connected),
            Input::Letter(letter) => self.letter(letter),
            Input::Wall(wall) => self.wall = Some(wall),
            Input::Unlistened(port) => self.listening &= port != Port::Proxy,
            // A worker asks for no names and has no UDP socket.
            Input::Resolved { .. } | Input::Datagram { .. } => {}
        }
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        while let Some(conn) = self.agenda.pop(now) {
            if let Some(entry) = self.conns.get_mut(conn) {
                entry.dated(now, self.wall);
                entry.tick(now);
                self.touch(conn);
            }
        }
        self.tick_gathers(now);
        self.tick_life(now);
    }

    fn poll(&mut self) -> Option<Action<Letter>> {
        while self.actions.is_empty() && self.step() {}
        if self.actions.is_empty() {
            self.settle_life();
        }
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        let own = self.due().into_iter().chain(self.gather_due());
        let next = self.agenda.deadline().into_iter().chain(own).min();
        next.filter(|_| self.life != Life::Over)
    }
}

impl Host for Worker {
    type Letter = Letter;

    fn outbox(&self, conn: ConnId) -> Option<&Outbox> {
        self.conns.get(conn)?.outbox()
    }

    fn room(&self, conn: ConnId) -> usize {
        self.conns.get(conn).map_or(0, Entry::room)
    }
}

/// Connections above the limit that are told so instead of being dropped without a word.
const RESERVE: usize = 64;
