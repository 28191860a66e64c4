//! Who woke a driver: one list per machine, filled by wakers and taken once per turn.

use pico_core::id::{AskId, ConnId};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// What a driver looks at when it is woken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Token {
    /// A listener, by its place.
    Accept(usize),
    /// A connection that is being dialled, or that may have bytes for us.
    Read(ConnId),
    /// A connection that may take bytes again.
    Write(ConnId),
    /// A name that is being looked up.
    Ask(AskId),
    /// The UDP socket.
    Datagram,
    /// The timer.
    Alarm,
    /// The letterbox.
    Mail,
}

/// The sources that have something new, and the task that looks at them.
#[derive(Debug, Default)]
pub(crate) struct Ready(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    spurs: Vec<Arc<Spur>>,
    task: Option<Waker>,
    woken: bool,
}

impl Ready {
    /// Begins a turn of `task`: moves all that is ready to `todo`. Whatever becomes ready from
    /// now on wakes `task` again.
    pub(crate) fn take(&self, task: &Waker, spare: &mut Vec<Arc<Spur>>) {
        let mut state = self.lock();
        mem::swap(&mut state.spurs, spare);
        state.woken = false;
        match &mut state.task {
            Some(known) => known.clone_from(task),
            None => state.task = Some(task.clone()),
        }
    }

    fn push(&self, spur: Arc<Spur>) {
        let mut state = self.lock();
        state.spurs.push(spur);
        if state.woken {
            return;
        }
        state.woken = true;
        let task = state.task.clone();
        drop(state);
        // Without a task the first turn is still to come, and takes everything.
        if let Some(task) = task {
            task.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The waker of one source.
#[derive(Debug)]
pub(crate) struct Spur {
    token: Token,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Spur {
    /// A waker that puts `token` on the list `ready`, once until it is taken off.
    pub(crate) fn waker(token: Token, ready: &Arc<Ready>) -> Waker {
        let queued = AtomicBool::new(false);
        Waker::from(Arc::new(Self { token, queued, ready: Arc::clone(ready) }))
    }

    /// Allows it to be queued again and says whose it is. Call it before the source is polled.
    pub(crate) fn take(&self) -> Token {
        self.queued.store(false, Ordering::Release);
        self.token
    }
}

impl Wake for Spur {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            let ready = Arc::clone(&self.ready);
            ready.push(self);
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready.push(Arc::clone(self));
        }
    }
}
