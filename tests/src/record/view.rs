//! What of a recording must be the same on every driver.

use super::{Step, wires};
use crate::laws::Seen;
use core::fmt::Debug;
use core::time::Duration;
use pico_core::host::{Action, Input, Port};
use pico_core::id::ConnId;
use pico_core::note::Note;
use pico_core::rpc::Word;
use pico_core::{agent, server};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Addresses that the system chose, and what they are called instead.
pub type Names = Vec<(SocketAddr, &'static str)>;

/// A letter, shown like everything else.
pub trait Spoken {
    /// Writes it down in `lane`, or beside it.
    fn spoken(&self, lane: &str, view: &mut View<'_>);
}

/// Shows a recording under the law of chunking: neighbouring bytes of one direction of one
/// connection are one, and so are those of one call between workers; the order is kept within
/// each direction, and connections go by their role and their turn.
///
/// Not shown, because it follows from how a driver cuts bytes and time:
/// - ticks, times, and how often the machine was polled;
/// - `Sent`, but for the bytes; `Write` and `Read`, which say that the driver had stopped;
/// - where a chunk, a WebSocket message and a data frame ends; masks; and credit;
/// - the round-trip times in notes, how long requests took, and the tokens of pings;
/// - addresses that the system chose, and the slots of connections, which depend on when a driver
///   frees them.
pub fn seen<L: Spoken>(steps: &[Step<L>], names: &Names) -> Seen {
    let mut view =
        View { names, conns: BTreeMap::new(), counts: BTreeMap::new(), seen: Seen::default() };
    for step in steps {
        match step {
            Step::Tick(..) | Step::Polled(None) => {}
            Step::Wrote(conn, bytes) => view.conn(*conn).wrote.extend_from_slice(bytes),
            Step::Input(_, input) => view.input(input),
            Step::Polled(Some(action)) => view.action(action),
        }
    }
    let conns: Vec<ConnId> = view.conns.keys().copied().collect();
    for conn in conns {
        view.read(conn);
        let Conn { name, tunnel, wrote, .. } = std::mem::take(view.conn(conn));
        view.stream(&format!("{name} out"), tunnel, &wrote);
    }
    view.seen
}

/// A recording being looked at.
#[derive(Debug)]
pub struct View<'a> {
    names: &'a Names,
    conns: BTreeMap<ConnId, Conn>,
    /// How many connections of each role there were.
    counts: BTreeMap<String, usize>,
    seen: Seen,
}

#[derive(Default, Debug)]
struct Conn {
    name: String,
    tunnel: bool,
    /// What was read since the last event.
    read: Vec<u8>,
    wrote: Vec<u8>,
}

impl View<'_> {
    fn conn(&mut self, conn: ConnId) -> &mut Conn {
        self.conns.entry(conn).or_default()
    }

    fn name(&mut self, conn: ConnId, role: &str, tunnel: bool) -> String {
        let count = self.counts.entry(role.to_owned()).or_default();
        *count += 1;
        let name = format!("{role} {count}");
        self.conns.insert(conn, Conn { name: name.clone(), tunnel, ..Conn::default() });
        name
    }

    fn input<L: Spoken>(&mut self, input: &Input<L>) {
        match input {
            Input::Accepted { conn, port, .. } => {
                let name = self.name(*conn, &format!("{port:?}"), *port == Port::Upstream);
                self.event(&format!("{name} in"), &"accepted");
            }
            Input::Received { conn, bytes } => self.conn(*conn).read.extend_from_slice(bytes),
            Input::Connected { conn, .. } => self.heard(*conn, &"connected"),
            Input::Eof { conn } => self.heard(*conn, &"eof"),
            Input::Unreachable { conn, fault } | Input::Lost { conn, fault } => {
                self.heard(*conn, fault);
            }
            Input::Sent { .. } | Input::Wall(_) => {}
            Input::Unlistened(port) => self.event("ports", &("closed", port)),
            Input::Resolved { result, .. } => self.event("look-ups", result),
            Input::Datagram { from, bytes } => self.event("datagrams", &(from, bytes)),
            Input::Letter(letter) => letter.spoken("from", self),
        }
    }

    fn action<L: Spoken>(&mut self, action: &Action<L>) {
        match action {
            Action::Dial { conn, to, .. } => {
                let named = self.names.iter().find(|(address, _)| address == to);
                let role = named.map_or("somebody", |(_, name)| name);
                self.name(*conn, role, role == "server");
                self.asked(*conn, "dial");
            }
            Action::Finish(conn) => self.asked(*conn, "finish"),
            Action::Close(conn) => self.asked(*conn, "close"),
            Action::Write(_) | Action::Read(_) => {}
            Action::Resolve { host, port, .. } => self.event("look-ups", &(host, port)),
            Action::Unlisten(port) => self.event("ports", &("close", port)),
            Action::Letter { to, letter } => letter.spoken(&format!("to {to:?}"), self),
            Action::Datagram { to, bytes } => self.event("datagrams", &(to, bytes)),
            Action::Note(note) => self.event("notes", &timeless(note)),
            Action::Done => self.event("life", &"done"),
        }
    }

    /// Something that came on a connection, behind the bytes that did.
    fn heard(&mut self, conn: ConnId, what: &dyn Debug) {
        self.read(conn);
        let lane = format!("{} in", self.conn(conn).name);
        self.event(&lane, &what);
    }

    /// Something that was asked for a connection. The bytes before it may be written later.
    fn asked(&mut self, conn: ConnId, what: &str) {
        let lane = format!("{} asked", self.conn(conn).name);
        self.event(&lane, &what);
    }

    fn read(&mut self, conn: ConnId) {
        let Conn { name, tunnel, read, .. } = self.conn(conn);
        let (lane, tunnel, read) = (format!("{name} in"), *tunnel, std::mem::take(read));
        self.stream(&lane, tunnel, &read);
    }

    fn stream(&mut self, lane: &str, tunnel: bool, bytes: &[u8]) {
        let text = self.masked(&bytes.iter().map(|byte| char::from(*byte)).collect::<String>());
        let bytes: Vec<u8> = text.chars().filter_map(|c| u8::try_from(c).ok()).collect();
        if bytes.is_empty() {
            // Nothing came.
        } else if tunnel {
            wires::tunnel(lane, &bytes, &mut self.seen);
        } else {
            self.seen.bytes(lane, "text", &wires::unchunked(&bytes));
        }
    }

    fn event(&mut self, lane: &str, what: &dyn Debug) {
        let text = self.masked(&format!("{what:?}"));
        self.seen.event(lane, &text);
    }

    /// `text` without what the system or the driver chose.
    fn masked(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (address, name) in self.names {
            text = text.replace(&address.to_string(), name);
        }
        let mut parts = text.split("slot: ");
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            out += "slot";
            out += part.trim_start_matches(|c: char| c.is_ascii_digit());
        }
        out
    }
}

