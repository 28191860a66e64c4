//! Ordinary requests through real processes.

use pico_sim::e2e::{
    Agent, Client, Pair, Process, Runtime, Server, Service, Upgrades, skip_without,
};
use std::process::Command;
use tungstenite::Message;
use tungstenite::client::IntoClientRequest;

pico_sim::on_each_pair!(
    a_python_file_server_is_reached_as_if_it_were_dialled,
    a_posted_body_comes_back_and_the_connection_is_kept,
    pipelined_requests_are_answered_in_order,
    the_host_names_the_endpoint_if_the_header_does_not,
    web_socket_messages_cross_the_tunnel_both_ways,
);

pico_sim::on_each_runtime!(an_endpoint_that_nobody_serves_is_a_502,);

fn a_python_file_server_is_reached_as_if_it_were_dialled(on: Pair) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../spec");
    if Command::new("python3").arg("--version").output().is_err() {
        return skip_without("python3");
    }
    let mut python = Command::new("python3");
    python.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", folder]);
    let mut python = Process::start("python3 -m http.server", &mut python);
    let port: u16 = python
        .wait_for("its port", |line| line.split_once(" port ")?.1.split(' ').next()?.parse().ok());
    let server = Server::start(on.server, &[]);
    let _agent = Agent::start(on.agent, &server, "files", &port.to_string());

    let file = std::fs::read(format!("{folder}/errors.md")).expect("the file is there");
    let mut client = server.client();
    let got = client.call("GET", "/errors.md", "files", "");
    assert_eq!((got.status, &got.body), (200, &file));
    let head = server.client().call("HEAD", "/errors.md", "files", "");
    assert_eq!(head.status, 200);
    assert_eq!(head.head.get("content-length"), Some(file.len().to_string().as_str()));
    assert!(head.body.is_empty());
    let missing = server.client().call("GET", "/nothing-here", "files", "");
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("File not found"), "the service's own page");
    assert_eq!(missing.code(), "", "and not one of Pico's");
}

fn a_posted_body_comes_back_and_the_connection_is_kept(on: Pair) {
    let service = Service::start("echo");
    let server = Server::start(on.server, &[]);
    let _agent = Agent::start(on.agent, &server, "echo", &service.target());
    let mut client = server.client();
    for round in 0..20 {
        let body = format!("round {round} ").repeat(round * 50);
        let got = client.call("POST", "/echo", "echo", &body);
        assert_eq!((got.status, got.text()), (200, body));
    }
    client.head("POST", "/echo", "echo", "transfer-encoding: chunked\r\n");
    client.send("3\r\none\r\n4;x=y\r\n two\r\n0\r\n\r\n").expect("it is taken");
    assert_eq!(client.response("POST").text(), "one two");
    assert_eq!(service.requests(), 21);
}

fn pipelined_requests_are_answered_in_order(on: Pair) {
    let service = Service::start("ordered");
    let server = Server::start(on.server, &[]);
    let _agent = Agent::start(on.agent, &server, "ordered", &service.target());
    let mut client = server.client();
    for count in 1..=20 {
        client.head("GET", &format!("/bytes/{count}"), "ordered", "");
    }
    for count in 1..=20 {
        assert_eq!(client.response("GET").body.len(), count);
    }
}

fn the_host_names_the_endpoint_if_the_header_does_not(on: Pair) {
    let service = Service::start("by-host");
    let server = Server::start(on.server, &[]);
    let _agent = Agent::start(on.agent, &server, "by-host", &service.target());
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nhost: By-Host.example.com:80\r\n\r\n").expect("it is taken");
    let got = client.response("GET");
    assert_eq!((got.status, got.text()), (200, "by-host".to_owned()));
}

fn an_endpoint_that_nobody_serves_is_a_502(on: &'static Runtime) {
    let server = Server::start(on, &[]);
    let got = server.client().call("GET", "/", "nobody", "");
    assert_eq!((got.status, got.code()), (502, "no_upstream".to_owned()));
    assert_eq!(got.head.get("content-type"), Some("application/json"));
    assert!(got.text().contains("\"request_id\":\""), "{}", got.text());
}

fn web_socket_messages_cross_the_tunnel_both_ways(on: Pair) {
    let service = Upgrades::start();
    let server = Server::start(on.server, &[]);
    let _agent = Agent::start(on.agent, &server, "sockets", &service.address.to_string());

    let stream = Client::connect(server.proxy).writer();
    let url = format!("ws://{}/chat", server.proxy);
    let mut request = url.into_client_request().expect("a URL");
    let endpoint = "sockets".parse().expect("a header value");
    request.headers_mut().insert("x-pico-endpoint", endpoint);
    let (mut socket, answer) = tungstenite::client(request, stream).expect("an upgrade");
    assert_eq!(answer.status(), 101);
    for size in [0, 1, 125, 126, 65_535, 65_536, 1_000_000] {
        let message = Message::binary(vec![7; size]);
        socket.send(message.clone()).expect("it is taken");
        assert_eq!(socket.read().expect("an echo"), message);
    }
    socket.send(Message::text("good day")).expect("it is taken");
    assert_eq!(socket.read().expect("an echo"), Message::text("good day"));
    socket.close(None).expect("it is taken");
    let end = loop {
        match socket.read() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(end, tungstenite::Error::ConnectionClosed), "a clean close: {end}");
}
