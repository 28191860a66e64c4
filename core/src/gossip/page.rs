//! How the entries of a page are written: each without what it shares with the one before.

use super::directory::Op;
use super::fields;
use super::wire::Malformed;
use crate::varint::{self, Cursor};
use alloc::vec::Vec;
use bytes::{BufMut as _, BytesMut};

/// Appends endpoints, which are in rising order.
pub(super) fn put(out: &mut BytesMut, entries: &[Op]) {
    let mut before: &[u8] = &[];
    for entry in entries {
        let name = entry.endpoint.as_str().as_bytes();
        let same = before.iter().zip(name).take_while(|(one, other)| one == other).count();
        let shared = u8::try_from(same).unwrap_or(u8::MAX);
        let rest = name.get(usize::from(shared)..).unwrap_or_default();
        out.put_u8(entry.weight);
        out.put_u8(shared);
        varint::put(out, varint::wide(rest.len()));
        out.extend_from_slice(rest);
        before = name;
    }
}

/// Reads endpoints up to the end of the payload. They rise, and share as much as they can.
pub(super) fn read(from: &mut Cursor<'_>) -> Result<Vec<Op>, Malformed> {
    let mut entries: Vec<Op> = Vec::new();
    let mut name = Vec::new();
    while !from.is_empty() {
        let (weight, shared) = (from.byte()?, usize::from(from.byte()?));
        let rest = from.text()?;
        let (next, before) = (rest.first(), name.get(shared));
        // What comes next is above what was there, or there was nothing: so the name is above
        // the one before, and they share no more.
        if shared > name.len() || next <= before {
            return Err(Malformed);
        }
        name.truncate(shared);
        name.extend_from_slice(rest);
        entries.push(Op { weight, endpoint: fields::endpoint(&name)? });
    }
    Ok(entries)
}
