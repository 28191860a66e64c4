//! What one request costs in each machine: time and allocations.
//!
//! A benchmark reports; it asserts no time. Run `cargo bench -p pico-core`.

use bytes::BytesMut;
use divan::{AllocProfiler, Bencher, black_box};
use pico_core::head::{Fields, RequestHead, ResponseHead};
use pico_core::http1::{client, server};
use pico_core::id::StreamId;
use pico_core::rpc::{self, Word};
use pico_core::{Instant, Limits, Machine, Outbox, Seed, ws};
use std::sync::Arc;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const NOW: Instant = Instant::ZERO;
const REQUEST: &[u8] = b"GET /small HTTP/1.1\r\nHost: 127.0.0.1:8001\r\nUser-Agent: bench/1\r\n\
    Accept: */*\r\nx-pico-endpoint: bench\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Mon, 23 Nov 2026 10:00:00 GMT\r\n\
    Content-Type: text/plain\r\nContent-Length: 14\r\nConnection: keep-alive\r\n\r\nhello, tunnel\n";

fn response() -> ResponseHead {
    let mut fields = Fields::new();
    fields.push(b"Server", b"bench");
    fields.push(b"Date", b"Mon, 23 Nov 2026 10:00:00 GMT");
    fields.push(b"Content-Type", b"text/plain");
    fields.push(b"Content-Length", b"14");
    ResponseHead::new(http::StatusCode::OK, b"OK", fields)
}

fn request() -> RequestHead {
    let mut fields = Fields::new();
    fields.push(b"Host", b"127.0.0.1:8001");
    fields.push(b"User-Agent", b"bench/1");
    fields.push(b"Accept", b"*/*");
    RequestHead::new(http::Method::GET, b"/small", fields)
}

/// A small request and its response on a kept connection, server side.
#[divan::bench]
fn http1_server(bencher: Bencher) {
    let mut machine = server::Machine::new(NOW, Arc::new(Limits::default()));
    let head = response();
    bencher
        .with_inputs(|| {
            (BytesMut::from(REQUEST), head.clone(), BytesMut::from(&b"hello, tunnel\n"[..]))
        })
        .bench_local_values(|(bytes, head, body)| {
            machine.handle(NOW, server::Input::Received(bytes));
            while let Some(action) = machine.poll() {
                black_box(action);
            }
            machine.handle(NOW, server::Input::Respond { head, end: false });
            machine.handle(NOW, server::Input::Data { bytes: body, end: true });
            machine.handle(NOW, server::Input::Sent(machine.outbox().len()));
            while let Some(action) = machine.poll() {
                black_box(action);
            }
        });
}

/// A small request and its response on a pooled connection, client side.
#[divan::bench]
fn http1_client(bencher: Bencher) {
    let mut machine = client::Machine::new(NOW, Arc::new(Limits::default()));
    let head = request();
    bencher.with_inputs(|| (head.clone(), BytesMut::from(RESPONSE))).bench_local_values(
        |(head, bytes)| {
            machine.handle(NOW, client::Input::Request { head, end: true, upgrade: false });
            machine.handle(NOW, client::Input::Credit(65_536));
            machine.handle(NOW, client::Input::Sent(machine.outbox().len()));
            machine.handle(NOW, client::Input::Received(bytes));
            while let Some(action) = machine.poll() {
                black_box(action);
            }
        },
    );
}

/// One masked message of 200 bytes, written and read.
#[divan::bench(args = [200, 16_384])]
fn ws_message(bencher: Bencher, size: usize) {
    let limits = Arc::new(Limits::default());
    let seed = Seed::from_u64(1);
    let mut client = ws::Machine::new(ws::Role::Client, &seed, Arc::clone(&limits), Outbox::new());
    let mut server = ws::Machine::new(ws::Role::Server, &seed, limits, Outbox::new());
    let payload = BytesMut::from(&vec![7; size][..]);
    bencher
        .with_inputs(|| {
            let mut outbox = Outbox::new();
            outbox.push(payload.clone());
            outbox
        })
        .bench_local_values(|payload| {
            let kind = ws::Kind::Binary;
            client.handle(NOW, ws::Input::Message { kind, payload });
            let mut wire = BytesMut::with_capacity(client.outbox().len());
            client.outbox().pieces().for_each(|piece| wire.extend_from_slice(piece));
            client.handle(NOW, ws::Input::Sent(wire.len()));
            server.handle(NOW, ws::Input::Received(wire));
            while let Some(action) = server.poll() {
                black_box(action);
            }
        });
}

/// Moves the frames of one side to the other and drops what it makes of them, but for `keep`.
fn pass(
    from: &mut rpc::Machine<u32>,
    to: &mut rpc::Machine<u32>,
    mut keep: impl FnMut(rpc::Action<u32>),
) {
    from.handle(NOW, rpc::Input::Room(1 << 20));
    while from.has_message() {
        let mut message = from.take_message();
        while let Some(piece) = message.take() {
            to.handle(NOW, rpc::Input::Received(piece));
        }
        to.handle(NOW, rpc::Input::MessageEnd);
    }
    while let Some(action) = to.poll() {
        keep(action);
    }
}

/// A call without a body and its small answer, both sides of the tunnel.
#[divan::bench]
fn rpc_call(bencher: Bencher) {
    let limits = Arc::new(Limits::default());
    let me = rpc::Identity::default();
    let mut node = rpc::Machine::new(NOW, rpc::Role::Acceptor, &me, Arc::clone(&limits));
    let mut agent = rpc::Machine::new(NOW, rpc::Role::Dialer, &me, limits);
    for _ in 0..3 {
        pass(&mut node, &mut agent, |_| {});
        pass(&mut agent, &mut node, |_| {});
    }
    let (ask, reply) = (request(), response());
    bencher
        .with_inputs(|| (ask.clone(), reply.clone(), BytesMut::from(&b"hello, tunnel\n"[..])))
        .bench_local_values(|(head, reply, bytes)| {
            let stream = node.next_stream();
            node.handle(NOW, rpc::Input::Open { stream, tag: 1, head, end: true });
            let mut opened = StreamId(0);
            pass(&mut node, &mut agent, |action| {
                if let rpc::Action::Opened { stream, .. } = action {
                    opened = stream;
                }
            });
            let stream = opened;
            let word = Word::Response { head: reply, end: false };
            agent.handle(NOW, rpc::Input::Say { stream, word });
            let word = Word::Data { bytes, end: true };
            agent.handle(NOW, rpc::Input::Say { stream, word });
            pass(&mut agent, &mut node, |action| drop(black_box(action)));
        });
}
