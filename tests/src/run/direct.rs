//! Lets happen what befalls whole processes, in its time.

use super::boot::Guise;
use super::{LOOK, Run, at};
use crate::case::{Case, Fault, Member, Role, Span};
use crate::gossip;
use core::time::Duration;
use pico_core::Instant;
use pico_core::agent;
use pico_core::server::Letter;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

/// What is still to happen to processes.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    orders: BTreeMap<(Instant, usize), Errand>,
    added: usize,
    /// Which of the case's faults have befallen a process.
    befell: BTreeSet<usize>,
    /// Who was told to stop, and after how long they are to be started again.
    stopping: Vec<(Member, Option<Span>)>,
}

/// Something to be done to somebody, and by which of the case's faults, if it begins one.
#[derive(Clone, Copy, Debug)]
struct Errand {
    member: Member,
    order: Order,
    of: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Crash {
        back: Option<Span>,
        renamed: bool,
    },
    PowerOff {
        back: Option<Span>,
    },
    Stop {
        back: Option<Span>,
    },
    Start {
        renamed: bool,
    },
    /// Crash, and start as another.
    Pose(Guise),
    /// Crash, and start as oneself.
    Resume,
    /// Serve so many endpoints more.
    Burst(u32),
}

impl Agenda {
    /// What the faults of `case` say. Clients and operators are outside of the installation: what
    /// befalls a group of hosts leaves them out.
    pub(super) fn of(case: &Case) -> Self {
        let mut agenda = Self::default();
        let hosts = case.shape.hosts();
        for (of, fault) in case.faults.iter().enumerate() {
            let begins = Some(of);
            let (who, order) = match fault {
                Fault::Namesake { who, of, at: from, lasts } => {
                    let meant = |host: &&Member| case.shape.means(of, **host);
                    let Some(of) = hosts.iter().find(meant).copied() else { continue };
                    // Whoever has ended for its namesake's sake is back once that is gone.
                    let over = at(*from) + lasts.0 + Duration::from_secs(1);
                    agenda.add(over.min(at(case.heal)), of, Order::Start { renamed: false }, None);
                    (who, Order::Pose(Guise::Of(of)))
                }
                Fault::Turnover { who, at: from, lasts, every } => {
                    let until = (at(*from) + lasts.0).min(at(case.heal));
                    let hosts = hosts.iter().filter(|host| case.shape.means(who, **host));
                    let mut hosts = hosts.copied().cycle();
                    let mut when = at(*from);
                    while let Some(host) = hosts.next().filter(|_| when < until) {
                        agenda.add(when, host, Order::Pose(Guise::Renamed), begins);
                        when = when + every.0.max(Duration::from_millis(1));
                    }
                    continue;
                }
                Fault::Recycled { who, .. } => (who, Order::Pose(Guise::Foreign)),
                Fault::Churn { who, endpoints, .. } => (who, Order::Burst(*endpoints)),
                Fault::Crash { who, back, renamed, .. } => {
                    (who, Order::Crash { back: *back, renamed: *renamed })
                }
                Fault::PowerLoss { who, back, .. } => (who, Order::PowerOff { back: *back }),
                Fault::Stop { who, back, .. } => (who, Order::Stop { back: *back }),
                Fault::Pause { .. }
                | Fault::Slow { .. }
                | Fault::Drift { .. }
                | Fault::ClockBack { .. }
                | Fault::Intruder { .. }
                | Fault::Cut { .. }
                | Fault::Weather { .. }
                | Fault::Reset { .. }
                | Fault::Stall { .. }
                | Fault::Refuse { .. }
                | Fault::Blackhole { .. }
                | Fault::Names { .. } => continue,
            };
            let outside = [Role::Client, Role::Operator];
            let meant = hosts.iter().copied().filter(|host| !outside.contains(&host.role));
            for (nth, member) in meant.filter(|host| case.shape.means(who, *host)).enumerate() {
                let from = at(fault.last_at(nth + 1).unwrap_or_default());
                agenda.add(from, member, order, begins);
                if matches!(order, Order::Pose(_)) {
                    let over = from + fault.lasts().unwrap_or_default().0;
                    agenda.add(over.min(at(case.heal)), member, Order::Resume, None);
                }
            }
        }
        agenda
    }

