//! Bodies on the wire: decoding and encoding their framing (RFC 9112, sections 6 and 7).

use super::framing::Body;
use super::head::{self, Flaw, Search};
use super::rules;
use crate::head::Fields;
use crate::limits::Limits;
use crate::outbox::{COPY_MAX, Outbox};
use alloc::boxed::Box;
use bytes::{Buf as _, BytesMut};

/// Takes a body apart as it arrives.
#[derive(Debug)]
pub(crate) enum Decoder {
    /// So many bytes are to come.
    Length(u64),
    /// Chunks are to come.
    Chunked(Box<Chunks>),
    /// Everything until FIN.
    UntilClose,
}

/// Where in a chunked body we are.
#[derive(Debug)]
pub(crate) struct Chunks {
    stage: Stage,
    /// What has come of a line or of the trailer section that is not complete.
    partial: BytesMut,
    search: Search,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// In a chunk-size line.
    Size,
    /// So many bytes of a chunk are to come.
    Payload(u64),
    /// In the line end behind a chunk.
    PayloadEnd,
    /// Behind the last chunk.
    Trailers,
}

/// What a [`Decoder`] found next.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing without more input or more credit.
    Nothing,
    /// Some of the body.
    Data(BytesMut),
    /// The end, without trailers.
    End,
    /// The end, with trailers.
    Trailers(Fields),
    /// It cannot be read.
    Bad(Flaw),
}

impl Decoder {
    /// A decoder for `body`.
    pub(crate) fn new(body: Body) -> Self {
        match body {
            Body::None => Self::Length(0),
            Body::Length(length) => Self::Length(length),
            Body::Chunked => Self::Chunked(Box::default()),
            Body::UntilClose => Self::UntilClose,
        }
    }

    /// Takes what comes next off `input`. At most `credit` bytes of body are taken; framing needs
    /// no credit.
    pub(crate) fn next(&mut self, input: &mut BytesMut, credit: usize, limits: &Limits) -> Found {
        match self {
            Self::Length(0) => Found::End,
            Self::Length(left) => payload(input, left, credit),
            Self::Chunked(chunks) => chunks.next(input, credit, limits),
            Self::UntilClose => payload(input, &mut u64::MAX.clone(), credit),
        }
    }

    /// Whether a FIN behind all input is the regular end.
    pub(crate) fn ends_at_close(&self) -> bool {
        matches!(self, Self::UntilClose)
    }
}

impl Default for Chunks {
    fn default() -> Self {
        Self { stage: Stage::Size, partial: BytesMut::new(), search: Search::default() }
    }
}

impl Chunks {
    fn next(&mut self, input: &mut BytesMut, credit: usize, limits: &Limits) -> Found {
        loop {
            let step = match &mut self.stage {
                Stage::Payload(left) => {
                    let found = payload(input, left, credit);
                    if *left == 0 {
                        self.stage = Stage::PayloadEnd;
                    }
                    return found;
                }
                Stage::Size => self.size_line(input, limits),
                Stage::PayloadEnd => self.payload_end(input),
                Stage::Trailers => return self.trailers(input, limits),
            };
            match step {
                Ok(Some(stage)) => self.stage = stage,
                Ok(None) => return Found::Nothing,
                Err(flaw) => return self.bad(input, flaw),
            }
        }
    }

    /// Gives back what has come of the line or section with the flaw: what is left of the input
    /// then begins at the same byte, however it was cut.
    fn bad(&mut self, input: &mut BytesMut, flaw: Flaw) -> Found {
        let mut rest = core::mem::take(&mut self.partial);
        if !rest.is_empty() {
            rest.extend_from_slice(input);
            *input = rest;
        }
        Found::Bad(flaw)
    }

    fn size_line(&mut self, input: &mut BytesMut, limits: &Limits) -> Result<Option<Stage>, Flaw> {
        let bytes_max = limits.chunk_line_bytes.saturating_sub(self.partial.len());
        let within = input.get(..bytes_max).unwrap_or(input);
        let Some(end) = memchr::memchr(b'\n', within) else {
            if input.len() > bytes_max {
                return Err(Flaw::Malformed);
            }
            self.partial.extend_from_slice(input);
            input.clear();
            return Ok(None);
        };
        let line = within.get(..end).unwrap_or(&[]);
        let had = self.partial.len();
        let size = if had == 0 {
            parse_size(line)
        } else {
            self.partial.extend_from_slice(line);
            parse_size(&self.partial)
        };
        let Some(size) = size else {
            self.partial.truncate(had);
            return Err(Flaw::Malformed);
        };
        self.partial.clear();
        input.advance(end + 1);
        Ok(Some(if size == 0 { Stage::Trailers } else { Stage::Payload(size) }))
    }

