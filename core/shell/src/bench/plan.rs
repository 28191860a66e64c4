//! What is to be sent, how often, and to whom.

use crate::config::{Refusal, count, positive, size, split};
use bytes::BytesMut;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};
use http::Method;
use pico_core::head::{Fields, RequestHead};
use std::time::Duration;

/// What is to be sent, how often, and to whom.
#[derive(Debug)]
pub struct Plan {
    /// Whom to ask: a name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The target of each request.
    pub target: String,
    /// Its method.
    pub method: Method,
    /// Field lines besides those that the plan makes.
    pub fields: Vec<(String, String)>,
    /// Endpoints that are asked in turn; if there are none, nobody is named.
    pub endpoints: Vec<String>,
    /// Bytes of each request's body.
    pub body: usize,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// Requests a second, whatever the answers; without it, each connection sends its next
    /// request when it has its answer.
    pub rate: Option<u64>,
    /// For how long requests are due.
    pub duration: Duration,
    /// How long an answer may take to begin.
    pub timeout: Duration,
    /// Threads that send.
    pub workers: u16,
    /// Whether the result is for programs.
    pub json: bool,
}

impl Plan {
    /// GET requests to one endpoint for a second, on one connection.
    pub fn with(rate: Option<u64>) -> Self {
        Self {
            host: "localhost".into(),
            port: 8001,
            target: "/".into(),
            method: Method::GET,
            fields: Vec::new(),
            endpoints: vec!["shop".into()],
            body: 0,
            connections: 1,
            rate,
            duration: Duration::from_secs(1),
            timeout: Duration::from_secs(30),
            workers: 1,
            json: false,
        }
    }

    pub(super) fn read(matches: &ArgMatches) -> Result<Self, Refusal> {
        let word = |name: &str| matches.get_one::<String>(name).map_or("", String::as_str);
        let told = |name: &'static str| move |why| Refusal(format!("--{name}: {why}"));
        let ((host, port), target) =
            split(word(URL), &["http"], Some(80)).map_err(|why| Refusal(format!("URL: {why}")))?;
        let target = if target.is_empty() { "/" } else { target }.to_owned();
        let body = size(word(BODY)).map_err(told(BODY))?;
        if body > BODY_MAX {
            return Err(Refusal(format!("--{BODY}: expected at most {BODY_MAX} bytes")));
        }
        let method = match word(METHOD) {
            "" if body > 0 => Method::POST,
            "" => Method::GET,
            text => Method::from_bytes(text.as_bytes())
                .map_err(|_| Refusal(format!("--{METHOD}: expected a method, not {text:?}")))?,
        };
        let mut endpoints = Vec::new();
        for text in matches.get_many::<String>(ENDPOINT).into_iter().flatten() {
            endpoints.extend(spread(text).map_err(told(ENDPOINT))?);
        }
        let mut fields = Vec::new();
        for text in matches.get_many::<String>(HEADER).into_iter().flatten() {
            fields.push(field(text).map_err(told(HEADER))?);
        }
        let rate = matches.get_one::<String>(RATE).map(|text| count(text, RATE_MAX));
        let rate = rate.transpose().map_err(told(RATE))?;
        let workers = count(word(WORKERS), 64).map_err(told(WORKERS))?;
        let connections = count(word(CONNECTIONS), 65_536).map_err(told(CONNECTIONS))?;
        Ok(Self {
            host,
            port,
            target,
            method,
            fields,
            endpoints,
            body,
            connections,
            rate: rate.map(|rate| u64::try_from(rate).unwrap_or(u64::MAX)),
            duration: positive(word(DURATION)).map_err(told(DURATION))?,
            timeout: positive(word(TIMEOUT)).map_err(told(TIMEOUT))?,
            workers: u16::try_from(workers.min(connections)).unwrap_or(1),
            json: matches.get_flag(JSON),
        })
    }

    /// The head of a request for an endpoint.
    pub(super) fn head(&self, endpoint: Option<&str>) -> RequestHead {
        let mut fields = Fields::new();
        let host = if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        };
        if !self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            fields.push(b"Host", host.as_bytes());
        }
        if let Some(endpoint) = endpoint {
            fields.push(b"x-pico-endpoint", endpoint.as_bytes());
        }
        for (name, value) in &self.fields {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        if self.body > 0 {
            fields.push(b"Content-Length", self.body.to_string().as_bytes());
        }
        RequestHead::new(self.method.clone(), self.target.as_bytes(), fields)
    }

    /// Some of a body.
    pub(super) fn bytes(count: usize) -> BytesMut {
        BytesMut::zeroed(count)
    }
}

