//! What goes wrong in a run, as a list.

use super::{Link, Span};
use serde::{Deserialize, Serialize};

/// One thing that goes wrong.
///
/// Hosts are named as in [`Shape`](super::Shape), or as a group: `all`, `nodes`, `agents`,
/// `services`, `clients`, `zone-0`; or several of these, with commas between them. What lasts ends at the case's `heal` at the latest.
///
/// Some faults wait at a byte of a stream, which is named by who dialled it and as how manyeth of
/// their dials; so such a fault hits the same place of a conversation whatever its timing, and
/// other faults do not shift it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "fault", deny_unknown_fields, rename_all = "kebab-case")]
pub enum Fault {
    /// A process dies without a word; its peers see resets.
    Crash {
        /// Whose process.
        who: String,
        /// When.
        at: Span,
        /// After how long it is started again; never without one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        back: Option<Span>,
        /// Whether it comes back under another name.
        #[serde(default, skip_serializing_if = "is_false")]
        renamed: bool,
    },
    /// A machine loses its power: as a crash, but nobody hears of it.
    PowerLoss {
        /// Whose machine.
        who: String,
        /// When.
        at: Span,
        /// After how long it is started again; never without one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        back: Option<Span>,
    },
    /// A process is told to stop in good order.
    Stop {
        /// Whose process.
        who: String,
        /// When.
        at: Span,
        /// How long after its end it is started again; never without one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        back: Option<Span>,
        /// With this, the processes are told one after the other, so far apart; otherwise all at
        /// once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        apart: Option<Span>,
    },
    /// A process gets no processor, and its peers' bytes pile up.
    Pause {
        /// Whose process.
        who: String,
        /// When.
        at: Span,
        /// For how long.
        lasts: Span,
    },
    /// A process runs so many times slower.
    Slow {
        /// Whose process.
        who: String,
        /// When.
        at: Span,
        /// For how long.
        lasts: Span,
        /// How many times slower.
        times: u32,
    },
    /// A clock runs fast or slow from the beginning.
    Drift {
        /// Whose clock.
        who: String,
        /// Millionths by which it is faster.
        ppm: i32,
    },
    /// A machine's calendar goes back: whatever starts there from then on believes that it is so
    /// much earlier.
    ClockBack {
        /// Whose machine.
        who: String,
        /// When.
        at: Span,
        /// By how much.
        by: Span,
    },
    /// A node is started anew under the name of another.
    Namesake {
        /// Which node.
        who: String,
        /// The node whose name it takes.
        of: String,
        /// When.
        at: Span,
        /// After how long it is started again under its own name, and the other if it has ended.
        lasts: Span,
    },
    /// A node dies, and its address goes to a node of another cluster that has the same name and
    /// looks for others at the same places.
    Recycled {
        /// Which node.
        who: String,
        /// When.
        at: Span,
        /// After how long it has its address back.
        lasts: Span,
    },
    /// Nodes are replaced by others, one every so often, each under a name that nobody has had.
    Turnover {
        /// Which nodes, in turn.
        who: String,
        /// From when on.
        at: Span,
        /// For how long.
        lasts: Span,
        /// From one to the next.
        every: Span,
    },
    /// Somebody who has no key sends datagrams to nodes, again and again.
    Intruder {
        /// To whom.
        who: String,
        /// What.
        how: Intrusion,
        /// When.
        at: Span,
        /// For how long.
        lasts: Span,
    },
    /// A node that does nothing but gossip serves so many endpoints more, all at once.
    Churn {
        /// Which node.
        who: String,
        /// When.
        at: Span,
        /// How many.
        endpoints: u32,
    },
    /// Nothing passes between two groups of hosts.
    Cut {
        /// Those whose packets are lost.
        from: String,
        /// Those who would have got them.
        to: String,
        /// Whether the other direction is cut too.
        #[serde(default, skip_serializing_if = "is_false")]
        both: bool,
        /// What is cut.
        #[serde(default, skip_serializing_if = "Traffic::is_all")]
        only: Traffic,
        /// When.
        at: Span,
        /// For how long.
        lasts: Span,
        /// With this, it is cut for so long, open for so long, and so on, while it lasts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        flaps: Option<Span>,
    },
    /// Links between two groups of hosts are otherwise for a while.
    Weather {
        /// Those whose packets suffer.
        from: String,
        /// Those who get them.
        to: String,
        /// Whether the other direction suffers too.
        #[serde(default, skip_serializing_if = "is_false")]
        both: bool,
        /// When.
        at: Span,
        /// For how long.
        lasts: Span,
        /// What they are like.
        link: Link,
    },
    /// A stream is reset, for both ends, when this byte is sent.
    Reset {
        /// Who dialled.
        who: String,
        /// Which of their dials, from 0.
        dial: u64,
        /// Which direction's bytes count.
        way: Way,
        /// So many bytes pass before.
        byte: u64,
    },
    /// From this byte on, bytes are late.
    Stall {
        /// Who dialled.
        who: String,
        /// Which of their dials, from 0.
        dial: u64,
        /// Which direction stalls.
        way: Way,
        /// So many bytes pass before.
        byte: u64,
        /// For how long; for ever without one, as when the peer's machine has vanished.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lasts: Option<Span>,
    },
    /// A dial is refused.
    Refuse {
        /// Who dials.
        who: String,
        /// Which of their dials, from 0.
        dial: u64,
    },
    /// A dial is never answered.
    Blackhole {
        /// Who dials.
        who: String,
        /// Which of their dials, from 0.
        dial: u64,
    },
    /// Names are answered otherwise.
    Names {
        /// To whom.
        who: String,
        /// When.
        at: Span,
        /// For how long.
        lasts: Span,
        /// How.
        answer: Answer,
    },
}

