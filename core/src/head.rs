//! Message heads: one buffer and ranges, so that names keep their case and order and values
//! their bytes (RFC 9110, section 5).

use crate::reason::Reason;
use alloc::borrow::Cow;
use alloc::vec::Vec;
use bytes::BytesMut;
use core::net::Ipv6Addr;
use http::{Method, StatusCode};

/// The fields of one head or trailer section, in the order in which they came.
#[derive(Clone, Default)]
pub struct Fields {
    text: BytesMut,
    lines: Vec<Line>,
}

/// Where in the text one field's name and value lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) name: Span,
    pub(crate) value: Span,
}

/// A range of a text. Heads are far below 4 GiB; [`Fields`] asserts it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Fields {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// No fields, with room for `count` fields of `bytes` bytes in all.
    pub fn with_capacity(count: usize, bytes: usize) -> Self {
        Self { text: BytesMut::with_capacity(bytes), lines: Vec::with_capacity(count) }
    }

    /// The fields that lie at `lines` of `text`.
    pub(crate) fn from_text(text: BytesMut, lines: Vec<Line>) -> Self {
        Self { text, lines }
    }

    /// Appends a field. The caller vouches that `name` is a token and `value` holds no line end
    /// or NUL; [`valid_name`] and [`valid_value`] tell.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let name = self.append(name);
        let value = self.append(value);
        self.lines.push(Line { name, value });
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Bytes of all names and values.
    pub fn size(&self) -> usize {
        self.lines.iter().map(|line| line.name.len() + line.value.len()).sum()
    }

    /// Every field, as name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.iter().map(|line| (self.at(line.name), self.at(line.value)))
    }

    /// The value of the first field called `name`, which is given in lower case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The values of all fields called `name`.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let same = move |line: &&Line| self.at(line.name).eq_ignore_ascii_case(name.as_bytes());
        self.lines.iter().filter(same).map(|line| self.at(line.value))
    }

    /// Whether the comma-separated lists in the fields called `name` hold `token`, in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name).flat_map(elements).any(|e| e.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Keeps the fields of which `keep`, told name and value, says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        let text = &self.text;
        self.lines.retain(|line| keep(slice(text, line.name), slice(text, line.value)));
    }

    /// Puts `value` in the place of the first field called `name`, or behind all if there is none,
    /// and removes the others of that name. The caller vouches as for [`push`](Self::push).
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        let mut found = false;
        let value = self.append(value);
        let text = &self.text;
        self.lines.retain_mut(|line| {
            if !slice(text, line.name).eq_ignore_ascii_case(name) {
                return true;
            }
            line.value = value;
            !core::mem::replace(&mut found, true)
        });
        if !found {
            let name = self.append(name);
            self.lines.push(Line { name, value });
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Span {
        let start = offset(self.text.len());
        self.text.extend_from_slice(bytes);
        Span { start, end: offset(self.text.len()) }
    }

    fn at(&self, span: Span) -> &[u8] {
        slice(&self.text, span)
    }
}

/// Two sections are equal if they hold the same fields in the same order.
impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl core::fmt::Debug for Fields {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_map().entries(self.iter().map(|(n, v)| (shown(n), shown(v)))).finish()
    }
}

/// Text as it is, and anything else escaped.
fn shown(bytes: &[u8]) -> Cow<'_, str> {
    let plain = |b: &u8| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\'' | b'\\');
    match core::str::from_utf8(bytes) {
        Ok(text) if bytes.iter().all(plain) => Cow::Borrowed(text),
        Ok(_) | Err(_) => Cow::Owned(alloc::format!("{}", bytes.escape_ascii())),
    }
}

/// The head of a request: method, target and fields.
#[derive(Clone)]
pub struct RequestHead {
    /// The method, case-sensitive.
    pub method: Method,
    /// The fields.
    pub fields: Fields,
    target: Span,
}

impl RequestHead {
    /// A head of these parts. The caller vouches that `target` holds visible ASCII only.
    pub fn new(method: Method, target: &[u8], mut fields: Fields) -> Self {
        let target = fields.append(target);
        Self { method, fields, target }
    }

    /// A head whose target lies at `target` of the text of `fields`.
    pub(crate) fn from_text(method: Method, target: Span, fields: Fields) -> Self {
        Self { method, fields, target }
    }

    /// The request target, as it was sent.
    pub fn target(&self) -> &[u8] {
        self.fields.at(self.target)
    }

    /// The parts of a target in absolute form, `None` for one in another form. Whoever asks where
    /// a request goes must ask here, so that all find the same host.
    ///
    /// # Errors
    ///
    /// [`Reason::BadRequest`] if the authority is no host with or without a port: it is empty, has
    /// user information, or a byte that no host has.
    pub fn absolute(&self) -> Result<Option<Absolute<'_>>, Reason> {
        let target = self.target();
        let after = |scheme: &[u8]| {
            let (start, rest) = target.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(rest)
        };
        let Some(rest) = after(b"http://").or_else(|| after(b"https://")) else { return Ok(None) };
        let end = rest.iter().position(|b| b"/?#".contains(b)).unwrap_or(rest.len());
        let (authority, origin) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        if !valid_authority(authority) {
            return Err(Reason::BadRequest);
        }
        Ok(Some(Absolute { authority, origin }))
    }

    /// Puts another target in the place of the present one.
    pub fn set_target(&mut self, target: &[u8]) {
        self.target = self.fields.append(target);
    }
}

/// A target in absolute form (RFC 9112, section 3.2.2), without its scheme.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Absolute<'a> {
    /// The host, and the port if there is one.
    pub authority: &'a [u8],
    /// Path and query as they were sent, either of which may be missing.
    pub origin: &'a [u8],
}

