//! What an agent shows of itself: on a terminal, as JSON, and not at all.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use pico_sim::e2e::{PATIENCE, Runtime, Server, Service, dead_address};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::Value;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

pico_sim::on_each_runtime!(
    on_a_terminal_a_screen_says_how_things_are,
    without_colours_a_screen_has_none,
    on_a_narrow_terminal_the_log_is_whole_to_its_last_line,
    a_terminal_that_moves_no_cursor_gets_plain_lines,
    as_json_each_thing_that_happens_is_an_object,
    a_quiet_agent_prints_nothing_but_its_log,
    a_table_is_as_wide_as_the_terminal_is_at_the_moment,
    an_agent_of_several_workers_says_once_that_it_stops_and_of_whom_a_request_is,
);

fn on_a_terminal_a_screen_says_how_things_are(on: &'static Runtime) {
    let mut server = Server::start(on, &[]);
    let service = Service::start("one");
    let url = format!("http://{}", server.upstream);
    let mut screen = Screen::open(on, &[], &["shop", &service.target(), "--connect.url", &url]);
    screen.wait_for(&format!("Endpoint   shop  ->  http://{}", service.target()));
    screen.wait_for("\u{1b}[32monline\u{1b}[0m   node pico-");

    let mut client = server.client();
    assert_eq!(client.call("GET", "/", "shop", "").text(), "one");
    screen.wait_for("GET    /  ");
    screen.wait_for("Requests   1");

    screen.resize(30);
    server.process.kill();
    screen.wait_for("\u{1b}[31moffline\u{1b}[0m");
    let text = screen.stop();
    let after = &text[text.find("\u{1b}[31moffline").unwrap()..];
    assert!(after.contains("Stopped"), "{text}");
    for line in after.lines() {
        assert!(console_width(line) <= 30, "{line:?}");
    }
}

fn without_colours_a_screen_has_none(on: &'static Runtime) {
    let url = format!("http://{}", dead_address());
    let mut screen = Screen::open(on, &[("NO_COLOR", "1")], &["shop", "1", "--connect.url", &url]);
    screen.wait_for("Status     offline  ");
    let text = screen.stop();
    assert!(!text.contains("\u{1b}[31m"), "{text}");
}

fn on_a_narrow_terminal_the_log_is_whole_to_its_last_line(on: &'static Runtime) {
    let url = format!("http://{}", dead_address());
    let arguments = ["shop", "1", "--connect.url", &url, "--log.level", "info"];
    let mut screen = Screen::open(on, &[("NO_COLOR", "1")], &arguments);
    screen.resize(40);
    screen.wait_for("retry_ms=");
    let text = screen.stop();
    assert!(text.contains("process: drained cut=0"), "{text}");
}

fn a_terminal_that_moves_no_cursor_gets_plain_lines(on: &'static Runtime) {
    let url = format!("http://{}", dead_address());
    let mut screen = Screen::open(on, &[("TERM", "dumb")], &["shop", "1", "--connect.url", &url]);
    screen.wait_for("next attempt in");
    let text = screen.stop();
    assert!(!text.contains('\u{1b}'), "{text}");
}

fn as_json_each_thing_that_happens_is_an_object(on: &'static Runtime) {
    let server = Server::start(on, &["--drain-delay", "0s"]);
    let service = Service::start("one");
    let url = format!("http://{}", server.upstream);
    let arguments = ["agent", "http", "shop", &service.target(), "--connect.url", &url, "--json"];
    let mut agent = on.run(&arguments);
    agent.wait_for("word that it is online", |line| line.contains("\"online\"").then_some(()));
    let mut client = server.client();
    assert_eq!(client.call("GET", "/", "shop", "").text(), "one");
    agent.wait_for("the request", |line| line.contains("\"request\"").then_some(()));
    agent.terminate();
    let ended = agent.wait();
    assert_eq!(ended.status.code(), Some(0));
    let lines = ended.stdout.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    let of = |event: &str| lines.iter().find(|line| line["event"] == event).unwrap();
    assert_eq!(of("endpoint")["service"], format!("http://{}", service.target()));
    assert_eq!(of("online")["endpoint"], "shop");
    let request = of("request");
    assert_eq!((&request["method"], &request["path"]), (&"GET".into(), &"/".into()));
    assert_eq!((&request["status"], &request["code"]), (&200.into(), &Value::Null));
    assert_eq!(of("stopped")["cut"], 0);
    assert!(lines.iter().all(|line| line["time_ms"].is_u64()));
}

fn a_quiet_agent_prints_nothing_but_its_log(on: &'static Runtime) {
    let url = format!("http://{}", dead_address());
    let mut agent = on.run(&["agent", "http", "shop", "1", "--connect.url", &url, "--quiet"]);
    // Standard error is no terminal here, so the log is JSON.
    agent.wait_for("its log", |line| {
        let event: Value = serde_json::from_str(line).ok()?;
        (event["target"] == "tunnel" && event["message"] == "offline").then_some(())
    });
    agent.terminate();
    let ended = agent.wait();
    assert_eq!((ended.stdout, ended.status.code()), (Vec::new(), Some(0)));
}

