//! What led to the state of one machine, where no request is known to be to blame.

use super::road::Road;
use super::{Line, story};
use crate::check::Broken;
use crate::kernel::{SeatId, Step};
use crate::run::{Moment, Run};
use pico_core::Instant;
use pico_core::id::ConnId;
use std::collections::{BTreeMap, BTreeSet};

/// The story of what `broken` found, and where it takes place.
pub(super) fn of(run: &Run, broken: &Broken) -> (Road, Vec<Line>, usize) {
    let steps = run.world.trace().steps();
    let seat = broken.seat.or_else(|| steps.last().map(|step| step.seat)).unwrap_or_default();
    let turns = match run.moment {
        // What is left over is held by connections that nobody has closed.
        Moment::Rest | Moment::Stopping | Moment::Over => held(run, seat),
        Moment::Chaos | Moment::Healed => BTreeSet::new(),
    };
    let turns = if turns.is_empty() { causes(steps, seat, broken.at) } else { turns };
    let told = steps.iter().filter(|step| turns.contains(&step.serial));
    let from = told.clone().map(|step| step.at).min().unwrap_or(Instant::ZERO);
    let mut road = Road::at(from, broken.at);
    road.seats.insert(seat);
    road.seats.extend(told.map(|step| step.seat));
    let (lines, left_out) = story::tell_turns(run, &road, &turns);
    (road, lines, left_out)
}

/// The turns in which connections began that a machine still holds, and the last ones in which
/// anything happened on each.
fn held(run: &Run, seat: SeatId) -> BTreeSet<u64> {
    let mut open: BTreeMap<ConnId, Vec<u64>> = BTreeMap::new();
    for step in run.world.trace().steps().iter().filter(|step| step.seat == seat) {
        let entries = step.inputs.iter().chain(&step.actions);
        for entry in entries {
            let Some(conn) = entry.conn else { continue };
            let over = ["Lost", "Close", "Unreachable"];
            if over.iter().any(|word| entry.text.starts_with(word)) {
                open.remove(&conn);
            } else {
                open.entry(conn).or_default().push(step.serial);
            }
        }
    }
    let ends = open.into_values().flat_map(|turns| {
        let last = turns.len().saturating_sub(LAST);
        turns.into_iter().enumerate().filter(move |(at, _)| *at == 0 || *at >= last)
    });
    ends.map(|(_, turn)| turn).collect()
}

/// The last turns of a machine, and those from which they follow, as far back as there is room.
fn causes(steps: &[Step], seat: SeatId, at: Instant) -> BTreeSet<u64> {
    let mut turns = BTreeSet::new();
    let last = steps.iter().rev().filter(|step| step.seat == seat && step.at <= at);
    let mut wanted: BTreeSet<u64> = last.take(LAST).map(|step| step.serial).collect();
    // The latest first: what is close matters most.
    while let Some(turn) = wanted.pop_last().filter(|_| turns.len() < TURNS_MAX) {
        let Ok(place) = steps.binary_search_by_key(&turn, |step| step.serial) else { continue };
        turns.insert(turn);
        wanted.extend(steps[place].inputs.iter().filter_map(|entry| entry.cause));
        wanted.retain(|turn| !turns.contains(turn));
    }
    turns
}

/// How many of the last turns are looked at.
const LAST: usize = 6;
/// How many turns are told.
const TURNS_MAX: usize = 40;
