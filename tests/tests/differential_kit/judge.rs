//! Whether what Pico made of an exchange means the same to h11 as what was said to Pico.

use super::peer::{Ask, Peer, Read};
use super::text::Exchange;
use pico_core::Limits;
use pico_sim::chain::{Ending, Played};
use pico_sim::model::http::{self, Message, carried};

/// What became of each request, and which differences between Pico and h11 were met.
pub(crate) type Outcomes = Vec<String>;

/// Where Pico reads what h11 does not: see the documentation of the test.
struct Difference {
    name: &'static str,
    /// How h11's error begins.
    error: &'static str,
    /// Whether the text has what h11 stumbles over.
    is_in: fn(&[u8]) -> bool,
}

const DIFFERENCES: [Difference; 6] = [
    Difference {
        name: "an empty line before a request",
        error: "no request line received",
        is_in: |text| text.starts_with(b"\r\n") || text.windows(4).any(|four| four == b"\r\n\r\n"),
    },
    Difference {
        name: "a blank before a chunk extension",
        error: "illegal chunk header",
        is_in: |text| [b" ;", b"\t;"].iter().any(|two| text.windows(2).any(|at| at == *two)),
    },
    Difference {
        name: BODILESS,
        error: "bad Content-Length",
        is_in: |text| says(text, b"content-length:"),
    },
    Difference {
        name: BODILESS,
        error: "conflicting Content-Length headers",
        is_in: |text| says(text, b"content-length:"),
    },
    Difference {
        name: BODILESS,
        error: "multiple Transfer-Encoding headers",
        is_in: |text| says(text, b"transfer-encoding:"),
    },
    Difference {
        name: BODILESS,
        error: "Only Transfer-Encoding: chunked is supported",
        is_in: |text| says(text, b"transfer-encoding:"),
    },
];

const BODILESS: &str = "a framing that means nothing, in an answer without a body";

fn says(text: &[u8], what: &[u8]) -> bool {
    text.to_ascii_lowercase().windows(what.len()).any(|at| at == what)
}

/// Whether an exchange came to the same when it came in other pieces. What follows depends on them
/// where something is broken off (how much of it goes out), where a request is repeated (whether
/// its connection had been used before), where one is answered early (whether it was complete, or
/// which of two reasons to refuse it was met first), where time-outs run, and where a service says
/// more than an answer (whether its connection has been used again by then).
pub(crate) fn agree(one: &Outcomes, other: &Outcomes) -> bool {
    let ((one, one_ends), (other, other_ends)) = (settled(one), settled(other));
    let in_body = ["bad_framing", "head_too_large", "body_timeout"];
    let early = |code: &str| MISDIRECTED.contains(&code) || in_body.contains(&code);
    let same = |(one, other): (&&str, &&str)| one == other || early(one) && early(other);
    let length = one.len() == other.len() || !one_ends || !other_ends;
    length && one.iter().zip(&other).all(same)
}

/// What does not depend on the pieces, and whether that is all.
fn settled(outcomes: &Outcomes) -> (Vec<&str>, bool) {
    let mut settled = Vec::new();
    for outcome in outcomes.iter().map(String::as_str) {
        if [CUT, REPEATED, RAW_CUT].contains(&outcome) {
            return (settled, false);
        }
        if !outcome.starts_with("difference: ") {
            settled.push(outcome);
        }
        let timed = outcome == TOO_MUCH || outcome.ends_with("_timeout");
        if timed || MISDIRECTED.contains(&outcome) {
            return (settled, false);
        }
    }
    (settled, true)
}

