//! What nodes say to each other, as bytes: `spec/gossip.md`.

use super::directory::Op;
use super::fields::{
    address, boot, endpoint, flag, long, member, ops, put_address, put_member, put_ops, put_text,
    rising, state, whoever,
};
use super::member::{Member, State};
use super::page;
use crate::id::Boot;
use crate::routing::EndpointId;
use crate::varint::{self, Cursor};
use alloc::vec::Vec;
use bytes::{BufMut as _, BytesMut};
use core::net::SocketAddr;

/// What cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("gossip that cannot be read")]
pub struct Malformed;

/// What one node says to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Answer me, if you are the target.
    Ping {
        /// The question's number.
        seq: u64,
        /// Whom it is for; `Boot(0)` is whoever gets it.
        target: Boot,
    },
    /// The answer to a Ping.
    Ack {
        /// The question's number.
        seq: u64,
    },
    /// Ping another for me.
    Relay {
        /// The question's number, of the asker.
        seq: u64,
        /// Whom to ping.
        target: Boot,
        /// Where it is.
        addr: SocketAddr,
    },
    /// The target of a Relay has not answered.
    Nack {
        /// The question's number.
        seq: u64,
    },
    /// A member is as follows.
    Member(Member),
    /// The state of a member that is known.
    Standing(Standing),
    /// Send me this boot's Member.
    Who(Boot),
    /// All that I know has this hash.
    Root(u64),
    /// Members, and how far I know their logs.
    Heads {
        /// Which of all that the sender knows.
        scope: Scope,
        /// The members.
        heads: Vec<Head>,
    },
    /// A part of a log.
    Ops {
        /// Whose.
        boot: Boot,
        /// The number of the first.
        first: u64,
        /// The ops.
        ops: Vec<Op>,
    },
    /// Send me ops.
    Want {
        /// Whose.
        boot: Boot,
        /// Those behind this number.
        after: u64,
    },
    /// The ops that were wanted are gone.
    Behind {
        /// Whose.
        boot: Boot,
        /// The number of the last op that is known.
        head: u64,
    },
    /// Send me a page of endpoints.
    PageWant {
        /// Whose.
        boot: Boot,
        /// Those behind this one.
        after: Option<EndpointId>,
    },
    /// A page of endpoints.
    Page {
        /// Whose.
        boot: Boot,
        /// As of which op.
        head: u64,
        /// Whether none come behind.
        last: bool,
        /// The endpoints, in rising order.
        entries: Vec<Op>,
    },
    /// I have yet to catch up myself: others may know more.
    Joining,
}

/// A member's state, as somebody says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Of whom.
    pub boot: Boot,
    /// At which of its incarnations.
    pub incarnation: u64,
    /// The state.
    pub state: State,
    /// Who says so.
    pub by: Boot,
}

/// Which of all the heads that a node knows it tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Some.
    Some,
    /// All.
    All,
    /// Those that changed last, in answer to a Root. Whoever learns nothing from them consults
    /// the sender.
    Latest,
}

impl Scope {
    const ALL: [Self; 3] = [Self::Some, Self::All, Self::Latest];

    const fn byte(self) -> u8 {
        match self {
            Self::Some => 0,
            Self::All => 1,
            Self::Latest => 2,
        }
    }
}

/// How far one member's log is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Whose.
    pub boot: Boot,
    /// The member's incarnation.
    pub incarnation: u64,
    /// The number of the last op.
    pub head: u64,
}

/// What comes before the messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Envelope<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// Who sends it.
    pub from: Boot,
}

impl Envelope<'_> {
    /// Begins a datagram or a consultation.
    pub fn put(&self, out: &mut BytesMut) {
        out.put_u8(VERSION);
        put_text(out, self.cluster);
        out.put_u64(self.from.0);
    }
}

/// Reads what comes before the messages, and says what follows it.
pub fn open(bytes: &[u8]) -> Result<(Envelope<'_>, Messages<'_>), Malformed> {
    let mut cursor = Cursor::new(bytes);
    if cursor.byte()? != VERSION {
        return Err(Malformed);
    }
    let cluster = core::str::from_utf8(cursor.text()?).map_err(|_| Malformed)?;
    if cluster.is_empty() || cluster.len() > CLUSTER_MAX {
        return Err(Malformed);
    }
    let from = boot(&mut cursor)?;
    Ok((Envelope { cluster, from }, Messages(cursor)))
}

/// Begins what is sealed: the cluster is known by its keys.
pub fn put_inside(from: Boot, out: &mut BytesMut) {
    out.put_u64(from.0);
}

/// Reads who says what was sealed, and says what follows it.
pub fn inside(bytes: &[u8]) -> Result<(Boot, Messages<'_>), Malformed> {
    let mut cursor = Cursor::new(bytes);
    let from = boot(&mut cursor)?;
    Ok((from, Messages(cursor)))
}

/// Messages, one after the other. Types that are unknown are skipped; what cannot be read ends
/// it with an error.
#[derive(Clone)]
pub struct Messages<'a>(Cursor<'a>);

impl Iterator for Messages<'_> {
    type Item = Result<Message, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            let read = self.one();
            if read.is_err() {
                self.0 = Cursor::new(&[]);
            }
            if let Some(message) = read.transpose() {
                return Some(message);
            }
        }
        None
    }
}

impl Messages<'_> {
    fn one(&mut self) -> Result<Option<Message>, Malformed> {
        let kind = self.0.byte()?;
        let mut payload = Cursor::new(self.0.text()?);
        let message = Message::read(kind, &mut payload)?;
        if message.is_some() {
            payload.finish()?;
        }
        Ok(message)
    }
}

