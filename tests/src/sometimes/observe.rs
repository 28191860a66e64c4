//! What a run that is over shows of the points it came to.

use super::{Point, Reached, cluster};
use crate::actors::{
    Answer as Told, Arrival, Balancer, Client, End, Operator, Outcome, Plan, Record, Service,
};
use crate::case::{Answer, Fault, Kind, Role};
use crate::kernel::SeatId;
use crate::run::{Life, Run};
use core::time::Duration;
use pico_core::host::Fault as Failure;
use pico_core::note::{Note, Why};
use pico_core::{Instant, Reason};
use std::collections::BTreeMap;

/// A request's arrivals, each with the seat's number.
type Arrivals<'a> = BTreeMap<u64, Vec<(usize, &'a Arrival)>>;
/// For each agent, when its tunnels came up and at which node.
type Tunnels = BTreeMap<usize, Vec<(Instant, String)>>;

/// Adds the points that can be seen in what `run` left behind.
pub(super) fn observe(run: &Run, reached: &mut Reached) {
    let mut arrivals = Arrivals::new();
    for life in run.cast.of(Role::Service) {
        for seat in &life.seats {
            for arrival in run.world.host::<Service>(*seat).arrivals() {
                arrivals.entry(arrival.id).or_default().push((seat.0, arrival));
            }
        }
    }
    let mut tunnels = Tunnels::new();
    for (at, seat, note) in run.world.notes() {
        if let Note::Online { node, .. } = note
            && let Some(agent) = run.cast.whose(*seat)
        {
            tunnels.entry(agent.member.at).or_default().push((*at, node.clone()));
        }
    }
    let clients = run.cast.of(Role::Client).flat_map(|life| &life.seats);
    for seat in clients {
        let mut nameless = false;
        for record in run.world.host::<Client>(*seat).records() {
            let came = arrivals.get(&record.id).map(Vec::as_slice).unwrap_or_default();
            let plan = run.work.plan(record.id);
            let tunnels = &tunnels;
            let mut see = Seer { run, record, plan: &plan, tunnels, came, reached };
            see.answers();
            see.failures();
            see.times();
            nameless |= record.to.is_none() && record.outcome == Outcome::Unreachable;
            if nameless && record.to.is_some() {
                reached.add(Point::NameFailed);
            }
        }
    }
    operators(run, reached);
    notes(run, reached);
    cluster::observe(run, reached);
    balancers(run, reached);
    if run.world.net().counts().late > 0 {
        reached.add(Point::SentAgain);
    }
}

/// What operators were told.
fn operators(run: &Run, reached: &mut Reached) {
    for life in run.cast.of(Role::Operator) {
        let questions = run.world.host::<Operator>(life.seats[0]).questions();
        let across = questions.iter().filter(|one| one.about.is_some_and(|about| about != one.to));
        for question in across {
            match &question.answer {
                Told::Said(200, _) => reached.add(Point::ToldAcross),
                Told::Said(502 | 504, _) => reached.add(Point::ToldNothing),
                Told::Said(..)
                | Told::Open
                | Told::Unreachable
                | Told::Broken
                | Told::Silence
                | Told::Wrong(_) => {}
            }
        }
    }
}

/// Looks at one request.
struct Seer<'a> {
    run: &'a Run,
    record: &'a Record,
    plan: &'a Plan,
    tunnels: &'a Tunnels,
    came: &'a [(usize, &'a Arrival)],
    reached: &'a mut Reached,
}

