#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pico_sim::fuzz::bench(data));
