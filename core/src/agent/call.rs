//! The calls that an agent serves: what each holds, and what each of its words comes to.

use super::Agent;
use super::conn::Conn;
use super::names::Waiter;
use super::service::Local;
use crate::head::{Fields, RequestHead};
use crate::http1::client;
use crate::id::{ConnId, ConnIds, ConnMap, Side, StreamId};
use crate::machine::Machine as _;
use crate::note;
use crate::reason::Reason;
use crate::rpc::{self, Reset, Word};
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use bytes::BytesMut;

/// A call of one agent, over all its tunnels: the tag by which tunnels know it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct CallId(ConnId);

/// The calls under way. They are kept as connections are: a lookup is an index.
#[derive(Debug)]
pub(super) struct Calls {
    ids: ConnIds,
    calls: ConnMap<Call>,
}

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    /// Over which tunnel it came.
    pub(super) tunnel: ConnId,
    /// What it is called there.
    pub(super) stream: StreamId,
    /// For which listener.
    pub(super) listener: usize,
    /// What its method and head say of it.
    pub(super) manner: Manner,
    /// How its service is reached.
    pub(super) path: Path,
    /// The request as far as it came, while it may have to be sent (again).
    pub(super) replay: Option<Replay>,
    /// Response bytes that the caller welcomes; counted while there is no response.
    pub(super) credit: usize,
    /// Whether an earlier try may have reached the service.
    pub(super) started: bool,
    /// Request bytes that the caller was told are taken.
    pub(super) taken: usize,
    /// Request bytes of a second try that the caller has been told of already.
    pub(super) skip: usize,
    /// Whether the request is complete.
    pub(super) asked: bool,
    /// How far the response is.
    pub(super) response: Response,
    /// Whether the caller was told to go on with its body: some wait for that.
    pub(super) continued: bool,
    /// What the log will say, if there is one.
    pub(super) log: Option<Box<Log>>,
}

/// What may be done with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Manner {
    /// It may run once.
    Once,
    /// It may be repeated (RFC 9110, section 9.2.2).
    Idempotent,
    /// It may run once, and asks for an upgrade that was not refused so far.
    Upgrade,
}

/// How a call's service is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Path {
    /// An address is looked for. `stale` is what happened to all those known before, if they
    /// were tried.
    Resolving { stale: Option<crate::host::Fault> },
    /// A connection is being dialled, after `tried` others; `cached` says that the addresses
    /// were known before the call.
    Dialing { conn: ConnId, tried: usize, cached: bool },
    /// It is on a connection.
    Open { conn: ConnId },
}

/// How far a response is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Response {
    /// Nothing of it was passed on.
    None,
    /// Interim heads.
    Interim,
    /// A final head, and perhaps some of the body.
    Begun,
    /// A 101: both directions carry raw bytes.
    Upgraded,
    /// Complete.
    Ended,
}

/// A request as far as it came.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    pub(super) head: RequestHead,
    /// Whether it ends with its head.
    pub(super) end: bool,
    pub(super) body: BytesMut,
    pub(super) tail: Tail,
}

/// How a request's body ends.
#[derive(Clone, Debug)]
pub(super) enum Tail {
    /// More may come.
    Open,
    /// Here.
    End,
    /// With trailers.
    Trailers(Fields),
}

/// What the log says of a call.
#[derive(Debug)]
pub(super) struct Log {
    began: Instant,
    id: String,
    method: String,
    path: String,
    pub(super) status: u16,
    pub(super) bytes_in: usize,
    pub(super) bytes_out: usize,
}

impl Calls {
    /// None yet.
    pub(super) const fn new() -> Self {
        Self { ids: ConnIds::new(Side::Dialed), calls: ConnMap::new() }
    }

    /// How many are under way.
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Adds one.
    pub(super) fn insert(&mut self, call: Call) -> CallId {
        let id = self.ids.issue();
        self.calls.insert(id, call);
        CallId(id)
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, id: CallId) -> Option<Call> {
        let call = self.calls.remove(id.0)?;
        self.ids.release(id.0);
        Some(call)
    }