/// Judges one exchange that was played.
pub(crate) fn judge(
    exchange: &Exchange,
    played: &Played,
    limits: &Limits,
    peer: &mut Peer,
) -> Result<Outcomes, String> {
    if let Some(why) = &played.wrong {
        return Err(format!("the service heard {why}"));
    }
    let mut outcomes = Vec::new();
    let texts = played.service.iter().map(|heard| &heard.bytes);
    let asks: Vec<Ask> =
        [&exchange.said].into_iter().chain(texts).map(|text| Ask::requests(text)).collect();
    let mut reads = peer.read(&asks).into_iter();
    let mut asked = reads.next().ok_or("nothing was read")?;
    let mut differs = |text: &[u8], error: &str| {
        let fits = |one: &&Difference| error.starts_with(one.error) && (one.is_in)(text);
        let found = DIFFERENCES.iter().find(fits);
        outcomes.extend(found.map(|one| format!("difference: {}", one.name)));
        found.is_some()
    };
    if let Some(error) = asked.error.clone()
        && differs(&exchange.said, &error)
    {
        asked.messages = http::requests(&exchange.said, limits).messages;
        asked.rests.clear();
    }
    let (served, behind) = in_order(played, reads.collect())?;
    let mut asks = Vec::new();
    for (request, (text, fin)) in served.iter().zip(&exchange.answers) {
        let asked = (method(request), has(request, "upgrade"));
        asks.push(Ask::responses(text, *fin, vec![asked]));
    }
    let mut said = peer.read(&asks);
    for ((read, request), (text, fin)) in said.iter_mut().zip(&served).zip(&exchange.answers) {
        if let Some(error) = read.error.clone()
            && differs(text, &error)
        {
            let upgrade = has(request, "upgrade");
            let model = http::responses(text, &method(request), upgrade, *fin, limits);
            read.messages = model.messages;
            read.rests = read.messages.iter_mut().map(raw_of).collect();
        }
    }
    let got = read_client(&asked, played, peer)?;
    let (asked, served, said, behind) = (&asked, &served, &said, &behind);
    let walk = Walk { asked, served, behind, said, outcomes, next: 0, over: None };
    walk.compare(&got, played)
}

/// What our own reader has for the body of a 101, which is of the new protocol.
fn raw_of(message: &mut Message) -> Option<Vec<u8>> {
    let switches = message.first[0] == b"101";
    message.whole |= switches;
    switches.then(|| std::mem::take(&mut message.body))
}

/// What the service heard behind each request, if its end was found.
type Behind = Vec<Option<Vec<u8>>>;

/// The requests that the service heard, in their order. All of what it heard is requests, but for
/// the last one of a connection, which may be cut, and what follows an upgrade.
fn in_order(played: &Played, reads: Vec<Read>) -> Result<(Vec<Message>, Behind), String> {
    let (mut served, mut behind) = (Vec::new(), Vec::new());
    let mut heard = Vec::new();
    for read in reads {
        let upgraded = read.messages.iter().any(|message| has(message, "upgrade"));
        if let Some(error) = read.error.filter(|_| !upgraded) {
            return Err(format!("what the service heard is not read by h11: {error}"));
        }
        let mut rests = read.rests;
        rests.resize(read.messages.len(), None);
        heard.push((read.messages.into_iter().zip(rests), upgraded));
    }
    for (_, conn) in &played.requests {
        let next = heard.get_mut(*conn).and_then(|(messages, _)| messages.next());
        let (next, rest) = next.ok_or("the service heard a request of which h11 knows nothing")?;
        served.push(next);
        behind.push(rest);
    }
    let left = heard.into_iter().find_map(|(mut rest, upgraded)| rest.next().filter(|_| !upgraded));
    match left {
        Some((more, _)) => Err(format!("h11 reads one more request: {more:?}")),
        None => Ok((served, behind)),
    }
}

/// What the client got. How a response ends hangs on its request, and who could not read that
/// takes it for a GET.
fn read_client(asked: &Read, played: &Played, peer: &mut Peer) -> Result<Read, String> {
    let heard = &played.client;
    let fin = heard.ending == Some(Ending::Fin);
    let mut methods: Vec<(String, bool)> =
        asked.messages.iter().map(|message| (method(message), has(message, "upgrade"))).collect();
    methods.push(("GET".into(), false));
    let read = peer.read(&[Ask::responses(&heard.bytes, fin, methods.clone())]).remove(0);
    let Some(error) = read.error.clone() else { return Ok(read) };
    // In a message, or where the final response is due.
    let cut = |error: &str| {
        error.starts_with("peer closed connection without sending complete")
            || error.starts_with("can't handle event type ConnectionClosed")
    };
    if cut(&error) {
        return Ok(read);
    }
    let at = read.messages.iter().filter(|message| is_final(message)).count().saturating_sub(1);
    if let Some(last) = methods.get_mut(at).filter(|(method, _)| method == "HEAD") {
        last.0 = "GET".into();
        let read = peer.read(&[Ask::responses(&heard.bytes, fin, methods)]).remove(0);
        if read.error.as_deref().is_none_or(cut) {
            return Ok(read);
        }
    }
    Err(format!("what the client heard is not read by h11: {error}"))
}

/// What was asked, what arrived at the service, what it said to each, and what came of it.
struct Walk<'a> {
    asked: &'a Read,
    served: &'a [Message],
    behind: &'a Behind,
    said: &'a [Read],
    outcomes: Outcomes,
    /// How many of those that arrived have been accounted for.
    next: usize,
    /// Why no other request may follow.
    over: Option<&'static str>,
}

