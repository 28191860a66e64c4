//! An agent's connection: the opening handshake, then a tunnel that carries calls.

use super::calls::{Calls, decline};
use super::entry::Event;
use super::letter::CallId;
use super::porch::{Porch, Visit};
use super::settings::Settings;
use super::status::TunnelRow;
use crate::head::{RequestHead, ResponseHead};
use crate::host::Port;
use crate::id::WorkerId;
use crate::machine::Machine as _;
use crate::note::Note;
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::routing::EndpointId;
use crate::rpc::{self, Reset, Word};
use crate::seed::Seed;
use crate::time::{Instant, Monotonic};
use crate::tunnel;
use crate::wall::Wall;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::ToString as _;
use alloc::sync::Arc;
use core::net::SocketAddr;
use core::time::Duration;

/// Where agents connect to; the endpoint ID follows.
const PATH: &[u8] = b"/pico/v1/listener/";

/// What an agent's connection is told.
#[derive(Debug)]
pub(super) enum Input {
    /// Something happened on its socket.
    Socket(Event),
    /// What time of day it is.
    Wall(Wall),
    /// A caller's word.
    Ask(CallId, Word),
    /// Ask the agent to connect elsewhere; refuse a handshake that has not begun.
    Drain,
    /// Ask the agent to connect elsewhere, because this node holds more than its share.
    Move,
    /// Close now.
    Part(Reason),
}

/// What an agent's connection asks of its worker.
#[derive(Debug)]
pub(super) enum Action {
    /// It serves this endpoint from now on.
    Serves(EndpointId),
    /// It takes no new calls for this endpoint from now on.
    Leaves(EndpointId),
    /// A callee's word.
    Answer(CallId, Word),
    /// Tell people.
    Note(Note),
    /// Send FIN when the outbox is empty.
    Finish,
    /// Drop the connection.
    Closed,
}

/// An agent's connection.
#[derive(Debug)]
pub(super) struct Upstream {
    stage: Stage,
    calls: Calls,
    actions: VecDeque<Action>,
    clock: Monotonic,
    /// The how-manieth connection of its worker it is.
    number: u64,
    peer: SocketAddr,
    seed: Seed,
    /// Why a handshake would be refused.
    refusal: Option<Reason>,
    settings: Arc<Settings>,
}

#[derive(Debug)]
enum Stage {
    /// The handshake is under way, or was refused.
    Http(Porch),
    /// The tunnel is open.
    Tunnel(Box<Tunnel>),
    Closed,
}

#[derive(Debug)]
struct Tunnel {
    machine: tunnel::Machine<CallId>,
    endpoint: EndpointId,
    /// Whether the worker was told that it serves.
    serves: bool,
    /// Whether the agent was asked to connect elsewhere.
    asked: bool,
    /// Since when it does.
    since: Instant,
    /// What the agent says of itself.
    agent: Option<Box<rpc::Identity>>,
    rtt: Option<Duration>,
}

impl Upstream {
    /// A connection that was just accepted; one too many, if the node is `full`.
    pub(super) fn new(
        now: Instant,
        number: u64,
        peer: SocketAddr,
        seed: Seed,
        full: bool,
        settings: Arc<Settings>,
    ) -> Self {
        let mut clock = Monotonic::default();
        clock.advance(now);
        Self {
            stage: Stage::Http(Porch::new(now, Arc::clone(&settings.limits))),
            calls: Calls::default(),
            actions: VecDeque::new(),
            clock,
            number,
            peer,
            seed,
            refusal: full.then_some(Reason::Overloaded),
            settings,
        }
    }

    /// What waits to be written.
    pub(super) fn outbox(&self) -> Option<&Outbox> {
        match &self.stage {
            Stage::Http(porch) => Some(porch.outbox()),
            Stage::Tunnel(tunnel) => Some(tunnel.machine.outbox()),
            Stage::Closed => None,
        }
    }

    /// How many bytes would be taken now.
    pub(super) fn room(&self) -> usize {
        match &self.stage {
            Stage::Http(porch) => porch.room(),
            Stage::Tunnel(tunnel) => tunnel.machine.room(),
            Stage::Closed => 0,
        }
    }

