//! What is tried once more, and what is not: each method at each moment at which its upstream, or
//! its connection to the service, is lost. A request that may run once only reaches no service
//! twice.

use pico_sim::e2e::{
    Agent, Client, Head, Pair, Process, Scripted, Server, Service, behind_time, dead_address,
};
use std::collections::BTreeMap;
use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

pico_sim::on_each_pair!(
    when_an_upstream_is_lost_only_what_may_run_twice_is_tried_again,
    when_an_upstream_beyond_a_link_is_lost_only_what_may_run_twice_is_tried_again,
    what_a_dead_service_never_had_goes_to_the_other_upstream_whatever_the_method,
    when_a_kept_connection_breaks_only_what_may_run_twice_is_tried_again,
    what_may_run_once_runs_once_however_often_a_service_closes_what_it_kept,
);

/// How far a request has come when its upstream is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    /// The service has its head, and there is no body.
    Head,
    /// The service has its head and a part of its body.
    Part,
    /// The service has all of it.
    Whole,
    /// The service has more of its body than is held for a second try.
    Long,
    /// The client has seen an interim response.
    Interim,
    /// The client has seen the head of the response and a part of the body.
    Begun,
}

/// Methods at moments, and whether there is a second try.
const ROWS: [(&str, Moment, bool); 26] = [
    ("GET", Moment::Head, true),
    ("HEAD", Moment::Head, true),
    ("PUT", Moment::Head, true),
    ("DELETE", Moment::Head, true),
    ("OPTIONS", Moment::Head, true),
    ("TRACE", Moment::Head, true),
    ("POST", Moment::Head, false),
    ("PATCH", Moment::Head, false),
    ("BREW", Moment::Head, false),
    ("PUT", Moment::Part, true),
    ("DELETE", Moment::Part, true),
    ("GET", Moment::Part, true),
    ("POST", Moment::Part, false),
    ("PATCH", Moment::Part, false),
    ("PUT", Moment::Whole, true),
    ("DELETE", Moment::Whole, true),
    ("POST", Moment::Whole, false),
    ("PATCH", Moment::Whole, false),
    ("PUT", Moment::Long, false),
    ("POST", Moment::Long, false),
    ("GET", Moment::Interim, false),
    ("PUT", Moment::Interim, false),
    ("POST", Moment::Interim, false),
    ("GET", Moment::Begun, false),
    ("PUT", Moment::Begun, false),
    ("POST", Moment::Begun, false),
];

fn when_an_upstream_is_lost_only_what_may_run_twice_is_tried_again(on: Pair) {
    let server = Server::start(on.server, &[]);
    lose_all(on, &server, &server);
}

fn when_an_upstream_beyond_a_link_is_lost_only_what_may_run_twice_is_tried_again(on: Pair) {
    let far = Server::start(on.server, &["--workers", "1"]);
    let join = far.gossip.to_string();
    let near = Server::start(on.server, &["--workers", "1", "--cluster.join", &join]);
    lose_all(on, &near, &far);
}

