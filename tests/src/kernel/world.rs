//! Time, events and everybody in it.

use super::clock::Clock;
use super::cpu::Cpu;
use super::events::Events;
use super::faults::Plan;
use super::lots::Lots;
use super::net::{Datagram, Dialling, Knocked, Landed, Net, Socket};
use super::seat::{AnySeat, Delivery, Seat, Turned};
use super::trace::Trace;
use super::{ProcessId, SeatId};
use crate::case::{Case, Member};
use crate::draw::Draw as _;
use bytes::BytesMut;
use core::any::Any;
use core::fmt::Debug;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use pico_core::gossip::Ring;
use pico_core::host::{Address, Host, Port};
use pico_core::note::Note;
use pico_core::{Instant, Seed};
use pico_shell::wire::Wires;
use std::collections::BTreeMap;

mod look;

/// A simulated world: hosts, the net between them, and time.
pub struct World {
    now: Instant,
    seed: Seed,
    plan: Plan,
    seats: Vec<Held>,
    processes: Vec<Process>,
    members: BTreeMap<Member, ProcessId>,
    places: BTreeMap<(ProcessId, Address), SeatId>,
    out: Outside,
    handled: u64,
}

/// Where in the world a machine is put.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// In which process.
    pub process: ProcessId,
    /// Under which address its neighbours write to it.
    pub address: Address,
}

/// A process, in one of its lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Home {
    pub(super) process: ProcessId,
    life: u64,
}

struct Process {
    member: Member,
    life: u64,
    running: bool,
    /// Its machine has power.
    powered: bool,
    clock: Clock,
    cpu: Cpu,
    boots: u64,
    seats: Vec<SeatId>,
}

struct Held {
    seat: Box<dyn AnySeat>,
    process: ProcessId,
    alive: bool,
    /// Its next turn is in the heap.
    turning: bool,
    /// The earliest alarm that is in the heap.
    alarm: Option<Instant>,
    /// When its machine wanted to be woken, when it was asked last.
    wanted: Option<Instant>,
    /// Until when its last turn takes.
    busy: Instant,
    lots: Lots,
}

/// What is outside of every host: what its turn acts upon.
pub(super) struct Outside {
    pub(super) net: Net,
    pub(super) events: Events<Event>,
    pub(super) trace: Trace,
    pub(super) notes: Vec<(Instant, SeatId, Note)>,
}

/// What happens next.
pub(super) enum Event {
    Turn(SeatId),
    /// A deadline that a seat had.
    Alarm(SeatId, Instant),
    /// Something lands at the far end of this socket.
    Arrive(Socket),
    /// This socket may go on writing.
    Poke(Socket),
    /// What this socket sent is sent again, since then, after such a wait.
    Retry(Socket, Instant, Duration),
    GiveUp(Socket),
    /// It is looked whether this socket's peer is still there, after so many questions.
    LookAfter(Socket, u32),
    /// A SYN is sent again.
    Dial(Dialling),
    Knock(Dialling),
    Refuse(Dialling),
    Answer(Dialling, Socket),
    Deliver(SeatId, Delivery),
    Datagram(Datagram),
    Post {
        home: Home,
        to: Address,
        letter: Box<dyn Any>,
        cause: u64,
    },
}

impl World {
    /// An empty world, in which what the case has of clocks, processors, names and the net goes
    /// wrong.
    pub fn new(case: &Case, trace: Trace) -> Self {
        let seed = Seed::from_u64(case.seed).fork("kernel");
        let plan = Plan::new(case);
        let net = Net::new(case, &plan, &seed);
        Self {
            now: Instant::ZERO,
            seed,
            plan,
            seats: Vec::new(),
            processes: Vec::new(),
            members: BTreeMap::new(),
            places: BTreeMap::new(),
            out: Outside { net, events: Events::new(), trace, notes: Vec::new() },
            handled: 0,
        }
    }

