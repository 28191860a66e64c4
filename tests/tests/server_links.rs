//! Requests whose upstream is at another node: they go there over a link, one hop and no more,
//! and are as if they had been asked for there.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod server;

use http::StatusCode;
use pico_core::head::ResponseHead;
use pico_core::routing::Standing;
use pico_core::rpc::{Reset, Word};
use pico_core::server::Settings;
use pico_core::{Limits, Reason};
use server::words::{GET, POST, body, called, credit, fields, status, xs};
use server::{Agent, Cluster, Rig, boot, data};

#[test]
fn a_request_reaches_an_agent_of_another_node_on_whichever_workers_they_are() {
    for (client, door, worker) in [(0, 0, 0), (0, 0, 1), (1, 1, 0), (1, 0, 0)] {
        let mut c = Cluster::new(&[2, 2]);
        c.doors[1] = door;
        let agent = c.agent(1, worker, "a");
        let client = c.ask(0, client, POST);
        let (stream, head) = c.called(agent);
        assert_eq!((head.method.as_str(), head.target()), ("POST", &b"/p"[..]));
        assert_eq!(head.fields.all("via").count(), 1, "{head:?}");
        assert_eq!(head.fields.all("x-forwarded-for").count(), 1, "{head:?}");
        assert!(head.fields.get("x-pico-endpoint").is_none(), "{head:?}");
        let words = c.heard(agent, stream);
        assert!(words.contains(&data(b"hi", true)), "{words:?}");
        c.respond(agent, stream, &[("Content-Length", "2"), ("X-Pico-Secret", "1")], false);
        c.say(agent, stream, data(b"yo", true));
        let text = c.text(client);
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\nyo"), "{text}");
        assert_eq!(text.matches("Via: 1.1 n0\r\n").count(), 1, "{text}");
        assert!(!text.contains("n1") && !text.contains("Secret"), "{text}");
        assert_eq!((c.relayed(0), c.relayed(1)), (0, 1));
        c.rest();
    }
}

#[test]
fn bodies_without_length_interim_heads_and_trailers_pass_both_ways() {
    let mut c = Cluster::new(&[1, 2]);
    let agent = c.agent(1, 1, "a");
    let head = "PUT / HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\nTransfer-Encoding: chunked";
    let client = c.ask(0, 0, &format!("{head}\r\n\r\n2\r\nhe\r\n"));
    let (stream, _) = c.called(agent);
    assert_eq!(body(&c.heard(agent, stream)), b"he", "as it comes");
    c.receive(client, b"3\r\nllo\r\n0\r\nX-Sum: 1\r\n\r\n");
    let words = c.heard(agent, stream);
    assert_eq!(body(&words), b"llo");
    let trailers = Word::Trailers(fields(&[("X-Sum", "1")]));
    assert!(words.contains(&trailers), "{words:?}");
    let early = StatusCode::from_u16(103).unwrap();
    let head = ResponseHead::new(early, b"Early Hints", fields(&[("Link", "</a>")]));
    c.say(agent, stream, Word::Response { head, end: false });
    let text = c.text(client);
    assert!(text.starts_with("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n"), "{text}");
    c.respond(agent, stream, &[], false);
    c.say(agent, stream, data(b"yo", false));
    assert!(c.text(client).ends_with("\r\n2\r\nyo\r\n"), "as it comes");
    c.say(agent, stream, trailers);
    assert_eq!(c.text(client), "0\r\nX-Sum: 1\r\n\r\n");
    c.rest();
}