impl Message {
    /// Appends the message.
    pub fn put(&self, out: &mut BytesMut) {
        let start = out.len();
        // Nearly every message is so short that its length takes one byte: that of longer ones
        // is put between afterwards.
        out.put_u16(0);
        let kind = self.put_payload(out);
        let size = out.len() - start - HEAD;
        match (out.get_mut(start..start + HEAD), u8::try_from(size)) {
            (Some(head), Ok(short)) if short < SHORT => head.copy_from_slice(&[kind, short]),
            _ => {
                let payload = out.split_off(start + HEAD);
                out.truncate(start);
                out.put_u8(kind);
                varint::put(out, varint::wide(size));
                out.extend_from_slice(&payload);
            }
        }
    }

    fn put_payload(&self, out: &mut BytesMut) -> u8 {
        match self {
            Self::Ping { seq, target } => {
                varint::put(out, *seq);
                out.put_u64(target.0);
                1
            }
            Self::Ack { seq } => {
                varint::put(out, *seq);
                2
            }
            Self::Relay { seq, target, addr } => {
                varint::put(out, *seq);
                out.put_u64(target.0);
                put_address(out, addr);
                3
            }
            Self::Nack { seq } => {
                varint::put(out, *seq);
                4
            }
            Self::Member(member) => {
                put_member(out, member);
                5
            }
            Self::Standing(standing) => {
                out.put_u64(standing.boot.0);
                varint::put(out, standing.incarnation);
                out.put_u8(standing.state.byte());
                out.put_u64(standing.by.0);
                6
            }
            Self::Who(boot) => {
                out.put_u64(boot.0);
                7
            }
            Self::Root(hash) => {
                out.put_u64(*hash);
                8
            }
            Self::Heads { scope, heads } => {
                out.put_u8(scope.byte());
                for head in heads {
                    out.put_u64(head.boot.0);
                    varint::put(out, head.incarnation);
                    varint::put(out, head.head);
                }
                9
            }
            Self::Ops { boot, first, ops } => {
                out.put_u64(boot.0);
                varint::put(out, *first);
                put_ops(out, ops);
                10
            }
            Self::Want { boot, after } => {
                out.put_u64(boot.0);
                varint::put(out, *after);
                11
            }
            Self::Behind { boot, head } => {
                out.put_u64(boot.0);
                varint::put(out, *head);
                12
            }
            Self::PageWant { boot, after } => {
                out.put_u64(boot.0);
                put_text(out, after.as_ref().map_or("", EndpointId::as_str));
                13
            }
            Self::Page { boot, head, last, entries } => {
                out.put_u64(boot.0);
                varint::put(out, *head);
                out.put_u8(u8::from(*last));
                page::put(out, entries);
                14
            }
            Self::Joining => 15,
        }
    }

    /// The message of this type, unless it is unknown.
    fn read(kind: u8, from: &mut Cursor<'_>) -> Result<Option<Self>, Malformed> {
        Ok(Some(match kind {
            1 => Self::Ping { seq: from.number()?, target: whoever(from)? },
            2 => Self::Ack { seq: from.number()? },
            3 => Self::Relay { seq: from.number()?, target: boot(from)?, addr: address(from)? },
            4 => Self::Nack { seq: from.number()? },
            5 => Self::Member(member(from)?),
            6 => Self::Standing(Standing {
                boot: boot(from)?,
                incarnation: rising(from)?,
                state: state(from)?,
                by: boot(from)?,
            }),
            7 => Self::Who(boot(from)?),
            8 => Self::Root(long(from)?),
            9 => {
                let byte = from.byte()?;
                let known = Scope::ALL.into_iter().find(|scope| scope.byte() == byte);
                let scope = known.ok_or(Malformed)?;
                let mut heads = Vec::new();
                while !from.is_empty() {
                    let (boot, incarnation) = (boot(from)?, rising(from)?);
                    heads.push(Head { boot, incarnation, head: rising(from)? });
                }
                Self::Heads { scope, heads }
            }
            10 => {
                let (boot, first) = (boot(from)?, rising(from)?);
                let ops = ops(from)?;
                let end = first.saturating_add(varint::wide(ops.len()));
                if first == 0 || end > RISING_MAX {
                    return Err(Malformed);
                }
                Self::Ops { boot, first, ops }
            }
            11 => Self::Want { boot: boot(from)?, after: rising(from)? },
            12 => Self::Behind { boot: boot(from)?, head: rising(from)? },
            13 => {
                let boot = boot(from)?;
                let name = from.text()?;
                let after = (!name.is_empty()).then(|| endpoint(name)).transpose()?;
                Self::PageWant { boot, after }
            }
            14 => Self::Page {
                boot: boot(from)?,
                head: rising(from)?,
                last: flag(from)?,
                entries: page::read(from)?,
            },
            15 => Self::Joining,
            _ => return Ok(None),
        }))
    }
}

impl From<crate::reason::Reason> for Malformed {
    fn from(_: crate::reason::Reason) -> Self {
        Self
    }
}

/// Bytes before the payload of a short message, and how long such a payload may not be: lengths
/// below take one byte.
const HEAD: usize = 2;
const SHORT: u8 = 0x40;
/// The version of all that is above.
pub const VERSION: u8 = 1;
/// Generations, incarnations and the numbers of ops are below it, far from where numbers end.
pub(super) const RISING_MAX: u64 = 1 << 60;
/// Bytes of a cluster's name.
pub(super) const CLUSTER_MAX: usize = 64;
