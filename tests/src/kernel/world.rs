//! Time, events and everybody in it.

use super::events::Events;
use super::faults::Fault;
use super::net::{Dialled, Net, Socket};
use super::seat::{AnySeat, Caller, Delivery, Seat};
use super::trace::Trace;
use super::{ProcessId, SeatId};
use crate::draw::Draw as _;
use core::any::Any;
use core::fmt::Debug;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use pico_core::host::{self, Address, Host, Port};
use pico_core::id::ConnId;
use pico_core::note::Note;
use pico_core::{Dice, Instant, Seed};
use std::collections::{BTreeMap, BTreeSet};

/// A simulated world: hosts, the net between them, and time.
pub struct World {
    now: Instant,
    seed: Seed,
    seats: Vec<Held>,
    processes: Vec<IpAddr>,
    dead: BTreeSet<ProcessId>,
    places: BTreeMap<(ProcessId, Address), SeatId>,
    listeners: BTreeMap<SocketAddr, (Port, Vec<SeatId>)>,
    dice: Dice,
    out: Outside,
}

/// Where in the world a machine is put.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// In which process.
    pub process: ProcessId,
    /// Under which address its neighbours write to it.
    pub address: Address,
}

struct Held {
    seat: Box<dyn AnySeat>,
    /// Its next turn is in the heap.
    turning: bool,
    alarm: Option<Instant>,
}

/// What is outside of every host: what its turn acts upon.
pub(super) struct Outside {
    pub(super) net: Net,
    pub(super) events: Events<Event>,
    pub(super) trace: Trace,
    pub(super) notes: Vec<(Instant, SeatId, Note)>,
    pub(super) names: BTreeMap<String, Vec<IpAddr>>,
    ports: u16,
}

/// What happens next.
pub(super) enum Event {
    Turn(SeatId),
    /// The deadline that a seat had; stale if it has another by now.
    Alarm(SeatId, Instant),
    /// Something lands at the far end of this socket.
    Arrive(Socket),
    /// This socket may go on writing.
    Poke(Socket),
    /// A dial reaches its target.
    Knock {
        link: u64,
        from: (SeatId, ConnId),
        peer: SocketAddr,
        to: SocketAddr,
    },
    Deliver(SeatId, Delivery),
    Post(ProcessId, Address, Box<dyn Any>),
    Unlisten(SeatId, Port),
    Kill(ProcessId),
}

impl World {
    /// An empty world of this seed, in which `faults` will happen.
    pub fn new(seed: &Seed, faults: Vec<Fault>, trace: Trace) -> Self {
        let mut events = Events::new();
        for fault in &faults {
            if let Fault::Kill { process, at } = fault {
                events.add(*at, Event::Kill(*process));
            }
        }
        let net = Net::new(&seed.fork("net"), faults);
        let names = BTreeMap::new();
        Self {
            now: Instant::ZERO,
            seed: seed.fork("world"),
            seats: Vec::new(),
            processes: Vec::new(),
            dead: BTreeSet::new(),
            places: BTreeMap::new(),
            listeners: BTreeMap::new(),
            dice: seed.fork("accept").roll(),
            out: Outside { net, events, trace, notes: Vec::new(), names, ports: 32_768 },
        }
    }

    /// A new process with an address of its own.
    pub fn process(&mut self, ip: IpAddr) -> ProcessId {
        self.processes.push(ip);
        ProcessId(self.processes.len() - 1)
    }

