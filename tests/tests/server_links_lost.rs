//! What becomes of requests for another node when it cannot be reached, breaks off or leaves.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod server;

use pico_core::Limits;
use pico_core::host::{Fault, Port};
use pico_core::note::{Note, Why};
use pico_core::routing::Standing;
use pico_core::rpc::Word;
use pico_core::server::Settings;
use server::words::{GET, POST, body, called, fields, status};
use server::{Cluster, boot, data};
use std::time::Duration;

#[test]
fn a_node_that_cannot_be_dialled_is_passed_over_at_once_and_avoided_for_a_while() {
    let mut c = Cluster::new(&[1, 1, 1]);
    c.shut.insert(1);
    c.route(0, "a", 1);
    let agent = c.agent(2, 0, "a");
    for _ in 0..40 {
        let client = c.ask(0, 0, POST);
        let (stream, _) = c.called(agent);
        c.respond(agent, stream, &[], true);
        assert_eq!(status(&mut c, client), 200, "no time passes, and nothing is lost");
    }
    assert_eq!(c.nodes[0].lost, [boot(1)]);
    assert_eq!(c.dials, 2, "each node once");
    // 1, 2, 4, 8 and then 8 s, each of which ends with another attempt.
    for span in [1, 2, 4, 8, 8] {
        let before = c.dials;
        c.pass(Duration::from_millis(span * 1000 - 1));
        c.asks(20, GET);
        assert_eq!(c.dials, before, "{span}");
        c.pass(Duration::from_millis(1));
        c.asks(40, GET);
        assert_eq!(c.dials, before + 1, "{span}");
    }
    assert_eq!(c.nodes[0].lost, [boot(1); 6]);
}

#[test]
fn an_outage_is_told_once_with_its_reason_and_so_is_its_end() {
    let settings = Settings { log_requests: true, ..Settings::default() };
    let mut c = Cluster::with(&[2, 1], &settings);
    c.shut.insert(1);
    let agent = c.agent(1, 0, "a");
    for span in [0, 1, 2, 4] {
        c.pass(Duration::from_secs(span));
        for worker in [0, 1, 0, 1] {
            let refused = c.ask(0, worker, GET);
            assert_eq!(status(&mut c, refused), 502);
        }
    }
    let links = |c: &mut Cluster| {
        let mut notes = std::mem::take(&mut c.nodes[0].notes);
        notes.retain(|note| matches!(note, Note::LinkUp { .. } | Note::LinkDown { .. }));
        notes
    };
    let down = |fault| Note::LinkDown { node: "n1".into(), why: Some(Why::Fault(fault)) };
    assert_eq!(links(&mut c), [down(Fault::Refused)], "of 16 calls, by two workers");
    c.shut.clear();
    for _ in 0..3 {
        let client = c.ask(0, 0, GET);
        let (stream, _) = c.called(agent);
        c.respond(agent, stream, &[], true);
        assert_eq!(status(&mut c, client), 200);
    }
    let up = Note::LinkUp { node: "n1".into(), again: true };
    assert_eq!(links(&mut c), [up]);
    c.shut.insert(1);
    c.cut(0);
    c.asks(5, GET);
    assert_eq!(links(&mut c), [down(Fault::Reset)]);
}

#[test]
fn the_line_of_a_request_names_the_node_that_it_went_to() {
    let settings = Settings { log_requests: true, ..Settings::default() };
    let mut c = Cluster::with(&[1, 1], &settings);
    let agent = c.agent(1, 0, "a");
    let client = c.ask(0, 0, GET);
    let (stream, _) = c.called(agent);
    c.respond(agent, stream, &[], true);
    assert_eq!(status(&mut c, client), 200);
    let named = c.nodes[0].notes.iter().find_map(|note| {
        let Note::Request(request) = note else { return None };
        Some(request.node.as_deref())
    });
    assert_eq!(named, Some(Some("n1")));
}

