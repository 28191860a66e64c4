//! Someone who sends requests and waits for what comes back.

use crate::client::{Command, Event};
use crate::mail::Post;
use bytes::BytesMut;
use http::Method;
use pico_core::Reason;
use pico_core::head::{Fields, RequestHead};
use pico_core::host::Address;
use pico_core::id::WorkerId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// Someone who sends requests, through a [`Client`](crate::client::Client) on another thread,
/// and waits for what comes back.
pub(super) struct Customer {
    post: Post<Command>,
    events: Receiver<(u64, Event)>,
    to: SocketAddr,
    replies: BTreeMap<u64, Reply>,
    count: u64,
}

/// What came back so far.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    pub(super) ended: bool,
    pub(super) failed: Option<Reason>,
}

impl Reply {
    /// Whether nothing more will come.
    fn is_over(&self) -> bool {
        self.ended || self.failed.is_some()
    }

    /// The body as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The longest wait for anything: far beyond what a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(20);

impl Customer {
    /// Someone who talks to the proxy at `to`.
    pub(super) fn new(post: Post<Command>, events: Receiver<(u64, Event)>, to: SocketAddr) -> Self {
        Self { post, events, to, replies: BTreeMap::new(), count: 0 }
    }

    /// Talks to another proxy from now on.
    pub(super) fn turn_to(&mut self, to: SocketAddr) {
        self.to = to;
    }

    /// Sends a request for `demo` and returns its number.
    pub(super) fn send(&mut self, method: Method, target: &str, body: Option<&[u8]>) -> u64 {
        self.send_to("demo", method, target, body, false)
    }

    /// Sends a request for any endpoint, which may ask for an upgrade.
    pub(super) fn send_to(
        &mut self,
        endpoint: &str,
        method: Method,
        target: &str,
        body: Option<&[u8]>,
        upgrade: bool,
    ) -> u64 {
        let mut fields = Fields::new();
        fields.push(b"Host", self.to.to_string().as_bytes());
        fields.push(b"x-pico-endpoint", endpoint.as_bytes());
        if let Some(body) = body {
            fields.push(b"Content-Length", body.len().to_string().as_bytes());
        }
        if upgrade {
            fields.push(b"Upgrade", b"echo");
        }
        let head = RequestHead::new(method, target.as_bytes(), fields);
        self.count += 1;
        let exchange = self.count;
        self.replies.insert(exchange, Reply::default());
        let body = body.map(BytesMut::from);
        self.tell(Command::Send { exchange, to: self.to, head, body, upgrade });
        exchange
    }

    /// Sends raw bytes on an upgraded connection.
    pub(super) fn raw(&mut self, exchange: u64, bytes: &[u8], end: bool) {
        self.tell(Command::Raw { exchange, bytes: BytesMut::from(bytes), end });
    }

    /// Waits until `enough` of a reply is there.
    pub(super) fn wait(
        &mut self,
        exchange: u64,
        enough: impl Fn(&Reply) -> bool,
    ) -> Result<&Reply, String> {
        loop {
            let reply = self.replies.entry(exchange).or_default();
            if let Some(reason) = reply.failed {
                return Err(format!("the response broke off: {reason}"));
            }
            if enough(reply) {
                break;
            }
            if reply.is_over() {
                return Err(format!(
                    "the response ended early: {} {:?}",
                    reply.status,
                    reply.text()
                ));
            }
            self.hear()?;
        }
        Ok(self.replies.entry(exchange).or_default())
    }

    /// Waits for the whole reply and takes it.
    pub(super) fn finish(&mut self, exchange: u64) -> Result<Reply, String> {
        self.wait(exchange, |reply| reply.ended)?;
        Ok(self.replies.remove(&exchange).unwrap_or_default())
    }

    /// Sends a request and waits for the whole reply.
    pub(super) fn ask(
        &mut self,
        method: Method,
        target: &str,
        body: Option<&[u8]>,
    ) -> Result<Reply, String> {
        let exchange = self.send(method, target, body);
        self.finish(exchange)
    }

    fn hear(&mut self) -> Result<(), String> {
        let next = self.events.recv_timeout(PATIENCE);
        let (exchange, event) = next.map_err(|_| "nothing came back in 20 s".to_owned())?;
        let reply = self.replies.entry(exchange).or_default();
        match event {
            Event::Response(head) => reply.status = head.status.as_u16(),
            Event::Data(bytes) => reply.body.extend_from_slice(&bytes),
            Event::End => reply.ended = true,
            Event::Failed(reason) => reply.failed = Some(reason),
            Event::Unreachable(_) => reply.failed = Some(Reason::ConnectionLost),
        }
        Ok(())
    }

    fn tell(&self, command: Command) {
        self.post.send(Address::Worker(WorkerId(0)), command);
    }
}

/// The client's thread ends with its customer.
impl Drop for Customer {
    fn drop(&mut self) {
        self.tell(Command::Stop);
    }
}
