//! Deliberate faults in the core, and what finds each: evidence that the tests would notice.
//!
//! `tests/mutants.yaml` is the list. The binary `mutants` applies them one at a time to a copy of
//! the tree and expects what is named there to fail; a test holds the list to the tree.

mod judge;
mod killer;
mod list;
mod tree;

pub use judge::{Judged, Judges, Verdict};
pub use killer::Limits;
pub use list::{Killers, ListError, Mutant, Seeds, Tests, flaws, load, root};
pub use tree::Tree;
