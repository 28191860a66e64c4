//! From a client's bytes to a service's and back: through a worker, a tunnel and an agent, in a
//! world in which nothing else goes wrong.

use super::http1_text;
use crate::actors::wire::{Event, Reader};
use crate::chain::{Answer, Chain, Played, Say, Speech, Transcript};
use crate::choices::Choices;
use crate::model::http::{Field, carried, requests};
use core::time::Duration;
use pico_core::Limits;

/// What a service's answer is, as far as one can tell who reads no more than RFC 9112 has.
#[derive(PartialEq, Debug)]
enum Verdict {
    /// It came to its end, with this body.
    Complete(Vec<u8>),
    /// It did not.
    Incomplete,
    /// One may read it so or otherwise, or not at all.
    Odd,
}

/// Plays what `data` stands for, and looks at what reached whom.
pub(super) fn play(data: &[u8]) {
    let mut choices = Choices::new(data);
    let seed = u64::from(choices.byte());
    let answers: Vec<Answer> =
        (0..choices.between(1, 4)).map(|at| answer(&mut choices, at)).collect();
    let speech = request(&mut choices);
    let said: Vec<u8> = bytes(&speech);
    let mut chain = Chain::new(seed, limits());
    let played = chain.play(speech, answers.clone(), LIFE, LIFE);
    let shown = || {
        let to: Vec<u8> = played.service.iter().flat_map(|one| &one.bytes).copied().collect();
        let [to, from] = [&to, &played.client.bytes].map(|bytes| bytes.escape_ascii());
        let answers: Vec<_> = answers.iter().map(|a| format!("{a:?}")).collect();
        let said = said.escape_ascii();
        format!("client: {said}\nservice heard: {to}\n{answers:#?}\nclient heard: {from}")
    };
    if let Some(why) = &played.wrong {
        panic!("the service heard {why}\n{}", shown());
    }
    let compared =
        compare(&said, &answers, &played).and_then(|()| compare_requests(&said, &played));
    if let Err(why) = compared {
        panic!("{why}\n{}", shown());
    }
}

/// Reads what the client said and what the service heard, both as [RFC 9112] has it: what was
/// forwarded must be what was asked, in its order and nothing else, and whole only if it was.
///
/// [RFC 9112]: crate::model::http
fn compare_requests(said: &[u8], played: &Played) -> Result<(), String> {
    let asked = requests(said, &limits()).messages;
    let read = |heard: &Transcript| requests(&heard.bytes, &limits()).messages.into_iter();
    let mut heard: Vec<_> = played.service.iter().map(read).collect();
    let (mut next, mut upgraded): (usize, bool) = (0, false);
    let mut last = None;
    for (_, conn) in &played.requests {
        let served = heard[*conn].next().ok_or("a request that one reads and another does not")?;
        let same = |at: usize| asked.get(at).map(|asked| carried::request(asked, &served));
        // What nothing has come of may be sent once more, under the same ID, on another
        // connection. Those that Pico answers itself are skipped.
        let name = |(name, _): &&Field| name == b"X-Request-Id";
        let id = served.fields.iter().find(name).cloned();
        let again = id == last;
        let from = if again { next.saturating_sub(1) } else { next };
        let until = if again { next } else { asked.len() };
        let Some(at) = (from..until).find(|at| same(*at) == Some(Ok(()))) else {
            let why = same(from).map_or("nobody asked".into(), |same| format!("{same:?}"));
            return Err(format!("the service heard what was not asked: {why}"));
        };
        (next, last) = (at + 1, id);
        upgraded |= served.upgrade;
    }
    // What follows an upgrade is no request, and nothing else is left.
    match heard.into_iter().find_map(|mut rest| rest.next()).filter(|_| !upgraded) {
        Some(more) => Err(format!("the service heard more: {more:?}")),
        None => Ok(()),
    }
}

/// Short time-outs, because what passes between them is work too: heartbeats, and looks at the
/// clock.
fn limits() -> Limits {
    let short = Duration::from_secs(2);
    Limits {
        head_timeout: short,
        body_timeout: short,
        response_timeout: short,
        stall_timeout: short,
        idle_timeout: short,
        ..Limits::default()
    }
}

