//! Interesting situations that a swarm must reach now and then. One that it never reaches is one
//! that nothing tests.
//!
//! Most are seen in what a run leaves behind (`observe`); what leaves nothing is reported by a
//! [`sometimes!`](crate::sometimes!) where the simulator sees it go by.

mod cluster;
mod observe;

use crate::case::Case;
use crate::kernel::Trace;
use crate::run::Run;
use core::cell::Cell;
use core::fmt;

macro_rules! points {
    ($($point:ident: $name:literal, $sentence:literal;)*) => {
        /// A situation that some run must come to.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Point {
            $(#[doc = $sentence] $point,)*
        }

        impl Point {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$point),*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$point => $name,)* }
            }

            /// What happens.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$point => $sentence,)* }
            }
        }
    };
}

points! {
    Reused: "connection-reused",
        "a request was answered on a connection that had carried another";
    Pipelined: "pipelined",
        "a request was answered that was sent before the answer to the one in front of it";
    Interim: "interim-response",
        "an interim response came through before the final one";
    Refused: "expectation-refused",
        "a service refused a body that its client had announced, and the client sent none";
    Early: "answered-while-uploading",
        "a service answered before the request had ended, and the answer was complete";
    HalfClosed: "half-closed",
        "a client that had sent FIN behind its request got a complete answer";
    TunnelEnded: "upgrade-closed-by-halves",
        "an upgraded connection was ended by FIN in one direction and then in the other";
    CreditStalled: "credit-stalled-a-stream",
        "a client read so slowly that an answer larger than the window waited for credit";
    Streamed: "long-event-stream",
        "an answer of several events came over more than five seconds";
    AcrossWorkers: "call-crossed-workers",
        "a call was carried from one worker to a tunnel of another";
    NotStarted: "not-started-seen",
        "a tunnel gave a call back with the word that the service never saw it";
    Elsewhere: "retried-on-another-upstream",
        "a request reached two services, and the second answered it";
    CutSignalled: "cut-body-signalled",
        "a service broke off its answer, and the client saw that it was cut";
    ServiceLost: "service-closed-unanswered",
        "a service closed its connection instead of answering, and the client got an error";
    Babbled: "service-babbled",
        "a service answered with something else than HTTP, and the client got an error";
    TimedOut: "service-timed-out",
        "a service never answered, and the client got an error in time";
    Aborted: "client-aborted",
        "a client gave up within an answer, and the service's connection ended for it";
    NoUpstream: "no-upstream",
        "a request asked for an endpoint that nobody served just then";
    Waited: "waited-for-an-agent",
        "a request came before any agent of its endpoint, and was answered all the same";
    DialRefused: "dial-refused-and-retried",
        "an agent's dial was refused, and a later one succeeded";
    NameFailed: "name-failed-then-found",
        "a client could not look up the server's name, and could later";
    NameKept: "name-failed-but-known",
        "names could not be looked up, and an agent found its server by the address it knew";
    Silence: "reconnected-after-silence",
        "a tunnel went silent, its agent gave it up, and had another one later";
    Drained: "drained-with-calls",
        "a drain began with calls under way, and cut none of them off";
    DrainUpgrade: "drained-with-an-upgrade",
        "an upgraded connection was under way when its node or agent was told to stop, and ended well";
    Returned: "agent-came-back",
        "an agent died, was started again, and had a tunnel in its new life";
    Renamed: "agent-came-back-renamed",
        "an agent died, and came back under another name";
    NodeReturned: "node-came-back",
        "a node died, and agents found it in its next life";
    PowerLost: "power-lost-under-load",
        "a machine lost its power with requests under way";
    PausedLate: "paused-and-answered-late",
        "a node or agent was paused with a request under way, and it was answered after the pause";
    LeftNode: "balancer-sent-to-a-node-that-left",
        "a balancer sent a connection to a node that had been told to stop or had died";
    SentAgain: "packet-sent-again",
        "a packet was lost, and what it held arrived later";
    Forwarded: "call-crossed-nodes",
        "a request was answered over a link between two nodes";
    LinkLost: "link-lost-with-a-call",
        "one of the two nodes that carried a call died under it";
    DrainForwarded: "drained-with-a-forwarded-upgrade",
        "an upgraded connection between two nodes was under way when one of them was told to stop, and ended well";
    Refuted: "suspicion-refuted",
        "a node that was suspected said that it lives";
    CameBack: "held-dead-and-back",
        "a node was held dead by another that found it again in the same life";
    Namesake: "namesake-ended",
        "of two nodes with one name the older one ended";
    Adopted: "generation-adopted",
        "a node whose calendar had gone back took a higher generation than its last life had";
    Unready: "ready-by-time-out",
        "a node stopped waiting for what it was to catch up with, and served";
    Snapshot: "snapshot-fetched",
        "a node was too far behind a log that went on growing, and fetched all of it";
    Strange: "another-cluster-heard",
        "a node heard packets of another cluster";
    Replayed: "packets-replayed",
        "packets were sent again by somebody else, much later";
    Deaf: "datagrams-blocked",
        "no datagram passed between two nodes for ten seconds, and neither held the other dead";
    ToldAcross: "operator-told-of-another-node",
        "an operator asked one node about another, and was told";
    ToldNothing: "operator-told-that-a-node-is-silent",
        "an operator asked one node about another that could not be reached, and was told so in time";
    RaceLost: "idle-connection-closed-under-a-request",
        "a request was sent on a connection that was closed just then";
}

/// The points that were reached.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Reached(u64);

impl Reached {
    /// One more was.
    pub const fn add(&mut self, point: Point) {
        self.0 |= bit(point);
    }

    /// Whether this one was.
    pub const fn has(self, point: Point) -> bool {
        self.0 & bit(point) != 0
    }

    /// Those that were.
    pub fn points(self) -> impl Iterator<Item = Point> {
        Point::ALL.iter().copied().filter(move |point| self.has(*point))
    }
}

impl fmt::Debug for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.points().map(Point::name)).finish()
    }
}

/// Plays a case, and says what it came to.
pub fn play(case: Case, trace: Trace) -> (Run, Reached) {
    SEEN.set(Reached::default());
    let run = Run::play(case, trace);
    let mut reached = SEEN.take();
    observe::observe(&run, &mut reached);
    (run, reached)
}

/// Notes that this thread's run has come to a point: what [`sometimes!`](crate::sometimes!) does.
pub fn note(point: Point) {
    let mut seen = SEEN.get();
    seen.add(point);
    SEEN.set(seen);
}

/// Reports that a situation came about, if it did: `sometimes!(NotStarted if !reset.started)`.
#[macro_export]
macro_rules! sometimes {
    ($point:ident if $condition:expr) => {
        if $condition {
            $crate::sometimes::note($crate::sometimes::Point::$point);
        }
    };
    ($point:ident) => {
        $crate::sometimes::note($crate::sometimes::Point::$point)
    };
}

const fn bit(point: Point) -> u64 {
    1 << point as u64
}

const _: () = assert!(Point::ALL.len() <= 64, "a word has a bit for each point");

thread_local! {
    static SEEN: Cell<Reached> = const { Cell::new(Reached(0)) };
}
