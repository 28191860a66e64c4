//! Gossip under law: everything that others may say about a handful of boots and names, and
//! every other input.

use super::{Event, Seen, Subject};
use crate::choices::Choices;
use bytes::{Bytes, BytesMut};
use core::net::SocketAddr;
use core::time::Duration;
use pico_core::gossip::directory::{Op, Replica};
use pico_core::gossip::wire::{self, Envelope, Head, Message, Scope, Standing};
use pico_core::gossip::{
    Action, CONSULT_MAX, GENERATION_MAX, Held, Input, Machine, Member, NodeId, Pace, Ring,
    Settings, State,
};
use pico_core::host::DATAGRAM_MAX;
use pico_core::id::{AskId, Boot};
use pico_core::routing::EndpointId;
use pico_core::{Instant, Machine as _, Outbox, Seed};
use std::collections::{BTreeMap, VecDeque};

/// What one node's gossip meets.
#[derive(Default, Debug)]
pub struct Gossip {
    /// Consultations that nothing has come of yet.
    consults: VecDeque<(AskId, Boot)>,
    /// Questions of others that are not answered.
    asked: Vec<AskId>,
    asks: u64,
    /// Pings that were sent, and to where.
    pings: VecDeque<(u64, Boot, SocketAddr)>,
    /// What was last told of each member.
    told: BTreeMap<Boot, State>,
    /// What each serves, as told change by change.
    routes: BTreeMap<Boot, BTreeMap<EndpointId, u8>>,
}

/// Something that happens to gossip.
#[derive(Debug)]
pub enum Step {
    /// A datagram from one of a few addresses.
    Datagram(u16, Vec<u8>),
    /// A ping that was sent is answered, perhaps with more.
    Ack(usize, Vec<u8>),
    /// Another asks.
    Asked(Vec<u8>),
    /// A consultation is answered, perhaps by another than was asked.
    Answered(usize, Option<Boot>, Vec<u8>),
    /// A consultation comes to nothing.
    Unanswered(usize),
    /// Seeds at so many addresses.
    Seeds(u16),
    /// An endpoint is served by so many.
    Serve(&'static str, u32),
    /// A link breaks.
    LinkLost(Boot),
    /// The node drains.
    Drain,
    /// The node leaves.
    Leave,
    /// The node sleeps for so long, whatever it wanted.
    Sleep(Duration),
}

/// Bytes of a datagram or a consultation: messages about a few boots, and sometimes no messages.
pub fn draw_packet(choices: &mut Choices) -> Vec<u8> {
    let mut out = BytesMut::new();
    let cluster = if choices.chance(1, 32) { "another" } else { CLUSTER };
    Envelope { cluster, from: draw_boot(choices) }.put(&mut out);
    out.extend_from_slice(&draw_messages(choices));
    let mut bytes = out.to_vec();
    match choices.below(16) {
        0 => bytes.extend_from_slice(choices.bytes(64)),
        1 => bytes.truncate(choices.below(bytes.len())),
        2 => {
            let at = choices.below(bytes.len());
            bytes[at] = choices.byte();
        }
        3 => return choices.bytes(64).to_vec(),
        _ => {}
    }
    bytes
}

/// One message about a few boots.
pub fn draw_message(choices: &mut Choices) -> Message {
    let kind = choices.below(20);
    let boot = draw_boot(choices);
    match kind {
        0..=4 => Message::Member(draw_member(choices, boot)),
        5..=7 => {
            let (incarnation, state) = (draw_number(choices), *choices.pick(&State::ALL));
            Message::Standing(Standing { boot, incarnation, state, by: draw_boot(choices) })
        }
        8 => Message::Ping { seq: draw_number(choices), target: boot },
        9 => Message::Ack { seq: draw_number(choices) },
        10 => Message::Relay { seq: draw_number(choices), target: boot, addr: draw_addr(choices) },
        11 => Message::Nack { seq: draw_number(choices) },
        12 => Message::Who(boot),
        13 => Message::Root(draw_number(choices)),
        14 | 15 => {
            let scope = *choices.pick(&[Scope::Some, Scope::All, Scope::Latest]);
            let head = |choices: &mut Choices| Head {
                boot: draw_boot(choices),
                incarnation: draw_number(choices),
                head: draw_number(choices),
            };
            let heads = (0..choices.below(5)).map(|_| head(choices)).collect();
            Message::Heads { scope, heads }
        }
        16 | 17 => Message::Ops { boot, first: draw_number(choices), ops: draw_ops(choices) },
        18 => match choices.below(3) {
            0 => Message::Want { boot, after: draw_number(choices) },
            1 => Message::Behind { boot, head: draw_number(choices) },
            _ => {
                let name = draw_name(choices);
                let after = choices.chance(1, 2).then(|| name.parse().expect("a name"));
                Message::PageWant { boot, after }
            }
        },
        _ => {
            let mut entries = draw_ops(choices);
            entries.sort_unstable_by(|one, other| one.endpoint.cmp(&other.endpoint));
            entries.dedup_by(|one, other| one.endpoint == other.endpoint);
            let (head, last) = (draw_number(choices), choices.chance(1, 2));
            Message::Page { boot, head, last, entries }
        }
    }
}

pub(super) fn draw_messages(choices: &mut Choices) -> Vec<u8> {
    let mut out = BytesMut::new();
    for _ in 0..choices.below(6) {
        draw_message(choices).put(&mut out);
    }
    out.to_vec()
}

pub(super) fn draw_boot(choices: &mut Choices) -> Boot {
    *choices.pick(&[Boot(2), Boot(3), ME, Boot(4), Boot(6), Boot(7), Boot(2), Boot(0)])
}

fn draw_name(choices: &mut Choices) -> &'static str {
    NAMES[choices.below(NAMES.len())]
}

