//! What actors write down: who asked what when, what came of it, and what they saw.

use core::fmt;
use core::net::SocketAddr;
use core::str::FromStr;
use core::time::Duration;
use pico_core::Instant;
use pico_core::id::ConnId;

/// Reads an actor's clock as the world's time, in which everything is written down.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    local: Instant,
    world: Instant,
}

impl Watch {
    /// The actor's clock shows `local` when it is `world` in the world.
    pub const fn new(local: Instant, world: Instant) -> Self {
        Self { local, world }
    }

    /// What the actor's clock showed at first.
    pub const fn local(&self) -> Instant {
        self.local
    }

    /// The world's time when the actor's clock shows `local`.
    pub fn read(&self, local: Instant) -> Instant {
        self.world + local.since(self.local)
    }
}

/// A life of a service: its name, and how manyeth time it runs, from 0.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Served {
    /// Its name.
    pub name: String,
    /// Which of its lives.
    pub life: u32,
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.life)
    }
}

impl FromStr for Served {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (name, life) = text.split_once('/').ok_or(())?;
        Ok(Self { name: name.to_owned(), life: life.parse().map_err(|_| ())? })
    }
}

/// What became of one request. All times are the world's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The request.
    pub id: u64,
    /// The connection on which it was made, or tried last.
    pub conn: ConnId,
    /// Those that were dialled for it in vain before.
    pub tried: Vec<ConnId>,
    /// Whom that connection was to reach; nobody if no address was found.
    pub to: Option<SocketAddr>,
    /// How many requests were made on the connection before it.
    pub before: usize,
    /// The last of those, if it was unanswered when this one was sent: whatever ends that one's
    /// connection leaves this one without an answer.
    pub behind: Option<u64>,
    /// When it was to begin.
    pub due: Instant,
    /// When it began: all connections may have been in use before.
    pub began: Instant,
    /// When the first byte of a head came, an interim one too.
    pub answered: Option<Instant>,
    /// When the final head came.
    pub head: Option<Instant>,
    /// When it was over.
    pub ended: Instant,
    /// Bytes of it that the socket took, its head among them.
    pub sent: u64,
    /// Bytes of the response's body, or talk, that came.
    pub received: usize,
    /// The longest wait between the final head or a byte of the body and the next byte, less the
    /// pause that the service makes there, and without those that the client makes.
    pub gap: Duration,
    /// How long the client paused its reading.
    pub paused: Duration,
    /// How many interim responses came.
    pub interim: usize,
    /// The status of the final response.
    pub status: Option<u16>,
    /// All that `Via` says in the final response.
    pub via: Vec<String>,
    /// Fields that came through though they concern one hop, or Pico's parts, only.
    pub leaked: Vec<String>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a request ended, as its client sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The response of a service, complete and right.
    Complete {
        /// Which service.
        service: Served,
    },
    /// A complete response that says why there is none.
    Error {
        /// The status code.
        status: u16,
        /// The stable error code; empty if there was no body to hold it.
        code: String,
    },
    /// The connection ended before the response did.
    Broken {
        /// Whether its final head had come.
        begun: bool,
        /// Whether the connection had carried a request before.
        reused: bool,
    },
    /// Nobody could be connected to.
    Unreachable,
    /// The client itself gave up, as planned.
    Aborted,
    /// Nothing moved for longer than anything may take, and the client gave up.
    Silence,
    /// What came is not what it must be.
    Wrong(String),
}

/// Something that a client got without having asked. All times are the world's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stray {
    /// On which connection.
    pub conn: ConnId,
    /// The last request that was answered there.
    pub behind: Option<u64>,
    /// When.
    pub at: Instant,
    /// How it began.
    pub what: String,
}

/// One request that reached a service. All times are the world's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Which request.
    pub id: u64,
    /// On which connection.
    pub conn: ConnId,
    /// How many requests came on the connection before it.
    pub before: usize,
    /// When its head had come.
    pub began: Instant,
    /// When all of it had come; behind an upgrade, when FIN had come in its place.
    pub complete: Option<Instant>,
    /// When the answer began.
    pub head: Option<Instant>,
    /// When it was over.
    pub ended: Option<Instant>,
    /// How it was over.
    pub end: End,
    /// Bytes of its body, or talk, that came.
    pub received: usize,
    /// Bytes of the answer that the socket took, its heads among them.
    pub sent: u64,
    /// The longest wait between the head or a byte of the body and the next byte, less the pause
    /// that the client makes there.
    pub gap: Duration,
    /// All that `Via` says.
    pub via: Vec<String>,
    /// What `X-Forwarded-For` says.
    pub forwarded_for: Option<String>,
    /// What `X-Request-Id` says.
    pub request_id: Option<String>,
    /// What is not as it must be, if anything.
    pub wrong: Option<String>,
    /// Fields that came through though they concern one hop, or Pico's parts, only.
    pub leaked: Vec<String>,
}

/// How a request was over, as its service sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum End {
    /// It is not.
    Open,
    /// The whole answer went into the socket.
    Answered,
    /// The client's side sent FIN too early.
    Fin,
    /// The connection broke.
    Lost,
    /// The service broke off, as planned.
    Broke,
}

/// All values of fields called `name`, split at commas.
pub(super) fn list(fields: &[(String, String)], name: &str) -> Vec<String> {
    let values = fields.iter().filter(|(n, _)| n == name).flat_map(|(_, value)| value.split(','));
    values.map(|value| value.trim().to_owned()).collect()
}
