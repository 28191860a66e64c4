//! Nodes and an agent in hand, and the tunnel between them: what a client says comes out at a
//! service, and the other way round.

use super::{agent, server};
use pico_core::host::{Fault, Host as _, Input, Port};
use pico_core::id::ConnId;
use pico_core::note::Note;
use pico_core::server::Settings;
use server::At;
use std::fmt::Debug;
use std::time::Duration;

/// The client's node, the agent of the endpoint `a`, and what is between them.
pub(crate) struct Way {
    /// The client's node, and behind it, if it is another, that of the agent.
    pub(crate) cluster: server::Cluster,
    pub(crate) agent: agent::Rig,
    /// The tunnel's two ends.
    up: At,
    down: ConnId,
    /// Which ends have been told that the other has finished, or is gone.
    told: [bool; 2],
    /// What was said on the tunnel and not taken yet, to the node and to the agent.
    waits: [Vec<u8>; 2],
}

impl Way {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    /// A client and an agent at one node.
    pub(crate) fn with(settings: Settings) -> Self {
        Self::over(server::Cluster::of(vec![server::Rig::with(1, settings)]))
    }

    /// A client at one node and an agent at another.
    pub(crate) fn over_a_link(settings: &Settings) -> Self {
        let mut way = Self::over(server::Cluster::with(&[1, 1], settings));
        way.cluster.route(0, "a", 1);
        way.pump();
        way
    }

    fn over(mut cluster: server::Cluster) -> Self {
        let mut agent = agent::Rig::new(agent::settings(&["a"]));
        let down = agent.dialed(agent::SERVER);
        agent.connect(down);
        let up = cluster.nodes.last_mut().unwrap().accept(0, Port::Upstream);
        let (told, waits) = ([false; 2], [Vec::new(), Vec::new()]);
        let mut way = Self { cluster, agent, up, down, told, waits };
        way.pump();
        let online = |note: &Note| matches!(note, Note::Online { .. });
        assert!(way.agent.take_notes().iter().any(online), "the agent is online");
        way
    }

    /// The client's node.
    pub(crate) fn node(&mut self) -> &mut server::Rig {
        &mut self.cluster.nodes[0]
    }

    /// The agent's.
    pub(crate) fn home(&mut self) -> &mut server::Rig {
        self.cluster.nodes.last_mut().unwrap()
    }

    /// Carries bytes both ways until nothing moves.
    pub(crate) fn pump(&mut self) {
        loop {
            let mut moved = false;
            self.cluster.settle();
            let at = self.up;
            let (up, down) = (self.home().bytes(at), self.agent.out.remove(&self.down));
            self.waits[1].extend(up);
            self.waits[0].extend(down.unwrap_or_default());
            if !self.waits[1].is_empty() && self.agent.agent.room(self.down) > 0 {
                let bytes = std::mem::take(&mut self.waits[1]);
                self.agent.receive(self.down, &bytes);
                moved = true;
            }
            if !self.waits[0].is_empty() && self.home().has_room(at) {
                let bytes = std::mem::take(&mut self.waits[0]);
                self.home().receive(at, &bytes);
                moved = true;
            }
            let home = self.home();
            let ended = home.finished.contains(&at) || home.closed.contains(&at);
            if !self.told[1] && !moved && ended {
                self.told[1] = true;
                self.agent.input(Input::Eof { conn: self.down });
                moved = true;
            }
            let agent = [&self.agent.finished, &self.agent.closed];
            if !self.told[0] && !moved && agent.iter().any(|ended| ended.contains(&self.down)) {
                self.told[0] = true;
                self.home().eof(at);
                moved = true;
            }
            if !moved {
                return;
            }
        }
    }

    /// Lets time pass for both.
    pub(crate) fn pass(&mut self, span: Duration) {
        // A tunnel on which nothing moves for long is lost.
        let step = Duration::from_secs(1).min(span);
        let mut left = span;
        while !left.is_zero() {
            left = left.saturating_sub(step);
            self.cluster.pass(step);
            self.agent.wait(step);
            self.pump();
        }
    }

    /// A client connects.
    pub(crate) fn client(&mut self) -> At {
        self.node().accept(0, Port::Proxy)
    }

    /// A client says so much of this as is taken: whoever is not read any more waits.
    pub(crate) fn say(&mut self, client: At, bytes: &[u8]) {
        let node = self.node();
        if !node.closed.contains(&client) && node.has_room(client) {
            node.receive(client, bytes);
        }
        self.pump();
    }

    /// What a client has heard since the last time.
    pub(crate) fn heard(&mut self, client: At) -> String {
        self.pump();
        self.node().text(client)
    }

    /// Whether a client's connection is at its end: by FIN, or cut.
    pub(crate) fn is_over(&self, client: At) -> bool {
        let node = &self.cluster.nodes[0];
        node.closed.contains(&client) || node.finished.contains(&client)
    }

    /// The connection that the agent dials to the service, which takes it; `None` if it dials none.
    pub(crate) fn dialled(&mut self) -> Option<ConnId> {
        self.pump();
        let local = self.agent.dials.iter().any(|(_, to)| to.port() == agent::SERVICE);
        let conn = local.then(|| self.agent.dialed(agent::SERVICE))?;
        self.agent.connect(conn);
        self.pump();
        Some(conn)
    }

