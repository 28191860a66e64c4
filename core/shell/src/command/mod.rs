//! The command line.

pub mod agent;
mod completions;
mod config;
mod keygen;
pub mod server;
mod status;
mod table;
mod voices;

use crate::bench;
#[cfg(unix)]
use crate::cluster;
use crate::config::{self as settings, Logs, Part, Refusal};
use crate::demo;
use crate::log;
use crate::platform::Platform;
use crate::screen::Show;
use clap::builder::styling::Styles;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};
use pico_core::gossip::Key;
use std::io;
use std::process::ExitCode;

/// Why a command ended otherwise than well.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line or the configuration: exit code 2.
    #[error(transparent)]
    Usage(#[from] Refusal),
    /// Something that went wrong while running: exit code 1.
    #[error(transparent)]
    Runtime(#[from] io::Error),
}

/// The whole program, on one runtime: reads the command line, runs the command, and says how it
/// went. 0 is well, 1 a failure while running, 2 a usage or configuration error.
pub fn main<P: Platform>() -> ExitCode {
    let result = match command(P::NAME).try_get_matches() {
        Ok(matches) => run::<P>(&matches),
        Err(told) if !told.use_stderr() => {
            // Help or the version. A closed pipe is a reader that has seen enough.
            let _ = told.print();
            return ExitCode::SUCCESS;
        }
        Err(told) => Err(Failure::Usage(usage(&told))),
    };
    log::finish();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            log::complain(&failure.to_string());
            ExitCode::from(match failure {
                Failure::Usage(_) => 2,
                Failure::Runtime(_) => 1,
            })
        }
    }
}

fn run<P: Platform>(matches: &ArgMatches) -> Result<(), Failure> {
    match matches.subcommand() {
        Some(("server", matches)) => {
            #[cfg(unix)]
            if let Some(parent) = matches.get_one::<u32>("parent") {
                cluster::die_with(*parent)?;
            }
            server::run::<P>(settings::Server::load(matches)?.0)
        }
        #[cfg(unix)]
        Some(("cluster", matches)) => cluster::run::<P>(&settings::Cluster::load(matches)?.0),
        Some(("agent", matches)) => {
            let (agent, show) = agent_settings(matches)?;
            agent::run::<P>(agent, show)
        }
        Some(("bench", matches)) => bench::run::<P>(matches),
        Some(("config", matches)) => config::run(matches),
        Some(("keygen", _)) => keygen::run(),
        Some(("completions", matches)) => {
            completions::run(matches, &command(P::NAME)).map_err(Failure::from)
        }
        Some(("status", matches)) => status::run::<P>(matches),
        Some(("demo", matches)) => demo::run::<P>(matches.get_flag("once"), Logs::quiet()),
        Some(_) | None => Err(Refusal("expected a command; see pico --help".into()).into()),
    }
}

fn agent_settings(matches: &ArgMatches) -> Result<(settings::Agent, Show), Refusal> {
    let Some((name, matches)) = matches.subcommand() else {
        return Err(Refusal("expected pico agent http or pico agent start".into()));
    };
    if name == "start" && !matches.contains_id("config") {
        return Err(Refusal("pico agent start needs --config FILE, which names listeners".into()));
    }
    let word = |name: &str| matches.try_get_one::<String>(name).ok().flatten();
    let named = word("endpoint").zip(word("addr"));
    let named = named.map(|(endpoint, addr)| settings::listener(endpoint, addr)).transpose();
    let loaded = settings::Agent::load(matches, name == "start");
    let ((mut agent, told), named) = match (loaded, named) {
        (Ok(loaded), Ok(named)) => (loaded, named),
        (Err(Refusal(other)), Err(Refusal(one))) => return Err(Refusal(format!("{one}\n{other}"))),
        (Err(one), Ok(_)) | (Ok(_), Err(one)) => return Err(one),
    };
    if let Some(listener) = named {
        agent.settings.listeners = vec![listener];
    }
    let show = match (matches.get_flag(QUIET), matches.get_flag(JSON)) {
        (true, _) => Show::Nothing,
        (_, true) => Show::Json,
        (false, false) => Show::Auto,
    };
    // What the screen shows is not logged besides, unless somebody asks for it.
    let asked = told.iter().any(|told| told.key == "log.level" && told.from != "default");
    if show != Show::Nothing && !asked {
        agent.logs.levels.silence(&[Part::Tunnel, Part::Service]);
    }
    Ok((agent, show))
}

fn command(runtime: &'static str) -> Command {
    let pico = Command::new("pico")
        .version(format!("{} ({runtime})", env!("CARGO_PKG_VERSION")))
        .about("A reverse proxy for services that nobody can dial")
        .propagate_version(true)
        .after_help(EXAMPLES)
        .styles(Styles::plain())
        .subcommand_required(true)
        .subcommand(
            Command::new("server")
                .about("Run a node: clients and agents connect to it")
                .after_help(SERVER)
                .args(settings::SERVER_KEYS.arguments()),
        )
        .subcommand(agent_command())
        .subcommand(status::command())
        .subcommand(bench::command())
        .subcommand(config::command())
        .subcommand(completions::command())
        .subcommand(
            Command::new("keygen").about("Print a new key for cluster.keys").after_help(KEYGEN),
        )
        .subcommand(
            Command::new("demo")
                .about("Show it all in one process: three nodes, agents, a service, and requests")
                .after_help(DEMO)
                .arg(
                    Arg::new("once")
                        .long("once")
                        .action(ArgAction::SetTrue)
                        .help("Exit after the checks, also on a terminal"),
                ),
        );
    #[cfg(unix)]
    let pico = pico
        .mut_subcommand("server", |server| server.arg(cluster::parent()))
        .subcommand(cluster::command());
    pico
}

