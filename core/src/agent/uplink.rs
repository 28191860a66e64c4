//! A connection to the server: dialled, then shaken hands with, then a tunnel.

use super::Agent;
use super::call::CallId;
use super::conn::{Conn, Event, Kind};
use super::listener::{Failure, Listener};
use crate::head::Fields;
use crate::host::{Action, Fault, Wire};
use crate::http1::client;
use crate::id::ConnId;
use crate::machine::Machine as _;
use crate::note::{Note, Why};
use crate::outbox::Outbox;
use crate::reason::Reason;
use crate::time::Instant;
use crate::tunnel::{Refusal, Shake, Shaken};
use crate::{rpc, tunnel};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;

/// One connection to the server, for one listener.
#[derive(Debug)]
pub(super) struct Uplink {
    /// Whose it is.
    pub(super) listener: usize,
    /// When dialling, or all up to the first round trip, has taken too long.
    pub(super) due: Option<Instant>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Dialing,
    Shaking(Box<Shake>),
    Open(Box<Open>),
}

#[derive(Debug)]
struct Open {
    tunnel: tunnel::Machine<CallId>,
    /// What the node calls itself.
    node: String,
    /// Whether our drain is over, and the tunnel to be closed once all is handed on.
    drained: bool,
}

impl Uplink {
    /// A connection that is being dialled until `due`.
    pub(super) fn new(listener: usize, due: Instant) -> Self {
        Self { listener, due: Some(due), stage: Stage::Dialing }
    }

    /// Whether it has not yet connected.
    pub(super) fn is_dialing(&self) -> bool {
        matches!(self.stage, Stage::Dialing)
    }

    /// Passes on what the socket did.
    pub(super) fn feed(&mut self, now: Instant, event: Event) {
        match &mut self.stage {
            Stage::Dialing => {}
            Stage::Shaking(shake) => shake.handle(now, client_input(event)),
            Stage::Open(open) => {
                let input = match event {
                    Event::Received(bytes) => tunnel::Input::Received(bytes),
                    Event::Eof => tunnel::Input::Eof,
                    Event::Sent(count) => tunnel::Input::Sent(count),
                };
                open.tunnel.handle(now, input);
            }
        }
    }

    /// Lets the child fire what is due.
    pub(super) fn tick(&mut self, now: Instant) {
        match &mut self.stage {
            Stage::Dialing => {}
            Stage::Shaking(shake) => shake.tick(now),
            Stage::Open(open) => open.tunnel.tick(now),
        }
    }

    /// The tunnel, once there is one.
    pub(super) fn tunnel_mut(&mut self) -> Option<&mut tunnel::Machine<CallId>> {
        match &mut self.stage {
            Stage::Dialing | Stage::Shaking(_) => None,
            Stage::Open(open) => Some(&mut open.tunnel),
        }
    }

    /// What waits to be written.
    pub(super) fn outbox(&self) -> Option<&Outbox> {
        match &self.stage {
            Stage::Dialing => None,
            Stage::Shaking(shake) => Some(shake.outbox()),
            Stage::Open(open) => Some(open.tunnel.outbox()),
        }
    }

    /// How many bytes would be taken now.
    pub(super) fn room(&self) -> usize {
        match &self.stage {
            Stage::Dialing => 0,
            Stage::Shaking(shake) => shake.room(),
            Stage::Open(open) => open.tunnel.room(),
        }
    }

    /// When the child wants to be woken.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Dialing => None,
            Stage::Shaking(shake) => shake.deadline(),
            Stage::Open(open) => open.tunnel.deadline(),
        }
    }
}

/// What the socket did, as the HTTP/1 client wants to hear it.
pub(super) fn client_input(event: Event) -> client::Input {
    match event {
        Event::Received(bytes) => client::Input::Received(bytes),
        Event::Eof => client::Input::Eof,
        Event::Sent(count) => client::Input::Sent(count),
    }
}

/// What one of the children asks for.
enum Step {
    Shaking(Shaken),
    Open(tunnel::Action<CallId>),
}

