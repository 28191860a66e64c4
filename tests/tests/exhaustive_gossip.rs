//! Everything that can be said of a name, in every order; and a node that leaves while any of
//! its packets are lost.
#![allow(clippy::unwrap_used, reason = "what a test does not expect fails it")]

use bytes::{Bytes, BytesMut};
use core::net::SocketAddr;
use core::time::Duration;
use pico_core::gossip::wire::{Envelope, Message, Standing};
use pico_core::gossip::{Action, Input, Machine, Member, NodeId, Pace, Ring, Settings, State};
use pico_core::id::{AskId, Boot};
use pico_core::{Instant, Machine as _, Seed};
use pico_sim::choices::Choices;
use pico_sim::exhaust::{self, States};
use std::collections::BTreeMap;

fn addr(node: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(node + 1).unwrap()], 8003))
}

fn boot(node: usize) -> Boot {
    Boot(u64::try_from(node).unwrap() + 1)
}

fn name(node: usize) -> NodeId {
    NodeId::parse(format!("node-{node}").as_bytes()).unwrap()
}

fn machine(now: Instant, node: usize) -> Machine {
    let settings = Settings {
        cluster: "pico".into(),
        keys: Ring::default(),
        boot: boot(node),
        generation: 10,
        id: name(node),
        addr: addr(node),
        notes: Vec::new(),
        pace: Pace::default(),
    };
    Machine::new(now, settings, &Seed::from_u64(u64::try_from(node).unwrap()))
}

/// A node hears a message from a third one.
fn hear(machine: &mut Machine, message: &Message) {
    let mut bytes = BytesMut::new();
    Envelope { cluster: "pico", from: boot(8) }.put(&mut bytes);
    message.put(&mut bytes);
    machine.handle(Instant::ZERO, Input::Datagram { from: addr(8), bytes });
    while machine.poll().is_some() {}
}

/// One of two runs of a node, in one of three incarnations, in any state.
fn saying(choices: &mut Choices, runs: usize) -> Member {
    let run = choices.below(runs);
    Member {
        boot: boot(run + 3),
        generation: 10 + u64::try_from(run).unwrap(),
        incarnation: u64::try_from(choices.below(3)).unwrap(),
        state: *choices.pick(&State::ALL),
        addr: addr(3),
        versions: (1, 1),
        id: name(3),
        notes: Vec::new(),
    }
}

/// What a node holds is the highest of what it heard: the record if that lives, and otherwise
/// the record or the floor below which there is none.
fn holds(machine: &Machine, highest: &Member) {
    assert_eq!(machine.last_of(&name(3)), Some(highest));
    let record = machine.members().find(|member| member.id == name(3));
    match record {
        Some(record) => assert_eq!(record, highest),
        None => assert!(!highest.state.is_live(), "{highest:?} is not known"),
    }
}

#[test]
fn in_whatever_order_sayings_come_the_highest_holds_and_nothing_dead_comes_back() {
    let mut states = States::default();
    let decisions = 3 * SAYINGS;
    let searched = exhaust::all("sayings of two runs", decisions, 1_000_000, |choices| {
        let mut node = machine(Instant::ZERO, 0);
        let mut highest: Option<Member> = None;
        for left in (0..SAYINGS).rev() {
            let said = saying(choices, 2);
            hear(&mut node, &Message::Member(said.clone()));
            let first = highest.as_ref().is_none_or(|old| said.rank() > old.rank());
            highest = if first { Some(said) } else { highest };
            let highest = highest.as_ref().unwrap();
            holds(&node, highest);
            let record = node.members().find(|member| member.id == name(3));
            if states.is_old(choices, &(left, highest, record)) {
                return;
            }
        }
    });
    assert!(searched.runs > 2_000 && states.len() > 100);
}

#[test]
fn of_a_member_that_is_known_its_state_alone_says_as_much_as_all_of_it() {
    let mut states = States::default();
    let decisions = 3 * SAYINGS;
    exhaust::all("sayings of one run", decisions, 1_000_000, |choices| {
        let mut node = machine(Instant::ZERO, 0);
        let known = Member { incarnation: 0, state: State::Alive, ..saying(&mut none(), 1) };
        hear(&mut node, &Message::Member(known.clone()));
        let mut highest = known;
        for left in (0..SAYINGS).rev() {
            let mut said = saying(choices, 1);
            let Member { boot, incarnation, state, .. } = said;
            let own = [State::Alive, State::Leaving, State::Left].contains(&state);
            let by = if own { boot } else { Boot(8) };
            let message = if choices.chance(1, 2) {
                if state == State::Dead {
                    // Of a third that lives, that is one more accusation, and of others nothing.
                    let live = highest.state.is_live();
                    said = if live {
                        Member { state: State::Suspect, ..said }
                    } else {
                        highest.clone()
                    };
                }
                Message::Standing(Standing { boot, incarnation, state, by })
            } else {
                Message::Member(said.clone())
            };
            hear(&mut node, &message);
            highest = if said.rank() > highest.rank() { said } else { highest };
            holds(&node, &highest);
            if states.is_old(choices, &(left, &highest)) {
                return;
            }
        }
    });
}

const SAYINGS: usize = 5;

fn none() -> Choices<'static> {
    Choices::new(&[])
}

/// A few nodes and their packets, which take a millisecond each.
struct Net {
    nodes: Vec<Machine>,
    now: Instant,
    coming: BTreeMap<(Instant, u64), (usize, Input)>,
    serial: u64,
    /// Who asked what, by the number under which the other was asked.
    asks: BTreeMap<AskId, (usize, AskId)>,
    left: Option<Instant>,
}

