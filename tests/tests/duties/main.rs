//! The duties of an intermediary, each shown on the whole way between a client's bytes and a
//! service's, with the bytes cut everywhere; and the tables of `spec/http.md` that name them.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod aborts;
#[path = "../agent/mod.rs"]
mod agent;
mod expect;
mod fields;
mod requests;
mod responses;
#[path = "../server/mod.rs"]
mod server;
mod table;
mod way;
