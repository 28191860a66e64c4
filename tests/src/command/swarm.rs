//! `swarm`: many seeds, on several threads.

use super::choose::Life;
use super::print::Failure;
use super::{Context, Refusal, Verdict, crash};
use crate::case::Span;
use crate::check::Broken;
use crate::kernel::Trace;
use crate::sometimes::{self, Point, Reached};
use clap::Args;
use core::time::Duration;
use pico_core::Instant;
use pico_shell::clock::Clock;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

/// Plays many seeds, and looks for those that break an invariant.
#[derive(Args)]
pub(super) struct Swarm {
    /// The seeds: from, and up to but without (1..=9 is with)
    #[arg(long, default_value = "0..1000", value_parser = seeds)]
    seeds: Range<u64>,
    /// On how many threads; what is found does not depend on it [default: one a core]
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// Begin no more seeds after this time
    #[arg(long, value_name = "SPAN")]
    time_box: Option<Span>,
    /// Go on behind the first seed that breaks an invariant
    #[arg(long)]
    all: bool,
    /// Fail if a coverage point was never reached
    #[arg(long)]
    cover: bool,
    #[command(flatten)]
    life: Life,
}

/// What came of one seed.
struct Played {
    seed: u64,
    broken: Option<Broken>,
    reached: Reached,
    events: u64,
    /// Faults that were drawn, and those that have befallen anything.
    faults: usize,
    befell: usize,
}

/// What came of all so far, in the order of their seeds.
#[derive(Default)]
struct Tally {
    played: u64,
    broken: u64,
    events: u64,
    faults: usize,
    befell: usize,
    reached: BTreeMap<Point, u64>,
}

impl Swarm {
    pub(super) fn carry_out(self, context: &Context) -> Result<Verdict, Refusal> {
        crash::watch();
        // What is wrong with the case is wrong with all of them.
        self.life.case(Some(self.seeds.start))?;
        let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let jobs = self.jobs.unwrap_or(cores).get();
        let clock = Clock::start();
        let next = AtomicU64::new(self.seeds.start);
        let (sender, results) = mpsc::channel();
        let tally = thread::scope(|scope| {
            for _ in 0..jobs {
                let (this, next, sender) = (&self, &next, sender.clone());
                scope.spawn(move || this.work(next, clock, context.revision, &sender));
            }
            drop(sender);
            let tally = self.gather(results, clock, context);
            // Whoever still plays finds that there is nothing more to be had.
            next.store(self.seeds.end, Ordering::Relaxed);
            tally
        })?;
        if tally.played == 0 {
            return Err(Refusal::Usage("no seed was played in that time".into()));
        }
        let text = || tally.text();
        context.say(text, || tally.json())?;
        let missed = self.cover && Point::ALL.iter().any(|point| tally.missed(*point));
        Ok(if tally.broken > 0 || missed { Verdict::Broken } else { Verdict::Held })
    }

    /// Plays one seed after the other until there is none left.
    fn work(
        &self,
        next: &AtomicU64,
        clock: Clock,
        revision: &'static str,
        sender: &mpsc::Sender<(u64, Result<Played, Refusal>)>,
    ) {
        let end = self.time_box.map(|span| Instant::ZERO + span.0);
        while end.is_none_or(|end| clock.now() < end) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.seeds.end {
                return;
            }
            let case = match self.life.case(Some(seed)) {
                Ok(case) => case,
                Err(refusal) => {
                    // What is drawn from another seed may fit all the same, but a seed that is
                    // left out has proved nothing.
                    let _ = sender.send((seed, Err(refusal)));
                    return;
                }
            };
            let failure = self.failure(seed, revision);
            let (run, reached) =
                crash::within(&failure, || sometimes::play(case, Trace::default()));
            let (broken, events) = (run.broken().cloned(), run.world.events());
            let (faults, befell) = (run.case.faults.len(), run.befell().len());
            let played = Played { seed, broken, reached, events, faults, befell };
            if sender.send((seed, Ok(played))).is_err() {
                return;
            }
        }
    }

    /// Takes results in the order of their seeds, so that it does not matter who was faster.
    fn gather(
        &self,
        results: mpsc::Receiver<(u64, Result<Played, Refusal>)>,
        clock: Clock,
        context: &Context,
    ) -> Result<Tally, Refusal> {
        let mut tally = Tally::default();
        let mut progress = Progress::new(self.seeds.clone(), clock);
        let mut early = BTreeMap::new();
        let mut wanted = self.seeds.start;
        for (seed, played) in results {
            early.insert(seed, played);
            while let Some(played) = early.remove(&wanted) {
                let seed = |why: Refusal| Refusal::Usage(format!("seed {wanted}: {why}"));
                let played = played.map_err(seed)?;
                wanted += 1;
                tally.add(&played);
                if let Some(broken) = &played.broken {
                    progress.clear();
                    let failure = self.failure(played.seed, context.revision);
                    context
                        .say(|| format!("{}\n", failure.text(broken)), || failure.json(broken))?;
                    if !self.all {
                        return Ok(tally);
                    }
                }
                progress.show(&tally);
            }
        }
        progress.clear();
        Ok(tally)
    }

    fn failure(&self, seed: u64, revision: &'static str) -> Failure {
        let words = format!("--seed {seed}{}", self.life.words());
        Failure { seed, revision, words, verb: "run" }
    }
}

