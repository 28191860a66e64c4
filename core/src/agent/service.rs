//! Connections to the local services: a pool for each listener, and what the HTTP/1 machines on
//! them say.

use super::Agent;
use super::call::{CallId, Manner, Path, Response, Tail};
use super::conn::{Conn, Event, Kind};
use super::listener::Listener;
use super::names::{Lookup, Waiter};
use super::uplink::client_input;
use crate::head::{Fields, RequestHead, ResponseHead, elements};
use crate::host::{Action, Fault, Wire};
use crate::http1::{client, rules};
use crate::id::ConnId;
use crate::limits::Limits;
use crate::machine::Machine as _;
use crate::note::Note;
use crate::reason::Reason;
use crate::rpc::Word;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::string::ToString as _;
use alloc::sync::Arc;
use bytes::BytesMut;
use core::time::Duration;

/// One connection to a local service.
#[derive(Debug)]
pub(super) struct Local {
    /// Whose pool it belongs to.
    pub(super) listener: usize,
    /// The call on it.
    pub(super) call: Option<CallId>,
    /// Its machine, once it is connected.
    pub(super) http: Option<client::Machine>,
    /// When dialling has taken too long, or idleness.
    pub(super) due: Option<Instant>,
    /// Whether any byte of the present call may have reached the service.
    pub(super) sent: bool,
    /// Whether it has carried another call before.
    reused: bool,
    /// How long it may stay idle.
    keep: Duration,
}

impl Local {
    fn new(listener: usize, call: CallId, due: Instant, keep: Duration) -> Self {
        let (http, due) = (None, Some(due));
        Self { listener, call: Some(call), http, due, sent: false, reused: false, keep }
    }

    /// Passes on what the socket did.
    pub(super) fn feed(&mut self, now: Instant, event: Event) {
        if let Event::Sent(count) = event {
            self.sent |= count > 0;
        }
        if let Some(http) = &mut self.http {
            http.handle(now, client_input(event));
        }
    }
}

impl Agent {
    /// Puts a call on an idle connection, the one used last. Says whether there was one.
    pub(super) fn reuse(&mut self, listener: usize, id: CallId) -> bool {
        loop {
            let idle = self.listeners.get_mut(listener).and_then(|l| l.idle.pop_back());
            let Some(conn) = idle else { return false };
            let Some(local) = self.conns.get_mut(conn).and_then(Conn::local_mut) else { continue };
            if !local.http.as_ref().is_some_and(client::Machine::is_idle) {
                continue;
            }
            local.call = Some(id);
            (local.due, local.sent, local.reused) = (None, false, true);
            self.send_request(conn, id);
            return true;
        }
    }

    /// Looks for an address of the call's service, to dial it.
    pub(super) fn reach(&mut self, id: CallId) {
        let Some(service) = self.service_of(id) else { return };
        match self.look(service, Waiter::Call(id)) {
            Lookup::Known => self.dial_service(id, 0, true, Fault::NoSuchHost),
            Lookup::Waiting | Lookup::Ask(..) => {}
        }
    }

