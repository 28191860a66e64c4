//! The control plane of a node: who serves what, who the other nodes are, and when to stop.

mod balance;
mod cluster;
mod errand;
mod report;
mod seeds;

pub use cluster::Membership;

use super::letter::Letter;
use super::settings::Settings;
use crate::host::{Action, Address, Host, Input};
use crate::http1::client;
use crate::id::{ConnId, WorkerId};
use crate::machine::Machine;
use crate::note::Note;
use crate::outbox::Outbox;
use crate::routing::{Change, Routes};
use crate::seed::Seed;
use crate::time::{Instant, Monotonic};
use crate::{gossip, routing};
use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;
use balance::Balance;
use cluster::{Cluster, Event};

/// The control plane of a node.
///
/// It hears from its workers what they hold, and from other nodes what those hold, and tells all
/// workers of all of it. The only connections of its own are those by which it consults others.
#[derive(Debug)]
pub struct Node {
    workers: u16,
    routes: Routes,
    balance: Balance,
    /// Whether the workers have yet to be told of the routes.
    changed: bool,
    /// What is said behind the routes: calls whose workers knew no upstream.
    replies: VecDeque<Action<Letter>>,
    life: Life,
    /// Unless it is alone for good.
    cluster: Option<Cluster>,
    clock: Monotonic,
    actions: VecDeque<Action<Letter>>,
    settings: Arc<Settings>,
}

#[derive(Debug)]
enum Life {
    /// It has yet to hear of what the others serve.
    Joining,
    Serving,
    Draining(Drain),
    /// So many workers have yet to say how many calls they cut off; so many were already; and
    /// when it is over in any case.
    Parting(u16, u64, Instant),
    /// The other nodes are told that it is gone; so many calls were cut off.
    Leaving(u64),
    Over,
}

/// A drain under way.
#[derive(Debug)]
struct Drain {
    /// Workers that still have clients.
    busy: BTreeSet<WorkerId>,
    /// When patience ends.
    until: Instant,
    /// Workers that have yet to say how many calls they had under way.
    untold: u16,
    calls: u64,
}

impl Node {
    /// A node with so many workers that is alone, and ready at once.
    pub fn new(now: Instant, workers: u16, settings: Arc<Settings>) -> Self {
        let mut node = Self::with(now, workers, settings, None, &Seed::from_u64(0));
        node.ready();
        node
    }

    /// A node with so many workers among others. It is ready once it knows what those serve.
    pub fn among(
        now: Instant,
        workers: u16,
        settings: Arc<Settings>,
        membership: Membership,
        seed: &Seed,
    ) -> Self {
        let limits = Arc::clone(&settings.limits);
        let cluster = Cluster::new(now, membership, limits, seed);
        Self::with(now, workers, settings, Some(cluster), seed)
    }

    fn with(
        now: Instant,
        workers: u16,
        settings: Arc<Settings>,
        cluster: Option<Cluster>,
        seed: &Seed,
    ) -> Self {
        let mut clock = Monotonic::default();
        clock.advance(now);
        Self {
            workers,
            routes: Routes::new(),
            balance: Balance::new(settings.rebalance, workers, seed.fork("balance").roll()),
            changed: false,
            replies: VecDeque::new(),
            life: Life::Joining,
            cluster,
            clock,
            actions: VecDeque::new(),
            settings,
        }
    }

    /// The gossip of this node, unless it is alone for good.
    pub fn gossip(&self) -> Option<&gossip::Machine> {
        self.cluster.as_ref().map(Cluster::gossip)
    }

    /// Who serves what, as far as this node knows.
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    fn ready(&mut self) {
        if matches!(self.life, Life::Joining) {
            self.life = Life::Serving;
            self.tell_all(&Letter::Ready(true));
        }
    }

    /// A worker's upstream came or went.
    fn change(&mut self, change: &Change) {
        self.route(change);
        let Some(cluster) = &mut self.cluster else { return };
        let endpoint = match change {
            Change::Put(endpoint, _) | Change::Remove(endpoint, _) => endpoint,
        };
        let local = |upstream: &&routing::Upstream| !upstream.place.is_remote();
        let count = self.routes.get(endpoint).iter().filter(local).count();
        cluster.serve(self.clock.now(), endpoint.clone(), count);
    }

    fn route(&mut self, change: &Change) {
        self.balance.apply(&mut self.routes, change);
        self.balance.watch(self.clock.now());
        self.changed = true;
    }

