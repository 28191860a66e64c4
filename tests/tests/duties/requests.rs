//! What is taken of clients, and what of it reaches the service.

use super::way::{OK, TOLD, Told, Way, code, is_whole, lawful, request, status, tell};
use pico_core::note::Note;
use pico_core::server::Settings;
use pico_core::{Limits, Reason};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// What becomes of this, however it is cut.
fn told(text: &str) -> Told {
    lawful(text.as_bytes(), |pieces| tell(pieces, OK, is_whole, &Settings::default()))
}

/// A request as a service got it, without what the node says of itself and of the client.
fn bare(text: &str) -> String {
    let ours = ["Via:", "X-Forwarded-", "X-Request-Id:"];
    let kept =
        text.split_inclusive("\r\n").filter(|line| !ours.iter().any(|o| line.starts_with(o)));
    kept.collect()
}

const POST: &str = "POST / HTTP/1.1";

#[test]
fn what_is_refused_closes_the_connection_and_reaches_no_service() {
    let chunked = |body: &str| request(POST, "Transfer-Encoding: chunked\r\n") + body;
    let refused = [
        (request(POST, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), Reason::BadFraming),
        (request(POST, "Content-Length: 5\r\nContent-Length: 5\r\n"), Reason::BadFraming),
        (request(POST, "Content-Length: +5\r\n"), Reason::BadFraming),
        (request(POST, "Content-Length: 9223372036854775808\r\n"), Reason::BadFraming),
        (request(POST, "Transfer-Encoding: chunked, chunked\r\n"), Reason::BadFraming),
        (request(POST, "Content-Length: 5\r\nTransfer_Encoding: chunked\r\n"), Reason::BadFraming),
        (request(POST, "Transfer-Encoding: gzip, chunked\r\n"), Reason::NotImplemented),
        (request("POST / HTTP/1.0", "Transfer-Encoding: chunked\r\n"), Reason::BadFraming),
        (request("CONNECT a.x:80 HTTP/1.1", ""), Reason::NotImplemented),
        (request("GET a.x:80 HTTP/1.1", ""), Reason::BadRequest),
        (request("GET * HTTP/1.1", ""), Reason::BadRequest),
        (request("GET /#b HTTP/1.1", ""), Reason::BadRequest),
        (request("GET http://u@a.x/ HTTP/1.1", ""), Reason::BadRequest),
        (request("G\u{e4}T / HTTP/1.1", ""), Reason::BadRequest),
        (request("GET / HTTP/1.2", ""), Reason::BadRequest),
        (request("GET /", ""), Reason::BadRequest),
        (request("GET / HTTP/1.1", "Host: a.x\r\n"), Reason::BadRequest),
        (request("GET / HTTP/1.1", " X: folded\r\n"), Reason::BadRequest),
        (request("GET / HTTP/1.1", "X : y\r\n"), Reason::BadRequest),
        (request("GET / HTTP/1.1", "X: a\rb\r\n"), Reason::BadRequest),
        (request("GET / HTTP/1.1", "X: a\0b\r\n"), Reason::BadRequest),
        (request("GET / HTTP/1.1", "X: a\n"), Reason::BadRequest),
        (request("TRACE / HTTP/1.1", "Content-Length: 5\r\n"), Reason::BadRequest),
        ("GET / HTTP/1.1\r\n\r\n".into(), Reason::BadRequest),
        ("GET / HTTP/1.1\r\nHost: a.x:y\r\n\r\n".into(), Reason::BadRequest),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), Reason::BadRequest),
    ];
    for (text, reason) in refused {
        let told = told(&(text.clone() + "helloGET / HTTP/1.1\r\nHost: a.x\r\n\r\n"));
        assert_eq!(told.service, "", "{text}");
        assert_eq!(status(&told.client), reason.told().status, "{text}");
        assert_eq!(code(&told.client), reason.told().code, "{text}");
        assert!(told.client.contains("\r\nConnection: close\r\n") && told.over, "{text}");
    }
    // A head that was right is on its way before its body is seen to be wrong: its end never comes.
    for body in ["5\nhello", "5\r\nhello\n", "x\r\n", "0\r\n\n", "0\r\nX : y\r\n\r\n", "-1\r\n"] {
        let text = chunked(body);
        let (client, over) = lawful(text.as_bytes(), |pieces| {
            let told = tell(pieces, OK, is_whole, &Settings::default());
            assert!(!told.service.ends_with("0\r\n\r\n"), "{text}: {}", told.service);
            (told.client, told.over)
        });
        assert_eq!((code(&client), over), ("bad_framing", true), "{text}");
    }
}