    /// The addresses of a call's service came, or why there are none.
    pub(super) fn service_resolved(&mut self, id: CallId, result: Result<bool, Fault>) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let Path::Resolving { stale } = call.path else { return };
        match (result, stale) {
            (Err(fault), _) | (Ok(false), Some(fault)) => self.unreachable_service(id, fault),
            (Ok(_), _) => self.dial_service(id, 0, false, Fault::NoSuchHost),
        }
    }

    /// Dials the next address of a call's service, after `tried` others, of which the last ended
    /// with `fault`.
    fn dial_service(&mut self, id: CallId, tried: usize, cached: bool, fault: Fault) {
        let Some(service) = self.service_of(id) else { return };
        let Some(to) = self.names.address(service, 0, tried) else {
            return self.service_exhausted(id, cached, fault);
        };
        let due = self.clock.now() + self.limits.dial_timeout;
        let keep = self.limits.pool_timeout;
        let conn = self.ids.issue();
        let Some(call) = self.calls.get_mut(id) else { return };
        call.path = Path::Dialing { conn, tried, cached };
        let local = Local::new(call.listener, id, due, keep);
        self.conns.insert(conn, Conn::new(Kind::Local(Box::new(local))));
        self.actions.push_back(Action::Dial { conn, to, wire: Wire::Plain });
        self.mark(conn);
    }

    /// No address worked: asks for new ones, if those were old.
    fn service_exhausted(&mut self, id: CallId, cached: bool, fault: Fault) {
        let Some(service) = self.service_of(id) else { return };
        self.names.distrust(service);
        if let Some(call) = self.calls.get_mut(id).filter(|_| cached) {
            call.path = Path::Resolving { stale: Some(fault) };
            match self.look(service, Waiter::Call(id)) {
                Lookup::Waiting | Lookup::Ask(..) => return,
                Lookup::Known => {}
            }
        }
        self.unreachable_service(id, fault);
    }

    fn unreachable_service(&mut self, id: CallId, fault: Fault) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let Some(listener) = self.listeners.get_mut(call.listener) else { return };
        if !core::mem::replace(&mut listener.unreachable, true) {
            let endpoint = listener.endpoint.to_string();
            let service = listener.authority.clone();
            let note = Note::ServiceUnreachable { endpoint, service, fault };
            self.actions.push_back(Action::Note(note));
        }
        let started = call.started;
        self.reset(id, Reason::ServiceUnreachable, started);
    }

    /// A connection to a service is there: its call begins.
    pub(super) fn local_connected(&mut self, conn: ConnId) {
        let now = self.clock.now();
        let Some(local) = self.conns.get_mut(conn).and_then(Conn::local_mut) else { return };
        if local.http.is_some() {
            return;
        }
        local.http = Some(client::Machine::new(now, Arc::clone(&self.patient)));
        local.due = None;
        let call = local.call;
        if let Some(listener) = self.listeners.get_mut(local.listener) {
            listener.unreachable = false;
        }
        if let Some(id) = call {
            self.send_request(conn, id);
        }
    }

    /// A connection to a service never came to be.
    pub(super) fn local_undialed(&mut self, conn: ConnId, fault: Fault) {
        let Some(local) = self.conns.get_mut(conn).and_then(Conn::local_mut) else { return };
        let call = local.call.take();
        self.remove(conn);
        let Some(id) = call else { return };
        let Some(call) = self.calls.get_mut(id) else { return };
        match call.path {
            Path::Dialing { tried, cached, .. } => self.dial_service(id, tried + 1, cached, fault),
            Path::Resolving { .. } | Path::Open { .. } => {}
        }
    }

    /// The driver has lost a connection to a service.
    pub(super) fn local_lost(&mut self, conn: ConnId, fault: Fault) {
        self.drain_local(conn);
        let Some(held) = self.conns.get_mut(conn) else { return };
        held.lost = Some(fault);
        let Some(local) = held.local_mut() else { return };
        let (call, reused, sent) = (local.call.take(), local.reused, local.sent);
        self.remove(conn);
        if let Some(id) = call {
            self.broken(id, Reason::ConnectionLost, reused, sent);
        }
    }

    /// Dialling took too long, or the connection was idle for long enough.
    pub(super) fn local_expired(&mut self, conn: ConnId) {
        let Some(local) = self.conns.get_mut(conn).and_then(Conn::local_mut) else { return };
        if local.http.is_some() {
            self.remove(conn);
        } else {
            self.local_undialed(conn, Fault::TimedOut);
        }
    }

    /// Gives a call's request to the machine of its connection. What a second try would need is
    /// kept where one is possible: the service may close an idle connection at any moment.
    fn send_request(&mut self, conn: ConnId, id: CallId) {
        let now = self.clock.now();
        let Some(call) = self.calls.get_mut(id) else { return };
        let local = self.conns.get_mut(conn).and_then(Conn::local_mut);
        let Some(Local { http: Some(http), reused, .. }) = local else { return };
        let Some(replay) = call.replay.take() else { return };
        call.path = Path::Open { conn };
        let upgrade = call.manner == Manner::Upgrade;
        if *reused || upgrade {
            call.replay = Some(replay.clone());
        }
        let (head, end) = (replay.head, replay.end);
        http.handle(now, client::Input::Request { head, end, upgrade });
        if call.credit > 0 {
            http.handle(now, client::Input::Credit(call.credit));
        }
        if !upgrade {
            send_body(http, now, replay.body, replay.tail);
        }
        self.mark(conn);
    }

    /// Takes all that the machine on `conn` asks for.
    pub(super) fn drain_local(&mut self, conn: ConnId) {
        loop {
            let local = self.conns.get_mut(conn).and_then(Conn::local_mut);
            let Some(Local { http: Some(http), call, .. }) = local else { return };
            let call = *call;
            match (http.poll(), call) {
                (None, _) => return,
                (Some(client::Action::Idle), call) => self.settle_exchange(conn, call),
                (Some(client::Action::Finish), _) => self.actions.push_back(Action::Finish(conn)),
                (Some(client::Action::Failed { reason, .. }), call) => {
                    self.local_failed(conn, call, reason);
                }
                (Some(client::Action::Closed(reason)), call) => {
                    self.local_failed(conn, call, reason);
                    self.remove(conn);
                }
                (Some(client::Action::Response { head, end }), Some(id)) => {
                    self.response(conn, id, head, end);
                }
                (Some(client::Action::Data { bytes, end }), Some(id)) => {
                    self.response_data(id, bytes, end);
                }
                (Some(client::Action::Trailers(mut fields)), Some(id)) => {
                    prepare_trailers(&mut fields);
                    self.say(id, Word::Trailers(fields));
                    self.response_ended(id);
                }
                (Some(client::Action::Taken(count)), Some(id)) => self.taken(id, count),
                (
                    Some(
                        client::Action::Response { .. }
                        | client::Action::Data { .. }
                        | client::Action::Trailers(_)
                        | client::Action::Taken(_),
                    ),
                    None,
                ) => {}
            }
        }
    }

    fn response(&mut self, conn: ConnId, id: CallId, mut head: ResponseHead, end: bool) {
        let now = self.clock.now();
        let Some(call) = self.calls.get_mut(id) else { return };
        let local = self.conns.get_mut(conn).and_then(Conn::local_mut);
        let Some(Local { http: Some(http), keep, .. }) = local else { return };
        let upgraded = head.status == http::StatusCode::SWITCHING_PROTOCOLS;
        let replay = call.replay.take();
        let interim = head.status.is_informational() && !upgraded;
        call.response = if interim { Response::Interim } else { Response::Begun };
        if upgraded {
            call.response = Response::Upgraded;
            if let Some(replay) = replay {
                send_body(http, now, replay.body, replay.tail);
                self.mark(conn);
            }
        } else if !head.status.is_informational() {
            *keep = keep_alive(&head.fields, &self.limits);
            if call.manner == Manner::Upgrade {
                call.asked = true;
                call.manner = Manner::Once;
            }
        } else if call.manner == Manner::Upgrade {
            call.replay = replay;
        }
        if let Some(log) = self.calls.get_mut(id).and_then(|call| call.log.as_mut()) {
            log.status = head.status.as_u16();
        }
        if interim && self.may_omit(id, head.status) {
            return;
        }
        rules::strip_hop_by_hop(&mut head.fields, rules::upgrades(head.status));
        head.fields.retain(|name, _| !is_ours(name));
        self.say(id, Word::Response { head, end });
        if end {
            self.response_ended(id);
        }
    }

    /// Whether the tunnel of a call has so much to send that an interim response, which nothing
    /// else holds back, had better be left out. The first 100 never is.
    fn may_omit(&mut self, id: CallId, status: http::StatusCode) -> bool {
        let Some(call) = self.calls.get_mut(id) else { return true };
        let goes_on = status == http::StatusCode::CONTINUE;
        if goes_on && !core::mem::replace(&mut call.continued, true) {
            return false;
        }
        let conn = self.conns.get_mut(call.tunnel);
        conn.and_then(Conn::tunnel_mut).is_some_and(|tunnel| tunnel.is_full())
    }

    fn response_data(&mut self, id: CallId, bytes: BytesMut, end: bool) {
        if let Some(log) = self.calls.get_mut(id).and_then(|call| call.log.as_mut()) {
            log.bytes_out = log.bytes_out.saturating_add(bytes.len());
        }
        self.say(id, Word::Data { bytes, end });
        if end {
            self.response_ended(id);
        }
    }

    fn response_ended(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(id) else { return };
        call.response = Response::Ended;
        if call.is_over() {
            self.finish(id, None);
        }
    }

    /// Request bytes have gone to the service: the caller may send as many more.
    fn taken(&mut self, id: CallId, count: usize) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let known = call.skip.min(count);
        let news = count - known;
        call.skip -= known;
        call.taken = call.taken.saturating_add(news);
        if news > 0 {
            self.say(id, Word::Credit(news));
        }
    }

    /// The exchange is over: the connection waits for the next.
    fn settle_exchange(&mut self, conn: ConnId, call: Option<CallId>) {
        if let Some(id) = call {
            self.finish(id, None);
        }
        let now = self.clock.now();
        let Some(local) = self.conns.get_mut(conn).and_then(Conn::local_mut) else { return };
        local.call = None;
        local.due = Some(now + local.keep);
        let Some(listener) = self.listeners.get_mut(local.listener) else { return };
        if local.keep.is_zero() {
            return self.remove(conn);
        }
        listener.idle.push_back(conn);
        if listener.idle.len() > self.limits.pool_idle
            && let Some(oldest) = listener.idle.pop_front()
        {
            self.remove(oldest);
        }
    }

    fn local_failed(&mut self, conn: ConnId, call: Option<CallId>, reason: Reason) {
        let Some(local) = self.conns.get_mut(conn).and_then(Conn::local_mut) else { return };
        local.call = None;
        let (reused, sent) = (local.reused, local.sent);
        if let Some(id) = call {
            self.broken(id, reason, reused, sent);
        }
    }

    /// The connection failed under a call: tries once more if nothing can run twice by it, or
    /// tells the server.
    fn broken(&mut self, id: CallId, reason: Reason, reused: bool, sent: bool) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let again = reused
            && call.response == Response::None
            && call.replay.is_some()
            && (!sent || call.manner == Manner::Idempotent);
        call.path = Path::Resolving { stale: None };
        call.started |= sent;
        let started = call.started;
        if again {
            call.skip = call.taken;
            self.reach(id);
        } else if call.response < Response::Begun {
            // Unless the request was at fault: whatever came, it was not a response.
            let told = matches!(reason, Reason::WriteTimeout | Reason::BadFraming);
            self.reset(id, if told { reason } else { Reason::BadResponse }, started);
        } else if call.response == Response::Ended {
            // The service did not want the rest of the request.
            self.say(id, rest_unwanted());
            self.finish(id, None);
        } else {
            self.reset(id, reason, true);
        }
    }

    fn service_of(&mut self, id: CallId) -> Option<super::names::NameId> {
        let listener = self.calls.get_mut(id)?.listener;
        self.listeners.get(listener).map(|listener| listener.service)
    }
}

