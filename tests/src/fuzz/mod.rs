//! What the fuzz targets call, one function per target: each takes any bytes and panics if a law
//! or a promise is broken. The corpora in `fuzz/corpus` are replayed by a test.

mod ws;

use crate::laws;

/// What a fuzz target does with any bytes.
pub type Target = fn(&[u8]);

/// The targets, by name.
pub const TARGETS: [(&str, Target); 2] = [("ws_client", ws_client), ("ws_server", ws_server)];

/// A WebSocket connection that we opened.
pub fn ws_client(data: &[u8]) {
    laws::hold::<ws::World<false>>(data);
}

/// A WebSocket connection that we accepted.
pub fn ws_server(data: &[u8]) {
    laws::hold::<ws::World<true>>(data);
}
