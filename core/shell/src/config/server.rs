//! The keys of `pico server`.

use super::key::{Key, Keys};
use super::keys::{keys, keys_of, ring};
use super::value::{
    AGES, address, count, duration, flag, name, networks, or_off, permille, places, positive,
    reachable, size, timeout,
};
use super::{Format, Level, Levels, Logs, Mistakes, Part, Refusal, Setting};
use clap::ArgMatches;
use pico_core::Limits;
use pico_core::gossip::{self, Pace, Ring};
use pico_core::server::Settings;
use std::mem;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How one node is set up.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where clients connect.
    pub proxy: SocketAddr,
    /// Where agents connect.
    pub upstream: SocketAddr,
    /// Where operators connect.
    pub admin: SocketAddr,
    /// Where other nodes connect, and send datagrams.
    pub gossip: SocketAddr,
    /// Where other nodes reach that, if it is not where it is bound.
    pub gossip_advertised: Option<SocketAddr>,
    /// Where other nodes may be found: hosts and ports.
    pub join: Vec<(String, u16)>,
    /// Whether the node ends if nobody is found there.
    pub abort: bool,
    /// How long it may take to catch up with whoever is found.
    pub join_timeout: Duration,
    /// Whether nodes may speak to each other in the clear, beyond this machine.
    pub insecure: bool,
    /// Whether somebody has named the node.
    pub named: bool,
    /// Threads that carry requests.
    pub workers: u16,
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's keys.
    pub ring: Ring,
    keys: Vec<gossip::Key>,
    keys_file: Option<PathBuf>,
    /// What is logged.
    pub logs: Logs,
    /// What the node's machines need to know.
    pub node: Settings,
    limits: Limits,
}

impl Server {
    /// The defaults, overridden by the file, the environment and the flags; and what each key
    /// came to be.
    pub(crate) fn load(matches: &ArgMatches) -> Result<(Self, Vec<Setting>), Refusal> {
        let (mut server, mut mistakes) = (Self::default(), Mistakes::default());
        let layers = KEYS.load(&mut server, matches, &mut mistakes);
        server.check(&mut mistakes);
        mistakes.end()?;
        Ok((server, KEYS.settings(&layers)))
    }

    /// What no key alone can know.
    fn check(&mut self, mistakes: &mut Mistakes) {
        let limits = &self.limits;
        let first = limits.streams.saturating_mul(limits.window_bytes).saturating_mul(2);
        if first > limits.tunnel_bytes {
            mistakes.add(format!(
                "upstream.limit.tunnel-window must be at least {first} bytes: \
                 twice upstream.limit.streams times 64KiB"
            ));
        }
        if limits.window_bytes_max < limits.window_bytes {
            mistakes.add("upstream.limit.stream-window must be at least 64KiB".into());
        }
        if let Some(file) = &self.keys_file {
            self.keys.extend(mistakes.take(keys_of(file)).unwrap_or_default());
        }
        self.ring = mistakes.take(ring(mem::take(&mut self.keys))).unwrap_or_default();
        let near = self.gossip.ip().to_canonical().is_loopback();
        // A key that is wrong is mistake enough.
        if !near && self.ring.is_empty() && !self.insecure && !mistakes.speak_of("cluster.keys") {
            mistakes.add(format!(
                "gossip.bind-addr: without cluster.keys what nodes say to each other is not \
                 encrypted: give a key, bind it to loopback, not {}, or say cluster.insecure: true \
                 if the network is private",
                self.gossip
            ));
        }
        if self.node.drain_delay > self.node.grace_period {
            mistakes.add("drain-delay must not be longer than grace-period".into());
        }
        self.node.limits = Arc::new(self.limits.clone());
        self.node.log_requests = self.logs.levels.of(Part::Request) >= Level::Info;
    }
}

impl Default for Server {
    fn default() -> Self {
        let all = |port| SocketAddr::from(([0_u16; 8], port));
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            proxy: all(8001),
            upstream: all(8002),
            admin: loopback(8003),
            gossip: loopback(8004),
            gossip_advertised: None,
            join: Vec::new(),
            abort: false,
            join_timeout: Pace::default().catch_up,
            insecure: false,
            named: false,
            workers: u16::try_from(cores.min(WORKERS_MAX)).unwrap_or(1),
            cluster: "pico".into(),
            ring: Ring::default(),
            keys: Vec::new(),
            keys_file: None,
            logs: Logs::default(),
            node: Settings::default(),
            limits: Limits::default(),
        }
    }
}

