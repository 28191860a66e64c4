//! One run: a case played from the first start of a process to the end of the last.
//!
//! The world is calm until the clients begin, then things go wrong as the case says, then
//! everything heals, the clients come to an end and ask for a little more, all rests, and all is
//! told to stop. The judges look on from beginning to end, and the run is over when one of them
//! finds an invariant broken.

mod boot;
mod cast;
mod census;
mod churn;
mod direct;
pub mod distance;
mod intrude;
mod nodes;

pub use cast::{Cast, Life};
pub use census::{Census, Gossip, Return};

use crate::actors::{Balancer, Client, Passage, Workload};
use crate::case::{Case, Fault, Member, Role, Span};
use crate::check::{self, Broken, Judge};
use crate::gossip::Peer;
use crate::kernel::{SeatId, Trace, World};
use core::time::Duration;
use direct::Agenda;
use intrude::Intruder;
use pico_core::agent::Agent;
use pico_core::gossip;
use pico_core::id::ConnId;
use pico_core::server::Node;
use pico_core::{Instant, Seed};
use std::sync::atomic::{AtomicU64, Ordering};

/// A run, under way or over.
pub struct Run {
    /// What it is made from.
    pub case: Case,
    /// The world.
    pub world: World,
    /// Who takes part.
    pub cast: Cast,
    /// What the clients ask for.
    pub work: Workload,
    /// How far it has come.
    pub moment: Moment,
    agenda: Agenda,
    intruder: Intruder,
    /// How many changes nodes that only gossip were told to make.
    churned: u64,
    /// Who was there when the load had ended.
    census: Option<Census>,
    judges: Vec<Box<dyn Judge>>,
    broken: Option<Broken>,
}

/// How far a run has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Moment {
    /// Things go wrong.
    Chaos,
    /// Nothing goes wrong any more.
    Healed,
    /// All clients are done, or out of patience, and everything has come to rest.
    Rest,
    /// Everybody was told to stop.
    Stopping,
    /// And had the time to.
    Over,
}

impl Run {
    /// A run of `case` that has yet to be played, with everybody started but the clients.
    pub fn new(case: Case, trace: Trace) -> Self {
        let seed = Seed::from_u64(case.seed);
        let endpoints = (0..case.shape.endpoints).map(|at| format!("endpoint-{at}")).collect();
        let work = Workload::new(seed.fork("work"), endpoints, case.load.clone());
        let mut run = Self {
            world: World::new(&case, trace),
            cast: Cast::default(),
            work,
            moment: Moment::Chaos,
            agenda: Agenda::of(&case),
            intruder: Intruder::new(&seed),
            churned: 0,
            census: None,
            judges: check::judges(),
            broken: None,
            case,
        };
        if run.case.faults.iter().any(|fault| matches!(fault, Fault::Intruder { .. })) {
            run.world.overhear();
        }
        run.prepare();
        run
    }

    /// Plays `case` to its end, or to the first broken invariant.
    pub fn play(case: Case, trace: Trace) -> Self {
        let mut run = Self::new(case, trace);
        run.live();
        run
    }