/// Has an agent at `far` serve all rows, asks for them at `near`, has another agent serve them
/// there, and kills the first.
fn lose_all(on: Pair, near: &Server, far: &Server) {
    let (dies, lives) = (Scripted::start(), Scripted::start());
    let mut first = agent(on, far, &dies, "first");
    let order = Service::start("order");
    let _last = Agent::start(on.agent, far, "order", &order.target());
    // Nodes hear of endpoints in the order in which they came.
    while near.client().call("GET", "/", "order", "").status != 200 {}
    let mut calls: Vec<(Client, Client)> = Vec::new();
    for (at, (method, moment, _)) in ROWS.into_iter().enumerate() {
        let mut client = near.client();
        client.head(method, &format!("/{at}"), &format!("row-{at}"), &fields(method, moment));
        client.send(&body(moment)[..early(moment)]).expect("it is taken");
        let mut local = dies.accept();
        assert_eq!(local.next_head().word(1), format!("/{at}"));
        match moment {
            Moment::Head => {}
            Moment::Part | Moment::Whole | Moment::Long => {
                local.bytes(early(moment));
            }
            Moment::Interim => {
                local.send("HTTP/1.1 103 Early Hints\r\n\r\n").expect("it is taken");
                assert_eq!(client.next_head().word(1), "103");
            }
            Moment::Begun => {
                local.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabcde").expect("taken");
                assert_eq!(client.next_head().word(1), "200");
                assert_eq!(client.bytes(5), b"abcde");
            }
        }
        calls.push((client, local));
    }
    let _second = agent(on, near, &lives, "second");
    first.kill();
    for (at, (_, moment, again)) in ROWS.into_iter().enumerate() {
        if again || moment == Moment::Long {
            // What is not taken any more is not missed.
            let _ = calls[at].0.send(&body(moment)[early(moment)..]);
        }
    }
    answer_again(&lives);
    for ((client, _), (at, (method, moment, again))) in
        calls.iter_mut().zip(ROWS.into_iter().enumerate())
    {
        let row = format!("{method} {moment:?}");
        if moment == Moment::Begun {
            assert!(client.until_closed().len() < 5, "{row}: it must not look whole");
            continue;
        }
        let got = client.response(method);
        if again {
            let said = if method == "HEAD" { String::new() } else { format!("/{at}") };
            assert_eq!((got.status, got.text()), (200, said), "{row}");
        } else {
            assert_eq!((got.status, got.code()), (502, "upstream_lost".to_owned()), "{row}");
        }
    }
    assert!(lives.is_left_alone(), "nothing else was tried again");
    assert!(dies.is_left_alone(), "nothing was tried again where it had been");
}

/// Answers each of those that are tried again with its path, once it is whole.
fn answer_again(lives: &Scripted) {
    let mut missing: BTreeMap<String, Moment> = ROWS
        .into_iter()
        .enumerate()
        .filter(|(_, (_, _, again))| *again)
        .map(|(at, (_, moment, _))| (format!("/{at}"), moment))
        .collect();
    while !missing.is_empty() {
        let mut local = lives.accept();
        let head = local.next_head();
        let path = head.word(1);
        let moment = missing.remove(path).unwrap_or_else(|| panic!("{head:?} may not run twice"));
        assert_eq!(local.bytes(body(moment).len()), body(moment), "{head:?}");
        let length = path.len();
        let answer =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        local.send(answer).expect("it is taken");
        if head.word(0) != "HEAD" {
            local.send(path).expect("it is taken");
        }
        local.finish();
    }
}

fn what_a_dead_service_never_had_goes_to_the_other_upstream_whatever_the_method(on: Pair) {
    let lives = Scripted::start();
    let server = Server::start(on.server, &[]);
    let _dead = Agent::start(on.agent, &server, "a", &dead_address().to_string());
    let _alive = Agent::start(on.agent, &server, "a", &lives.address.to_string());
    let mut client = server.client();
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "POST", "PATCH", "BREW"] {
        for body in ["", "hello"] {
            // Either upstream may be chosen first: a fair coin falls on one side ten times in a
            // row for one of a thousand.
            for _ in 0..10 {
                let fields = format!("content-length: {}\r\n", body.len());
                client.head(method, "/", "a", &fields);
                client.send(body).expect("it is taken");
                let mut local = lives.accept();
                assert_eq!(local.next_head().word(0), method);
                assert_eq!(local.bytes(body.len()), body.as_bytes());
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                local.send(answer).expect("it is taken");
                assert_eq!(client.response(method).status, 200, "{method}");
            }
        }
    }
}

