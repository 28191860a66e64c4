//! Requests and answers, right and subtly wrong.

use pico_sim::chain::{Answer, Say, Speech};
use pico_sim::choices::Choices;
use std::time::Duration;

/// What is said on one connection.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// All that the client says.
    pub(crate) said: Vec<u8>,
    /// Whether a FIN is behind it.
    pub(crate) fin: bool,
    /// What the service answers to one request after the other, and whether a FIN follows.
    pub(crate) answers: Vec<(Vec<u8>, bool)>,
}

/// How a text is cut into pieces, between which time passes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    Whole,
    /// After each byte.
    Bytes,
    /// After so many.
    Each(usize),
}

impl Exchange {
    pub(crate) fn draw(choices: &mut Choices) -> Self {
        if choices.chance(1, 12) {
            return Self::upgrade(choices);
        }
        let mut said = Vec::new();
        let count = *choices.pick(&[1, 1, 1, 2, 3]);
        for number in 0..count {
            let mut text = request(choices, number);
            if choices.chance(1, 10) {
                spoil(choices, &mut text);
            }
            said.extend(text);
        }
        let fin = choices.chance(1, 8);
        let answers = (0..=count).map(|_| {
            let (mut text, fin) = answer(choices);
            if choices.chance(1, 10) {
                spoil(choices, &mut text);
            }
            (text, fin || choices.chance(1, 10))
        });
        Self { said, fin, answers: answers.collect() }
    }

    /// One request that offers an upgrade, and what each says in the new protocol.
    fn upgrade(choices: &mut Choices) -> Self {
        let mut said = Vec::new();
        let line = either(choices, &ODD_OFFERED_BY, &[b"GET / HTTP/1.1\r\n"]);
        let offer = either(choices, &ODD_OFFERS, &OFFERS);
        put(&mut said, &[line, b"Host: a.example\r\n"]);
        fields(choices, &mut said, &REQUEST_FIELDS);
        put(&mut said, &[offer, b"\r\n\r\n", choices.bytes(60)]);
        let mut answer = Vec::new();
        if choices.chance(1, 4) {
            put(&mut answer, &[b"HTTP/1.1 103 Early\r\nLink: <a>\r\n\r\n"]);
        }
        let grant = either(choices, &ODD_GRANTS, &GRANTS);
        put(&mut answer, &[grant, b"\r\n\r\n", choices.bytes(60)]);
        for text in [&mut said, &mut answer] {
            if choices.chance(1, 16) {
                spoil(choices, text);
            }
        }
        let fin = choices.chance(1, 4);
        Self { said, fin, answers: vec![(answer, choices.chance(1, 4)), (OK.to_vec(), false)] }
    }

    /// What the client says when, and what the service does.
    pub(crate) fn speech(&self, cut: Cut) -> (Speech, Vec<Answer>) {
        let mut speech = pieces(&self.said, cut);
        if self.fin {
            speech.push((Duration::ZERO, Say::Finish));
        }
        speech.push((PATIENCE, Say::Close));
        let answers = self.answers.iter().map(|(text, fin)| {
            let mut speech = pieces(text, cut);
            if *fin {
                speech.push((Duration::ZERO, Say::Finish));
            }
            Answer { speech, patient: true }
        });
        (speech, answers.collect())
    }
}

fn pieces(text: &[u8], cut: Cut) -> Speech {
    let size = match cut {
        Cut::Whole => text.len().max(1),
        Cut::Bytes => 1,
        Cut::Each(size) => size,
    };
    let say = |piece: &[u8]| (Duration::from_millis(1), Say::Bytes(piece.to_vec()));
    text.chunks(size).map(say).collect()
}

/// Whether something is wrong here: seldom, but often enough that most kinds of wrong are alone.
fn odd(choices: &mut Choices) -> bool {
    choices.chance(1, 48)
}

fn one<'t>(choices: &mut Choices, list: &[&'t [u8]]) -> &'t [u8] {
    choices.pick::<&[u8]>(list)
}

/// Something odd, or something usual.
fn either<T: Copy>(choices: &mut Choices, strange: &[T], usual: &[T]) -> T {
    if odd(choices) { *choices.pick(strange) } else { *choices.pick(usual) }
}

fn put(text: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        text.extend_from_slice(part);
    }
}

