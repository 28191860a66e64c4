//! Fields that are added, taken away and left alone, each way.

use super::way::{OK, Way, is_whole, lawful, request, tell};
use pico_core::server::Settings;

/// The head that the service gets of a GET with these fields, however it is cut.
fn asked(fields: &str, settings: &Settings) -> String {
    let text = request("GET / HTTP/1.1", fields);
    lawful(text.as_bytes(), |pieces| tell(pieces, OK, is_whole, settings).service)
}

/// What the client gets of this answer, however it is cut.
fn answered(answer: &str) -> String {
    lawful(answer.as_bytes(), |pieces| {
        let mut way = Way::new();
        let client = way.client();
        way.say(client, request("GET / HTTP/1.1", "").as_bytes());
        let service = way.service();
        for piece in pieces {
            way.answer(service, piece);
        }
        way.heard(client)
    })
}

/// The lines of a head that are fields, those aside that begin with one of these.
fn fields<'t>(head: &'t str, aside: &[&str]) -> Vec<&'t str> {
    let lines = head.split("\r\n").skip(1).take_while(|line| !line.is_empty());
    lines.filter(|line| !aside.iter().any(|start| line.starts_with(start))).collect()
}

const SAID: [&str; 4] = ["Host:", "Via:", "X-Forwarded-", "X-Request-Id:"];

#[test]
fn fields_of_one_hop_and_those_that_connection_names_go_no_further() {
    let hop = "Connection: X-Named, close , \"x\", keep-alive\r\nx-named: 1\r\nKeep-Alive: timeout=9\r\n\
               Proxy-Connection: keep-alive\r\nTE: trailers, deflate\r\nUpgrade: h2c\r\n\
               HTTP2-Settings: AAAA\r\nX-Stays: 1\r\n";
    let service = asked(hop, &Settings::default());
    assert_eq!(fields(&service, &SAID), ["X-Stays: 1"]);
    let answer = format!("HTTP/1.1 200 OK\r\n{hop}Content-Length: 2\r\n\r\nok");
    let client = answered(&answer);
    assert_eq!(fields(&client, &["Via:"]), ["X-Stays: 1", "Content-Length: 2"]);
    let kept = "Connection: Content-Length, Host\r\nProxy-Authorization: a\r\nTrailer: b\r\n";
    let service = asked(kept, &Settings::default());
    assert_eq!(fields(&service, &SAID), ["Proxy-Authorization: a", "Trailer: b"]);
    assert!(service.contains("\r\nHost: a.x\r\n"));
}

