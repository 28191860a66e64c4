//! Heads as bytes: finding their end, parsing them once, writing them (RFC 9112, sections 2 to 5).

use crate::head::{Fields, Line, RequestHead, ResponseHead, Span, valid_target};
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::reason::Reason;
use alloc::vec::Vec;
use bytes::{Buf as _, BytesMut};
use core::mem::MaybeUninit;
use http::{Method, StatusCode, Version};
use httparse::Header;

/// A search for the empty line that ends a section of lines. It remembers how far it has come,
/// so that no byte is looked at twice however the section arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Search {
    /// Where the line under way begins.
    line: usize,
    /// How far its end has been looked for.
    seen: usize,
}

impl Search {
    /// Looks on in `text`, of which the part seen before is unchanged, and says where the section
    /// ends, the empty line included.
    ///
    /// A line that ends in a bare LF is malformed. Which error is found depends only on the bytes,
    /// not on how they were cut.
    pub(crate) fn find(&mut self, text: &[u8], bytes_max: usize) -> Result<Option<usize>, Flaw> {
        let within = text.get(..bytes_max).unwrap_or(text);
        while let Some(distance) = memchr::memchr(b'\n', within.get(self.seen..).unwrap_or(&[])) {
            let end = self.seen + distance;
            let line = within.get(self.line..end).unwrap_or(&[]);
            if line.last() != Some(&b'\r') {
                return Err(Flaw::Malformed);
            }
            self.line = end + 1;
            self.seen = self.line;
            if line.len() == 1 {
                return Ok(Some(self.line));
            }
        }
        self.seen = within.len();
        if text.len() > bytes_max { Err(Flaw::TooLarge) } else { Ok(None) }
    }

    /// Whether the end of the first line was not found yet.
    pub(crate) fn is_in_first_line(self) -> bool {
        self.line == 0
    }
}

/// Why a section of lines cannot be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flaw {
    /// It breaks the grammar.
    Malformed,
    /// It has too many bytes or fields.
    TooLarge,
}

impl Flaw {
    /// How a client hears of it.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::Malformed => Reason::BadRequest,
            Self::TooLarge => Reason::HeadTooLarge,
        }
    }
}

impl From<httparse::Error> for Flaw {
    fn from(error: httparse::Error) -> Self {
        if error == httparse::Error::TooManyHeaders { Self::TooLarge } else { Self::Malformed }
    }
}

/// Drops one empty line in front of a request line (RFC 9112, section 2.2) and says whether
/// anything of a head is there. A lone CR is nothing yet.
pub(crate) fn begun(input: &mut BytesMut, skipped: &mut bool) -> bool {
    if !*skipped && input.starts_with(b"\r\n") {
        input.advance(2);
        *skipped = true;
    }
    match &input[..] {
        [] => false,
        [b'\r'] => *skipped,
        [_, ..] => true,
    }
}

/// Cuts a request head of `len` bytes off `input` and parses it.
pub(crate) fn parse_request(
    input: &mut BytesMut,
    len: usize,
    limits: &Limits,
) -> Result<(RequestHead, Version), Flaw> {
    let text = input.get(..len).ok_or(Flaw::Malformed)?;
    let (method, target, version, lines) = with_headers(limits, |headers| {
        let mut request = httparse::Request::new(&mut []);
        let status = request.parse_with_uninit_headers(text, headers)?;
        let (true, Some(method), Some(target), Some(minor)) = (
            status == httparse::Status::Complete(len),
            request.method,
            request.path,
            request.version,
        ) else {
            return Err(Flaw::Malformed);
        };
        if !valid_target(target.as_bytes()) {
            return Err(Flaw::Malformed);
        }
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| Flaw::Malformed)?;
        let target = Span::of(text, target.as_bytes());
        Ok((method, target, version(minor), lines_of(text, request.headers)))
    })?;
    let fields = Fields::from_text(cut(input, len), lines);
    Ok((RequestHead::from_text(method, target, fields), version))
}

/// Cuts a response head of `len` bytes off `input` and parses it.
pub(crate) fn parse_response(
    input: &mut BytesMut,
    len: usize,
    limits: &Limits,
) -> Result<(ResponseHead, Version), Flaw> {
    let text = input.get(..len).ok_or(Flaw::Malformed)?;
    let (status, phrase, version, lines) = with_headers(limits, |headers| {
        let mut response = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let parsed = config.parse_response_with_uninit_headers(&mut response, text, headers)?;
        let (true, Some(code), Some(minor)) =
            (parsed == httparse::Status::Complete(len), response.code, response.version)
        else {
            return Err(Flaw::Malformed);
        };
        let status = StatusCode::from_u16(code).map_err(|_| Flaw::Malformed)?;
        let phrase = Span::of(text, response.reason.unwrap_or_default().as_bytes());
        Ok((status, phrase, version(minor), lines_of(text, response.headers)))
    })?;
    let fields = Fields::from_text(cut(input, len), lines);
    Ok((ResponseHead::from_text(status, phrase, fields), version))
}

