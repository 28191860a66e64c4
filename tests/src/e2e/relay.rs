//! A way to a port on which everything can be lost without a word.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Passes connections on to a port.
#[derive(Debug)]
pub struct Relay {
    /// Where it listens.
    pub address: SocketAddr,
    passing: Arc<Mutex<Vec<Arc<Passing>>>>,
}

/// A connection, both ends of which stay open as long as this is held.
#[derive(Debug)]
struct Passing {
    ends: [TcpStream; 2],
    silent: Mutex<bool>,
}

impl Relay {
    /// Starts one to `to`.
    pub fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port can be bound");
        let address = listener.local_addr().expect("it is bound");
        let passing: Arc<Mutex<Vec<Arc<Passing>>>> = Arc::default();
        let all = Arc::clone(&passing);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(to) else { continue };
                let passing = Arc::new(Passing { ends: [near, far], silent: Mutex::new(false) });
                all.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&passing));
                for from in [0, 1] {
                    let passing = Arc::clone(&passing);
                    thread::spawn(move || passing.pass(from));
                }
            }
        });
        Self { address, passing }
    }

    /// From now on nothing passes on the connections that there are: no byte, no FIN, no reset.
    /// Later ones are as good as ever.
    pub fn fall_silent(&self) {
        for passing in self.passing.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            *passing.silent.lock().unwrap_or_else(PoisonError::into_inner) = true;
        }
    }
}

impl Passing {
    fn pass(&self, from: usize) {
        let [mut from, mut to] = [&self.ends[from], &self.ends[1 - from]];
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = from.read(&mut buffer).unwrap_or(0);
            let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
            match buffer.get(..count) {
                _ if *silent => return,
                Some(bytes) if count > 0 && to.write_all(bytes).is_ok() => {}
                _ => {
                    // Whoever has gone before hears nothing of it.
                    let _ = to.shutdown(Shutdown::Both);
                    let _ = from.shutdown(Shutdown::Both);
                    return;
                }
            }
        }
    }
}