impl Agent {
    /// Dials the server for `listener`, which has tried `tried` addresses in this attempt.
    /// `None` when there is no other address.
    pub(super) fn dial_server(
        &mut self,
        listener: usize,
        first: usize,
        tried: usize,
    ) -> Option<ConnId> {
        let to = self.names.address(self.server, first, tried)?;
        let due = self.clock.now() + self.limits.dial_timeout;
        let conn = self.ids.issue();
        self.listeners.get_mut(listener).into_iter().for_each(|listener| listener.dials(to));
        self.conns.insert(conn, Conn::new(Kind::Uplink(Uplink::new(listener, due))));
        self.uplinks += 1;
        self.actions.push_back(Action::Dial { conn, to, wire: Wire::Plain });
        self.mark(conn);
        Some(conn)
    }

    /// The socket is there: asks for the WebSocket.
    pub(super) fn shake(&mut self, conn: ConnId) {
        let now = self.clock.now();
        let Some(uplink) = self.conns.get_mut(conn).and_then(Conn::uplink_mut) else { return };
        let Some(listener) = self.listeners.get(uplink.listener) else { return };
        let target = format!("{}/pico/v1/listener/{}", self.prefix, listener.endpoint);
        let mut more = Fields::new();
        if let Some(token) = &self.token {
            more.push(b"Authorization", format!("Bearer {token}").as_bytes());
        }
        let limits = Arc::clone(&self.limits);
        let shake = Shake::new(now, &mut self.dice, &self.authority, &target, &more, limits);
        uplink.due = Some(now + self.limits.handshake_timeout);
        uplink.stage = Stage::Shaking(Box::new(shake));
        self.mark(conn);
    }

    /// Takes all that the children of `conn` ask for.
    pub(super) fn drain_uplink(&mut self, conn: ConnId) {
        let now = self.clock.now();
        while let Some(uplink) = self.conns.get_mut(conn).and_then(Conn::uplink_mut) {
            let listener = uplink.listener;
            let step = match &mut uplink.stage {
                Stage::Dialing => None,
                Stage::Shaking(shake) => shake.poll(now).map(Step::Shaking),
                Stage::Open(open) => open.tunnel.poll().map(Step::Open),
            };
            match step {
                None if self.close_drained(conn) => {}
                None => break,
                Some(Step::Shaking(shaken)) => self.shaken(conn, shaken),
                Some(Step::Open(tunnel::Action::Rpc(action))) => {
                    self.called(conn, listener, action);
                }
                Some(Step::Open(tunnel::Action::Finish)) => {
                    self.actions.push_back(Action::Finish(conn));
                }
                Some(Step::Open(tunnel::Action::Closed(reason))) => {
                    let fault = self.conns.get(conn).and_then(|conn| conn.lost);
                    self.remove(conn);
                    let why = fault.map_or(Why::Reason(reason), Why::Fault);
                    self.uplink_ended(listener, conn, why);
                }
            }
        }
        self.untagged.clear();
    }

    /// The driver has lost the connection.
    pub(super) fn uplink_lost(&mut self, conn: ConnId, fault: Fault) {
        let now = self.clock.now();
        self.drain_uplink(conn);
        let Some(held) = self.conns.get_mut(conn) else { return };
        held.lost = Some(fault);
        match held.tunnel_mut() {
            Some(tunnel) => {
                tunnel.handle(now, tunnel::Input::Lost);
                self.mark(conn);
            }
            None => self.give_up_shaking(conn, Why::Fault(fault)),
        }
    }

