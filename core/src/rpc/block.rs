//! Header blocks: heads and trailer sections on the wire, each complete in itself.

use super::table::Code;
use crate::head::{self, Fields, RequestHead, ResponseHead};
use crate::reason::Reason;
use crate::varint::{self, Cursor};
use bytes::{BufMut as _, BytesMut};
use http::{Method, StatusCode};

/// Stands for a name, or a method, that is not in its table.
const LITERAL: u8 = 0;

/// A guess of how much longer names are than their codes, for the first allocation.
const EXPANSION: usize = 256;

/// The methods that have a code, which is their place counted from 1.
static METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::CONNECT,
    Method::OPTIONS,
    Method::TRACE,
    Method::PATCH,
];

/// Appends the block of a request.
pub(super) fn put_request(out: &mut BytesMut, head: &RequestHead) {
    let place = METHODS.iter().position(|method| *method == head.method);
    if let Some(code) = place.and_then(|place| u8::try_from(place + 1).ok()) {
        out.put_u8(code);
    } else {
        out.put_u8(LITERAL);
        put_text(out, head.method.as_str().as_bytes());
    }
    put_text(out, head.target());
    put_fields(out, &head.fields);
}

/// Appends the block of a response.
pub(super) fn put_response(out: &mut BytesMut, head: &ResponseHead) {
    varint::put(out, u64::from(head.status.as_u16()));
    put_text(out, head.phrase());
    put_fields(out, &head.fields);
}

/// Appends the block of a trailer section.
pub(super) fn put_fields(out: &mut BytesMut, fields: &Fields) {
    for (name, value) in fields.iter() {
        if let Some(code) = Code::of(name) {
            out.put_u8(code.byte());
        } else {
            out.put_u8(LITERAL);
            put_text(out, name);
        }
        put_text(out, value);
    }
}

/// The request of a block with at most `fields_max` fields.
pub(super) fn request(block: &[u8], fields_max: usize) -> Result<RequestHead, Reason> {
    let mut cursor = Cursor::new(block);
    let method = match cursor.byte()? {
        LITERAL => Method::from_bytes(cursor.text()?).map_err(|_| Reason::BadFrame)?,
        code => METHODS.get(usize::from(code) - 1).ok_or(Reason::BadFrame)?.clone(),
    };
    let target = valid(cursor.text()?, head::valid_target)?;
    Ok(RequestHead::new(method, target, fields_of(cursor, block.len(), fields_max)?))
}

/// The response of a block with at most `fields_max` fields.
pub(super) fn response(block: &[u8], fields_max: usize) -> Result<ResponseHead, Reason> {
    let mut cursor = Cursor::new(block);
    let status = u16::try_from(cursor.number()?).map_err(|_| Reason::BadFrame)?;
    let status = StatusCode::from_u16(status).map_err(|_| Reason::BadFrame)?;
    let phrase = valid(cursor.text()?, head::valid_phrase)?;
    Ok(ResponseHead::new(status, phrase, fields_of(cursor, block.len(), fields_max)?))
}

/// The trailer section of a block with at most `fields_max` fields.
pub(super) fn trailers(block: &[u8], fields_max: usize) -> Result<Fields, Reason> {
    fields_of(Cursor::new(block), block.len(), fields_max)
}

fn put_text(out: &mut BytesMut, text: &[u8]) {
    varint::put(out, varint::wide(text.len()));
    out.extend_from_slice(text);
}

/// The fields that make up the rest of a block of `size` bytes.
fn fields_of(mut cursor: Cursor<'_>, size: usize, fields_max: usize) -> Result<Fields, Reason> {
    let mut fields = Fields::with_capacity(fields_max.min(16), size + EXPANSION);
    while !cursor.is_empty() {
        if fields.len() == fields_max {
            return Err(Reason::BadFrame);
        }
        let name = match cursor.byte()? {
            LITERAL => valid(cursor.text()?, head::valid_name)?,
            code => Code::from_byte(code).ok_or(Reason::BadFrame)?,
        };
        let value = valid(cursor.text()?, head::valid_value)?;
        fields.push(name, value);
    }
    Ok(fields)
}

fn valid(text: &[u8], rule: impl FnOnce(&[u8]) -> bool) -> Result<&[u8], Reason> {
    if rule(text) { Ok(text) } else { Err(Reason::BadFrame) }
}