#[test]
fn an_error_in_the_middle_of_a_pipeline_ends_it_there() {
    let good = request("GET /1 HTTP/1.1", "") + &request(POST, "Content-Length: 5\r\n") + "hello";
    let told =
        told(&(good + &request("GET /3 HTTP/1.1", "X : y\r\n") + &request("GET /4 HTTP/1.1", "")));
    let asked: Vec<_> = told.service.lines().filter(|line| line.contains(" HTTP/1.1")).collect();
    assert_eq!(asked, ["GET /1 HTTP/1.1", "POST / HTTP/1.1"]);
    let (answers, refusal) = told.client.split_at(2 * TOLD.len());
    assert_eq!(answers, TOLD.repeat(2), "in order, and whole");
    assert_eq!((status(refusal), code(refusal)), (400, "bad_request"));
    assert!(told.over);
}

#[test]
fn a_target_of_any_form_reaches_the_service_with_the_host_that_it_names() {
    for (line, host, target, asked) in [
        ("GET /a%2f?b=//c HTTP/1.1", "a.x", "/a%2f?b=//c", "a.x"),
        ("GET http://a.y:80/b?c HTTP/1.1", "other.x", "/b?c", "a.y:80"),
        ("GET HTTPS://a.y?c HTTP/1.1", "other.x", "/?c", "a.y"),
        ("GET http://a.y HTTP/1.1", "", "/", "a.y"),
        ("OPTIONS * HTTP/1.1", "a.x", "*", "a.x"),
        ("OPTIONS http://a.y HTTP/1.1", "other.x", "*", "a.y"),
        ("OPTIONS http://a.y/ HTTP/1.1", "other.x", "/", "a.y"),
    ] {
        let told = told(&format!("{line}\r\nHost: {host}\r\n\r\n"));
        let method = line.split(' ').next().unwrap();
        let expected = format!("{method} {target} HTTP/1.1\r\nHost: {asked}\r\n\r\n");
        assert_eq!(bare(&told.service), expected, "{line}");
        assert!(told.service.contains(&format!("\r\nX-Forwarded-Host: {asked}\r\n")), "{line}");
        assert_eq!(told.client, TOLD, "{line}");
    }
}

#[test]
fn a_request_that_comes_back_again_and_again_has_an_end() {
    let mut text = request("GET / HTTP/1.1", "");
    for _ in 0..100 {
        let told = told(&text);
        if told.service.is_empty() {
            assert_eq!((status(&told.client), code(&told.client)), (431, "head_too_large"));
            return;
        }
        text = told.service;
    }
    panic!("it goes on: {text}");
}

#[test]
fn a_method_that_nobody_knows_passes_as_it_is() {
    for method in ["BREW", "get", "M-SEARCH", "!#$%&'*+-.^_`|~", "OPTIONS", "PATCH", "DELETE"] {
        let text = request(&format!("{method} /x HTTP/1.1"), "Content-Length: 5\r\n") + "hello";
        let told = told(&text);
        assert_eq!(bare(&told.service), text);
        assert_eq!((told.client.as_str(), told.over), (TOLD, false), "{method}");
    }
}

#[test]
fn max_forwards_counts_the_hops_of_options_and_trace_only() {
    for (line, fields, reaches) in [
        ("OPTIONS * HTTP/1.1", "Max-Forwards: 2\r\n", Some("Max-Forwards: 1")),
        ("TRACE / HTTP/1.1", "max-forwards: 1\r\n", Some("max-forwards: 0")),
        ("GET / HTTP/1.1", "Max-Forwards: 0\r\n", Some("Max-Forwards: 0")),
        ("BREW / HTTP/1.1", "Max-Forwards: x\r\n", Some("Max-Forwards: x")),
        ("TRACE / HTTP/1.1", "", Some("Host: a.x")),
        ("OPTIONS /b HTTP/1.1", "Max-Forwards: -1\r\n", None),
        ("TRACE / HTTP/1.1", "Max-Forwards: 1\r\nMax-Forwards: 1\r\n", None),
    ] {
        let told = told(&request(line, fields));
        if let Some(field) = reaches {
            assert!(told.service.contains(&format!("\r\n{field}\r\n")), "{line}");
        } else {
            assert_eq!((told.service.as_str(), code(&told.client)), ("", "bad_request"));
            assert!(told.over, "{}", told.client);
        }
        assert_eq!(told.client == TOLD, reaches.is_some(), "{}", told.client);
    }
    let last = told(&request("OPTIONS * HTTP/1.1", "Max-Forwards: 0\r\n"));
    assert_eq!(last.client, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert_eq!((last.service.as_str(), last.over), ("", false));
    let secret = "Cookie: a\r\nAuthorization: b\r\nX-Pico-Endpoint: a\r\nX-Pico-Token: c\r\n";
    let last =
        told(&request("TRACE /t?u HTTP/1.1", &format!("Max-Forwards: 0\r\n{secret}X: y\r\n")));
    let seen = "TRACE /t?u HTTP/1.1\r\nHost: a.x\r\nMax-Forwards: 0\r\nX: y\r\n\r\n";
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: message/http\r\ncontent-length: {}\r\n\r\n",
        seen.len()
    );
    assert_eq!((last.service, last.client), (String::new(), head + seen));
}

