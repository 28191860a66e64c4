//! The keys of `pico agent`.

use super::key::{Key, Keys};
use super::layers::Item;
use super::near::{begins, unknown};
use super::secret;
use super::server::WORKERS_MAX;
use super::value::{count, duration, positive, timeout};
use super::yaml::{Entry, LISTENERS};
use super::{Format, Level, Levels, Logs, Mistakes, Part, Refusal, Setting};
use clap::ArgMatches;
use pico_core::Limits;
use pico_core::agent::{HostHeader, Listener, Server, Service, Settings};
use pico_core::routing::EndpointId;
use pico_core::rpc::Identity;
use std::path::PathBuf;

/// How an agent is set up.
#[derive(Clone, Debug)]
pub struct Agent {
    /// What is logged.
    pub logs: Logs,
    /// Bounds and time-outs.
    pub limits: Limits,
    /// What the agent's machine needs to know.
    pub settings: Settings,
    /// Threads that share the listeners.
    pub workers: u16,
    token_file: Option<PathBuf>,
}

impl Agent {
    /// The defaults, overridden by the file, the environment and the flags, and the file's
    /// listeners; and what each key came to be. If it is `whole`, there must be a listener.
    pub(crate) fn load(matches: &ArgMatches, whole: bool) -> Result<(Self, Vec<Setting>), Refusal> {
        let (mut agent, mut mistakes) = (Self::default(), Mistakes::default());
        let layers = KEYS.load(&mut agent, matches, &mut mistakes);
        if let (true, None, Some(file)) = (whole, &layers.listed, &layers.file) {
            mistakes.add(format!("{file}: {LISTENERS}: expected one at least"));
        }
        let mut before: Vec<(Listener, String)> = Vec::new();
        for item in &layers.listeners {
            let Some(listener) = item_listener(item, &mut mistakes) else { continue };
            let same = |(other, _): &&(Listener, String)| {
                (&other.endpoint, &other.service) == (&listener.endpoint, &listener.service)
            };
            // Two services of one endpoint share its requests; the same one twice means nothing.
            if let Some((_, at)) = before.iter().find(same) {
                let place = item.place(item.at);
                mistakes.add(format!("{place}: this endpoint has this service already, at {at}"));
            }
            before.push((listener, item.at.to_string()));
        }
        agent.settings.listeners = before.into_iter().map(|(listener, _)| listener).collect();
        agent.check(&mut mistakes);
        mistakes.end()?;
        Ok((agent, KEYS.settings(&layers)))
    }

    /// What no key alone can know.
    fn check(&mut self, mistakes: &mut Mistakes) {
        if let Some(file) = &self.token_file {
            if self.settings.token.is_some() {
                mistakes.add("connect.token-file: there is a connect.token too".into());
            }
            self.settings.token = mistakes.take(secret::line("connect.token-file", file));
        }
        mistakes.take(self.settings.check().map_err(|why| why.to_string()));
    }
}

impl Default for Agent {
    fn default() -> Self {
        let server = Server { host: "localhost".into(), port: 8002, prefix: String::new() };
        let me = Identity {
            id: "pico-agent".into(),
            agent: concat!("pico/", env!("CARGO_PKG_VERSION")).into(),
        };
        let mut settings = Settings::new(server, me, Vec::new());
        settings.log_requests = true;
        let logs = Logs { levels: Level::Warn.into(), ..Logs::default() };
        Self { logs, limits: Limits::default(), settings, workers: 1, token_file: None }
    }
}

/// From the words of a command line: the address is a port, `host:port` or a URL.
pub(crate) fn listener(endpoint: &str, addr: &str) -> Result<Listener, Refusal> {
    let endpoint = endpoint_id(endpoint).map_err(|why| format!("ENDPOINT: {why}"));
    let service = service(addr).map_err(|why| format!("SERVICE: {why}"));
    match (endpoint, service) {
        (Ok(endpoint), Ok(service)) => {
            Ok(Listener { endpoint, service, host_header: HostHeader::Keep })
        }
        (Err(one), Err(other)) => Err(Refusal(format!("{one}\n{other}"))),
        (Err(one), Ok(_)) | (Ok(_), Err(one)) => Err(Refusal(one)),
    }
}

