//! A node: workers that carry requests, and the control plane that tells them where to.
//!
//! A [`Worker`] owns connections: clients' (proxy), agents' (upstream), operators' (admin) and
//! links to and from other nodes (gossip). A call from a client to a tunnel of the same worker is a
//! move between two of its children; to a tunnel of another worker it is a [`Letter`]; to one of
//! another node it goes by a link (`spec/link.md`). The [`Node`] learns from the workers who serves
//! which endpoint and gives every worker the same [`Routes`](crate::routing::Routes).

mod admin;
mod answer;
mod calls;
mod counts;
mod entry;
mod exchange;
mod flow;
mod forward;
mod hops;
mod letter;
mod link;
mod node;
mod porch;
mod proxy;
mod settings;
pub mod status;
mod tally;
mod upstream;
mod worker;

pub use counts::Counts;
pub use letter::{CallId, Letter, Sought};
pub use node::{Membership, Node};
pub use settings::{Rebalance, Settings};
pub use tally::{
    ByReason, Calls, Histogram, LinkState, LinkTally, PortTally, Ports, Relayed, Requests,
    Statuses, Tally, Tunnels,
};
pub use worker::Worker;
