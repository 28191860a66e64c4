//! A child process that dies with its guard, and what it says.

use super::PATIENCE;
use pico_shell::Clock;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;

/// A running process, killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Line>,
    seen: Vec<Line>,
}

#[derive(Clone, Debug)]
enum Line {
    Out(String),
    Err(String),
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// What it wrote to its standard output, line by line.
    pub stdout: Vec<String>,
    /// What it wrote to its standard error, line by line.
    pub stderr: Vec<String>,
}

impl Process {
    /// Starts `command` without an input and with both outputs read.
    pub fn start(name: &str, command: &mut Command) -> Self {
        Self::begin(name, command.stdin(Stdio::null()))
    }

    /// The same with an input, for [`tell`](Self::tell).
    pub fn start_with_input(name: &str, command: &mut Command) -> Self {
        Self::begin(name, command.stdin(Stdio::piped()))
    }

    fn begin(name: &str, command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (sender, lines) = channel();
        read(child.stdout.take().expect("it is piped"), sender.clone(), Line::Out);
        read(child.stderr.take().expect("it is piped"), sender, Line::Err);
        let input = child.stdin.take();
        Self { name: name.to_owned(), child, input, lines, seen: Vec::new() }
    }

    /// Types a line.
    pub fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().expect("it was started with an input");
        writeln!(input, "{line}").expect("it takes what is typed");
    }

    /// Waits for a line of either output from which `found` makes something. Lines that came
    /// before count too.
    pub fn wait_for<T>(&mut self, what: &str, found: impl Fn(&str) -> Option<T>) -> T {
        let seen = self.seen.iter().find_map(|line| found(line.text()));
        seen.unwrap_or_else(|| self.wait_for_next(what, found))
    }

    /// The same for lines that no wait has looked at so far.
    pub fn wait_for_next<T>(&mut self, what: &str, found: impl Fn(&str) -> Option<T>) -> T {
        // Whoever says other things all the time is not waited for any longer.
        let clock = Clock::start();
        let end = clock.now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(end.since(clock.now())) {
                Ok(line) => {
                    let found = found(line.text());
                    self.seen.push(line);
                    if let Some(found) = found {
                        return found;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("{}: no {what} in time", self.name),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("{}: it ended before {what}", self.name)
                }
            }
        }
    }

    /// Waits for the process to end.
    pub fn wait(mut self) -> Ended {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("{}: it does not end", self.name),
            }
        }
        let status = self.child.wait().expect("a child can be waited for");
        let mut ended = Ended { status, stdout: Vec::new(), stderr: Vec::new() };
        for line in self.seen.drain(..) {
            match line {
                Line::Out(text) => ended.stdout.push(text),
                Line::Err(text) => ended.stderr.push(text),
            }
        }
        ended
    }

    /// Kills the process; it has no chance to say goodbye.
    pub fn kill(&mut self) {
        // Both fail only if it has ended already, and then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Closes both outputs at the next line of each.
    pub fn stop_reading(&mut self) {
        self.lines = channel().1;
    }

    /// The system's number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks the process to end, as an operator would.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Takes the processor from it: its sockets stay, and nobody answers on them.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let number = self.child.id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &number]).status();
        assert!(status.is_ok_and(|status| status.success()), "{}: no signal", self.name);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- {}", self.name);
            for line in self.seen.iter().cloned().chain(self.lines.try_iter()) {
                eprintln!("    {}", line.text());
            }
        }
    }
}

impl Line {
    fn text(&self) -> &str {
        match self {
            Self::Out(text) | Self::Err(text) => text,
        }
    }
}

fn read(pipe: impl Read + Send + 'static, sender: Sender<Line>, wrap: fn(String) -> Line) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { return };
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(wrap(text)).is_err() {
                return;
            }
        }
    });
}
