//! SIGTERM and SIGINT.

use pico_shell::platform;
use std::io;
use std::task::{Context, Poll};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Signals([Signal; 2]);

impl Signals {
    /// Takes them over.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?]))
    }
}

impl platform::Signals for Signals {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let came = self.0.iter_mut().any(|signal| signal.poll_recv(cx).is_ready());
        if came { Poll::Ready(()) } else { Poll::Pending }
    }
}
