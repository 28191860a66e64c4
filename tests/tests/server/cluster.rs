//! Several nodes, whose links are carried by the test.

use super::{Agent, At, Rig};
use pico_core::head::RequestHead;
use pico_core::host::{Address, Port};
use pico_core::id::{Boot, StreamId, WorkerId};
use pico_core::routing::{Change, Peer, Peers, Place, Standing, Upstream};
use pico_core::rpc::Word;
use pico_core::server::{Letter, Settings, Worker};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub struct Cluster {
    pub nodes: Vec<Rig>,
    /// Agents, and at which node each is.
    pub agents: Vec<(usize, Agent)>,
    /// The worker of each node that accepts what is dialled.
    pub doors: Vec<usize>,
    /// Nodes at which nobody listens.
    pub shut: BTreeSet<usize>,
    /// Nodes that do not even say so.
    pub mute: BTreeSet<usize>,
    /// Both ends of each link, the dialler's first: node and connection.
    pub links: Vec<[(usize, At); 2]>,
    /// Links that carry nothing for now.
    pub blocked: BTreeSet<usize>,
    /// Connections that were asked for of a node that is mute.
    pub waiting: Vec<(usize, At)>,
    /// How often anybody was dialled.
    pub dials: usize,
    ended: BTreeSet<(usize, At)>,
    peers: Vec<Peers>,
}

pub fn boot(node: usize) -> Boot {
    Boot(node as u64 + 1)
}

fn address(node: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(node).unwrap()], 8004))
}

impl Cluster {
    /// Nodes with so many workers each, that know each other.
    pub fn new(workers: &[u16]) -> Self {
        Self::with(workers, &Settings::default())
    }

    pub fn with(workers: &[u16], settings: &Settings) -> Self {
        let rig = |(at, workers): (usize, &u16)| {
            let node_id = format!("n{at}");
            Rig::with(*workers, Settings { node_id, boot: boot(at), ..settings.clone() })
        };
        Self::of(workers.iter().enumerate().map(rig).collect())
    }

    /// These nodes, that know each other.
    pub fn of(nodes: Vec<Rig>) -> Self {
        let all = 0..nodes.len();
        let peer =
            |at: usize| Peer { id: format!("n{at}"), addr: address(at), standing: Standing::Alive };
        let others =
            |me: usize| all.clone().filter(|at| *at != me).map(|at| (boot(at), peer(at))).collect();
        let peers: Vec<Peers> = all.clone().map(others).collect();
        let mut cluster = Self {
            agents: Vec::new(),
            doors: vec![0; nodes.len()],
            shut: BTreeSet::new(),
            mute: BTreeSet::new(),
            links: Vec::new(),
            blocked: BTreeSet::new(),
            waiting: Vec::new(),
            dials: 0,
            ended: BTreeSet::new(),
            peers,
            nodes,
        };
        all.for_each(|at| cluster.introduce(at));
        cluster
    }

    /// Changes what a node knows of the others.
    pub fn know(&mut self, node: usize, change: impl FnOnce(&mut Peers)) {
        change(&mut self.peers[node]);
        self.introduce(node);
        self.settle();
    }

    fn introduce(&mut self, node: usize) {
        let peers = Arc::new(self.peers[node].clone());
        for worker in 0..self.nodes[node].workers.len() {
            let to = Address::Worker(WorkerId(u16::try_from(worker).unwrap()));
            self.nodes[node].write_to(to, Letter::Peers(Arc::clone(&peers)));
        }
    }

    /// A node hears that another serves an endpoint.
    pub fn route(&mut self, node: usize, endpoint: &str, to: usize) {
        self.route_to(node, endpoint, boot(to));
    }

    pub fn route_to(&mut self, node: usize, endpoint: &str, to: Boot) {
        self.put(node, endpoint, to, 1);
    }

    /// A node hears that another serves an endpoint by so many upstreams.
    pub fn route_with(&mut self, node: usize, endpoint: &str, to: usize, weight: u32) {
        self.put(node, endpoint, boot(to), weight);
    }

    fn put(&mut self, node: usize, endpoint: &str, to: Boot, weight: u32) {
        let upstream = Upstream { place: Place::Node(to), weight };
        let change = Change::Put(endpoint.parse().unwrap(), upstream);
        self.nodes[node].write_to(Address::Node, Letter::Changed(change));
    }

    /// An agent comes online at a worker of a node, of which the others do not hear.
    pub fn online(&mut self, node: usize, worker: usize, endpoint: &str) -> usize {
        let agent = Agent::online(&mut self.nodes[node], worker, endpoint);
        self.agents.push((node, agent));
        self.agents.len() - 1
    }

