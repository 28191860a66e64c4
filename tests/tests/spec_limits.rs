//! Holds `spec/limits.md` and [`Limits`] together.

use pico_core::Limits;
use pico_sim::table;
use std::time::Duration;

/// A limit's value, as the page writes it.
#[derive(PartialEq, Eq, Debug)]
enum Value {
    Count(usize),
    Time(Duration),
}

impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Self::Count(count)
    }
}

impl From<Duration> for Value {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

/// Every field of [`Limits`] by name: a new one does not compile until it is named here.
macro_rules! named {
    ($limits:expr, $($field:ident),+ $(,)?) => {{
        let Limits { $($field),+ } = $limits;
        vec![$((stringify!($field).to_owned(), Value::from($field))),+]
    }};
}

fn coded() -> Vec<(String, Value)> {
    named!(
        Limits::default(),
        head_bytes,
        head_fields,
        chunk_line_bytes,
        outbox_bytes,
        frame_bytes,
        message_bytes,
        streams,
        window_bytes,
        window_bytes_max,
        tunnel_bytes,
        replay_bytes,
        linger_bytes,
        connections,
        consults,
        endpoint_bytes,
        pool_idle,
        dials,
        head_timeout,
        response_timeout,
        body_timeout,
        stall_timeout,
        write_timeout,
        idle_timeout,
        pool_timeout,
        handshake_timeout,
        dial_timeout,
        slow_dial,
        link_timeout,
        consult_timeout,
        avoid_min,
        avoid_max,
        status_timeout,
        status_remote_timeout,
        linger_timeout,
        half_close_timeout,
        heartbeat,
        backoff_min,
        backoff_max,
        backoff_reset,
        leave_delay,
    )
}

fn written() -> Vec<(String, Value)> {
    let page = table::page("limits.md");
    let row = |cells: &Vec<String>| {
        assert_eq!(cells.len(), 5, "a row has five cells: {cells:?}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "no cell is empty: {cells:?}");
        (cells[0].clone(), value(&cells[1]))
    };
    table::rows(&page, "limit").iter().map(row).collect()
}

fn value(text: &str) -> Value {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let count: usize = number.parse().unwrap_or_else(|_| panic!("not a number: {text}"));
    let long = u64::try_from(count).expect("fits");
    match unit {
        "" => Value::Count(count),
        "KiB" => Value::Count(count * 1024),
        "MiB" => Value::Count(count * 1024 * 1024),
        "ms" => Value::Time(Duration::from_millis(long)),
        "s" => Value::Time(Duration::from_secs(long)),
        "min" => Value::Time(Duration::from_secs(long * 60)),
        _ => panic!("a unit that the page does not use: {text}"),
    }
}

#[test]
fn every_limit_has_its_row_and_every_row_its_limit() {
    assert_eq!(written(), coded());
}

#[test]
fn the_defaults_suit_each_other() {
    let limits = Limits::default();
    assert!(
        limits.streams * limits.window_bytes <= limits.tunnel_bytes,
        "every stream can be granted its first window at once"
    );
    assert!(limits.window_bytes <= limits.window_bytes_max);
    assert!(limits.frame_bytes <= limits.message_bytes);
    assert!(limits.message_bytes <= limits.outbox_bytes);
    assert!(limits.backoff_min <= limits.backoff_max);
}