/// `shop` is one endpoint, `shop-{1..100}` a hundred of them.
fn spread(text: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("expected a name, or many such as shop-{{1..100}}, not {text:?}");
    let Some((before, rest)) = text.split_once('{') else { return Ok(vec![text.to_owned()]) };
    let (range, after) = rest.split_once('}').ok_or_else(wrong)?;
    let (from, to) = range.split_once("..").ok_or_else(wrong)?;
    let (from, to): (u32, u32) =
        from.parse().ok().zip(to.parse().ok()).filter(|(from, to)| from <= to).ok_or_else(wrong)?;
    if to - from >= ENDPOINTS_MAX {
        return Err(format!("expected at most {ENDPOINTS_MAX} endpoints"));
    }
    Ok((from..=to).map(|number| format!("{before}{number}{after}")).collect())
}

/// `name: value`.
fn field(text: &str) -> Result<(String, String), String> {
    let wrong = || format!("expected NAME: VALUE, not {text:?}");
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let (name, value) = (name.trim(), value.trim());
    let fine = http::HeaderName::from_bytes(name.as_bytes()).is_ok()
        && http::HeaderValue::from_str(value).is_ok();
    let framing = ["content-length", "transfer-encoding", "connection", "upgrade"];
    if !fine || framing.iter().any(|word| name.eq_ignore_ascii_case(word)) {
        return Err(wrong());
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// The flags.
pub(super) fn command() -> Command {
    let word = |name: &'static str, shown: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(shown).help(help)
    };
    Command::new("http")
        .about("Send HTTP requests and measure the answers")
        .after_help(EXAMPLES)
        .arg(
            Arg::new(URL)
                .value_name("URL")
                .value_hint(ValueHint::Url)
                .default_value("http://localhost:8001/")
                .help("Where to"),
        )
        .args([
            word(ENDPOINT, "NAME", "The endpoint; repeatable, and 'shop-{1..100}' is a hundred")
                .action(ArgAction::Append),
            word(CONNECTIONS, "NUMBER", "Connections, each with one request at a time")
                .default_value("64"),
            word(RATE, "NUMBER", "Requests a second, whatever the answers [default: as answered]"),
            word(DURATION, "DURATION", "How long").default_value("10s"),
            word(METHOD, "METHOD", "The method [default: GET, or POST with a body]"),
            word(BODY, "SIZE", "Bytes of each request's body").default_value("0"),
            word(HEADER, "FIELD", "A further field, NAME: VALUE; repeatable")
                .action(ArgAction::Append),
            word(TIMEOUT, "DURATION", "For an answer to begin").default_value("30s"),
            word(WORKERS, "NUMBER", "Threads that send").default_value("1"),
            word(JSON, "", "Print the result as JSON").action(ArgAction::SetTrue),
        ])
}

const URL: &str = "url";
const ENDPOINT: &str = "endpoint";
const CONNECTIONS: &str = "connections";
const RATE: &str = "rate";
const DURATION: &str = "duration";
const METHOD: &str = "method";
const BODY: &str = "body";
const HEADER: &str = "header";
const TIMEOUT: &str = "timeout";
const WORKERS: &str = "workers";
const JSON: &str = "json";

/// A body is made anew for each request.
const BODY_MAX: usize = 64 << 20;
const ENDPOINTS_MAX: u32 = 1_000_000;
const RATE_MAX: usize = 10_000_000;

pub(super) const EXAMPLES: &str = "\
With --rate, a request's time counts from the moment at which it was due, so that one which had
to wait for a free connection is as slow as its user would have found it (no coordinated
omission). Without, each connection sends its next request when it has its answer. When nothing
more is due, it waits for the answers to what was sent, no longer than --timeout.

A failure is a request without an answer, one whose answer ended too soon (cut), or an answer from
400 on, named by the code in its body if it has one; and each connection that could not be made
(unreachable), whether a request waited for it or not. It ends with 1 if not one request succeeded.

Examples:
  pico bench http --endpoint my-endpoint
      As fast as 64 connections get their answers, for 10 seconds
  pico bench http --endpoint my-endpoint --rate 500 --connections 200 --duration 1m
      500 requests a second, whatever the answers
  pico bench http http://pico.example.com --endpoint 'shop-{1..1000}' --body 10KiB --json
      POST requests to a thousand endpoints in turn; the result for programs";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_stand_for_many() {
        assert_eq!(spread("shop"), Ok(vec!["shop".to_owned()]));
        assert_eq!(spread("a{1..3}b").unwrap(), ["a1b", "a2b", "a3b"]);
        for wrong in ["{", "a{1}", "a{3..1}", "a{x..y}", "a{0..1000000}"] {
            assert!(spread(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_field_that_would_change_the_framing_is_refused() {
        assert_eq!(field("A: b: c"), Ok(("A".into(), "b: c".into())));
        for wrong in ["A", "A b: c", "Content-Length: 3", "A: \u{7}"] {
            assert!(field(wrong).is_err(), "{wrong:?}");
        }
    }
}