impl Seer<'_> {
    fn add(&mut self, point: Point, yes: bool) {
        if yes {
            self.reached.add(point);
        }
    }

    fn complete(&self) -> bool {
        matches!(self.record.outcome, Outcome::Complete { .. })
    }

    /// What went well.
    fn answers(&mut self) {
        let (record, plan) = (self.record, self.plan);
        if !self.complete() {
            return;
        }
        self.add(Point::Reused, record.before > 0);
        self.add(Point::Pipelined, record.behind.is_some());
        self.add(Point::Interim, record.interim > 0);
        self.add(Point::Refused, plan.is(Kind::Expects) && plan.refuses);
        let early = |(_, arrival): &(usize, &Arrival)| {
            arrival.head.is_some_and(|head| arrival.complete.is_none_or(|all| head < all))
        };
        let uploads = plan.request.len > 0 && !plan.is(Kind::Upgrade);
        self.add(Point::Early, uploads && plan.is(Kind::Early) && self.came.iter().any(early));
        self.add(Point::HalfClosed, plan.is_half_closed());
        let halves = self.came.iter().any(|(_, arrival)| arrival.complete.is_some());
        self.add(Point::TunnelEnded, plan.is_upgrade() && halves);
        let window = self.run.case.shape.window_bytes;
        let slow = record.paused > Duration::from_millis(100) && record.received > 4 * window;
        self.add(Point::CreditStalled, plan.is(Kind::SlowReader) && slow);
        let long = record.head.is_some_and(|head| record.ended > head + Duration::from_secs(5));
        self.add(Point::Streamed, plan.is(Kind::Events) && long);
        let services = self.came.iter().any(|(seat, _)| *seat != self.came[0].0);
        self.add(Point::Elsewhere, services);
        let endpoint = &self.run.work.endpoints[plan.endpoint];
        let registered = |(at, _, note): &&(Instant, _, Note)| {
            *at < record.began
                && matches!(note, Note::Registered { endpoint: other, .. } if other == endpoint)
        };
        let waited = self.run.world.notes().iter().find(registered).is_none();
        self.add(Point::Waited, self.run.is_cold() && waited);
        let forwarded = self.came.iter().any(|(seat, arrival)| self.hop(*seat, arrival).is_some());
        self.add(Point::Forwarded, forwarded);
    }

    /// What did not.
    fn failures(&mut self) {
        let (outcome, plan) = (&self.record.outcome, self.plan);
        let error = matches!(outcome, Outcome::Error { .. });
        let cut = matches!(outcome, Outcome::Broken { begun: true, .. });
        self.add(Point::CutSignalled, cut && plan.is(Kind::ServiceCuts));
        self.add(Point::ServiceLost, error && plan.is(Kind::ServiceCloses));
        self.add(Point::Babbled, error && plan.is(Kind::ServiceBabbles));
        self.add(Point::TimedOut, error && plan.is(Kind::ServiceHangs));
        let lost = |(_, arrival): &(usize, &Arrival)| matches!(arrival.end, End::Lost | End::Fin);
        let heard = self.came.iter().any(lost);
        self.add(Point::Aborted, *outcome == Outcome::Aborted && heard);
        let nobody = matches!(outcome, Outcome::Error { code, .. }
            if code == Reason::NoUpstream.told().code);
        self.add(Point::NoUpstream, nobody);
        let raced = matches!(outcome, Outcome::Broken { begun: false, reused: true });
        self.add(Point::RaceLost, raced);
    }

    /// What went on while it was under way.
    fn times(&mut self) {
        let (run, record) = (self.run, self.record);
        let within = |at: Instant| record.began < at && at < record.ended;
        for fault in &run.case.faults {
            let Some(at) = fault.at().map(|at| Instant::ZERO + at.0) else { continue };
            let server = fault.names()[0];
            let server = ["node", "agent", "all"].iter().any(|role| server.starts_with(role));
            if !within(at) || !server {
                continue;
            }
            if let Fault::Pause { lasts, .. } = fault {
                let end = (at + lasts.0).min(Instant::ZERO + run.case.heal.0);
                let late = record.answered.is_some_and(|answered| answered >= end);
                self.add(Point::PausedLate, self.complete() && late && lasts.0 > LONG);
            }
            self.add(Point::PowerLost, matches!(fault, Fault::PowerLoss { .. }));
        }
        if self.plan.is_upgrade() && self.complete() {
            let told = |life: &Life| {
                let upgraded = record.head.is_some_and(|head| life.told.is_some_and(|t| head < t));
                upgraded && life.told.is_some_and(within)
            };
            let nodes = run.cast.of(Role::Node).any(told);
            self.add(Point::DrainUpgrade, nodes || run.cast.of(Role::Agent).any(told));
            let on_its_way = |life: &Life| {
                let through = |(seat, arrival): &(usize, &Arrival)| {
                    self.hop(*seat, arrival).is_some_and(|nodes| nodes.contains(&life.name))
                };
                told(life) && self.came.iter().any(through)
            };
            self.add(Point::DrainForwarded, run.cast.of(Role::Node).any(on_its_way));
        }
        let lost = |(seat, arrival): &(usize, &Arrival)| {
            let Some(nodes) = self.hop(*seat, arrival) else { return false };
            let died = |life: &Life| {
                life.told.is_none() && life.ended.is_some_and(within) && nodes.contains(&life.name)
            };
            run.cast.of(Role::Node).any(died)
        };
        self.add(Point::LinkLost, self.came.iter().any(lost));
    }

    /// The node to which a request came, and the one that held the tunnel on which it went on, if
    /// these are two.
    fn hop(&self, service: usize, arrival: &Arrival) -> Option<[String; 2]> {
        let words = arrival.via.iter().flat_map(|via| via.split([' ', ',']));
        let first = words.into_iter().find(|word| word.starts_with("node-"))?;
        let service = self.run.cast.whose(SeatId(service))?.member.at;
        let tunnels = self.tunnels.get(&service)?;
        let before = tunnels.iter().rev().find(|(at, _)| *at <= arrival.began);
        let (_, second) = before?;
        (first != second).then(|| [first.to_owned(), second.clone()])
    }
}