fn agent_command() -> Command {
    let word = |name: &'static str, shown: &'static str, help: &'static str| {
        Arg::new(name).value_name(shown).help(help).required(true)
    };
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    let shown = [
        flag(JSON, "Print what happens as JSON, an object a line"),
        flag(QUIET, "Print nothing but the log").conflicts_with(JSON),
    ];
    Command::new("agent")
        .about("Connect services from here to a node")
        .after_help(AGENT)
        .subcommand_required(true)
        .subcommand(
            Command::new("http")
                .about("Serve one endpoint by a local HTTP service")
                .after_help(AGENT)
                .arg(word("endpoint", "ENDPOINT", "The name under which clients reach it"))
                .arg(word("addr", "SERVICE", "The service: a port, HOST:PORT or an http:// URL"))
                .args(shown.clone())
                .args(settings::AGENT_KEYS.arguments()),
        )
        .subcommand(
            Command::new("start")
                .about("Serve the listeners of a configuration file")
                .after_help(AGENT)
                .args(shown)
                .args(settings::AGENT_KEYS.arguments()),
        )
}

/// What clap has to say, in one line.
fn usage(told: &clap::Error) -> Refusal {
    if told.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        || told.kind() == ErrorKind::MissingSubcommand
    {
        return Refusal(lacking(told));
    }
    if let Some(ContextValue::String(argument)) = told.get(ContextKind::InvalidArg)
        && argument.contains(".tls.")
    {
        return Refusal(format!("{argument} {}", settings::UNAVAILABLE));
    }
    if let Some(ContextValue::String(argument)) = told.get(ContextKind::InvalidArg)
        && Key::parse(argument).is_ok()
    {
        let why = "unexpected argument, which looks like a key; see pico server --help";
        return Refusal(why.into());
    }
    let text = told.to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let words: Vec<_> = lines
        .filter(|line| !line.is_empty() && !line.starts_with("For more information"))
        .map(|line| line.trim_start_matches("error: "))
        .collect();
    Refusal(words.join("; ").replace(":;", ":"))
}

/// What is said to somebody who named no command, or none of those below it.
fn lacking(told: &clap::Error) -> String {
    let at = told.get(ContextKind::InvalidSubcommand);
    // The binary's own name comes first, whatever it is called.
    let below = match at {
        Some(ContextValue::String(command)) => command.split_once(' ').map(|(_, below)| below),
        Some(_) | None => None,
    };
    match (below, told.get(ContextKind::ValidSubcommand)) {
        (Some(below), Some(ContextValue::Strings(known))) => {
            let known: Vec<&str> =
                known.iter().map(String::as_str).filter(|name| *name != "help").collect();
            let known = match known.split_last() {
                Some((last, others)) if !others.is_empty() => {
                    format!("{} or {last}", others.join(", "))
                }
                Some(_) | None => known.concat(),
            };
            format!("expected {known}; see pico {below} --help")
        }
        _ => "expected a command; see pico --help".into(),
    }
}

const JSON: &str = "json";
const QUIET: &str = "quiet";

const EXAMPLES: &str = "\
Examples:
  pico server
      Run a node with its defaults: clients at 8001, agents at 8002
  pico agent http my-endpoint 3000
      Serve my-endpoint by the service at localhost:3000
  curl -H 'x-pico-endpoint: my-endpoint' http://localhost:8001/
      Send a request to an endpoint

Exit codes: 0 well, 1 failed while running, 2 wrong usage or configuration";

const SERVER: &str = "\
Every key can be given in a YAML file (nested at the dots), in the environment
(proxy.bind-addr is PICO_PROXY_BIND_ADDR) and as a flag; the later wins. In the file,
${VAR} and ${VAR:default} stand for environment variables.

Examples:
  pico server
  pico server --proxy.bind-addr :80 --upstream.bind-addr 10.0.0.1:8002
  pico server --config pico.yaml --log.format json";

const AGENT: &str = "\
Every key can be given in a YAML file (nested at the dots), in the environment
(connect.url is PICO_CONNECT_URL) and as a flag; the later wins. In the file, `listeners`
is a list of `endpoint`, `addr` and, if wanted, `host-header`: keep, rewrite or a value.

Examples:
  pico agent http my-endpoint 3000
  pico agent http my-endpoint 10.0.0.7:8080 --connect.url http://pico.example.com:8002
  pico agent start --config agent.yaml
  pico agent http my-endpoint 3000 --json | jq .event

On a terminal the agent keeps a screen up to date, elsewhere it prints plain lines.";

const KEYGEN: &str = "\
A key is 32 random bytes in base64. Whoever has it can join the cluster and read what its nodes
say to each other.

Examples:
  pico keygen > keys
  pico server --cluster.keys-file keys --gossip.bind-addr 10.0.0.1:8004";

const DEMO: &str = "\
Each line it prints is a check that sent real requests over real sockets. It exits with 0
only if all of them held. On a terminal it stays up until Ctrl-C, to be played with.

Examples:
  pico demo
      Show it all; on a terminal, stay up and be sent requests by curl
  pico demo --once && echo works
      Only check that Pico works here";