#[test]
fn an_upgraded_stream_carries_bytes_both_ways_and_ends_each_way_for_itself() {
    let mut c = Cluster::new(&[1, 1]);
    let agent = c.agent(1, 0, "a");
    let ask = "GET / HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\nConnection: upgrade\r\n\
               Upgrade: echo\r\n\r\n";
    let client = c.ask(0, 0, ask);
    let (stream, head) = c.called(agent);
    assert_eq!(head.fields.get("upgrade"), Some(&b"echo"[..]));
    let status = StatusCode::SWITCHING_PROTOCOLS;
    let head = ResponseHead::new(status, b"Switching Protocols", fields(&[("Upgrade", "echo")]));
    c.say(agent, stream, Word::Response { head, end: false });
    assert!(c.text(client).starts_with("HTTP/1.1 101 "));
    c.receive(client, b"ping");
    assert_eq!(body(&c.heard(agent, stream)), b"ping");
    c.say(agent, stream, data(b"pong", true));
    assert_eq!(c.text(client), "pong");
    assert!(c.nodes[0].finished.contains(&client.1), "the service's FIN");
    c.receive(client, b"more");
    assert_eq!(body(&c.heard(agent, stream)), b"more", "the other direction is open");
    c.nodes[0].eof(client.1);
    assert!(c.heard(agent, stream).contains(&data(b"", true)), "the client's FIN");
    c.rest();
}

#[test]
fn a_client_that_vanishes_aborts_its_call_at_the_other_node() {
    for answered in [false, true] {
        let mut c = Cluster::new(&[2, 2]);
        let agent = c.agent(1, 1, "a");
        let client = c.ask(0, 1, GET);
        let (stream, _) = c.called(agent);
        if answered {
            c.respond(agent, stream, &[], false);
            c.say(agent, stream, data(b"some", false));
        }
        c.nodes[0].lose(client.1);
        let words = c.heard(agent, stream);
        let canceled = Word::Reset(Reset { reason: Reason::Canceled, started: true });
        assert_eq!(words.last(), Some(&canceled), "{words:?}");
        c.rest();
    }
}

#[test]
fn an_answer_before_the_end_of_the_request_ends_the_call_everywhere() {
    let mut c = Cluster::new(&[1, 1]);
    let agent = c.agent(1, 0, "a");
    let head = "PUT / HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\nContent-Length: 9\r\n\r\nhi";
    let client = c.ask(0, 0, head);
    let (stream, _) = c.called(agent);
    c.respond(agent, stream, &[("Content-Length", "2")], false);
    c.say(agent, stream, data(b"no", true));
    let text = c.text(client);
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\nno"), "{text}");
    let words = c.heard(agent, stream);
    let enough = Word::Reset(Reset { reason: Reason::Closed, started: true });
    assert_eq!(words.last(), Some(&enough), "{words:?}");
    c.rest();
}

#[test]
fn a_callee_that_has_had_enough_is_believed_behind_the_end_of_its_answer() {
    let window = Limits::default().window_bytes;
    let mut c = Cluster::new(&[1, 1]);
    let agent = c.agent(1, 0, "a");
    let head = "PUT / HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\nContent-Length: 9\r\n\r\nhi";
    let client = c.ask(0, 0, head);
    let (stream, _) = c.called(agent);
    c.nodes[0].stall(client.1);
    let length = 2 * window;
    c.respond(agent, stream, &[("Content-Length", &length.to_string())], false);
    c.say(agent, stream, data(&vec![b'x'; window], false));
    // The link takes no more than the first window, so that the rest waits at the relay.
    c.say(agent, stream, data(&vec![b'x'; window], true));
    let enough = Reset { reason: Reason::Closed, started: true };
    c.say(agent, stream, Word::Reset(enough));
    let mut got = 0;
    for _ in 0..64 {
        c.nodes[0].take(client.1, 16 * 1024);
        c.settle();
        got += xs(&c.nodes[0].bytes(client.1));
    }
    assert_eq!(got, length, "all of the answer");
    c.rest();
}