#[test]
fn a_link_that_opens_ends_the_avoidance() {
    let mut c = Cluster::new(&[1, 1]);
    c.shut.insert(1);
    let agent = c.agent(1, 0, "a");
    for _ in 0..4 {
        let refused = c.ask(0, 0, GET);
        assert_eq!(status(&mut c, refused), 502);
    }
    assert_eq!(c.nodes[0].lost.len(), 1, "the rest is no news");
    let told = |note: &&Note| matches!(note, Note::LinkDown { .. });
    assert_eq!(c.nodes[0].notes.iter().filter(told).count(), 1, "nor is it to people");
    c.shut.clear();
    let client = c.ask(0, 0, GET);
    let (stream, _) = c.called(agent);
    c.respond(agent, stream, &[], true);
    assert_eq!(status(&mut c, client), 200, "nothing else serves, so it is tried");
    c.shut.insert(1);
    c.cut(0);
    c.agent(0, 0, "a");
    c.pass(Duration::from_millis(1999));
    c.asks(9, GET);
    assert_eq!(c.nodes[0].lost.len(), 2, "the refusal and the cut");
    c.pass(Duration::from_millis(1));
    c.asks(9, GET);
    assert_eq!(c.nodes[0].lost.len(), 3);
}

#[test]
fn a_link_that_breaks_as_soon_as_it_is_there_is_avoided_longer_each_time() {
    let mut c = Cluster::new(&[1, 1, 1]);
    for node in [1, 2] {
        c.agent(node, 0, "a");
    }
    c.asks(40, GET);
    assert_eq!(c.dials, 2, "each node once");
    let cut = |c: &mut Cluster| {
        let link = c.links.iter().rposition(|[_, (other, _)]| *other == 1).unwrap();
        c.cut(link);
    };
    cut(&mut c);
    for span in [1, 2, 4, 8, 8] {
        let before = c.dials;
        c.pass(Duration::from_millis(span * 1000 - 1));
        c.asks(20, GET);
        assert_eq!(c.dials, before, "{span}");
        c.pass(Duration::from_millis(1));
        c.asks(80, GET);
        assert_eq!(c.dials, before + 1, "{span}");
        cut(&mut c);
    }
    // One that has stood for a while is as good as any.
    c.pass(Duration::from_secs(8));
    c.asks(80, GET);
    c.pass(Duration::from_secs(8));
    cut(&mut c);
    let before = c.dials;
    c.pass(Duration::from_secs(1));
    c.asks(80, GET);
    assert_eq!(c.dials, before + 1, "1 s");
}

#[test]
fn a_node_that_does_not_answer_a_dial_is_passed_over_in_a_second() {
    let mut c = Cluster::new(&[1, 1, 1]);
    c.mute.insert(1);
    c.route(0, "a", 1);
    let first = c.ask(0, 0, POST);
    let chunked = "PUT /q HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\n\
                   Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n";
    let second = c.ask(0, 0, chunked);
    let agent = c.agent(2, 0, "a");
    c.pass(Duration::from_millis(999));
    assert!(c.idle(agent));
    c.pass(Duration::from_millis(1));
    for _ in 0..2 {
        let (stream, head) = c.called(agent);
        let words = c.heard(agent, stream);
        if head.target() == b"/q" {
            assert!(words.contains(&Word::Trailers(fields(&[("X", "y")]))), "{words:?}");
        } else {
            assert_eq!(body(&words), b"hi");
        }
        c.respond(agent, stream, &[], true);
    }
    assert_eq!([status(&mut c, first), status(&mut c, second)], [200, 200]);
    assert_eq!(c.nodes[0].lost, [boot(1)]);
    c.rest();
}

#[test]
fn a_dial_that_is_not_answered_is_made_once_more_if_nobody_else_serves() {
    let mut c = Cluster::new(&[1, 1]);
    let agent = c.agent(1, 0, "a");
    c.mute.insert(1);
    let clients = [c.ask(0, 0, POST), c.ask(0, 0, GET)];
    c.mute.clear();
    c.pass(Limits::default().link_timeout);
    assert_eq!(c.dials, 2, "for both of them");
    for _ in clients {
        let (stream, _) = c.called(agent);
        c.respond(agent, stream, &[], true);
    }
    assert_eq!(clients.map(|client| status(&mut c, client)), [200, 200]);
    assert_eq!(c.nodes[0].lost, [boot(1)], "it is probed all the same");
    c.rest();
}

