//! Cases, plans and ends in words.

use crate::actors::{Abort, Arrival, Body, End, GIVE_UP, Outcome, Pace, Parting, Plan, Record};
use crate::case::{Answer, Fault, Intrusion, Kind, Link, Traffic, Way};
use core::fmt::{Arguments, Write as _};
use pico_core::Instant;
use pico_core::note::{Gone, Note, Why};

/// What a request is to be, and what its service is to do.
pub fn plan(plan: &Plan, endpoint: &str) -> Vec<String> {
    let named = if plan.by_header { "x-pico-endpoint" } else { "Host" };
    let mut client = format!("{} to {endpoint}, named by {named}", plan.method);
    if plan.is_upgrade() {
        put(
            &mut client,
            format_args!(", to become a tunnel; the client says {}", body(&plan.request)),
        );
    } else if plan.is(Kind::Upgrade) {
        client += ", which offers to become a tunnel";
    } else if plan.request.len > 0 || plan.request.chunked {
        put(&mut client, format_args!(", with {}", body(&plan.request)));
    } else {
        client += ", without a body";
    }
    let ways = [
        (plan.is(Kind::Expects), "waits for 100 Continue"),
        (plan.is(Kind::SlowWriter), "writes with pauses"),
        (plan.reads != Pace::STEADY, "reads with pauses"),
        (plan.follow > 0, "sends more requests behind it at once"),
        (plan.is_half_closed(), "sends FIN behind it and waits for the answer"),
        (plan.parting == Parting::Announce, "says that it will close the connection"),
    ];
    for (_, way) in ways.iter().filter(|(is, _)| *is) {
        put(&mut client, format_args!("; the client {way}"));
    }
    if let Some(Abort { after, bytes }) = plan.abort {
        let how = if plan.rude { "a reset" } else { "FIN" };
        put(
            &mut client,
            format_args!("; the client gives up after {after:?} or {bytes} bytes, by {how}"),
        );
    }
    let mut service = "the service ".to_owned();
    if !plan.think.is_zero() {
        put(&mut service, format_args!("thinks for {:?}, then ", plan.think));
    }
    if plan.is(Kind::ServiceHangs) {
        service += "never answers";
    } else if plan.is(Kind::ServiceCloses) {
        service += "closes its connection instead of answering";
    } else if plan.is(Kind::ServiceBabbles) {
        service += "answers with something else than HTTP";
    } else {
        put(&mut service, format_args!("answers {}", plan.status));
        if plan.interim > 0 {
            put(&mut service, format_args!(" behind {} interim responses", plan.interim));
        }
        if plan.is_upgrade() {
            put(&mut service, format_args!(", and says {}", body(&plan.response)));
        } else if plan.body_len() > 0 {
            put(&mut service, format_args!(" with {}", body(&plan.response)));
        }
        if plan.is(Kind::Early) {
            service += ", before the request has ended";
        }
        if plan.refuses {
            service += ", and refuses what was offered";
        }
    }
    if let Some(cut) = plan.cut {
        let how = if plan.rude { "a reset" } else { "FIN" };
        put(&mut service, format_args!("; it breaks off behind {cut} bytes, by {how}"));
    }
    let twice = if plan.is_idempotent() { "may" } else { "must not" };
    vec![client, service, format!("it {twice} run twice")]
}

fn body(body: &Body) -> String {
    let mut text = format!("{} bytes", body.len);
    if body.chunked {
        text += " in chunks";
        if body.trailer {
            text += " and a trailer";
        }
    }
    if body.pace != Pace::STEADY {
        text += ", with pauses";
    }
    text
}

/// How a request ended, as its client sees it.
pub fn ended(record: &Record) -> String {
    let took = record.ended.since(record.began);
    let how = match &record.outcome {
        Outcome::Complete { service } => format!("with the complete answer of {service}"),
        Outcome::Error { status, code } => format!("with the error {status} {code}"),
        Outcome::Broken { begun: true, .. } => "when its answer was cut".into(),
        Outcome::Broken { begun: false, reused } => {
            let of = if *reused { ", which had carried others," } else { "" };
            format!("when its connection{of} was cut before an answer")
        }
        Outcome::Unreachable => "because there was nobody to connect to".into(),
        Outcome::Aborted => "because its client gave up, as planned".into(),
        Outcome::Silence => "because nothing moved for too long".into(),
        Outcome::Wrong(why) => format!("with an answer that is not right: {why}"),
    };
    format!("at {} its client saw it end after {took:.1?}, {how}", time(record.ended))
}