fn rest_unwanted() -> Word {
    Word::Reset(crate::rpc::Reset { reason: Reason::Closed, started: true })
}

fn send_body(http: &mut client::Machine, now: Instant, body: BytesMut, tail: Tail) {
    let end = matches!(tail, Tail::End);
    if end || !body.is_empty() {
        http.handle(now, client::Input::Data { bytes: body, end });
    }
    if let Tail::Trailers(fields) = tail {
        http.handle(now, client::Input::Trailers(fields));
    }
}

/// Makes a request's head fit for the service: what is for Pico alone goes, `Host` becomes what
/// the listener wants.
pub(super) fn prepare(head: &mut RequestHead, upgrade: bool, listener: &Listener) {
    let trailers = rules::keeps_trailers(&head.fields);
    rules::strip_hop_by_hop(&mut head.fields, upgrade);
    head.fields.retain(|name, _| !is_ours(name));
    if trailers {
        rules::accept_trailers(&mut head.fields);
    }
    // Without one it stays: where the service listens is nothing that a client should be told.
    if let Some(host) = &listener.host {
        let size = head.fields.size() + host.len() + head.target().len();
        let mut fields = Fields::with_capacity(head.fields.len() + 1, size);
        fields.push(b"Host", host.as_bytes());
        for (name, value) in head.fields.iter().filter(|(n, _)| !is_host(n)) {
            fields.push(name, value);
        }
        *head = RequestHead::new(head.method.clone(), head.target(), fields);
    }
}

