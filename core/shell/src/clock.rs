//! The one place that reads the real clock.

use pico_core::{Instant, Wall};
use std::time::Duration;

/// A monotonic clock that all machines of one process share, so that instants in letters mean
/// the same to each of them.
#[derive(Clone, Copy, Debug)]
pub struct Clock(std::time::Instant);

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self(system_now())
    }

    /// The time since the start.
    pub fn now(self) -> Instant {
        Instant::ZERO + system_now().saturating_duration_since(self.0)
    }

    /// What time it is for people, as far as the system knows.
    pub fn milliseconds_since_1970() -> u64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
    }

    /// The time of day, as far as the system knows.
    pub fn wall() -> Wall {
        Wall::from_unix(Self::milliseconds_since_1970() / 1_000)
    }

    /// The time of day where this process runs, as hours, minutes and seconds.
    pub fn time_of_day() -> String {
        jiff::Zoned::now().strftime("%H:%M:%S").to_string()
    }

    /// The date and the time of day where this process runs, for lines that are kept.
    pub fn date_and_time() -> String {
        jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// The same instant on the system's clock, for a runtime's timers.
    pub fn system(self, at: Instant) -> std::time::Instant {
        let span = Duration::from_nanos(at.as_nanos());
        // The end of time does not fit every system's clock; a year from now serves as well.
        self.0.checked_add(span).unwrap_or_else(|| system_now() + FAR)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where all others get the time from")]
fn system_now() -> std::time::Instant {
    std::time::Instant::now()
}

const FAR: Duration = Duration::from_hours(365 * 24);
