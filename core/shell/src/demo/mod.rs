//! The demonstration.

pub mod client;
pub mod service;