fn draw_number(choices: &mut Choices) -> u64 {
    const NUMBERS: [u64; 12] =
        [0, 1, 2, 3, 4, 5, 10, 100, 20_000, (1 << 60) - 2, (1 << 60) - 1, (1 << 62) - 1];
    *choices.pick(&NUMBERS)
}

fn draw_addr(choices: &mut Choices) -> SocketAddr {
    addr(u16::try_from(choices.below(6)).expect("a few"))
}

fn draw_ops(choices: &mut Choices) -> Vec<Op> {
    let op = |choices: &mut Choices| Op {
        endpoint: draw_name(choices).parse().expect("a name"),
        weight: *choices.pick(&[1, 0, 255]),
    };
    (0..choices.below(6)).map(|_| op(choices)).collect()
}

/// A member, whose name goes with its boot most of the time: 4 is a namesake of 2, and 6 and 7
/// are of the node itself.
fn draw_member(choices: &mut Choices, boot: Boot) -> Member {
    let usual = match boot.0 {
        2 | 4 => "two",
        3 => "three",
        _ => "me",
    };
    let id = if choices.chance(1, 16) { choices.pick(&["me", "two", "three"]) } else { usual };
    let generation = *choices.pick(&[GENERATION, 1, GENERATION + 1, GENERATION_MAX, ABSURD]);
    let notes = (0..choices.below(3)).map(|key| (u8::try_from(key).expect("few"), "x".into()));
    Member {
        boot,
        generation,
        incarnation: draw_number(choices),
        state: *choices.pick(&State::ALL),
        addr: draw_addr(choices),
        versions: (1, 1),
        id: NodeId::parse(id.as_bytes()).expect("a name"),
        notes: notes.collect(),
    }
}

pub(super) fn addr(which: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 8000 + which))
}

fn packet(from: Boot, messages: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    Envelope { cluster: CLUSTER, from }.put(&mut out);
    out.extend_from_slice(messages);
    out
}

impl Gossip {
    /// A new world and its machine, in a cluster with these keys.
    pub(super) fn with_keys(choices: &mut Choices, now: Instant, keys: Ring) -> (Self, Machine) {
        let settings = Settings {
            cluster: CLUSTER.into(),
            keys,
            boot: ME,
            generation: GENERATION,
            id: NodeId::parse(b"me").expect("a name"),
            addr: addr(0),
            notes: Vec::new(),
            pace: Pace::default(),
        };
        let seed = Seed::from_u64(u64::from(choices.byte()));
        (Self::default(), Machine::new(now, settings, &seed))
    }

