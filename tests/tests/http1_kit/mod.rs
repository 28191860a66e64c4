//! What the tests of the HTTP/1 machines share.
#![allow(dead_code, reason = "each test file uses a part of it")]

use bytes::BytesMut;
use pico_core::head::{Fields, RequestHead, ResponseHead};
use pico_core::http1::{client, server};
use pico_core::{Instant, Limits, Machine, Outbox};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

/// A machine of one connection, as these tests see it.
pub(crate) trait Conn: Machine {
    fn waiting(&self) -> &Outbox;
    fn received(bytes: &[u8]) -> Self::Input;
    fn sent(count: usize) -> Self::Input;
}

impl Conn for server::Machine {
    fn waiting(&self) -> &Outbox {
        self.outbox()
    }
    fn received(bytes: &[u8]) -> server::Input {
        server::Input::Received(BytesMut::from(bytes))
    }
    fn sent(count: usize) -> server::Input {
        server::Input::Sent(count)
    }
}

impl Conn for client::Machine {
    fn waiting(&self) -> &Outbox {
        self.outbox()
    }
    fn received(bytes: &[u8]) -> client::Input {
        client::Input::Received(BytesMut::from(bytes))
    }
    fn sent(count: usize) -> client::Input {
        client::Input::Sent(count)
    }
}

/// A machine with a clock.
pub(crate) struct Rig<M> {
    pub(crate) machine: M,
    pub(crate) now: Instant,
}

impl Rig<server::Machine> {
    pub(crate) fn server() -> Self {
        Self::server_with(Limits::default())
    }

    pub(crate) fn server_with(limits: Limits) -> Self {
        let now = Instant::from_nanos(1);
        Self { machine: server::Machine::new(now, Arc::new(limits)), now }
    }

    pub(crate) fn respond(&mut self, status: u16, fields: &[(&str, &str)], end: bool) {
        self.input(server::Input::Respond { head: response(status, fields), end });
    }

    pub(crate) fn body(&mut self, text: &[u8], end: bool) {
        self.input(server::Input::Data { bytes: BytesMut::from(text), end });
    }
}

impl Rig<client::Machine> {
    pub(crate) fn client() -> Self {
        Self::client_with(Limits::default())
    }

    pub(crate) fn client_with(limits: Limits) -> Self {
        let now = Instant::from_nanos(1);
        Self { machine: client::Machine::new(now, Arc::new(limits)), now }
    }

    pub(crate) fn ask(&mut self, method: &str, fields: &[(&str, &str)], end: bool) {
        let head = request(method, "/", fields);
        self.input(client::Input::Request { head, end, upgrade: false });
    }

    pub(crate) fn body(&mut self, text: &[u8], end: bool) {
        self.input(client::Input::Data { bytes: BytesMut::from(text), end });
    }
}

impl<M: Conn> Rig<M> {
    pub(crate) fn input(&mut self, input: M::Input) {
        self.machine.handle(self.now, input);
    }

    pub(crate) fn feed(&mut self, bytes: impl AsRef<[u8]>) {
        self.input(M::received(bytes.as_ref()));
    }

    pub(crate) fn actions(&mut self) -> Vec<M::Action> {
        std::iter::from_fn(|| self.machine.poll()).collect()
    }

    /// Takes all that waits to be written, as text.
    pub(crate) fn out(&mut self) -> String {
        let bytes: Vec<u8> = self.machine.waiting().pieces().flatten().copied().collect();
        if !bytes.is_empty() {
            self.input(M::sent(bytes.len()));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn wait(&mut self, span: Duration) {
        self.now = self.now + span;
        self.machine.tick(self.now);
    }
}

pub(crate) fn fields(list: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in list {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    fields
}

pub(crate) fn request(method: &str, target: &str, list: &[(&str, &str)]) -> RequestHead {
    let method = http::Method::from_bytes(method.as_bytes()).expect("a token");
    RequestHead::new(method, target.as_bytes(), fields(list))
}

pub(crate) fn response(status: u16, list: &[(&str, &str)]) -> ResponseHead {
    let status = http::StatusCode::from_u16(status).expect("a status code");
    let phrase = status.canonical_reason().unwrap_or("");
    ResponseHead::new(status, phrase.as_bytes(), fields(list))
}

pub(crate) fn data(text: impl AsRef<[u8]>) -> BytesMut {
    BytesMut::from(text.as_ref())
}

/// What comes of `text` given whole; and checks that the same comes of it byte by byte and, unless
/// it is long, cut in two at any place.
pub(crate) fn lawful<T: PartialEq + Debug>(text: &[u8], run: impl Fn(&[&[u8]]) -> T) -> T {
    let whole = run(&[text]);
    let single: Vec<&[u8]> = text.chunks(1).collect();
    assert_eq!(run(&single), whole, "byte by byte: {}", text.escape_ascii());
    for (left, right) in (1..text.len().min(1_000)).map(|at| text.split_at(at)) {
        let (l, r) = (left.escape_ascii(), right.escape_ascii());
        assert_eq!(run(&[left, right]), whole, "cut: {l} | {r}");
    }
    whole
}
