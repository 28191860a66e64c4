//! Where hosts listen: who waits there, and who lets them in.

use super::{Key, Net, SeatId, Socket};
use crate::draw::Draw as _;
use crate::kernel::ProcessId;
use crate::kernel::world::Event;
use core::net::SocketAddr;
use pico_core::Instant;
use pico_core::host::Port;
use pico_core::id::ConnId;

/// A listening socket, which several machines of a process may share.
#[derive(Debug)]
pub(in crate::kernel) struct Door {
    pub(super) process: ProcessId,
    port: Port,
    seats: Vec<SeatId>,
    /// Who has dialled and was not yet accepted.
    pub(super) waiting: usize,
}

/// Somebody who waits to be accepted.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel) struct Caller {
    pub(in crate::kernel) socket: Socket,
    pub(in crate::kernel) peer: SocketAddr,
    pub(in crate::kernel) port: Port,
    /// The turn that dialled.
    pub(in crate::kernel) cause: u64,
}

impl Net {
    /// Lets `seats` of a process accept what is dialled at `addr`.
    pub(in crate::kernel) fn listen(
        &mut self,
        process: ProcessId,
        addr: SocketAddr,
        port: Port,
        seats: Vec<SeatId>,
    ) {
        self.doors.insert(addr, Door { process, port, seats, waiting: 0 });
    }

    /// One seat listens no longer on any door of this port; without a port, on none.
    pub(in crate::kernel) fn unlisten(&mut self, seat: SeatId, port: Option<Port>) {
        self.doors.retain(|_, door| {
            if port.is_none_or(|port| door.port == port) {
                door.seats.retain(|other| *other != seat);
            }
            !door.seats.is_empty()
        });
    }

    /// A handshake is complete: gives the caller to one of those who accept.
    pub(super) fn enqueue(&mut self, link: Key) -> Option<(SeatId, Caller)> {
        let found = self.links.get_mut(link)?;
        let door = self.doors.get(&found.to)?;
        let seat = *found.up.lots.pick(&door.seats);
        let socket = Socket { link, way: crate::case::Way::Down };
        Some((seat, Caller { socket, peer: found.peer, port: door.port, cause: found.cause }))
    }

    /// Somebody is let in.
    pub(in crate::kernel) fn accept(&mut self, socket: Socket, owner: (SeatId, ConnId)) {
        self.leave_queue(socket.link);
        let Some(link) = self.links.get_mut(socket.link) else { return };
        link.end_mut(socket.way).owner = Some(owner);
        if let Some(dialler) = link.end(socket.way.other()).owner {
            self.met.extend([(dialler, owner), (owner, dialler)]);
        }
        if link.is_hit() {
            self.hit.insert(owner);
        }
    }

    /// Frees the place in the queue that a stream takes, if it does.
    pub(super) fn leave_queue(&mut self, link: Key) {
        if let Some(link) = self.links.get_mut(link)
            && std::mem::take(&mut link.queued)
            && let Some(door) = self.doors.get_mut(&link.to)
        {
            door.waiting = door.waiting.saturating_sub(1);
        }
    }

    /// Turns away somebody for whom nobody is left.
    pub(in crate::kernel) fn turn_away(
        &mut self,
        now: Instant,
        socket: Socket,
        cause: u64,
        events: &mut crate::kernel::events::Events<Event>,
    ) {
        self.abort(now, socket, cause, events);
        self.shut(socket);
    }
}

/// How many may wait at one door; whoever comes then is not heard, and tries again.
pub(super) const BACKLOG: usize = 128;
