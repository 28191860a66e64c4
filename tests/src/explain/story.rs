//! What happened along a road, line by line.

use super::road::Road;
use super::way::name;
use super::{LINES_MAX, Line, words};
use crate::actors::Balancer;
use crate::case::Role;
use crate::kernel::{Entry, SeatId, Step};
use crate::run::{Life, Run};
use core::time::Duration;
use pico_core::id::ConnId;
use pico_core::note::Note;
use pico_core::{Instant, Reason};
use std::collections::{BTreeMap, BTreeSet};

/// A line in the making.
struct Draft {
    at: Instant,
    serial: u64,
    who: String,
    what: String,
    /// The turns that it tells of, and the one that it follows from.
    turns: BTreeSet<u64>,
    cause: Option<u64>,
    /// Bytes that came on a connection, which more may follow.
    data: Option<Data>,
    weight: Weight,
}

struct Data {
    on: (SeatId, ConnId),
    named: &'static str,
    head: Option<String>,
    bytes: usize,
    reads: usize,
    until: Instant,
}

/// What is left out first when there is too much to tell.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Detail,
    Step,
    Turn,
}

/// The story, and how many of its lines were left out.
pub(super) fn tell(run: &Run, road: &Road) -> (Vec<Line>, usize) {
    let mut teller =
        Teller { run, road, drafts: Vec::new(), told: BTreeMap::new(), last: BTreeMap::new() };
    let steps = run.world.trace().steps().iter();
    for step in steps.filter(|step| (road.from..=road.to).contains(&step.at)) {
        if road.seats.contains(&step.seat) {
            teller.step(step);
        }
    }
    teller.lives();
    teller.notes();
    finish(teller.drafts)
}

/// The story of these turns only, whatever they are about.
pub(super) fn tell_turns(run: &Run, road: &Road, turns: &BTreeSet<u64>) -> (Vec<Line>, usize) {
    let mut teller =
        Teller { run, road, drafts: Vec::new(), told: BTreeMap::new(), last: BTreeMap::new() };
    for step in run.world.trace().steps().iter().filter(|step| turns.contains(&step.serial)) {
        teller.whole(step);
    }
    teller.lives();
    teller.notes();
    finish(teller.drafts)
}

struct Teller<'a> {
    run: &'a Run,
    road: &'a Road,
    drafts: Vec<Draft>,
    /// Turns that a line tells of.
    told: BTreeMap<u64, usize>,
    /// When a machine last had a turn that is told, and in which line.
    last: BTreeMap<SeatId, (Instant, usize)>,
}

