//! Every decision Pico makes, as pure state machines.
#![no_std]
#![warn(
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core
)]

extern crate alloc;

pub mod agent;
pub mod head;
pub mod host;
pub mod http1;
pub mod id;
pub mod limits;
pub mod machine;
pub mod note;
pub mod outbox;
pub mod reason;
pub mod routing;
pub mod rpc;
pub mod seed;
pub mod server;
pub mod time;
pub mod timers;
pub mod tunnel;
pub mod ws;

pub use limits::Limits;
pub use machine::{Machine, Turn, settle};
pub use outbox::Outbox;
pub use reason::Reason;
pub use seed::{Dice, Seed};
pub use time::{Instant, Monotonic};
pub use timers::{Agenda, Timers};
