//! What is taken of services, and what of it reaches the client.

use super::server::At;
use super::way::{OK, TOLD, Way, code, lawful, request, status};
use pico_core::id::ConnId;

/// A client that has asked this, and its service, which has heard it.
fn asked(line: &str, fields: &str) -> (Way, At, ConnId) {
    let mut way = Way::new();
    let client = way.client();
    way.say(client, request(line, fields).as_bytes());
    let service = way.service();
    way.asked(service);
    (way, client, service)
}

/// What came of an answer.
#[derive(PartialEq, Debug)]
struct Came {
    heard: String,
    /// Whether the client's connection is at its end, and the service's.
    over: [bool; 2],
}

/// What comes of this answer to a request, however it is cut.
fn came(line: &str, answer: &[u8]) -> Came {
    lawful(answer, |pieces| {
        let (mut way, client, service) = asked(line, "");
        for piece in pieces {
            way.answer(service, piece);
        }
        let heard = way.heard(client);
        Came { heard, over: [way.is_over(client), way.agent.closed.contains(&service)] }
    })
}

const GET: &str = "GET / HTTP/1.1";
const VIA: &str = "Via: 1.1 pico\r\n";

#[test]
fn every_interim_response_passes_in_its_order() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nA: b\r\n\r\n\
                   HTTP/1.1 103 Early Hints\r\nLink: <a>\r\nLink: <b>\r\n\r\nHTTP/1.1 104 \r\n\r\n\
                   HTTP/1.1 199 Own\r\n\r\n";
    let answer = [interim.as_bytes(), OK].concat();
    assert_eq!(came(GET, &answer).heard, [interim, TOLD].concat());
    // None is for a client that would take it for the answer.
    let old = came("GET / HTTP/1.0", &answer).heard;
    assert!(old.starts_with("HTTP/1.1 200 OK\r\n"), "{old}");
    // None has a body, whatever it says.
    let odd = b"HTTP/1.1 103 H\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
    let heard = came(GET, &[odd, OK].concat()).heard;
    assert_eq!(heard, ["HTTP/1.1 103 H\r\n\r\n", TOLD].concat());
}

