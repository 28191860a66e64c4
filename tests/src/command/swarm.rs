//! `swarm`: many seeds, on several threads.

use super::choose::Life;
use super::crash::{self, Panic};
use super::print::Failure;
use super::summary::many;
use super::{Context, Refusal, Verdict};
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
use std::sync::{Arc, mpsc};
use std::thread;

/// Plays many seeds, and looks for those that break an invariant.
#[derive(Args, Clone)]
pub(super) struct Swarm {
    /// The seeds: from, and up to but without (1..=9 is with)
    #[arg(long, default_value = "0..1000", value_parser = seeds, allow_hyphen_values = true)]
    seeds: Range<u64>,
    /// On how many threads; what is found does not depend on it [default: one a core]
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// Begin no more seeds after this time
    #[arg(long, value_name = "SPAN")]
    time_box: Option<Span>,
    /// Go on behind the first seed that breaks an invariant or panics
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
    fails: Option<Fails>,
    reached: Reached,
    events: u64,
    /// Faults that were drawn, and those that have befallen anything.
    faults: usize,
    befell: usize,
}

/// How a seed fails.
enum Fails {
    Broken(Box<Broken>),
    Panics(Panic),
}

/// What a thread says.
enum Said {
    /// What came of a seed.
    Played(u64, Result<Box<Played>, Refusal>),
    /// It has nothing left to play.
    Idle,
}

/// One who plays seeds.
#[derive(Clone)]
struct Player {
    swarm: Arc<Swarm>,
    next: Arc<AtomicU64>,
    clock: Clock,
    revision: &'static str,
    sender: mpsc::Sender<Said>,
}

/// What came of all so far, in the order of their seeds.
#[derive(Default)]
struct Tally {
    played: u64,
    broken: u64,
    panicked: u64,
    events: u64,
    faults: usize,
    befell: usize,
    reached: BTreeMap<Point, u64>,
}

impl Swarm {
    pub(super) fn carry_out(self, context: &Context) -> Result<Verdict, Refusal> {
        crash::watch(context.json);
        // What is wrong with the case is wrong with all of them.
        self.life.case(Some(self.seeds.start))?;
        let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let jobs = self.jobs.unwrap_or(cores).get();
        let clock = Clock::start();
        let next = Arc::new(AtomicU64::new(self.seeds.start));
        let (sender, said) = mpsc::channel();
        let (swarm, revision) = (Arc::new(self.clone()), context.revision);
        let player = Player { swarm, next, clock, revision, sender };
        (0..jobs).for_each(|_| player.clone().spawn());
        // Whoever still plays behind the first failure ends with the process.
        let tally = self.gather(&said, jobs, clock, context)?;
        if tally.played == 0 {
            return Err(Refusal::Usage("no seed was played in that time".into()));
        }
        // A failure is not to be looked for behind what was reached.
        let whole = self.cover || tally.broken + tally.panicked == 0;
        let text = || tally.text(whole);
        context.say(text, || tally.json())?;
        let missed = self.cover && Point::ALL.iter().any(|point| tally.missed(*point));
        Ok(if tally.broken + tally.panicked > 0 || missed {
            Verdict::Broken
        } else {
            Verdict::Held
        })
    }

