//! One executor per thread.

use std::future::Future;
use std::io;
use tokio::runtime::Builder;
use tokio::task::unconstrained;

/// Runs a future to its end on a runtime of its own.
pub(crate) fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    // Turns have budgets of their own; tokio's would cut them short.
    let output = runtime.block_on(unconstrained(future));
    // A name that is still being looked up must not keep the process.
    runtime.shutdown_background();
    Ok(output)
}