/// What a request came to beside what it was to be, for whoever has not asked for its story.
pub fn verdict(record: &Record, plan: &Plan) -> String {
    let took = record.ended.since(record.began);
    let (came, whole) = (record.received, plan.body_len());
    let part = format!("got {came} of {whole} bytes of its answer");
    let mut text = match &record.outcome {
        Outcome::Complete { service } => {
            format!("got the complete answer of {service} after {took:.1?}")
        }
        Outcome::Error { status, code } => {
            format!("got the error {} after {took:.1?}", format!("{status} {code}").trim_end())
        }
        Outcome::Broken { begun: true, .. } => {
            format!("{part}, and its connection was cut after {took:.1?}")
        }
        Outcome::Broken { begun: false, .. } => {
            format!("got no answer, and its connection was cut after {took:.1?}")
        }
        Outcome::Unreachable => "found nobody to connect to".into(),
        Outcome::Aborted => "was given up by its client, as planned".into(),
        Outcome::Silence if record.head.is_some() => {
            format!("{part}, then nothing for {GIVE_UP:?}")
        }
        Outcome::Silence => format!(
            "got no answer, and nothing moved for {GIVE_UP:?} behind the {} bytes that it sent",
            record.sent
        ),
        Outcome::Wrong(why) => format!("got an answer that is not right: {why}"),
    };
    if !record.leaked.is_empty() {
        put(&mut text, format_args!("; what concerns one hop came: {}", record.leaked.join(", ")));
    }
    format!("{text}; {}", meant(plan))
}

/// What a request was to be, in one sentence.
pub fn meant(plan: &Plan) -> String {
    let lines = self::plan(plan, &format!("endpoint-{}", plan.endpoint));
    format!("it was to be: {}", lines.join("; "))
}

/// How a request arrived at a service.
pub fn arrived(service: &str, arrival: &Arrival) -> String {
    let end = match arrival.end {
        End::Open => "it has not ended there",
        End::Answered => "the whole answer was sent",
        End::Fin => "the client's side sent FIN too early",
        End::Lost => "its connection broke",
        End::Broke => "the service broke it off, as planned",
    };
    let (at, received) = (time(arrival.began), arrival.received);
    let mut text = format!("at {at} it arrived at {service}: {received} bytes came, and {end}");
    if let Some(ended) = arrival.ended {
        put(&mut text, format_args!(" at {}", time(ended)));
    }
    if let Some(wrong) = &arrival.wrong {
        put(&mut text, format_args!("; not right: {wrong}"));
    }
    if !arrival.leaked.is_empty() {
        put(&mut text, format_args!("; what concerns one hop came: {}", arrival.leaked.join(", ")));
    }
    text
}

/// What goes wrong.
pub fn fault(fault: &Fault) -> String {
    let mut text = match fault {
        Fault::Crash { who, .. } => format!("{who} crashes"),
        Fault::PowerLoss { who, .. } => format!("{who} loses its power"),
        Fault::Stop { who, apart: Some(apart), .. } => {
            format!("one of {who} is told to stop every {apart}")
        }
        Fault::Stop { who, apart: None, .. } => format!("{who} is told to stop"),
        Fault::Pause { who, .. } => format!("{who} gets no processor"),
        Fault::Slow { who, times, .. } => format!("{who} runs {times} times slower"),
        Fault::Drift { who, ppm } => format!("the clock of {who} is {ppm} ppm fast"),
        Fault::ClockBack { who, by, .. } => format!("the calendar of {who} goes back by {by}"),
        Fault::Namesake { who, of, .. } => format!("{who} is started under the name of {of}"),
        Fault::Recycled { who, .. } => {
            format!("{who} dies, and a node of another cluster gets its address")
        }
        Fault::Turnover { who, every, .. } => format!("every {every} one of {who} is replaced"),
        Fault::Intruder { who, how, .. } => {
            let what = match how {
                Intrusion::Replay => "is sent again what was sent before",
                Intrusion::Garbage => "is sent garbage",
                Intrusion::Stranger => "is sent packets of another cluster",
                Intrusion::Mirror => "is sent its own packets",
                Intrusion::Future => "is sent versions and messages that there are not yet",
            };
            format!("{who} {what}")
        }
        Fault::Churn { who, endpoints, .. } => format!("{who} serves {endpoints} endpoints more"),
        Fault::Cut { from, to, both, only, flaps, .. } => {
            let what = match only {
                Traffic::All => "nothing passes",
                Traffic::Datagrams => "no datagram passes",
                Traffic::Streams => "only datagrams pass",
            };
            let way = if *both { "between" } else { "from" };
            let and = if *both { "and" } else { "to" };
            let flaps = flaps.map(|span| format!(", on and off every {span}")).unwrap_or_default();
            format!("{what} {way} {from} {and} {to}{flaps}")
        }
        Fault::Weather { from, to, both, link: weather, .. } => {
            let way = if *both { "between" } else { "from" };
            let and = if *both { "and" } else { "to" };
            format!("the link {way} {from} {and} {to} has {}", link(weather))
        }
        Fault::Reset { who, dial, way, byte } => {
            format!("dial {dial} of {who} is reset at byte {byte} {}", direction(*way))
        }
        Fault::Stall { who, dial, way, byte, .. } => {
            format!("dial {dial} of {who} falls silent at byte {byte} {}", direction(*way))
        }
        Fault::Refuse { who, dial } => format!("dial {dial} of {who} is refused"),
        Fault::Blackhole { who, dial } => format!("dial {dial} of {who} is never answered"),
        Fault::Names { who, answer, .. } => {
            let how = match answer {
                Answer::Fails => "finds no name",
                Answer::Never => "gets no answer about names",
                Answer::Partial => "is told a part of the addresses of names",
                Answer::Stale => "is told an old address of names first",
                Answer::Own => "is told no address of names but its own",
            };
            format!("{who} {how}")
        }
    };
    if let Some(at) = fault.at() {
        put(&mut text, format_args!(", at {}", time(Instant::ZERO + at.0)));
    }
    if let Some(lasts) = fault.lasts() {
        put(&mut text, format_args!(", for {lasts}"));
    }
    if let Some(back) = fault.back() {
        put(&mut text, format_args!(", and is started again {back} later"));
    }
    text
}

