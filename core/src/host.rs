//! What a machine that has sockets says to its driver, and hears from it.
//!
//! A *host* owns connections: a worker of a node, an agent, a simulated client or service. All
//! hosts speak these words, so one driver serves them all, over real sockets or simulated ones.

use crate::id::{AskId, ConnId};
use crate::machine::Machine;
use crate::note::Note;
use crate::outbox::Outbox;
use crate::wall::Wall;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use core::net::SocketAddr;

/// A machine with connections.
///
/// `Letter` is what it hears from and says to other machines of its process.
pub trait Host: Machine<Input = Input<Self::Letter>, Action = Action<Self::Letter>> {
    /// What passes between the machines of one process.
    type Letter;

    /// What waits to be written on `conn`: offer its pieces to the socket, then report
    /// [`Input::Sent`]. Nothing, once [`Action::Done`] is all that is left to poll: whoever ignores
    /// what was sent would send it again.
    fn outbox(&self, conn: ConnId) -> Option<&Outbox>;

    /// How many bytes it is willing to take from `conn` now. At 0, leave the socket unread until
    /// [`Action::Read`] says otherwise; above 0, any read of up to the driver's buffer is taken.
    fn room(&self, conn: ConnId) -> usize;
}

/// What happened to a host.
#[derive(Debug)]
pub enum Input<L> {
    /// Somebody connected to one of our ports. The driver counts these connections.
    Accepted {
        /// The new connection, of [`Side::Accepted`](crate::id::Side::Accepted).
        conn: ConnId,
        /// Which listener it came in by.
        port: Port,
        /// Who connected.
        peer: SocketAddr,
    },
    /// An [`Action::Dial`] succeeded: the other system has answered. What is said now waits until
    /// its [`Wire`] is open.
    Connected {
        /// The connection.
        conn: ConnId,
        /// Whom it reached.
        peer: SocketAddr,
    },
    /// An [`Action::Dial`] failed; the connection never was.
    Unreachable {
        /// The connection.
        conn: ConnId,
        /// Why.
        fault: Fault,
    },
    /// Bytes arrived, in a buffer that is ours alone.
    Received {
        /// On which connection.
        conn: ConnId,
        /// At least one byte.
        bytes: BytesMut,
    },
    /// The peer sent its FIN: no more bytes will come.
    Eof {
        /// On which connection.
        conn: ConnId,
    },
    /// The socket took bytes from the front of the outbox.
    Sent {
        /// On which connection.
        conn: ConnId,
        /// How many.
        count: usize,
    },
    /// The connection broke; the driver has dropped it.
    Lost {
        /// Which connection.
        conn: ConnId,
        /// Why.
        fault: Fault,
    },
    /// After an [`Action::Unlisten`]: everybody who was waiting there has been accepted, and
    /// nobody can connect any more.
    Unlistened(Port),
    /// Names were looked up, as asked by [`Action::Resolve`].
    Resolved {
        /// The question.
        ask: AskId,
        /// The addresses, or why there are none. Never `Ok` and empty.
        result: Result<Vec<SocketAddr>, Fault>,
    },
    /// A datagram arrived, whole, in a buffer that is ours alone. Any may be lost, doubled or
    /// late.
    Datagram {
        /// Who sent it, or says so.
        from: SocketAddr,
        /// At most [`DATAGRAM_MAX`] bytes: longer ones are lost.
        bytes: BytesMut,
    },
    /// What time of day it is: said first of all, and in the first turn of each second that has
    /// turns. Without it nothing is dated.
    Wall(Wall),
    /// Another machine of this process wrote.
    Letter(L),
}

