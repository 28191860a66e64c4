//! One end of a connection that takes its turn.

use pico_sim::e2e::PATIENCE;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// A socket, and what came on it and was not waited for.
pub struct Peer {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Peer {
    pub fn dial(to: SocketAddr) -> Self {
        Self::new(TcpStream::connect(to).unwrap())
    }

    pub fn accept(listener: &TcpListener) -> Self {
        Self::new(listener.accept().unwrap().0)
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, heard: Vec::new() }
    }

    pub fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Reads up to and with `end`.
    pub fn hear(&mut self, end: &str) -> String {
        loop {
            let heard = String::from_utf8_lossy(&self.heard).into_owned();
            if let Some(at) = heard.find(end) {
                let heard = heard[..at + end.len()].to_owned();
                self.heard.drain(..heard.len());
                return heard;
            }
            assert!(self.read().unwrap() > 0, "no {end:?} in {heard:?}");
        }
    }

    /// Reads up to the FIN.
    pub fn hear_fin(&mut self) -> String {
        while self.read().unwrap() > 0 {}
        String::from_utf8(std::mem::take(&mut self.heard)).unwrap()
    }

    /// Reads up to the reset.
    pub fn hear_cut(&mut self) -> String {
        let end = loop {
            match self.read() {
                Ok(0) => panic!("a FIN after {:?}", String::from_utf8_lossy(&self.heard)),
                Ok(_) => {}
                Err(error) => break error.kind(),
            }
        };
        assert_eq!(end, ErrorKind::ConnectionReset);
        String::from_utf8(std::mem::take(&mut self.heard)).unwrap()
    }

    fn read(&mut self) -> std::io::Result<usize> {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer)?;
        self.heard.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    pub fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    pub fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}
