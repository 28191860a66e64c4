//! An agent, its server, and a connection between them that fails at every step, in every way.

use bytes::BytesMut;
use pico_core::agent::{self, Agent, HostHeader, Letter, Listener, Service, Settings};
use pico_core::host::{Action, Fault, Host as _, Input, Port};
use pico_core::id::ConnId;
use pico_core::note::Note;
use pico_core::rpc::Identity;
use pico_core::{Instant, Limits, Machine as _, Outbox, Seed};
use pico_sim::choices::Choices;
use pico_sim::exhaust::{self, server::Server};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What can go wrong when somebody dials, or when bytes are on their way.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Mishap {
    /// Nothing.
    Fine,
    /// Nobody listens; the connection breaks for both.
    Break,
    /// Nobody answers, now and ever.
    Silence,
    /// The agent hears that it broke, the server hears nothing more.
    HalfOpen,
    /// The server dies, and another takes its place.
    Restart,
}

const KINDS: [Mishap; 5] =
    [Mishap::Fine, Mishap::Break, Mishap::Silence, Mishap::HalfOpen, Mishap::Restart];

/// A connection that the agent dialled.
#[derive(Default, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not hang together")]
struct Link {
    /// The server's end, if it heard of it.
    far: Option<ConnId>,
    /// Nothing passes any more.
    silent: bool,
    /// The agent wants to send FIN, or has.
    finishing: bool,
    finished: bool,
    /// The server's FIN was passed on.
    eof: bool,
}

struct World {
    now: Instant,
    agent: Agent,
    server: Server,
    limits: Arc<Limits>,
    /// The connections that the agent holds.
    links: BTreeMap<ConnId, Link>,
    online: bool,
    /// Faults that may still happen, and when the last one did.
    faults: usize,
    last: Instant,
    dials: usize,
    rejected: bool,
}

impl World {
    fn new(faults: usize) -> Self {
        let limits = Arc::new(Limits::default());
        let now = Instant::ZERO + Duration::from_secs(1);
        let listener = Listener {
            endpoint: "a".parse().expect("a name"),
            service: Service { host: "10.0.0.2".into(), port: 80 },
            host_header: HostHeader::Keep,
        };
        let server = agent::Server { host: "10.0.0.1".into(), port: 8002, prefix: String::new() };
        let settings = Settings::new(server, Identity::default(), vec![listener]);
        let agent = Agent::new(now, settings, Seed::from_u64(3), Arc::clone(&limits));
        Self {
            now,
            agent: agent.expect("settings that work"),
            server: Server::new(now, &limits),
            limits,
            links: BTreeMap::new(),
            online: false,
            faults,
            last: now,
            dials: 0,
            rejected: false,
        }
    }

    /// What goes wrong at this point.
    fn fault(&mut self, choices: &mut Choices) -> Mishap {
        if self.faults == 0 {
            return Mishap::Fine;
        }
        let fault = *choices.pick(&KINDS);
        if fault != Mishap::Fine {
            self.faults -= 1;
            self.last = self.now;
        }
        fault
    }

    fn tell(&mut self, input: Input<Letter>) {
        self.agent.handle(self.now, input);
    }

    /// The agent hears that a connection broke.
    fn lose(&mut self, conn: ConnId) {
        if self.links.remove(&conn).is_some() {
            self.tell(Input::Lost { conn, fault: Fault::Reset });
        }
    }

    /// Lets it go wrong, on a connection over which bytes are on their way. Returns whether they
    /// still arrive.
    fn strike(&mut self, conn: ConnId, fault: Mishap) -> bool {
        let far = self.links.get(&conn).and_then(|link| link.far);
        match fault {
            Mishap::Fine => return true,
            Mishap::Break => {
                if let Some(far) = far {
                    self.server.lose(self.now, far);
                }
                self.lose(conn);
            }
            Mishap::Silence => self.links.entry(conn).or_default().silent = true,
            Mishap::HalfOpen => self.lose(conn),
            Mishap::Restart => self.restart(),
        }
        false
    }

    fn restart(&mut self) {
        self.server = Server::new(self.now, &self.limits);
        let held: Vec<ConnId> = self.links.keys().copied().collect();
        for conn in held {
            self.lose(conn);
        }
    }

    fn dial(&mut self, conn: ConnId, fault: Mishap) {
        self.dials += 1;
        let peer = "10.0.0.1:8002".parse().expect("an address");
        match fault {
            Mishap::Fine => {
                let far = Some(self.server.accept(self.now, Port::Upstream));
                self.links.insert(conn, Link { far, ..Link::default() });
                self.tell(Input::Connected { conn, peer });
            }
            Mishap::Break => self.tell(Input::Unreachable { conn, fault: Fault::Refused }),
            // It is dialled until the agent gives up.
            Mishap::Silence => {
                self.links.insert(conn, Link { silent: true, ..Link::default() });
            }
            // The server has it, and the agent does not.
            Mishap::HalfOpen => {
                self.server.accept(self.now, Port::Upstream);
                self.tell(Input::Unreachable { conn, fault: Fault::TimedOut });
            }
            Mishap::Restart => {
                self.restart();
                self.tell(Input::Unreachable { conn, fault: Fault::Refused });
            }
        }
        // One listener, of which no tunnel drains: one connection.
        assert!(self.links.len() <= 1, "{} connections at once", self.links.len());
    }

