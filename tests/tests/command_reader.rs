//! What a command does when whoever reads it has read enough.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use pico_sim::e2e::{Agent, PATIENCE, Runtime, Server, Service, dead_address};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

pico_sim::on_each_runtime!(
    a_status_that_is_watched_ends_when_nobody_reads_it,
    an_agent_drains_when_nobody_reads_its_screen,
    a_server_serves_on_when_nobody_reads_its_log,
    a_short_command_is_quiet_about_a_reader_that_went,
    a_mistake_that_nobody_reads_keeps_its_exit_code,
);

fn a_status_that_is_watched_ends_when_nobody_reads_it(on: &'static Runtime) {
    let server = Server::start(on, &[]);
    let url = format!("http://{}", server.admin);
    for json in [&[][..], &["--json"]] {
        let arguments = ["status", "nodes", "--watch", "--url", &url];
        let output = first_line(on.command().args(arguments).args(json));
        assert_eq!((output.code, &*output.complaints), (Some(0), ""));
        assert!(!output.line.is_empty());
    }
}

fn an_agent_drains_when_nobody_reads_its_screen(on: &'static Runtime) {
    let service = Service::start("one");
    for shown in [&[][..], &["--json"]] {
        let url = format!("http://{}", dead_address());
        let arguments = ["agent", "http", "shop", &service.target(), "--connect.url", &url];
        let quiet = ["--log.level", "off"];
        let output = first_line(on.command().args(arguments).args(shown).args(quiet));
        assert_eq!((output.code, &*output.complaints), (Some(0), ""));
        assert!(output.line.contains("shop"), "{}", output.line);
    }
}

fn a_server_serves_on_when_nobody_reads_its_log(on: &'static Runtime) {
    let mut server = Server::start(on, &["--drain-delay", "0s"]);
    let service = Service::start("one");
    let _agent = Agent::start(on, &server, "shop", &service.target());
    server.process.stop_reading();
    let mut client = server.client();
    for _ in 0..20 {
        assert_eq!(client.call("GET", "/", "shop", "").text(), "one");
    }
    server.process.terminate();
    assert_eq!(server.process.wait().status.code(), Some(0));
}

fn a_short_command_is_quiet_about_a_reader_that_went(on: &'static Runtime) {
    for arguments in [
        &["config", "reference"][..],
        &["config", "show", "server"],
        &["completions", "bash"],
        &["keygen"],
        &["--help"],
        &["server", "--help"],
        &["--version"],
    ] {
        let mut command = on.command();
        let command = command.args(arguments).stdin(Stdio::null()).stdout(closed_pipe());
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), &*told), (Some(0), ""), "{arguments:?}");
    }
}

fn a_mistake_that_nobody_reads_keeps_its_exit_code(on: &'static Runtime) {
    let mut command = on.command();
    let command = command.args(["server", "--workers", "0"]).stdin(Stdio::null());
    let status = command.stderr(closed_pipe()).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

/// What somebody sees who reads one line and closes the pipe.
struct Seen {
    line: String,
    complaints: String,
    code: Option<i32>,
}

fn first_line(command: &mut Command) -> Seen {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let id = child.id().to_string();
    let (sender, seen) = channel();
    thread::spawn(move || {
        let mut line = String::new();
        // The pipe is closed at the end of the statement.
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut complaints = String::new();
        child.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
        let code = child.wait().unwrap().code();
        let _ = sender.send(Seen { line, complaints, code });
    });
    seen.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        let _ = Command::new("kill").args(["-KILL", &id]).status();
        panic!("it does not end")
    })
}

/// The end of a pipe that nobody reads.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}
