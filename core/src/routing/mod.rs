//! Which endpoint a request is for, who serves it, and whom of them to ask.
//!
//! The rules for users are in `spec/routing.md`.

mod choose;
mod endpoint;
mod peers;
mod routes;

pub use choose::{Failure, Loads, Tried, choose};
pub use endpoint::{EndpointId, HEADER, endpoint_of};
pub use peers::{Peer, Peers, Standing};
pub use routes::{Change, Place, Routes, Upstream};