/// The same note, wherever and whenever it was made.
fn timeless(note: &Note) -> Note {
    let mut note = note.clone();
    match &mut note {
        Note::Request(request) => {
            (request.took, request.first) = (Duration::ZERO, None);
            (request.upstream, request.node) = (None, None);
        }
        Note::Online { rtt, .. } => *rtt = Duration::ZERO,
        Note::Registered { peer, .. } | Note::Refused { peer, .. } => peer.set_port(0),
        Note::Unregistered { .. }
        | Note::Moving { .. }
        | Note::Offline { .. }
        | Note::Rejected { .. }
        | Note::ServiceUnreachable { .. }
        | Note::NodeFound { .. }
        | Note::NodeGone { .. }
        | Note::Alone { .. }
        | Note::Deserted
        | Note::LinkUp { .. }
        | Note::LinkDown { .. }
        | Note::Joined { .. }
        | Note::Untrusted { .. }
        | Note::Namesake { .. }
        | Note::Draining { .. }
        | Note::Rebalancing { .. }
        | Note::Drained { .. } => {}
    }
    note
}

impl Spoken for agent::Letter {
    fn spoken(&self, lane: &str, view: &mut View<'_>) {
        view.event(lane, self);
    }
}

impl Spoken for server::Letter {
    fn spoken(&self, lane: &str, view: &mut View<'_>) {
        match self {
            Self::Ask { call, word, .. } | Self::Answer { call, word } => {
                let lane = view.masked(&format!("{lane} call {call:?}"));
                view.word(&lane, word);
            }
            // Several machines write to the node, each in its own time.
            Self::Quiet(worker) => view.event(&format!("{lane} {worker:?}"), self),
            Self::Draining(_) | Self::Parted(_) => view.event(&format!("{lane} the drained"), self),
            Self::Seek(_)
            | Self::Sought(_)
            | Self::Changed(_)
            | Self::Routes(_)
            | Self::Peers(_)
            | Self::LinkLost(_)
            | Self::Asked { .. }
            | Self::Consulted { .. }
            | Self::Inquire(_)
            | Self::Reported(..)
            | Self::Ready(_)
            | Self::Drain
            | Self::Shed(_)
            | Self::Part
            | Self::Left => view.event(lane, self),
        }
    }
}

impl View<'_> {
    fn word(&mut self, lane: &str, word: &Word) {
        match word {
            Word::Data { bytes, end } => {
                self.seen.bytes(lane, "data", bytes);
                if *end {
                    self.event(lane, &"the end");
                }
            }
            Word::Credit(_) => {}
            Word::Request { head, end } => self.head(lane, head, *end),
            Word::Response { head, end } => self.head(lane, head, *end),
            Word::Trailers(_) | Word::Reset(_) => self.event(lane, word),
        }
    }

    /// A head, and the end behind it, which may be told with it or later.
    fn head(&mut self, lane: &str, head: &dyn Debug, end: bool) {
        self.event(lane, head);
        if end {
            self.event(lane, &"the end");
        }
    }
}
