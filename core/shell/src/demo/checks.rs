//! What the demonstration shows: each check sends real requests and looks at what came back.

use super::customer::Customer;
use super::stage::Stage;
use crate::Clock;
use http::Method;
use pico_core::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// One thing that is shown.
pub(super) struct Check {
    /// What holds, in a sentence.
    pub(super) name: &'static str,
    /// Finds out. The text tells what was seen, or what was wrong.
    pub(super) run: fn(&mut Customer, &mut Stage) -> Result<String, String>,
}

/// Everything that is shown, in order. The first ones wait until the nodes know of each other;
/// the later ones kill a node, and have an agent leave.
pub(super) const CHECKS: [Check; 11] = [
    Check { name: "a request crosses the tunnel, by whichever node", run: hello },
    Check { name: "what one node alone holds is found by every other", run: far },
    Check { name: "a megabyte comes back as it went, over a link", run: echo },
    Check { name: "100 requests at once, each with its own answer", run: many },
    Check { name: "two agents on two nodes share one endpoint", run: share },
    Check { name: "an event arrives before the next one is made", run: events },
    Check { name: "an upgraded connection crosses a link, both ways", run: upgrade },
    Check { name: "an endpoint that nobody serves is refused", run: nobody },
    Check { name: "a node is killed under load, and the others answer", run: kill },
    Check { name: "its agent is back, by another node", run: back },
    Check { name: "an agent leaves under load, and no request is lost", run: leave },
];

fn hello(customer: &mut Customer, stage: &mut Stage) -> Result<String, String> {
    let mut seen = Vec::new();
    for node in stage.alive() {
        customer.turn_to(node.proxy);
        let text = learned(customer, "demo")?;
        expect(
            text == "hello, by way of agent-1\n" || text == "hello, by way of agent-2\n",
            || format!("by {}: {text:?}", node.name),
        )?;
        seen.push(node.name.as_str());
    }
    Ok(format!("200 by {}", seen.join(", ")))
}

fn far(customer: &mut Customer, stage: &mut Stage) -> Result<String, String> {
    let holder = stage.agent(2).map(|agent| agent.node.clone()).unwrap_or_default();
    let mut seen = Vec::new();
    for node in stage.alive().filter(|node| node.name != holder) {
        customer.turn_to(node.proxy);
        let text = learned(customer, "far")?;
        expect(text == "hello, by way of agent-3\n", || format!("by {}: {text:?}", node.name))?;
        seen.push(node.name.as_str());
    }
    expect(seen.len() == 2, || format!("asked {} nodes besides {holder}", seen.len()))?;
    Ok(format!("held by {holder}, 200 by {}", seen.join(" and ")))
}

/// The page of an endpoint, as soon as the node has learned who serves it.
fn learned(customer: &mut Customer, endpoint: &str) -> Result<String, String> {
    let clock = Clock::start();
    loop {
        let asked = customer.send_to(endpoint, Method::GET, "/", None, false);
        let reply = customer.finish(asked)?;
        if reply.status == 200 {
            return Ok(reply.text());
        }
        let late = clock.now() >= Instant::ZERO + PATIENCE;
        let unknown = reply.status == 502 && reply.text().contains("\"no_upstream\"");
        expect(unknown && !late, || format!("{} {}", reply.status, reply.text()))?;
    }
}

/// Turns to a node that has to ask another one for `far`.
fn turn_away(customer: &mut Customer, stage: &mut Stage) -> Result<String, String> {
    let holder = stage.agent(2).map(|agent| agent.node.clone()).unwrap_or_default();
    let node = stage.alive().find(|node| node.name != holder).ok_or("no node is left")?;
    customer.turn_to(node.proxy);
    Ok(format!("{} to {holder}", node.name))
}

fn echo(customer: &mut Customer, stage: &mut Stage) -> Result<String, String> {
    let way = turn_away(customer, stage)?;
    let body = pattern(1 << 20, 7);
    let asked = customer.send_to("far", Method::POST, "/echo", Some(&body), false);
    let reply = customer.finish(asked)?;
    expect(reply.status == 200, || format!("status {}", reply.status))?;
    expect(reply.body == body, || format!("{} bytes, not the same", reply.body.len()))?;
    Ok(format!("{} bytes each way, {way}", reply.body.len()))
}