    fn add(&mut self, when: Instant, member: Member, order: Order, of: Option<usize>) {
        self.added += 1;
        self.orders.insert((when, self.added), Errand { member, order, of });
    }

    fn next_at(&self) -> Option<Instant> {
        self.orders.keys().next().map(|(at, _)| *at)
    }
}

impl Run {
    /// Plays on to this time, while nothing is broken.
    pub(super) fn until(&mut self, end: Span) {
        let end = at(end);
        while self.broken.is_none() && self.world.now() < end {
            let next = self.agenda.next_at().unwrap_or(end);
            let pause = (self.world.now() + LOOK).min(end).min(next);
            self.world.run(pause, |_| false);
            super::SIMULATED.store(pause.as_nanos(), Ordering::Relaxed);
            self.churn();
            self.intrude();
            self.bury();
            while self.agenda.next_at().is_some_and(|at| at <= self.world.now()) {
                let (_, errand) = self.agenda.orders.pop_first().expect("there is one");
                // Whoever is dead already is beyond it.
                let there = self.cast.now(errand.member).is_some();
                self.agenda.befell.extend(errand.of.filter(|_| there));
                self.carry_out(errand.member, errand.order);
            }
            self.look();
        }
    }

    /// Plays on for so long.
    pub(super) fn go_on(&mut self, span: Duration) {
        let now = self.world.now().since(Instant::ZERO);
        self.until(Span(now + span));
    }

    /// Which of the case's faults have befallen anybody so far.
    pub fn befell(&self) -> BTreeSet<usize> {
        let mut befell = self.world.net().felt();
        befell.extend(&self.agenda.befell);
        let all = || Role::ALL.into_iter().flat_map(|role| self.cast.of(role));
        for (of, fault) in self.case.faults.iter().enumerate() {
            let felt = match fault {
                // Whoever was there meanwhile has felt it.
                Fault::Pause { who, at: from, lasts }
                | Fault::Slow { who, at: from, lasts, .. } => {
                    let (from, to) = (at(*from), at(*from) + lasts.0);
                    let there = |life: &super::Life| {
                        let before = life.ended.is_some_and(|ended| ended <= from);
                        self.case.shape.means(who, life.member) && life.born < to && !before
                    };
                    all().any(there)
                }
                // Whoever was started since believes it.
                Fault::ClockBack { who, at: from, .. } => all()
                    .any(|life| self.case.shape.means(who, life.member) && life.born >= at(*from)),
                Fault::Drift { .. } => true,
                Fault::Intruder { .. } => self.intrusions() > 0,
                Fault::Crash { .. }
                | Fault::PowerLoss { .. }
                | Fault::Stop { .. }
                | Fault::Namesake { .. }
                | Fault::Recycled { .. }
                | Fault::Turnover { .. }
                | Fault::Churn { .. }
                | Fault::Cut { .. }
                | Fault::Weather { .. }
                | Fault::Reset { .. }
                | Fault::Stall { .. }
                | Fault::Refuse { .. }
                | Fault::Blackhole { .. }
                | Fault::Names { .. } => false,
            };
            befell.extend(felt.then_some(of));
        }
        befell
    }

    /// Whoever was to come back later comes back now.
    pub(super) fn heal(&mut self) {
        let orders = core::mem::take(&mut self.agenda.orders);
        for Errand { member, order, .. } in orders.into_values() {
            if matches!(order, Order::Start { .. }) {
                self.carry_out(member, order);
            }
        }
        for (_, back) in &mut self.agenda.stopping {
            *back = back.map(|_| Span::default());
        }
    }