    /// Seats the machine that `make` makes, told its seed and its clock.
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
        let seed = self.seed.fork_at(name, id.0 as u64);
        let ip = self.processes[place.process.0];
        let mut dice = seed.fork("driver").roll();
        let offset = dice.span(Duration::ZERO, Duration::from_secs(1_000_000));
        let host = make(&seed.fork("machine"), self.now + offset);
        let seat = Seat::new(host, id, place.process, name, ip, offset, dice);
        self.places.insert((place.process, place.address), id);
        self.seats.push(Held { seat: Box::new(seat), turning: false, alarm: None });
        self.wake(id);
        id
    }

    /// Lets `seats` accept what is dialled at `addr`, each connection one of them.
    pub fn listen(&mut self, addr: SocketAddr, port: Port, seats: Vec<SeatId>) {
        self.listeners.insert(addr, (port, seats));
    }

    /// Gives a host name its addresses.
    pub fn name(&mut self, name: &str, ips: Vec<IpAddr>) {
        self.out.names.insert(name.to_owned(), ips);
    }

    /// Sends a letter from outside.
    pub fn tell<L: 'static>(&mut self, seat: SeatId, letter: L) {
        let delivery = Delivery::Letter(Box::new(letter));
        self.out.events.add(self.now, Event::Deliver(seat, delivery));
    }

    /// Goes on until `until`, or until `enough` says so after an event; says whether it did.
    /// Panics when events go on without time: that is a machine that spins.
    pub fn run(&mut self, until: Instant, mut enough: impl FnMut(&Self) -> bool) -> bool {
        let mut at_once = 0;
        while let Some(at) = self.out.events.next_at().filter(|at| *at <= until) {
            at_once = if at > self.now { 0 } else { at_once + 1 };
            assert!(at_once < 1_000_000, "a million events at {at:?}: somebody spins");
            self.now = at;
            if let Some((_, event)) = self.out.events.pop() {
                self.happen(event);
            }
            if enough(self) {
                return true;
            }
        }
        self.now = until;
        false
    }

    /// What time it is in the world.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The machine at `seat`, which must be an `H`.
    pub fn host<H: Host + 'static>(&self, seat: SeatId) -> &H {
        let seat = self.seats[seat.0].seat.any().downcast_ref::<Seat<H>>();
        &seat.expect("the machine is of the type it was seated as").host
    }

    /// The machine at `seat`, to change it between events: for scripted actors. It gets a turn.
    pub fn host_mut<H: Host + 'static>(&mut self, id: SeatId) -> &mut H {
        self.wake(id);
        let seat = self.seats[id.0].seat.any_mut().downcast_mut::<Seat<H>>();
        &mut seat.expect("the machine is of the type it was seated as").host
    }

    /// Connections that the driver of `seat` holds.
    pub fn connections(&self, seat: SeatId) -> usize {
        self.seats[seat.0].seat.connections()
    }

    /// Whether the machine at `seat` said that it is done, or its process died.
    pub fn is_done(&self, seat: SeatId) -> bool {
        self.seats[seat.0].seat.is_done()
    }

    /// What the hosts told people.
    pub fn notes(&self) -> &[(Instant, SeatId, Note)] {
        &self.out.notes
    }

    /// What happened so far.
    pub fn trace(&self) -> &Trace {
        &self.out.trace
    }

    /// The net.
    pub fn net(&self) -> &Net {
        &self.out.net
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Turn(id) => self.turn(id),
            Event::Alarm(id, at) => {
                let held = &mut self.seats[id.0];
                if held.alarm.take_if(|alarm| *alarm == at).is_some() {
                    self.wake(id);
                }
            }
            Event::Arrive(socket) => {
                let reader = self.out.net.arrive(self.now, socket, &mut self.out.events);
                if let Some((id, conn)) = reader {
                    self.deliver(id, Delivery::Poke(conn));
                }
            }
            Event::Poke(socket) => {
                if let Some((id, conn)) = self.out.net.owner(socket) {
                    self.deliver(id, Delivery::Poke(conn));
                }
            }
            Event::Knock { link, from, peer, to } => self.knock(link, from, peer, to),
            Event::Deliver(id, delivery) => self.deliver(id, delivery),
            Event::Post(process, address, letter) => {
                if let Some(id) = self.places.get(&(process, address)) {
                    self.deliver(*id, Delivery::Letter(letter));
                }
            }
            Event::Unlisten(id, port) => {
                for (listened, seats) in self.listeners.values_mut() {
                    seats.retain(|seat| *listened != port || *seat != id);
                }
                self.deliver(id, Delivery::Unlistened(port));
            }
            Event::Kill(process) => self.kill(process),
        }
    }

    fn turn(&mut self, id: SeatId) {
        let held = &mut self.seats[id.0];
        held.turning = false;
        if self.dead.contains(&held.seat.process()) {
            return;
        }
        match held.seat.turn(self.now, &mut self.out) {
            Some(at) if at <= self.now => self.wake(id),
            Some(at) if held.alarm != Some(at) => {
                held.alarm = Some(at);
                // Timers of real systems are late, never early.
                let late = held.seat.delay();
                self.out.events.add(at + late, Event::Alarm(id, at));
            }
            Some(_) => {}
            None => held.alarm = None,
        }
    }

    fn deliver(&mut self, id: SeatId, delivery: Delivery) {
        self.seats[id.0].seat.deliver(self.now, delivery, &mut self.out);
        self.wake(id);
    }

    /// Gives a seat a turn soon.
    fn wake(&mut self, id: SeatId) {
        let held = &mut self.seats[id.0];
        if !std::mem::replace(&mut held.turning, true) {
            let at = self.now + held.seat.delay() + Duration::from_nanos(100);
            self.out.events.add(at, Event::Turn(id));
        }
    }

    fn knock(&mut self, link: u64, from: (SeatId, ConnId), peer: SocketAddr, to: SocketAddr) {
        let latency = self.dice.span(Duration::from_micros(20), Duration::from_millis(10));
        let at = self.now + latency;
        let ready = self.listeners.get(&to).map(|(port, seats)| {
            let alive = |id: &SeatId| {
                let seat = &self.seats[id.0].seat;
                !seat.is_done() && !self.dead.contains(&seat.process())
            };
            (*port, seats.iter().copied().filter(alive).collect::<Vec<_>>())
        });
        let Some((port, seats)) = ready.filter(|(_, seats)| !seats.is_empty()) else {
            let fault = host::Fault::Refused;
            let event = Event::Deliver(from.0, Delivery::Unreachable { conn: from.1, fault });
            return self.out.events.add(at, event);
        };
        let id = *self.dice.pick(&seats);
        self.seats[id.0].seat.knock(Caller { link, from, peer, to, port, latency });
        self.wake(id);
    }

    fn kill(&mut self, process: ProcessId) {
        self.dead.insert(process);
        for held in &mut self.seats {
            if held.seat.process() == process {
                held.seat.die(self.now, &mut self.out);
            }
        }
    }
}

impl Outside {
    pub(super) fn ephemeral(&mut self) -> u16 {
        self.ports = if self.ports == u16::MAX { 32_768 } else { self.ports + 1 };
        self.ports
    }

    pub(super) fn dial(
        &mut self,
        now: Instant,
        from: (SeatId, ConnId),
        peer: SocketAddr,
        to: SocketAddr,
    ) {
        let (link, latency, ends) = self.net.dial(from);
        let at = now + latency;
        match ends {
            Dialled::Answered => self.events.add(at, Event::Knock { link, from, peer, to }),
            Dialled::Refused => {
                let fault = host::Fault::Refused;
                let delivery = Delivery::Unreachable { conn: from.1, fault };
                self.events.add(at, Event::Deliver(from.0, delivery));
            }
            Dialled::Never => {}
        }
    }
}