    fn ask(&mut self, bytes: &[u8]) -> Input {
        self.asks += 1;
        self.asked.push(AskId(self.asks));
        Input::Asked { ask: AskId(self.asks), bytes: Bytes::copy_from_slice(bytes) }
    }

    fn consult(&mut self, which: usize) -> Option<(AskId, Boot)> {
        self.consults.remove(which.checked_rem(self.consults.len())?)
    }

    /// What a node says can be read, by this one's own rules too.
    fn read(bytes: &[u8], most: usize) -> Vec<Message> {
        assert!(bytes.len() <= most, "{} bytes of {most}", bytes.len());
        let (envelope, messages) = wire::open(bytes).expect("what is sent can be read");
        assert_eq!(envelope, Envelope { cluster: CLUSTER, from: ME });
        messages.map(|message| message.expect("what is sent can be read to its end")).collect()
    }

    fn told(&mut self, member: &Member, before: Option<State>) {
        let old = self.told.insert(member.boot, member.state);
        let same = before == old || before.is_some_and(|state| !state.is_live());
        assert!(before.is_none() || same, "{member:?}: {before:?} and not {old:?}");
        let again = !member.state.is_live() && old.is_some_and(|old| !old.is_live());
        assert!(!again, "{member:?} was gone already: {old:?}");
    }
}

impl Subject for Gossip {
    type Machine = Machine;
    type Wire = ();
    type Step = Step;

    // One answers each message of a datagram at most once or twice, and late wakes bring all that
    // is due.
    const POLLS_MAX: usize = 300;
    const DEADLINES_HOLD: bool = false;

    fn new(choices: &mut Choices, now: Instant) -> (Self, Machine) {
        Self::with_keys(choices, now, Ring::default())
    }

    fn draw(choices: &mut Choices) -> Step {
        let which = choices.below(8);
        let from = u16::try_from(which).expect("few");
        match choices.below(32) {
            0..=13 => Step::Datagram(from, draw_packet(choices)),
            14..=17 => Step::Ack(which, draw_messages(choices)),
            18..=20 => Step::Asked(draw_packet(choices)),
            21..=24 => {
                let other = choices.chance(1, 8).then(|| draw_boot(choices));
                Step::Answered(which, other, draw_messages(choices))
            }
            25 => Step::Unanswered(which),
            26 => Step::Seeds(from),
            27 => Step::Serve(draw_name(choices), u32::from(choices.byte())),
            28 => Step::LinkLost(draw_boot(choices)),
            29 => Step::Sleep(choices.span()),
            30 if choices.chance(1, 4) => Step::Leave,
            30 => Step::Drain,
            _ => Step::Serve(draw_name(choices), 0),
        }
    }

    fn perform(&mut self, machine: &mut Machine, now: Instant, step: &Step) -> Vec<Event<Self>> {
        let input = match step {
            Step::Datagram(from, bytes) => {
                Input::Datagram { from: addr(*from), bytes: BytesMut::from(&bytes[..]) }
            }
            Step::Ack(which, messages) => {
                let len = self.pings.len();
                let Some(at) = which.checked_rem(len) else { return Vec::new() };
                let Some((seq, boot, from)) = self.pings.remove(len - 1 - at) else {
                    return Vec::new();
                };
                let boot = if boot == Boot(0) { Boot(2) } else { boot };
                let mut bytes = packet(boot, messages);
                Message::Ack { seq }.put(&mut bytes);
                Input::Datagram { from, bytes }
            }
            Step::Asked(bytes) => self.ask(bytes),
            Step::Answered(which, other, messages) => {
                let Some((ask, to)) = self.consult(*which) else { return Vec::new() };
                let answer = packet(other.unwrap_or(to), messages).freeze();
                Input::Answered { ask, answer: Some(answer) }
            }
            Step::Unanswered(which) => {
                let Some((ask, _)) = self.consult(*which) else { return Vec::new() };
                Input::Answered { ask, answer: None }
            }
            Step::Seeds(count) => Input::Seeds((1..=*count).map(addr).collect()),
            Step::Serve(name, upstreams) => {
                Input::Serve { endpoint: name.parse().expect("a name"), upstreams: *upstreams }
            }
            Step::LinkLost(boot) => Input::LinkLost(*boot),
            Step::Drain => Input::Drain,
            Step::Leave => Input::Leave,
            Step::Sleep(span) => {
                machine.tick(now + *span);
                return Vec::new();
            }
        };
        vec![Event::Input(input)]
    }

