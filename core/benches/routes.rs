//! What it takes to find who serves an endpoint, and to hear of a change, among so many.
//!
//! A benchmark reports; it asserts no time. Run `cargo bench -p pico-core --bench routes`.

use divan::{Bencher, black_box};
use pico_core::id::Boot;
use pico_core::routing::{Change, EndpointId, Place, Routes, Upstream};

fn main() {
    divan::main();
}

const MANY: [u32; 3] = [10, 100_000, 1_000_000];

/// The same endpoint again and again, as a client asks for it.
#[divan::bench(args = MANY)]
fn one_is_looked_up(bencher: Bencher, endpoints: u32) {
    let routes = routes(endpoints);
    let one = endpoint(endpoints / 2);
    bencher.bench_local(|| routes.get(black_box(&one)).len());
}

/// Another one each time.
#[divan::bench(args = MANY)]
fn any_is_looked_up(bencher: Bencher, endpoints: u32) {
    let routes = routes(endpoints);
    let mut at = 0_u32;
    let next = || {
        at = at.wrapping_add(617_933) % endpoints;
        endpoint(at)
    };
    bencher.with_inputs(next).bench_local_refs(|one| routes.get(one).len());
}

/// A change, while workers have the routes as they were before.
#[divan::bench(args = MANY)]
fn one_changes(bencher: Bencher, endpoints: u32) {
    let mut routes = routes(endpoints);
    let mut at = 0_u32;
    bencher.bench_local(|| {
        let shared = routes.clone();
        at = at.wrapping_add(617_933) % endpoints;
        routes.apply(&put(at, 2 + at % 7));
        shared
    });
}

fn routes(endpoints: u32) -> Routes {
    let mut routes = Routes::new();
    for at in 0..endpoints {
        routes.apply(&put(at, 1));
    }
    routes
}

fn put(at: u32, weight: u32) -> Change {
    let place = Place::Node(Boot(u64::from(at % 8) + 1));
    Change::Put(endpoint(at), Upstream { place, weight })
}

fn endpoint(at: u32) -> EndpointId {
    format!("endpoint-{at:06}").parse().expect("a name")
}
