//! What is refused because two parsers could read it in two ways.

mod http1_kit;

use http1_kit::{Rig, lawful};
use pico_core::http1::server::{Action, Input};
use pico_core::{Limits, Reason};

/// The reason for which this is refused, if it is.
fn refusal(text: &[u8]) -> Option<Reason> {
    lawful(text, |pieces| {
        let mut rig = Rig::server();
        let mut actions = Vec::new();
        for piece in pieces {
            if rig.machine.room() > 0 {
                rig.feed(piece);
            }
            actions.extend(rig.actions());
            rig.input(Input::Credit(1 << 20));
            actions.extend(rig.actions());
        }
        actions.iter().find_map(|a| if let Action::Malformed(r) = a { Some(*r) } else { None })
    })
}

fn with(fields: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n").into_bytes()
}

#[test]
fn framing_that_can_be_read_in_two_ways_is_refused() {
    use Reason::{BadFraming, NotImplemented};
    for (fields, reason) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", BadFraming),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", BadFraming),
        ("Content-Length: 5\r\nContent-Length: 5", BadFraming),
        ("Content-Length: 5\r\ncontent-length: 6", BadFraming),
        ("Content-Length: 5, 5", BadFraming),
        ("Content-Length: +5", BadFraming),
        ("Content-Length: -5", BadFraming),
        ("Content-Length: 0x5", BadFraming),
        ("Content-Length: 5 5", BadFraming),
        ("Content-Length: ", BadFraming),
        ("Content-Length: 9223372036854775808", BadFraming),
        ("Content-Length: 99999999999999999999999", BadFraming),
        ("Transfer-Encoding: ", BadFraming),
        ("Transfer-Encoding: chunked, chunked", BadFraming),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", BadFraming),
        ("Transfer-Encoding: chunked, gzip", BadFraming),
        ("Transfer-Encoding: chunked;q=1", BadFraming),
        ("Transfer-Encoding: \"chunked\"", BadFraming),
        ("Transfer-Encoding: ,chunked", BadFraming),
        ("Transfer-Encoding: gzip, chunked", NotImplemented),
        ("Transfer-Encoding: gzip", BadFraming),
        ("Transfer-Encoding: identity", BadFraming),
        ("Transfer-Encoding: xchunked", BadFraming),
        ("Content_Length: 5", BadFraming),
        ("Content-Length: 5\r\ncontent_length: 3", BadFraming),
        ("Content-Length: 5\r\nTransfer_Encoding: chunked", BadFraming),
        ("TRANSFER.ENCODING: chunked", BadFraming),
    ] {
        assert_eq!(refusal(&with(fields)), Some(reason), "{fields}");
    }
    let old = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(refusal(old), Some(BadFraming));
}

#[test]
fn framing_that_is_clear_is_taken() {
    for fields in [
        "Content-Length: 0",
        "Content-Length: 5",
        "Content-Length:\t5 ",
        "Content-Length: 9223372036854775807",
        "Transfer-Encoding: chunked",
        "transfer-encoding: CHUNKED",
        "X: y",
    ] {
        assert_eq!(refusal(&with(fields)), None, "{fields}");
    }
}

#[test]
fn heads_that_break_the_grammar_are_refused() {
    for text in [
        &b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost\r\n\r\n",
        b"GET / HTTP/1.1\r\n: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET / http/1.1\r\nHost: a\r\n\r\n",
        b"GET /\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01",
        b" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: u@b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        b"GET a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http:///b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://:80/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET HTTP://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://a\\@b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://a#@b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://a,b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://a:b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://[::1/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://[::1]a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://[1::2::3]/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://a%2/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://a/b#c HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /b#c HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /?b# HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(refusal(text), Some(Reason::BadRequest), "{}", text.escape_ascii());
    }
    let connect = b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n";
    assert_eq!(refusal(connect), Some(Reason::NotImplemented));
}

#[test]
fn a_host_is_one_host_with_or_without_a_port() {
    let with = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for host in [
        "a:b",
        "a:80:80",
        "a:80a",
        ":80",
        "[::1",
        "::1",
        "[::1]x",
        "[]",
        "[g::1]",
        "[::1%25lo]",
        "[v1.a]",
        "a[",
        "a%",
        "a%2",
        "a%2g",
        "a b",
        "a,b",
        "a/b",
        "a?b",
        "a#b",
        "u@a",
        "a\\b",
        "\"a\"",
        "<a>",
        "http://a",
    ] {
        assert_eq!(refusal(with(host).as_bytes()), Some(Reason::BadRequest), "{host}");
    }
    for host in [
        "",
        "a",
        "a.b.",
        "A-b_c~d",
        "a:80",
        "a:",
        "127.0.0.1:1",
        "[::1]",
        "[::ffff:1.2.3.4]:80",
        "a%2Fb",
        "!$&'()*+;=",
        "a:99999999",
    ] {
        assert_eq!(refusal(with(host).as_bytes()), None, "{host}");
    }
}

