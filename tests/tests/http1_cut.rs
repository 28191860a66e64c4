//! What is cut off never looks complete, for HTTP/1.

mod http1_kit;

use http1_kit::Rig;
use pico_core::http1::{client, server};
use pico_core::{Limits, Reason};

/// Whether a client that reads `text` and then sees the connection end believes in a response.
fn looks_complete(text: &[u8], end: client::Input) -> bool {
    let mut rig = Rig::client();
    rig.ask("GET", &[("Host", "a")], true);
    rig.out();
    rig.input(client::Input::Credit(1 << 20));
    rig.feed(text);
    rig.input(client::Input::Credit(1 << 20));
    rig.input(end);
    let actions = rig.actions();
    let failed = actions.iter().any(|a| matches!(a, client::Action::Failed { .. }));
    let ended = actions.iter().any(|a| {
        matches!(
            a,
            client::Action::Response { end: true, .. }
                | client::Action::Data { end: true, .. }
                | client::Action::Trailers(_)
        )
    });
    assert_eq!(failed, !ended, "{actions:?}");
    ended
}

#[test]
fn a_truncated_body_never_looks_complete() {
    for (text, close_delimited) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: y\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\n\r\nhello", true),
    ] {
        for at in 0..text.len() {
            let part = &text.as_bytes()[..at];
            assert!(!looks_complete(part, client::Input::Lost), "{part:?}");
            if !close_delimited {
                assert!(!looks_complete(part, client::Input::Eof), "{part:?}");
            }
        }
        if !close_delimited {
            assert!(looks_complete(text.as_bytes(), client::Input::Lost));
        }
        assert!(looks_complete(text.as_bytes(), client::Input::Eof));
    }
}

#[test]
fn a_response_that_is_broken_off_never_looks_complete() {
    for (version, fields) in [
        ("1.1", &[("Content-Length", "10")][..]),
        ("1.1", &[]),
        ("1.0", &[("Content-Length", "10")]),
        ("1.0", &[]),
    ] {
        for given in 0..=10 {
            let mut rig = Rig::server();
            rig.feed(format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n"));
            rig.respond(200, fields, false);
            rig.body(&[b'x'; 10][..given], false);
            let text = rig.out();
            rig.input(server::Input::Abort);
            let finish = rig.actions().contains(&server::Action::Finish);
            let end = if finish { client::Input::Eof } else { client::Input::Lost };
            assert!(!looks_complete(text.as_bytes(), end), "{version} {fields:?} {given}");
        }
    }
}

#[test]
fn a_request_that_is_broken_off_never_looks_complete() {
    for list in [&[("Content-Length", "10")][..], &[]] {
        for given in 0..=10 {
            let mut rig = Rig::client();
            rig.ask("POST", &[&[("Host", "a")], list].concat(), false);
            rig.body(&[b'x'; 10][..given], false);
            let text = rig.out();
            rig.input(client::Input::Abort);
            let mut server = Rig::server();
            server.feed(&text);
            server.input(server::Input::Credit(100));
            server.input(server::Input::Eof);
            let actions = server.actions();
            let lost = server::Action::Canceled(Reason::Canceled);
            assert!(actions.contains(&lost), "{list:?} {given}: {actions:?}");
        }
    }
}

/// Whether a client that sent `parts`, of which some is malformed, and was told so, has sent as
/// much as is thrown away at most.
fn is_closed(parts: &[&[u8]]) -> bool {
    let mut rig = Rig::server_with(Limits {
        chunk_line_bytes: 8,
        head_bytes: 100,
        linger_bytes: 40,
        ..Limits::default()
    });
    rig.feed("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    rig.input(server::Input::Credit(1000));
    let mut closed = false;
    for part in parts {
        rig.feed(part);
        for action in rig.actions() {
            if matches!(action, server::Action::Malformed(_)) {
                rig.respond(400, &[], true);
                rig.out();
            }
            closed |= matches!(action, server::Action::Closed(_));
        }
        closed |= rig.actions().iter().any(|action| matches!(action, server::Action::Closed(_)));
    }
    closed
}

#[test]
fn how_much_is_thrown_away_behind_a_flaw_does_not_depend_on_the_pieces() {
    let flaws =
        ["5\r\nhello\r\x01", "x\r\n", "5 \r\n", "000000000", "0\r\na: b\n", "0\r\nab\r\n\r\n"];
    for flaw in flaws {
        let mut seen = [false; 2];
        for more in 0..60 {
            let text = format!("{flaw}{}", "y".repeat(more));
            let whole = is_closed(&[text.as_bytes()]);
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(whole, is_closed(&bytes), "{text:?}");
            seen[usize::from(whole)] = true;
        }
        assert_eq!(seen, [true; 2], "{flaw:?}");
    }
}
