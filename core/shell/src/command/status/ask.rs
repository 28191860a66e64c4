//! Questions to the admin port of a node.

use crate::client::{Client, Command, Event};
use crate::clock::Clock;
use crate::crew::Crew;
use crate::driver::Wiring;
use crate::mail::Post;
use crate::platform::Platform;
use crate::wire::Wires;
use http::Method;
use pico_core::head::{Fields, RequestHead};
use pico_core::host::Address;
use pico_core::id::WorkerId;
use pico_core::{Limits, Reason};
use serde::Deserialize;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Somebody to ask, through a client on another thread.
pub(super) struct Session {
    post: Post<Command>,
    events: Receiver<(u64, Event)>,
    /// Where the name leads, the best first.
    places: Vec<SocketAddr>,
    host: String,
    count: u64,
}

/// What a node says when it does not answer.
#[derive(Deserialize)]
struct Refused {
    error: String,
    code: String,
}

impl Session {
    /// Looks the host up, and gets ready to ask it.
    pub(super) fn open<P: Platform>(host: &str, port: u16) -> io::Result<Self> {
        let shown =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let places = match host.parse() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) => P::block_on(P::resolve(host.to_owned(), port))?
                .map_err(|error| io::Error::other(format!("{host}: {error}")))?,
        };
        let (sender, events) = channel();
        let post = Post::new(1);
        let client = Client::new(Arc::new(Limits::default()), sender);
        let wiring = Wiring {
            clock: Clock::start(),
            post: post.clone(),
            me: Address::Worker(WorkerId(0)),
            ports: Vec::new(),
            datagrams: None,
            wires: Wires::plain(),
            notes: Arc::new(|_| ()),
        };
        Crew::new().hire::<P, _>("pico-client".into(), wiring, move || client, |_| ())?;
        Ok(Self { post, events, places, host: shown, count: 0 })
    }

    /// What the node answers: the body, if it is an answer.
    pub(super) fn get(&mut self, target: &str) -> io::Result<String> {
        let mut failure = io::Error::other(format!("{}: no such host", self.host));
        for at in 0..self.places.len() {
            match self.get_from(at, target) {
                Ok(body) => {
                    self.places.swap(0, at);
                    return Ok(body);
                }
                Err(Failed::Nobody(error)) => failure = error,
                Err(Failed::Otherwise(error)) => return Err(error),
            }
        }
        Err(failure)
    }

    fn get_from(&mut self, at: usize, target: &str) -> Result<String, Failed> {
        let Some(to) = self.places.get(at).copied() else { return Err(self.broken("no address")) };
        self.count += 1;
        let exchange = self.count;
        let mut fields = Fields::new();
        fields.push(b"Host", self.host.as_bytes());
        fields.push(b"Accept", b"application/json");
        let head = RequestHead::new(Method::GET, target.as_bytes(), fields);
        let command = Command::Send { exchange, to, head, body: None, upgrade: false };
        self.post.send(Address::Worker(WorkerId(0)), command);
        let (mut status, mut body) = (0, Vec::new());
        loop {
            let Ok((of, event)) = self.events.recv_timeout(PATIENCE) else {
                return Err(self.broken("no answer in time"));
            };
            match event {
                _ if of != exchange => {}
                Event::Response(head) => status = head.status.as_u16(),
                Event::Data(bytes) if body.len() + bytes.len() > ANSWER_MAX => {
                    return Err(self.broken("the answer is too long"));
                }
                Event::Data(bytes) => body.extend_from_slice(&bytes),
                Event::End => return self.answered(status, body),
                Event::Failed(reason) => return Err(self.broken(&reason.to_string())),
                Event::Unreachable(fault) => {
                    let error = format!("the admin port at {}: {fault}", self.host);
                    return Err(Failed::Nobody(io::Error::other(error)));
                }
            }
        }
    }

    fn answered(&self, status: u16, body: Vec<u8>) -> Result<String, Failed> {
        if status == 200 {
            return String::from_utf8(body).map_err(|_| self.broken("the answer is no text"));
        }
        Err(match serde_json::from_slice::<Refused>(&body) {
            Ok(Refused { error, code }) => {
                let unknown = code == Reason::NotFound.told().code;
                let kind = if unknown { io::ErrorKind::NotFound } else { io::ErrorKind::Other };
                Failed::Otherwise(io::Error::new(kind, format!("{error} ({code})")))
            }
            Err(_) => self.broken(&format!("it answers {status}, as no admin port does")),
        })
    }

    fn broken(&self, why: &str) -> Failed {
        Failed::Otherwise(io::Error::other(format!("the admin port at {}: {why}", self.host)))
    }
}

/// The client's thread ends with its session.
impl Drop for Session {
    fn drop(&mut self) {
        self.post.send(Address::Worker(WorkerId(0)), Command::Stop);
    }
}

enum Failed {
    /// Nobody was there: another address may do.
    Nobody(io::Error),
    Otherwise(io::Error),
}

/// The longest wait for anything: longer than a node waits for another one.
const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes of the longest answer: no piece of a list is longer.
const ANSWER_MAX: usize = 4 << 20;
