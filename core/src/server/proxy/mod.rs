//! A client's connection: its requests, one at a time, each carried by a call.

mod fail;

use super::counts::Counts;
use super::entry::Event;
use super::exchange::{Call, Exchange, Response, failure, told_to_client};
use super::flow::Flow;
use super::forward::{self, About};
use super::hops;
use super::letter::{CallId, Sought};
use super::settings::Settings;
use super::tally::Outcome;
use crate::head::{RequestHead, ResponseHead};
use crate::http1::server as http1;
use crate::id::{ConnId, WorkerId};
use crate::machine::Machine as _;
use crate::note::Note;
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::routing::{EndpointId, Place, Tried, endpoint_of};
use crate::rpc::Word;
use crate::time::{Instant, Monotonic};
use crate::varint::wide;
use crate::wall::Wall;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use bytes::{Bytes, BytesMut};
use core::net::SocketAddr;
use http::StatusCode;

/// What a client's connection is told.
#[derive(Debug)]
pub(super) enum Input {
    /// Something happened on its socket.
    Socket(Event),
    /// The answer to [`Action::Begin`] of the call with this serial number: where it went, if
    /// anywhere.
    Placed(u64, Option<Place>),
    /// The callee's word in the call with this serial number.
    Word(u64, Word),
    /// What time of day it is.
    Wall(Wall),
    /// The node will drain: whoever asks again is to do so on another connection.
    Linger,
    /// Finish what is under way and close.
    Drain,
}

/// What a client's connection asks of its worker.
#[derive(Debug)]
pub(super) enum Action {
    /// Choose an upstream, answer with [`Input::Placed`], and begin a call there.
    Begin(Sought),
    /// Say the next word of the call.
    Say(Place, CallId, Word),
    /// A call that was placed there is over.
    Over(Place),
    /// Another node asks this one: answer with
    /// [`Replied`](crate::server::link::relay::Input::Replied).
    Ask(Bytes),
    /// Another node asks, for its operator: the path of the question. Answer in the same way.
    Inquire(Bytes),
    /// A request has come. Each is over with [`Ended`](Self::Ended), or with the connection.
    Begun,
    /// A request is over.
    Ended(Outcome),
    /// A call that another node forwarded is over.
    Relayed {
        /// Whether it was answered in full.
        answered: bool,
        /// Times that a body of it had used up its credit.
        stalls: u64,
    },
    /// Tell people.
    Note(Note),
    /// Send FIN when the outbox is empty.
    Finish,
    /// Drop the connection.
    Closed,
}

/// A client's connection.
#[derive(Debug)]
pub(super) struct Proxy {
    http: http1::Machine,
    exchange: Option<Box<Exchange>>,
    /// When the response's head must have come, unless it is the client's turn then.
    response_due: Option<Instant>,
    actions: VecDeque<Action>,
    clock: Monotonic,
    me: (WorkerId, ConnId),
    peer: SocketAddr,
    /// Calls begun so far.
    serial: u64,
    counts: Counts,
    /// Makes the request IDs of this connection differ from all others'.
    salt: u64,
    draining: bool,
    /// Whether the node is over its limit: every request is refused.
    full: bool,
    closed: bool,
    settings: Arc<Settings>,
}

impl Proxy {
    /// A connection that was just accepted; one too many, if the node is `full`.
    pub(super) fn new(
        now: Instant,
        me: (WorkerId, ConnId),
        peer: SocketAddr,
        salt: u64,
        full: bool,
        settings: Arc<Settings>,
    ) -> Self {
        let mut clock = Monotonic::default();
        clock.advance(now);
        Self {
            http: http1::Machine::new(now, Arc::clone(&settings.limits)),
            exchange: None,
            response_due: None,
            actions: VecDeque::new(),
            clock,
            me,
            peer,
            serial: 0,
            counts: Counts::default(),
            salt,
            draining: false,
            full,
            closed: false,
            settings,
        }
    }

    /// What waits to be written.
    pub(super) fn outbox(&self) -> &Outbox {
        self.http.outbox()
    }

