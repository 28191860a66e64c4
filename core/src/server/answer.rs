//! Answers that Pico gives itself.

use crate::head::{Fields, ResponseHead};
use crate::reason::Reason;
use alloc::format;
use alloc::string::String;
use bytes::BytesMut;
use http::StatusCode;

/// The response that tells a client `reason`: status, fields and JSON body (`spec/errors.md`).
pub(super) fn refusal(reason: Reason, request_id: &str) -> (ResponseHead, BytesMut) {
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

/// A response of Pico's own with a text for a body.
pub(super) fn plain(status: u16, text: &str) -> (ResponseHead, BytesMut) {
    let mut fields = Fields::with_capacity(2, 64);
    fields.push(b"content-type", b"text/plain; charset=utf-8");
    respond(status, fields, text)
}

/// A response with these bytes, which another node wants.
pub(super) fn bytes(bytes: &[u8]) -> (ResponseHead, BytesMut) {
    let mut fields = Fields::with_capacity(2, 64);
    fields.push(b"content-type", b"application/octet-stream");
    fields.push(b"content-length", format!("{}", bytes.len()).as_bytes());
    (ResponseHead::new(StatusCode::OK, b"OK", fields), BytesMut::from(bytes))
}

fn respond(status: u16, mut fields: Fields, body: &str) -> (ResponseHead, BytesMut) {
    let length: String = format!("{}", body.len());
    fields.push(b"content-length", length.as_bytes());
    let status = StatusCode::from_u16(status).expect("the table holds valid status codes");
    let phrase = status.canonical_reason().unwrap_or_default();
    (ResponseHead::new(status, phrase.as_bytes(), fields), BytesMut::from(body))
}
