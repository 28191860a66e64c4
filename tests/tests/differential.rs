//! What Pico takes and forwards, another parser reads in the same way: h11, which is written in
//! Python, by others, and from the RFCs.
//!
//! Exchanges are drawn (`differential_kit/text.rs`), most of them right, many with something wrong
//! by which requests are smuggled, and played from a client through a worker, a tunnel and an
//! agent to a service and back (`pico_sim::chain`), each as a whole and cut into pieces, for the
//! same outcome. h11 then reads what the client said, what the service heard, what the service
//! said and what the client heard. What was forwarded must be read by h11, be whole only if what
//! came in was, and mean what h11 had read of that, but for what an intermediary changes
//! (`pico_sim::model::http::carried`). What Pico refused must not have reached the service.
//!
//! Pico may refuse what h11 takes. It takes what h11 refuses in these cases and no others, and
//! there a reader of our own stands in (`pico_sim::model::http`):
//!
//! - *An empty line before a request line*, which is to be ignored (RFC 9112, section 2.2).
//! - *A blank before the `;` of a chunk extension*, which is to be parsed and dropped (RFC 9112,
//!   section 7.1.1: `BWS`).
//! - *A framing that means nothing, in an answer without a body* (to HEAD, 204, 304): no field
//!   says anything of its body (RFC 9112, section 6.3), and Pico forwards no wrong length.
//!
//! Besides, h11 keeps no connection of HTTP/1.0, which `Connection: keep-alive` may ask for
//! (RFC 9112, section 9.3).
//!
//! `PICO_EXCHANGES=100000 cargo test -p pico-sim --test differential -- --nocapture` plays so many
//! instead of a few, and says what became of them; `PICO_EXCHANGES=17..18` plays the one with that
//! number.

mod differential_kit;

use differential_kit::{Peer, Tally, run};
use std::ops::Range;
use std::thread;

#[test]
fn what_pico_takes_and_forwards_another_parser_reads_in_the_same_way() {
    if Peer::start().is_none() {
        return pico_sim::e2e::skip_without("python3");
    }
    let numbers = numbers();
    let count = numbers.end - numbers.start;
    let jobs = thread::available_parallelism().map_or(1, usize::from).min(4) as u64;
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let share =
            |job| numbers.start + count * job / jobs..numbers.start + count * (job + 1) / jobs;
        let spawn = |job| {
            let share: Range<u64> = share(job);
            scope.spawn(move || run(share, &mut Peer::start().expect("python is here")))
        };
        let threads: Vec<_> = (0..jobs).map(spawn).collect();
        threads.into_iter().map(|one| one.join().expect("a share holds")).collect()
    });
    let mut all = Tally::default();
    for tally in tallies {
        all.failures.extend(tally.failures);
        for (outcome, times) in tally.outcomes {
            *all.outcomes.entry(outcome).or_default() += times;
        }
    }
    println!("{count} exchanges, each as a whole and cut");
    for (outcome, times) in &all.outcomes {
        println!("{times:>8} {outcome}");
    }
    assert!(all.failures.is_empty(), "{}", all.failures.join("\n\n"));
}

fn numbers() -> Range<u64> {
    let Ok(text) = std::env::var("PICO_EXCHANGES") else { return 0..EXCHANGES };
    let number = |text: &str| text.parse().expect("PICO_EXCHANGES is a number or two with ..");
    match text.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(&text),
    }
}

/// Exchanges that are played unless another number is asked for.
const EXCHANGES: u64 = 10_000;