impl PartialEq for RequestHead {
    fn eq(&self, other: &Self) -> bool {
        self.method == other.method
            && self.target() == other.target()
            && self.fields == other.fields
    }
}

impl Eq for RequestHead {}

impl core::fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} {} {:?}", self.method, self.target().escape_ascii(), self.fields)
    }
}

/// The head of a response: status, reason phrase and fields.
#[derive(Clone)]
pub struct ResponseHead {
    /// The status code, 100 to 999.
    pub status: StatusCode,
    /// The fields.
    pub fields: Fields,
    phrase: Span,
}

impl ResponseHead {
    /// A head of these parts. The caller vouches that `phrase` holds no line end or NUL.
    pub fn new(status: StatusCode, phrase: &[u8], mut fields: Fields) -> Self {
        let phrase = fields.append(phrase);
        Self { status, fields, phrase }
    }

    /// A head whose phrase lies at `phrase` of the text of `fields`.
    pub(crate) fn from_text(status: StatusCode, phrase: Span, fields: Fields) -> Self {
        Self { status, fields, phrase }
    }

    /// The reason phrase, which may be empty.
    pub fn phrase(&self) -> &[u8] {
        self.fields.at(self.phrase)
    }
}

impl PartialEq for ResponseHead {
    fn eq(&self, other: &Self) -> bool {
        self.status == other.status
            && self.phrase() == other.phrase()
            && self.fields == other.fields
    }
}

impl Eq for ResponseHead {}

impl core::fmt::Debug for ResponseHead {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} {} {:?}", self.status.as_u16(), self.phrase().escape_ascii(), self.fields)
    }
}

impl Span {
    /// Where `part`, a slice of `text`, lies in it.
    pub(crate) fn of(text: &[u8], part: &[u8]) -> Self {
        if part.is_empty() {
            return Self::default();
        }
        let start = offset(part.as_ptr().addr() - text.as_ptr().addr());
        Self { start, end: start + offset(part.len()) }
    }

    fn len(self) -> usize {
        usize::try_from(self.end - self.start).expect("a pointer is at least 32 bits wide")
    }
}

/// The elements of a comma-separated list (RFC 9110, section 5.6.1), blanks around them removed
/// and empty ones left out. Commas within quoted strings do not separate.
pub fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    let parts = list.split(move |byte| {
        let separates = *byte == b',' && !quoted;
        if escaped {
            escaped = false;
        } else if *byte == b'\\' && quoted {
            escaped = true;
        } else if *byte == b'"' {
            quoted = !quoted;
        }
        separates
    });
    parts.map(<[u8]>::trim_ascii).filter(|part| !part.is_empty())
}

/// Whether `name` is a token (RFC 9110, section 5.6.2), as field names and methods are.
pub fn valid_name(name: &[u8]) -> bool {
    let tchar = |b: &u8| TCHAR.get(usize::from(*b)).is_some_and(|is| *is);
    !name.is_empty() && name.iter().all(tchar)
}

/// Whether `value` may stand as a field value (RFC 9110, section 5.5): no control bytes but tab,
/// and no blank at either end.
pub fn valid_value(value: &[u8]) -> bool {
    let blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    valid_phrase(value) && !blank(value.first()) && !blank(value.last())
}

/// Whether `phrase` may stand as a reason phrase (RFC 9112, section 4): no control bytes but tab.
pub(crate) fn valid_phrase(phrase: &[u8]) -> bool {
    // Looks at every byte, because a loop that may stop early is not made into vector code.
    let clear = |b: u8| matches!(b, b'\t' | b' '..=b'~' | 0x80..);
    phrase.iter().fold(true, |all, b| all & clear(*b))
}

/// Whether `target` may stand as a request target: visible ASCII, and some of it.
pub fn valid_target(target: &[u8]) -> bool {
    !target.is_empty() && target.iter().all(u8::is_ascii_graphic)
}

/// Whether `byte` may stand in a host's name (RFC 3986, section 3.2.2), the comma aside: that
/// could be two hosts.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte)
}

/// Whether `authority` is a host, with a port or without (RFC 3986, section 3.2).
pub(crate) fn valid_authority(authority: &[u8]) -> bool {
    let literal = authority.starts_with(b"[");
    let end = authority.iter().position(|b| *b == if literal { b']' } else { b':' });
    let host_len = end.map_or(authority.len(), |at| at + usize::from(literal));
    let Some((host, port)) = authority.split_at_checked(host_len) else { return false };
    let named = match host {
        [] => false,
        [b'[', address @ .., b']'] => {
            core::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
        }
        [..] => host.iter().all(|b| is_host_byte(*b)) && valid_escapes(host),
    };
    let numbered = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        [..] => false,
    };
    named && numbered
}

/// Whether each `%` begins an escape (RFC 3986, section 2.1).
fn valid_escapes(text: &[u8]) -> bool {
    let mut parts = text.split(|b| *b == b'%').skip(1);
    parts.all(|part| part.get(..2).is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit)))
}

fn slice(text: &[u8], span: Span) -> &[u8] {
    let at = |offset: u32| usize::try_from(offset).expect("a pointer is at least 32 bits wide");
    text.get(at(span.start)..at(span.end))
        .expect("a span lies within the text that it was cut from")
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("a head is shorter than 4 GiB")
}

/// The bytes of which tokens are made.
static TCHAR: [bool; 256] = tchars();

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "evaluated by the compiler, which would refuse"
)]
const fn tchars() -> [bool; 256] {
    let marks = b"!#$%&'*+-.^_`|~";
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut mark = 0;
    while mark < marks.len() {
        table[marks[mark] as usize] = true;
        mark += 1;
    }
    table
}
