//! The machines, fed with a text in pieces, held against the reader of all of it.

use super::{End, Field, Message, Reading, requests, responses};
use crate::choices::Choices;
use crate::draw::Draw as _;
use crate::fuzz::http1_text;
use bytes::BytesMut;
use http::{Method, StatusCode, Version};
use pico_core::head::{Fields, RequestHead, ResponseHead};
use pico_core::http1::{client, server};
use pico_core::{Dice, Instant, Limits, Machine as _, Reason, Seed};
use std::sync::Arc;

const NOW: Instant = Instant::from_nanos(1);

/// Reads what `data` stands for: a text, how it is cut, and who reads it.
pub fn read(data: &[u8]) {
    let mut choices = Choices::new(data);
    let kind = choices.byte();
    let limits = limits(kind & 1 != 0);
    let seed = u64::from(choices.byte());
    let plain = kind & 2 != 0;
    let (method, upgrade) = *choices.pick(&REQUESTS);
    let client = kind & 4 != 0;
    let text =
        if plain { data.get(3..).unwrap_or_default().to_vec() } else { text(&mut choices, client) };
    if client {
        hold_client(&text, method, upgrade, kind & 8 != 0, seed, &limits);
    } else {
        hold_server(&text, seed, &limits);
    }
}

/// Holds the server machine against the reader of requests: it is given `text`, whole if `seed`
/// is 0, and answers each request at its end.
pub fn hold_server(text: &[u8], seed: u64, limits: &Limits) {
    let must = requests(text, limits);
    let mut machine = server::Machine::new(NOW, Arc::new(limits.clone()));
    let mut did = Did::default();
    for piece in pieces(text, seed) {
        machine.handle(NOW, server::Input::Received(BytesMut::from(piece)));
        serve(&mut machine, &mut did);
    }
    did.compare(&must, text);
}

/// Holds the client machine against the reader of responses: it asks with `method`, and is
/// answered with `text`, then, if `fin`, with FIN.
pub fn hold_client(
    text: &[u8],
    method: &str,
    upgrade: bool,
    fin: bool,
    seed: u64,
    limits: &Limits,
) {
    let must = responses(text, method, upgrade, fin, limits);
    let mut machine = client::Machine::new(NOW, Arc::new(limits.clone()));
    let mut fields = Fields::new();
    fields.push(b"Host", b"a");
    if upgrade {
        fields.push(b"Upgrade", b"echo");
    }
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let head = RequestHead::new(method, b"/", fields);
    machine.handle(NOW, client::Input::Request { head, end: !upgrade, upgrade });
    machine.handle(NOW, client::Input::Sent(machine.outbox().len()));
    machine.handle(NOW, client::Input::Credit(usize::MAX));
    let mut did = Did::default();
    for piece in pieces(text, seed) {
        machine.handle(NOW, client::Input::Received(BytesMut::from(piece)));
        ask(&mut machine, &mut did);
    }
    if fin {
        machine.handle(NOW, client::Input::Eof);
        ask(&mut machine, &mut did);
    }
    // A client's machine shows what it makes of version and `Connection` by being idle, or not.
    let last = must.messages.last().filter(|last| must.end == End::Over && last.first[0] != b"101");
    assert_eq!(did.idle, last.is_some_and(|last| last.lasts), "{}\n{must:#?}", text.escape_ascii());
    did.messages.iter_mut().zip(&must.messages).for_each(|(did, must)| did.old = must.old);
    did.compare(&must, text);
}

/// What a machine made of a text.
#[derive(Default, Debug)]
struct Did {
    messages: Vec<Message>,
    refused: Option<Reason>,
    closed: bool,
    idle: bool,
}

impl Did {
    fn compare(mut self, must: &Reading, text: &[u8]) {
        let shown = || format!("\n{}\n{must:#?}", text.escape_ascii());
        for (did, must) in self.messages.iter_mut().zip(&must.messages) {
            did.lasts = must.lasts;
        }
        assert_eq!(self.messages, must.messages, "{}", shown());
        match (&must.end, self.refused) {
            (End::Waits(_) | End::Over, None) => {}
            (End::Waits(flaws) | End::Refused(flaws), Some(reason)) if flaws.contains(&reason) => {}
            (End::Refused(_), None) => panic!("this was not refused: {}", shown()),
            (_, Some(reason)) => panic!("this was refused for {reason}: {}", shown()),
        }
        let waits = matches!(must.end, End::Waits(_)) && self.refused.is_none();
        assert!(!waits || !self.closed, "this was closed: {}", shown());
    }

