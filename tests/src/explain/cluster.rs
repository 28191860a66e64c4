//! What led to what a node knows of its cluster: who lived and died, what it was told, and what
//! it heard and said last.

use super::{LINES_MAX, Line, words};
use crate::case::Role;
use crate::check::Broken;
use crate::gossip::Peer;
use crate::kernel::SeatId;
use crate::run::{Life, Run};
use pico_core::Instant;
use pico_core::id::Boot;
use std::collections::BTreeMap;

/// Whether an invariant is about what nodes know of each other.
pub(super) const fn concerns(broken: &Broken) -> bool {
    broken.invariant.number <= 5
}

/// The faults among nodes so far, and the story; with how many lines were left out.
pub(super) fn of(run: &Run, broken: &Broken) -> (Vec<String>, Vec<Line>, usize) {
    let hosts = run.case.shape.hosts();
    let nodes = || hosts.iter().filter(|host| host.role == Role::Node);
    let among = |who: &str| nodes().any(|node| run.case.shape.means(who, *node));
    let before = |at: Instant| at <= broken.at;
    let faults = run.case.faults.iter().filter(|fault| {
        let begun = fault.at().is_none_or(|at| before(Instant::ZERO + at.0));
        begun && fault.names().into_iter().any(among)
    });
    let mut lines = Vec::new();
    let names = names(run);
    for life in run.cast.of(Role::Node) {
        let boot = boot(run, life).map(|boot| format!(", which is {boot:?}")).unwrap_or_default();
        let starts = if life.number == 0 { "is started" } else { "is started again" };
        put(&mut lines, life.born, &life.name, format!("{starts}{boot}"));
        let ends = [(life.told, "is told to stop"), (life.ended, "ends")];
        for (at, what) in ends.into_iter().filter_map(|(at, what)| Some((at?, what))) {
            put(&mut lines, at, &life.name, what.to_owned());
        }
    }
    let seat = broken.seat.unwrap_or_default();
    if let Some(life) = run.cast.whose(seat) {
        told(run, life, &names, &mut lines);
        heard(run, life, broken.at, &names, &mut lines);
    }
    lines.retain(|line| before(line.at));
    lines.sort_by_key(|line| line.at);
    // What came last matters most; how everybody began is short.
    let left_out = lines.len().saturating_sub(LINES_MAX);
    let begin = LINES_MAX / 3;
    if left_out > 0 {
        lines.drain(begin..begin + left_out);
    }
    (faults.map(words::fault).collect(), lines, left_out)
}

fn put(lines: &mut Vec<Line>, at: Instant, who: &str, what: String) {
    lines.push(Line { at, who: who.to_owned(), what, because: None });
}

fn boot(run: &Run, life: &Life) -> Option<Boot> {
    run.gossip(life).map(|gossip| gossip.me().boot)
}

/// Who is which boot.
fn names(run: &Run) -> BTreeMap<Boot, String> {
    let lives = run.cast.of(Role::Node);
    lives.filter_map(|life| Some((boot(run, life)?, life.name.clone()))).collect()
}

/// What a node made of what it heard.
fn told(run: &Run, life: &Life, names: &BTreeMap<Boot, String>, lines: &mut Vec<Line>) {
    let seat = life.seats[0];
    for (at, _, note) in run.world.notes().iter().filter(|(_, other, _)| *other == seat) {
        if let Some(what) = words::note(note) {
            put(lines, *at, &life.name, what);
        }
    }
    if run.case.shape.gossip_only {
        // Its clock shows what it shows; drift is too little to matter here.
        let (now, local) = (run.world.now(), run.world.local(life.process));
        for (at, told) in &run.world.host::<Peer>(seat).told {
            let ago = local.since(*at);
            let at = Instant::ZERO + now.since(Instant::ZERO).saturating_sub(ago);
            put(lines, at, &life.name, format!("finds: {}", named(&format!("{told:?}"), names)));
        }
    }
}

/// What a node heard and said last.
fn heard(
    run: &Run,
    life: &Life,
    until: Instant,
    names: &BTreeMap<Boot, String>,
    lines: &mut Vec<Line>,
) {
    let seats: &[SeatId] = &life.seats;
    let steps = run.world.trace().steps().iter().rev();
    let steps = steps.filter(|step| step.at <= until && seats.contains(&step.seat));
    let mut said: Vec<(Instant, String)> = Vec::new();
    for step in steps {
        let inputs = step.inputs.iter().map(|entry| ("hears", entry));
        let actions = step.actions.iter().map(|entry| ("sends", entry));
        for (verb, entry) in inputs.chain(actions) {
            if let Some((_, what)) = entry.text.split_once(SAYS) {
                let what = what.trim_end_matches('}').trim();
                said.push((step.at, format!("{verb}: {}", named(what, names))));
            }
        }
        if said.len() >= SAID {
            break;
        }
    }
    for (at, what) in said {
        put(lines, at, &life.name, what);
    }
}

/// Boots by what they are called.
fn named(text: &str, names: &BTreeMap<Boot, String>) -> String {
    names
        .iter()
        .fold(text.to_owned(), |text, (boot, name)| text.replace(&format!("{boot:?}"), name))
}

/// Stands in a trace before what nodes say to each other.
const SAYS: &str = "gossip: ";
/// So much of it is told.
const SAID: usize = 30;
