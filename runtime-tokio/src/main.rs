//! The binary `pico`.

use std::process::ExitCode;

fn main() -> ExitCode {
    pico_shell::main::<pico_runtime_tokio::Tokio>()
}
