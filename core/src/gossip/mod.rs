//! How nodes find each other, and know who serves which endpoint.
//!
//! Two planes: *membership* says which nodes there are and whether they live (SWIM, Das et al.,
//! 2002, with Lifeguard, Dadgar et al., 2018); the *directory* says which endpoints each of them
//! serves, as one log per node. `spec/gossip.md` has what they say on the wire.
//!
//! [`Machine`] is the gossip of one node. Its files are what a node does: `hear` what others say,
//! `probe` them, `standing` (suspect and refute), `spread` what is new, `compare` what is known,
//! `replicas` and `snapshots` (catch up with a log), `join` and leave.

mod catch_up;
mod compare;
mod consult;
pub mod directory;
mod fields;
mod hear;
mod held;
mod join;
mod keys;
mod machine;
mod member;
mod members;
mod page;
mod probe;
mod replicas;
mod rumours;
mod scale;
pub mod seal;
mod settings;
mod snapshots;
mod spread;
mod standing;
mod suspicion;
mod table;
mod view;
pub mod wire;

pub use hear::{GENERATION_MAX, QUIET};
pub use held::Held;
pub use keys::{KEYS_MAX, Key, NoKey, Ring};
pub use machine::{Action, CONSULT_MAX, Counts, HEALTH_MAX, Input, Machine, Missed};
pub use member::{Member, NOTE_PROGRAM, NodeId, Rank, State};
pub use settings::{Pace, Settings};
pub use view::{Lag, View};
pub use wire::Malformed;