    /// Asks agents to move, if others hold much less than this node.
    fn rebalance(&mut self) {
        let Some(cluster) = self.cluster.as_ref().filter(|_| matches!(self.life, Life::Serving))
        else {
            return;
        };
        let Some(surplus) = self.balance.look(self.clock.now(), cluster.well()) else { return };
        if surplus.begins {
            let (held, share) = (surplus.held, surplus.share);
            self.actions.push_back(Action::Note(Note::Rebalancing { held, share }));
        }
        for (at, count) in surplus.workers.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            let to = Address::Worker(balance::worker_at(at));
            self.actions.push_back(Action::Letter { to, letter: Letter::Shed(count) });
        }
    }

    fn tell_gossip(&mut self, input: gossip::Input) {
        if let Some(cluster) = &mut self.cluster {
            cluster.tell(self.clock.now(), input);
        }
    }

    /// Does what gossip asks for, and sees to what it has found out.
    fn pump(&mut self) {
        let now = self.clock.now();
        let Some(cluster) = &mut self.cluster else { return };
        let events = cluster.pump(now, &mut self.actions);
        if core::mem::take(&mut cluster.met) {
            let peers = cluster.peers();
            self.tell_all(&Letter::Peers(peers));
        }
        for event in events {
            match event {
                Event::Route(change) => self.route(&change),
                Event::Ready => self.ready(),
                // One that drains ends anyway, and in good order.
                Event::Namesake if matches!(self.life, Life::Draining(_)) => {}
                Event::Namesake | Event::Deserted => self.part(),
                Event::Left => {
                    if let Life::Leaving(cut) = self.life {
                        self.over(cut);
                    }
                }
            }
        }
    }

    /// Carries out what happened on a connection of the node's own.
    fn socket(&mut self, conn: ConnId, input: client::Input) {
        if let Some(cluster) = &mut self.cluster {
            cluster.socket(self.clock.now(), conn, input);
        }
    }

    fn tell_all(&mut self, letter: &Letter) {
        for worker in 0..self.workers {
            let to = Address::Worker(WorkerId(worker));
            self.actions.push_back(Action::Letter { to, letter: letter.clone() });
        }
    }

    fn drain(&mut self) {
        if !matches!(self.life, Life::Joining | Life::Serving) {
            return;
        }
        self.tell_gossip(gossip::Input::Drain);
        self.life = Life::Draining(Drain {
            busy: (0..self.workers).map(WorkerId).collect(),
            until: self.clock.now() + self.settings.grace_period,
            untold: self.workers,
            calls: 0,
        });
        self.tell_all(&Letter::Ready(false));
        self.tell_all(&Letter::Drain);
    }

    /// A worker has said how many calls it had under way when the drain began.
    fn count(&mut self, more: u64) {
        let Life::Draining(drain) = &mut self.life else { return };
        drain.calls = drain.calls.saturating_add(more);
        drain.untold = drain.untold.saturating_sub(1);
        if drain.untold == 0 {
            let calls = usize::try_from(drain.calls).unwrap_or(usize::MAX);
            self.actions.push_back(Action::Note(Note::Draining { calls }));
        }
    }

    /// A worker has no client left.
    fn quiet(&mut self, worker: WorkerId) {
        let Life::Draining(drain) = &mut self.life else { return };
        drain.busy.remove(&worker);
        if drain.busy.is_empty() {
            self.part();
        }
    }

    fn part(&mut self) {
        if matches!(self.life, Life::Parting(..) | Life::Leaving(_) | Life::Over) {
            return;
        }
        let until = self.clock.now() + self.settings.limits.linger_timeout * 2;
        self.life = Life::Parting(self.workers, 0, until);
        self.tell_all(&Letter::Part);
    }

    /// A worker has closed everything.
    fn parted(&mut self, more: u64) {
        let Life::Parting(left, cut, _) = &mut self.life else { return };
        *left = left.saturating_sub(1);
        *cut = cut.saturating_add(more);
        if *left == 0 {
            let cut = *cut;
            self.end(cut);
        }
    }

    /// All that is left is to tell the others, who consult this node until they know it.
    fn end(&mut self, cut: u64) {
        if self.cluster.is_some() {
            self.life = Life::Leaving(cut);
            self.tell_gossip(gossip::Input::Leave);
        } else {
            self.over(cut);
        }
    }

    fn over(&mut self, cut: u64) {
        self.tell_all(&Letter::Left);
        let cut = usize::try_from(cut).unwrap_or(usize::MAX);
        self.actions.push_back(Action::Note(Note::Drained { cut }));
        self.actions.push_back(Action::Done);
        self.life = Life::Over;
    }
}

impl Machine for Node {
    type Input = Input<Letter>;
    type Action = Action<Letter>;