/// Cuts a trailer section of `len` bytes off `input` and parses it.
pub(crate) fn parse_trailers(
    input: &mut BytesMut,
    len: usize,
    limits: &Limits,
) -> Result<Fields, Flaw> {
    let text = input.get(..len).ok_or(Flaw::Malformed)?;
    let mut headers = alloc::vec![httparse::EMPTY_HEADER; limits.head_fields];
    let lines = match httparse::parse_headers(text, &mut headers)? {
        httparse::Status::Complete((end, headers)) if end == len => lines_of(text, headers),
        httparse::Status::Complete(_) | httparse::Status::Partial => return Err(Flaw::Malformed),
    };
    Ok(Fields::from_text(cut(input, len), lines))
}

/// Writes a request head; `extra` are fields of this hop, put behind those that `keep` lets pass.
pub(crate) fn put_request(
    out: &mut Outbox,
    head: &RequestHead,
    keep: impl FnMut(&[u8]) -> bool,
    extra: &[&[u8]],
) {
    out.put(head.method.as_str().as_bytes());
    out.put(b" ");
    out.put(head.target());
    out.put(b" HTTP/1.1\r\n");
    put_fields(out, &head.fields, keep, extra);
}

/// Writes a response head, as [`put_request`] does.
pub(crate) fn put_response(
    out: &mut Outbox,
    head: &ResponseHead,
    keep: impl FnMut(&[u8]) -> bool,
    extra: &[&[u8]],
) {
    out.put(b"HTTP/1.1 ");
    out.put(head.status.as_str().as_bytes());
    out.put(b" ");
    out.put(head.phrase());
    out.put(b"\r\n");
    put_fields(out, &head.fields, keep, extra);
}

/// Writes the fields that `keep` lets pass, whole lines of `extra`, and the empty line.
pub(crate) fn put_fields(
    out: &mut Outbox,
    fields: &Fields,
    mut keep: impl FnMut(&[u8]) -> bool,
    extra: &[&[u8]],
) {
    for (name, value) in fields.iter().filter(|(name, _)| keep(name)) {
        out.put(name);
        out.put(b": ");
        out.put(value);
        out.put(b"\r\n");
    }
    for line in extra {
        out.put(line);
    }
    out.put(b"\r\n");
}

/// Lends room for as many fields as the limits allow: on the stack, if it is the usual number.
fn with_headers<'b, T>(
    limits: &Limits,
    parse: impl FnOnce(&mut [MaybeUninit<Header<'b>>]) -> Result<T, Flaw>,
) -> Result<T, Flaw> {
    let mut few = [const { MaybeUninit::uninit() }; STACK_FIELDS];
    if let Some(few) = few.get_mut(..limits.head_fields) {
        return parse(few);
    }
    let mut many = Vec::new();
    many.resize_with(limits.head_fields, MaybeUninit::uninit);
    parse(&mut many)
}

fn lines_of(text: &[u8], headers: &[Header<'_>]) -> Vec<Line> {
    let mut lines = Vec::with_capacity(headers.len() + SPARE_FIELDS);
    lines.extend(headers.iter().map(|header| Line {
        name: Span::of(text, header.name.as_bytes()),
        value: Span::of(text, header.value),
    }));
    lines
}

/// Takes a section out of the buffer: as a copy with room for a few more fields if it is short,
/// so that it does not pin a whole read.
fn cut(input: &mut BytesMut, len: usize) -> BytesMut {
    if len > COPY_BYTES {
        return input.split_to(len);
    }
    let mut text = BytesMut::with_capacity(len + SPARE_BYTES);
    text.extend_from_slice(input.get(..len).unwrap_or(&[]));
    input.advance(len);
    text
}

fn version(minor: u8) -> Version {
    if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 }
}

/// Heads up to this size are copied.
const COPY_BYTES: usize = 4096;

/// What an intermediary will probably add to a head.
const SPARE_BYTES: usize = 192;
const SPARE_FIELDS: usize = 4;

/// The default of [`Limits::head_fields`].
const STACK_FIELDS: usize = 100;
