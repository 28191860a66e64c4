//! What the demonstration shows: each check sends real requests and looks at what came back.

use super::customer::Customer;
use http::Method;
use std::collections::BTreeMap;

/// One thing that is shown.
pub(super) struct Check {
    /// What holds, in a sentence.
    pub(super) name: &'static str,
    /// Finds out. The text tells what was seen, or what was wrong.
    pub(super) run: fn(&mut Customer, &mut dyn FnMut()) -> Result<String, String>,
}

/// Everything that is shown, in order. The last one has an agent leave.
pub(super) const CHECKS: [Check; 8] = [
    Check { name: "a request crosses the tunnel", run: hello },
    Check { name: "a megabyte comes back as it went", run: echo },
    Check { name: "100 requests at once, each with its own answer", run: many },
    Check { name: "two agents share one endpoint", run: share },
    Check { name: "an event arrives before the next one is made", run: events },
    Check { name: "an upgraded connection carries bytes both ways", run: upgrade },
    Check { name: "an endpoint that nobody serves is refused", run: nobody },
    Check { name: "an agent leaves under load, and no request is lost", run: leave },
];

fn hello(customer: &mut Customer, _leave: &mut dyn FnMut()) -> Result<String, String> {
    let reply = customer.ask(Method::GET, "/", None)?;
    expect(reply.status == 200, || format!("status {}", reply.status))?;
    expect(reply.text().starts_with("hello, by way of agent-"), || reply.text())?;
    Ok(format!("200 {:?}", reply.text().trim_end()))
}

fn echo(customer: &mut Customer, _leave: &mut dyn FnMut()) -> Result<String, String> {
    let body = pattern(1 << 20, 7);
    let reply = customer.ask(Method::POST, "/echo", Some(&body))?;
    expect(reply.status == 200, || format!("status {}", reply.status))?;
    expect(reply.body == body, || format!("{} bytes, not the same", reply.body.len()))?;
    Ok(format!("{} bytes each way", reply.body.len()))
}

fn many(customer: &mut Customer, _leave: &mut dyn FnMut()) -> Result<String, String> {
    let sent: Vec<(u64, Vec<u8>)> = (0..100_u8)
        .map(|i| {
            let body = pattern(100 + 40 * usize::from(i), i);
            (customer.send(Method::POST, "/echo", Some(&body)), body)
        })
        .collect();
    for (exchange, body) in sent {
        let reply = customer.finish(exchange)?;
        expect(reply.body == body, || format!("answer {exchange} is not its own"))?;
    }
    Ok("100 of 100".into())
}

fn share(customer: &mut Customer, _leave: &mut dyn FnMut()) -> Result<String, String> {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let sent: Vec<u64> = (0..200).map(|_| customer.send(Method::GET, "/", None)).collect();
    for exchange in sent {
        let reply = customer.finish(exchange)?;
        let agent = reply.text().trim_end().rsplit(' ').next().unwrap_or_default().to_owned();
        *seen.entry(agent).or_default() += 1;
    }
    let told: Vec<String> = seen.iter().map(|(agent, count)| format!("{agent} {count}")).collect();
    let told = told.join(", ");
    expect(seen.len() == 2 && seen.values().all(|count| *count >= 40), || told.clone())?;
    Ok(told)
}

fn events(customer: &mut Customer, _leave: &mut dyn FnMut()) -> Result<String, String> {
    let stream = customer.send(Method::GET, "/events", None);
    customer.wait(stream, |reply| reply.text() == "data: first\n\n")?;
    let released = customer.ask(Method::POST, "/release", Some(b""))?;
    expect(released.status == 200, || format!("status {}", released.status))?;
    let reply = customer.finish(stream)?;
    expect(reply.text().ends_with("data: second\n\n"), || reply.text())?;
    Ok("first, then asked for the second, then second".into())
}

fn upgrade(customer: &mut Customer, _leave: &mut dyn FnMut()) -> Result<String, String> {
    let raw = customer.upgrade("/upgrade");
    customer.wait(raw, |reply| reply.status == 101)?;
    customer.raw(raw, b"ping", false);
    customer.wait(raw, |reply| reply.body == b"ping")?;
    customer.raw(raw, b"pong", true);
    let reply = customer.finish(raw)?;
    expect(reply.body == b"pingpong", || reply.text())?;
    Ok("101, ping, pong, FIN".into())
}

fn nobody(customer: &mut Customer, _leave: &mut dyn FnMut()) -> Result<String, String> {
    let asked = customer.send_to("nobody", Method::GET, "/", None, false);
    let reply = customer.finish(asked)?;
    let refused = reply.status == 502 && reply.text().contains("\"code\":\"no_upstream\"");
    expect(refused, || format!("{} {}", reply.status, reply.text()))?;
    Ok("502 no_upstream".into())
}

fn leave(customer: &mut Customer, leave: &mut dyn FnMut()) -> Result<String, String> {
    let body = pattern(100_000, 3);
    let mut sent = Vec::new();
    for i in 0..300 {
        if i == 50 {
            leave();
        }
        sent.push(customer.send(Method::POST, "/echo", Some(&body)));
        if sent.len() >= 30 {
            whole(customer, sent.remove(0), &body)?;
        }
    }
    for exchange in sent {
        whole(customer, exchange, &body)?;
    }
    Ok("300 of 300 requests, 100 kB each way".into())
}

fn whole(customer: &mut Customer, exchange: u64, body: &[u8]) -> Result<(), String> {
    let reply = customer.finish(exchange)?;
    expect(reply.status == 200 && reply.body == body, || {
        format!("request {exchange}: {} with {} bytes", reply.status, reply.body.len())
    })
}

/// Bytes that differ from place to place and from salt to salt.
fn pattern(len: usize, salt: u8) -> Vec<u8> {
    let mut state = u32::from(salt).wrapping_add(1);
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(len)
    .collect()
}

fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
