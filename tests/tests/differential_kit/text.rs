//! Requests and answers, right and subtly wrong.

use super::words::{
    ANSWER_FIELDS, CHUNKS, GRANTS, HOSTS, INTERIM, LASTS, METHODS, ODD_CHUNKS, ODD_FIELDS,
    ODD_FRAMINGS, ODD_GRANTS, ODD_HOSTS, ODD_LASTS, ODD_LINE_ENDS, ODD_METHODS, ODD_OFFERED_BY,
    ODD_OFFERS, ODD_STATUSES, ODD_TARGETS, ODD_VERSIONS, OFFERS, OK, PREFACE, REQUEST_FIELDS,
    STATUSES, TARGETS, TRAILERS,
};
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