fn many(customer: &mut Customer, _stage: &mut Stage) -> Result<String, String> {
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

fn share(customer: &mut Customer, stage: &mut Stage) -> Result<String, String> {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let proxies: Vec<_> = stage.alive().map(|node| node.proxy).collect();
    let mut sent = Vec::new();
    for proxy in proxies.iter().cycle().take(300) {
        customer.turn_to(*proxy);
        sent.push(customer.send(Method::GET, "/", None));
    }
    for exchange in sent {
        let reply = customer.finish(exchange)?;
        let agent = reply.text().trim_end().rsplit(' ').next().unwrap_or_default().to_owned();
        *seen.entry(agent).or_default() += 1;
    }
    let told: Vec<String> = seen.iter().map(|(agent, count)| format!("{agent} {count}")).collect();
    let told = told.join(", ");
    let fair = |agent: &str| seen.get(agent).is_some_and(|count| *count >= 40);
    expect(seen.len() == 2 && fair("agent-1") && fair("agent-2"), || told.clone())?;
    Ok(told)
}

fn events(customer: &mut Customer, _stage: &mut Stage) -> Result<String, String> {
    let stream = customer.send(Method::GET, "/events", None);
    customer.wait(stream, |reply| reply.text() == "data: first\n\n")?;
    let released = customer.ask(Method::POST, "/release", Some(b""))?;
    expect(released.status == 200, || format!("status {}", released.status))?;
    let reply = customer.finish(stream)?;
    expect(reply.text().ends_with("data: second\n\n"), || reply.text())?;
    Ok("first, then asked for the second, then second".into())
}

fn upgrade(customer: &mut Customer, stage: &mut Stage) -> Result<String, String> {
    let way = turn_away(customer, stage)?;
    let raw = customer.send_to("far", Method::GET, "/upgrade", None, true);
    customer.wait(raw, |reply| reply.status == 101)?;
    customer.raw(raw, b"ping", false);
    customer.wait(raw, |reply| reply.body == b"ping")?;
    customer.raw(raw, b"pong", true);
    let reply = customer.finish(raw)?;
    expect(reply.body == b"pingpong", || reply.text())?;
    Ok(format!("101, ping, pong, FIN, {way}"))
}

fn nobody(customer: &mut Customer, _stage: &mut Stage) -> Result<String, String> {
    let asked = customer.send_to("nobody", Method::GET, "/", None, false);
    let reply = customer.finish(asked)?;
    let refused = reply.status == 502 && reply.text().contains("\"code\":\"no_upstream\"");
    expect(refused, || format!("{} {}", reply.status, reply.text()))?;
    Ok("502 no_upstream".into())
}

/// Kills the node of the second agent while requests go through the others.
fn kill(customer: &mut Customer, stage: &mut Stage) -> Result<String, String> {
    let name = stage.agent(1).map(|agent| agent.node.clone()).unwrap_or_default();
    let others = stage.alive().filter(|node| node.name != name);
    let proxies: Vec<_> = others.map(|node| node.proxy).collect();
    expect(proxies.len() == 2, || format!("{} nodes besides {name}", proxies.len()))?;
    let mut sent = Vec::new();
    for (at, proxy) in proxies.iter().cycle().take(300).enumerate() {
        if at == 50 {
            stage.kill(&name);
        }
        customer.turn_to(*proxy);
        sent.push(customer.send(Method::GET, "/", None));
        if sent.len() >= 30 {
            answered(customer, sent.remove(0))?;
        }
    }
    for exchange in sent {
        answered(customer, exchange)?;
    }
    Ok(format!("{name} is gone, 300 of 300 requests"))
}

fn answered(customer: &mut Customer, exchange: u64) -> Result<(), String> {
    let reply = customer.finish(exchange)?;
    expect(reply.status == 200, || format!("request {exchange}: {} {}", reply.status, reply.text()))
}

/// Waits for the agent of the killed node, and for a request to reach it.
fn back(customer: &mut Customer, stage: &mut Stage) -> Result<String, String> {
    let agent = stage.agent(1).ok_or("there is no second agent")?;
    let old = agent.node.clone();
    agent.await_online().map_err(|error| error.to_string())?;
    let (name, new) = (agent.name, agent.node.clone());
    expect(old != new, || format!("{name} says that it is at {old} again"))?;
    let holder = stage.alive().find(|node| node.name == new);
    let holder = holder.ok_or_else(|| format!("{new} does not run"))?;
    customer.turn_to(holder.proxy);
    let clock = Clock::start();
    loop {
        let reply = customer.ask(Method::GET, "/", None)?;
        expect(reply.status == 200, || format!("{} {}", reply.status, reply.text()))?;
        if reply.text().trim_end().ends_with(name) {
            return Ok(format!("{name} at {new} after {old}"));
        }
        let late = clock.now() >= Instant::ZERO + PATIENCE;
        expect(!late, || format!("no request reaches {name}"))?;
    }
}

/// Has the first agent leave while requests go through all nodes.
fn leave(customer: &mut Customer, stage: &mut Stage) -> Result<String, String> {
    let body = pattern(100_000, 3);
    let proxies: Vec<_> = stage.alive().map(|node| node.proxy).collect();
    let mut sent = Vec::new();
    for (at, proxy) in proxies.iter().cycle().take(300).enumerate() {
        if at == 50
            && let Some(agent) = stage.agent(0)
        {
            agent.leave();
        }
        customer.turn_to(*proxy);
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
        let text: String = reply.text().chars().take(200).collect();
        format!("request {exchange}: {} with {} bytes: {text}", reply.status, reply.body.len())
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

/// The longest wait for something to come about: far beyond what a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(20);
