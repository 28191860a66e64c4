//! What it takes to know a million endpoints: bytes in memory, and time.
//!
//! A benchmark reports; it asserts nothing. Run `cargo bench -p pico-core --bench directory`.
//! Each function returns a replica of a million endpoints, so a millionth of its "max alloc" is
//! what an endpoint takes: 96 bytes at most, of which 40 are its name.

use divan::{AllocProfiler, Bencher};
use pico_core::gossip::directory::{Fetch, FetchLimits, Op, Page, Replica, RingLimits, Step};
use pico_core::routing::EndpointId;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const MILLION: u32 = 1_000_000;

/// What is measured is the state.
const NO_RING: RingLimits = RingLimits { bytes: 0, ops: 0 };

/// Ops that come one by one in the order of their keys.
#[divan::bench(sample_count = 1)]
fn a_million_in_order() -> Replica {
    replica(1)
}

/// Ops that come one by one in no order.
#[divan::bench(sample_count = 1)]
fn a_million_in_no_order() -> Replica {
    replica(617_933)
}

/// Pages of 16 KiB.
#[divan::bench(sample_count = 1)]
fn a_million_fetched(bencher: Bencher) {
    bencher.with_inputs(|| replica(1)).bench_local_refs(|peer| {
        let mut fetch = Fetch::new(FetchLimits { ring: NO_RING, ..FetchLimits::default() });
        while let Step::Page { after } = fetch.next().expect("the peer answers") {
            let page = received(peer.page(after, 16 * 1024));
            fetch.page(page).expect("it is what was asked for");
        }
        fetch
    });
}

fn replica(step: u32) -> Replica {
    let mut replica = Replica::new(NO_RING);
    let mut changed = Vec::new();
    for n in 1..=MILLION {
        let op = op(u64::from(n) * u64::from(step) % u64::from(MILLION));
        replica.apply(u64::from(n), [op], &mut changed).expect("it is the next one");
        changed.clear();
    }
    assert_eq!(replica.len(), 1_000_000, "each of them came once");
    replica
}

/// An op for an endpoint of 20 bytes.
fn op(n: u64) -> Op {
    let endpoint = EndpointId::parse(format!("endpoint-{n:011}").as_bytes());
    Op { endpoint: endpoint.expect("it is well-formed"), weight: 1 }
}

/// The page as it comes off the wire, with names of its own.
fn received(mut page: Page) -> Page {
    for entry in &mut page.entries {
        let name = EndpointId::parse(entry.endpoint.as_str().as_bytes());
        entry.endpoint = name.expect("it was one before");
    }
    page
}