    /// The time that the agent itself allows has run out.
    pub(super) fn uplink_expired(&mut self, conn: ConnId) {
        let now = self.clock.now();
        let Some(uplink) = self.conns.get_mut(conn).and_then(Conn::uplink_mut) else { return };
        uplink.due = None;
        let left = self.listeners.get(uplink.listener).is_some_and(|l| l.has_left(conn));
        match &mut uplink.stage {
            Stage::Dialing => {
                let listener = uplink.listener;
                self.remove(conn);
                self.undialed(listener, conn, Fault::TimedOut.into());
            }
            Stage::Shaking(_) => self.give_up_shaking(conn, Why::Fault(Fault::TimedOut)),
            Stage::Open(_) if left => self.leave(conn),
            Stage::Open(open) => {
                open.tunnel.handle(now, tunnel::Input::Close(Reason::HeartbeatTimeout));
                self.mark(conn);
            }
        }
    }

    fn shaken(&mut self, conn: ConnId, shaken: Shaken) {
        match shaken {
            Shaken::Agreed(_) => self.open(conn),
            Shaken::Refused(refusal) => self.refused(conn, &refusal),
            Shaken::Failed(reason) => self.give_up_shaking(conn, Why::Reason(reason)),
            Shaken::Finish => self.actions.push_back(Action::Finish(conn)),
        }
    }

    fn open(&mut self, conn: ConnId) {
        let now = self.clock.now();
        let Some(uplink) = self.conns.get_mut(conn).and_then(Conn::uplink_mut) else { return };
        let stage = core::mem::replace(&mut uplink.stage, Stage::Dialing);
        let Stage::Shaking(shake) = stage else { return };
        self.tunnels += 1;
        let seed = self.seed.fork_at("tunnel", self.tunnels);
        let tunnel = shake.into_tunnel(now, &self.identity, &seed, Arc::clone(&self.limits));
        uplink.stage = Stage::Open(Box::new(Open { tunnel, node: String::new(), drained: false }));
    }

    /// Ends a connection that has not become a tunnel, and its listener's attempt with it. What
    /// was read of a refusal says more than why no more of it was.
    fn give_up_shaking(&mut self, conn: ConnId, why: Why) {
        let Some(uplink) = self.conns.get_mut(conn).and_then(Conn::uplink_mut) else { return };
        let listener = uplink.listener;
        if let Stage::Shaking(shake) = &mut uplink.stage
            && let Shaken::Refused(refusal) = shake.give_up(Reason::Closed)
        {
            return self.refused(conn, &refusal);
        }
        self.remove(conn);
        self.uplink_ended(listener, conn, why);
    }

    /// The server does not want this tunnel.
    fn refused(&mut self, conn: ConnId, refusal: &Refusal) {
        let Some(uplink) = self.conns.get_mut(conn).and_then(Conn::uplink_mut) else { return };
        let (listener, status) = (uplink.listener, refusal.status);
        self.remove(conn);
        if Refusal::lasts(status) {
            self.rejected(listener, conn, status, code_in(&refusal.body));
        } else {
            let failure = Failure { why: Why::Status(status), after: refusal.retry_after };
            self.undialed(listener, conn, failure);
        }
    }

    /// The RPC machine of a tunnel wants something.
    fn called(&mut self, conn: ConnId, listener: usize, action: rpc::Action<CallId>) {
        match action {
            rpc::Action::Ready(peer) => {
                if let Some(open) = self.open_mut(conn) {
                    open.node = peer.id;
                }
            }
            rpc::Action::Opened { stream, head, end } => {
                self.begin_call(conn, listener, stream, head, end);
            }
            rpc::Action::Said { stream, tag, word } => {
                let recent = || self.untagged.iter().rev().find(|(s, _)| *s == stream);
                if let Some(call) = tag.or_else(|| recent().map(|(_, call)| *call)) {
                    self.said(call, word);
                }
            }
            rpc::Action::RoundTrip(rtt) => {
                if self.came_online(listener, conn) {
                    self.set_due(conn, None);
                    self.leave_later(listener);
                    let node = self.open_mut(conn).map(|open| open.node.clone());
                    let node = node.unwrap_or_default();
                    let names = self.listeners.get(listener).map(Listener::names);
                    let (endpoint, service) = names.unwrap_or_default();
                    let note = Note::Online { endpoint, service, node, rtt };
                    self.actions.push_back(Action::Note(note));
                }
            }
            rpc::Action::PeerDrains => {
                self.set_due(conn, None);
                let node = self.open_mut(conn).map(|open| open.node.clone());
                self.peer_drains(listener, conn, node.unwrap_or_default());
            }
            rpc::Action::Drained => {
                if let Some(open) = self.open_mut(conn) {
                    open.drained = true;
                }
            }
            rpc::Action::Closed(_) => {}
        }
    }