fn request(choices: &mut Choices, number: usize) -> Vec<u8> {
    let mut text = Vec::new();
    if odd(choices) {
        put(&mut text, &[one(choices, &[b"\r\n" as &[u8], b"\n", b" ", b"\r\n\r\n", PREFACE])]);
    }
    let method = either(choices, &ODD_METHODS, &METHODS);
    let target = either(choices, &ODD_TARGETS, &TARGETS);
    let target: &[u8] = if method == b"OPTIONS" && choices.chance(1, 2) { b"*" } else { target };
    let old = choices.chance(1, 10);
    let version: &[u8] = if odd(choices) {
        one(choices, &ODD_VERSIONS)
    } else if old {
        b" HTTP/1.0"
    } else {
        b" HTTP/1.1"
    };
    put(&mut text, &[method, b" ", target, version, line_end(choices)]);
    let host = either(choices, &ODD_HOSTS, &HOSTS);
    put(&mut text, &[host]);
    put(&mut text, &[b"X-N: ", number.to_string().as_bytes(), line_end(choices)]);
    if choices.chance(1, 3) {
        put(&mut text, &[b"X-Pico-Endpoint: a\r\n"]);
    }
    fields(choices, &mut text, &REQUEST_FIELDS);
    let bodied = !matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE");
    body(choices, &mut text, bodied, old);
    text
}

fn answer(choices: &mut Choices) -> (Vec<u8>, bool) {
    let mut text = Vec::new();
    if odd(choices) {
        put(&mut text, &[one(choices, &[b"\r\n" as &[u8], b"x", b"\n"])]);
    }
    while choices.chance(1, 8) {
        put(&mut text, &[one(choices, &INTERIM)]);
        fields(choices, &mut text, &ANSWER_FIELDS);
        put(&mut text, &[b"\r\n"]);
    }
    let line = either(choices, &ODD_STATUSES, &STATUSES);
    put(&mut text, &[line, line_end(choices)]);
    fields(choices, &mut text, &ANSWER_FIELDS);
    let fin = choices.chance(1, 8);
    if fin {
        put(&mut text, &[b"\r\n", choices.bytes(40)]);
    } else {
        let bare = line.windows(3).any(|code| [b"204", b"304"].iter().any(|one| code == *one));
        body(choices, &mut text, !bare, false);
    }
    (text, fin)
}

fn line_end(choices: &mut Choices) -> &'static [u8] {
    if odd(choices) && odd_again(choices) { one(choices, &ODD_LINE_ENDS) } else { b"\r\n" }
}

/// There are many lines.
fn odd_again(choices: &mut Choices) -> bool {
    choices.chance(1, 4)
}

fn fields(choices: &mut Choices, text: &mut Vec<u8>, usual: &[&[u8]]) {
    for _ in 0..choices.below(4) {
        let line = either(choices, &ODD_FIELDS, usual);
        put(text, &[line, line_end(choices)]);
    }
}

/// The fields that frame a body, the empty line, and the body.
fn body(choices: &mut Choices, text: &mut Vec<u8>, bodied: bool, old: bool) {
    if odd(choices) {
        put(text, &[one(choices, &ODD_FRAMINGS), b"\r\n\r\nhello"]);
        return;
    }
    let kind = if bodied || choices.chance(1, 10) { choices.below(5) } else { 0 };
    match kind {
        0 => put(text, &[b"\r\n"]),
        1 | 2 => {
            let body = choices.bytes(60).to_vec();
            let said = if odd(choices) { choices.below(70) } else { body.len() };
            let name = one(choices, &[b"Content-Length: " as &[u8], b"content-length:  "]);
            put(text, &[name, said.to_string().as_bytes(), b" \r\n\r\n", &body]);
        }
        _ if old => put(text, &[b"\r\n"]),
        _ => {
            let name = one(
                choices,
                &[b"Transfer-Encoding: chunked\r\n" as &[u8], b"transfer-encoding:\tCHUNKED \r\n"],
            );
            put(text, &[name]);
            if choices.chance(1, 4) {
                put(text, &[b"Trailer: X-Sum\r\n"]);
            }
            put(text, &[b"\r\n"]);
            chunks(choices, text);
        }
    }
}

fn chunks(choices: &mut Choices, text: &mut Vec<u8>) {
    for _ in 0..choices.below(4) {
        let bytes = match choices.bytes(20) {
            [] => b"x",
            bytes => bytes,
        };
        let size = match choices.below(4) {
            0 => format!("{:X}", bytes.len()),
            1 => format!("{:04x}", bytes.len()),
            _ => format!("{:x}", bytes.len()),
        };
        let (before, after, end) = either(choices, &ODD_CHUNKS, &CHUNKS);
        put(text, &[before, size.as_bytes(), after, bytes, end]);
    }
    put(text, &[either(choices, &ODD_LASTS, &LASTS)]);
    for _ in 0..choices.below(3) {
        let line = either(choices, &ODD_FIELDS, &TRAILERS);
        put(text, &[line, line_end(choices)]);
    }
    put(text, &[line_end(choices)]);
}