impl Teller<'_> {
    /// What of a turn is about the request.
    fn step(&mut self, step: &Step) {
        let names = self.own(step);
        let mine = |entry: &&Entry| {
            entry.conn.is_none_or(|conn| self.road.is_mine((step.seat, conn), step.at))
        };
        let [inputs, actions]: [Vec<&Entry>; 2] =
            [&step.inputs, &step.actions].map(|all| all.iter().filter(mine).collect());
        for entry in inputs {
            let follows = entry.cause.is_some_and(|cause| self.told.contains_key(&cause));
            let about = match entry.conn {
                Some(conn) if self.road.conns.contains_key(&(step.seat, conn)) => true,
                // Of what a tunnel carries, only what this request brought about.
                Some(conn) if self.road.tunnels.contains_key(&(step.seat, conn)) => {
                    follows || !is_data(entry)
                }
                Some(_) => false,
                None => names.iter().any(|name| entry.text.contains(name)),
            };
            if about {
                self.came(step, entry);
            }
        }
        for entry in actions {
            let about = match entry.conn {
                Some(conn) => self.road.has(step.seat, conn).is_some(),
                None => names.iter().any(|name| entry.text.contains(name)),
            };
            if about {
                self.went(step, entry);
            }
        }
        self.hand(step);
        self.go_on(step);
    }

    /// To whom a node gives the request in this turn.
    fn hand(&mut self, step: &Step) {
        let road = self.road;
        for handed in road.handed.iter().filter(|handed| handed.turn == Some(step.serial)) {
            let (to, what) = (&handed.to, road.tunnels.get(&handed.on));
            let on = what.copied().unwrap_or("a connection");
            let held = match name(self.run, handed.on.0) {
                name if name == step.name => String::new(),
                name => format!(", which {name} holds"),
            };
            let what = format!("gives the request to {to}, on {on}{held}");
            self.put(step, None, what, Weight::Turn);
        }
    }

    /// What a machine has read in one turn it may write in one of its next: so the one is of the other.
    fn go_on(&mut self, step: &Step) {
        if let Some(at) = self.told.get(&step.serial) {
            self.last.insert(step.seat, (step.at, *at));
            return;
        }
        let moves = |entry: &Entry| matches!(kind(entry).0, "Sent" | "Write");
        let moved = step.inputs.iter().chain(&step.actions).filter(|entry| moves(entry));
        let moved = moved.filter(|entry| {
            entry.conn.is_none_or(|conn| self.road.is_mine((step.seat, conn), step.at))
        });
        let on: Vec<_> =
            moved.filter_map(|entry| entry.conn.map(|conn| (step.seat, conn))).collect();
        let own = on.iter().any(|on| self.road.conns.contains_key(on));
        let shared = on.iter().any(|on| self.road.tunnels.contains_key(on));
        let last = self.last.get(&step.seat).copied();
        let of = last.filter(|(at, _)| own || (shared && step.at.since(*at) <= SOON));
        let of = of.map(|(_, at)| at);
        if let Some(at) = of
            && let Some(draft) = self.drafts.get_mut(at)
        {
            draft.turns.insert(step.serial);
            self.told.insert(step.serial, at);
        }
    }

    /// How letters of this node name the request: by its client's connection.
    fn own(&self, step: &Step) -> Vec<String> {
        let workers = self.run.cast.whose(step.seat).map(Life::workers).unwrap_or_default();
        let name = |(seat, conn): &(SeatId, ConnId)| {
            let worker = workers.iter().position(|worker| worker == seat)?;
            Some(format!("worker: WorkerId({worker}), conn: {conn:?}"))
        };
        let mut names: Vec<String> = self.road.conns.keys().filter_map(name).collect();
        let node = self.run.cast.whose(step.seat).map(|life| life.seats[0]);
        let calls = self.road.calls.iter().filter(|(of, _)| Some(*of) == node);
        names.extend(calls.map(|(_, call)| call.clone()));
        names
    }

    /// All of a turn.
    fn whole(&mut self, step: &Step) {
        step.inputs.iter().for_each(|entry| self.came(step, entry));
        step.actions.iter().for_each(|entry| self.went(step, entry));
    }

    fn came(&mut self, step: &Step, entry: &Entry) {
        let named = self.named(step.seat, entry);
        let (kind, detail) = kind(entry);
        let (what, weight) = match kind {
            "Received" => return self.data(step, entry, named),
            "Sent" | "Unlistened" | "Datagram" => return,
            "Accepted" => (format!("accepts {named}{}", self.far(step, entry)), Weight::Step),
            "Connected" => (format!("has {named}{}", self.far(step, entry)), Weight::Step),
            "Unreachable" => (format!("cannot connect: {detail}"), Weight::Turn),
            "Eof" => (format!("sees the end (FIN) of {named}"), Weight::Turn),
            "Lost" => (format!("loses {named}: {detail}"), Weight::Turn),
            "Resolved" => (format!("is told what its name stands for: {detail}"), Weight::Detail),
            "Letter" => {
                (format!("hears from within its process: {}", letter(detail)), Weight::Step)
            }
            other => (format!("{other} {detail}"), Weight::Step),
        };
        self.put(step, entry.cause, what, weight);
    }

    fn went(&mut self, step: &Step, entry: &Entry) {
        let named = self.named(step.seat, entry);
        let (kind, detail) = kind(entry);
        let (what, weight) = match kind {
            "Write" | "Read" | "Note" | "Unlisten" | "Datagram" => return,
            "Dial" => (format!("dials {}", self.to(step, entry, detail)), Weight::Step),
            "Resolve" => ("asks what a name stands for".into(), Weight::Detail),
            "Finish" => (format!("ends its side (FIN) of {named}"), Weight::Turn),
            "Close" => (format!("closes {named}{}", self.why(step, entry, named)), Weight::Turn),
            "Letter" => (format!("says within its process: {}", letter(detail)), Weight::Step),
            "Done" => ("is done".into(), Weight::Turn),
            other => (format!("{other} {detail}"), Weight::Step),
        };
        self.put(step, None, what, weight);
    }

    /// Bytes came. What comes behind them on the same connection is added to the same line.
    fn data(&mut self, step: &Step, entry: &Entry, named: &'static str) {
        let Some(conn) = entry.conn else { return };
        let on = (step.seat, conn);
        // Credits, ends and pings are too small to be told of, but something may follow from them.
        let cause = entry.cause.and_then(|cause| self.told.get(&cause).copied());
        if let Some(at) = cause.filter(|_| self.road.tunnels.contains_key(&on))
            && entry.bytes < SMALL
            && let Some(draft) = self.drafts.get_mut(at)
        {
            draft.turns.insert(step.serial);
            self.told.entry(step.serial).or_insert(at);
            return;
        }
        let closes = Some(&entry.text).filter(|_| named.contains("tunnel"));
        let head = head(&entry.text).or_else(|| closes.and_then(|text| close_frame(text)));
        let last = self.drafts.iter().rposition(|draft| {
            draft.data.as_ref().is_some_and(|data| data.on == on)
                || (draft.who == step.name && draft.weight == Weight::Turn)
        });
        let more = last.and_then(|at| self.drafts.get_mut(at).map(|draft| (at, draft)));
        if head.is_none()
            && let Some((at, Draft { data: Some(data), turns, .. })) = more
            && data.on == on
        {
            data.bytes += entry.bytes;
            data.reads += 1;
            data.until = step.at;
            turns.insert(step.serial);
            self.told.insert(step.serial, at);
            return;
        }
        let (bytes, until) = (entry.bytes, step.at);
        let weight = if head.is_some() { Weight::Turn } else { Weight::Detail };
        self.put(step, entry.cause, String::new(), weight);
        if let Some(draft) = self.drafts.last_mut() {
            draft.data = Some(Data { on, named, head, bytes, reads: 1, until });
        }
    }

    fn put(&mut self, step: &Step, cause: Option<u64>, what: String, weight: Weight) {
        // What a turn does follows from what came to it.
        let within = self.told.contains_key(&step.serial).then_some(step.serial);
        let cause = cause.filter(|cause| *cause != step.serial).or(within);
        self.told.entry(step.serial).or_insert(self.drafts.len());
        let (at, serial, who) = (step.at, step.serial, step.name.clone());
        let turns = BTreeSet::from([serial]);
        self.drafts.push(Draft { at, serial, who, what, turns, cause, data: None, weight });
    }

    /// Why a connection is closed, if people were told at that moment.
    fn why(&self, step: &Step, entry: &Entry, named: &str) -> String {
        let life = self.run.cast.whose(step.seat);
        if life.is_some_and(|life| life.member.role == Role::Balancer) {
            let passages = self.run.world.host::<Balancer>(step.seat).passages().iter();
            let mut mine = passages.filter(|passage| Some(passage.front) == entry.conn);
            let why = match mine.next_back() {
                Some(passage) if passage.dials.is_empty() => {
                    ", for no node has told it yet that it is ready"
                }
                Some(passage) if !passage.made => ", for no node takes it",
                Some(_) | None => "",
            };
            return why.to_owned();
        }
        let notes = self.run.world.notes().iter();
        let now = notes.filter(|(at, seat, _)| *at == step.at && *seat == step.seat);
        let mut codes = now.filter_map(|(_, _, note)| {
            if let Note::Unregistered { reason, .. } = note {
                return Some(reason.told().code).filter(|_| named.contains("tunnel"));
            }
            let Note::Request(request) = note else { return None };
            let reason = request.reason.filter(|_| self.road.names.contains(&request.id))?;
            Some(reason.told().code)
        });
        codes.next().map(|code| format!(", because of {code}")).unwrap_or_default()
    }

    fn named(&self, seat: SeatId, entry: &Entry) -> &'static str {
        entry.conn.and_then(|conn| self.road.has(seat, conn)).unwrap_or("a connection")
    }

    /// Who is at the other end.
    fn far(&self, step: &Step, entry: &Entry) -> String {
        let far = entry.conn.and_then(|conn| self.run.world.net().other_end(step.seat, conn));
        let life = far.and_then(|(seat, _)| self.run.cast.whose(seat));
        life.map(|life| format!(" with {}", life.name)).unwrap_or_default()
    }

    fn to(&self, step: &Step, entry: &Entry, detail: &str) -> String {
        let far = entry.conn.and_then(|conn| self.run.world.net().other_end(step.seat, conn));
        if let Some(life) = far.and_then(|(seat, _)| self.run.cast.whose(seat)) {
            return life.name.clone();
        }
        let address = detail.split("to: ").nth(1).unwrap_or(detail).trim_end_matches([' ', '}']);
        let ip = address.split(':').next().unwrap_or_default();
        let hosts = self.run.case.shape.hosts();
        let host = hosts.into_iter().find(|host| host.ip().to_string() == ip);
        host.map_or_else(|| address.to_owned(), crate::case::Member::name)
    }

    /// Who came and went along the road.
    fn lives(&mut self) {
        let (from, to) = (self.road.from, self.road.to);
        let early = Instant::from_nanos(from.as_nanos().saturating_sub(nanos(BEFORE)));
        for life in self.road.lives(self.run) {
            let told = life.told.map(|at| (at, "is told to stop"));
            let end = if life.told.is_some() { "has stopped" } else { "dies" };
            let ended = life.ended.map(|at| (at, end));
            let born = (life.number > 0).then_some((life.born, "is started again"));
            let client = life.member.role == Role::Client;
            for (at, what) in [told, ended, born].into_iter().flatten() {
                if !client && (early..=to).contains(&at) {
                    self.aside(at, life.name.clone(), what.to_owned());
                }
            }
        }
    }

    /// What people along the road were told.
    fn notes(&mut self) {
        let (from, to) = (self.road.from, self.road.to);
        for (at, seat, note) in self.run.world.notes() {
            if !(from..=to).contains(at) || !self.road.seats.contains(seat) {
                continue;
            }
            let Some(what) = said(note, &self.road.names) else { continue };
            let who = self.run.cast.whose(*seat).map(|life| life.name.clone());
            // What people are told is told in a turn.
            let steps = self.run.world.trace().steps();
            let first = steps.partition_point(|step| step.at < *at);
            let mut now = steps[first..].iter().take_while(|step| step.at == *at);
            let turn = now.find(|step| step.seat == *seat).map(|step| step.serial);
            self.aside(*at, who.unwrap_or_default(), what);
            if let Some(draft) = self.drafts.last_mut() {
                draft.cause = turn.filter(|turn| self.told.contains_key(turn));
            }
        }
    }

    fn aside(&mut self, at: Instant, who: String, what: String) {
        let (turns, cause, weight) = (BTreeSet::new(), None, Weight::Turn);
        let serial = u64::MAX;
        self.drafts.push(Draft { at, serial, who, what, turns, cause, data: None, weight });
    }
}

