//! How the system of a host finds out that a silent peer is gone (TCP keep-alive), on connections
//! that nodes and balancers have accepted: Pico's listeners ask for it, and nobody else does.

use super::link::{Flow, Link};
use super::{Happening, Net, Socket};
use crate::case::{Role, Way};
use crate::kernel::world::Event;
use core::time::Duration;
use pico_core::Instant;

impl Net {
    /// Whether connections that a host of this role accepts are looked after.
    pub(super) const fn asks(role: Role) -> bool {
        match role {
            Role::Node | Role::Balancer => true,
            Role::Agent | Role::Service | Role::Client | Role::Operator => false,
        }
    }

    /// Looks whether a peer has been silent for so long that it is asked whether it is there, as
    /// it was already `asked` times in a row.
    pub(in crate::kernel) fn look_after(
        &mut self,
        now: Instant,
        (socket, asked): (Socket, u32),
        events: Happening<'_>,
    ) {
        let Some(link) = self.links.get_mut(socket.link) else { return };
        let far = link.end(socket.way.other()).process;
        let (end, far_end) = (link.end(socket.way), link.end(socket.way.other()));
        let there = self.hosts[far.0].on;
        let open = far_end.open && far_end.broken.is_none();
        // What was sent and never acknowledged is sent again instead, until that is given up.
        if !end.open || end.broken.is_some() || link.flow(socket.way).doomed {
            return;
        }
        let due = link.heard(socket.way) + SILENCE;
        let waits = !link.flow(socket.way).flights.is_empty();
        if waits || due > now {
            let at = if due > now { due } else { now + SILENCE };
            return events.add(at, Event::LookAfter(socket, 0));
        }
        if asked == QUESTIONS {
            return self.give_up(now, socket, events);
        }
        let mut lots = link.questions.apart();
        let (asks, answers) = link.both_ways(socket.way);
        let quiet = asks.silent || answers.silent;
        let ways = [asks.path, answers.path];
        let mut lost = |path| self.paths.losses(path, now, 1, &mut false, &mut lots) > 0;
        if !there || quiet || ways.into_iter().any(&mut lost) {
            events.add(now + AGAIN, Event::LookAfter(socket, asked + 1));
        } else if open {
            answers.be_heard(now);
            events.add(now + SILENCE, Event::LookAfter(socket, 0));
        } else {
            self.reset(now, Socket { way: socket.way.other(), ..socket }, 0, events);
        }
    }

    /// Begins to look after a stream that was just accepted.
    pub(super) fn begin_to_look_after(&self, now: Instant, socket: Socket, events: Happening<'_>) {
        let accepts = self.links.get(socket.link).map(|link| link.end(Way::Down).process);
        if accepts.is_some_and(|process| self.hosts[process.0].asks) {
            let socket = Socket { way: Way::Down, ..socket };
            events.add(now + SILENCE, Event::LookAfter(socket, 0));
        }
    }
}

impl Link {
    /// When the end that writes in this direction heard from the other one last.
    const fn heard(&self, way: Way) -> Instant {
        self.flow(way.other()).heard
    }
}

impl Flow {
    /// Something of the writer reaches the reader then.
    pub(super) fn be_heard(&mut self, at: Instant) {
        if !self.silent {
            self.heard = at.max(self.heard);
        }
    }
}

/// For so long a connection is silent before the system asks, and so often it asks again: what
/// `core/shell` tells it for every listener.
const SILENCE: Duration = Duration::from_mins(1);
const AGAIN: Duration = Duration::from_secs(10);
/// After so many questions without an answer the connection is lost, as Linux has it by default.
const QUESTIONS: u32 = 9;