/// Changes a byte, takes one away, cuts the rest off, or puts one in.
fn spoil(choices: &mut Choices, text: &mut Vec<u8>) {
    let at = choices.below(text.len());
    let byte = *choices.pick(b"\r\n \t:,;\"/*[]a0\0\x01\x0b\x7f\x80");
    match choices.below(4) {
        0 if at < text.len() => text[at] = byte,
        1 if at < text.len() => drop(text.remove(at)),
        2 => text.truncate(at),
        _ => text.insert(at, byte),
    }
}

/// For which a client waits at most; longer than every time-out that is met.
const PATIENCE: Duration = Duration::from_secs(6);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const METHODS: [&[u8]; 12] = [
    b"GET",
    b"GET",
    b"GET",
    b"POST",
    b"POST",
    b"PUT",
    b"PATCH",
    b"HEAD",
    b"DELETE",
    b"OPTIONS",
    b"TRACE",
    b"M-SEARCH",
];
const ODD_METHODS: [&[u8]; 6] = [b"CONNECT", b"get", b"G(T", b"", b"GET ", b"X!#$%&'*+-.^_`|~9"];
const TARGETS: [&[u8]; 10] = [
    b"/",
    b"/",
    b"/a?b=c&d",
    b"/%41/%00\"<>{}|^`",
    b"//double//../x",
    b"/http://b.example/",
    b"http://a.example/x?y",
    b"http://a.example",
    b"HTTPS://a.example:80?q",
    b"http://b.a.example/",
];
const ODD_TARGETS: [&[u8]; 14] = [
    b"*",
    b"a.example:80",
    b"x",
    b"",
    b"http://",
    b"http:///x",
    b"http://u@a.example/",
    b"http://a.example/#f",
    b"/a#f",
    b"/a b",
    b"/\x80",
    b"/a\tb",
    b"ftp://a.example/",
    b"http://a.example:8x/",
];
const ODD_VERSIONS: [&[u8]; 10] = [
    b"",
    b" HTTP/1.1 ",
    b"  HTTP/1.1",
    b"\tHTTP/1.1",
    b" HTTP/1.2",
    b" HTTP/2.0",
    b" http/1.1",
    b" HTTP/1",
    b" HTTP/01.1",
    b" HTTP/0.9",
];
const HOSTS: [&[u8]; 6] = [
    b"Host: a.example\r\n",
    b"Host: a.example\r\n",
    b"host:a.example:8001\r\n",
    b"HOST:\t a.example \t\r\n",
    b"Host: A.EXAMPLE\r\n",
    b"X-Before: 1\r\nHost: a.example\r\n",
];
const ODD_HOSTS: [&[u8]; 13] = [
    b"",
    b"Host:\r\n",
    b"Host: a.example\r\nHost: a.example\r\n",
    b"Host: a.example\r\nhost: b.example\r\n",
    b"Host: a.example, b.example\r\n",
    b"Host: a example\r\n",
    b"Host: a.example/x\r\n",
    b"Host: u@a.example\r\n",
    b"Host: a.example\0\r\n",
    b"Host : a.example\r\n",
    b" Host: a.example\r\n",
    b"Host: 10.0.0.1\r\n",
    b"Host: [::1]:80\r\n",
];
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const OFFERS: [&[u8]; 4] = [
    b"Connection: upgrade\r\nUpgrade: echo",
    b"connection: keep-alive, Upgrade\r\nX-Between: 1\r\nupgrade: other/2, ECHO/1",
    b"Upgrade: echo\r\nConnection: upgrade, te\r\nTE: trailers",
    b"Upgrade: other\r\nUpgrade: echo\r\nConnection: x-one\r\nConnection: upgrade",
];
const ODD_OFFERED_BY: [&[u8]; 4] = [
    b"POST / HTTP/1.1\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"GET / HTTP/1.0\r\n",
    b"GET http://a.example HTTP/1.1\r\n",
];
const ODD_OFFERS: [&[u8]; 8] = [
    b"Upgrade: echo",
    b"Connection: upgrade",
    b"Connection: upgrade\r\nUpgrade:",
    b"Connection: upgrade\r\nUpgrade: h2c",
    b"Connection: upgrade\r\nUpgrade: echo, h2c\r\nHTTP2-Settings: AAAA",
    b"Connection: upgrade\r\nUpgrade: echo\r\nContent-Length: 0",
    b"Connection: upgrade\r\nUpgrade: echo\r\nContent-Length: 4",
    b"Connection: upgrade\r\nUpgrade: echo\r\nTransfer-Encoding: chunked",
];
const GRANTS: [&[u8]; 4] = [
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo",
    b"HTTP/1.1 101 \r\nX-One: 1\r\nupgrade: Echo/1\r\nconnection: Upgrade",
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade, close\r\nUpgrade: echo\r\nX-Pico-A: 1",
    b"HTTP/1.1 101 Switching\r\nUpgrade: echo\r\nConnection: upgrade\r\nContent-Length: 5",
];
const ODD_GRANTS: [&[u8]; 8] = [
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: another",
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade",
    b"HTTP/1.1 101 Switching\r\nUpgrade: echo",
    b"HTTP/1.0 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo",
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo, h2c",
    b"HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: echo\r\nContent-Length: 0",
    b"HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: echo\r\nTransfer-Encoding: chunked",
    b"HTTP/1.1 200 Until the end",
];
const ODD_LINE_ENDS: [&[u8]; 6] = [b"\n", b"\r", b"\r\r\n", b" \r\n", b"\n\r", b""];
const REQUEST_FIELDS: [&[u8]; 24] = [
    b"X-One: 1",
    b"x_two:2",
    b"X-Empty:",
    b"X-Blanks: \t a  b\t ",
    b"X-High: \xe9\x80\xff",
    b"X-Quoted: \"a, b\\\"\", c",
    b"Accept: */*",
    b"Cookie: a=b; c=d",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: x-one, x-empty, content-length, host",
    b"Connection: upgrade\r\nUpgrade: echo",
    b"Keep-Alive: timeout=5",
    b"Proxy-Connection: close",
    b"TE: trailers\r\nConnection: te",
    b"Expect: 100-continue",
    b"Max-Forwards: 5",
    b"Via: 1.0 other",
    b"X-Forwarded-For: 6.6.6.6",
    b"X_Forwarded_Proto: ftp",
    b"Forwarded: for=6.6.6.6",
    b"X-Pico-Secret: 1",
    b"Authorization: Basic YTpi",
    b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
];
const ANSWER_FIELDS: [&[u8]; 18] = [
    b"X-One: 1",
    b"x_two:2",
    b"X-Empty:",
    b"X-Blanks: \t a  b\t ",
    b"X-High: \xe9\x80\xff",
    b"Set-Cookie: a=b",
    b"Set-Cookie: c=d, e",
    b"Date: Mon, 23 Nov 2026 18:00:00 GMT",
    b"Server: none",
    b"Connection: close",
    b"Connection: keep-alive, x-one",
    b"Keep-Alive: timeout=5",
    b"Proxy-Authenticate: Basic",
    b"Upgrade: echo",
    b"Via: 1.1 other",
    b"X-Pico-Secret: 1",
    b"Link: </a>; rel=preload",
    b"ETag: \"a\"",
];
const ODD_FIELDS: [&[u8]; 20] = [
    b"X-Folded: a\r\n b",
    b"X-Folded: a\r\n\tb",
    b" X-Blank: a",
    b"\tX-Blank: a",
    b"X-Blank : a",
    b"X Space: a",
    b"X-Nul: a\0b",
    b"X-Control: a\x01b",
    b"X-Delete: a\x7fb",
    b"X-Tab: a\x0bb",
    b"X-Return: a\rb",
    b"X-Feed: a\nb",
    b"X-High\xe9: a",
    b"NoColon",
    b": nameless",
    b"X(Y): a",
    b"Content-Length: 5",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip",
    b"Host: b.example",
];
const ODD_FRAMINGS: [&[u8]; 25] = [
    b"Content-Length: 5\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    b"Content-Length: 5\r\nContent-Length: 5",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Content-Length: 5, 5",
    b"Content-Length: 5,",
    b"Content-Length: +5",
    b"Content-Length: -5",
    b"Content-Length: 0x5",
    b"Content-Length: 5 5",
    b"Content-Length: 005",
    b"Content-Length: ",
    b"Content-Length: 9223372036854775808",
    b"Content-Length: 99999999999999999999999999",
    b"Content-Length : 5",
    b"Content_Length: 5",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, gzip",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding: chunked;q=1",
    b"Transfer-Encoding: \"chunked\"",
    b"Transfer-Encoding:",
];
/// What stands before a chunk's size, behind it, and behind the chunk.
type Chunk = (&'static [u8], &'static [u8], &'static [u8]);
const CHUNKS: [Chunk; 8] = [
    (b"", b"\r\n", b"\r\n"),
    (b"", b"\r\n", b"\r\n"),
    (b"", b"\r\n", b"\r\n"),
    (b"", b"\r\n", b"\r\n"),
    (b"", b";a\r\n", b"\r\n"),
    (b"", b";a=b;c=\"d;e\"\r\n", b"\r\n"),
    (b"", b"; a = \xff\r\n", b"\r\n"),
    (b"0", b"\r\n", b"\r\n"),
];
const ODD_CHUNKS: [Chunk; 22] = [
    (b"", b" ;a\r\n", b"\r\n"),
    (b"", b"\t;a\r\n", b"\r\n"),
    (b"", b" \r\n", b"\r\n"),
    (b"", b"\n", b"\r\n"),
    (b"", b"\r\n", b"\n"),
    (b"", b"\r\n", b""),
    (b"", b"\r\n", b"\r"),
    (b"", b"\r\n", b"x\r\n"),
    (b"", b"\r\n", b"\r\n\r\n"),
    (b"", b"\r", b"\r\n"),
    (b"", b";a\nb\r\n", b"\r\n"),
    (b"", b";a\rb\r\n", b"\r\n"),
    (b"", b";a\0\r\n", b"\r\n"),
    (b"", b"x\r\n", b"\r\n"),
    (b"", b",a\r\n", b"\r\n"),
    (b"+", b"\r\n", b"\r\n"),
    (b"-", b"\r\n", b"\r\n"),
    (b" ", b"\r\n", b"\r\n"),
    (b"0x", b"\r\n", b"\r\n"),
    (b"1", b"\r\n", b"\r\n"),
    (b"1000000000000000", b"\r\n", b"\r\n"),
    (b"0000000000000000", b"\r\n", b"\r\n"),
];
const LASTS: [&[u8]; 4] = [b"0\r\n", b"0\r\n", b"000\r\n", b"0;a=b\r\n"];
const ODD_LASTS: [&[u8]; 6] = [b"0\n", b"0\r", b"0 \r\n", b"\r\n", b"", b"0 ;a\r\n"];
const TRAILERS: [&[u8]; 8] = [
    b"X-Sum: 1",
    b"X-Sum:2",
    b"ETag: \"x\"",
    b"Content-Length: 3",
    b"Host: b.example",
    b"Set-Cookie: a=b",
    b"X-Pico-Secret: 1",
    b"X_Forwarded_For: 6.6.6.6",
];
const INTERIM: [&[u8]; 5] = [
    b"HTTP/1.1 103 Early Hints\r\n",
    b"HTTP/1.1 100 Continue\r\n",
    b"HTTP/1.1 102 \r\n",
    b"HTTP/1.1 199\r\n",
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n",
];
const STATUSES: [&[u8]; 16] = [
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 200 ",
    b"HTTP/1.1 200",
    b"HTTP/1.0 200 Fine",
    b"HTTP/1.1 201 Made,  \"so\"\tto speak",
    b"HTTP/1.1 204 No Content",
    b"HTTP/1.1 206 Partial",
    b"HTTP/1.1 304 Not Modified",
    b"HTTP/1.1 404 Not Found",
    b"HTTP/1.1 413 Too Large",
    b"HTTP/1.1 426 Upgrade Required",
    b"HTTP/1.1 500 \xe9chec",
    b"HTTP/1.1 599 Odd",
    b"HTTP/1.1 999 Odder",
];
const ODD_STATUSES: [&[u8]; 13] = [
    b"HTTP/1.1 2000 OK",
    b"HTTP/1.1 20 OK",
    b"HTTP/1.1  200 OK",
    b"HTTP/1.1\t200 OK",
    b"HTTP/1.1 099 OK",
    b"HTTP/1.1 000 OK",
    b"HTTP/1.1 +20 OK",
    b"HTTP/2.0 200 OK",
    b"HTTP/1.2 200 OK",
    b"http/1.1 200 OK",
    b"ICY 200 OK",
    b"HTTP/1.1 200 O\0K",
    b"HTTP/1.1 200 O\rK",
];