/// Puts the lines in order, leaves out what is too much, and links them.
fn finish(mut drafts: Vec<Draft>) -> (Vec<Line>, usize) {
    drafts.sort_by_key(|draft| (draft.at, draft.serial));
    let all = drafts.len();
    for weight in [Weight::Detail, Weight::Step, Weight::Turn] {
        let mut extra = drafts.len().saturating_sub(LINES_MAX);
        // How it began and how it ended matters more than what was between.
        let (begin, end) = (LINES_MAX / 3, drafts.len().saturating_sub(LINES_MAX / 3));
        let mut at = 0;
        drafts.retain(|draft| {
            at += 1;
            let between = (begin..end).contains(&(at - 1));
            let goes = extra > 0 && draft.weight == weight && between;
            extra -= usize::from(goes);
            !goes
        });
    }
    let left_out = all - drafts.len();
    let mut places: BTreeMap<u64, usize> = BTreeMap::new();
    for (at, draft) in drafts.iter().enumerate() {
        for turn in &draft.turns {
            places.entry(*turn).or_insert(at);
        }
    }
    let lines = drafts.iter().enumerate().map(|(at, draft)| {
        let because = draft.cause.and_then(|cause| places.get(&cause)).copied();
        let what = draft.data.as_ref().map_or_else(|| draft.what.clone(), |data| data.text(draft));
        let until = draft.data.as_ref().map_or(draft.at, |data| data.until);
        let who = draft.who.clone();
        Line { at: draft.at, until, who, what, because: because.filter(|b| *b < at) }
    });
    (lines.collect(), left_out)
}

