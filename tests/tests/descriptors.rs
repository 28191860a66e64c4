//! What happens when the process has no descriptors left. A file of its own, because it takes
//! them from the whole process.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod kit;

use kit::{PATIENCE, Way, movers};
use pico_shell::Platform;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;

pico_sim::on_each_platform!(without_descriptors_nobody_is_accepted_and_nobody_is_lost);

fn without_descriptors_nobody_is_accepted_and_nobody_is_lost<P: Platform>() {
    let _alone = ALONE.lock();
    let (echo, _) = movers::<P>(&[Way::Echo]);
    let mut first = echo.client();
    talk(&mut first);

    let before @ Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(128), maximum }).unwrap();
    // The clients have theirs already; the rest is taken away.
    let sockets: Vec<_> =
        (0..8).map(|_| Socket::new(Domain::IPV4, Type::STREAM, None).unwrap()).collect();
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    let mut waiting: Vec<TcpStream> = Vec::new();
    for socket in sockets {
        socket.connect(&echo.address.into()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        waiting.push(socket.into());
    }

    // Who was there is served all the same.
    talk(&mut first);
    drop(taken);
    for client in &mut waiting {
        talk(client);
    }
    setrlimit(Resource::Nofile, before).unwrap();
}

/// The limit is the process's: one runtime after the other.
static ALONE: Mutex<()> = Mutex::new(());

fn talk(client: &mut TcpStream) {
    client.write_all(b"still there?").unwrap();
    let mut back = [0; 12];
    client.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"still there?");
}