    fn data(&mut self, bytes: &[u8], end: bool) {
        let message = self.messages.last_mut().expect("data of a message");
        assert!(!message.whole, "more of a body behind its end");
        message.body.extend_from_slice(bytes);
        message.whole = end;
    }

    fn trailers(&mut self, fields: &Fields) {
        let message = self.messages.last_mut().expect("trailers of a message");
        assert!(!message.whole, "trailers behind the end");
        (message.trailers, message.whole) = (list(fields), true);
    }
}

/// Does what a parent does that answers every request at its end.
fn serve(machine: &mut server::Machine, did: &mut Did) {
    loop {
        let mut answer = false;
        while let Some(action) = machine.poll() {
            match action {
                server::Action::Request(request) => {
                    did.messages.push(message(&request));
                    answer |= request.end || request.upgrade;
                    machine.handle(NOW, server::Input::Credit(usize::MAX));
                }
                server::Action::Data { bytes, end } => {
                    did.data(&bytes, end);
                    answer |= end;
                }
                server::Action::Trailers(fields) => {
                    did.trailers(&fields);
                    answer = true;
                }
                server::Action::Malformed(reason) => did.refused = Some(reason),
                server::Action::Canceled(reason) => panic!("canceled for {reason}"),
                server::Action::Closed(_) => did.closed = true,
                server::Action::Taken(_) | server::Action::Finished | server::Action::Finish => {}
            }
        }
        if answer && did.refused.is_none() {
            let head = ResponseHead::new(StatusCode::NO_CONTENT, b"Fine", Fields::new());
            machine.handle(NOW, server::Input::Respond { head, end: true });
        }
        let count = machine.outbox().len();
        if count == 0 {
            return;
        }
        machine.handle(NOW, server::Input::Sent(count));
    }
}

/// Hears what a client's machine says.
fn ask(machine: &mut client::Machine, did: &mut Did) {
    while let Some(action) = machine.poll() {
        match action {
            client::Action::Response { head, end } => {
                let interim = head.status.is_informational() && head.status.as_u16() != 101;
                let first = [head.status.as_str().as_bytes(), head.phrase()].map(<[u8]>::to_vec);
                did.messages.push(Message {
                    first,
                    fields: list(&head.fields),
                    old: false,
                    body: Vec::new(),
                    trailers: Vec::new(),
                    whole: end || interim,
                    upgrade: false,
                    lasts: false,
                });
            }
            client::Action::Data { bytes, end } => did.data(&bytes, end),
            client::Action::Trailers(fields) => did.trailers(&fields),
            client::Action::Failed { reason, started } => {
                assert!(started, "it was sent before");
                did.refused = Some(reason);
            }
            client::Action::Idle => did.idle = true,
            client::Action::Closed(_) => did.closed = true,
            client::Action::Taken(_) | client::Action::Finish => {}
        }
    }
}

fn message(request: &server::Request) -> Message {
    let head = &request.head;
    Message {
        first: [head.method.as_str().as_bytes(), head.target()].map(<[u8]>::to_vec),
        fields: list(&head.fields),
        old: request.version == Version::HTTP_10,
        body: Vec::new(),
        trailers: Vec::new(),
        whole: request.end || request.upgrade,
        upgrade: request.upgrade,
        lasts: false,
    }
}

fn list(fields: &Fields) -> Vec<Field> {
    fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// The text, cut as the seed says.
fn pieces(text: &[u8], seed: u64) -> Vec<&[u8]> {
    let mut dice: Dice = Seed::from_u64(seed).roll();
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let count = if seed == 0 { rest.len() } else { dice.piece(rest.len()) };
        let (piece, others) = rest.split_at(count);
        pieces.push(piece);
        rest = others;
    }
    pieces
}

/// Messages that are right, or nearly so.
fn text(choices: &mut Choices, client: bool) -> Vec<u8> {
    let mut text = Vec::new();
    while !choices.is_empty() && text.len() < 4096 {
        if choices.chance(1, 4) {
            text.extend(http1_text::said(choices, client));
        } else {
            text.extend(right(choices, client));
        }
        if choices.chance(1, 4) {
            spoil(choices, &mut text);
        }
    }
    text
}

