//! The connections that carried a request, and everybody along them.

use super::way::Handed;
use super::words;
use crate::actors::{Arrival, Balancer, Client, Outcome, Record, Service};
use crate::case::{Fault, Member, Role};
use crate::kernel::{Entry, SeatId, Step};
use crate::run::{Life, Run};
use core::time::Duration;
use pico_core::Instant;
use pico_core::id::ConnId;
use pico_core::note::Note;
use std::collections::{BTreeMap, BTreeSet};

/// Where a story takes place.
#[derive(Clone, Debug)]
pub(super) struct Road {
    /// From when on.
    pub(super) from: Instant,
    /// Until when.
    pub(super) to: Instant,
    /// Connections that carried it and, at that time, little else; with what they are called.
    pub(super) conns: BTreeMap<(SeatId, ConnId), &'static str>,
    /// Tunnels, which carry much at once.
    pub(super) tunnels: BTreeMap<(SeatId, ConnId), &'static str>,
    /// Everybody's machines.
    pub(super) seats: BTreeSet<SeatId>,
    /// What the service, and so the log, knew the request by.
    pub(super) names: BTreeSet<String>,
    /// Between which times connections carried it that carried others before and after.
    pub(super) times: BTreeMap<(SeatId, ConnId), (Instant, Instant)>,
    /// To whom nodes gave it.
    pub(super) handed: Vec<Handed>,
    /// The far ends of links over which it went to other nodes.
    pub(super) links: BTreeSet<(SeatId, ConnId)>,
    /// What workers of a node called it among each other, by the node's first machine.
    pub(super) calls: BTreeSet<(SeatId, String)>,
}

impl Road {
    /// A place where nothing is known yet but when it was.
    pub(super) fn at(from: Instant, to: Instant) -> Self {
        Self {
            from,
            to,
            conns: BTreeMap::new(),
            tunnels: BTreeMap::new(),
            seats: BTreeSet::new(),
            names: BTreeSet::new(),
            times: BTreeMap::new(),
            handed: Vec::new(),
            links: BTreeSet::new(),
            calls: BTreeSet::new(),
        }
    }

    /// The road of a request; `None` if it was never made.
    pub(super) fn of(run: &Run, id: u64) -> Option<Self> {
        let (records, arrivals) = (records(run, id), arrivals(run, id));
        // Only what has ended is written down.
        let seen = if records.is_empty() { seen_by_client(run, id) } else { Vec::new() };
        let begins = records.iter().map(|(_, record)| record.began);
        let begins = begins.chain(arrivals.iter().map(|(_, arrival)| arrival.began));
        let from = begins.chain(seen.iter().map(|(at, ..)| *at)).min()?;
        let ends = records.iter().map(|(_, record)| record.ended);
        let ends = ends.chain(arrivals.iter().filter_map(|(_, arrival)| arrival.ended));
        // It may never have come to its end.
        let open = arrivals.iter().any(|(_, arrival)| arrival.ended.is_none());
        let to = if open || records.is_empty() { run.world.now() } else { ends.max()? };
        let mut road = Self::at(from, to + AFTER);
        for (seat, record) in &records {
            road.forwards(run, *seat, record.conn);
            record.tried.iter().for_each(|conn| road.forwards(run, *seat, *conn));
        }
        for (_, seat, conn) in &seen {
            road.forwards(run, *seat, *conn);
        }
        for (seat, arrival) in &arrivals {
            road.backwards(run, *seat, arrival.conn);
            road.share(run, *seat, arrival);
            road.names.extend(arrival.request_id.clone());
        }
        let path = format!("/r/{id}");
        for (_, _, note) in run.world.notes() {
            if let Note::Request(request) = note
                && request.path == path
            {
                road.names.insert(request.id.clone());
            }
        }
        road.follow(run, id);
        if arrivals.is_empty() && road.handed.is_empty() {
            // It may have been lost on the way to any of those who serve its endpoint.
            let endpoint = run.work.plan(id).endpoint;
            for life in run.cast.of(Role::Agent) {
                let there = life.born <= road.to && life.ended.is_none_or(|at| at + BEFORE > from);
                if there && life.member.at % run.case.shape.endpoints == endpoint {
                    road.tunnels_of(run, life.seats[0]);
                }
            }
        }
        Some(road)
    }

