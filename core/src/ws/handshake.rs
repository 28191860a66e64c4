//! The opening handshake (RFC 6455, section 4), as heads.
//!
//! That `Connection` names `Upgrade`, and that the version is HTTP/1.1, concerns the hop: the
//! HTTP/1 machines see to it and say so (`http1::server::Request::upgrade`).

use super::codec;
use crate::head::{Fields, RequestHead, ResponseHead, elements};
use crate::reason::Reason;
use crate::seed::Dice;
use alloc::string::String;
use data_encoding::BASE64;
use http::{Method, StatusCode};

/// The subprotocol of tunnels.
pub const SUBPROTOCOL: &str = "pico.rpc.v1";

/// The only version of the protocol.
const VERSION: &[u8] = b"13";

/// Bytes of the nonce that a key encodes.
const NONCE: usize = 16;

/// A client's request: `GET target` with host and the WebSocket fields. `Connection` is added by
/// the HTTP/1 client machine. Returns the head and the key, to be checked in the response.
pub fn request(dice: &mut Dice, host: &str, target: &str) -> (RequestHead, String) {
    let nonce = (u128::from(dice.long()) << 64) | u128::from(dice.long());
    let key = BASE64.encode(&nonce.to_le_bytes());
    let mut fields = Fields::with_capacity(5, 256);
    fields.push(b"Host", host.as_bytes());
    fields.push(b"Upgrade", b"websocket");
    fields.push(b"Sec-WebSocket-Version", VERSION);
    fields.push(b"Sec-WebSocket-Key", key.as_bytes());
    fields.push(b"Sec-WebSocket-Protocol", SUBPROTOCOL.as_bytes());
    (RequestHead::new(Method::GET, target.as_bytes(), fields), key)
}

/// Checks the server's response to [`request`].
///
/// A refusal gives the reason that its status stands for; a 101 that does not answer this request
/// is a [`Reason::BadResponse`], one without the subprotocol a [`Reason::VersionMismatch`].
pub fn check(key: &str, head: &ResponseHead) -> Result<(), Reason> {
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refusal(head.status));
    }
    let fields = &head.fields;
    let upgraded = sole(fields, "upgrade").is_some_and(|v| v.eq_ignore_ascii_case(b"websocket"));
    let accepted = sole(fields, "sec-websocket-accept")
        .is_some_and(|accept| accept == codec::accept_key(key.as_bytes()).as_bytes());
    // None was offered, so none may be chosen (section 4.1, step 5).
    let extended = fields.get("sec-websocket-extensions").is_some();
    if !upgraded || !accepted || extended {
        return Err(Reason::BadResponse);
    }
    match sole(fields, "sec-websocket-protocol") {
        Some(chosen) if chosen == SUBPROTOCOL.as_bytes() => Ok(()),
        _ => Err(Reason::VersionMismatch),
    }
}

/// A server's answer: the 101 head, or why not. Does not look at the target.
pub fn respond(head: &RequestHead) -> Result<ResponseHead, Reason> {
    if head.method != Method::GET {
        return Err(Reason::MethodNotAllowed);
    }
    let fields = &head.fields;
    let offered = fields
        .all("sec-websocket-protocol")
        .flat_map(elements)
        .any(|protocol| protocol == SUBPROTOCOL.as_bytes());
    let asked = fields.has_token("upgrade", "websocket")
        && sole(fields, "sec-websocket-version") == Some(VERSION)
        && offered;
    let key = sole(fields, "sec-websocket-key").filter(|key| is_key(key));
    let key = key.filter(|_| asked).ok_or(Reason::UpgradeRequired)?;
    let mut answer = Fields::with_capacity(3, 128);
    answer.push(b"Upgrade", b"websocket");
    answer.push(b"Sec-WebSocket-Accept", codec::accept_key(key).as_bytes());
    answer.push(b"Sec-WebSocket-Protocol", SUBPROTOCOL.as_bytes());
    Ok(ResponseHead::new(StatusCode::SWITCHING_PROTOCOLS, b"Switching Protocols", answer))
}

/// The value of the field `name`, if there is exactly one.
fn sole<'a>(fields: &'a Fields, name: &str) -> Option<&'a [u8]> {
    let mut values = fields.all(name);
    values.next().filter(|_| values.next().is_none())
}

/// Whether `key` encodes a nonce of the right length (section 4.2.1).
fn is_key(key: &[u8]) -> bool {
    BASE64.decode(key).is_ok_and(|nonce| nonce.len() == NONCE)
}

/// The reason that a status other than 101 stands for.
fn refusal(status: StatusCode) -> Reason {
    match status.as_u16() {
        400 => Reason::BadRequest,
        401 => Reason::Unauthenticated,
        403 => Reason::Forbidden,
        404 => Reason::NotFound,
        405 => Reason::MethodNotAllowed,
        426 => Reason::UpgradeRequired,
        429 | 503 => Reason::Overloaded,
        _ => Reason::BadResponse,
    }
}
