//! What two parsers could read in two ways, and what must pass as it is, byte by byte on the
//! sockets of a client and of a service that records what it hears.

use pico_sim::e2e::{Agent, Client, Pair, Scripted, Server};
use std::io::Read as _;
use std::net::Shutdown;
use std::time::Duration;

pico_sim::on_each_pair!(
    heads_that_smuggle_are_refused_and_reach_no_service,
    chunks_that_smuggle_end_the_request_and_its_connection,
    names_keep_their_case_and_order_and_nothing_of_pico_leaks_either_way,
    an_answer_before_the_end_of_the_upload_arrives_whole,
    a_body_until_fin_is_whole_and_one_until_a_reset_is_cut,
    a_kept_connection_that_the_service_closes_costs_no_get_and_repeats_no_post,
    an_answer_is_whole_though_the_client_finishes_in_its_next_request,
    raw_bytes_right_behind_an_offer_and_its_answer_arrive,
    who_keeps_trailers_gets_them_and_the_service_knows,
);

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: a\r\nx-pico-endpoint: a\r\n\r\n";

/// A server and an agent before a service that a test speaks for.
fn stage(on: Pair) -> (Scripted, Server, Agent) {
    let service = Scripted::start();
    let server = Server::start(on.server, &[]);
    let agent = Agent::start(on.agent, &server, "a", &service.address.to_string());
    (service, server, agent)
}

/// A POST to the endpoint with these fields, and this behind its head.
fn post(fields: &str, rest: &str) -> String {
    format!("POST /x HTTP/1.1\r\nhost: a\r\nx-pico-endpoint: a\r\n{fields}\r\n\r\n{rest}")
}

/// The bytes up to the end of a head.
fn raw_head(from: &mut Client) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(from.bytes(1));
    }
    String::from_utf8(head).expect("text")
}

/// The first status in what a client heard, and how many answers there are.
fn answers(heard: &[u8]) -> (u16, usize) {
    let text = String::from_utf8_lossy(heard);
    let status = text.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    (status, text.matches("HTTP/1.1 ").count())
}

fn heads_that_smuggle_are_refused_and_reach_no_service(on: Pair) {
    let (service, server, _agent) = stage(on);
    let chunked = "transfer-encoding: chunked";
    for fields in [
        &format!("content-length: 4\r\n{chunked}"),
        &format!("{chunked}\r\ncontent-length: 4"),
        "content-length: 4\r\ncontent-length: 4",
        "content-length: 4\r\ncontent-length: 0",
        "content-length: 4, 4",
        "content-length: +4",
        "content-length: 0x4",
        "content-length : 4",
        "content-length: 4\r\n x",
        "transfer-encoding : chunked",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: \u{b}chunked",
        &format!("{chunked}\r\n{chunked}"),
        "transfer-encoding:\n chunked",
        "x: y\ncontent-length: 4",
        "x: y\rcontent-length: 4",
        "x: \0",
        "host: b",
    ] {
        let mut client = server.client();
        // It may close before all is sent.
        let _ = client.send(post(fields, &format!("0\r\n\r\n{SMUGGLED}")));
        let (status, count) = answers(&client.until_closed());
        assert!([400, 501].contains(&status), "{fields:?}: {status}");
        assert_eq!(count, 1, "{fields:?}");
    }
    // Nobody has called: the first connection that comes is this request's.
    let mut client = server.client();
    client.head("GET", "/plain", "a", "");
    let mut local = service.accept();
    assert_eq!(local.next_head().word(1), "/plain");
    local.send(OK).expect("it is taken");
    assert_eq!(client.response("GET").text(), "ok");
}

fn chunks_that_smuggle_end_the_request_and_its_connection(on: Pair) {
    let (service, server, _agent) = stage(on);
    for body in [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\n",
        "5\r\nhello\r\n0\r\nx: y\n\r\n",
    ] {
        let mut client = server.client();
        client.send(post("transfer-encoding: chunked", "")).expect("it is taken");
        let mut local = service.accept();
        assert_eq!(local.next_head().word(1), "/x");
        let _ = client.send(format!("{body}{SMUGGLED}"));
        let (status, count) = answers(&client.until_closed());
        assert_eq!((status, count), (400, 1), "{body:?}");
        let heard = local.until_closed();
        let heard = String::from_utf8_lossy(&heard);
        assert!(!heard.contains("smuggled"), "{body:?}: {heard}");
        assert!(!heard.ends_with("0\r\n\r\n"), "{body:?} looks whole: {heard}");
    }
}

