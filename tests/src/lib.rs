//! The simulated platform on which the machines are tested.

pub mod e2e;
pub mod table;
