//! How the entries of a page are written: each without what it shares with the one before.
//!
//! A node that joins a cluster of a million endpoints reads as many entries, so each byte of one
//! is a megabyte. What is common takes none: a weight of 1 is not written, and the end of a name
//! is a bit of its last byte, which is ASCII.

use super::directory::Op;
use super::fields;
use super::wire::Malformed;
use crate::varint::Cursor;
use alloc::vec::Vec;
use bytes::{BufMut as _, BytesMut};

/// Appends endpoints, which are in rising order.
pub(super) fn put(out: &mut BytesMut, entries: &[Op]) {
    let mut before: &[u8] = &[];
    for entry in entries {
        let name = entry.endpoint.as_str().as_bytes();
        let same = before.iter().zip(name).take_while(|(one, other)| one == other).count();
        // Names are longer than what they share with a lower one, and have 128 bytes at most.
        let shared = u8::try_from(same).unwrap_or(MARK - 1).min(MARK - 1);
        if entry.weight == USUAL {
            out.put_u8(shared);
        } else {
            out.put_u8(shared | MARK);
            out.put_u8(entry.weight);
        }
        if let Some((last, rest)) = name.get(usize::from(shared)..).and_then(<[u8]>::split_last) {
            out.extend_from_slice(rest);
            out.put_u8(last | MARK);
        }
        before = name;
    }
}

/// Reads endpoints up to the end of the payload. They rise, and share as much as they can.
pub(super) fn read(from: &mut Cursor<'_>) -> Result<Vec<Op>, Malformed> {
    let mut entries: Vec<Op> = Vec::new();
    let mut name = Vec::new();
    let mut rest = Vec::new();
    while !from.is_empty() {
        let mark = from.byte()?;
        let shared = usize::from(mark & !MARK);
        let weight = if mark & MARK == 0 { USUAL } else { from.byte()? };
        if mark & MARK != 0 && weight == USUAL {
            return Err(Malformed);
        }
        rest.clear();
        while rest.last().is_none_or(|byte| byte & MARK == 0) {
            // Longer ones are no names, and are not gathered first.
            if rest.len() > usize::from(MARK) {
                return Err(Malformed);
            }
            rest.push(from.byte()?);
        }
        if let Some(last) = rest.last_mut() {
            *last &= !MARK;
        }
        let (next, before) = (rest.first(), name.get(shared));
        // What comes next is above what was there, or there was nothing: so the name is above
        // the one before, and they share no more.
        if shared > name.len() || next <= before {
            return Err(Malformed);
        }
        name.truncate(shared);
        name.extend_from_slice(&rest);
        entries.push(Op { weight, endpoint: fields::endpoint(&name)? });
    }
    Ok(entries)
}

/// The highest bit of a byte: of what is shared, that a weight follows; of a name, that it ends.
const MARK: u8 = 0x80;
/// The weight that is not written.
const USUAL: u8 = 1;