    fn payload_end(&mut self, input: &mut BytesMut) -> Result<Option<Stage>, Flaw> {
        let expected: &[u8] = if self.partial.is_empty() { b"\r\n" } else { b"\n" };
        let count = expected.len().min(input.len());
        let (come, due) = (input.get(..count), expected.get(..count));
        if come != due {
            return Err(Flaw::Malformed);
        }
        self.partial.extend_from_slice(come.unwrap_or(&[]));
        input.advance(count);
        if count < expected.len() {
            return Ok(None);
        }
        self.partial.clear();
        Ok(Some(Stage::Size))
    }

    fn trailers(&mut self, input: &mut BytesMut, limits: &Limits) -> Found {
        if self.partial.is_empty() && input.starts_with(b"\r\n") {
            input.advance(2);
            return Found::End;
        }
        let room = limits.head_bytes.saturating_add(1).saturating_sub(self.partial.len());
        let had = self.partial.len();
        let more = input.get(..room).unwrap_or(input);
        self.partial.extend_from_slice(more);
        let more = more.len();
        let end = match self.search.find(&self.partial, limits.head_bytes) {
            Ok(Some(end)) => end,
            Ok(None) => {
                input.advance(more);
                return Found::Nothing;
            }
            Err(flaw) => {
                self.partial.truncate(had);
                return self.bad(input, flaw);
            }
        };
        input.advance(end - had);
        let mut section = core::mem::take(&mut self.partial);
        match head::parse_trailers(&mut section, end, limits) {
            Ok(mut fields) => {
                rules::strip_trailers(&mut fields);
                if fields.is_empty() { Found::End } else { Found::Trailers(fields) }
            }
            Err(flaw) => Found::Bad(flaw),
        }
    }
}

/// Takes at most `credit` of the `left` bytes off `input`.
fn payload(input: &mut BytesMut, left: &mut u64, credit: usize) -> Found {
    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(credit).min(input.len());
    if count == 0 {
        return Found::Nothing;
    }
    *left -= u64::try_from(count).expect("a count of at most `left` fits 64 bits");
    Found::Data(take(input, count))
}

/// Takes `count` bytes off `input`: few as a copy, so that they do not pin a whole read.
pub(crate) fn take(input: &mut BytesMut, count: usize) -> BytesMut {
    let bytes = if count <= COPY_MAX {
        let bytes = BytesMut::from(input.get(..count).unwrap_or(&[]));
        input.advance(count);
        bytes
    } else {
        input.split_to(count)
    };
    if input.is_empty() {
        *input = BytesMut::new();
    }
    bytes
}

/// The size in a chunk-size line that has lost its LF (RFC 9112, section 7.1). Extensions may be
/// anything that a line may hold.
fn parse_size(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"\r")?;
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, extensions) = line.split_at_checked(digits)?;
    if digits.is_empty() || digits.len() > 15 {
        return None;
    }
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let at = extensions.iter().take_while(|byte| blank(byte)).count();
    let extended = extensions.get(at) == Some(&b';');
    let clear = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    if !extensions.is_empty() && !extended || !extensions.iter().all(clear) {
        return None;
    }
    u64::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
}

/// Frames a body as it goes out, so that only one that was ended as announced looks complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Encoder {
    /// Nothing goes out, whatever is said: the message has no body.
    Nothing,
    /// So many bytes are to come. The last of them is held until the end has been said: a body
    /// that goes on beyond its announced length must not look complete either.
    Length {
        /// Bytes to come, the held one aside.
        left: u64,
        /// The last byte.
        held: Option<u8>,
    },
    /// In chunks.
    Chunked {
        /// Bytes in the last chunk, to which a few more may be joined while it waits.
        last: usize,
    },
    /// Until FIN.
    UntilClose,
}

/// A body that is not as long as was announced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mismatch;