    /// From a client's connection to the worker that answers it, by way of a balancer.
    fn forwards(&mut self, run: &Run, seat: SeatId, conn: ConnId) {
        self.conns.insert((seat, conn), "its connection");
        self.seats.insert(seat);
        let Some((peer, other)) = run.world.net().other_end(seat, conn) else { return };
        self.conns.insert((peer, other), "the client's connection");
        self.seats.insert(peer);
        if run.cast.whose(peer).is_some_and(|life| life.member.role == Role::Balancer) {
            for (back, node, front) in through(run, peer, other) {
                self.conns.insert((peer, back), "the node's connection");
                self.conns.insert((node, front), "the client's connection");
                self.seats.insert(node);
            }
        }
    }

    /// Tells a request's time on a service's connection from that of others before and behind it.
    fn share(&mut self, run: &Run, seat: SeatId, arrival: &Arrival) {
        let all = run.world.host::<Service>(seat).arrivals().iter();
        let others = all.filter(|other| other.conn == arrival.conn);
        let (mut from, mut to) = (Instant::ZERO, self.to.max(run.world.now()));
        for other in others {
            if other.before < arrival.before {
                from = from.max(other.ended.unwrap_or(other.began));
            } else if other.before > arrival.before {
                to = to.min(other.began);
            }
        }
        let near = (seat, arrival.conn);
        let far = run.world.net().other_end(seat, arrival.conn);
        // The agent asks again once it has read the whole answer before.
        if let Some(far) = far {
            let reads = |step: &&Step| {
                let read =
                    |entry: &Entry| entry.conn == Some(far.1) && entry.text.starts_with("Received");
                step.seat == far.0 && step.inputs.iter().any(read)
            };
            let steps = run.world.trace().steps();
            let before = &steps[..steps.partition_point(|step| step.at < arrival.began)];
            let read = before.iter().rev().find(reads).filter(|_| arrival.before > 0);
            let read = read.map(|step| step.at + Duration::from_nanos(1));
            self.times.insert(far, (from.max(read.unwrap_or(from)), to));
        }
        self.times.insert(near, (from, to));
    }

    /// Whether what is on a connection at this time may be of the request.
    pub(super) fn is_mine(&self, on: (SeatId, ConnId), at: Instant) -> bool {
        self.times.get(&on).is_none_or(|(from, to)| (*from..=*to).contains(&at))
    }

    /// From a service's connection to the agent that dialled it, and its tunnels.
    fn backwards(&mut self, run: &Run, seat: SeatId, conn: ConnId) {
        self.conns.insert((seat, conn), "the agent's connection");
        self.seats.insert(seat);
        let Some((agent, dialled)) = run.world.net().other_end(seat, conn) else { return };
        self.conns.insert((agent, dialled), "the service's connection");
        self.tunnels_of(run, agent);
    }

    /// All tunnels that an agent ever had.
    fn tunnels_of(&mut self, run: &Run, agent: SeatId) {
        self.seats.insert(agent);
        for step in run.world.trace().steps().iter().filter(|step| step.seat == agent) {
            for entry in step.inputs.iter().filter(|entry| entry.text.starts_with("Connected")) {
                let Some(conn) = entry.conn else { continue };
                let Some((peer, other)) = run.world.net().other_end(agent, conn) else { continue };
                self.tunnel(run, (agent, conn), (peer, other));
            }
        }
    }

    fn tunnel(&mut self, run: &Run, near: (SeatId, ConnId), far: (SeatId, ConnId)) {
        let Some(life) = run.cast.whose(far.0) else { return };
        match life.member.role {
            Role::Node => {
                self.tunnels.extend([(near, "its tunnel"), (far, "the agent's tunnel")]);
                self.seats.insert(far.0);
            }
            Role::Balancer => {
                self.tunnels.extend([(near, "its tunnel"), (far, "the agent's tunnel")]);
                self.seats.insert(far.0);
                for (back, node, front) in through(run, far.0, far.1) {
                    self.tunnels.insert((far.0, back), "the node's end of the tunnel");
                    self.tunnels.insert((node, front), "the agent's tunnel");
                    self.seats.insert(node);
                }
            }
            Role::Agent | Role::Service | Role::Client | Role::Operator => {}
        }
    }

