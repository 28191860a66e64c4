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
    for step in steps {
        for entry in &step.inputs {
            let Some(cause) = entry.cause.filter(|cause| *cause != step.serial) else { continue };
            let request = own(&uses, step, entry).or_else(|| turns.get(&cause).copied());
            if let Some(request) = request {
                turns.insert(step.serial, request);
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
