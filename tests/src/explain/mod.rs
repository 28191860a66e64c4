//! How it came to a broken invariant, or what happened to one request: its causal past, and not
//! the whole log.
//!
//! A request leaves a *road*: the connections that carried it, from its client to its services,
//! and the tunnels between. What happened on its road while it was under way is told, with who
//! lived and died there, and the faults that concern it. Where an invariant names no request, the
//! road is the machine that broke it, and what reached it is followed backwards, cause by cause. Where it is about what nodes know of each other,
//! it is told who lived and died, and what the node was told that knows it otherwise.

mod cluster;
mod past;
mod road;
mod story;
mod way;
pub mod words;

pub(crate) use way::call;

use crate::check::Broken;
use crate::run::Run;
use core::time::Duration;
use pico_core::Instant;
use road::Road;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What happened, and why.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What is explained.
    pub title: String,
    /// The request in words, if it is about one: what it was to be, and what came of it.
    pub request: Vec<String>,
    /// The faults that concern it.
    pub faults: Vec<String>,
    /// What happened, in order.
    pub lines: Vec<Line>,
    /// How many lines were left out, to keep it short.
    pub left_out: usize,
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// When it did, or began to.
    pub at: Instant,
    /// When it was over.
    pub until: Instant,
    /// Who did it, or saw it.
    pub who: String,
    /// What it was.
    pub what: String,
    /// The line that it follows from, by its place in the list.
    pub because: Option<usize>,
}

/// Why there is nothing to explain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unexplained {
    /// Nothing was broken, and no request was asked for.
    #[error("all invariants held; --request tells what happened to one request")]
    Held,
    /// No such request was made.
    #[error("no request {0} was made")]
    NoRequest(u64),
}

impl Explanation {
    /// Explains what `run`, whose trace must be recorded, found broken; or what happened to a
    /// request of it.
    ///
    /// # Errors
    /// There is nothing to explain.
    pub fn of(run: &Run, request: Option<u64>) -> Result<Self, Unexplained> {
        let broken = run.broken();
        let id = request.or_else(|| broken.and_then(|broken| concerned(run, broken)));
        match (id, broken) {
            (Some(id), _) => {
                let road = Road::of(run, id).ok_or(Unexplained::NoRequest(id))?;
                // What was found is told in words below.
                let title = match broken.filter(|_| request.is_none()) {
                    Some(broken) => broken.headline(),
                    None => format!("what happened to request {id}"),
                };
                let (lines, left_out) = story::tell(run, &road);
                let request = road::request(run, id, &road);
                Ok(Self { title, request, faults: road.faults(run), lines, left_out })
            }
            (None, Some(broken)) if cluster::concerns(broken) => {
                let (faults, lines, left_out) = cluster::of(run, broken);
                let (title, request) = (broken.to_string(), Vec::new());
                Ok(Self { title, request, faults, lines, left_out })
            }
            (None, Some(broken)) => {
                let (road, lines, left_out) = past::of(run, broken);
                let request = Vec::new();
                let title = broken.to_string();
                Ok(Self { title, request, faults: road.faults(run), lines, left_out })
            }
            (None, None) => Err(Unexplained::Held),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.title);
        let mut put = |what: &str| text.write_str(what).expect("a string takes any text");
        if !self.request.is_empty() {
            put("\nthe request\n");
            self.request.iter().for_each(|line| put(&format!("  {line}\n")));
        }
        put("\nwhat goes wrong in this case, and concerns it\n");
        if self.faults.is_empty() {
            put("  nothing\n");
        }
        self.faults.iter().for_each(|line| put(&format!("  {line}\n")));
        put("\nwhat happened (simulated seconds; [n] is the line that it follows from)\n");
        // Only of a request all is told that happened to it.
        let all = !self.request.is_empty() && self.left_out == 0;
        let mut before = self.lines.first().map_or(Instant::ZERO, |line| line.at);
        for (at, line) in self.lines.iter().enumerate() {
            let idle = line.at.since(before);
            if all && idle >= IDLE {
                put(&format!("      nothing of it moves for {:.1} s\n", idle.as_secs_f64()));
            }
            before = before.max(line.until);
            let because = line.because.map(|at| format!("  [{}]", at + 1)).unwrap_or_default();
            let secs = line.at.since(Instant::ZERO).as_secs_f64();
            let Line { who, what, .. } = line;
            put(&format!("{:4}  {secs:11.6}  {who:12}  {what}{because}\n", at + 1));
        }
        if self.left_out > 0 {
            put(&format!("      {} lines about more of the same are left out\n", self.left_out));
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let lines = self.lines.iter().map(|line| {
            json!({
                "at_s": line.at.since(Instant::ZERO).as_secs_f64(),
                "who": line.who,
                "what": line.what,
                "because": line.because.map(|at| at + 1),
            })
        });
        json!({
            "title": self.title,
            "request": self.request,
            "faults": self.faults,
            "lines": lines.collect::<Vec<_>>(),
            "left_out": self.left_out,
        })
    }
}

/// The request that a broken invariant is about.
fn concerned(run: &Run, broken: &Broken) -> Option<u64> {
    broken.request.or_else(|| {
        // What came unasked came behind the answer to a request.
        let seat = broken.seat?;
        let life = run.cast.whose(seat)?;
        let strays = match life.member.role {
            crate::case::Role::Client => run.world.host::<crate::actors::Client>(seat).strays(),
            crate::case::Role::Node
            | crate::case::Role::Agent
            | crate::case::Role::Service
            | crate::case::Role::Balancer
            | crate::case::Role::Operator => &[],
        };
        strays.iter().find(|stray| stray.at == broken.at).and_then(|stray| stray.behind)
    })
}

/// So long a silence is a part of the story.
const IDLE: Duration = Duration::from_secs(5);
/// How long a story may be.
const LINES_MAX: usize = 60;