impl Data {
    fn text(&self, draft: &Draft) -> String {
        let Self { named, head, bytes, reads, until, .. } = self;
        let head = head.as_ref().map(|head| format!("\"{head}\", ")).unwrap_or_default();
        let times = if *reads > 1 {
            format!(" in {reads} pieces, until {}", words::time(*until))
        } else {
            String::new()
        };
        debug_assert!(draft.at <= *until, "more of it came later");
        format!("reads {head}{bytes} bytes{times}, on {named}")
    }
}

fn is_data(entry: &Entry) -> bool {
    matches!(kind(entry).0, "Received" | "Sent" | "Write" | "Read")
}

/// What an entry is, and the rest of it.
fn kind(entry: &Entry) -> (&str, &str) {
    let text = entry.text.as_str();
    let end = text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len());
    let (kind, rest) = text.split_at(end);
    let fault = rest.split("fault: ").nth(1).map(|rest| rest.trim_end_matches([' ', '}']));
    let result = rest.split("result: ").nth(1).map(|rest| rest.trim_end_matches([' ', '}']));
    (kind, fault.or(result).unwrap_or(rest).trim())
}

/// A letter in fewer words.
fn letter(text: &str) -> String {
    let word = ["Request", "Response", "Data", "Trailers", "Reset", "Credit"];
    let found = word.iter().find(|word| text.contains(&format!("word: {word}")));
    match found {
        Some(&"Reset") => {
            let why = text.split_once("reason: ").map(|(_, rest)| rest);
            let why = why.and_then(|rest| rest.split([',', ' ', '}']).next()).unwrap_or_default();
            let reason = Reason::ALL.iter().find(|reason| format!("{reason:?}") == why);
            let code = reason.map_or("no reason", |reason| reason.told().code);
            format!("the request is given up, because of {code}")
        }
        Some(&"Request") => "the request".into(),
        Some(word) => format!("{} of its answer or its body", word.to_lowercase()),
        None => text.chars().take(60).collect(),
    }
}

