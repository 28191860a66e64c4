//! Timers.

use pico_shell::platform;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

/// A timer that is set again and again.
#[derive(Debug)]
pub struct Timer(async_io::Timer);

impl Timer {
    /// A timer that is not set.
    pub(crate) fn new() -> Self {
        Self(async_io::Timer::never())
    }
}

impl platform::Timer for Timer {
    fn set(&mut self, at: Instant) {
        self.0.set_at(at);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(|_| ())
    }
}
