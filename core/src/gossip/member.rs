//! What is said of a member, and which of two sayings holds.

use super::Malformed;
use crate::id::Boot;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

/// A node's name: 1 to 64 unreserved characters (RFC 3986, section 2.3), chosen by its operator.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// The name in `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let unreserved = |b: &u8| b.is_ascii_alphanumeric() || b"-._~".contains(b);
        if bytes.is_empty() || bytes.len() > ID_MAX || !bytes.iter().all(unreserved) {
            return Err(Malformed);
        }
        let text = core::str::from_utf8(bytes).map_err(|_| Malformed)?;
        Ok(Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Display for NodeId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a member is, in rising severity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum State {
    /// It lives, as it says.
    Alive,
    /// It drains, as it says.
    Leaving,
    /// Somebody could not reach it.
    Suspect,
    /// Nobody could for long enough.
    Dead,
    /// It is gone, as it said.
    Left,
}

impl State {
    /// Every state, by its number on the wire.
    pub const ALL: [Self; 5] = [Self::Alive, Self::Leaving, Self::Suspect, Self::Dead, Self::Left];

    /// Its number on the wire.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Alive => 0,
            Self::Leaving => 1,
            Self::Suspect => 2,
            Self::Dead => 3,
            Self::Left => 4,
        }
    }

    /// Whether it takes part: what it serves counts, and it is probed.
    pub const fn is_live(self) -> bool {
        match self {
            Self::Alive | Self::Leaving | Self::Suspect => true,
            Self::Dead | Self::Left => false,
        }
    }
}

/// What is said of one member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Which run of the node.
    pub boot: Boot,
    /// When it booted, in milliseconds since 1970 by its own clock.
    pub generation: u64,
    /// Raised by the member alone, to contradict what others say.
    pub incarnation: u64,
    /// How it is.
    pub state: State,
    /// Its gossip port, as others reach it.
    pub addr: SocketAddr,
    /// The lowest and the highest version of the protocol that it speaks.
    pub versions: (u8, u8),
    /// The node's name.
    pub id: NodeId,
    /// Small things that it says of itself, by key.
    pub notes: Vec<(u8, Arc<str>)>,
}

/// What decides between two sayings about nodes of one name: the higher holds.
pub type Rank = (u64, Boot, u64, State);

impl Member {
    /// What decides between this and another saying about a node of the same name.
    pub fn rank(&self) -> Rank {
        (self.generation, self.boot, self.incarnation, self.state)
    }
}

/// Bytes of a node's name.
pub(super) const ID_MAX: usize = 64;
/// Notes of one member.
pub(super) const NOTES_MAX: usize = 8;
/// Bytes of one note.
pub(super) const NOTE_BYTES_MAX: usize = 64;
/// The note that holds the version of the program.
pub const NOTE_PROGRAM: u8 = 1;
