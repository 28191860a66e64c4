//! How upgraded streams end: each direction for itself by FIN, or all at once by a reset, and
//! what is one at one end is the same at the other.

use pico_sim::e2e::{Agent, PATIENCE, Pair, Server};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

pico_sim::on_each_pair!(
    a_fin_arrives_as_a_fin_whoever_sends_it_first,
    what_was_said_last_arrives_before_the_fin,
    a_reset_by_either_end_arrives_as_a_reset,
    the_end_of_a_process_in_between_is_a_reset_for_both,
);

/// A server, an agent, and the two ends of an upgraded stream through both.
struct Stream {
    server: Server,
    agent: Agent,
    client: TcpStream,
    service: TcpStream,
}

fn upgraded(on: Pair) -> Stream {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port can be bound");
    let target = listener.local_addr().expect("it is bound").to_string();
    let server = Server::start(on.server, &[]);
    let agent = Agent::start(on.agent, &server, "raw", &target);
    let mut client = TcpStream::connect(server.proxy).expect("it is listening");
    client.set_read_timeout(Some(PATIENCE)).expect("a positive time");
    let head = "GET / HTTP/1.1\r\nhost: a\r\nx-pico-endpoint: raw\r\n\
                connection: upgrade\r\nupgrade: raw\r\n\r\n";
    client.write_all(head.as_bytes()).expect("it is taken");
    let (mut service, _) = listener.accept().expect("a call");
    service.set_read_timeout(Some(PATIENCE)).expect("a positive time");
    assert!(head_of(&mut service).starts_with("GET / HTTP/1.1\r\n"));
    let answer = "HTTP/1.1 101 Raw\r\nconnection: upgrade\r\nupgrade: raw\r\n\r\n";
    service.write_all(answer.as_bytes()).expect("it is taken");
    assert!(head_of(&mut client).starts_with("HTTP/1.1 101 "));
    let mut stream = Stream { server, agent, client, service };
    pass(&mut stream.client, &mut stream.service);
    pass(&mut stream.service, &mut stream.client);
    stream
}

fn head_of(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        head.extend(byte);
    }
    String::from_utf8(head).expect("text")
}

fn pass(from: &mut TcpStream, to: &mut TcpStream) {
    from.write_all(b"a word").expect("it is taken");
    let mut word = [0; 6];
    to.read_exact(&mut word).expect("it arrives");
    assert_eq!(&word, b"a word");
}

fn cut(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a TCP socket");
    drop(stream);
}

fn end_of(stream: &mut TcpStream) -> Result<usize, ErrorKind> {
    stream.read(&mut [0]).map_err(|error| error.kind())
}

fn a_fin_arrives_as_a_fin_whoever_sends_it_first(on: Pair) {
    for client_first in [true, false] {
        let Stream { mut client, mut service, server: _server, agent: _agent } = upgraded(on);
        let (one, two) =
            if client_first { (&mut client, &mut service) } else { (&mut service, &mut client) };
        one.shutdown(Shutdown::Write).expect("it is open");
        assert_eq!(end_of(two), Ok(0), "client first: {client_first}");
        pass(two, one);
        pass(two, one);
        two.shutdown(Shutdown::Write).expect("it is open");
        assert_eq!(end_of(one), Ok(0), "client first: {client_first}");
    }
}

fn what_was_said_last_arrives_before_the_fin(on: Pair) {
    let all: Vec<u8> = (0..251).cycle().take(3_000_000).collect();
    for by_client in [true, false] {
        let Stream { client, service, server: _server, agent: _agent } = upgraded(on);
        let (mut from, mut to) = if by_client { (client, service) } else { (service, client) };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                from.write_all(&all).expect("it is taken");
                from.shutdown(Shutdown::Write).expect("it is open");
            });
            let mut got = Vec::new();
            to.read_to_end(&mut got).expect("a FIN");
            assert!(got == all, "{} bytes, by the client: {by_client}", got.len());
        });
    }
}

fn a_reset_by_either_end_arrives_as_a_reset(on: Pair) {
    for by_client in [true, false] {
        let Stream { client, service, server: _server, agent: _agent } = upgraded(on);
        let (from, mut to) = if by_client { (client, service) } else { (service, client) };
        cut(from);
        assert_eq!(end_of(&mut to), Err(ErrorKind::ConnectionReset), "by client: {by_client}");
    }
}

fn the_end_of_a_process_in_between_is_a_reset_for_both(on: Pair) {
    let reset = Err(ErrorKind::ConnectionReset);
    let Stream { mut client, mut agent, server: _server, service: _service } = upgraded(on);
    agent.process.kill();
    assert_eq!(end_of(&mut client), reset, "the agent's");
    let Stream { mut service, mut server, agent: _agent, client: _client } = upgraded(on);
    server.process.kill();
    assert_eq!(end_of(&mut service), reset, "the server's");
}
