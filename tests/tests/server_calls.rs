//! What a node does with a client's request: where it goes, when it goes once more, and what is
//! left of it when somebody vanishes.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod server;

use pico_core::host::Port;
use pico_core::note::Note;
use pico_core::rpc::{Reset, Word};
use pico_core::{Limits, Reason};
use server::{Agent, At, Rig, data};

const GET: &str = "GET /p HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\n\r\n";
const POST: &str =
    "POST /p HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\nContent-Length: 2\r\n\r\nhi";

/// The status of the response that a client has got since the last time, 0 if none.
fn status(rig: &mut Rig, client: At) -> u16 {
    let text = rig.text(client);
    let code = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    code.map_or(0, |code| code.parse().unwrap())
}

/// Which of two agents was called, and how.
fn called(rig: &mut Rig, agents: &mut [Agent; 2]) -> (usize, pico_core::id::StreamId) {
    for agent in agents.iter_mut() {
        agent.pump(rig);
    }
    let at = agents.iter().position(|agent| !agent.called.is_empty()).expect("one is called");
    (at, agents[at].called.pop_front().unwrap().0)
}

#[test]
fn a_request_reaches_its_agent_and_the_answer_its_client_on_whichever_workers_they_are() {
    for (client, agent) in [(0, 0), (0, 1), (1, 0)] {
        let mut rig = Rig::new(2);
        let mut agent = Agent::online(&mut rig, agent, "a");
        let client = rig.ask(client, POST);
        let (stream, head) = agent.called(&mut rig);
        assert_eq!((head.method.as_str(), head.target()), ("POST", &b"/p"[..]));
        let words = agent.heard(&mut rig, stream);
        assert!(words.contains(&data(b"hi", true)), "{words:?}");
        agent.respond(&mut rig, stream, &[("Content-Length", "2")], false);
        agent.say(&mut rig, stream, data(b"yo", true));
        let text = rig.text(client);
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\nyo"), "{text}");
        assert_eq!(rig.calls(), 0);
    }
}

#[test]
fn a_post_that_may_have_run_is_not_tried_again_and_a_get_is() {
    for (request, again) in [(POST, false), (GET, true)] {
        let mut rig = Rig::new(1);
        let mut agents = [Agent::online(&mut rig, 0, "a"), Agent::online(&mut rig, 0, "a")];
        let client = rig.ask(0, request);
        let (first, stream) = called(&mut rig, &mut agents);
        agents[first].reset(&mut rig, stream, true);
        agents[1 - first].pump(&mut rig);
        assert_eq!(agents[1 - first].called.len(), usize::from(again), "{request}");
        assert_eq!(status(&mut rig, client), if again { 0 } else { 502 }, "{request}");
    }
}

#[test]
fn whatever_never_started_goes_elsewhere_once() {
    for request in [GET, POST] {
        let mut rig = Rig::new(1);
        let mut agents = [Agent::online(&mut rig, 0, "a"), Agent::online(&mut rig, 0, "a")];
        let client = rig.ask(0, request);
        let (first, stream) = called(&mut rig, &mut agents);
        agents[first].reset(&mut rig, stream, false);
        let (second, stream) = called(&mut rig, &mut agents);
        assert_ne!(first, second, "elsewhere");
        if request == POST {
            let words = agents[second].heard(&mut rig, stream);
            assert!(words.contains(&data(b"hi", true)), "all of its body again: {words:?}");
        }
        agents[second].reset(&mut rig, stream, false);
        assert_eq!(status(&mut rig, client), 502);
        for agent in &mut agents {
            agent.pump(&mut rig);
        }
        assert!(agents.iter().all(|agent| agent.called.is_empty()), "once");
        assert_eq!(rig.calls(), 0);
    }
}

#[test]
fn a_client_knows_from_the_code_whether_its_request_may_have_run() {
    for (tries, code) in [
        ([false, false], "no_upstream"),
        ([false, true], "upstream_lost"),
        ([true, false], "upstream_lost"),
    ] {
        let mut rig = Rig::new(1);
        let mut agents = [Agent::online(&mut rig, 0, "a"), Agent::online(&mut rig, 0, "a")];
        let client = rig.ask(0, GET);
        for started in tries {
            let (at, stream) = called(&mut rig, &mut agents);
            agents[at].reset(&mut rig, stream, started);
        }
        let text = rig.text(client);
        assert!(text.starts_with("HTTP/1.1 502 ") && text.contains(code), "{tries:?}: {text}");
    }
}

#[test]
fn what_a_drain_of_the_agent_cut_is_lost_and_what_it_did_not_take_may_be_asked_again() {
    for (started, status, code) in [(false, 503, "draining"), (true, 502, "upstream_lost")] {
        let mut rig = Rig::new(1);
        let mut agent = Agent::online(&mut rig, 0, "a");
        let client = rig.ask(0, POST);
        let (stream, _) = agent.called(&mut rig);
        let reset = Reset { reason: Reason::Draining, started };
        agent.say(&mut rig, stream, Word::Reset(reset));
        let text = rig.text(client);
        let head = format!("HTTP/1.1 {status} ");
        assert!(text.starts_with(&head) && text.contains(code), "{text}");
        assert!(!text.contains("this node"), "the node is well: {text}");
    }
}

