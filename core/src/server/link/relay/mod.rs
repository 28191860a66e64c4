//! Another node's link to us: its calls go to our tunnels, and no further.

mod carry;

use super::call::{Again, Attempt, Call};
use super::{CONSULT_PATH, NODE, PATH, read, written};
use crate::head::{RequestHead, ResponseHead};
use crate::host::Port;
use crate::http1::rules;
use crate::id::{Boot, ConnId, StreamId, WorkerId};
use crate::machine::Machine as _;
use crate::note::Note;
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::routing::{EndpointId, Failure, HEADER, Place, Tried};
use crate::rpc::{self, Reset, Word};
use crate::seed::Seed;
use crate::server::answer::Reply;
use crate::server::counts::Counts;
use crate::server::entry::Event;
use crate::server::letter::{CallId, Sought};
use crate::server::porch::{Porch, Question, Visit};
use crate::server::proxy::Action;
use crate::server::settings::Settings;
use crate::server::status;
use crate::time::{Instant, Monotonic};
use crate::tunnel;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use bytes::Bytes;
use core::net::SocketAddr;
use http::Method;

/// What another node's link is told.
#[derive(Debug)]
pub(in crate::server) enum Input {
    /// Something happened on its socket.
    Socket(Event),
    /// The answer to [`Action::Begin`] of the call with this number: where it went, if anywhere.
    Placed(u64, Option<Place>),
    /// The callee's word in the call with this number.
    Word(u64, Word),
    /// The answer to [`Action::Ask`] or [`Action::Inquire`].
    Replied(Reply),
    /// Take no new calls, and close when the last has ended.
    Drain,
    /// Close now.
    Part(Reason),
}

/// Another node's link to us. It asks its worker for the same as a client's connection does.
#[derive(Debug)]
pub(in crate::server) struct Relay {
    stage: Stage,
    calls: BTreeMap<StreamId, Call>,
    actions: VecDeque<Action>,
    clock: Monotonic,
    me: (WorkerId, ConnId),
    peer: SocketAddr,
    seed: Seed,
    counts: Counts,
    /// Why a handshake would be refused.
    refusal: Option<Reason>,
    /// Whether the node has more connections than it should.
    full: bool,
    /// Whether it has more consultations than it should.
    crowded: bool,
    /// Whether the node has heard that we drain, and calls no more.
    drained: bool,
    settings: Arc<Settings>,
}

#[derive(Debug)]
enum Stage {
    /// The handshake is under way, or was refused.
    Http(Porch),
    /// The link is open. Nothing is called by it from here, so no call is tagged.
    Tunnel(Box<tunnel::Machine<CallId>>),
    Closed,
}

impl Relay {
    /// A connection that was just accepted; one too many, if the node is `full`.
    pub(in crate::server) fn new(
        now: Instant,
        me: (WorkerId, ConnId),
        peer: SocketAddr,
        seed: Seed,
        full: bool,
        settings: Arc<Settings>,
    ) -> Self {
        let mut clock = Monotonic::default();
        clock.advance(now);
        Self {
            stage: Stage::Http(Porch::new(now, Arc::clone(&settings.limits))),
            calls: BTreeMap::new(),
            actions: VecDeque::new(),
            clock,
            me,
            peer,
            seed,
            counts: Counts::default(),
            refusal: full.then_some(Reason::Overloaded),
            full,
            crowded: false,
            drained: false,
            settings,
        }
    }

    /// What waits to be written.
    pub(in crate::server) fn outbox(&self) -> Option<&Outbox> {
        match &self.stage {
            Stage::Http(porch) => Some(porch.outbox()),
            Stage::Tunnel(tunnel) => Some(tunnel.outbox()),
            Stage::Closed => None,
        }
    }

    /// How many bytes would be taken now.
    pub(in crate::server) fn room(&self) -> usize {
        match &self.stage {
            Stage::Http(porch) => porch.room(),
            Stage::Tunnel(tunnel) => tunnel.room(),
            Stage::Closed => 0,
        }
    }

    /// Whether it is over: it begins no call any more.
    pub(in crate::server) const fn is_closed(&self) -> bool {
        matches!(self.stage, Stage::Closed)
    }

    /// Whether calls may come by it.
    pub(in crate::server) const fn is_link(&self) -> bool {
        matches!(self.stage, Stage::Tunnel(_))
    }

    /// Whether a consultation came by it: nothing else will.
    pub(in crate::server) const fn is_consultation(&self) -> bool {
        matches!(&self.stage, Stage::Http(porch) if porch.is_asking())
    }

    /// Whether a consultation that begins now is one too many.
    pub(in crate::server) const fn crowd(&mut self, crowded: bool) {
        self.crowded = crowded;
    }

    /// What became of the calls that came by it so far.
    pub(in crate::server) fn counts(&self) -> Counts {
        let under_way = u64::try_from(self.calls.len()).unwrap_or(u64::MAX);
        Counts { under_way, ..self.counts }
    }