    fn handle(&mut self, now: Instant, input: Input<Letter>) {
        let now = self.clock.advance(now);
        if matches!(self.life, Life::Over) {
            return;
        }
        let letter = match input {
            Input::Letter(letter) => letter,
            Input::Datagram { from, bytes } => {
                return self.tell_gossip(gossip::Input::Datagram { from, bytes });
            }
            Input::Connected { conn, .. } => {
                if let Some(cluster) = &mut self.cluster {
                    cluster.connected(now, conn);
                }
                return;
            }
            Input::Received { conn, bytes } => {
                return self.socket(conn, client::Input::Received(bytes));
            }
            Input::Eof { conn } => return self.socket(conn, client::Input::Eof),
            Input::Sent { conn, count } => return self.socket(conn, client::Input::Sent(count)),
            Input::Lost { conn, fault } | Input::Unreachable { conn, fault } => {
                if let Some(cluster) = &mut self.cluster {
                    cluster.lost(now, conn, fault);
                }
                return;
            }
            Input::Resolved { ask, result } => {
                if let Some(cluster) = &mut self.cluster {
                    cluster.resolved(now, ask, result);
                }
                return;
            }
            Input::Accepted { .. } | Input::Unlistened(_) | Input::Wall(_) => return,
        };
        match letter {
            Letter::Changed(change) => self.change(&change),
            Letter::LinkLost(boot) => {
                self.tell_gossip(gossip::Input::LinkLost(boot));
                self.tell_all(&Letter::LinkLost(boot));
            }
            Letter::Asked { worker, conn, bytes } => {
                if let Some(cluster) = &mut self.cluster {
                    cluster.asked(now, (worker, conn), bytes);
                }
            }
            Letter::Inquire(inquiry) => self.inquired(&inquiry),
            Letter::Drain => self.drain(),
            Letter::Draining(calls) => self.count(calls),
            Letter::Quiet(worker) => self.quiet(worker),
            Letter::Parted(cut) => self.parted(cut),
            Letter::Seek(sought) => {
                let to = Address::Worker(sought.call.worker);
                self.replies.push_back(Action::Letter { to, letter: Letter::Sought(sought) });
            }
            Letter::Ask { .. }
            | Letter::Answer { .. }
            | Letter::Sought(_)
            | Letter::Routes(_)
            | Letter::Peers(_)
            | Letter::Consulted { .. }
            | Letter::Reported(..)
            | Letter::Ready(_)
            | Letter::Shed(_)
            | Letter::Part
            | Letter::Left => {}
        }
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        match &self.life {
            Life::Draining(drain) if drain.until <= now => self.part(),
            Life::Parting(_, cut, until) if *until <= now => {
                let cut = *cut;
                self.end(cut);
            }
            Life::Joining
            | Life::Serving
            | Life::Draining(_)
            | Life::Parting(..)
            | Life::Leaving(_)
            | Life::Over => {}
        }
        if let Some(cluster) = &mut self.cluster {
            cluster.tick(now);
        }
        // What was due is done with before the deadline is asked for.
        if !matches!(self.life, Life::Over) {
            self.pump();
        }
        self.rebalance();
    }

    fn poll(&mut self) -> Option<Action<Letter>> {
        if self.actions.is_empty() && !matches!(self.life, Life::Over) {
            self.pump();
        }
        // Behind its last word it has nothing to say.
        if !matches!(self.life, Life::Over) {
            if core::mem::take(&mut self.changed) {
                let routes = Arc::new(self.routes.clone());
                self.tell_all(&Letter::Routes(routes));
            }
            self.actions.append(&mut self.replies);
        }
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        let own = match &self.life {
            Life::Draining(drain) => Some(drain.until),
            Life::Parting(_, _, until) => Some(*until),
            Life::Over => return None,
            Life::Joining | Life::Serving | Life::Leaving(_) => None,
        };
        let cluster = self.cluster.as_ref();
        let balance = cluster.filter(|_| matches!(self.life, Life::Serving));
        let balance = balance.and_then(|_| self.balance.deadline());
        let cluster = cluster.and_then(Cluster::deadline);
        own.into_iter().chain(cluster).chain(balance).min()
    }
}

impl Host for Node {
    type Letter = Letter;

    fn outbox(&self, conn: ConnId) -> Option<&Outbox> {
        if matches!(self.life, Life::Over) {
            return None;
        }
        self.cluster.as_ref()?.outbox(conn)
    }

    fn room(&self, conn: ConnId) -> usize {
        self.cluster.as_ref().map_or(0, |cluster| cluster.room(conn))
    }
}
