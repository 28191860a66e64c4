//! The simulated platform on which Pico's machines are tested: the law checker, the simulator
//! and its actors, and what the tests of the real binaries share.

pub mod actors;
pub mod bench;
pub mod case;
pub mod chain;
pub mod check;
pub mod choices;
pub mod command;
pub mod draw;
pub mod e2e;
pub mod exhaust;
pub mod explain;
pub mod fuzz;
pub mod gossip;
pub mod hash;
pub mod kernel;
pub mod laws;
pub mod model;
pub mod mutants;
pub mod record;
pub mod report;
pub mod run;
pub mod scenario;
pub mod scrape;
pub mod shrink;
pub mod sometimes;
pub mod table;

mod runtimes;
