//! HTTP/1 messages as RFC 9112 and `spec/http.md` have them, read off a whole text at once.
//!
//! The reader knows no pieces, no buffers and no time. It names every flaw that a text has; which
//! of several is told is the machine's affair, as long as it is one of them.

pub mod against;
pub mod carried;
mod framing;
mod lines;

use framing::Framing;
use lines::Lines;
use pico_core::{Limits, Reason};
use std::collections::BTreeSet;

/// What a text says.
#[derive(PartialEq, Eq, Debug)]
pub struct Reading {
    /// The messages; of the last one the body may not be whole.
    pub messages: Vec<Message>,
    /// What follows them.
    pub end: End,
}

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not hang together")]
pub struct Message {
    /// Method and target, or status and phrase.
    pub first: [Vec<u8>; 2],
    /// Names and values.
    pub fields: Vec<Field>,
    /// Whether it is of HTTP/1.0.
    pub old: bool,
    /// As much of the body as there is.
    pub body: Vec<u8>,
    /// What was behind the body and may stand there.
    pub trailers: Vec<Field>,
    /// Whether body and trailers are complete.
    pub whole: bool,
    /// Whether a request offers an upgrade that may be granted.
    pub upgrade: bool,
    /// Whether another may follow on its connection.
    pub lasts: bool,
}

/// A name and a value.
pub type Field = (Vec<u8>, Vec<u8>);

/// Every flaw that was seen.
pub type Flaws = BTreeSet<Reason>;

/// What follows the messages of a text.
#[derive(PartialEq, Eq, Debug)]
pub enum End {
    /// The beginning of something; if it has flaws already, they may be told, or not yet.
    Waits(Flaws),
    /// It cannot be taken, for any of these.
    Refused(Flaws),
    /// The last message is the last of its connection; or a switch of protocols.
    Over,
}

/// The requests of which `text` is the beginning, if each is answered at its end.
pub fn requests(text: &[u8], limits: &Limits) -> Reading {
    let mut reading = Reading { messages: Vec::new(), end: End::Over };
    let mut rest = text;
    loop {
        let skipped = rest.starts_with(b"\r\n");
        if skipped {
            rest = &rest[2..];
        }
        if rest.is_empty() || rest == b"\r" && !skipped {
            reading.end = End::Waits(Flaws::new());
            return reading;
        }
        if !lines::is_tchar(rest[0]) {
            reading.end = End::Refused([Reason::BadRequest].into());
            return reading;
        }
        let section = match section(rest, limits, Reason::BadRequest) {
            Ok(section) => section,
            Err(End::Refused(mut flaws)) if is_long_target(rest, limits) => {
                flaws.remove(&Reason::HeadTooLarge);
                flaws.insert(Reason::TargetTooLong);
                reading.end = End::Refused(flaws);
                return reading;
            }
            Err(end) => {
                reading.end = end;
                return reading;
            }
        };
        let (mut message, framing) = match request(&section, limits) {
            Ok(read) => read,
            Err(flaws) => {
                reading.end = End::Refused(flaws);
                return reading;
            }
        };
        let end = body(&mut message, &rest[section.len..], framing, limits);
        let lasts = message.lasts;
        reading.messages.push(message);
        match end {
            Ok(left) if lasts => rest = left,
            Ok(_) => return reading,
            Err(end) => {
                reading.end = end;
                return reading;
            }
        }
    }
}

/// The responses of which `text` is the beginning, up to the final one, to a request with this
/// method, which may have asked for an upgrade; `fin` says that no more comes.
pub fn responses(text: &[u8], method: &str, upgrade: bool, fin: bool, limits: &Limits) -> Reading {
    let bad = || Flaws::from([Reason::BadResponse]);
    let mut reading = Reading { messages: Vec::new(), end: End::Over };
    let mut rest = text;
    loop {
        let read = section(rest, limits, Reason::BadResponse);
        let section = match read {
            Ok(section) => section,
            Err(End::Waits(_)) if fin => {
                let reason =
                    if rest.is_empty() { Reason::ConnectionLost } else { Reason::BadResponse };
                reading.end = End::Refused([reason].into());
                return reading;
            }
            Err(End::Refused(_)) => {
                reading.end = End::Refused(bad());
                return reading;
            }
            Err(end) => {
                reading.end = end;
                return reading;
            }
        };
        let Ok((mut message, framing)) = response(&section, method, upgrade, limits) else {
            reading.end = End::Refused(bad());
            return reading;
        };
        rest = &rest[section.len..];
        if framing == Framing::Interim {
            message.whole = true;
            reading.messages.push(message);
            continue;
        }
        let end = body(&mut message, rest, framing, limits);
        let until_fin = matches!(framing, Framing::Raw | Framing::UntilFin);
        message.whole |= until_fin && fin;
        let whole = message.whole;
        reading.messages.push(message);
        reading.end = match end {
            Ok(_) => End::Over,
            Err(_) if whole => End::Over,
            Err(End::Waits(_)) if !fin => End::Waits(bad()),
            Err(_) => End::Refused(bad()),
        };
        return reading;
    }
}

/// A section of lines, up to its empty line, or why there is none.
fn section(text: &[u8], limits: &Limits, malformed: Reason) -> Result<Lines, End> {
    let lines = Lines::read(text);
    let mut flaws = Flaws::new();
    if lines.bare {
        flaws.insert(malformed);
    }
    if lines.len > limits.head_bytes {
        flaws.insert(Reason::HeadTooLarge);
        return Err(End::Refused(flaws));
    }
    match (lines.ends, lines.bare) {
        (true, false) => Ok(lines),
        (true, true) => Err(End::Refused(flaws)),
        (false, _) => Err(End::Waits(flaws)),
    }
}

