//! What passed between lanes: when it was sent, when it came, and of which request it was.

use super::{Lanes, secs};
use crate::actors::{Client, Service};
use crate::case::Role;
use crate::kernel::{Entry, SeatId, Step};
use crate::run::Run;
use pico_core::Instant;
use pico_core::id::ConnId;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// When a connection carried which request.
type Uses = BTreeMap<(SeatId, ConnId), Vec<(Instant, Instant, u64)>>;

/// All messages as `[sent, from, came, to, bytes, kind, request]`, and how many there are no
/// places for.
pub(super) fn of(run: &Run, lanes: &Lanes) -> (Vec<Value>, usize) {
    let uses = uses(run);
    let steps = run.world.trace().steps();
    // Of which request a turn was, as far as it was of one.
    let mut turns: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut messages, mut dropped) = (Vec::new(), 0);
    let mut calls = Calls::default();
    let mut before: BTreeMap<SeatId, u64> = BTreeMap::new();
    for step in steps {
        // What a machine has read in one turn it may write in its next.
        let last = before.insert(step.seat, step.serial);
        let moves = |entry: &&Entry| entry.text.starts_with("Sent");
        if step.inputs.iter().all(|entry| moves(&entry))
            && let Some(request) = last.and_then(|last| turns.get(&last)).copied()
        {
            turns.insert(step.serial, request);
        }
        let all = step.inputs.iter().chain(&step.actions);
        let of = all.filter_map(|entry| {
            own(&uses, step, entry).or_else(|| calls.request(run, step, entry))
        });
        if let Some(request) = of.last() {
            turns.insert(step.serial, request);
        }
        for entry in &step.inputs {
            let Some(cause) = entry.cause.filter(|cause| *cause != step.serial) else { continue };
            let request = own(&uses, step, entry).or_else(|| turns.get(&cause).copied());
            if let Some(request) = request {
                turns.entry(step.serial).or_insert(request);
            }
            let Some(kind) = kind(entry) else { continue };
            let far = entry.conn.and_then(|conn| run.world.net().other_end(step.seat, conn));
            let Some((peer, _)) = far else { continue };
            let Ok(place) = steps.binary_search_by_key(&cause, |step| step.serial) else {
                continue;
            };
            if messages.len() == MESSAGES_MAX {
                dropped += 1;
                continue;
            }
            messages.push(json!([
                secs(steps[place].at),
                lanes.lane(peer),
                secs(step.at),
                lanes.lane(step.seat),
                entry.bytes,
                kind,
                request,
            ]));
        }
    }
    (messages, dropped)
}

/// What workers of a node call requests among each other.
#[derive(Default)]
struct Calls(BTreeMap<(SeatId, String), u64>);

impl Calls {
    /// The request that a letter between workers is about.
    fn request(&mut self, run: &Run, step: &Step, entry: &Entry) -> Option<u64> {
        if !entry.text.starts_with("Letter") {
            return None;
        }
        let call = crate::explain::call(&entry.text)?;
        let key = (run.cast.whose(step.seat)?.seats[0], call.to_owned());
        let target = entry.text.split_once(" /r/").and_then(|(_, rest)| rest.split_once('?'));
        if let Some(id) = target.and_then(|(id, _)| id.parse().ok()) {
            self.0.insert(key, id);
            return Some(id);
        }
        self.0.get(&key).copied()
    }
}

fn uses(run: &Run) -> Uses {
    let mut uses = Uses::new();
    let mut put = |seat, conn, from, to, id| {
        let far = run.world.net().other_end(seat, conn);
        for end in [Some((seat, conn)), far].into_iter().flatten() {
            uses.entry(end).or_default().push((from, to, id));
        }
    };
    for life in run.cast.of(Role::Client) {
        let seat = life.seats[0];
        for record in run.world.host::<Client>(seat).records() {
            put(seat, record.conn, record.began, record.ended, record.id);
        }
    }
    for life in run.cast.of(Role::Service) {
        let seat = life.seats[0];
        for arrival in run.world.host::<Service>(seat).arrivals() {
            let ended = arrival.ended.unwrap_or(run.world.now());
            put(seat, arrival.conn, arrival.began, ended, arrival.id);
        }
    }
    uses
}

/// Whose own connection this came on.
fn own(uses: &Uses, step: &Step, entry: &Entry) -> Option<u64> {
    let spans = uses.get(&(step.seat, entry.conn?))?;
    let mut on = spans.iter().filter(|(from, to, _)| (*from..=*to).contains(&step.at));
    on.next_back().map(|(_, _, id)| *id)
}

fn kind(entry: &Entry) -> Option<u8> {
    let kinds = [("Received", 0), ("Accepted", 1), ("Eof", 2), ("Lost", 3)];
    kinds.iter().find(|(name, _)| entry.text.starts_with(name)).map(|(_, kind)| *kind)
}

/// More than that no page can show.
const MESSAGES_MAX: usize = 100_000;
