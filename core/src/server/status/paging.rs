//! Lists that may be long, a piece at a time.

use alloc::string::String;
use alloc::vec::Vec;

/// Which piece of a list is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Paging {
    /// What the last piece gave as its `next`, if this is not the first.
    pub after: Option<String>,
    /// How many items at most, at least 1.
    pub limit: usize,
}

impl Paging {
    /// How many items a piece has, unless somebody says.
    pub const USUAL: usize = 100;
    /// The most that a piece has: as long as its items are, it fits what one node takes of
    /// another's answer.
    pub const MOST: usize = 1_000;
}

impl Default for Paging {
    fn default() -> Self {
        Self { after: None, limit: Self::USUAL }
    }
}

/// A piece of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listing<T> {
    /// How many items the whole list has.
    pub total: usize,
    /// The piece, in the order of the list.
    pub items: Vec<T>,
    /// What to ask for next, unless this was the last piece.
    pub next: Option<String>,
    /// Workers that did not answer in time, so that their part of it is missing.
    pub silent: u16,
}

/// The piece of a list, of which `items` are all those after the last piece, in order, or at
/// least one more than are wanted.
pub(in crate::server) fn listing<T>(
    total: usize,
    items: impl Iterator<Item = T>,
    limit: usize,
    cursor: impl Fn(&T) -> String,
) -> Listing<T> {
    let mut items: Vec<T> = items.take(limit.saturating_add(1)).collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(cursor);
    Listing { total, items, next, silent: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn the_last_piece_has_no_next() {
        let piece = |from, limit| listing(5, from..5, limit, |at: &i32| at.to_string());
        assert_eq!(piece(0, 2).next.as_deref(), Some("1"));
        assert_eq!(piece(2, 2).next.as_deref(), Some("3"));
        let last = piece(4, 2);
        assert_eq!((last.items.as_slice(), last.next), (&[4][..], None));
        assert_eq!(piece(0, 5).next, None);
        assert_eq!(piece(5, 5).items, [0_i32; 0]);
    }
}