/// The keys, in the order of `--help`.
pub(crate) static KEYS: Keys<Server> = Keys {
    rows: &[
        Key {
            name: "proxy.bind-addr",
            value: "HOST:PORT",
            default: ":8001",
            help: "Where clients connect",
            set: |s, text| address(text).map(|found| s.proxy = found),
        },
        Key {
            name: "proxy.timeout.head",
            value: "DURATION",
            default: "10s",
            help: "For a request's head to arrive",
            set: |s, text| timeout(text).map(|found| s.limits.head_timeout = found),
        },
        Key {
            name: "proxy.timeout.response",
            value: "DURATION",
            default: "30s",
            help: "For a response to begin after the last byte of the request was forwarded",
            set: |s, text| timeout(text).map(|found| s.limits.response_timeout = found),
        },
        Key {
            name: "proxy.timeout.body",
            value: "DURATION",
            default: "30s",
            help: "For a body that has stopped arriving",
            set: |s, text| timeout(text).map(|found| s.limits.body_timeout = found),
        },
        Key {
            name: "proxy.timeout.write",
            value: "DURATION",
            default: "30s",
            help: "For a client that has stopped reading",
            set: |s, text| timeout(text).map(|found| s.limits.write_timeout = found),
        },
        Key {
            name: "proxy.timeout.idle",
            value: "DURATION",
            default: "5m",
            help: "For a client's connection between requests",
            set: |s, text| timeout(text).map(|found| s.limits.idle_timeout = found),
        },
        Key {
            name: "proxy.half-close",
            value: "abort|keep",
            default: "abort",
            help: "What becomes of a silent call whose client sent FIN",
            set: |s, text| match text {
                "abort" => {
                    s.limits.half_close_timeout = Limits::default().half_close_timeout;
                    Ok(())
                }
                "keep" => {
                    s.limits.half_close_timeout = AGES;
                    Ok(())
                }
                _ => Err(format!("expected abort or keep, not {text:?}")),
            },
        },
        Key {
            name: "proxy.limit.connections",
            value: "NUMBER",
            default: "65536",
            help: "Connections of one worker, all ports together",
            set: |s, text| count(text, 1 << 24).map(|found| s.limits.connections = found),
        },
        Key {
            name: "proxy.limit.head",
            value: "SIZE",
            default: "64KiB",
            help: "Bytes of a request's or response's head",
            set: |s, text| within(text, 1024, 1 << 20).map(|found| s.limits.head_bytes = found),
        },
        Key {
            name: "proxy.limit.headers",
            value: "NUMBER",
            default: "100",
            help: "Fields of a head",
            set: |s, text| count(text, 10_000).map(|found| s.limits.head_fields = found),
        },
        Key {
            name: "proxy.trusted-proxies",
            value: "NETWORK...",
            default: "",
            help: "Proxies in front whose X-Forwarded-* are believed; a CIDR; repeatable",
            set: |s, text| {
                if text.is_empty() {
                    s.node.trusted_proxies.clear();
                    return Ok(());
                }
                networks(text).map(|found| s.node.trusted_proxies.extend(found))
            },
        },
        Key {
            name: "upstream.bind-addr",
            value: "HOST:PORT",
            default: ":8002",
            help: "Where agents connect",
            set: |s, text| address(text).map(|found| s.upstream = found),
        },
        Key {
            name: "upstream.heartbeat",
            value: "DURATION",
            default: "10s",
            help: "Between two pings on a silent tunnel; two unanswered end it",
            set: |s, text| positive(text).map(|found| s.limits.heartbeat = found),
        },
        Key {
            name: "upstream.limit.streams",
            value: "NUMBER",
            default: "1024",
            help: "Calls at once on one tunnel",
            set: |s, text| count(text, 1 << 20).map(|found| s.limits.streams = found),
        },
        Key {
            name: "upstream.limit.stream-window",
            value: "SIZE",
            default: "16MiB",
            help: "Bytes that one call may have under way",
            set: |s, text| {
                within(text, 1024, 1 << 30).map(|found| s.limits.window_bytes_max = found)
            },
        },
        Key {
            name: "upstream.limit.tunnel-window",
            value: "SIZE",
            default: "256MiB",
            help: "Bytes that all calls of a tunnel may have under way",
            set: |s, text| within(text, 1024, 1 << 36).map(|found| s.limits.tunnel_bytes = found),
        },
        Key {
            name: "upstream.rebalance.threshold",
            value: "PERCENT|off",
            default: "20%",
            help: "Above its share by more than this, a node has agents move",
            set: |s, text| {
                s.node.rebalance.threshold_permille = match text {
                    "off" => None,
                    _ => Some(permille(text, 100).map_err(or_off)?),
                };
                Ok(())
            },
        },
        Key {
            name: "upstream.rebalance.rate",
            value: "PERCENT",
            default: "0.5%",
            help: "Of its tunnels, in a second, and at least one",
            set: |s, text| permille(text, 1).map(|found| s.node.rebalance.rate_permille = found),
        },
        Key {
            name: "upstream.rebalance.min",
            value: "NUMBER",
            default: "50",
            help: "A node with so few tunnels keeps them",
            set: |s, text| {
                let least = count(text, 1 << 32)?;
                s.node.rebalance.least = u64::try_from(least).unwrap_or(u64::MAX);
                Ok(())
            },
        },
        Key {
            name: "admin.bind-addr",
            value: "HOST:PORT",
            default: "127.0.0.1:8003",
            help: "Where operators ask: health, metrics, status",
            set: |s, text| address(text).map(|found| s.admin = found),
        },
        Key {
            name: "gossip.bind-addr",
            value: "HOST:PORT",
            default: "127.0.0.1:8004",
            help: "Where other nodes connect, TCP and UDP",
            set: |s, text| address(text).map(|found| s.gossip = found),
        },
        Key {
            name: "gossip.advertise-addr",
            value: "HOST:PORT",
            default: "(as bound)",
            help: "Where other nodes reach that; an address, not a name",
            set: |s, text| reachable(text).map(|found| s.gossip_advertised = Some(found)),
        },
        Key {
            name: "cluster.node-id",
            value: "NAME",
            default: "(pico- and 8 digits)",
            help: "What this node is called, at most 64 characters",
            set: |s, text| {
                s.node.node_id = name(text)?;
                s.named = true;
                Ok(())
            },
        },
        Key {
            name: "cluster.name",
            value: "NAME",
            default: "pico",
            help: "What the cluster is called, at most 64 characters",
            set: |s, text| name(text).map(|found| s.cluster = found),
        },
        Key {
            name: "cluster.join",
            value: "HOST:PORT...",
            default: "",
            help: "The gossip port of another node, or a name or _service of several; repeatable",
            set: |s, text| {
                if text.is_empty() {
                    s.join.clear();
                    return Ok(());
                }
                places(text).map(|found| s.join.extend(found))
            },
        },
        Key {
            name: "cluster.join-timeout",
            value: "DURATION",
            default: "10s",
            help: "For joining; then the node is ready with what it knows",
            set: |s, text| positive(text).map(|found| s.join_timeout = found),
        },
        Key {
            name: "cluster.abort-if-join-fails",
            value: "true|false",
            default: "false",
            help: "End with 1 if nobody was found in that time",
            set: |s, text| flag(text).map(|found| s.abort = found),
        },
        Key {
            name: "cluster.keys",
            value: "KEY...",
            default: "",
            help: "A secret of all nodes, from pico keygen; repeatable, the first one seals",
            set: |s, text| {
                if text.is_empty() {
                    s.keys.clear();
                    return Ok(());
                }
                keys(text).map(|found| s.keys.extend(found))
            },
        },
        Key {
            name: "cluster.keys-file",
            value: "FILE",
            default: "",
            help: "A file of further keys, one a line",
            set: |s, text| {
                s.keys_file = Some(text.into()).filter(|_| !text.is_empty());
                Ok(())
            },
        },
        Key {
            name: "cluster.insecure",
            value: "true|false",
            default: "false",
            help: "Let nodes without keys speak beyond this machine",
            set: |s, text| flag(text).map(|found| s.insecure = found),
        },
        Key {
            name: "drain-delay",
            value: "DURATION",
            default: "5s",
            help: "How long new requests are served after a signal to stop",
            set: |s, text| duration(text).map(|found| s.node.drain_delay = found),
        },
        Key {
            name: "grace-period",
            value: "DURATION",
            default: "1m",
            help: "How long until what is under way is cut, drain-delay included; to close takes some seconds more",
            set: |s, text| duration(text).map(|found| s.node.grace_period = found),
        },
        Key {
            name: "workers",
            value: "NUMBER",
            default: "(one per core)",
            help: "Threads that carry requests",
            set: |s, text| {
                let number = count(text, WORKERS_MAX)?;
                s.workers = u16::try_from(number).unwrap_or(1);
                Ok(())
            },
        },
        Key {
            name: "log.level",
            value: "LEVEL",
            default: "info",
            help: "off, error, warn, info or debug, and of a part: warn,request=info",
            set: |s, text| Levels::parse(text, &PARTS).map(|found| s.logs.levels = found),
        },
        Key {
            name: "log.format",
            value: "auto|text|json",
            default: "auto",
            help: "How it is logged, on standard error; auto is text on a terminal, else json",
            set: |s, text| Format::parse(text).map(|found| s.logs.format = found),
        },
    ],
    secret: &["cluster.keys"],
    listener: &[],
    missing: &[
        "proxy.tls",
        "upstream.tls",
        "admin.tls",
        "gossip.tls",
        "proxy.advertise-addr",
        "upstream.advertise-addr",
        "admin.advertise-addr",
    ],
};

/// What of a node can be logged.
const PARTS: [Part; 4] = [Part::Request, Part::Upstream, Part::Cluster, Part::Process];

/// A size within bounds.
fn within(text: &str, min: usize, max: usize) -> Result<usize, String> {
    let bytes = size(text)?;
    if (min..=max).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(format!("expected {min} to {max} bytes, not {text:?}"))
    }
}

pub(super) const WORKERS_MAX: usize = 1024;