#[test]
fn a_node_that_alone_serves_and_answers_no_dial_is_dialled_twice_for_a_request() {
    let mut c = Cluster::new(&[1, 1]);
    let agent = c.agent(1, 0, "a");
    c.mute.insert(1);
    let client = c.ask(0, 0, GET);
    c.pass(Limits::default().link_timeout);
    assert_eq!(c.text(client), "", "the second dial is under way");
    c.pass(Limits::default().link_timeout);
    let text = c.text(client);
    assert!(text.starts_with("HTTP/1.1 502 ") && text.contains("\"no_upstream\""), "{text}");
    c.pass(Duration::from_mins(1));
    assert_eq!(c.dials, 2);
    assert!(c.idle(agent));
    c.rest();
}

#[test]
fn what_may_have_run_at_a_node_does_not_go_there_again() {
    for request in [GET, POST] {
        let mut c = Cluster::new(&[1, 1]);
        let agent = c.agent(1, 0, "a");
        let client = c.ask(0, 0, request);
        c.called(agent);
        c.cut(0);
        assert_eq!(status(&mut c, client), 502);
        assert!(c.idle(agent), "{request}");
        assert_eq!(c.dials, 1);
        c.rest();
    }
}

#[test]
fn all_calls_that_wait_for_a_link_go_by_it_once_it_is_there() {
    let mut c = Cluster::new(&[1, 1]);
    let agent = c.agent(1, 0, "a");
    c.mute.insert(1);
    let clients: Vec<_> = (0..3).map(|_| c.ask(0, 0, POST)).collect();
    let gone = c.ask(0, 0, POST);
    c.nodes[0].lose(gone.1);
    let (node, at) = c.waiting[0];
    c.join(node, at, 1);
    for client in clients {
        let (stream, _) = c.called(agent);
        assert_eq!(body(&c.heard(agent, stream)), b"hi");
        c.respond(agent, stream, &[], true);
        assert_eq!(status(&mut c, client), 200);
    }
    assert!(c.idle(agent), "who left while waiting is not called for");
    assert_eq!(c.links.len(), 1);
    c.rest();
}

#[test]
fn a_link_that_breaks_in_mid_call_leaves_no_doubt_whether_it_may_have_run() {
    for (request, again) in [(POST, false), (GET, true)] {
        let mut c = Cluster::new(&[1, 1, 1]);
        let agents = [c.agent(1, 0, "a"), c.agent(2, 0, "a")];
        let client = c.ask(0, 0, request);
        let (first, _) = called(&mut c, agents);
        c.cut(0);
        let second = agents[usize::from(first == agents[0])];
        assert_eq!(c.idle(second), !again, "{request}");
        assert_eq!(status(&mut c, client), if again { 0 } else { 502 }, "{request}");
        assert_eq!(c.nodes[0].lost, [c.agents[first].0].map(boot));
        if again {
            let (stream, _) = c.called(second);
            c.respond(second, stream, &[], true);
            assert_eq!(status(&mut c, client), 200);
        }
        c.rest();
    }
}

#[test]
fn a_link_that_breaks_once_an_answer_was_seen_cuts_it() {
    let mut c = Cluster::new(&[1, 1, 1]);
    let agents = [c.agent(1, 0, "a"), c.agent(2, 0, "a")];
    let client = c.ask(0, 0, GET);
    let (first, stream) = called(&mut c, agents);
    c.respond(first, stream, &[("Content-Length", "9")], false);
    c.say(first, stream, data(b"some", false));
    c.cut(0);
    assert!(c.text(client).ends_with("some"));
    assert!(c.nodes[0].finished.contains(&client.1) || c.nodes[0].closed.contains(&client.1));
    assert!(agents.into_iter().all(|agent| c.idle(agent)), "not tried again");
    c.rest();
}

#[test]
fn an_agent_that_dies_at_the_other_node_is_lost_to_the_client_here() {
    let mut c = Cluster::new(&[1, 2]);
    let agent = c.agent(1, 1, "a");
    let client = c.ask(0, 0, POST);
    c.called(agent);
    let at = c.agents[agent].1.at;
    c.nodes[1].lose(at);
    c.settle();
    let text = c.text(client);
    assert!(text.starts_with("HTTP/1.1 502 ") && text.contains("\"upstream_lost\""), "{text}");
    c.rest();
}