impl Tally {
    fn add(&mut self, played: &Played) {
        self.played += 1;
        self.events += played.events;
        self.faults += played.faults;
        self.befell += played.befell;
        self.broken += u64::from(played.broken.is_some());
        for point in played.reached.points() {
            *self.reached.entry(point).or_default() += 1;
        }
    }

    fn missed(&self, point: Point) -> bool {
        !self.reached.contains_key(&point)
    }

    fn text(&self) -> String {
        let mut lines = vec!["how many runs came to each coverage point:".to_owned()];
        for point in Point::ALL {
            let count = self.reached.get(point).copied().unwrap_or_default();
            let mark = if count == 0 { "  <- never" } else { "" };
            lines.push(format!("{count:7}  {}{mark}", point.name()));
        }
        let Self { played, broken, faults, befell, .. } = self;
        lines.push(format!("{befell} of {faults} faults that were drawn befell anything"));
        lines.push(format!("{played} seeds played, {broken} broken"));
        lines.join("\n")
    }

    fn json(&self) -> Value {
        let coverage: Map<String, Value> = Point::ALL
            .iter()
            .map(|point| {
                let count = self.reached.get(point).copied().unwrap_or_default();
                (point.name().to_owned(), count.into())
            })
            .collect();
        json!({
            "played": self.played,
            "broken": self.broken,
            "events": self.events,
            "faults": { "drawn": self.faults, "befell": self.befell },
            "coverage": coverage,
        })
    }
}

/// How far it is: one line that changes on a terminal, otherwise a line now and then.
struct Progress {
    seeds: Range<u64>,
    clock: Clock,
    terminal: bool,
    shown: Instant,
}

impl Progress {
    fn new(seeds: Range<u64>, clock: Clock) -> Self {
        let terminal = io::stderr().is_terminal();
        Self { seeds, clock, terminal, shown: clock.now() }
    }

    fn show(&mut self, tally: &Tally) {
        let now = self.clock.now();
        let pause = if self.terminal { EVERY } else { SELDOM };
        if now < self.shown + pause {
            return;
        }
        self.shown = now;
        let secs = now.since(Instant::ZERO).as_secs_f64();
        let all = self.seeds.end - self.seeds.start;
        let Tally { played, broken, .. } = tally;
        // A rate for people: it decides nothing.
        #[expect(clippy::cast_precision_loss, reason = "seeds that were played fit")]
        let rate = *played as f64 / secs;
        let line = format!("{played} of {all} seeds, {broken} broken, {rate:.1} a second");
        let [begin, end] = if self.terminal { ["\r\x1b[K", ""] } else { ["", "\n"] };
        // Progress that cannot be shown is no matter.
        let _ = write!(io::stderr(), "{begin}{line}{end}");
    }

    /// Makes place for something that stays.
    fn clear(&self) {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| text.parse::<u64>().ok();
    let range = text.split_once("..").and_then(|(from, to)| {
        let from = number(from)?;
        Some(match to.strip_prefix('=') {
            Some(to) => from..number(to)?.checked_add(1)?,
            None => from..number(to)?,
        })
    });
    let one = || number(text).and_then(|seed| Some(seed..seed.checked_add(1)?));
    let some = range.or_else(one).filter(|range| range.start < range.end);
    some.ok_or_else(|| "expected seeds as in 0..1000".into())
}

const EVERY: Duration = Duration::from_millis(200);
const SELDOM: Duration = Duration::from_secs(10);