    /// Whether it was closed before all was written that had been said.
    pub(super) fn was_cut(&self) -> bool {
        self.http.was_cut()
    }

    /// How many bytes would be taken now.
    pub(super) fn room(&self) -> usize {
        self.http.room()
    }

    /// Whether it is over: it begins no call any more, and will not say so of one that began.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// What became of its requests so far.
    pub(super) fn counts(&self) -> Counts {
        Counts { under_way: u64::from(self.exchange.is_some()), ..self.counts }
    }

    fn tell(&mut self, input: http1::Input) {
        self.http.handle(self.clock.now(), input);
    }

    /// Carries out what the HTTP machine asks for.
    fn pump(&mut self) {
        while let Some(action) = self.http.poll() {
            match action {
                http1::Action::Request(request) => self.begin(request),
                http1::Action::Malformed(reason) => self.refuse(reason),
                http1::Action::Data { bytes, end } => self.body(bytes, end),
                http1::Action::Trailers(mut fields) => {
                    forward::trailers(&mut fields);
                    if let Some(exchange) = &mut self.exchange {
                        exchange.upload.trailers(fields);
                    }
                    self.forward_body();
                }
                http1::Action::Taken(count) => self.taken(count),
                http1::Action::Finished => self.finish(),
                http1::Action::Canceled(reason) => {
                    self.abandon(reason);
                }
                http1::Action::Finish => self.actions.push_back(Action::Finish),
                http1::Action::Closed(_) => self.close(),
            }
        }
    }

    fn begin(&mut self, request: http1::Request) {
        let http1::Request { mut head, version, end, upgrade } = request;
        let limits = &self.settings.limits;
        let id = forward::request_id(&head.fields, self.fresh());
        let upload = Flow::new(end, limits.replay_bytes);
        let mut exchange = Box::new(Exchange::new(id, Some(head.method.clone()), upload, upgrade));
        exchange.log.since = self.clock.now();
        let endpoint = endpoint_of(&head);
        if self.settings.log_requests {
            let path = head.target().split(|b| *b == b'?').next().unwrap_or_default();
            exchange.log.path = String::from_utf8_lossy(path).into_owned();
            exchange.log.endpoint =
                endpoint.as_ref().map_or_else(|_| String::new(), |id| id.as_str().into());
        }
        let counted = hops::count(&mut head, version);
        let about = About {
            node: &self.settings.node_id,
            peer: self.peer,
            trusted: self.settings.trusts(self.peer.ip()),
            version,
            upgrade,
            request_id: &exchange.id,
        };
        forward::request(&mut head, &about);
        self.exchange = Some(exchange);
        self.begun();
        match (counted, endpoint) {
            _ if self.full => {
                self.refuse(Reason::Overloaded);
                self.tell(http1::Input::Drain);
            }
            (Ok(None), Ok(endpoint)) => self.call(endpoint, head, end, None),
            (Ok(Some(answer)), _) => self.answer(answer, None),
            (Ok(None), Err(reason)) => self.refuse(reason),
            (Err(reason), _) => {
                // Like anything else that cannot be meant.
                self.tell(http1::Input::Last);
                self.refuse(reason);
            }
        }
    }

    /// Makes an ID for the next request.
    fn fresh(&self) -> u64 {
        self.salt.wrapping_add(self.counts.begun)
    }

    fn begun(&mut self) {
        self.counts.begun += 1;
        self.actions.push_back(Action::Begun);
    }

    /// Asks for an upstream and begins a call there, after an earlier one failed.
    fn call(
        &mut self,
        endpoint: EndpointId,
        head: RequestHead,
        end: bool,
        failed: Option<(Place, Reason)>,
    ) {
        let Some(exchange) = &mut self.exchange else { return };
        exchange.call = Call::Asked(failed);
        let tried = failed.map(|(place, why)| {
            let failure = failure(why, exchange.started);
            Tried { place, failure }
        });
        exchange.again = failed.is_none().then(|| (endpoint.clone(), head.clone()));
        self.serial += 1;
        let call = self.call_id(self.serial);
        self.await_response();
        self.actions.push_back(Action::Begin(Sought { call, endpoint, tried, head, end }));
    }