fn names_keep_their_case_and_order_and_nothing_of_pico_leaks_either_way(on: Pair) {
    let (service, server, _agent) = stage(on);
    let mut client = server.client();
    client.head("GET", "/", "a", "X-b: 2\r\nx-A: \"q\",  r\r\nX_c: 3\r\nX-PICO_Secret: 1\r\n");
    let mut local = service.accept();
    let asked = raw_head(&mut local);
    let start = "GET / HTTP/1.1\r\nhost: localhost\r\nX-b: 2\r\nx-A: \"q\",  r\r\nX_c: 3\r\nVia: ";
    assert!(asked.starts_with(start), "{asked}");
    let lower = asked.to_lowercase();
    assert!(!lower.contains("x-pico") && !lower.contains("secret"), "{asked}");
    local
        .send(
            "HTTP/1.1 200 Fine Indeed\r\nSet-Cookie: b\r\nsET-cookie: a\r\nX-Pico-Secret: 1\r\n\
             x_pico_other: 1\r\nDate: x\r\nContent-LENGTH: 2\r\n\r\nok",
        )
        .expect("it is taken");
    let told = raw_head(&mut client);
    let start = "HTTP/1.1 200 Fine Indeed\r\nSet-Cookie: b\r\nsET-cookie: a\r\nDate: x\r\n\
                 Content-LENGTH: 2\r\nVia: ";
    assert!(told.starts_with(start), "{told}");
    let lower = told.to_lowercase();
    assert!(!lower.contains("x-pico") && !lower.contains("x_pico"), "{told}");
    assert_eq!(client.bytes(2), b"ok");
}

fn an_answer_before_the_end_of_the_upload_arrives_whole(on: Pair) {
    let (service, server, _agent) = stage(on);
    // The client goes on sending.
    let mut client = server.client();
    client.head("POST", "/", "a", "content-length: 100000000\r\n");
    let mut local = service.accept();
    local.next_head();
    local.send("HTTP/1.1 413 No\r\ncontent-length: 5\r\n\r\nlarge").expect("it is taken");
    let mut writer = client.writer();
    let sending = std::thread::spawn(move || {
        let piece = [b'x'; 16 * 1024];
        // Until what is thrown away is enough.
        while std::io::Write::write_all(&mut writer, &piece).is_ok() {}
    });
    let got = client.response("POST");
    assert_eq!((got.status, got.text()), (413, "large".into()));
    drop(client);
    sending.join().expect("it stops");
    // The client stops at the head of the answer, and finishes.
    let mut client = server.client();
    client.head("POST", "/", "a", "content-length: 100000000\r\n");
    let mut local = service.accept();
    local.next_head();
    local.send("HTTP/1.1 413 No\r\ntransfer-encoding: chunked\r\n\r\n").expect("it is taken");
    let head = client.response_head();
    client.finish();
    local.send("5\r\nlarge\r\n0\r\n\r\n").expect("it is taken");
    let mut body = String::new();
    client.body(&head, "POST").read_to_string(&mut body).expect("the whole of it");
    assert_eq!((head.word(1), &*body), ("413", "large"));
}

fn a_body_until_fin_is_whole_and_one_until_a_reset_is_cut(on: Pair) {
    let (service, server, _agent) = stage(on);
    for whole in [true, false] {
        let mut client = server.client();
        client.head("GET", "/", "a", "");
        let mut local = service.accept();
        local.next_head();
        local.send("HTTP/1.1 200 OK\r\n\r\nuntil the end").expect("it is taken");
        let head = client.response_head();
        assert_eq!(head.get("transfer-encoding"), Some("chunked"));
        let mut body = client.body(&head, "GET");
        let mut text = [0; 13];
        body.read_exact(&mut text).expect("what was said");
        assert_eq!(&text, b"until the end");
        let stream = local.writer();
        if !whole {
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
        }
        drop((local, stream));
        assert_eq!(body.read_to_end(&mut Vec::new()).is_ok(), whole);
    }
}

