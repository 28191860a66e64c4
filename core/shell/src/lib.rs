//! Everything around the machines that no runtime needs to know.
pub mod demo;