#[test]
fn a_stale_route_is_not_mine_and_the_request_goes_elsewhere() {
    for request in [GET, POST] {
        let mut c = Cluster::new(&[2, 2, 2]);
        c.route(0, "a", 1);
        let client = c.ask(0, 0, request);
        let text = c.text(client);
        assert!(text.starts_with("HTTP/1.1 502 ") && text.contains("\"no_upstream\""), "{text}");
        assert_eq!(c.relayed(1), 1);
        let agent = c.agent(2, 1, "a");
        for _ in 0..10 {
            let client = c.ask(0, 1, request);
            let (stream, _) = c.called(agent);
            c.respond(agent, stream, &[], true);
            assert_eq!(status(&mut c, client), 200);
        }
        assert!(c.relayed(1) > 1, "some went the wrong way first");
        assert!(c.nodes[0].lost.is_empty(), "nothing broke");
        c.rest();
    }
}

#[test]
fn what_was_forwarded_is_not_forwarded_again() {
    let mut c = Cluster::new(&[1, 1, 1]);
    let agent = c.online(2, 0, "a");
    c.route(0, "a", 1);
    c.route(1, "a", 2);
    let client = c.ask(0, 0, GET);
    assert!(c.text(client).contains("\"no_upstream\""));
    assert_eq!((c.relayed(1), c.relayed(2)), (1, 0));
    c.ask(1, 0, GET);
    assert!(!c.idle(agent), "a client of the middle node is served by the last");
}

#[test]
fn an_upstream_here_is_chosen_before_one_elsewhere_until_it_has_twice_the_load() {
    let mut c = Cluster::new(&[1, 1]);
    let (here, there) = (c.agent(0, 0, "a"), c.agent(1, 0, "a"));
    for _ in 0..30 {
        c.ask(0, 0, GET);
    }
    c.settle();
    let count = |c: &Cluster, agent: usize| c.agents[agent].1.called.len();
    assert_eq!((count(&c, here), count(&c, there)), (20, 10));
}

#[test]
fn a_reset_passes_with_what_it_says_of_the_start() {
    for (request, started, again) in
        [(POST, true, false), (POST, false, true), (GET, true, true), (GET, false, true)]
    {
        let mut c = Cluster::new(&[1, 2, 2]);
        let agents = [c.agent(1, 1, "a"), c.agent(2, 1, "a")];
        let client = c.ask(0, 0, request);
        let (first, stream) = called(&mut c, agents);
        c.reset(first, stream, started);
        let second = agents[usize::from(first == agents[0])];
        assert_eq!(!c.idle(second), again, "{request} {started}");
        assert_eq!(status(&mut c, client), if again { 0 } else { 502 });
        if again && request == POST {
            let (stream, _) = c.called(second);
            assert_eq!(body(&c.heard(second, stream)), b"hi", "all of its body again");
        }
    }
}

#[test]
fn who_is_not_well_is_called_only_if_nobody_else_serves() {
    for standing in [Standing::Suspect, Standing::Leaving] {
        let mut c = Cluster::new(&[1, 1, 1]);
        let (ill, well) = (c.agent(1, 0, "a"), c.agent(2, 0, "a"));
        c.know(0, |peers| peers.get_mut(&boot(1)).unwrap().standing = standing);
        c.asks(20, GET);
        assert!(c.idle(ill) && !c.idle(well));
        c.know(0, |peers| drop(peers.remove(&boot(2))));
        c.ask(0, 0, GET);
        assert!(!c.idle(ill));
    }
}

#[test]
fn a_stalled_client_stops_the_service_at_the_other_node_and_lets_it_go_on() {
    let window = Limits::default().window_bytes;
    let mut c = Cluster::new(&[1, 2]);
    let agent = c.agent(1, 1, "a");
    let client = c.ask(0, 0, GET);
    let (stream, _) = c.called(agent);
    c.nodes[0].stall(client.1);
    let length = 64 * window;
    c.respond(agent, stream, &[("Content-Length", &length.to_string())], false);
    let mut sent = 0;
    loop {
        let more = credit(&c.heard(agent, stream)).min(length - sent);
        if more == 0 {
            break;
        }
        c.say(agent, stream, data(&vec![b'x'; more], false));
        sent += more;
    }
    assert!((2 * window..=6 * window).contains(&sent), "bounded: {sent}");
    let mut got = 0;
    for _ in 0..length / 1024 {
        c.nodes[0].take(client.1, 16 * 1024);
        let text = c.nodes[0].bytes(client.1);
        got += xs(&text);
        let more = credit(&c.heard(agent, stream)).min(length - sent);
        if more > 0 {
            sent += more;
            c.say(agent, stream, data(&vec![b'x'; more], sent == length));
        }
    }
    assert_eq!(got, length);
    c.rest();
}