    /// Whether the agent can be asked to connect elsewhere: it serves, and was not asked before.
    pub(super) fn can_move(&self) -> bool {
        match &self.stage {
            Stage::Tunnel(tunnel) => tunnel.serves && !tunnel.asked,
            Stage::Http(_) | Stage::Closed => false,
        }
    }

    /// The how-manieth connection of its worker it is.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// What an operator is told of it, while it serves.
    pub(super) fn row(&self, worker: WorkerId, now: Instant) -> Option<TunnelRow> {
        let Stage::Tunnel(tunnel) = &self.stage else { return None };
        Some(TunnelRow {
            endpoint: tunnel.endpoint.clone(),
            id: (worker, self.number),
            peer: self.peer,
            agent: tunnel.agent.as_deref()?.clone(),
            age: now - tunnel.since,
            rtt: tunnel.rtt,
            calls: tunnel.machine.calls(),
        })
    }

    fn pump_http(&mut self) {
        let now = self.clock.now();
        loop {
            let Stage::Http(porch) = &mut self.stage else { return };
            match porch.poll(now, self.refusal, endpoint_at, |_| None) {
                Some(Visit::Admitted(endpoint, answer)) => return self.open(endpoint, answer),
                Some(Visit::Refused(reason)) => {
                    let (port, peer) = (Port::Upstream, self.peer);
                    let note = Note::Refused { port, peer, reason, suppressed: 0 };
                    self.actions.push_back(Action::Note(note));
                }
                // Agents ask nothing.
                Some(Visit::Asked(..)) => {}
                Some(Visit::Finish) => self.actions.push_back(Action::Finish),
                Some(Visit::Closed) => self.close(Reason::Closed),
                None => return,
            }
        }
    }

    fn open(&mut self, endpoint: EndpointId, answer: ResponseHead) {
        let now = self.clock.now();
        let stage = core::mem::replace(&mut self.stage, Stage::Closed);
        let Stage::Http(porch) = stage else { return };
        let machine = porch.into_tunnel(now, answer, &self.settings.identity(), &self.seed);
        let (serves, asked, agent, rtt) = (false, false, None, None);
        let tunnel = Tunnel { machine, endpoint, serves, asked, since: now, agent, rtt };
        self.stage = Stage::Tunnel(Box::new(tunnel));
    }

    fn tell(&mut self, input: tunnel::Input<CallId>) {
        if let Stage::Tunnel(tunnel) = &mut self.stage {
            tunnel.machine.handle(self.clock.now(), input);
        }
    }

    /// Asks the agent to connect elsewhere; until it has, it is served as before.
    fn ask_to_leave(&mut self) {
        if let Stage::Tunnel(tunnel) = &mut self.stage {
            tunnel.asked = true;
        }
        self.tell(tunnel::Input::Rpc(rpc::Input::Drain));
    }

    /// The next thing that the tunnel asks for, if it concerns the worker.
    fn pump_tunnel(&mut self) {
        loop {
            let Stage::Tunnel(tunnel) = &mut self.stage else { return };
            match tunnel.machine.poll() {
                Some(tunnel::Action::Rpc(action)) => self.heard(action),
                Some(tunnel::Action::Finish) => self.actions.push_back(Action::Finish),
                Some(tunnel::Action::Closed(reason)) => self.close(reason),
                None => return,
            }
        }
    }

    fn heard(&mut self, action: rpc::Action<CallId>) {
        let Stage::Tunnel(tunnel) = &mut self.stage else { return };
        match action {
            rpc::Action::RoundTrip(rtt) => tunnel.rtt = Some(rtt),
            rpc::Action::Ready(agent) => {
                tunnel.serves = true;
                tunnel.since = self.clock.now();
                tunnel.agent = Some(Box::new(agent));
                let endpoint = tunnel.endpoint.clone();
                let name = endpoint.to_string();
                self.actions.push_back(Action::Serves(endpoint));
                let note = Note::Registered { endpoint: name, peer: self.peer };
                self.actions.push_back(Action::Note(note));
                if self.refusal == Some(Reason::Draining) {
                    self.ask_to_leave();
                }
            }
            rpc::Action::PeerDrains => self.leave(),
            // Agents are called; they do not call.
            rpc::Action::Opened { stream, .. } => self.tell(tunnel::Input::Rpc(decline(stream))),
            rpc::Action::Said { tag: Some(call), word, .. } => {
                self.calls.said(call, &word);
                self.actions.push_back(Action::Answer(call, word));
            }
            rpc::Action::Said { tag: None, .. } | rpc::Action::Drained | rpc::Action::Closed(_) => {
            }
        }
    }