    /// Closes a tunnel that is drained. Only now that the last frames have become messages: what
    /// is not sent when a tunnel is closed never will be.
    fn close_drained(&mut self, conn: ConnId) -> bool {
        let drained = self.open_mut(conn).map(|open| core::mem::take(&mut open.drained));
        if drained == Some(true) {
            self.close_tunnel(conn, Reason::Closed);
        }
        drained == Some(true)
    }

    /// Tells the peer of a tunnel goodbye.
    pub(super) fn close_tunnel(&mut self, conn: ConnId, reason: Reason) {
        let now = self.clock.now();
        if let Some(tunnel) = self.conns.get_mut(conn).and_then(Conn::tunnel_mut) {
            tunnel.handle(now, tunnel::Input::Close(reason));
            self.mark(conn);
        }
    }

    /// Says something to the RPC machine of a tunnel.
    pub(super) fn tell_rpc(&mut self, conn: ConnId, input: rpc::Input<CallId>) {
        let now = self.clock.now();
        if let Some(tunnel) = self.conns.get_mut(conn).and_then(Conn::tunnel_mut) {
            tunnel.handle(now, tunnel::Input::Rpc(input));
            self.mark(conn);
        }
    }

    /// The listener is online: the tunnels that it was asked to leave end soon.
    fn leave_later(&mut self, listener: usize) {
        let due = self.clock.now() + self.limits.leave_delay;
        let left = self.listeners.get(listener).map(Listener::left).unwrap_or_default();
        for conn in left {
            self.set_due(conn, Some(due));
            self.mark(conn);
        }
    }

    /// Has the node stop sending on a tunnel that it asked to leave, if there is another by now.
    fn leave(&mut self, conn: ConnId) {
        let Some(uplink) = self.conns.get_mut(conn).and_then(Conn::uplink_mut) else { return };
        if self.listeners.get(uplink.listener).is_some_and(Listener::is_online) {
            self.tell_rpc(conn, rpc::Input::Drain);
        }
    }

    /// Sets the agent's own time limit for `conn`, in place of any earlier one.
    fn set_due(&mut self, conn: ConnId, due: Option<Instant>) {
        if let Some(uplink) = self.conns.get_mut(conn).and_then(Conn::uplink_mut) {
            uplink.due = due;
        }
    }

    fn open_mut(&mut self, conn: ConnId) -> Option<&mut Open> {
        match &mut self.conns.get_mut(conn).and_then(Conn::uplink_mut)?.stage {
            Stage::Open(open) => Some(open),
            Stage::Dialing | Stage::Shaking(_) => None,
        }
    }
}

/// The value of `"code"` in a JSON object, or nothing: for people, so a glance suffices.
fn code_in(body: &[u8]) -> String {
    let name = b"\"code\"";
    let Some(at) = body.windows(name.len()).position(|w| w == name) else { return String::new() };
    let rest = body.get(at + name.len()..).unwrap_or_default().trim_ascii_start();
    let rest = rest.strip_prefix(b":").unwrap_or_default().trim_ascii_start();
    let rest = rest.strip_prefix(b"\"").unwrap_or_default();
    let plain = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'-';
    let code = rest.split(|b| !plain(b)).next().unwrap_or_default();
    let closed = rest.get(code.len()) == Some(&b'"');
    if closed && code.len() <= CODE_MAX {
        String::from_utf8_lossy(code).to_string()
    } else {
        String::new()
    }
}

/// Longer than any code that a node sends.
const CODE_MAX: usize = 64;