    /// The same, if it must.
    pub(crate) fn service(&mut self) -> ConnId {
        self.dialled().expect("the service is dialled")
    }

    /// What the service has heard on a connection since the last time.
    pub(crate) fn asked(&mut self, conn: ConnId) -> String {
        self.pump();
        self.agent.text(conn)
    }

    /// The service says so much of this as is taken.
    pub(crate) fn answer(&mut self, conn: ConnId, bytes: &[u8]) {
        if !self.agent.closed.contains(&conn) && self.agent.agent.room(conn) > 0 {
            self.agent.receive(conn, bytes);
        }
        self.pump();
    }

    /// The service sends its FIN.
    pub(crate) fn finish(&mut self, conn: ConnId) {
        if !self.agent.closed.contains(&conn) {
            self.agent.input(Input::Eof { conn });
        }
        self.pump();
    }

    /// The tunnel breaks, as when the agent's process is killed.
    pub(crate) fn cut(&mut self) {
        let at = self.up;
        self.home().lose(at);
        self.lose_tunnel();
    }

    /// The agent's node is gone.
    pub(crate) fn kill_home(&mut self) {
        let home = self.cluster.nodes.len() - 1;
        self.cluster.kill(home);
        self.lose_tunnel();
    }

    /// The client's node is gone.
    pub(crate) fn kill_node(&mut self) {
        self.cluster.kill(0);
    }

    /// All links break.
    pub(crate) fn cut_links(&mut self) {
        (0..self.cluster.links.len()).for_each(|link| self.cluster.cut(link));
    }

    fn lose_tunnel(&mut self) {
        self.told = [true; 2];
        self.waits = [Vec::new(), Vec::new()];
        let conn = self.down;
        self.agent.input(Input::Lost { conn, fault: Fault::Reset });
    }
}

/// The head of a request for the endpoint of the [`Way`], with these fields, each with its CRLF.
pub(crate) fn request(line: &str, fields: &str) -> String {
    format!("{line}\r\nHost: a.x\r\n{fields}\r\n")
}

/// What comes of `text` given whole; and checks that the same comes of it cut in two at any place,
/// and of it byte by byte.
pub(crate) fn lawful<T: PartialEq + Debug>(text: &[u8], run: impl Fn(&[&[u8]]) -> T) -> T {
    let whole = run(&[text]);
    let single: Vec<&[u8]> = text.chunks(1).collect();
    assert_eq!(run(&single), whole, "byte by byte: {}", text.escape_ascii());
    for (left, right) in (1..text.len()).map(|at| text.split_at(at)) {
        let (l, r) = (left.escape_ascii(), right.escape_ascii());
        assert_eq!(run(&[left, right]), whole, "cut: {l} | {r}");
    }
    whole
}

/// What became of what a client said, if the service answers each whole request with [`OK`].
#[derive(PartialEq, Debug)]
pub(crate) struct Told {
    /// What the service heard, on all its connections.
    pub(crate) service: String,
    /// What the client heard.
    pub(crate) client: String,
    /// Whether its connection is at its end.
    pub(crate) over: bool,
}

/// Lets a client say this. The service answers each time with `answer` when `whole` says so of all
/// that it has heard and not answered.
pub(crate) fn tell(
    pieces: &[&[u8]],
    answer: &[u8],
    whole: impl Fn(&str) -> bool,
    settings: &Settings,
) -> Told {
    let mut way = Way::with(settings.clone());
    let client = way.client();
    let mut told = Told { service: String::new(), client: String::new(), over: false };
    let (mut open, mut unanswered) = (Vec::new(), String::new());
    for piece in pieces {
        way.say(client, piece);
        loop {
            open.extend(way.dialled());
            let Some(&conn) = open.last() else { break };
            let more = way.asked(conn);
            told.service.push_str(&more);
            unanswered.push_str(&more);
            if !whole(&unanswered) {
                break;
            }
            unanswered.clear();
            way.answer(conn, answer);
        }
    }
    told.client = way.heard(client);
    told.over = way.is_over(client);
    told
}

/// Whether a text ends a request without a body, or one with the body `hello` in either framing.
pub(crate) fn is_whole(text: &str) -> bool {
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains("chunked") => body.ends_with("0\r\n\r\n"),
        Some((head, body)) if head.to_lowercase().contains("content-length: 5") => body.len() == 5,
        Some((_, body)) => body.is_empty(),
        None => false,
    }
}

/// A plain answer.
pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The same, as a client gets it.
pub(crate) const TOLD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVia: 1.1 pico\r\n\r\nok";

/// The status of the last answer in what a client heard, 0 if there is none.
pub(crate) fn status(text: &str) -> u16 {
    let last = text.rsplit("HTTP/1.1 ").next().filter(|rest| rest.len() < text.len());
    last.and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0)
}

/// The code in the error that a client heard, empty if there is none.
pub(crate) fn code(text: &str) -> &str {
    let after = text.split_once("\"code\":\"").map(|(_, after)| after);
    after.and_then(|after| after.split('"').next()).unwrap_or_default()
}
