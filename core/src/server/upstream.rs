//! An agent's connection: the opening handshake, then a tunnel that carries calls.

use super::answer;
use super::entry::Event;
use super::letter::CallId;
use super::settings::Settings;
use crate::head::{RequestHead, ResponseHead};
use crate::http1::server as http1;
use crate::id::StreamId;
use crate::machine::Machine as _;
use crate::note::Note;
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::routing::EndpointId;
use crate::rpc::{self, Reset, Word};
use crate::seed::Seed;
use crate::time::{Instant, Monotonic};
use crate::{tunnel, ws};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::ToString as _;
use alloc::sync::Arc;
use core::net::SocketAddr;

/// Where agents connect to; the endpoint ID follows.
const PATH: &[u8] = b"/pico/v1/listener/";

/// What an agent's connection is told.
#[derive(Debug)]
pub(super) enum Input {
    /// Something happened on its socket.
    Socket(Event),
    /// A caller's word.
    Ask(CallId, Word),
    /// Ask the agent to connect elsewhere; refuse a handshake that has not begun.
    Drain,
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
    calls: BTreeMap<CallId, Open>,
    actions: VecDeque<Action>,
    clock: Monotonic,
    peer: SocketAddr,
    seed: Seed,
    /// Why a handshake would be refused.
    refusal: Option<Reason>,
    settings: Arc<Settings>,
}

#[derive(Debug)]
enum Stage {
    /// The handshake is under way, or was refused.
    Http(Box<http1::Machine>),
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
}

/// A call under way.
#[derive(Clone, Copy, Debug)]
struct Open {
    stream: StreamId,
    /// Whether the caller has said all.
    asked: bool,
    /// Whether the callee has.
    said: bool,
}

impl Upstream {
    /// A connection that was just accepted; one too many, if the node is `full`.
    pub(super) fn new(
        now: Instant,
        peer: SocketAddr,
        seed: Seed,
        full: bool,
        settings: Arc<Settings>,
    ) -> Self {
        let mut clock = Monotonic::default();
        clock.advance(now);
        let http = http1::Machine::new(now, Arc::clone(&settings.limits));
        Self {
            stage: Stage::Http(Box::new(http)),
            calls: BTreeMap::new(),
            actions: VecDeque::new(),
            clock,
            peer,
            seed,
            refusal: full.then_some(Reason::Overloaded),
            settings,
        }
    }

    /// What waits to be written.
    pub(super) fn outbox(&self) -> Option<&Outbox> {
        match &self.stage {
            Stage::Http(http) => Some(http.outbox()),
            Stage::Tunnel(tunnel) => Some(tunnel.machine.outbox()),
            Stage::Closed => None,
        }
    }

    /// How many bytes would be taken now.
    pub(super) fn room(&self) -> usize {
        match &self.stage {
            Stage::Http(http) => http.room(),
            Stage::Tunnel(tunnel) => tunnel.machine.room(),
            Stage::Closed => 0,
        }
    }

    fn pump_http(&mut self) {
        let now = self.clock.now();
        loop {
            let Stage::Http(http) = &mut self.stage else { return };
            match http.poll() {
                Some(http1::Action::Request(request)) => match self.admit(&request) {
                    Ok((endpoint, head)) => return self.open(endpoint, head),
                    Err(reason) => self.refuse(reason),
                },
                Some(http1::Action::Malformed(reason)) => self.refuse(reason),
                Some(http1::Action::Data { bytes, .. }) => {
                    // The body of a refused request is read, so that the refusal arrives.
                    http.handle(now, http1::Input::Credit(bytes.len()));
                }
                Some(http1::Action::Finish) => self.actions.push_back(Action::Finish),
                Some(http1::Action::Closed(_)) => self.close(Reason::Closed),
                Some(
                    http1::Action::Trailers(_)
                    | http1::Action::Taken(_)
                    | http1::Action::Finished
                    | http1::Action::Canceled(_),
                ) => {}
                None => return,
            }
        }
    }

    /// Whether this request opens a tunnel: for which endpoint, and with which response.
    fn admit(&self, request: &http1::Request) -> Result<(EndpointId, ResponseHead), Reason> {
        let endpoint = endpoint_at(&request.head)?;
        let response = ws::handshake::respond(&request.head)?;
        if !request.upgrade {
            return Err(Reason::UpgradeRequired);
        }
        self.refusal.map_or(Ok((endpoint, response)), Err)
    }

    fn refuse(&mut self, reason: Reason) {
        let Stage::Http(http) = &mut self.stage else { return };
        let now = self.clock.now();
        let (head, bytes) = answer::refusal(reason, "");
        http.handle(now, http1::Input::Respond { head, end: false });
        http.handle(now, http1::Input::Data { bytes, end: true });
        http.handle(now, http1::Input::Drain);
        self.actions.push_back(Action::Note(Note::Refused { peer: self.peer, reason }));
    }

    fn open(&mut self, endpoint: EndpointId, head: ResponseHead) {
        let now = self.clock.now();
        let Stage::Http(mut http) = core::mem::replace(&mut self.stage, Stage::Closed) else {
            return;
        };
        http.handle(now, http1::Input::Respond { head, end: false });
        let (ahead, outbox) = http.into_raw();
        let me = rpc::Identity {
            id: self.settings.node_id.clone(),
            agent: concat!("pico/", env!("CARGO_PKG_VERSION")).into(),
        };
        let limits = Arc::clone(&self.settings.limits);
        let role = rpc::Role::Acceptor;
        let machine = tunnel::Machine::new(now, role, &me, &self.seed, limits, outbox);
        self.stage = Stage::Tunnel(Box::new(Tunnel { machine, endpoint, serves: false }));
        if !ahead.is_empty() {
            self.tell(tunnel::Input::Received(ahead));
        }
    }

