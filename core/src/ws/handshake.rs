//! The opening handshake (RFC 6455, section 4), as heads.

use crate::head::{RequestHead, ResponseHead};
use crate::reason::Reason;
use crate::seed::Dice;

/// The subprotocol of tunnels.
pub const SUBPROTOCOL: &str = "pico.rpc.v1";

/// A client's request: `GET target` with host and the WebSocket fields. `Connection` is added by
/// the HTTP/1 client machine. Returns the head and the key, to be checked in the response.
pub fn request(
    _dice: &mut Dice,
    _host: &str,
    _target: &str,
) -> (RequestHead, alloc::string::String) {
    todo!()
}

/// Checks the server's response to [`request`].
pub fn check(_key: &str, _head: &ResponseHead) -> Result<(), Reason> {
    todo!()
}

/// A server's answer: the 101 head, or why not. Does not look at the target.
pub fn respond(_head: &RequestHead) -> Result<ResponseHead, Reason> {
    todo!()
}