    fn call_id(&self, stream: StreamId) -> CallId {
        CallId { worker: self.me.0, conn: self.me.1, serial: stream.0 }
    }

    fn tell(&mut self, input: tunnel::Input<CallId>) {
        if let Stage::Tunnel(tunnel) = &mut self.stage {
            tunnel.handle(self.clock.now(), input);
        }
    }

    /// Says a word to the other node.
    fn say(&mut self, stream: StreamId, word: Word) {
        self.tell(tunnel::Input::Rpc(rpc::Input::Say { stream, word }));
    }

    /// Says a word to the callee.
    fn ask(&mut self, stream: StreamId, place: Place, word: Word) {
        self.actions.push_back(Action::Say(place, self.call_id(stream), word));
    }

    fn pump_http(&mut self) {
        let now = self.clock.now();
        let alone = self.settings.boot == Boot(0);
        let admit = |head: &RequestHead| if alone { Err(Reason::NotFound) } else { admit(head) };
        // A node that drains is a member until it is gone, and answers like one.
        let crowded = self.full || self.crowded;
        let asks = |head: &RequestHead| {
            let question = question(head).filter(|_| !alone)?;
            Some(if crowded { Err(Reason::Overloaded) } else { Ok(question) })
        };
        loop {
            let Stage::Http(porch) = &mut self.stage else { return };
            match porch.poll(now, self.refusal, admit, asks) {
                Some(Visit::Asked(Question::Gossip, bytes)) => {
                    self.actions.push_back(Action::Ask(bytes));
                }
                Some(Visit::Asked(Question::Status(target), _)) => {
                    self.actions.push_back(Action::Inquire(target));
                }
                Some(Visit::Admitted((), answer)) => return self.open(answer),
                Some(Visit::Refused(reason)) => {
                    let (port, peer) = (Port::Gossip, self.peer);
                    let note = Note::Refused { port, peer, reason, suppressed: 0 };
                    self.actions.push_back(Action::Note(note));
                }
                Some(Visit::Finish) => self.actions.push_back(Action::Finish),
                Some(Visit::Closed) => self.close(),
                None => return,
            }
        }
    }

    fn open(&mut self, mut answer: ResponseHead) {
        let now = self.clock.now();
        let stage = core::mem::replace(&mut self.stage, Stage::Closed);
        let Stage::Http(porch) = stage else { return };
        answer.fields.push(NODE.as_bytes(), written(self.settings.boot).as_bytes());
        let tunnel = porch.into_tunnel(now, answer, &self.settings.identity(), &self.seed);
        self.stage = Stage::Tunnel(Box::new(tunnel));
    }

    /// The next thing that the tunnel asks for, if it concerns the worker.
    fn pump_tunnel(&mut self) {
        while self.actions.is_empty() {
            let Stage::Tunnel(tunnel) = &mut self.stage else { return };
            match tunnel.poll() {
                Some(tunnel::Action::Rpc(action)) => self.heard(action),
                Some(tunnel::Action::Finish) => self.actions.push_back(Action::Finish),
                Some(tunnel::Action::Closed(_)) => self.close(),
                None if self.drained && self.calls.is_empty() => {
                    self.drained = false;
                    self.tell(tunnel::Input::Close(Reason::Draining));
                }
                None => return,
            }
        }
    }

    fn heard(&mut self, action: rpc::Action<CallId>) {
        match action {
            rpc::Action::Opened { stream, head, end } => self.begin(stream, head, end),
            rpc::Action::Said { stream, word, .. } => self.asked(stream, word),
            rpc::Action::Drained => self.drained = true,
            rpc::Action::Ready(_)
            | rpc::Action::RoundTrip(_)
            | rpc::Action::PeerDrains
            | rpc::Action::Closed(_) => {}
        }
    }

    /// The other node calls.
    fn begin(&mut self, stream: StreamId, mut head: RequestHead, end: bool) {
        let streams = self.settings.limits.streams;
        let endpoint = match endpoint_of(&head) {
            // Those that are over for the other node and not here are few, or are no more.
            Ok(_) if self.calls.len() >= streams.saturating_mul(2) => Err(Reason::StreamLimit),
            endpoint => endpoint,
        };
        self.counts.begun += 1;
        self.actions.push_back(Action::Begun);
        match endpoint {
            Ok(endpoint) => {
                head.fields.retain(|name, _| !rules::is_pico(name));
                let again = Again { endpoint: endpoint.clone(), head: head.clone(), end };
                self.calls.insert(stream, Call::new(again));
                let call = self.call_id(stream);
                let sought = Sought { call, endpoint, tried: None, head, end };
                self.actions.push_back(Action::Begin(sought));
            }
            Err(reason) => {
                self.ended(false, 0);
                self.say(stream, Word::Reset(Reset { reason, started: false }));
            }
        }
    }