/// Whether the room for a head ends within the target of a request.
fn is_long_target(text: &[u8], limits: &Limits) -> bool {
    let within = text.get(..limits.head_bytes).filter(|_| text.len() > limits.head_bytes);
    within.is_some_and(|line| !line.contains(&b'\n') && line.contains(&b' '))
}

fn request(section: &Lines, limits: &Limits) -> Result<(Message, Framing), Flaws> {
    let mut flaws = Flaws::new();
    let fields = section.fields(1, limits, &mut flaws, Reason::BadRequest);
    let words: Vec<&[u8]> = section.all[0].split(|byte| *byte == b' ').collect();
    let [method, target, version] = words[..] else {
        flaws.insert(Reason::BadRequest);
        return Err(flaws);
    };
    let old = version == b"HTTP/1.0";
    let visible = !target.is_empty() && target.iter().all(|byte| (0x21..0x7f).contains(byte));
    if !lines::is_token(method) || !visible || !(old || version == b"HTTP/1.1") {
        flaws.insert(Reason::BadRequest);
    }
    let framing = framing::request(method, target, &fields, old, &mut flaws);
    if !flaws.is_empty() {
        return Err(flaws);
    }
    let empty = matches!(framing, Framing::None | Framing::Length(0));
    let upgrade = empty && method == b"GET" && framing::offers(&fields, old);
    let lasts = framing::lasts(&fields, old);
    let first = [method, target].map(<[u8]>::to_vec);
    let (body, trailers) = (Vec::new(), Vec::new());
    let message = Message { first, fields, old, body, trailers, whole: false, upgrade, lasts };
    Ok((message, framing))
}

fn response(
    section: &Lines,
    method: &str,
    upgrade: bool,
    limits: &Limits,
) -> Result<(Message, Framing), ()> {
    let mut flaws = Flaws::new();
    let fields = section.fields(1, limits, &mut flaws, Reason::BadResponse);
    let line = section.all.first().ok_or(())?;
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let (version, status) = (words.next().ok_or(())?, words.next().ok_or(())?);
    // A response without a phrase may come without the blank before it.
    let phrase = words.next().unwrap_or_default();
    let old = version == b"HTTP/1.0";
    let digits = status.len() == 3 && status.iter().all(u8::is_ascii_digit) && status[0] != b'0';
    let fine =
        digits && (old || version == b"HTTP/1.1") && phrase.iter().copied().all(lines::is_text);
    let framing = framing::response(status, method, upgrade, &fields, old, &mut flaws);
    if !fine || !flaws.is_empty() {
        return Err(());
    }
    let lasts = framing::lasts(&fields, old) && framing != Framing::UntilFin;
    // What is not ASCII in it is nothing that anybody could rely on.
    let phrase = if phrase.is_ascii() { phrase } else { &[] };
    let first = [status, phrase].map(<[u8]>::to_vec);
    let (body, trailers) = (Vec::new(), Vec::new());
    let message =
        Message { first, fields, old, body, trailers, whole: false, upgrade: false, lasts };
    Ok((message, framing))
}

/// Reads the body of a message. Returns what is behind it, or why nothing is.
fn body<'t>(
    message: &mut Message,
    text: &'t [u8],
    framing: Framing,
    limits: &Limits,
) -> Result<&'t [u8], End> {
    let rest = match framing {
        Framing::None | Framing::Interim => text,
        Framing::Length(length) => {
            let count = usize::try_from(length).unwrap_or(usize::MAX);
            let some = text.get(..count).unwrap_or(text);
            message.body.extend_from_slice(some);
            text.get(count..).ok_or_else(waits)?
        }
        Framing::UntilFin | Framing::Raw => {
            message.body.extend_from_slice(text);
            return Err(waits());
        }
        Framing::Chunked => chunks(message, text, limits)?,
    };
    message.whole = true;
    Ok(rest)
}

/// Reads chunks, and what is behind them.
fn chunks<'t>(message: &mut Message, text: &'t [u8], limits: &Limits) -> Result<&'t [u8], End> {
    let bad = || End::Refused([Reason::BadFraming].into());
    let mut rest = text;
    loop {
        let within = rest.get(..limits.chunk_line_bytes).unwrap_or(rest);
        let Some(end) = within.iter().position(|byte| *byte == b'\n') else {
            let long = rest.len() > limits.chunk_line_bytes;
            return Err(if long { bad() } else { End::Waits([Reason::BadFraming].into()) });
        };
        let size = lines::chunk_size(&rest[..=end]).ok_or_else(bad)?;
        rest = &rest[end + 1..];
        if size == 0 {
            break;
        }
        let count = usize::try_from(size).unwrap_or(usize::MAX);
        message.body.extend_from_slice(rest.get(..count).unwrap_or(rest));
        rest = rest.get(count..).ok_or_else(waits)?;
        match rest {
            [] | [b'\r'] => return Err(waits()),
            [b'\r', b'\n', more @ ..] => rest = more,
            _ => return Err(bad()),
        }
    }
    let section = section(rest, limits, Reason::BadFraming)?;
    let mut flaws = Flaws::new();
    let fields = section.fields(0, limits, &mut flaws, Reason::BadFraming);
    if !flaws.is_empty() {
        return Err(End::Refused(flaws));
    }
    let named = |name: &[u8]| framing::is_named(&message.fields, name);
    let may = |(name, _): &Field| framing::may_trail(name) && !named(name);
    message.trailers = fields.into_iter().filter(may).collect();
    Ok(&rest[section.len..])
}

fn waits() -> End {
    End::Waits(Flaws::new())
}