fn a_kept_connection_that_the_service_closes_costs_no_get_and_repeats_no_post(on: Pair) {
    let (service, server, _agent) = stage(on);
    for method in ["GET", "POST"] {
        let mut client = server.client();
        client.head("GET", "/first", "a", "");
        let mut kept = service.accept();
        kept.next_head();
        kept.send(OK).expect("it is taken");
        assert_eq!(client.response("GET").text(), "ok");
        let length = if method == "POST" { "content-length: 0\r\n" } else { "" };
        client.head(method, "/second", "a", length);
        assert_eq!(kept.next_head().word(1), "/second", "the same connection");
        // As if it had been closed before.
        kept.writer().shutdown(Shutdown::Both).expect("it is open");
        if method == "GET" {
            let mut other = service.accept();
            assert_eq!(other.next_head().word(1), "/second", "once more");
            other.send(OK).expect("it is taken");
            assert_eq!(client.response("GET").text(), "ok");
        } else {
            let got = client.response("POST");
            assert_eq!((got.status, got.code()), (502, "bad_response".into()), "it may have run");
            client.head("GET", "/third", "a", "");
            let mut other = service.accept();
            assert_eq!(other.next_head().word(1), "/third", "it was not sent again");
            other.send(OK).expect("it is taken");
            assert_eq!(client.response("GET").text(), "ok");
        }
    }
}

fn an_answer_is_whole_though_the_client_finishes_in_its_next_request(on: Pair) {
    let (service, server, _agent) = stage(on);
    let mut client = server.client();
    client.head("GET", "/first", "a", "");
    client.send(post("content-length: 5", "hel")).expect("it is taken");
    client.finish();
    let mut local = service.accept();
    assert_eq!(local.next_head().word(1), "/first");
    let body = "x".repeat(1_000_000);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    local.send(head + &body).expect("it is taken");
    assert!(client.response("GET").text() == body, "the first answer is whole");
    // Whatever became of the second request: no answer, and FIN instead of a reset.
    let end = (&client.writer()).read(&mut [0]);
    assert_eq!(end.map_err(|error| error.kind()), Ok(0));
}

fn raw_bytes_right_behind_an_offer_and_its_answer_arrive(on: Pair) {
    let (service, server, _agent) = stage(on);
    let mut client = server.client();
    let offer = "connection: upgrade\r\nupgrade: raw/2, other\r\n";
    let all: Vec<u8> = (0..=255).collect();
    client.head("GET", "/", "a", offer);
    client.send(&all).expect("it is taken");
    let mut local = service.accept();
    let asked = raw_head(&mut local);
    assert!(asked.contains("\r\nupgrade: raw/2, other\r\n"), "{asked}");
    let granted = b"HTTP/1.1 101 Raw\r\nconnection: upgrade\r\nupgrade: raw\r\n\r\n";
    local.send([granted, &all[..]].concat()).expect("it is taken");
    let told = raw_head(&mut client);
    assert!(told.contains("\r\nupgrade: raw\r\n"), "{told}");
    assert_eq!(client.bytes(256), all);
    assert_eq!(local.bytes(256), all);
}

fn who_keeps_trailers_gets_them_and_the_service_knows(on: Pair) {
    let (service, server, _agent) = stage(on);
    let mut client = server.client();
    client.head("GET", "/", "a", "TE: trailers, gzip\r\nConnection: TE\r\n");
    let mut local = service.accept();
    let asked = raw_head(&mut local);
    assert!(asked.ends_with("\r\nConnection: TE\r\nTE: trailers\r\n\r\n"), "{asked}");
    let body = "2\r\nok\r\n0\r\nX-T: 1\r\n\r\n";
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    local.send([head, body].concat()).expect("it is taken");
    raw_head(&mut client);
    assert_eq!(client.bytes(body.len()), body.as_bytes());
}