fn endpoint_id(text: &str) -> Result<EndpointId, String> {
    let wrong = || format!("expected 1 to 128 letters, digits, '-', '.', '_' or '~', not {text:?}");
    EndpointId::parse(text.as_bytes()).map_err(|_| wrong())
}

fn service(addr: &str) -> Result<Service, String> {
    let (host, port) = if !addr.is_empty() && addr.bytes().all(|byte| byte.is_ascii_digit()) {
        let port = addr.parse::<u16>().ok().filter(|port| *port > 0);
        let wrong = || format!("expected a port from 1 to 65535, not {addr:?}");
        ("localhost".to_owned(), port.ok_or_else(wrong)?)
    } else {
        let (place, path) = split(addr, &["http"], Some(80))?;
        if !path.is_empty() {
            return Err(format!("expected an address without a path, not {addr:?}"));
        }
        place
    };
    Ok(Service { host, port })
}

/// The keys, in the order of `--help`.
pub(crate) static KEYS: Keys<Agent> = Keys {
    rows: &[
        Key {
            name: "connect.url",
            value: "URL",
            default: "http://localhost:8002",
            help: "The node's upstream port",
            set: |a, text| {
                let ((host, port), path) = split(text, &["http", "ws"], Some(80))?;
                let prefix = path.trim_end_matches('/').to_owned();
                a.settings.server = Server { host, port, prefix };
                Ok(())
            },
        },
        Key {
            name: "connect.token",
            value: "TOKEN",
            default: "",
            help: "What the agent shows for itself",
            set: |a, text| {
                a.settings.token = Some(text.to_owned()).filter(|token| !token.is_empty());
                Ok(())
            },
        },
        Key {
            name: "connect.token-file",
            value: "FILE",
            default: "",
            help: "A file that holds that, in one line",
            set: |a, text| {
                a.token_file = Some(text.into()).filter(|_| !text.is_empty());
                Ok(())
            },
        },
        Key {
            name: "connect.timeout",
            value: "DURATION",
            default: "(5s to dial, 10s to shake hands)",
            help: "For dialling one address and for the handshake",
            set: |a, text| {
                let found = positive(text)?;
                (a.limits.dial_timeout, a.limits.handshake_timeout) = (found, found);
                Ok(())
            },
        },
        Key {
            name: "service.timeout.body",
            value: "DURATION",
            default: "5m",
            help: "For a service's response whose body has stopped, or off",
            set: |a, text| timeout(text).map(|found| a.limits.stall_timeout = found),
        },
        Key {
            name: "connect.heartbeat",
            value: "DURATION",
            default: "10s",
            help: "Between two pings on a silent tunnel; two unanswered end it",
            set: |a, text| positive(text).map(|found| a.limits.heartbeat = found),
        },
        Key {
            name: "connect.limit.streams",
            value: "NUMBER",
            default: "1024",
            help: "Calls at once on one tunnel",
            set: |a, text| count(text, 2048).map(|found| a.limits.streams = found),
        },
        Key {
            name: "connect.limit.dials",
            value: "NUMBER",
            default: "256",
            help: "Endpoints that each worker registers at once",
            set: |a, text| count(text, 65_536).map(|found| a.limits.dials = found),
        },
        Key {
            name: "grace-period",
            value: "DURATION",
            default: "1m",
            help: "How long calls under way may take after a signal to stop",
            set: |a, text| duration(text).map(|found| a.settings.grace = found),
        },
        Key {
            name: "log.level",
            value: "LEVEL",
            default: "warn",
            help: "off, error, warn, info or debug, and of a part: warn,tunnel=info; if nobody says, \
                   what the screen shows is not logged too",
            set: |a, text| Levels::parse(text, &PARTS).map(|found| a.logs.levels = found),
        },
        Key {
            name: "log.format",
            value: "auto|text|json",
            default: "auto",
            help: "How it is logged, on standard error; auto is text on a terminal, else json",
            set: |a, text| Format::parse(text).map(|found| a.logs.format = found),
        },
        Key {
            name: "workers",
            value: "NUMBER",
            default: "1",
            help: "Threads that share the listeners, no more than there are of these",
            set: |a, text| {
                let number = count(text, WORKERS_MAX)?;
                a.workers = u16::try_from(number).unwrap_or(1);
                Ok(())
            },
        },
    ],
    secret: &["connect.token"],
    listener: &["endpoint", "addr", "host-header"],
    missing: &["connect.tls"],
};