    /// The process of a member of the case, at its address and in its zone; made when it is first
    /// asked for.
    pub fn process(&mut self, member: Member) -> ProcessId {
        if let Some(id) = self.members.get(&member) {
            return *id;
        }
        let id = ProcessId(self.processes.len());
        self.members.insert(member, id);
        self.out.net.host(&self.plan, member);
        self.processes.push(Process {
            member,
            life: 0,
            running: true,
            powered: true,
            clock: self.clock(member, 0),
            cpu: self.plan.cpu(member),
            boots: 0,
            seats: Vec::new(),
        });
        id
    }

    /// Seats the machine that `make` makes, told its seed and its clock. Its process must run.
    pub fn seat<H>(
        &mut self,
        place: Place,
        name: &str,
        make: impl FnOnce(&Seed, Instant) -> H,
    ) -> SeatId
    where
        H: Host + 'static,
        H::Letter: Debug + 'static,
    {
        let id = SeatId(self.seats.len());
        let process = &mut self.processes[place.process.0];
        assert!(process.running, "{name} was seated in a process that has ended");
        process.seats.push(id);
        let (clock, life) = (process.clock, process.life);
        let seed = self.seed.fork(&process.member.name()).fork_at(name, life);
        let mut lots = Lots::new(seed.fork("driver").roll().long());
        let host = make(&seed.fork("machine"), clock.local(self.now));
        let home = Home { process: place.process, life };
        let seat = Box::new(Seat::new(host, id, home, name, clock, lots.apart()));
        self.places.insert((place.process, place.address), id);
        self.seats.push(Held {
            seat,
            process: place.process,
            alive: true,
            turning: false,
            alarm: None,
            wanted: None,
            busy: self.now,
            lots,
        });
        self.wake(id);
        id
    }

    /// Lets `seats`, which share a process, accept what is dialled at `addr`, each connection one
    /// of them.
    pub fn listen(&mut self, addr: SocketAddr, port: Port, seats: Vec<SeatId>) {
        let process = seats.first().map(|id| self.seats[id.0].process).expect("somebody listens");
        self.out.net.listen(process, addr, port, seats);
    }

    /// Gives a machine its UDP socket, at `addr`.
    pub fn bind(&mut self, addr: SocketAddr, seat: SeatId) {
        self.seats[seat.0].seat.bind(addr);
        self.out.net.bind(addr, seat);
    }

    /// Gives the driver of a machine the keys of its cluster, by which it speaks to other nodes.
    pub fn protect(&mut self, seat: SeatId, keys: &Ring, cluster: &str) {
        let seed = self.seed.fork_at("wires", seat.0 as u64);
        self.seats[seat.0].seat.protect(Wires::of(keys, cluster, seed));
    }

    /// Gives a host name its addresses, instead of those that it had.
    pub fn name(&mut self, name: &str, ips: Vec<IpAddr>) {
        self.out.net.name(name, ips);
    }

