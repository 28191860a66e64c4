//! Heads as the actors write them.

use super::plan::{Parting, Plan};
use super::record::Served;
use crate::case::Kind;
use core::fmt::{Arguments, Write as _};

/// What tunnels of actors are called.
pub(super) const PROTOCOL: &str = "pico-sim-talk";

/// What must not pass a hop, beside `Connection`.
const HOP: &str = "X-Hop: secret\r\nKeep-Alive: timeout=77\r\nX-Pico-Leak: secret\r\n";

impl Plan {
    /// The head that the client sends.
    pub fn request_head(&self, endpoint: &str) -> String {
        let Self { method, id, .. } = self;
        let mut head = format!("{method} /r/{id}?x=%20y HTTP/1.1\r\n");
        if self.by_header {
            put(&mut head, format_args!("Host: any.test\r\nx-pico-endpoint: {endpoint}\r\n"));
        } else {
            put(&mut head, format_args!("Host: {endpoint}.pico.test\r\n"));
        }
        if self.request.chunked {
            head += "Transfer-Encoding: chunked\r\n";
        } else if matches!(*method, "POST" | "PUT") {
            put(&mut head, format_args!("Content-Length: {}\r\n", self.request.len));
        }
        if self.is(Kind::Expects) {
            head += "Expect: 100-continue\r\n";
        }
        if self.own_id {
            put(&mut head, format_args!("X-Request-Id: {}\r\n", self.request_id()));
        }
        head += if self.is(Kind::Upgrade) {
            "Connection: x-hop, Upgrade\r\nUpgrade: pico-sim-talk\r\n"
        } else if self.parting == Parting::Announce {
            "Connection: close, x-hop\r\n"
        } else {
            "Connection: keep-alive, x-hop\r\n"
        };
        put(&mut head, format_args!("X-Check: {id}\r\n{HOP}\r\n"));
        head
    }

    /// The interim and final heads that the service sends.
    pub fn response_head(&self, served: &Served) -> String {
        let Self { id, status, .. } = self;
        let mut head = String::new();
        for at in 0..self.interim {
            put(&mut head, format_args!("HTTP/1.1 103 Early Hints\r\nLink: </{at}>\r\n\r\n"));
        }
        put(&mut head, format_args!("HTTP/1.1 {status} Whatever You Like\r\n"));
        put(&mut head, format_args!("X-Served: {served}\r\nX-Check: {id}\r\n{HOP}"));
        if *status == 204 || self.is_upgrade() {
        } else if self.response.chunked {
            head += "Transfer-Encoding: chunked\r\n";
        } else {
            put(&mut head, format_args!("Content-Length: {}\r\n", self.response.len));
        }
        head += if self.is_upgrade() {
            "Connection: Upgrade, x-hop\r\nUpgrade: pico-sim-talk\r\n"
        } else if self.service_leaves() {
            "Connection: close, x-hop\r\n"
        } else {
            "Connection: x-hop\r\n"
        };
        head + "\r\n"
    }

    /// Whether the service ends its connection behind the answer, and says so in it.
    pub(super) fn service_leaves(&self) -> bool {
        self.last || (self.refuses && self.is(Kind::Expects))
    }

    /// The ID that the client gives its request, if it gives one.
    pub fn request_id(&self) -> String {
        format!("sim-{}", self.id)
    }

    /// The value of the trailer of both directions.
    pub(super) fn trailer(&self) -> String {
        format!("end-of-{}", self.id)
    }
}

/// The name of the trailer field.
pub(super) const TRAILER: &str = "x-trail";

/// Appends what `text` says.
fn put(head: &mut String, text: Arguments) {
    head.write_fmt(text).expect("a string takes any text");
}

/// The fields of a received head or trailer section that concern one hop, or Pico's parts, only.
pub(super) fn leaked(fields: &[(String, String)], upgrade: bool) -> Vec<String> {
    let leaks = |name: &str, value: &str| match name {
        "connection" => value.to_ascii_lowercase().contains("x-hop"),
        "upgrade" => !upgrade,
        "x-hop" | "keep-alive" | "proxy-connection" | "te" => true,
        _ => name.starts_with("x-pico-"),
    };
    let leaked = fields.iter().filter(|(name, value)| leaks(name, value));
    leaked.map(|(name, value)| format!("{name}: {value}")).collect()
}