/// That these bytes of a tunnel begin with its close frame, with the reason if it can be read.
fn close_frame(text: &str) -> Option<String> {
    let bytes = text.split("bytes: b\"").nth(1)?;
    if bytes.starts_with("\\x88\\") {
        let shown = bytes.trim_end_matches("\" }");
        let reason = shown.rsplit(|c: char| !(c.is_ascii_lowercase() || c == '_')).next();
        let reason = reason.filter(|reason| Reason::ALL.iter().any(|r| r.told().code == *reason));
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        return Some(format!("close frame{reason}"));
    }
    None
}

/// The first line of an HTTP head, if these bytes begin with one.
fn head(text: &str) -> Option<String> {
    let bytes = text.split("bytes: b\"").nth(1)?;
    let line = bytes.split("\\r").next()?.trim_end_matches("\" }");
    let heads = ["HTTP/1.", "GET /", "POST /", "PUT /", "DELETE /", "HEAD /"];
    heads.iter().any(|head| line.starts_with(head)).then(|| line.to_owned())
}

/// What people are told, as far as it may matter to a request with one of these names.
fn said(note: &Note, names: &BTreeSet<String>) -> Option<String> {
    let Note::Request(request) = note else { return words::note(note) };
    let why = request.reason.map(|why| format!(", because of {}", why.told().code));
    let (status, took, why) = (request.status, request.took, why.unwrap_or_default());
    let is_it = names.contains(&request.id);
    is_it.then(|| format!("logs the request: status {status}{why}, after {took:.1?}"))
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Who died so long before is still missed.
const BEFORE: Duration = Duration::from_secs(30);
/// So soon a machine writes what it has read.
const SOON: Duration = Duration::from_micros(500);
/// Bytes that no piece of a body or a head is short of, as a rule.
const SMALL: usize = 20;