    fn tell(&mut self, input: tunnel::Input<CallId>) {
        if let Stage::Tunnel(tunnel) = &mut self.stage {
            tunnel.machine.handle(self.clock.now(), input);
        }
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
            rpc::Action::Ready(_) => {
                tunnel.serves = true;
                let endpoint = tunnel.endpoint.clone();
                let name = endpoint.to_string();
                self.actions.push_back(Action::Serves(endpoint));
                let note = Note::Registered { endpoint: name, peer: self.peer };
                self.actions.push_back(Action::Note(note));
                if self.refusal == Some(Reason::Draining) {
                    self.tell(tunnel::Input::Rpc(rpc::Input::Drain));
                }
            }
            rpc::Action::PeerDrains => self.leave(),
            // Agents are called; they do not call.
            rpc::Action::Opened { stream, .. } => {
                let reset = Reset { reason: Reason::NotImplemented, started: false };
                let word = Word::Reset(reset);
                self.tell(tunnel::Input::Rpc(rpc::Input::Say { stream, word }));
            }
            rpc::Action::Said { tag: Some(call), word, .. } => {
                if ends(&word) {
                    self.ended(call, |open| open.said = true, matches!(word, Word::Reset(_)));
                }
                self.actions.push_back(Action::Answer(call, word));
            }
            rpc::Action::Said { tag: None, .. }
            | rpc::Action::RoundTrip(_)
            | rpc::Action::Drained
            | rpc::Action::Closed(_) => {}
        }
    }

    fn ask(&mut self, call: CallId, word: Word) {
        let Stage::Tunnel(tunnel) = &mut self.stage else {
            return self.bounce(call, &word, Reason::UpstreamLost);
        };
        match word {
            Word::Request { head, end } => {
                let stream = tunnel.machine.next_stream();
                self.calls.insert(call, Open { stream, asked: end, said: false });
                self.tell(tunnel::Input::Rpc(rpc::Input::Open { stream, tag: call, head, end }));
            }
            Word::Response { .. }
            | Word::Data { .. }
            | Word::Trailers(_)
            | Word::Reset(_)
            | Word::Credit(_) => {
                let Some(Open { stream, .. }) = self.calls.get(&call).copied() else { return };
                if ends(&word) {
                    self.ended(call, |open| open.asked = true, matches!(word, Word::Reset(_)));
                }
                self.tell(tunnel::Input::Rpc(rpc::Input::Say { stream, word }));
            }
        }
    }

    /// One direction of a call has ended, or all of it: forgets it when nothing is left.
    fn ended(&mut self, call: CallId, mark: impl Fn(&mut Open), all: bool) {
        let Some(open) = self.calls.get_mut(&call) else { return };
        mark(open);
        if all || (open.asked && open.said) {
            self.calls.remove(&call);
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
        if let Stage::Http(http) = &mut self.stage {
            match input {
                Input::Socket(Event::Received(bytes)) => {
                    http.handle(now, http1::Input::Received(bytes));
                }
                Input::Socket(Event::Eof) => http.handle(now, http1::Input::Eof),
                Input::Socket(Event::Sent(count)) => http.handle(now, http1::Input::Sent(count)),
                Input::Socket(Event::Lost) => return self.close(Reason::ConnectionLost),
                Input::Drain => self.refusal = Some(Reason::Draining),
                Input::Part(_) => http.handle(now, http1::Input::Drain),
                Input::Ask(..) => {}
            }
            return self.pump_http();
        }
        match input {
            Input::Socket(Event::Received(bytes)) => self.tell(tunnel::Input::Received(bytes)),
            Input::Socket(Event::Eof) => self.tell(tunnel::Input::Eof),
            Input::Socket(Event::Sent(count)) => self.tell(tunnel::Input::Sent(count)),
            Input::Socket(Event::Lost) => self.tell(tunnel::Input::Lost),
            Input::Drain => {
                self.refusal = Some(Reason::Draining);
                self.tell(tunnel::Input::Rpc(rpc::Input::Drain));
            }
            Input::Part(reason) => self.tell(tunnel::Input::Close(reason)),
            Input::Ask(..) => {}
        }
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        match &mut self.stage {
            Stage::Http(http) => {
                http.tick(now);
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
            Stage::Http(http) => http.deadline(),
            Stage::Tunnel(tunnel) => tunnel.machine.deadline(),
            Stage::Closed => None,
        }
    }
}

/// Whether a word is the last of its direction.
fn ends(word: &Word) -> bool {
    match word {
        Word::Request { end, .. } | Word::Response { end, .. } | Word::Data { end, .. } => *end,
        Word::Trailers(_) | Word::Reset(_) => true,
        Word::Credit(_) => false,
    }
}

/// The endpoint ID in the path of a handshake.
fn endpoint_at(head: &RequestHead) -> Result<EndpointId, Reason> {
    let path = head.target().split(|b| *b == b'?').next().unwrap_or_default();
    let id = path.strip_prefix(PATH).ok_or(Reason::NotFound)?;
    EndpointId::parse(id)
}
