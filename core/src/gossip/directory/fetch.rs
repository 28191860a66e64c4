//! How a replica catches up that is too far behind for single ops.
//!
//! A peer does not hold its replica still, nor copy it, while somebody reads all of it. So the
//! pages are *fuzzy*: each is what its range of keys looked like at some head, and the writer
//! goes on writing between one page and the next. The ops from the first page's head `F` to the
//! highest head of any page `H` make it exact:
//!
//! - The pages cut the keys into ranges without gaps, so each key was seen once, at the head of
//!   its page `P`, with `F <= P <= H`.
//! - If no op of `F + 1 ..= H` names the key, it was the same at `P` as at `H`.
//! - If some do, the last of them says what holds at `H`, whatever the page said, because an op
//!   says what holds from now on and not what is different.
//!
//! So after the replay every key is as the writer had it at `H`: a prefix of its log, and every
//! op behind `H` may follow. Before the replay it is no prefix, which is why nobody sees it: it
//! takes the place of the old replica in one step, and only if it is not behind that one.
//!
//! Both pages and ops may come from a peer that is a replica itself, because that is a prefix of
//! the same log at all times and never goes back.

use super::Op;
use super::replica::{Gap, Page, Replica};
use super::ring::RingLimits;
use crate::routing::EndpointId;
use alloc::vec::Vec;
use thiserror::Error;

/// A snapshot of one writer under way from one peer.
///
/// Ask the peer for what [`next`](Self::next) says, tell its answer, and so on until that is
/// [`Step::Done`]; then [`finish`](Self::finish). Every answer that is taken leads further; any
/// other fails the fetch for good, and nothing was changed.
///
/// It holds a second copy of the writer's entries until then. Drop it when the writer is another
/// run than before.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// The entries so far: no prefix before the replay is done. Its head is that of the first
    /// page, and then that of the replay.
    found: Replica,
    /// The head of the last page, which is the highest one.
    target: u64,
    stage: Stage,
    restarts: u32,
    limits: FetchLimits,
}

/// Bounds of a [`Fetch`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FetchLimits {
    /// Entries that are held at any time, also in the middle of the replay, when some may be
    /// there that never were at once.
    pub entries: usize,
    /// How often it starts over because the peer has forgotten the ops to replay.
    pub restarts: u32,
    /// How many ops the result keeps.
    pub ring: RingLimits,
}

impl FetchLimits {
    /// Unless told otherwise, entries.
    pub const ENTRIES: usize = 4 * 1024 * 1024;
    /// Unless told otherwise, how often it starts over.
    pub const RESTARTS: u32 = 3;
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self { entries: Self::ENTRIES, restarts: Self::RESTARTS, ring: RingLimits::default() }
    }
}

/// What to ask the peer for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step<'a> {
    /// The page behind this key, or the first one: answer by [`Fetch::page`].
    Page {
        /// The last key that is known.
        after: Option<&'a EndpointId>,
    },
    /// The ops behind this number: answer by [`Fetch::ops`] or [`Fetch::behind`].
    Ops {
        /// The last op that was replayed.
        after: u64,
    },
    /// Nothing: everything is there.
    Done,
}

/// Why a fetch came to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum FetchError {
    /// An answer to something else than was asked.
    #[error("expected an answer to what was asked, came another")]
    OutOfTurn,
    /// Keys of pages do not rise, or go back behind the page before.
    #[error("expected keys that rise, came one that does not")]
    OutOfOrder,
    /// A page lists an endpoint that is not served.
    #[error("expected endpoints that are served, came one of weight 0")]
    NotServed,
    /// A page is older than the one before.
    #[error("expected a head of {before} at least, came {came}")]
    HeadWentBack {
        /// Of the page before.
        before: u64,
        /// Of this page.
        came: u64,
    },
    /// An answer that leads no further: no entries although more are to come, or no new ops.
    #[error("expected more entries or ops, came none")]
    Empty,
    /// There are more entries than the limit.
    #[error("expected {limit} entries at most, came more")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// Ops do not follow those before.
    #[error(transparent)]
    Gap(#[from] Gap),
    /// The peer has forgotten the ops to replay, once more than the limit.
    #[error("the peer forgets its ops faster than they can be fetched")]
    Forgotten,
    /// The old replica is ahead of what was fetched.
    #[error("expected a head of {held} at least, came {came}")]
    Older {
        /// Of the old replica.
        held: u64,
        /// Of the fetched one.
        came: u64,
    },
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Pages,
    Ops,
    Done,
    Failed(FetchError),
}

impl Fetch {
    /// Nothing was asked yet.
    pub fn new(limits: FetchLimits) -> Self {
        let found = Replica::new(limits.ring);
        Self { found, target: 0, stage: Stage::Pages, restarts: 0, limits }
    }