/// What a host asks of its driver.
#[derive(Debug)]
pub enum Action<L> {
    /// Open a connection; answered by `Connected` or `Unreachable`. The machine keeps a timer
    /// and may [`Close`](Self::Close) it meanwhile, after which no answer comes.
    Dial {
        /// The new connection, of [`Side::Dialed`](crate::id::Side::Dialed).
        conn: ConnId,
        /// Where to.
        to: SocketAddr,
        /// How what is said on it is protected.
        wire: Wire,
    },
    /// Look up a host name; answered by `Resolved`.
    Resolve {
        /// The question.
        ask: AskId,
        /// The host name or address; or the name of a service, which begins with `_` and whose SRV
        /// records say hosts and ports (RFC 2782).
        host: String,
        /// The port to put into the addresses; 0 for a service.
        port: u16,
    },
    /// The outbox of this connection is no longer empty. The driver writes until it is, and is
    /// told once.
    Write(ConnId),
    /// There is room again after there was none.
    Read(ConnId),
    /// Send our FIN once the outbox is empty, and go on reading.
    Finish(ConnId),
    /// Drop the connection now, whatever waits; nothing more is heard of it. The peer sees a
    /// reset, unless our FIN was sent before.
    Close(ConnId),
    /// Stop listening on this port once those who are already waiting there were accepted.
    Unlisten(Port),
    /// Send a datagram from the machine's own UDP socket. Nothing answers, and nothing waits: one
    /// that the system does not take now, or for which there is no socket, is lost.
    Datagram {
        /// To whom.
        to: SocketAddr,
        /// At most [`DATAGRAM_MAX`] bytes: longer ones are lost.
        bytes: Bytes,
    },
    /// Deliver to another machine of this process.
    Letter {
        /// To which.
        to: Address,
        /// What.
        letter: L,
    },
    /// Tell people.
    Note(Note),
    /// The machine has nothing left to do; the driver may end.
    Done,
}

/// What the driver was told of one connection: whether to write and whether to read.
///
/// A host keeps one beside each connection and calls [`tell`](Self::tell) whenever the
/// connection's machine may have changed, so that each change is told once.
#[derive(Clone, Copy, Default, Debug)]
pub struct Told {
    /// While the driver writes: how often the outbox had been empty when it was told to.
    writing: Option<u32>,
    paused: bool,
}

impl Told {
    /// Tells the driver what has changed about the outbox and the room of `conn`.
    pub fn tell<L>(
        &mut self,
        conn: ConnId,
        outbox: Option<&Outbox>,
        room: usize,
        actions: &mut VecDeque<Action<L>>,
    ) {
        let writing = outbox.filter(|outbox| !outbox.is_empty()).map(Outbox::emptied);
        if writing.is_some() && writing != self.writing {
            actions.push_back(Action::Write(conn));
        }
        self.writing = writing;
        if self.paused && room > 0 {
            actions.push_back(Action::Read(conn));
        }
        self.paused = room == 0;
    }
}

/// Asks the driver to drop a connection, of which something may be `cut` off that was never
/// written.
///
/// A FIN that was asked for in the same turn would follow what was written at once, because a
/// driver takes a connection that is forgotten for one whose every byte was. So it is taken back:
/// what is cut must not look whole.
pub(crate) fn close<L>(conn: ConnId, cut: bool, actions: &mut VecDeque<Action<L>>) {
    if cut {
        actions.retain(|action| !matches!(action, Action::Finish(finished) if *finished == conn));
    }
    actions.push_back(Action::Close(conn));
}

/// Which listener a connection came in by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Port {
    /// Clients' requests.
    Proxy,
    /// Agents' tunnels.
    Upstream,
    /// Operators.
    Admin,
    /// Other nodes' links.
    Gossip,
}

/// How what is said on a connection that is dialled is protected. For one that is accepted, its
/// [`Port`] says it: those of [`Port::Gossip`] are of [`Wire::Cluster`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Wire {
    /// Not at all.
    Plain,
    /// By the keys of the cluster, if it has any: the other end is one of its nodes.
    Cluster,
}

/// Another machine of the same process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Address {
    /// The node, of which there is one.
    Node,
    /// A worker.
    Worker(crate::id::WorkerId),
}

/// Why a socket or a lookup failed, as far as a decision can rest on it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
pub enum Fault {
    /// Nobody listens there.
    #[error("connection refused")]
    Refused,
    /// The peer reset the connection.
    #[error("connection reset")]
    Reset,
    /// No answer in time.
    #[error("timed out")]
    TimedOut,
    /// No route, no such network.
    #[error("host unreachable")]
    Unreachable,
    /// The name has no address.
    #[error("no such host")]
    NoSuchHost,
    /// The process or system is out of descriptors or memory.
    #[error("out of descriptors or memory")]
    Exhausted,
    /// Anything else.
    #[error("i/o error")]
    Other,
}

/// Bytes of one datagram: what crosses any path in one piece, headers and a tunnel or two aside.
pub const DATAGRAM_MAX: usize = 1_200;
