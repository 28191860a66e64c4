//! The driver's UDP socket over loopback.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use pico_core::host::{Action, Address, DATAGRAM_MAX, Host, Input};
use pico_core::id::{ConnId, WorkerId};
use pico_core::{Instant, Machine, Outbox};
use pico_shell::wire::Wires;
use pico_shell::{Clock, Driver, Platform, Post, Wiring, listen};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

pico_sim::on_each_platform!(
    a_datagram_comes_back_whole,
    one_that_is_too_long_is_not_heard_and_the_next_one_is,
    one_that_is_too_long_is_not_sent_and_the_next_one_is,
    a_flood_is_taken_in_several_turns_and_none_of_it_is_forgotten,
);

fn a_datagram_comes_back_whole<P: Platform>() {
    let (host, peer, _) = start::<P>(&[]);
    for length in [0, 1, 100, DATAGRAM_MAX] {
        let sent: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
        peer.send_to(&sent, host.address).unwrap();
        assert!(receive(&peer) == sent, "{length} bytes");
    }
}

fn one_that_is_too_long_is_not_heard_and_the_next_one_is<P: Platform>() {
    let (host, peer, _) = start::<P>(&[]);
    peer.send_to(&[1; DATAGRAM_MAX + 1], host.address).unwrap();
    peer.send_to(&[2], host.address).unwrap();
    assert_eq!(receive(&peer), [2]);
}

fn one_that_is_too_long_is_not_sent_and_the_next_one_is<P: Platform>() {
    let (host, peer, _) = start::<P>(&[]);
    peer.send_to(&[DOUBLE; DATAGRAM_MAX / 2 + 1], host.address).unwrap();
    peer.send_to(&[DOUBLE], host.address).unwrap();
    assert_eq!(receive(&peer), [DOUBLE, DOUBLE]);
}

fn a_flood_is_taken_in_several_turns_and_none_of_it_is_forgotten<P: Platform>() {
    let flood: Vec<u8> = (0..150).collect();
    let (host, peer, turns) = start::<P>(&flood);
    let back: Vec<u8> = flood.iter().flat_map(|_| receive(&peer)).collect();
    assert_eq!(back, flood);
    drop(host);
    let turns: Vec<usize> = turns.iter().collect();
    assert_eq!(turns.iter().sum::<usize>(), flood.len());
    assert!(turns.len() > 1, "{turns:?}");
}

/// A datagram that begins with this is sent back twice in one.
const DOUBLE: u8 = 255;

/// A host that sends each datagram back.
struct Echo {
    actions: VecDeque<Action<()>>,
    /// How many came in this turn.
    count: usize,
    turns: Sender<usize>,
}

impl Machine for Echo {
    type Input = Input<()>;
    type Action = Action<()>;

    fn handle(&mut self, _now: Instant, input: Input<()>) {
        match input {
            Input::Datagram { from, mut bytes } => {
                self.count += 1;
                if bytes.first() == Some(&DOUBLE) {
                    let again = bytes.clone();
                    bytes.unsplit(again);
                }
                self.actions.push_back(Action::Datagram { to: from, bytes: bytes.freeze() });
            }
            Input::Letter(()) => self.actions.push_back(Action::Done),
            Input::Accepted { .. }
            | Input::Connected { .. }
            | Input::Unreachable { .. }
            | Input::Received { .. }
            | Input::Eof { .. }
            | Input::Sent { .. }
            | Input::Lost { .. }
            | Input::Unlistened(_)
            | Input::Resolved { .. }
            | Input::Wall(_) => {}
        }
    }

    /// A turn begins with a tick.
    fn tick(&mut self, _now: Instant) {
        if self.count > 0 {
            // Not every test looks.
            let _ = self.turns.send(self.count);
            self.count = 0;
        }
    }

    fn poll(&mut self) -> Option<Action<()>> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }
}

impl Host for Echo {
    type Letter = ();

    fn outbox(&self, _conn: ConnId) -> Option<&Outbox> {
        None
    }

    fn room(&self, _conn: ConnId) -> usize {
        0
    }
}

/// A driven host, ended with the test.
struct Running {
    address: SocketAddr,
    post: Post<()>,
    thread: Option<JoinHandle<()>>,
}

const ME: Address = Address::Worker(WorkerId(0));

/// Drives a host, to which a peer has sent these datagrams, of a byte each, before it began.
fn start<P: Platform>(before: &[u8]) -> (Running, UdpSocket, Receiver<usize>) {
    let (_, datagrams) = listen::bind_both((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = datagrams.local_addr().unwrap();
    let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    peer.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    for byte in before {
        peer.send_to(&[*byte], address).unwrap();
    }
    let (turns, seen) = channel();
    let post = Post::new(1);
    let wiring = Wiring {
        clock: Clock::start(),
        post: post.clone(),
        me: ME,
        ports: Vec::new(),
        datagrams: Some(datagrams),
        wires: Wires::plain(),
        notes: Arc::new(|_| {}),
    };
    let thread = std::thread::spawn(move || {
        let host = Echo { actions: VecDeque::new(), count: 0, turns };
        P::block_on(async { Driver::<P, Echo>::new(host, wiring).unwrap().await }).unwrap();
    });
    (Running { address, post, thread: Some(thread) }, peer, seen)
}

fn receive(peer: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 2 * DATAGRAM_MAX];
    let (count, _) = peer.recv_from(&mut buffer).unwrap();
    buffer.truncate(count);
    buffer
}

impl Drop for Running {
    fn drop(&mut self) {
        self.post.send(ME, ());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the host panicked");
    }
}
