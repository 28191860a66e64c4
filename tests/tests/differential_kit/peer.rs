//! h11, an HTTP/1.1 reader of other people's, in a Python process.

use pico_sim::model::http::{Field, Message};
use serde::{Deserialize, Serialize};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A process that reads what it is given.
pub(crate) struct Peer {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

/// A text to read.
#[derive(Serialize)]
pub(crate) struct Ask {
    text: String,
    /// Whether a FIN is behind it.
    fin: bool,
    /// If it is responses: the methods of the requests, and whether they offer an upgrade.
    asked: Option<Vec<(String, bool)>>,
}

/// What h11 made of a text.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) messages: Vec<Message>,
    /// For each of them, what stands behind it, if its end was found.
    pub(crate) rests: Vec<Option<Vec<u8>>>,
    /// Whether something is behind the last of them, if they are responses.
    pub(crate) more: bool,
    /// Why it read no further, if that was for want of sense and not of bytes.
    pub(crate) error: Option<String>,
}

#[derive(Deserialize)]
struct Told {
    messages: Vec<Said>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not hang together")]
struct Said {
    first: [String; 2],
    old: bool,
    fields: Vec<(String, String)>,
    body: String,
    trailers: Vec<(String, String)>,
    whole: bool,
    lasts: bool,
    more: bool,
    rest: Option<String>,
}

impl Ask {
    pub(crate) fn requests(text: &[u8]) -> Self {
        Self { text: text_of(text), fin: false, asked: None }
    }

    pub(crate) fn responses(text: &[u8], fin: bool, asked: Vec<(String, bool)>) -> Self {
        Self { text: text_of(text), fin, asked: Some(asked) }
    }
}

impl Peer {
    /// Nothing if there is no Python. If there is one, h11 can be installed by the script that
    /// says so if it cannot.
    pub(crate) fn start() -> Option<Self> {
        let python = python()?;
        let script = root().join("tests/tests/differential_kit/reader.py");
        let mut command = Command::new(python);
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python starts");
        let to = child.stdin.take();
        let mut from = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut version = String::new();
        from.read_line(&mut version).expect("python speaks");
        assert!(version.starts_with('"'), "the reader did not start");
        Some(Self { child, to, from })
    }

    pub(crate) fn read(&mut self, asks: &[Ask]) -> Vec<Read> {
        if asks.is_empty() {
            return Vec::new();
        }
        let mut line = serde_json::to_vec(asks).expect("an ask can be written");
        line.push(b'\n');
        self.to.as_mut().expect("a pipe").write_all(&line).expect("the reader listens");
        let mut answer = String::new();
        self.from.read_line(&mut answer).expect("the reader answers");
        let told: Vec<Told> = serde_json::from_str(&answer).expect("an answer can be read");
        assert_eq!(told.len(), asks.len(), "each text is read");
        told.into_iter().map(Read::from).collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.to.take());
        let _ = self.child.wait();
    }
}

impl From<Told> for Read {
    fn from(told: Told) -> Self {
        let more = told.messages.last().is_some_and(|last| last.more);
        let rest = |said: &Said| said.rest.as_deref().map(bytes_of);
        let rests = told.messages.iter().map(rest).collect();
        let messages = told.messages.into_iter().map(message).collect();
        Self { messages, rests, more, error: told.error }
    }
}

fn message(said: Said) -> Message {
    Message {
        first: said.first.map(|part| bytes_of(&part)),
        fields: fields(said.fields),
        old: said.old,
        body: bytes_of(&said.body),
        trailers: fields(said.trailers),
        whole: said.whole,
        upgrade: false,
        lasts: said.lasts,
    }
}

fn fields(list: Vec<(String, String)>) -> Vec<Field> {
    list.into_iter().map(|(name, value)| (bytes_of(&name), bytes_of(&value))).collect()
}

fn text_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn bytes_of(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("one byte")).collect()
}

/// A Python that has h11; nothing if there is no Python at all.
fn python() -> Option<PathBuf> {
    Command::new("python3").arg("--version").output().ok()?;
    let script = root().join(".ci/h11");
    let made = Command::new("bash").arg(&script).output().expect("there is a shell");
    let error = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{} could not install h11: {error}", script.display());
    let path = String::from_utf8(made.stdout).expect("a path");
    Some(PathBuf::from(path.trim()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