#[test]
fn a_body_reaches_the_service_as_long_as_it_is_and_with_the_trailers_that_may_follow_it() {
    let length = request(POST, "Content-Length: 5\r\n") + "hello";
    assert_eq!(bare(&told(&length).service), length);
    let chunks = "2;a=\"b;c\" ; d\r\nhe\r\n03\r\nllo\r\n000\r\n\
                  X-Sum: 1\r\nContent-Length: 9\r\nHost: b\r\nX-Pico-A: b\r\nTE: c\r\n\r\n";
    let sent = request(POST, "Trailer: X-Sum\r\ntransfer-encoding: CHUNKED\r\n") + chunks;
    let whole = |text: &str| text.ends_with("0\r\nX-Sum: 1\r\n\r\n");
    let told = lawful(sent.as_bytes(), |pieces| {
        let mut told = tell(pieces, OK, whole, &Settings::default());
        // How it is cut into chunks is each hop's own affair.
        let (head, body) = told.service.split_once("\r\n\r\n").unwrap();
        let mut lines: Vec<_> = body.split("\r\n").collect();
        let trailers = lines.split_off(lines.iter().position(|line| *line == "0").unwrap());
        let data: String = lines.chunks(2).map(|pair| pair[1]).collect();
        told.service = format!("{head}\r\n\r\n{data}|{}", trailers.join("\r\n"));
        told
    });
    let expected = "POST / HTTP/1.1\r\nHost: a.x\r\nTrailer: X-Sum\r\n\
                    Transfer-Encoding: chunked\r\n\r\nhello|0\r\nX-Sum: 1\r\n\r\n";
    assert_eq!(bare(&told.service), expected);
    assert_eq!(told.client, TOLD);
}

#[test]
fn a_body_that_the_service_does_not_read_does_not_keep_its_answer_back() {
    for answer in ["413 Too Large", "200 OK"] {
        let mut way = Way::new();
        let client = way.client();
        way.say(client, request(POST, "Content-Length: 1000000\r\n").as_bytes());
        let service = way.service();
        way.agent.stuck.push(service);
        for _ in 0..20 {
            way.say(client, &[b'x'; 10_000]);
        }
        let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 2\r\n\r\nno");
        way.answer(service, answer.as_bytes());
        let heard = way.heard(client);
        assert!(heard.ends_with("\r\n\r\nno"), "{heard}");
        assert!(way.node().finished.contains(&client), "and a FIN behind it, not a reset");
        assert!(way.agent.closed.contains(&service), "the service gets no more of it");
        way.say(client, &[b'x'; 10_000]);
        assert!(!way.node().closed.contains(&client), "what still comes is thrown away");
        assert_eq!((way.node().calls(), way.agent.agent.calls()), (0, 0));
    }
}

#[test]
fn a_head_at_the_limits_passes_and_one_beyond_them_is_refused() {
    let limits = Limits::default();
    let head = |name: usize, value: usize| {
        request(
            &format!("GET /{} HTTP/1.1", "x".repeat(name)),
            &format!("Y: {}\r\n", "y".repeat(value)),
        )
    };
    let spare = limits.head_bytes - head(0, 0).len();
    for (text, code_of) in [
        (head(0, spare - 1_000), ""),
        (head(0, spare + 1), "head_too_large"),
        (head(limits.head_bytes, 0), "target_too_long"),
        (request("GET / HTTP/1.1", &"Z: z\r\n".repeat(limits.head_fields)), "head_too_large"),
    ] {
        for size in [text.len(), 1_000, 997] {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let told = tell(&pieces, OK, is_whole, &Settings::default());
            assert_eq!(code(&told.client), code_of);
            assert_eq!(told.service.is_empty(), !code_of.is_empty());
        }
    }
}

