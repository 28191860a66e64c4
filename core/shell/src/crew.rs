//! The threads of a process and the machines on them.

use crate::driver::{Driver, Wiring};
use crate::log;
use crate::platform::{Platform, Signals as _};
use pico_core::Seed;
use pico_core::host::Host;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{Builder, JoinHandle};

/// What a thread runs.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Threads of a process, each of which drives one machine.
pub(crate) struct Crew<T> {
    threads: Vec<JoinHandle<io::Result<T>>>,
    working: Arc<Working>,
}

/// How many threads have not ended, and who waits for the last.
#[derive(Default)]
struct Working(Mutex<(usize, Option<Waker>)>);

/// One of them.
struct Shift(Arc<Working>);

impl<T: Send + 'static> Crew<T> {
    /// Nobody.
    pub(crate) fn new() -> Self {
        Self { threads: Vec::new(), working: Arc::default() }
    }

    /// Drives a machine on a thread of its own; `end` says what became of it. Returns when the
    /// driver has begun, or why it could not.
    pub(crate) fn hire<P: Platform, H: Host + 'static>(
        &mut self,
        name: String,
        wiring: Wiring<H::Letter>,
        make: impl FnOnce() -> H + Send + 'static,
        end: fn(&H) -> T,
    ) -> io::Result<()>
    where
        H::Letter: Send + 'static,
    {
        let (begun, begins) = channel();
        let shift = Shift::begin(&self.working);
        let run = async move || {
            let mut driver = Driver::<P, H>::new(make(), wiring)?;
            // Who hires waits for it, or has ended.
            let _ = begun.send(());
            (&mut driver).await;
            Ok(end(driver.host()))
        };
        let thread = Builder::new().name(name).spawn(move || {
            let _shift = shift;
            P::block_on(run())?
        })?;
        if begins.recv().is_ok() {
            self.threads.push(thread);
            return Ok(());
        }
        joined(thread).and_then(|_| Err(io::Error::other("a worker ended before it began")))
    }

    /// Ends when all threads have.
    pub(crate) fn ended(&self) -> Task {
        let working = Arc::clone(&self.working);
        Box::pin(poll_fn(move |cx| {
            let mut state = working.lock();
            if state.0 == 0 {
                return Poll::Ready(());
            }
            state.1 = Some(cx.waker().clone());
            Poll::Pending
        }))
    }

    /// Waits for all threads to end, and returns what became of them or what went wrong first.
    pub(crate) fn join(self) -> io::Result<Vec<T>> {
        let ends: Vec<_> = self.threads.into_iter().map(joined).collect();
        ends.into_iter().collect()
    }
}

impl Working {
    fn lock(&self) -> MutexGuard<'_, (usize, Option<Waker>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shift {
    fn begin(working: &Arc<Working>) -> Self {
        working.lock().0 += 1;
        Self(Arc::clone(working))
    }
}

impl Drop for Shift {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.0 -= 1;
        let waker = if state.0 == 0 { state.1.take() } else { None };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn joined<T>(thread: JoinHandle<io::Result<T>>) -> io::Result<T> {
    thread.join().unwrap_or_else(|_| Err(io::Error::other("a worker panicked")))
}

/// Runs all tasks to their ends. At the first signal it calls `drain`; the second one ends the
/// process at once. Without `drain`, signals are left alone.
pub(crate) async fn together<P: Platform>(
    mut tasks: Vec<Task>,
    mut drain: Option<impl FnMut()>,
) -> io::Result<()> {
    let mut signals = drain.is_some().then(P::signals).transpose()?;
    let mut asked = false;
    let bell = Arc::new(Bell::default());
    let ring = Waker::from(Arc::clone(&bell));
    poll_fn(move |cx| {
        bell.answer(cx.waker());
        while let (Some(signals), Some(drain)) = (&mut signals, &mut drain)
            && bell.rang()
            && signals.poll(&mut Context::from_waker(&ring)).is_ready()
        {
            // There may be another one.
            bell.ring();
            if asked {
                log::hurried();
                log::finish();
                std::process::exit(1);
            }
            asked = true;
            drain();
        }
        tasks.retain_mut(|task| task.as_mut().poll(cx).is_pending());
        if tasks.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

/// Wakes a task and remembers it. To ask for signals can cost a system call, which is too much
/// to do whenever the task is woken for a socket.
struct Bell {
    rang: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Bell {
    /// Says whom to wake.
    fn answer(&self, task: &Waker) {
        match &mut *self.lock() {
            Some(known) => known.clone_from(task),
            none => *none = Some(task.clone()),
        }
    }

    /// Whether it has been rung since it was last asked.
    fn rang(&self) -> bool {
        self.rang.load(Ordering::Relaxed) && self.rang.swap(false, Ordering::AcqRel)
    }

    fn ring(&self) {
        self.rang.store(true, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Waker>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Bell {
    /// One that has been rung: what it stands for is yet to be looked at.
    fn default() -> Self {
        Self { rang: AtomicBool::new(true), task: Mutex::default() }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
        let task = self.lock().clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

/// Waits for the first signal.
pub(crate) async fn signal<P: Platform>() -> io::Result<()> {
    let mut signals = P::signals()?;
    poll_fn(|cx| signals.poll(cx)).await;
    Ok(())
}

/// Randomness from the operating system.
pub(crate) fn seed() -> io::Result<Seed> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(Seed::new(bytes))
}

/// Allows this process as many descriptors as the system lets it have: every connection is one.
pub(crate) fn raise_descriptors() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        // Where it is refused, what there is must do.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}
