//! What clients ask for.

use super::Span;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The requests of all clients together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Load {
    /// How many requests are made while things go wrong.
    pub requests: u64,
    /// How many more are made once everything has healed and had the time to recover.
    pub late: u64,
    /// Only these of them, by number, if any are named: `shrink` leaves the others out.
    pub only: BTreeSet<u64>,
    /// The pause between the beginnings of two requests of one client, whether or not answers
    /// come (open loop). At 0 each connection makes its next request when the last one is
    /// answered.
    pub every: Span,
    /// Bytes of the largest body.
    pub body_bytes: usize,
    /// What some requests may be like, beside plain ones.
    pub kinds: BTreeSet<Kind>,
}

/// Something that a part of the requests do, or that is done to them at their ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The client closes its connection before all is over.
    ClientAborts,
    /// The client waits between pieces that it writes.
    SlowWriter,
    /// The client waits between pieces that it reads.
    SlowReader,
    /// The client sends the next requests before the answer to the first.
    Pipelined,
    /// The client sends FIN behind its request and waits for the answer.
    HalfClose,
    /// The client expects `100 Continue` before it sends its body.
    Expects,
    /// The request becomes a tunnel in which both sides talk, and each ends its side in its time.
    Upgrade,
    /// The response is a stream of events with pauses of seconds.
    Events,
    /// The service answers before the request has ended.
    Early,
    /// The service sends an interim response first.
    Interim,
    /// The service closes its connection in the middle of a response.
    ServiceCuts,
    /// The service closes its connection instead of answering.
    ServiceCloses,
    /// The service answers with something else than HTTP.
    ServiceBabbles,
    /// The service never answers.
    ServiceHangs,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::ClientAborts,
        Self::SlowWriter,
        Self::SlowReader,
        Self::Pipelined,
        Self::HalfClose,
        Self::Expects,
        Self::Upgrade,
        Self::Events,
        Self::Early,
        Self::Interim,
        Self::ServiceCuts,
        Self::ServiceCloses,
        Self::ServiceBabbles,
        Self::ServiceHangs,
    ];
}

impl Load {
    /// The numbers of the requests that are made: late ones, or the others.
    pub fn ids(&self, late: bool) -> impl Iterator<Item = u64> + '_ {
        let all = if late { self.requests..self.requests + self.late } else { 0..self.requests };
        all.filter(|id| self.only.is_empty() || self.only.contains(id))
    }

    /// Those that one of so many clients makes. Leaving one out does not move the others.
    pub fn share(&self, client: usize, of: usize, late: bool) -> impl Iterator<Item = u64> + '_ {
        self.ids(late).filter(move |id| *id % of as u64 == client as u64)
    }
}

impl Default for Load {
    fn default() -> Self {
        Self {
            requests: 24,
            late: 6,
            only: BTreeSet::new(),
            every: Span::default(),
            body_bytes: 200_000,
            kinds: Kind::ALL.into_iter().collect(),
        }
    }
}