/// What agents and nodes said.
fn notes(run: &Run, reached: &mut Reached) {
    let mut down: BTreeMap<usize, Point> = BTreeMap::new();
    let mut calls: BTreeMap<usize, usize> = BTreeMap::new();
    for (at, seat, note) in run.world.notes() {
        match note {
            Note::Offline { why, .. } => {
                let point = match why {
                    Why::Fault(Failure::Refused) => Some(Point::DialRefused),
                    Why::Reason(Reason::HeartbeatTimeout) => Some(Point::Silence),
                    Why::Fault(_) | Why::Reason(_) | Why::Status(_) => None,
                };
                if let Some(point) = point {
                    down.insert(seat.0, point);
                }
            }
            Note::Online { .. } => {
                if let Some(point) = down.remove(&seat.0) {
                    reached.add(point);
                }
                let life = run.cast.whose(*seat);
                if life.is_some_and(|life| names_fail(run, life, *at)) {
                    reached.add(Point::NameKept);
                }
                if let Some(life) = life.filter(|life| life.number > 0) {
                    reached.add(Point::Returned);
                    if life.name != life.member.name() {
                        reached.add(Point::Renamed);
                    }
                }
            }
            Note::Registered { .. } => {
                if run.cast.whose(*seat).is_some_and(|life| life.number > 0) {
                    reached.add(Point::NodeReturned);
                }
            }
            Note::Draining { calls: under_way } => {
                calls.insert(seat.0, *under_way);
            }
            Note::Drained { cut } => {
                if *cut == 0 && calls.get(&seat.0).is_some_and(|under_way| *under_way > 0) {
                    reached.add(Point::Drained);
                }
            }
            Note::Request(_)
            | Note::Unregistered { .. }
            | Note::Refused { .. }
            | Note::Rejected { .. }
            | Note::ServiceUnreachable { .. }
            | Note::NodeFound { .. }
            | Note::NodeGone { .. }
            | Note::Alone { .. }
            | Note::Deserted
            | Note::LinkUp { .. }
            | Note::LinkDown { .. }
            | Note::Joined { .. }
            | Note::Rebalancing { .. }
            | Note::Untrusted { .. }
            | Note::Moving { .. }
            | Note::Namesake { .. } => {}
        }
    }
}

/// Whether nobody tells this host what names stand for.
fn names_fail(run: &Run, life: &Life, now: Instant) -> bool {
    let heal = Instant::ZERO + run.case.heal.0;
    let fails = |fault: &Fault| {
        let Fault::Names { who, at, lasts, answer } = fault else { return false };
        let from = Instant::ZERO + at.0;
        let failing = matches!(answer, Answer::Fails | Answer::Never);
        // It was dialled a moment before.
        let began = from + Duration::from_secs(1) < now;
        failing
            && began
            && now < (from + lasts.0).min(heal)
            && run.case.shape.means(who, life.member)
    };
    run.case.faults.iter().any(fails)
}

/// Whom balancers sent to whom.
fn balancers(run: &Run, reached: &mut Reached) {
    for balancer in run.cast.of(Role::Balancer) {
        for passage in run.world.host::<Balancer>(balancer.seats[0]).passages() {
            for (node, _) in &passage.dials {
                let left = |life: &Life| {
                    let told = life.told.is_some_and(|told| told < passage.at);
                    let next = run.cast.of(Role::Node).any(|other| {
                        other.member == life.member
                            && other.number > life.number
                            && other.born < passage.at
                    });
                    let ended = life.ended.is_some_and(|ended| ended < passage.at);
                    life.member.at == *node && (told || ended) && !next
                };
                if run.cast.of(Role::Node).any(left) {
                    reached.add(Point::LeftNode);
                }
            }
        }
    }
}

/// A pause that somebody may notice.
const LONG: Duration = Duration::from_millis(500);
