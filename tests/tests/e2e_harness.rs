//! The end-to-end tests' own client and service, without Pico in between: what they would say
//! of a perfect proxy.

use pico_sim::e2e::{Check, Client, Service, Upgrades};
use std::io::{self, Read};

#[test]
fn the_client_and_the_service_understand_each_other() {
    let service = Service::start("direct");
    let mut client = Client::connect(service.address);
    assert_eq!(client.call("GET", "/", "x", "").text(), "direct");
    assert_eq!(client.call("POST", "/echo", "x", "abc").text(), "abc");
    assert_eq!(client.call("GET", "/nothing", "x", "").status, 404);
    assert_eq!(client.call("GET", "/gather/1", "x", "").text(), "1");
    client.head("POST", "/echo", "x", "transfer-encoding: chunked\r\n");
    client.send("3\r\none\r\n4;x=y\r\n two\r\n0\r\n\r\n").expect("it is taken");
    assert_eq!(client.response("POST").text(), "one two");
    client.head("GET", "/bytes/1000003", "x", "");
    let head = client.response_head();
    let mut check = Check::new();
    io::copy(&mut client.body(&head, "GET"), &mut check).expect("the right bytes");
    assert_eq!(check.count(), 1_000_003);
    assert_eq!(service.requests(), 6);
    assert_eq!(service.arrival(), "/");
}

#[test]
fn the_second_event_waits_for_its_release() {
    let service = Service::start("events");
    let mut client = Client::connect(service.address);
    client.head("GET", "/events", "x", "");
    let head = client.response_head();
    let mut body = client.body(&head, "GET");
    let mut first = [0; 11];
    body.read_exact(&mut first).expect("the first event");
    service.release();
    let mut rest = String::new();
    body.read_to_string(&mut rest).expect("the second event");
    assert_eq!(rest, "data: two\n\n");
}

#[test]
fn the_web_socket_service_echoes() {
    let service = Upgrades::start();
    let stream = Client::connect(service.address).writer();
    let url = format!("ws://{}/", service.address);
    let (mut socket, _) = tungstenite::client(url, stream).expect("an upgrade");
    let message = tungstenite::Message::text("good day");
    socket.send(message.clone()).expect("it is taken");
    assert_eq!(socket.read().expect("an echo"), message);
}
