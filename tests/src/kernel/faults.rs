//! What goes wrong in a run, as a list that is made before it starts.

use super::ProcessId;
use super::net::Way;
use crate::draw::Draw as _;
use core::time::Duration;
use pico_core::{Instant, Seed};

/// One thing that goes wrong.
///
/// Links are numbered as they are dialled. A byte is counted in its direction of its link, so a
/// fault hits the same place of a conversation whatever its timing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The link is reset, for both ends, when this byte is sent.
    Reset {
        /// Which link.
        link: u64,
        /// Which direction's bytes count.
        way: Way,
        /// So many bytes pass before.
        byte: u64,
    },
    /// From this byte on, bytes are late by a span; forever without one: silence.
    Stall {
        /// Which link.
        link: u64,
        /// Which direction stalls.
        way: Way,
        /// So many bytes pass before.
        byte: u64,
        /// For how long.
        span: Option<Duration>,
    },
    /// The dialled link is refused.
    Refuse {
        /// Which link.
        link: u64,
    },
    /// The dialled link is never answered.
    Blackhole {
        /// Which link.
        link: u64,
    },
    /// A process dies; its peers see resets.
    Kill {
        /// Which process.
        process: ProcessId,
        /// When.
        at: Instant,
    },
}

/// How much of what goes wrong.
#[derive(Clone, Debug)]
pub struct Storm {
    /// Faults are spread over the links of these numbers.
    pub links: u64,
    /// At most so many faults.
    pub faults: u64,
    /// Bytes before a fault, at most; most faults come early.
    pub bytes: u64,
    /// The longest stall that ends.
    pub stall: Duration,
    /// Whether links may fall silent for good.
    pub silence: bool,
}

impl Storm {
    /// The faults of this storm under `seed`. Each kind is on or off for a whole run.
    pub fn faults(&self, seed: &Seed) -> Vec<Fault> {
        let mut kinds = seed.fork("kinds").roll();
        let on: Vec<u8> = (0..5).filter(|_| kinds.chance(1, 2)).collect();
        let count = if on.is_empty() { 0 } else { kinds.between(0, self.faults) };
        (0..count).map(|at| self.fault(&on, seed.fork_at("fault", at))).collect()
    }

    fn fault(&self, on: &[u8], seed: Seed) -> Fault {
        let mut dice = seed.roll();
        let link = dice.below(self.links);
        let way = if dice.chance(1, 2) { Way::Up } else { Way::Down };
        let scale = *dice.pick(&[200, 5_000, self.bytes]);
        let byte = dice.below(scale.min(self.bytes));
        let span = dice.span(Duration::from_millis(1), self.stall);
        match *dice.pick(on) {
            0 => Fault::Reset { link, way, byte },
            1 => Fault::Stall { link, way, byte, span: Some(span) },
            2 if self.silence => Fault::Stall { link, way, byte, span: None },
            3 => Fault::Refuse { link },
            4 if self.silence => Fault::Blackhole { link },
            _ => Fault::Reset { link, way, byte: byte / 8 },
        }
    }
}
