//! Links: tunnels between nodes, by which a worker sends calls to a node that holds the upstream.
//!
//! A [`Link`] is the end that dialled, and calls; a [`Relay`](relay::Relay) the end that accepted,
//! and is called. The opening handshake is in `spec/link.md`.

mod call;
pub(super) mod relay;

use super::calls::{Calls, decline};
use super::entry::Event;
use super::letter::CallId;
use super::settings::Settings;
use crate::head::{Fields, ResponseHead};
use crate::host::Fault;
use crate::http1::client;
use crate::id::Boot;
use crate::machine::Machine as _;
use crate::note::Why;
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::rpc::{self, Reset, Word};
use crate::seed::Seed;
use crate::time::{Instant, Monotonic};
use crate::tunnel::{self, Shake, Shaken};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::net::SocketAddr;

/// Where nodes connect to.
const PATH: &str = "/pico/v1/node";

/// Where nodes consult each other.
pub(super) const CONSULT_PATH: &str = "/pico/v1/gossip";

/// The field by which each end says which run of its node it is.
const NODE: &str = "x-pico-node";

/// Round trips that a link may take to open, if that is longer than `link_timeout`: those of TCP,
/// of the keys and of the hello, the three for which TCP waits before it sends a lost packet again
/// (RFC 6298, section 2.2), and one to spare.
const TRIPS: u32 = 7;

/// What a link is told.
#[derive(Debug)]
pub(super) enum Input {
    /// The connection that was asked for is there.
    Connected,
    /// Something happened on its socket; `Lost` also if the connection never was.
    Socket(Event),
    /// A caller's word.
    Ask(CallId, Word),
    /// Close now.
    Part(Reason),
}

/// What a link asks of its worker.
#[derive(Debug)]
pub(super) enum Action {
    /// A callee's word.
    Answer(CallId, Word),
    /// The node is there, and is who it should be.
    Up,
    /// The node wants no new calls.
    Leaving,
    /// No call can be made here any more.
    Down {
        /// What broke, unless one of the sides meant it to end.
        why: Option<Why>,
    },
    /// Send FIN when the outbox is empty.
    Finish,
    /// Drop the connection.
    Closed,
}

/// Our link to another node.
#[derive(Debug)]
pub(super) struct Link {
    boot: Boot,
    host: String,
    stage: Stage,
    /// When the wait for the node's hello ends, which is for the connection at first.
    due: Option<Instant>,
    /// Calls that wait for it, oldest first.
    waiting: VecDeque<Waiting>,
    calls: Calls,
    actions: VecDeque<Action>,
    clock: Monotonic,
    seed: Seed,
    /// Whether one of the two sides means it to end.
    meant: bool,
    /// What broke, if something did.
    why: Option<Why>,
    /// Whether the worker was told that it is down.
    down: bool,
    settings: Arc<Settings>,
}

#[derive(Debug)]
enum Stage {
    /// Since when.
    Dialing(Instant),
    Shaking(Box<Shake>),
    Tunnel(Box<tunnel::Machine<CallId>>),
    Closed,
}

/// A call that waits for the link.
#[derive(Debug)]
struct Waiting {
    call: CallId,
    request: Word,
    /// What ends the request, if that was said: nothing else is, without credit.
    tail: Option<Word>,
}

impl Link {
    /// A link to `boot`, which is being dialled at `addr`.
    pub(super) fn new(
        now: Instant,
        boot: Boot,
        addr: SocketAddr,
        seed: Seed,
        settings: Arc<Settings>,
    ) -> Self {
        let mut clock = Monotonic::default();
        let now = clock.advance(now);
        Self {
            boot,
            host: format!("{addr}"),
            stage: Stage::Dialing(now),
            due: Some(now + settings.limits.link_timeout),
            waiting: VecDeque::new(),
            calls: Calls::default(),
            actions: VecDeque::new(),
            clock,
            seed,
            meant: false,
            why: None,
            down: false,
            settings,
        }
    }

    /// Where it leads.
    pub(super) const fn boot(&self) -> Boot {
        self.boot
    }