impl Encoder {
    /// An encoder for `body`.
    pub(crate) fn new(body: Body) -> Self {
        match body {
            Body::None => Self::Nothing,
            Body::Length(left) => Self::Length { left, held: None },
            Body::Chunked => Self::Chunked { last: 0 },
            Body::UntilClose => Self::UntilClose,
        }
    }

    /// Frames some of the body.
    pub(crate) fn data(&mut self, out: &mut Outbox, mut bytes: BytesMut) -> Result<(), Mismatch> {
        if bytes.is_empty() {
            return Ok(());
        }
        match self {
            Self::Nothing => {}
            Self::UntilClose => out.push(bytes),
            Self::Chunked { last } if join(out, *last, &bytes) => *last += bytes.len(),
            Self::Chunked { last } => {
                *last = bytes.len();
                out.put(SizeLine::new(bytes.len()).bytes());
                out.push(bytes);
                out.put(b"\r\n");
            }
            Self::Length { left, held } => {
                let count = u64::try_from(bytes.len()).map_err(|_| Mismatch)?;
                *left = left.checked_sub(count).ok_or(Mismatch)?;
                if *left == 0 {
                    *held = bytes.split_off(bytes.len() - 1).first().copied();
                }
                out.push(bytes);
            }
        }
        Ok(())
    }

    /// Ends the body.
    pub(crate) fn end(&mut self, out: &mut Outbox) -> Result<(), Mismatch> {
        match self {
            Self::Nothing | Self::UntilClose => {}
            Self::Chunked { .. } => out.put(b"0\r\n\r\n"),
            Self::Length { left: 0, held } => out.put(held.take().as_slice()),
            Self::Length { .. } => return Err(Mismatch),
        }
        Ok(())
    }

    /// Ends the body with trailers, which only chunks can carry; elsewhere they are left out.
    pub(crate) fn trailers(&mut self, out: &mut Outbox, fields: &Fields) -> Result<(), Mismatch> {
        if !matches!(self, Self::Chunked { .. }) {
            return self.end(out);
        }
        out.put(b"0\r\n");
        head::put_fields(out, fields, rules::may_trail, &[]);
        Ok(())
    }

    /// Payload bytes that were taken in but not put out.
    pub(crate) fn held(&self) -> usize {
        match self {
            Self::Length { held: Some(_), .. } => 1,
            Self::Length { held: None, .. }
            | Self::Nothing
            | Self::Chunked { .. }
            | Self::UntilClose => 0,
        }
    }
}

/// Joins `bytes` to the last chunk, of `last` bytes, if the two are small and all of it still
/// waits: framing shall not weigh more than what it frames, however small the pieces are.
fn join(out: &mut Outbox, last: usize, bytes: &[u8]) -> bool {
    let joined = last.saturating_add(bytes.len());
    if last == 0 || joined > COPY_MAX {
        return false;
    }
    let (before, after) = (SizeLine::new(last), SizeLine::new(joined));
    let (before, after) = (before.bytes(), after.bytes());
    out.amend(before.len() + last + 2, |tail, start| {
        tail.truncate(tail.len() - 2);
        if after.len() > before.len() {
            // The line grows twice at most in the life of a chunk.
            tail.extend_from_slice(after.get(before.len()..).unwrap_or_default());
            let chunk = tail.get_mut(start..).unwrap_or_default();
            chunk.copy_within(before.len()..before.len() + last, after.len());
        }
        if let Some(line) = tail.get_mut(start..start + after.len()) {
            line.copy_from_slice(after);
        }
        tail.extend_from_slice(bytes);
        tail.extend_from_slice(b"\r\n");
    })
}

/// A chunk-size line.
struct SizeLine {
    text: [u8; 18],
    start: usize,
}

impl SizeLine {
    fn new(size: usize) -> Self {
        let mut text = *b"0000000000000000\r\n";
        let mut start = 16;
        let mut left = size;
        while left > 0 && start > 0 {
            start -= 1;
            let digit = b"0123456789abcdef".get(left % 16);
            if let (Some(to), Some(digit)) = (text.get_mut(start), digit) {
                *to = *digit;
            }
            left /= 16;
        }
        Self { text, start }
    }

    fn bytes(&self) -> &[u8] {
        self.text.get(self.start..).unwrap_or(&self.text)
    }
}