/// What of an agent can be logged.
const PARTS: [Part; 4] = [Part::Request, Part::Tunnel, Part::Service, Part::Process];

/// The listener that an item of the file describes, if it does.
fn item_listener(item: &Item, mistakes: &mut Mistakes) -> Option<Listener> {
    let place = |at| item.place(at);
    let (mut endpoint, mut addr, mut host_header) = (None, None, "keep");
    for entry in &item.entries {
        match entry.name.as_str() {
            "endpoint" => endpoint = Some(entry),
            "addr" => addr = Some(entry),
            "host-header" => host_header = &entry.text,
            name if begins(name, "tls", '.') => {
                mistakes.add(format!("{}: {name} {}", place(entry.key), super::UNAVAILABLE));
            }
            name => {
                let known = KEYS.listener.iter().copied();
                let why = unknown(name, known);
                mistakes.add(format!("{}: {why}", place(entry.key)));
            }
        }
    }
    let lacks = |name| format!("{}: this listener has no {name}", place(item.at));
    let endpoint = mistakes.take(endpoint.ok_or_else(|| lacks("endpoint")));
    let addr = mistakes.take(addr.ok_or_else(|| lacks("addr")));
    let (endpoint, addr) = (endpoint?, addr?);
    let told = |entry: &Entry, why| format!("{}: {}: {why}", place(entry.at), entry.name);
    let id = mistakes.take(endpoint_id(&endpoint.text).map_err(|why| told(endpoint, why)));
    let service = mistakes.take(service(&addr.text).map_err(|why| told(addr, why)));
    let host_header = match host_header {
        "keep" => HostHeader::Keep,
        "rewrite" => HostHeader::Rewrite,
        value => HostHeader::Value(value.to_owned()),
    };
    Some(Listener { endpoint: id?, service: service?, host_header })
}

type Place = (String, u16);

/// Takes `[scheme://]host[:port][/path]` apart.
pub(crate) fn split<'a>(
    text: &'a str,
    schemes: &[&str],
    port: Option<u16>,
) -> Result<(Place, &'a str), String> {
    let (rest, port) = match text.split_once("://") {
        // Only the scheme is repeated: what follows may hold a password, and so may what is none.
        Some((scheme, _)) if scheme.contains('@') => return Err(USER.into()),
        Some((scheme @ ("https" | "wss"), _)) => {
            return Err(format!("{scheme}:// needs TLS, which is not available in this version"));
        }
        Some((scheme, rest)) if schemes.contains(&scheme) => (rest, port),
        Some((scheme, _)) => {
            return Err(format!("expected {}://, not {scheme}://", schemes.join(":// or ")));
        }
        None => (text, None),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path == "/" { "" } else { path };
    Ok((place(authority, port)?, path))
}

/// Takes `host:port` apart; an IPv6 address stands in brackets.
fn place(text: &str, default: Option<u16>) -> Result<Place, String> {
    if text.contains('@') {
        return Err(USER.into());
    }
    let wrong = || format!("expected host:port, not {text:?}");
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or_else(wrong)?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?,
        None if port.is_empty() => default.ok_or_else(wrong)?,
        None => return Err(wrong()),
    };
    if host.is_empty() || host.contains(['?', '#', ' ']) {
        return Err(wrong());
    }
    Ok((host.to_owned(), port))
}

/// It is not repeated: it may hold a password.
const USER: &str = "expected host:port, without user information";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_a_port_or_a_place_or_a_url() {
        let place = |addr| service(addr).map(|service| (service.host, service.port));
        let local = |host: &str, port| Ok((host.to_owned(), port));
        assert_eq!(place("3000"), local("localhost", 3000));
        assert_eq!(place("10.0.0.1:80"), local("10.0.0.1", 80));
        assert_eq!(place("[::1]:80"), local("::1", 80));
        assert_eq!(place("http://web"), local("web", 80));
        assert_eq!(place("http://web:81/"), local("web", 81));
        for wrong in ["", "0", "70000", "web", "http://web/x", "https://web", "ftp://web", "a@b:1"]
        {
            assert!(place(wrong).is_err(), "{wrong:?}");
        }
    }
}