impl Walk<'_> {
    fn compare(mut self, got: &Read, played: &Played) -> Result<Outcomes, String> {
        let mut interim = Vec::new();
        let mut number = 0;
        for (place, message) in got.messages.iter().enumerate() {
            if !is_final(message) {
                interim.push(message);
                continue;
            }
            if let Some(why) = self.over {
                return Err(format!("another response, though {why}"));
            }
            self.answer(number, &interim, message)?;
            if message.first[0] == b"101" {
                self.raw(number, got.rests.get(place), played)?;
                return Ok(self.outcomes);
            }
            if !self.asked.messages.get(number).is_some_and(lasts) {
                self.over = self.over.or(Some("the request was the last of its connection"));
            }
            if !message.lasts {
                self.over = self.over.or(Some("the response was the last of its connection"));
            }
            number += 1;
            interim.clear();
        }
        // What arrived and was not answered is one request at most, perhaps tried twice.
        for served in self.served.get(self.next..).unwrap_or_default() {
            if let Some(why) = self.over {
                return Err(format!("another request was forwarded, though {why}: {served:?}"));
            }
            self.arrived(number, served)?;
        }
        if self.next < self.served.len() {
            self.outcomes.push(CUT.into());
        }
        Ok(self.outcomes)
    }

    /// The request with this number was the last that was answered: by a 101, behind which each
    /// side gets the other's bytes as they are, or the beginning of them if it was cut.
    fn raw(
        &mut self,
        number: usize,
        got: Option<&Option<Vec<u8>>>,
        played: &Played,
    ) -> Result<(), String> {
        let at = self.next.checked_sub(1).ok_or("a switch to what was never asked")?;
        let granted = |said: &Read| {
            let place = said.messages.iter().position(|message| message.first[0] == b"101");
            place.and_then(|place| said.rests.get(place).cloned().flatten())
        };
        let lost = |ending: Option<Ending>| ending == Some(Ending::Lost);
        let heard = played.requests.get(at).and_then(|(_, conn)| played.service.get(*conn));
        let asked = self.asked.rests.get(number).cloned().flatten();
        for (what, sent, came, cut) in [
            ("service", asked, self.behind.get(at), heard.is_some_and(|one| lost(one.ending))),
            ("client", self.said.get(at).and_then(granted), got, lost(played.client.ending)),
        ] {
            let (Some(sent), Some(Some(came))) = (sent, came) else { continue };
            let outcome = if sent == *came { RAW } else { RAW_CUT };
            if sent != *came && !(cut && sent.starts_with(came)) {
                let (sent, came) = (sent.escape_ascii(), came.escape_ascii());
                return Err(format!("raw bytes to the {what}: {came} for {sent}"));
            }
            self.outcomes.push(outcome.into());
        }
        Ok(())
    }

    /// The request with this number was answered by `message`, and before it by `interim`.
    fn answer(
        &mut self,
        number: usize,
        interim: &[&Message],
        message: &Message,
    ) -> Result<(), String> {
        let waiting = self.served.get(self.next);
        let served = waiting.is_some_and(|one| self.arrived(number, one).is_ok());
        let Some(code) = own_code(message, served) else {
            let at = self.take(number)?;
            self.answered(at, interim, message)?;
            let status = String::from_utf8_lossy(&message.first[0]).into_owned();
            self.outcomes.push(if message.whole { status } else { CUT.into() });
            if self.said.get(at).is_some_and(|said| said.more) {
                self.outcomes.push(TOO_MUCH.into());
            }
            return Ok(());
        };
        if REFUSALS.contains(&&*code) {
            // What was wrong may have shown in the body, when the head was on its way.
            if let Some(cut) = waiting.filter(|cut| !cut.whole) {
                self.arrived(number, cut)?;
                self.next += 1;
            }
            self.over = Some("what was refused is the last of its connection");
        } else if MISDIRECTED.contains(&&*code) {
            if !interim.is_empty() {
                return Err("interim responses to what was not forwarded".into());
            }
        } else if FAILURES.contains(&&*code) {
            self.take(number)?;
        } else {
            return Err(format!("the code {code}"));
        }
        self.outcomes.push(code);
        Ok(())
    }

    /// The request with this number is the next that arrived at the service, and, if nothing came
    /// of that and it may be repeated, the one behind it too. Returns which was answered.
    fn take(&mut self, number: usize) -> Result<usize, String> {
        let next = self.next;
        self.next += 1;
        let found = self.served.get(next).ok_or("an answer to what was never forwarded")?;
        self.arrived(number, found)?;
        if let Some(again) =
            self.served.get(next + 1).filter(|one| self.arrived(number, one).is_ok())
        {
            let safe = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"];
            if !safe.contains(&&*method(again)) {
                return Err(format!("request {number} was forwarded twice"));
            }
            self.outcomes.push(REPEATED.into());
            self.next += 1;
            return Ok(next + 1);
        }
        Ok(next)
    }

    fn arrived(&self, number: usize, served: &Message) -> Result<(), String> {
        let asked = self.asked.messages.get(number);
        let asked = asked.ok_or_else(|| format!("h11 reads no request {number}: {served:?}"))?;
        carried::request(asked, served).map_err(|why| format!("request {number}: {why}"))
    }

    /// The client got `message`, and before it `interim`, for what the service said to the request
    /// that was its number `at`.
    fn answered(&self, at: usize, interim: &[&Message], message: &Message) -> Result<(), String> {
        let request = &self.served[at];
        let Some(read) = self.said.get(at) else {
            let plain = message.first[0] == b"204";
            return if plain { Ok(()) } else { Err("an answer that was not given".into()) };
        };
        let said =
            read.messages.iter().find(|message| is_final(message)).ok_or_else(|| {
                format!("h11 reads no answer {at}: {:?}, and Pico does", read.error)
            })?;
        carried::response(said, message).map_err(|why| format!("answer {at}: {why}"))?;
        let sent = read.messages.iter().filter(|message| !is_final(message));
        let sent: Vec<&Message> = sent.collect();
        if interim.is_empty() && !has_version(request, "1.1") {
            return Ok(());
        }
        if sent.len() != interim.len() {
            return Err(format!("{} interim responses for {}", interim.len(), sent.len()));
        }
        for (sent, came) in sent.iter().zip(interim) {
            carried::response(sent, came).map_err(|why| format!("before answer {at}: {why}"))?;
        }
        Ok(())
    }
}

