//! Gossip in hand: what it sends goes nowhere, and the test says what it hears.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use bytes::BytesMut;
use core::net::SocketAddr;
use core::time::Duration;
use pico_core::gossip::wire::{self, Envelope, Message, Standing};
use pico_core::gossip::{Action, Input, Machine, Member, NodeId, Pace, Ring, Settings, State};
use pico_core::host::DATAGRAM_MAX;
use pico_core::id::Boot;
use pico_core::{Instant, Machine as _, Seed};

pub const ME: Boot = Boot(100);
pub const TOP: u64 = (1 << 60) - 1;

pub fn addr(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], port))
}

pub fn member(boot: u64, name: &str) -> Member {
    Member {
        boot: Boot(boot),
        generation: 10,
        incarnation: 0,
        state: State::Alive,
        addr: addr(u16::try_from(boot % 60_000 + 1).unwrap()),
        versions: (1, 1),
        id: NodeId::parse(name.as_bytes()).unwrap(),
        notes: Vec::new(),
    }
}

pub fn named(boot: u64) -> Member {
    member(boot, &format!("node-{boot}"))
}

/// A node, its clock, and what it asked for since the last look.
pub struct Node {
    pub gossip: Machine,
    pub now: Instant,
}

impl Node {
    pub fn new() -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let Member { generation, addr, id, .. } = named(ME.0);
        let (cluster, boot, notes) = ("pico".into(), ME, Vec::new());
        let pace = Pace::default();
        let settings =
            Settings { cluster, keys: Ring::default(), boot, generation, id, addr, notes, pace };
        Self { gossip: Machine::new(now, settings, &Seed::from_u64(1)), now }
    }

    /// A packet of `from`, and what comes of it.
    pub fn hear(&mut self, from: &Member, messages: &[Message]) -> Vec<Action> {
        self.hear_at(from.boot, from.addr, messages)
    }

    pub fn hear_at(&mut self, from: Boot, addr: SocketAddr, messages: &[Message]) -> Vec<Action> {
        let bytes = packet(from, messages);
        self.gossip.handle(self.now, Input::Datagram { from: addr, bytes });
        self.actions()
    }

    pub fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.gossip.poll()).collect()
    }

    pub fn pass(&mut self, span: Duration) -> Vec<Action> {
        let until = self.now + span;
        let mut all = Vec::new();
        while let Some(due) = self.gossip.deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.gossip.tick(self.now);
            all.extend(self.actions());
        }
        self.now = until;
        all
    }

    /// The same, while these answer every ping.
    pub fn pass_among(&mut self, span: Duration, friends: &[Member]) -> Vec<Action> {
        let until = self.now + span;
        let mut all = Vec::new();
        while let Some(due) = self.gossip.deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.gossip.tick(self.now);
            let actions = self.actions();
            for friend in friends {
                let said = sent(&actions, friend.addr).into_iter();
                let acks = said.filter_map(|said| match said {
                    Message::Ping { seq, .. } => Some(Message::Ack { seq }),
                    _ => None,
                });
                let acks: Vec<Message> = acks.collect();
                if !acks.is_empty() {
                    all.extend(self.hear(friend, &acks));
                }
            }
            all.extend(actions);
        }
        self.now = until;
        all
    }

    pub fn state(&self, boot: u64) -> Option<State> {
        let mut members = self.gossip.members();
        members.find(|member| member.boot == Boot(boot)).map(|member| member.state)
    }
}

/// A node that knows these others.
pub fn among(friends: &[Member]) -> Node {
    let mut node = Node::new();
    for friend in friends {
        node.hear(friend, &[Message::Member(friend.clone())]);
    }
    node
}

pub fn packet(from: Boot, messages: &[Message]) -> BytesMut {
    let mut bytes = BytesMut::new();
    Envelope { cluster: "pico", from }.put(&mut bytes);
    for message in messages {
        message.put(&mut bytes);
    }
    bytes
}

/// Everything that was sent to an address, which must be readable to its end.
pub fn sent(actions: &[Action], to: SocketAddr) -> Vec<Message> {
    let mut all = Vec::new();
    for action in actions {
        if let Action::Datagram { to: sent, bytes } = action
            && *sent == to
        {
            assert!(bytes.len() <= DATAGRAM_MAX);
            let (_, messages) = wire::open(bytes).unwrap();
            all.extend(messages.map(Result::unwrap));
        }
    }
    all
}

pub fn datagrams(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Datagram { .. })).count()
}

pub fn standing(of: &Member, state: State) -> Message {
    let Member { boot, incarnation, .. } = *of;
    Message::Standing(Standing { boot, incarnation, state, by: boot })
}

/// This one is dead, as those say who have just found out.
pub fn dead(of: &Member) -> Message {
    Message::Member(Member { state: State::Dead, ..of.clone() })
}
