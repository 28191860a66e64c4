//! Whatever node, service and network do, an agent keeps its laws and comes to its end.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod agent;

use agent::{Node, Rig, SERVER, data, settings};
use pico_core::Machine as _;
use pico_core::Reason;
use pico_core::host::{Host as _, Input};
use pico_core::id::{ConnId, StreamId};
use pico_core::rpc::{self, Reset, Word};
use proptest::prelude::*;
use std::time::Duration;

/// What a service, or somebody on its port, may say.
const PIECES: [&[u8]; 12] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"5\r\nhello\r\n",
    b"0\r\nX-Sum: 1\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nraw",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 401 No\r\nContent-Length: 13\r\n\r\n{\"code\":\"no\"}",
    b"HTTP/1.1 503 Later\r\nKeep-Alive: timeout=3\r\nContent-Length: 0\r\n\r\n",
    b"\x82\xff\x00 nonsense",
];

/// One thing that happens, and to which of those it may happen to.
type Step = (u8, u16);

struct World {
    rig: Rig,
    nodes: Vec<Node>,
    locals: Vec<ConnId>,
    calls: Vec<(usize, StreamId, bool)>,
    /// Whether ticks come that nobody asked for, some of them from the past.
    restless: bool,
}

impl World {
    fn new(seed: u64, restless: bool) -> Self {
        let mut settings = settings(&["a", "b"]);
        settings.log_requests = true;
        settings.grace = Duration::from_secs(3);
        let rig = Rig::seeded(settings, seed);
        let (nodes, locals, calls) = (Vec::new(), Vec::new(), Vec::new());
        Self { rig, nodes, locals, calls, restless }
    }

    fn step(&mut self, (kind, which): Step) {
        if self.restless {
            for now in [self.rig.now, pico_core::Instant::ZERO, self.rig.now] {
                self.rig.agent.tick(now);
            }
        }
        match kind % 16 {
            0 => self.rig.wait(Duration::from_millis(u64::from(which % 3000))),
            1..=3 => self.connect(which % 5 != 0),
            4 => {
                if let Some((conn, _)) = self.rig.dials.pop_front() {
                    self.rig.refuse(conn);
                }
            }
            5..=7 => self.call(which),
            8 => self.say(which),
            9..=11 => {
                if let Some(conn) = pick(&self.locals, which) {
                    self.hear(conn, PIECES[usize::from(which) % PIECES.len()]);
                }
            }
            12 => self.reset(which),
            13 => {
                if let Some(conn) = self.anybody(which) {
                    match which % 4 {
                        0 => self.rig.lose(conn),
                        1 => self.rig.input(Input::Eof { conn }),
                        2 => self.rig.stuck.push(conn),
                        _ => self.free(),
                    }
                }
            }
            14 => {
                if let Some(conn) = self.anybody(which) {
                    self.hear(conn, PIECES[usize::from(which / 7) % PIECES.len()]);
                }
            }
            _ => match which % 8 {
                0 => self.rig.drain(),
                1..=3 => {
                    if let Some(node) = self.nodes.get_mut(usize::from(which / 8) % 4) {
                        node.rpc(&mut self.rig, rpc::Input::Drain);
                    }
                }
                _ => {}
            },
        }
        self.nodes.iter_mut().for_each(|node| node.pump(&mut self.rig));
        let now = self.rig.now;
        self.rig.agent.tick(now);
        self.rig.settle();
        assert!(self.rig.agent.deadline().is_none_or(|at| at > now), "time goes on");
    }

    /// Has the next dial succeed. A server that is not `fluent` is somebody else.
    fn connect(&mut self, fluent: bool) {
        let Some((conn, to)) = self.rig.dials.pop_front() else { return };
        self.rig.connect(conn);
        if to.port() == SERVER && fluent {
            let node = Node::accept(&mut self.rig, conn);
            self.nodes.push(node);
        } else {
            self.locals.push(conn);
        }
    }

    fn call(&mut self, which: u16) {
        let at = usize::from(which) % self.nodes.len().max(1);
        let Some(node) = self.nodes.get_mut(at) else { return };
        if !node.tunnel.may_open() {
            return;
        }
        let (method, end) = [("GET", true), ("POST", false), ("PUT", false), ("GET", false)]
            [usize::from(which / 16) % 4];
        let fields: &[_] = if method == "GET" { &[("Upgrade", "echo")] } else { &[] };
        let stream = node.call(&mut self.rig, method, fields, end);
        self.calls.push((at, stream, end));
    }

    fn say(&mut self, which: u16) {
        let at = usize::from(which) % self.calls.len().max(1);
        let Some((node, stream, ended)) = self.calls.get_mut(at) else { return };
        if !*ended {
            *ended = which.is_multiple_of(3);
            let word = data(&[b'x'; 300], *ended);
            self.nodes[*node].say(&mut self.rig, *stream, word);
        }
    }

    fn reset(&mut self, which: u16) {
        let Some((node, stream, _)) = pick(&self.calls, which) else { return };
        let word = Word::Reset(Reset { reason: Reason::Canceled, started: true });
        self.nodes[node].say(&mut self.rig, stream, word);
    }

    fn hear(&mut self, conn: ConnId, bytes: &[u8]) {
        if self.rig.agent.room(conn) > 0 {
            self.rig.receive(conn, bytes);
        }
    }

    fn anybody(&self, which: u16) -> Option<ConnId> {
        let nodes = self.nodes.iter().map(|node| node.conn);
        let all: Vec<_> = nodes.chain(self.locals.iter().copied()).collect();
        pick(&all, which / 4)
    }

    fn free(&mut self) {
        for conn in std::mem::take(&mut self.rig.stuck) {
            self.rig.write(conn);
            self.rig.settle();
        }
    }

    /// Drains it, and says all that it did.
    fn end(mut self) -> Vec<String> {
        self.free();
        self.rig.drain();
        self.rig.wait(Duration::from_mins(1));
        assert!(self.rig.done, "an agent that is drained ends");
        assert_eq!((self.rig.agent.calls(), self.rig.agent.deadline()), (0, None));
        for conn in self.locals {
            assert!(self.rig.agent.outbox(conn).is_none());
            self.rig.input(Input::Eof { conn });
        }
        self.rig.drain();
        self.rig.trace
    }
}

fn pick<T: Copy>(all: &[T], which: u16) -> Option<T> {
    all.get(usize::from(which).checked_rem(all.len())?).copied()
}

fn play(seed: u64, steps: &[Step], restless: bool) -> Vec<String> {
    let mut world = World::new(seed, restless);
    for step in steps {
        world.step(*step);
    }
    world.end()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_happens_it_does_the_same_again_and_ends(
        seed: u64,
        steps in proptest::collection::vec(any::<Step>(), 0..120),
    ) {
        let once = play(seed, &steps, false);
        prop_assert_eq!(&once, &play(seed, &steps, false), "played again");
        prop_assert_eq!(&once, &play(seed, &steps, true), "with ticks that nobody asked for");
    }
}
