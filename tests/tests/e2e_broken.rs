//! Services that break off, say too little, too much or nonsense, answer early or stand still, and
//! clients that do: nothing that is short looks whole, and whoever takes too long is told so.

use pico_sim::e2e::{Agent, Client, Pair, Pattern, Scripted, Server, Service};
use socket2::SockRef;
use std::io;
use std::thread;
use std::time::Duration;

pico_sim::on_each_pair!(
    a_service_that_breaks_off_or_says_nonsense_is_a_502_or_a_broken_response,
    a_service_beyond_a_link_that_breaks_off_is_a_502_or_a_broken_response,
    a_client_that_leaves_at_any_moment_is_gone_for_the_service,
    a_client_that_leaves_is_gone_for_the_service_beyond_a_link,
    an_early_answer_arrives_whole,
    an_early_answer_from_beyond_a_link_arrives_whole,
    whoever_takes_too_long_is_told_so_and_let_go,
);

/// What the service does behind its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    Finish,
    Reset,
    Wait,
}

/// What the client is to see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sees {
    BadResponse,
    /// A head, and a body that does not look complete.
    Cut,
    Whole(&'static str),
}

const ROWS: [(&str, Then, Sees); 27] = [
    ("", Then::Finish, Sees::BadResponse),
    ("", Then::Reset, Sees::BadResponse),
    ("HTTP/1.1 200", Then::Finish, Sees::BadResponse),
    ("HTTP/1.1 200", Then::Reset, Sees::BadResponse),
    ("HTTP/1.1 200 OK\r\ncontent-len", Then::Finish, Sees::BadResponse),
    ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", Then::Finish, Sees::Cut),
    ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", Then::Reset, Sees::Cut),
    ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n123456789", Then::Finish, Sees::Cut),
    ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n123456789", Then::Reset, Sees::Cut),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", Then::Finish, Sees::Cut),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n123", Then::Finish, Sees::Cut),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n",
        Then::Finish,
        Sees::Cut,
    ),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n", Then::Reset, Sees::Cut),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        Then::Finish,
        Sees::Cut,
    ),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcdef\r\n", Then::Wait, Sees::Cut),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
        Then::Wait,
        Sees::Cut,
    ),
    ("HTTP/1.1 200 OK\r\n\r\n12345", Then::Finish, Sees::Whole("12345")),
    ("HTTP/1.1 200 OK\r\n\r\n12345", Then::Reset, Sees::Cut),
    ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n12345678", Then::Wait, Sees::Whole("12345")),
    ("HTTP/1.1 204 No\r\n\r\nbody", Then::Wait, Sees::Whole("")),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad",
        Then::Wait,
        Sees::Whole("ok"),
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n12345",
        Then::Wait,
        Sees::BadResponse,
    ),
    ("HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\n12345", Then::Wait, Sees::BadResponse),
    ("HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n", Then::Wait, Sees::BadResponse),
    ("HTTP/2 200 OK\r\ncontent-length: 0\r\n\r\n", Then::Wait, Sees::BadResponse),
    ("\u{16}\u{3}\u{1} is no response\r\n\r\n", Then::Wait, Sees::BadResponse),
    ("\r\n\r\n\r\nSSH-2.0-x\r\n", Then::Wait, Sees::BadResponse),
];

fn a_service_that_breaks_off_or_says_nonsense_is_a_502_or_a_broken_response(on: Pair) {
    let node = Server::start(on.server, &[]);
    break_off(on, &node, &node);
}

fn a_service_beyond_a_link_that_breaks_off_is_a_502_or_a_broken_response(on: Pair) {
    let far = Server::start(on.server, &[]);
    let near = Server::start(on.server, &["--cluster.join", &far.gossip.to_string()]);
    break_off(on, &near, &far);
}