#[test]
fn an_agent_that_dies_at_the_other_node_leaves_its_requests_to_the_next_one_there() {
    let mut c = Cluster::new(&[1, 1, 1]);
    let agents = [c.agent(1, 0, "a"), c.agent(1, 0, "a")];
    c.route_with(0, "a", 1, 2);
    // Somebody else who is said to serve it is not well.
    c.shut.insert(2);
    c.route(0, "a", 2);
    c.know(0, |peers| peers.get_mut(&boot(2)).unwrap().standing = Standing::Suspect);
    let client = c.ask(0, 0, GET);
    let first = *agents.iter().find(|agent| !c.idle(**agent)).unwrap();
    let other = *agents.iter().find(|agent| **agent != first).unwrap();
    c.called(first);
    let at = c.agents[first].1.at;
    c.nodes[1].lose(at);
    c.settle();
    let (stream, _) = c.called(other);
    c.respond(other, stream, &[], true);
    assert_eq!(status(&mut c, client), 200);
}

#[test]
fn a_forwarded_call_that_crosses_the_end_of_its_tunnel_goes_to_the_next_one_of_the_node() {
    let mut c = Cluster::new(&[1, 2]);
    let agents = [c.agent(1, 1, "a"), c.agent(1, 1, "a")];
    c.ask(0, 0, POST);
    let busy = *agents.iter().find(|agent| !c.idle(**agent)).unwrap();
    let idle = *agents.iter().find(|agent| **agent != busy).unwrap();
    c.called(busy);
    // The other one has less to do. That its tunnel is gone is news when the call arrives.
    c.blocked.insert(0);
    let client = c.ask(0, 0, POST);
    let [(_, here), (_, there)] = c.links[0];
    let bytes = c.nodes[0].bytes(here);
    let lost = c.agents[idle].1.at;
    c.nodes[1].lose_while(lost, there, &bytes);
    c.blocked.clear();
    let (stream, head) = c.called(busy);
    assert_eq!(
        head.fields.get("x-pico-endpoint"),
        None,
        "it is not the head that the link brought"
    );
    c.respond(busy, stream, &[], true);
    assert_eq!(status(&mut c, client), 200);
}

#[test]
fn a_call_that_comes_in_the_turn_in_which_a_dial_fails_goes_elsewhere_too() {
    let mut c = Cluster::new(&[1, 1, 1]);
    c.mute.insert(1);
    c.route(0, "a", 1);
    let first = c.ask(0, 0, POST);
    let late = c.nodes[0].accept(0, Port::Proxy);
    let agent = c.agent(2, 0, "a");
    let (_, dialled) = c.waiting[0];
    // It has less to do at the node that is being dialled than at any other.
    c.know(0, |peers| peers.get_mut(&boot(2)).unwrap().standing = Standing::Suspect);
    c.nodes[0].lose_while(dialled, late, POST.as_bytes());
    for _ in [first, (0, late)] {
        let (stream, _) = c.called(agent);
        c.respond(agent, stream, &[], true);
    }
    assert_eq!(status(&mut c, first), 200);
    assert_eq!(status(&mut c, (0, late)), 200);
}

#[test]
fn a_node_that_one_worker_cannot_reach_is_avoided_by_all() {
    let mut c = Cluster::new(&[2, 1, 1]);
    c.shut.insert(1);
    c.route(0, "a", 1);
    let agent = c.agent(2, 0, "a");
    for at in 0..40 {
        let client = c.ask(0, at % 2, POST);
        let (stream, _) = c.called(agent);
        c.respond(agent, stream, &[], true);
        assert_eq!(status(&mut c, client), 200);
    }
    assert_eq!(c.nodes[0].lost, [boot(1)], "one worker found out, and the other heard");
    assert_eq!(c.dials, 3, "the lost one once, and the other by each worker");
}

#[test]
fn a_silent_link_is_lost_after_two_heartbeats() {
    let mut c = Cluster::new(&[1, 1]);
    let agent = c.agent(1, 0, "a");
    let client = c.ask(0, 0, POST);
    c.called(agent);
    c.blocked.insert(0);
    c.pass(Limits::default().heartbeat * 2);
    assert_eq!(status(&mut c, client), 502);
    assert_eq!(c.nodes[0].lost, [boot(1)], "at once, and not when the close handshake is over");
    c.pass(Limits::default().linger_timeout);
    assert!(c.links[0].iter().all(|(node, at)| c.nodes[*node].closed.contains(at)));
    c.rest();
}