    fn ask(&mut self, call: CallId, word: Word) {
        let Stage::Tunnel(tunnel) = &mut self.stage else {
            return self.bounce(call, &word, Reason::UpstreamLost);
        };
        if let Some(input) = self.calls.ask(call, word, tunnel.machine.next_stream()) {
            self.tell(tunnel::Input::Rpc(input));
        }
    }

    /// Answers a call that came too late.
    fn bounce(&mut self, call: CallId, word: &Word, reason: Reason) {
        if matches!(word, Word::Request { .. }) {
            let reset = Reset { reason, started: false };
            self.actions.push_back(Action::Answer(call, Word::Reset(reset)));
        }
    }

    /// The endpoint is no longer served here.
    fn leave(&mut self) {
        if let Stage::Tunnel(tunnel) = &mut self.stage
            && core::mem::take(&mut tunnel.serves)
        {
            self.actions.push_back(Action::Leaves(tunnel.endpoint.clone()));
        }
    }

    fn close(&mut self, reason: Reason) {
        self.leave();
        let stage = core::mem::replace(&mut self.stage, Stage::Closed);
        if let Stage::Tunnel(tunnel) = stage {
            let endpoint = tunnel.endpoint.to_string();
            self.actions.push_back(Action::Note(Note::Unregistered { endpoint, reason }));
        }
        self.calls.clear();
        self.actions.push_back(Action::Closed);
    }
}

impl crate::Machine for Upstream {
    type Input = Input;
    type Action = Action;

    fn handle(&mut self, now: Instant, input: Input) {
        let now = self.clock.advance(now);
        if let Input::Ask(call, word) = input {
            return self.ask(call, word);
        }
        if let Stage::Http(porch) = &mut self.stage {
            match input {
                Input::Socket(Event::Lost(_)) => return self.close(Reason::ConnectionLost),
                Input::Socket(event) => porch.event(now, event),
                Input::Wall(wall) => porch.wall(now, wall),
                Input::Drain => self.refusal = Some(Reason::Draining),
                Input::Part(_) => porch.close(now),
                Input::Ask(..) | Input::Move => {}
            }
            return self.pump_http();
        }
        match input {
            Input::Socket(event) => self.tell(event.into_tunnel()),
            Input::Drain => {
                self.refusal = Some(Reason::Draining);
                self.ask_to_leave();
            }
            Input::Move => self.ask_to_leave(),
            Input::Part(reason) => self.tell(tunnel::Input::Close(reason)),
            Input::Ask(..) | Input::Wall(_) => {}
        }
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        match &mut self.stage {
            Stage::Http(porch) => {
                porch.tick(now);
                self.pump_http();
            }
            Stage::Tunnel(tunnel) => tunnel.machine.tick(now),
            Stage::Closed => {}
        }
    }

    /// Frames what the turn produced once nothing else is left to say, so that it shares a
    /// message: do not poll before the turn's other inputs were handled.
    fn poll(&mut self) -> Option<Action> {
        if self.actions.is_empty() {
            self.pump_tunnel();
        }
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Http(porch) => porch.deadline(),
            Stage::Tunnel(tunnel) => tunnel.machine.deadline(),
            Stage::Closed => None,
        }
    }
}

/// The endpoint ID in the path of a handshake.
fn endpoint_at(head: &RequestHead) -> Result<EndpointId, Reason> {
    let path = head.target().split(|b| *b == b'?').next().unwrap_or_default();
    let id = path.strip_prefix(PATH).ok_or(Reason::NotFound)?;
    EndpointId::parse(id)
}
