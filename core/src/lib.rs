//! Every decision Pico makes, as pure state machines.
//!
//! # What sans-IO means here
//!
//! Nothing in this crate opens a socket, reads a clock, starts a thread or rolls dice of its own.
//! A [`Machine`] is *told* what happened and when, and *says* what to do. Whoever carries that
//! out is a driver: a runtime with real sockets, the simulator with invented ones, a fuzzer with
//! bytes that no peer would send. All three run the same code, which is the point.
//!
//! # The loop
//!
//! [`settle`] is the one loop. A driver supplies a [`Turn`]: inputs, one by one, and hands that
//! carry out actions.
//!
//! ```
//! use pico_core::{Instant, Machine, Turn, settle};
//! use std::collections::VecDeque;
//! use std::time::Duration;
//!
//! /// Answers each knock, and complains if nobody knocks for a minute.
//! struct Door {
//!     answers: VecDeque<&'static str>,
//!     complain: Option<Instant>,
//! }
//!
//! impl Machine for Door {
//!     type Input = ();
//!     type Action = &'static str;
//!
//!     fn handle(&mut self, now: Instant, _knock: ()) {
//!         self.answers.push_back("who is there?");
//!         self.complain = Some(now + Duration::from_secs(60));
//!     }
//!
//!     fn tick(&mut self, now: Instant) {
//!         if self.complain.take_if(|at| *at <= now).is_some() {
//!             self.answers.push_back("how quiet it is");
//!         }
//!     }
//!
//!     fn poll(&mut self) -> Option<&'static str> {
//!         self.answers.pop_front()
//!     }
//!
//!     fn deadline(&self) -> Option<Instant> {
//!         self.complain
//!     }
//! }
//!
//! /// A driver: so many knocks, and what was heard.
//! struct Visitor(u32, Vec<&'static str>);
//!
//! impl Turn<Door> for Visitor {
//!     fn next(&mut self, _door: &Door) -> Option<()> {
//!         self.0 = self.0.checked_sub(1)?;
//!         Some(())
//!     }
//!
//!     fn act(&mut self, _door: &Door, heard: &'static str) {
//!         self.1.push(heard);
//!     }
//! }
//!
//! let mut door = Door { answers: VecDeque::new(), complain: None };
//! let mut visitor = Visitor(2, Vec::new());
//! let wake = settle(&mut door, Instant::ZERO, &mut visitor).unwrap();
//! assert_eq!(visitor.1, ["who is there?", "who is there?"]);
//!
//! // Nothing else happens until the deadline, at which the driver ticks.
//! settle(&mut door, wake, &mut visitor);
//! assert_eq!(visitor.1.last(), Some(&"how quiet it is"));
//! ```
//!
//! # The laws
//!
//! One generic checker holds every machine to these, under random inputs, under the fuzzers and
//! in the simulator:
//!
//! 1. *Determinism*: same seed and inputs, same actions, bytes and deadlines.
//! 2. *Progress*: after `tick(now)` the deadline is later than `now` or none, and `poll` reaches
//!    `None` within a stated number of calls.
//! 3. *Idempotent time*: extra or early ticks change nothing; a clock that steps back is no time
//!    passing.
//! 4. *Bounds*: queued actions, outbox bytes, timers and open questions never exceed [`Limits`],
//!    whatever comes in.
//! 5. *Chunking*: cutting the same stream anywhere, and taking the outbox in any pieces, gives
//!    the same actions and bytes, where neighbouring pieces of one body count as one.
//! 6. *Finality*: `Closed` is emitted once and last; afterwards every input is ignored and there
//!    is no deadline.
//! 7. *Totality*: no input panics, documented caller errors aside.
//!
//! # The machines
//!
//! - [`http1`]: the server and the client side of an HTTP/1 connection.
//! - [`ws`]: a WebSocket connection after its handshake. [`rpc`]: calls over its messages.
//!   [`tunnel`]: the two together.
//! - [`server`]: a node, its workers and their connections. [`agent`]: what runs beside a
//!   service.
//! - [`routing`] decides without being a machine: it is a function of what it is given.
//!
//! Parents own their children, drain them inside their own step, and speak values with them.
//! Machines with sockets are [`host::Host`]s, and one driver serves them all.
#![no_std]
#![warn(
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core
)]

extern crate alloc;

pub mod agent;
pub mod gossip;
pub mod head;
pub mod host;
pub mod http1;
pub mod id;
pub mod limits;
pub mod machine;
pub mod note;
pub mod outbox;
pub mod reason;
pub mod routing;
pub mod rpc;
pub mod seed;
pub mod server;
pub mod time;
pub mod timers;
pub mod tunnel;
mod varint;
pub mod wall;
pub mod ws;

pub use limits::Limits;
pub use machine::{Machine, Turn, settle};
pub use outbox::Outbox;
pub use reason::Reason;
pub use seed::{Dice, Seed};
pub use time::{Instant, Monotonic};
pub use timers::{Agenda, Timers};
pub use wall::Wall;
