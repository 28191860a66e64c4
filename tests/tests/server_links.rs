//! Requests whose upstream is at another node: they go there over a link, one hop and no more,
//! and are as if they had been asked for there.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod server;

use pico_core::rpc::Word;
use server::{Cluster, data};

const GET: &str = "GET /p HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\n\r\n";
const POST: &str =
    "POST /p HTTP/1.1\r\nHost: x\r\nX-Pico-Endpoint: a\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn a_request_reaches_an_agent_of_another_node_on_whichever_workers_they_are() {
    for (client, door, worker) in [(0, 0, 0), (0, 0, 1), (1, 1, 0), (1, 0, 0)] {
        let mut c = Cluster::new(&[2, 2]);
        c.doors[1] = door;
        let agent = c.agent(1, worker, "a");
        let client = c.ask(0, client, POST);
        let (stream, head) = c.called(agent);
        assert_eq!((head.method.as_str(), head.target()), ("POST", &b"/p"[..]));
        assert_eq!(head.fields.all("via").count(), 1, "{head:?}");
        assert_eq!(head.fields.all("x-forwarded-for").count(), 1, "{head:?}");
        assert!(head.fields.get("x-pico-endpoint").is_none(), "{head:?}");
        let words = c.heard(agent, stream);
        assert!(words.contains(&data(b"hi", true)), "{words:?}");
        c.respond(agent, stream, &[("Content-Length", "2"), ("X-Pico-Secret", "1")], false);
        c.say(agent, stream, data(b"yo", true));
        let text = c.text(client);
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\nyo"), "{text}");
        assert_eq!(text.matches("Via: 1.1 n0\r\n").count(), 1, "{text}");
        assert!(!text.contains("n1") && !text.contains("Secret"), "{text}");
        assert_eq!((c.relayed(0), c.relayed(1)), (0, 1));
        c.rest();
    }
}