    /// An agent comes online at a worker of a node, of which the others hear.
    pub fn agent(&mut self, node: usize, worker: usize, endpoint: &str) -> usize {
        let agent = self.online(node, worker, endpoint);
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            self.route(other, endpoint, node);
        }
        agent
    }

    /// Carries everything until nothing moves.
    pub fn settle(&mut self) {
        loop {
            for (node, agent) in &mut self.agents {
                agent.pump(&mut self.nodes[*node]);
            }
            if !self.connect() && !self.carry() {
                return;
            }
        }
    }

    /// The connection that a node dials at last reaches another.
    pub fn join(&mut self, node: usize, at: At, other: usize) {
        let far = self.nodes[other].accept(self.doors[other], Port::Gossip);
        self.links.push([(node, at), (other, far)]);
        self.nodes[node].dialed(at, true);
        self.settle();
    }

    fn connect(&mut self) -> bool {
        let mut moved = false;
        for node in 0..self.nodes.len() {
            for (at, to) in std::mem::take(&mut self.nodes[node].dials) {
                moved = true;
                self.dials += 1;
                let found = (0..self.nodes.len()).find(|other| address(*other) == to);
                match found.filter(|other| !self.shut.contains(other)) {
                    Some(other) if self.mute.contains(&other) => self.waiting.push((node, at)),
                    Some(other) => {
                        let far = self.nodes[other].accept(self.doors[other], Port::Gossip);
                        self.links.push([(node, at), (other, far)]);
                        self.nodes[node].dialed(at, true);
                    }
                    None => self.nodes[node].dialed(at, false),
                }
            }
        }
        moved
    }

    fn carry(&mut self) -> bool {
        let mut moved = false;
        for link in 0..self.links.len() {
            let [a, b] = self.links[link];
            if self.blocked.contains(&link) {
                continue;
            }
            for ((from, here), (to, there)) in [(a, b), (b, a)] {
                let gone = self.nodes[to].closed.contains(&there);
                if !gone && self.nodes[to].has_room(there) {
                    let bytes = self.nodes[from].bytes(here);
                    if !bytes.is_empty() {
                        moved = true;
                        self.nodes[to].receive(there, &bytes);
                    }
                }
                let closed = self.nodes[from].closed.contains(&here);
                let ended = closed || self.nodes[from].finished.contains(&here);
                if ended && !gone && self.ended.insert((from, here)) {
                    moved = true;
                    self.nodes[to].eof(there);
                }
            }
        }
        moved
    }

    /// A link breaks at both ends.
    pub fn cut(&mut self, link: usize) {
        for (node, at) in self.links[link] {
            if !self.nodes[node].closed.contains(&at) {
                self.nodes[node].lose(at);
            }
        }
        self.settle();
    }

    /// A node is gone: whoever is linked with it sees a reset, and nobody reaches it any more.
    pub fn kill(&mut self, node: usize) {
        self.shut.insert(node);
        for (link, ends) in self.links.clone().into_iter().enumerate() {
            if ends.iter().any(|(end, _)| *end == node) && self.blocked.insert(link) {
                let other = ends.into_iter().find(|(end, _)| *end != node);
                let (other, at) = other.expect("no node is linked with itself");
                self.nodes[other].lose(at);
            }
        }
        self.settle();
    }

    /// Lets time pass, and everybody wake when they want to.
    pub fn pass(&mut self, span: Duration) {
        let until = self.nodes[0].now + span;
        for _ in 0..10_000 {
            let next = self.nodes.iter().filter_map(Rig::deadline).min();
            let next = next.filter(|at| *at <= until);
            let now = next.unwrap_or(until).max(self.nodes[0].now);
            self.nodes.iter_mut().for_each(|node| node.tick(now));
            self.settle();
            if next.is_none() {
                return;
            }
        }
        panic!("time does not pass");
    }

    /// A client of a worker of a node asks.
    pub fn ask(&mut self, node: usize, worker: usize, request: &str) -> (usize, At) {
        let client = self.nodes[node].ask(worker, request);
        self.settle();
        (node, client)
    }

    /// So many clients of the first worker of the first node ask.
    pub fn asks(&mut self, count: usize, request: &str) {
        for _ in 0..count {
            self.ask(0, 0, request);
        }
    }

    pub fn receive(&mut self, (node, client): (usize, At), bytes: &[u8]) {
        self.nodes[node].receive(client, bytes);
        self.settle();
    }

    /// What a client has got since the last time.
    pub fn text(&mut self, (node, client): (usize, At)) -> String {
        self.nodes[node].text(client)
    }

    /// The next call that came to an agent.
    pub fn called(&mut self, agent: usize) -> (StreamId, RequestHead) {
        self.settle();
        self.agents[agent].1.called.pop_front().expect("a call")
    }

    pub fn idle(&mut self, agent: usize) -> bool {
        self.settle();
        self.agents[agent].1.called.is_empty()
    }

    pub fn say(&mut self, agent: usize, stream: StreamId, word: Word) {
        let (node, agent) = &mut self.agents[agent];
        agent.say(&mut self.nodes[*node], stream, word);
        self.settle();
    }

    pub fn respond(&mut self, agent: usize, stream: StreamId, fields: &[(&str, &str)], end: bool) {
        let (node, agent) = &mut self.agents[agent];
        agent.respond(&mut self.nodes[*node], stream, fields, end);
        self.settle();
    }

    pub fn reset(&mut self, agent: usize, stream: StreamId, started: bool) {
        let (node, agent) = &mut self.agents[agent];
        agent.reset(&mut self.nodes[*node], stream, started);
        self.settle();
    }

    pub fn heard(&mut self, agent: usize, stream: StreamId) -> Vec<Word> {
        self.settle();
        let (node, agent) = &mut self.agents[agent];
        agent.heard(&mut self.nodes[*node], stream)
    }

    /// Holds that nothing is under way anywhere, and that what was counted adds up.
    pub fn rest(&self) {
        for node in &self.nodes {
            assert_eq!(node.calls(), 0, "calls under way");
            for worker in &node.workers {
                let relayed = worker.relayed();
                assert_eq!(relayed.under_way, 0, "{relayed:?}");
                assert_eq!(relayed.begun, relayed.answered + relayed.failed, "{relayed:?}");
            }
        }
    }

    /// Calls that other nodes forwarded to this one so far.
    pub fn relayed(&self, node: usize) -> u64 {
        self.nodes[node].workers.iter().map(Worker::relayed).map(|counts| counts.begun).sum()
    }
}
