//! Everything around the machines that no runtime needs to know.

mod hands;
mod link;
mod mail;
mod ready;

pub mod clock;
pub mod demo;
pub mod driver;
pub mod listen;
pub mod platform;

pub use clock::Clock;
pub use driver::{Driver, Notes, Wiring};
pub use mail::Post;
pub use platform::Platform;