#[test]
fn who_keeps_trailers_has_this_said_to_the_service() {
    let said = |line: &str, fields: &str| {
        let text = request(line, fields);
        let told = lawful(text.as_bytes(), |pieces| {
            tell(pieces, OK, is_whole, &Settings::default()).service
        });
        self::fields(&told, &SAID).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let kept = "Connection: te, X-Hop\r\nTE: deflate;q=0.5, Trailers\r\nX-Hop: 1\r\n";
    assert_eq!(said("GET / HTTP/1.1", kept), ["Connection: TE", "TE: trailers"]);
    let offer = "Connection: upgrade, te\r\nTE: trailers\r\nUpgrade: x\r\n";
    let expected = ["Upgrade: x", "Connection: Upgrade, TE", "TE: trailers"];
    assert_eq!(said("GET / HTTP/1.1", offer), expected);
    assert!(said("GET / HTTP/1.0", kept).is_empty(), "it gets none");
    assert!(said("GET / HTTP/1.1", "TE: trailers\r\n").is_empty(), "not its own word");
    assert!(said("GET / HTTP/1.1", "Connection: te\r\nTE: deflate\r\n").is_empty());
}

#[test]
fn a_426_says_what_it_wants_and_others_do_not() {
    let upgrade = "Connection: upgrade\r\nUpgrade: x/2\r\nContent-Length: 0\r\n\r\n";
    let client = answered(&format!("HTTP/1.1 426 Upgrade Required\r\n{upgrade}"));
    let expected = ["Upgrade: x/2", "Content-Length: 0", "Connection: Upgrade"];
    assert_eq!(fields(&client, &["Via:"]), expected);
    let client = answered(&format!("HTTP/1.1 200 OK\r\n{upgrade}"));
    assert_eq!(fields(&client, &["Via:"]), ["Content-Length: 0"], "of this hop");
}

#[test]
fn a_trailer_that_connection_names_goes_no_further() {
    let hop = "Connection: x-hop, close\r\nTransfer-Encoding: chunked\r\nX-Hop: 0\r\n";
    let body = "5\r\nhello\r\n0\r\nX-HOP: 1\r\nX-T: 1\r\n\r\n";
    let text = request("POST / HTTP/1.1", hop) + body;
    let answer = format!("HTTP/1.1 200 OK\r\n{hop}\r\n{body}");
    let whole = |text: &str| text.ends_with("\r\n\r\n") && text.contains("\r\n0\r\n");
    let told = lawful(text.as_bytes(), |pieces| {
        let told = tell(pieces, answer.as_bytes(), whole, &Settings::default());
        [told.service, told.client].map(|side| {
            assert!(!side.to_lowercase().contains("x-hop"), "{side}");
            side.ends_with("\r\n0\r\nX-T: 1\r\n\r\n")
        })
    });
    assert_eq!(told, [true, true]);
}

#[test]
fn names_keep_their_case_and_order_and_values_their_bytes() {
    let list =
        ["X-b: 2", "x-A:", "X-B: \"a, b\";  c\t d", "sEt-cookie: 1", "Set-Cookie: 2", "x_y: ~"];
    let odd: String = list.map(|line| format!("{line}\r\n")).concat();
    let padded = odd.replace(": ", ": \t ").replace("\r\n", " \t\r\n");
    let written = |line: &&str| line.replace("x-A:", "x-A: ");
    let expected: Vec<_> = list.iter().map(written).collect();
    assert_eq!(fields(&asked(&padded, &Settings::default()), &SAID), expected);
    let answer = format!("HTTP/1.1 299 \tOdd  Phrase\r\n{padded}Content-Length: 2\r\n\r\nok");
    let client = answered(&answer);
    assert!(client.starts_with("HTTP/1.1 299 \tOdd  Phrase\r\n"), "{client}");
    assert_eq!(fields(&client, &["Via:", "Content-Length:"]), expected);
    // Bytes that are no ASCII pass as they are.
    let mut way = Way::new();
    let client = way.client();
    let said = [&b"GET / HTTP/1.1\r\nHost: a.x\r\nX: \xe4\xff\x80\r\n\r\n"[..]].concat();
    way.say(client, &said);
    let service = way.service();
    let out = way.agent.out.remove(&service).unwrap();
    assert!(out.windows(8).any(|bytes| bytes == b"X: \xe4\xff\x80\r\n"));
    way.answer(service, b"HTTP/1.1 200 OK\r\nX: \xe4\xff\x80\r\nContent-Length: 0\r\n\r\n");
    let heard = way.node().bytes(client);
    assert!(heard.windows(8).any(|bytes| bytes == b"X: \xe4\xff\x80\r\n"));
}

#[test]
fn nothing_that_is_picos_own_passes_in_either_direction() {
    let own = "X-Pico-A: 1\r\nx-pico-endpoint: a\r\nX_Pico_B: 1\r\nx-Pico_c: 1\r\nX~Pico.D: 1\r\n";
    let chunked = format!("Transfer-Encoding: chunked\r\n{own}");
    let text =
        request("POST / HTTP/1.1", &chunked) + "5\r\nhello\r\n0\r\n" + own + "X-T: 1\r\n\r\n";
    let whole = |text: &str| text.ends_with("X-T: 1\r\n\r\n");
    let answer = format!(
        "HTTP/1.1 103 Hint\r\n{own}\r\nHTTP/1.1 200 OK\r\n{own}Transfer-Encoding: chunked\r\n\r\n\
         2\r\nok\r\n0\r\n{own}X-T: 1\r\n\r\n"
    );
    let told = tell(&[text.as_bytes()], answer.as_bytes(), whole, &Settings::default());
    for text in [&told.service, &told.client] {
        let lower = text.to_lowercase().replace(['_', '~', '.'], "-");
        assert!(!lower.contains("x-pico") && lower.contains("x-t: 1"), "{text}");
    }
    assert!(told.client.contains("HTTP/1.1 103 ") && told.client.contains("HTTP/1.1 200 "));
}

#[test]
fn a_request_id_is_kept_if_it_is_valid_and_made_if_it_is_not() {
    let long = "x".repeat(128);
    let id = |text: &str| {
        let service = asked(text, &Settings::default());
        let all = fields(&service, &[]);
        let mut ids = all.iter().filter(|line| line.to_lowercase().contains("request"));
        let id = ids.next().unwrap().strip_prefix("X-Request-Id: ").unwrap().to_owned();
        assert_eq!(ids.next(), None, "one ID: {service}");
        id
    };
    for kept in ["a", "A-b.c_d~9", &long] {
        assert_eq!(id(&format!("x-request-ID: {kept}\r\n")), kept);
    }
    let made = |text: &str| {
        let id = id(text);
        assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{text}: {id}");
    };
    for none in ["", "X-Request-Id:\r\n", "X-Request-Id: a b\r\n", "X-Request-Id: a\"b\r\n"] {
        made(none);
    }
    made(&format!("X-Request-Id: {long}x\r\n"));
    made("X-Request-Id: a\r\nX-Request-Id: a\r\n");
    made("X_Request_Id: a\r\n");
}

#[test]
fn what_is_end_to_end_is_left_alone() {
    let list = [
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate: a=1,b=2",
        "Accept-Encoding: br;q=1.0, gzip",
        "Range: bytes=0-1",
        "If-None-Match: \"x\"",
        "Authorization: Bearer x",
        "Cookie: a=b; c=d",
        "Proxy-Authorization: Basic x",
        "Expect: 200-ok",
        "User-Agent: x",
    ];
    let said: String = list.map(|line| format!("{line}\r\n")).concat();
    assert_eq!(fields(&asked(&said, &Settings::default()), &SAID), list);
    let list = ["ETag: \"x\"", "Content-Encoding: br", "Age: 1", "Vary: *", "Date: x", "Server: y"];
    let said: String = list.map(|line| format!("{line}\r\n")).concat();
    let client = answered(&format!("HTTP/1.1 200 OK\r\n{said}Content-Length: 2\r\n\r\n\x1f\x02"));
    assert_eq!(fields(&client, &["Via:", "Content-Length:"]), list);
    assert!(client.ends_with("\r\n\r\n\x1f\x02"), "nor is a body recoded");
}

#[test]
fn via_is_added_to_what_others_have_added() {
    let said = "Via: 1.0 first\r\nvia: HTTP/1.1 second (x)\r\n";
    let service = asked(said, &Settings { node_id: "n-1".into(), ..Settings::default() });
    let via = |text: &str| {
        let all = fields(text, &[]).into_iter().map(str::to_owned);
        all.filter(|line| line.to_lowercase().starts_with("via:")).collect::<Vec<_>>()
    };
    assert_eq!(via(&service), ["Via: 1.0 first", "via: HTTP/1.1 second (x)", "Via: 1.1 n-1"]);
    let client = answered("HTTP/1.1 200 OK\r\nVia: 1.1 x\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(via(&client), ["Via: 1.1 x", "Via: 1.1 pico"]);
}

#[test]
fn a_trusted_proxy_is_believed_and_anybody_else_is_not() {
    let said = "X-Forwarded-For: 198.51.100.1\r\nx-forwarded-for: 198.51.100.2\r\n\
                X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\nForwarded: for=x\r\n\
                X-Forwarded-Port: 443\r\nX-Real-IP: 1\r\nX_Forwarded_For: 6\r\n";
    // The client of these tests is 192.0.2.7.
    for (network, way, scheme, host) in [
        ("192.0.2.0/24", "198.51.100.1, 198.51.100.2, 192.0.2.7", "https", "shop.example"),
        ("::/0", "192.0.2.7", "http", "a.x"),
        ("192.0.2.8/32", "192.0.2.7", "http", "a.x"),
    ] {
        let trusted_proxies = vec![network.parse().unwrap()];
        let service = asked(said, &Settings { trusted_proxies, ..Settings::default() });
        let expected = [
            format!("X-Forwarded-For: {way}"),
            format!("X-Forwarded-Proto: {scheme}"),
            format!("X-Forwarded-Host: {host}"),
        ];
        assert_eq!(fields(&service, &["Host:", "Via:", "X-Request-Id:"]), expected);
    }
}
