//! A panic within a run is a finding: it is told with what replays it.

use super::print::Failure;
use std::cell::RefCell;
use std::io::{self, Write as _};
use std::panic;
use std::process;

thread_local! {
    /// What is being played on this thread.
    static PLAYED: RefCell<Option<Failure>> = const { RefCell::new(None) };
}

/// From now on a panic ends the process with 1, after a line that says how to have it again.
pub(super) fn watch() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        usual(info);
        let played = PLAYED.with(|played| played.try_borrow().ok().and_then(|it| it.clone()));
        if let Some(failure) = played {
            let why = info.to_string().replace('\n', " ");
            // There is nobody left to tell that it cannot be told.
            let _ = writeln!(io::stderr(), "{}", failure.panicked(&why));
            process::exit(1);
        }
    }));
}

/// Plays something, so that a panic in it is told as this failure.
pub(super) fn within<T>(failure: &Failure, play: impl FnOnce() -> T) -> T {
    PLAYED.with(|played| played.replace(Some(failure.clone())));
    let done = play();
    PLAYED.with(|played| played.replace(None));
    done
}
