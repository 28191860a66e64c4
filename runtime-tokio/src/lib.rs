//! Pico on tokio.