/// A direction of a stream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// From whoever dialled.
    Up,
    /// To whoever dialled.
    Down,
}

/// What a cut concerns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Traffic {
    /// Everything.
    #[default]
    All,
    /// Datagrams; streams pass.
    Datagrams,
    /// Streams; datagrams pass.
    Streams,
}

/// What somebody sends who does not belong to the cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intrusion {
    /// Datagrams that were sent before, from whoever sent them, to whoever got them or to others.
    Replay,
    /// Bytes that mean nothing, and pieces of datagrams.
    Garbage,
    /// What nodes say, in the name of another cluster.
    Stranger,
    /// What nodes said, back to themselves.
    Mirror,
    /// Versions and messages that are yet to be invented.
    Future,
}

impl Intrusion {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Replay, Self::Garbage, Self::Stranger, Self::Mirror, Self::Future];
}

/// How names are answered when something is wrong with them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// That there is no such name.
    Fails,
    /// Not at all.
    Never,
    /// With one of the addresses only.
    Partial,
    /// With an address that nobody has any more, before the right ones.
    Stale,
    /// With the asker's own address, if it is one of them, and no other.
    Own,
}

impl Way {
    /// The opposite direction.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

impl Traffic {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    const fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_false(yes: &bool) -> bool {
    !*yes
}

impl Fault {
    /// When it begins, if it is one of a time and not of a byte.
    pub const fn at(&self) -> Option<Span> {
        match self {
            Self::Crash { at, .. }
            | Self::PowerLoss { at, .. }
            | Self::Stop { at, .. }
            | Self::Pause { at, .. }
            | Self::Slow { at, .. }
            | Self::ClockBack { at, .. }
            | Self::Namesake { at, .. }
            | Self::Recycled { at, .. }
            | Self::Turnover { at, .. }
            | Self::Intruder { at, .. }
            | Self::Churn { at, .. }
            | Self::Cut { at, .. }
            | Self::Weather { at, .. }
            | Self::Names { at, .. } => Some(*at),
            Self::Drift { .. }
            | Self::Reset { .. }
            | Self::Stall { .. }
            | Self::Refuse { .. }
            | Self::Blackhole { .. } => None,
        }
    }

    /// How long it lasts, if it ends by itself.
    pub const fn lasts(&self) -> Option<Span> {
        match self {
            Self::Pause { lasts, .. }
            | Self::Slow { lasts, .. }
            | Self::Namesake { lasts, .. }
            | Self::Recycled { lasts, .. }
            | Self::Turnover { lasts, .. }
            | Self::Intruder { lasts, .. }
            | Self::Cut { lasts, .. }
            | Self::Weather { lasts, .. }
            | Self::Names { lasts, .. } => Some(*lasts),
            Self::Stall { lasts, .. } => *lasts,
            Self::Crash { .. }
            | Self::PowerLoss { .. }
            | Self::Stop { .. }
            | Self::Drift { .. }
            | Self::ClockBack { .. }
            | Self::Churn { .. }
            | Self::Reset { .. }
            | Self::Refuse { .. }
            | Self::Blackhole { .. } => None,
        }
    }

    /// When it befalls the last of so many hosts.
    pub fn last_at(&self, hosts: usize) -> Option<Span> {
        let at = self.at()?;
        let Self::Stop { apart: Some(apart), .. } = self else { return Some(at) };
        let more = u32::try_from(hosts.saturating_sub(1)).unwrap_or(u32::MAX);
        Some(Span(at.0.saturating_add(apart.0.saturating_mul(more))))
    }

    /// After how long those whom it ends are started again, if they are.
    pub const fn back(&self) -> Option<Span> {
        match self {
            Self::Crash { back, .. } | Self::PowerLoss { back, .. } | Self::Stop { back, .. } => {
                *back
            }
            Self::Pause { .. }
            | Self::Slow { .. }
            | Self::Drift { .. }
            | Self::ClockBack { .. }
            | Self::Namesake { .. }
            | Self::Recycled { .. }
            | Self::Turnover { .. }
            | Self::Intruder { .. }
            | Self::Churn { .. }
            | Self::Cut { .. }
            | Self::Weather { .. }
            | Self::Reset { .. }
            | Self::Stall { .. }
            | Self::Refuse { .. }
            | Self::Blackhole { .. }
            | Self::Names { .. } => None,
        }
    }

    /// The hosts and groups that it names.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Cut { from, to, .. } | Self::Weather { from, to, .. } => vec![from, to],
            Self::Namesake { who, of, .. } => vec![who, of],
            Self::Crash { who, .. }
            | Self::PowerLoss { who, .. }
            | Self::Stop { who, .. }
            | Self::Pause { who, .. }
            | Self::Slow { who, .. }
            | Self::Drift { who, .. }
            | Self::ClockBack { who, .. }
            | Self::Recycled { who, .. }
            | Self::Turnover { who, .. }
            | Self::Intruder { who, .. }
            | Self::Churn { who, .. }
            | Self::Reset { who, .. }
            | Self::Stall { who, .. }
            | Self::Refuse { who, .. }
            | Self::Blackhole { who, .. }
            | Self::Names { who, .. } => vec![who],
        }
    }
}
