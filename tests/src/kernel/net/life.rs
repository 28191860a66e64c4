//! Hosts that end, with a word or without, and come back.

use super::{Happening, Net, Socket};
use crate::case::Way;
use crate::kernel::ProcessId;
use pico_core::Instant;

impl Net {
    /// A process has ended: nobody listens there any more, and the peers of its streams see
    /// resets.
    pub(in crate::kernel) fn crash(
        &mut self,
        now: Instant,
        process: ProcessId,
        events: Happening<'_>,
    ) {
        for socket in self.leave(process) {
            self.hit(socket.link);
            self.abort(now, socket, 0, events);
            self.shut(socket);
        }
    }

    /// A machine has lost its power: nobody hears of it.
    pub(in crate::kernel) fn power_off(&mut self, now: Instant, process: ProcessId) {
        self.hosts[process.0].on = false;
        for socket in self.leave(process) {
            self.hit(socket.link);
            if let Some(link) = self.links.get_mut(socket.link) {
                link.flow_mut(socket.way).ground(now);
                link.end_mut(socket.way).aborted = true;
            }
            self.shut(socket);
        }
    }

    /// A machine has power again.
    pub(in crate::kernel) fn power_on(&mut self, process: ProcessId) {
        self.hosts[process.0].on = true;
    }

    /// Closes its doors and takes back its dials; says which of its sockets are open.
    fn leave(&mut self, process: ProcessId) -> Vec<Socket> {
        self.cancel_all(process);
        self.unbind(process);
        let mut sockets = Vec::new();
        for (key, link) in self.links.iter() {
            for way in [Way::Up, Way::Down] {
                if link.end(way).process == process && link.end(way).open {
                    sockets.push(Socket { link: key, way });
                }
            }
        }
        self.doors.retain(|_, door| door.process != process);
        sockets
    }
}
