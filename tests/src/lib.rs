//! The simulated platform on which the machines are tested.

pub mod table;