#[test]
fn a_trace_has_no_body() {
    let with = |fields: &str| format!("TRACE / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    for fields in ["Content-Length: 1\r\n", "Transfer-Encoding: chunked\r\n"] {
        assert_eq!(refusal(with(fields).as_bytes()), Some(Reason::BadRequest), "{fields}");
    }
    for fields in ["", "Content-Length: 0\r\n"] {
        assert_eq!(refusal(with(fields).as_bytes()), None, "{fields}");
    }
}

#[test]
fn targets_of_all_forms_are_taken() {
    for line in [
        "GET /a",
        "OPTIONS *",
        "GET http://a/b",
        "GET HTTPS://a",
        "GET http://[::1]:80?b@c",
        "OPTIONS http://a:",
    ] {
        let text = format!("{line} HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
        assert_eq!(refusal(text.as_bytes()), None, "{line}");
    }
}

#[test]
fn a_head_over_the_limits_is_refused_and_one_at_the_limits_is_not() {
    let limits = Limits::default();
    let with =
        |value: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(value));
    let spare = limits.head_bytes - with(0).len();
    assert_eq!(refusal(with(spare).as_bytes()), None);
    assert_eq!(refusal(with(spare + 1).as_bytes()), Some(Reason::HeadTooLarge));
    let endless = vec![b'x'; limits.head_bytes + 1];
    assert_eq!(refusal(&endless), Some(Reason::HeadTooLarge));
    let target = |len: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(len));
    let spare = limits.head_bytes - target(0).len();
    assert_eq!(refusal(target(spare).as_bytes()), None);
    assert_eq!(refusal(target(spare + 1).as_bytes()), Some(Reason::HeadTooLarge));
    let line = limits.head_bytes - "GET / HTTP/1.1\r\n".len();
    assert_eq!(refusal(target(line).as_bytes()), Some(Reason::HeadTooLarge));
    assert_eq!(refusal(target(line + 1).as_bytes()), Some(Reason::TargetTooLong));
    let empty_first = format!("\r\n{}", target(limits.head_bytes));
    assert_eq!(refusal(empty_first.as_bytes()), Some(Reason::TargetTooLong));

    let many =
        |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
    assert_eq!(refusal(many(limits.head_fields).as_bytes()), None);
    assert_eq!(refusal(many(limits.head_fields + 1).as_bytes()), Some(Reason::HeadTooLarge));
}

#[test]
fn more_options_than_can_be_meant_are_refused() {
    let text = |count: usize| with(&format!("Connection: x{}", ",x".repeat(count - 1)));
    assert_eq!(refusal(&text(100)), None);
    assert_eq!(refusal(&text(101)), Some(Reason::BadRequest));
    let two = format!("Connection: {}\r\nConnection: {}", "x,".repeat(50), "y,".repeat(51));
    assert_eq!(refusal(&with(&two)), Some(Reason::BadRequest));
}

#[test]
fn more_fields_than_usual_may_be_allowed() {
    let mut rig = Rig::server_with(Limits { head_fields: 1000, ..Limits::default() });
    rig.feed(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(500)));
    assert!(matches!(rig.actions()[..], [Action::Request(_)]));
}

#[test]
fn malformed_chunks_are_refused() {
    for body in [
        "5\nhello\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhellox\r\n",
        "5\r\nhello\r0",
        "\r\n",
        "5 \r\n",
        " 5\r\n",
        "-5\r\n",
        "+5\r\n",
        "0x5\r\n",
        "g\r\n",
        "5;a\rb\r\n",
        "5;a\0\r\n",
        "5 a\r\n",
        "5\r\r\n",
        ";a\r\n",
        "1000000000000000\r\n",
        "ffffffffffffffffffff\r\n",
        "0\r\n\n",
        "0\r\nX: y\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\n X: y\r\n\r\n",
        "0\r\nX\r\n\r\n",
    ] {
        let mut text = with("Transfer-Encoding: chunked");
        text.extend_from_slice(body.as_bytes());
        assert_eq!(refusal(&text), Some(Reason::BadFraming), "{}", body.escape_debug());
    }
}

#[test]
fn chunk_lines_and_trailers_are_bounded() {
    let limits = Limits::default();
    let chunked = |body: String| {
        let mut text = with("Transfer-Encoding: chunked");
        text.extend_from_slice(body.as_bytes());
        refusal(&text)
    };
    let line = |count: usize| format!("1;{}\r\n", "x".repeat(count - 4));
    assert_eq!(chunked(line(limits.chunk_line_bytes)), None);
    assert_eq!(chunked(line(limits.chunk_line_bytes + 1)), Some(Reason::BadFraming));
    assert_eq!(chunked(format!("1;{}", "x".repeat(2000))), Some(Reason::BadFraming));
    let trailers = |count: usize| format!("0\r\n{}\r\n", "X: y\r\n".repeat(count));
    assert_eq!(chunked(trailers(limits.head_fields)), None);
    assert_eq!(chunked(trailers(limits.head_fields + 1)), Some(Reason::HeadTooLarge));
    let long = format!("0\r\nX: {}", "y".repeat(limits.head_bytes));
    assert_eq!(chunked(long), Some(Reason::HeadTooLarge));
}
