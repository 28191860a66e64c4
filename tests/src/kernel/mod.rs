//! The simulator's kernel: a world in one thread, driven by one seed.
//!
//! A [`World`] holds hosts (whatever implements [`pico_core::host::Host`], driven by
//! [`pico_core::settle`] exactly as a real driver does), the [`Net`] between them, and one heap
//! of events ordered by time and sequence. A process has a clock that drifts and a processor that
//! takes its time. Everything random is drawn from seeds forked by name; what goes wrong is in
//! the [`Case`](crate::case::Case), and a running hash over all inputs and actions tells whether
//! two runs were the same.
//!
//! What the kernel carries out by itself are the faults of clocks, processors, names and the net.
//! Those of whole processes (crash, loss of power, stop) are for whoever directs the run, by
//! [`World::crash`], [`World::power_off`] and [`World::revive`]: they alone know how to seat
//! fresh machines.

mod clock;
mod cpu;
mod events;
mod faults;
mod hands;
mod lots;
mod net;
mod sealed;
mod seat;
mod slab;
mod trace;
mod walk;
mod world;

pub use net::{Counts, Net, Overheard};
pub use trace::{Entry, Step, Trace};
pub use world::{Place, World};

/// One machine of the world, in the order in which they were seated.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SeatId(pub usize);

/// One process of the world: machines that can send each other letters, on one address. It keeps
/// its number when it ends and is started again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProcessId(pub usize);
