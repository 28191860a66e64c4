//! What one request costs in a worker: from a client's bytes to those of a tunnel and back, on kept
//! connections, the agent's end of the tunnel included.
//!
//! A benchmark reports; it asserts no time. Run `cargo bench -p pico-core --bench request`.

use bytes::BytesMut;
use divan::{AllocProfiler, Bencher};
use http::StatusCode;
use pico_core::head::{Fields, ResponseHead};
use pico_core::host::{Action, Address, Host as _, Input, Port};
use pico_core::http1::client;
use pico_core::id::{ConnId, ConnIds, Side, StreamId, WorkerId};
use pico_core::rpc::{self, Word};
use pico_core::server::{Letter, Node, Settings, Worker};
use pico_core::{Instant, Limits, Machine as _, Seed, tunnel, ws};
use std::collections::VecDeque;
use std::sync::Arc;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const NOW: Instant = Instant::ZERO;
const REQUEST: &[u8] = b"GET /small HTTP/1.1\r\nHost: 127.0.0.1:8001\r\nUser-Agent: bench/1\r\n\
    Accept: */*\r\nx-pico-endpoint: bench\r\n\r\n";
const UPLOAD: &[u8] = b"POST /small HTTP/1.1\r\nHost: bench.example.com\r\nUser-Agent: bench/1\r\n\
    Accept: */*\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n\
    e\r\nhello, tunnel\n\r\n0\r\n\r\n";

/// A node of one worker, a client and an agent.
struct Stage {
    node: Node,
    worker: Worker,
    agent: tunnel::Machine<u64>,
    client: ConnId,
    up: ConnId,
    written: Vec<(ConnId, BytesMut)>,
}

impl Stage {
    fn new() -> Self {
        let settings = Arc::new(Settings { log_requests: false, ..Settings::default() });
        let node = Node::new(NOW, 1, Arc::clone(&settings));
        let worker = Worker::new(NOW, WorkerId(0), settings, &Seed::from_u64(1));
        let mut ids = ConnIds::new(Side::Accepted);
        let (up, client) = (ids.issue(), ids.issue());
        let limits = Arc::new(Limits::default());
        let mut dice = Seed::from_u64(2).roll();
        let (head, _) = ws::handshake::request(&mut dice, "pico", "/pico/v1/listener/bench");
        let mut http = client::Machine::new(NOW, Arc::clone(&limits));
        http.handle(NOW, client::Input::Request { head, end: false, upgrade: true });
        let asked: Vec<u8> = http.outbox().pieces().flatten().copied().collect();
        http.handle(NOW, client::Input::Sent(asked.len()));
        let (_, outbox) = http.into_raw();
        let me = rpc::Identity::default();
        let seed = Seed::from_u64(3);
        let agent = tunnel::Machine::new(NOW, rpc::Role::Dialer, &me, &seed, limits, outbox);
        let written = Vec::new();
        let mut stage = Self { node, worker, agent, client, up, written };
        let peer = ([192, 0, 2, 1], 1).into();
        for (conn, port) in [(up, Port::Upstream), (client, Port::Proxy)] {
            stage.tell(Input::Accepted { conn, port, peer });
        }
        stage.tell(Input::Received { conn: up, bytes: BytesMut::from(&asked[..]) });
        let answer = stage.written.pop().expect("an answer").1;
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{answer:?}");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("its end") + 4;
        stage.agent.handle(NOW, tunnel::Input::Received(BytesMut::from(&answer[end..])));
        stage.pass();
        stage
    }

    fn tell(&mut self, input: Input<Letter>) {
        self.worker.handle(NOW, input);
        self.settle();
    }

    fn settle(&mut self) {
        let mut letters = VecDeque::new();
        loop {
            while let Some(action) = self.worker.poll() {
                match action {
                    Action::Write(conn) => self.write(conn),
                    Action::Letter { letter, .. } => letters.push_back((Address::Node, letter)),
                    Action::Dial { .. }
                    | Action::Resolve { .. }
                    | Action::Read(_)
                    | Action::Finish(_)
                    | Action::Close(_)
                    | Action::Unlisten(_)
                    | Action::Datagram { .. }
                    | Action::Note(_)
                    | Action::Done => {}
                }
            }
            while let Some(action) = self.node.poll() {
                if let Action::Letter { to, letter } = action {
                    letters.push_back((to, letter));
                }
            }
            match letters.pop_front() {
                Some((Address::Node, letter)) => self.node.handle(NOW, Input::Letter(letter)),
                Some((Address::Worker(_), letter)) => {
                    self.worker.handle(NOW, Input::Letter(letter));
                }
                None => return,
            }
        }
    }

    fn write(&mut self, conn: ConnId) {
        let outbox = self.worker.outbox(conn).expect("it is there");
        let mut bytes = BytesMut::with_capacity(outbox.len());
        outbox.pieces().for_each(|piece| bytes.extend_from_slice(piece));
        self.worker.handle(NOW, Input::Sent { conn, count: bytes.len() });
        self.written.push((conn, bytes));
    }

    /// Carries the tunnel's bytes until none are left. Returns the call that came, if one did.
    fn pass(&mut self) -> Option<StreamId> {
        let mut called = None;
        loop {
            let mut moved = false;
            for (conn, bytes) in std::mem::take(&mut self.written) {
                if conn == self.up {
                    self.agent.handle(NOW, tunnel::Input::Received(bytes));
                    moved = true;
                }
            }
            while let Some(action) = self.agent.poll() {
                if let tunnel::Action::Rpc(rpc::Action::Opened { stream, .. }) = action {
                    called = Some(stream);
                }
            }
            let mut bytes = BytesMut::with_capacity(self.agent.outbox().len());
            self.agent.outbox().pieces().for_each(|piece| bytes.extend_from_slice(piece));
            if !bytes.is_empty() {
                self.agent.handle(NOW, tunnel::Input::Sent(bytes.len()));
                self.tell(Input::Received { conn: self.up, bytes });
                moved = true;
            }
            if !moved {
                return called;
            }
        }
    }

    fn serve(&mut self, request: BytesMut, head: ResponseHead, body: BytesMut) {
        self.tell(Input::Received { conn: self.client, bytes: request });
        let stream = self.pass().expect("a call");
        for word in [Word::Response { head, end: false }, Word::Data { bytes: body, end: true }] {
            self.agent.handle(NOW, tunnel::Input::Rpc(rpc::Input::Say { stream, word }));
        }
        self.pass();
    }
}

fn response() -> ResponseHead {
    let mut fields = Fields::new();
    fields.push(b"Server", b"bench");
    fields.push(b"Date", b"Mon, 23 Nov 2026 10:00:00 GMT");
    fields.push(b"Content-Type", b"text/plain");
    fields.push(b"Content-Length", b"14");
    ResponseHead::new(StatusCode::OK, b"OK", fields)
}

fn serve(bencher: Bencher, request: &'static [u8]) {
    let mut stage = Stage::new();
    let head = response();
    let body = &b"hello, tunnel\n"[..];
    bencher
        .with_inputs(|| (BytesMut::from(request), head.clone(), BytesMut::from(body)))
        .bench_local_values(|(request, head, body)| stage.serve(request, head, body));
}

/// A small request without a body.
#[divan::bench]
fn get(bencher: Bencher) {
    serve(bencher, REQUEST);
}

/// A small request with a chunked body, whose endpoint the host names.
#[divan::bench]
fn post(bencher: Bencher) {
    serve(bencher, UPLOAD);
}
