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
    lines.push(Line { at, until: at, who: who.to_owned(), what, because: None });
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
        for entry in step.inputs.iter().chain(&step.actions) {
            said.extend(words_of(&entry.text).map(|what| (step.at, named(&what, names))));
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

/// What nodes say to each other, if that is what a line of a trace is about.
fn words_of(text: &str) -> Option<String> {
    let (peer, said) = text.strip_suffix(" }")?.split_once(", gossip: ")?;
    let (kind, peer) = peer.split_once(" { ")?;
    match (kind, peer.split_once(": ")?) {
        ("Datagram", ("from", _)) => Some(format!("hears: {said}")),
        ("Datagram", ("to", whom)) => Some(format!("sends to {whom}: {said}")),
        ("Received", ("conn", _)) => Some(format!("hears on a stream: {said}")),
        _ => None,
    }
}

/// So much of it is told.
const SAID: usize = 30;

#[cfg(test)]
mod tests {
    use super::words_of;

    #[test]
    fn only_what_nodes_say_to_each_other_is_told() {
        let told = |text| words_of(text).unwrap_or_default();
        let heard = "Datagram { from: 10.1.0.2:8004, gossip: Boot(7) says ping, ack }";
        assert_eq!(told(heard), "hears: Boot(7) says ping, ack");
        let sent = "Datagram { to: 10.1.0.2:8004, gossip: Boot(7) says ping }";
        assert_eq!(told(sent), "sends to 10.1.0.2:8004: Boot(7) says ping");
        let stream = "Received { conn: ConnId(3), gossip: Boot(7) says I join }";
        assert_eq!(told(stream), "hears on a stream: Boot(7) says I join");
        let numbers =
            "Letter { to: Node, letter: Numbers { gossip: Some(GossipNumbers { a: 1 }) } }";
        assert_eq!(words_of(numbers), None);
    }
}