    /// One of them, if it is still under way.
    pub(super) fn get_mut(&mut self, id: CallId) -> Option<&mut Call> {
        self.calls.get_mut(id.0)
    }
}

impl Call {
    /// The connection that it is on, if any.
    pub(super) fn open_on(&self) -> Option<ConnId> {
        match self.path {
            Path::Open { conn } => Some(conn),
            Path::Resolving { .. } | Path::Dialing { .. } => None,
        }
    }

    /// Whether nothing more will be said.
    pub(super) fn is_over(&self) -> bool {
        self.response == Response::Ended && self.asked
    }
}

impl Replay {
    /// Adds a copy of a piece of the body: a short piece may stand in a long buffer. What is
    /// held is at most the first window, because nothing of it was said to be taken, or
    /// `replay_bytes`.
    fn data(&mut self, bytes: &[u8], end: bool) {
        self.body.extend_from_slice(bytes);
        if end {
            self.tail = Tail::End;
        }
    }
}

impl Log {
    /// What is known from the request's head.
    pub(super) fn new(began: Instant, head: &RequestHead) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_string();
        let path = head.target().split(|b| *b == b'?').next().unwrap_or_default();
        Self {
            began,
            id: head.fields.get("x-request-id").map(text).unwrap_or_default(),
            method: head.method.as_str().to_string(),
            path: text(path),
            status: 0,
            bytes_in: 0,
            bytes_out: 0,
        }
    }
}

impl Agent {
    /// The server calls: finds a connection to the service, or makes one.
    pub(super) fn begin_call(
        &mut self,
        tunnel: ConnId,
        listener: usize,
        stream: StreamId,
        mut head: RequestHead,
        end: bool,
    ) {
        let now = self.clock.now();
        let Some(settings) = self.listeners.get(listener) else { return };
        let upgrade = !end && head.fields.get("upgrade").is_some();
        super::service::prepare(&mut head, upgrade, settings);
        let log = self.log_requests.then(|| Box::new(Log::new(now, &head)));
        let manner = match (upgrade, head.method.is_idempotent()) {
            (true, _) => Manner::Upgrade,
            (false, true) => Manner::Idempotent,
            (false, false) => Manner::Once,
        };
        let replay = Replay { head, end, body: BytesMut::new(), tail: Tail::Open };
        let call = self.calls.insert(Call {
            tunnel,
            stream,
            listener,
            manner,
            path: Path::Resolving { stale: None },
            replay: Some(replay),
            credit: 0,
            started: false,
            taken: 0,
            skip: 0,
            asked: end,
            response: Response::None,
            continued: false,
            log,
        });
        self.untagged.push((stream, call));
        self.tell_rpc(tunnel, rpc::Input::Tag { stream, tag: call });
        if !self.reuse(listener, call) {
            self.reach(call);
        }
    }

    /// The server said the next word of a call.
    pub(super) fn said(&mut self, id: CallId, word: Word) {
        match word {
            Word::Request { .. } | Word::Response { .. } => {}
            Word::Data { bytes, end } => self.data(id, bytes, end),
            Word::Trailers(fields) => self.trailers(id, fields),
            Word::Credit(count) => self.credit(id, count),
            Word::Reset(reset) => self.canceled(id, reset.reason),
        }
    }

    fn data(&mut self, id: CallId, bytes: BytesMut, end: bool) {
        let now = self.clock.now();
        let Some(call) = self.calls.get_mut(id) else { return };
        if call.asked {
            return;
        }
        call.asked = end;
        if let Some(log) = &mut call.log {
            log.bytes_in = log.bytes_in.saturating_add(bytes.len());
        }
        let waits = call.manner == Manner::Upgrade && call.response < Response::Upgraded;
        let local = call.open_on().filter(|_| !waits);
        let local = local.and_then(|conn| self.conns.get_mut(conn)).and_then(Conn::local_mut);
        let Some(Local { http: Some(http), sent, .. }) = local else {
            if let Some(replay) = &mut call.replay {
                replay.data(&bytes, end);
            }
            return;
        };
        if let Some(replay) = &mut call.replay {
            let size = replay.body.len().saturating_add(bytes.len());
            if (*sent && call.manner != Manner::Idempotent) || size > self.limits.replay_bytes {
                call.replay = None;
            } else {
                replay.data(&bytes, end);
            }
        }
        http.handle(now, client::Input::Data { bytes, end });
        self.after_word(id);
    }

