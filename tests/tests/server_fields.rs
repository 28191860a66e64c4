//! What a node adds to the heads that pass it and what it takes away, in its own time of day.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod server;

use pico_core::Wall;
use pico_core::host::{Input, Port};
use server::{Agent, Rig};

const GET: &str = "GET /p HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\n\r\n";

/// Tells each worker what time of day it is.
fn wall(rig: &mut Rig, seconds: u64) {
    for worker in 0..rig.workers.len() {
        rig.input(worker, Input::Wall(Wall::from_unix(seconds)));
    }
}

#[test]
fn a_response_is_dated_when_it_passes_unless_it_has_a_date() {
    let mut rig = Rig::new(2);
    let mut agent = Agent::online(&mut rig, 0, "a");
    for client in [0, 1] {
        let client = rig.accept(client, Port::Proxy);
        let mut dates = |rig: &mut Rig, fields: &[(&str, &str)]| {
            rig.receive(client, GET.as_bytes());
            let (stream, _) = agent.called(rig);
            agent.interim(rig, stream, 103, &[]);
            agent.respond(rig, stream, fields, true);
            let text = rig.text(client);
            let (hint, last) = text.split_once("\r\n\r\n").unwrap();
            assert!(!hint.contains("ate:"), "{hint}");
            let dates = last.lines().filter(|line| line.to_lowercase().starts_with("date:"));
            dates.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(dates(&mut rig, &[]).len(), client.0, "not before anybody has told the time");
        wall(&mut rig, 784_111_777);
        assert_eq!(dates(&mut rig, &[]), ["Date: Sun, 06 Nov 1994 08:49:37 GMT"]);
        wall(&mut rig, 784_111_700);
        assert_eq!(dates(&mut rig, &[]), ["Date: Sun, 06 Nov 1994 08:48:20 GMT"]);
        for told in ["date: yesterday", "DATE: ", "Date: Mon, 23 Nov 2026 10:00:00 GMT"] {
            let field = told.split_once(": ").unwrap();
            assert_eq!(dates(&mut rig, &[field]), [told.to_owned()]);
        }
        let two = [("Date", "1"), ("Date", "2")];
        assert_eq!(dates(&mut rig, &two), ["Date: 1", "Date: 2"], "nor is any taken away");
    }
}

#[test]
fn what_a_node_says_itself_is_dated_on_every_port_but_that_of_nodes() {
    let mut rig = Rig::new(1);
    wall(&mut rig, 0);
    let dated = "\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    for (port, request) in [
        (Port::Proxy, "GET / HTTP/1.1\r\nHost: nobody.x\r\n\r\n"),
        (Port::Proxy, "GET /\r\n\r\n"),
        (Port::Upstream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        (Port::Admin, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"),
    ] {
        let client = rig.accept(0, port);
        rig.receive(client, request.as_bytes());
        let text = rig.text(client);
        assert!(text.contains(dated), "{port:?}: {text}");
    }
    let late = rig.accept(0, Port::Proxy);
    rig.receive(late, b"GET");
    wall(&mut rig, 20);
    rig.pass(pico_core::Limits::default().head_timeout);
    let text = rig.text(late);
    assert!(text.starts_with("HTTP/1.1 408 ") && text.contains("00:00:20 GMT"), "{text}");
}
