//! The binary `pico`.

fn main() {}
