//! Scripted hosts: the clients and the services between which Pico stands, and what stands
//! before it.
//!
//! They write and check every byte themselves, with a codec of their own, so that an error of
//! Pico's cannot hide behind the same error in its tests.
//!
//! Whoever means a good end sends FIN (`Action::Finish`) and
//! closes when the peer's has come, or after a moment; whoever means a cut just closes.

mod balancer;
mod body;
mod client;
mod exchange;
mod heads;
mod operator;
mod pace;
mod plan;
mod record;
mod service;
pub mod wire;
mod workload;

pub use balancer::{Backend, Balancer, Passage};
pub use client::{Client, GIVE_UP};
pub use operator::{Answer, Operator, Question};
pub use pace::Pace;
pub use plan::{Abort, Body, Parting, Plan};
pub use record::{Arrival, End, Outcome, Record, Served, Stray, Watch};
pub use service::{Defect, Service};
pub use workload::{Orders, Target, Workload};

use pico_core::Outbox;
use pico_core::host::Action;
use pico_core::id::ConnId;
use std::collections::VecDeque;

/// Closes a connection whatever waits in its outbox. If anything does, a FIN that was asked for but
/// not sent yet is taken back: what is lost must not look complete.
fn close(conn: ConnId, outbox: &Outbox, actions: &mut VecDeque<Action<()>>) {
    if !outbox.is_empty() {
        actions.retain(|action| !matches!(action, Action::Finish(other) if *other == conn));
    }
    actions.push_back(Action::Close(conn));
}
