//! How far a request may go (RFC 9110, section 7.6.2).

use super::answer::{self, Reply};
use super::forward::version_of;
use crate::head::RequestHead;
use crate::http1::rules;
use crate::reason::Reason;
use alloc::format;
use alloc::vec::Vec;
use http::{Method, Version};

/// Counts this hop off the `Max-Forwards` of an OPTIONS or TRACE. If none is left the request ends
/// here, with the answer that comes back. Other methods are not limited so.
///
/// # Errors
///
/// [`Reason::BadRequest`] if the limit is given twice, or is no number.
pub(super) fn count(head: &mut RequestHead, version: Version) -> Result<Option<Reply>, Reason> {
    if head.method != Method::OPTIONS && head.method != Method::TRACE {
        return Ok(None);
    }
    let Some(limit) = head.fields.get("max-forwards") else { return Ok(None) };
    let twice = head.fields.all("max-forwards").nth(1).is_some();
    if limit.is_empty() || !limit.iter().all(u8::is_ascii_digit) || twice {
        return Err(Reason::BadRequest);
    }
    let limit = core::str::from_utf8(limit).ok().and_then(|digits| digits.parse::<u32>().ok());
    // What does not fit is more than anybody needs.
    let Some(left) = limit.unwrap_or(HOPS_MAX).min(HOPS_MAX).checked_sub(1) else {
        return Ok(Some(end_of(head, version)));
    };
    head.fields.set(b"Max-Forwards", format!("{left}").as_bytes());
    Ok(None)
}

/// The answer of whoever is the last to get this request.
fn end_of(head: &RequestHead, version: Version) -> Reply {
    if head.method == Method::TRACE { answer::echo(&seen(head, version)) } else { answer::empty() }
}

/// A request as it was seen here, without what its client may not want to see again: whoever can
/// make a client ask for this must not learn its secrets by it (RFC 9110, section 9.3.8).
fn seen(head: &RequestHead, version: Version) -> Vec<u8> {
    let method = head.method.as_str().as_bytes();
    let version = version_of(version).as_bytes();
    let mut text = [method, b" ", head.target(), b" HTTP/", version, b"\r\n"].concat();
    for (name, value) in head.fields.iter().filter(|(name, _)| !is_secret(name)) {
        text.extend_from_slice(&[name, b": ", value, b"\r\n"].concat());
    }
    text.extend_from_slice(b"\r\n");
    text
}

fn is_secret(name: &[u8]) -> bool {
    const SECRETS: [&[u8]; 3] = [b"authorization", b"cookie", b"proxy-authorization"];
    SECRETS.iter().any(|secret| name.eq_ignore_ascii_case(secret)) || rules::is_pico(name)
}

/// No request is let go further than this.
const HOPS_MAX: u32 = 999_999;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Fields;
    use alloc::string::String;

    /// What becomes of a request with these values of `Max-Forwards`: those that go on, or the
    /// body of the answer.
    fn counted(method: &str, values: &[&str]) -> Result<Result<Vec<String>, String>, Reason> {
        let mut fields = Fields::new();
        fields.push(b"Host", b"a");
        fields.push(b"COOKIE", b"x");
        fields.push(b"Authorization", b"x");
        fields.push(b"proxy-authorization", b"x");
        fields.push(b"X_Pico_Endpoint", b"x");
        for value in values {
            fields.push(b"max-forwards", value.as_bytes());
        }
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut head = RequestHead::new(method, b"/a?b", fields);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(match count(&mut head, Version::HTTP_11)? {
            Some((_, body)) => Err(text(&body)),
            None => Ok(head.fields.all("max-forwards").map(text).collect()),
        })
    }

    #[test]
    fn each_hop_counts_one_off_and_the_last_answers() {
        for method in ["OPTIONS", "TRACE"] {
            let goes = |value: &str| counted(method, &[value]).unwrap().unwrap();
            assert_eq!(counted(method, &[]), Ok(Ok(Vec::new())));
            assert_eq!(goes("1"), ["0"]);
            assert_eq!(goes("010"), ["9"]);
            assert_eq!(goes("999999"), ["999998"]);
            assert_eq!(goes("1000001"), ["999998"]);
            assert_eq!(goes("99999999999999999999999"), ["999998"]);
            for wrong in [&[""][..], &["-1"], &["1.5"], &["1, 1"], &["x"], &["1", "1"]] {
                assert_eq!(counted(method, wrong), Err(Reason::BadRequest), "{wrong:?}");
            }
        }
        assert_eq!(counted("OPTIONS", &["0"]), Ok(Err(String::new())));
        let echo = "TRACE /a?b HTTP/1.1\r\nHost: a\r\nmax-forwards: 00\r\n\r\n";
        assert_eq!(counted("TRACE", &["00"]), Ok(Err(echo.into())));
    }

    #[test]
    fn what_other_methods_say_of_hops_is_left_alone() {
        for (method, value) in [("GET", "0"), ("BREW", "x"), ("options", "7")] {
            assert_eq!(counted(method, &[value]), Ok(Ok([value.into()].into())));
        }
    }
}
