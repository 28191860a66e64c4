//! The hello: what each side says of itself first. Its grammar is the same in every version.

use super::Identity;
use crate::limits::Limits;
use crate::reason::Reason;
use crate::varint::{self, Cursor};
use alloc::string::String;
use bytes::BytesMut;

/// The versions that this code speaks, lowest and highest.
const VERSIONS: (u64, u64) = (1, 1);

/// Bytes of an ID or a software name.
const NAME_MAX: usize = 255;

/// No first window and no credit is larger.
pub(super) const CREDIT_MAX: u64 = 1 << 31;

/// Bytes by which a block may exceed `Limits::head_bytes`, and fields by which it may exceed
/// `Limits::head_fields`: each intermediary adds some to a head that was within its limits.
const BLOCK_SLACK: usize = 4096;
const FIELDS_SLACK: usize = 16;

const VERSION: u64 = 1;
const STREAMS: u64 = 2;
const WINDOW: u64 = 3;
const BLOCK: u64 = 4;
const FIELDS: u64 = 5;
const HEARTBEAT: u64 = 6;
const ID: u64 = 7;
const SOFTWARE: u64 = 8;
const KNOWN_MAX: u64 = SOFTWARE;

/// The limits that a sender keeps to, because the receiver said so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Terms {
    /// Calls that may be opened to it at once.
    pub(super) streams: usize,
    /// Bytes that it takes on a new stream before it has granted any.
    pub(super) window: usize,
    /// Bytes of a header block.
    pub(super) block: usize,
    /// Fields of a header block.
    pub(super) fields: usize,
}

impl Terms {
    /// What we hold the peer to.
    pub(super) fn ours(limits: &Limits) -> Self {
        Self {
            streams: limits.streams,
            window: limits.window_bytes,
            block: limits.head_bytes.saturating_add(BLOCK_SLACK),
            fields: limits.head_fields.saturating_add(FIELDS_SLACK),
        }
    }
}

/// What holds for a peer whose hello does not say.
impl Default for Terms {
    fn default() -> Self {
        Self { streams: 100, window: 64 * 1024, block: 68 * 1024, fields: 116 }
    }
}

/// The payload of our hello.
pub(super) fn encode(me: &Identity, limits: &Limits) -> BytesMut {
    let terms = Terms::ours(limits);
    let heartbeat = u64::try_from(limits.heartbeat.as_millis()).unwrap_or(u64::MAX);
    let mut out = BytesMut::new();
    put(&mut out, VERSION, &[VERSIONS.0, VERSIONS.1]);
    put(&mut out, STREAMS, &[varint::wide(terms.streams)]);
    put(&mut out, WINDOW, &[varint::wide(terms.window)]);
    put(&mut out, BLOCK, &[varint::wide(terms.block)]);
    put(&mut out, FIELDS, &[varint::wide(terms.fields)]);
    put(&mut out, HEARTBEAT, &[heartbeat.min(varint::END - 1)]);
    put_name(&mut out, ID, &me.id);
    put_name(&mut out, SOFTWARE, &me.agent);
    out
}

/// What the peer's hello says, if there is a version that both speak.
pub(super) fn decode(payload: &[u8]) -> Result<(Identity, Terms), Reason> {
    let mut cursor = Cursor::new(payload);
    let mut identity = Identity::default();
    let mut terms = Terms::default();
    let mut versions = None;
    let mut seen = 0_u64;
    while !cursor.is_empty() {
        let key = cursor.number()?;
        let value = cursor.text()?;
        if !(VERSION..=KNOWN_MAX).contains(&key) {
            continue;
        }
        if seen & (1 << key) != 0 {
            return Err(Reason::BadFrame);
        }
        seen |= 1 << key;
        match key {
            VERSION => versions = Some(range(value)?),
            STREAMS => terms.streams = number(value)?,
            WINDOW => terms.window = number(value)?,
            BLOCK => terms.block = number(value)?,
            FIELDS => terms.fields = number(value)?,
            HEARTBEAT => drop(number(value)?),
            ID => identity.id = name(value)?,
            SOFTWARE => identity.agent = name(value)?,
            _ => return Err(Reason::BadFrame),
        }
    }
    if varint::wide(terms.window) > CREDIT_MAX {
        return Err(Reason::BadFrame);
    }
    let (min, max) = versions.ok_or(Reason::BadFrame)?;
    if min > VERSIONS.1 || max < VERSIONS.0 {
        return Err(Reason::VersionMismatch);
    }
    Ok((identity, terms))
}

fn put(out: &mut BytesMut, key: u64, numbers: &[u64]) {
    let mut value = BytesMut::new();
    for number in numbers {
        varint::put(&mut value, *number);
    }
    put_value(out, key, &value);
}

fn put_value(out: &mut BytesMut, key: u64, value: &[u8]) {
    varint::put(out, key);
    varint::put(out, varint::wide(value.len()));
    out.extend_from_slice(value);
}

/// A name is for people: one that is too long is cut, and what could upset a terminal left out.
fn put_name(out: &mut BytesMut, key: u64, name: &str) {
    let mut clean: String = name.chars().filter(|c| !c.is_control()).collect();
    clean.truncate(clean.floor_char_boundary(NAME_MAX));
    put_value(out, key, clean.as_bytes());
}

fn range(value: &[u8]) -> Result<(u64, u64), Reason> {
    let mut cursor = Cursor::new(value);
    let (min, max) = (cursor.number()?, cursor.number()?);
    cursor.finish()?;
    if min <= max { Ok((min, max)) } else { Err(Reason::BadFrame) }
}

fn number(value: &[u8]) -> Result<usize, Reason> {
    let mut cursor = Cursor::new(value);
    let number = cursor.number()?;
    cursor.finish()?;
    Ok(varint::narrow(number))
}

fn name(value: &[u8]) -> Result<String, Reason> {
    let text = core::str::from_utf8(value).map_err(|_| Reason::BadFrame)?;
    if value.len() > NAME_MAX || text.chars().any(char::is_control) {
        return Err(Reason::BadFrame);
    }
    Ok(String::from(text))
}
