//! Timers.

use pico_shell::platform;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::time::{Sleep, sleep_until};

/// A timer that is set again and again.
#[derive(Debug)]
pub struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// A timer that is not set.
    pub(crate) fn new() -> Self {
        Self(None)
    }
}

impl platform::Timer for Timer {
    fn set(&mut self, at: Instant) {
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().reset(at.into()),
            None => self.0 = Some(Box::pin(sleep_until(at.into()))),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}
