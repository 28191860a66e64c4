//! The time of day, as people and messages tell it.

use core::fmt;

/// What a clock on the wall shows, to the second. A machine is told it
/// ([`Input::Wall`](crate::host::Input::Wall)), and decides nothing by it: it may be wrong, and
/// jump either way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Wall(u64);

impl Wall {
    /// So many seconds after the beginning of 1970 (UTC, without leap seconds), at most up to the
    /// end of the year 9999: `Date` has no room for more.
    pub const fn from_unix(seconds: u64) -> Self {
        Self(if seconds < END { seconds } else { END - 1 })
    }

    /// Seconds since the beginning of 1970.
    pub const fn as_unix(self) -> u64 {
        self.0
    }
}

/// As the value of `Date` (IMF-fixdate: RFC 9110, section 5.6.7). In core itself, because the
/// crates that write it ask the system for the time.
impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0 / DAY, self.0 % DAY);
        // Years are counted from a March, so that a leap day is the last of its year; 1970 began
        // 719,468 days after that of the year 0 (Hinnant, "chrono-compatible date algorithms").
        let (era, of_era) = ((days + 719_468) / 146_097, (days + 719_468) % 146_097);
        let of_era_years = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * of_era_years + of_era_years / 4 - of_era_years / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let year = era * 400 + of_era_years + u64::from(month >= 10);
        let named = |names: &[&'static str], at: u64| {
            usize::try_from(at).ok().and_then(|at| names.get(at).copied()).unwrap_or_default()
        };
        let (weekday, month) = (named(&WEEKDAYS, days % 7), named(&MONTHS, month));
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }
}

/// The first second of the year 10000.
const END: u64 = 253_402_300_800;
const DAY: u64 = 86_400;
/// From March on.
const MONTHS: [&str; 12] =
    ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];
/// 1970 began on a Thursday.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn a_date_is_written_as_messages_have_it() {
        for (seconds, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(Wall::from_unix(seconds).to_string(), date);
        }
    }
}