#[test]
fn a_second_try_never_goes_where_the_first_failed() {
    for _ in 0..20 {
        let mut rig = Rig::new(1);
        let mut agent = Agent::online(&mut rig, 0, "a");
        let client = rig.ask(0, GET);
        let (stream, _) = agent.called(&mut rig);
        agent.reset(&mut rig, stream, false);
        assert!(agent.called.is_empty(), "there is nobody else");
        assert_eq!(status(&mut rig, client), 502);
    }
}

#[test]
fn nothing_is_tried_again_once_some_of_its_response_was_seen() {
    let mut rig = Rig::new(1);
    let mut agents = [Agent::online(&mut rig, 0, "a"), Agent::online(&mut rig, 0, "a")];
    let client = rig.ask(0, GET);
    let (first, stream) = called(&mut rig, &mut agents);
    agents[first].respond(&mut rig, stream, &[("Content-Length", "2")], false);
    agents[first].say(&mut rig, stream, data(b"y", false));
    agents[first].reset(&mut rig, stream, false);
    agents[1 - first].pump(&mut rig);
    assert!(agents[1 - first].called.is_empty());
    assert!(rig.finished.contains(&client), "a response that is visibly cut");
}

#[test]
fn a_second_try_sends_no_more_than_its_own_callee_takes() {
    let window = Limits::default().window_bytes;
    let body = "x".repeat(window);
    let some = window / 2 + 1;
    let head = "PUT / HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\n";
    let mut rig = Rig::new(1);
    let mut agents = [Agent::online(&mut rig, 0, "a"), Agent::online(&mut rig, 0, "a")];
    let client = rig.ask(0, &format!("{head}Content-Length: {}\r\n\r\n", 3 * window));
    let (first, stream) = called(&mut rig, &mut agents);
    rig.receive(client, &body.as_bytes()[..some]);
    agents[first].pump(&mut rig);
    agents[first].say(&mut rig, stream, Word::Credit(some));
    agents[first].reset(&mut rig, stream, true);
    let (second, stream) = called(&mut rig, &mut agents);
    rig.receive(client, body.as_bytes());
    let words = agents[second].heard(&mut rig, stream);
    let count = |word: &Word| if let Word::Data { bytes, .. } = word { bytes.len() } else { 0 };
    assert_eq!(words.iter().map(count).sum::<usize>(), window);
    assert_eq!(agents[second].closed, None, "the tunnel stands");
}

#[test]
fn a_client_that_vanishes_leaves_no_call_behind() {
    for lost in [true, false] {
        let mut rig = Rig::new(2);
        let mut agent = Agent::online(&mut rig, 1, "a");
        let client = rig.ask(0, GET);
        let (stream, _) = agent.called(&mut rig);
        assert_eq!(rig.calls(), 1);
        if lost {
            rig.lose(client);
        } else {
            rig.eof(client);
            rig.pass(Limits::default().half_close_timeout);
        }
        let words = agent.heard(&mut rig, stream);
        assert!(matches!(words.last(), Some(Word::Reset(_))), "{words:?}");
        assert_eq!(rig.calls(), 0);
        assert_eq!(agent.tunnel.calls(), 0);
    }
}

#[test]
fn a_client_that_is_too_slow_leaves_no_call_behind() {
    let mut rig = Rig::new(1);
    let mut agent = Agent::online(&mut rig, 0, "a");
    let client = rig.ask(0, GET);
    let (stream, _) = agent.called(&mut rig);
    rig.stall(client);
    agent.respond(&mut rig, stream, &[], false);
    let span = Limits::default().heartbeat;
    for _ in 0..4 {
        rig.pass(span);
        agent.pump(&mut rig);
    }
    assert!(rig.closed.contains(&client));
    let words = agent.heard(&mut rig, stream);
    assert!(matches!(words.last(), Some(Word::Reset(_))), "{words:?}");
    assert_eq!(rig.calls(), 0);
}

#[test]
fn a_tunnel_that_dies_takes_its_calls_and_its_route_along() {
    for lost in [true, false] {
        let mut rig = Rig::new(2);
        let mut agent = Agent::online(&mut rig, 0, "a");
        let clients = [rig.ask(0, POST), rig.ask(1, POST)];
        agent.pump(&mut rig);
        assert_eq!(rig.calls(), 2);
        if lost {
            rig.lose(agent.at);
        } else {
            rig.eof(agent.at);
        }
        for client in clients {
            assert_eq!(status(&mut rig, client), 502);
        }
        assert_eq!(rig.calls(), 0);
        let gone =
            |note: &Note| matches!(note, Note::Unregistered { endpoint, .. } if endpoint == "a");
        assert!(rig.notes.iter().any(gone));
        assert_eq!(rig.node.routes().iter().count(), 0);
        for worker in [0, 1] {
            let late = rig.ask(worker, GET);
            let text = rig.text(late);
            assert!(text.contains("\"no_upstream\""), "nobody serves it any more: {text}");
        }
    }
}

