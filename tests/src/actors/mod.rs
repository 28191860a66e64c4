//! Scripted hosts: the clients and the services between which Pico stands.
//!
//! They write and check every byte themselves, with a codec of their own, so that an error of
//! Pico's cannot hide behind the same error in its tests.

mod body;
mod client;
mod plan;
mod service;
pub mod wire;

pub use client::{Client, Outcome, Record, Workload};
pub use plan::{Flaw, Plan};
pub use service::{Arrival, Service};