    /// What to ask the peer for, or why there is nothing more to ask.
    pub fn next(&self) -> Result<Step<'_>, FetchError> {
        match self.stage {
            Stage::Pages => Ok(Step::Page { after: self.found.last() }),
            Stage::Ops => Ok(Step::Ops { after: self.found.head() }),
            Stage::Done => Ok(Step::Done),
            Stage::Failed(error) => Err(error),
        }
    }

    /// The peer answered with a page.
    pub fn page(&mut self, page: Page) -> Result<(), FetchError> {
        let result = self.add(page);
        self.settle(result)
    }

    /// The peer answered with ops that are numbered from `first` on: some of those that were
    /// asked for, or all, or newer ones too.
    pub fn ops(&mut self, first: u64, ops: impl IntoIterator<Item = Op>) -> Result<(), FetchError> {
        let result = self.replay(first, ops);
        self.settle(result)
    }

    /// The peer does not have the ops any more that were asked for: starts over.
    pub fn behind(&mut self) -> Result<(), FetchError> {
        let result = match self.stage {
            Stage::Ops if self.restarts < self.limits.restarts => {
                self.restarts += 1;
                self.found = Replica::new(self.limits.ring);
                Ok(Stage::Pages)
            }
            Stage::Ops => Err(FetchError::Forgotten),
            Stage::Pages | Stage::Done => Err(FetchError::OutOfTurn),
            Stage::Failed(error) => Err(error),
        };
        self.settle(result)
    }

    /// Puts what was fetched in place of `old`, with the ring's limits of that one. What is other
    /// than before is appended to `changed`; if it fails, nothing is.
    pub fn finish(self, old: &mut Replica, changed: &mut Vec<Op>) -> Result<(), FetchError> {
        match self.stage {
            Stage::Done => {}
            Stage::Pages | Stage::Ops => return Err(FetchError::OutOfTurn),
            Stage::Failed(error) => return Err(error),
        }
        let (held, came) = (old.head(), self.found.head());
        if came < held {
            return Err(FetchError::Older { held, came });
        }
        old.catch_up(self.found, changed);
        Ok(())
    }

    /// How many entries are there so far.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    fn add(&mut self, page: Page) -> Result<Stage, FetchError> {
        self.expect(Stage::Pages)?;
        let Page { entries, head, last } = page;
        if head < self.target {
            return Err(FetchError::HeadWentBack { before: self.target, came: head });
        }
        self.target = head;
        if entries.is_empty() && !last {
            return Err(FetchError::Empty);
        }
        if self.found.is_empty() {
            self.found = Replica::at(head, self.limits.ring);
        }
        for entry in &entries {
            if self.found.last().is_some_and(|before| *before >= entry.endpoint) {
                return Err(FetchError::OutOfOrder);
            }
            if entry.weight == 0 {
                return Err(FetchError::NotServed);
            }
            self.found.put(entry);
            self.bounded()?;
        }
        Ok(if last { self.replayed() } else { Stage::Pages })
    }

    fn replay(
        &mut self,
        first: u64,
        ops: impl IntoIterator<Item = Op>,
    ) -> Result<Stage, FetchError> {
        self.expect(Stage::Ops)?;
        let before = self.found.head();
        for (seq, op) in (first..=u64::MAX).zip(ops) {
            self.found.follow(seq, [op], |_| {})?;
            self.bounded()?;
        }
        if self.found.head() == before {
            return Err(FetchError::Empty);
        }
        Ok(self.replayed())
    }

    fn expect(&self, stage: Stage) -> Result<(), FetchError> {
        match (self.stage, stage) {
            (Stage::Failed(error), _) => Err(error),
            (Stage::Pages, Stage::Pages) | (Stage::Ops, Stage::Ops) => Ok(()),
            (Stage::Pages | Stage::Ops | Stage::Done, _) => Err(FetchError::OutOfTurn),
        }
    }

    fn bounded(&self) -> Result<(), FetchError> {
        let limit = self.limits.entries;
        if self.found.len() > limit { Err(FetchError::TooMany { limit }) } else { Ok(()) }
    }

    fn replayed(&self) -> Stage {
        if self.found.head() < self.target { Stage::Ops } else { Stage::Done }
    }

    /// Goes on, or lets go of everything.
    fn settle(&mut self, result: Result<Stage, FetchError>) -> Result<(), FetchError> {
        match result {
            Ok(stage) => {
                self.stage = stage;
                Ok(())
            }
            Err(error) => {
                self.found = Replica::new(self.limits.ring);
                self.stage = Stage::Failed(error);
                Err(error)
            }
        }
    }
}
