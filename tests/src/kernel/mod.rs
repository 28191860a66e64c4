//! The simulator's kernel: a world in one thread, driven by one seed.
//!
//! A [`World`] holds hosts (whatever implements [`pico_core::host::Host`], driven by
//! [`pico_core::settle`] exactly as a real driver does), the [`net`] between them, and one heap
//! of events ordered by time and sequence. Everything random is drawn from seeds forked by name;
//! what goes wrong is a list of [`Fault`]s made before the run; and a running hash over all
//! inputs and actions tells whether two runs were the same.

mod events;
mod faults;
pub mod net;
mod seat;
mod trace;
mod world;

pub use events::Events;
pub use faults::{Fault, Storm};
pub use seat::Seat;
pub use trace::Trace;
pub use world::{Place, World};

/// One machine of the world, in the order in which they were seated.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SeatId(pub usize);

/// One process of the world: machines that can send each other letters, on one address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProcessId(pub usize);
