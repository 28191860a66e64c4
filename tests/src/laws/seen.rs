//! What can be seen of a machine, cuts aside.

use super::shorten;
use core::fmt::Debug;
use std::collections::BTreeMap;

/// What was seen of a machine: events, bytes and counts in several lanes.
///
/// Order matters within a lane and not between lanes: whether bytes went out before or after a
/// head came in depends on how they were cut, rightly. Neighbouring bytes, or counts, of the same
/// name are one.
#[derive(Default, Debug)]
pub struct Seen {
    lanes: BTreeMap<String, Vec<Entry>>,
}

#[derive(PartialEq, Debug)]
enum Entry {
    Event(String),
    Bytes(String, Vec<u8>),
    Count(String, u64),
}

impl Seen {
    /// Something happened.
    pub fn event(&mut self, lane: &str, what: &impl Debug) {
        self.lane(lane).push(Entry::Event(format!("{what:?}")));
    }

    /// Bytes of a stream passed.
    pub fn bytes(&mut self, lane: &str, name: &str, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        match self.lane(lane).last_mut() {
            Some(Entry::Bytes(last, all)) if last == name => all.extend_from_slice(bytes),
            _ => self.lane(lane).push(Entry::Bytes(name.to_owned(), bytes.to_vec())),
        }
    }

    /// So much more of something.
    pub fn count(&mut self, lane: &str, name: &str, count: usize) {
        let count = count as u64;
        match self.lane(lane).last_mut() {
            Some(Entry::Count(last, sum)) if last == name => *sum += count,
            _ => self.lane(lane).push(Entry::Count(name.to_owned(), count)),
        }
    }

    /// Something happened that may depend on how bytes were cut, but on nothing else.
    pub fn exact(&mut self, what: &impl Debug) {
        self.event(EXACT, what);
    }

    /// Forgets what may depend on cuts.
    pub(super) fn forget_exact(&mut self) {
        self.lanes.remove(EXACT);
    }

    /// Where `other` first differs, in words.
    pub fn difference(&self, me: &str, other: &Self, you: &str) -> Option<String> {
        let lanes = self.lanes.keys().chain(other.lanes.keys());
        lanes.into_iter().find_map(|lane| {
            let [mine, yours] = [self, other].map(|s| s.lanes.get(lane).map_or(&[][..], |l| l));
            let at = super::differing(mine, yours)?;
            let show = |list: &[Entry]| list.get(at).map_or("nothing".to_owned(), Entry::show);
            let before = at.checked_sub(1).map_or("the start".to_owned(), |at| mine[at].show());
            let (mine, yours) = (show(mine), show(yours));
            Some(format!(
                "lane {lane}, entry {at}, after {before}\n  {me}: {mine}\n  {you}: {yours}"
            ))
        })
    }

    fn lane(&mut self, lane: &str) -> &mut Vec<Entry> {
        self.lanes.entry(lane.to_owned()).or_default()
    }
}

impl Entry {
    fn show(&self) -> String {
        shorten(&match self {
            Self::Event(what) => what.clone(),
            Self::Bytes(name, bytes) => {
                format!("{} bytes of {name}: {}", bytes.len(), bytes.escape_ascii())
            }
            Self::Count(name, count) => format!("{name} {count}"),
        })
    }
}

/// The lane of what is not compared between plays with other cuts.
const EXACT: &str = "exactly";
