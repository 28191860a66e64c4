//! What the fuzz targets call, one function per target: each takes any bytes and panics if a law
//! or a promise is broken. The corpora in `fuzz/corpus` are replayed by a test.

mod chain;
mod endpoint;
mod gossip;
mod http1_answer;
mod http1_client;
mod http1_relay;
mod http1_server;
pub(crate) mod http1_text;
mod rpc;
mod rpc_wire;
mod wire;
mod ws;

use crate::{laws, model};

/// What a fuzz target does with any bytes.
pub type Target = fn(&[u8]);

/// The targets, by name.
pub const TARGETS: [(&str, Target); 21] = [
    ("agent", agent),
    ("bench", bench),
    ("chain", chain),
    ("endpoint", endpoint),
    ("gossip", gossip),
    ("gossip_packets", gossip_packets),
    ("gossip_sealed", gossip_sealed),
    ("http1_client", http1_client),
    ("http1_model", http1_model),
    ("http1_relay", http1_relay),
    ("http1_server", http1_server),
    ("node", node),
    ("rpc", rpc),
    ("rpc_blocks", rpc_blocks),
    ("rpc_model", rpc_model),
    ("tunnel", tunnel),
    ("tunnel_model", tunnel_model),
    ("wire", wire),
    ("worker", worker),
    ("ws_client", ws_client),
    ("ws_server", ws_server),
];

/// An agent among its server and its services.
pub fn agent(data: &[u8]) {
    laws::hold::<laws::agent::Agent>(data);
}

/// What sends the requests of `pico bench http`.
pub fn bench(data: &[u8]) {
    laws::hold::<laws::bench::Load>(data);
}

/// A client and a service with Pico between them.
pub fn chain(data: &[u8]) {
    chain::play(data);
}

/// Which endpoint a request names, whatever its fields hold.
pub fn endpoint(data: &[u8]) {
    endpoint::name(data);
}

/// The gossip of one node.
pub fn gossip(data: &[u8]) {
    laws::hold::<laws::gossip::Gossip>(data);
}

/// The bytes are a datagram of gossip: what is read of it can be written and read again.
pub fn gossip_packets(data: &[u8]) {
    gossip::packets(data);
}

/// The gossip of one node in a cluster with keys, and what is sealed, altered and sent again.
pub fn gossip_sealed(data: &[u8]) {
    laws::hold::<laws::sealed::Sealed>(data);
    gossip::sealed(data);
}

/// An HTTP/1 connection to a service.
pub fn http1_client(data: &[u8]) {
    laws::hold::<http1_client::World>(data);
}

/// Messages, right and nearly right, held against a plain reader of whole texts.
pub fn http1_model(data: &[u8]) {
    model::http::against::read(data);
}

/// The bytes are what a client sends, or a service: what is forwarded of it means the same to the
/// next one.
pub fn http1_relay(data: &[u8]) {
    http1_relay::relay(data);
}

/// An HTTP/1 connection from a client.
pub fn http1_server(data: &[u8]) {
    laws::hold::<http1_server::World>(data);
}

/// The control plane of a node among its workers and other nodes.
pub fn node(data: &[u8]) {
    laws::hold::<laws::node::Node>(data);
}

/// One side of a tunnel.
pub fn rpc(data: &[u8]) {
    laws::hold::<rpc::World>(data);
}

/// The bytes are what a tunnel's peer sends: its header blocks mean the same when sent on.
pub fn rpc_blocks(data: &[u8]) {
    rpc::carry(data);
}

/// Two ends of a tunnel without its WebSocket, held against the model of one.
pub fn rpc_model(data: &[u8]) {
    model::rpc::pair::play::<pico_core::rpc::Machine<u64>>(data);
}

/// A tunnel whose peer is another.
pub fn tunnel(data: &[u8]) {
    laws::hold::<laws::tunnel::Tunnel>(data);
}

/// Two tunnels that are each other's peer, held against the model of one.
pub fn tunnel_model(data: &[u8]) {
    model::rpc::pair::play::<pico_core::tunnel::Machine<u64>>(data);
}

/// Two ends of a connection under keys, whose bytes are cut anywhere and sometimes changed.
pub fn wire(data: &[u8]) {
    wire::play(data);
}

/// A worker among clients, agents and another worker.
pub fn worker(data: &[u8]) {
    laws::hold::<laws::worker::Worker>(data);
}

/// A WebSocket connection that we opened.
pub fn ws_client(data: &[u8]) {
    laws::hold::<ws::World<false>>(data);
}

/// A WebSocket connection that we accepted.
pub fn ws_server(data: &[u8]) {
    laws::hold::<ws::World<true>>(data);
}