    /// What was found broken.
    pub fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }

    /// Whether nothing goes wrong in this case but what clients and services do.
    pub fn is_calm(&self) -> bool {
        self.case.faults.is_empty() && self.case.link.loss.millionths() == 0
    }

    /// Whether clients began before the agents had a chance to register: a balancer lets them in
    /// once it has found a node ready, which it asks every second. Where there are several nodes,
    /// each is ready once it has caught up with another, which takes 3 s where 16 start at once,
    /// and then has to tell whom it serves; and an agent that a balancer has turned away for 4 s
    /// may wait for 12 s, three times as long as before, until it dials again.
    pub fn is_cold(&self) -> bool {
        let shape = &self.case.shape;
        self.case.warm_up
            < match (shape.nodes, shape.balancer) {
                (2.., true) => Span::secs(16),
                (2.., false) => Span::secs(5),
                (_, true) => Span::millis(3_500),
                (_, false) => Span::millis(500),
            }
    }

    /// Plays on to the end.
    pub fn live(&mut self) {
        self.disturb();
        self.heal();
        self.moment = Moment::Healed;
        self.until(Span(self.case.heal.0 + RECOVERY));
        self.until_clients_are_done();
        self.add_clients(true);
        self.until_clients_are_done();
        // Half-open tunnels need two heartbeats, and half-open clients the idle time-out.
        let peace = PEACE + check::gossipers::bound(self);
        self.go_on(if self.case.shape.gossip_only { peace } else { REST });
        self.moment = Moment::Rest;
        self.census = Some(self.count());
        self.look();
        self.moment = Moment::Stopping;
        self.stop_all();
        self.go_on(self.case.shape.drain_delay.0 + self.case.shape.grace_period.0 + AFTER);
        self.moment = Moment::Over;
        self.look();
    }

    /// Plays until the clients are to begin.
    pub fn warm_up(&mut self) {
        self.until(self.case.warm_up);
    }

    /// Plays only as far as things go wrong.
    pub fn disturb(&mut self) {
        self.warm_up();
        self.add_clients(false);
        self.until(self.case.heal);
    }

    /// Whether all requests that clients began or are to begin are over.
    fn clients_are_done(&self) -> bool {
        let mut clients = self.cast.of(Role::Client).flat_map(|life| &life.seats);
        clients.all(|seat| self.world.host::<Client>(*seat).is_over())
    }

    /// Plays on until the clients are done or out of patience.
    fn until_clients_are_done(&mut self) {
        let latest = self.world.now() + self.case.patience.0;
        while self.broken.is_none() && !self.clients_are_done() && self.world.now() < latest {
            self.go_on(LOOK);
        }
    }

    /// The control plane of a node's life, unless it does nothing but gossip.
    pub fn node(&self, life: &Life) -> Option<&Node> {
        let seat = life.seats.first().filter(|_| life.member.role == Role::Node)?;
        (!self.case.shape.gossip_only).then(|| self.world.host::<Node>(*seat))
    }

    /// The control plane that has this seat.
    pub fn node_at(&self, seat: SeatId) -> Option<&Node> {
        self.cast.whose(seat).filter(|life| life.seats[0] == seat).and_then(|life| self.node(life))
    }

    /// The gossip of a node's life, unless it is alone for good.
    pub fn gossip(&self, life: &Life) -> Option<&gossip::Machine> {
        let seat = life.seats.first().filter(|_| life.member.role == Role::Node)?;
        if self.case.shape.gossip_only {
            return Some(&self.world.host::<Peer>(*seat).gossip);
        }
        self.world.host::<Node>(*seat).gossip()
    }

    /// The agent of this life.
    pub fn agent(&self, life: &Life) -> Option<&Agent> {
        let seat = life.seats.first().filter(|_| life.member.role == Role::Agent)?;
        Some(self.world.host::<Agent>(*seat))
    }

    /// Who is at the other end of a connection, be there a balancer between.
    pub fn peer(&self, seat: SeatId, conn: ConnId) -> Option<Member> {
        let (far, other) = self.world.net().other_end(seat, conn)?;
        let life = self.cast.whose(far)?;
        if life.member.role != Role::Balancer {
            return Some(life.member);
        }
        let passages = self.world.host::<Balancer>(far).passages();
        let through = |passage: &&Passage| {
            passage.front == other || passage.dials.iter().any(|(_, back)| *back == other)
        };
        let passage = passages.iter().find(through)?;
        let last = passage.dials.last()?.1;
        let onward = if passage.front == other { last } else { passage.front };
        let (peer, _) = self.world.net().other_end(far, onward)?;
        self.cast.whose(peer).map(|life| life.member)
    }

    /// Datagrams that strangers have sent.
    pub const fn intrusions(&self) -> u64 {
        self.intruder.sent()
    }

    /// Has the judges look.
    fn look(&mut self) {
        if self.broken.is_some() {
            return;
        }
        let mut judges = core::mem::take(&mut self.judges);
        self.broken = judges.iter_mut().find_map(|judge| judge.look(self).err());
        self.judges = judges;
    }
}

/// How far the run has come that is being played, for whoever waits for it: nothing else may
/// look, for there may be several.
pub fn simulated() -> Duration {
    Duration::from_nanos(SIMULATED.load(Ordering::Relaxed))
}

static SIMULATED: AtomicU64 = AtomicU64::new(0);

/// The instant that lies so far behind the beginning.
fn at(span: Span) -> Instant {
    Instant::from_nanos(span.as_nanos())
}

/// How often the judges look.
const LOOK: Duration = Duration::from_millis(250);
/// How long after everything has healed agents may take to be back.
const RECOVERY: Duration = Duration::from_secs(30);
/// Longer than any connection lives on that nobody uses.
const REST: Duration = Duration::from_mins(6);
/// Long enough for judges to see whether nodes that only gossip keep their peace.
const PEACE: Duration = Duration::from_mins(1);
/// How much longer than its grace period a drain may take.
const AFTER: Duration = Duration::from_secs(10);
