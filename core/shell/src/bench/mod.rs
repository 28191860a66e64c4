//! `pico bench`: requests of a known rate or number at once, and how they were answered.

mod load;
mod plan;
mod report;
mod tally;
mod words;

use crate::clock::Clock;
use crate::command::Failure;
use crate::config::Refusal;
use crate::crew::{self, Crew};
use crate::driver::Wiring;
use crate::log;
use crate::mail::Post;
use crate::platform::Platform;
use crate::wire::Wires;
use clap::{ArgMatches, Command};
pub use load::Load;
use pico_core::host::Address;
use pico_core::id::WorkerId;
pub use plan::Plan;
use report::gather;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::Builder;
pub use tally::Tally;
pub use words::{Late, Report, Share, Word};

/// The command and those below it.
pub(crate) fn command() -> Command {
    Command::new("bench")
        .about("Measure how requests are answered")
        .after_help(plan::EXAMPLES)
        .subcommand_required(true)
        .subcommand(plan::command())
}

/// Sends what was asked for, and prints how it was answered.
pub(crate) fn run<P: Platform>(matches: &ArgMatches) -> Result<(), Failure> {
    let Some(("http", matches)) = matches.subcommand() else {
        return Err(Refusal("expected pico bench http".into()).into());
    };
    let plan = Arc::new(Plan::read(matches)?);
    crew::raise_descriptors();
    let places = match plan.host.parse() {
        Ok(ip) => vec![SocketAddr::new(ip, plan.port)],
        Err(_) => P::block_on(P::resolve(plan.host.clone(), plan.port))?
            .map_err(|error| io::Error::other(format!("{}: {error}", plan.host)))?,
    };
    let (clock, post) = (Clock::start(), Post::new(plan.workers));
    let (sender, reports) = channel();
    let mut crew = Crew::new();
    let workers = usize::from(plan.workers);
    for worker in 0..plan.workers {
        let number = usize::from(worker);
        let connections =
            plan.connections / workers + usize::from(number < plan.connections % workers);
        let me = (u64::from(worker), u64::from(plan.workers));
        let share = Share { plan: Arc::clone(&plan), places: places.clone(), connections, me };
        let load = Load::new(share, sender.clone());
        let wiring = Wiring {
            clock,
            post: post.clone(),
            me: Address::Worker(WorkerId(worker)),
            ports: Vec::new(),
            datagrams: None,
            wires: Wires::plain(),
            notes: Arc::new(|_| ()),
        };
        crew.hire::<P, _>(format!("pico-bench-{worker}"), wiring, move || load, |_| ())?;
    }
    drop(sender);
    let tell = |word: Word| {
        for worker in 0..plan.workers {
            post.send(Address::Worker(WorkerId(worker)), word);
        }
    };
    let theirs = Arc::clone(&plan);
    let gathering = Builder::new()
        .name("pico-report".into())
        .spawn(move || gather(&reports, clock, &theirs))?;
    tell(Word::Start);
    let ended = crew.ended();
    P::block_on(crew::together::<P>(vec![ended], Some(|| tell(Word::Stop)))).flatten()?;
    crew.join()?;
    let result = gathering.join().map_err(|_| io::Error::other("the report was lost"))?;
    log::say(&result.text(&plan))?;
    match (result.answers(), result.successes()) {
        (0, _) => Err(io::Error::other("not one request was answered").into()),
        (_, 0) => Err(io::Error::other("not one request succeeded").into()),
        _ => Ok(()),
    }
}
