//! HTTP/1 connections (RFC 9112), server and client side, with an intermediary's duties.
//!
//! A machine turns a byte stream into the parts of messages and back. It holds no more of a body
//! than one read and what its outbox carries; who takes the body grants credit for it.

mod body;
pub mod client;
mod framing;
mod head;
pub mod rules;
pub mod server;
