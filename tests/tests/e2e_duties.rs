//! The duties of an intermediary that sockets and drivers have a part in, through real processes
//! and with a service that does as the test says.

use pico_sim::e2e::{Agent, Client, Pair, Runtime, Scripted, Server, Service};

pico_sim::on_each_pair!(
    an_expectation_is_answered_by_the_service,
    interim_responses_cross_as_they_come,
    nonsense_from_a_service_is_a_502_and_the_next_request_has_another_connection,
    a_response_without_a_date_is_dated,
    a_client_that_resets_is_gone_for_the_service_too,
);

pico_sim::on_each_runtime!(a_request_that_may_go_no_further_is_answered_by_the_node,);

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A server and an agent before a service that a test speaks for.
fn stage(on: Pair) -> (Scripted, Server, Agent) {
    let service = Scripted::start();
    let server = Server::start(on.server, &[]);
    let agent = Agent::start(on.agent, &server, "a", &service.address.to_string());
    (service, server, agent)
}

fn an_expectation_is_answered_by_the_service(on: Pair) {
    let (service, server, _agent) = stage(on);
    let ask = |client: &mut Client| {
        client.head("POST", "/", "a", "content-length: 5\r\nexpect: 100-continue\r\n");
    };
    let mut client = server.client();
    ask(&mut client);
    let mut local = service.accept();
    assert_eq!(local.next_head().get("expect"), Some("100-continue"));
    local.send("HTTP/1.1 100 Continue\r\n\r\n").expect("it is taken");
    assert_eq!(client.next_head().start, "HTTP/1.1 100 Continue");
    client.send("hello").expect("it is taken");
    assert_eq!(local.bytes(5), b"hello");
    local.send(OK).expect("it is taken");
    assert_eq!(client.response("POST").text(), "ok");

    ask(&mut client);
    assert_eq!(local.next_head().get("expect"), Some("100-continue"));
    local.send("HTTP/1.1 417 No\r\ncontent-length: 2\r\n\r\nno").expect("it is taken");
    let got = client.response("POST");
    assert_eq!((got.status, got.text()), (417, "no".to_owned()));
    assert_eq!(got.head.get("connection"), Some("close"));
    assert!(client.until_closed().is_empty());
    assert!(local.until_closed().is_empty());
}

fn interim_responses_cross_as_they_come(on: Pair) {
    let (service, server, _agent) = stage(on);
    let mut client = server.client();
    client.head("GET", "/", "a", "");
    let mut local = service.accept();
    local.next_head();
    for status in ["102", "103", "103", "199"] {
        local.send(format!("HTTP/1.1 {status} x\r\nlink: <a>\r\n\r\n")).expect("it is taken");
        let head = client.next_head();
        assert_eq!((head.word(1), head.get("link")), (status, Some("<a>")));
    }
    local.send(OK).expect("it is taken");
    assert_eq!(client.response("GET").text(), "ok");
}

fn nonsense_from_a_service_is_a_502_and_the_next_request_has_another_connection(on: Pair) {
    let (service, server, _agent) = stage(on);
    let mut client = server.client();
    for nonsense in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nokx",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nokx",
        "HTTP/1.1 200 OK\nx: y\n\n",
        "hello\r\n\r\n",
    ] {
        client.head("POST", "/", "a", "content-length: 0\r\n");
        let mut local = service.accept();
        local.next_head();
        local.send(nonsense).expect("it is taken");
        let got = client.response("POST");
        assert_eq!((got.status, got.code()), (502, "bad_response".to_owned()), "{nonsense}");
        assert!(local.until_closed().is_empty(), "{nonsense}");
    }
    client.head("GET", "/", "a", "");
    let mut local = service.accept();
    local.next_head();
    local.send(OK).expect("it is taken");
    assert_eq!(client.response("GET").text(), "ok");
}

fn a_response_without_a_date_is_dated(on: Pair) {
    let (service, server, _agent) = stage(on);
    let mut client = server.client();
    client.head("GET", "/", "a", "");
    let mut local = service.accept();
    local.next_head();
    local.send(OK).expect("it is taken");
    let head = client.response("GET").head;
    let date = head.get("date").expect("a date");
    assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
    let refused = server.client().call("GET", "/", "nobody", "");
    assert_eq!(refused.head.all("date").len(), 1);
    client.head("GET", "/", "a", "");
    local.next_head();
    local.send(OK.replace("\r\n\r\n", "\r\nDate: x\r\n\r\n")).expect("it is taken");
    assert_eq!(client.response("GET").head.all("date"), ["x"]);
}

fn a_client_that_resets_is_gone_for_the_service_too(on: Pair) {
    let (service, server, _agent) = stage(on);
    for begun in [false, true] {
        let mut client = server.client();
        client.head("POST", "/", "a", "content-length: 9\r\n");
        client.send("hello").expect("it is taken");
        let mut local = service.accept();
        local.next_head();
        assert_eq!(local.bytes(5), b"hello");
        if begun {
            local.send("HTTP/1.1 200 OK\r\n\r\nhello").expect("it is taken");
            client.response_head();
        }
        // What the client does not read makes its end a reset.
        drop(client);
        assert!(local.until_closed().is_empty(), "no end of its body");
    }
}

fn a_request_that_may_go_no_further_is_answered_by_the_node(on: &'static Runtime) {
    let service = Service::start("far");
    let server = Server::start(on, &[]);
    let _agent = Agent::start(on, &server, "a", &service.target());
    let mut client = server.client();
    client.head("TRACE", "/t", "a", "max-forwards: 0\r\ncookie: x\r\nx: y\r\n");
    let got = client.response("TRACE");
    assert_eq!((got.status, got.head.get("content-type")), (200, Some("message/http")));
    let seen = "TRACE /t HTTP/1.1\r\nhost: localhost\r\nmax-forwards: 0\r\nx: y\r\n\r\n";
    assert_eq!(got.text(), seen);
    client.head("OPTIONS", "*", "a", "max-forwards: 0\r\n");
    assert_eq!(client.response("OPTIONS").status, 200);
    assert_eq!(service.requests(), 0);
    client.head("OPTIONS", "/head", "a", "max-forwards: 9\r\n");
    assert!(client.response("OPTIONS").text().contains("\nmax-forwards: 8\n"));
}
