//! A panic within a run is a finding: it is told with what replays it.
//!
//! Builds for release end at a panic and unwind nothing, so whatever is to be done about one is
//! done by the hook that is called before.

use super::print::Failure;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::{self, Write as _};
use std::panic::{self, PanicHookInfo};
use std::process;
use std::thread;

thread_local! {
    /// What is being played on this thread.
    static PLAYED: RefCell<Option<Played>> = const { RefCell::new(None) };
}

/// Something that is being played.
struct Played {
    failure: Failure,
    /// Who goes on when it panics; nobody if the process is to end.
    heir: Option<Box<dyn FnOnce(Panic)>>,
}

/// A panic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Panic {
    /// What it says, on one line.
    pub(super) message: String,
    /// The file and the line.
    pub(super) location: String,
}

impl Panic {
    fn of(info: &PanicHookInfo<'_>) -> Self {
        let message = info.payload_as_str().unwrap_or("it does not say why");
        let location = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { message, location: location.unwrap_or_default() }
    }

    /// For people, on two lines.
    pub(super) fn text(&self, failure: &Failure) -> String {
        let Self { message, location } = self;
        failure.panicked(&format!("panicked at {location}: {message}"))
    }

    /// For programs.
    pub(super) fn json(&self, failure: &Failure) -> Value {
        json!({
            "kind": "panic",
            "seed": failure.seed,
            "revision": failure.revision,
            "message": self.message,
            "location": self.location,
            "replay": failure.again(),
        })
    }
}

/// From now on a panic in what is played ends the process with 1, after a line that says how to
/// have it again; or, with `json`, after an object that does.
pub(super) fn watch(json: bool) {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let played = PLAYED.with(|played| played.try_borrow_mut().ok()?.take());
        let Some(Played { failure, heir }) = played else { return usual(info) };
        let panic = Panic::of(info);
        if std::env::var_os("RUST_BACKTRACE").is_some() {
            usual(info);
        }
        if let Some(heir) = heir {
            heir(panic);
            // The process would end where panics do not unwind, so whoever panicked stays here. It
            // holds the lock of the hook: nobody may set another one.
            while cfg!(panic = "abort") {
                thread::park();
            }
            return;
        }
        // There is nobody left to tell that it cannot be told.
        let _ = if json {
            writeln!(io::stdout(), "{}", panic.json(&failure))
        } else {
            writeln!(io::stderr(), "{}", panic.text(&failure))
        };
        process::exit(1);
    }));
}

/// Plays something, so that a panic in it is told as this failure.
pub(super) fn within<T>(failure: &Failure, play: impl FnOnce() -> T) -> T {
    playing(Played { failure: failure.clone(), heir: None }, play)
}

/// Plays something. If it panics the thread is not heard of again, and `heir` is called on it, to
/// have another one go on.
pub(super) fn survived<T>(
    failure: &Failure,
    heir: impl FnOnce(Panic) + 'static,
    play: impl FnOnce() -> T,
) -> T {
    playing(Played { failure: failure.clone(), heir: Some(Box::new(heir)) }, play)
}

fn playing<T>(what: Played, play: impl FnOnce() -> T) -> T {
    PLAYED.with(|played| played.replace(Some(what)));
    let done = play();
    PLAYED.with(|played| played.replace(None));
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn failure() -> Failure {
        Failure { seed: 7, revision: "r", words: "--seed 7".into(), verb: "run" }
    }

    #[test]
    fn somebody_goes_on_where_a_panic_ends_what_is_played() {
        watch(false);
        let (heir, heard) = mpsc::channel();
        thread::spawn(move || {
            let goes_on = move |panic| heir.send(panic).expect("the test listens");
            survived(&failure(), goes_on, || panic!("two\n lines"));
        });
        let panic: Panic = heard.recv().expect("the heir is called");
        assert_eq!(panic.message, "two lines");
        assert!(panic.location.starts_with("tests/src/command/crash.rs:"), "{panic:?}");
    }

    #[test]
    fn programs_are_told_of_a_panic_in_an_object() {
        let (message, location) = ("no".into(), "core/src/x.rs:1".into());
        let panic = Panic { message, location };
        let object = panic.json(&failure());
        let expected = json!({
            "kind": "panic",
            "seed": 7,
            "revision": "r",
            "message": "no",
            "location": "core/src/x.rs:1",
            "replay": "pico-sim run --seed 7",
        });
        assert_eq!(object, expected);
        assert_eq!(panic.text(&failure()).lines().count(), 2);
    }
}
