//! What each request is to be, as both ends know it without telling each other.

use crate::choices::keyed;
use crate::draw::Draw as _;
use core::fmt::Write as _;
use core::time::Duration;
use pico_core::Seed;

/// One request and its response: a function of the workload's seed and the request's number.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own")]
pub struct Plan {
    /// The request's number.
    pub id: u64,
    /// Which of the endpoints, by number.
    pub endpoint: usize,
    /// The method.
    pub method: &'static str,
    /// Bytes of the request's body.
    pub request_len: usize,
    /// Whether the request is chunked.
    pub request_chunked: bool,
    /// The status of the response.
    pub status: u16,
    /// Bytes of the response's body, as a GET would give.
    pub response_len: usize,
    /// Whether the response is chunked.
    pub response_chunked: bool,
    /// Whether the response begins before the request has ended.
    pub early: bool,
    /// Whether an interim response comes first.
    pub interim: bool,
    /// What goes wrong at the client or the service, if anything.
    pub flaw: Flaw,
    /// How long the client pauses between pieces that it writes; mostly not at all.
    pub write_pause: Duration,
    /// How long the client pauses between pieces that it reads; mostly not at all.
    pub read_pause: Duration,
    /// How long the service thinks.
    pub think: Duration,
}

/// What goes wrong at one of the ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// Nothing.
    None,
    /// The client closes its connection once it has so many bytes of the response's body, or so
    /// many milliseconds after it has begun, whichever is first.
    ClientAborts(usize),
    /// The service closes its connection after so many bytes of the response's body.
    ServiceCuts(usize),
    /// The service closes its connection instead of answering.
    ServiceCloses,
    /// The service answers with something else than HTTP.
    ServiceBabbles,
}

impl Plan {
    /// The plan of request `id` under `seed`, for one of so many endpoints.
    pub fn of(seed: &Seed, id: u64, endpoints: usize) -> Self {
        let mut dice = seed.fork_at("plan", id).roll();
        let method = *dice.pick(&["GET", "GET", "POST", "POST", "PUT", "DELETE", "HEAD"]);
        let with_body = matches!(method, "POST" | "PUT");
        let mut size = |most: usize| if dice.chance(1, 6) { 0 } else { dice.piece(most) };
        let (request_len, response_len) = (size(SIZE_MAX), size(SIZE_MAX));
        let flaw = match dice.below(40) {
            0 => Flaw::ClientAborts(dice.index(response_len + 1)),
            1 => Flaw::ServiceCuts(dice.index(SIZE_MAX)),
            2 => Flaw::ServiceCloses,
            3 => Flaw::ServiceBabbles,
            _ => Flaw::None,
        };
        let mut pause = |some: u64, many: u64| {
            let most = if dice.chance(some, many) { 20 } else { 0 };
            dice.span(Duration::ZERO, Duration::from_millis(most))
        };
        let (write_pause, read_pause) = (pause(1, 8), pause(1, 8));
        let think = pause(1, 2);
        let mut plan = Self {
            id,
            endpoint: dice.index(endpoints),
            method,
            request_len: if with_body { request_len } else { 0 },
            request_chunked: with_body && dice.chance(1, 2),
            status: *dice.pick(&[200, 200, 200, 201, 204, 404, 500]),
            response_len,
            response_chunked: dice.chance(1, 2),
            early: dice.chance(1, 10),
            interim: dice.chance(1, 10),
            flaw,
            write_pause,
            read_pause,
            think,
        };
        if let Flaw::ServiceCuts(at) = plan.flaw {
            // A body of no bytes cannot be cut.
            let len = plan.body_len();
            plan.flaw = if len == 0 { Flaw::ServiceCloses } else { Flaw::ServiceCuts(at % len) };
        }
        plan
    }

    /// Whether the request may run twice.
    pub fn is_idempotent(&self) -> bool {
        self.method != "POST"
    }

    /// Bytes of the response's body that the client must see.
    pub fn body_len(&self) -> usize {
        if self.method == "HEAD" || self.status == 204 { 0 } else { self.response_len }
    }

    /// Bytes `from..from + len` of the request's body.
    pub fn request_bytes(&self, from: usize, len: usize) -> Vec<u8> {
        keyed(self.id * 2 + 1, from as u64, len.min(self.request_len.saturating_sub(from)))
    }

    /// Bytes `from..from + len` of the response's body.
    pub fn response_bytes(&self, from: usize, len: usize) -> Vec<u8> {
        keyed(self.id * 2 + 2, from as u64, len.min(self.response_len.saturating_sub(from)))
    }

    /// The head that the client sends.
    pub fn request_head(&self, endpoint: &str) -> String {
        let Self { method, id, .. } = self;
        let mut head =
            format!("{method} /r/{id}?x=%20y HTTP/1.1\r\nHost: {endpoint}.pico.test\r\n");
        if self.request_chunked {
            head += "Transfer-Encoding: chunked\r\n";
        } else if self.request_len > 0 || matches!(*method, "POST" | "PUT") {
            push(&mut head, format_args!("Content-Length: {}\r\n", self.request_len));
        }
        push(
            &mut head,
            format_args!("X-Check: {id}\r\nConnection: keep-alive, x-hop\r\nX-Hop: secret\r\n\r\n"),
        );
        head
    }

    /// The head that the service sends.
    pub fn response_head(&self, service: &str) -> String {
        let Self { id, status, .. } = self;
        let mut head = String::new();
        if self.interim {
            head += "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        }
        push(
            &mut head,
            format_args!("HTTP/1.1 {status} Whatever You Like\r\nX-Served: {service}\r\n"),
        );
        if *status == 204 {
        } else if self.response_chunked {
            head += "Transfer-Encoding: chunked\r\n";
        } else {
            push(&mut head, format_args!("Content-Length: {}\r\n", self.response_len));
        }
        push(
            &mut head,
            format_args!("X-Check: {id}\r\nConnection: x-hop\r\nX-Hop: secret\r\n\r\n"),
        );
        head
    }
}

/// Appends what `text` says.
fn push(head: &mut String, text: core::fmt::Arguments) {
    head.write_fmt(text).expect("a string takes any text");
}

/// The largest body.
const SIZE_MAX: usize = 200_000;
