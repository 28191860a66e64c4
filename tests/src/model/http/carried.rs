//! What a message may lose and gain between the client and the service, and what it may not
//! (RFC 9110, section 7.6; `spec/http.md`). Who read the messages does not matter.

use super::framing::{self, all, elements};
use super::{Field, Message};

/// Whether `served` is the request `asked`, or the beginning of it, as it may arrive. The error
/// says what differs.
pub fn request(asked: &Message, served: &Message) -> Result<(), String> {
    let [method, target] = &asked.first;
    let (authority, origin) = origin_form(method, target);
    same("the method", method, &served.first[0])?;
    same("the target", &origin, &served.first[1])?;
    let hosts = all(&served.fields, "host");
    let [host] = hosts[..] else { return Err(format!("{} hosts", hosts.len())) };
    let said = all(&asked.fields, "host").first().map(|host| host.to_vec());
    if let Some(said) = authority.or(said) {
        same("the host", &said, host)?;
    }
    let counts = matches!(&method[..], b"OPTIONS" | b"TRACE");
    let keeps = |name: &str| {
        let counted = counts && name == "max-forwards" || asked.old && name == "expect";
        !(is_of_hop(name) || is_of_way(name) || name == "host" || counted)
    };
    same_fields(asked, served, keeps)?;
    trailers_accepted(asked, served)?;
    for name in ["x-forwarded-for", "x-forwarded-proto", "x-request-id", "via"] {
        let count = served.fields.iter().filter(|(other, _)| plain(other) == name).count();
        if count != 1 && name != "via" || count == 0 {
            return Err(format!("{count} times {name}"));
        }
    }
    for (name, _) in &served.fields {
        if plain(name).starts_with("x-pico-") {
            return Err("a field that is for Pico alone".into());
        }
    }
    body(asked, served)
}

/// Whether `got` is the response `said`, interim or final, or the beginning of it, as it may
/// arrive.
pub fn response(said: &Message, got: &Message) -> Result<(), String> {
    same("the status", &said.first[0], &got.first[0])?;
    let phrase: &[u8] = if said.first[1].is_ascii() { &said.first[1] } else { &[] };
    same("the phrase", phrase, &got.first[1])?;
    let dated = !all(&said.fields, "date").is_empty();
    let keeps = |name: &str| {
        let added = name == "via" || name == "content-length" || name == "date" && !dated;
        !(is_of_hop(name) || added || framing::dashed(name.as_bytes()).starts_with("x-pico-"))
    };
    same_fields(said, got, keeps)?;
    if said.first[0] == b"426" && all(&said.fields, "upgrade") != all(&got.fields, "upgrade") {
        return Err("what a 426 wants".into());
    }
    let lengths = [all(&said.fields, "content-length"), all(&got.fields, "content-length")];
    let bare = said.first[0] == b"204" || said.first[0].starts_with(b"1");
    match (&lengths[0][..], &lengths[1][..]) {
        (_, [_]) if bare => return Err("a length where there is none".into()),
        ([said], [got]) => same("the length", said, got)?,
        _ => {}
    }
    body(said, got)
}

/// Whoever keeps trailers, and says so to whom it speaks to, has it said to the next; nobody else.
fn trailers_accepted(asked: &Message, served: &Message) -> Result<(), String> {
    let says = |name: &str, what: &[u8]| {
        elements(&asked.fields, name).iter().any(|one| one.eq_ignore_ascii_case(what))
    };
    let accepted = !asked.old && says("te", b"trailers") && says("connection", b"te");
    let told = all(&served.fields, "te");
    let options = elements(&served.fields, "connection");
    let listed = options.iter().any(|option| option.eq_ignore_ascii_case(b"te"));
    let right = if accepted { told == [b"trailers"] } else { told.is_empty() };
    if right && listed == accepted { Ok(()) } else { Err("TE".into()) }
}

