//! One executor per thread, and no more threads than async-std insists on.

use async_global_executor::{GlobalExecutorConfig, init_with_config};
use async_std::task;
use std::future::Future;

/// Runs a future to its end on this thread, which also runs the reactor while it waits.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    // Of the executor's own threads, which async-std would start one per core, Pico needs one: a
    // look-up passes through it. The first configuration is the one that holds.
    let config = GlobalExecutorConfig::default()
        .with_env_var("ASYNC_STD_THREAD_COUNT")
        .with_min_threads(1)
        .with_thread_name_fn(|| "async-std".to_owned());
    init_with_config(config);
    task::block_on(future)
}
