//! The fields of which messages are made, as bytes.

use super::directory::Op;
use super::member::{Member, NOTE_BYTES_MAX, NOTES_MAX, NodeId, State};
use super::wire::{Malformed, RISING_MAX};
use crate::id::Boot;
use crate::routing::EndpointId;
use crate::varint::{self, Cursor};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::{BufMut as _, BytesMut};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub(super) fn put_text(out: &mut BytesMut, text: &str) {
    varint::put(out, varint::wide(text.len()));
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn put_address(out: &mut BytesMut, addr: &SocketAddr) {
    match addr.ip() {
        IpAddr::V4(ip) => {
            out.put_u8(4);
            out.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.put_u8(6);
            out.extend_from_slice(&ip.octets());
        }
    }
    out.put_u16(addr.port());
}

pub(super) fn put_member(out: &mut BytesMut, member: &Member) {
    out.put_u64(member.boot.0);
    varint::put(out, member.generation);
    varint::put(out, member.incarnation);
    out.put_u8(member.state.byte());
    put_address(out, &member.addr);
    out.put_u8(member.versions.0);
    out.put_u8(member.versions.1);
    put_text(out, member.id.as_str());
    for (key, value) in &member.notes {
        out.put_u8(*key);
        put_text(out, value);
    }
}

pub(super) fn put_ops(out: &mut BytesMut, ops: &[Op]) {
    for op in ops {
        out.put_u8(op.weight);
        put_text(out, op.endpoint.as_str());
    }
}

pub(super) fn long(from: &mut Cursor<'_>) -> Result<u64, Malformed> {
    let mut value = 0;
    for _ in 0..8 {
        value = (value << 8) | u64::from(from.byte()?);
    }
    Ok(value)
}

pub(super) fn whoever(from: &mut Cursor<'_>) -> Result<Boot, Malformed> {
    long(from).map(Boot)
}

pub(super) fn boot(from: &mut Cursor<'_>) -> Result<Boot, Malformed> {
    let boot = whoever(from)?;
    if boot == Boot(0) { Err(Malformed) } else { Ok(boot) }
}

/// A number that its owner counts up, and that must never come to where numbers end.
pub(super) fn rising(from: &mut Cursor<'_>) -> Result<u64, Malformed> {
    let number = from.number()?;
    if number < RISING_MAX { Ok(number) } else { Err(Malformed) }
}

pub(super) fn state(from: &mut Cursor<'_>) -> Result<State, Malformed> {
    let byte = from.byte()?;
    State::ALL.into_iter().find(|state| state.byte() == byte).ok_or(Malformed)
}

pub(super) fn flag(from: &mut Cursor<'_>) -> Result<bool, Malformed> {
    match from.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed),
    }
}

pub(super) fn address(from: &mut Cursor<'_>) -> Result<SocketAddr, Malformed> {
    let ip = match from.byte()? {
        4 => IpAddr::V4(Ipv4Addr::from(octets::<4>(from)?)),
        6 => IpAddr::V6(Ipv6Addr::from(octets::<16>(from)?)),
        _ => return Err(Malformed),
    };
    let port = u16::from_be_bytes(octets::<2>(from)?);
    if ip.is_unspecified() || ip.is_multicast() || port == 0 {
        return Err(Malformed);
    }
    Ok(SocketAddr::new(ip, port))
}

pub(super) fn octets<const N: usize>(from: &mut Cursor<'_>) -> Result<[u8; N], Malformed> {
    let mut all = [0; N];
    for octet in &mut all {
        *octet = from.byte()?;
    }
    Ok(all)
}

pub(super) fn member(from: &mut Cursor<'_>) -> Result<Member, Malformed> {
    let mut member = Member {
        boot: boot(from)?,
        generation: rising(from)?,
        incarnation: rising(from)?,
        state: state(from)?,
        addr: address(from)?,
        versions: (from.byte()?, from.byte()?),
        id: NodeId::parse(from.text()?)?,
        notes: Vec::new(),
    };
    while !from.is_empty() {
        let key = from.byte()?;
        let value = core::str::from_utf8(from.text()?).map_err(|_| Malformed)?;
        if member.notes.len() == NOTES_MAX || value.len() > NOTE_BYTES_MAX {
            return Err(Malformed);
        }
        member.notes.push((key, Arc::from(String::from(value))));
    }
    Ok(member)
}

pub(super) fn ops(from: &mut Cursor<'_>) -> Result<Vec<Op>, Malformed> {
    let mut ops = Vec::new();
    while !from.is_empty() {
        let weight = from.byte()?;
        ops.push(Op { weight, endpoint: endpoint(from.text()?)? });
    }
    Ok(ops)
}

/// An endpoint's name as it is written on the wire: in lower case already.
pub(super) fn endpoint(name: &[u8]) -> Result<EndpointId, Malformed> {
    if name.iter().any(u8::is_ascii_uppercase) {
        return Err(Malformed);
    }
    EndpointId::parse(name).map_err(|_| Malformed)
}
