//! One executor per thread, and no more threads than async-std insists on.

use async_global_executor::{GlobalExecutorConfig, init_with_config};
use async_std::task;
use std::future::Future;
#[cfg(target_os = "linux")]
use std::num::NonZeroU64;
use std::sync::Once;

/// Runs a future to its end on this thread, which also runs the reactor while it waits.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| patiently(start));
    task::block_on(future)
}

/// Starts the threads of async-std. Of its executor's, of which it would start one per core, Pico
/// needs one: a look-up passes through it. The first configuration is the one that holds.
fn start() {
    let config = GlobalExecutorConfig::default()
        .with_env_var("ASYNC_STD_THREAD_COUNT")
        .with_min_threads(1)
        .with_thread_name_fn(|| "async-std".to_owned());
    init_with_config(config);
}

/// Lets threads that are started meanwhile sleep a little longer than they ask to.
///
/// The reactor's own thread sleeps, for 50 µs at first, and takes over if the reactor has not been
/// run since. A worker that is in the middle of its turn is mostly back sooner than it could be
/// helped, and would then have to be woken by another thread. The price is that a worker whose
/// neighbour holds the reactor during a long turn may hear of its sockets so much later.
fn patiently(start: impl FnOnce()) {
    #[cfg(target_os = "linux")]
    let before = rustix::thread::current_timer_slack().unwrap_or(0);
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(SLACK_NS));
    start();
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(before));
}

/// How late they may wake.
#[cfg(target_os = "linux")]
const SLACK_NS: u64 = 500_000;
