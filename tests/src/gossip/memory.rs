//! What it takes in memory to know who serves what.

use super::measure::Names;
use pico_core::gossip::directory::{Fetch, FetchLimits, Op, Page, Replica, RingLimits, Step};
use pico_core::id::Boot;
use pico_core::routing::{Change, EndpointId, Place, Routes, Upstream};
use std::fs;

/// What an endpoint of another node takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Memory {
    /// Bytes in the directory of its node, its name included.
    pub directory: u64,
    /// Bytes in the routes beside that: the name is shared.
    pub routes: u64,
}

/// Has one node fetch the directories of so many others, of so many endpoints each, and says how
/// much memory this process has more than before, for each of them; `None` where the system does
/// not say, or if none are to be fetched.
///
/// This is what an operator sees: what the allocator adds is in it.
pub fn memory(nodes: usize, endpoints: usize, names: Names) -> Option<Memory> {
    // They stay, so that nothing that is measured takes their place.
    let sources: Vec<Replica> = (0..nodes).map(|node| source(node, endpoints, names)).collect();
    let total = u64::try_from(nodes * endpoints).ok().filter(|total| *total > 0)?;
    let before = resident()?;
    let fetched: Vec<Replica> = sources.iter().map(fetch).collect();
    let held = resident()?;
    let mut routes = Routes::new();
    for (node, replica) in fetched.iter().enumerate() {
        for (endpoint, weight) in replica.iter() {
            let place = Place::Node(Boot(node as u64 + 1));
            let upstream = Upstream { place, weight: u32::from(weight) };
            routes.apply(&Change::Put(endpoint.clone(), upstream));
        }
    }
    let routed = resident()?;
    let each = |from: u64, to: u64| to.saturating_sub(from) / total;
    Some(Memory { directory: each(before, held), routes: each(held, routed) })
}

/// What a node serves.
fn source(node: usize, endpoints: usize, names: Names) -> Replica {
    let mut replica = Replica::new(RingLimits { bytes: 0, ops: 0 });
    let op = |number| Op { endpoint: named(names.of(node, number).as_bytes()), weight: 1 };
    let mut changed = Vec::new();
    for (seq, op) in (1..).zip((0..endpoints).map(op)) {
        replica.apply(seq, [op], &mut changed).expect("it is the next one");
        changed.clear();
    }
    replica
}

/// The same as another node has it: by pages, with names of its own.
fn fetch(source: &Replica) -> Replica {
    let mut fetch = Fetch::new(FetchLimits::default());
    while let Step::Page { after } = fetch.next().expect("every answer leads further") {
        let Page { mut entries, head, last } = source.page(after, PAGE_BYTES);
        for entry in &mut entries {
            entry.endpoint = named(entry.endpoint.as_str().as_bytes());
        }
        fetch.page(Page { entries, head, last }).expect("it is what was asked for");
    }
    let mut replica = Replica::new(RingLimits::default());
    fetch.finish(&mut replica, &mut Vec::new()).expect("it is whole");
    replica
}

fn named(name: &[u8]) -> EndpointId {
    EndpointId::parse(name).expect("a fine name")
}

/// Bytes of memory that this process has, as Linux tells.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1_024)
}

/// As long as those that nodes send each other.
const PAGE_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_fetched_is_what_was_there_and_takes_memory_of_its_own() {
        for names in [Names::Numbered, Names::Drawn] {
            let there = source(0, 5_000, names);
            let here = fetch(&there);
            assert_eq!(here.len(), 5_000, "{names:?}");
            assert!(here.iter().eq(there.iter()), "{names:?}");
            let (one, other) = (here.iter().next(), there.iter().next());
            let texts =
                [one, other].map(|entry| entry.expect("there are some").0.as_str().as_ptr());
            assert_ne!(texts[0], texts[1], "{names:?}");
        }
        assert_eq!(memory(0, 10, Names::Numbered), None);
    }
}
