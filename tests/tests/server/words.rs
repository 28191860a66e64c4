//! What clients ask, and what is said of calls.

use super::{At, Cluster};
use pico_core::head::Fields;
use pico_core::id::StreamId;
use pico_core::rpc::Word;

pub const GET: &str = "GET /p HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\n\r\n";
pub const POST: &str =
    "POST /p HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\nContent-Length: 2\r\n\r\nhi";

/// The status of the response that a client has got since the last time, 0 if none.
pub fn status(c: &mut Cluster, client: (usize, At)) -> u16 {
    let text = c.text(client);
    let code = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    code.map_or(0, |code| code.parse().unwrap())
}

/// Which of two agents was called, and how.
pub fn called(c: &mut Cluster, agents: [usize; 2]) -> (usize, StreamId) {
    let at = agents.into_iter().find(|agent| !c.idle(*agent)).expect("one is called");
    (at, c.called(at).0)
}

pub fn fields(list: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in list {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    fields
}

/// The body bytes in some words.
pub fn body(words: &[Word]) -> Vec<u8> {
    let pieces = words.iter().map(|word| match word {
        Word::Data { bytes, .. } => &bytes[..],
        Word::Request { .. }
        | Word::Response { .. }
        | Word::Trailers(_)
        | Word::Reset(_)
        | Word::Credit(_) => &[],
    });
    pieces.collect::<Vec<_>>().concat()
}

/// The credit in some words.
pub fn credit(words: &[Word]) -> usize {
    words.iter().map(|word| if let Word::Credit(count) = word { *count } else { 0 }).sum()
}

/// How many bytes of a body of nothing but `x` are in what a client got.
pub fn xs(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'x').count() - 1
}