    /// Tells everybody who can be told to stop.
    pub(super) fn stop_all(&mut self) {
        let alive: Vec<Member> = self.cast.alive().map(|life| life.member).collect();
        let can = |member: &Member| matches!(member.role, Role::Node | Role::Agent);
        alive.into_iter().filter(can).for_each(|member| self.stop(member, None));
    }

    fn carry_out(&mut self, member: Member, order: Order) {
        let now = self.world.now();
        match order {
            Order::Crash { back, renamed } => {
                let Some(life) = self.cast.now_mut(member) else { return };
                life.ended = Some(now);
                self.world.crash(life.process);
                self.come_back(member, back, renamed);
            }
            Order::PowerOff { back } => {
                let Some(life) = self.cast.now_mut(member) else { return };
                life.ended = Some(now);
                self.world.power_off(life.process);
                self.come_back(member, back, false);
            }
            Order::Stop { back } => self.stop(member, back),
            Order::Start { renamed } => {
                if self.cast.now(member).is_none() {
                    self.boot(member, if renamed { Guise::Renamed } else { Guise::Own });
                }
            }
            Order::Pose(guise) if member.role == Role::Node => self.start_anew(member, guise),
            Order::Resume if member.role == Role::Node => self.start_anew(member, Guise::Own),
            Order::Burst(endpoints) => self.burst(member, endpoints),
            Order::Pose(_) | Order::Resume => {}
        }
    }

    /// A process dies, if it lives, and is started as something else.
    fn start_anew(&mut self, member: Member, guise: Guise) {
        self.carry_out(member, Order::Crash { back: None, renamed: false });
        self.boot(member, guise);
    }

    fn come_back(&mut self, member: Member, back: Option<Span>, renamed: bool) {
        self.agenda.stopping.retain(|(stopping, _)| *stopping != member);
        if let Some(back) = back {
            let at = self.world.now() + back.0;
            self.agenda.add(at, member, Order::Start { renamed }, None);
        }
    }

    /// Tells a process to stop. Whoever does not know how just ends.
    fn stop(&mut self, member: Member, back: Option<Span>) {
        let now = self.world.now();
        let Some(life) = self.cast.now_mut(member).filter(|life| life.told.is_none()) else {
            return;
        };
        life.told = Some(now);
        let seat = *life.seats.first().expect("every life has a machine");
        match member.role {
            Role::Node if self.case.shape.gossip_only => {
                self.world.tell(seat, gossip::Order::Drain);
                self.world.tell(seat, gossip::Order::Leave);
            }
            Role::Node => self.world.tell::<Letter>(seat, Letter::Drain),
            Role::Agent => self.world.tell(seat, agent::Letter::Drain),
            Role::Service | Role::Balancer | Role::Client | Role::Operator => {
                return self.carry_out(member, Order::Crash { back, renamed: false });
            }
        }
        self.agenda.stopping.push((member, back));
    }

    /// Ends the processes whose machines are all done: they were told to stop, or had no reason
    /// to go on.
    fn bury(&mut self) {
        let stopping = core::mem::take(&mut self.agenda.stopping);
        for (member, back) in stopping {
            let done = self
                .cast
                .now(member)
                .is_none_or(|life| life.seats.iter().all(|seat| self.world.is_done(*seat)));
            if !done {
                self.agenda.stopping.push((member, back));
                continue;
            }
            let now = self.world.now();
            if let Some(life) = self.cast.now_mut(member) {
                life.ended = Some(now);
                self.world.crash(life.process);
                self.come_back(member, back, false);
            }
        }
        self.bury_namesakes();
    }

    /// Ends the processes of nodes that have ended though nobody told them to.
    fn bury_namesakes(&mut self) {
        let nodes = self.cast.alive().filter(|life| life.member.role == Role::Node);
        let done = |life: &&super::Life| {
            life.told.is_none() && life.seats.iter().all(|seat| self.world.is_done(*seat))
        };
        let done: Vec<Member> = nodes.filter(done).map(|life| life.member).collect();
        for member in done {
            self.carry_out(member, Order::Crash { back: None, renamed: false });
        }
    }
}
