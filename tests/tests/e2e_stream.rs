//! Bodies that are long, slow or many.

use pico_sim::e2e::{Agent, Check, Client, Pair, Pattern, Server, Service, affordable};
use std::io::{self, Read};
use std::sync::Barrier;
use std::thread;

pico_sim::on_each_pair!(
    a_hundred_megabytes_arrive_unchanged_in_each_direction,
    a_body_is_echoed_while_it_is_sent,
    an_event_arrives_before_the_next_one_is_produced,
    a_thousand_requests_are_under_way_at_once_on_one_tunnel,
);

const HUNDRED_MB: u64 = 100 * 1000 * 1000;

fn a_hundred_megabytes_arrive_unchanged_in_each_direction(on: Pair) {
    let service = Service::start("bulk");
    let server = Server::start(on.server, &[]);
    let _agent = Agent::start(on.agent, &server, "bulk", &service.target());

    let mut client = server.client();
    client.head("GET", &format!("/bytes/{HUNDRED_MB}"), "bulk", "");
    let head = client.response_head();
    assert_eq!(head.word(1), "200");
    let mut check = Check::new();
    io::copy(&mut client.body(&head, "GET"), &mut check).expect("the right bytes");
    assert_eq!(check.count(), HUNDRED_MB);

    client.head("PUT", "/sink", "bulk", &format!("content-length: {HUNDRED_MB}\r\n"));
    io::copy(&mut Pattern::new(HUNDRED_MB), &mut client.writer()).expect("it is taken");
    let got = client.response("PUT");
    assert_eq!((got.status, got.text()), (200, HUNDRED_MB.to_string()));
}

fn a_body_is_echoed_while_it_is_sent(on: Pair) {
    let service = Service::start("duplex");
    let server = Server::start(on.server, &[]);
    let _agent = Agent::start(on.agent, &server, "duplex", &service.target());
    let len = 20_000_000;
    let mut client = server.client();
    client.head("POST", "/echo", "duplex", &format!("content-length: {len}\r\n"));
    let mut writer = client.writer();
    let sender = thread::spawn(move || io::copy(&mut Pattern::new(len), &mut writer));
    let head = client.response_head();
    let mut check = Check::new();
    io::copy(&mut client.body(&head, "POST"), &mut check).expect("the right bytes");
    assert_eq!(check.count(), len);
    assert_eq!(sender.join().expect("no panic").expect("all is taken"), len);
}

fn an_event_arrives_before_the_next_one_is_produced(on: Pair) {
    let service = Service::start("events");
    let server = Server::start(on.server, &[]);
    let _agent = Agent::start(on.agent, &server, "events", &service.target());
    let mut client = server.client();
    client.head("GET", "/events", "events", "accept: text/event-stream\r\n");
    let head = client.response_head();
    assert_eq!(head.get("content-type"), Some("text/event-stream"));
    let mut body = client.body(&head, "GET");
    let mut first = [0; 11];
    body.read_exact(&mut first).expect("the first event");
    assert_eq!(&first, b"data: one\n\n");
    // Only now may the service produce the second.
    service.release();
    let mut rest = String::new();
    body.read_to_string(&mut rest).expect("the second event and a clean end");
    assert_eq!(rest, "data: two\n\n");
}

fn a_thousand_requests_are_under_way_at_once_on_one_tunnel(on: Pair) {
    let service = Service::start("many");
    let server = Server::start(on.server, &[]);
    let _agent = Agent::start(on.agent, &server, "many", &service.target());
    let count = affordable(1000);
    let target = format!("/gather/{count}");
    let start = Barrier::new(count);
    thread::scope(|scope| {
        let call = || {
            start.wait();
            // The service answers none of them until all have reached it.
            let got = Client::connect(server.proxy).call("GET", &target, "many", "");
            (got.status, got.text())
        };
        let spawn = |_| {
            let thread = thread::Builder::new().stack_size(256 * 1024);
            thread.spawn_scoped(scope, call).expect("a thread")
        };
        let calls: Vec<_> = (0..count).map(spawn).collect();
        for call in calls {
            assert_eq!(call.join().expect("no panic"), (200, count.to_string()));
        }
    });
    assert_eq!(service.requests(), count);
}