    fn placed(&mut self, serial: u64, place: Option<Place>) {
        let current = self.exchange.as_mut().filter(|_| serial == self.serial);
        let asked = current.and_then(|exchange| match exchange.call {
            Call::Asked(failed) => Some((exchange, failed)),
            Call::Live(..) | Call::Over => None,
        });
        match (asked, place) {
            (Some((exchange, failed)), Some(place)) => {
                exchange.call = Call::Live(place, failed.is_some());
                exchange.log.upstream = Some(place);
                self.forward_body();
            }
            (Some((exchange, failed)), None) => {
                exchange.call = Call::Over;
                let told = |(_, reason)| told_to_client(reason, exchange.started);
                let told = failed.map_or(Reason::NoUpstream, told);
                let leaves = self.draining && told == Reason::NoUpstream;
                self.refuse(if leaves { Reason::Draining } else { told });
            }
            // The client left while its upstream was being chosen.
            (None, Some(place)) => self.say_reset(place, serial, Reason::Canceled),
            (None, None) => {}
        }
    }

    fn body(&mut self, bytes: BytesMut, end: bool) {
        if let Some(exchange) = &mut self.exchange {
            exchange.log.bytes_in = exchange.log.bytes_in.saturating_add(wide(bytes.len()));
            exchange.upload.push(bytes, end);
        }
        self.forward_body();
    }

    /// Sends on what the callee would take of the request's body.
    fn forward_body(&mut self) {
        let Some(exchange) = &mut self.exchange else { return };
        let Call::Live(place, _) = exchange.call else { return };
        let call = CallId { worker: self.me.0, conn: self.me.1, serial: self.serial };
        let mut moved = false;
        while let Some(word) = exchange.upload.next() {
            self.actions.push_back(Action::Say(place, call, word));
            moved = true;
        }
        if exchange.upload.is_over() && exchange.response == Response::Ended {
            exchange.call = Call::Over;
            self.actions.push_back(Action::Over(place));
        } else if moved {
            self.await_response();
        }
    }

    /// Starts the wait for the response's head, from the last request byte that was forwarded.
    fn await_response(&mut self) {
        let waits = self.exchange.as_ref().is_some_and(|e| e.response <= Response::Interim);
        if waits {
            self.response_due = Some(self.clock.now() + self.settings.limits.response_timeout);
        }
    }

    fn word(&mut self, serial: u64, word: Word) {
        let Some(exchange) = &mut self.exchange else { return };
        if serial != self.serial || !matches!(exchange.call, Call::Live(..)) {
            return;
        }
        match word {
            Word::Credit(more) => {
                let extra = exchange.upload.credit(more);
                self.tell(http1::Input::Credit(extra));
                self.forward_body();
            }
            Word::Response { head, end } => self.respond(head, end),
            Word::Data { bytes, end } => {
                let out = &mut exchange.log.bytes_out;
                *out = out.saturating_add(wide(bytes.len()));
                self.tell(http1::Input::Data { bytes, end });
                if end {
                    self.response_ended();
                }
            }
            Word::Trailers(mut fields) => {
                forward::trailers(&mut fields);
                self.tell(http1::Input::Trailers(fields));
                self.response_ended();
            }
            Word::Reset(reset) => self.failed(reset),
            // A callee does not call: the RPC machine refuses such a frame.
            Word::Request { .. } => {}
        }
    }