#[test]
fn another_node_at_the_address_of_one_is_not_taken_for_it() {
    let mut c = Cluster::new(&[1, 1, 1]);
    c.agent(1, 0, "a");
    let agent = c.agent(2, 0, "a");
    // Its address is said to be that of another run of it.
    c.know(0, |peers| {
        let old = peers.remove(&boot(1)).unwrap();
        peers.insert(boot(8), old);
    });
    c.route_to(0, "a", boot(8));
    for _ in 0..20 {
        let client = c.ask(0, 0, POST);
        let (stream, _) = c.called(agent);
        c.respond(agent, stream, &[], true);
        assert_eq!(status(&mut c, client), 200);
    }
    assert_eq!(c.relayed(1), 0);
    assert_eq!(c.nodes[0].lost, [boot(8)]);
}

#[test]
fn the_link_to_a_node_that_is_no_more_is_closed() {
    let mut c = Cluster::new(&[1, 1]);
    let agent = c.agent(1, 0, "a");
    let client = c.ask(0, 0, POST);
    let (stream, _) = c.called(agent);
    c.know(0, |peers| drop(peers.remove(&boot(1))));
    assert_eq!(status(&mut c, client), 502);
    let words = c.heard(agent, stream);
    assert!(matches!(words.last(), Some(Word::Reset(_))), "{words:?}");
    assert!(c.links[0].iter().all(|(node, at)| c.nodes[*node].closed.contains(at)));
    assert!(c.nodes[0].lost.is_empty(), "it was meant");
    let late = c.ask(0, 0, GET);
    assert!(c.text(late).contains("\"no_upstream\""));
    c.rest();
}

#[test]
fn a_node_that_drains_serves_what_it_has_and_is_called_no_more() {
    let mut c = Cluster::new(&[1, 2, 1]);
    let (leaving, staying) = (c.agent(1, 1, "a"), c.agent(2, 0, "a"));
    c.know(0, |peers| peers.get_mut(&boot(2)).unwrap().standing = Standing::Suspect);
    let client = c.ask(0, 0, POST);
    let (stream, _) = c.called(leaving);
    c.nodes[1].drain();
    let early = c.ask(0, 0, POST);
    let (second, _) = c.called(leaving);
    c.pass(Settings::default().drain_delay);
    c.ask(0, 0, POST);
    assert!(c.idle(leaving) && !c.idle(staying), "it has said that it leaves");
    c.pass(Duration::from_secs(3));
    assert!(!c.nodes[1].is_done());
    for (client, stream) in [(client, stream), (early, second)] {
        c.respond(leaving, stream, &[("Content-Length", "2")], false);
        c.say(leaving, stream, data(b"yo", true));
        assert_eq!(status(&mut c, client), 200);
    }
    c.pass(Limits::default().linger_timeout);
    assert!(c.nodes[1].is_done(), "as soon as the last call is over");
    let none = Note::Drained { cut: 0 };
    assert!(c.nodes[1].notes.contains(&none), "{:?}", c.nodes[1].notes);
    assert!(c.nodes[0].lost.is_empty(), "it was meant");
}

#[test]
fn a_node_that_has_said_that_it_leaves_is_asked_in_vain_by_no_request() {
    let mut c = Cluster::new(&[1, 1, 1]);
    let (leaving, staying) = (c.agent(1, 0, "a"), c.agent(2, 0, "a"));
    c.know(0, |peers| peers.get_mut(&boot(2)).unwrap().standing = Standing::Suspect);
    c.ask(0, 0, POST);
    c.called(leaving);
    c.nodes[1].drain();
    c.pass(Settings::default().drain_delay);
    // Gossip has yet to say so.
    c.know(0, |peers| peers.get_mut(&boot(2)).unwrap().standing = Standing::Alive);
    c.asks(20, POST);
    assert!(c.idle(leaving) && !c.idle(staying));
    let calls = c.nodes[0].workers[0].tally().calls;
    assert_eq!(calls.retried, 0, "{calls:?}");
}

#[test]
fn a_node_that_drains_with_nobody_else_to_serve_says_so_through_the_first() {
    let mut c = Cluster::new(&[1, 1]);
    let agent = c.agent(1, 0, "a");
    c.ask(0, 0, POST);
    c.called(agent);
    c.nodes[1].drain();
    c.pass(Settings::default().drain_delay);
    let client = c.ask(0, 0, GET);
    let text = c.text(client);
    assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("\"draining\""), "{text}");
}
