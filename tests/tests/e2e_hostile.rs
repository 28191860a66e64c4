//! Clients and agents that do not keep to the rules. Each gets a defined answer, and what they
//! sent never reaches the service.

use pico_sim::e2e::{Agent, Client, Pair, Runtime, Server, Service, closing_answer};

pico_sim::on_each_pair!(
    garbage_on_either_port_is_refused_and_harms_nobody,
    a_request_cut_anywhere_is_never_taken_for_a_whole_one,
    an_endpoint_id_that_is_none_reaches_nobody,
);

pico_sim::on_each_runtime!(
    a_handshake_cut_anywhere_registers_nothing,
    garbage_inside_a_tunnel_ends_it,
    the_upstream_port_serves_one_path_and_one_subprotocol,
);

/// The status code of the answer in `bytes`; 0 if there is none.
fn status(bytes: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(bytes);
    let after = text.strip_prefix("HTTP/1.1 ").and_then(|after| after.get(..3));
    after.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

const GARBAGE: [&[u8]; 9] = [
    b"\0",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/9.9\r\nhost: a.b\r\n\r\n",
    b"G\xffT / HTTP/1.1\r\nhost: a.b\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a.b\r\n folded: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost : a.b\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a.b\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
];

fn garbage_on_either_port_is_refused_and_harms_nobody(on: Pair) {
    let service = Service::start("calm");
    let server = Server::start(on.server, &[]);
    let _agent = Agent::start(on.agent, &server, "a", &service.target());
    for port in [server.proxy, server.upstream] {
        for garbage in GARBAGE {
            let answer = closing_answer(port, garbage);
            let status = status(&answer);
            let refused = answer.is_empty() || (400..=505).contains(&status);
            assert!(refused, "{}: {}", garbage.escape_ascii(), answer.escape_ascii());
        }
        let long = vec![b'a'; 1 << 20];
        let status = status(&closing_answer(port, &long));
        assert!([0, 400, 431].contains(&status), "a megabyte without a line's end: {status}");
    }
    assert_eq!(service.requests(), 0);
    assert_eq!(server.client().call("GET", "/", "a", "").text(), "calm");
}

fn a_request_cut_anywhere_is_never_taken_for_a_whole_one(on: Pair) {
    let service = Service::start("whole");
    let server = Server::start(on.server, &[]);
    let _agent = Agent::start(on.agent, &server, "a", &service.target());
    let head = "POST /sink HTTP/1.1\r\nhost: localhost\r\nx-pico-endpoint: a\r\n\
                content-length: 4\r\n\r\n";
    for cut in 0..head.len() {
        let answer = closing_answer(server.proxy, &head.as_bytes()[..cut]);
        assert!([0, 400, 408].contains(&status(&answer)), "{}", answer.escape_ascii());
    }
    assert_eq!(service.requests(), 0);
    // With a whole head the service may see the request, but never the end of its body.
    let answer = closing_answer(server.proxy, format!("{head}abc").as_bytes());
    assert_ne!(status(&answer), 200, "{}", answer.escape_ascii());
    assert_eq!(server.client().call("GET", "/", "a", "").text(), "whole");
}

fn a_handshake_cut_anywhere_registers_nothing(on: &'static Runtime) {
    let server = Server::start(on, &[]);
    let handshake = handshake("/pico/v1/listener/cut", "pico.rpc.v1");
    for cut in 0..handshake.len() {
        let answer = closing_answer(server.upstream, &handshake.as_bytes()[..cut]);
        assert!([0, 400, 408].contains(&status(&answer)), "{}", answer.escape_ascii());
    }
    let got = server.client().call("GET", "/", "cut", "");
    assert_eq!((got.status, got.code()), (502, "no_upstream".to_owned()));
}

fn garbage_inside_a_tunnel_ends_it(on: &'static Runtime) {
    let server = Server::start(on, &[]);
    let handshake = handshake("/pico/v1/listener/garbage", "pico.rpc.v1");
    let wrong: [&[u8]; 3] = [
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        // A masked text message where only binary ones are taken.
        b"\x81\x81\x00\x00\x00\x00a",
        // A masked binary message that is no frame.
        b"\x82\x84\x00\x00\x00\x00\xff\xff\xff\xff",
    ];
    for bytes in wrong {
        let mut client = Client::connect(server.upstream);
        client.send([handshake.as_bytes(), bytes].concat()).expect("it is taken");
        assert_eq!(client.response_head().word(1), "101");
        // It is the server that ends it: we keep our side open.
        client.until_closed();
    }
    for cut in [&b""[..], b"\0", b"\x82", b"\x82\x84\0\0"] {
        // Who leaves in the middle of a frame may have missed the 101.
        let answer = closing_answer(server.upstream, &[handshake.as_bytes(), cut].concat());
        assert!([0, 101].contains(&status(&answer)), "{}", answer.escape_ascii());
    }
    let got = server.client().call("GET", "/", "garbage", "");
    assert_eq!((got.status, got.code()), (502, "no_upstream".to_owned()));
}

fn the_upstream_port_serves_one_path_and_one_subprotocol(on: &'static Runtime) {
    let server = Server::start(on, &[]);
    let ask = |request: &str| {
        let mut client = Client::connect(server.upstream);
        client.send(request).expect("it is taken");
        let got = client.response("GET");
        (got.status, got.code())
    };
    let code = |code: &str| code.to_owned();
    assert_eq!(ask(&handshake("/", "pico.rpc.v1")), (404, code("not_found")));
    assert_eq!(ask(&handshake("/pico/v2/listener/a", "pico.rpc.v1")), (404, code("not_found")));
    let listener = "/pico/v1/listener/a";
    assert_eq!(ask(&handshake(listener, "chat")), (426, code("upgrade_required")));
    let plain = format!("GET {listener} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(ask(&plain), (426, code("upgrade_required")));
    let post = format!("POST {listener} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(ask(&post), (405, code("method_not_allowed")));
    for id in ["a%20b", "%00", &"a".repeat(129), &"a".repeat(2000)] {
        let path = format!("/pico/v1/listener/{id}");
        assert_eq!(ask(&handshake(&path, "pico.rpc.v1")), (400, code("invalid_endpoint")), "{id}");
    }
}

fn an_endpoint_id_that_is_none_reaches_nobody(on: Pair) {
    let service = Service::start("nobody");
    let server = Server::start(on.server, &[]);
    let _agent = Agent::start(on.agent, &server, "a", &service.target());
    let ids = [&"a".repeat(2000), &"a".repeat(129), "a%", "%61", "a/b", "../a", "a b", "", "a,a"];
    for id in ids {
        let got = server.client().call("GET", "/", id, "");
        assert_eq!((got.status, got.code()), (400, "invalid_endpoint".to_owned()), "{id:?}");
    }
    let answer = closing_answer(
        server.proxy,
        b"GET / HTTP/1.1\r\nhost: localhost\r\nx-pico-endpoint: a\0b\r\n\r\n",
    );
    assert_eq!(status(&answer), 400, "{}", answer.escape_ascii());
    let doubled = b"GET / HTTP/1.1\r\nhost: x\r\nx-pico-endpoint: a\r\nx-pico-endpoint: a\r\n\r\n";
    assert_eq!(status(&closing_answer(server.proxy, doubled)), 400);
    for host in ["localhost", "127.0.0.1:80", "[::1]:80", ""] {
        let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n");
        let answer = closing_answer(server.proxy, request.as_bytes());
        assert_eq!(status(&answer), 400, "{host:?}");
    }
    assert_eq!(service.requests(), 0);
}

/// A request for a tunnel.
fn handshake(path: &str, protocol: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: {protocol}\r\n\r\n"
    )
}