#[test]
fn a_response_that_has_no_body_by_its_nature_ends_with_its_head() {
    for (line, answer, kept) in [
        (GET, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", ""),
        (GET, "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", ""),
        (GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "Content-Length: 5\r\n"),
        (
            "HEAD / HTTP/1.1",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            "Content-Length: 5\r\n",
        ),
        ("HEAD / HTTP/1.1", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ""),
        ("HEAD / HTTP/1.1", "HTTP/1.1 404 Not Found\r\n\r\n", ""),
    ] {
        let first = answer.split_once("\r\n").unwrap().0;
        let told = came(line, answer.as_bytes());
        assert_eq!(told.heard, format!("{first}\r\n{kept}{VIA}\r\n"), "{answer}");
        assert_eq!(told.over, [false, false], "both may carry another: {answer}");
    }
}

#[test]
fn a_body_that_ends_with_the_connection_is_framed_for_the_client() {
    let answer = b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n";
    let (head, body, over) = lawful(&[&answer[..], b"hello"].concat(), |pieces| {
        let (mut way, client, service) = asked(GET, "");
        for piece in pieces {
            way.answer(service, piece);
        }
        way.finish(service);
        let heard = way.heard(client);
        let (head, body) = heard.split_once("\r\n\r\n").unwrap();
        // How it is cut into chunks is each hop's own affair.
        let chunks: Vec<_> = body.split("\r\n").collect();
        let body: String = chunks.chunks_exact(2).map(|pair| pair[1]).collect();
        (head.to_owned(), body, [way.is_over(client), way.agent.closed.contains(&service)])
    });
    assert_eq!(head, "HTTP/1.1 200 OK\r\nX: y\r\nVia: 1.1 pico\r\nTransfer-Encoding: chunked");
    assert_eq!((body.as_str(), over), ("hello", [false, true]));
    // Without the FIN it is not at its end, and a reset is none.
    let (mut way, client, service) = asked(GET, "");
    way.answer(service, &[&answer[..], b"hello"].concat());
    assert!(!way.heard(client).ends_with("0\r\n\r\n"));
    way.agent.lose(service);
    let heard = way.heard(client);
    assert!(!heard.contains("0\r\n\r\n") && way.is_over(client), "{heard}");
}

#[test]
fn nonsense_from_a_service_is_a_502_and_its_connection_carries_nothing_more() {
    let head = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello").into_bytes();
    let nonsense: &[Vec<u8>] = &[
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec(),
        b"HTTP/2 200 OK\r\n\r\n".to_vec(),
        b"HTTP/1.1 20 OK\r\n\r\n".to_vec(),
        b"HTTP/1.1 2000 OK\r\n\r\n".to_vec(),
        b"HTTP/1.1  200 OK\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 O\x01K\r\n\r\n".to_vec(),
        b"HTTP/1.1 099 OK\r\n\r\n".to_vec(),
        b"\r\nHTTP/1.1 200 OK\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n".to_vec(),
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n".to_vec(),
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(),
        head("Content-Length: 5\r\nContent-Length: 5"),
        head("Content-Length: 5\r\nContent-Length: 6"),
        head("Content-Length: 5, 5"),
        head("Content-Length: +5"),
        head("Content-Length: 5\r\nTransfer-Encoding: chunked"),
        head("Transfer-Encoding: gzip, chunked"),
        head("Transfer-Encoding: chunked, chunked"),
        head("X : y"),
        head("X: y\r\n folded"),
        head("X: \0"),
        head("X\u{e4}: y"),
        head(": y"),
        head("X"),
    ];
    for answer in nonsense {
        let told = came(GET, answer);
        assert_eq!(status(&told.heard), 502, "{}", answer.escape_ascii());
        assert_eq!(code(&told.heard), "bad_response", "{}", answer.escape_ascii());
        assert_eq!(told.over, [false, true], "{}", answer.escape_ascii());
    }
    for silence in [&b""[..], b"HTTP/1.1 200 O", b"HTTP/1.1 103 X\r\n\r\n"] {
        let (mut way, client, service) = asked("POST / HTTP/1.1", "");
        way.answer(service, silence);
        way.finish(service);
        let heard = way.heard(client);
        assert_eq!((status(&heard), code(&heard)), (502, "bad_response"), "{heard}");
    }
}

#[test]
fn a_body_that_breaks_off_or_is_malformed_never_looks_whole() {
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello";
    for (answer, fin) in [
        (format!("{chunks}5\r\nhello\r\n"), true),
        (format!("{chunks}5\r\nhello\r\n0\r\n"), true),
        (format!("{chunks}5\r\nhello\n"), false),
        (format!("{chunks}5\r\nhello\r\n-1\r\n"), false),
        (format!("{chunks}5\r\nhello\r\n0\r\nX : y\r\n\r\n"), false),
        (format!("{chunks}5\r\nhello\r\n0\n\n"), false),
        (length.to_owned(), true),
    ] {
        let ends = |heard: &str| heard.ends_with("0\r\n\r\n") || heard.ends_with("hello1234");
        let (whole, over) = lawful(answer.as_bytes(), |pieces| {
            let (mut way, client, service) = asked(GET, "");
            for piece in pieces {
                way.answer(service, piece);
            }
            if fin {
                way.finish(service);
            }
            let heard = way.heard(client);
            assert!(heard.starts_with("HTTP/1.1 200 OK\r\n"), "{heard}");
            (ends(&heard), [way.is_over(client), way.agent.closed.contains(&service)])
        });
        assert_eq!((whole, over), (false, [true, true]), "{answer}");
    }
}

#[test]
fn what_follows_a_response_answers_no_other_request() {
    for more in ["x", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake"] {
        let (mut way, client, service) = asked(GET, "");
        way.answer(service, &[OK, more.as_bytes()].concat());
        assert_eq!(way.heard(client), TOLD);
        assert!(way.agent.closed.contains(&service), "{more}");
        way.say(client, request(GET, "").as_bytes());
        let other = way.service();
        assert_ne!(other, service);
        way.answer(other, OK);
        assert_eq!(way.heard(client), TOLD);
    }
}

#[test]
fn each_side_closes_its_own_connection_only() {
    for (answer, keeps) in [
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true),
    ] {
        let told = came(GET, answer.as_bytes());
        assert_eq!(told.heard, TOLD, "{answer}");
        assert_eq!(told.over, [false, !keeps], "{answer}");
    }
}

#[test]
fn an_idle_connection_to_a_service_is_used_again_until_the_service_closes_it() {
    let (mut way, client, service) = asked(GET, "");
    way.answer(service, OK);
    way.heard(client);
    way.say(client, request(GET, "").as_bytes());
    assert_eq!(way.dialled(), None);
    assert!(way.asked(service).starts_with(GET), "on the same connection");
    // It closed it before it saw the request: which goes out once more, on a new one.
    way.finish(service);
    let other = way.service();
    assert!(way.asked(other).starts_with(GET));
    way.answer(other, OK);
    assert_eq!(way.heard(client), TOLD);
    // What may have run does not go out again.
    way.say(client, request("POST / HTTP/1.1", "Content-Length: 0\r\n").as_bytes());
    assert!(way.asked(other).starts_with("POST"));
    way.finish(other);
    assert_eq!(way.dialled(), None);
    assert_eq!(status(&way.heard(client)), 502);
}