impl Net {
    fn new(count: usize) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let nodes: Vec<Machine> = (0..count).map(|node| machine(now, node)).collect();
        let (coming, asks) = (BTreeMap::new(), BTreeMap::new());
        Self { nodes, now, coming, serial: 0, asks, left: None }
    }

    fn send(&mut self, to: usize, input: Input) {
        self.serial += 1;
        self.coming.insert((self.now + Duration::from_millis(1), self.serial), (to, input));
    }

    fn tell(&mut self, node: usize, input: Input) {
        self.nodes[node].handle(self.now, input);
    }

    /// Carries out what the nodes ask for. Packets and consultations of the
    /// first one are lost if `lost` says so.
    fn act(&mut self, lost: &mut impl FnMut() -> bool) {
        for at in 0..self.nodes.len() {
            while let Some(action) = self.nodes[at].poll() {
                match action {
                    Action::Datagram { to, bytes } => {
                        let to = (0..self.nodes.len()).find(|node| addr(*node) == to).unwrap();
                        if (at == 0 || to == 0) && lost() {
                            continue;
                        }
                        let bytes = BytesMut::from(&bytes[..]);
                        self.send(to, Input::Datagram { from: addr(at), bytes });
                    }
                    Action::Consult { ask, addr: to, bytes, .. } => {
                        let to = (0..self.nodes.len()).find(|node| addr(*node) == to).unwrap();
                        let gone = (at == 0 || to == 0) && (self.left.is_some() || lost());
                        if gone {
                            self.send(at, Input::Answered { ask, answer: None });
                            continue;
                        }
                        self.serial += 1;
                        let own = AskId(self.serial);
                        self.asks.insert(own, (at, ask));
                        self.send(to, Input::Asked { ask: own, bytes });
                    }
                    Action::Answer { ask, bytes } => self.answer(ask, bytes),
                    Action::Left => self.left = Some(self.now),
                    Action::Member { .. } | Action::Serves { .. } | Action::Ready { .. } => {}
                    Action::Missed { .. } => panic!("nobody looks for others"),
                    Action::Namesake(_) | Action::Unopened(_) => panic!("nobody is strange"),
                }
            }
        }
    }

    fn answer(&mut self, ask: AskId, bytes: Bytes) {
        let (asker, ask) = self.asks.remove(&ask).unwrap();
        self.send(asker, Input::Answered { ask, answer: Some(bytes) });
    }

    /// Goes on for so long, or until `done`.
    fn run(
        &mut self,
        span: Duration,
        mut lost: impl FnMut() -> bool,
        mut done: impl FnMut(&Self) -> bool,
    ) {
        let until = self.now + span;
        loop {
            self.act(&mut lost);
            if done(self) {
                return;
            }
            let due = self.nodes.iter().filter_map(pico_core::Machine::deadline).min();
            let next = due.into_iter().chain(self.coming.keys().next().map(|(at, _)| *at)).min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            self.now = self.now.max(next);
            self.nodes.iter_mut().for_each(|node| node.tick(next));
            while let Some(entry) = self.coming.first_entry()
                && entry.key().0 <= self.now
            {
                let (to, input) = entry.remove();
                self.tell(to, input);
            }
        }
        self.now = until;
    }

    /// How a node holds the first one.
    fn held(&self, by: usize) -> Option<State> {
        let mut members = self.nodes[by].members();
        members.find(|member| member.boot == boot(0)).map(|member| member.state)
    }
}

#[test]
fn whatever_packets_of_a_leaving_node_are_lost_it_ends_and_nobody_holds_it_alive() {
    for count in [2, 3] {
        let mut ends = [0, 0];
        let name = format!("farewells among {count}");
        exhaust::all(&name, PACKETS + 1, 10_000, |choices| {
            leaves(count, choices, &mut ends);
        });
        println!("{ends:?} were told, and found out");
        assert!(ends.iter().all(|count| *count > 0), "{ends:?}");
    }
}

fn leaves(count: usize, choices: &mut Choices, ends: &mut [u32; 2]) {
    let mut net = Net::new(count);
    for node in 0..count {
        let seeds = (0..count).filter(|seed| *seed != node).map(addr).collect();
        net.tell(node, Input::Seeds(seeds));
    }
    net.run(Duration::from_secs(3), || false, |_| false);
    for node in &net.nodes {
        assert_eq!(node.members().filter(|member| member.state == State::Alive).count(), count - 1);
    }
    let begun = net.now;
    net.tell(0, Input::Leave);
    // All others share one fate.
    let rest = choices.chance(1, 2);
    let mut told = 0;
    let mut lost = || {
        told += 1;
        if told <= PACKETS { choices.chance(1, 2) } else { rest }
    };
    net.run(Duration::from_secs(5), &mut lost, |net| net.left.is_some());
    let took = net.left.expect("it leaves in the end").since(begun);
    let pace = Pace::default();
    assert!(took <= pace.leave + Duration::from_millis(200), "it took {took:?}");
    let by_ack = took < pace.leave;
    for by in 1..count {
        assert!(!by_ack || net.held(by) == Some(State::Left), "it was heard by {by}");
    }
    // From now on it is not there.
    let mut over = vec![false; count];
    net.run(
        Duration::from_secs(90),
        || true,
        |net| {
            for (by, over) in over.iter_mut().enumerate().skip(1) {
                let live = net.held(by).is_some_and(State::is_live);
                assert!(!live || !*over, "{by} takes it for alive again");
                *over |= !live;
            }
            false
        },
    );
    for by in 1..count {
        match net.held(by) {
            Some(State::Left) => ends[0] += 1,
            Some(State::Dead) => ends[1] += 1,
            other => panic!("{by} holds it {other:?}"),
        }
    }
}

/// Packets of which each is lost or not.
const PACKETS: usize = 9;