    fn observe(&mut self, action: Action, seen: &mut Seen) {
        seen.event("actions", &action);
        match action {
            Action::Datagram { to, bytes } => {
                for message in Self::read(&bytes, DATAGRAM_MAX) {
                    if let Message::Ping { seq, target } = message {
                        self.pings.push_back((seq, target, to));
                    }
                }
                while self.pings.len() > 64 {
                    self.pings.pop_front();
                }
            }
            Action::Consult { ask, to, bytes, .. } => {
                drop(Self::read(&bytes, CONSULT_MAX));
                self.consults.push_back((ask, to));
            }
            Action::Answer { ask, bytes } => {
                let at = self.asked.iter().position(|asked| *asked == ask);
                self.asked.remove(at.expect("only questions are answered, and once"));
                if !bytes.is_empty() {
                    drop(Self::read(&bytes, CONSULT_MAX));
                }
            }
            Action::Member { member, before } => self.told(&member, before),
            Action::Serves { boot, changes } => {
                let routes = self.routes.entry(boot).or_default();
                for Op { endpoint, weight } in changes {
                    let old = if weight == 0 {
                        routes.remove(&endpoint)
                    } else {
                        routes.insert(endpoint.clone(), weight)
                    };
                    assert!(old.unwrap_or(0) != weight, "{endpoint} has changed to what it was");
                }
            }
            Action::Ready { .. }
            | Action::Missed { .. }
            | Action::Namesake(_)
            | Action::Unopened(_)
            | Action::Left => {}
        }
    }

    fn received((): (), _: BytesMut) -> Input {
        unreachable!("gossip has no streams")
    }

    fn eof((): ()) -> Input {
        unreachable!("gossip has no streams")
    }

    fn sent((): (), _: usize) -> Input {
        unreachable!("gossip has no streams")
    }

    fn wires(&self) -> Vec<()> {
        Vec::new()
    }

    fn outbox(_: &Machine, (): ()) -> Option<&Outbox> {
        None
    }

    fn room(_: &Machine, (): ()) -> usize {
        0
    }

    fn closes(action: &Action) -> bool {
        matches!(action, Action::Left)
    }

    fn check(&self, machine: &Machine) -> Result<(), String> {
        if let Some((what, count)) = machine.held().beyond(&MOST) {
            return Err(format!("{count} of {what}"));
        }
        if machine.me().generation == ABSURD {
            return Err("it says a generation that nobody believes".into());
        }
        for member in machine.members() {
            if member.generation == ABSURD {
                return Err(format!("{member:?} is believed"));
            }
            let told = self.told.get(&member.boot).copied();
            let gone = !member.state.is_live() && told.is_some_and(|told| !told.is_live());
            if told != Some(member.state) && !gone {
                return Err(format!("{member:?} was told as {:?}", self.told.get(&member.boot)));
            }
        }
        let none = BTreeMap::new();
        for boot in self.told.keys() {
            let told = self.routes.get(boot).unwrap_or(&none);
            let held = machine.directory(*boot).into_iter().flat_map(Replica::iter);
            if !held.eq(told.iter().map(|(endpoint, weight)| (endpoint, *weight))) {
                return Err(format!("{boot:?} serves other than was told: {told:?}"));
            }
        }
        Ok(())
    }
}

pub(super) const CLUSTER: &str = "pico";
pub(super) const ME: Boot = Boot(5);
pub(super) const GENERATION: u64 = 10;
/// A generation that no clock says.
const ABSURD: u64 = (1 << 60) - 1;
const NAMES: [&str; 6] = ["a", "ab", "abc", "b", "web-1", "web-2"];

/// What gossip about so few holds at most; raw bytes may bring in a few boots more.
pub(super) const MOST: Held = Held {
    members: 40,
    gone: 40,
    floors: 40,
    rumours: 200,
    replicas: 40,
    order: 200,
    doubtful: 40,
    news: 80,
    timers: 9 + 40 + Held::MOST.probes + Held::MOST.relays + Held::MOST.consults,
    ..Held::MOST
};
