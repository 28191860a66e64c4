//! Which refusals of peers are told: strangers do not write the log as fast as they connect.

use crate::host::Port;
use crate::reason::Reason;
use crate::time::Instant;
use alloc::collections::BTreeMap;
use core::time::Duration;

/// What was told lately of each port and reason, and what was not.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<(Port, Reason), Told>);

#[derive(Debug, Default)]
struct Told {
    /// Nothing is told before this time.
    quiet_until: Option<Instant>,
    suppressed: u64,
}

impl Refusals {
    /// Whether to tell of a refusal at this port for this reason, and of how many it was not told
    /// before.
    pub(super) fn tell(&mut self, port: Port, reason: Reason, now: Instant) -> Option<u64> {
        let told = self.0.entry((port, reason)).or_default();
        if told.quiet_until.is_some_and(|until| now < until) {
            told.suppressed += 1;
            return None;
        }
        told.quiet_until = Some(now + QUIET);
        Some(core::mem::take(&mut told.suppressed))
    }
}

/// How long nothing is told of a port and reason after something was.
const QUIET: Duration = Duration::from_secs(10);