fn a_table_is_as_wide_as_the_terminal_is_at_the_moment(on: &'static Runtime) {
    let name = "n".repeat(64);
    let server = Server::start(on, &["--cluster.node-id", &name]);
    let url = format!("http://{}", server.admin);
    let mut command = on.command();
    command.args(["status", "nodes", "--watch", "--url", &url]).env_remove("COLUMNS");
    let mut screen = Screen::run(command);
    screen.wait_for("nnn…");
    assert!(!String::from_utf8_lossy(&screen.seen).contains(&name), "100 columns are too few");
    screen.resize(200);
    screen.wait_for(&name);
}

fn an_agent_of_several_workers_says_once_that_it_stops_and_of_whom_a_request_is(
    on: &'static Runtime,
) {
    let server = Server::start(on, &["--drain-delay", "0s"]);
    let service = Service::start("one");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("{}-several.yaml", on.name));
    let item = |name: &str| format!("  - {{endpoint: {name}, addr: \"{}\"}}\n", service.target());
    let text = format!("listeners:\n{}{}workers: 2\n", item("shop"), item("wiki"));
    fs::write(&file, text).unwrap();
    let url = format!("http://{}", server.upstream);
    let arguments = ["agent", "start", "--config", file.to_str().unwrap(), "--connect.url", &url];
    for json in [false, true] {
        let mut agent = on.run(&[&arguments[..], if json { &["--json"] } else { &[] }].concat());
        for _ in 0..2 {
            agent.wait_for_next("word that one is online", |line| {
                (line.contains("online") && !line.contains("retry")).then_some(())
            });
        }
        let mut client = server.client();
        assert_eq!(client.call("GET", "/", "wiki", "").text(), "one");
        agent.wait_for_next("the request", |line| {
            let told = if json { "\"endpoint\":\"wiki\"" } else { "wiki  GET    /  " };
            (line.contains(told) && line.contains("200")).then_some(())
        });
        agent.terminate();
        let ended = agent.wait();
        let words = if json { ["\"stopping\"", "\"stopped\""] } else { ["Stopping ", "Stopped "] };
        let count = |word: &str| ended.stdout.iter().filter(|line| line.contains(word)).count();
        assert_eq!(words.map(count), [1, 1], "{ended:?}");
        assert!(ended.stdout.last().unwrap().contains(words[1]), "{ended:?}");
    }
}

/// An agent, or another command, on a terminal of its own.
struct Screen {
    child: Child,
    terminal: OwnedFd,
    pieces: Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl Screen {
    fn open(on: &Runtime, variables: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut command = on.command();
        command.env_remove("NO_COLOR").env("TERM", "xterm").envs(variables.iter().copied());
        command.args(["agent", "http"]).args(arguments);
        Self::run(command)
    }

    fn run(mut command: Command) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let open = || {
            let mut options = File::options();
            options.read(true).write(true).open(name.to_str().unwrap()).unwrap()
        };
        command.stdin(open()).stdout(open()).stderr(open());
        let mut output = File::from(terminal.try_clone().unwrap());
        resize(&terminal, 100);
        Self {
            pieces: {
                let (sender, pieces) = channel();
                thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    // A terminal that nobody has open any more is an error to read from.
                    while let Ok(count @ 1..) = output.read(&mut buffer) {
                        let _ = sender.send(buffer[..count].to_vec());
                    }
                });
                pieces
            },
            child: command.spawn().unwrap(),
            terminal,
            seen: Vec::new(),
        }
    }

    fn resize(&self, columns: u16) {
        resize(&self.terminal, columns);
    }

    fn wait_for(&mut self, word: &str) {
        while !String::from_utf8_lossy(&self.seen).contains(word) {
            let piece = self.pieces.recv_timeout(PATIENCE);
            let text = String::from_utf8_lossy(&self.seen);
            self.seen.extend(piece.unwrap_or_else(|_| panic!("no {word:?} in {text}")));
        }
    }

    /// Asks the agent to end, and returns all that was ever written.
    fn stop(mut self) -> String {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        while let Ok(piece) = self.pieces.recv_timeout(PATIENCE) {
            self.seen.extend(piece);
        }
        String::from_utf8(std::mem::take(&mut self.seen)).unwrap()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
    }
}

fn resize(terminal: &OwnedFd, columns: u16) {
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).unwrap();
}

/// Columns that a line takes, without what moves the cursor and sets colours.
fn console_width(line: &str) -> usize {
    let mut left = line;
    let mut width = 0;
    while let Some((before, after)) = left.split_once("\u{1b}[") {
        width += before.trim_end_matches('\r').chars().count();
        left = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').get(1..).unwrap();
    }
    width + left.trim_end_matches('\r').chars().count()
}
