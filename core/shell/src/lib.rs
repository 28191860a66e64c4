//! Everything around the machines that no runtime needs to know.

mod client;
#[cfg(unix)]
mod cluster;
mod crew;
mod datagrams;
mod demo;
mod door;
mod hands;
mod link;
mod mail;
mod names;
mod ready;
mod screen;
mod srv;

pub mod admin;
pub mod balancer;
pub mod bench;
pub mod clock;
pub mod command;
pub mod config;
pub mod driver;
pub mod listen;
pub mod log;
pub mod platform;
pub mod wire;

pub use clock::Clock;
pub use command::main;
pub use driver::{Driver, Notes, Wiring};
pub use mail::Post;
pub use platform::Platform;
