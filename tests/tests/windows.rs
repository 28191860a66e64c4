//! Windows grow until they are no longer what holds a stream back, however long the way is.

use core::time::Duration;
use pico_sim::case::Span;
use pico_sim::run::distance::{By, Distance, Talks};

#[test]
fn one_stream_over_a_long_tunnel_carries_nine_tenths_of_what_tcp_alone_does() {
    carry(By::Tunnel);
}

#[test]
fn one_stream_over_a_long_link_carries_nine_tenths_of_what_tcp_alone_does() {
    carry(By::Link);
}

fn carry(by: By) {
    for talks in [Talks::Client, Talks::Service] {
        for (rate, window) in [(MBIT_100, LARGE), (GBIT_1, SMALL), (GBIT_1, LARGE)] {
            let way = Distance { round_trip: Span::millis(100), rate, window, talks, by };
            let carried = way.carries(Duration::from_secs(1));
            assert!(carried.through * 10 >= carried.alone * 9, "{way:?}: {carried:?}");
            println!("{way:?}: {carried:?}");
        }
    }
}

/// Bytes in a second.
const MBIT_100: u64 = 12_500_000;
const GBIT_1: u64 = 125_000_000;
/// What Linux lets the window of a socket grow to, and more than the way holds.
const SMALL: usize = 6 * 1024 * 1024;
const LARGE: usize = 32 * 1024 * 1024;
