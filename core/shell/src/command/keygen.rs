//! `pico keygen`: a new key for a cluster.

use super::Failure;
use crate::log;
use pico_core::gossip::Key;
use std::io;

/// Prints a key.
pub(super) fn run() -> Result<(), Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    log::say(&Key::new(bytes).reveal())?;
    Ok(())
}
