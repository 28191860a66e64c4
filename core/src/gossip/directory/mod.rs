//! Which endpoints each node serves.
//!
//! Each fact has one writer: the node that holds the upstreams. It numbers its changes from 1 on,
//! and a replica takes a change only if it is the next one. So a replica is always a prefix of its
//! writer's log, and the difference between two replicas is one number.

mod replica;
