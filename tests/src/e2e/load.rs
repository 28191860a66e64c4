//! A steady stream of requests, and what became of them.

use super::PATIENCE;
use super::wire::{Body, Head, bound};
use pico_shell::Clock;
use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Requests at a steady rate, by clients that keep their connections for as long as they may.
#[derive(Debug)]
pub struct Load {
    clients: Vec<(Sender<()>, JoinHandle<Tally>)>,
    progress: Arc<(Mutex<usize>, Condvar)>,
}

/// What became of the requests of a load.
#[derive(Debug, Default)]
pub struct Tally {
    /// Those that were answered with 200 and the name of a service.
    pub answered: usize,
    /// What happened to each of the others, in words.
    pub failed: Vec<String>,
    /// How long the slowest of all has taken.
    pub slowest: Duration,
}

/// How a load asks.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Requests in a second, all clients together. A machine that is busy makes fewer of them.
    pub per_second: u32,
    /// Clients.
    pub clients: u32,
    /// The method: what may be run twice is tried again where it failed.
    pub method: &'static str,
}

impl Load {
    /// Begins to ask for `endpoint` at `to`, where every answer is to be one of `names`.
    pub fn start(to: SocketAddr, endpoint: &str, names: &[&str], pace: Pace) -> Self {
        let gap = Duration::from_secs(1) * pace.clients / pace.per_second;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let body = if pace.method == "POST" { "content-length: 3\r\n\r\nabc" } else { "\r\n" };
        let request = format!(
            "{} / HTTP/1.1\r\nhost: load\r\nx-pico-endpoint: {endpoint}\r\n{body}",
            pace.method
        );
        let progress: Arc<(Mutex<usize>, Condvar)> = Arc::default();
        let clients = (0..pace.clients).map(|_| {
            let (names, request) = (names.clone(), request.clone());
            let progress = Arc::clone(&progress);
            let (sender, stop) = channel();
            let thread = thread::spawn(move || {
                let (clock, mut tally) = (Clock::start(), Tally::default());
                let mut conn = None;
                while stop.recv_timeout(gap) == Err(RecvTimeoutError::Timeout) {
                    let begun = clock.now();
                    let came = ask(&mut conn, to, &request);
                    tally.slowest = tally.slowest.max(clock.now().since(begun));
                    match came {
                        Ok((200, text)) if names.contains(&text) => {
                            tally.answered += 1;
                            *progress.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                            progress.1.notify_all();
                        }
                        Ok((status, text)) => tally.failed.push(format!("{status} {text}")),
                        Err(error) => {
                            conn = None;
                            tally.failed.push(error.to_string());
                        }
                    }
                }
                tally
            });
            (sender, thread)
        });
        let clients = clients.collect();
        Self { clients, progress }
    }

    /// Waits until so many more requests were answered.
    pub fn wait_for_more(&self, count: usize) {
        let answered = self.progress.0.lock().unwrap_or_else(PoisonError::into_inner);
        let enough = *answered + count;
        let waited =
            self.progress.1.wait_timeout_while(answered, PATIENCE, |answered| *answered < enough);
        let timed_out = waited.unwrap_or_else(PoisonError::into_inner).1.timed_out();
        assert!(!timed_out, "{count} more requests are not answered");
    }

    /// Ends it, once every request that is under way is over.
    pub fn stop(self) -> Tally {
        let (senders, threads): (Vec<_>, Vec<_>) = self.clients.into_iter().unzip();
        drop(senders);
        let tallies = threads.into_iter().map(|thread| thread.join().expect("no panic"));
        tallies.fold(Tally::default(), |mut all, one| {
            all.answered += one.answered;
            all.failed.extend(one.failed);
            all.slowest = all.slowest.max(one.slowest);
            all
        })
    }
}

/// Makes a request, on the connection that there is or on a new one.
fn ask(
    conn: &mut Option<BufReader<TcpStream>>,
    to: SocketAddr,
    request: &str,
) -> io::Result<(u16, String)> {
    if conn.is_none() {
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        bound(&stream);
        *conn = Some(BufReader::new(stream));
    }
    let stream = conn.as_mut().ok_or(io::ErrorKind::NotConnected)?;
    stream.get_mut().write_all(request.as_bytes())?;
    let head = Head::read(stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut text = String::new();
    Body::of_response(&head, "GET", stream)?.read_to_string(&mut text)?;
    if head.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
        *conn = None;
    }
    let status = head.word(1).parse();
    Ok((status.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?, text))
}
