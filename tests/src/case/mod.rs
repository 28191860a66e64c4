//! A case: everything that a run is made from, as data that can be edited, saved and shrunk.
//!
//! A [`Case`] and the code determine a run to the last nanosecond. [`Case::swarm`] draws one from
//! a seed; a file holds one as YAML; `shrink` makes a smaller one that breaks the same invariant.

mod fault;
mod file;
mod link;
mod load;
mod shape;
mod span;
mod swarm;

pub use fault::{Answer, Fault, Intrusion, Traffic, Way};
pub use file::CaseError;
pub use link::{Chance, Link};
pub use load::{Kind, Load};
pub use shape::{Join, Member, Role, Shape};
pub use span::Span;
pub use swarm::Swarm;

use serde::{Deserialize, Serialize};

/// What a run is made from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Case {
    /// From which everything random is drawn that the rest of the case leaves open.
    pub seed: u64,
    /// Who takes part.
    pub shape: Shape,
    /// What links between hosts are like while no fault says otherwise.
    pub link: Link,
    /// What clients ask for.
    pub load: Load,
    /// When clients begin. Agents have until then to register.
    pub warm_up: Span,
    /// When all that went wrong is over: faults that last end, and who is to come back is back.
    /// From here on liveness is judged too.
    pub heal: Span,
    /// How long clients may go on after that before it is held against the cluster.
    pub patience: Span,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            seed: 0,
            shape: Shape::default(),
            link: Link::default(),
            load: Load::default(),
            warm_up: Span::secs(1),
            heal: Span::secs(60),
            patience: Span::secs(300),
            faults: Vec::new(),
        }
    }
}
