//! That something is under way, on a terminal, when it takes long.

use crate::run::simulated;
use core::time::Duration;
use pico_core::Instant;
use pico_shell::clock::Clock;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

/// Does something; whoever waits for it at a terminal sees how far it is.
pub(super) fn shown<T>(play: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return play();
    }
    let (under_way, over) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let (clock, mut pause) = (Clock::start(), FIRST);
            while over.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                pause = EVERY;
                let secs = clock.now().since(Instant::ZERO).as_secs();
                let far = simulated().as_secs();
                // Progress that cannot be shown is no matter.
                let _ = write!(io::stderr(), "\r\x1b[K{secs} s: {far} simulated seconds so far");
            }
            if pause == EVERY {
                let _ = write!(io::stderr(), "\r\x1b[K");
            }
        });
        let done = play();
        drop(under_way);
        done
    })
}

/// So long nobody asks how far it is.
const FIRST: Duration = Duration::from_secs(2);
const EVERY: Duration = Duration::from_millis(500);