    /// Whether anything of this request can be about this connection.
    pub(super) fn has(&self, seat: SeatId, conn: ConnId) -> Option<&'static str> {
        self.conns.get(&(seat, conn)).or_else(|| self.tunnels.get(&(seat, conn))).copied()
    }

    /// The lives along it, in the order in which they began.
    pub(super) fn lives<'a>(&self, run: &'a Run) -> Vec<&'a Life> {
        let members = self.members(run);
        let mut lives: Vec<&Life> = Vec::new();
        for role in Role::ALL {
            lives.extend(run.cast.of(role).filter(|life| members.contains(&life.member)));
        }
        lives.sort_by_key(|life| life.born);
        lives
    }

    fn members(&self, run: &Run) -> BTreeSet<Member> {
        let lives = self.seats.iter().filter_map(|seat| run.cast.whose(*seat));
        lives.map(|life| life.member).collect()
    }

    /// The faults that concern it, in words.
    pub(super) fn faults(&self, run: &Run) -> Vec<String> {
        let members = self.members(run);
        let concerned = run.case.faults.iter().filter(|fault| self.concerns(run, fault, &members));
        let mut all: Vec<String> = concerned.map(words::fault).collect();
        let loss = run.case.link.loss.millionths();
        if loss > 0 {
            all.push(format!("all links lose {loss} in a million packets"));
        }
        all
    }

    fn concerns(&self, run: &Run, fault: &Fault, members: &BTreeSet<Member>) -> bool {
        let shape = &run.case.shape;
        let means = |who: &str| members.iter().any(|member| shape.means(who, *member));
        if !fault.names().iter().all(|who| means(who)) {
            return false;
        }
        let Some(at) = fault.at() else { return true };
        let from = Instant::ZERO + at.0;
        let lasts = fault.lasts().or_else(|| fault.back()).map_or(BEFORE, |span| span.0);
        from < self.to && self.from < from + lasts + BEFORE
    }
}

/// What the request was to be, and what came of it.
pub(super) fn request(run: &Run, id: u64, road: &Road) -> Vec<String> {
    let plan = run.work.plan(id);
    let mut lines = words::plan(&plan, &run.work.endpoints[plan.endpoint]);
    let records = records(run, id);
    for (seat, record) in &records {
        let net = run.world.net();
        let conns = record.tried.iter().chain([&record.conn]);
        let hits = conns.filter(|conn| net.was_hit(*seat, **conn)).count();
        lines.push(words::ended(record));
        if hits > 0 {
            lines.push(format!("a fault, or a lost packet, befell {hits} of its connections"));
        }
    }
    if records.is_empty() {
        lines.push("its client never saw it end".into());
    }
    for Handed { at, by, to, turn, .. } in &road.handed {
        let when = match turn {
            Some(_) => format!("at {} ", words::time(*at)),
            None => "in the end ".into(),
        };
        lines.push(format!("{when}{by} gave it to {to}"));
    }
    lines.extend(road.handed.iter().filter_map(|handed| given_up(run, handed)));
    let arrivals = arrivals(run, id);
    for (seat, arrival) in &arrivals {
        let served = run.world.host::<Service>(*seat).served().to_string();
        lines.push(words::arrived(&served, arrival));
    }
    if arrivals.is_empty() {
        lines.push("it never reached a service".into());
    }
    lines.extend(records.iter().filter_map(|(_, record)| held(run, record, &arrivals)));
    lines
}

/// When and why a node gave up a tunnel to which it had given a request, before all was told to
/// stop.
fn given_up(run: &Run, handed: &Handed) -> Option<String> {
    let (seat, conn) = handed.on;
    let steps = run.world.trace().steps().iter();
    let close = steps.filter(|step| step.seat == seat && step.at >= handed.at).find(|step| {
        let closes = |entry: &Entry| entry.conn == Some(conn) && entry.text.starts_with("Close");
        step.actions.iter().any(closes)
    })?;
    let notes = run.world.notes().iter();
    let mut now = notes.filter(|(at, other, _)| *at == close.at && *other == seat);
    let reason = now.find_map(|(_, _, note)| {
        let Note::Unregistered { reason, .. } = note else { return None };
        Some(reason.told().code)
    })?;
    if close.at >= run.census().at {
        return None;
    }
    let (at, to) = (words::time(close.at), &handed.to);
    Some(format!("at {at} {} closed the tunnel to {to}: {reason}", close.name))
}