    /// Takes results in the order of their seeds, so that it does not matter who was faster.
    fn gather(
        &self,
        said: &mpsc::Receiver<Said>,
        jobs: usize,
        clock: Clock,
        context: &Context,
    ) -> Result<Tally, Refusal> {
        let mut tally = Tally::default();
        let mut progress = Progress::new(self.seeds.clone(), clock);
        let mut early = BTreeMap::new();
        let (mut wanted, mut idle) = (self.seeds.start, 0);
        while idle < jobs {
            match said.recv().expect("somebody plays as long as not all are idle") {
                Said::Idle => idle += 1,
                Said::Played(seed, played) => {
                    early.insert(seed, played);
                }
            }
            while let Some(played) = early.remove(&wanted) {
                let seed = |why: Refusal| Refusal::Usage(format!("seed {wanted}: {why}"));
                let played = played.map_err(seed)?;
                wanted += 1;
                tally.add(&played);
                if let Some(fails) = &played.fails {
                    progress.clear();
                    let failure = self.failure(played.seed, context.revision);
                    let text = || match fails {
                        Fails::Broken(broken) => format!("{}\n", failure.text(broken)),
                        Fails::Panics(panic) => format!("{}\n", panic.text(&failure)),
                    };
                    let value = || match fails {
                        Fails::Broken(broken) => failure.json(broken),
                        Fails::Panics(panic) => panic.json(&failure),
                    };
                    context.say(text, value)?;
                    if !self.all || tally.panicked >= PANICS_MAX {
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

impl Player {
    fn spawn(self) {
        thread::spawn(move || {
            while self.one() {}
            // Nobody listens any more behind the first failure.
            let _ = self.sender.send(Said::Idle);
        });
    }

    /// Plays the next seed, if there is one; says whether to go on.
    fn one(&self) -> bool {
        let end = self.swarm.time_box.map(|span| Instant::ZERO + span.0);
        if end.is_some_and(|end| self.clock.now() >= end) {
            return false;
        }
        let seed = self.next.fetch_add(1, Ordering::Relaxed);
        if seed >= self.swarm.seeds.end {
            return false;
        }
        let case = match self.swarm.life.case(Some(seed)) {
            Ok(case) => case,
            Err(refusal) => {
                // What is drawn from another seed may fit all the same, but a seed that is left
                // out has proved nothing.
                let _ = self.sender.send(Said::Played(seed, Err(refusal)));
                return false;
            }
        };
        let failure = self.swarm.failure(seed, self.revision);
        let (heir, faults) = (self.clone(), case.faults.len());
        let goes_on = move |panic| {
            let fails = Some(Fails::Panics(panic));
            let reached = Reached::default();
            let played = Played { seed, fails, reached, events: 0, faults, befell: 0 };
            let _ = heir.sender.send(Said::Played(seed, Ok(Box::new(played))));
            heir.spawn();
        };
        let play = || sometimes::play(case, Trace::default());
        let (run, reached) = crash::survived(&failure, goes_on, play);
        let fails = run.broken().map(|broken| Fails::Broken(Box::new(broken.clone())));
        let (events, befell) = (run.world.events(), run.befell().len());
        let played = Played { seed, fails, reached, events, faults, befell };
        self.sender.send(Said::Played(seed, Ok(Box::new(played)))).is_ok()
    }
}

impl Tally {
    fn add(&mut self, played: &Played) {
        self.played += 1;
        self.events += played.events;
        self.faults += played.faults;
        self.befell += played.befell;
        match &played.fails {
            Some(Fails::Broken(_)) => self.broken += 1,
            Some(Fails::Panics(_)) => self.panicked += 1,
            None => {}
        }
        for point in played.reached.points() {
            *self.reached.entry(point).or_default() += 1;
        }
    }

    fn missed(&self, point: Point) -> bool {
        !self.reached.contains_key(&point)
    }

    fn text(&self, whole: bool) -> String {
        let mut lines = Vec::new();
        if whole {
            lines.push("how many runs came to each coverage point:".to_owned());
        }
        for point in Point::ALL.iter().copied().filter(|_| whole) {
            let count = self.reached.get(&point).copied().unwrap_or_default();
            let mark = if count == 0 { "  <- never" } else { "" };
            lines.push(format!("{count:7}  {}{mark}", point.name()));
        }
        let Self { played, broken, panicked, faults, befell, .. } = self;
        lines.push(format!(
            "{befell} of {} that were drawn befell anything",
            many(*faults, "fault")
        ));
        let panicked = match panicked {
            0 => String::new(),
            count => format!(", {count} panicked"),
        };
        lines.push(format!("{} played{panicked}, {broken} broken", many(*played, "seed")));
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
            "panicked": self.panicked,
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
/// Each panic leaves a thread behind, with all that it played.
const PANICS_MAX: u64 = 64;