#[test]
fn a_stalled_service_at_the_other_node_stops_the_client() {
    let window = Limits::default().window_bytes;
    let mut c = Cluster::new(&[1, 2]);
    let agent = c.agent(1, 1, "a");
    let length = 64 * window;
    let head = "PUT / HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\n";
    let client = c.ask(0, 0, &format!("{head}Content-Length: {length}\r\n\r\n"));
    let (stream, _) = c.called(agent);
    let mut sent = 0;
    while sent < length && c.nodes[0].has_room(client.1) {
        c.receive(client, &vec![b'x'; 16 * 1024]);
        sent += 16 * 1024;
    }
    assert!(sent < 8 * window, "bounded: {sent}");
    let mut got = 0;
    for _ in 0..length / 1024 {
        let words = c.heard(agent, stream);
        let more = body(&words).len();
        got += more;
        c.say(agent, stream, Word::Credit(more));
        while sent < length && c.nodes[0].has_room(client.1) {
            c.receive(client, &vec![b'x'; 16 * 1024]);
            sent += 16 * 1024;
        }
    }
    assert_eq!(got, length, "all of it arrives");
    c.respond(agent, stream, &[], true);
    assert_eq!(status(&mut c, client), 200);
    c.rest();
}

#[test]
fn a_call_without_a_good_endpoint_is_refused_and_the_link_stands() {
    let mut rig = Rig::with(1, Settings { boot: boot(0), ..Settings::default() });
    let mut agent = Agent::online(&mut rig, 0, "a");
    let mut node = Agent::link(&mut rig, 0, boot(1));
    let bad: [(&[(&str, &str)], Reason); 4] = [
        (&[], Reason::MissingEndpoint),
        (&[("x-pico-endpoint", "a"), ("x-pico-endpoint", "a")], Reason::InvalidEndpoint),
        (&[("x-pico-endpoint", "a/b")], Reason::InvalidEndpoint),
        (&[("x-pico-endpoint", "b")], Reason::NotMine),
    ];
    for (list, reason) in bad {
        let stream = node.call(&mut rig, list);
        let words = node.heard(&mut rig, stream);
        let reset = Word::Reset(Reset { reason, started: false });
        assert!(words.contains(&reset), "{words:?}");
    }
    let stream = node.call(&mut rig, &[("x-pico-endpoint", "a"), ("x-pico-other", "1")]);
    let (called, head) = agent.called(&mut rig);
    assert_eq!(head.fields.len(), 0, "{head:?}");
    agent.respond(&mut rig, called, &[("x-pico-kept", "1")], true);
    let words = node.heard(&mut rig, stream);
    assert!(words.iter().any(|word| matches!(word, Word::Response { end: true, .. })));
    assert_eq!(rig.calls(), 0);
}

#[test]
fn one_link_carries_all_calls_of_a_worker_and_is_kept_when_it_is_idle() {
    let mut c = Cluster::new(&[2, 1]);
    let agent = c.agent(1, 0, "a");
    for worker in [0, 0, 1, 1] {
        c.ask(0, worker, GET);
        let (stream, _) = c.called(agent);
        c.respond(agent, stream, &[], true);
    }
    c.pass(Limits::default().heartbeat * 5);
    assert_eq!(c.links.len(), 2, "one for each worker");
    assert!(c.links.iter().flatten().all(|(node, at)| !c.nodes[*node].closed.contains(at)));
}