/// A message that is right.
fn right(choices: &mut Choices, client: bool) -> Vec<u8> {
    let mut text = choices.pick(if client { &STATUS_LINES } else { &REQUEST_LINES }).to_vec();
    for _ in 0..choices.below(4) {
        text.extend(choices.pick(&FIELDS).iter());
    }
    let mut body = vec![b'b'; choices.size(100)];
    match choices.below(3) {
        0 => body.clear(),
        1 => text.extend(format!("Content-Length: {}\r\n", body.len()).into_bytes()),
        _ => {
            text.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            let rest = body.split_off(choices.below(body.len() + 1));
            let pieces = [body, rest];
            let pieces = pieces.iter().filter(|piece| !piece.is_empty());
            let chunk = |piece: &Vec<u8>| {
                [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
            };
            body = pieces.flat_map(chunk).collect();
            body.extend_from_slice(b"0\r\n");
            for _ in 0..choices.below(3) {
                body.extend(choices.pick(&FIELDS).iter());
            }
            body.extend_from_slice(b"\r\n");
        }
    }
    text.extend_from_slice(b"\r\n");
    text.extend(body);
    text
}

/// Changes a byte, takes some away, or puts some in.
fn spoil(choices: &mut Choices, text: &mut Vec<u8>) {
    let at = choices.below(text.len());
    let byte = *choices.pick(b"\r\n \t:,;\"/*[]a0\0\x7f\x80");
    match choices.below(4) {
        0 if at < text.len() => text[at] = byte,
        1 if at < text.len() => drop(text.remove(at)),
        2 => text.truncate(at),
        _ => text.insert(at, byte),
    }
}

/// The limits; small ones, so that they are met.
fn limits(small: bool) -> Limits {
    if !small {
        return Limits::default();
    }
    Limits { head_bytes: 150, head_fields: 6, chunk_line_bytes: 12, ..Limits::default() }
}

const REQUESTS: [(&str, bool); 4] =
    [("GET", false), ("GET", true), ("HEAD", false), ("POST", false)];

const REQUEST_LINES: [&[u8]; 8] = [
    b"GET / HTTP/1.1\r\nHost: a\r\n",
    b"POST /a?b HTTP/1.1\r\nhost:\t a:80 \r\n",
    b"HEAD / HTTP/1.0\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost:\r\n",
    b"GET http://a:80/x HTTP/1.1\r\nHost: b\r\n",
    b"PUT HTTPS://[::1]:?x HTTP/1.1\r\nHost: [::1]\r\n",
    b"\r\nM-SEARCH /x HTTP/1.1\r\nHost: a\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n",
];

const STATUS_LINES: [&[u8]; 10] = [
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 200 \r\n",
    b"HTTP/1.1 200\r\n",
    b"HTTP/1.0 404 Not  Found\t\r\n",
    b"HTTP/1.1 204 No\x80Content\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 Continue\r\n",
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n",
    b"HTTP/1.1 304 Not Modified\r\n",
    b"HTTP/1.1 999 x\r\n",
];

const FIELDS: [&[u8]; 18] = [
    b"X-One: 1\r\n",
    &MANY,
    &FEW,
    b"x-empty:\r\n",
    b"X-Blanks: \t a b\t \r\n",
    b"X-High: \xe9\x80\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive, x-one\r\n",
    b"Connection: upgrade\r\nUpgrade: echo\r\n",
    b"Upgrade: h2c, echo\r\n",
    b"Upgrade:\r\n",
    b"Expect: 100-continue\r\n",
    b"X-Pico-Endpoint: a\r\n",
    b"X_Forwarded_For: a\r\n",
    b"Set-Cookie: a\r\n",
    b"TE: trailers\r\n",
    b"Trailer: x-one\r\n",
    b"X-Quoted: \"a, b\\\"\", c\r\n",
];

/// As many options as there may be, and one more.
const FEW: [u8; 213] = options();
const MANY: [u8; 215] = options();

const fn options<const LEN: usize>() -> [u8; LEN] {
    let mut line = [b'a'; LEN];
    let (name, end) = (b"Connection: ", b"\r\n");
    let mut at = 0;
    while at < LEN {
        if at < name.len() {
            line[at] = name[at];
        } else if at + end.len() >= LEN {
            line[at] = end[at + end.len() - LEN];
        } else if at % 2 == 1 {
            line[at] = b',';
        }
        at += 1;
    }
    line
}