#[test]
fn a_silent_agent_is_lost_after_two_heartbeats() {
    let mut rig = Rig::new(1);
    let _silent = Agent::online(&mut rig, 0, "a");
    let client = rig.ask(0, POST);
    rig.pass(Limits::default().heartbeat * 2);
    assert_eq!(status(&mut rig, client), 502);
    rig.pass(Limits::default().linger_timeout);
    let gone = Note::Unregistered { endpoint: "a".into(), reason: Reason::HeartbeatTimeout };
    assert!(rig.notes.contains(&gone), "{:?}", rig.notes);
}

#[test]
fn a_call_that_crosses_the_end_of_its_tunnel_goes_elsewhere() {
    let mut rig = Rig::new(2);
    let mut agents = [Agent::online(&mut rig, 0, "a"), Agent::online(&mut rig, 0, "a")];
    rig.ask(1, POST);
    let (busy, _) = called(&mut rig, &mut agents);
    // The other one has less to do. That its tunnel is gone is news when the call arrives.
    let late = rig.accept(1, Port::Proxy);
    rig.lose_while(agents[1 - busy].at, late, POST.as_bytes());
    let (stream, _) = agents[busy].called(&mut rig);
    agents[busy].respond(&mut rig, stream, &[], true);
    assert_eq!(status(&mut rig, late), 200);
    assert_eq!(rig.calls(), 1);
}

#[test]
fn the_callee_may_send_as_much_as_the_client_takes() {
    let window = Limits::default().window_bytes;
    let mut rig = Rig::new(2);
    let mut agent = Agent::online(&mut rig, 1, "a");
    let client = rig.ask(0, GET);
    let (stream, _) = agent.called(&mut rig);
    rig.stall(client);
    let length = (4 * window).to_string();
    agent.respond(&mut rig, stream, &[("Content-Length", &length)], false);
    let credit = |words: Vec<Word>| -> usize {
        let count = |word: Word| if let Word::Credit(count) = word { count } else { 0 };
        words.into_iter().map(count).sum()
    };
    assert_eq!(credit(agent.heard(&mut rig, stream)), window);
    agent.say(&mut rig, stream, data(&vec![b'x'; window], false));
    assert_eq!(credit(agent.heard(&mut rig, stream)), 0, "the client has taken nothing");
    rig.take(client, usize::MAX);
    assert!(credit(agent.heard(&mut rig, stream)) >= window, "as many again, or more");
}

#[test]
fn a_client_that_is_behind_misses_hints_but_is_told_to_continue() {
    let mut rig = Rig::new(1);
    let mut agent = Agent::online(&mut rig, 0, "a");
    let client = rig.ask(0, GET);
    let (stream, _) = agent.called(&mut rig);
    rig.stall(client);
    let hint = "x".repeat(8_000);
    for _ in 0..200 {
        agent.interim(&mut rig, stream, 103, &[("Link", &hint)]);
    }
    for _ in 0..9 {
        agent.interim(&mut rig, stream, 100, &[]);
    }
    agent.respond(&mut rig, stream, &[], true);
    rig.take(client, usize::MAX);
    let text = rig.text(client);
    let count = |status: &str| text.matches(&format!("HTTP/1.1 {status} ")).count();
    assert!((2..100).contains(&count("103")), "{} hints", count("103"));
    assert_eq!((count("100"), count("200")), (1, 1));
}

#[test]
fn a_client_hears_nothing_that_is_between_pico_and_its_agent() {
    let mut rig = Rig::new(1);
    let mut agent = Agent::online(&mut rig, 0, "a");
    let client = rig.ask(0, GET);
    let (stream, head) = agent.called(&mut rig);
    assert_eq!(head.fields.get("x-pico-endpoint"), None);
    let fields = [("X-Pico-Secret", "1"), ("Keep-Alive", "timeout=5"), ("X", "y")];
    agent.respond(&mut rig, stream, &fields, true);
    let text = rig.text(client).to_lowercase();
    assert!(text.contains("\r\nx: y\r\n"), "{text}");
    assert!(!text.contains("x-pico") && !text.contains("keep-alive"), "{text}");
}

#[test]
fn a_tunnel_that_is_being_closed_takes_no_calls() {
    let mut rig = Rig::new(1);
    let _silent = Agent::online(&mut rig, 0, "a");
    rig.pass(Limits::default().heartbeat * 2);
    let client = rig.ask(0, GET);
    rig.pass(Limits::default().linger_timeout);
    assert_eq!(status(&mut rig, client), 502);
}