/// What holds a request that has come to a stop in the middle, as far as its ends can tell.
fn held(run: &Run, record: &Record, arrivals: &[(SeatId, &Arrival)]) -> Option<String> {
    let plan = run.work.plan(record.id);
    let window = run.case.shape.window_bytes;
    if record.outcome != Outcome::Silence {
        return None;
    }
    let credit = |came: usize| {
        let used = "which is all that its stream may carry before more is granted \
                    (shape.window-bytes): who sends it waits for credit";
        if came == window { used } else { "and the rest is on its way, or waits for credit" }
    };
    let (came, whole) = (record.received, plan.body_len());
    if record.head.is_some() && came < whole {
        let credit = credit(came);
        return Some(format!("{came} of {whole} bytes of the answer came, {credit}"));
    }
    let arrival = arrivals.last().map(|(_, arrival)| *arrival)?;
    let (came, whole) = (arrival.received, plan.request.len);
    (arrival.complete.is_none() && came < whole).then(|| {
        let credit = credit(came);
        format!("{came} of {whole} bytes of its body came to the service, {credit}")
    })
}

/// The records of a request, of which there should be one.
pub(super) fn records(run: &Run, id: u64) -> Vec<(SeatId, &Record)> {
    let seats = run.cast.of(Role::Client).flat_map(|life| &life.seats);
    let of = |seat: &SeatId| {
        let records = run.world.host::<Client>(*seat).records();
        let seat = *seat;
        records.iter().filter(move |record| record.id == id).map(move |record| (seat, record))
    };
    seats.flat_map(of).collect()
}

/// Its arrivals at services.
pub(super) fn arrivals(run: &Run, id: u64) -> Vec<(SeatId, &Arrival)> {
    let seats = run.cast.of(Role::Service).flat_map(|life| &life.seats);
    let of = |seat: &SeatId| {
        let arrivals = run.world.host::<Service>(*seat).arrivals();
        let seat = *seat;
        arrivals.iter().filter(move |arrival| arrival.id == id).map(move |it| (seat, it))
    };
    seats.flat_map(of).collect()
}

/// When a node saw the head of a request that no client wrote down, and on which of its client's
/// connections.
fn seen_by_client(run: &Run, id: u64) -> Vec<(Instant, SeatId, ConnId)> {
    let target = format!(" /r/{id}?");
    let mut seen = Vec::new();
    for step in run.world.trace().steps() {
        for entry in step.inputs.iter().filter(|entry| entry.text.starts_with("Received")) {
            let Some(conn) = entry.conn.filter(|_| entry.text.contains(&target)) else { continue };
            let far = run.world.net().other_end(step.seat, conn);
            let client = far.filter(|(seat, _)| {
                run.cast.whose(*seat).is_some_and(|life| life.member.role == Role::Client)
            });
            seen.extend(client.map(|(seat, conn)| (step.at, seat, conn)));
        }
    }
    seen
}

/// What a balancer dialled for a connection: its own end, and the node's.
pub(super) fn through(run: &Run, seat: SeatId, front: ConnId) -> Vec<(ConnId, SeatId, ConnId)> {
    let passages = run.world.host::<Balancer>(seat).passages().iter();
    let dials = passages.filter(|passage| passage.front == front).flat_map(|it| &it.dials);
    let ends = dials.filter_map(|(_, back)| {
        let (node, far) = run.world.net().other_end(seat, *back)?;
        Some((*back, node, far))
    });
    ends.collect()
}

/// What happens right behind the end may still tell something.
const AFTER: Duration = Duration::from_millis(5);
/// For so long a fault that is over may still be felt.
const BEFORE: Duration = Duration::from_secs(30);
