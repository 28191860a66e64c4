//! A run as one page that any browser shows, without a network and without a server.

mod messages;

use crate::actors::{Client, Outcome, Record, Service};
use crate::case::{Fault, Role};
use crate::explain::words;
use crate::kernel::SeatId;
use crate::run::{Life, Run};
use pico_core::Instant;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Draws `run`, whose trace must be recorded, as an HTML page.
pub fn page(run: &Run, revision: &str) -> String {
    // A script ends at its end tag, wherever that is.
    let data = data(run, revision).to_string().replace("</", "<\\/");
    let parts = [("{{style}}", STYLE), ("{{script}}", SCRIPT), ("{{data}}", data.as_str())];
    parts.iter().fold(PAGE.to_owned(), |page, (place, part)| page.replacen(place, part, 1))
}

/// The lanes: hosts, in the order of a request's way, with everybody's machines.
struct Lanes {
    names: Vec<(String, Role)>,
    of: BTreeMap<SeatId, usize>,
}

impl Lanes {
    fn of(run: &Run) -> Self {
        let order =
            [Role::Operator, Role::Client, Role::Balancer, Role::Node, Role::Agent, Role::Service];
        let mut lanes = Self { names: Vec::new(), of: BTreeMap::new() };
        let hosts = run.case.shape.hosts();
        // An agent's service is drawn beside it.
        let pairs = |role: Role| matches!(role, Role::Agent | Role::Service);
        let mut sorted: Vec<_> = hosts
            .iter()
            .map(|host| {
                let place = order.iter().position(|role| *role == host.role).unwrap_or_default();
                let group = if pairs(host.role) { 3 } else { place };
                ((group, if pairs(host.role) { host.at } else { 0 }, place, host.at), host)
            })
            .collect();
        sorted.sort_by_key(|(key, _)| *key);
        for (_, host) in sorted {
            let lane = lanes.names.len();
            lanes.names.push((host.name(), host.role));
            for life in run.cast.of(host.role).filter(|life| life.member == *host) {
                lanes.of.extend(life.seats.iter().map(|seat| (*seat, lane)));
            }
        }
        lanes
    }

    fn lane(&self, seat: SeatId) -> usize {
        self.of.get(&seat).copied().unwrap_or_default()
    }
}

fn data(run: &Run, revision: &str) -> Value {
    let lanes = Lanes::of(run);
    let requests = requests(run, &lanes);
    let (messages, dropped) = messages::of(run, &lanes);
    let described = lanes.names.iter().enumerate().map(|(at, (name, role))| {
        let lives = run.cast.of(*role).filter(|life| lanes.lane(life.seats[0]) == at);
        json!({
            "name": name,
            "role": role.name(),
            "lives": lives.map(life).collect::<Vec<_>>(),
        })
    });
    let notes = run.world.notes().iter().filter_map(|(at, seat, note)| {
        let what = words::note(note)?;
        Some(json!({ "at": secs(*at), "lane": lanes.lane(*seat), "what": what }))
    });
    json!({
        "seed": run.case.seed,
        "revision": revision,
        "trace": format!("{:016x}", run.world.trace().sum()),
        "broken": run.broken().map(|broken| json!({
            "text": broken.to_string(),
            "at": secs(broken.at),
            "request": broken.request,
        })),
        "case": run.case.text(),
        "heal": secs(Instant::ZERO + run.case.heal.0),
        "end": secs(run.world.now()),
        "lanes": described.collect::<Vec<_>>(),
        "faults": faults(run, &lanes),
        "requests": requests,
        "messages": messages,
        "dropped": dropped,
        "notes": notes.collect::<Vec<_>>(),
    })
}

fn life(life: &Life) -> Value {
    json!({
        "name": life.name,
        "born": secs(life.born),
        "told": life.told.map(secs),
        "ended": life.ended.map(secs),
    })
}