/// Reads what the client got, and compares it with what the service said.
fn compare(said: &[u8], answers: &[Answer], played: &Played) -> Result<(), String> {
    let heads = said.windows(5).any(|five| five == b"HEAD ");
    let mut reader = Reader::responses();
    reader.push(&played.client.bytes);
    loop {
        let (mut origin, mut body) = (None, Vec::new());
        // Whether it has a body is for its request to say.
        let text = String::from_utf8_lossy(reader.rest()).into_owned();
        let head = text.split("\r\n\r\n").next().unwrap_or_default().to_ascii_lowercase();
        if let Some((_, at)) = head.split_once("x-served: ") {
            let at: usize = at.lines().next().and_then(|at| at.parse().ok()).ok_or("no number")?;
            origin = Some(at);
            let method = played.requests.get(at).map(|(head, _)| head.method.as_str());
            reader.expect_no_body(method.ok_or("an answer to nothing")? == "HEAD");
        } else {
            reader.expect_no_body(false);
        }
        loop {
            match reader.find() {
                Some(Event::Head(head)) if head.status == 101 => return Ok(()),
                // The next one is another's.
                Some(Event::Head(head)) if head.status < 200 => break,
                Some(Event::Head(_)) if origin.is_none() && heads => return Ok(()),
                Some(Event::Head(_)) => {}
                Some(Event::Body(bytes)) => body.extend_from_slice(&bytes),
                Some(Event::End(_)) => {
                    let Some(at) = origin else { break };
                    let method = &played.requests[at].0.method;
                    match answers.get(at).map(|answer| judge(answer, method == "HEAD")) {
                        Some(Verdict::Complete(all)) if all != body => {
                            return Err(format!("answer {at} has another body"));
                        }
                        Some(Verdict::Incomplete) => {
                            return Err(format!("answer {at} looks complete"));
                        }
                        Some(Verdict::Complete(_) | Verdict::Odd) | None => break,
                    }
                }
                Some(Event::Bad(why)) if why.contains("ends with") => return Ok(()),
                Some(Event::Bad(why)) => return Err(format!("the client heard {why}")),
                None => return Ok(()),
            }
        }
    }
}

/// Reads an answer as it is in the books.
fn judge(answer: &Answer, bodiless: bool) -> Verdict {
    let said = bytes(&answer.speech);
    let finishes = answer.speech.iter().any(|(_, say)| matches!(say, Say::Finish));
    let mut reader = Reader::responses();
    reader.expect_no_body(bodiless);
    reader.push(&said);
    let mut body = Vec::new();
    loop {
        match reader.find() {
            Some(Event::Head(head)) if head.status == 101 => return Verdict::Odd,
            Some(Event::Head(_)) => {}
            Some(Event::Body(bytes)) => body.extend_from_slice(&bytes),
            Some(Event::End(_)) => return Verdict::Complete(body),
            Some(Event::Bad(why)) if why.contains("ends with") && finishes => {
                return Verdict::Complete(reader.rest().to_vec());
            }
            Some(Event::Bad(_)) => return Verdict::Odd,
            // A chunk's line may be read otherwise than to the letter.
            None => return Verdict::Incomplete,
        }
    }
}

fn bytes(speech: &Speech) -> Vec<u8> {
    let said = speech.iter().filter_map(|(_, say)| say.bytes());
    said.collect::<Vec<_>>().concat()
}

/// Answer number `at`, which bears its number.
fn answer(choices: &mut Choices, at: usize) -> Answer {
    let mut text = if choices.chance(1, 2) {
        http1_text::said(choices, true)
    } else {
        choices.pick(&ANSWERS).to_vec()
    };
    // Each head of it, interim ones too, has the number behind its first line.
    let starts = text.starts_with(b"HTTP/");
    if let Some(end) = text.windows(2).position(|two| two == b"\r\n").filter(|_| starts) {
        let line = format!("\r\nX-Served: {at}");
        text.splice(end..end, line.into_bytes());
    }
    if choices.chance(1, 4) {
        text.truncate(choices.below(text.len() + 1));
    }
    let mut speech = pieces(choices, &text);
    match choices.below(4) {
        0 | 1 => {}
        2 => speech.push((pause(choices), Say::Finish)),
        _ => speech.push((pause(choices), Say::Close)),
    }
    Answer { speech, patient: !choices.chance(1, 4) }
}

/// All that the client says.
fn request(choices: &mut Choices) -> Speech {
    let mut text = Vec::new();
    for _ in 0..choices.between(1, 4) {
        text.extend(match choices.below(4) {
            0 | 1 => choices.pick(&REQUESTS).to_vec(),
            2 => http1_text::said(choices, false),
            _ => choices.bytes(400).to_vec(),
        });
    }
    let mut speech = pieces(choices, &text);
    match choices.below(4) {
        0 | 1 => {}
        2 => speech.push((pause(choices), Say::Finish)),
        _ => speech.push((pause(choices), Say::Close)),
    }
    speech.push((PATIENCE, Say::Close));
    speech
}

/// The text, cut at some places.
fn pieces(choices: &mut Choices, text: &[u8]) -> Speech {
    let mut speech = Vec::new();
    let mut rest = text;
    for _ in 0..choices.below(4) {
        let (left, right) = rest.split_at(choices.below(rest.len() + 1));
        speech.push((pause(choices), Say::Bytes(left.to_vec())));
        rest = right;
    }
    speech.push((pause(choices), Say::Bytes(rest.to_vec())));
    speech.retain(|(_, say)| !matches!(say, Say::Bytes(bytes) if bytes.is_empty()));
    speech
}

fn pause(choices: &mut Choices) -> Duration {
    Duration::from_millis(*choices.pick(&[0, 1, 20, 700, 1_500]))
}

/// For which a client waits for more; longer than any time-out that is met.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longer than any client speaks.
const LIFE: Duration = Duration::from_mins(1);

const ANSWERS: [&[u8]; 6] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nraw",
];

const REQUESTS: [&[u8]; 6] = [
    b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello",
    b"PUT /x HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n\
      5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    b"HEAD /x HTTP/1.1\r\nHost: a.example\r\n\r\n",
    b"GET /x HTTP/1.0\r\nHost: a.example\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nraw",
];