fn direction(way: Way) -> &'static str {
    match way {
        Way::Up => "of what it sends",
        Way::Down => "of what it gets",
    }
}

fn link(link: &Link) -> String {
    let usual = Link::default();
    let mut parts = Vec::new();
    if link.loss != usual.loss {
        let rows = if link.burst > 1 { " in rows" } else { "" };
        parts.push(format!("{} in a million packets lost{rows}", link.loss.millionths()));
    }
    if link.latency != usual.latency {
        parts.push(format!("a latency of {}", link.latency));
    }
    if link.rate != usual.rate {
        parts.push(format!("a rate of {} bytes a second", link.rate));
    }
    if parts.is_empty() { "its usual weather".into() } else { parts.join(", ") }
}

/// What people are told; nothing of single requests.
pub fn note(note: &Note) -> Option<String> {
    Some(match note {
        Note::Request(_) => return None,
        Note::Registered { endpoint, .. } => format!("has an upstream for {endpoint}"),
        Note::Unregistered { endpoint, reason } => {
            format!("has lost an upstream for {endpoint}: {}", reason.told().code)
        }
        Note::Refused { reason, .. } => format!("refuses a peer: {}", reason.told().code),
        Note::Online { node, .. } => format!("is online at {node}"),
        Note::Moving { node, .. } => format!("is asked by {node} to connect elsewhere"),
        Note::Offline { server, why, retry, .. } => {
            let why = down(*why);
            format!("is offline: {server}: {why}; it dials again after {retry:.1?}")
        }
        Note::Rejected { status, code, .. } => format!("is rejected: {status} {code}"),
        Note::ServiceUnreachable { service, fault, .. } => {
            format!("cannot reach its service at {service}: {fault}")
        }
        Note::NodeFound { node, .. } => format!("has found {node}"),
        Note::NodeGone { node, why: Gone::Dead } => format!("holds {node} dead"),
        Note::NodeGone { node, why: Gone::Left } => format!("has heard that {node} left"),
        Note::NodeGone { node, why: Gone::Restarted } => format!("sees that {node} restarted"),
        Note::Alone { seed, why } => format!("finds nobody at {seed}: {why}"),
        Note::Deserted => "has found nobody in time, and ends".into(),
        Note::LinkUp { node, again: false } => format!("has a link to {node}"),
        Note::LinkUp { node, again: true } => format!("has its link to {node} back"),
        Note::LinkDown { node, why: Some(why) } => {
            format!("has lost its link to {node}: {}", down(*why))
        }
        Note::LinkDown { node, why: None } => format!("has closed its link to {node}"),
        Note::Rebalancing { held, share } => {
            format!("holds {held} upstreams, its share is {share}: it asks some to move")
        }
        Note::Joined { nodes, .. } => format!("is ready, and knows {nodes} nodes"),
        Note::Untrusted { peer, why, .. } => format!("does not trust {peer}: {why}"),
        Note::Namesake { .. } => "has a namesake, and ends".into(),
        Note::Draining { calls } => format!("drains, with {calls} calls under way"),
        Note::Drained { cut } => format!("has drained; {cut} calls were cut off"),
    })
}

/// Why a tunnel or a link is down.
fn down(why: Why) -> String {
    match why {
        Why::Fault(fault) => fault.to_string(),
        Why::Reason(reason) => reason.told().code.to_owned(),
        Why::Status(status) => format!("status {status}"),
    }
}

/// A time since the world began, in seconds.
pub fn time(at: Instant) -> String {
    format!("{:.6} s", at.since(Instant::ZERO).as_secs_f64())
}

/// Appends what `what` says.
fn put(text: &mut String, what: Arguments<'_>) {
    text.write_fmt(what).expect("a string takes any text");
}