    fn trailers(&mut self, id: CallId, mut fields: Fields) {
        let now = self.clock.now();
        let Some(call) = self.calls.get_mut(id) else { return };
        if call.manner == Manner::Upgrade {
            // Raw bytes have no trailers: they are the end.
            return self.data(id, BytesMut::new(), true);
        }
        super::service::prepare_trailers(&mut fields);
        if core::mem::replace(&mut call.asked, true) {
            return;
        }
        if let Some(replay) = &mut call.replay {
            replay.tail = Tail::Trailers(fields.clone());
        }
        let local = call.open_on().and_then(|conn| self.conns.get_mut(conn));
        if let Some(http) = local.and_then(Conn::local_mut).and_then(|l| l.http.as_mut()) {
            http.handle(now, client::Input::Trailers(fields));
        }
        self.after_word(id);
    }

    fn credit(&mut self, id: CallId, count: usize) {
        let now = self.clock.now();
        let Some(call) = self.calls.get_mut(id) else { return };
        call.credit = call.credit.saturating_add(count);
        let Some(conn) = call.open_on() else { return };
        let local = self.conns.get_mut(conn).and_then(Conn::local_mut);
        if let Some(http) = local.and_then(|local| local.http.as_mut()) {
            http.handle(now, client::Input::Credit(count));
            self.mark(conn);
        }
    }

    /// Has the call's connection drained, and ends the call if that was its last word.
    fn after_word(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let over = call.is_over();
        if let Some(conn) = call.open_on() {
            self.mark(conn);
        }
        if over {
            self.finish(id, None);
        }
    }

    /// The server gave up on a call.
    fn canceled(&mut self, id: CallId, reason: Reason) {
        let now = self.clock.now();
        let Some(call) = self.calls.get_mut(id) else { return };
        match call.path {
            Path::Resolving { .. } => {
                let listener = self.listeners.get(call.listener);
                if let Some(service) = listener.map(|listener| listener.service) {
                    self.names.leave(service, Waiter::Call(id));
                }
            }
            Path::Dialing { conn, .. } => self.remove(conn),
            Path::Open { conn } => {
                let local = self.conns.get_mut(conn).and_then(Conn::local_mut);
                if let Some(http) = local.and_then(|local| local.http.as_mut()) {
                    http.handle(now, client::Input::Abort);
                    self.mark(conn);
                }
            }
        }
        self.finish(id, Some(reason));
    }

    /// Says the next word of a call to the server.
    pub(super) fn say(&mut self, id: CallId, word: Word) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let (tunnel, stream) = (call.tunnel, call.stream);
        self.tell_rpc(tunnel, rpc::Input::Say { stream, word });
    }

    /// Cuts a call short, and tells the server.
    pub(super) fn reset(&mut self, id: CallId, reason: Reason, started: bool) {
        self.say(id, Word::Reset(Reset { reason, started }));
        self.finish(id, Some(reason));
    }

    /// Forgets a call that is over, and logs it.
    pub(super) fn finish(&mut self, id: CallId, reason: Option<Reason>) {
        let now = self.clock.now();
        let Some(call) = self.calls.remove(id) else { return };
        let local = call.open_on().and_then(|conn| self.conns.get_mut(conn));
        if let Some(local) = local.and_then(Conn::local_mut) {
            local.call = None;
        }
        let Some(log) = call.log else { return };
        let endpoint = self.endpoint(call.listener);
        let count = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        self.actions.push_back(crate::host::Action::Note(note::Note::Request(note::Request {
            id: log.id,
            endpoint,
            method: log.method,
            path: log.path,
            status: log.status,
            reason,
            bytes_in: count(log.bytes_in),
            bytes_out: count(log.bytes_out),
            first: None,
            took: now.since(log.began),
            upstream: None,
            node: None,
        })));
    }
}
