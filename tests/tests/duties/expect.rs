//! `Expect: 100-continue` in each of its outcomes (RFC 9110, section 10.1.1).

use super::server::At;
use super::way::{OK, TOLD, Way, code, is_whole, lawful, request, status, tell};
use pico_core::Limits;
use pico_core::id::ConnId;
use pico_core::server::Settings;
use std::sync::Arc;
use std::time::Duration;

const EXPECT: &str = "Content-Length: 5\r\nExpect: 100-Continue\r\n";

/// A client that waits for permission to send its body, and its service, which has the head.
fn waiting() -> (Way, At, ConnId) {
    let mut way = Way::new();
    let client = way.client();
    way.say(client, request("POST / HTTP/1.1", EXPECT).as_bytes());
    let service = way.service();
    let asked = way.asked(service);
    assert!(
        asked.contains("\r\nExpect: 100-Continue\r\n") && asked.ends_with("\r\n\r\n"),
        "{asked}"
    );
    assert_eq!(way.heard(client), "", "Pico permits nothing itself");
    (way, client, service)
}

#[test]
fn the_service_permits_the_body_and_the_client_sends_it() {
    let permission = "HTTP/1.1 100 Continue\r\nX: y\r\n\r\n";
    let told = lawful(permission.as_bytes(), |pieces| {
        let (mut way, client, service) = waiting();
        for piece in pieces {
            way.answer(service, piece);
        }
        let permitted = way.heard(client);
        way.say(client, b"hello");
        let body = way.asked(service);
        way.answer(service, OK);
        (permitted, body, way.heard(client), way.is_over(client))
    });
    assert_eq!(told, (permission.into(), "hello".into(), TOLD.into(), false));
}

#[test]
fn the_service_refuses_the_body_with_a_final_response() {
    for (answer, closes) in [
        ("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno", true),
        ("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false),
    ] {
        let told = lawful(answer.as_bytes(), |pieces| {
            let (mut way, client, service) = waiting();
            for piece in pieces {
                way.answer(service, piece);
            }
            (way.heard(client), way.is_over(client), way.agent.closed.contains(&service))
        });
        let said = told.0.contains("\r\nConnection: close\r\n");
        assert_eq!(status(&told.0), status(answer));
        assert_eq!(said, closes, "{}", told.0);
        assert_eq!((told.1, told.2), (true, true), "neither connection carries another request");
    }
}

#[test]
fn the_service_says_nothing_and_the_client_stops_waiting() {
    let (mut way, client, service) = waiting();
    way.pass(Limits::default().response_timeout / 2);
    way.say(client, b"hello");
    assert_eq!(way.asked(service), "hello");
    way.answer(service, OK);
    assert_eq!(way.heard(client), TOLD);
}

#[test]
fn the_service_says_nothing_and_the_client_waits_on() {
    let limits = Limits::default();
    let (mut way, client, _) = waiting();
    way.pass(limits.body_timeout.min(limits.response_timeout));
    let heard = way.heard(client);
    assert_eq!(
        (status(&heard), code(&heard)),
        (504, "upstream_timeout"),
        "it is not the client's fault"
    );
    assert!(way.is_over(client));
}

#[test]
fn a_service_that_may_think_for_ever_does_not_let_the_client_wait_for_ever() {
    let ages = Duration::from_hours(24 * 365 * 100);
    let limits = Limits { response_timeout: ages, ..Limits::default() };
    let patience = limits.idle_timeout + limits.body_timeout;
    let mut way = Way::with(Settings { limits: Arc::new(limits), ..Settings::default() });
    let client = way.client();
    way.say(client, request("POST / HTTP/1.1", EXPECT).as_bytes());
    let service = way.service();
    way.pass(patience / 2);
    assert!(!way.is_over(client));
    way.pass(patience / 2);
    let heard = way.heard(client);
    assert_eq!((status(&heard), code(&heard)), (408, "body_timeout"));
    assert!(way.agent.closed.contains(&service), "the service is not kept for it either");
}

#[test]
fn the_client_does_not_wait() {
    let text = request("POST / HTTP/1.1", EXPECT) + "hello";
    for answer in [
        String::from_utf8(OK.into()).unwrap(),
        format!("HTTP/1.1 100 Continue\r\n\r\n{}", std::str::from_utf8(OK).unwrap()),
    ] {
        let told = lawful(text.as_bytes(), |pieces| {
            tell(pieces, answer.as_bytes(), is_whole, &Settings::default())
        });
        assert!(told.service.ends_with("\r\n\r\nhello"), "{}", told.service);
        assert_eq!(told.client, answer.replace(std::str::from_utf8(OK).unwrap(), TOLD));
    }
}

#[test]
fn a_client_of_an_older_version_cannot_expect_anything() {
    let text = request("POST / HTTP/1.0", EXPECT) + "hello";
    let told = lawful(text.as_bytes(), |pieces| {
        let answer = format!("HTTP/1.1 100 Continue\r\n\r\n{}", std::str::from_utf8(OK).unwrap());
        tell(pieces, answer.as_bytes(), is_whole, &Settings::default())
    });
    assert!(!told.service.contains("Expect"), "{}", told.service);
    assert!(told.client.starts_with("HTTP/1.1 200 OK\r\n"), "no 100: {}", told.client);
}

#[test]
fn nobody_to_ask_is_said_at_once() {
    let text = request("POST / HTTP/1.1", EXPECT).replace("a.x", "nobody.x");
    let told = lawful(text.as_bytes(), |pieces| tell(pieces, OK, is_whole, &Settings::default()));
    assert_eq!((status(&told.client), told.over), (502, true));
}

#[test]
fn other_expectations_are_for_the_service_to_judge() {
    let text = request("POST / HTTP/1.1", "Content-Length: 5\r\nExpect: 200-ok, x=y\r\n") + "hello";
    let told = lawful(text.as_bytes(), |pieces| {
        let no = b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n";
        tell(pieces, no, is_whole, &Settings::default())
    });
    assert!(told.service.contains("\r\nExpect: 200-ok, x=y\r\n"), "{}", told.service);
    assert_eq!(status(&told.client), 417);
}
