//! How nodes find each other, and know who serves which endpoint.
//!
//! Two planes: *membership* says which nodes there are and whether they live; the *directory*
//! says which endpoints each of them serves. `spec/gossip.md` has what they say on the wire.

pub mod directory;