fn when_a_kept_connection_breaks_only_what_may_run_twice_is_tried_again(on: Pair) {
    let service = Scripted::start();
    let server = Server::start(on.server, &[]);
    let _agent = Agent::start(on.agent, &server, "a", &service.address.to_string());
    let empty = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "POST", "PATCH", "BREW"] {
        let may_run_twice = !["POST", "PATCH", "BREW"].contains(&method);
        let mut client = server.client();
        client.head("GET", "/", "a", "");
        let mut kept = service.accept();
        kept.next_head();
        kept.send(empty).expect("it is taken");
        assert_eq!(client.response("GET").status, 200);
        client.head(method, "/", "a", "content-length: 5\r\n");
        client.send("hello").expect("it is taken");
        assert_eq!(kept.next_head().word(0), method, "on the connection that was kept");
        kept.bytes(5);
        drop(kept);
        if may_run_twice {
            let mut fresh = service.accept();
            assert_eq!(fresh.next_head().word(0), method);
            assert_eq!(fresh.bytes(5), b"hello");
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            fresh.send(answer).expect("it is taken");
            assert_eq!(client.response(method).status, 200, "{method}");
        } else {
            let got = client.response(method);
            assert_eq!((got.status, got.code()), (502, "bad_response".to_owned()), "{method}");
        }
        assert!(service.is_left_alone(), "{method}");
    }
}

/// A service that closes each connection behind its first answer without a word of that, which is
/// when the next request is on its way.
fn what_may_run_once_runs_once_however_often_a_service_closes_what_it_kept(on: Pair) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let ran: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let runs = Arc::clone(&ran);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = BufReader::new(stream);
            let Ok(Some(head)) = Head::read(&mut stream) else { continue };
            if stream.read_exact(&mut [0; 5]).is_ok() {
                *runs.lock().expect("no panic").entry(head.word(1).to_owned()).or_default() += 1;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                let _ = stream.get_mut().write_all(answer);
            }
        }
    });
    let server = Server::start(on.server, &[]);
    let _agent = Agent::start(on.agent, &server, "a", &address);
    let mut client = server.client();
    for turn in 0..200 {
        for method in ["PUT", "POST"] {
            let path = format!("/{method}/{turn}");
            let status = client.call(method, &path, "a", "hello").status;
            let ran = ran.lock().expect("no panic").get(&path).copied().unwrap_or(0);
            match (method, status) {
                ("PUT", 200) => assert!(ran > 0),
                ("POST", 200) => assert_eq!(ran, 1),
                ("POST", 502) => assert!(ran <= 1),
                (_, status) => panic!("{method}: {status}"),
            }
        }
    }
}

/// An agent that serves all rows at `service`.
fn agent(on: Pair, server: &Server, service: &Scripted, name: &str) -> Process {
    let file = format!(
        "{TMP}/retry-{}-{}-{name}-{}.yaml",
        on.server.name,
        on.agent.name,
        server.upstream.port()
    );
    let url = format!("connect.url: http://{}\nlisteners:\n", server.upstream);
    let to = service.address;
    let rows = (0..ROWS.len()).map(|at| format!("  - {{endpoint: row-{at}, addr: \"{to}\"}}\n"));
    std::fs::write(&file, url + &rows.collect::<String>()).expect("a file can be written");
    let mut agent = on.agent.run(&["agent", "start", "--config", &file]);
    for _ in ROWS {
        agent.wait_for_next("word that it is online", |line| {
            let said = behind_time(line)?;
            (said.starts_with("Status ") && said.contains(" online ")).then_some(())
        });
    }
    agent
}

/// What a request says of its body.
fn fields(method: &str, moment: Moment) -> String {
    match moment {
        Moment::Head if ["GET", "HEAD", "TRACE"].contains(&method) => String::new(),
        Moment::Head
        | Moment::Part
        | Moment::Whole
        | Moment::Long
        | Moment::Interim
        | Moment::Begun => format!("content-length: {}\r\n", body(moment).len()),
    }
}

fn body(moment: Moment) -> &'static [u8] {
    match moment {
        Moment::Head | Moment::Interim | Moment::Begun => b"",
        Moment::Part | Moment::Whole => b"0123456789",
        Moment::Long => &LONG,
    }
}

/// How much of the body is sent before the upstream is lost.
fn early(moment: Moment) -> usize {
    match moment {
        Moment::Head | Moment::Interim | Moment::Begun => 0,
        Moment::Part => 5,
        Moment::Whole => 10,
        // More than is held for a second try.
        Moment::Long => 80_000,
    }
}

static LONG: [u8; 100_000] = [b'x'; 100_000];
const TMP: &str = env!("CARGO_TARGET_TMPDIR");
