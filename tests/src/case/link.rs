//! What a link between two hosts is like.

use super::Span;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A link, each direction of which behaves so.
///
/// What a datagram suffers as loss, a stream suffers as delay, because TCP sends again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Link {
    /// How long anything takes at least, one way, within a zone.
    pub latency: Span,
    /// How much longer it may take.
    pub jitter: Span,
    /// What is added to the latency between two zones.
    pub zone_latency: Span,
    /// Packets that are lost.
    pub loss: Chance,
    /// How many packets are lost on from one that is, on average.
    pub burst: u32,
    /// Datagrams that arrive twice.
    pub duplicate: Chance,
    /// Datagrams that are overtaken by later ones.
    pub reorder: Chance,
    /// Datagrams of which a byte is changed.
    pub corrupt: Chance,
    /// The largest datagram's payload in bytes; larger ones are lost.
    pub mtu: usize,
    /// Bytes per second; 0 is without a limit.
    pub rate: u64,
    /// Bytes that wait for their turn where the rate is limited; what finds no place is lost.
    pub queue: usize,
    /// Bytes of a stream that may be on their way and unread at once; at 0 each stream draws its
    /// own, of up to 200,000.
    pub window: usize,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            latency: Span::micros(500),
            jitter: Span::micros(200),
            zone_latency: Span::millis(2),
            loss: Chance::NEVER,
            burst: 1,
            duplicate: Chance::NEVER,
            reorder: Chance::NEVER,
            corrupt: Chance::NEVER,
            mtu: 1400,
            rate: 0,
            queue: 256 * 1024,
            window: 0,
        }
    }
}

/// A probability, in millionths, so that no machine rounds it otherwise. In text a number between
/// 0 and 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Chance {
    millionths: u32,
}

impl Chance {
    /// Not once.
    pub const NEVER: Self = Self { millionths: 0 };

    /// One in so many.
    pub const fn one_in(many: u32) -> Self {
        Self { millionths: 1_000_000 / many }
    }

    /// So many percent, at most 100.
    pub const fn percent(percent: u32) -> Self {
        Self { millionths: if percent > 100 { 1_000_000 } else { percent * 10_000 } }
    }

    /// Millionths.
    pub const fn millionths(self) -> u64 {
        self.millionths as u64
    }
}

impl Serialize for Chance {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(f64::from(self.millionths) / 1e6)
    }
}

impl<'de> Deserialize<'de> for Chance {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(from)?;
        if !(0.0..=1.0).contains(&number) {
            return Err(de::Error::custom("expected a probability between 0 and 1"));
        }
        // A value between 0 and a million, rounded to the nearest, fits.
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked just before"
        )]
        Ok(Self { millionths: (number * 1e6).round() as u32 })
    }
}
