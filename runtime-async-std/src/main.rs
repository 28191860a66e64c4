//! The binary `pico-async-std`.

use std::process::ExitCode;

fn main() -> ExitCode {
    pico_shell::main::<pico_runtime_async_std::AsyncStd>()
}