/// Makes trailers fit for the next hop, either way.
pub(super) fn prepare_trailers(fields: &mut Fields) {
    rules::strip_trailers(fields);
    fields.retain(|name, _| !is_ours(name));
}

fn is_ours(name: &[u8]) -> bool {
    name.get(..OURS.len()).is_some_and(|start| start.eq_ignore_ascii_case(OURS))
}

fn is_host(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"host")
}

/// How long a connection whose response has these fields may stay idle: somewhat less than the
/// service keeps it, so that a request seldom meets its end.
fn keep_alive(fields: &Fields, limits: &Limits) -> Duration {
    let stated = fields.all("keep-alive").flat_map(elements).find_map(|element| {
        let (name, value) = element.split_at_checked(TIMEOUT.len())?;
        let digits = value.len() <= 9 && value.iter().all(u8::is_ascii_digit);
        let named = name.eq_ignore_ascii_case(TIMEOUT);
        let text = core::str::from_utf8(value).ok().filter(|_| named && digits)?;
        text.parse::<u64>().ok().map(Duration::from_secs)
    });
    match stated {
        None => limits.pool_timeout,
        Some(stated) => {
            let margin = Duration::from_secs(1).min(stated / 2);
            stated.saturating_sub(margin).min(limits.idle_timeout)
        }
    }
}

/// How the names of fields begin that are between Pico's own parts.
const OURS: &[u8] = b"x-pico-";

/// The parameter of `Keep-Alive` that says how many seconds an idle connection is kept.
const TIMEOUT: &[u8] = b"timeout=";
