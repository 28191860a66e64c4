//! An agent's end of one tunnel.

use super::{At, Rig};
use bytes::BytesMut;
use http::{Method, StatusCode};
use pico_core::head::{Fields, RequestHead, ResponseHead};
use pico_core::host::{Host as _, Port};
use pico_core::http1::client;
use pico_core::id::{Boot, StreamId};
use pico_core::rpc::{self, Reset, Word};
use pico_core::{Limits, Machine as _, Reason, Seed, tunnel, ws};
use std::collections::VecDeque;
use std::sync::Arc;

pub struct Agent {
    pub at: At,
    pub tunnel: tunnel::Machine<u64>,
    /// Calls that came, oldest first.
    pub called: VecDeque<(StreamId, RequestHead)>,
    pub said: Vec<(StreamId, Word)>,
    pub peer_drains: bool,
    pub closed: Option<Reason>,
    finished: bool,
}

impl Agent {
    /// An agent connects, and serves `endpoint`.
    pub fn online(rig: &mut Rig, worker: usize, endpoint: &str) -> Self {
        Self::open(rig, worker, Port::Upstream, &format!("/pico/v1/listener/{endpoint}"), None)
    }

    /// Another node dials a link.
    pub fn link(rig: &mut Rig, worker: usize, boot: Boot) -> Self {
        Self::open(rig, worker, Port::Gossip, "/pico/v1/node", Some(boot))
    }

    fn open(rig: &mut Rig, worker: usize, port: Port, target: &str, boot: Option<Boot>) -> Self {
        let limits = Arc::new(Limits::default());
        let at = rig.accept(worker, port);
        let mut dice = Seed::from_u64(2).roll();
        let (mut head, key) = ws::handshake::request(&mut dice, "pico", target);
        if let Some(Boot(boot)) = boot {
            head.fields.push(b"X-Pico-Node", format!("{boot:016x}").as_bytes());
        }
        let mut http = client::Machine::new(rig.now, Arc::clone(&limits));
        http.handle(rig.now, client::Input::Request { head, end: false, upgrade: true });
        let asked: Vec<u8> = http.outbox().pieces().flatten().copied().collect();
        http.handle(rig.now, client::Input::Sent(asked.len()));
        rig.receive(at, &asked);
        let answer = BytesMut::from(&rig.bytes(at)[..]);
        http.handle(rig.now, client::Input::Received(answer));
        let Some(client::Action::Response { head, .. }) = http.poll() else { panic!("a response") };
        assert_eq!(ws::handshake::check(&key, &head), Ok(()), "{head:?}");
        let (early, outbox) = http.into_raw();
        let me = rpc::Identity { id: "agent".into(), agent: "test".into() };
        let role = rpc::Role::Dialer;
        let seed = Seed::from_u64(1);
        let mut tunnel = tunnel::Machine::new(rig.now, role, &me, &seed, limits, outbox);
        tunnel.handle(rig.now, tunnel::Input::Received(early));
        let (called, said) = (VecDeque::new(), Vec::new());
        let (peer_drains, closed, finished) = (false, None, false);
        let mut agent = Self { at, tunnel, called, said, peer_drains, closed, finished };
        agent.pump(rig);
        agent
    }

    /// Carries bytes both ways until nothing moves.
    pub fn pump(&mut self, rig: &mut Rig) {
        loop {
            let heard = rig.bytes(self.at);
            let moved = !heard.is_empty();
            if moved {
                self.tunnel.handle(rig.now, tunnel::Input::Received(BytesMut::from(&heard[..])));
            }
            let ended = rig.finished.contains(&self.at) || rig.closed.contains(&self.at);
            if ended && !self.finished && self.closed.is_none() {
                self.finished = true;
                self.tunnel.handle(rig.now, tunnel::Input::Eof);
            }
            self.tunnel.tick(rig.now);
            if !self.turn(rig) && !moved {
                return;
            }
        }
    }

    /// Takes what the tunnel asks for. Returns whether bytes went to the node.
    fn turn(&mut self, rig: &mut Rig) -> bool {
        while let Some(action) = self.tunnel.poll() {
            match action {
                tunnel::Action::Rpc(rpc::Action::Opened { stream, head, .. }) => {
                    self.called.push_back((stream, head));
                }
                tunnel::Action::Rpc(rpc::Action::Said { stream, word, .. }) => {
                    self.said.push((stream, word));
                }
                tunnel::Action::Rpc(rpc::Action::PeerDrains) => self.peer_drains = true,
                tunnel::Action::Rpc(_) | tunnel::Action::Finish => {}
                tunnel::Action::Closed(reason) => self.closed = Some(reason),
            }
        }
        let bytes: Vec<u8> = self.tunnel.outbox().pieces().flatten().copied().collect();
        let gone = rig.closed.contains(&self.at);
        if bytes.is_empty() || gone || rig.workers[self.at.0].room(self.at.1) == 0 {
            return false;
        }
        self.tunnel.handle(rig.now, tunnel::Input::Sent(bytes.len()));
        rig.receive(self.at, &bytes);
        true
    }

    /// The next call that came.
    pub fn called(&mut self, rig: &mut Rig) -> (StreamId, RequestHead) {
        self.pump(rig);
        self.called.pop_front().expect("a call")
    }

    pub fn tell(&mut self, rig: &mut Rig, input: rpc::Input<u64>) {
        self.tunnel.handle(rig.now, tunnel::Input::Rpc(input));
        self.pump(rig);
    }

    pub fn say(&mut self, rig: &mut Rig, stream: StreamId, word: Word) {
        self.tell(rig, rpc::Input::Say { stream, word });
    }

    /// Begins to answer a call.
    pub fn respond(&mut self, rig: &mut Rig, stream: StreamId, fields: &[(&str, &str)], end: bool) {
        let mut list = Fields::new();
        for (name, value) in fields {
            list.push(name.as_bytes(), value.as_bytes());
        }
        let head = ResponseHead::new(StatusCode::OK, b"OK", list);
        self.say(rig, stream, Word::Response { head, end });
    }

    /// Sends an interim response to a call.
    pub fn interim(
        &mut self,
        rig: &mut Rig,
        stream: StreamId,
        status: u16,
        fields: &[(&str, &str)],
    ) {
        let head = ResponseHead::new(StatusCode::from_u16(status).unwrap(), b"", list(fields));
        self.say(rig, stream, Word::Response { head, end: false });
    }

    /// Calls, which only a node does.
    pub fn call(&mut self, rig: &mut Rig, fields: &[(&str, &str)]) -> StreamId {
        let head = RequestHead::new(Method::GET, b"/", list(fields));
        let stream = self.tunnel.next_stream();
        self.tell(rig, rpc::Input::Open { stream, tag: 0, head, end: true });
        stream
    }

    pub fn reset(&mut self, rig: &mut Rig, stream: StreamId, started: bool) {
        let reason = Reason::UpstreamLost;
        self.say(rig, stream, Word::Reset(Reset { reason, started }));
    }

    /// Every word of a call since the last time, credit too.
    pub fn heard(&mut self, rig: &mut Rig, stream: StreamId) -> Vec<Word> {
        self.pump(rig);
        let said = std::mem::take(&mut self.said);
        let (mine, rest): (Vec<_>, Vec<_>) = said.into_iter().partition(|(s, _)| *s == stream);
        self.said = rest;
        mine.into_iter().map(|(_, word)| word).collect()
    }
}

fn list(fields: &[(&str, &str)]) -> Fields {
    let mut list = Fields::new();
    for (name, value) in fields {
        list.push(name.as_bytes(), value.as_bytes());
    }
    list
}
