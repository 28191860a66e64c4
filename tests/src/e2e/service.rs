//! The service behind an agent: a thread per connection, and a record of what reached it.

use super::wire::{Body, Client, Head, bound};
use super::{Check, PATIENCE, Pattern};
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A small HTTP/1.1 service.
///
/// | target | answer |
/// | --- | --- |
/// | `/` | its name |
/// | `/head` | the request's head as lines, names in lower case |
/// | `/echo` | the request's body, chunk by chunk as it comes |
/// | `/bytes/<n>` | n bytes of the [`Pattern`] |
/// | `/sink` | the number of bytes of the request's body, checked against the pattern |
/// | `/events` | two events, the second once [`Service::release`] was called |
/// | `/gather/<n>` | nothing until n such requests are here |
/// | `/hang/<name>` | nothing until the connection ends |
#[derive(Debug)]
pub struct Service {
    /// Where it listens.
    pub address: SocketAddr,
    arrivals: Mutex<Receiver<String>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    arrivals: Sender<String>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default, Debug)]
struct State {
    requests: usize,
    gathered: usize,
    released: bool,
    /// Calls of `/hang` that have ended and were not told of yet.
    hung_up: usize,
}

impl Service {
    /// Starts a service that calls itself `name`.
    pub fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port can be bound");
        let address = listener.local_addr().expect("it is bound");
        let (sender, arrivals) = channel();
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            arrivals: sender,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let theirs = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&theirs);
                // What ends a connection is for the client to judge.
                thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Self { address, arrivals: Mutex::new(arrivals), shared }
    }

    /// Its address, as an agent is told it.
    pub fn target(&self) -> String {
        self.address.to_string()
    }

    /// How many requests have reached it.
    pub fn requests(&self) -> usize {
        self.shared.state().requests
    }

    /// The target of the next request to arrive that was not told before.
    pub fn arrival(&self) -> String {
        let arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.recv_timeout(PATIENCE).expect("a request arrives")
    }

    /// Waits until the connection of a call of `/hang` has ended.
    pub fn hung_up(&self) {
        self.shared.wait(|state| state.hung_up > 0).expect("the call ends");
        self.shared.state().hung_up -= 1;
    }

    /// Lets `/events` go on.
    pub fn release(&self) {
        self.shared.state().released = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `done` holds.
    fn wait(&self, done: impl Fn(&State) -> bool) -> io::Result<()> {
        let state = self.state();
        let waited = self.changed.wait_timeout_while(state, PATIENCE, |state| !done(state));
        let (state, result) = waited.unwrap_or_else(PoisonError::into_inner);
        drop(state);
        if result.timed_out() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        bound(&stream);
        let mut out = stream.try_clone()?;
        let mut from = BufReader::new(stream);
        while let Some(head) = Head::read(&mut from)? {
            self.state().requests += 1;
            // Nobody needs to listen.
            let _ = self.arrivals.send(head.word(1).to_owned());
            self.answer(&head, &mut from, &mut out)?;
        }
        Ok(())
    }

    fn answer(
        &self,
        head: &Head,
        from: &mut BufReader<TcpStream>,
        out: &mut TcpStream,
    ) -> io::Result<()> {
        let target = head.word(1).split('?').next().unwrap_or_default();
        let (first, rest) = target.trim_start_matches('/').split_once('/').unwrap_or((target, ""));
        let number = rest.parse().unwrap_or(0);
        let mut body = Body::of_request(head, from)?;
        match first.trim_start_matches('/') {
            "head" => {
                io::copy(&mut body, &mut io::sink())?;
                text(out, "200 OK", &head.text())
            }
            "echo" => echo(&mut body, out),
            "bytes" => {
                io::copy(&mut body, &mut io::sink())?;
                write!(out, "HTTP/1.1 200 OK\r\ncontent-length: {number}\r\n\r\n")?;
                io::copy(&mut Pattern::new(number), out).map(drop)
            }
            "sink" => {
                let mut check = Check::new();
                io::copy(&mut body, &mut check)?;
                text(out, "200 OK", &check.count().to_string())
            }
            "events" => self.events(out),
            "gather" => {
                self.state().gathered += 1;
                self.changed.notify_all();
                let all = usize::try_from(number).unwrap_or(usize::MAX);
                self.wait(|state| state.gathered >= all)?;
                text(out, "200 OK", rest)
            }
            "hang" => {
                let ended = io::copy(&mut body, &mut io::sink())
                    .and_then(|_| io::copy(from, &mut io::sink()));
                self.state().hung_up += 1;
                self.changed.notify_all();
                ended.map(drop)
            }
            "" => {
                io::copy(&mut body, &mut io::sink())?;
                text(out, "200 OK", &self.name)
            }
            _ => text(out, "404 Not Found", "no such page"),
        }
    }

    fn events(&self, out: &mut TcpStream) -> io::Result<()> {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        out.write_all(head.as_bytes())?;
        chunk(out, b"data: one\n\n")?;
        self.wait(|state| state.released)?;
        chunk(out, b"data: two\n\n")?;
        out.write_all(b"0\r\n\r\n")
    }
}

/// A service that says what a test has it say, connection by connection.
#[derive(Debug)]
pub struct Scripted {
    /// Where it listens.
    pub address: SocketAddr,
    accepted: Receiver<TcpStream>,
}

impl Scripted {
    /// Starts it.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port can be bound");
        let address = listener.local_addr().expect("it is bound");
        let (sender, accepted) = channel();
        thread::spawn(move || listener.incoming().flatten().try_for_each(|s| sender.send(s)));
        Self { address, accepted }
    }

    /// The next connection that was opened to it.
    pub fn accept(&self) -> Client {
        Client::accepted(self.accepted.recv_timeout(PATIENCE).expect("a connection"))
    }

    /// Whether nobody has connected whom the test did not accept.
    pub fn is_left_alone(&self) -> bool {
        self.accepted.try_recv().is_err()
    }
}

/// A service that speaks WebSocket only, and echoes every message.
#[derive(Debug)]
pub struct Upgrades {
    /// Where it listens.
    pub address: SocketAddr,
}

impl Upgrades {
    /// Starts it.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port can be bound");
        let address = listener.local_addr().expect("it is bound");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || drop(echo_messages(stream)));
            }
        });
        Self { address }
    }
}

fn echo_messages(stream: TcpStream) -> Result<(), tungstenite::Error> {
    bound(&stream);
    let Ok(mut socket) = tungstenite::accept(stream) else { return Ok(()) };
    loop {
        let message = socket.read()?;
        if message.is_text() || message.is_binary() {
            socket.send(message)?;
        }
    }
}

fn echo(body: &mut impl Read, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = body.read(&mut buffer)?;
        if count == 0 {
            return out.write_all(b"0\r\n\r\n");
        }
        chunk(out, buffer.get(..count).unwrap_or_default())?;
    }
}

fn chunk(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    write!(out, "{:x}\r\n", bytes.len())?;
    out.write_all(bytes)?;
    out.write_all(b"\r\n")
}

fn text(out: &mut impl Write, status: &str, body: &str) -> io::Result<()> {
    write!(out, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}