/// Has a service beside `far` answer badly what is asked at `near`, and well afterwards.
fn break_off(on: Pair, near: &Server, far: &Server) {
    let service = Scripted::start();
    let _agent = serve(on, near, far, &service);
    for row @ (answer, then, sees) in ROWS {
        let mut client = near.client();
        client.head("GET", "/", "a", "");
        let mut local = service.accept();
        local.next_head();
        local.send(answer).expect("it is taken");
        match then {
            Then::Finish => local.finish(),
            Then::Reset => {
                let seen = (sees == Sees::Cut).then(|| {
                    // A reset may overtake what was said before it.
                    let head = client.response_head();
                    (head, client.bytes(usize::from(!answer.ends_with("\r\n\r\n"))))
                });
                SockRef::from(&local.writer()).set_linger(Some(Duration::ZERO)).expect("a socket");
                drop(local);
                if seen.is_some() {
                    assert!(!client.until_closed().ends_with(b"0\r\n\r\n"), "{row:?}");
                    continue;
                }
            }
            Then::Wait => {}
        }
        match sees {
            Sees::BadResponse => {
                let got = client.response("GET");
                assert_eq!((got.status, got.code()), (502, "bad_response".to_owned()), "{row:?}");
            }
            Sees::Cut => {
                let head = client.response_head();
                assert_eq!(head.word(1), "200", "{row:?}");
                let end = io::copy(&mut client.body(&head, "GET"), &mut io::sink());
                assert!(end.is_err(), "{row:?}: {end:?}");
            }
            Sees::Whole(text) => {
                let got = client.response("GET");
                assert_eq!((got.status / 100, got.text()), (2, text.to_owned()), "{row:?}");
                // What was left of it answers nobody else.
                client.head("GET", "/", "a", "");
                well(&mut service.accept());
                assert_eq!(client.response("GET").text(), "well", "{row:?}");
            }
        }
    }
}

fn a_client_that_leaves_at_any_moment_is_gone_for_the_service(on: Pair) {
    let node = Server::start(on.server, &[]);
    leave(on, &node, &node);
}

fn a_client_that_leaves_is_gone_for_the_service_beyond_a_link(on: Pair) {
    let far = Server::start(on.server, &[]);
    let near = Server::start(on.server, &["--cluster.join", &far.gossip.to_string()]);
    leave(on, &near, &far);
}

/// Has clients leave calls, with what the service has said of them by then.
fn leave(on: Pair, near: &Server, far: &Server) {
    let service = Scripted::start();
    let _agent = serve(on, near, far, &service);
    let begun = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345";
    for (method, fields, body, answer) in [
        ("GET", "", "", ""),
        ("POST", "content-length: 0\r\n", "", ""),
        ("PUT", "content-length: 10\r\n", "12345", ""),
        ("POST", "transfer-encoding: chunked\r\n", "5\r\n12345\r\n", ""),
        ("GET", "", "", begun),
        ("POST", "content-length: 10\r\n", "12345", begun),
        ("POST", "content-length: 5\r\n", "12345", begun),
    ] {
        for then in [Then::Finish, Then::Reset] {
            let what = format!("{method} {fields:?} {answer:?} {then:?}");
            let mut client = near.client();
            client.head(method, "/", "a", fields);
            client.send(body).expect("it is taken");
            let mut local = service.accept();
            let head = local.next_head();
            let taken =
                if head.get("content-length").is_some() { 5.min(body.len()) } else { body.len() };
            assert_eq!(local.bytes(taken), &body.as_bytes()[..taken], "{what}");
            local.send(answer).expect("it is taken");
            if !answer.is_empty() {
                client.response_head();
                client.bytes(5);
            }
            match then {
                Then::Finish => client.finish(),
                Then::Reset => {
                    let linger = SockRef::from(&client.writer()).set_linger(Some(Duration::ZERO));
                    linger.expect("a socket");
                    drop(client);
                }
                Then::Wait => {}
            }
            // Its connection ends, and the body with it, without looking whole.
            assert!(local.until_closed().is_empty(), "{what}");
        }
    }
}

fn an_early_answer_arrives_whole(on: Pair) {
    let node = Server::start(on.server, &[]);
    answer_early(on, &node, &node);
}

fn an_early_answer_from_beyond_a_link_arrives_whole(on: Pair) {
    let far = Server::start(on.server, &[]);
    let near = Server::start(on.server, &["--cluster.join", &far.gossip.to_string()]);
    answer_early(on, &near, &far);
}

