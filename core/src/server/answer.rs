//! Answers that Pico gives itself.

use super::status::Written;
use crate::head::{Fields, ResponseHead};
use crate::reason::Reason;
use alloc::format;
use bytes::BytesMut;
use http::StatusCode;

/// The response that tells a client `reason`: status, fields and JSON body (`spec/errors.md`).
pub(super) fn refusal(reason: Reason, request_id: &str) -> Reply {
    let told = reason.told();
    let code = told.code;
    let body =
        format!("{{\"error\":\"{reason}\",\"code\":\"{code}\",\"request_id\":\"{request_id}\"}}\n");
    let mut fields = Fields::with_capacity(4, 128);
    fields.push(b"content-type", b"application/json");
    if told.status == 503 {
        fields.push(b"retry-after", b"1");
    }
    if reason == Reason::UpgradeRequired {
        fields.push(b"upgrade", b"websocket");
        fields.push(b"sec-websocket-version", b"13");
    } else if reason == Reason::MethodNotAllowed {
        fields.push(b"allow", b"GET");
    } else if reason == Reason::Unauthenticated {
        fields.push(b"www-authenticate", b"Bearer");
    }
    respond(told.status, fields, &body)
}

/// A response that is ready to go out: its head and its body.
pub(super) type Reply = (ResponseHead, BytesMut);

/// A page for operators. Browsers let it load nothing but what this port serves.
pub(super) fn page(written: &Written) -> Reply {
    let mut fields = Fields::with_capacity(6, 320);
    fields.push(b"content-type", written.kind.as_bytes());
    fields.push(b"cache-control", b"no-store");
    fields.push(b"x-content-type-options", b"nosniff");
    fields.push(b"content-security-policy", POLICY.as_bytes());
    sized(StatusCode::OK, fields, &written.bytes)
}

/// What another node has said to an operator.
pub(super) fn json(status: u16, bytes: &[u8]) -> Reply {
    let mut fields = Fields::with_capacity(3, 96);
    fields.push(b"content-type", b"application/json");
    fields.push(b"cache-control", b"no-store");
    sized(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY), fields, bytes)
}

/// A response of Pico's own with a text for a body.
pub(super) fn plain(status: u16, text: &str) -> Reply {
    let mut fields = Fields::with_capacity(2, 64);
    fields.push(b"content-type", b"text/plain; charset=utf-8");
    respond(status, fields, text)
}

/// Nothing but that a request has come here.
pub(super) fn empty() -> Reply {
    sized(StatusCode::OK, Fields::with_capacity(1, 32), b"")
}

/// A request as it was seen here (RFC 9110, section 9.3.8).
pub(super) fn echo(request: &[u8]) -> Reply {
    let mut fields = Fields::with_capacity(2, 64);
    fields.push(b"content-type", b"message/http");
    sized(StatusCode::OK, fields, request)
}

/// A response with these bytes, which another node wants.
pub(super) fn bytes(bytes: &[u8]) -> Reply {
    let mut fields = Fields::with_capacity(2, 64);
    fields.push(b"content-type", b"application/octet-stream");
    fields.push(b"content-length", format!("{}", bytes.len()).as_bytes());
    (ResponseHead::new(StatusCode::OK, b"OK", fields), BytesMut::from(bytes))
}

fn respond(status: u16, fields: Fields, body: &str) -> Reply {
    let status = StatusCode::from_u16(status).expect("the table holds valid status codes");
    sized(status, fields, body.as_bytes())
}

fn sized(status: StatusCode, mut fields: Fields, body: &[u8]) -> Reply {
    fields.push(b"content-length", format!("{}", body.len()).as_bytes());
    let phrase = status.canonical_reason().unwrap_or_default();
    (ResponseHead::new(status, phrase.as_bytes(), fields), BytesMut::from(body))
}

/// What a browser may do with a page of the admin port (CSP, level 3): run the script and apply
/// the style that this port serves, ask this port, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
