//! Pico on async-std: sockets, datagrams, timers, names, signals and threads. All workers share
//! the one reactor of async-std; each runs one future on a thread of its own.

mod datagrams;
mod listener;
mod names;
mod signals;
mod stream;
mod threads;
mod timer;

pub use datagrams::Datagrams;
pub use listener::Listener;
pub use signals::Signals;
pub use stream::Stream;
pub use timer::Timer;

use pico_shell::Platform;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

/// Pico's sockets and timers by async-std.
#[derive(Debug)]
pub struct AsyncStd;

impl Platform for AsyncStd {
    const NAME: &'static str = "async-std";
    type Stream = Stream;
    type Listener = Listener;
    type Datagrams = Datagrams;
    type Timer = Timer;
    type Signals = Signals;

    fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
        Ok(threads::block_on(future))
    }

    fn listener(bound: TcpListener) -> io::Result<Listener> {
        Listener::new(bound)
    }

    fn stream(accepted: TcpStream) -> io::Result<Stream> {
        Stream::new(accepted)
    }

    fn datagrams(bound: UdpSocket) -> io::Result<Datagrams> {
        Datagrams::new(bound)
    }

    fn connect(to: SocketAddr) -> impl Future<Output = io::Result<Stream>> + 'static {
        Stream::connect(to)
    }

    fn resolve(
        host: String,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + 'static {
        names::resolve(host, port)
    }

    fn timer() -> Timer {
        Timer::new()
    }

    fn signals() -> io::Result<Signals> {
        Signals::new()
    }
}
