//! How inputs and actions enter the running hash: value by value, and never by way of text where
//! it would cost.

use crate::hash::Hash;
use crate::sometimes;
use core::any::Any;
use core::fmt::Debug;
use core::hash::Hasher;
use core::net::{IpAddr, SocketAddr};
use pico_core::host::{Action, Input};
use pico_core::rpc::Word;
use pico_core::server::Letter;

/// Feeds what a derived [`core::hash::Hash`] walks over into the hash, each number in 64 bits so
/// that the width of a `usize` does not matter.
struct Walk<'a>(&'a mut Hash);

impl Hasher for Walk<'_> {
    fn finish(&self) -> u64 {
        self.0.sum()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.bytes(bytes);
    }

    fn write_u8(&mut self, number: u8) {
        self.0.number(number.into());
    }

    fn write_u16(&mut self, number: u16) {
        self.0.number(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.0.number(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.0.number(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.0.number(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.0.number(number.unsigned_abs() as u64);
    }
}

/// Adds an input.
pub(super) fn input<L: Debug + 'static>(hash: &mut Hash, input: &Input<L>) {
    match input {
        Input::Accepted { conn, port, peer } => {
            add(hash, 1, (conn, port));
            address(hash, peer);
        }
        Input::Connected { conn, peer } => {
            add(hash, 2, conn);
            address(hash, peer);
        }
        Input::Unreachable { conn, fault } => add(hash, 3, (conn, fault)),
        Input::Received { conn, bytes } => {
            add(hash, 4, conn);
            hash.bytes(bytes);
        }
        Input::Eof { conn } => add(hash, 5, conn),
        Input::Sent { conn, count } => add(hash, 6, (conn, count)),
        Input::Lost { conn, fault } => add(hash, 7, (conn, fault)),
        Input::Unlistened(port) => add(hash, 8, port),
        Input::Resolved { ask, result } => {
            add(hash, 9, ask);
            match result {
                Ok(addresses) => addresses.iter().for_each(|found| address(hash, found)),
                Err(fault) => add(hash, 0, fault),
            }
        }
        Input::Datagram { from, bytes } => {
            hash.number(11);
            address(hash, from);
            hash.bytes(bytes);
        }
        Input::Wall(wall) => {
            hash.number(12);
            hash.number(wall.as_unix());
        }
        Input::Letter(written) => {
            hash.number(10);
            letter(hash, written);
        }
    }
}

/// Adds an action.
pub(super) fn action<L: Debug + 'static>(hash: &mut Hash, action: &Action<L>) {
    match action {
        Action::Dial { conn, to, .. } => {
            add(hash, 21, conn);
            address(hash, to);
        }
        Action::Resolve { ask, host, port } => {
            add(hash, 22, (ask, port));
            hash.bytes(host.as_bytes());
        }
        Action::Write(conn) => add(hash, 23, conn),
        Action::Read(conn) => add(hash, 24, conn),
        Action::Finish(conn) => add(hash, 25, conn),
        Action::Close(conn) => add(hash, 26, conn),
        Action::Unlisten(port) => add(hash, 27, port),
        Action::Datagram { to, bytes } => {
            hash.number(31);
            address(hash, to);
            hash.bytes(bytes);
        }
        Action::Letter { to, letter: written } => {
            add(hash, 28, to);
            letter(hash, written);
        }
        Action::Note(note) => {
            hash.number(29);
            hash.shown(note);
        }
        Action::Done => hash.number(30),
    }
}

/// A letter is hashed as it shows itself, but for those that are long and many.
fn letter<L: Debug + 'static>(hash: &mut Hash, letter: &L) {
    match (letter as &dyn Any).downcast_ref::<Letter>() {
        Some(Letter::Ask { to, call, word: Word::Data { bytes, end } }) => {
            add(hash, 41, (to, call.worker, call.conn, call.serial, end));
            hash.bytes(bytes);
        }
        Some(Letter::Answer { call, word: Word::Data { bytes, end } }) => {
            add(hash, 42, (call.worker, call.conn, call.serial, end));
            hash.bytes(bytes);
        }
        Some(Letter::Routes(routes)) => add(hash, 43, routes.len()),
        Some(Letter::Answer { word: Word::Reset(reset), .. }) => {
            sometimes!(NotStarted if !reset.started);
            hash.shown(letter);
        }
        Some(Letter::Ask { word: Word::Request { .. }, .. }) => {
            sometimes!(AcrossWorkers);
            hash.shown(letter);
        }
        Some(_) | None => hash.shown(letter),
    }
}

fn add(hash: &mut Hash, kind: u64, value: impl core::hash::Hash) {
    hash.number(kind);
    value.hash(&mut Walk(hash));
}

fn address(hash: &mut Hash, address: &SocketAddr) {
    hash.number(address.port().into());
    match address.ip() {
        IpAddr::V4(ip) => hash.number(u32::from(ip).into()),
        IpAddr::V6(ip) => hash.bytes(&ip.octets()),
    }
}
