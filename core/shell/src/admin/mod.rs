//! What operators are shown, written out: each page is a function of what the node found out.

mod json;
mod metrics;
pub(crate) mod model;

use bytes::Bytes;
use pico_core::server::status::{Page, Report, Written};

/// Writes a page of the admin port: for
/// [`Settings::write`](pico_core::server::Settings::write).
pub fn write(page: Page<'_>) -> Written {
    match page {
        Page::Home => Written { kind: "text/html; charset=utf-8", bytes: fixed(HOME) },
        Page::Script => Written { kind: "text/javascript; charset=utf-8", bytes: fixed(SCRIPT) },
        Page::Style => Written { kind: "text/css; charset=utf-8", bytes: fixed(STYLE) },
        Page::Description => Written { kind: "application/json", bytes: fixed(DESCRIPTION) },
        Page::Report(_, Report::Metrics(metrics, format)) => metrics::write(metrics, *format),
        Page::Report(node, report) => json::write(node, report),
    }
}

fn fixed(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

const HOME: &str = include_str!("page.html");
const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("page.css");
const DESCRIPTION: &str = include_str!("../../../../spec/openapi.json");
