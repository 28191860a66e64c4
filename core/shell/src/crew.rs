//! The threads of a process and the machines on them.

use crate::driver::{Driver, Wiring};
use crate::log;
use crate::platform::{Platform, Signals as _};
use pico_core::Seed;
use pico_core::host::Host;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::thread::{Builder, JoinHandle};

/// What a thread runs.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Drives a machine on a thread of its own.
pub(crate) fn hire<P: Platform, H: Host>(
    name: String,
    wiring: Wiring<H::Letter>,
    make: impl FnOnce() -> H + Send + 'static,
) -> io::Result<JoinHandle<io::Result<()>>>
where
    H::Letter: Send + 'static,
{
    let run = async move || {
        Driver::<P, H>::new(make(), wiring)?.await;
        Ok(())
    };
    Builder::new().name(name).spawn(move || P::block_on(run())?)
}

/// Runs all tasks to their ends. At the first signal it calls `drain`; the second one ends the
/// process at once. Without `drain`, signals are left alone.
pub(crate) async fn together<P: Platform>(
    mut tasks: Vec<Task>,
    mut drain: Option<impl FnMut()>,
) -> io::Result<()> {
    let mut signals = drain.is_some().then(P::signals).transpose()?;
    let mut asked = false;
    poll_fn(move |cx| {
        while let (Some(signals), Some(drain)) = (&mut signals, &mut drain)
            && signals.poll(cx).is_ready()
        {
            if asked {
                log::flush();
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

/// Waits for the first signal.
pub(crate) async fn signal<P: Platform>() -> io::Result<()> {
    let mut signals = P::signals()?;
    poll_fn(|cx| signals.poll(cx)).await;
    Ok(())
}

/// Waits for threads to end and returns what went wrong first.
pub(crate) fn join(threads: Vec<JoinHandle<io::Result<()>>>) -> io::Result<()> {
    let mut result = Ok(());
    for thread in threads {
        let ended = thread.join().unwrap_or_else(|_| Err(io::Error::other("a worker panicked")));
        result = result.and(ended);
    }
    result
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
