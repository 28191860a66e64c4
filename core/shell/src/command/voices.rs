//! What several workers of one agent say of its end, told as by one.

use crate::driver::Notes;
use pico_core::note::Note;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Where so many workers are to say what they have to say. That they drain is told once, when all
/// do that have not ended, and that they have drained when all have ended.
pub(super) fn voices(workers: u16, notes: &Notes) -> Vec<Notes> {
    if workers == 1 {
        return vec![Arc::clone(notes)];
    }
    let said = Said { serving: workers, running: workers, calls: None, cut: None };
    let choir = Arc::new(Choir { notes: Arc::clone(notes), said: Mutex::new(said) });
    let voice = |_| -> Notes {
        let voice = Voice { choir: Arc::clone(&choir), drains: AtomicBool::new(false) };
        Arc::new(move |note| voice.say(note))
    };
    (0..workers).map(voice).collect()
}

/// All of them.
struct Choir {
    notes: Notes,
    said: Mutex<Said>,
}

/// What they said and nobody was told yet.
struct Said {
    /// Workers that neither drain nor have ended.
    serving: u16,
    /// Workers that have not ended.
    running: u16,
    /// Calls under way when they began to drain.
    calls: Option<usize>,
    /// Calls that were cut.
    cut: Option<usize>,
}

impl Choir {
    /// Takes in something, and tells what is complete by it.
    fn take(&self, step: impl FnOnce(&mut Said)) {
        let (draining, drained) = {
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            step(&mut said);
            let calls = if said.serving == 0 { said.calls.take() } else { None };
            let cut = if said.running == 0 { said.cut.take() } else { None };
            (calls.map(|calls| Note::Draining { calls }), cut.map(|cut| Note::Drained { cut }))
        };
        draining.into_iter().chain(drained).for_each(|note| (self.notes)(note));
    }
}

/// One of them, which its worker drops when it ends.
struct Voice {
    choir: Arc<Choir>,
    drains: AtomicBool,
}

impl Voice {
    fn say(&self, note: Note) {
        if let Note::Draining { calls } = note {
            let first = !self.drains.swap(true, Ordering::Relaxed);
            self.choir.take(|said| {
                said.serving -= u16::from(first);
                *said.calls.get_or_insert(0) += calls;
            });
        } else if let Note::Drained { cut } = note {
            self.choir.take(|said| *said.cut.get_or_insert(0) += cut);
        } else {
            (self.choir.notes)(note);
        }
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        let served = !*self.drains.get_mut();
        self.choir.take(|said| {
            said.serving -= u16::from(served);
            said.running -= 1;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_told_once_whichever_worker_ends_first() {
        let told: Arc<Mutex<Vec<Note>>> = Arc::default();
        let heard = Arc::clone(&told);
        let notes: Notes = Arc::new(move |note| heard.lock().unwrap().push(note));
        let take = || std::mem::take(&mut *told.lock().unwrap());
        let mut all = voices(3, &notes).into_iter();
        let [one, two, refused] = [(); 3].map(|()| all.next().unwrap());
        drop(refused);
        assert_eq!(take(), []);
        one(Note::Deserted);
        one(Note::Draining { calls: 1 });
        assert_eq!(take(), [Note::Deserted]);
        two(Note::Draining { calls: 2 });
        assert_eq!(take(), [Note::Draining { calls: 3 }]);
        one(Note::Drained { cut: 1 });
        drop(one);
        two(Note::Drained { cut: 0 });
        assert_eq!(take(), [], "one is still there");
        drop(two);
        assert_eq!(take(), [Note::Drained { cut: 1 }]);
    }

    #[test]
    fn workers_that_end_undrained_say_nothing() {
        let notes: Notes = Arc::new(|note| panic!("{note:?}"));
        drop(voices(2, &notes));
    }
}
