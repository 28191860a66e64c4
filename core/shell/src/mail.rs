//! Letters between the machines of one process: one lock and one wake per batch.

use crate::ready::{Ready, Spur, Token};
use pico_core::host::Address;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// The letterboxes of all machines of a process.
///
/// No box refuses a letter, except after its owner has ended: what the machines say to each
/// other is bounded by the credit that they grant.
#[derive(Debug)]
pub struct Post<L>(Arc<Vec<Letterbox<L>>>);

#[derive(Debug)]
pub(crate) struct Letterbox<L> {
    pub(crate) ready: Arc<Ready>,
    bell: Waker,
    state: Mutex<State<L>>,
}

#[derive(Debug)]
struct State<L> {
    letters: Vec<L>,
    closed: bool,
    /// The owner is to end at once.
    cut: bool,
}

impl<L> Post<L> {
    /// Boxes for a node and so many workers.
    pub fn new(workers: u16) -> Self {
        let boxes = 0..=usize::from(workers);
        Self(Arc::new(boxes.map(|_| Letterbox::new()).collect()))
    }

    /// Delivers one letter.
    pub fn send(&self, to: Address, letter: L) {
        self.deliver(place(to), &mut vec![letter]);
    }

    /// Delivers all of `letters` to the box in this place and leaves the vector empty.
    pub(crate) fn deliver(&self, place: usize, letters: &mut Vec<L>) {
        match self.0.get(place) {
            Some(letterbox) => letterbox.deliver(letters),
            None => letters.clear(),
        }
    }

    /// Ends all machines at once, wherever they are: their sockets close as if the process had
    /// been killed, and nothing that waits is said.
    pub fn cut(&self) {
        for letterbox in self.0.iter() {
            let mut state = letterbox.lock();
            state.cut = true;
            drop(state);
            letterbox.bell.wake_by_ref();
        }
    }

    /// The box of one machine.
    pub(crate) fn letterbox(&self, of: Address) -> Option<&Letterbox<L>> {
        self.0.get(place(of))
    }

    /// How many boxes there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<L> Clone for Post<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L> Letterbox<L> {
    fn new() -> Self {
        let ready = Arc::default();
        let bell = Spur::waker(Token::Mail, &ready);
        let state = Mutex::new(State { letters: Vec::new(), closed: false, cut: false });
        Self { ready, bell, state }
    }

    /// Exchanges what has arrived for the empty vector `spare`. Returns whether the owner may go
    /// on.
    pub(crate) fn collect(&self, spare: &mut Vec<L>) -> bool {
        let mut state = self.lock();
        mem::swap(&mut state.letters, spare);
        !state.cut
    }

    /// Throws away what waits and what will still come.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let letters = mem::take(&mut state.letters);
        drop(state);
        drop(letters);
    }

    fn deliver(&self, letters: &mut Vec<L>) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            return letters.clear();
        }
        let first = state.letters.is_empty();
        if first {
            mem::swap(&mut state.letters, letters);
        } else {
            state.letters.append(letters);
        }
        drop(state);
        if first {
            self.bell.wake_by_ref();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<L>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a machine's box.
pub(crate) fn place(of: Address) -> usize {
    match of {
        Address::Node => 0,
        Address::Worker(worker) => usize::from(worker.0) + 1,
    }
}