fn faults(run: &Run, lanes: &Lanes) -> Vec<Value> {
    let shape = &run.case.shape;
    let heal = Instant::ZERO + run.case.heal.0;
    let describe = |fault: &Fault| {
        let hosts = shape.hosts();
        let names = fault.names();
        let hit = |lane: usize| {
            let host = hosts.iter().find(|host| host.name() == lanes.names[lane].0);
            host.is_some_and(|host| names.iter().any(|who| shape.means(who, *host)))
        };
        let touched: Vec<usize> = (0..lanes.names.len()).filter(|lane| hit(*lane)).collect();
        let at = fault.at().map(|at| Instant::ZERO + at.0);
        let lasts = fault.lasts().or_else(|| fault.back());
        let end = at.zip(lasts).map(|(at, lasts)| (at + lasts.0).min(heal));
        json!({
            "what": words::fault(fault),
            "from": at.map(secs),
            "to": end.map(secs),
            "lanes": touched,
        })
    };
    run.case.faults.iter().map(describe).collect()
}

fn requests(run: &Run, lanes: &Lanes) -> Vec<Value> {
    let mut arrivals: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
    for life in run.cast.of(Role::Service) {
        let seat = life.seats[0];
        for arrival in run.world.host::<Service>(seat).arrivals() {
            let served = run.world.host::<Service>(seat).served().to_string();
            arrivals.entry(arrival.id).or_default().push(json!({
                "lane": lanes.lane(seat),
                "from": secs(arrival.began),
                "to": arrival.ended.map(secs),
                "what": words::arrived(&served, arrival),
            }));
        }
    }
    let mut all = Vec::new();
    for life in run.cast.of(Role::Client) {
        let seat = life.seats[0];
        for record in run.world.host::<Client>(seat).records() {
            let came = arrivals.remove(&record.id).unwrap_or_default();
            all.push(request(run, record, lanes.lane(seat), &came));
        }
    }
    // Those that their client never saw end.
    for (id, came) in arrivals {
        let plan = run.work.plan(id);
        let from = came.first().map(|arrival| arrival["from"].clone());
        all.push(json!({
            "id": id,
            "lane": null,
            "due": from,
            "from": from,
            "to": null,
            "class": "open",
            "method": plan.method,
            "endpoint": run.work.endpoints[plan.endpoint],
            "how": "its client never saw it end",
            "plan": words::plan(&plan, &run.work.endpoints[plan.endpoint]),
            "arrivals": came,
        }));
    }
    all.sort_by_key(|request| request["id"].as_u64());
    all
}

fn request(run: &Run, record: &Record, lane: usize, arrivals: &[Value]) -> Value {
    let plan = run.work.plan(record.id);
    let endpoint = &run.work.endpoints[plan.endpoint];
    let meant = plan.is_failed();
    let class = match &record.outcome {
        Outcome::Complete { .. } => "complete",
        Outcome::Aborted => "meant",
        Outcome::Error { .. } | Outcome::Broken { .. } if meant => "meant",
        Outcome::Error { .. } => "error",
        Outcome::Broken { .. } | Outcome::Unreachable | Outcome::Silence => "cut",
        Outcome::Wrong(_) => "wrong",
    };
    json!({
        "id": record.id,
        "lane": lane,
        "due": secs(record.due),
        "from": secs(record.began),
        "head": record.head.map(secs),
        "to": secs(record.ended),
        "class": class,
        "status": record.status,
        "method": plan.method,
        "endpoint": endpoint,
        "how": words::ended(record),
        "plan": words::plan(&plan, endpoint),
        "arrivals": arrivals,
    })
}

/// Seconds, to the microsecond.
fn secs(at: Instant) -> f64 {
    let micros = u32::try_from(at.as_nanos() / 1_000 % 1_000_000).unwrap_or_default();
    let whole = u32::try_from(at.as_nanos() / 1_000_000_000).unwrap_or(u32::MAX);
    f64::from(whole) + f64::from(micros) / 1e6
}

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
