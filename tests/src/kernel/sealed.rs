//! Connections under keys: the wires of the shell between a machine and a simulated socket.

use super::hands::{Hands, READ_MAX};
use super::net::Read;
use super::seat::Origin;
use core::fmt::Debug;
use pico_core::host::{Fault, Host, Input};
use pico_core::id::ConnId;
use pico_core::note::{Distrust, Note};
use pico_shell::wire::{Heard, Wire};

/// How far a wire could send what it had sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flushed {
    All,
    /// The socket takes no more now.
    Some,
    Broken,
}

impl<L: Debug + 'static> Hands<'_, L> {
    /// Lets go of those whose handshakes take too long.
    pub(super) fn part_with_the_late(&mut self) {
        while let Some(conn) = self.desk.trust.late(self.now) {
            self.distrust(conn, Some(Distrust::Late));
            self.close(conn);
        }
    }

    /// Tells people, now and then, who is not trusted, if anybody.
    pub(super) fn distrust(&mut self, conn: ConnId, why: Option<Distrust>) {
        let Some(held) = self.desk.conns.get_mut(conn) else { return };
        let Wire::Noise(noise) = &mut held.wire else { return };
        let Some(why) = why.or_else(|| noise.cut()) else { return };
        let (Origin::Dialled(peer) | Origin::Accepted(_, peer)) = held.origin;
        if let Some(suppressed) = self.desk.trust.tell(self.now) {
            let note = Note::Untrusted { peer, why, suppressed };
            self.out.notes.push((self.now, self.desk.id, note));
        }
    }

    /// Reads on a wire that is sealed.
    pub(super) fn listen(
        &mut self,
        host: &impl Host<Letter = L>,
        conn: ConnId,
    ) -> Option<(Input<L>, u64)> {
        let mut opened = false;
        loop {
            let held = self.desk.conns.get_mut(conn)?;
            let (socket, cause) = (held.socket()?, held.cause);
            let open = held.wire.is_open();
            let room = if open { host.room(conn) } else { READ_MAX };
            if held.ended || room == 0 {
                let fault = held.cut?;
                return self.lost(conn, socket, fault, 0);
            }
            let Wire::Noise(noise) = &mut held.wire else { return None };
            match noise.poll() {
                Ok(Some(Heard::Open)) => match held.origin {
                    Origin::Dialled(_) => {
                        opened = true;
                        continue;
                    }
                    Origin::Accepted(port, peer) => {
                        held.known = true;
                        self.desk.trust.forget(conn);
                        return Some((Input::Accepted { conn, port, peer }, cause));
                    }
                },
                Ok(Some(Heard::Bytes(bytes))) => {
                    self.bytes += bytes.len() as u64;
                    return Some((Input::Received { conn, bytes }, cause));
                }
                Ok(Some(Heard::End)) => {
                    held.ended = true;
                    return Some((Input::Eof { conn }, cause));
                }
                Ok(None) => {}
                Err(_) => return self.lost(conn, socket, Fault::Reset, cause),
            }
            // What a handshake wants said. If that breaks, reading tells.
            self.flush(conn);
            match self.out.net.read(self.now, socket, READ_MAX, &mut self.out.events) {
                Read::Bytes(bytes, cause) => {
                    let held = self.desk.conns.get_mut(conn)?;
                    held.cause = cause;
                    if let Wire::Noise(noise) = &mut held.wire {
                        noise.hear(bytes);
                    }
                }
                // What the machine has said since it was told can go.
                Read::Later if opened => return self.write_sealed(host, conn),
                Read::Later => return None,
                // A FIN that was not announced under the keys.
                Read::Eof(cause) => return self.lost(conn, socket, Fault::Reset, cause),
                Read::Lost(fault, cause) => return self.lost(conn, socket, fault, cause),
            }
        }
    }

    /// Writes on a wire that is sealed.
    pub(super) fn write_sealed(
        &mut self,
        host: &impl Host<Letter = L>,
        conn: ConnId,
    ) -> Option<(Input<L>, u64)> {
        match self.flush(conn) {
            Flushed::All => {}
            Flushed::Some => return None,
            Flushed::Broken => return self.read(host, conn),
        }
        let held = self.desk.conns.get_mut(conn)?;
        let Some(outbox) = host.outbox(conn).filter(|outbox| !outbox.is_empty()) else {
            held.writing = false;
            self.finish(conn);
            return None;
        };
        if !held.writing || held.cut.is_some() {
            return None;
        }
        let Wire::Noise(noise) = &mut held.wire else { return None };
        let count = noise.seal(outbox);
        if self.flush(conn) == Flushed::Broken {
            return self.read(host, conn);
        }
        self.bytes += count as u64;
        (count > 0).then_some((Input::Sent { conn, count }, self.turn))
    }

    /// Sends what is sealed, as far as the socket takes it.
    pub(super) fn flush(&mut self, conn: ConnId) -> Flushed {
        loop {
            let Some(held) = self.desk.conns.get_mut(conn) else { return Flushed::All };
            let Some(socket) = held.socket() else { return Flushed::Some };
            let Wire::Noise(noise) = &mut held.wire else { return Flushed::All };
            if noise.outbox().is_empty() {
                return Flushed::All;
            }
            if held.cut.is_some() {
                return Flushed::Some;
            }
            let (out, turn) = (&mut *self.out, self.turn);
            match out.net.write(self.now, socket, noise.outbox(), turn, &mut out.events) {
                Ok(0) => return Flushed::Some,
                Ok(count) => noise.sent(count),
                // What came before the reset is read first.
                Err(fault) => {
                    held.cut = Some(fault);
                    return Flushed::Broken;
                }
            }
        }
    }
}