    fn respond(&mut self, mut head: ResponseHead, end: bool) {
        let Some(exchange) = &mut self.exchange else { return };
        let switching = head.status == StatusCode::SWITCHING_PROTOCOLS;
        if switching && !exchange.upgrade {
            self.cancel(Reason::ProtocolError);
            return self.fail(Reason::BadResponse);
        }
        exchange.again = None;
        exchange.upload.settle();
        forward::response(&mut head, &self.settings.node_id);
        if head.status.is_informational() && !switching {
            exchange.response = Response::Interim;
            let goes_on = head.status == StatusCode::CONTINUE;
            let needed = goes_on && !core::mem::replace(&mut exchange.continued, true);
            // No credit bounds interim responses: a client that is behind goes without.
            if !needed && self.http.outbox().len() > self.settings.limits.outbox_bytes {
                return;
            }
            return self.tell(http1::Input::Respond { head, end: false });
        }
        exchange.response = Response::Body;
        exchange.log.status = head.status.as_u16();
        exchange.log.first = Some(self.clock.now() - exchange.log.since);
        let over = exchange.upgrade && !switching;
        if over {
            exchange.upload.push(BytesMut::new(), true);
        }
        self.response_due = None;
        self.tell(http1::Input::Respond { head, end });
        if over {
            self.forward_body();
        }
        if end {
            self.response_ended();
        }
    }

    /// The callee has said all. If the client has not, nobody wants the rest.
    fn response_ended(&mut self) {
        let Some(exchange) = &mut self.exchange else { return };
        exchange.response = Response::Ended;
        let Call::Live(place, _) = exchange.call else { return };
        if exchange.upload.is_over() {
            exchange.call = Call::Over;
            self.actions.push_back(Action::Over(place));
        } else if !exchange.is_raw() {
            self.cancel(Reason::Closed);
        }
    }

    /// The socket took bytes of the response's body: the callee may send as many more.
    fn taken(&mut self, count: usize) {
        let Some(exchange) = &self.exchange else { return };
        let Call::Live(place, _) = exchange.call else { return };
        if exchange.response < Response::Ended {
            let call = self.call_id(self.serial);
            self.actions.push_back(Action::Say(place, call, Word::Credit(count)));
        }
    }

    fn call_id(&self, serial: u64) -> CallId {
        CallId { worker: self.me.0, conn: self.me.1, serial }
    }

    /// The exchange is over: notes it.
    fn finish(&mut self) {
        self.response_due = None;
        let Some(mut exchange) = self.exchange.take() else { return };
        self.counts.end(exchange.log.reason.is_none());
        let took = self.clock.now() - exchange.log.since;
        self.actions.push_back(Action::Ended(exchange.outcome(took)));
        if self.settings.log_requests {
            self.actions.push_back(Action::Note(Note::Request(exchange.note(took))));
        }
    }

    fn close(&mut self) {
        let whole = self.exchange.as_ref().is_some_and(|e| e.response == Response::Ended);
        if whole {
            self.cancel(Reason::Canceled);
            self.finish();
        } else {
            self.abandon(Reason::Canceled);
        }
        if !self.closed {
            self.closed = true;
            self.actions.push_back(Action::Closed);
        }
    }
}

impl crate::Machine for Proxy {
    type Input = Input;
    type Action = Action;

    fn handle(&mut self, now: Instant, input: Input) {
        self.clock.advance(now);
        if self.closed {
            return;
        }
        match input {
            Input::Socket(Event::Received(bytes)) => self.tell(http1::Input::Received(bytes)),
            Input::Socket(Event::Eof) => self.tell(http1::Input::Eof),
            Input::Socket(Event::Sent(count)) => self.tell(http1::Input::Sent(count)),
            Input::Socket(Event::Lost(_)) => return self.close(),
            Input::Placed(serial, place) => self.placed(serial, place),
            Input::Word(serial, word) => self.word(serial, word),
            Input::Wall(wall) => self.tell(http1::Input::Wall(wall)),
            Input::Linger => self.tell(http1::Input::Last),
            Input::Drain => {
                self.draining = true;
                self.tell(http1::Input::Drain);
            }
        }
        self.pump();
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        if self.closed {
            return;
        }
        self.http.tick(now);
        self.pump();
        if self.response_due.is_some_and(|due| due <= now) {
            self.late();
            self.pump();
        }
    }

    fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        if self.closed {
            return None;
        }
        self.response_due.into_iter().chain(self.http.deadline()).min()
    }
}