#[test]
fn a_client_of_an_older_version_is_served_in_its_own() {
    for (fields, ends, connection) in [
        ("", true, "Connection: close\r\n"),
        ("Connection: keep-alive\r\n", false, "Connection: keep-alive\r\n"),
        ("Connection: close, keep-alive\r\n", true, "Connection: close\r\n"),
    ] {
        let told = told(&request("GET / HTTP/1.0", fields));
        assert_eq!(bare(&told.service), request("GET / HTTP/1.1", ""));
        assert!(told.service.contains("\r\nVia: 1.0 pico\r\n"), "{}", told.service);
        assert_eq!(told.client, TOLD.replace("\r\n\r\n", &format!("\r\n{connection}\r\n")));
        assert_eq!(told.over, ends, "{fields}");
    }
}

#[test]
fn who_asks_to_close_is_answered_and_closed_and_the_service_keeps_its_connection() {
    let text =
        request("GET /1 HTTP/1.1", "Connection: close\r\n") + &request("GET /2 HTTP/1.1", "");
    let told = told(&text);
    assert_eq!(bare(&told.service), request("GET /1 HTTP/1.1", ""), "the second is not read");
    assert_eq!(told.client, TOLD.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
    assert!(told.over);
}

#[test]
fn a_client_may_pause_in_its_body_for_longer_than_the_service_may_take_to_answer() {
    let (response_timeout, body_timeout) = (Duration::from_secs(2), Duration::from_mins(1));
    let limits = Limits { response_timeout, body_timeout, ..Limits::default() };
    let settings = Settings { limits: Arc::new(limits), ..Settings::default() };
    for fields in ["Content-Length: 10\r\n", "Transfer-Encoding: chunked\r\n"] {
        let piece = |last: bool| match (fields.contains("chunked"), last) {
            (false, _) => "hello",
            (true, false) => "5\r\nhello\r\n",
            (true, true) => "5\r\nhello\r\n0\r\n\r\n",
        };
        let begin = || {
            let mut way = Way::with(settings.clone());
            let client = way.client();
            way.say(client, (request(POST, fields) + piece(false)).as_bytes());
            let service = way.service();
            assert!(way.asked(service).contains("hello"));
            way.pass(body_timeout / 2);
            assert_eq!(way.heard(client), "", "it is the client's turn");
            (way, client, service)
        };
        let (mut way, client, service) = begin();
        way.say(client, piece(true).as_bytes());
        way.pass(response_timeout / 2);
        way.answer(service, OK);
        assert_eq!(way.heard(client), TOLD, "{fields}");

        // From the last byte on it is the service's.
        let (mut way, client, _) = begin();
        way.say(client, piece(true).as_bytes());
        way.pass(response_timeout);
        assert_eq!(code(&way.heard(client)), "upstream_timeout", "{fields}");

        // And a client that stays away is told that it is late.
        let (mut way, client, service) = begin();
        way.pass(body_timeout / 2);
        assert_eq!(code(&way.heard(client)), "body_timeout", "{fields}");
        assert!(way.agent.closed.contains(&service), "the service is not kept for it");
    }
}

#[test]
fn a_service_that_reads_no_more_of_a_body_is_late_itself() {
    let limits = Limits::default();
    let mut way = Way::new();
    let client = way.client();
    way.say(client, request(POST, "Content-Length: 1000000\r\n").as_bytes());
    let service = way.service();
    way.agent.stuck.push(service);
    for _ in 0..20 {
        way.say(client, &[b'x'; 10_000]);
    }
    way.pass(limits.response_timeout);
    let heard = way.heard(client);
    assert_eq!((status(&heard), code(&heard)), (504, "upstream_timeout"));
}

#[test]
fn every_request_of_a_connection_has_an_id_of_its_own() {
    let (good, nameless) = (request("GET / HTTP/1.1", ""), "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut way = Way::new();
    let client = way.client();
    way.say(client, good.as_bytes());
    let mut service = way.service();
    way.answer(service, OK);
    assert_eq!(way.heard(client), TOLD);
    for text in [nameless, &good, nameless, nameless, "GET /\r\n\r\n"] {
        way.say(client, text.as_bytes());
        service = way.dialled().unwrap_or(service);
        if !way.asked(service).is_empty() {
            way.answer(service, OK);
        }
        assert_ne!(status(&way.heard(client)), 0, "{text}");
    }
    way.node().eof(client);
    let ids: Vec<String> = std::mem::take(&mut way.node().notes)
        .into_iter()
        .filter_map(|note| if let Note::Request(request) = note { Some(request.id) } else { None })
        .collect();
    let distinct: BTreeSet<&String> = ids.iter().collect();
    assert_eq!((ids.len(), distinct.len()), (6, 6), "{ids:?}");
}
