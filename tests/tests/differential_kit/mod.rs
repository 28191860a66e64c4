//! Exchanges through Pico, held against h11.

mod judge;
mod peer;
mod text;
mod words;

use judge::{Outcomes, agree, judge};
pub(crate) use peer::Peer;
use text::{Cut, Exchange};

use pico_core::{Limits, Seed};
use pico_sim::chain::{Chain, Played};
use pico_sim::choices::Choices;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

/// What came of many exchanges.
#[derive(Default)]
pub(crate) struct Tally {
    /// How often each outcome was met.
    pub(crate) outcomes: BTreeMap<String, u64>,
    /// What is wrong with those that do not hold.
    pub(crate) failures: Vec<String>,
}

/// Plays and judges the exchanges with these numbers, each as a whole and cut.
pub(crate) fn run(numbers: Range<u64>, peer: &mut Peer) -> Tally {
    let mut tally = Tally::default();
    let all: Vec<u64> = numbers.collect();
    for part in all.chunks(PART) {
        let mut chain = Chain::new(part[0], limits());
        for number in part {
            match hold(&mut chain, *number, peer) {
                Ok(outcomes) => {
                    for outcome in outcomes {
                        *tally.outcomes.entry(outcome).or_default() += 1;
                    }
                }
                Err(why) => tally.failures.push(why),
            }
        }
        if tally.failures.len() >= FAILURES_MAX {
            break;
        }
    }
    tally
}

fn hold(chain: &mut Chain, number: u64, peer: &mut Peer) -> Result<Outcomes, String> {
    let exchange = draw(number);
    let mut seen = Vec::new();
    for cut in [Cut::Whole, cut(number)] {
        let (speech, answers) = exchange.speech(cut);
        let played = chain.play(speech, answers, LIFE, REST);
        let outcomes = judge(&exchange, &played, &limits(), peer);
        seen.push((cut, played, outcomes));
    }
    let wrong = |why: &str| {
        let all = seen.iter().map(|(cut, played, _)| heard(*cut, played));
        let all = all.collect::<Vec<_>>().join("\n");
        format!("exchange {number}: {why}\n{}\n{all}", shown(&exchange))
    };
    match (&seen[0].2, &seen[1].2) {
        (Ok(whole), Ok(pieces)) if agree(whole, pieces) => Ok(whole.clone()),
        (Ok(whole), Ok(pieces)) => Err(wrong(&format!("{whole:?}, but cut {pieces:?}"))),
        (Err(why), _) => Err(wrong(&format!("as a whole: {why}"))),
        (_, Err(why)) => Err(wrong(&format!("cut: {why}"))),
    }
}

fn heard(cut: Cut, played: &Played) -> String {
    let service = played.service.iter().map(|one| one.bytes.escape_ascii().to_string());
    let service: Vec<String> = service.collect();
    let client = played.client.bytes.escape_ascii();
    format!("{cut:?}: service heard {service:#?}\nclient {:?}: {client}", played.client.ending)
}

fn draw(number: u64) -> Exchange {
    let mut dice = Seed::from_u64(number).fork("exchange").roll();
    let bytes: Vec<u8> = (0..128).flat_map(|_| dice.long().to_le_bytes()).collect();
    Exchange::draw(&mut Choices::new(&bytes))
}

fn cut(number: u64) -> Cut {
    if number.is_multiple_of(4) {
        Cut::Bytes
    } else {
        Cut::Each(2 + usize::try_from(number % 61).unwrap_or(0))
    }
}

fn shown(exchange: &Exchange) -> String {
    let answers = exchange
        .answers
        .iter()
        .map(|(text, fin)| format!("answer, FIN {fin}: {}", text.escape_ascii()));
    let said = format!("client, FIN {}: {}", exchange.fin, exchange.said.escape_ascii());
    [said].into_iter().chain(answers).collect::<Vec<_>>().join("\n")
}

/// Time-outs that are shorter than the client's patience, so that each is met.
fn limits() -> Limits {
    let short = Duration::from_secs(2);
    Limits {
        head_timeout: short,
        body_timeout: short,
        response_timeout: 2 * short,
        stall_timeout: short,
        ..Limits::default()
    }
}

/// After which no more are looked for.
const FAILURES_MAX: usize = 8;
/// Exchanges in one world.
const PART: usize = 64;
const LIFE: Duration = Duration::from_mins(1);
/// Longer than connections to services are kept.
const REST: Duration = Duration::from_secs(4);