    /// Sends a letter from outside.
    pub fn tell<L: 'static>(&mut self, seat: SeatId, letter: L) {
        let delivery = Delivery::Letter(Box::new(letter), 0);
        self.out.events.add(self.now, Event::Deliver(seat, delivery));
    }

    /// From now on datagrams are overheard.
    pub fn overhear(&mut self) {
        self.out.net.overhear();
    }

    /// A datagram comes to `to` that somebody outside has sent in the name of `from`.
    pub fn inject(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let datagram = Datagram { from, to, bytes: BytesMut::from(bytes), cause: 0 };
        self.out.events.add(self.now, Event::Datagram(datagram));
    }

    /// A process ends without a word; its machine lives on, and resets its connections.
    pub fn crash(&mut self, process: ProcessId) {
        self.end(process);
        self.out.net.crash(self.now, process, &mut self.out.events);
    }

    /// A machine loses its power: nobody hears of it, and what is sent to it vanishes until it is
    /// revived. Then its old streams are answered with resets.
    pub fn power_off(&mut self, process: ProcessId) {
        self.end(process);
        self.processes[process.0].powered = false;
        self.out.net.power_off(self.now, process);
    }

    /// A process begins a new life, at the same address; what is left of the old one ends as in a
    /// crash. Its machines and listeners are to be seated and opened anew.
    pub fn revive(&mut self, process: ProcessId) {
        if self.processes[process.0].running {
            self.crash(process);
        }
        let found = &mut self.processes[process.0];
        found.life += 1;
        found.running = true;
        if !std::mem::replace(&mut found.powered, true) {
            found.boots += 1;
            let (member, boots) = (found.member, found.boots);
            self.out.net.power_on(process);
            self.processes[process.0].clock = self.clock(member, boots);
        }
    }

    /// Goes on until `until`, or until `enough` says so after a turn; says whether it did.
    /// Panics when events go on with hardly any time between them: that is a machine that spins.
    pub fn run(&mut self, until: Instant, mut enough: impl FnMut(&Self) -> bool) -> bool {
        let mut at_once = 0;
        let (mut since, mut within) = (self.now, 0_u64);
        while let Some(at) = self.out.events.next_at().filter(|at| *at <= until) {
            at_once = if at > self.now { 0 } else { at_once + 1 };
            assert!(at_once < 1_000_000, "a million events at {at:?}: somebody spins");
            (since, within) = if at.since(since) > SECOND { (at, 0) } else { (since, within + 1) };
            assert!(within < BUSIEST, "{BUSIEST} events within a second at {at:?}: somebody spins");
            self.now = at;
            if let Some((_, event)) = self.out.events.pop() {
                self.handled += 1;
                if self.happen(event) && enough(self) {
                    return true;
                }
            }
        }
        self.now = until;
        false
    }

    /// The machine at `seat`, to change it between events: for scripted actors. It gets a turn.
    pub fn host_mut<H: Host + 'static>(&mut self, id: SeatId) -> &mut H {
        self.wake(id);
        let seat = self.seats[id.0].seat.any_mut().downcast_mut::<Seat<H>>();
        &mut seat.expect("the machine is of the type it was seated as").host
    }

    fn clock(&self, member: Member, boots: u64) -> Clock {
        let mut dice = self.seed.fork(&member.name()).fork_at("clock", boots).roll();
        Clock::new(dice.below(OFFSET_NANOS), self.plan.drift(member))
    }

    /// Lets an event happen; says whether it was somebody's turn.
    fn happen(&mut self, event: Event) -> bool {
        let now = self.now;
        let Outside { net, events, .. } = &mut self.out;
        match event {
            Event::Turn(id) => {
                self.turn(id);
                return true;
            }
            Event::Alarm(id, at) => {
                let held = &mut self.seats[id.0];
                if held.alarm.take_if(|alarm| *alarm == at).is_some() {
                    match held.wanted {
                        // It has changed its mind since: a turn now would change nothing.
                        Some(later) if later > now => self.set_alarm(id, later),
                        Some(_) => self.wake(id),
                        None => {}
                    }
                }
            }
            Event::Arrive(socket) => match net.arrive(now, socket, events) {
                Landed::Nothing => {}
                Landed::Poke(id, conn) => self.deliver(id, Delivery::Poke(conn)),
                Landed::Knock(id, caller) => self.deliver(id, Delivery::Caller(caller)),
            },
            Event::Poke(socket) => {
                if let Some((id, conn)) = net.owner(socket) {
                    self.deliver(id, Delivery::Poke(conn));
                }
            }
            Event::Retry(socket, since, wait) => net.retry(now, (socket, since, wait), events),
            Event::LookAfter(socket, asked) => net.look_after(now, (socket, asked), events),
            Event::GiveUp(socket) => net.give_up(now, socket, events),
            Event::Dial(dialling) => {
                let knocked = net.try_dial(now, dialling, events);
                self.knocked(knocked);
            }
            Event::Knock(dialling) => net.knock(now, dialling, events),
            Event::Refuse(dialling) => {
                let knocked = net.refuse(dialling);
                self.knocked(knocked);
            }
            Event::Answer(dialling, link) => {
                let knocked = net.answer(now, dialling, link, events);
                self.knocked(knocked);
            }
            Event::Deliver(id, delivery) => self.deliver(id, delivery),
            Event::Datagram(datagram) => {
                if let Some(id) = net.bound(datagram.to) {
                    self.deliver(id, Delivery::Datagram(datagram));
                }
            }
            Event::Post { home, to, letter, cause } => {
                if self.processes[home.process.0].life == home.life
                    && let Some(id) = self.places.get(&(home.process, to))
                {
                    self.deliver(*id, Delivery::Letter(letter, cause));
                }
            }
        }
        false
    }

    fn turn(&mut self, id: SeatId) {
        let held = &mut self.seats[id.0];
        held.turning = false;
        if !held.alive {
            return;
        }
        let Turned { next, inputs, bytes } = held.seat.turn(self.now, &mut self.out);
        let cost = self.processes[held.process.0].cpu.cost(self.now, inputs, bytes);
        held.busy = self.now + Duration::from_nanos(cost);
        if held.seat.is_done() {
            held.alive = false;
            return held.seat.end(self.now, &mut self.out);
        }
        held.wanted = next;
        match next {
            Some(at) if at <= self.now => self.wake(id),
            // An alarm that is set for earlier stays, and is set anew when it goes off.
            Some(at) if held.alarm.is_none_or(|set| set > at) => self.set_alarm(id, at),
            Some(_) | None => {}
        }
    }

    fn set_alarm(&mut self, id: SeatId, at: Instant) {
        let held = &mut self.seats[id.0];
        held.alarm = Some(at);
        // Timers of real systems are late, never early.
        let late = held.lots.delay();
        self.out.events.add(at + late, Event::Alarm(id, at));
    }

    fn knocked(&mut self, knocked: Option<Knocked>) {
        if let Some(knocked) = knocked {
            let (Knocked::Connected { seat, .. } | Knocked::Unreachable { seat, .. }) = &knocked;
            self.deliver(*seat, Delivery::Knocked(knocked));
        }
    }

    fn deliver(&mut self, id: SeatId, delivery: Delivery) {
        if self.seats[id.0].alive {
            self.seats[id.0].seat.deliver(delivery);
            self.wake(id);
        }
    }

    /// Gives a seat a turn soon: when its last one is over, and its process is not paused.
    fn wake(&mut self, id: SeatId) {
        let held = &mut self.seats[id.0];
        if held.alive && !std::mem::replace(&mut held.turning, true) {
            let soon = self.now + held.lots.delay() + WAKE;
            let at = self.processes[held.process.0].cpu.awake(soon.max(held.busy));
            self.out.events.add(at, Event::Turn(id));
        }
    }

    fn end(&mut self, process: ProcessId) {
        let found = &mut self.processes[process.0];
        found.running = false;
        for id in found.seats.drain(..) {
            let held = &mut self.seats[id.0];
            held.alive = false;
            held.seat.die();
        }
        self.places.retain(|(other, _), _| *other != process);
    }
}

impl Lots {
    /// How long a system takes to wake somebody.
    fn delay(&mut self) -> Duration {
        let most = *self.pick(&[0, 1_000, 30_000]);
        Duration::from_nanos(self.below(most + 1))
    }
}

/// The least that a system takes to wake somebody.
const WAKE: Duration = Duration::from_nanos(100);
/// More events than the largest world has in a second.
const BUSIEST: u64 = 20_000_000;
const SECOND: Duration = Duration::from_secs(1);
/// Clocks began at most so long ago.
const OFFSET_NANOS: u64 = 1_000_000_000_000_000;
