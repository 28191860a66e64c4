//! `pico-sim`: what happens to a cluster when things go wrong.

use std::process::ExitCode;

fn main() -> ExitCode {
    pico_sim::command::main(option_env!("PICO_REVISION").unwrap_or(env!("CARGO_PKG_VERSION")))
}