    /// A tunnel did not take a call: it may go to another one.
    fn begin_again(&mut self, stream: StreamId, place: Place, again: Again) {
        self.leave(stream);
        let Again { endpoint, head, end } = again;
        let tried = Some(Tried { place, failure: Failure::Lost });
        let call = self.call_id(stream);
        self.actions.push_back(Action::Begin(Sought { call, endpoint, tried, head, end }));
    }

    /// A call goes to a tunnel of ours, or there is none for it.
    fn placed(&mut self, stream: StreamId, place: Option<Place>) {
        match (self.calls.get_mut(&stream), place) {
            (Some(call), Some(place)) => {
                call.place = Some(place);
                self.flush_up(stream);
            }
            (Some(call), None) => {
                let reset = match call.attempt {
                    Attempt::Second(first) => first,
                    Attempt::First(_) | Attempt::Begun => {
                        Reset { reason: Reason::NotMine, started: false }
                    }
                };
                self.say(stream, Word::Reset(reset));
                self.end(stream, false);
            }
            // The caller gave up while its upstream was being chosen.
            (None, Some(place)) => {
                let reset = Reset { reason: Reason::Canceled, started: true };
                self.ask(stream, place, Word::Reset(reset));
                self.actions.push_back(Action::Over(place));
            }
            (None, None) => {}
        }
    }

    /// The connection is over. What is left here is what the other node thinks is over.
    fn close(&mut self) {
        self.stage = Stage::Closed;
        for stream in self.calls.keys().copied().collect::<alloc::vec::Vec<_>>() {
            let reset = Reset { reason: Reason::ConnectionLost, started: true };
            self.asked(stream, Word::Reset(reset));
        }
        self.actions.push_back(Action::Closed);
    }
}

impl crate::Machine for Relay {
    type Input = Input;
    type Action = Action;

    fn handle(&mut self, now: Instant, input: Input) {
        let now = self.clock.advance(now);
        match input {
            Input::Replied(reply) => {
                if let Stage::Http(porch) = &mut self.stage {
                    porch.reply(now, reply);
                    self.pump_http();
                }
                return;
            }
            Input::Placed(serial, place) => return self.placed(StreamId(serial), place),
            Input::Word(serial, word) => return self.answered(StreamId(serial), word),
            Input::Socket(_) | Input::Drain | Input::Part(_) => {}
        }
        if let Stage::Http(porch) = &mut self.stage {
            match input {
                Input::Socket(Event::Lost(_)) => return self.close(),
                Input::Socket(event) => porch.event(now, event),
                Input::Drain => self.refusal = Some(Reason::Draining),
                Input::Part(_) => porch.close(now),
                Input::Placed(..) | Input::Word(..) | Input::Replied(_) => {}
            }
            return self.pump_http();
        }
        match input {
            Input::Socket(event) => self.tell(event.into_tunnel()),
            Input::Drain => self.tell(tunnel::Input::Rpc(rpc::Input::Drain)),
            Input::Part(reason) => self.tell(tunnel::Input::Close(reason)),
            Input::Placed(..) | Input::Word(..) | Input::Replied(_) => {}
        }
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        match &mut self.stage {
            Stage::Http(porch) => {
                porch.tick(now);
                self.pump_http();
            }
            Stage::Tunnel(tunnel) => tunnel.tick(now),
            Stage::Closed => {}
        }
    }

    /// Frames what the turn produced once nothing else is left to say, so that it shares a
    /// message: do not poll before the turn's other inputs were handled.
    fn poll(&mut self) -> Option<Action> {
        self.pump_tunnel();
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Http(porch) => porch.deadline(),
            Stage::Tunnel(tunnel) => tunnel.deadline(),
            Stage::Closed => None,
        }
    }
}

/// Whether a handshake is that of a node.
fn admit(head: &RequestHead) -> Result<(), Reason> {
    if head.target() != PATH.as_bytes() {
        return Err(Reason::NotFound);
    }
    read(&head.fields).map(|_| ()).ok_or(Reason::BadRequest)
}

/// What another node asks, if it asks anything.
fn question(head: &RequestHead) -> Option<Question> {
    if head.method == Method::POST && head.target() == CONSULT_PATH.as_bytes() {
        return Some(Question::Gossip);
    }
    let target = head.target().strip_prefix(status::PREFIX.as_bytes())?;
    let asks = head.method == Method::GET && target.starts_with(b"/status/");
    asks.then(|| Question::Status(Bytes::copy_from_slice(target)))
}

/// The endpoint that the other node says a call is for: once, since it added the field itself.
fn endpoint_of(head: &RequestHead) -> Result<EndpointId, Reason> {
    let mut values = head.fields.all(HEADER);
    match (values.next(), values.next()) {
        (Some(value), None) => EndpointId::parse(value),
        (Some(_), Some(_)) => Err(Reason::InvalidEndpoint),
        (None, _) => Err(Reason::MissingEndpoint),
    }
}
