//! What can be seen of a world.

use super::World;
use crate::kernel::net::Net;
use crate::kernel::seat::Seat;
use crate::kernel::trace::Trace;
use crate::kernel::{ProcessId, SeatId};
use pico_core::Instant;
use pico_core::host::Host;
use pico_core::id::ConnId;
use pico_core::note::Note;

impl World {
    /// What time it is in the world.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The machine at `seat`, which must be an `H`. It is there even after its process ended.
    pub fn host<H: Host + 'static>(&self, seat: SeatId) -> &H {
        let seat = self.seats[seat.0].seat.any().downcast_ref::<Seat<H>>();
        &seat.expect("the machine is of the type it was seated as").host
    }

    /// Connections that the driver of `seat` holds, or held when its machine was done.
    pub fn connections(&self, seat: SeatId) -> usize {
        self.seats[seat.0].seat.connections()
    }

    /// The connections that the driver of `seat` holds.
    pub fn conns(&self, seat: SeatId) -> Vec<ConnId> {
        self.seats[seat.0].seat.conns()
    }

    /// The most bytes that wait before any one socket of the machine at `seat`.
    pub fn waiting_max(&self, seat: SeatId) -> usize {
        self.seats[seat.0].seat.waiting_max()
    }

    /// Whether the machine at `seat` said that it is done, or its process ended.
    pub fn is_done(&self, seat: SeatId) -> bool {
        self.seats[seat.0].seat.is_done()
    }

    /// Whether a process runs: it has not crashed, nor lost its power.
    pub fn is_running(&self, process: ProcessId) -> bool {
        self.processes[process.0].running
    }

    /// Whether a process gets no processor now.
    pub fn is_paused(&self, process: ProcessId) -> bool {
        self.processes[process.0].cpu.awake(self.now) > self.now
    }

    /// What a process takes for the time.
    pub fn local(&self, process: ProcessId) -> Instant {
        self.processes[process.0].clock.local(self.now)
    }

    /// What the hosts told people.
    pub fn notes(&self) -> &[(Instant, SeatId, Note)] {
        &self.out.notes
    }

    /// What happened so far.
    pub const fn trace(&self) -> &Trace {
        &self.out.trace
    }

    /// The net.
    pub const fn net(&self) -> &Net {
        &self.out.net
    }

    /// How many events there were.
    pub const fn events(&self) -> u64 {
        self.handled
    }
}