/// The body, and what is behind it. A body that was cut is no whole one.
fn body(sent: &Message, came: &Message) -> Result<(), String> {
    if !came.whole {
        let begins = sent.body.starts_with(&came.body);
        return if begins { Ok(()) } else { Err("another body".into()) };
    }
    if !sent.whole {
        return Err("a whole message, of which only a part was sent".into());
    }
    same("the body", &sent.body, &came.body)?;
    let named = |name: &[u8]| framing::is_named(&sent.fields, name);
    let may = |(name, _): &&Field| framing::may_trail(name) && !named(name);
    let trailers: Vec<&Field> = sent.trailers.iter().filter(may).collect();
    // They need chunks, which clients of HTTP/1.0 do not get.
    let chunked = !all(&came.fields, "transfer-encoding").is_empty();
    if came.trailers.iter().eq(trailers) || !chunked && came.trailers.is_empty() {
        return Ok(());
    }
    Err(format!("trailers {:?} for {:?}", came.trailers, sent.trailers))
}

/// Fields keep their names, their values and their order, but for those that need not be kept and
/// those that `Connection` names.
fn same_fields(sent: &Message, came: &Message, keeps: impl Fn(&str) -> bool) -> Result<(), String> {
    let options = elements(&sent.fields, "connection");
    let named: Vec<String> = options.iter().map(|option| lower(option)).collect();
    let protected = ["content-length", "host", "close", "keep-alive"];
    let stays = |(name, _): &&Field| {
        let name = lower(name);
        keeps(&name) && (protected.contains(&&*name) || !named.contains(&name))
    };
    let must: Vec<&Field> = sent.fields.iter().filter(stays).collect();
    let are: Vec<&Field> = came.fields.iter().filter(|(name, _)| keeps(&lower(name))).collect();
    if must == are { Ok(()) } else { Err(format!("fields {} for {}", shown(&are), shown(&must))) }
}

/// The authority in a target of absolute form, and the target in origin form, or as asterisk.
fn origin_form(method: &[u8], target: &[u8]) -> (Option<Vec<u8>>, Vec<u8>) {
    let start = lower(target);
    let Some(scheme) = ["http://", "https://"].into_iter().find(|one| start.starts_with(one))
    else {
        return (None, target.to_vec());
    };
    let rest = &target[scheme.len()..];
    let end = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let origin = match rest {
        [] if method == b"OPTIONS" => b"*".to_vec(),
        [b'/', ..] => rest.to_vec(),
        _ => [b"/", rest].concat(),
    };
    (Some(authority.to_vec()), origin)
}

/// Whether a field is of one hop.
fn is_of_hop(name: &str) -> bool {
    let hop = ["connection", "http2-settings", "keep-alive", "proxy-connection", "te", "upgrade"];
    let name = framing::dashed(name.as_bytes());
    hop.contains(&&*name) || name == "transfer-encoding"
}

/// Whether a field tells of the way of a request, which is what an intermediary knows best.
fn is_of_way(name: &str) -> bool {
    let name = framing::dashed(name.as_bytes());
    let told = ["forwarded", "x-real-ip", "x-request-id", "via"];
    told.contains(&&*name) || name.starts_with("x-pico-") || name.starts_with("x-forwarded-")
}

fn same(what: &str, must: &[u8], is: &[u8]) -> Result<(), String> {
    if must == is {
        return Ok(());
    }
    Err(format!("{what} {} for {}", is.escape_ascii(), must.escape_ascii()))
}

fn shown(fields: &[&Field]) -> String {
    let line =
        |(name, value): &&Field| format!("{}: {}", name.escape_ascii(), value.escape_ascii());
    format!("{:?}", fields.iter().map(line).collect::<Vec<_>>())
}

fn lower(text: &[u8]) -> String {
    String::from_utf8_lossy(text).to_ascii_lowercase()
}

/// A name, as one reads it who takes `_` for `-`.
fn plain(name: &[u8]) -> String {
    framing::dashed(name)
}