    /// Whether calls can be made by it now.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Tunnel(_)) && self.due.is_none() && !self.down
    }

    /// What waits to be written.
    pub(super) fn outbox(&self) -> Option<&Outbox> {
        match &self.stage {
            Stage::Shaking(shake) => Some(shake.outbox()),
            Stage::Tunnel(tunnel) => Some(tunnel.outbox()),
            Stage::Dialing(_) | Stage::Closed => None,
        }
    }

    /// How many bytes would be taken now.
    pub(super) fn room(&self) -> usize {
        match &self.stage {
            Stage::Shaking(shake) => shake.room(),
            Stage::Tunnel(tunnel) => tunnel.room(),
            Stage::Dialing(_) | Stage::Closed => 0,
        }
    }

    fn tell(&mut self, input: tunnel::Input<CallId>) {
        if let Stage::Tunnel(tunnel) = &mut self.stage {
            tunnel.handle(self.clock.now(), input);
        }
    }

    fn connected(&mut self) {
        let Stage::Dialing(since) = self.stage else { return };
        // That took a round trip, of which there are more to come. Who is far is not dead.
        let trips = self.clock.now().since(since).saturating_mul(TRIPS);
        self.due = Some(since + trips.max(self.settings.limits.link_timeout));
        let mut more = Fields::with_capacity(1, 32);
        more.push(NODE.as_bytes(), written(self.settings.boot).as_bytes());
        let limits = Arc::clone(&self.settings.limits);
        let mut dice = self.seed.fork("key").roll();
        let shake = Shake::new(self.clock.now(), &mut dice, &self.host, PATH, &more, limits);
        self.stage = Stage::Shaking(Box::new(shake));
    }

    fn socket(&mut self, event: Event) {
        if let Event::Lost(fault) = event {
            self.why = Some(Why::Fault(fault));
        }
        match &mut self.stage {
            Stage::Tunnel(_) => self.tell(event.into_tunnel()),
            Stage::Shaking(shake) => {
                let input = match event {
                    Event::Received(bytes) => client::Input::Received(bytes),
                    Event::Eof => client::Input::Eof,
                    Event::Sent(count) => client::Input::Sent(count),
                    Event::Lost(_) => return self.fail(Reason::UpstreamLost),
                };
                shake.handle(self.clock.now(), input);
            }
            Stage::Dialing(_) => {
                if matches!(event, Event::Lost(_)) {
                    self.fail(Reason::UpstreamLost);
                }
            }
            Stage::Closed => {}
        }
    }

    /// The next thing that the child asks for. Returns whether there was one.
    fn pump(&mut self) -> bool {
        let now = self.clock.now();
        match &mut self.stage {
            Stage::Dialing(_) | Stage::Closed => false,
            Stage::Shaking(shake) => {
                let Some(shaken) = shake.poll(now) else { return false };
                match shaken {
                    Shaken::Agreed(head) => self.agreed(&head),
                    // What is wrong with the node is not the service's fault.
                    Shaken::Refused(refusal) => {
                        self.broken(Why::Status(refusal.status), Reason::UpstreamLost);
                    }
                    Shaken::Failed(reason) => {
                        self.broken(Why::Reason(reason), Reason::UpstreamLost);
                    }
                    Shaken::Finish => self.actions.push_back(Action::Finish),
                }
                true
            }
            Stage::Tunnel(tunnel) => {
                match tunnel.poll() {
                    Some(tunnel::Action::Rpc(action)) => self.heard(action),
                    Some(tunnel::Action::Finish) => self.actions.push_back(Action::Finish),
                    Some(tunnel::Action::Closed(reason)) => {
                        self.broken(Why::Reason(reason), reason);
                    }
                    None => return self.is_ending(),
                }
                true
            }
        }
    }

    /// The node at this address agrees to a link. Whether it is the one that was meant it says
    /// itself: addresses are given to others, and a node that restarts is another.
    fn agreed(&mut self, head: &ResponseHead) {
        if read(&head.fields) != Some(self.boot) {
            return self.broken(Why::Reason(Reason::NotMine), Reason::NotMine);
        }
        let now = self.clock.now();
        let stage = core::mem::replace(&mut self.stage, Stage::Closed);
        let Stage::Shaking(shake) = stage else { return };
        let me = self.settings.identity();
        let limits = Arc::clone(&self.settings.limits);
        self.stage = Stage::Tunnel(Box::new(shake.into_tunnel(now, &me, &self.seed, limits)));
    }

    fn heard(&mut self, action: rpc::Action<CallId>) {
        match action {
            rpc::Action::Ready(_) => {
                self.due = None;
                self.actions.push_back(Action::Up);
                for Waiting { call, request, tail } in core::mem::take(&mut self.waiting) {
                    self.open(call, request);
                    if let Some(word) = tail {
                        self.open(call, word);
                    }
                }
            }
            rpc::Action::PeerDrains => {
                self.meant = true;
                self.actions.push_back(Action::Leaving);
            }
            // We call by this link; the node calls by its own.
            rpc::Action::Opened { stream, .. } => self.tell(tunnel::Input::Rpc(decline(stream))),
            rpc::Action::Said { tag: Some(call), word, .. } => {
                self.calls.said(call, &word);
                self.actions.push_back(Action::Answer(call, word));
            }
            rpc::Action::Said { tag: None, .. }
            | rpc::Action::RoundTrip(_)
            | rpc::Action::Drained
            | rpc::Action::Closed(_) => {}
        }
    }

    fn open(&mut self, call: CallId, word: Word) {
        let Stage::Tunnel(tunnel) = &mut self.stage else { return };
        if let Some(input) = self.calls.ask(call, word, tunnel.next_stream()) {
            self.tell(tunnel::Input::Rpc(input));
        }
    }

    fn ask(&mut self, call: CallId, word: Word) {
        if matches!(self.stage, Stage::Closed) {
            self.bounce(call, &word, Reason::UpstreamLost);
        } else if self.due.is_none() {
            self.open(call, word);
        } else {
            self.wait(call, word);
        }
    }

    /// A word of a call that waits for the link, or begins to.
    fn wait(&mut self, call: CallId, word: Word) {
        match word {
            Word::Request { .. } if self.waiting.len() >= self.settings.limits.streams => {
                self.bounce(call, &word, Reason::StreamLimit);
            }
            Word::Request { .. } => {
                self.waiting.push_back(Waiting { call, request: word, tail: None });
            }
            Word::Reset(_) => self.waiting.retain(|waiting| waiting.call != call),
            Word::Data { .. } | Word::Trailers(_) => {
                let mut waiting = self.waiting.iter_mut();
                if let Some(waiting) = waiting.find(|waiting| waiting.call == call) {
                    waiting.tail = Some(word);
                }
            }
            Word::Response { .. } | Word::Credit(_) => {}
        }
    }

    /// Answers a call that cannot be made here.
    fn bounce(&mut self, call: CallId, word: &Word, reason: Reason) {
        if matches!(word, Word::Request { .. }) {
            let reset = Reset { reason, started: false };
            // The worker may have yet to hear that the link is closed, which is the last it hears.
            let closed = match self.actions.back() {
                Some(Action::Closed) => self.actions.pop_back(),
                Some(
                    Action::Answer(..)
                    | Action::Up
                    | Action::Leaving
                    | Action::Down { .. }
                    | Action::Finish,
                )
                | None => None,
            };
            self.actions.push_back(Action::Answer(call, Word::Reset(reset)));
            self.actions.extend(closed);
        }
    }

    /// Tells the worker that it is down as soon as it is, and not only when it is closed.
    fn is_ending(&mut self) -> bool {
        let (ending, reason) = match &self.stage {
            Stage::Tunnel(tunnel) => (!tunnel.is_open(), tunnel.ending()),
            Stage::Dialing(_) | Stage::Shaking(_) => (false, None),
            Stage::Closed => (true, None),
        };
        if !ending || self.down {
            return false;
        }
        self.down = true;
        let why = self.why.or(reason.map(Why::Reason));
        let why = why.unwrap_or(Why::Reason(Reason::ConnectionLost));
        self.actions.push_back(Action::Down { why: Some(why).filter(|_| !self.meant) });
        true
    }

    /// It is over, because something broke.
    fn broken(&mut self, why: Why, reason: Reason) {
        self.why.get_or_insert(why);
        self.fail(reason);
    }

    /// It is over. Calls that still wait never started.
    fn fail(&mut self, reason: Reason) {
        self.stage = Stage::Closed;
        self.due = None;
        self.calls.clear();
        for Waiting { call, request, .. } in core::mem::take(&mut self.waiting) {
            self.bounce(call, &request, reason);
        }
        self.is_ending();
        self.actions.push_back(Action::Closed);
    }
}