    fn act(&mut self, choices: &mut Choices, action: &Action<Letter>) {
        match *action {
            Action::Dial { conn, .. } => {
                let fault = self.fault(choices);
                self.dial(conn, fault);
            }
            Action::Finish(conn) => {
                if let Some(link) = self.links.get_mut(&conn) {
                    link.finishing = true;
                }
            }
            Action::Close(conn) => {
                let link = self.links.remove(&conn).unwrap_or_default();
                if let Some(far) = link.far.filter(|_| !link.silent) {
                    self.server.lose(self.now, far);
                }
            }
            Action::Note(Note::Online { .. }) => self.online = true,
            Action::Note(Note::Offline { .. }) => self.online = false,
            Action::Note(Note::Rejected { .. }) | Action::Done => self.rejected = true,
            Action::Resolve { .. }
            | Action::Letter { .. }
            | Action::Unlisten(_)
            | Action::Datagram { .. } => {
                panic!("{action:?} by an agent");
            }
            Action::Write(_) | Action::Read(_) | Action::Note(_) => {}
        }
    }

    /// Lets all happen that can happen now. Returns whether anything did.
    fn step(&mut self, choices: &mut Choices) -> bool {
        let mut moved = false;
        while let Some(action) = self.agent.poll() {
            self.act(choices, &action);
            moved = true;
        }
        let held: Vec<ConnId> = self.links.keys().copied().collect();
        for conn in held {
            moved |= self.carry_up(choices, conn) | self.carry_down(choices, conn);
        }
        moved
    }

    /// What the agent has to say goes to the server.
    fn carry_up(&mut self, choices: &mut Choices, conn: ConnId) -> bool {
        let outbox = self.agent.outbox(conn).into_iter();
        let bytes: Vec<u8> = outbox.flat_map(Outbox::pieces).flatten().copied().collect();
        let Some(link) = self.links.get_mut(&conn) else { return false };
        let (far, silent) = (link.far, link.silent);
        if bytes.is_empty() {
            let fin = link.finishing && !link.finished;
            link.finished |= fin;
            if let Some(far) = far.filter(|_| fin && !silent) {
                self.server.eof(self.now, far);
            }
            return fin;
        }
        if far.is_none() {
            return false;
        }
        self.tell(Input::Sent { conn, count: bytes.len() });
        if silent {
            return true;
        }
        let fault = self.fault(choices);
        if self.strike(conn, fault)
            && let Some(far) = far
        {
            self.server.receive(self.now, far, &bytes);
        }
        true
    }

    /// What the server has to say goes to the agent.
    fn carry_down(&mut self, choices: &mut Choices, conn: ConnId) -> bool {
        let Some(Link { far: Some(far), silent, eof, .. }) = self.links.get(&conn) else {
            return false;
        };
        let (far, silent, eof) = (*far, *silent, *eof);
        let bytes = self.server.take(self.now, far);
        if silent {
            return !bytes.is_empty();
        }
        if !bytes.is_empty() {
            let fault = self.fault(choices);
            if self.strike(conn, fault) {
                let bytes = BytesMut::from(&bytes[..]);
                self.tell(Input::Received { conn, bytes });
            }
            return true;
        }
        if self.server.is_finished(far) && !eof {
            self.links.entry(conn).or_default().eof = true;
            self.tell(Input::Eof { conn });
            return true;
        }
        if self.server.is_closed(far) {
            self.lose(conn);
            return true;
        }
        false
    }

    /// Goes on until `until`, or until `enough`.
    fn run(&mut self, choices: &mut Choices, until: Instant, enough: impl Fn(&Self) -> bool) {
        let mut steps = 0;
        while self.now < until && !enough(self) {
            while self.step(choices) {
                steps += 1;
                assert!(steps < 10_000, "it spins");
            }
            if enough(self) {
                return;
            }
            let due = self.agent.deadline().into_iter().chain(self.server.deadline()).min();
            self.now = due.unwrap_or(until).min(until).max(self.now);
            self.agent.tick(self.now);
            self.server.tick(self.now);
            steps += 1;
            assert!(steps < 10_000, "it spins");
        }
        while self.step(choices) {}
    }

    fn is_home(&self) -> bool {
        let fars = self.links.values().filter(|link| !link.silent).filter_map(|link| link.far);
        self.online
            && !self.server.serving.is_empty()
            && self.server.serving.iter().copied().eq(fars)
    }
}

/// Returns how long the agent took to come back after the last fault, if all happened.
fn play(choices: &mut Choices, faults: usize) -> Option<Duration> {
    let mut world = World::new(faults);
    let horizon = world.now + Duration::from_mins(1);
    world.run(choices, horizon, |world| world.faults == 0);
    let all = core::mem::take(&mut world.faults) == 0;
    let bound = world.last.max(world.now) + Duration::from_mins(1);
    world.run(choices, bound, World::is_home);
    assert!(!world.rejected, "the agent gave up");
    assert!(world.is_home(), "the agent is not back: {:?}", world.links);
    let took = world.now.since(world.last);
    let calm = world.now + Duration::from_mins(1);
    let dials = world.dials;
    world.run(choices, calm, |_| false);
    assert!(world.is_home(), "the agent does not stay");
    assert_eq!(world.dials, dials, "the agent dials although it is online");
    assert_eq!(world.server.worker().connections(), 1, "connections are left over");
    all.then_some(took)
}

fn search(name: &str, decisions: usize, faults: usize) {
    let mut longest = Duration::ZERO;
    exhaust::all(name, decisions, 200_000, |choices| {
        longest = longest.max(play(choices, faults).unwrap_or_default());
    });
    println!("{name}: the longest way back took {longest:.1?}");
    assert!(longest <= Duration::from_secs(30), "{longest:?}");
}

#[test]
fn an_agent_always_comes_back_and_is_registered_once() {
    search("one agent, two faults", DECISIONS, 2);
}

#[test]
fn an_agent_that_is_struck_while_it_comes_back_comes_back() {
    search("one agent, three faults early", 8, 3);
}

/// From the first dial to a heartbeat of a tunnel that lasts.
const DECISIONS: usize = 20;