/// Refuses uploads of which the client sends all, whatever it hears.
fn answer_early(on: Pair, near: &Server, far: &Server) {
    let service = Scripted::start();
    let _agent = serve(on, near, far, &service);
    for (fields, reads_on) in
        [("", true), ("connection: close\r\n", true), ("connection: close\r\n", false)]
    {
        let mut client = near.client();
        client.head("PUT", "/", "a", &format!("content-length: {HUGE}\r\n"));
        let mut writer = client.writer();
        let sending = thread::spawn(move || io::copy(&mut Pattern::new(HUGE), &mut writer));
        let mut local = service.accept();
        local.next_head();
        local.bytes(100_000);
        let text = "too much".repeat(10_000);
        let length = text.len();
        let head = format!("HTTP/1.1 413 No\r\ncontent-length: {length}\r\n{fields}\r\n");
        local.send(head + &text).expect("it is taken");
        if reads_on {
            local.finish();
            let rest = thread::spawn(move || drop(local.until_closed()));
            let got = client.response("PUT");
            assert_eq!((got.status, got.text() == text), (413, true), "{fields}");
            rest.join().expect("no panic");
        } else {
            let got = client.response("PUT");
            assert_eq!((got.status, got.text() == text), (413, true), "{fields}");
            drop(local);
        }
        // The rest of the request is not wanted, and its connection not kept.
        drop(client);
        assert!(sending.join().expect("no panic").is_err());
    }
}

fn whoever_takes_too_long_is_told_so_and_let_go(on: Pair) {
    let service = Service::start("slow");
    let times = ["head", "response", "body", "write", "idle"];
    let times = times.map(|what| format!("--proxy.timeout.{what}=2s"));
    let mut server = Server::start(on.server, &times.each_ref().map(String::as_str));
    let url = format!("http://{}", server.upstream);
    let args = ["agent", "http", "a", &service.target(), "--connect.url", &url];
    let mut agent = on.agent.run(&[&args[..], &["--service.timeout.body", "2s"]].concat());
    agent.wait_for("word that it is online", |line| line.contains(" online ").then_some(()));

    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nhost: a.").expect("it is taken");
    let got = client.response("GET");
    assert_eq!((got.status, got.code()), (408, "head_timeout".to_owned()));
    assert!(client.until_closed().is_empty());

    let mut client = server.client();
    client.head("POST", "/hang/body", "a", "content-length: 10\r\n");
    client.send("12345").expect("it is taken");
    let got = client.response("POST");
    assert_eq!((got.status, got.code()), (408, "body_timeout".to_owned()));
    assert!(client.until_closed().is_empty());

    let mut client = server.client();
    client.head("POST", "/hang/response", "a", "content-length: 0\r\n");
    let got = client.response("POST");
    assert_eq!((got.status, got.code()), (504, "upstream_timeout".to_owned()));
    service.hung_up();
    // Nothing is wrong with this connection, but it is not kept for ever.
    assert_eq!(client.call("GET", "/", "a", "").text(), "slow");
    assert!(client.until_closed().is_empty());

    let mut client = server.client();
    client.head("GET", "/events", "a", "");
    let head = client.response_head();
    let stalled = io::copy(&mut client.body(&head, "GET"), &mut io::sink());
    assert!(stalled.is_err(), "the second event never came: {stalled:?}");

    let mut client = server.client();
    client.head("GET", &format!("/bytes/{HUGE}"), "a", "");
    let head = client.response_head();
    server
        .process
        .wait_for("word of the slow reader", |line| line.contains("write_timeout").then_some(()));
    let cut = io::copy(&mut client.body(&head, "GET"), &mut io::sink());
    assert!(cut.is_err(), "{cut:?}");
    assert_eq!(server.client().call("GET", "/", "a", "").text(), "slow");
}

/// An agent at `far`, which `near` knows of.
fn serve(on: Pair, near: &Server, far: &Server, service: &Scripted) -> Agent {
    let agent = Agent::start(on.agent, far, "a", &service.address.to_string());
    let order = Service::start("order");
    let last = Agent::start(on.agent, far, "order", &order.target());
    // Nodes hear of endpoints in the order in which they came.
    while near.client().call("GET", "/", "order", "").status != 200 {}
    drop(last);
    agent
}

fn well(local: &mut Client) {
    local.next_head();
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nwell";
    local.send(answer).expect("it is taken");
}

/// More than all windows and sockets on the way hold together.
const HUGE: u64 = 300_000_000;