impl crate::Machine for Link {
    type Input = Input;
    type Action = Action;

    fn handle(&mut self, now: Instant, input: Input) {
        self.clock.advance(now);
        match input {
            Input::Connected => self.connected(),
            Input::Socket(event) => self.socket(event),
            Input::Ask(call, word) => self.ask(call, word),
            Input::Part(reason) => {
                self.meant = true;
                match self.stage {
                    Stage::Tunnel(_) => self.tell(tunnel::Input::Close(reason)),
                    Stage::Dialing(_) | Stage::Shaking(_) => self.fail(reason),
                    Stage::Closed => {}
                }
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        if self.due.is_some_and(|due| due <= now) {
            let why = match &self.stage {
                Stage::Dialing(_) => Why::Fault(Fault::TimedOut),
                Stage::Shaking(_) | Stage::Tunnel(_) | Stage::Closed => {
                    Why::Reason(Reason::NodeTimeout)
                }
            };
            return self.broken(why, Reason::UpstreamLost);
        }
        match &mut self.stage {
            Stage::Shaking(shake) => shake.tick(now),
            Stage::Tunnel(tunnel) => tunnel.tick(now),
            Stage::Dialing(_) | Stage::Closed => {}
        }
    }

    /// Frames what the turn produced once nothing else is left to say, so that it shares a
    /// message: do not poll before the turn's other inputs were handled.
    fn poll(&mut self) -> Option<Action> {
        while self.actions.is_empty() && self.pump() {}
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        let child = match &self.stage {
            Stage::Shaking(shake) => shake.deadline(),
            Stage::Tunnel(tunnel) => tunnel.deadline(),
            Stage::Dialing(_) | Stage::Closed => None,
        };
        self.due.into_iter().chain(child).min()
    }
}

/// A run of a node, as it is written in a handshake.
fn written(boot: Boot) -> String {
    format!("{:016x}", boot.0)
}

/// The run of a node that a handshake names: once, in 16 digits.
fn read(fields: &Fields) -> Option<Boot> {
    let mut values = fields.all(NODE);
    let value = values.next().filter(|_| values.next().is_none())?;
    let digits = core::str::from_utf8(value).ok().filter(|text| text.len() == 16)?;
    let plain = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let number = u64::from_str_radix(digits, 16).ok().filter(|number| plain && *number != 0)?;
    Some(Boot(number))
}