/// Whether the client spoke this version, as `Via` tells the service.
fn has_version(request: &Message, version: &str) -> bool {
    let via = request.fields.iter().rev().find(|(name, _)| name == b"Via");
    via.is_some_and(|(_, value)| value.starts_with(version.as_bytes()))
}

fn is_final(message: &Message) -> bool {
    message.first[0] == b"101" || !message.first[0].starts_with(b"1")
}

/// Whether another request may follow. h11 keeps no connection of HTTP/1.0.
fn lasts(message: &Message) -> bool {
    let options =
        message.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"connection"));
    let mut options = options.flat_map(|(_, value)| value.split(|byte| *byte == b','));
    let keeps = options.any(|one| one.trim_ascii().eq_ignore_ascii_case(b"keep-alive"));
    message.lasts || message.old && keeps
}

fn has(message: &Message, name: &str) -> bool {
    message.fields.iter().any(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
}

fn method(message: &Message) -> String {
    String::from_utf8_lossy(&message.first[0]).into_owned()
}

/// The code of an answer that is Pico's own; what it forwards has passed through it, and says so.
/// What is said to a HEAD shows no code, but it can be told by what became of the request.
fn own_code(message: &Message, served: bool) -> Option<String> {
    if has(message, "via") || message.first[0] == b"101" {
        return None;
    }
    let value = serde_json::from_slice::<serde_json::Value>(&message.body).ok();
    let code = value.as_ref().and_then(|value| value.get("code")?.as_str());
    let guess = match (message.first[0].starts_with(b"5"), served, message.lasts) {
        (true, true, _) => FAILURES[0],
        (true, false, _) | (false, _, true) => MISDIRECTED[0],
        (false, _, false) => REFUSALS[0],
    };
    Some(code.unwrap_or(guess).to_owned())
}

const TOO_MUCH: &str = "more behind an answer than belongs to it";
const REPEATED: &str = "repeated";
const CUT: &str = "cut, or nothing at all";
const RAW: &str = "raw bytes, all of them";
const RAW_CUT: &str = "raw bytes, cut";
/// What ends a connection, because nobody can tell what follows.
const REFUSALS: [&str; 7] = [
    "bad_request",
    "bad_framing",
    "head_too_large",
    "target_too_long",
    "not_implemented",
    "head_timeout",
    "body_timeout",
];
/// What cannot be forwarded, though it can be read.
const MISDIRECTED: [&str; 3] = ["missing_endpoint", "invalid_endpoint", "no_upstream"];
/// What was forwarded in vain.
const FAILURES: [&str; 3] = ["bad_response", "upstream_timeout", "upstream_lost"];
