//! SIGTERM and SIGINT.

use async_signal::Signal;
use async_std::stream::Stream as _;
use pico_shell::platform;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Signals(async_signal::Signals);

impl Signals {
    /// Takes them over.
    pub(crate) fn new() -> io::Result<Self> {
        async_signal::Signals::new([Signal::Term, Signal::Int]).map(Self)
    }
}

impl platform::Signals for Signals {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll_next(cx).map(|_| ())
    }
}
