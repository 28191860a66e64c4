//! The keys of `pico agent`.

use super::server::WORKERS_MAX;
use super::value::{count, duration, format, level, positive, timeout};
use super::{Item, Key, Keys, Level, Logs, Refusal, begins, unknown};
use clap::ArgMatches;
use pico_core::Limits;
use pico_core::agent::{HostHeader, Listener, Server, Service, Settings};
use pico_core::routing::EndpointId;
use pico_core::rpc::Identity;

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
}

impl Agent {
    /// The defaults, overridden by the file, the environment and the flags; and the file's
    /// listeners.
    pub(crate) fn load(matches: &ArgMatches) -> Result<Self, Refusal> {
        let mut agent = Self::default();
        for item in KEYS.load(&mut agent, matches)? {
            agent.settings.listeners.push(item_listener(&item)?);
        }
        // Who wants errors only does not want a line for each request.
        agent.settings.log_requests = agent.logs.level > Level::Error;
        Ok(agent)
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
        let logs = Logs { level: Level::Warn, ..Logs::default() };
        Self { logs, limits: Limits::default(), settings, workers: 1 }
    }
}

/// From the words of a command line or a file: the address is a port, `host:port` or a URL.
pub(crate) fn listener(endpoint: &str, addr: &str) -> Result<Listener, String> {
    let wrong =
        || format!("expected 1 to 128 letters, digits, '-', '.', '_' or '~', not {endpoint:?}");
    let endpoint = EndpointId::parse(endpoint.as_bytes()).map_err(|_| wrong())?;
    let (host, port) = if addr.parse::<u16>().is_ok() {
        place(&format!("localhost:{addr}"), None)?
    } else {
        let (place, path) = split(addr, &["http"], Some(80))?;
        if !path.is_empty() {
            return Err(format!("expected an address without a path, not {addr:?}"));
        }
        place
    };
    let service = Service { host, port };
    Ok(Listener { endpoint, service, host_header: HostHeader::Keep })
}

/// The keys, in the order of `--help`.
pub(crate) static KEYS: Keys<Agent> = Keys {
    keys: &[
        Key {
            name: "connect.url",
            value: "URL",
            help: "The node's upstream port [default: http://localhost:8002]",
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
            help: "What the agent shows for itself",
            set: |a, text| {
                a.settings.token = Some(text.to_owned());
                Ok(())
            },
        },
        Key {
            name: "connect.timeout",
            value: "DURATION",
            help: "For dialling one address and for the handshake [default: 5s and 10s]",
            set: |a, text| {
                let found = positive(text)?;
                (a.limits.dial_timeout, a.limits.handshake_timeout) = (found, found);
                Ok(())
            },
        },
        Key {
            name: "service.timeout.body",
            value: "DURATION",
            help: "For a service's response whose body has stopped, or off [default: 5m]",
            set: |a, text| timeout(text).map(|found| a.limits.stall_timeout = found),
        },
        Key {
            name: "connect.heartbeat",
            value: "DURATION",
            help: "Between two pings on a silent tunnel; two unanswered end it [default: 10s]",
            set: |a, text| positive(text).map(|found| a.limits.heartbeat = found),
        },
        Key {
            name: "connect.limit.streams",
            value: "NUMBER",
            help: "Calls at once on one tunnel [default: 1024]",
            set: |a, text| count(text, 2048).map(|found| a.limits.streams = found),
        },
        Key {
            name: "connect.limit.dials",
            value: "NUMBER",
            help: "Endpoints that each worker registers at once [default: 256]",
            set: |a, text| count(text, 65_536).map(|found| a.limits.dials = found),
        },
        Key {
            name: "grace-period",
            value: "DURATION",
            help: "How long calls under way may take after a signal to stop [default: 1m]",
            set: |a, text| duration(text).map(|found| a.settings.grace = found),
        },
        Key {
            name: "log.level",
            value: "error|warn|info|debug",
            help: "What is logged besides the plain output [default: warn]",
            set: |a, text| level(text).map(|found| a.logs.level = found),
        },
        Key {
            name: "log.format",
            value: "text|json",
            help: "How it is logged, on standard error [default: text]",
            set: |a, text| format(text).map(|found| a.logs.format = found),
        },
        Key {
            name: "workers",
            value: "NUMBER",
            help: "Threads that share the listeners, no more than there are of these [default: 1]",
            set: |a, text| {
                let number = count(text, WORKERS_MAX)?;
                a.workers = u16::try_from(number).unwrap_or(1);
                Ok(())
            },
        },
    ],
    missing: &["connect.tls"],
};

fn item_listener(item: &Item) -> Result<Listener, Refusal> {
    let line = item.entries.first().map_or(1, |entry| entry.line);
    let at = |line: u64| format!("{}:{line}", item.file);
    let (mut endpoint, mut addr, mut host_header) = (None, None, "keep");
    for entry in &item.entries {
        match entry.name.as_str() {
            "endpoint" => endpoint = Some(entry.text.as_str()),
            "addr" => addr = Some(entry.text.as_str()),
            "host-header" => host_header = &entry.text,
            name if begins(name, "tls", '.') => {
                let why = format!("{}: {name} {}", at(entry.line), super::UNAVAILABLE);
                return Err(Refusal(why));
            }
            name => {
                let known = ["endpoint", "addr", "host-header"].into_iter();
                return Err(unknown(&at(entry.line), name, known));
            }
        }
    }
    let need = |name| Refusal(format!("{}: this listener has no {name}", at(line)));
    let endpoint = endpoint.ok_or_else(|| need("endpoint"))?;
    let addr = addr.ok_or_else(|| need("addr"))?;
    let mut found =
        listener(endpoint, addr).map_err(|why| Refusal(format!("{}: {why}", at(line))))?;
    found.host_header = match host_header {
        "keep" => HostHeader::Keep,
        "rewrite" => HostHeader::Rewrite,
        value => HostHeader::Value(value.to_owned()),
    };
    Ok(found)
}

type Place = (String, u16);

/// Takes `[scheme://]host[:port][/path]` apart.
pub(crate) fn split<'a>(
    text: &'a str,
    schemes: &[&str],
    port: Option<u16>,
) -> Result<(Place, &'a str), String> {
    let (rest, port) = match text.split_once("://") {
        Some(("https" | "wss", _)) => {
            return Err(format!("{text:?} needs TLS, which is not available in this version"));
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
    if host.is_empty() || host.contains(['@', '?', '#', ' ']) {
        return Err(wrong());
    }
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_a_port_or_a_place_or_a_url() {
        let place = |addr| listener("e", addr).map(|l| (l.service.host, l.service.port));
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
