//! The simulated platform on which Pico's machines are tested: the law checker, the simulator
//! and its actors.

pub mod actors;
pub mod choices;
pub mod draw;
pub mod hash;
pub mod kernel;
pub mod laws;
